#include "router/exchange.h"

#include "router/exchange_steps.h"
#include "router/upstream.h"

#include <assert.h>
#include <string.h>

// Chunks that one exchange may hold for heads and values: eight heads of the usual limit's size would not fit.
#define MAX_ARENA_CHUNKS 32

#define TO(name) (1u << EXCHANGE_##name)

static const struct {
	const char *name;
	uint32_t next; // set of states that may follow
} states[EXCHANGE_N_STATES] = {
#define EXCHANGE_STATE(name, help, next) [EXCHANGE_##name] = {#name, next},
#include "router/exchange.def"
};

static exchange_step_fn *const steps[EXCHANGE_N_STATES] = {
	[EXCHANGE_REQUEST] = exchange_step_request,
	[EXCHANGE_ROUTE] = exchange_step_route,
	[EXCHANGE_PICK] = exchange_step_pick,
	[EXCHANGE_CONNECT] = exchange_step_connect,
	[EXCHANGE_FORWARD] = exchange_step_forward,
	[EXCHANGE_BACKOFF] = exchange_step_backoff,
	[EXCHANGE_ANSWER] = exchange_step_answer,
	[EXCHANGE_TUNNEL] = exchange_step_tunnel,
	[EXCHANGE_REPLY] = exchange_step_reply,
	[EXCHANGE_END] = exchange_step_end,
};

void exchange_set_state(struct exchange *x, enum exchange_state to)
{
	assert(states[x->state].next & 1u << to);
	x->state = (uint8_t)to;
}

// The client's side is over: nothing can be said to it, so the attempt is of no use.
static enum step end_by_downstream(struct exchange *x, uint64_t now_us)
{
	bool can_reply = !x->response_started && x->state != EXCHANGE_REPLY;

	if (x->downstream_end == DOWNSTREAM_BROKEN && can_reply) {
		x->downstream_end = 0;
		return exchange_refuse_rule(x, x->codec_error, now_us);
	}
	exchange_drop_attempt(x, now_us);
	if (x->downstream_end == DOWNSTREAM_GONE || x->downstream_end == DOWNSTREAM_RESET)
		stat_inc(&x->peer->hcm->downstream_rq_rx_reset);
	switch (x->downstream_end) {
	case DOWNSTREAM_BROKEN:
		router_count_rule(x->worker, x->codec_error);
		return exchange_cut(x, RESPONSE_FLAG_DPE, x->codec_error->details);
	case DOWNSTREAM_CUT:
		return exchange_cut(x, RESPONSE_FLAG_DC, "downstream_local_disconnect(drained)");
	case DOWNSTREAM_STALLED:
		stat_inc(&x->peer->hcm->downstream_rq_idle_timeout);
		return exchange_cut(x, RESPONSE_FLAG_SI, "stream_idle_timeout");
	case DOWNSTREAM_SLOW:
		stat_inc(x->owes_room ? &x->worker->stats->downstream_slow_readers
				      : &x->worker->stats->downstream_slow_bodies);
		return exchange_cut(x, RESPONSE_FLAG_SI,
			x->owes_room ? "response_read_too_slow" : "request_body_too_slow");
	case DOWNSTREAM_RESET: return exchange_cut(x, RESPONSE_FLAG_DR, "http2.remote_reset");
	case DOWNSTREAM_VIOLATION:
		router_count_rule(x->worker, x->codec_error);
		return exchange_cut(x, RESPONSE_FLAG_DPE, x->codec_error->details);
	default: return exchange_cut(x, RESPONSE_FLAG_DC, "downstream_remote_disconnect");
	}
}

// The client does not send its body, or too slowly.
static enum step end_by_stall(struct exchange *x, uint64_t now_us)
{
	bool slow = x->downstream_end == DOWNSTREAM_SLOW;

	if (x->response_started || x->state == EXCHANGE_REPLY || x->owes_room)
		return end_by_downstream(x, now_us);
	x->downstream_end = 0;
	stat_inc(&x->peer->hcm->downstream_rq_timeout);
	stat_inc(slow ? &x->worker->stats->downstream_slow_bodies
		      : &x->peer->hcm->downstream_rq_idle_timeout);
	return exchange_reply(x,
		&(struct local_reply){.status = 408,
			.body = slow ? "request body too slow" : "stream timeout",
			.details = slow ? "request_body_too_slow" : "stream_idle_timeout",
			.flag = RESPONSE_FLAG_SI,
			.close = true},
		now_us);
}

static enum step end_by_lateness(struct exchange *x, uint64_t now_us)
{
	x->downstream_end = 0;
	// The answer began meanwhile.
	if (x->response_started)
		return steps[x->state](x, now_us);
	stat_inc(&x->peer->hcm->downstream_rq_timeout);
	return exchange_reply(x,
		&(struct local_reply){.status = 408,
			.body = "request timeout",
			.details = "request_overall_timeout",
			.flag = -1,
			.close = true},
		now_us);
}

static enum step run_once(struct exchange *x, uint64_t now_us)
{
	if (x->state != EXCHANGE_END) {
		if (x->downstream_end == DOWNSTREAM_STALLED || x->downstream_end == DOWNSTREAM_SLOW)
			return end_by_stall(x, now_us);
		if (x->downstream_end == DOWNSTREAM_LATE)
			return end_by_lateness(x, now_us);
		if (x->downstream_end != 0)
			return end_by_downstream(x, now_us);
		if (x->timed_out)
			return exchange_route_timeout(x, now_us);
	}
	return steps[x->state](x, now_us);
}

// True while nothing but the client is waited for. A stream may pause as it likes: what has no length and is answered already,
// or is gRPC, is one (WebSockets are tunnels by then).
static bool waits_for_client(const struct exchange *x)
{
	if (x->owes_room)
		return true;
	if (!x->owes_body || x->response_started || x->grpc)
		return false;
	// A client may hold its body back until the endpoint tells it to proceed; if that one is asked to, which Connection or a
	// route may have prevented.
	return x->continue_relayed
		|| http_field_find(&x->request.fields, HTTP_FIELD_EXPECT) == NULL;
}

// Of the direction that the client is slow in.
static uint64_t moved_bytes(const struct exchange *x)
{
	return x->owes_room ? x->downstream->wire_sent : x->request_body_bytes;
}

static void run(struct ready *r, uint64_t now_us)
{
	struct exchange *x = container_of(r, struct exchange, ready);
	enum step step;

	while ((step = run_once(x, now_us)) == STEP_AGAIN)
		;
	if (step != STEP_WAIT)
		return;
	if (x->pace_is_of_room != x->owes_room)
		x->pace.since_us = 0;
	x->pace_is_of_room = x->owes_room;
	pace_note(&x->pace, waits_for_client(x), moved_bytes(x), now_us);
}

// How long the body that is expected, in either direction, may not move; 0: as long as it likes. A response that has not begun is
// the route timeout's concern.
static uint64_t stall_timeout(const struct exchange *x, const struct http_config *http)
{
	if (x->state == EXCHANGE_TUNNEL) {
		// Both ends may be silent. With one gone, the other has to go on or end too.
		if (!x->request_ended && !x->answer_ended)
			return 0;
		return http->body_timeout_us > 0 ? http->body_timeout_us : http->idle_timeout_us;
	}
	if (x->upgrade || (x->request_ended && !x->response_started))
		return 0;
	return http->body_timeout_us;
}

uint64_t exchange_check_time(struct exchange *x, uint64_t now_us)
{
	const struct http_config *http = &x->snapshot->config->http;
	uint64_t timeout_us = stall_timeout(x, http), next = UINT64_MAX, at;

	if (timeout_us > 0) {
		next = x->progress_us + timeout_us;
		if (now_us >= next) {
			exchange_on_downstream_end(x, DOWNSTREAM_STALLED, NULL);
			next = now_us + timeout_us;
		}
	} else if (http->body_timeout_us > 0) {
		next = now_us + http->body_timeout_us;
	}
	if (http->min_body_rate > 0 && http->body_rate_window_us > 0) {
		uint64_t least = http->body_rate_window_us * http->min_body_rate / 1000000;

		if (pace_is_slow(&x->pace, moved_bytes(x), least, http->body_rate_window_us, now_us,
			    &at))
			exchange_on_downstream_end(x, DOWNSTREAM_SLOW, NULL);
		next = at < next ? at : next;
	}
	if (http->request_timeout_us > 0 && !x->request_ended && !x->response_started) {
		at = x->start_us + http->request_timeout_us;
		if (now_us >= at) {
			exchange_on_downstream_end(x, DOWNSTREAM_LATE, NULL);
			at = UINT64_MAX;
		}
		next = at < next ? at : next;
	}
	return next;
}

struct exchange *exchange_new(struct router_worker *w, struct codec_stream *downstream,
	struct exchange_peer *peer, struct arena *arena, uint8_t *large, uint64_t start_us,
	uint64_t now_us)
{
	struct exchange *x = pool_get(&w->exchanges);

	if (x == NULL) {
		stat_inc(&w->stats->exchange_pool_empty);
		return NULL;
	}
	// The heads are more than nine tenths of an exchange and need no clearing.
	memset(x, 0, offsetof(struct exchange, request));
	x->request.fields.n = 0;
	x->response.fields.n = 0;
	x->request.method = x->request.path = x->request.authority = (struct bytes){NULL, 0};
	x->request.scheme = (struct bytes){NULL, 0};
	x->request.version = downstream->ops->version;
	x->worker = w;
	ready_init(&x->ready, run);
	x->peer = peer;
	x->snapshot = w->snapshot;
	atomic_fetch_add_explicit(&x->snapshot->pins[w->index].n, 1, memory_order_relaxed);
	x->table = peer->table;
	x->arena = *arena;
	x->arena.max_chunks = MAX_ARENA_CHUNKS;
	// Paths, locations and lists that are as long as a head may be.
	arena_set_blocks(&x->arena, &w->large_heads, LARGE_HEAD_SIZE);
	arena_init(arena, &w->chunks, MAX_ARENA_CHUNKS);
	x->large_request = large;
	x->downstream = downstream;
	downstream->exchange = x;
	x->start_us = start_us;
	x->start_wall_us = w->seams.wall_us(w->seams.arg, start_us);
	x->progress_us = now_us;
	x->client = peer->remote;
	timer_init(&x->timer, exchange_on_route_timer);
	timer_init(&x->try_timer, exchange_on_try_timer);
	list_init(&x->pending_node);
	stat_inc(&w->stats->exchanges_active);
	stat_inc(&peer->hcm->downstream_rq_total);
	stat_inc(downstream->ops->version == HTTP_2 ? &peer->hcm->downstream_rq_http2_total
						    : &peer->hcm->downstream_rq_http1_total);
	stat_inc(&peer->hcm->downstream_rq_active);
	return x;
}

void exchange_start(struct exchange *x)
{
	x->has_request = true;
	ready_add(x->worker, &x->ready);
}

void exchange_refuse(struct exchange *x, const struct h1_error *error)
{
	x->codec_error = error;
	x->codec_details = error != NULL ? error->details : "overload";
	ready_add(x->worker, &x->ready);
}

void exchange_refuse_slow(struct exchange *x)
{
	x->codec_details = "request_header_timeout";
	ready_add(x->worker, &x->ready);
}

void exchange_on_downstream_end(
	struct exchange *x, enum downstream_end how, const struct h1_error *error)
{
	if (x->downstream_end == 0) {
		x->downstream_end = (uint8_t)how;
		x->codec_error = error;
	}
	ready_add(x->worker, &x->ready);
}

void exchange_on_progress(struct exchange *x)
{
	ready_add(x->worker, &x->ready);
}

void exchange_on_response(struct exchange *x)
{
	x->upstream_head = true;
	ready_add(x->worker, &x->ready);
}

void exchange_on_continue(struct exchange *x)
{
	x->upstream_continue = true;
	ready_add(x->worker, &x->ready);
}

void exchange_on_upstream_end(struct exchange *x, enum reset_reason reason, const char *transport)
{
	x->upstream_failed = true;
	x->reason = (uint8_t)reason;
	x->transport_failure = transport;
	ready_add(x->worker, &x->ready);
}

void exchange_on_connection(struct exchange *x, struct codec_stream *s)
{
	x->upstream = s;
	ready_add(x->worker, &x->ready);
}

void exchange_on_no_connection(struct exchange *x, enum reset_reason reason, const char *transport)
{
	exchange_on_upstream_end(x, reason, transport);
}
