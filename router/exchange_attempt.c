// Attempts: an endpoint is picked, the request is sent to it, and what comes of it decides whether another one follows.

#include "router/exchange_steps.h"
#include "router/header_mutation.h"
#include "router/lb.h"
#include "router/outlier.h"
#include "router/retry.h"
#include "router/upstream.h"

#include <string.h>

// What is kept of a body for retries, as Envoy's buffer limit; less when the pool of chunks runs low.
#define KEPT_MAX    (1024u * 1024u)
// What is read of a response nobody wants any more, to save its connection.
#define DISCARD_MAX 16384u

// --- the body kept for retries

void exchange_drop_kept(struct exchange *x)
{
	while (x->kept != NULL) {
		struct body_chunk *next = x->kept->next;

		pool_put(&x->worker->chunks, x->kept);
		x->kept = next;
	}
	x->kept_last = x->replay = NULL;
	x->kept_bytes = 0;
}

static bool retries_left(const struct exchange *x)
{
	return x->route != NULL && x->retries < x->route->retry.attempts;
}

static bool is_idempotent(struct bytes method)
{
	static const struct bytes methods[] = {BYTES("GET"), BYTES("HEAD"), BYTES("OPTIONS"),
		BYTES("TRACE"), BYTES("PUT"), BYTES("DELETE")}; // RFC 9110, 9.2.2

	for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (bytes_equal(method, methods[i]))
			return true;
	}
	return false;
}

// True if the body may have to be sent again: by a retry, or because a kept connection may turn out to be dead.
static bool keeps_body(const struct exchange *x)
{
	if (x->retry_abandoned)
		return false;
	return retries_left(x)
		|| (x->upstream != NULL && !x->replayed && upstream_is_reused(x->upstream));
}

// Copies as much of 'b' as there is room for; returns how much.
static size_t keep(struct exchange *x, struct bytes b)
{
	struct pool *pool = &x->worker->chunks;
	size_t kept = 0;

	while (kept < b.len && x->kept_bytes < KEPT_MAX) {
		struct body_chunk *c = x->kept_last;
		size_t n;

		if (c == NULL || c->len == sizeof(c->bytes)) {
			// The last quarter of the pool is for heads.
			c = pool->n_used < pool->cap / 4 * 3 ? pool_get(pool) : NULL;
			if (c == NULL) {
				stat_inc(&x->worker->stats->retry_buffer_refused);
				break;
			}
			c->next = NULL;
			c->len = 0;
			if (x->kept_last != NULL)
				x->kept_last->next = c;
			else
				x->kept = c;
			x->kept_last = c;
		}
		n = sizeof(c->bytes) - c->len;
		if (n > b.len - kept)
			n = b.len - kept;
		memcpy(c->bytes + c->len, b.ptr + kept, n);
		c->len += (uint32_t)n;
		x->kept_bytes += (uint32_t)n;
		kept += n;
	}
	return kept;
}

static void abandon_retries(struct exchange *x)
{
	if (retries_left(x))
		stat_inc(&exchange_cluster_stats(x)->retry_or_shadow_abandoned);
	x->retry_abandoned = true;
	exchange_drop_kept(x);
}

// Sends what was kept before this attempt began. True when all of it is sent.
static bool send_kept(struct exchange *x)
{
	while (x->replay != NULL) {
		struct bytes b = {
			x->replay->bytes + x->replay_offset, x->replay->len - x->replay_offset};
		size_t n = b.len > 0 ? x->upstream->ops->send_body(x->upstream, b) : 0;

		x->replay_offset += (uint32_t)n;
		if (n < b.len)
			return false;
		x->replay = x->replay->next;
		x->replay_offset = 0;
	}
	if (x->retry_abandoned)
		exchange_drop_kept(x);
	return true;
}

static size_t send_new(struct exchange *x, struct bytes b)
{
	size_t n = x->upstream->ops->send_body(x->upstream, b);

	if (n > 0 && keeps_body(x) && keep(x, (struct bytes){b.ptr, n}) < n)
		abandon_retries(x);
	return n;
}

static void arm_try_timer(struct exchange *x, uint64_t now_us)
{
	uint64_t us = x->route->retry.per_try_timeout_us;

	if (us > 0 && (x->timeout_us == 0 || us < x->timeout_us))
		timer_arm(x->worker->timers, &x->try_timer, now_us + us);
}

// Timeouts count from here (reference 2.9).
static void request_complete(struct exchange *x, uint64_t now_us)
{
	x->request_ended = true;
	x->request_end_us = now_us;
	if (x->cluster == NULL || x->response_started)
		return;
	if (x->timeout_us > 0)
		timer_arm(x->worker->timers, &x->timer, now_us + x->timeout_us);
	if (x->upstream != NULL && !x->upstream_head)
		arm_try_timer(x, now_us);
}

void exchange_pump_request(struct exchange *x, uint64_t now_us)
{
	struct codec_stream *down = x->downstream, *up = x->upstream;

	// What a client says before the endpoint has switched protocols is held back: it may never be meant for it.
	if (x->upgrade)
		return;
	if (up != NULL && !send_kept(x))
		return;
	while (!x->request_ended) {
		struct bytes data;
		size_t n;

		x->owes_body = false;
		switch (down->ops->peek_body(down, &data)) {
		case CODEC_WAIT: x->owes_body = true; return;
		case CODEC_END: request_complete(x, now_us); break;
		case CODEC_DATA:
			if (up != NULL)
				n = send_new(x, data);
			else
				n = keeps_body(x) ? keep(x, data) : 0;
			if (n == 0)
				return;
			down->ops->consume_body(down, n);
			x->request_body_bytes += n;
			x->progress_us = now_us;
			break;
		}
	}
	if (up != NULL && !x->request_sent) {
		up->ops->send_end(up, down->trailers);
		x->request_sent = true;
		x->upstream_end_us = now_us;
	}
}

// --- one attempt

void exchange_drop_retry_slot(struct exchange *x)
{
	if (x->is_retry_reserved)
		atomic_fetch_sub_explicit(&x->cluster->state->retries, 1, memory_order_relaxed);
	x->is_retry_reserved = false;
}

void exchange_drop_attempt(struct exchange *x, uint64_t now_us)
{
	timer_cancel(x->worker->timers, &x->try_timer);
	upstream_cancel(x->worker, x);
	if (x->upstream != NULL) {
		if (x->answer_ended)
			x->upstream->ops->release(&x->upstream, now_us);
		else
			x->upstream->ops->reset(&x->upstream, now_us);
	}
	x->upstream_head = x->upstream_continue = x->upstream_failed = false;
	x->try_timed_out = x->backoff_over = false;
}

static void set_attempt_fields(struct exchange *x, uint64_t now_us, bool *ok)
{
	struct http_fields *f = &x->request.fields;
	uint64_t expected = x->route->retry.per_try_timeout_us;

	const struct http_config *http = &x->snapshot->config->http;

	*ok = http->no_attempt_count || http->no_debug_headers
		|| header_set_number(f, BYTES("x-envoy-attempt-count"), x->attempts, &x->arena);
	if (x->timeout_us > 0) {
		uint64_t used = x->request_ended ? now_us - x->request_end_us : 0;
		uint64_t left = x->timeout_us > used ? x->timeout_us - used : 1000;

		if (expected == 0 || left < expected)
			expected = left;
	}
	if (expected > 0 && !http->no_debug_headers)
		*ok &= header_set_number(
			f, BYTES("x-envoy-expected-rq-timeout-ms"), expected / 1000, &x->arena);
}

static struct endpoint *pick(struct exchange *x)
{
	struct lb_context context = {.n_tried = 0};

	if (x->route->retry.ignore_previous_hosts) {
		for (uint32_t i = 0; i < x->attempts && i < EXCHANGE_MAX_TRIED && i < LB_MAX_TRIED;
			i++)
			context.tried[context.n_tried++] = x->tried[i];
	}
	return lb_pick(
		x->cluster, x->cluster->lb[x->worker->index], &context, exchange_cluster_stats(x));
}

static void begin_attempt(struct exchange *x, uint64_t now_us)
{
	struct codec_stream *up = x->upstream;
	bool end;

	x->upstream_local = upstream_local(up);
	x->upstream_start_us = now_us;
	x->replay = x->kept;
	x->replay_offset = 0;
	x->request.keep_alive = true;
	end = x->request_ended && x->kept == NULL && x->request_body_bytes == 0
		&& x->downstream->trailers == NULL && !x->request.chunked;
	x->request_sent = end || x->upgrade;
	x->upstream_end_us = x->request_sent ? now_us : 0;
	up->ops->send_head(up, &x->request, end);
	if (x->request_ended || x->upgrade)
		arm_try_timer(x, now_us);
	exchange_set_state(x, EXCHANGE_FORWARD);
}

enum step exchange_step_pick(struct exchange *x, uint64_t now_us)
{
	bool ok;

	if (!x->fresh_connection) {
		x->endpoint = pick(x);
		if (x->endpoint == NULL) {
			stat_inc(&exchange_cluster_stats(x)->upstream_cx_none_healthy);
			return exchange_reply(x,
				&(struct local_reply){.status = 503,
					.body = "no healthy upstream",
					.details = "no_healthy_upstream",
					.flag = RESPONSE_FLAG_UH},
				now_us);
		}
		if (x->attempts < EXCHANGE_MAX_TRIED)
			x->tried[x->attempts] = x->endpoint;
		x->attempts++;
	}
	set_attempt_fields(x, now_us, &ok);
	if (!ok)
		return exchange_reply_no_memory(x, now_us);
	switch (upstream_acquire(
		x->worker, x->cluster, x->endpoint, x, x->fresh_connection, &x->upstream, now_us)) {
	case UPSTREAM_READY: begin_attempt(x, now_us); return STEP_AGAIN;
	case UPSTREAM_WAITING: break;
	case UPSTREAM_OVERFLOW: exchange_on_no_connection(x, RESET_OVERFLOW, NULL); break;
	case UPSTREAM_NO_MEMORY: return exchange_reply_no_memory(x, now_us);
	}
	exchange_set_state(x, EXCHANGE_CONNECT);
	return STEP_AGAIN;
}

// --- what comes of it

// Reserves another attempt, or says by a flag why there is none.
static bool take_retry(struct exchange *x)
{
	const struct retry_config *r = &x->route->retry;
	struct cluster_stats *stats = exchange_cluster_stats(x);
	struct cluster_state *state = x->cluster->state;

	exchange_drop_retry_slot(x);
	if (r->attempts == 0 || x->retry_abandoned || x->continue_relayed)
		return false;
	if (x->retries >= r->attempts) {
		response_flags_add(&x->flags, RESPONSE_FLAG_URX);
		stat_inc(&stats->upstream_rq_retry_limit_exceeded);
		return false;
	}
	if (atomic_fetch_add_explicit(&state->retries, 1, memory_order_relaxed)
		>= x->cluster->config->max_retries) {
		atomic_fetch_sub_explicit(&state->retries, 1, memory_order_relaxed);
		response_flags_add(&x->flags, RESPONSE_FLAG_UO);
		stat_inc(&stats->upstream_rq_retry_overflow);
		return false;
	}
	x->is_retry_reserved = true;
	x->retries++;
	stat_inc(&stats->upstream_rq_retry);
	stat_inc(&stats->upstream_rq_retry_backoff_exponential);
	return true;
}

static enum step back_off(struct exchange *x, uint64_t now_us)
{
	exchange_drop_attempt(x, now_us);
	x->fresh_connection = false;
	exchange_set_state(x, EXCHANGE_BACKOFF);
	timer_arm(x->worker->timers, &x->try_timer,
		now_us + retry_backoff_us(&x->route->retry, x->retries, router_random(x->worker)));
	return STEP_WAIT;
}

static void record_outcome(struct exchange *x, unsigned status, uint64_t now_us)
{
	if (status >= 500)
		atomic_fetch_add_explicit(&x->endpoint->n_errors, 1, memory_order_relaxed);
	outlier_record(x->cluster, x->endpoint, status, now_us);
}

// A kept connection that dies before a byte of the response came was most likely being closed as we used it. The request
// may go out once more if it did not arrive or may arrive twice.
static bool may_replay(const struct exchange *x)
{
	const struct codec_stream *up = x->upstream;

	return up != NULL && x->reason == RESET_CONNECTION_TERMINATION && !x->replayed
		&& !x->retry_abandoned && !x->continue_relayed && upstream_is_reused(up)
		&& up->wire_received == 0 && x->request_body_bytes == x->kept_bytes
		&& (is_idempotent(x->request.method) || !upstream_may_have_arrived(up));
}

static enum step attempt_failed(struct exchange *x, uint64_t now_us)
{
	enum reset_reason reason = (enum reset_reason)x->reason;
	const struct reset_reason_info *why = &reset_reasons[reason];
	bool sent = x->upstream != NULL && x->upstream->wire_sent > 0;

	if (reason == RESET_NO_MEMORY)
		return exchange_reply_no_memory(x, now_us);
	if (x->upstream != NULL)
		stat_inc(&exchange_cluster_stats(x)->upstream_rq_rx_reset);
	if (may_replay(x)) {
		stat_inc(&x->worker->stats->upstream_replays);
		x->replayed = x->fresh_connection = true;
		exchange_drop_attempt(x, now_us);
		exchange_set_state(x, EXCHANGE_PICK);
		return STEP_AGAIN;
	}
	// An endpoint that is asked in the client's version of HTTP speaks both.
	if (reason == RESET_NO_CONNECT_PROTOCOL && !x->avoids_h2
		&& x->cluster->config->protocol == CLUSTER_PROTOCOL_CLIENTS) {
		x->avoids_h2 = x->fresh_connection = true;
		exchange_drop_attempt(x, now_us);
		exchange_set_state(x, EXCHANGE_PICK);
		return STEP_AGAIN;
	}
	if (reason != RESET_OVERFLOW && reason != RESET_NO_CONNECT_PROTOCOL
		&& reason != RESET_LOCAL_RESET)
		record_outcome(x, 503, now_us);
	if (retry_wants_reset(&x->route->retry, reason, sent) && take_retry(x))
		return back_off(x, now_us);
	return exchange_reply(x,
		&(struct local_reply){.status = why->status,
			.body = x->retries > 0 ? why->body_retried : why->body,
			.details = why->before,
			.flag = why->flag,
			.overloaded = reason == RESET_OVERFLOW},
		now_us);
}

static enum step try_timed_out(struct exchange *x, uint64_t now_us)
{
	struct cluster_stats *stats = exchange_cluster_stats(x);

	stat_inc(&stats->upstream_rq_per_try_timeout);
	stat_inc(&stats->upstream_rq_tx_reset);
	record_outcome(x, 504, now_us);
	if (retry_wants_timeout(&x->route->retry) && take_retry(x))
		return back_off(x, now_us);
	return exchange_reply(x,
		&(struct local_reply){.status = 504,
			.body = "upstream request timeout",
			.details = "upstream_per_try_timeout",
			.flag = RESPONSE_FLAG_UT},
		now_us);
}

// A gRPC status as the HTTP status that outlier detection counts it as.
static unsigned status_for_outlier(const struct exchange *x)
{
	static const uint16_t of_grpc[] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409,
		400, 501, 500, 503, 500, 401};
	const struct http_field *f;
	unsigned n = 0;

	if (!x->grpc || x->response.status != 200)
		return x->response.status;
	f = http_field_find(&x->response.fields, HTTP_FIELD_GRPC_STATUS);
	if (f == NULL || f->value.len == 0 || f->value.len > 2)
		return 200;
	for (size_t i = 0; i < f->value.len; i++)
		n = n * 10 + f->value.ptr[i] - '0';
	return n < sizeof(of_grpc) / sizeof(of_grpc[0]) ? of_grpc[n] : 500;
}

// Nobody wants the response. If it is here already, reading it saves the connection.
static void discard_response(struct exchange *x, uint64_t now_us)
{
	struct codec_stream *up = x->upstream;
	size_t discarded = 0;

	while (x->request_sent && discarded < DISCARD_MAX) {
		struct bytes data;
		enum codec_read r = up->ops->peek_body(up, &data);

		if (r == CODEC_END)
			up->ops->release(&x->upstream, now_us);
		if (r != CODEC_DATA)
			break;
		up->ops->consume_body(up, data.len);
		discarded += data.len;
	}
}

static enum step response_came(struct exchange *x, uint64_t now_us)
{
	struct cluster_stats *stats = exchange_cluster_stats(x);
	unsigned status = x->response.status;
	bool wanted;

	timer_cancel(x->worker->timers, &x->try_timer);
	x->response_start_us = now_us;
	record_outcome(x, status_for_outlier(x), now_us);
	stat_inc(&stats->upstream_rq_completed);
	stat_inc(&stats->upstream_rq_xx[status / 100 <= 5 ? status / 100 : 0]);
	if (status < 600)
		stat_inc(&stats->upstream_rq_code[status]);
	wanted = retry_wants_response(&x->route->retry, &x->response);
	if (wanted && take_retry(x)) {
		discard_response(x, now_us);
		return back_off(x, now_us);
	}
	if (!wanted && x->retries > 0)
		stat_inc(&stats->upstream_rq_retry_success);
	exchange_drop_retry_slot(x);
	// No other attempt follows; this one may still have to be sent what was kept.
	x->retry_abandoned = true;
	if (x->replay == NULL)
		exchange_drop_kept(x);
	return status == 101 ? exchange_start_tunnel(x, now_us) : exchange_start_answer(x, now_us);
}

// The endpoint wants the body that its client holds back (RFC 9110, 10.1.1).
static void relay_continue(struct exchange *x)
{
	static const struct http_head proceed = {
		.version = HTTP_1_1, .status = 100, .content_length = -1, .keep_alive = true};

	x->upstream_continue = false;
	if (x->continue_relayed || x->request_ended || x->request.version == HTTP_1_0)
		return;
	x->continue_relayed = true;
	x->downstream->ops->send_head(x->downstream, &proceed, false);
}

enum step exchange_step_connect(struct exchange *x, uint64_t now_us)
{
	if (x->upstream_failed)
		return attempt_failed(x, now_us);
	if (x->upstream != NULL) {
		begin_attempt(x, now_us);
		return STEP_AGAIN;
	}
	exchange_pump_request(x, now_us);
	return STEP_WAIT;
}

enum step exchange_step_forward(struct exchange *x, uint64_t now_us)
{
	if (x->upstream_continue)
		relay_continue(x);
	if (!x->request_sent && !x->upstream_failed)
		exchange_pump_request(x, now_us);
	if (x->upstream_head)
		return response_came(x, now_us);
	if (x->upstream_failed)
		return attempt_failed(x, now_us);
	if (x->try_timed_out)
		return try_timed_out(x, now_us);
	return STEP_WAIT;
}

enum step exchange_step_backoff(struct exchange *x, uint64_t now_us)
{
	exchange_pump_request(x, now_us);
	if (!x->backoff_over)
		return STEP_WAIT;
	x->backoff_over = false;
	exchange_set_state(x, EXCHANGE_PICK);
	return STEP_AGAIN;
}

// --- time

enum step exchange_route_timeout(struct exchange *x, uint64_t now_us)
{
	x->timed_out = false;
	if (x->state == EXCHANGE_REPLY)
		return exchange_step_reply(x, now_us);
	stat_inc(&exchange_cluster_stats(x)->upstream_rq_timeout);
	if (x->upstream != NULL)
		stat_inc(&exchange_cluster_stats(x)->upstream_rq_tx_reset);
	if (x->response_started) {
		exchange_drop_attempt(x, now_us);
		stat_inc(&x->peer->hcm->downstream_rq_tx_reset);
		return exchange_cut(x, RESPONSE_FLAG_UT, "response_timeout");
	}
	if (x->upstream != NULL)
		record_outcome(x, 504, now_us);
	return exchange_reply(x,
		&(struct local_reply){.status = 504,
			.body = "upstream request timeout",
			.details = "response_timeout",
			.flag = RESPONSE_FLAG_UT},
		now_us);
}

void exchange_on_route_timer(struct timer *t, uint64_t now_us)
{
	struct exchange *x = container_of(t, struct exchange, timer);
	struct router_worker *w = x->worker;

	x->timed_out = true;
	ready_add(w, &x->ready);
	router_worker_leave(w, now_us);
}

void exchange_on_try_timer(struct timer *t, uint64_t now_us)
{
	struct exchange *x = container_of(t, struct exchange, try_timer);
	struct router_worker *w = x->worker;

	if (x->state == EXCHANGE_BACKOFF)
		x->backoff_over = true;
	else
		x->try_timed_out = true;
	ready_add(w, &x->ready);
	router_worker_leave(w, now_us);
}
