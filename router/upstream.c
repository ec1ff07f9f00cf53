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
	struct codec_stream *s = NULL;

	if (upstream_conn_announce(c, x->peer))
		s = c->h2 != NULL ? h2_client_open(c, x) : &c->stream;
	if (s == NULL) {
		give_slot(&e->cluster->requests);
		return NULL;
	}
	c->state = UPSTREAM_CONN_BUSY;
	s->exchange = x;
	c->n_requests++;
	timer_cancel(c->worker->timers, &c->timer);
	list_remove(&c->node);
	list_remove(&c->idle_node);
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

void upstream_pool_fail_pending(struct router_worker *w, struct upstream_pool *p,
	enum reset_reason reason, const char *transport)
{
	list_foreach_safe (node, &p->pending) {
		struct exchange *x = container_of(node, struct exchange, pending_node);

		dequeue(w, x);
		stat_inc(&stats_of(p, w)->upstream_rq_pending_failure_eject);
		exchange_on_no_connection(x, reason, transport);
	}
}

// True if 'c' may take the request of 'x', when it has room.
static bool is_for(const struct upstream_conn *c, const struct exchange *x)
{
	const struct cluster_config *config = x->cluster->config;

	if (c->proxy_version != config->proxy_version
		|| (c->client != NULL && c->client != x->peer))
		return false;
	if (config->max_requests_per_connection > 0
		&& c->n_requests >= config->max_requests_per_connection)
		return false;
	// What an endpoint has said unasked, if only that it leaves, waits to be noticed.
	return c->h2 != NULL
		|| (stream_readable(c->io) == 0 && !stream_end_received(c->io)
			&& stream_error(c->io) == STREAM_ERROR_NONE);
}

// True if 'c' may take the request of 'x', which waits for a connection.
static bool is_for_pending(const struct upstream_conn *c, const struct exchange *x)
{
	return (!x->fresh_connection || c->n_requests == 0) && is_for(c, x);
}

// True if 'c' can take the request of 'x'.
static bool suits(const struct upstream_conn *c, const struct exchange *x)
{
	if (!is_for(c, x))
		return false;
	return c->h2 == NULL || (!c->retiring && h2_client_room(c) > 0);
}

// The first in the queue that 'c' suits, or NULL.
static struct exchange *next_pending(const struct upstream_conn *c)
{
	list_foreach (node, &c->pool->pending) {
		struct exchange *x = container_of(node, struct exchange, pending_node);

		if (is_for_pending(c, x) && suits(c, x))
			return x;
	}
	return NULL;
}

uint32_t upstream_max_streams(const struct cluster_config *config)
{
	return config->max_concurrent_streams > 0 ? config->max_concurrent_streams
						  : MAX_CONCURRENT_STREAMS;
}

// How many of the waiting attempts one new connection will do for.
static uint64_t streams_of_one(const struct upstream_pool *p)
{
	const struct exchange *x;
	uint32_t max;

	if (!p->is_h2 || list_is_empty(&p->pending))
		return 1;
	x = container_of(p->pending.next, struct exchange, pending_node);
	// Each may be of another client.
	if (x->cluster->config->proxy_version != 0)
		return 1;
	max = x->cluster->config->max_requests_per_connection;
	return max > 0 && max < upstream_max_streams(x->cluster->config)
		? max
		: upstream_max_streams(x->cluster->config);
}

// True if attempts wait and 'c' is for none of them.
static bool is_of_no_use(const struct upstream_conn *c)
{
	list_foreach (node, &c->pool->pending) {
		if (is_for_pending(c, container_of(node, struct exchange, pending_node)))
			return false;
	}
	return c->pool->n_pending > 0;
}

// Attempts may wait for it to have room; and the stream that made it idle is still its own until it is given back.
static bool is_spare(const struct upstream_conn *c)
{
	return (c->pool->n_pending == 0 || is_of_no_use(c))
		&& (c->h2 == NULL || c->h2->n_used == 0);
}

// Ends the connection that is idle longest, whosesoever it is. Returns false if none can be spared.
static bool evict_idle(struct router_worker *w, uint64_t now_us)
{
	list_foreach (node, &w->idle_upstreams) {
		struct upstream_conn *c = container_of(node, struct upstream_conn, idle_node);

		if (!is_spare(c))
			continue;
		stat_inc(&w->stats->upstream_evicted);
		upstream_conn_end(c, false, false, now_us);
		return true;
	}
	return false;
}

bool upstream_pool_connect(struct router_worker *w, struct upstream_pool *p, uint64_t now_us)
{
	struct cluster_state *state = p->endpoint->cluster;

	while (p->n_connecting * streams_of_one(p) < p->n_pending) {
		struct exchange *x = container_of(p->pending.next, struct exchange, pending_node);
		const struct cluster_config *config = x->cluster->config;
		struct upstream_conn *c;

		if (!take_slot(&state->connections, config->max_connections)) {
			stat_inc(&stats_of(p, w)->upstream_cx_overflow);
			if (p->n_connections > 0)
				return true;
			atomic_fetch_add_explicit(&state->connections, 1, memory_order_relaxed);
		}
		c = upstream_conn_new(w, p, config, now_us);
		if (c == NULL && evict_idle(w, now_us))
			c = upstream_conn_new(w, p, config, now_us);
		if (c == NULL) {
			give_slot(&state->connections);
			stat_inc(&w->stats->upstream_pool_empty);
			return p->n_connections > 0;
		}
		if (!upstream_conn_connect(c, config, now_us))
			return true;
	}
	return true;
}

// True if there may not be another connection.
static bool is_full(const struct router_worker *w, const struct cluster *c)
{
	return atomic_load(&c->state->connections) >= c->config->max_connections
		|| w->upstreams.n_used == w->upstreams.cap;
}

static struct upstream_pool *pool_for(const struct router_worker *w,
	const struct cluster_config *config, const struct endpoint *e, const struct exchange *x)
{
	bool h2 = config->protocol == CLUSTER_HTTP_2
		|| (config->protocol == CLUSTER_PROTOCOL_CLIENTS && x->request.version == HTTP_2
			&& !x->avoids_h2);

	return &e->pools[w->index][h2 ? UPSTREAM_HTTP_2 : UPSTREAM_HTTP_1];
}

// A connection that takes the request of 'x' at once, or NULL.
static struct upstream_conn *find_free(struct upstream_pool *p, const struct exchange *x)
{
	list_foreach (node, &p->busy) {
		struct upstream_conn *c = container_of(node, struct upstream_conn, node);

		if (suits(c, x))
			return c;
	}
	list_foreach (node, &p->idle) {
		struct upstream_conn *c = container_of(node, struct upstream_conn, node);

		if (suits(c, x))
			return c;
	}
	return NULL;
}

// Idle connections that are not for 'x' are worth less than the new one that is asked for; used last longest ago goes first.
static void make_room(struct router_worker *w, struct upstream_pool *p, const struct exchange *x,
	bool fresh, uint64_t now_us)
{
	for (struct list *node = p->idle.prev, *next; node != &p->idle && is_full(w, x->cluster);
		node = next) {
		struct upstream_conn *c = container_of(node, struct upstream_conn, node);

		next = node->prev;
		if (fresh || !is_for(c, x))
			upstream_conn_end(c, false, false, now_us);
	}
}

enum upstream_result upstream_acquire(struct router_worker *w, const struct cluster *c,
	struct endpoint *e, struct exchange *x, bool fresh, struct codec_stream **out,
	uint64_t now_us)
{
	struct upstream_pool *p = pool_for(w, c->config, e, x);
	struct cluster_stats *stats = stats_of(p, w);
	struct upstream_conn *conn = fresh ? NULL : find_free(p, x);

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
	make_room(w, p, x, fresh, now_us);
	list_push(&p->pending, &x->pending_node);
	x->pending_pool = p;
	p->n_pending++;
	stat_inc(&stats->upstream_rq_pending_total);
	stat_inc(&stats->upstream_rq_pending_active);
	if (!upstream_pool_connect(w, p, now_us)) {
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

// True if attempts wait, 'c' is idle and for none of them, and there may not be another connection.
static bool is_in_the_way(const struct upstream_conn *c)
{
	return c->n_active == 0 && is_of_no_use(c)
		&& is_full(c->worker,
			container_of(c->pool->pending.next, struct exchange, pending_node)
				->cluster);
}

void upstream_conn_offer(struct upstream_conn *c, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;
	struct exchange *x;

	while ((x = next_pending(c)) != NULL) {
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
			exchange_on_no_connection(x, RESET_NO_MEMORY, NULL);
			continue;
		}
		exchange_on_connection(x, s);
		if (c->h2 == NULL)
			return;
	}
	if (c->n_active > 0)
		return;
	// Of nobody: the header would have to come before all else that is said on it.
	if ((c->proxy_version != 0 && c->client == NULL) || is_in_the_way(c)) {
		upstream_conn_end(c, false, false, now_us);
		upstream_pool_connect(w, p, now_us);
		return;
	}
	c->state = UPSTREAM_CONN_IDLE;
	list_remove(&c->node);
	list_push_front(&p->idle, &c->node);
	list_remove(&c->idle_node);
	list_push(&w->idle_upstreams, &c->idle_node);
	if (c->idle_timeout_us > 0)
		timer_arm(w->timers, &c->timer, now_us + c->idle_timeout_us);
	// It may be all that was opened for those that wait, before a reload.
	if (is_of_no_use(c))
		upstream_pool_connect(w, p, now_us);
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
	return !is_in_the_way(c);
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
		upstream_conn_end(c, !complete, !complete, now_us);
		upstream_pool_connect(w, p, now_us);
		return;
	}
	c->idle_timeout_us = config->idle_timeout_us;
	upstream_conn_offer(c, now_us);
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
		upstream_conn_offer(c, now_us);
	// A connection that is done ends in its turn, after what is still to be said.
}

void upstream_conn_on_turn(struct upstream_conn *c, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;
	bool over = c->retiring || !h2_client_is_usable(c);

	if (over && c->n_active == 0) {
		upstream_conn_end(c, c->io_closed || c->h2->lost, false, now_us);
		upstream_pool_connect(w, p, now_us);
		return;
	}
	// Those that wait for a connection of which this one was the only hope.
	if (over)
		upstream_pool_connect(w, p, now_us);
	else if (p->n_pending > 0)
		upstream_conn_offer(c, now_us);
}

static void drain_pool(struct upstream_pool *p, uint64_t now_us)
{
	while (!list_is_empty(&p->idle))
		upstream_conn_end(container_of(p->idle.next, struct upstream_conn, node), false,
			false, now_us);
	list_foreach (node, &p->busy) {
		container_of(node, struct upstream_conn, node)->retiring = true;
	}
	if (p->n_pending > 0)
		return;
	while (!list_is_empty(&p->connecting))
		upstream_conn_end(container_of(p->connecting.next, struct upstream_conn, node),
			true, false, now_us);
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
		upstream_conn_end(c, true, false, now_us);
	}
}
