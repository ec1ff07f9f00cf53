// The congestion window: RFC 9438, 9406, 5681, 6928, 3042, 6937; and taking a reduction back: RFC 3522, 3708,
// 4015.

#include "tests/unit/tcp_rig.h"

// --- CUBIC, called directly

static void begin(struct rig *r)
{
	rig_established(r, &(struct rig_options){.mss = 1000});
	r->conn->srtt_us = 500000; // long enough for the cubic to be faster than Reno
	r->conn->cwnd = 100000;
}

// Acknowledges a whole window each round trip for 'ms'.
static void grow(struct rig *r, uint64_t *now_us, unsigned ms)
{
	for (uint64_t end = *now_us + ms * 1000ull; *now_us < end; *now_us += 50000)
		tcp_cc_cubic.on_ack(r->conn, r->conn->cwnd / 10 / 1000 * 1000, *now_us);
}

static void rfc9438_4_2_the_window_returns_to_where_it_was_after_k(void)
{
	struct rig r;
	uint64_t now_us = 1000000;

	begin(&r);
	r.conn->ssthresh = tcp_cc_cubic.on_loss(r.conn, 100000, false, now_us);
	assert_int_equal(r.conn->ssthresh, 70000); // beta, 4.6
	r.conn->cwnd = r.conn->ssthresh;
	grow(&r, &now_us, 50);
	assert_int_equal(r.conn->cc_state.w_max, 100000);
	assert_in_range(r.conn->cc_state.k_ms, 4200, 4230); // cbrt(30 / 0.4) = 4.217 s
	grow(&r, &now_us, 2000);
	assert_in_range(r.conn->cwnd, 94000, 99000); // steep at first: 100 - 0.4 * 2.2^3 = 95.7
	grow(&r, &now_us, 2200);
	assert_in_range(r.conn->cwnd, 99000, 101500); // flat around the old maximum
	grow(&r, &now_us, 4200);
	assert_in_range(r.conn->cwnd, 125000, 135000); // and steep again: 100 + 0.4 * 4.2^3 = 129.6
	rig_fini(&r);
}

static void rfc9438_4_3_it_is_never_slower_than_reno(void)
{
	struct rig r;
	uint64_t now_us = 1000000;

	begin(&r);
	r.conn->srtt_us = 5000; // short round trips: Reno is faster than the cubic
	r.conn->cwnd = 10000;
	r.conn->ssthresh = tcp_cc_cubic.on_loss(r.conn, 10000, false, now_us);
	r.conn->cwnd = r.conn->ssthresh;
	for (unsigned i = 0; i < 20; i++, now_us += 5000)
		tcp_cc_cubic.on_ack(r.conn, r.conn->cwnd, now_us);
	// 9/17 of a segment each round trip up to the old window, a whole one from there.
	assert_in_range(r.conn->cwnd, 22000, 26000);
	rig_fini(&r);
}

static void rfc9438_4_7_a_flow_that_did_not_reach_its_old_window_makes_room(void)
{
	struct rig r;

	begin(&r);
	tcp_cc_cubic.on_loss(r.conn, 100000, false, 0);
	r.conn->cwnd = 80000;
	tcp_cc_cubic.on_loss(r.conn, 80000, false, 0);
	assert_int_equal(r.conn->cc_state.w_max, 68000);
	rig_fini(&r);
}

static void rfc9438_4_8_after_a_timeout_growth_starts_from_what_is_there(void)
{
	struct rig r;
	uint64_t now_us = 1000000;

	begin(&r);
	r.conn->ssthresh = tcp_cc_cubic.on_loss(r.conn, 100000, true, now_us);
	r.conn->cwnd = r.conn->ssthresh;
	grow(&r, &now_us, 50);
	assert_int_equal(r.conn->cc_state.k_ms, 0);
	assert_in_range(r.conn->cc_state.w_max, 70000, 71000);
	rig_fini(&r);
}

static void rfc9438_5_8_time_in_which_the_window_was_not_the_limit_does_not_count(void)
{
	struct rig r;
	uint64_t now_us = 1000000;
	uint32_t cwnd;

	begin(&r);
	r.conn->ssthresh = tcp_cc_cubic.on_loss(r.conn, 100000, false, now_us);
	r.conn->cwnd = r.conn->ssthresh;
	grow(&r, &now_us, 4200);
	cwnd = r.conn->cwnd;
	now_us += 60000000;
	grow(&r, &now_us, 50);
	assert_in_range(r.conn->cwnd, cwnd, cwnd + 1000);
	rig_fini(&r);
}

static void rfc9406_slow_start_ends_when_round_trips_grow(void)
{
	struct rig r;
	uint64_t now_us = 1000000;
	struct tcp_conn *c;

	begin(&r);
	c = r.conn;
	c->cwnd = 10000;
	c->ssthresh = 0x7fffffff;
	for (unsigned round = 0; round < 12 && c->cwnd < c->ssthresh; round++) {
		uint32_t acks = c->cwnd / 2000;

		for (uint32_t i = 0; i < acks; i++) {
			c->snd_nxt = c->snd_una + c->cwnd; // as if sent
			c->snd_una += 2000;
			tcp_cc_cubic.on_rtt(c, 50000 + (round > 3 ? (round - 3) * 7000 : 0));
			tcp_cc_cubic.on_ack(c, 2000, now_us);
		}
	}
	assert_in_range(c->cwnd, c->ssthresh, c->ssthresh + 20000); // left without a loss
	assert_in_range(c->cwnd, 150000, 1000000);                  // ten doublings would be 10 MB
	c->snd_nxt = c->snd_end;
	c->snd_una = c->snd_end;
	rig_fini(&r);
}

// --- on the wire

static void rfc6928_and_5681_4_1_ten_segments_at_first_and_after_a_pause(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	for (unsigned written = 0, acked = 0; acked < 60;) {
		written += (unsigned)rig_write(&r, 60000 - written);
		acked += tx_skip(&r);
		rx(&r, SEG(.seq = 1, .ack = 1 + acked * 1000));
	}
	assert_true(r.conn->cwnd > 20000);
	rig_after(&r, 150); // shorter than the timeout
	rig_write(&r, 15000);
	assert_int_equal(tx_skip(&r), 15);
	rx(&r, SEG(.seq = 1, .ack = 75001));
	rig_after(&r, 250);
	rig_write(&r, 15000);
	assert_int_equal(tx_skip(&r), 10);
	rig_fini(&r);
}

static void rfc3042_the_first_duplicates_let_new_data_out(void)
{
	for (int sack = 0; sack < 2; sack++) {
		struct rig r;

		rig_established(&r, &(struct rig_options){.mss = 1000, .sack = sack});
		rig_write(&r, 20000);
		assert_int_equal(tx_skip(&r), 10);
		rx(&r, SEG(.seq = 1, .ack = 1, .n_sack = sack, .sack = {1001, 2001}));
		tx(&r, SEG(.seq = 10001, .len = 1000));
		tx_none(&r);
		rx(&r, SEG(.seq = 1, .ack = 1, .n_sack = sack, .sack = {1001, 3001}));
		tx(&r, SEG(.seq = 11001, .len = 1000));
		tx_none(&r);
		rig_fini(&r);
	}
}

static void rfc6937_recovery_sends_in_proportion_to_what_arrives(void)
{
	struct rig r;
	unsigned sent = 0;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	r.conn->cwnd = 20000;
	r.conn->min_rtt_us = 20000;
	r.conn->srtt_us = 20000;
	rig_write(&r, 100000);
	assert_int_equal(tx_skip(&r), 20);
	rig_after(&r, 20);
	rx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 1, .sack = {1001, 2001}));
	tx_skip(&r);
	rig_after(&r, 20);
	rx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 1, .sack = {1001, 3001}));
	assert_true(r.conn->flags & TCP_F_RECOVERY);
	assert_int_equal(r.conn->ssthresh, 14000);
	sent = tx_skip(&r);
	assert_in_range(sent, 1, 2); // what was lost, no pause and no burst
	for (uint32_t right = 4001; right <= 20001; right += 1000) {
		unsigned n;

		rx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 1, .sack = {1001, right}));
		n = tx_skip(&r);
		assert_in_range(n, 0, 1); // seven for ten
		sent += n;
	}
	assert_in_range(sent, 12, 14);
	assert_in_range(tcp_pipe(r.conn), 12000, 14000);
	rig_fini(&r);
}

// --- nothing was lost

static void rfc3522_a_timeout_that_was_only_delay_is_taken_back(void)
{
	struct rig r;
	uint32_t cwnd, ssthresh, echo;

	rig_established(&r, &(struct rig_options){.mss = 1000, .timestamps = true, .sack = true});
	rig_write(&r, 8000 * 1);
	tx(&r, SEG(.seq = 1, .len = 988));
	echo = r.our_ts;
	assert_int_equal(tx_skip(&r), 8);
	cwnd = r.conn->cwnd;
	ssthresh = r.conn->ssthresh;
	rig_after(&r, 300); // the path stands still
	assert_int_equal(r.stats.tcp_rto, 1);
	assert_true(r.conn->cwnd < cwnd);
	tx_skip(&r);
	r.our_ts = echo;
	rx(&r, SEG(.seq = 1, .ack = 1977)); // of the first two, as sent first
	tx_none(&r);                        // none of the other six goes again
	assert_int_equal(r.stats.tcp_spurious_rto, 1);
	assert_true(r.conn->cwnd >= cwnd);
	assert_int_equal(r.conn->ssthresh, ssthresh);
	assert_int_equal(r.conn->lost_bytes, 0);
	assert_true(r.conn->rto_us > 300000); // RFC 4015, 3.3
	rx(&r, SEG(.seq = 1, .ack = 8001));
	assert_int_equal(tcp_pipe(r.conn), 0);
	rig_fini(&r);
}

// Without SACK what left the network is an estimate, which ends with the recovery.
static void rfc3522_a_recovery_without_sack_that_is_taken_back_leaves_no_estimate(void)
{
	struct rig r;
	uint32_t echo;

	rig_established(&r, &(struct rig_options){.mss = 1000, .timestamps = true});
	rig_write(&r, 988 * 5);
	echo = r.our_ts;
	assert_int_equal(tx_skip(&r), 5);
	rig_after(&r, 20);
	r.our_ts = echo;
	for (unsigned i = 0; i < 4; i++) // the first was overtaken by the others
		rx(&r, SEG(.seq = 1, .ack = 1));
	tx(&r, SEG(.seq = 1, .len = 988));
	r.our_ts = echo;
	rx(&r, SEG(.seq = 1, .ack = 1 + 988 * 4));
	assert_int_equal(r.stats.tcp_spurious_recoveries, 1);
	assert_int_equal(tcp_pipe(r.conn), 988);
	rig_write(&r, 988);
	tx(&r, SEG(.seq = 1 + 988 * 5, .len = 988)); // at once
	rig_fini(&r);
}

static void rfc3522_a_timeout_that_was_a_loss_stands(void)
{
	struct rig r;
	uint32_t cwnd;

	rig_established(&r, &(struct rig_options){.mss = 1000, .timestamps = true, .sack = true});
	rig_write(&r, 8000);
	tx_skip(&r);
	cwnd = r.conn->cwnd;
	rig_after(&r, 300);
	tx(&r, SEG(.seq = 7905, .len = 96)); // the tail probe
	tx(&r, SEG(.seq = 1, .len = 988));
	rx(&r, SEG(.seq = 1, .ack = 989));
	assert_int_equal(r.stats.tcp_spurious_rto, 0);
	assert_true(r.conn->cwnd < cwnd);
	tx_skip(&r);
	rig_fini(&r);
}

static void rfc3708_a_recovery_whose_repetitions_all_came_twice_is_taken_back(void)
{
	struct rig r;
	uint32_t cwnd;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	r.conn->min_rtt_us = 40000;
	r.conn->srtt_us = 40000;
	rig_write(&r, 8000);
	assert_int_equal(tx_skip(&r), 8);
	cwnd = r.conn->cwnd;
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 1, .sack = {2001, 8001}));
	rig_after(&r, 12);
	tx(&r, SEG(.seq = 1, .len = 1000));
	tx(&r, SEG(.seq = 1001, .len = 1000));
	assert_true(r.conn->flags & TCP_F_RECOVERY);
	rx(&r, SEG(.seq = 1, .ack = 8001)); // they were only late
	assert_true(r.conn->cwnd < cwnd);
	rx(&r, SEG(.seq = 1, .ack = 8001, .n_sack = 1, .sack = {1, 1001}));
	assert_true(r.conn->cwnd < cwnd);
	rx(&r, SEG(.seq = 1, .ack = 8001, .n_sack = 1, .sack = {1001, 2001}));
	assert_int_equal(r.stats.tcp_spurious_recoveries, 1);
	assert_true(r.conn->cwnd >= cwnd);
	rig_fini(&r);
}

TESTS(TEST(rfc9438_4_2_the_window_returns_to_where_it_was_after_k),
	TEST(rfc9438_4_3_it_is_never_slower_than_reno),
	TEST(rfc9438_4_7_a_flow_that_did_not_reach_its_old_window_makes_room),
	TEST(rfc9438_4_8_after_a_timeout_growth_starts_from_what_is_there),
	TEST(rfc9438_5_8_time_in_which_the_window_was_not_the_limit_does_not_count),
	TEST(rfc9406_slow_start_ends_when_round_trips_grow),
	TEST(rfc6928_and_5681_4_1_ten_segments_at_first_and_after_a_pause),
	TEST(rfc3042_the_first_duplicates_let_new_data_out),
	TEST(rfc6937_recovery_sends_in_proportion_to_what_arrives),
	TEST(rfc3522_a_timeout_that_was_only_delay_is_taken_back),
	TEST(rfc3522_a_recovery_without_sack_that_is_taken_back_leaves_no_estimate),
	TEST(rfc3522_a_timeout_that_was_a_loss_stands),
	TEST(rfc3708_a_recovery_whose_repetitions_all_came_twice_is_taken_back))
