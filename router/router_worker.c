#include "router/router_worker.h"

#include "dataplane/base/log.h"
#include "router/downstream.h"
#include "router/exchange.h"
#include "router/h2_server.h"
#include "router/h2_session.h"
#include "router/upstream.h"
#include "router/upstream_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

LOG_MODULE("router")

#define MAX_LISTENERS            256
#define TLS_HANDSHAKE_TIMEOUT_US 15000000u // Envoy's transport_socket_connect_timeout
// Envoy's drain_timeout. Requests that were on the way when the first GOAWAY left have come by then (RFC 9113, 6.8).
#define GOAWAY_US                5000000u

void router_worker_leave(struct router_worker *w, uint64_t now_us)
{
	struct list *node;

	if (w->entered)
		return;
	w->entered = true;
	while ((node = list_pop(&w->ready)) != NULL) {
		struct ready *r = container_of(node, struct ready, node);

		r->fn(r, now_us);
	}
	w->entered = false;
}

static uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

uint64_t router_random(struct router_worker *w)
{
	uint64_t a = w->random[0], b = w->random[1], result = a + b;

	b ^= a;
	w->random[0] = rotate(a, 24) ^ b ^ (b << 16);
	w->random[1] = rotate(b, 37);
	return result;
}

// Days since 1970 to a civil date (Howard Hinnant's days_from_civil, inverted); gmtime() may take a lock.
static void civil_date(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint64_t z = days + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	*month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	*year = (unsigned)(yoe + era * 400 + (*month <= 2));
}

struct bytes router_date(struct router_worker *w, uint64_t now_us)
{
	static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	uint64_t s = w->seams.wall_us(w->seams.arg, now_us) / 1000000;
	unsigned year, month, day;

	if (s != w->date_s || w->date[0] == '\0') {
		w->date_s = s;
		civil_date(s / 86400, &year, &month, &day);
		snprintf(w->date, sizeof(w->date), "%s, %02u %s %04u %02u:%02u:%02u GMT",
			days[s / 86400 % 7], day, months[month - 1], year % 10000,
			(unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
	}
	return bytes_of_str(w->date);
}

// Shares of the memory of a worker, in percent; what they buy is in router_capacity.
#define TLS_SHARE        43 // and HTTP/2
#define CHUNK_SHARE      22
#define EXCHANGE_SHARE   21 // and a field section for each: its trailers
#define CONNECTION_SHARE 7
#define UPSTREAM_SHARE   4
#define LARGE_SHARE      3

// What idle connections may hold of OpenSSL's and nghttp2's memory. The rest is for contexts, handshakes and requests.
#define IDLE_SIXTEENTHS 15

static uint32_t share(uint64_t bytes, unsigned percent, size_t object_size, uint32_t least)
{
	uint64_t n = bytes * percent / 100 / object_size;

	return n < least ? least : n > 1000000 ? 1000000 : (uint32_t)n;
}

void router_capacity_of(uint64_t bytes, struct router_capacity *out)
{
	*out = (struct router_capacity){
		.connections = share(
			bytes, CONNECTION_SHARE, sizeof(struct downstream) + ADDRESS_SIZE, 64),
		.exchanges = share(bytes, EXCHANGE_SHARE,
			sizeof(struct exchange) + sizeof(struct http_fields), 32),
		.upstream_connections =
			share(bytes, UPSTREAM_SHARE, sizeof(struct upstream_conn), 32),
		.chunks = share(bytes, CHUNK_SHARE, ARENA_CHUNK_SIZE, 128),
		.large_heads = share(bytes, LARGE_SHARE, LARGE_HEAD_SIZE, 4),
		.tls_connections =
			share(bytes * IDLE_SIXTEENTHS / 16, TLS_SHARE, TLS_IDLE_BYTES, 64),
		.tls_http2_connections = share(
			bytes * IDLE_SIXTEENTHS / 16, TLS_SHARE, TLS_IDLE_BYTES + H2_IDLE_BYTES, 0),
		.arena_bytes = bytes * TLS_SHARE / 100,
	};
	out->trailers = out->exchanges;
}

static int init_pools(struct router_worker *w, const struct router_capacity *c)
{
	if (pool_init(&w->connections, "downstream connections", sizeof(struct downstream),
		    c->connections)
			!= 0
		|| address_counts_init(&w->addresses, c->connections) != 0
		|| pool_init(&w->exchanges, "exchanges", sizeof(struct exchange), c->exchanges) != 0
		|| pool_init(&w->upstreams, "upstream connections", sizeof(struct upstream_conn),
			   c->upstream_connections)
			!= 0
		|| arena_chunk_pool_init(&w->chunks, "chunks", c->chunks) != 0
		|| pool_init(&w->large_heads, "large heads", LARGE_HEAD_SIZE, c->large_heads) != 0
		|| pool_init(&w->trailers, "trailers", sizeof(struct http_fields), c->trailers) != 0
		|| pool_init(&w->h2_sessions, "HTTP/2 connections", sizeof(struct h2_session),
			   c->connections + c->upstream_connections)
			!= 0
		// One towards the client and one towards the endpoint, and those whose peer is not done with them.
		|| pool_init(&w->h2_streams, "HTTP/2 streams", sizeof(struct h2_stream),
			   c->exchanges * 3)
			!= 0
		|| pool_init(&w->listener_pool, "listeners", sizeof(struct listener), MAX_LISTENERS)
			!= 0)
		return -ENOMEM;
	return 0;
}

static void fini_pools(struct router_worker *w)
{
	pool_fini(&w->listener_pool);
	pool_fini(&w->h2_streams);
	pool_fini(&w->h2_sessions);
	pool_fini(&w->trailers);
	pool_fini(&w->large_heads);
	pool_fini(&w->chunks);
	pool_fini(&w->upstreams);
	pool_fini(&w->exchanges);
	address_counts_fini(&w->addresses);
	pool_fini(&w->connections);
}

static void group_init(struct downstream_group *g)
{
	list_init(&g->fresh);
	list_init(&g->idle);
}

struct router_worker *router_worker_new(unsigned index, const struct router_seams *seams,
	const struct router_outputs *outputs, const struct router_capacity *capacity)
{
	struct router_worker *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->index = index;
	w->seams = *seams;
	w->timers = seams->timers;
	w->out = *outputs;
	w->stats = outputs->stats;
	w->next_connection_id = 1;
	list_init(&w->listeners);
	list_init(&w->ready);
	list_init(&w->downstreams);
	group_init(&w->light);
	group_init(&w->heavy);
	list_init(&w->upstream_list);
	list_init(&w->idle_upstreams);
	w->goaway_us = GOAWAY_US;
	w->idle_bytes = capacity->arena_bytes * IDLE_SIXTEENTHS / 16;
	w->scratch = malloc(SCRATCH_SIZE);
	w->h2 = h2_worker_new();
	if (w->scratch == NULL || w->h2 == NULL || init_pools(w, capacity) != 0
		|| getrandom(w->random, sizeof(w->random), 0) != (ssize_t)sizeof(w->random))
		goto fail;
	if (capacity->tls_connections > 0) {
		w->tls = tls_worker_new(&(struct tls_worker_config){
			.max_connections = capacity->tls_connections,
			.handshake_timeout_us = TLS_HANDSHAKE_TIMEOUT_US,
			.timers = w->timers,
			.stats = outputs->tls_stats,
		});
		if (w->tls == NULL)
			goto fail;
	}
	return w;

fail:
	fini_pools(w);
	h2_worker_free(&w->h2);
	free(w->scratch);
	free(w);
	errno = ENOMEM;
	return NULL;
}

static void free_listener(struct listener *l)
{
	struct router_worker *w = l->worker;

	if (l->tcp != NULL)
		w->seams.unlisten(w->seams.arg, &l->tcp);
	list_remove(&l->node);
	pool_put(&w->listener_pool, l);
}

void router_worker_free(struct router_worker **wp, uint64_t now_us)
{
	struct router_worker *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	router_worker_abort_all(w, now_us);
	w->stopping = true;
	upstream_close_all(w, now_us);
	list_foreach_safe (node, &w->listeners) {
		free_listener(container_of(node, struct listener, node));
	}
	tls_worker_free(&w->tls);
	fini_pools(w);
	h2_worker_free(&w->h2);
	free(w->scratch);
	free(w);
}

// --- configuration

static struct listener *find_listener(const struct router_worker *w, const struct listener_view *v)
{
	list_foreach (node, &w->listeners) {
		struct listener *l = container_of(node, struct listener, node);

		if (l->tcp != NULL && l->state == v->state && l->local.port == v->config->local.port
			&& ip_addr_equal(&l->local.addr, &v->config->local.addr))
			return l;
	}
	return NULL;
}

static int open_listener(struct router_worker *w, const struct listener_view *v)
{
	struct listener *l = pool_get_zeroed(&w->listener_pool);

	if (l == NULL)
		return -ENOMEM;
	l->worker = w;
	l->state = v->state;
	l->local = v->config->local;
	list_push(&w->listeners, &l->node);
	l->tcp = w->seams.listen(w->seams.arg,
		&(struct tcp_listen_options){
			.local = l->local,
			.max_half_open = 1024,
			.accept = downstream_accept,
			.arg = l,
		});
	if (l->tcp == NULL) {
		int error = errno;

		free_listener(l);
		return error > 0 ? -error : -EADDRINUSE;
	}
	return 0;
}

int router_worker_prepare(
	struct router_worker *w, const struct snapshot *next, const struct listener_config **failed)
{
	for (unsigned i = 0; !w->stopping && i < next->config->n_listeners; i++) {
		int error;

		if (find_listener(w, &next->listeners[i]) != NULL)
			continue;
		error = open_listener(w, &next->listeners[i]);
		if (error != 0) {
			*failed = next->listeners[i].config;
			router_worker_cancel(w);
			return error;
		}
	}
	return 0;
}

void router_worker_cancel(struct router_worker *w)
{
	list_foreach_safe (node, &w->listeners) {
		struct listener *l = container_of(node, struct listener, node);

		if (l->view == NULL && l->n_connections == 0)
			free_listener(l);
	}
}

// --- what concerns all connections

#define SWEEP_LOOKS 256u

// Returns true if the connection ends.
static bool sweep_one(struct router_worker *w, struct downstream *c, uint64_t now_us)
{
	if (c->table_name == NULL)
		return false;
	// Those of a listener that is gone have no configuration to answer by: the idle ones are closed now, the others after
	// their answer (h1_server.c).
	if (c->listener->view == NULL) {
		if (c->h2 != NULL)
			h2_server_drain(c, now_us);
		else if (c->stream.exchange == NULL && c->head_start_us == 0)
			downstream_end(c, false, now_us);
		return true;
	}
	// Not all at once: their clients will come back through other gateways.
	if (w->sweep_drains && (c->h2 != NULL || c->stream.exchange == NULL))
		timer_arm(w->timers, &c->timer,
			now_us
				+ (w->sweep_spread_us > 0 ? router_random(w) % w->sweep_spread_us
							  : 0));
	return false;
}

// The connection behind 'node'; behind the head, the first. NULL: there is none.
static struct list *downstream_after(const struct router_worker *w, const struct list *node)
{
	return node->next != &w->downstreams ? node->next : NULL;
}

static void sweep_begin(struct router_worker *w, uint64_t now_us)
{
	w->sweep = downstream_after(w, &w->downstreams);
	router_worker_sweep(w, now_us);
}

bool router_worker_sweep(struct router_worker *w, uint64_t now_us)
{
	unsigned looks = SWEEP_LOOKS, ends = SWEEP_ENDS;

	if (w->sweep == NULL)
		return false;
	while (w->sweep != NULL && looks > 0 && ends > 0) {
		struct downstream *c = container_of(w->sweep, struct downstream, node);

		w->sweep = downstream_after(w, w->sweep);
		looks--;
		ends -= sweep_one(w, c, now_us);
	}
	if (w->sweep == NULL)
		w->sweep_drains = false;
	router_worker_leave(w, now_us);
	return w->sweep != NULL;
}

void router_worker_forget(struct router_worker *w, const struct list *node)
{
	if (w->sweep == node)
		w->sweep = downstream_after(w, node);
}

// --- configuration in force

void router_worker_adopt(struct router_worker *w, struct snapshot *next, uint64_t now_us)
{
	struct snapshot *previous = w->snapshot;
	bool orphans = false;

	w->snapshot = next;
	list_foreach (node, &w->listeners) {
		container_of(node, struct listener, node)->view = NULL;
	}
	for (unsigned i = 0; i < next->config->n_listeners; i++) {
		struct listener *l = find_listener(w, &next->listeners[i]);

		if (l != NULL)
			l->view = &next->listeners[i];
	}
	list_foreach_safe (node, &w->listeners) {
		struct listener *l = container_of(node, struct listener, node);

		if (l->view != NULL)
			continue;
		if (l->tcp != NULL)
			w->seams.unlisten(w->seams.arg, &l->tcp);
		if (l->n_connections == 0)
			free_listener(l);
		else
			orphans = true;
	}
	if (orphans)
		sweep_begin(w, now_us);
	if (previous != NULL)
		upstream_drain_removed(w, previous, next->generation, now_us);
}

// --- the end

void router_worker_drain(struct router_worker *w, uint64_t timeout_us, uint64_t now_us)
{
	w->draining = true;
	if (timeout_us < w->goaway_us)
		w->goaway_us = timeout_us;
	w->sweep_drains = true;
	w->sweep_spread_us = timeout_us;
	sweep_begin(w, now_us);
}

void router_worker_stop_listening(struct router_worker *w)
{
	w->stopping = true;
	list_foreach (node, &w->listeners) {
		struct listener *l = container_of(node, struct listener, node);

		if (l->tcp != NULL)
			w->seams.stop_listening(l->tcp);
	}
}

uint64_t router_worker_abort_all(struct router_worker *w, uint64_t now_us)
{
	uint64_t n = 0;

	list_foreach_safe (node, &w->downstreams) {
		struct downstream *c = container_of(node, struct downstream, node);

		if (c->h2 != NULL && h2_server_n_requests(c) > 0) {
			n += h2_server_cut(c);
		} else if (c->stream.exchange != NULL) {
			n++;
			exchange_on_downstream_end(c->stream.exchange, DOWNSTREAM_CUT, NULL);
		} else {
			downstream_end(c, true, now_us);
		}
	}
	router_worker_leave(w, now_us);
	if (n > 0)
		log_warning("requests cut at the end of the drain n=%llu worker=%u",
			(unsigned long long)n, w->index);
	return n;
}
