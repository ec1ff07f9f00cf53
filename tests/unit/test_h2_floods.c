// HTTP/2 clients that want to make work for nothing: each is ended at its limit, with ENHANCE_YOUR_CALM and a counter of its
// own, and holds little until then. A client beside it goes on.

#include "tests/h2_peer.h"

struct flood {
	struct rig *r;
	struct h2_peer *attacker;
	struct h2_peer *other;
	uint32_t next_id;
};

static struct flood flood_of(struct rig *r)
{
	struct flood f = {.r = r, .next_id = 1};

	rig_start(f.r);
	f.attacker = peer_client(f.r);
	f.other = peer_client(f.r);
	return f;
}

static struct flood flood_new(void)
{
	return flood_of(rig_new());
}

static bool is_over(const struct flood *f)
{
	return fake_pair_fate(f->r->clients[0], 0) != FAKE_OPEN;
}

static void frame(
	struct flood *f, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
	if (!is_over(f) && stream_room(f->attacker->io) > len + 9)
		peer_raw(f->attacker, type, flags, id, payload, len);
}

static void open_stream(struct flood *f, bool end)
{
	uint8_t block[200];
	size_t n = peer_pseudo(block);

	frame(f, NGHTTP2_HEADERS,
		(uint8_t)(NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0)),
		f->next_id, block, n);
	f->next_id += 2;
}

static void ends_calmed(struct flood *f, const uint64_t *counter)
{
	unsigned upstream;

	peer_pump(f->attacker);
	if (f->attacker->n_goaways == 0)
		fail_msg("no GOAWAY");
	assert_int_equal(f->attacker->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_true(is_over(f));
	assert_int_equal(*counter, 1);
	upstream = f->r->n_upstreams;
	peer_request(f->other, "GET", "/", NULL, -1);
	for (unsigned i = 0; i < f->r->n_upstreams; i++) {
		if (i >= upstream || !rig_upstream_closed(f->r, i))
			rig_upstream_says(
				f->r, i, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
	}
	peer_pump(f->other);
	assert_string_equal(peer_find(f->other, 1)->body, "ok");
	rig_assert_quiet(f->r);
	peer_free(&f->attacker);
	peer_free(&f->other);
	rig_done(&f->r);
}

// CVE-2023-44487.
static void rapid_reset_ends(void)
{
	struct flood f = flood_new();
	const uint8_t cancel[4] = {0, 0, 0, NGHTTP2_CANCEL};
	unsigned n;

	for (n = 0; n < 2000 && !is_over(&f); n++) {
		open_stream(&f, true);
		frame(&f, NGHTTP2_RST_STREAM, 0, f.next_id - 2, cancel, 4);
		if (n % 10 == 9)
			peer_pump(f.attacker);
	}
	assert_true(n >= 500 && n <= 520);
	ends_calmed(&f, &f.r->stats.h2_flood_early_resets);
}

// Many at once: what one read brings is bounded, and by what may be open.
static void resets_of_one_read_do_not_empty_the_pools(void)
{
	const uint8_t cancel[4] = {0, 0, 0, NGHTTP2_CANCEL};
	struct rig *r = rig_new();
	struct flood f;

	r->config.http.http2.max_concurrent_streams = 8;
	f = flood_of(r);
	for (unsigned i = 0; i < 400; i++) {
		open_stream(&f, true);
		frame(&f, NGHTTP2_RST_STREAM, 0, f.next_id - 2, cancel, 4);
	}
	peer_pump(f.attacker);
	assert_true(f.r->worker->exchanges.n_used_max <= 9);
	assert_int_equal(f.r->stats.exchange_pool_empty, 0);
	assert_true(f.r->stats.h2_streams_refused >= 100);
	rig_assert_quiet(f.r);
	peer_free(&f.attacker);
	peer_free(&f.other);
	rig_done(&f.r);
}

// CVE-2025-8671: the client makes us send the RST_STREAM.
static void made_resets_end(void)
{
	struct flood f = flood_new();
	const uint8_t too_much[4] = {0x7f, 0xff, 0xff, 0xff}; // FLOW_CONTROL_ERROR of the stream

	for (unsigned i = 0; i < 2000 && !is_over(&f); i++) {
		open_stream(&f, true);
		frame(&f, NGHTTP2_WINDOW_UPDATE, 0, f.next_id - 2, too_much, 4);
		if (i % 10 == 9)
			peer_pump(f.attacker);
	}
	ends_calmed(&f, &f.r->stats.h2_flood_early_resets);
}

// CVE-2019-9512, CVE-2019-9515.
static void ping_flood_ends(void)
{
	struct flood f = flood_new();

	for (unsigned i = 0; i < 3000 && !is_over(&f); i++) {
		frame(&f, NGHTTP2_PING, 0, 0, "12345678", 8);
		if (i % 100 == 99)
			peer_pump(f.attacker);
	}
	ends_calmed(&f, &f.r->stats.h2_flood_control);
}

static void settings_flood_ends(void)
{
	struct flood f = flood_new();

	for (unsigned i = 0; i < 3000 && !is_over(&f); i++) {
		frame(&f, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
		if (i % 100 == 99)
			peer_pump(f.attacker);
	}
	ends_calmed(&f, &f.r->stats.h2_flood_control);
}

static void pings_now_and_then_are_answered(void)
{
	struct flood f = flood_new();

	for (unsigned i = 0; i < 3000; i++) {
		frame(&f, NGHTTP2_PING, 0, 0, "12345678", 8);
		rig_pass_ms(f.r, 20);
		peer_pump(f.attacker);
	}
	assert_false(is_over(&f));
	assert_true(f.attacker->n_frames[NGHTTP2_PING] >= 3000);
	peer_free(&f.attacker);
	peer_free(&f.other);
	rig_done(&f.r);
}

// CVE-2019-9513.
static void priority_flood_ends(void)
{
	struct flood f = flood_new();
	const uint8_t priority[5] = {0, 0, 0, 0, 1};

	for (unsigned i = 0; i < 300 && !is_over(&f); i++)
		frame(&f, NGHTTP2_PRIORITY, 0, 2 * i + 1, priority, 5);
	ends_calmed(&f, &f.r->stats.h2_flood_priority);
}

static void window_update_flood_ends(void)
{
	struct flood f = flood_new();
	const uint8_t one[4] = {0, 0, 0, 1};

	for (unsigned i = 0; i < 300 && !is_over(&f); i++)
		frame(&f, NGHTTP2_WINDOW_UPDATE, 0, 0, one, 4);
	ends_calmed(&f, &f.r->stats.h2_flood_window_updates);
}

// CVE-2019-9518.
static void empty_data_flood_ends(void)
{
	struct flood f = flood_new();

	open_stream(&f, false);
	for (unsigned i = 0; i < 10 && !is_over(&f); i++)
		frame(&f, NGHTTP2_DATA, 0, 1, NULL, 0);
	ends_calmed(&f, &f.r->stats.h2_flood_empty_frames);
}

// CVE-2024-27316.
static void continuation_flood_ends(void)
{
	struct flood f = flood_new();
	uint8_t block[200];
	size_t n = peer_pseudo(block);

	frame(&f, NGHTTP2_HEADERS, 0, 1, block, n);
	n = peer_literal(block, BYTES("x"), BYTES("y"));
	for (unsigned i = 0; i < 100 && !is_over(&f); i++) {
		frame(&f, NGHTTP2_CONTINUATION, 0, 1, block, n);
		peer_pump(f.attacker);
	}
	ends_calmed(&f, &f.r->stats.h2_flood_continuations);
}

// An HPACK bomb: one large field in the table, then one byte for each time it comes again.
static void hpack_bomb_ends(void)
{
	struct flood f = flood_new();
	static uint8_t block[16000];
	size_t n = peer_pseudo(block);

	block[n++] = 0x40; // literal, into the table
	block[n++] = 1;
	block[n++] = 'x';
	block[n++] = 0x7f; // length 3900
	block[n++] = (uint8_t)((3900 - 127) % 128 + 128);
	block[n++] = (uint8_t)((3900 - 127) / 128);
	memset(block + n, 'v', 3900);
	n += 3900;
	while (n < sizeof(block))
		block[n++] = 0x80 | 62;
	frame(&f, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block, n);
	peer_pump(f.attacker);
	assert_true(f.r->worker->chunks.n_used_max <= 40);
	ends_calmed(&f, &f.r->stats.h2_flood_fields);
}

// Frames of a byte are no abuse, but one connection's are not read in one turn.
static void small_frames_share_the_worker(void)
{
	struct flood f = flood_new();
	struct stream *end = fake_pair_end(f.r->clients[0], 0);
	size_t sent = 0;

	open_stream(&f, false);
	peer_pump(f.attacker);
	for (unsigned i = 0; i < 4000; i++, sent += 10)
		frame(&f, NGHTTP2_DATA, 0, 1, "x", 1);
	fake_pair_step(f.r->clients[0], f.r->now_us);
	assert_true(stream_readable(end) > sent - 1000 && stream_readable(end) < sent);
	peer_pump(f.attacker);
	assert_int_equal(stream_readable(end), 0);
	frame(&f, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "x", 1);
	peer_pump(f.attacker);
	rig_upstream_says(f.r, 0, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
	peer_pump(f.attacker);
	assert_string_equal(peer_find(f.attacker, 1)->body, "ok");
	assert_false(is_over(&f));
	rig_assert_quiet(f.r);
	peer_free(&f.attacker);
	peer_free(&f.other);
	rig_done(&f.r);
}

// Heads that do not end take at most half of what the answers of others need, too.
static void slow_heads_leave_room_for_answers(void)
{
	struct rig *r = rig_new();
	struct h2_peer *slow[8], *other, *endpoint;
	uint8_t block[200];
	size_t n = peer_pseudo(block);

	r->cluster.protocol = CLUSTER_HTTP_2;
	rig_start(r);
	other = peer_client(r);
	peer_request(other, "GET", "/", NULL, -1);
	endpoint = peer_new(r, rig_upstream_stream(r, 0), true, 100, 65535);
	for (unsigned i = 0; i < 8; i++) {
		slow[i] = peer_client(r);
		peer_raw(slow[i], NGHTTP2_HEADERS, 0, 1, block, n);
		peer_pump(slow[i]);
	}
	assert_int_equal(r->worker->trailers.n_used, r->worker->trailers.cap / 2);
	assert_int_equal(peer_find(slow[7], 1)->error_code, NGHTTP2_REFUSED_STREAM);
	endpoint->upload_trailers = true;
	peer_respond(endpoint, 1, "200", NULL, 2);
	peer_pump(endpoint);
	peer_pump(other);
	assert_true(peer_find(other, 1)->ended);
	assert_true(peer_find(other, 1)->trailers[0] != '\0');
	peer_free(&endpoint);
	for (unsigned i = 0; i < 8; i++)
		peer_free(&slow[i]);
	peer_free(&other);
	rig_done(&r);
}

static void slow_head_ends(void)
{
	struct flood f = flood_new();
	uint8_t block[200];
	size_t n = peer_pseudo(block);

	frame(&f, NGHTTP2_HEADERS, 0, 1, block, n);
	peer_pump(f.attacker);
	rig_pass_ms(f.r, 14000);
	assert_false(is_over(&f));
	rig_pass_ms(f.r, 1100);
	peer_pump(f.attacker);
	assert_true(is_over(&f));
	assert_int_equal(rig_hcm(f.r)->downstream_rq_timeout, 1);
	rig_assert_quiet(f.r);
	peer_free(&f.attacker);
	peer_free(&f.other);
	rig_done(&f.r);
}

static void streams_that_do_not_move_are_reset(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	static char head[] = "HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\n";
	static char body[50000];

	memset(body, 'x', sizeof(body));
	r->config.http.body_timeout_us = 5000000;
	rig_start(r);
	p = peer_new(r, rig_client_stream(r, rig_client(r)), false, 100, 0); // no window
	peer_request(p, "GET", "/", NULL, -1);
	rig_upstream_says(r, 0, head);
	fake_put(rig_upstream_stream(r, 0), bytes_of(body, sizeof(body)));
	rig_pass_ms(r, 4000);
	assert_false(rig_upstream_closed(r, 0));
	assert_true(r->worker->chunks.n_used < 10);
	rig_pass_ms(r, 8000);
	peer_pump(p);
	assert_true(peer_find(p, 1)->reset);
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_log(r, "200 SI stream_idle_timeout 0 16384");
	rig_assert_quiet(r);
	peer_free(&p);
	rig_done(&r);
}

static void idle_connection_is_closed(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;

	r->config.http.idle_timeout_us = 5000000;
	rig_start(r);
	p = peer_client(r);
	rig_pass_ms(r, 11000);
	peer_pump(p);
	assert_int_equal(p->n_goaways, 1);
	assert_int_equal(p->goaway_code, NGHTTP2_NO_ERROR);
	assert_true(rig_client_closed(r, 0));
	assert_int_equal(rig_hcm(r)->downstream_cx_idle_timeout, 1);
	peer_free(&p);
	rig_done(&r);
}

TESTS(TEST(rapid_reset_ends), TEST(small_frames_share_the_worker),
	TEST(slow_heads_leave_room_for_answers), TEST(resets_of_one_read_do_not_empty_the_pools),
	TEST(made_resets_end), TEST(ping_flood_ends), TEST(settings_flood_ends),
	TEST(pings_now_and_then_are_answered), TEST(priority_flood_ends),
	TEST(window_update_flood_ends), TEST(empty_data_flood_ends), TEST(continuation_flood_ends),
	TEST(hpack_bomb_ends), TEST(slow_head_ends), TEST(streams_that_do_not_move_are_reset),
	TEST(idle_connection_is_closed))
