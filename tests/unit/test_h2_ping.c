// PING frames of ours: when they are sent, what counts as an answer, and what ends with a peer that gives none.

#include "tests/h2_peer.h"

#define OK         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define SECOND     1000000u
#define N_PINGS(p) ((p)->n_frames[NGHTTP2_PING])

// Virtual time, in which 'p' answers if it is not 'raw'.
static void pass_ms(struct rig *r, struct h2_peer *p, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		rig_pass_ms(r, 1);
		peer_pump(p);
	}
}

// An endpoint that has answered one request.
static struct h2_peer *endpoint_new(struct rig *r)
{
	struct h2_peer *e;
	unsigned c;

	r->cluster.protocol = CLUSTER_HTTP_2;
	r->cluster.ping_interval_us = SECOND;
	r->cluster.ping_timeout_us = SECOND / 2;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	e = peer_new(r, rig_upstream_stream(r, 0), true, 100, 65535);
	peer_respond(e, e->streams[0].id, "200", NULL, 2);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 200 OK\r\n");
	rig_assert_log(r, "200 - via_upstream 0 2");
	return e;
}

static void done(struct rig *r, struct h2_peer *p)
{
	rig_assert_quiet(r);
	peer_free(&p);
	rig_done(&r);
}

static void an_endpoint_that_answers_stays(void)
{
	struct rig *r = rig_new();
	struct h2_peer *e = endpoint_new(r);

	pass_ms(r, e, 999);
	assert_int_equal(N_PINGS(e), 0);
	pass_ms(r, e, 2);
	assert_int_equal(N_PINGS(e), 1);
	pass_ms(r, e, 9000);
	assert_int_equal(N_PINGS(e), 10);
	assert_int_equal(r->stats.h2_tx_ping, 10);
	assert_int_equal(r->stats.h2_ping_timeouts, 0);
	assert_false(rig_upstream_closed(r, 0));
	done(r, e);
}

static void an_endpoint_that_is_silent_is_given_up(void)
{
	struct rig *r = rig_new();
	struct h2_peer *e = endpoint_new(r);

	// Idle.
	e->raw = true;
	pass_ms(r, e, 1499);
	assert_false(rig_upstream_closed(r, 0));
	pass_ms(r, e, 2);
	assert_int_equal(N_PINGS(e), 1);
	assert_int_equal(fake_pair_fate(r->upstreams[0], 0), FAKE_ABORTED);
	assert_int_equal(r->stats.h2_ping_timeouts, 1);
	assert_int_equal(rig_cluster_state(r)->connections, 0);
	// With a request.
	rig_client_says(r, 0, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_int_equal(r->n_upstreams, 2);
	rig_pass_ms(r, 1501);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 503 Service Unavailable\r\n");
	rig_assert_log(
		r, "503 UC upstream_reset_before_response_started{connection_termination} 0 95");
	assert_int_equal(fake_pair_fate(r->upstreams[1], 0), FAKE_ABORTED);
	assert_int_equal(r->stats.h2_ping_timeouts, 2);
	done(r, e);
}

// The answer to a PING waits behind what the peer sends anyway.
static void whatever_comes_is_an_answer(void)
{
	struct rig *r = rig_new();
	struct h2_peer *e = endpoint_new(r);

	pass_ms(r, e, 1001);
	assert_int_equal(N_PINGS(e), 1);
	e->raw = true;
	pass_ms(r, e, 1000);
	assert_int_equal(N_PINGS(e), 2);
	for (unsigned i = 0; i < 10; i++) {
		pass_ms(r, e, 400);
		peer_raw(e, NGHTTP2_PRIORITY, 0, 1, "\0\0\0\0\1", 5);
		pass_ms(r, e, 1);
	}
	assert_false(rig_upstream_closed(r, 0));
	assert_int_equal(N_PINGS(e), 2);
	pass_ms(r, e, 501);
	assert_true(rig_upstream_closed(r, 0));
	done(r, e);
}

static void a_client_that_is_silent_is_given_up(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;

	r->config.http.ping_interval_us = SECOND;
	r->config.http.ping_timeout_us = SECOND / 2;
	rig_start(r);
	p = peer_client(r);
	peer_request(p, "GET", "/", NULL, -1);
	pass_ms(r, p, 5001);
	assert_int_equal(N_PINGS(p), 5);
	assert_false(rig_client_closed(r, 0));
	p->raw = true;
	pass_ms(r, p, 1501);
	assert_int_equal(fake_pair_fate(r->clients[0], 0), FAKE_ABORTED);
	rig_assert_log(r, "0 DC downstream_remote_disconnect 0 0");
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(r->stats.h2_ping_timeouts, 1);
	done(r, p);
}

static void without_an_interval_there_are_none(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;

	rig_start(r);
	p = peer_client(r);
	pass_ms(r, p, 10000);
	assert_int_equal(N_PINGS(p), 0);
	// An answer to nothing is none.
	peer_raw(p, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "12345678", 8);
	pass_ms(r, p, 10000);
	assert_false(rig_client_closed(r, 0));
	done(r, p);
}

TESTS(TEST(an_endpoint_that_answers_stays), TEST(an_endpoint_that_is_silent_is_given_up),
	TEST(whatever_comes_is_an_answer), TEST(a_client_that_is_silent_is_given_up),
	TEST(without_an_interval_there_are_none))
