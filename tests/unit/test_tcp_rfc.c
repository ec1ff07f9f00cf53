// Scripts named by what an RFC asks for, where numbers wrap, clocks jump and limits bite.

#include "tests/unit/tcp_rig.h"

#define DAY_MS (24.0 * 3600 * 1000)
#define F_URG  RTE_TCP_URG_FLAG

// RFC 7323, 5.5: after 24 days a timestamp says nothing any more.
static void paws_forgets_after_24_days(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.timestamps = true});
	rig_at(&r, 23 * DAY_MS);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "old", .ts = 7));
	assert_int_equal(r.stats.tcp_drop_paws, 1);
	tx(&r, SEG(.seq = 1, .ack = 1));
	rig_at(&r, 24 * DAY_MS + 1000);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "idle", .ts = 7));
	rig_read(&r, "idle");
	assert_int_equal(r.conn->ts_recent, 7);
	rx(&r,
		SEG(.seq = 5, .ack = 1, .data = "old",
			.ts = 6)); // and from there on it counts again
	assert_int_equal(r.stats.tcp_drop_paws, 2);
	tx_skip(&r);
	rig_fini(&r);
}

static void establish(struct rig *r)
{
	rx(r, SEG(.flags = F_SYN, .seq = 0));
	tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	rx(r, SEG(.seq = 1, .ack = 1));
	rig_find_conn(r);
	assert_int_equal(r->conn->state, TCP_ESTABLISHED);
}

// RFC 9293, 3.4: numbers are modulo 2^32, in both directions (the peer's always wrap here).
static void sequence_numbers_wrap(void)
{
	struct rig r;
	uint32_t iss;

	rig_init(&r, &(struct rig_options){.mss = 1000, .sack = true});
	iss = tcp_initial_seq(r.net.tcp, &r.here, &r.peer, r.now_us);
	r.now_us += 4ull * (uint32_t)(0xfffffe00 - iss);
	establish(&r);
	assert_true(r.iss >= 0xfffffe00);
	assert_int_equal(rig_write(&r, 3000), 3000);
	for (unsigned i = 0; i < 3; i++)
		tx(&r, SEG(.seq = 1 + 1000 * i, .len = 1000));
	// The first is lost; the blocks wrap.
	rx(&r, SEG(.seq = 1, .ack = 1, .n_sack = 1, .sack = {1001, 3001}));
	assert_int_equal(r.conn->sacked_bytes, 2000);
	rx(&r, SEG(.seq = 1, .ack = 3001));
	assert_int_equal(tcp_in_flight(r.conn), 0);
	tx_skip(&r);
	rig_fini(&r);
}

// RFC 7323, 4.1: so are timestamps.
static void timestamps_wrap(void)
{
	struct rig r;
	uint32_t ts;

	rig_init(&r, &(struct rig_options){.timestamps = true, .mss = 1000});
	ts = (uint32_t)(r.now_us / 1000) + tcp_ts_offset(r.net.tcp, &r.here, &r.peer);
	r.now_us += 1000ull * (uint32_t)(0xffffffff - 50 - ts);    // ours wraps in 50 ms
	r.peer_ts = (uint32_t)(0xffffffff - 50 - r.now_us / 1000); // and the peer's
	establish(&r);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rig_write(&r, 100), 100);
		tx(&r, SEG(.seq = 1 + 100 * i, .len = 100));
		rig_after(&r, 40);
		rx(&r, SEG(.seq = 1 + 5 * i, .ack = 101 + 100 * i, .data = "hello"));
		rig_read(&r, "hello");
		tx_skip(&r);
	}
	assert_int_equal(r.stats.tcp_drop_paws, 0);
	assert_in_range(r.conn->srtt_us, 1000, 41000);
	rig_fini(&r);
}

// A machine that was suspended: what is overdue happens once, not as often as it would have.
static void a_clock_that_jumps_fires_each_timer_once(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	rig_write(&r, 1000);
	tx(&r, SEG(.seq = 1, .len = 1000));
	r.now_us += 30 * 1000000ull;
	rig_run(&r);
	assert_in_range(tx_skip(&r), 1, 2); // the tail probe and the timeout
	assert_int_equal(r.stats.tcp_rto + r.stats.tcp_tail_probes, 1);
	rx(&r, SEG(.seq = 1, .ack = 1001));
	assert_int_equal(tcp_in_flight(r.conn), 0);
	assert_in_range(r.conn->rto_us, TCP_RTO_MIN_US, 60000000);
	rig_fini(&r);
}

// RFC 6528, and RFC 9293, 3.4.1: a clock of 4 us, and where it stands is a secret of each four-tuple.
static void initial_numbers_follow_a_clock_and_a_secret(void)
{
	struct rig r;
	struct ip_endpoint other;
	uint32_t a, b;

	rig_init(&r, &(struct rig_options){0});
	other = r.peer;
	other.port++;
	a = tcp_initial_seq(r.net.tcp, &r.here, &r.peer, r.now_us);
	assert_int_equal(
		tcp_initial_seq(r.net.tcp, &r.here, &r.peer, r.now_us + 1000000) - a, 250000);
	b = tcp_initial_seq(r.net.tcp, &r.here, &other, r.now_us);
	assert_true(a != b);
	r.net.tcp->secret.k0++;
	assert_true(tcp_initial_seq(r.net.tcp, &r.here, &r.peer, r.now_us) != a);
	assert_true(tcp_initial_seq(r.net.tcp, &r.here, &other, r.now_us)
			- tcp_initial_seq(r.net.tcp, &r.here, &r.peer, r.now_us)
		!= b - a);
	r.net.tcp->secret.k0--;
	rig_done(&r);
}

// RFC 7323, 7.1: nobody learns from one connection when the machine started or what another one shows.
static void timestamps_begin_elsewhere_for_each_pair(void)
{
	struct rig r;
	struct ip_endpoint other;
	uint32_t a;

	rig_init(&r, &(struct rig_options){0});
	other = r.peer;
	other.port++;
	a = tcp_ts_offset(r.net.tcp, &r.here, &r.peer);
	assert_int_equal(tcp_ts_offset(r.net.tcp, &r.here, &r.peer), a); // for RFC 6191 to hold
	assert_true(tcp_ts_offset(r.net.tcp, &r.here, &other) != a);
	r.net.tcp->secret.k1++;
	assert_true(tcp_ts_offset(r.net.tcp, &r.here, &r.peer) != a);
	r.net.tcp->secret.k1--;
	rig_done(&r);
}

// RFC 9293, 3.10.7.1, and no more than a thousand a second.
static void resets_are_rationed(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	r.here.port = 81;
	for (unsigned i = 0; i < 1200; i++) {
		rx(&r, SEG(.seq = 1, .ack = i));
		tx_skip(&r);
	}
	assert_int_equal(r.stats.tcp_tx_rst, 1000);
	assert_int_equal(r.stats.tcp_rst_limited, 200);
	rig_after(&r, 1001);
	rx(&r, SEG(.seq = 1, .ack = 5));
	tx(&r, SEG(.flags = F_RST, .seq = 5));
	rig_done(&r);
}

// RFC 5961, 7, and CVE-2016-5696: how many there are in a second cannot be foretold.
static void challenges_are_rationed(void)
{
	uint64_t counts[3], before = 0;
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	for (unsigned second = 0; second < 3; second++) {
		for (unsigned i = 0; i < 1600; i++) {
			rx(&r, SEG(.flags = F_RST, .seq = 100));
			tx_skip(&r);
		}
		counts[second] = r.stats.tcp_challenge_acks - before;
		assert_in_range(counts[second], 500, 1499);
		before = r.stats.tcp_challenge_acks;
		rig_after(&r, 1001);
	}
	assert_int_equal(r.stats.tcp_challenge_limited, 3 * 1600 - before);
	assert_true(counts[0] != counts[1] && counts[1] != counts[2]);
	assert_int_equal(r.conn->state, TCP_ESTABLISHED);
	rig_fini(&r);
}

// RFC 6093: what is urgent is data like any other.
static void urgent_data_is_data(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_ACK | F_URG, .seq = 1, .ack = 1, .data = "urgent"));
	rx(&r, SEG(.flags = F_ACK | F_URG | F_FIN, .seq = 7, .ack = 1, .data = "!"));
	rig_read(&r, "urgent!");
	assert_true(stream_read_ended(r.stream));
	tx_skip(&r);
	rig_fini(&r);
}

// RFC 9293, 3.10.7.4: with a window of zero, data is refused, but ACKs and RSTs are heeded: else two
// ends whose windows are both closed would never hear of an opening.
static void with_both_windows_closed_acks_still_count(void)
{
	struct rig r;

	rig_established(
		&r, &(struct rig_options){.mss = 1000, .settings = {.receive_buffer_max = 4000}});
	rig_write(&r, 1000);
	tx(&r, SEG(.seq = 1, .len = 1000));
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 2000, .window = 0));
	rx(&r, SEG(.seq = 2001, .ack = 1, .len = 2000, .window = 0));
	tx_skip(&r);
	assert_int_equal(r.conn->rcv_adv - r.conn->rcv_nxt, 0);
	rx(&r, SEG(.seq = 4001, .ack = 1, .len = 1, .window = 0)); // a probe
	tx(&r, SEG(.seq = 1, .ack = 4001, .window = 0));
	assert_int_equal(r.stats.tcp_drop_window, 1);
	rx(&r, SEG(.seq = 4001, .ack = 1001, .window = 5000));
	assert_int_equal(r.conn->snd_una, r.iss + 1001);
	assert_int_equal(r.conn->snd_wnd, 5000);
	while (stream_readable(r.stream) > 0)
		stream_consume(r.stream, stream_peek(r.stream).len);
	rig_run(&r);
	tx(&r, SEG(.seq = 1001, .ack = 4001, .window = 4000)); // told at once
	rx(&r, SEG(.seq = 4001, .ack = 1001, .data = "on"));
	rig_read(&r, "on");
	rig_fini(&r);
}

// A peer that has filled the window sends ACKs from its right edge. With a hole in the data they still count.
static void acks_from_the_right_edge_of_the_window_count(void)
{
	struct rig r;

	rig_established(&r,
		&(struct rig_options){
			.mss = 1000, .sack = true, .settings = {.receive_buffer_max = 4000}});
	rig_write(&r, 1000);
	tx(&r, SEG(.seq = 1, .len = 1000));
	rx(&r, SEG(.seq = 1001, .ack = 1, .len = 1000)); // the first was lost
	rx(&r, SEG(.seq = 2001, .ack = 1, .len = 2000));
	tx_skip(&r);
	assert_int_equal(r.conn->rcv_adv - r.conn->rcv_nxt, 4000);
	rx(&r, SEG(.seq = 4001, .ack = 1001));
	assert_int_equal(r.conn->snd_una, r.iss + 1001);
	tx_none(&r);
	rx(&r, SEG(.flags = F_RST, .seq = 4001)); // RFC 5961, 3.2: outside
	tx_none(&r);
	rx(&r, SEG(.seq = 4002, .ack = 1001));
	assert_int_equal(r.stats.tcp_drop_window, 2);
	tx_skip(&r);
	rig_fini(&r);
}

static void a_reset_into_a_closed_window_ends_the_connection(void)
{
	struct rig r;

	rig_established(
		&r, &(struct rig_options){.mss = 1000, .settings = {.receive_buffer_max = 2000}});
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 2000));
	tx_skip(&r);
	rx(&r, SEG(.flags = F_RST, .seq = 2001));
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_RESET);
	stream_close(&r.stream);
	rig_done(&r);
}

// RFC 9293, 3.6.1: TIME_WAIT lasts as long as it is told to; the oldest makes room.
static void time_wait_is_as_long_as_configured_and_bounded(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.settings = {.time_wait_us = 5000000}});
	for (unsigned i = 0; i < 10; i++) { // of the rig's eight places
		r.peer.port++;
		establish(&r);
		stream_close(&r.stream);
		rig_run(&r);
		tx_skip(&r);
		rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 2));
		tx_skip(&r);
		rig_after(&r, 100);
	}
	assert_int_equal(r.stats.tcp_time_wait, 8);
	assert_int_equal(r.stats.tcp_time_wait_evicted, 2);
	assert_non_null(tcp_time_wait_lookup(r.net.tcp, &r.here, &r.peer));
	r.peer.port -= 9; // the first
	assert_null(tcp_time_wait_lookup(r.net.tcp, &r.here, &r.peer));
	rig_after(&r, 4000);
	assert_int_equal(r.stats.tcp_time_wait, 8);
	rig_after(&r, 1100);
	assert_int_equal(r.stats.tcp_time_wait, 0);
	rig_fini(&r);
}

TESTS(TEST(paws_forgets_after_24_days), TEST(sequence_numbers_wrap), TEST(timestamps_wrap),
	TEST(a_clock_that_jumps_fires_each_timer_once),
	TEST(initial_numbers_follow_a_clock_and_a_secret),
	TEST(timestamps_begin_elsewhere_for_each_pair), TEST(resets_are_rationed),
	TEST(challenges_are_rationed), TEST(urgent_data_is_data),
	TEST(with_both_windows_closed_acks_still_count),
	TEST(acks_from_the_right_edge_of_the_window_count),
	TEST(a_reset_into_a_closed_window_ends_the_connection),
	TEST(time_wait_is_as_long_as_configured_and_bounded))
