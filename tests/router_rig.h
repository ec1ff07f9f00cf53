// A router worker between fake clients and fake endpoints, in virtual time: what the tests of the exchange drive.
//
//     client i: fake pair, side 1 is the test      endpoint connection i: fake pair, side 1 is the test
//                 side 0 -> downstream_accept()                         side 0 <- the router's connect
//
// rig_done() ends everything and fails if a pool, a breaker's slot or a timer is still taken, or a connection still counted.
#pragma once

#include "dataplane/timer.h"
#include "router/downstream.h"
#include "router/router_worker.h"
#include "router/upstream.h"
#include "tests/fake_stream.h"
#include "tests/test_support.h"

#include <stdio.h>
#include <stdlib.h>

#define RIG_MAX_PAIRS     512
#define RIG_MAX_ENDPOINTS 4
#define RIG_UNUSED        __attribute__((unused))

enum rig_connect {
	RIG_ACCEPTS,
	RIG_REFUSES,
	RIG_HANGS,
};

struct rig {
	// the configuration; may be changed before rig_start() and between rig_reload()s
	struct endpoint_config endpoints[RIG_MAX_ENDPOINTS];
	struct cluster_config cluster;
	struct weighted_cluster weighted;
	struct route_config route;
	struct virtual_host_config host;
	struct route_table_config table;
	struct filter_chain_config chain;
	struct listener_config listener;
	struct router_config config;
	struct router_capacity capacity;
	// under test
	struct timer_wheel *timers;
	struct router_stats stats;
	struct tls_stats tls_stats;
	struct http_rule_counts rules;
	struct log_ring *log;
	struct snapshot *snapshot;
	struct snapshot *previous;
	struct router_worker *worker;
	uint64_t now_us;
	// the world
	enum rig_connect connect;
	unsigned refuse_first; // so many connects are refused whatever 'connect' says
	tcp_accept_fn *accept;
	void *accept_arg;
	unsigned n_listening;
	unsigned n_stopped; // of these, what takes no new connections
	struct fake_pair *clients[RIG_MAX_PAIRS];
	unsigned n_clients;
	struct fake_pair *upstreams[RIG_MAX_PAIRS];
	struct ip_endpoint upstream_remote[RIG_MAX_PAIRS];
	unsigned n_upstreams;
	size_t upstream_room; // of new connections to endpoints; 0: the default
	char name[64];        // of listener and stat prefix: counters live as long as the process
	char text[1 << 20];
};

RIG_UNUSED static struct stream *rig_connect_seam(void *arg,
	const struct tcp_connect_options *options, enum stream_error *error, uint64_t now_us)
{
	struct rig *r = arg;
	struct fake_pair *p = fake_pair_new();
	struct stream *s = fake_pair_end(p, 0);

	(void)error;
	(void)now_us;
	assert_true(r->n_upstreams < RIG_MAX_PAIRS);
	r->upstream_remote[r->n_upstreams] = options->remote;
	r->upstreams[r->n_upstreams++] = p;
	stream_set_owner(s, options->on_event, options->owner);
	s->remote = options->remote;
	if (r->upstream_room > 0)
		fake_set_room(s, r->upstream_room);
	if (r->refuse_first > 0) {
		r->refuse_first--;
		fake_fail(s, STREAM_ERROR_REFUSED);
	} else if (r->connect == RIG_ACCEPTS) {
		fake_connected(s);
	} else if (r->connect == RIG_REFUSES) {
		fake_fail(s, STREAM_ERROR_REFUSED);
	}
	return s;
}

RIG_UNUSED static struct tcp_listener *rig_listen_seam(
	void *arg, const struct tcp_listen_options *options)
{
	struct rig *r = arg;

	r->accept = options->accept;
	r->accept_arg = options->arg;
	r->n_listening++;
	return (struct tcp_listener *)(void *)r;
}

RIG_UNUSED static void rig_stop_listening_seam(struct tcp_listener *l)
{
	((struct rig *)(void *)l)->n_stopped++;
}

RIG_UNUSED static void rig_unlisten_seam(void *arg, struct tcp_listener **lp)
{
	struct rig *r = arg;

	*lp = NULL;
	r->n_listening--;
}

RIG_UNUSED static uint64_t rig_wall_seam(void *arg, uint64_t now_us)
{
	(void)arg;
	return 784111777000000 + now_us; // Sun, 06 Nov 1994 08:49:37 GMT
}

RIG_UNUSED static void rig_free_memory(void *memory)
{
	free(memory);
}

// A plain listener, one route for everything, one cluster with one endpoint, no retries, no timeouts.
RIG_UNUSED static struct rig *rig_new(void)
{
	static unsigned n_rigs;
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	snprintf(r->name, sizeof(r->name), "0.0.0.0_8080 rig %u", n_rigs++);
	r->now_us = 1000000;
	for (unsigned i = 0; i < RIG_MAX_ENDPOINTS; i++) {
		r->endpoints[i] = (struct endpoint_config){
			.weight = 1, .healthy = true, .workload = "", .namespace = ""};
		ip_addr_parse("10.0.0.1", &r->endpoints[i].address.addr);
		r->endpoints[i].address.addr.b[15] = (uint8_t)(1 + i);
		r->endpoints[i].address.port = 80;
	}
	r->cluster = (struct cluster_config){.name = "outbound|80||shop.default.svc.cluster.local",
		.service_host = "shop.default.svc.cluster.local",
		.service_name = "shop",
		.service_namespace = "default",
		.endpoints = r->endpoints,
		.n_endpoints = 1,
		.lb = LB_ROUND_ROBIN,
		.connect_timeout_us = 10000000,
		.idle_timeout_us = 3600000000,
		.max_connections = UINT32_MAX,
		.max_pending_requests = UINT32_MAX,
		.max_requests = UINT32_MAX,
		.max_retries = UINT32_MAX};
	r->weighted = (struct weighted_cluster){.cluster = r->cluster.name, .weight = 1};
	r->route = (struct route_config){
		.name = "shop",
		.origin = "test",
		.match = {.uri = {.kind = STRING_MATCH_ANY, .text = ""},
			  .method = {.text = ""},
			  .scheme = {.text = ""},
			  .authority = {.text = ""}},
		.action = ROUTE_FORWARD,
		.clusters = &r->weighted,
		.n_clusters = 1,
		.direct_body = {NULL,                     0}
        };
	r->host = (struct virtual_host_config){.domain = "*", .routes = &r->route, .n_routes = 1};
	r->table = (struct route_table_config){
		.name = "http.8080", .server_port = 80, .hosts = &r->host, .n_hosts = 1};
	r->chain = (struct filter_chain_config){.stat_prefix = r->name};
	r->listener = (struct listener_config){
		.name = r->name, .local = {.port = 8080}, .chains = &r->chain, .n_chains = 1};
	r->config = (struct router_config){
		.listeners = &r->listener,
		.n_listeners = 1,
		.route_tables = &r->table,
		.n_route_tables = 1,
		.clusters = &r->cluster,
		.n_clusters = 1,
		.access_log = {.enabled = true,
			       .format = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
				  "%BYTES_RECEIVED% %BYTES_SENT%\n",      .path = "/dev/null"},
		.http = { .max_head_bytes = 61440,
			       .max_fields = 100,
			       .head_timeout_us = 15000000,
			       .idle_timeout_us = 3600000000,
			       .path_normalization = PATH_NORMALIZE_BASE,
			       .server_name = "istio-envoy"},
		.version = "test",
		.free_memory = rig_free_memory
        };
	r->capacity = (struct router_capacity){.connections = 256,
		.exchanges = 256,
		.upstream_connections = 256,
		.chunks = 2048,
		.large_heads = 8,
		.trailers = 8};
	return r;
}

RIG_UNUSED static struct snapshot *rig_snapshot(struct rig *r, const struct snapshot *previous)
{
	struct router_config *c = malloc(sizeof(*c));
	char error[SNAPSHOT_ERROR_SIZE];
	struct snapshot *s;

	assert_non_null(c);
	*c = r->config;
	c->memory = c;
	s = snapshot_new(&c, previous, 1, error);
	if (s == NULL)
		fail_msg("%s", error);
	return s;
}

// Before rig_start(): the first failure ejects an endpoint, be it the only one, for a second.
RIG_UNUSED static void rig_eject_at_once(struct rig *r)
{
	r->cluster.outlier = (struct outlier_config){.enabled = true,
		.consecutive_5xx = 1,
		.interval_us = 1000000,
		.base_ejection_us = 1000000,
		.max_ejection_us = 1000000,
		.max_ejection_percent = 100};
}

RIG_UNUSED static void rig_start(struct rig *r)
{
	const struct listener_config *failed;

	r->timers = timer_wheel_new(r->now_us);
	r->log = log_ring_new(1 << 20);
	r->worker = router_worker_new(0,
		&(struct router_seams){.connect = rig_connect_seam,
			.listen = rig_listen_seam,
			.stop_listening = rig_stop_listening_seam,
			.unlisten = rig_unlisten_seam,
			.wall_us = rig_wall_seam,
			.arg = r,
			.timers = r->timers},
		&(struct router_outputs){.stats = &r->stats,
			.tls_stats = &r->tls_stats,
			.rules = &r->rules,
			.log = r->log},
		&r->capacity);
	assert_non_null(r->worker);
	r->snapshot = rig_snapshot(r, NULL);
	assert_int_equal(router_worker_prepare(r->worker, r->snapshot, &failed), 0);
	snapshot_activate(r->snapshot, NULL);
	router_worker_adopt(r->worker, r->snapshot, r->now_us);
}

// Publishes the configuration as it stands now. One older snapshot may still be pinned.
RIG_UNUSED static void rig_reload(struct rig *r)
{
	const struct listener_config *failed;
	struct snapshot *next = rig_snapshot(r, r->snapshot);

	if (r->previous != NULL) {
		assert_true(snapshot_is_unused(r->previous));
		snapshot_free(&r->previous);
	}
	assert_int_equal(router_worker_prepare(r->worker, next, &failed), 0);
	snapshot_activate(next, r->snapshot);
	router_worker_adopt(r->worker, next, r->now_us);
	r->previous = r->snapshot;
	r->snapshot = next;
}

// Moves bytes until nothing moves any more.
RIG_UNUSED static void rig_pump(struct rig *r)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (unsigned i = 0; i < r->n_clients; i++)
			moved |= fake_pair_step(r->clients[i], r->now_us);
		for (unsigned i = 0; i < r->n_upstreams; i++)
			moved |= fake_pair_step(r->upstreams[i], r->now_us);
	}
}

// Lets time pass, a millisecond at a time.
RIG_UNUSED static void rig_pass_ms(struct rig *r, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		r->now_us += 1000;
		while (timer_wheel_run(r->timers, r->now_us, 64) == 64)
			;
		rig_pump(r);
	}
}

RIG_UNUSED static unsigned rig_client(struct rig *r)
{
	struct fake_pair *p = fake_pair_new();

	assert_true(r->n_clients < RIG_MAX_PAIRS);
	r->clients[r->n_clients] = p;
	if (!r->accept(r->accept_arg, fake_pair_end(p, 0), r->now_us))
		stream_abort(&(struct stream *){fake_pair_end(p, 0)});
	return r->n_clients++;
}

RIG_UNUSED static struct stream *rig_client_stream(struct rig *r, unsigned i)
{
	return fake_pair_end(r->clients[i], 1);
}

RIG_UNUSED static struct stream *rig_upstream_stream(struct rig *r, unsigned i)
{
	assert_true(i < r->n_upstreams);
	return fake_pair_end(r->upstreams[i], 1);
}

RIG_UNUSED static void rig_put(struct stream *s, const char *text)
{
	fake_put(s, bytes_of_str(text));
}

// What a client or an endpoint says, and what comes of it.
RIG_UNUSED static void rig_client_says(struct rig *r, unsigned i, const char *text)
{
	rig_put(rig_client_stream(r, i), text);
	rig_pump(r);
}

RIG_UNUSED static void rig_upstream_says(struct rig *r, unsigned i, const char *text)
{
	rig_put(rig_upstream_stream(r, i), text);
	rig_pump(r);
}

// What has arrived at the test's end of 's', taken; valid until the next call.
RIG_UNUSED static const char *rig_take(struct rig *r, struct stream *s)
{
	size_t n = fake_take(s, r->text, sizeof(r->text) - 1);

	r->text[n] = '\0';
	rig_pump(r);
	return r->text;
}

RIG_UNUSED static const char *rig_client_got(struct rig *r, unsigned i)
{
	return rig_take(r, rig_client_stream(r, i));
}

RIG_UNUSED static const char *rig_upstream_got(struct rig *r, unsigned i)
{
	return rig_take(r, rig_upstream_stream(r, i));
}

RIG_UNUSED static bool rig_client_closed(struct rig *r, unsigned i)
{
	return fake_pair_fate(r->clients[i], 0) != FAKE_OPEN;
}

RIG_UNUSED static bool rig_upstream_closed(struct rig *r, unsigned i)
{
	return fake_pair_fate(r->upstreams[i], 0) != FAKE_OPEN;
}

RIG_UNUSED static void rig_assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

RIG_UNUSED static void rig_assert_not(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" is in:\n%s", part, text);
}

RIG_UNUSED static void rig_assert_begins(const char *text, const char *part)
{
	if (strncmp(text, part, strlen(part)) != 0)
		fail_msg("\"%s\" does not begin:\n%s", part, text);
}

// The next line of the access log.
RIG_UNUSED static void rig_assert_log(struct rig *r, const char *line)
{
	const char *at, *end;
	size_t n = log_ring_peek(r->log, &at);

	if (n == 0)
		fail_msg("no log line; expected: %s", line);
	end = memchr(at, '\n', n);
	assert_non_null(end);
	if ((size_t)(end - at) != strlen(line) || memcmp(at, line, strlen(line)) != 0)
		fail_msg("log line: %.*s\nexpected: %s", (int)(end - at), at, line);
	log_ring_consume(r->log, (size_t)(end - at) + 1);
}

RIG_UNUSED static void rig_assert_no_log(struct rig *r)
{
	const char *at;
	size_t n = log_ring_peek(r->log, &at);

	if (n != 0)
		fail_msg("unexpected log line: %.*s", (int)n, at);
}

RIG_UNUSED static struct cluster_stats *rig_cluster_stats(struct rig *r)
{
	return &r->snapshot->clusters[0].state->stats[0];
}

RIG_UNUSED static struct cluster_state *rig_cluster_state(struct rig *r)
{
	return r->snapshot->clusters[0].state;
}

RIG_UNUSED static struct hcm_stats *rig_hcm(struct rig *r)
{
	return &r->snapshot->listeners[0].hcm[0]->stats[0];
}

// No request is under way: every slot and place is back.
RIG_UNUSED static void rig_assert_quiet(struct rig *r)
{
	struct cluster_state *state = rig_cluster_state(r);

	assert_int_equal(r->worker->exchanges.n_used, 0);
	assert_int_equal(r->worker->chunks.n_used, 0);
	assert_int_equal(r->worker->large_heads.n_used, 0);
	assert_int_equal(r->worker->trailers.n_used, 0);
	assert_int_equal(state->pending, 0);
	assert_int_equal(state->requests, 0);
	assert_int_equal(state->retries, 0);
	assert_int_equal(state->connections, r->worker->upstreams.n_used);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_active, 0);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_pending_active, 0);
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_active, r->worker->upstreams.n_used);
	assert_int_equal(rig_hcm(r)->downstream_rq_active, 0);
	assert_int_equal(rig_hcm(r)->downstream_cx_active, r->worker->connections.n_used);
	assert_true(snapshot_is_unused(r->snapshot));
}

RIG_UNUSED static void rig_assert_counts_nobody(const struct router_worker *w)
{
	assert_int_equal(w->n_downstreams, 0);
	assert_int_equal(w->n_over_tls, 0);
	assert_int_equal(w->n_over_h2, 0);
	assert_int_equal(w->light.n + w->heavy.n, 0);
	assert_int_equal(w->light.n_fresh + w->heavy.n_fresh, 0);
}

RIG_UNUSED static void rig_done(struct rig **rp)
{
	struct rig *r = *rp;

	*rp = NULL;
	router_worker_abort_all(r->worker, r->now_us);
	rig_assert_counts_nobody(r->worker);
	router_worker_free(&r->worker, r->now_us);
	assert_int_equal(timer_wheel_n_armed(r->timers), 0);
	assert_int_equal(r->stats.exchanges_active, 0);
	assert_int_equal(r->stats.downstream_connections, 0);
	assert_int_equal(rig_hcm(r)->downstream_cx_active, 0);
	assert_int_equal(rig_hcm(r)->downstream_rq_active, 0);
	assert_int_equal(r->n_listening, 0);
	snapshot_free(&r->previous);
	snapshot_free(&r->snapshot); // asserts that the breakers are back at zero
	for (unsigned i = 0; i < r->n_clients; i++)
		fake_pair_free(&r->clients[i]);
	for (unsigned i = 0; i < r->n_upstreams; i++)
		fake_pair_free(&r->upstreams[i]);
	timer_wheel_free(&r->timers);
	log_ring_free(&r->log);
	free(r);
}
