// Buffers run out rung by rung, and windows grow while there are plenty.

#include "tests/unit/tcp_rig.h"

#define BUDGET 160u // so that the rungs are 80, 120, 140 and 150

// As if others held so many buffers.
static void others_hold(struct rig *r, uint32_t n)
{
	tcp_hold(r->net.tcp, n);
	rig_run(r);
}

static void others_let_go(struct rig *r, uint32_t n)
{
	tcp_unhold(r->net.tcp, n);
	rig_run(r);
}

static void each_rung_is_counted_when_it_is_climbed(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_mbufs_held = BUDGET});
	others_hold(&r, 79);
	assert_int_equal(r.stats.tcp_memory_rung, TCP_RUNG_FREE);
	others_hold(&r, 1);
	assert_int_equal(r.stats.tcp_memory_rung, TCP_RUNG_STEADY);
	others_hold(&r, 40);
	assert_int_equal(r.stats.tcp_memory_rung, TCP_RUNG_SMALL);
	others_let_go(&r, 41);
	assert_int_equal(r.stats.tcp_memory_rung, TCP_RUNG_FREE);
	others_hold(&r, 71); // several at once
	assert_int_equal(r.stats.tcp_memory_rung, TCP_RUNG_ABORT);
	assert_int_equal(r.stats.tcp_memory_steady, 2);
	assert_int_equal(r.stats.tcp_memory_small, 2);
	assert_int_equal(r.stats.tcp_memory_cookies, 1);
	assert_int_equal(r.stats.tcp_memory_abort, 1);
	others_let_go(&r, 150);
	rig_after(&r, 200);
	rig_done(&r);
}

// The peer sends as much as the window lets it, in a round trip, and the owner takes all of it.
static void fill_and_take(struct rig *r, uint32_t *seq, uint32_t n)
{
	for (uint32_t done = 0; done < n; done += 1000) {
		struct bytes b;

		rx(r, SEG(.seq = *seq, .ack = 1, .len = 1000));
		*seq += 1000;
		while ((b = stream_peek(r->stream)).len > 0)
			stream_consume(r->stream, b.len);
	}
	rig_run(r);
	tx_skip(r);
}

static uint32_t window_after(struct rig *r, uint32_t held, unsigned n_rounds)
{
	uint32_t seq = 1;

	rig_established(r, &(struct rig_options){.mss = 1000, .scale = 7});
	others_hold(r, held);
	for (unsigned i = 0; i < n_rounds; i++) {
		fill_and_take(r, &seq, r->conn->window_size);
		rig_after(r, 110);
	}
	others_let_go(r, held);
	return r->conn->window_size;
}

static void a_window_starts_with_64_kib_and_grows_with_what_is_taken(void)
{
	struct rig r;

	assert_int_equal(window_after(&r, 0, 0), 65536);
	rig_fini(&r);
	// Not beyond a sixteenth of the budget, however much is taken: 750 buffers of the rig's 1000.
	assert_int_equal(window_after(&r, 0, 4), 750 / 16 * 2048);
	rig_fini(&r);
	assert_int_equal(window_after(&r, 400, 4), 65536); // half of the buffers are in use
	rig_fini(&r);
}

static void a_slow_owner_gets_no_larger_window(void)
{
	struct rig r;
	uint32_t seq = 1;

	rig_established(&r, &(struct rig_options){.mss = 1000, .scale = 7});
	for (unsigned i = 0; i < 10; i++) {
		fill_and_take(&r, &seq, 20000); // less than half a window in a round trip
		rig_after(&r, 110);
	}
	assert_int_equal(r.conn->window_size, 65536);
	rig_fini(&r);
}

static void new_connections_get_small_windows_when_buffers_are_scarce(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_mbufs_held = BUDGET, .mss = 1000});
	others_hold(&r, 120);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .window = 4992));
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "x"));
	rig_find_conn(&r);
	assert_int_equal(r.conn->window_size, 4000);
	assert_int_equal(r.n_accepted, 1);
	others_let_go(&r, 120);
	rig_fini(&r);
}

static void then_only_cookies_are_given_out_and_reordering_is_not_kept(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.max_mbufs_held = BUDGET, .sack = true});
	others_hold(&r, 140);
	rx(&r, SEG(.seq = 101, .ack = 1, .len = 100));
	tx(&r, SEG(.seq = 1, .ack = 1)); // no SACK block: it was dropped
	assert_int_equal(r.stats.tcp_drop_ooo_memory, 1);
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 100)); // in order is still taken
	assert_int_equal(stream_readable(r.stream), 100);
	r.peer.port++;
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	assert_int_equal(r.stats.tcp_syn_cookies_sent, 1);
	others_hold(&r, 10);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	assert_int_equal(r.stats.tcp_drop_syn_memory, 1);
	others_let_go(&r, 150);
	tx_skip(&r);
	rig_fini(&r);
}

// Another accepted connection of the rig; its events go nowhere.
static struct stream *another(struct rig *r)
{
	struct stream *first = r->stream;
	uint32_t iss = r->iss;
	struct stream *s;

	r->peer.port++;
	rx(r, SEG(.flags = F_SYN, .seq = 0));
	tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0));
	rx(r, SEG(.seq = 1, .ack = 1));
	s = r->stream;
	stream_set_owner(s, NULL, NULL);
	r->stream = first;
	r->peer.port--;
	r->iss = iss;
	return s;
}

static size_t write_to(struct rig *r, struct stream *s, size_t n)
{
	static const uint8_t bytes[65536];
	size_t done = stream_write(s, bytes_of(bytes, n), false);

	rig_run(r);
	tx_skip(r);
	return done;
}

// Two that hold buffers: one reads, slowly, the other answers probes for ever.
static void who_holds_most_for_longest_without_moving_is_aborted(void)
{
	struct rig r;
	struct stream *stuck;
	uint32_t acked = 1;

	rig_established(&r, &(struct rig_options){.max_mbufs_held = BUDGET, .mss = 1000});
	stuck = another(&r);
	assert_int_equal(write_to(&r, stuck, 60000), 10000); // its share
	assert_int_equal(write_to(&r, r.stream, 30000), 8000);
	others_hold(&r, 132);
	assert_int_equal(r.stats.tcp_memory_rung, TCP_RUNG_ABORT);
	for (unsigned i = 0; i < 15; i++) {
		acked += 1000;
		rx(&r, SEG(.seq = 1, .ack = acked, .window = 65535));
		write_to(&r, r.stream, 1000); // and more comes
		rig_after(&r, 90);
		tx_skip(&r);
	}
	assert_int_equal(r.stats.tcp_memory_aborts, 1);
	assert_int_equal(stream_error(stuck), STREAM_ERROR_NO_MEMORY);
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_NONE);
	assert_true(r.stats.tcp_memory_rung < TCP_RUNG_ABORT);
	stream_close(&stuck);
	others_let_go(&r, 132);
	rig_fini(&r);
}

// What was thrown away did not end cleanly.
static void an_aborted_stream_is_cut_short_though_the_peers_end_had_come(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.max_mbufs_held = BUDGET, .mss = 1000});
	for (unsigned i = 0; i < 8; i++)
		rx(&r, SEG(.seq = 1 + 1000 * i, .ack = 1, .len = 1000));
	rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 8001, .ack = 1));
	assert_true(stream_end_received(r.stream));
	others_hold(&r, 145);
	rig_after(&r, 1500);
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_NO_MEMORY);
	assert_int_equal(stream_readable(r.stream), 0);
	assert_false(stream_read_ended(r.stream));
	assert_false(stream_end_received(r.stream));
	others_let_go(&r, 145);
	rig_fini(&r);
}

// Whose window stayed closed because there were no buffers hears when there are: nothing else tells the peer.
static void windows_that_scarcity_closed_open_by_themselves(void)
{
	struct rig r;

	rig_established(&r,
		&(struct rig_options){.max_mbufs_held = BUDGET,
			.mss = 1000,
			.settings = {.receive_buffer_max = 4000}});
	for (unsigned i = 0; i < 4; i++)
		rx(&r, SEG(.seq = 1 + 1000 * i, .ack = 1, .len = 1000));
	others_hold(&r, 150);
	rig_after(&r, 50);
	tx_skip(&r);
	while (stream_readable(r.stream) > 0)
		stream_consume(r.stream, stream_peek(r.stream).len);
	rig_run(&r);
	assert_int_equal(r.conn->rcv_adv - r.conn->rcv_nxt, 0);
	tx_skip(&r);
	others_let_go(&r, 150);
	rig_after(&r, 200);
	tx(&r, SEG(.seq = 1, .ack = 4001, .window = 4000));
	rig_fini(&r);
}

// A byte now and then is no progress.
static void dripping_does_not_help(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.max_mbufs_held = BUDGET, .mss = 1000});
	assert_int_equal(write_to(&r, r.stream, 60000), 10000);
	others_hold(&r, 140);
	for (unsigned i = 1; i < 15; i++) {
		rx(&r, SEG(.seq = 1, .ack = 1 + i, .window = 0));
		rig_after(&r, 90);
		tx_skip(&r);
	}
	assert_int_equal(r.stats.tcp_memory_aborts, 1);
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_NO_MEMORY);
	others_let_go(&r, 140);
	rig_fini(&r);
}

static void what_is_out_of_order_goes_before_anybody_is_aborted(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.max_mbufs_held = BUDGET, .sack = true});
	for (unsigned i = 0; i < 10; i++)
		rx(&r, SEG(.seq = 1001 + 200 * i, .ack = 1, .len = 100));
	assert_int_equal(r.conn->reordered.n, 10);
	tx_skip(&r);
	others_hold(&r, 145);
	rig_after(&r, 150);
	assert_int_equal(r.conn->reordered.n, 0);
	assert_int_equal(r.conn->n_sack, 0);
	assert_int_equal(r.stats.tcp_drop_ooo_memory, 10);
	assert_int_equal(r.stats.tcp_memory_aborts, 0);
	others_let_go(&r, 145);
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 1000)); // the peer sends it all again
	rx(&r, SEG(.seq = 1001, .ack = 1, .len = 100));
	assert_int_equal(stream_readable(r.stream), 1100);
	tx_skip(&r);
	rig_fini(&r);
}

// The budget is not the pool: who may hold nothing more can still be answered.
static void control_segments_have_a_reserve(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.n_mbufs = 200, .max_mbufs_held = 150});
	assert_int_equal(write_to(&r, r.stream, 1000), 1000);
	others_hold(&r, 149);
	assert_int_equal(stream_room(r.stream), 0);
	rx(&r, SEG(.seq = 1000, .ack = 1, .len = 1));
	tx(&r, SEG(.ack = 1)); // an ACK
	r.peer.port++;
	r.here.port++;
	rx(&r, SEG(.seq = 1, .ack = 1));
	tx(&r, SEG(.flags = F_RST, .seq = 1));
	others_let_go(&r, 149);
	rig_fini(&r);
}

// RFC 9293, 3.8.6: a window is not taken back, although nothing but the handshake is kept of it.
static void what_a_handshake_promised_is_kept(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_mbufs_held = BUDGET});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1, .window = 12288)); // a share of 10
	others_hold(&r, 79);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1, .window = 12288));
	rx(&r, SEG(.seq = 30000, .ack = 1, .len = 1)); // beyond it: challenged
	tx(&r, SEG(.seq = 1, .ack = 1, .window = 12288));
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 1));
	rig_find_conn(&r);
	assert_int_equal(r.conn->rcv_adv, r.conn->irs + 1 + 12288);
	others_let_go(&r, 79);
	rig_fini(&r);
}

// RFC 7323, 2.2: only the SYN-ACK's window is not scaled. Both say the same, and the connection keeps it.
static void a_handshakes_challenge_has_the_same_window_scaled(void)
{
	struct rig r;
	unsigned scale;
	uint16_t window;

	rig_init(&r, &(struct rig_options){.max_mbufs_held = BUDGET, .scale = 7});
	scale = r.net.tcp->receive_scale;
	window = (uint16_t)((12200 + (1 << scale) - 1) >> scale << scale);
	assert_true(window > 12200);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1, .window = window));
	rx(&r, SEG(.seq = 30000, .ack = 1, .len = 1));
	tx(&r, SEG(.seq = 1, .ack = 1, .window = window >> scale));
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 1));
	rig_find_conn(&r);
	assert_int_equal(r.conn->rcv_adv, r.conn->irs + 1 + window);
	rig_fini(&r);
}

TESTS(TEST(each_rung_is_counted_when_it_is_climbed),
	TEST(a_window_starts_with_64_kib_and_grows_with_what_is_taken),
	TEST(a_slow_owner_gets_no_larger_window),
	TEST(new_connections_get_small_windows_when_buffers_are_scarce),
	TEST(then_only_cookies_are_given_out_and_reordering_is_not_kept),
	TEST(who_holds_most_for_longest_without_moving_is_aborted), TEST(dripping_does_not_help),
	TEST(an_aborted_stream_is_cut_short_though_the_peers_end_had_come),
	TEST(windows_that_scarcity_closed_open_by_themselves),
	TEST(what_is_out_of_order_goes_before_anybody_is_aborted),
	TEST(control_segments_have_a_reserve), TEST(what_a_handshake_promised_is_kept),
	TEST(a_handshakes_challenge_has_the_same_window_scaled))
