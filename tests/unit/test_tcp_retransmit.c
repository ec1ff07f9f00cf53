// What is sent again, and when: RFC 6298, 5681, 6582, 8985; window probes: RFC 9293, 3.8.6.1.

#include "tests/unit/tcp_rig.h"

static void rto_backs_off_and_recovers(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 500);
	tx(&r, SEG(.seq = 1, .len = 500));
	rig_at(&r, 199); // the floor; the round trip took no time at all
	tx_none(&r);
	rig_at(&r, 200);
	tx(&r, SEG(.seq = 1, .len = 500));
	rig_at(&r, 599);
	tx_none(&r);
	rig_at(&r, 600); // doubled, RFC 6298 (5.5)
	tx(&r, SEG(.seq = 1, .len = 500));
	rig_at(&r, 1400);
	tx(&r, SEG(.seq = 1, .len = 500));
	rx(&r, SEG(.seq = 1, .ack = 501));
	rig_after(&r, 60000);
	tx_none(&r);
	rig_write(&r, 10); // new data acknowledged: no doubling any more
	tx(&r, SEG(.seq = 501, .len = 10));
	rig_after(&r, 200);
	tx(&r, SEG(.seq = 501, .len = 10));
	rig_fini(&r);
}

static void rto_first_is_one_second_for_a_syn_and_gives_up(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.settings = {.user_timeout_us = 5000000}});
	rig_connect(&r);
	tx(&r, SEG(.flags = F_SYN, .seq = 0, .mss = 1460));
	rig_at(&r, 999);
	tx_none(&r);
	rig_at(&r, 1001);
	tx(&r, SEG(.flags = F_SYN, .seq = 0));
	rig_at(&r, 3001);
	tx(&r, SEG(.flags = F_SYN, .seq = 0));
	rig_at(&r, 20000);
	tx_none(&r);
	assert_true(r.events & STREAM_CLOSED);
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_CONNECT_TIMEOUT);
	stream_close(&r.stream);
	rig_done(&r);
}

static void user_timeout_ends_a_connection_that_nobody_answers(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.settings = {.user_timeout_us = 10000000}});
	rig_write(&r, 10);
	rig_at(&r, 30000);
	assert_true(tx_skip(&r) > 4);
	assert_true(r.events & STREAM_CLOSED);
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_TIMEOUT);
	assert_int_equal(r.stats.tcp_timeout_user, 1);
	stream_abort(&r.stream);
	rig_done(&r);
}

static void three_duplicate_acks_send_the_first_again(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 8000);
	assert_int_equal(tx_skip(&r), 8);
	rx(&r, SEG(.seq = 1, .ack = 1));
	rx(&r, SEG(.seq = 1, .ack = 1));
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 1));
	tx(&r, SEG(.seq = 1, .len = 1000));
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 3001)); // partial: the next hole, RFC 6582, 3.2
	tx(&r, SEG(.seq = 3001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 8001));
	tx_none(&r);
	assert_int_equal(r.stats.tcp_fast_recoveries, 1);
	assert_int_equal(r.stats.tcp_rto, 0);
	rig_fini(&r);
}

static void sack_tells_which_ones_are_lost(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	rig_write(&r, 10000);
	assert_int_equal(tx_skip(&r), 10);
	rig_after(&r, 1);
	rx(&r, SEG(.seq = 1, .ack = 1001, .n_sack = 1, .sack = {2001, 3001}));
	rx(&r, SEG(.seq = 1, .ack = 1001, .n_sack = 2, .sack = {4001, 6001, 2001, 3001}));
	tx_none(&r); // it may only have been overtaken
	rig_after(&r, 1.1);
	tx(&r, SEG(.seq = 1001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 1001, .n_sack = 2, .sack = {4001, 8001, 2001, 3001}));
	tx(&r, SEG(.seq = 3001, .len = 1000));
	tx(&r, SEG(.seq = 9001, .len = 1000)); // the rescue
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 10001));
	tx_none(&r);
	assert_int_equal(r.stats.tcp_rto, 0);
	assert_int_equal(tcp_pipe(r.conn), 0);
	rig_fini(&r);
}

// One round trip of 40 ms is known afterwards.
static void measure_round_trip(struct rig *r)
{
	r->conn->min_rtt_us = 40000; // the handshake took no time
	r->conn->srtt_us = 40000;
	rig_write(r, 2000);
	assert_int_equal(tx_skip(r), 2);
	rig_after(r, 40);
	rx(r, SEG(.seq = 1, .ack = 2001));
}

static void segments_that_were_overtaken_are_not_sent_again(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	measure_round_trip(&r);
	rig_write(&r, 8000);
	assert_int_equal(tx_skip(&r), 8);
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 10001}));
	rig_after(&r, 9); // a quarter of the round trip is 10
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 10001));
	rig_after(&r, 1000);
	tx_none(&r);
	assert_int_equal(r.stats.tcp_fast_recoveries, 0);
	rig_fini(&r);
}

static void dsacks_widen_the_reorder_window(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	measure_round_trip(&r);
	rig_write(&r, 8000);
	assert_int_equal(tx_skip(&r), 8);
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 10001}));
	rig_after(&r, 12);
	tx(&r, SEG(.seq = 2001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 10001));
	rx(&r, SEG(.seq = 1, .ack = 10001, .n_sack = 1, .sack = {2001, 3001})); // in vain
	assert_int_equal(r.stats.tcp_dsack_received, 1);
	rig_write(&r, 4000);
	assert_int_equal(tx_skip(&r), 4);
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 10001, .n_sack = 1, .sack = {11001, 14001}));
	rig_after(&r, 17);
	tx_none(&r);
	rig_after(&r, 5);
	tx(&r, SEG(.seq = 10001, .len = 1000));
	rig_fini(&r);
}

static void a_repeated_segment_that_is_lost_too_goes_again_without_a_timeout(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	measure_round_trip(&r);
	rig_write(&r, 8000);
	assert_int_equal(tx_skip(&r), 8);
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 6001}));
	rig_after(&r, 12);
	tx(&r, SEG(.seq = 2001, .len = 1000));
	rig_after(&r, 1);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 10001}));
	rig_write(&r, 1000);
	tx(&r, SEG(.seq = 10001, .len = 1000)); // sent after the repetition
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 11001}));
	rig_after(&r, 12);
	tx(&r, SEG(.seq = 2001, .len = 1000));
	assert_int_equal(r.stats.tcp_rto, 0);
	rig_fini(&r);
}

// The first and the last two of ten are lost, and then the repetition of the first as well.
static void rfc6675_4_the_end_of_a_flight_is_rescued_once(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	measure_round_trip(&r);
	rig_write(&r, 10000);
	assert_int_equal(tx_skip(&r), 10);
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 9001}));
	rig_after(&r, 12);
	tx(&r, SEG(.seq = 2001, .len = 1000));
	tx(&r, SEG(.seq = 11001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 10001}));
	tx_none(&r);
	assert_int_equal(r.stats.tcp_rescues, 1);
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 2, .sack = {11001, 12001, 3001, 10001}));
	tx(&r, SEG(.seq = 10001, .len = 1000)); // the rescue arrived, and this was sent long before
	tx_none(&r);
	rig_after(&r, 12);
	tx(&r, SEG(.seq = 2001, .len = 1000)); // and this a little before
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 12001));
	assert_int_equal(r.stats.tcp_rescues, 1);
	assert_int_equal(r.stats.tcp_rto, 0);
	rig_fini(&r);
}

// The end of a flight that is on its way needs no rescue.
static void the_end_of_a_flight_is_not_rescued_before_its_time(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	measure_round_trip(&r);
	rig_write(&r, 8000);
	assert_int_equal(tx_skip(&r), 8);
	rig_after(&r, 30);
	rig_write(&r, 2000);
	assert_int_equal(tx_skip(&r), 2);
	rig_after(&r, 10);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 9001}));
	rig_after(&r, 12);
	tx(&r, SEG(.seq = 2001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 10001}));
	tx_none(&r);
	rig_after(&r, 18);
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {3001, 12001}));
	rx(&r, SEG(.seq = 1, .ack = 12001));
	tx_none(&r);
	assert_int_equal(r.stats.tcp_rescues, 0);
	rig_fini(&r);
}

static void a_lost_tail_is_probed_after_two_round_trips(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	rig_write(&r, 5000);
	assert_int_equal(tx_skip(&r), 5);
	rig_after(&r, 0.2);
	rx(&r, SEG(.seq = 1, .ack = 2001));
	rig_after(&r, 1.5);
	tx_none(&r);
	rig_after(&r, 2);
	tx(&r, SEG(.seq = 4001, .len = 1000)); // the last one
	rx(&r, SEG(.seq = 1, .ack = 2001, .n_sack = 1, .sack = {4001, 5001}));
	rig_after(&r, 2);
	tx(&r, SEG(.seq = 2001, .len = 1000));
	tx(&r, SEG(.seq = 3001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 5001));
	assert_int_equal(r.stats.tcp_tail_probes, 1);
	assert_int_equal(r.stats.tcp_rto, 0);
	rig_fini(&r);
}

static void a_probe_that_repairs_the_loss_itself_slows_down(void)
{
	struct rig r;
	uint32_t cwnd;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	rig_write(&r, 3000);
	assert_int_equal(tx_skip(&r), 3);
	rx(&r, SEG(.seq = 1, .ack = 2001));
	cwnd = r.conn->cwnd;
	rig_after(&r, 40); // one segment: the peer may take its time
	tx_none(&r);
	rig_after(&r, 15);
	tx(&r, SEG(.seq = 2001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 3001));
	rig_write(&r, 1000);
	tx(&r, SEG(.seq = 3001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 4001));
	assert_int_equal(r.stats.tcp_tail_losses, 1);
	assert_true(r.conn->cwnd < cwnd);
	rig_fini(&r);
}

static void a_probe_in_vain_costs_nothing(void)
{
	struct rig r;
	uint32_t cwnd;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	rig_write(&r, 3000);
	assert_int_equal(tx_skip(&r), 3);
	rx(&r, SEG(.seq = 1, .ack = 2001));
	rig_after(&r, 55);
	tx(&r, SEG(.seq = 2001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 3001));
	cwnd = r.conn->cwnd;
	rx(&r, SEG(.seq = 1, .ack = 3001, .n_sack = 1, .sack = {2001, 3001}));
	rig_write(&r, 1000);
	tx(&r, SEG(.seq = 3001, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 4001));
	assert_int_equal(r.stats.tcp_tail_losses, 0);
	assert_true(r.conn->cwnd >= cwnd);
	rig_fini(&r);
}

static void sack_blocks_that_lie_outside_are_ignored(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	rig_write(&r, 3000);
	assert_int_equal(tx_skip(&r), 3);
	rx(&r,
		SEG(.seq = 1, .ack = 1, .n_sack = 4,
			.sack = {3001, 4001, 2001, 1001, 0, 1001, 0x80000000, 0x80000100}));
	assert_int_equal(r.conn->sacked_bytes, 0);
	tx_none(&r);
	rig_fini(&r);
}

static void a_reneging_receiver_gets_everything_again(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true});
	rig_write(&r, 2000);
	assert_int_equal(tx_skip(&r), 2);
	rx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 1, .sack = {1001, 2001}));
	rx(&r, SEG(.seq = 1, .ack = 1001)); // and threw the second away
	rig_after(&r, 250);
	tx(&r, SEG(.seq = 1001, .len = 1000));
	rig_fini(&r);
}

static void karn_a_repeated_segment_gives_no_sample(void)
{
	struct rig r;
	uint32_t srtt_us;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 10);
	rig_after(&r, 50);
	rx(&r, SEG(.seq = 1, .ack = 11));
	srtt_us = r.conn->srtt_us;
	assert_in_range(srtt_us, 5000, 50000);
	rig_write(&r, 10);
	rig_after(&r, 5000);
	rx(&r, SEG(.seq = 1, .ack = 21));
	assert_int_equal(r.conn->srtt_us, srtt_us);
	tx_skip(&r);
	rig_fini(&r);
}

// What arrived long before the repeated segment is acknowledged with it.
static void karn_a_segment_that_waited_for_a_repeated_one_gives_no_sample(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 1000);
	rig_after(&r, 20);
	rx(&r, SEG(.seq = 1, .ack = 1001));
	assert_in_range(r.conn->srtt_us, 1, 20000);
	rig_write(&r, 2000);
	rig_after(&r, 250); // the first was lost
	rx(&r, SEG(.seq = 1, .ack = 3001));
	assert_int_equal(r.stats.tcp_rto, 1);
	assert_in_range(r.conn->srtt_us, 1, 20000);
	tx_skip(&r);
	rig_fini(&r);
}

static void a_segment_the_driver_still_holds_is_sent_as_a_copy(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 10);
	tx(&r, SEG(.seq = 1, .len = 10));
	rte_mbuf_refcnt_update(r.conn->sending.head, 1);
	rig_after(&r, 250);
	tx(&r, SEG(.seq = 1, .len = 10));
	assert_int_equal(r.stats.tcp_retransmit_copied, 1);
	rte_mbuf_refcnt_update(r.conn->sending.head, -1);
	rig_fini(&r);
}

static void a_segment_in_flight_never_grows(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	stream_write(r.stream, BYTES("abc"), false);
	rig_run(&r);
	tx(&r, SEG(.seq = 1, .data = "abc"));
	stream_write(r.stream, BYTES("de"), false);
	stream_write(r.stream, BYTES("f"), false); // of the same turn: one segment
	rig_run(&r);
	tx(&r, SEG(.seq = 4, .data = "def"));
	rx(&r, SEG(.seq = 1, .ack = 3)); // in the middle of a segment
	rig_after(&r, 250);
	tx(&r, SEG(.seq = 3, .data = "c"));
	rig_fini(&r);
}

static void a_closed_window_is_probed_with_a_byte(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 0));
	rig_write(&r, 500);
	tx_none(&r);
	rig_after(&r, 200);
	tx(&r, SEG(.seq = 1, .len = 1));
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 0));
	rig_after(&r, 400);
	tx(&r, SEG(.seq = 1, .len = 1));
	// For ever, as long as it is answered, at growing intervals.
	for (unsigned minute = 0; minute < 30; minute++) {
		rig_after(&r, 60000);
		assert_in_range(tx_skip(&r), 1, 20);
		rx(&r, SEG(.seq = 1, .ack = 1, .window = 0));
	}
	assert_false(r.events & STREAM_CLOSED);
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 65535));
	tx(&r, SEG(.seq = 1, .len = 1)); // at once, though the timer is far away
	tx(&r, SEG(.seq = 2, .len = 499));
	rx(&r, SEG(.seq = 1, .ack = 501));
	tx_none(&r);
	rig_fini(&r);
}

// The probe lies beyond what the peer takes: an ACK with the number behind it would be refused as a whole, and the
// peer's data never acknowledged.
static void acks_while_a_probe_is_out_are_inside_the_peers_window(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 0));
	rig_write(&r, 500);
	rig_after(&r, 200);
	tx(&r, SEG(.seq = 1, .len = 1));
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 2000, .window = 0));
	tx(&r, SEG(.seq = 1, .ack = 2001));
	rx(&r, SEG(.seq = 2001, .ack = 2, .len = 2000, .window = 0)); // it has taken the byte
	tx(&r, SEG(.seq = 2, .ack = 4001));
	rig_fini(&r);
}

static void a_closed_window_after_close_ends_by_the_user_timeout(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.settings = {.user_timeout_us = 10000000}});
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 0));
	rig_write(&r, 500);
	stream_close(&r.stream);
	for (unsigned i = 0; i < 30; i++) {
		rx(&r, SEG(.seq = 1, .ack = 1, .window = 0));
		rig_after(&r, 1000);
	}
	assert_true(tx_skip(&r) > 0);
	assert_int_equal(tcp_n_connections(&r.net), 0);
	rig_done(&r);
}

static void a_shrunken_window_is_survived(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 4000);
	assert_int_equal(tx_skip(&r), 4);
	rx(&r, SEG(.seq = 1, .ack = 1001, .window = 500)); // MUST-34
	tx_none(&r);
	rig_after(&r, 250);
	tx(&r, SEG(.seq = 1001, .len = 1000)); // the oldest only
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 4001, .window = 10000));
	tx_none(&r);
	rig_fini(&r);
}

static void silly_windows_are_not_filled(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .window = 10000});
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 100));
	rig_write(&r, 3000);
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 1500));
	tx(&r, SEG(.seq = 1, .len = 1000));
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 1001, .window = 100));
	tx_none(&r);
	rig_after(&r, 250); // the override: what the window takes
	tx(&r, SEG(.seq = 1001, .len = 100));
	rig_fini(&r);
}

static void the_first_window_is_ten_segments(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 30000);
	assert_int_equal(tx_skip(&r), 10); // RFC 6928
	rx(&r, SEG(.seq = 1, .ack = 2001));
	assert_int_equal(tx_skip(&r), 4); // slow start
	rig_fini(&r);
}

TESTS(TEST(rto_backs_off_and_recovers), TEST(rto_first_is_one_second_for_a_syn_and_gives_up),
	TEST(user_timeout_ends_a_connection_that_nobody_answers),
	TEST(three_duplicate_acks_send_the_first_again), TEST(sack_tells_which_ones_are_lost),
	TEST(segments_that_were_overtaken_are_not_sent_again),
	TEST(dsacks_widen_the_reorder_window),
	TEST(a_repeated_segment_that_is_lost_too_goes_again_without_a_timeout),
	TEST(rfc6675_4_the_end_of_a_flight_is_rescued_once),
	TEST(the_end_of_a_flight_is_not_rescued_before_its_time),
	TEST(a_lost_tail_is_probed_after_two_round_trips),
	TEST(a_probe_that_repairs_the_loss_itself_slows_down), TEST(a_probe_in_vain_costs_nothing),
	TEST(sack_blocks_that_lie_outside_are_ignored),
	TEST(a_reneging_receiver_gets_everything_again),
	TEST(karn_a_repeated_segment_gives_no_sample),
	TEST(karn_a_segment_that_waited_for_a_repeated_one_gives_no_sample),
	TEST(a_segment_the_driver_still_holds_is_sent_as_a_copy),
	TEST(a_segment_in_flight_never_grows), TEST(a_closed_window_is_probed_with_a_byte),
	TEST(acks_while_a_probe_is_out_are_inside_the_peers_window),
	TEST(a_closed_window_after_close_ends_by_the_user_timeout),
	TEST(a_shrunken_window_is_survived), TEST(silly_windows_are_not_filled),
	TEST(the_first_window_is_ten_segments))
