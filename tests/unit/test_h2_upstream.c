// HTTP/2 towards endpoints: streams share connections within the limits of both sides, and what an endpoint did not process
// can be sent again. Clients of both versions.

#include "tests/h2_peer.h"

#define GET "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"

static struct rig *new_rig(enum cluster_protocol protocol)
{
	struct rig *r = rig_new();

	r->cluster.protocol = protocol;
	return r;
}

// The endpoint's side of connection 'i'.
static struct h2_peer *endpoint(struct rig *r, unsigned i, uint32_t max_streams)
{
	return peer_new(r, rig_upstream_stream(r, i), true, max_streams, 65535);
}

static void done(struct h2_peer **p, struct rig **r)
{
	peer_free(p);
	rig_done(r);
}

static void http1_requests_share_a_connection(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e;
	const char *fields[] = {"content-length", "2", NULL};

	rig_start(r);
	for (unsigned i = 0; i < 3; i++) {
		rig_client(r);
		rig_client_says(r, i, GET);
	}
	assert_int_equal(r->n_upstreams, 1);
	e = endpoint(r, 0, 100);
	rig_assert_begins(peer_find(e, 1)->head,
		":method: GET\n:scheme: http\n:authority: shop.example\n:path: /\n");
	assert_true(peer_find(e, 1)->ended);
	for (int32_t id = 5; id >= 1; id -= 2) {
		e->upload = "ok";
		peer_respond(e, id, "200", fields, 2);
		rig_client_got(r, (unsigned)id / 2);
		rig_assert_begins(r->text, "HTTP/1.1 200 OK\r\n");
		rig_assert_has(r->text, "\r\n\r\nok");
	}
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_http2_total, 1);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_total, 3);
	rig_assert_quiet(r);
	done(&e, &r);
}

static void http2_on_both_sides_carries_bodies_and_trailers(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *c, *e;
	int32_t id;

	rig_start(r);
	c = peer_client(r);
	c->upload_trailers = true;
	id = peer_request(c, "POST", "/up", NULL, 200000);
	e = endpoint(r, 0, 100);
	for (unsigned i = 0; i < 100; i++) {
		peer_pump(c);
		peer_pump(e);
	}
	assert_int_equal(peer_find(e, 1)->body_len, 200000);
	assert_string_equal(peer_find(e, 1)->trailers, "grpc-status: 0\n");
	assert_true(peer_find(e, 1)->ended);
	e->upload_trailers = true;
	peer_respond(e, 1, "200", NULL, 200000);
	for (unsigned i = 0; i < 100; i++) {
		peer_pump(c);
		peer_pump(e);
	}
	assert_int_equal(peer_find(c, id)->body_len, 200000);
	assert_string_equal(peer_find(c, id)->trailers, "grpc-status: 0\n");
	assert_true(peer_find(c, id)->ended);
	rig_assert_log(r, "200 - via_upstream 200000 200000");
	rig_assert_quiet(r);
	peer_free(&c);
	done(&e, &r);
}

static void clients_protocol_goes_on(void)
{
	struct rig *r = new_rig(CLUSTER_PROTOCOL_CLIENTS);
	struct h2_peer *c, *e;

	rig_start(r);
	c = peer_client(r);
	peer_request(c, "GET", "/", NULL, -1);
	rig_client_says(r, rig_client(r), GET);
	assert_int_equal(r->n_upstreams, 2);
	e = endpoint(r, 0, 100);
	assert_true(peer_find(e, 1)->ended);
	rig_assert_begins(rig_upstream_got(r, 1), "GET / HTTP/1.1\r\n");
	peer_free(&c);
	done(&e, &r);
}

static void endpoints_limit_of_streams_is_kept(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e;

	r->cluster.max_connections = 1;
	rig_start(r);
	rig_client(r);
	rig_client_says(r, 0, GET);
	e = endpoint(r, 0, 2);
	for (unsigned i = 1; i < 4; i++) {
		rig_client(r);
		rig_client_says(r, i, GET);
	}
	peer_pump(e);
	assert_int_equal(e->n_streams, 2);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_pending_active, 2);
	peer_respond(e, 1, "204", NULL, -1);
	peer_pump(e);
	assert_int_equal(e->n_streams, 3);
	peer_respond(e, 3, "204", NULL, -1);
	peer_respond(e, 5, "204", NULL, -1);
	peer_respond(e, 7, "204", NULL, -1);
	for (unsigned i = 0; i < 4; i++)
		rig_assert_begins(rig_client_got(r, i), "HTTP/1.1 204 ");
	assert_int_equal(r->n_upstreams, 1);
	rig_assert_quiet(r);
	done(&e, &r);
}

static void configured_limit_opens_more_connections(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);

	r->cluster.max_concurrent_streams = 2;
	rig_start(r);
	for (unsigned i = 0; i < 5; i++) {
		rig_client(r);
		rig_client_says(r, i, GET);
	}
	assert_int_equal(r->n_upstreams, 3);
	rig_done(&r);
}

static void refused_stream_is_tried_again(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e;

	r->route.retry = (struct retry_config){
		.attempts = 1, .on = RETRY_REFUSED_STREAM, .backoff_base_us = 25000};
	rig_start(r);
	rig_client(r);
	rig_client_says(r, 0, GET);
	e = endpoint(r, 0, 100);
	nghttp2_submit_rst_stream(e->ng, NGHTTP2_FLAG_NONE, 1, NGHTTP2_REFUSED_STREAM);
	peer_pump(e);
	rig_pass_ms(r, 100);
	peer_pump(e);
	assert_int_equal(r->n_upstreams, 1);
	assert_true(peer_find(e, 3)->ended);
	peer_respond(e, 3, "204", NULL, -1);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 204 ");
	rig_assert_log(r, "204 - via_upstream 0 0");
	rig_assert_quiet(r);
	done(&e, &r);
}

static void goaway_finishes_what_it_names_and_repeats_the_rest(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e, *second;

	r->route.retry = (struct retry_config){
		.attempts = 1, .on = RETRY_REFUSED_STREAM, .backoff_base_us = 25000};
	rig_start(r);
	for (unsigned i = 0; i < 2; i++) {
		rig_client(r);
		rig_client_says(r, i, GET);
	}
	e = endpoint(r, 0, 100);
	nghttp2_submit_goaway(e->ng, NGHTTP2_FLAG_NONE, 1, NGHTTP2_NO_ERROR, NULL, 0);
	peer_pump(e);
	rig_pass_ms(r, 100);
	assert_int_equal(r->n_upstreams, 2);
	peer_respond(e, 1, "200", NULL, 0);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 200 ");
	assert_true(rig_upstream_closed(r, 0));
	second = endpoint(r, 1, 100);
	peer_respond(second, 1, "204", NULL, -1);
	rig_assert_begins(rig_client_got(r, 1), "HTTP/1.1 204 ");
	rig_assert_quiet(r);
	peer_free(&second);
	done(&e, &r);
}

static void resets_and_lost_connections_have_their_flags(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e;

	rig_start(r);
	rig_client(r);
	rig_client_says(r, 0, GET);
	e = endpoint(r, 0, 100);
	nghttp2_submit_rst_stream(e->ng, NGHTTP2_FLAG_NONE, 1, NGHTTP2_INTERNAL_ERROR);
	peer_pump(e);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 503 ");
	rig_assert_log(r, "503 UR upstream_reset_before_response_started{remote_reset} 0 85");
	rig_client_says(r, 0, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
	peer_pump(e);
	assert_true(peer_find(e, 3)->ended);
	fake_fail(fake_pair_end(r->upstreams[0], 0), STREAM_ERROR_RESET);
	rig_pump(r);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 503 ");
	rig_assert_log(
		r, "503 UC upstream_reset_before_response_started{connection_termination} 0 95");
	rig_assert_quiet(r);
	done(&e, &r);
}

static void malformed_answers_are_502(void)
{
	static const char *const bad[][3] = {
		{"X-Upper",        "x"    },
                {"connection",     "close"},
                {"x",              "a\rb" },
                {"content-length", "x"    }
        };

	for (unsigned i = 0; i < 4; i++) {
		struct rig *r = new_rig(CLUSTER_HTTP_2);
		uint8_t block[200] = {0x88}; // 200
		struct h2_peer *e;
		size_t n = 1;

		rig_start(r);
		rig_client(r);
		rig_client_says(r, 0, GET);
		e = endpoint(r, 0, 100);
		n += peer_literal(block + n, bytes_of_str(bad[i][0]), bytes_of_str(bad[i][1]));
		peer_raw(e, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
			block, n);
		peer_pump(e);
		rig_client_got(r, 0);
		rig_assert_begins(r->text, "HTTP/1.1 502 ");
		rig_assert_quiet(r);
		done(&e, &r);
	}
}

static void early_answer_cancels_the_rest_of_the_request(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e;

	rig_start(r);
	rig_client(r);
	rig_client_says(r, 0, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
	e = endpoint(r, 0, 100);
	peer_respond(e, 1, "413", NULL, -1);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 413 ");
	peer_pump(e);
	assert_true(peer_find(e, 1)->reset);
	rig_assert_quiet(r);
	done(&e, &r);
}

static void connection_is_left_after_its_share_of_requests(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e;

	r->cluster.max_requests_per_connection = 2;
	rig_start(r);
	rig_client(r);
	rig_client_says(r, 0, GET);
	e = endpoint(r, 0, 100);
	peer_respond(e, 1, "204", NULL, -1);
	rig_client_says(r, 0, GET);
	peer_pump(e);
	peer_respond(e, 3, "204", NULL, -1);
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_max_requests, 1);
	rig_client_says(r, 0, GET);
	assert_int_equal(r->n_upstreams, 2);
	done(&e, &r);
}

// Some endpoints open a stream's window as it begins, whether a body comes or not.
static void endpoints_may_open_a_window_for_each_request(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e = NULL;

	rig_start(r);
	rig_client(r);
	for (int32_t id = 1; id < 60; id += 2) {
		rig_client_says(r, 0, GET);
		if (e == NULL)
			e = endpoint(r, 0, 100);
		peer_pump(e);
		assert_int_equal(
			nghttp2_submit_window_update(e->ng, NGHTTP2_FLAG_NONE, id, 1000), 0);
		peer_respond(e, id, "200", NULL, 2);
		rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 200 ");
	}
	assert_int_equal(r->n_upstreams, 1);
	assert_int_equal(r->stats.h2_flood_window_updates, 0);
	rig_assert_quiet(r);
	done(&e, &r);
}

// A length of 0 does not mean that nothing follows.
static void trailers_follow_a_body_of_no_length(void)
{
	static const char *const length[] = {"content-length", "0", NULL};

	for (unsigned at_once = 0; at_once < 2; at_once++) {
		struct rig *r = new_rig(CLUSTER_HTTP_2);
		struct h2_peer *p, *e;
		nghttp2_nv trailer = peer_nv("grpc-status", "0");

		rig_start(r);
		p = peer_client(r);
		peer_request(p, "GET", "/", NULL, -1);
		e = endpoint(r, 0, 100);
		e->upload_trailers = at_once;
		e->upload_open = !at_once;
		peer_respond(e, 1, "200", length, 0);
		if (!at_once) {
			peer_pump(p);
			nghttp2_submit_headers(
				e->ng, NGHTTP2_FLAG_END_STREAM, 1, NULL, &trailer, 1, NULL);
			peer_pump(e);
		}
		peer_pump(p);
		assert_string_equal(peer_find(p, 1)->trailers, "grpc-status: 0\n");
		assert_true(peer_find(p, 1)->ended);
		rig_assert_quiet(r);
		peer_free(&p);
		done(&e, &r);
	}
}

// GOAWAY and all: who asks next does not wait for it.
static void an_idle_connection_makes_room_for_another_endpoint(void)
{
	struct rig *r = new_rig(CLUSTER_HTTP_2);
	struct h2_peer *e, *next;

	r->cluster.n_endpoints = 2;
	r->capacity.upstream_connections = 1;
	rig_start(r);
	for (unsigned i = 0; i < 2; i++)
		rig_client(r);
	rig_client_says(r, 0, GET);
	e = endpoint(r, 0, 100);
	peer_respond(e, 1, "204", NULL, 0);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 204 ");
	rig_client_says(r, 1, GET);
	assert_int_equal(r->n_upstreams, 2);
	assert_true(rig_upstream_closed(r, 0));
	peer_pump(e);
	assert_int_equal(e->n_goaways, 1);
	next = endpoint(r, 1, 100);
	peer_respond(next, 1, "204", NULL, 0);
	rig_assert_begins(rig_client_got(r, 1), "HTTP/1.1 204 ");
	assert_int_equal(r->stats.upstream_evicted, 1);
	rig_assert_quiet(r);
	peer_free(&next);
	done(&e, &r);
}

// Memory that is short as the connection is there is our failure: no breaker's, and not held against the endpoint.
static void no_memory_for_the_connection_is_503_om(void)
{
	static const size_t pools[] = {
		offsetof(struct router_worker, h2_sessions),
		offsetof(struct router_worker, h2_streams),
	};

	for (unsigned i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
		struct rig *r = new_rig(CLUSTER_HTTP_2);
		struct pool *pool;
		void *taken[4096];
		unsigned n = 0, c;

		r->connect = RIG_HANGS;
		rig_eject_at_once(r);
		r->route.retry = (struct retry_config){.attempts = 2, .on = RETRY_5XX};
		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, GET);
		pool = (struct pool *)(void *)((char *)r->worker + pools[i]);
		while (n < 4096 && (taken[n] = pool_get(pool)) != NULL)
			n++;
		assert_int_equal(pool->n_used, pool->cap);
		fake_connected(fake_pair_end(r->upstreams[0], 0));
		rig_pump(r);
		rig_assert_has(rig_client_got(r, c), "\r\n\r\nenvoy overloaded");
		rig_assert_log(r, "503 OM overload 0 16");
		assert_true(endpoint_is_healthy(r->snapshot->clusters[0].endpoints[0]));
		while (n > 0)
			pool_put(pool, taken[--n]);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

TESTS(TEST(http1_requests_share_a_connection),
	TEST(http2_on_both_sides_carries_bodies_and_trailers), TEST(clients_protocol_goes_on),
	TEST(endpoints_limit_of_streams_is_kept), TEST(configured_limit_opens_more_connections),
	TEST(refused_stream_is_tried_again),
	TEST(goaway_finishes_what_it_names_and_repeats_the_rest),
	TEST(resets_and_lost_connections_have_their_flags), TEST(malformed_answers_are_502),
	TEST(early_answer_cancels_the_rest_of_the_request),
	TEST(connection_is_left_after_its_share_of_requests),
	TEST(endpoints_may_open_a_window_for_each_request),
	TEST(trailers_follow_a_body_of_no_length),
	TEST(an_idle_connection_makes_room_for_another_endpoint),
	TEST(no_memory_for_the_connection_is_503_om))
