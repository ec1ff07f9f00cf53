// Data comes in: order, duplicates, SACK blocks, the window, delayed ACKs, PAWS.

#include "tests/unit/tcp_rig.h"

static void reordered_data_is_acknowledged_with_sack_and_put_in_order(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.sack = true, .timestamps = true});
	rx(&r, SEG(.seq = 4, .ack = 1, .data = "def"));
	tx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 1, .sack = {4, 7}));
	rx(&r, SEG(.seq = 10, .ack = 1, .data = "jkl"));
	tx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 2, .sack = {10, 13, 4, 7}));
	rx(&r, SEG(.seq = 7, .ack = 1, .data = "ghi"));
	tx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 1, .sack = {4, 13}));
	assert_false(r.events & STREAM_READABLE);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "abc"));
	tx(&r, SEG(.seq = 1, .ack = 13));
	rig_read(&r, "abcdefghijkl");
	rig_fini(&r);
}

static void overlaps_are_cut_and_duplicates_reported(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.sack = true});
	rx(&r, SEG(.seq = 3, .ack = 1, .data = "cde"));
	tx_skip(&r);
	rx(&r, SEG(.seq = 2, .ack = 1, .data = "bcdefg")); // swallows the first
	tx_skip(&r);
	rx(&r, SEG(.seq = 5, .ack = 1, .data = "efghi")); // sticks out to the right
	tx_skip(&r);
	rx(&r, SEG(.seq = 3, .ack = 1, .data = "cd")); // nothing new: D-SACK, RFC 2883
	tx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 2, .sack = {3, 5, 2, 10}));
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "abc"));
	tx(&r, SEG(.seq = 1, .ack = 10));
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "abc"));
	tx(&r, SEG(.seq = 1, .ack = 10, .n_sack = 1, .sack = {1, 4}));
	rig_read(&r, "abcdefghi");
	rig_fini(&r);
}

static void a_fin_out_of_order_waits_for_the_data_before_it(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 4, .ack = 1, .data = "def"));
	tx(&r, SEG(.seq = 1, .ack = 1));
	assert_int_equal(r.conn->state, TCP_ESTABLISHED);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "abc"));
	tx(&r, SEG(.seq = 1, .ack = 8));
	assert_int_equal(r.conn->state, TCP_CLOSE_WAIT);
	assert_false(stream_read_ended(r.stream));
	rig_read(&r, "abcdef");
	assert_true(stream_read_ended(r.stream));
	rx(&r, SEG(.seq = 8, .ack = 1, .data = "more")); // behind the FIN
	tx(&r, SEG(.seq = 1, .ack = 8));
	assert_int_equal(stream_readable(r.stream), 0);
	rig_fini(&r);
}

static void acks_are_delayed_but_for_every_second_segment(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 1000));
	tx_none(&r);
	rig_after(&r, 0.9);
	tx_none(&r);
	rig_after(&r, 1.1); // the rest of an answer may be waiting for it at a peer with Nagle on
	tx(&r, SEG(.seq = 1, .ack = 1001));
	rx_quiet(&r, SEG(.seq = 1001, .ack = 1, .len = 1000));
	rx_quiet(&r, SEG(.seq = 2001, .ack = 1, .len = 1000));
	rx_quiet(&r, SEG(.seq = 3001, .ack = 1, .len = 1000));
	rig_run(&r);
	tx(&r, SEG(.seq = 1, .ack = 4001)); // one for the burst
	tx_none(&r);
	rig_fini(&r);
}

static void the_window_closes_when_nobody_reads_and_opens_again(void)
{
	struct rig r;
	struct bytes b;

	rig_established(
		&r, &(struct rig_options){.mss = 1000, .settings = {.receive_buffer_max = 4000}});
	for (unsigned i = 0; i < 4; i++)
		rx(&r, SEG(.seq = 1 + 1000 * i, .ack = 1, .len = 1000));
	tx(&r, SEG(.seq = 1, .ack = 2001, .window = 2000));
	tx(&r, SEG(.seq = 1, .ack = 4001, .window = 0));
	rx(&r, SEG(.seq = 4001, .ack = 1, .len = 1)); // a probe
	tx(&r, SEG(.seq = 1, .ack = 4001, .window = 0));
	b = stream_peek(r.stream);
	assert_int_equal(b.len, 1000);
	stream_consume(r.stream, 500);
	rig_run(&r);
	tx_none(&r); // too little to be worth it
	stream_consume(r.stream, 500);
	rig_run(&r);
	tx(&r, SEG(.seq = 1, .ack = 4001, .window = 1000));
	stream_consume(r.stream, 1000);
	stream_consume(r.stream, 1000);
	rig_run(&r);
	tx(&r, SEG(.seq = 1, .ack = 4001, .window = 3000));
	assert_int_equal(stream_readable(r.stream), 1000);
	rig_fini(&r);
}

static void small_segments_share_a_buffer(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	for (unsigned i = 0; i < 1000; i++)
		rx(&r, SEG(.seq = 1 + i, .ack = 1, .data = "z"));
	assert_int_equal(stream_readable(r.stream), 1000);
	assert_in_range(r.stats.tcp_mbufs_held, 1, 2);
	assert_int_equal(stream_peek_at(r.stream, 999).len, 1);
	tx_skip(&r);
	rig_fini(&r);
}

static void paws_drops_what_carries_an_old_timestamp(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.timestamps = true});
	rig_after(&r, 1000);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "new"));
	rig_after(&r, 50);
	tx_skip(&r);
	rx(&r, SEG(.seq = 4, .ack = 1, .data = "old", .ts = 5000 + RIG_START_US / 1000));
	tx(&r, SEG(.seq = 1, .ack = 4));
	assert_int_equal(r.stats.tcp_drop_paws, 1);
	rx(&r, SEG(.seq = 4, .ack = 1, .data = "none", .no_ts = true)); // taken, but counted
	assert_int_equal(r.stats.tcp_no_timestamp, 1);
	rig_read(&r, "newnone");
	// After 24 days without a word every timestamp is new: RFC 7323, 5.5.
	r.now_us += 25ull * 24 * 3600 * 1000000;
	rig_run(&r);
	tx_skip(&r);
	rx(&r, SEG(.seq = 8, .ack = 1, .data = "x", .ts = 1));
	rig_read(&r, "x");
	rig_fini(&r);
}

static void what_lies_beyond_the_window_is_cut_off(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.settings = {.receive_buffer_max = 1000}});
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 1400));
	tx(&r, SEG(.seq = 1, .ack = 1001, .window = 0));
	assert_int_equal(stream_readable(r.stream), 1000);
	rx(&r, SEG(.seq = 5001, .ack = 1, .len = 10)); // wholly outside
	tx(&r, SEG(.seq = 1, .ack = 1001));
	assert_int_equal(r.stats.tcp_drop_window, 1);
	rig_fini(&r);
}

static void bad_checksums_and_short_headers_are_dropped(void)
{
	struct rig r;
	struct rte_mbuf *m;
	uint8_t *h;

	rig_established(&r, &(struct rig_options){0});
	for (unsigned i = 0; i < 3; i++) {
		uint64_t pseudo = csum_pseudo(&r.peer.addr, &r.here.addr) + csum_len(20);
		uint16_t sum;

		m = rte_pktmbuf_alloc(r.pool);
		h = (uint8_t *)rte_pktmbuf_append(m, 20);
		memset(h, 0, 20);
		h[12] = i == 1 ? 0x40 : 0x60; // less than a header; more than there is
		sum = i == 0 ? 0x1234 : (uint16_t)~csum_fold(csum_add(h, 20, pseudo));
		memcpy(h + 16, &sum, 2);
		tcp_input(r.net.tcp, m, &r.peer.addr, &r.here.addr, CSUM_VERIFY, r.now_us);
	}
	assert_int_equal(r.stats.tcp_drop_checksum, 1);
	assert_int_equal(r.stats.tcp_drop_short, 2);
	tx_none(&r);
	rig_fini(&r);
}

// The NIC's word counts where it has one; else the sum does.
static void a_nic_that_is_trusted_is_believed_where_it_looked(void)
{
	static const struct {
		uint64_t flags;
		bool right; // the sum in the segment
		bool passes;
		bool counted; // as the NIC's work
	} cases[] = {
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD,    false, true,  true },
		{RTE_MBUF_F_RX_L4_CKSUM_NONE,    false, true,  true },
		{RTE_MBUF_F_RX_L4_CKSUM_BAD,     true,  false, false},
		{RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, true,  true,  false},
		{RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, false, false, false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;
		uint8_t h[20] = {[12] = 0x50};
		struct rte_mbuf *m;
		uint16_t sum = 0x1234;

		rig_established(&r, &(struct rig_options){0});
		m = rte_pktmbuf_alloc(r.pool);
		if (cases[i].right)
			sum = (uint16_t)~csum_fold(csum_add(
				h, 20, csum_pseudo(&r.peer.addr, &r.here.addr) + csum_len(20)));
		memcpy(h + 16, &sum, 2);
		m->data_len = sizeof(h);
		m->pkt_len = sizeof(h);
		memcpy(rte_pktmbuf_mtod(m, void *), h, sizeof(h));
		m->ol_flags = cases[i].flags;
		tcp_input(r.net.tcp, m, &r.peer.addr, &r.here.addr, CSUM_TRUST, r.now_us);
		assert_int_equal(r.stats.tcp_drop_checksum, !cases[i].passes);
		assert_int_equal(r.stats.tcp_rx_csum_offloaded, cases[i].counted);
		rig_fini(&r);
	}
}

// Against the definition in RFC 1071, for all lengths and alignments.
static void checksums_agree_with_the_definition(void)
{
	uint8_t bytes[256 + 8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + 13);
	for (unsigned at = 0; at < 8; at++) {
		for (unsigned len = 0; len <= 256; len++) {
			uint32_t sum = 0;

			for (unsigned i = 0; i < len; i++)
				sum += i % 2 == 0 ? bytes[at + i] : (uint32_t)bytes[at + i] << 8;
			while (sum >> 16 != 0)
				sum = (sum & 0xffff) + (sum >> 16);
			assert_int_equal(csum_fold(csum_add(bytes + at, len, 0)), sum);
		}
	}
}

TESTS(TEST(reordered_data_is_acknowledged_with_sack_and_put_in_order),
	TEST(overlaps_are_cut_and_duplicates_reported),
	TEST(a_fin_out_of_order_waits_for_the_data_before_it),
	TEST(acks_are_delayed_but_for_every_second_segment),
	TEST(the_window_closes_when_nobody_reads_and_opens_again),
	TEST(small_segments_share_a_buffer), TEST(paws_drops_what_carries_an_old_timestamp),
	TEST(what_lies_beyond_the_window_is_cut_off),
	TEST(bad_checksums_and_short_headers_are_dropped),
	TEST(a_nic_that_is_trusted_is_believed_where_it_looked),
	TEST(checksums_agree_with_the_definition))
