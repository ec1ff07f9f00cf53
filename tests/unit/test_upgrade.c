// WebSocket over HTTP/1.1 on both sides: what is let through, what is held back until 101, and how a tunnel ends.

#include "tests/router_rig.h"

#define ASK                                                        \
	"GET /chat HTTP/1.1\r\nHost: shop.example\r\nConnection: " \
	"keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"            \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define SWITCH                                                                   \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: " \
	"Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

static unsigned ask(struct rig *r)
{
	unsigned c = rig_client(r);

	rig_client_says(r, c, ASK);
	return c;
}

// A tunnel with nothing said in it yet.
static unsigned switched(struct rig *r)
{
	unsigned c = ask(r);

	rig_upstream_got(r, 0);
	rig_upstream_says(r, 0, SWITCH);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 101 Switching Protocols\r\n");
	assert_int_equal(rig_hcm(r)->downstream_cx_upgrades_active, 1);
	return c;
}

static void client_ends(struct rig *r, unsigned c)
{
	stream_shutdown(rig_client_stream(r, c));
	rig_pump(r);
}

static void upstream_ends(struct rig *r, unsigned u)
{
	stream_shutdown(rig_upstream_stream(r, u));
	rig_pump(r);
}

static void assert_over(struct rig *r, unsigned c, const char *log)
{
	rig_assert_log(r, log);
	assert_true(rig_client_closed(r, c));
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(rig_hcm(r)->downstream_cx_upgrades_active, 0);
	rig_assert_quiet(r);
}

static void run_talk(size_t piece)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	fake_set_piece(fake_pair_end(r->clients[c], 0), piece);
	rig_client_says(r, c, ASK);
	fake_set_piece(fake_pair_end(r->upstreams[0], 0), piece);
	rig_upstream_got(r, 0);
	rig_assert_begins(r->text, "GET /chat HTTP/1.1\r\nhost: shop.example\r\n");
	rig_assert_has(r->text, "\r\nupgrade: WebSocket\r\n");
	rig_assert_has(r->text, "\r\nconnection: upgrade\r\n");
	rig_assert_has(r->text, "\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
	rig_assert_has(r->text, "\r\nx-forwarded-for: 10.77.1.1\r\n");
	rig_assert_not(r->text, "content-length");
	rig_assert_not(r->text, "transfer-encoding");
	rig_upstream_says(r, 0, SWITCH "hi");
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n");
	rig_assert_has(r->text, "\r\nconnection: upgrade\r\n");
	rig_assert_has(r->text, "\r\nserver: istio-envoy\r\n");
	rig_assert_has(r->text, "\r\n\r\nhi");
	rig_assert_no_log(r);
	rig_client_says(r, c, "hello");
	assert_string_equal(rig_upstream_got(r, 0), "hello");
	rig_upstream_says(r, 0, "welcome");
	assert_string_equal(rig_client_got(r, c), "welcome");
	client_ends(r, c);
	assert_true(stream_read_ended(rig_upstream_stream(r, 0)));
	rig_upstream_says(r, 0, "bye");
	assert_string_equal(rig_client_got(r, c), "bye");
	assert_int_equal(rig_hcm(r)->downstream_cx_upgrades_total, 1);
	upstream_ends(r, 0);
	assert_over(r, c, "101 - via_upstream 5 12");
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_CLOSED);
	assert_int_equal(fake_pair_fate(r->upstreams[0], 0), FAKE_CLOSED);
	rig_done(&r);
}

static void bytes_pass_both_ways_and_each_side_ends_by_itself(void)
{
	static const size_t pieces[] = {0, 1, 3};

	for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		run_talk(pieces[i]);
}

static void endpoint_may_end_first(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = switched(r);
	rig_upstream_says(r, 0, "last words");
	upstream_ends(r, 0);
	assert_string_equal(rig_client_got(r, c), "last words");
	assert_true(stream_read_ended(rig_client_stream(r, c)));
	rig_client_says(r, c, "still here");
	assert_string_equal(rig_upstream_got(r, 0), "still here");
	client_ends(r, c);
	assert_over(r, c, "101 - via_upstream 10 10");
	rig_done(&r);
}

static void early_bytes_are_held_until_101(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, ASK "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n");
	rig_assert_not(rig_upstream_got(r, 0), "smuggled");
	client_ends(r, c);
	assert_string_equal(rig_upstream_got(r, 0), "");
	assert_false(stream_read_ended(rig_upstream_stream(r, 0)));
	rig_upstream_says(r, 0, SWITCH);
	assert_string_equal(rig_upstream_got(r, 0), "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n");
	assert_true(stream_read_ended(rig_upstream_stream(r, 0)));
	upstream_ends(r, 0);
	assert_over(r, c, "101 - via_upstream 35 0");
	rig_done(&r);
}

// CVE-2024-23326 (Envoy), CVE-2026-2833 (Pingora): any other answer than 101 is no switch, and what the client sent behind its
// request goes nowhere.
static void other_answers_pass_and_nothing_behind_the_request_does(void)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: "
		"2\r\n\r\nno",
		"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
		"HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\ntransfer-encoding: "
		"chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
	};

	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct rig *r = rig_new();
		char log[64];
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, ASK "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n");
		rig_upstream_got(r, 0);
		rig_upstream_says(r, 0, answers[i]);
		rig_client_got(r, c);
		rig_assert_has(r->text, "no");
		rig_assert_has(r->text, "\r\nconnection: close\r\n");
		rig_assert_not(r->text, "upgrade:");
		assert_string_equal(rig_upstream_got(r, 0), "");
		assert_int_equal(r->n_upstreams, 1);
		snprintf(log, sizeof(log), "%.3s - via_upstream 0 2", answers[i] + 9);
		assert_over(r, c, log);
		assert_int_equal(fake_pair_fate(r->upstreams[0], 0), FAKE_CLOSED);
		rig_done(&r);
	}
}

#define HEAD_UP "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n"

static const struct refused {
	const char *request;
	const char *status;
	const char *log;
} refused[] = {
	{HEAD_UP "upgrade: foo\r\n\r\n",						    "403", "403 - upgrade_failed 0 0"},
	{HEAD_UP "upgrade: websocket, foo\r\n\r\n",                                         "403", "403 - upgrade_failed 0 0"},
	{HEAD_UP "upgrade: websocket\r\nupgrade: websocket\r\n\r\n",                        "403",
         "403 - upgrade_failed 0 0"											  },
	{HEAD_UP "upgrade: TLS/1.0\r\n\r\n",						"403", "403 - upgrade_failed 0 0"},
	{"POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "403",
         "403 - upgrade_failed 0 0"											  },
	{HEAD_UP "upgrade: websocket\r\ncontent-length: 3\r\n\r\nabc",                      "400",
         "400 DPE http1.body_disallowed{body_forbidden} 0 11"                                                                },
	{HEAD_UP "upgrade: websocket\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",       "400",
         "400 DPE http1.body_disallowed{body_forbidden} 0 11"                                                                },
};

static void other_protocols_and_bodies_are_refused(void)
{
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct rig *r = rig_new();
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, refused[i].request);
		rig_client_got(r, c);
		assert_memory_equal(r->text + 9, refused[i].status, 3);
		rig_assert_has(r->text, "\r\nconnection: close\r\n");
		rig_assert_log(r, refused[i].log);
		assert_true(rig_client_closed(r, c));
		assert_int_equal(r->n_upstreams, 0);
		assert_int_equal(rig_hcm(r)->downstream_rq_ws_on_non_ws_route,
			refused[i].status[2] == '3' ? 1 : 0);
		assert_int_equal(rig_hcm(r)->downstream_cx_upgrades_total, 0);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

// As if it had not been asked for: the connection goes on with HTTP/1.1.
static void h2c_and_an_upgrade_without_connection_are_not_listened_to(void)
{
	static const char *const requests[] = {
		"POST / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: "
		"h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\ncontent-length: 3\r\n\r\nabc",
	};

	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct rig *r = rig_new();
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, requests[i]);
		rig_upstream_got(r, 0);
		rig_assert_has(r->text, "\r\n\r\nabc");
		rig_assert_not(r->text, "upgrade");
		rig_assert_not(r->text, "http2-settings");
		rig_upstream_says(r, 0, "HTTP/1.1 204 No Content\r\n\r\n");
		rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 204 No Content\r\n");
		assert_false(rig_client_closed(r, c));
		assert_false(rig_upstream_closed(r, 0));
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

static void a_101_that_does_not_fit_is_refused(void)
{
	static const char *const answers[] = {
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: "
		"websocket\r\nupgrade: foo\r\n\r\n",
		"HTTP/1.0 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: "
		"websocket\r\n\r\n",
	};

	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct rig *r = rig_new();
		unsigned c;

		rig_start(r);
		c = ask(r);
		rig_upstream_says(r, 0, answers[i]);
		rig_client_got(r, c);
		rig_assert_begins(r->text, "HTTP/1.1 502 Bad Gateway\r\n");
		rig_assert_has(r->text, "\r\nconnection: close\r\n");
		assert_true(rig_client_closed(r, c));
		assert_true(rig_upstream_closed(r, 0));
		assert_int_equal(rig_cluster_stats(r)->upstream_cx_protocol_error, 1);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

// A megabyte each way at the same time, between peers that take it in small portions.
static void a_megabyte_each_way_passes_slow_readers(void)
{
	static uint8_t up[1 << 20], down[1 << 20], got[1 << 20];
	size_t up_sent = 0, down_sent = 0, up_got = 0, down_got = 0;
	struct rig *r = rig_new();
	unsigned c;

	for (size_t i = 0; i < sizeof(up); i++) {
		up[i] = (uint8_t)(i * 7 + (i >> 9));
		down[i] = (uint8_t)(i * 13 + (i >> 11));
	}
	r->upstream_room = 3000;
	rig_start(r);
	c = switched(r);
	fake_set_room(fake_pair_end(r->clients[c], 0), 5000);
	while (up_got < sizeof(up) || down_got < sizeof(down)) {
		struct stream *client = rig_client_stream(r, c);
		struct stream *endpoint = rig_upstream_stream(r, 0);
		size_t n;

		up_sent +=
			stream_write(client, bytes_of(up + up_sent, sizeof(up) - up_sent), false);
		down_sent += stream_write(
			endpoint, bytes_of(down + down_sent, sizeof(down) - down_sent), false);
		rig_pump(r);
		n = fake_take(endpoint, got, 2000);
		assert_memory_equal(got, up + up_got, n);
		up_got += n;
		n = fake_take(client, got, 1500);
		assert_memory_equal(got, down + down_got, n);
		down_got += n;
		rig_pump(r);
	}
	upstream_ends(r, 0);
	client_ends(r, c);
	assert_over(r, c, "101 - via_upstream 1048576 1048576");
	rig_done(&r);
}

// One side stalls: the other is pushed back after what fits in between, and its opposite direction goes on.
static void a_stalled_direction_pushes_back_alone(void)
{
	static uint8_t block[1 << 16];
	struct rig *r = rig_new();
	size_t sent = 0, n;
	unsigned c;

	r->upstream_room = 3000;
	rig_start(r);
	c = switched(r);
	do {
		n = stream_write(rig_client_stream(r, c), bytes_of(block, sizeof(block)), false);
		sent += n;
		rig_pump(r);
	} while (n > 0);
	assert_true(sent < 3 * sizeof(block));
	rig_upstream_says(r, 0, "go on");
	assert_string_equal(rig_client_got(r, c), "go on");
	fake_fail(fake_pair_end(r->clients[c], 0), STREAM_ERROR_RESET);
	rig_pump(r);
	assert_int_equal(fake_pair_fate(r->upstreams[0], 0), FAKE_ABORTED);
	rig_assert_quiet(r);
	rig_done(&r);
}

enum stage {
	CONNECTING,
	ASKED,
	OPEN,
	CLIENT_ENDED,
	ENDPOINT_ENDED,
	N_STAGES,
};

static unsigned reach(struct rig *r, enum stage stage)
{
	unsigned c;

	r->connect = stage == CONNECTING ? RIG_HANGS : RIG_ACCEPTS;
	rig_start(r);
	c = stage < OPEN ? ask(r) : switched(r);
	if (stage == CLIENT_ENDED)
		client_ends(r, c);
	if (stage == ENDPOINT_ENDED)
		upstream_ends(r, 0);
	return c;
}

static void client_aborts_at_every_stage(void)
{
	static const char *const logs[N_STAGES] = {
		[CONNECTING] = "0 DC downstream_remote_disconnect 0 0",
		[ASKED] = "0 DC downstream_remote_disconnect 0 0",
		[OPEN] = "101 DC downstream_remote_disconnect 0 0",
		[CLIENT_ENDED] = "101 DC downstream_remote_disconnect 0 0",
		[ENDPOINT_ENDED] = "101 DC downstream_remote_disconnect 0 0",
	};

	for (enum stage s = CONNECTING; s < N_STAGES; s++) {
		struct rig *r = rig_new();
		unsigned c = reach(r, s);

		fake_fail(fake_pair_end(r->clients[c], 0), STREAM_ERROR_RESET);
		rig_pump(r);
		rig_assert_log(r, logs[s]);
		assert_true(rig_client_closed(r, c));
		if (s != CONNECTING)
			assert_int_equal(fake_pair_fate(r->upstreams[0], 0), FAKE_ABORTED);
		assert_int_equal(rig_hcm(r)->downstream_cx_upgrades_active, 0);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

static void endpoint_aborts_at_every_stage(void)
{
	static const char *const logs[N_STAGES] = {
		[ASKED] = "503 UC upstream_reset_before_response_started{connection_termination} 0 "
			  "95",
		[OPEN] = "101 UC upstream_reset_after_response_started{connection_termination} 0 0",
		[CLIENT_ENDED] =
			"101 UC upstream_reset_after_response_started{connection_termination} 0 0",
		[ENDPOINT_ENDED] =
			"101 UC upstream_reset_after_response_started{connection_termination} 0 0",
	};

	for (enum stage s = ASKED; s < N_STAGES; s++) {
		struct rig *r = rig_new();
		unsigned c = reach(r, s);

		fake_fail(fake_pair_end(r->upstreams[0], 0), STREAM_ERROR_RESET);
		rig_pump(r);
		assert_int_equal(
			fake_pair_fate(r->clients[c], 0), s == ASKED ? FAKE_CLOSED : FAKE_ABORTED);
		assert_over(r, c, logs[s]);
		rig_done(&r);
	}
}

static void retries_end_with_the_101(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->route.retry = (struct retry_config){.attempts = 3,
		.on = RETRY_5XX | RETRY_CONNECT_FAILURE | RETRY_RESET,
		.backoff_base_us = 25000};
	r->refuse_first = 1;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, ASK "early");
	rig_pass_ms(r, 100);
	assert_int_equal(r->n_upstreams, 2);
	rig_assert_not(rig_upstream_got(r, 1), "early");
	rig_upstream_says(r, 1, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
	rig_pass_ms(r, 200);
	assert_int_equal(r->n_upstreams, 3);
	rig_assert_not(rig_upstream_got(r, 2), "early");
	rig_upstream_says(r, 2, SWITCH);
	assert_string_equal(rig_upstream_got(r, 2), "early");
	fake_fail(fake_pair_end(r->upstreams[2], 0), STREAM_ERROR_RESET);
	rig_pass_ms(r, 200);
	assert_int_equal(r->n_upstreams, 3);
	rig_assert_log(
		r, "101 UC upstream_reset_after_response_started{connection_termination} 5 0");
	assert_true(rig_client_closed(r, c));
	rig_assert_quiet(r);
	rig_done(&r);
}

// Reference 2.9: of an upgrade the route's timeout counts from the attempt on, and the tunnel is the response.
static void route_timeout_ends_the_wait_and_the_tunnel(void)
{
	for (unsigned open = 0; open < 2; open++) {
		struct rig *r = rig_new();
		unsigned c;

		r->route.timeout_us = 50000;
		rig_start(r);
		c = open ? switched(r) : ask(r);
		rig_pass_ms(r, 49);
		rig_assert_no_log(r);
		rig_pass_ms(r, 2);
		assert_over(r, c,
			open ? "101 UT response_timeout 0 0" : "504 UT response_timeout 0 24");
		rig_done(&r);
	}
}

static void try_timeout_ends_with_the_101(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->route.retry = (struct retry_config){.per_try_timeout_us = 50000};
	rig_start(r);
	c = switched(r);
	rig_pass_ms(r, 100);
	rig_assert_no_log(r);
	client_ends(r, c);
	upstream_ends(r, 0);
	assert_over(r, c, "101 - via_upstream 0 0");
	rig_done(&r);
	r = rig_new();
	r->route.retry = (struct retry_config){.per_try_timeout_us = 50000};
	rig_start(r);
	c = ask(r);
	rig_pass_ms(r, 51);
	assert_over(r, c, "504 UT upstream_per_try_timeout 0 24");
	rig_done(&r);
}

static void a_silent_tunnel_stays_and_a_half_closed_one_does_not(void)
{
	for (unsigned half = 0; half < 2; half++) {
		struct rig *r = rig_new();
		unsigned c;

		r->config.http.idle_timeout_us = 200000;
		r->config.http.body_timeout_us = half * 100000;
		rig_start(r);
		c = switched(r);
		rig_pass_ms(r, 1000);
		rig_assert_no_log(r);
		client_ends(r, c);
		rig_pass_ms(r, 500);
		assert_over(r, c, "101 SI stream_idle_timeout 0 0");
		rig_done(&r);
	}
}

static void a_drain_lets_tunnels_be_until_its_end(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = switched(r);
	router_worker_drain(r->worker, 100000, r->now_us);
	rig_pass_ms(r, 200);
	rig_client_says(r, c, "still");
	assert_string_equal(rig_upstream_got(r, 0), "still");
	assert_int_equal(router_worker_abort_all(r->worker, r->now_us), 1);
	rig_pump(r);
	assert_over(r, c, "101 DC downstream_local_disconnect(drained) 5 0");
	rig_done(&r);
}

TESTS(TEST(bytes_pass_both_ways_and_each_side_ends_by_itself), TEST(endpoint_may_end_first),
	TEST(early_bytes_are_held_until_101),
	TEST(other_answers_pass_and_nothing_behind_the_request_does),
	TEST(other_protocols_and_bodies_are_refused),
	TEST(h2c_and_an_upgrade_without_connection_are_not_listened_to),
	TEST(a_101_that_does_not_fit_is_refused), TEST(a_megabyte_each_way_passes_slow_readers),
	TEST(a_stalled_direction_pushes_back_alone), TEST(client_aborts_at_every_stage),
	TEST(endpoint_aborts_at_every_stage), TEST(retries_end_with_the_101),
	TEST(route_timeout_ends_the_wait_and_the_tunnel), TEST(try_timeout_ends_with_the_101),
	TEST(a_silent_tunnel_stays_and_a_half_closed_one_does_not),
	TEST(a_drain_lets_tunnels_be_until_its_end))
