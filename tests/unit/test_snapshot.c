// Snapshots: what a reload carries over, what it drains, and what requests under way keep.

#include "tests/router_rig.h"
#include "tests/tls_peer.h"

#define GET "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

static void state_and_endpoints_are_taken_over_by_identity(void)
{
	struct rig *r = rig_new();
	struct cluster_state *state;
	struct endpoint *second;

	r->cluster.n_endpoints = 2;
	rig_start(r);
	state = rig_cluster_state(r);
	second = r->snapshot->clusters[0].endpoints[1];
	second->n_requests = 7;
	// The first endpoint goes, a third comes.
	r->endpoints[0] = r->endpoints[1];
	r->endpoints[1] = r->endpoints[2];
	rig_reload(r);
	assert_ptr_equal(rig_cluster_state(r), state);
	assert_ptr_equal(r->snapshot->clusters[0].endpoints[0], second);
	assert_int_equal(r->snapshot->clusters[0].endpoints[1]->n_requests, 0);
	assert_int_equal(r->snapshot->clusters[0].endpoints[1]->address.addr.b[15], 3);
	rig_done(&r);
}

static void clusters_are_found_by_name(void)
{
	struct rig *r = rig_new();
	static struct cluster_config many[200];
	static char names[200][16];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(names[i], sizeof(names[i]), "cluster %u", i);
		many[i] = r->cluster;
		many[i].name = names[i];
	}
	r->config.clusters = many;
	r->config.n_clusters = 200;
	rig_start(r);
	for (unsigned i = 0; i < 200; i++)
		assert_ptr_equal(snapshot_cluster(r->snapshot, bytes_of_str(names[i])),
			&r->snapshot->clusters[i]);
	assert_null(snapshot_cluster(r->snapshot, BYTES("cluster 200")));
	rig_done(&r);
}

static void readiness_follows_the_configuration_when_it_is_published(void)
{
	struct rig *r = rig_new();
	struct snapshot *never;

	rig_start(r);
	r->endpoints[0].healthy = false;
	never = rig_snapshot(r, r->snapshot);
	assert_int_equal(cluster_n_healthy(&r->snapshot->clusters[0]), 1);
	snapshot_free(&never);
	rig_reload(r);
	assert_int_equal(cluster_n_healthy(&r->snapshot->clusters[0]), 0);
	r->endpoints[0].healthy = true;
	rig_reload(r);
	assert_int_equal(cluster_n_healthy(&r->snapshot->clusters[0]), 1);
	rig_done(&r);
}

static void a_request_under_way_ends_under_the_snapshot_it_began_with(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	r->route.action = ROUTE_DIRECT_RESPONSE;
	r->route.direct_status = 418;
	r->config.n_clusters = 0;
	rig_reload(r);
	assert_false(snapshot_is_unused(r->previous));
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
	assert_true(snapshot_is_unused(r->previous));
	// The next one on the same connection is answered by the new configuration; the endpoint is gone, and its
	// connection with it.
	assert_true(rig_upstream_closed(r, 0));
	rig_client_says(r, c, GET);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 418 ");
	r->config.n_clusters = 1;
	rig_reload(r);
	rig_done(&r);
}

static void idle_connections_to_removed_endpoints_are_closed(void)
{
	struct rig *r = rig_new();

	r->cluster.n_endpoints = 2;
	rig_start(r);
	for (unsigned i = 0; i < 2; i++)
		rig_client_says(r, rig_client(r), GET);
	for (unsigned i = 0; i < 2; i++)
		rig_upstream_says(r, i, OK);
	r->cluster.n_endpoints = 1;
	rig_reload(r);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rig_upstream_closed(r, i), r->upstream_remote[i].addr.b[15] == 2);
	rig_done(&r);
}

static void many_reloads_under_traffic_lose_nothing(void)
{
	struct rig *r = rig_new();
	unsigned c, d;

	rig_start(r);
	c = rig_client(r);
	d = rig_client(r);
	for (unsigned i = 0; i < 50; i++) {
		rig_client_says(r, c, GET);
		rig_reload(r);
		rig_upstream_says(r, 0, OK);
		rig_assert_log(r, "200 - via_upstream 0 2");
		rig_client_says(r, d, GET);
		rig_upstream_says(r, 0, OK);
		rig_assert_log(r, "200 - via_upstream 0 2");
		rig_client_got(r, c);
		rig_client_got(r, d);
		rig_upstream_got(r, 0);
	}
	assert_int_equal(r->n_upstreams, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void connections_of_a_removed_listener_end_after_their_answer(void)
{
	struct rig *r = rig_new();
	unsigned busy, idle;

	rig_start(r);
	busy = rig_client(r);
	idle = rig_client(r);
	rig_client_says(r, busy, GET);
	r->config.n_listeners = 0;
	rig_reload(r);
	assert_int_equal(r->n_listening, 0);
	assert_int_equal(fake_pair_fate(r->clients[idle], 0), FAKE_CLOSED);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, busy), "\r\n\r\nok");
	assert_int_equal(fake_pair_fate(r->clients[busy], 0), FAKE_CLOSED);
	r->config.n_listeners = 1;
	rig_reload(r);
	assert_int_equal(r->n_listening, 1);
	rig_done(&r);
}

static void shake_hands(struct rig *r, struct tls_peer *p, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		tls_peer_step(p);
		rig_pump(r);
		tls_worker_turn(r->worker->tls, r->now_us);
	}
}

// There is no configuration to answer by, and the client could wait for its idle timeout.
static void a_handshake_that_outlives_its_listener_ends_with_the_connection(void)
{
	static const char *const alpn[] = {NULL, "\x02h2"};
	struct tls_pem pem;

	tls_pem_make(&pem, TLS_KEY_P256, "shop.example", 0, 86400);
	for (unsigned i = 0; i < 2; i++) {
		struct rig *r = rig_new();
		struct tls_peer early, late;
		char got[100];

		r->capacity.tls_connections = 4;
		r->listener.tls = true;
		r->chain.tls = (struct tls_chain_config){.n_certificates = 1, .alpn_h2 = true};
		r->chain.tls.certificates[0] = tls_pem_config(&pem, "shop");
		rig_start(r);
		tls_peer_init(&early, rig_client_stream(r, rig_client(r)),
			&(struct tls_peer_options){.alpn = alpn[i]});
		shake_hands(r, &early, 8);
		assert_true(early.connected);
		assert_false(early.ended);
		tls_peer_init(&late, rig_client_stream(r, rig_client(r)),
			&(struct tls_peer_options){.alpn = alpn[i]});
		shake_hands(r, &late, 1);
		assert_int_equal(r->worker->n_over_tls, 2);
		r->config.n_listeners = 0;
		rig_reload(r);
		shake_hands(r, &late, 8);
		assert_true(late.connected);
		tls_peer_read(&late, got, sizeof(got));
		assert_true(late.ended);
		assert_int_equal(fake_pair_fate(r->clients[1], 0), FAKE_CLOSED);
		assert_true(snapshot_is_unused(r->previous));
		tls_peer_fini(&early);
		tls_peer_fini(&late);
		r->config.n_listeners = 1;
		rig_reload(r);
		rig_done(&r);
	}
}

static unsigned n_open(struct rig *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_clients; i++)
		n += !rig_client_closed(r, i);
	return n;
}

// A hundred thousand at once would hold up everybody else's packets for more than a second.
static void connections_of_a_removed_listener_end_a_few_at_a_time(void)
{
	enum { N = 5 * SWEEP_ENDS };
	struct rig *r = rig_new();

	rig_start(r);
	for (unsigned i = 0; i < N; i++)
		rig_client(r);
	r->config.n_listeners = 0;
	rig_reload(r);
	assert_int_equal(n_open(r), N - SWEEP_ENDS);
	// The next in turn goes by itself, and so does the last.
	stream_abort(&(struct stream *){rig_client_stream(r, SWEEP_ENDS)});
	stream_abort(&(struct stream *){rig_client_stream(r, N - 1)});
	rig_pump(r);
	for (unsigned left = N - SWEEP_ENDS - 2; left > 0; left = n_open(r)) {
		router_worker_sweep(r->worker, r->now_us);
		assert_int_equal(n_open(r), left > SWEEP_ENDS ? left - SWEEP_ENDS : 0);
	}
	assert_false(router_worker_sweep(r->worker, r->now_us));
	assert_int_equal(r->worker->connections.n_used, 0);
	r->config.n_listeners = 1;
	rig_reload(r);
	rig_done(&r);
}

static void a_route_table_that_goes_leaves_404(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_upstream_says(r, 0, OK);
	rig_client_got(r, c);
	r->table.name = "http.8081";
	rig_reload(r);
	rig_client_says(r, c, GET);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 404 ");
	rig_done(&r);
}

// More than are looked at in one turn, and another configuration comes meanwhile.
static void draining_reaches_all_connections(void)
{
	enum { N = 400 };
	struct rig *r = rig_new();

	r->capacity.connections = N;
	rig_start(r);
	for (unsigned i = 0; i < N; i++)
		rig_client(r);
	router_worker_drain(r->worker, 1000, r->now_us);
	rig_pass_ms(r, 2);
	assert_in_range(n_open(r), 1, N - 1);
	rig_reload(r);
	while (router_worker_sweep(r->worker, r->now_us))
		;
	rig_pass_ms(r, 2);
	assert_int_equal(n_open(r), 0);
	rig_done(&r);
}

static void draining_closes_idle_connections_and_tells_the_others(void)
{
	struct rig *r = rig_new();
	unsigned busy, idle;

	rig_start(r);
	busy = rig_client(r);
	idle = rig_client(r);
	rig_client_says(r, busy, GET);
	router_worker_drain(r->worker, 1000000, r->now_us);
	rig_pass_ms(r, 1001);
	assert_int_equal(fake_pair_fate(r->clients[idle], 0), FAKE_CLOSED);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, busy), "\r\nconnection: close\r\n");
	assert_int_equal(fake_pair_fate(r->clients[busy], 0), FAKE_CLOSED);
	// New ones are served until the listeners close.
	idle = rig_client(r);
	rig_client_says(r, idle, GET);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, idle), "\r\n\r\nok");
	// But not waited for, if they do not ask.
	idle = rig_client(r);
	rig_pass_ms(r, 999);
	assert_false(rig_client_closed(r, idle));
	rig_pass_ms(r, 2);
	assert_int_equal(fake_pair_fate(r->clients[idle], 0), FAKE_CLOSED);
	router_worker_stop_listening(r->worker);
	assert_int_equal(r->n_stopped, 1);
	rig_done(&r);
}

static void what_is_left_is_cut_and_counted(void)
{
	struct rig *r = rig_new();

	rig_start(r);
	rig_client_says(r, rig_client(r), GET);
	rig_client(r);
	assert_int_equal(router_worker_abort_all(r->worker, r->now_us), 1);
	assert_int_equal(r->worker->connections.n_used, 0);
	rig_assert_log(r, "0 DC downstream_local_disconnect(drained) 0 0");
	rig_assert_quiet(r);
	rig_done(&r);
}

TESTS(TEST(state_and_endpoints_are_taken_over_by_identity), TEST(clusters_are_found_by_name),
	TEST(readiness_follows_the_configuration_when_it_is_published),
	TEST(a_request_under_way_ends_under_the_snapshot_it_began_with),
	TEST(idle_connections_to_removed_endpoints_are_closed),
	TEST(many_reloads_under_traffic_lose_nothing),
	TEST(connections_of_a_removed_listener_end_after_their_answer),
	TEST(connections_of_a_removed_listener_end_a_few_at_a_time),
	TEST(a_handshake_that_outlives_its_listener_ends_with_the_connection),
	TEST(a_route_table_that_goes_leaves_404), TEST(draining_reaches_all_connections),
	TEST(draining_closes_idle_connections_and_tells_the_others),
	TEST(what_is_left_is_cut_and_counted))
