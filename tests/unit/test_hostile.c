// Clients that hold what they can get: each is ended at a limit with a counter of its own, and what is slow for a good reason
// is left alone. The floods of HTTP/2 are in test_h2_floods.c.

#include "tests/h2_peer.h"

#define GET  "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
#define OK   "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define BODY "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n"

static char zeros[60000];

// 100 bytes a second over 10 seconds.
static struct rig *rig_with_rate(void)
{
	struct rig *r = rig_new();

	r->config.http.min_body_rate = 100;
	r->config.http.body_rate_window_us = 10000000;
	return r;
}

static void says_slowly(struct rig *r, unsigned c, const char *bytes, unsigned every_ms, unsigned n)
{
	for (unsigned i = 0; i < n && !rig_client_closed(r, c); i++) {
		rig_client_says(r, c, bytes);
		rig_pass_ms(r, every_ms);
	}
}

static void trickling_body_is_408(void)
{
	static const char *const heads[] = {
		"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n",
		"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nf4240\r\n",
	};

	for (unsigned i = 0; i < 2; i++) {
		struct rig *r = rig_with_rate();
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, heads[i]);
		says_slowly(r, c, "x", 500, 100); // each byte is a sign of life
		assert_true(rig_client_closed(r, c));
		assert_true(r->now_us < 25000000);
		rig_client_got(r, c);
		rig_assert_begins(r->text, "HTTP/1.1 408 Request Timeout\r\n");
		rig_assert_has(r->text, "\r\n\r\nrequest body too slow");
		assert_int_equal(r->stats.downstream_slow_bodies, 1);
		assert_int_equal(rig_hcm(r)->downstream_rq_timeout, 1);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

// A client holds its body back as long as the endpoint likes, if that is asked at all: Expect may go no further than here.
static void body_that_nobody_was_asked_for_is_408(void)
{
	for (unsigned asked = 0; asked < 2; asked++) {
		struct rig *r = rig_with_rate();
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n");
		rig_client_says(r, c, asked ? "connection: x\r\n" : "connection: expect\r\n");
		rig_client_says(r, c, "expect: 100-continue\r\n\r\n");
		assert_int_equal(strstr(rig_upstream_got(r, 0), "\r\nexpect: ") != NULL, asked);
		rig_pass_ms(r, 25000);
		assert_int_equal(rig_client_closed(r, c), !asked);
		assert_int_equal(r->stats.downstream_slow_bodies, !asked);
		rig_done(&r);
	}
}

static void slow_but_steady_body_passes(void)
{
	struct rig *r = rig_with_rate();
	static char piece[101];
	unsigned c;

	memset(piece, 'x', 100);
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10000\r\n\r\n");
	says_slowly(r, c, piece, 900, 100);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
	rig_assert_quiet(r);
	rig_done(&r);
}

// What the client waits for itself is not its fault: an endpoint that does not take the body, an endpoint that does not answer,
// a 100 that does not come, a stream that has begun.
static void clients_that_wait_are_left_alone(void)
{
	struct rig *r = rig_with_rate();
	unsigned c[4];

	r->upstream_room = 1000;
	rig_start(r);
	c[0] = rig_client(r);
	rig_client_says(r, c[0], "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n");
	fake_put(rig_client_stream(r, c[0]), bytes_of(zeros, sizeof(zeros)));
	c[1] = rig_client(r);
	rig_client_says(r, c[1], GET);
	c[2] = rig_client(r);
	rig_client_says(r, c[2],
		"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n");
	c[3] = rig_client(r);
	rig_client_says(
		r, c[3], "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
	rig_upstream_says(
		r, r->n_upstreams - 1, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
	rig_pass_ms(r, 60000);
	for (unsigned i = 0; i < 4; i++)
		assert_false(rig_client_closed(r, c[i]));
	rig_done(&r);
}

static void trickling_reader_is_cut(void)
{
	struct rig *r = rig_with_rate();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	fake_set_room(fake_pair_end(r->clients[c], 0), 2000);
	rig_client_says(r, c, GET);
	rig_put(rig_upstream_stream(r, 0), BODY);
	fake_put(rig_upstream_stream(r, 0), bytes_of(zeros, sizeof(zeros)));
	rig_pump(r);
	for (unsigned i = 0; i < 100 && !rig_client_closed(r, c); i++) {
		char byte;

		fake_take(rig_client_stream(r, c), &byte, 1);
		rig_pump(r);
		rig_pass_ms(r, 500);
	}
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_ABORTED);
	assert_true(r->now_us < 25000000);
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(r->stats.downstream_slow_readers, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

// Each answer waits until the one before it was taken, so what is not read piles up in one send buffer at most.
static void unread_pipelined_answers_are_bounded(void)
{
	struct rig *r = rig_with_rate();
	unsigned c;

	r->route.action = ROUTE_DIRECT_RESPONSE;
	r->route.direct_status = 200;
	r->route.direct_body = bytes_of(zeros, 1000);
	rig_start(r);
	c = rig_client(r);
	fake_set_room(fake_pair_end(r->clients[c], 0), 4000);
	for (unsigned i = 0; i < 500; i++)
		rig_put(rig_client_stream(r, c), GET);
	rig_pump(r);
	assert_int_equal(r->worker->exchanges.n_used, 1);
	assert_true(rig_hcm(r)->downstream_rq_total < 6);
	rig_pass_ms(r, 25000);
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_ABORTED);
	assert_int_equal(r->stats.downstream_slow_readers, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

// The same of requests that are refused (CVE-2020-8661): the first refusal is the last thing said.
static void pipelined_bad_requests_are_refused_once(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	for (unsigned i = 0; i < 500; i++)
		rig_put(rig_client_stream(r, c), "GET / HTTP/1.1\r\n\r\n");
	rig_pump(r);
	assert_int_equal(rig_hcm(r)->downstream_rq_total, 1);
	assert_true(rig_client_closed(r, c));
	rig_assert_quiet(r);
	rig_done(&r);
}

// CVE-2020-8659: chunks of one byte. They pass, and nothing is held for each.
static void one_byte_chunks_hold_no_memory(void)
{
	struct rig *r = rig_new();
	unsigned c;
	size_t n = 0;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < 5000; i++)
		rig_put(rig_client_stream(r, c), "1\r\nx\r\n");
	rig_put(rig_client_stream(r, c), "0\r\n\r\n");
	rig_pump(r);
	assert_true(r->worker->chunks.n_used_max < 20);
	for (const char *p = rig_upstream_got(r, 0); (p = strchr(p, 'x')) != NULL; p++)
		n++;
	assert_true(n >= 5000);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
	rig_assert_quiet(r);
	rig_done(&r);
}

// A new connection gets a place: first of the one that has never asked anything, then of the one idle longest, never of one
// with a request under way.
static void idle_connections_make_room(void)
{
	struct rig *r = rig_new();
	unsigned c[6];

	r->config.http.max_connections = 3;
	rig_start(r);
	for (unsigned i = 0; i < 2; i++) {
		c[i] = rig_client(r);
		rig_client_says(r, c[i], GET);
		rig_upstream_says(r, 0, OK);
		rig_assert_has(rig_client_got(r, c[i]), "\r\n\r\nok");
	}
	c[2] = rig_client(r);
	rig_client_says(r, c[2], "GET / HT"); // half a head is no request
	c[3] = rig_client(r);
	assert_int_equal(fake_pair_fate(r->clients[c[2]], 0), FAKE_ABORTED);
	rig_client_says(r, c[3], GET); // at work now
	rig_client_says(r, c[0], GET);
	rig_upstream_says(r, 1, OK);
	c[4] = rig_client(r);
	assert_int_equal(fake_pair_fate(r->clients[c[1]], 0), FAKE_ABORTED);
	assert_false(rig_client_closed(r, c[0]));
	rig_client_says(r, c[4], GET);
	rig_client_says(r, c[0], GET);
	c[5] = rig_client(r);
	assert_int_equal(fake_pair_fate(r->clients[c[5]], 0), FAKE_ABORTED);
	assert_false(rig_client_closed(r, c[0]));
	assert_int_equal(r->stats.downstream_evicted, 2);
	assert_int_equal(r->snapshot->listeners[0].state->stats[0].downstream_cx_overflow, 1);
	rig_done(&r);
}

// Where all places are taken by clients that come back now and then, new ones do not take them from each other.
static void new_clients_do_not_close_each_others_connections(void)
{
	enum { N = 64, NEW = 6 };
	struct rig *r = rig_new();
	unsigned c[N + NEW];

	r->config.http.max_connections = N;
	rig_start(r);
	for (unsigned i = 0; i < N; i++) {
		c[i] = rig_client(r);
		rig_client_says(r, c[i], GET);
		rig_upstream_says(r, 0, OK);
		rig_pass_ms(r, 1);
	}
	for (unsigned i = N; i < N + NEW; i++)
		c[i] = rig_client(r);
	for (unsigned i = 0; i < N + NEW; i++)
		assert_int_equal(rig_client_closed(r, c[i]), i < NEW);
	for (unsigned i = N; i < N + NEW; i++) {
		rig_client_says(r, c[i], GET);
		rig_upstream_says(r, 0, OK);
		rig_assert_has(rig_client_got(r, c[i]), "\r\n\r\nok");
	}
	rig_done(&r);
}

// Nor do those that never ask take more places than an eighth, and those that were idle before all others go first.
static void connections_without_requests_take_few_places(void)
{
	enum { N = 64 };
	struct rig *r = rig_new();
	unsigned c[3 * N], n_left = 0;

	r->config.http.max_connections = N;
	rig_start(r);
	c[0] = rig_client(r);
	rig_pass_ms(r, 1);
	for (unsigned i = 1; i < N; i++) {
		c[i] = rig_client(r);
		rig_client_says(r, c[i], GET);
		rig_upstream_says(r, 0, OK);
	}
	rig_pass_ms(r, 1);
	for (unsigned i = N; i < 3 * N; i++) {
		c[i] = rig_client(r);
		assert_true(rig_client_closed(r, c[0]));
	}
	for (unsigned i = 1; i < N; i++)
		n_left += !rig_client_closed(r, c[i]);
	assert_int_equal(n_left, N - N / 8 - 1);
	rig_done(&r);
}

static void idle_http2_connections_make_room(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	unsigned c;

	r->config.http.max_connections = 1;
	rig_start(r);
	p = peer_client(r);
	peer_request(p, "GET", "/", NULL, -1);
	c = rig_client(r);
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_ABORTED);
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	c = rig_client(r);
	assert_true(rig_client_closed(r, 0));
	assert_false(rig_client_closed(r, c));
	assert_int_equal(r->stats.h2_sessions_active, 0);
	rig_assert_quiet(r);
	peer_free(&p);
	rig_done(&r);
}

// What nghttp2 holds for idle connections is counted: the arena that it shares with OpenSSL is a part of memory.limit.
static void idle_http2_connections_make_room_when_their_memory_is_used_up(void)
{
	enum { N = 12, ROOM = 8 };
	struct rig *r = rig_new();
	struct h2_peer *p[N];
	unsigned c;

	r->capacity.arena_bytes = (size_t)ROOM * H2_IDLE_BYTES * 16 / 15 + 16;
	rig_start(r);
	c = rig_client(r); // has no part of it
	rig_client_says(r, c, GET);
	rig_upstream_says(r, 0, OK);
	for (unsigned i = 0; i < N; i++) {
		p[i] = peer_client(r);
		peer_request(p[i], "GET", "/", NULL, -1);
		rig_upstream_says(r, 0, OK);
		peer_pump(p[i]);
		assert_true(peer_find(p[i], 1)->ended);
		rig_pass_ms(r, 1);
	}
	assert_int_equal(r->stats.downstream_evicted, N - ROOM);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(rig_client_closed(r, 1 + i), i < N - ROOM);
	assert_false(rig_client_closed(r, c));
	rig_assert_quiet(r);
	for (unsigned i = 0; i < N; i++)
		peer_free(&p[i]);
	rig_done(&r);
}

// All of them are at work.
static void an_http2_connection_without_memory_is_refused(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;

	r->capacity.arena_bytes = H2_IDLE_BYTES * 3 / 2;
	rig_start(r);
	p = peer_client(r);
	peer_request(p, "GET", "/", NULL, -1);
	rig_client_says(r, rig_client(r), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	assert_int_equal(fake_pair_fate(r->clients[1], 0), FAKE_ABORTED);
	assert_false(rig_client_closed(r, 0));
	assert_int_equal(r->snapshot->listeners[0].state->stats[0].downstream_cx_overflow, 1);
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	assert_true(peer_find(p, 1)->ended);
	peer_free(&p);
	rig_done(&r);
}

// A stream whose window stays closed, on a connection that was idle at the last look (CVE-2026-49975, CVE-2020-12605).
static void zero_window_stream_is_reset(void)
{
	struct rig *r = rig_with_rate();
	struct h2_peer *p;

	rig_start(r);
	p = peer_new(r, rig_client_stream(r, rig_client(r)), false, 100, 0);
	rig_pass_ms(r, 11000);
	peer_request(p, "GET", "/", NULL, -1);
	rig_upstream_says(r, 0, BODY);
	fake_put(rig_upstream_stream(r, 0), bytes_of(zeros, sizeof(zeros)));
	rig_pass_ms(r, 21000);
	peer_pump(p);
	assert_true(peer_find(p, 1)->reset);
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(r->stats.downstream_slow_readers, 1);
	assert_false(rig_client_closed(r, 0));
	rig_assert_log(r, "200 SI response_read_too_slow 0 16384");
	rig_assert_quiet(r);
	peer_free(&p);
	rig_done(&r);
}

// Heads that come in portions have a deadline of their own; it must not take the place of the bodies'.
static void heads_in_portions_do_not_put_off_other_deadlines(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	uint8_t block[200];
	size_t n = peer_pseudo(block);

	r->config.http.body_timeout_us = 1000000;
	rig_start(r);
	p = peer_client(r);
	block[0] = 0x83;
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
	peer_pump(p);
	for (uint32_t id = 3; id < 23; id += 2) {
		peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, id, block, 2);
		peer_pump(p);
		rig_pass_ms(r, 300);
		peer_raw(p, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, id, block + 2, n - 2);
		peer_pump(p);
	}
	rig_assert_log(r, "408 SI stream_idle_timeout 0 14");
	peer_free(&p);
	rig_done(&r);
}

// All windows are open, but nobody reads the connection: even the RST_STREAM could not leave.
static void unread_http2_connection_is_ended(void)
{
	struct rig *r = rig_with_rate();
	struct h2_peer *p;

	rig_start(r);
	p = peer_new(r, rig_client_stream(r, rig_client(r)), false, 100, 1 << 20);
	rig_pass_ms(r, 10);
	fake_set_room(fake_pair_end(r->clients[0], 0), 100);
	peer_request(p, "GET", "/", NULL, -1);
	rig_upstream_says(r, 0, BODY);
	fake_put(rig_upstream_stream(r, 0), bytes_of(zeros, sizeof(zeros)));
	rig_pass_ms(r, 25000);
	assert_true(rig_client_closed(r, 0));
	assert_true(rig_upstream_closed(r, 0));
	assert_true(r->stats.downstream_slow_readers >= 1);
	assert_int_equal(r->stats.h2_sessions_active, 0);
	rig_assert_log(r, "200 SI response_read_too_slow 0 32768");
	rig_assert_quiet(r);
	peer_free(&p);
	rig_done(&r);
}

// gRPC streams may pause.
static void paused_grpc_stream_is_left_alone(void)
{
	struct rig *r = rig_with_rate();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c,
		"POST /s/m HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
		"transfer-encoding: chunked\r\n\r\n");
	rig_pass_ms(r, 60000);
	assert_false(rig_client_closed(r, c));
	rig_done(&r);
}

TESTS(TEST(trickling_body_is_408), TEST(body_that_nobody_was_asked_for_is_408),
	TEST(slow_but_steady_body_passes), TEST(clients_that_wait_are_left_alone),
	TEST(trickling_reader_is_cut), TEST(unread_pipelined_answers_are_bounded),
	TEST(pipelined_bad_requests_are_refused_once), TEST(one_byte_chunks_hold_no_memory),
	TEST(idle_connections_make_room), TEST(new_clients_do_not_close_each_others_connections),
	TEST(connections_without_requests_take_few_places), TEST(idle_http2_connections_make_room),
	TEST(idle_http2_connections_make_room_when_their_memory_is_used_up),
	TEST(an_http2_connection_without_memory_is_refused), TEST(zero_window_stream_is_reset),
	TEST(heads_in_portions_do_not_put_off_other_deadlines),
	TEST(unread_http2_connection_is_ended), TEST(paused_grpc_stream_is_left_alone))
