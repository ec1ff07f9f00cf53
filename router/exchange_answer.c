// The endpoint's response on its way to the client.

#include "router/exchange_steps.h"
#include "router/header_mutation.h"
#include "router/upstream.h"

// True if the endpoint has said all: no body and no trailers follow its head.
static bool response_is_bare(struct exchange *x)
{
	struct bytes data;

	return x->upstream->ops->peek_body(x->upstream, &data) == CODEC_END
		&& x->upstream->trailers == NULL;
}

// The decision of RFC 9112, 6.3 for what we send: what has no length is chunked, unless it has no body at all; HTTP/1.0 has its end
// with the connection's. Returns true if nothing follows the head.
static bool frame_response(struct exchange *x)
{
	struct http_head *h = &x->response;
	bool bodyless = x->is_head || http_status_is_bodyless(h->status);

	h->version = exchange_answer_version(x);
	h->chunked = !bodyless && h->content_length < 0 && h->version != HTTP_1_0;
	if (bodyless || h->content_length > 0)
		return bodyless;
	// HTTP/2 can say it without a length, and has trailers whatever the length; to gRPC they differ from fields.
	if (x->downstream->ops->version == HTTP_2)
		return response_is_bare(x);
	return h->content_length == 0;
}

enum step exchange_start_answer(struct exchange *x, uint64_t now_us)
{
	struct http_head *h = &x->response;
	int64_t service_ms = -1;
	bool end;

	if (x->request_sent && x->response_start_us >= x->upstream_end_us
		&& !x->snapshot->config->http.no_debug_headers)
		service_ms = (int64_t)((x->response_start_us - x->upstream_end_us) / 1000);
	// The destination's operations first, so that the route's win (reference 2.5).
	if (header_edge_response(h, &x->snapshot->config->http, router_date(x->worker, now_us),
		    service_ms, &x->arena)
			!= EDGE_OK
		|| (x->choice != NULL && !header_apply_ops(h, &x->choice->response_headers))
		|| !header_apply_ops(h, &x->route->response_headers))
		return exchange_reply_no_memory(x, now_us);
	end = frame_response(x);
	x->details = "via_upstream";
	x->has_response = true;
	// What the client has sent behind a refused upgrade is nobody's: its connection ends.
	x->upgrade = false;
	// A client whose request is still under way may go on sending it while the answer comes; one that was not told to
	// proceed will not.
	h->keep_alive = x->client_keep_alive && !x->worker->draining
		&& (end || h->chunked || h->content_length >= 0)
		&& (x->request_ended || (!end && !(x->expects_continue && !x->continue_relayed)));
	x->response_started = true;
	x->progress_us = now_us;
	exchange_set_state(x, EXCHANGE_ANSWER);
	x->downstream->ops->send_head(x->downstream, h, end);
	x->answer_has_body = !end;
	return STEP_AGAIN;
}

enum step exchange_cut(struct exchange *x, enum response_flag flag, const char *details)
{
	response_flags_add(&x->flags, flag);
	x->details = details;
	if (x->downstream_end == 0)
		x->downstream_end = DOWNSTREAM_FAILED;
	exchange_set_state(x, EXCHANGE_END);
	return STEP_AGAIN;
}

// The endpoint is done with its response.
static void finish_upstream(struct exchange *x, uint64_t now_us)
{
	struct cluster_stats *stats = exchange_cluster_stats(x);

	x->response_end_us = now_us;
	x->answer_ended = true;
	if (x->request_ended)
		histogram_record(&stats->upstream_rq_time, now_us - x->request_end_us);
	// Trailers live in the stream, so it has to wait until they have left.
	if (x->upstream->trailers == NULL)
		x->upstream->ops->release(&x->upstream, now_us);
}

enum step exchange_answer_failed(struct exchange *x, uint64_t now_us)
{
	const struct reset_reason_info *why = &reset_reasons[x->reason];

	stat_inc(&exchange_cluster_stats(x)->upstream_rq_rx_reset);
	stat_inc(&x->peer->hcm->downstream_rq_tx_reset);
	exchange_drop_attempt(x, now_us);
	return exchange_cut(x, why->flag, why->after);
}

// Moves what can be moved of the response. True when all of it is handed over.
static bool pump_response(struct exchange *x, uint64_t now_us)
{
	struct codec_stream *up = x->upstream, *down = x->downstream;

	while (!x->answer_ended) {
		struct bytes data;
		size_t n;

		switch (up->ops->peek_body(up, &data)) {
		case CODEC_WAIT: x->owes_room = down->ops->send_pending(down); return false;
		case CODEC_END:
			if (x->answer_has_body)
				down->ops->send_end(down, up->trailers);
			finish_upstream(x, now_us);
			break;
		case CODEC_DATA:
			n = down->ops->send_body(down, data);
			x->owes_room = n == 0;
			if (n == 0)
				return false;
			up->ops->consume_body(up, n);
			x->response_body_bytes += n;
			x->progress_us = now_us;
			break;
		}
	}
	return true;
}

enum step exchange_step_answer(struct exchange *x, uint64_t now_us)
{
	if (!x->answer_ended && !x->request_sent)
		exchange_pump_request(x, now_us);
	if (!pump_response(x, now_us)) {
		if (x->upstream_failed)
			return exchange_answer_failed(x, now_us);
		return STEP_WAIT;
	}
	x->owes_room = x->downstream->ops->send_pending(x->downstream);
	if (x->owes_room)
		return STEP_WAIT;
	exchange_set_state(x, EXCHANGE_END);
	return STEP_AGAIN;
}
