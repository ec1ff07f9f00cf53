// Upgrades (RFC 9110, 7.8; HTTP/2's extended CONNECT looks the same from here): a request that asks for WebSocket goes on as such;
// the endpoint's 101 makes of the exchange a tunnel of bytes. Until then nothing of what the client says behind its head is read,
// so that it cannot be taken for something else by an endpoint that does not switch.
//
// Each direction ends by itself: one side's end is passed on to the other, whose own direction goes on. What one side cannot
// take is left unread on the other.

#include "router/exchange_steps.h"
#include "router/header_mutation.h"

// The one protocol named, or empty: there has to be one field with one name.
static struct bytes protocol_of(const struct http_head *h)
{
	struct bytes found = {NULL, 0};

	for (unsigned i = 0; i < h->fields.n; i++) {
		if (h->fields.at[i].id != HTTP_FIELD_UPGRADE)
			continue;
		if (found.len > 0)
			return (struct bytes){NULL, 0};
		found = h->fields.at[i].value;
	}
	return found;
}

bool exchange_upgrade_is_allowed(const struct http_head *request)
{
	return bytes_equal_nocase(protocol_of(request), BYTES("websocket"))
		&& bytes_equal(request->method, BYTES("GET")); // RFC 6455, 4.1
}

bool exchange_upgrade_is_answered(const struct http_head *response)
{
	return response->upgrade && bytes_equal_nocase(protocol_of(response), BYTES("websocket"));
}

enum step exchange_start_tunnel(struct exchange *x, uint64_t now_us)
{
	struct http_head *h = &x->response;

	if (header_edge_response(h, &x->snapshot->config->http, router_date(x->worker, now_us),
		    (int64_t)((now_us - x->upstream_end_us) / 1000), &x->arena)
			!= EDGE_OK
		|| (x->choice != NULL && !header_apply_ops(h, &x->choice->response_headers))
		|| !header_apply_ops(h, &x->route->response_headers))
		return exchange_reply_no_memory(x, now_us);
	h->version = HTTP_1_1;
	h->keep_alive = false;
	x->details = "via_upstream";
	x->has_response = x->response_started = true;
	x->progress_us = now_us;
	exchange_set_state(x, EXCHANGE_TUNNEL);
	x->downstream->ops->send_head(x->downstream, h, false);
	return STEP_AGAIN;
}

// Moves what can be moved. Returns true when 'from' has ended and 'to' was told.
static bool pump(struct exchange *x, struct codec_stream *from, struct codec_stream *to,
	uint64_t *n_bytes, uint64_t now_us)
{
	for (;;) {
		struct bytes data;
		size_t n;

		switch (from->ops->peek_body(from, &data)) {
		case CODEC_WAIT: return false;
		case CODEC_END:
			if (to->ops->send_pending(to)) {
				x->owes_room |= to == x->downstream;
				return false;
			}
			to->ops->send_end(to, NULL);
			x->progress_us = now_us;
			return true;
		case CODEC_DATA:
			n = to->ops->send_body(to, data);
			if (n == 0) {
				x->owes_room |= to == x->downstream;
				return false;
			}
			from->ops->consume_body(from, n);
			*n_bytes += n;
			x->progress_us = now_us;
			break;
		}
	}
}

enum step exchange_step_tunnel(struct exchange *x, uint64_t now_us)
{
	struct codec_stream *down = x->downstream, *up = x->upstream;

	if (!x->request_ended && pump(x, down, up, &x->request_body_bytes, now_us)) {
		x->request_ended = true;
		x->request_end_us = now_us;
	}
	x->owes_room = false;
	if (!x->answer_ended && pump(x, up, down, &x->response_body_bytes, now_us)) {
		x->answer_ended = true;
		x->response_end_us = now_us;
	}
	if (x->downstream_end != 0)
		return STEP_AGAIN;
	if (x->request_ended && x->answer_ended) {
		x->owes_room = down->ops->send_pending(down);
		if (x->owes_room)
			return STEP_WAIT;
		exchange_set_state(x, EXCHANGE_END);
		return STEP_AGAIN;
	}
	return x->upstream_failed ? exchange_answer_failed(x, now_us) : STEP_WAIT;
}
