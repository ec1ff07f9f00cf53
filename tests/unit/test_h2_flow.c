// HTTP/2 when somebody does not keep up: windows, limits and memory are shared so that nobody pays for another. Towards
// endpoints a connection carries many clients, so most is shown there.

#include "tests/h2_peer.h"

#define GET      "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
#define N_SLOW   12
#define BIG_HEAD 50000

static const struct retry_config on_refusal = {
	.attempts = 1, .on = RETRY_REFUSED_STREAM, .backoff_base_us = 25000};

static struct rig *new_rig(void)
{
	struct rig *r = rig_new();

	r->cluster.protocol = CLUSTER_HTTP_2;
	return r;
}

static struct h2_peer *endpoint_with(
	struct rig *r, unsigned i, uint32_t max_streams, uint32_t window)
{
	return peer_new(r, rig_upstream_stream(r, i), true, max_streams, window);
}

static struct h2_peer *endpoint(struct rig *r, unsigned i)
{
	return endpoint_with(r, i, 100, 65535);
}

static void done(struct h2_peer **p, struct rig **r)
{
	peer_free(p);
	rig_done(r);
}

static void set(struct h2_peer *p, uint16_t id, uint32_t value)
{
	nghttp2_settings_entry entry = {id, value};

	nghttp2_submit_settings(p->ng, NGHTTP2_FLAG_NONE, &entry, 1);
	peer_pump(p);
}

static unsigned ask(struct rig *r)
{
	unsigned i = rig_client(r);

	rig_client_says(r, i, GET);
	return i;
}

// --- windows

static void slow_clients_leave_the_endpoints_window_to_others(void)
{
	struct rig *r = new_rig();
	struct h2_peer *e = NULL;
	unsigned quick;

	rig_start(r);
	for (unsigned i = 0; i < N_SLOW; i++) {
		fake_set_room(fake_pair_end(r->clients[ask(r)], 0), 1);
		if (i == 0)
			e = endpoint(r, 0);
	}
	peer_pump(e);
	for (int32_t i = 0; i < N_SLOW; i++)
		peer_respond(e, 1 + 2 * i, "200", NULL, 1 << 20);
	// More than the connection's window at its start waits here.
	assert_true(e->window_updates[0] > N_SLOW * 65000);
	assert_true(r->worker->chunks.n_used <= N_SLOW * (65536 / 4080 + 4));
	quick = ask(r);
	peer_pump(e);
	peer_respond(e, 1 + 2 * N_SLOW, "200", NULL, 2);
	rig_assert_has(rig_client_got(r, quick), "\r\n2\r\nuu\r\n0\r\n\r\n");
	assert_int_equal(r->n_upstreams, 1);
	done(&e, &r);
}

static void slow_endpoints_leave_the_clients_window_to_others(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	int32_t id;

	rig_start(r);
	p = peer_client(r);
	r->upstream_room = 1000;
	for (unsigned i = 0; i < N_SLOW; i++)
		peer_request(p, "POST", "/slow", NULL, 1 << 20);
	r->upstream_room = 0;
	id = peer_request(p, "POST", "/fast", NULL, 2);
	rig_assert_has(rig_upstream_got(r, N_SLOW), "\r\n2\r\nuu\r\n0\r\n\r\n");
	rig_upstream_says(r, N_SLOW, "HTTP/1.1 204 No Content\r\n\r\n");
	peer_pump(p);
	assert_true(peer_find(p, id)->ended);
	done(&p, &r);
}

// Bytes that found no memory are offered again soon, however much else is going on.
static void memory_that_comes_back_is_found_on_a_busy_connection(void)
{
	for (unsigned upload = 0; upload < 2; upload++) {
		struct rig *r = upload ? new_rig() : rig_new();
		struct body_chunk *taken = NULL;
		struct h2_peer *p;

		rig_start(r);
		if (upload) {
			rig_client_says(r, rig_client(r),
				"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n");
			p = endpoint(r, 0);
		} else {
			p = peer_client(r);
			peer_request(p, "GET", "/", NULL, -1);
		}
		for (struct body_chunk *c; (c = pool_get(&r->worker->chunks)) != NULL; taken = c)
			c->next = taken;
		if (upload)
			rig_client_says(r, 0, "ok");
		else
			rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
		peer_pump(p);
		assert_int_equal(p->body_bytes, 0);
		while (taken != NULL) {
			struct body_chunk *next = taken->next;

			pool_put(&r->worker->chunks, taken);
			taken = next;
		}
		for (unsigned i = 0; i < 20; i++) {
			rig_pass_ms(r, 3);
			nghttp2_submit_ping(p->ng, NGHTTP2_FLAG_NONE, NULL);
			peer_pump(p);
		}
		assert_int_equal(p->body_bytes, 2);
		done(&p, &r);
	}
}

// When memory is short the connection's window is what bounds a client, and still no stream has it alone.
static void a_stream_gets_half_of_a_small_window(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;

	r->capacity.chunks = 128;
	rig_start(r);
	p = peer_client(r);
	assert_int_equal(
		nghttp2_session_get_remote_settings(p->ng, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE),
		65535 / 2);
	for (unsigned i = 0; i < 3; i++) {
		r->upstream_room = 1000;
		peer_request(p, "POST", "/slow", NULL, 1 << 20);
	}
	assert_true(r->worker->chunks.n_used <= 128 / 4 + 65535 / 4080 + 8);
	assert_int_equal(r->stats.h2_pool_empty, 0);
	done(&p, &r);
}

static void endpoints_window_is_kept_as_it_changes(void)
{
	struct rig *r = new_rig();
	static char body[40000];
	struct h2_peer *e;

	memset(body, 'b', sizeof(body) - 1);
	rig_start(r);
	rig_client_says(
		r, rig_client(r), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 39999\r\n\r\n");
	e = endpoint_with(r, 0, 100, 1000);
	rig_client_says(r, 0, body);
	// 16 KiB left before SETTINGS came, and the window is negative now.
	e->reading = false;
	peer_pump(e);
	assert_true(peer_find(e, 1)->body_len < 39999);
	set(e, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
	set(e, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 20000);
	assert_int_equal(peer_find(e, 1)->body_len, 20000);
	set(e, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 5000);
	set(e, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 30000);
	assert_int_equal(peer_find(e, 1)->body_len, 30000);
	set(e, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 50000);
	assert_int_equal(peer_find(e, 1)->body_len, 39999);
	assert_true(peer_find(e, 1)->ended);
	done(&e, &r);
}

static void uploads_to_one_endpoint_take_turns(void)
{
	struct rig *r = new_rig();
	static char body[16001];
	struct h2_peer *e;
	unsigned changes = 0;

	memset(body, 'b', sizeof(body) - 1);
	rig_start(r);
	ask(r);
	e = endpoint_with(r, 0, 100, 0);
	for (unsigned i = 1; i < 3; i++) {
		rig_client(r);
		rig_client_says(
			r, i, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 32000\r\n\r\n");
		rig_client_says(r, i, body);
		rig_client_says(r, i, body);
	}
	peer_pump(e);
	assert_int_equal(e->n_data, 0);
	set(e, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65535);
	assert_true(peer_find(e, 3)->ended && peer_find(e, 5)->ended);
	for (unsigned i = 1; i < e->n_data; i++)
		changes += e->data_order[i] != e->data_order[i - 1];
	assert_true(changes >= 2);
	done(&e, &r);
}

// --- what came counts, whatever follows

static void whole_answer_outlives_its_connection(void)
{
	struct rig *r = new_rig();
	const char *fields[] = {"content-length", "30000", NULL};
	struct h2_peer *e;
	size_t got;

	rig_start(r);
	fake_set_room(fake_pair_end(r->clients[ask(r)], 0), 1000);
	e = endpoint(r, 0);
	peer_respond(e, 1, "200", fields, 30000);
	fake_fail(fake_pair_end(r->upstreams[0], 0), STREAM_ERROR_RESET);
	rig_pump(r);
	fake_set_room(fake_pair_end(r->clients[0], 0), 1 << 20);
	got = 0;
	for (unsigned i = 0; i < 50; i++)
		got += strlen(rig_client_got(r, 0));
	assert_true(got > 30000);
	rig_assert_log(r, "200 - via_upstream 0 30000");
	rig_assert_quiet(r);
	done(&e, &r);
}

// --- limits

static void endpoints_limit_of_streams_may_change(void)
{
	struct rig *r = new_rig();
	struct h2_peer *e;

	r->cluster.max_connections = 1;
	rig_start(r);
	ask(r);
	e = endpoint_with(r, 0, 1, 65535);
	for (unsigned i = 0; i < 3; i++)
		ask(r);
	assert_int_equal(e->n_streams, 1);
	set(e, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 3);
	rig_pump(r);
	peer_pump(e);
	assert_int_equal(e->n_streams, 3);
	set(e, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
	peer_respond(e, 1, "204", NULL, -1);
	peer_respond(e, 3, "204", NULL, -1);
	peer_pump(e);
	assert_int_equal(e->n_streams, 3);
	peer_respond(e, 5, "204", NULL, -1);
	peer_pump(e);
	assert_int_equal(e->n_streams, 4);
	peer_respond(e, 7, "204", NULL, -1);
	assert_int_equal(r->n_upstreams, 1);
	rig_assert_quiet(r);
	done(&e, &r);
}

static void endpoint_that_allows_no_stream_is_left(void)
{
	struct rig *r = new_rig();
	struct h2_peer *e;

	rig_start(r);
	ask(r);
	e = endpoint(r, 0);
	set(e, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
	// What is under way ends well.
	assert_false(rig_upstream_closed(r, 0));
	peer_respond(e, 1, "204", NULL, -1);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 204 ");
	assert_true(rig_upstream_closed(r, 0));
	ask(r);
	assert_int_equal(r->n_upstreams, 2);
	done(&e, &r);
}

// CVE-2021-32780: GOAWAY and no streams, while requests wait to be sent to an endpoint that does not read.
static void unsent_requests_leave_an_endpoint_that_goes_away(void)
{
	struct rig *r = new_rig();
	struct h2_peer *e, *second;
	uint8_t frames[100];
	size_t n;

	r->route.retry = on_refusal;
	r->upstream_room = 30;
	rig_start(r);
	for (unsigned i = 0; i < 3; i++)
		ask(r);
	r->upstream_room = 0;
	n = peer_frame(frames, NGHTTP2_SETTINGS, 0, 0, "\0\3\0\0\0\0", 6);
	n += peer_frame(frames + n, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	fake_put(rig_upstream_stream(r, 0), bytes_of(frames, n));
	rig_pump(r);
	rig_pass_ms(r, 100);
	assert_int_equal(r->n_upstreams, 2);
	second = endpoint(r, 1);
	for (int32_t id = 1; id <= 5; id += 2)
		peer_respond(second, id, "204", NULL, -1);
	for (unsigned i = 0; i < 3; i++)
		rig_assert_begins(rig_client_got(r, i), "HTTP/1.1 204 ");
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_quiet(r);
	e = second;
	done(&e, &r);
}

static void share_of_requests_is_counted_once(void)
{
	struct rig *r = new_rig();
	struct h2_peer *e;

	r->cluster.max_requests_per_connection = 3;
	rig_start(r);
	for (unsigned i = 0; i < 3; i++)
		ask(r);
	e = endpoint(r, 0);
	for (int32_t id = 1; id <= 5; id += 2)
		peer_respond(e, id, "204", NULL, -1);
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(e->n_goaways, 1);
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_max_requests, 1);
	done(&e, &r);
}

static void clusters_limit_of_requests_holds_for_streams(void)
{
	struct rig *r = new_rig();
	struct h2_peer *e;

	r->cluster.max_requests = 2;
	rig_start(r);
	for (unsigned i = 0; i < 3; i++)
		ask(r);
	rig_assert_begins(rig_client_got(r, 2), "HTTP/1.1 503 ");
	rig_assert_has(r->text, "x-envoy-overloaded: true\r\n");
	rig_assert_log(r, "503 UO upstream_reset_before_response_started{overflow} 0 81");
	e = endpoint(r, 0);
	peer_respond(e, 1, "204", NULL, -1);
	ask(r);
	peer_pump(e);
	assert_true(peer_find(e, 5)->ended);
	assert_int_equal(r->n_upstreams, 1);
	done(&e, &r);
}

static void idle_endpoint_is_told_goodbye(void)
{
	struct rig *r = new_rig();
	struct h2_peer *e;

	r->cluster.idle_timeout_us = 2000000;
	rig_start(r);
	ask(r);
	e = endpoint(r, 0);
	peer_respond(e, 1, "204", NULL, -1);
	rig_pass_ms(r, 2100);
	peer_pump(e);
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(e->n_goaways, 1);
	assert_int_equal(e->goaway_code, NGHTTP2_NO_ERROR);
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_idle_timeout, 1);
	done(&e, &r);
}

// The request that wanted the connection is gone before it is open.
static void connection_nobody_takes_is_idle_too(void)
{
	for (unsigned h2 = 0; h2 < 2; h2++) {
		struct rig *r = rig_new();

		r->cluster.protocol = h2 ? CLUSTER_HTTP_2 : CLUSTER_HTTP_1;
		r->cluster.idle_timeout_us = 2000000;
		r->connect = RIG_HANGS;
		rig_start(r);
		stream_abort(&(struct stream *){rig_client_stream(r, ask(r))});
		rig_pump(r);
		fake_connected(fake_pair_end(r->upstreams[0], 0));
		rig_pump(r);
		assert_false(rig_upstream_closed(r, 0));
		rig_pass_ms(r, 2100);
		assert_true(rig_upstream_closed(r, 0));
		rig_done(&r);
	}
}

// --- memory

static void large_heads_in_line_cost_no_sibling_its_connection(void)
{
	struct rig *r = new_rig();
	static char head[BIG_HEAD + 200];
	unsigned n_sent = 0, n_refused = 0;
	struct h2_peer *e;

	r->capacity.large_heads = 32;
	rig_start(r);
	ask(r);
	e = endpoint(r, 0);
	fake_set_room(fake_pair_end(r->upstreams[0], 0), 1);
	strcpy(head, "GET / HTTP/1.1\r\nhost: a\r\nx: ");
	memset(head + strlen(head), 'x', BIG_HEAD);
	strcat(head, "\r\n\r\n");
	for (unsigned i = 1; i < N_SLOW; i++) {
		rig_client(r);
		rig_client_says(r, i, head);
		if (strlen(rig_client_got(r, i)) == 0)
			continue;
		rig_assert_begins(r->text, "HTTP/1.1 503 ");
		rig_assert_log(
			r, "503 LR upstream_reset_before_response_started{local_reset} 0 84");
		n_refused++;
	}
	assert_true(n_refused > 0 && n_refused < N_SLOW - 1);
	assert_int_equal(r->stats.h2_heads_refused, n_refused);
	fake_set_room(fake_pair_end(r->upstreams[0], 0), 1 << 20);
	for (unsigned i = 0; i < 20; i++)
		peer_pump(e);
	for (unsigned i = 0; i < e->n_streams; i++) {
		if (e->streams[i].ended && !e->streams[i].reset)
			n_sent++;
	}
	assert_int_equal(n_sent, N_SLOW - n_refused);
	peer_respond(e, 1, "204", NULL, -1);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 204 ");
	assert_int_equal(r->stats.h2_memory_refused, 0);
	done(&e, &r);
}

// What does not fit is our failure, which no policy for the endpoint's refusals may repeat.
static void endless_interim_answers_are_a_reset_of_ours(void)
{
	struct rig *r = new_rig();
	static uint8_t block[4000];
	struct h2_peer *e;
	size_t n = 0;

	r->route.retry = on_refusal;
	rig_start(r);
	ask(r);
	e = endpoint(r, 0);
	block[n++] = 0x08;
	block[n++] = 3;
	memcpy(block + n, "103", 3);
	n += 3;
	for (unsigned i = 0; i < 30; i++) {
		char value[100];

		memset(value, 'v', sizeof(value));
		n += peer_literal(block + n, BYTES("x"), bytes_of(value, sizeof(value)));
	}
	for (unsigned i = 0; i < 100 && !peer_find(e, 1)->reset; i++) {
		peer_raw(e, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
		peer_pump(e);
	}
	assert_true(peer_find(e, 1)->reset);
	rig_pass_ms(r, 100);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 503 ");
	rig_assert_log(r, "503 LR upstream_reset_before_response_started{local_reset} 0 0");
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_total, 1);
	rig_assert_quiet(r);
	done(&e, &r);
}

TESTS(TEST(slow_clients_leave_the_endpoints_window_to_others),
	TEST(slow_endpoints_leave_the_clients_window_to_others),
	TEST(a_stream_gets_half_of_a_small_window),
	TEST(memory_that_comes_back_is_found_on_a_busy_connection),
	TEST(endpoints_window_is_kept_as_it_changes), TEST(uploads_to_one_endpoint_take_turns),
	TEST(whole_answer_outlives_its_connection), TEST(endpoints_limit_of_streams_may_change),
	TEST(endpoint_that_allows_no_stream_is_left),
	TEST(unsent_requests_leave_an_endpoint_that_goes_away),
	TEST(share_of_requests_is_counted_once), TEST(clusters_limit_of_requests_holds_for_streams),
	TEST(idle_endpoint_is_told_goodbye), TEST(connection_nobody_takes_is_idle_too),
	TEST(large_heads_in_line_cost_no_sibling_its_connection),
	TEST(endless_interim_answers_are_a_reset_of_ours))
