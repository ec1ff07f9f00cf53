#include "router/upstream.h"

#include "router/exchange.h"
#include "router/h2_session.h"
#include "router/histogram.h"
#include "router/upstream_conn.h"

#include <assert.h>
#include <stdlib.h>

// Of one connection, when the configuration does not say; Envoy's default.
#define MAX_CONCURRENT_STREAMS 1024u

static struct cluster_stats *stats_of(const struct upstream_pool *p, const struct router_worker *w)
{
	return &p->endpoint->cluster->stats[w->index];
}

struct upstream_pool **upstream_pools_new(struct endpoint *e, unsigned n_workers)
{
	struct upstream_pool **pools = calloc(n_workers, sizeof(struct upstream_pool *));

	for (unsigned i = 0; pools != NULL && i < n_workers; i++) {
		struct upstream_pool *p = calloc(UPSTREAM_N_VERSIONS, sizeof(*p));

		if (p == NULL) {
			upstream_pools_free(&pools, n_workers);
			break;
		}
		for (unsigned v = 0; v < UPSTREAM_N_VERSIONS; v++) {
			p[v].endpoint = e;
			p[v].is_h2 = v == UPSTREAM_HTTP_2;
			list_init(&p[v].idle);
			list_init(&p[v].busy);
			list_init(&p[v].connecting);
			list_init(&p[v].pending);
		}
		pools[i] = p;
	}
	return pools;
}

void upstream_pools_free(struct upstream_pool ***pp, unsigned n_workers)
{
	struct upstream_pool **pools = *pp;

	*pp = NULL;
	for (unsigned i = 0; pools != NULL && i < n_workers; i++) {
		for (unsigned v = 0; pools[i] != NULL && v < UPSTREAM_N_VERSIONS; v++)
			assert(pools[i][v].n_connections == 0 && pools[i][v].n_pending == 0);
		free(pools[i]);
	}
	free(pools);
}

// Takes one of 'max' slots that all workers share, or returns false.
static bool take_slot(atomic_uint *count, uint32_t max)
{
	if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < max)
		return true;
	atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
	return false;
}

static void give_slot(atomic_uint *count)
{
	atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static void dequeue(struct router_worker *w, struct exchange *x)
{
	struct upstream_pool *p = x->pending_pool;

	list_remove(&x->pending_node);
	x->pending_pool = NULL;
	p->n_pending--;
	give_slot(&p->endpoint->cluster->pending);
	stat_dec(&stats_of(p, w)->upstream_rq_pending_active);
}

// Gives 'c', or a stream of it, to 'x'; the slot among 'requests' is taken already, and given back
// if there is no memory: NULL then.
static struct codec_stream *attach(struct upstream_conn *c, struct exchange *x)
{
	struct cluster_stats *stats = stats_of(c->pool, c->worker);
	struct endpoint *e = c->pool->endpoint;
	struct codec_stream *s = c->h2 != NULL ? h2_client_open(c, x) : &c->stream;

	if (s == NULL) {
		give_slot(&e->cluster->requests);
		return NULL;
	}
	c->state = UPSTREAM_CONN_BUSY;
	s->exchange = x;
	c->n_requests++;
	timer_cancel(c->worker->timers, &c->timer);
	list_remove(&c->node);
	atomic_fetch_add_explicit(&e->active_requests, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&e->n_requests, 1, memory_order_relaxed);
	stat_inc(&stats->upstream_rq_total);
	stat_inc(&stats->upstream_rq_active);
	if (c->h2 != NULL) {
		c->n_active++;
		list_push(&c->pool->busy, &c->node);
	} else {
		h1_client_start(c);
	}
	return s;
}

static void fail_pending(struct router_worker *w, struct upstream_pool *p, enum reset_reason reason,
	const char *transport)
{
	list_foreach_safe (node, &p->pending) {
		struct exchange *x = container_of(node, struct exchange, pending_node);

		dequeue(w, x);
		stat_inc(&stats_of(p, w)->upstream_rq_pending_failure_eject);
		exchange_on_no_connection(x, reason, transport);
	}
}

// The first in the queue that 'c' suits, or NULL.
static struct exchange *next_pending(const struct upstream_conn *c)
{
	list_foreach (node, &c->pool->pending) {
		struct exchange *x = container_of(node, struct exchange, pending_node);

		if (!x->fresh_connection || c->n_requests == 0)
			return x;
	}
	return NULL;
}

static void on_stream_event(void *owner, struct stream *s, unsigned events, uint64_t now_us);
static void on_timer(struct timer *t, uint64_t now_us);

static void count_end(struct upstream_conn *c, bool remote, bool active, uint64_t now_us)
{
	struct cluster_stats *stats = stats_of(c->pool, c->worker);

	stat_inc(&stats->upstream_cx_destroy);
	stat_inc(remote ? &stats->upstream_cx_destroy_remote : &stats->upstream_cx_destroy_local);
	if (active) {
		stat_inc(&stats->upstream_cx_destroy_with_active_rq);
		stat_inc(remote ? &stats->upstream_cx_destroy_remote_with_active_rq
				: &stats->upstream_cx_destroy_local_with_active_rq);
	}
	stat_dec(&stats->upstream_cx_active);
	histogram_record(&stats->upstream_cx_length_ms, now_us - c->opened_us);
}

// Ends 'c'. The stream is closed in order if nothing is cut thereby, else aborted.
static void end_connection(struct upstream_conn *c, bool abort, bool active, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;

	count_end(c, c->io_closed || (c->io != NULL && stream_read_ended(c->io)), active, now_us);
	if (c->state == UPSTREAM_CONN_CONNECTING)
		p->n_connecting--;
	p->n_connections--;
	give_slot(&p->endpoint->cluster->connections);
	give_slot(&p->endpoint->active_connections);
	list_remove(&c->node);
	list_remove(&c->worker_node);
	timer_cancel(w->timers, &c->timer);
	h1_reader_drop(&c->reader, w);
	if (c->h2 != NULL && !abort)
		h2_session_say_goodbye(c->h2);
	if (c->h2 != NULL)
		h2_session_free(&c->h2);
	if (abort)
		stream_abort(&c->io);
	else
		stream_close(&c->io);
	pool_put(&w->upstreams, c);
}

static struct upstream_conn *new_connection(struct router_worker *w, struct upstream_pool *p)
{
	struct upstream_conn *c = pool_get_zeroed(&w->upstreams);

	if (c == NULL)
		return NULL;
	c->stream.ops = &h1_client_ops;
	c->worker = w;
	c->pool = p;
	c->state = UPSTREAM_CONN_CONNECTING;
	timer_init(&c->timer, on_timer);
	list_push(&p->connecting, &c->node);
	list_push(&w->upstream_list, &c->worker_node);
	p->n_connections++;
	p->n_connecting++;
	atomic_fetch_add_explicit(&p->endpoint->active_connections, 1, memory_order_relaxed);
	stat_inc(&stats_of(p, w)->upstream_cx_total);
	stat_inc(p->is_h2 ? &stats_of(p, w)->upstream_cx_http2_total
			  : &stats_of(p, w)->upstream_cx_http1_total);
	stat_inc(&stats_of(p, w)->upstream_cx_active);
	return c;
}

static uint32_t max_streams(const struct cluster_config *config)
{
	return config->max_concurrent_streams > 0 ? config->max_concurrent_streams
						  : MAX_CONCURRENT_STREAMS;
}

static void connect_failed(
	struct upstream_conn *c, enum reset_reason reason, const char *transport, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;

	stat_inc(&stats_of(p, w)->upstream_cx_connect_fail);
	atomic_fetch_add_explicit(&p->endpoint->n_connect_failures, 1, memory_order_relaxed);
	end_connection(c, true, false, now_us);
	fail_pending(w, p, reason, transport);
}

// How many of the waiting attempts one new connection will do for.
static uint64_t streams_of_one(const struct upstream_pool *p)
{
	const struct exchange *x;
	uint32_t max;

	if (!p->is_h2 || list_is_empty(&p->pending))
		return 1;
	x = container_of(p->pending.next, struct exchange, pending_node);
	max = x->cluster->config->max_requests_per_connection;
	return max > 0 && max < max_streams(x->cluster->config) ? max
								: max_streams(x->cluster->config);
}

// Opens connections until each waiting attempt has one in the making, as far as maxConnections allows; a pool without
// any may always open one. Returns false if our own memory is what stops it and nothing is on the way.
static bool connect_for_pending(struct router_worker *w, struct upstream_pool *p, uint64_t now_us)
{
	struct cluster_state *state = p->endpoint->cluster;

	while (p->n_connecting * streams_of_one(p) < p->n_pending) {
		struct exchange *x = container_of(p->pending.next, struct exchange, pending_node);
		const struct cluster_config *config = x->cluster->config;
		enum stream_error error = STREAM_ERROR_NONE;
		struct upstream_conn *c;

		if (!take_slot(&state->connections, config->max_connections)) {
			stat_inc(&stats_of(p, w)->upstream_cx_overflow);
			if (p->n_connections > 0)
				return true;
			atomic_fetch_add_explicit(&state->connections, 1, memory_order_relaxed);
		}
		c = new_connection(w, p);
		if (c == NULL) {
			give_slot(&state->connections);
			stat_inc(&w->stats->upstream_pool_empty);
			return p->n_connections > 0;
		}
		c->opened_us = now_us;
		c->max_active = max_streams(config);
		c->idle_timeout_us = config->idle_timeout_us;
		c->io = w->seams.connect(w->seams.arg,
			&(struct tcp_connect_options){
				.remote = p->endpoint->address,
				.keepalive = config->keepalive,
				.on_event = on_stream_event,
				.owner = c,
			},
			&error, now_us);
		if (c->io == NULL) {
			connect_failed(c, RESET_LOCAL_CONNECTION_FAILURE, stream_error_text(error),
				now_us);
			return true;
		}
		if (config->connect_timeout_us > 0)
			timer_arm(w->timers, &c->timer, now_us + config->connect_timeout_us);
	}
	return true;
}

static struct upstream_pool *pool_for(const struct router_worker *w,
	const struct cluster_config *config, const struct endpoint *e, const struct exchange *x)
{
	bool h2 = config->protocol == CLUSTER_HTTP_2
		|| (config->protocol == CLUSTER_PROTOCOL_CLIENTS && x->request.version == HTTP_2
			&& !x->avoids_h2);

	return &e->pools[w->index][h2 ? UPSTREAM_HTTP_2 : UPSTREAM_HTTP_1];
}

// True if 'c' can take one more request.
static bool has_room(const struct upstream_conn *c, const struct cluster_config *config)
{
	if (c->h2 == NULL)
		return true;
	return !c->retiring && h2_client_room(c) > 0
		&& (config->max_requests_per_connection == 0
			|| c->n_requests < config->max_requests_per_connection);
}

// A connection that takes a request at once, or NULL.
static struct upstream_conn *find_free(struct upstream_pool *p, const struct cluster_config *config)
{
	list_foreach (node, &p->busy) {
		struct upstream_conn *c = container_of(node, struct upstream_conn, node);

		if (has_room(c, config))
			return c;
	}
	list_foreach (node, &p->idle) {
		struct upstream_conn *c = container_of(node, struct upstream_conn, node);

		if (has_room(c, config))
			return c;
	}
	return NULL;
}

enum upstream_result upstream_acquire(struct router_worker *w, const struct cluster *c,
	struct endpoint *e, struct exchange *x, bool fresh, struct codec_stream **out,
	uint64_t now_us)
{
	struct upstream_pool *p = pool_for(w, c->config, e, x);
	struct cluster_stats *stats = stats_of(p, w);
	struct upstream_conn *conn = fresh ? NULL : find_free(p, c->config);

	if (conn != NULL) {
		if (!take_slot(&c->state->requests, c->config->max_requests)) {
			stat_inc(&stats->upstream_rq_pending_overflow);
			return UPSTREAM_OVERFLOW;
		}
		*out = attach(conn, x);
		return *out != NULL ? UPSTREAM_READY : UPSTREAM_NO_MEMORY;
	}
	if (!take_slot(&c->state->pending, c->config->max_pending_requests)) {
		stat_inc(&stats->upstream_rq_pending_overflow);
		return UPSTREAM_OVERFLOW;
	}
	// Idle connections are worth less than the fresh one that is asked for instead of them.
	if (fresh && !list_is_empty(&p->idle)
		&& atomic_load(&c->state->connections) >= c->config->max_connections)
		end_connection(container_of(p->idle.prev, struct upstream_conn, node), false, false,
			now_us);
	list_push(&p->pending, &x->pending_node);
	x->pending_pool = p;
	p->n_pending++;
	stat_inc(&stats->upstream_rq_pending_total);
	stat_inc(&stats->upstream_rq_pending_active);
	if (!connect_for_pending(w, p, now_us)) {
		dequeue(w, x);
		return UPSTREAM_NO_MEMORY;
	}
	return UPSTREAM_WAITING;
}

void upstream_cancel(struct router_worker *w, struct exchange *x)
{
	if (x->pending_pool == NULL)
		return;
	stat_inc(&stats_of(x->pending_pool, w)->upstream_rq_cancelled);
	dequeue(w, x);
}

// 'c' has room: the queue first, then the pool.
static void offer(struct upstream_conn *c, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;
	struct exchange *x;

	while ((x = next_pending(c)) != NULL && has_room(c, x->cluster->config)) {
		const struct cluster *cluster = x->cluster;
		struct codec_stream *s;

		dequeue(w, x);
		if (!take_slot(&cluster->state->requests, cluster->config->max_requests)) {
			stat_inc(&stats_of(p, w)->upstream_rq_pending_overflow);
			exchange_on_no_connection(x, RESET_OVERFLOW, NULL);
			continue;
		}
		s = attach(c, x);
		if (s == NULL) {
			exchange_on_no_connection(x, RESET_OVERFLOW, NULL);
			continue;
		}
		exchange_on_connection(x, s);
		if (c->h2 == NULL)
			return;
	}
	if (c->n_active > 0)
		return;
	c->state = UPSTREAM_CONN_IDLE;
	list_remove(&c->node);
	list_push_front(&p->idle, &c->node);
	if (c->idle_timeout_us > 0)
		timer_arm(w->timers, &c->timer, now_us + c->idle_timeout_us);
}

static bool is_worth_keeping(const struct upstream_conn *c, const struct cluster_config *config)
{
	const struct endpoint *e = c->pool->endpoint;
	const struct router_worker *w = c->worker;

	if (w->stopping || !endpoint_is_healthy(e))
		return false;
	if (w->snapshot != NULL && e->generation < w->snapshot->generation)
		return false;
	if (config->max_requests_per_connection > 0
		&& c->n_requests >= config->max_requests_per_connection) {
		stat_inc(&stats_of(c->pool, w)->upstream_cx_max_requests);
		return false;
	}
	return true;
}

void upstream_conn_free_up(struct upstream_conn *c, bool reusable, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;
	const struct cluster_config *config = c->stream.exchange->cluster->config;
	struct cluster_stats *stats = stats_of(p, w);
	bool complete = c->head_read && c->reader.ended && c->writer.ended;

	stat_add(&stats->upstream_cx_rx_bytes_total, c->stream.wire_received);
	stat_add(&stats->upstream_cx_tx_bytes_total, c->stream.wire_sent);
	stat_dec(&stats->upstream_rq_active);
	give_slot(&p->endpoint->cluster->requests);
	give_slot(&p->endpoint->active_requests);
	c->stream.exchange = NULL;
	h1_reader_drop(&c->reader, w);
	if (!reusable || !is_worth_keeping(c, config)) {
		end_connection(c, !complete, !complete, now_us);
		connect_for_pending(w, p, now_us);
		return;
	}
	c->idle_timeout_us = config->idle_timeout_us;
	offer(c, now_us);
}

void upstream_stream_free_up(struct upstream_conn *c, const struct codec_stream *s, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;
	const struct cluster_config *config = s->exchange->cluster->config;
	struct cluster_stats *stats = stats_of(p, w);

	stat_add(&stats->upstream_cx_rx_bytes_total, s->wire_received);
	stat_add(&stats->upstream_cx_tx_bytes_total, s->wire_sent);
	stat_dec(&stats->upstream_rq_active);
	give_slot(&p->endpoint->cluster->requests);
	give_slot(&p->endpoint->active_requests);
	c->n_active--;
	c->retiring = c->retiring || !is_worth_keeping(c, config);
	c->idle_timeout_us = config->idle_timeout_us;
	if (!c->retiring && !c->h2->dead)
		offer(c, now_us);
	// A connection that is done ends in its turn, after what is still to be said.
}

void upstream_conn_on_turn(struct upstream_conn *c, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;
	bool over = c->retiring || !h2_client_is_usable(c);

	if (over && c->n_active == 0) {
		end_connection(c, c->io_closed, false, now_us);
		connect_for_pending(w, p, now_us);
		return;
	}
	// Those that wait for a connection of which this one was the only hope.
	if (over)
		connect_for_pending(w, p, now_us);
	else if (p->n_pending > 0)
		offer(c, now_us);
}

static void on_connected(struct upstream_conn *c, uint64_t now_us)
{
	struct upstream_pool *p = c->pool;

	c->connected_us = now_us;
	p->n_connecting--;
	timer_cancel(c->worker->timers, &c->timer);
	histogram_record(&stats_of(p, c->worker)->upstream_cx_connect_ms, now_us - c->opened_us);
	c->state = UPSTREAM_CONN_IDLE;
	if (p->is_h2 && !h2_client_start(c, &c->worker->snapshot->config->http, now_us)) {
		struct router_worker *w = c->worker;

		end_connection(c, true, false, now_us);
		fail_pending(w, p, RESET_LOCAL_CONNECTION_FAILURE,
			stream_error_text(STREAM_ERROR_NO_MEMORY));
		return;
	}
	offer(c, now_us);
}

static void on_connecting_event(struct upstream_conn *c, unsigned events, uint64_t now_us)
{
	if (events & STREAM_CLOSED) {
		enum stream_error error = stream_error(c->io);

		c->io_closed = true;
		connect_failed(c,
			error == STREAM_ERROR_CONNECT_TIMEOUT ? RESET_CONNECTION_TIMEOUT
							      : RESET_REMOTE_CONNECTION_FAILURE,
			stream_error_text(error), now_us);
		return;
	}
	if (events & STREAM_CONNECTED)
		on_connected(c, now_us);
}

static void on_h2_event(struct upstream_conn *c, unsigned events, uint64_t now_us)
{
	if (events & STREAM_CLOSED)
		c->io_closed = true;
	h2_session_on_event(c->h2, events, now_us);
}

static void on_stream_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct upstream_conn *c = owner;
	struct router_worker *w = c->worker;

	(void)s;
	switch (c->state) {
	case UPSTREAM_CONN_CONNECTING: on_connecting_event(c, events, now_us); break;
	case UPSTREAM_CONN_BUSY:
		if (c->h2 != NULL)
			on_h2_event(c, events, now_us);
		else
			h1_client_on_event(c, events, now_us);
		break;
	case UPSTREAM_CONN_IDLE:
		if (c->h2 != NULL) {
			on_h2_event(c, events, now_us);
			break;
		}
		// Whatever an endpoint says unasked, the connection is of no use any more.
		if (events & (STREAM_READABLE | STREAM_CLOSED)) {
			struct upstream_pool *p = c->pool;

			c->io_closed = (events & STREAM_CLOSED) != 0;
			end_connection(c, c->io_closed, false, now_us);
			connect_for_pending(w, p, now_us);
		}
		break;
	default: assert(false);
	}
	router_worker_leave(w, now_us);
}

static void on_timer(struct timer *t, uint64_t now_us)
{
	struct upstream_conn *c = container_of(t, struct upstream_conn, timer);
	struct router_worker *w = c->worker;

	if (c->state == UPSTREAM_CONN_CONNECTING) {
		stat_inc(&stats_of(c->pool, w)->upstream_cx_connect_timeout);
		connect_failed(c, RESET_CONNECTION_TIMEOUT,
			stream_error_text(STREAM_ERROR_CONNECT_TIMEOUT), now_us);
	} else if (c->state == UPSTREAM_CONN_IDLE) {
		struct upstream_pool *p = c->pool;

		stat_inc(&stats_of(p, w)->upstream_cx_idle_timeout);
		end_connection(c, false, false, now_us);
		connect_for_pending(w, p, now_us);
	} else if (c->h2 != NULL) {
		h2_session_wake_all(c->h2);
	}
	router_worker_leave(w, now_us);
}

static const struct upstream_conn *conn_of(const struct codec_stream *s)
{
	if (s->ops->version == HTTP_2)
		return h2_client_conn(s);
	return (const struct upstream_conn *)(const void *)s;
}

bool upstream_is_reused(const struct codec_stream *s)
{
	return conn_of(s)->n_requests > 1;
}

bool upstream_may_have_arrived(const struct codec_stream *s)
{
	const struct upstream_conn *c = conn_of(s);

	// What of a connection of many streams arrived is not known by stream.
	if (s->ops->version == HTTP_2)
		return s->wire_sent > 0;
	return c->writer.wire > stream_unsent(c->io);
}

struct ip_endpoint upstream_local(const struct codec_stream *s)
{
	return conn_of(s)->io->local;
}

static void drain_pool(struct upstream_pool *p, uint64_t now_us)
{
	while (!list_is_empty(&p->idle))
		end_connection(container_of(p->idle.next, struct upstream_conn, node), false, false,
			now_us);
	list_foreach (node, &p->busy) {
		container_of(node, struct upstream_conn, node)->retiring = true;
	}
	if (p->n_pending > 0)
		return;
	while (!list_is_empty(&p->connecting))
		end_connection(container_of(p->connecting.next, struct upstream_conn, node), true,
			false, now_us);
}

void upstream_drain_removed(struct router_worker *w, const struct snapshot *previous,
	uint64_t generation, uint64_t now_us)
{
	for (unsigned i = 0; i < previous->config->n_clusters; i++) {
		const struct cluster *c = &previous->clusters[i];

		for (unsigned k = 0; k < c->n_endpoints; k++) {
			struct endpoint *e = c->endpoints[k];

			if (e->generation >= generation)
				continue;
			for (unsigned v = 0; v < UPSTREAM_N_VERSIONS; v++)
				drain_pool(&e->pools[w->index][v], now_us);
		}
	}
}

void upstream_close_all(struct router_worker *w, uint64_t now_us)
{
	while (!list_is_empty(&w->upstream_list)) {
		struct upstream_conn *c =
			container_of(w->upstream_list.next, struct upstream_conn, worker_node);

		assert(c->stream.exchange == NULL);
		end_connection(c, true, false, now_us);
	}
}

bool upstream_owns(const struct stream *s, struct router_stream_owner *out)
{
	const struct upstream_conn *c = s->owner;

	if (s->on_event != on_stream_event)
		return false;
	*out = (struct router_stream_owner){
		.is_upstream = true,
		.name = c->pool->endpoint->cluster->name,
		.protocol = c->pool->is_h2 ? "h2" : "http/1.1",
	};
	return true;
}
