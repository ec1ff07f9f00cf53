// How large segments may be (RFC 1191, 5927, 2923), and when things happen to the millisecond: RFC 6298, 9293
// 3.8.6.1; SACK where sequence numbers wrap: RFC 2018, 2883.

#include "tests/unit/tcp_rig.h"

static void too_big(struct rig *r, uint32_t seq, uint16_t mtu)
{
	tcp_icmp_error(
		r->net.tcp, TCP_ICMP_TOO_BIG, &r->here, &r->peer, r->iss + seq, mtu, r->now_us);
	rig_run(r);
}

static void rfc5927_4_1_icmp_that_quotes_nothing_in_flight_is_ignored(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rig_write(&r, 2920);
	assert_int_equal(tx_skip(&r), 2);
	too_big(&r, 2921, 1000); // not sent yet
	too_big(&r, 0, 1000);    // acknowledged
	too_big(&r, 0x80000000, 1000);
	tx_none(&r);
	assert_int_equal(r.stats.tcp_icmp_ignored, 3);
	assert_int_equal(r.conn->mss, 1460);
	rig_fini(&r);
}

static void rfc1191_3_no_message_makes_segments_larger_or_tiny(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rig_write(&r, 1460);
	assert_int_equal(tx_skip(&r), 1);
	too_big(&r, 1, 9000);
	assert_int_equal(r.conn->mss, 1460);
	too_big(&r, 1, 68);
	assert_int_equal(r.conn->mss, 512);
	tx(&r, SEG(.seq = 1, .len = 512));
	tx(&r, SEG(.seq = 513, .len = 512));
	tx(&r, SEG(.seq = 1025, .len = 436));
	rig_fini(&r);
}

static void rfc1191_6_5_too_large_is_no_sign_of_congestion(void)
{
	struct rig r;
	uint32_t cwnd;

	rig_established(&r, &(struct rig_options){.sack = true});
	rig_write(&r, 1460 * 8);
	assert_int_equal(tx_skip(&r), 8);
	cwnd = r.conn->cwnd;
	too_big(&r, 1, 1280);
	assert_true(tx_skip(&r) > 8); // all of them, in pieces, at once
	assert_int_equal(r.conn->cwnd, cwnd);
	rx(&r, SEG(.seq = 1, .ack = 1 + 1460 * 8));
	assert_true(r.conn->cwnd >= cwnd);
	assert_int_equal(tcp_pipe(r.conn), 0);
	rig_fini(&r);
}

// Duplicate ACKs said that some left the network; now it is known that none of them arrived.
static void rfc1191_6_5_nor_without_sack(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rig_write(&r, 1460 * 4);
	assert_int_equal(tx_skip(&r), 4);
	rx(&r, SEG(.seq = 1, .ack = 1));
	rx(&r, SEG(.seq = 1, .ack = 1));
	too_big(&r, 1, 1280);
	assert_int_equal(tx_skip(&r), 8);
	assert_int_equal(tcp_pipe(r.conn), 1460 * 4);
	rig_fini(&r);
}

static void rfc2923_2_1_full_segments_that_vanish_twice_become_smaller(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rig_write(&r, 1460);
	tx(&r, SEG(.seq = 1, .len = 1460));
	rig_at(&r, 200);
	tx(&r, SEG(.seq = 1, .len = 1460));
	rig_at(&r, 600);
	tx(&r, SEG(.seq = 1, .len = 1240)); // as of an MTU of 1280
	tx_none(&r);
	assert_int_equal(r.stats.tcp_mtu_black_holes, 1);
	rig_at(&r, 1400);
	tx(&r, SEG(.seq = 1, .len = 1240));
	rig_at(&r, 3000);
	tx(&r, SEG(.seq = 1, .len = 536)); // of 576, the least
	rig_at(&r, 6200);
	tx(&r, SEG(.seq = 1, .len = 536));
	rx(&r, SEG(.seq = 1, .ack = 537));
	tx(&r, SEG(.seq = 537, .len = 536));
	tx(&r, SEG(.seq = 1073, .len = 168));
	rx(&r, SEG(.seq = 1, .ack = 1241));
	tx(&r, SEG(.seq = 1241, .len = 220));
	rx(&r, SEG(.seq = 1, .ack = 1461));
	rig_write(&r, 1000);
	tx(&r, SEG(.seq = 1461, .len = 536));
	rx(&r, SEG(.seq = 1, .ack = 1997));
	tx_skip(&r);
	rx(&r, SEG(.seq = 1, .ack = 2461));
	rig_after(&r,
		601 * 1000); // after ten minutes the full size gets another chance, RFC 1191, 6.3
	rig_write(&r, 10);
	tx(&r, SEG(.seq = 2461, .len = 10));
	rig_write(&r, 1460);
	tx(&r, SEG(.seq = 2471, .len = 1460));
	rig_fini(&r);
}

static void segments_follow_the_mtu_of_the_interface(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.sack = true});
	rig_write(&r, 2920);
	assert_int_equal(tx_skip(&r), 2);
	r.net.mtu = 1300;
	tcp_mtu_follow(r.net.tcp, r.now_us);
	rig_run(&r);
	assert_int_equal(r.conn->mss, 1260);
	tx(&r, SEG(.seq = 1, .len = 1260)); // too large ones are not on their way
	assert_true(tx_skip(&r) > 1);
	rx(&r, SEG(.seq = 1, .ack = 2921));

	r.net.mtu = 1500;
	tcp_mtu_follow(r.net.tcp, r.now_us);
	assert_int_equal(r.conn->mss, 1460);

	// A path that is narrower stays so.
	rig_write(&r, 1460);
	assert_int_equal(tx_skip(&r), 1);
	too_big(&r, 2921, 1200);
	tcp_mtu_follow(r.net.tcp, r.now_us);
	assert_int_equal(r.conn->mss, 1160);
	rig_fini(&r);
}

static void small_segments_that_vanish_tell_nothing_about_sizes(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rig_write(&r, 500);
	rig_after(&r, 20000);
	assert_true(tx_skip(&r) > 3);
	assert_int_equal(r.conn->mss, 1460);
	assert_int_equal(r.stats.tcp_mtu_black_holes, 0);
	rig_fini(&r);
}

// --- times

static void rfc6298_2_the_timeout_is_what_the_samples_say(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	r.conn->srtt_us = 0; // as if the handshake had told nothing
	rig_write(&r, 10);
	tx(&r, SEG(.seq = 1, .len = 10));
	rig_at(&r, 100);
	rx(&r, SEG(.seq = 1, .ack = 11)); // SRTT 100, RTTVAR 50
	rig_write(&r, 10);
	tx(&r, SEG(.seq = 11, .len = 10));
	rig_at(&r, 160);
	rx(&r, SEG(.seq = 1, .ack = 21)); // 60 more: SRTT 95, RTTVAR 47.5
	assert_int_equal(r.conn->srtt_us, 95000);
	assert_int_equal(r.conn->rttvar_us, 47500);
	rig_write(&r, 10);
	tx(&r, SEG(.seq = 21, .len = 10));
	rig_at(&r, 160 + 284);
	tx_none(&r);
	rig_at(&r, 160 + 285); // 95 + 4 * 47.5
	tx(&r, SEG(.seq = 21, .len = 10));
	rig_at(&r, 160 + 285 + 569);
	tx_none(&r);
	rig_at(&r, 160 + 285 + 570); // twice that, 5.5
	tx(&r, SEG(.seq = 21, .len = 10));
	rig_fini(&r);
}

static void rfc6298_5_3_an_ack_starts_the_timer_anew(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 2000);
	assert_int_equal(tx_skip(&r), 2);
	rig_at(&r, 150);
	rx(&r, SEG(.seq = 1, .ack = 1001));
	rig_at(&r, 150 + r.conn->rto_us / 1000 - 1);
	tx_none(&r);
	rig_after(&r, 1.5);
	tx(&r, SEG(.seq = 1001, .len = 1000));
	rig_fini(&r);
}

// The intervals at which something goes out, until 'n' of them.
static void expect_intervals(struct rig *r, const uint32_t *ms, unsigned n, int len)
{
	double at = (double)(r->now_us - RIG_START_US) / 1000;

	for (unsigned i = 0; i < n; i++) {
		rig_at(r, at + ms[i] - 1);
		tx_none(r);
		rig_at(r, at + ms[i]);
		tx(r, SEG(.seq = 1, .len = len));
		tx_none(r);
		at += ms[i];
	}
}

static void rfc6298_5_5_timeouts_double_up_to_a_minute(void)
{
	struct rig r;

	rig_established(&r,
		&(struct rig_options){.mss = 1000, .settings = {.user_timeout_us = UINT32_MAX}});
	rig_write(&r, 10);
	tx(&r, SEG(.seq = 1, .len = 10));
	expect_intervals(&r,
		(const uint32_t[]){
			200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 60000},
		12, 10);
	rig_fini(&r);
}

static void rfc9293_3_8_6_1_window_probes_go_out_up_to_a_minute_apart(void)
{
	static const uint32_t ms[] = {
		200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 60000};
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 0));
	rig_write(&r, 10);
	for (unsigned i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
		expect_intervals(&r, &ms[i], 1, 1);
		rx(&r, SEG(.seq = 1, .ack = 1, .window = 0)); // alive, so it goes on
	}
	assert_false(r.events & STREAM_CLOSED);
	rig_fini(&r);
}

static void one_ack_for_a_burst(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	for (int i = 0; i < 10; i++)
		rx_quiet(&r, SEG(.seq = 1 + i * 1000, .ack = 1, .len = 1000));
	rig_run(&r);
	tx(&r, SEG(.seq = 1, .ack = 10001));
	tx_none(&r);
	rig_after(&r, 100);
	tx_none(&r);
	rig_fini(&r);
}

// --- SACK across the wrap

// Makes our numbers so that the segment from 'seq' on is the one that wraps.
static void wrap_at(struct rig *r, uint32_t seq)
{
	uint32_t by = 0u - seq - r->iss;
	struct tcp_conn *c = r->conn;

	r->iss += by;
	c->iss += by;
	c->snd_una += by;
	c->snd_nxt += by;
	c->snd_end += by;
	c->snd_wl2 += by;
}

static void rfc2018_blocks_are_understood_across_the_wrap(void)
{
	// The wrap lies before, at and in each of the segments.
	for (uint32_t at = 1; at <= 6001; at += 250) {
		struct rig r;

		rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
		wrap_at(&r, at);
		rig_write(&r, 6000);
		assert_int_equal(tx_skip(&r), 6);
		rig_after(&r, 1);
		rx(&r, SEG(.seq = 1, .ack = 1001, .n_sack = 2, .sack = {4001, 6001, 2001, 3001}));
		rig_after(&r, 1.5);
		tx(&r, SEG(.seq = 1001, .len = 1000));
		tx(&r, SEG(.seq = 3001, .len = 1000));
		tx_none(&r);
		assert_int_equal(r.conn->sacked_bytes, 3000);
		rx(&r, SEG(.seq = 1, .ack = 6001));
		rx(&r, SEG(.seq = 1, .ack = 6001, .n_sack = 1, .sack = {3001, 4001})); // RFC 2883
		assert_int_equal(r.stats.tcp_dsack_received, 1);
		assert_int_equal(tcp_pipe(r.conn), 0);
		rig_fini(&r);
	}
}

static void rfc2018_and_2883_blocks_are_told_across_the_wrap(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.sack = true}); // the peer's numbers wrap at 16
	rx(&r, SEG(.seq = 6, .ack = 1, .len = 20));
	tx(&r, SEG(.ack = 1, .n_sack = 1, .sack = {6, 26}));
	rx(&r, SEG(.seq = 36, .ack = 1, .len = 5));
	tx(&r, SEG(.ack = 1, .n_sack = 2, .sack = {36, 41, 6, 26}));
	rx(&r, SEG(.seq = 10, .ack = 1, .len = 10)); // again: a D-SACK inside a block
	tx(&r, SEG(.ack = 1, .n_sack = 3, .sack = {10, 20, 6, 26, 36, 41}));
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 5));
	tx(&r, SEG(.ack = 26, .n_sack = 1, .sack = {36, 41}));
	rig_fini(&r);
}

TESTS(TEST(rfc5927_4_1_icmp_that_quotes_nothing_in_flight_is_ignored),
	TEST(rfc1191_3_no_message_makes_segments_larger_or_tiny),
	TEST(rfc1191_6_5_too_large_is_no_sign_of_congestion), TEST(rfc1191_6_5_nor_without_sack),
	TEST(rfc2923_2_1_full_segments_that_vanish_twice_become_smaller),
	TEST(segments_follow_the_mtu_of_the_interface),
	TEST(small_segments_that_vanish_tell_nothing_about_sizes),
	TEST(rfc6298_2_the_timeout_is_what_the_samples_say),
	TEST(rfc6298_5_3_an_ack_starts_the_timer_anew),
	TEST(rfc6298_5_5_timeouts_double_up_to_a_minute),
	TEST(rfc9293_3_8_6_1_window_probes_go_out_up_to_a_minute_apart), TEST(one_ack_for_a_burst),
	TEST(rfc2018_blocks_are_understood_across_the_wrap),
	TEST(rfc2018_and_2883_blocks_are_told_across_the_wrap))
