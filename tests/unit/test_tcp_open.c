// Connections begin: handshakes both ways, options, refusals, bounds.

#include "tests/unit/tcp_rig.h"

static void passive_open_and_close_by_the_peer(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000});
	assert_int_equal(r.conn->mss, 1000);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "GET"));
	assert_true(r.events & STREAM_READABLE);
	rig_read(&r, "GET");
	tx_none(&r);
	stream_write(r.stream, BYTES("OK"), false);
	rig_run(&r);
	tx(&r, SEG(.seq = 1, .ack = 4, .data = "OK"));
	rx(&r, SEG(.seq = 4, .ack = 3));
	rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 4, .ack = 3));
	tx(&r, SEG(.seq = 3, .ack = 5));
	assert_true(stream_read_ended(r.stream));
	assert_int_equal(r.conn->state, TCP_CLOSE_WAIT);
	stream_close(&r.stream);
	rig_run(&r);
	tx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 3, .ack = 5));
	rx(&r, SEG(.seq = 5, .ack = 4));
	rig_done(&r);
}

static void active_open_and_close_by_us(void)
{
	struct rig r;

	rig_established(
		&r, &(struct rig_options){.active = true, .timestamps = true, .sack = true});
	assert_true(r.events & STREAM_CONNECTED);
	assert_int_equal(r.conn->mss, 1460 - 12);
	assert_int_equal(r.here.port & 3, 1);
	stream_close(&r.stream);
	rig_run(&r);
	tx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 1));
	rx(&r, SEG(.seq = 1, .ack = 2));
	rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 2));
	tx(&r, SEG(.seq = 2, .ack = 2));
	assert_int_equal(r.stats.tcp_time_wait, 1);
	rig_done(&r);
}

static void both_may_open_at_once(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.scale = 2, .timestamps = true});
	rig_connect(&r);
	tx(&r, SEG(.flags = F_SYN, .seq = 0));
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	rx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	assert_int_equal(r.conn->state, TCP_ESTABLISHED);
	assert_true(r.events & STREAM_CONNECTED);
	tx_skip(&r);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "hi"));
	rig_read(&r, "hi");
	rig_fini(&r);
}

static void both_opened_and_then_silence(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	rig_connect(&r);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	stream_close(&r.stream);
	rig_after(&r, 40000);
	tx_skip(&r);
	assert_int_equal(r.stats.tcp_timeout_half_open, 1);
	rig_done(&r);
}

static void a_refused_connect_says_so(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	rig_connect(&r);
	tx(&r, SEG(.flags = F_SYN, .seq = 0));
	rx(&r, SEG(.flags = F_RST | F_ACK, .seq = 0, .ack = 77)); // not for our SYN
	assert_false(r.events & STREAM_CLOSED);
	rx(&r, SEG(.flags = F_RST | F_ACK, .seq = 0, .ack = 1));
	assert_true(r.events & STREAM_CLOSED);
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_REFUSED);
	stream_close(&r.stream);
	rig_done(&r);
}

static void icmp_ends_a_connect_but_only_with_a_sequence_number_in_flight(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	rig_connect(&r);
	tx(&r, SEG(.flags = F_SYN, .seq = 0));
	tcp_icmp_error(r.net.tcp, TCP_ICMP_UNREACHABLE, &r.here, &r.peer, r.iss + 1, 0, r.now_us);
	rig_run(&r);
	assert_false(r.events & STREAM_CLOSED);
	assert_int_equal(r.stats.tcp_icmp_ignored, 1);
	tcp_icmp_error(r.net.tcp, TCP_ICMP_UNREACHABLE, &r.here, &r.peer, r.iss, 0, r.now_us);
	rig_run(&r);
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_UNREACHABLE);
	stream_close(&r.stream);
	rig_done(&r);
}

static void icmp_too_big_makes_segments_smaller(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rig_write(&r, 2920);
	assert_int_equal(tx_skip(&r), 2);
	tcp_icmp_error(r.net.tcp, TCP_ICMP_TOO_BIG, &r.here, &r.peer, r.iss + 1, 1000, r.now_us);
	rig_run(&r);
	tx(&r, SEG(.seq = 1, .len = 960));
	rx(&r, SEG(.seq = 1, .ack = 961));
	tx(&r, SEG(.seq = 961, .len = 500));
	tx(&r, SEG(.seq = 1461, .len = 960));
	rx(&r, SEG(.seq = 1, .ack = 2421));
	tx(&r, SEG(.seq = 2421, .len = 500));
	rig_write(&r, 1500);
	tx(&r, SEG(.seq = 2921, .len = 960));
	rig_fini(&r);
}

static void a_repeated_syn_gets_the_same_answer(void)
{
	struct rig r;
	uint32_t iss;

	rig_init(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	iss = r.iss;
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	assert_int_equal(r.iss, iss);
	rx(&r, SEG(.seq = 1, .ack = 77)); // RFC 9293, 3.10.7.4: not our SYN
	tx(&r, SEG(.flags = F_RST, .seq = 77));
	rig_after(&r, 40000);
	assert_in_range(tx_skip(&r), 3, 6); // and then it gives up
	assert_int_equal(r.stats.tcp_timeout_half_open, 1);
	rig_done(&r);
}

static void a_full_table_is_counted_and_recovers(void)
{
	struct rig r;
	enum stream_error error = STREAM_ERROR_NONE;

	rig_established(&r, &(struct rig_options){.max_connections = 1});
	r.peer.port++;
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx_none(&r);
	assert_int_equal(r.stats.tcp_drop_no_connection, 1);
	assert_null(tcp_connect(
		&r.net, &(struct tcp_connect_options){.remote = r.peer}, &error, r.now_us));
	assert_int_equal(error, STREAM_ERROR_NO_MEMORY);
	stream_abort(&r.stream);
	rig_run(&r);
	tx_skip(&r);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	rig_fini(&r);
}

static void a_port_whose_answers_come_straight_is_preferred_and_no_other_given_up(void)
{
	struct rig r;
	struct stream *streams[25];
	enum stream_error error;

	rig_init(&r, &(struct rig_options){.max_connections = 30});
	r.net.straight_port = 20033;
	for (unsigned i = 0; i < 25; i++) {
		streams[i] = tcp_connect(
			&r.net, &(struct tcp_connect_options){.remote = r.peer}, &error, r.now_us);
		assert_non_null(streams[i]);
		assert_int_equal(streams[i]->local.port == 20033, i == 0);
		assert_int_equal(streams[i]->local.port & 3, 1);
	}
	for (unsigned i = 0; i < 25; i++)
		stream_abort(&streams[i]);
	rig_done(&r);
}

static void ports_of_the_slice_run_out_with_an_answer(void)
{
	struct rig r;
	struct stream *streams[26] = {NULL};
	enum stream_error error = STREAM_ERROR_NONE;

	rig_init(&r, &(struct rig_options){.max_connections = 30});
	for (unsigned i = 0; i < 26; i++) {
		streams[i] = tcp_connect(
			&r.net, &(struct tcp_connect_options){.remote = r.peer}, &error, r.now_us);
		if (i < 25)
			assert_int_equal(streams[i]->local.port & 3, 1);
	}
	assert_null(streams[25]);
	assert_int_equal(error, STREAM_ERROR_NO_PORT);
	r.peer.port++; // another destination has all of them
	streams[25] = tcp_connect(
		&r.net, &(struct tcp_connect_options){.remote = r.peer}, &error, r.now_us);
	assert_non_null(streams[25]);
	for (unsigned i = 0; i < 26; i++)
		stream_abort(&streams[i]);
	rig_done(&r);
}

static void an_owner_may_refuse(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.refuse = true});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "hello"));
	tx(&r, SEG(.flags = F_RST | F_ACK, .seq = 1));
	rig_done(&r);
}

static void segments_to_nobody_get_the_right_reset(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	r.here.port = 81;
	rx(&r, SEG(.flags = F_SYN, .seq = 5, .len = 3));
	tx(&r, SEG(.flags = F_RST | F_ACK, .ack = 9));
	rx(&r, SEG(.seq = 5, .ack = 1234));
	tx(&r, SEG(.flags = F_RST, .seq = 1234));
	rx(&r, SEG(.flags = F_RST, .seq = 5)); // never a RST to a RST
	tx_none(&r);
	rig_done(&r);
}

static void options_are_read_from_any_bytes(void)
{
	static const uint8_t loop[] = {2, 0, 2, 0}, over[] = {2, 40},
			     twice[] = {2, 4, 1, 0, 2, 4, 2, 0};
	static const uint8_t big_scale[] = {3, 3, 200, 0}, odd_sack[] = {5, 9, 1, 2, 3, 4, 5, 6, 7};
	struct tcp_options o;

	tcp_options_parse(bytes_of(loop, sizeof(loop)), &o);
	assert_int_equal(o.mss, 0);
	tcp_options_parse(bytes_of(over, sizeof(over)), &o);
	tcp_options_parse(bytes_of(twice, sizeof(twice)), &o);
	assert_int_equal(o.mss, 256);
	tcp_options_parse(bytes_of(big_scale, sizeof(big_scale)), &o);
	assert_int_equal(o.scale, 14);
	tcp_options_parse(bytes_of(odd_sack, sizeof(odd_sack)), &o);
	assert_int_equal(o.n_sack, 0);
}

static void an_empty_pool_stops_writers_and_lets_them_go_on(void)
{
	struct rig r;
	struct rte_mbuf *hoard[200];
	unsigned n = 0;

	rig_established(&r, &(struct rig_options){.n_mbufs = 200, .mss = 1000});
	while (n < 200 && (hoard[n] = rte_pktmbuf_alloc(r.pool)) != NULL)
		n++;
	assert_int_equal(stream_write(r.stream, BYTES("abc"), false), 0);
	rig_after(&r, 100);
	assert_true(r.events & STREAM_WRITABLE); // to be tried again
	assert_int_equal(stream_write(r.stream, BYTES("abc"), false), 0);
	rte_pktmbuf_free_bulk(hoard, n);
	r.events = 0;
	rig_after(&r, 100);
	assert_true(r.events & STREAM_WRITABLE);
	assert_int_equal(rig_write(&r, 3), 3);
	tx(&r, SEG(.seq = 1, .len = 3));
	rig_fini(&r);
}

static void the_buffer_budget_bounds_what_a_writer_may_queue(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .max_mbufs_held = 20});
	tcp_hold(r.net.tcp, 14); // others do
	assert_int_equal(rig_write(&r, 100000), 6000);
	assert_int_equal(r.stats.tcp_write_no_memory, 1);
	r.events = 0;
	assert_int_equal(tx_skip(&r), 6);
	rx(&r, SEG(.seq = 1, .ack = 6001));
	rig_after(&r, 50);
	assert_true(r.events & STREAM_WRITABLE);
	tcp_unhold(r.net.tcp, 14);
	rig_fini(&r);
}

TESTS(TEST(passive_open_and_close_by_the_peer), TEST(active_open_and_close_by_us),
	TEST(both_may_open_at_once), TEST(both_opened_and_then_silence),
	TEST(a_refused_connect_says_so),
	TEST(icmp_ends_a_connect_but_only_with_a_sequence_number_in_flight),
	TEST(icmp_too_big_makes_segments_smaller), TEST(a_repeated_syn_gets_the_same_answer),
	TEST(a_full_table_is_counted_and_recovers),
	TEST(a_port_whose_answers_come_straight_is_preferred_and_no_other_given_up),
	TEST(ports_of_the_slice_run_out_with_an_answer), TEST(an_owner_may_refuse),
	TEST(segments_to_nobody_get_the_right_reset), TEST(options_are_read_from_any_bytes),
	TEST(an_empty_pool_stops_writers_and_lets_them_go_on),
	TEST(the_buffer_budget_bounds_what_a_writer_may_queue))
