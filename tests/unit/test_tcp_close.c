// Connections end: RFC 9293, 3.6 and 3.10; RFC 1337, 2525, 5961, 6191.

#include "tests/unit/tcp_rig.h"

static void both_may_close_at_once(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	stream_close(&r.stream);
	rig_run(&r);
	tx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 1));
	rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 1)); // crossed ours
	tx(&r, SEG(.seq = 2, .ack = 2));
	assert_int_equal(r.conn->state, TCP_CLOSING);
	rx(&r, SEG(.seq = 2, .ack = 2));
	assert_int_equal(r.stats.tcp_time_wait, 1);
	rig_done(&r);
}

static void half_closed_we_still_receive(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	stream_write(r.stream, BYTES("request"), false);
	stream_shutdown(r.stream);
	rig_run(&r);
	tx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 1, .data = "request"));
	assert_int_equal(stream_write(r.stream, BYTES("more"), false), 0);
	rx(&r, SEG(.seq = 1, .ack = 9, .data = "answer"));
	rig_after(&r, 100000); // FIN_WAIT_2 lasts as long as the owner likes
	tx(&r, SEG(.seq = 9, .ack = 7));
	rig_read(&r, "answer");
	rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 7, .ack = 9));
	tx(&r, SEG(.seq = 9, .ack = 8));
	assert_true(stream_read_ended(r.stream));
	assert_false(r.events & STREAM_CLOSED);
	stream_close(&r.stream);
	rig_done(&r);
}

static void half_closed_by_the_peer_we_still_send_and_send_again(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 1));
	tx(&r, SEG(.seq = 1, .ack = 2));
	rig_write(&r, 100);
	tx(&r, SEG(.seq = 1, .ack = 2, .len = 100));
	rig_after(&r, 250); // in CLOSE_WAIT too
	tx(&r, SEG(.seq = 1, .ack = 2, .len = 100));
	stream_close(&r.stream);
	rx(&r, SEG(.seq = 2, .ack = 101));
	tx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 101, .ack = 2));
	rig_after(&r, 250); // a lost FIN
	tx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 101, .ack = 2));
	rx(&r, SEG(.seq = 2, .ack = 102));
	rig_done(&r);
}

static void after_close_the_peer_may_go_on_for_a_while(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.settings = {.linger_bytes = 2000}});
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 500)); // never read
	stream_write(r.stream, BYTES("400"), false);
	stream_close(&r.stream);
	rig_run(&r);
	tx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 501, .data = "400"));
	rx(&r, SEG(.seq = 501, .ack = 5, .len = 1400));
	rig_after(&r, 50);
	tx(&r, SEG(.seq = 5, .ack = 1901));
	rx(&r, SEG(.seq = 1901, .ack = 5, .len = 500));
	tx(&r, SEG(.flags = F_RST | F_ACK, .seq = 5));
	assert_int_equal(r.stats.tcp_reset_linger, 1);
	rig_done(&r);
}

static void fin_wait_2_ends_when_the_owner_is_gone(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.settings = {.fin_wait_2_us = 5000000}});
	stream_close(&r.stream);
	rig_run(&r);
	tx_skip(&r);
	rx(&r, SEG(.seq = 1, .ack = 2));
	rig_after(&r, 4900);
	tx_none(&r);
	rig_after(&r, 200);
	tx(&r, SEG(.flags = F_RST | F_ACK, .seq = 2));
	assert_int_equal(r.stats.tcp_timeout_fin_wait_2, 1);
	rig_done(&r);
}

static void abort_sends_a_reset(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rig_write(&r, 10);
	tx_skip(&r);
	stream_abort(&r.stream);
	tx(&r, SEG(.flags = F_RST | F_ACK, .seq = 11));
	rig_done(&r);
}

static void a_reset_has_a_number_that_a_closed_window_takes(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rx(&r, SEG(.seq = 1, .ack = 1, .window = 0));
	rig_write(&r, 10);
	rig_after(&r, 5000);
	assert_true(r.conn->snd_nxt == r.conn->iss + 2); // a probe is out
	tx_skip(&r);
	stream_abort(&r.stream);
	tx(&r, SEG(.flags = F_RST | F_ACK, .seq = 1));
	rig_done(&r);
}

static void all_are_reset_at_the_end(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rig_write(&r, 10);
	tx_skip(&r);
	stream_close(&r.stream);
	tx_skip(&r);
	assert_int_equal(tcp_count_unowned(&r.net).n_unsent, 1);
	tcp_reset_all(&r.net, r.now_us);
	tx(&r, SEG(.flags = F_RST | F_ACK));
	assert_int_equal(r.stats.tcp_reset_stop, 1);
	assert_int_equal(tcp_count_unowned(&r.net).n_unsent, 0);
	rig_done(&r);
}

static void a_reset_is_reported_and_bytes_before_it_stay(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "last words"));
	rx(&r, SEG(.flags = F_RST, .seq = 11));
	assert_true(r.events & STREAM_CLOSED);
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_RESET);
	rig_read(&r, "last words");
	stream_close(&r.stream);
	rig_done(&r);
}

static void blind_resets_and_syns_get_a_challenge(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_RST, .seq = 100)); // in the window, not exact: RFC 5961, 3.2
	tx(&r, SEG(.seq = 1, .ack = 1));
	rx(&r, SEG(.flags = F_RST, .seq = 100000));
	tx_none(&r);
	rx(&r, SEG(.flags = F_SYN, .seq = 50)); // RFC 5961, 4.2
	tx(&r, SEG(.seq = 1, .ack = 1));
	rx(&r, SEG(.seq = 1, .ack = 1000, .data = "x")); // acknowledges what was never sent
	tx(&r, SEG(.seq = 1, .ack = 1));
	rx(&r, SEG(.flags = F_PSH, .seq = 1, .data = "x")); // no ACK
	tx_none(&r);
	assert_int_equal(stream_readable(r.stream), 0);
	assert_int_equal(r.conn->state, TCP_ESTABLISHED);
	rig_fini(&r);
}

// RFC 9293, 3.5.1: a peer that restarted.
static void a_stale_connection_makes_way_for_a_new_syn(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_SYN, .seq = 5000));
	tx(&r, SEG(.seq = 1, .ack = 1));
	rx(&r, SEG(.flags = F_RST, .seq = 1)); // what the challenge provokes
	assert_true(r.events & STREAM_CLOSED);
	stream_close(&r.stream);
	rx(&r, SEG(.flags = F_SYN, .seq = 5000));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 5001));
	rx(&r, SEG(.seq = 5001, .ack = 1));
	assert_int_equal(r.n_accepted, 2);
	rig_fini(&r);
}

static void reach_time_wait(struct rig *r, bool timestamps)
{
	rig_established(r,
		&(struct rig_options){
			.timestamps = timestamps, .settings = {.time_wait_us = 10000000}});
	stream_close(&r->stream);
	rig_run(r);
	tx_skip(r);
	rx(r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 2));
	tx(r, SEG(.seq = 2, .ack = 2));
	assert_int_equal(r->stats.tcp_time_wait, 1);
	assert_int_equal(tcp_n_connections(&r->net), 0);
}

static void time_wait_answers_fins_and_ignores_resets(void)
{
	struct rig r;

	reach_time_wait(&r, false);
	rx(&r, SEG(.flags = F_RST, .seq = 2)); // RFC 1337
	rx(&r, SEG(.seq = 2, .ack = 2));
	tx_none(&r);
	rig_after(&r, 9000);
	rx(&r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 2));
	tx(&r, SEG(.seq = 2, .ack = 2));
	rig_after(&r, 9000); // began anew
	assert_int_equal(r.stats.tcp_time_wait, 1);
	rig_after(&r, 1100);
	assert_int_equal(r.stats.tcp_time_wait, 0);
	rig_done(&r);
}

static void time_wait_gives_way_to_a_newer_syn_only(void)
{
	struct rig r;
	uint32_t old_iss;

	reach_time_wait(&r, false);
	rx(&r, SEG(.flags = F_SYN, .seq = 1)); // an old duplicate
	tx(&r, SEG(.seq = 2, .ack = 2));
	old_iss = r.iss;
	rx(&r, SEG(.flags = F_SYN, .seq = 3));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 4));
	assert_true(seq_lt(old_iss + 2, r.iss));
	rx(&r, SEG(.seq = 4, .ack = 1));
	assert_int_equal(r.n_accepted, 2);
	assert_int_equal(r.stats.tcp_time_wait_reused, 1);
	rig_fini(&r);
}

static void keepalive_finds_a_dead_peer(void)
{
	struct rig r;

	rig_established(&r,
		&(struct rig_options){
			.keepalive = {.time_s = 10, .interval_s = 2, .probes = 3}
        });
	rig_after(&r, 9000);
	rx(&r, SEG(.seq = 1, .ack = 1));
	rig_after(&r, 9000);
	tx_none(&r);
	rig_after(&r, 1100);
	tx(&r, SEG(.seq = 0, .ack = 1));
	rx(&r, SEG(.seq = 1, .ack = 1)); // alive
	rig_after(&r, 10100);
	tx(&r, SEG(.seq = 0, .ack = 1));
	rig_after(&r, 4100);
	tx(&r, SEG(.seq = 0, .ack = 1));
	tx(&r, SEG(.seq = 0, .ack = 1));
	rig_after(&r, 2100);
	tx(&r, SEG(.flags = F_RST | F_ACK));
	assert_int_equal(stream_error(r.stream), STREAM_ERROR_KEEPALIVE);
	stream_close(&r.stream);
	rig_done(&r);
}

TESTS(TEST(both_may_close_at_once), TEST(half_closed_we_still_receive),
	TEST(half_closed_by_the_peer_we_still_send_and_send_again),
	TEST(after_close_the_peer_may_go_on_for_a_while),
	TEST(fin_wait_2_ends_when_the_owner_is_gone), TEST(abort_sends_a_reset),
	TEST(a_reset_has_a_number_that_a_closed_window_takes), TEST(all_are_reset_at_the_end),
	TEST(a_reset_is_reported_and_bytes_before_it_stay),
	TEST(blind_resets_and_syns_get_a_challenge),
	TEST(a_stale_connection_makes_way_for_a_new_syn),
	TEST(time_wait_answers_fins_and_ignores_resets),
	TEST(time_wait_gives_way_to_a_newer_syn_only), TEST(keepalive_finds_a_dead_peer))
