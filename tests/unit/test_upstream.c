// Pools of connections to endpoints: reuse, breakers (reference 3.4), and the race with an endpoint that closes.

#include "tests/router_rig.h"

#define GET  "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\n\r\nabc"
#define OK   "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

static unsigned client_asks(struct rig *r, const char *request)
{
	unsigned c = rig_client(r);

	rig_client_says(r, c, request);
	return c;
}

static void assert_overflow(struct rig *r, unsigned c)
{
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 503 Service Unavailable\r\n");
	rig_assert_has(r->text, "\r\nx-envoy-overloaded: true\r\n");
	rig_assert_has(r->text, "reset reason: overflow");
	rig_assert_log(r, "503 UO upstream_reset_before_response_started{overflow} 0 81");
}

// Reference A10.
static void one_connection_and_one_pending_request(void)
{
	struct rig *r = rig_new();
	unsigned c[3];

	r->cluster.max_connections = 1;
	r->cluster.max_pending_requests = 1;
	rig_start(r);
	c[0] = client_asks(r, GET);
	c[1] = client_asks(r, GET);
	assert_int_equal(r->n_upstreams, 1);
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_overflow, 1);
	assert_int_equal(rig_cluster_state(r)->pending, 1);
	c[2] = client_asks(r, GET);
	assert_overflow(r, c[2]);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_pending_overflow, 1);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c[0]), "\r\n\r\nok");
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c[1]), "\r\n\r\nok");
	assert_int_equal(r->n_upstreams, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_request_that_waits_for_its_connection_is_pending(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->connect = RIG_HANGS;
	r->cluster.max_connections = 1;
	r->cluster.max_pending_requests = 1;
	rig_start(r);
	client_asks(r, GET);
	c = client_asks(r, GET);
	assert_overflow(r, c);
	rig_done(&r);
}

static void concurrent_requests_are_limited_on_kept_connections_too(void)
{
	struct rig *r = rig_new();
	unsigned c[3];

	r->cluster.max_requests = 2;
	rig_start(r);
	for (unsigned i = 0; i < 2; i++)
		c[i] = client_asks(r, GET);
	for (unsigned i = 0; i < 2; i++)
		rig_upstream_says(r, i, OK);
	for (unsigned i = 0; i < 2; i++) {
		rig_assert_log(r, "200 - via_upstream 0 2");
		rig_client_says(r, c[i], GET);
	}
	c[2] = client_asks(r, GET);
	assert_overflow(r, c[2]);
	for (unsigned i = 0; i < 2; i++)
		rig_upstream_says(r, i, OK);
	rig_client_says(r, c[2], GET);
	rig_upstream_says(r, 1, OK);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void overflow_is_not_retried_and_not_held_against_the_endpoint(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->cluster.max_pending_requests = 0;
	rig_eject_at_once(r);
	r->route.retry = (struct retry_config){.attempts = 2, .on = RETRY_5XX};
	rig_start(r);
	c = client_asks(r, GET);
	assert_overflow(r, c);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_retry, 0);
	assert_true(endpoint_is_healthy(r->snapshot->clusters[0].endpoints[0]));
	rig_done(&r);
}

static void failures_eject_the_endpoint_at_once(void)
{
	struct rig *r = rig_new();

	r->cluster.n_endpoints = 2;
	rig_eject_at_once(r);
	rig_start(r);
	client_asks(r, GET);
	rig_upstream_says(r, 0, "HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n");
	// Its connection goes with it.
	assert_true(rig_upstream_closed(r, 0));
	for (unsigned i = 0; i < 4; i++) {
		client_asks(r, GET);
		rig_upstream_says(r, 1, OK);
	}
	assert_int_equal(r->n_upstreams, 2);
	assert_true(!ip_addr_equal(&r->upstream_remote[0].addr, &r->upstream_remote[1].addr));
	rig_done(&r);
}

static void a_failed_connect_fails_all_who_wait_for_that_endpoint(void)
{
	struct rig *r = rig_new();
	unsigned c[2];

	r->connect = RIG_HANGS;
	r->cluster.max_connections = 1;
	rig_start(r);
	c[0] = client_asks(r, GET);
	c[1] = client_asks(r, GET);
	assert_int_equal(r->n_upstreams, 1);
	fake_fail(fake_pair_end(r->upstreams[0], 0), STREAM_ERROR_REFUSED);
	rig_pump(r);
	for (unsigned i = 0; i < 2; i++)
		rig_assert_has(rig_client_got(r, c[i]), "reset reason: remote connection failure");
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_pending_failure_eject, 2);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_connection_nobody_waits_for_any_more_is_kept(void)
{
	struct rig *r = rig_new();
	struct stream *client;
	unsigned c;

	r->connect = RIG_HANGS;
	rig_start(r);
	client = rig_client_stream(r, client_asks(r, GET));
	stream_abort(&client);
	rig_pump(r);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_cancelled, 1);
	fake_connected(fake_pair_end(r->upstreams[0], 0));
	rig_pump(r);
	c = client_asks(r, GET);
	assert_int_equal(r->n_upstreams, 1);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
	rig_done(&r);
}

static void the_connection_used_last_is_used_first(void)
{
	struct rig *r = rig_new();

	rig_start(r);
	client_asks(r, GET);
	client_asks(r, GET);
	rig_upstream_says(r, 1, OK);
	rig_upstream_says(r, 0, OK);
	rig_upstream_got(r, 0);
	client_asks(r, GET);
	rig_assert_begins(rig_upstream_got(r, 0), "GET ");
	rig_done(&r);
}

static void idle_connections_are_closed_after_their_time(void)
{
	struct rig *r = rig_new();

	r->cluster.idle_timeout_us = 1000000;
	rig_start(r);
	client_asks(r, GET);
	rig_upstream_says(r, 0, OK);
	rig_pass_ms(r, 990);
	assert_false(rig_upstream_closed(r, 0));
	rig_pass_ms(r, 20);
	assert_int_equal(fake_pair_fate(r->upstreams[0], 0), FAKE_CLOSED);
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_idle_timeout, 1);
	rig_done(&r);
}

// What makes a connection that was to be kept useless.
static void connections_that_cannot_be_kept_are_closed(void)
{
	static const struct {
		const char *answer;
		bool fin;
		uint32_t max_requests_per_connection;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", false, 0},
		{"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",                      false, 0},
		{OK "HTTP/1.1 200 OK\r\n",					      false, 0},
		{OK,								    true,  0},
		{OK,								    false, 1},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_new();
		unsigned c;

		r->cluster.max_requests_per_connection = cases[i].max_requests_per_connection;
		rig_start(r);
		c = client_asks(r, GET);
		rig_put(rig_upstream_stream(r, 0), cases[i].answer);
		if (cases[i].fin)
			stream_shutdown(rig_upstream_stream(r, 0));
		rig_pump(r);
		rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
		assert_false(rig_client_closed(r, c));
		assert_true(rig_upstream_closed(r, 0));
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

static void bytes_on_an_idle_connection_end_it(void)
{
	struct rig *r = rig_new();

	rig_start(r);
	client_asks(r, GET);
	rig_upstream_says(r, 0, OK);
	assert_false(rig_upstream_closed(r, 0));
	rig_upstream_says(r, 0, OK);
	assert_true(rig_upstream_closed(r, 0));
	rig_done(&r);
}

// What the endpoint has said or done reaches us in the same burst as the request that would use its connection, behind it.
static void connections_are_not_used_behind_what_came_on_them(void)
{
	for (unsigned what = 0; what < 3; what++) {
		struct rig *r = rig_new();
		unsigned c;

		r->cluster.max_connections = 1;
		rig_start(r);
		c = client_asks(r, POST);
		rig_upstream_says(r, 0, OK);
		rig_client_got(r, c);
		switch (what) {
		case 0: rig_put(rig_upstream_stream(r, 0), "HTTP/1.1 408 x\r\n\r\n"); break;
		case 1: stream_shutdown(rig_upstream_stream(r, 0)); break;
		default: fake_fail(fake_pair_end(r->upstreams[0], 0), STREAM_ERROR_RESET);
		}
		fake_arrive(fake_pair_end(r->upstreams[0], 0));
		rig_client_says(r, c, POST);
		assert_true(rig_upstream_closed(r, 0));
		assert_int_equal(r->n_upstreams, 2);
		rig_assert_has(rig_upstream_got(r, 1), "\r\n\r\nabc");
		rig_upstream_says(r, 1, OK);
		rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 200 OK\r\n");
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

// A reload may make connections that are kept unfit for what comes; they must not stand in its way either.
static void kept_connections_that_are_not_for_a_request_make_room(void)
{
	for (unsigned what = 0; what < 3; what++) {
		struct rig *r = rig_new();
		unsigned c;

		r->cluster.max_connections = 1;
		r->cluster.proxy_version = what == 0 ? 1 : 0;
		rig_start(r);
		c = client_asks(r, GET);
		rig_upstream_says(r, 0, OK);
		rig_client_got(r, c);
		assert_false(rig_upstream_closed(r, 0));
		r->cluster.proxy_version = what == 1 ? 1 : 0;
		r->cluster.max_requests_per_connection = what == 2 ? 1 : 0;
		rig_reload(r);
		rig_client_says(r, c, GET);
		assert_int_equal(r->n_upstreams, 2);
		assert_true(rig_upstream_closed(r, 0));
		rig_upstream_says(r, 1, OK);
		rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 200 OK\r\n");
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

// Before a request is refused for want of a place, the connection that is idle longest gives its own, whichever endpoint it is to.
static void an_idle_connection_to_another_endpoint_makes_room(void)
{
	struct rig *r = rig_new();
	unsigned c[3];

	r->cluster.n_endpoints = 3;
	r->capacity.upstream_connections = 2;
	rig_start(r);
	for (unsigned i = 0; i < 2; i++)
		c[i] = client_asks(r, GET);
	for (unsigned i = 2; i-- > 0;)
		rig_upstream_says(r, i, OK);
	c[2] = client_asks(r, GET);
	assert_int_equal(r->n_upstreams, 3);
	assert_false(rig_upstream_closed(r, 0));
	assert_true(rig_upstream_closed(r, 1));
	rig_upstream_says(r, 2, OK);
	for (unsigned i = 0; i < 3; i++)
		rig_assert_has(rig_client_got(r, c[i]), "\r\n\r\nok");
	assert_int_equal(r->stats.upstream_evicted, 1);
	assert_int_equal(r->stats.upstream_pool_empty, 0);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void connections_at_work_do_not_make_room(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->cluster.n_endpoints = 2;
	r->capacity.upstream_connections = 1;
	rig_start(r);
	client_asks(r, GET);
	c = client_asks(r, GET);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nenvoy overloaded");
	assert_int_equal(r->stats.upstream_evicted, 0);
	assert_int_equal(r->stats.upstream_pool_empty, 1);
	rig_done(&r);
}

// A kept connection that the endpoint closes just as it is used (demands 33).
static void run_stale(const char *request, bool arrived, bool replayed)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = client_asks(r, GET);
	rig_upstream_got(r, 0);
	rig_upstream_says(r, 0, OK);
	rig_client_got(r, c);
	rig_assert_log(r, "200 - via_upstream 0 2");
	fake_set_held(fake_pair_end(r->upstreams[0], 0), !arrived);
	rig_client_says(r, c, request);
	stream_abort(&(struct stream *){rig_upstream_stream(r, 0)});
	rig_pump(r);
	assert_int_equal(r->stats.upstream_replays, replayed);
	if (replayed) {
		assert_int_equal(r->n_upstreams, 2);
		rig_upstream_got(r, 1);
		rig_assert_begins(r->text, request[0] == 'G' ? "GET " : "POST ");
		rig_assert_has(r->text, "\r\nx-envoy-attempt-count: 1\r\n");
		if (request[0] == 'P')
			rig_assert_has(r->text, "\r\n\r\nabc");
		rig_upstream_says(r, 1, OK);
		rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 200 OK\r\n");
	} else {
		rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 503 ");
	}
	rig_assert_quiet(r);
	rig_done(&r);
}

static void stale_connections_are_replaced_when_the_request_may_be_sent_again(void)
{
	run_stale(GET, false, true);
	run_stale(GET, true, true);
	run_stale(POST, false, true);
	run_stale(POST, true, false);
}

// A replay takes no connection that was used before. When there may not be another one, one that was has to go.
static void a_replay_gets_its_connection_where_no_more_may_be(void)
{
	struct rig *r = rig_new();
	unsigned c[2];

	r->cluster.max_connections = 1;
	rig_start(r);
	c[0] = client_asks(r, GET);
	rig_upstream_says(r, 0, OK);
	rig_client_got(r, c[0]);
	rig_client_says(r, c[0], GET);
	c[1] = client_asks(r, GET); // waits, and is first when the connection dies
	stream_abort(&(struct stream *){rig_upstream_stream(r, 0)});
	rig_pump(r);
	assert_int_equal(r->n_upstreams, 2);
	rig_upstream_says(r, 1, OK);
	rig_assert_begins(rig_client_got(r, c[1]), "HTTP/1.1 200 OK\r\n");
	assert_int_equal(r->n_upstreams, 3);
	assert_true(rig_upstream_closed(r, 1));
	rig_upstream_says(r, 2, OK);
	rig_assert_begins(rig_client_got(r, c[0]), "HTTP/1.1 200 OK\r\n");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_replay_that_fails_too_is_the_end(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = client_asks(r, GET);
	rig_upstream_says(r, 0, OK);
	rig_client_got(r, c);
	rig_assert_log(r, "200 - via_upstream 0 2");
	rig_client_says(r, c, GET);
	for (unsigned i = 0; i < 2; i++) {
		stream_abort(&(struct stream *){rig_upstream_stream(r, i)});
		rig_pump(r);
	}
	rig_assert_log(
		r, "503 UC upstream_reset_before_response_started{connection_termination} 0 95");
	assert_int_equal(r->n_upstreams, 2);
	rig_assert_quiet(r);
	rig_done(&r);
}

TESTS(TEST(one_connection_and_one_pending_request),
	TEST(a_request_that_waits_for_its_connection_is_pending),
	TEST(concurrent_requests_are_limited_on_kept_connections_too),
	TEST(overflow_is_not_retried_and_not_held_against_the_endpoint),
	TEST(failures_eject_the_endpoint_at_once),
	TEST(a_failed_connect_fails_all_who_wait_for_that_endpoint),
	TEST(a_connection_nobody_waits_for_any_more_is_kept),
	TEST(the_connection_used_last_is_used_first),
	TEST(idle_connections_are_closed_after_their_time),
	TEST(connections_that_cannot_be_kept_are_closed), TEST(bytes_on_an_idle_connection_end_it),
	TEST(connections_are_not_used_behind_what_came_on_them),
	TEST(kept_connections_that_are_not_for_a_request_make_room),
	TEST(an_idle_connection_to_another_endpoint_makes_room),
	TEST(connections_at_work_do_not_make_room),
	TEST(stale_connections_are_replaced_when_the_request_may_be_sent_again),
	TEST(a_replay_gets_its_connection_where_no_more_may_be),
	TEST(a_replay_that_fails_too_is_the_end))
