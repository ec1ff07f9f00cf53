// Responses of the gateway's own: Envoy's texts, fields and details (reference 8.9).

#include "router/exchange_steps.h"
#include "router/header_mutation.h"

#include <string.h>

// How gRPC clients are told: HTTP says 200, the status is a field.
static unsigned grpc_status_of(unsigned http_status)
{
	switch (http_status) {
	case 400: return 13;
	case 401: return 16;
	case 403: return 7;
	case 404: return 12;
	case 429:
	case 502:
	case 503:
	case 504: return 14;
	default: return 2;
	}
}

static void start_head(struct http_head *h, uint16_t status)
{
	h->version = HTTP_1_1;
	h->status = status;
	h->fields.n = 0;
	h->content_length = 0;
	h->chunked = false;
	h->upgrade = false;
}

// What of a body becomes a grpc-message.
#define GRPC_MESSAGE_MAX 1000u

// Percent-encodes what may not stand in a grpc-message (gRPC over HTTP/2, "Responses").
static bool grpc_message(struct bytes text, struct arena *a, struct bytes *out)
{
	static const char digits[] = "0123456789ABCDEF";
	uint8_t *to;
	size_t n = 0;

	if (text.len > GRPC_MESSAGE_MAX)
		text.len = GRPC_MESSAGE_MAX;
	to = arena_alloc(a, 3 * text.len);
	if (to == NULL)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];

		if ((c > 0x20 || (c == 0x20 && n > 0)) && c <= 0x7e && c != '%') {
			to[n++] = c;
			continue;
		}
		to[n++] = '%';
		to[n++] = (uint8_t)digits[c >> 4];
		to[n++] = (uint8_t)digits[c & 15];
	}
	// A field's value may neither begin nor end with a space.
	while (n > 0 && to[n - 1] == ' ')
		n--;
	*out = bytes_of(to, n);
	return true;
}

static bool add_grpc(struct exchange *x, const struct local_reply *reply)
{
	struct bytes text = reply->bytes.len > 0 ? reply->bytes : bytes_of_str(reply->body);
	struct http_head *h = &x->response;
	struct bytes message;

	start_head(h, 200);
	x->reply_body = (struct bytes){NULL, 0};
	// HTTP/1.1 needs it to find the end; in HTTP/2 it would be no "Trailers-Only".
	if (x->downstream->ops->version != HTTP_2
		&& !http_field_add(&h->fields, BYTES("content-length"), BYTES("0")))
		return false;
	return http_field_add(&h->fields, BYTES("content-type"), BYTES("application/grpc"))
		&& header_set_number(
			&h->fields, BYTES("grpc-status"), grpc_status_of(reply->status), &x->arena)
		&& (text.len == 0
			|| (grpc_message(text, &x->arena, &message)
				&& http_field_add(&h->fields, BYTES("grpc-message"), message)));
}

static bool add_plain(struct exchange *x, const struct local_reply *reply)
{
	struct http_head *h = &x->response;

	start_head(h, reply->status);
	x->reply_body = reply->bytes.len > 0 ? reply->bytes : bytes_of_str(reply->body);
	if (reply->location.len > 0
		&& !http_field_add(&h->fields, BYTES("location"), reply->location))
		return false;
	h->content_length = (int64_t)x->reply_body.len;
	if (!header_set_number(&h->fields, BYTES("content-length"), x->reply_body.len, &x->arena))
		return false;
	return x->reply_body.len == 0
		|| http_field_add(&h->fields, BYTES("content-type"), BYTES("text/plain"));
}

// The fields of a reply when not even the arena has room: static bytes only.
static void add_bare(struct exchange *x)
{
	struct http_head *h = &x->response;

	start_head(h, h->status);
	x->reply_body = (struct bytes){NULL, 0};
	http_field_add(&h->fields, BYTES("content-length"), BYTES("0"));
}

enum step exchange_reply(struct exchange *x, const struct local_reply *reply, uint64_t now_us)
{
	struct http_head *h = &x->response;
	const struct http_config *http = &x->snapshot->config->http;
	bool ok;

	exchange_drop_attempt(x, now_us);
	exchange_drop_retry_slot(x);
	timer_cancel(x->worker->timers, &x->timer);
	if (reply->flag >= 0)
		response_flags_add(&x->flags, (enum response_flag)reply->flag);
	x->details = reply->details;
	ok = x->grpc && reply->status != 200 ? add_grpc(x, reply) : add_plain(x, reply);
	if (ok && reply->overloaded && !http->no_debug_headers)
		ok = http_field_add(&h->fields, BYTES("x-envoy-overloaded"), BYTES("true"));
	if (ok && x->choice != NULL)
		ok = header_apply_ops(h, &x->choice->response_headers);
	if (ok && x->route != NULL)
		ok = header_apply_ops(h, &x->route->response_headers);
	if (ok)
		ok = header_edge_response(h, http, router_date(x->worker, now_us), -1, &x->arena)
			== EDGE_OK;
	if (!ok)
		add_bare(x);
	h->version = exchange_answer_version(x);
	h->keep_alive =
		!reply->close && x->request_ended && x->client_keep_alive && !x->worker->draining;
	x->has_response = true;
	x->upgrade = false;
	if (x->cluster != NULL) {
		struct cluster_stats *stats = exchange_cluster_stats(x);

		stat_inc(&stats->upstream_rq_completed);
		stat_inc(&stats->upstream_rq_xx[reply->status / 100]);
		stat_inc(&stats->upstream_rq_code[reply->status]);
	}
	if (x->is_head || http_status_is_bodyless(h->status))
		x->reply_body.len = 0;
	exchange_set_state(x, EXCHANGE_REPLY);
	x->response_started = true;
	x->downstream->ops->send_head(x->downstream, h, x->reply_body.len == 0);
	return STEP_AGAIN;
}

enum step exchange_refuse_rule(struct exchange *x, const struct h1_error *e, uint64_t now_us)
{
	bool is_old = e->status == 426; // understood, just not served

	router_count_rule(x->worker, e);
	if (!is_old)
		stat_inc(&x->peer->hcm->downstream_cx_protocol_error);
	return exchange_reply(x,
		&(struct local_reply){.status = e->status,
			.body = http_reason(e->status),
			.details = e->details,
			.flag = is_old ? -1 : RESPONSE_FLAG_DPE,
			.close = true},
		now_us);
}

enum step exchange_reply_no_memory(struct exchange *x, uint64_t now_us)
{
	stat_inc(&x->worker->stats->exchange_no_memory);
	return exchange_reply(x,
		&(struct local_reply){.status = 503,
			.body = "envoy overloaded",
			.details = "overload",
			.flag = RESPONSE_FLAG_OM,
			.close = true},
		now_us);
}

enum step exchange_step_reply(struct exchange *x, uint64_t now_us)
{
	(void)now_us;
	while (x->reply_body.len > 0) {
		size_t n = x->downstream->ops->send_body(x->downstream, x->reply_body);

		x->owes_room = n == 0;
		if (n == 0)
			return STEP_WAIT;
		x->response_body_bytes += n;
		x->reply_body = bytes_skip(x->reply_body, n);
		if (x->reply_body.len == 0)
			x->downstream->ops->send_end(x->downstream, NULL);
	}
	x->owes_room = x->downstream->ops->send_pending(x->downstream);
	if (x->owes_room)
		return STEP_WAIT;
	exchange_set_state(x, EXCHANGE_END);
	return STEP_AGAIN;
}
