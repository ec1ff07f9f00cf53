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

TESTS(TEST(passive_open_and_close_by_the_peer), TEST(active_open_and_close_by_us))
