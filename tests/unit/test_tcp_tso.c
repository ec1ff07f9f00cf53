// Segments that leave together as one packet which the device cuts. In the queue they stay apart, so what the
// peer has of them, and what is sent again, does not know of the packet.

#include "tests/unit/tcp_rig.h"

#define MSS 1000

// Ten segments have left, 'at_once' or fewer in each packet.
static void start(struct rig *r, struct rig_options options)
{
	options.mss = MSS;
	rig_established(r, &options);
	r->net.n_packets = 0;
}

static void expect(struct rig *r, unsigned first, unsigned last)
{
	for (unsigned i = first; i <= last; i++)
		tx(r, SEG(.seq = 1 + MSS * i, .len = MSS));
}

static bool pushes(const struct rig *r, unsigned i)
{
	const struct rte_tcp_hdr *h = r->net.sent[i]->buf_addr;

	return h->tcp_flags & F_PSH;
}

static void a_window_of_segments_leaves_as_one_packet(void)
{
	struct rig r;

	start(&r, (struct rig_options){.at_once = 44});
	rig_write(&r, 10 * MSS);
	assert_int_equal(r.net.n_packets, 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(pushes(&r, i), i == 9);
	expect(&r, 0, 9);
	tx_none(&r);
	assert_int_equal(r.stats.tcp_tso_packets, 1);
	assert_int_equal(r.stats.tcp_tso_segments, 10);
	assert_int_equal(r.stats.tcp_tx_segments, 1 + 10); // with the SYN-ACK
	rx(&r, SEG(.seq = 1, .ack = 1 + 10 * MSS));
	assert_int_equal(r.stats.tcp_mbufs_held, 0);
	rig_fini(&r);
}

static void no_packet_has_more_than_the_device_takes(void)
{
	struct rig r;

	start(&r, (struct rig_options){.at_once = 4});
	rig_write(&r, 9 * MSS + 10);
	assert_int_equal(r.net.n_packets, 3); // 4, 4, and the short one ends the third
	expect(&r, 0, 8);
	tx(&r, SEG(.seq = 1 + 9 * MSS, .len = 10));
	rig_fini(&r);
}

static void windows_and_fin_limit_a_packet_as_they_limit_segments(void)
{
	struct rig r;

	// The congestion window of ten lets the eleventh wait.
	start(&r, (struct rig_options){.at_once = 44});
	rig_write(&r, 12 * MSS);
	expect(&r, 0, 9);
	tx_none(&r);
	rig_fini(&r);

	// The peer's window ends in the fourth, which is less than half of it.
	start(&r, (struct rig_options){.at_once = 44, .window = 3 * MSS + 400});
	rig_write(&r, 6 * MSS);
	assert_int_equal(r.net.n_packets, 1);
	expect(&r, 0, 2);
	tx_none(&r);
	rig_fini(&r);

	start(&r, (struct rig_options){.at_once = 44});
	stream_write(r.stream, bytes_of("0123456789", 10), false);
	stream_shutdown(r.stream);
	rig_run(&r);
	assert_int_equal(r.stats.tcp_tso_packets, 0); // alone
	tx(&r, SEG(.flags = F_ACK | F_FIN, .seq = 1, .data = "0123456789"));
	rig_fini(&r);

	start(&r, (struct rig_options){.at_once = 44});
	{
		static uint8_t bytes[3 * MSS - 1];

		stream_write(r.stream, bytes_of(bytes, sizeof(bytes)), false);
	}
	stream_shutdown(r.stream);
	rig_run(&r);
	assert_int_equal(r.net.n_packets, 1);
	assert_false(pushes(&r, 0) || pushes(&r, 1));
	expect(&r, 0, 1);
	tx(&r, SEG(.flags = F_ACK | F_FIN, .seq = 1 + 2 * MSS, .len = MSS - 1));
	rig_fini(&r);
}

// A window of 100 segments and a round trip of 40 ms: the device gets a few at a time, and all within the round
// trip. 'expected' segments leave in a millisecond.
static void check_pace(uint32_t ssthresh, unsigned expected, unsigned least_ms, unsigned most_ms)
{
	struct rig r;
	unsigned sent = 0, ms;

	start(&r,
		(struct rig_options){
			.at_once = 44, .scale = 7, .n_mbufs = 6000, .max_mbufs_held = 5000});
	rig_write(&r, 10 * MSS);
	assert_int_equal(tx_skip(&r), 10); // the first window is not paced
	rig_after(&r, 40);
	rx(&r, SEG(.seq = 1, .ack = 1 + 10 * MSS));
	r.conn->srtt_us = 40000;
	r.conn->cwnd = 100 * MSS;
	r.conn->ssthresh = ssthresh;
	rig_write(&r, 100 * MSS);
	for (ms = 0; sent < 100 && ms < 50; ms++) {
		unsigned n = tx_skip(&r);

		assert_in_range(n, 0, 2 * expected + 1);
		sent += n;
		rig_after(&r, 1);
	}
	assert_int_equal(sent, 100);
	assert_in_range(ms, least_ms, most_ms);
	assert_true(r.stats.tcp_paced > 0);
	assert_int_equal(r.stats.tcp_retransmit_rto + r.stats.tcp_tail_probes, 0);
	rig_fini(&r);
}

static void packets_that_are_cut_are_spread_over_the_round_trip(void)
{
	check_pace(UINT32_MAX, 5, 18, 22); // twice the window in a round trip
	check_pace(50 * MSS, 3, 28, 34);   // a quarter more than the window
}

static void what_needs_no_cut_or_has_no_way_is_not_paced(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct rig r;

		start(&r,
			(struct rig_options){.at_once = i == 0 ? 1 : 44,
				.scale = 7,
				.n_mbufs = 6000,
				.max_mbufs_held = 5000});
		rig_write(&r, 10 * MSS);
		tx_skip(&r);
		rx(&r, SEG(.seq = 1, .ack = 1 + 10 * MSS));
		r.conn->srtt_us = i == 0 ? 40000 : 500; // the second is near by
		r.conn->cwnd = 100 * MSS;
		rig_write(&r, 100 * MSS);
		assert_int_equal(tx_skip(&r), 100);
		assert_int_equal(r.stats.tcp_paced, 0);
		rig_fini(&r);
	}
}

static void nagle_holds_the_short_end_back(void)
{
	struct rig r;

	start(&r, (struct rig_options){.at_once = 44, .settings = {.nagle = true}});
	rig_write(&r, 2 * MSS + 10);
	expect(&r, 0, 1);
	tx_none(&r);
	rx(&r, SEG(.seq = 1, .ack = 1 + 2 * MSS));
	tx(&r, SEG(.seq = 1 + 2 * MSS, .len = 10));
	rig_fini(&r);
}

static void a_part_that_is_acknowledged_is_forgotten_and_the_rest_sent_again_by_segments(void)
{
	struct rig r;

	start(&r, (struct rig_options){.at_once = 44});
	rig_write(&r, 6 * MSS);
	expect(&r, 0, 5);
	rx(&r, SEG(.seq = 1, .ack = 1 + 2 * MSS)); // between two segments
	assert_int_equal(r.stats.tcp_mbufs_held, 4);
	rx(&r, SEG(.seq = 1, .ack = 1 + 3 * MSS + 400)); // within one
	assert_int_equal(r.stats.tcp_mbufs_held, 3);
	tx_none(&r);
	r.net.n_packets = 0;
	rig_after(&r, 1000); // the probe for the tail, then the timeout
	assert_true(r.stats.tcp_rto > 0);
	assert_int_equal(
		r.net.n_packets, r.net.n_sent); // nothing sent again goes in a larger packet
	tx(&r, SEG(.seq = 1 + 3 * MSS + 400, .len = 600));
	tx_skip(&r);
	rx(&r, SEG(.seq = 1, .ack = 1 + 6 * MSS));
	assert_int_equal(r.stats.tcp_mbufs_held, 0);
	rig_fini(&r);
}

static void selective_acks_name_segments_of_a_packet(void)
{
	struct rig r;

	start(&r, (struct rig_options){.at_once = 44, .sack = true});
	rig_write(&r, 10 * MSS);
	expect(&r, 0, 9);
	// The second and the sixth were lost.
	rx(&r,
		SEG(.seq = 1, .ack = 1 + MSS, .n_sack = 2,
			.sack = {1 + 6 * MSS, 1 + 10 * MSS, 1 + 2 * MSS, 1 + 5 * MSS}));
	rig_after(&r, 5);
	tx(&r, SEG(.seq = 1 + MSS, .len = MSS));
	tx(&r, SEG(.seq = 1 + 5 * MSS, .len = MSS));
	rx(&r, SEG(.seq = 1, .ack = 1 + 10 * MSS));
	assert_int_equal(r.stats.tcp_mbufs_held, 0);
	tx_none(&r);
	rig_fini(&r);
}

// The device is slow: the peer asks again for what it has not sent yet, and in the end has all, and nothing that the
// device holds has changed meanwhile.
static void what_the_device_holds_is_not_touched(void)
{
	static uint8_t before[NIC_MAX], after[NIC_MAX];
	struct rig r;
	uint32_t len;

	start(&r, (struct rig_options){.at_once = 44});
	r.net.hold = true;
	rig_write(&r, 5 * MSS);
	assert_non_null(r.net.held);
	len = nic_flatten(r.net.held, before);
	expect(&r, 0, 4);
	rig_after(&r, 1000);
	assert_true(tx_skip(&r) > 0);
	assert_true(r.stats.tcp_retransmit_copied > 0);
	rx(&r, SEG(.seq = 1, .ack = 1 + MSS / 2)); // trims the first
	rig_after(&r, 1000);
	assert_true(tx_skip(&r) > 0);
	assert_int_equal(nic_flatten(r.net.held, after), len);
	assert_memory_equal(before, after, len);
	rx(&r, SEG(.seq = 1, .ack = 1 + 5 * MSS));
	assert_int_equal(r.stats.tcp_mbufs_held, 0);
	assert_int_equal(nic_flatten(r.net.held, after), len);
	assert_memory_equal(before, after, len);
	tx_skip(&r);
	rte_pktmbuf_free(r.net.held);
	rig_fini(&r);
}

static void without_buffers_for_references_segments_leave_one_by_one(void)
{
	struct rig r;

	start(&r, (struct rig_options){.at_once = 44, .n_mbufs = 12, .max_mbufs_held = 400});
	rig_write(&r, 10 * MSS);
	assert_int_equal(r.net.n_packets, 10);
	assert_int_equal(r.stats.tcp_tso_packets, 0);
	expect(&r, 0, 9);
	rig_fini(&r);

	// References may not become as many as there are buffers.
	start(&r, (struct rig_options){.at_once = 44, .max_mbufs_held = 20});
	rig_write(&r, 6 * MSS);
	assert_int_equal(r.net.n_packets, 6);
	expect(&r, 0, 5);
	rig_fini(&r);
}

static void a_device_that_does_not_cut_gets_segments(void)
{
	struct rig r;

	start(&r, (struct rig_options){.at_once = 1});
	rig_write(&r, 10 * MSS);
	assert_int_equal(r.net.n_packets, 10);
	assert_int_equal(r.stats.tcp_tso_packets, 0);
	rig_fini(&r);
}

static void smaller_segments_are_cut_before_they_share_a_packet(void)
{
	struct rig r;

	start(&r, (struct rig_options){.at_once = 44});
	rig_write(&r, 14 * MSS);
	expect(&r, 0, 9);
	tcp_icmp_error(r.net.tcp, TCP_ICMP_TOO_BIG, &r.here, &r.peer, r.iss + 1, 640, r.now_us);
	rig_run(&r);
	tx_skip(&r);
	assert_int_equal(r.conn->mss, 600);
	r.net.n_packets = 0;
	rx(&r, SEG(.seq = 1, .ack = 1 + 10 * MSS));
	assert_true(r.net.n_packets > 0);
	// Four of a thousand are left, made for the larger path: 600 and 400 each.
	for (unsigned i = 10; i < 14; i++) {
		tx(&r, SEG(.seq = 1 + MSS * i, .len = 600));
		tx(&r, SEG(.seq = 1 + MSS * i + 600, .len = 400));
	}
	tx_none(&r);
	rig_fini(&r);
}

TESTS(TEST(packets_that_are_cut_are_spread_over_the_round_trip),
	TEST(what_needs_no_cut_or_has_no_way_is_not_paced),
	TEST(a_window_of_segments_leaves_as_one_packet),
	TEST(no_packet_has_more_than_the_device_takes),
	TEST(windows_and_fin_limit_a_packet_as_they_limit_segments),
	TEST(nagle_holds_the_short_end_back),
	TEST(a_part_that_is_acknowledged_is_forgotten_and_the_rest_sent_again_by_segments),
	TEST(selective_acks_name_segments_of_a_packet), TEST(what_the_device_holds_is_not_touched),
	TEST(without_buffers_for_references_segments_leave_one_by_one),
	TEST(a_device_that_does_not_cut_gets_segments),
	TEST(smaller_segments_are_cut_before_they_share_a_packet))
