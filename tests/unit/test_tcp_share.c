// Each connection gets a share of the buffers that are free: many that hold theirs without moving leave a fresh
// one what it needs.

#include "tests/unit/tcp_rig.h"

#define BUDGET 20000u
#define MSS    1000u
#define FRESH  10000u // its number

static struct stream *slow[1000];

static void ignore(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	(void)owner, (void)s, (void)events, (void)now_us;
}

static struct rig_options many_connections(void)
{
	return (struct rig_options){.mss = MSS,
		.scale = 7,
		.n_mbufs = BUDGET + 2000,
		.max_mbufs_held = BUDGET,
		.max_connections = 1100,
		.max_half_open = 16};
}

// The peer of connection i, and its connection if there is one.
static void select_peer(struct rig *r, uint32_t i)
{
	r->peer.port = (uint16_t)(20000 + i);
	rig_find_conn(r);
	if (r->conn != NULL)
		r->iss = r->conn->iss;
}

static struct stream *open_one(struct rig *r, uint32_t i)
{
	select_peer(r, i);
	rx(r, SEG(.flags = F_SYN, .seq = 0));
	tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0));
	rx(r, SEG(.seq = 1, .ack = 1));
	rig_find_conn(r);
	assert_non_null(r->conn);
	stream_set_owner(r->stream, ignore, NULL);
	return r->stream;
}

static size_t write_much(struct rig *r, struct stream *s)
{
	static const uint8_t bytes[1u << 20];
	size_t n = stream_write(s, bytes_of(bytes, sizeof(bytes)), false);

	rig_run(r);
	tx_skip(r);
	return n;
}

// The peer reads for long enough that the window in flight is large, and then no more.
static void read_and_stop(struct rig *r, struct stream *s)
{
	for (unsigned i = 0; i < 6; i++) {
		write_much(r, s);
		rx(r, SEG(.seq = 1, .ack = r->conn->snd_nxt - r->iss));
		tx_skip(r);
	}
	write_much(r, s);
}

// Peer that acknowledges whatever comes: how many of its round trips 'bytes' take.
static unsigned rounds_to_send(struct rig *r, struct stream *s, size_t bytes)
{
	unsigned n = 0;

	while (r->conn->snd_una - r->iss < bytes) {
		assert_true(++n < 10000);
		write_much(r, s);
		assert_true(r->conn->snd_una != r->conn->snd_nxt);
		rx(r, SEG(.seq = 1, .ack = r->conn->snd_nxt - r->iss));
		tx_skip(r);
	}
	return n;
}

static void close_all(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stream_abort(&slow[i]);
	rig_run(r);
	tx_skip(r);
}

static void slow_readers_leave_room_for_who_reads(void)
{
	static const unsigned crowds[] = {1, 10, 100, 1000};

	for (unsigned k = 0; k < 4; k++) {
		struct rig_options options = many_connections();
		struct rig r;
		struct stream *fresh;
		unsigned quiet, rounds;

		rig_init(&r, &options);
		fresh = open_one(&r, FRESH);
		quiet = rounds_to_send(&r, fresh, 1000000);
		stream_abort(&fresh);
		rig_run(&r);
		tx_skip(&r);

		for (unsigned i = 0; i < crowds[k]; i++) {
			slow[i] = open_one(&r, i);
			read_and_stop(&r, slow[i]);
		}
		assert_true(r.stats.tcp_memory_rung <= TCP_RUNG_SMALL);
		assert_true(crowds[k] < 100 || r.stats.tcp_share_writes > 0);
		fresh = open_one(&r, FRESH);
		rounds = rounds_to_send(&r, fresh, 1000000);
		print_message(
			"%4u slow readers hold %5u of %u buffers; 1 MB takes %u round trips, %u "
			"without them\n",
			crowds[k], (unsigned)r.stats.tcp_mbufs_held - r.conn->sending.n, BUDGET,
			rounds, quiet);
		assert_true(crowds[k] > 10 || rounds == quiet);
		assert_true(rounds <= 1000000 / (4 * MSS)); // the least share in each
		assert_int_equal(r.stats.tcp_write_no_memory, 0);

		// They go, and the share is what it was.
		close_all(&r, crowds[k]);
		assert_true(tcp_share(r.net.tcp) > BUDGET / 16 - BUDGET / 100);
		assert_in_range(rounds_to_send(&r, fresh, 2000000), 1, quiet);
		r.stream = fresh;
		rig_fini(&r);
	}
}

// The peer sends what the window allows, the owner takes nothing.
static void fill_window(struct rig *r)
{
	while ((int32_t)(r->conn->rcv_adv - r->conn->rcv_nxt) > 0) {
		uint32_t left = r->conn->rcv_adv - r->conn->rcv_nxt;

		rx(r,
			SEG(.seq = r->conn->rcv_nxt - RIG_PEER_ISS,
				.ack = r->conn->snd_nxt - r->iss,
				.len = left < MSS ? (int)left : (int)MSS));
		tx_skip(r);
	}
}

static void owners_that_do_not_read_leave_a_window_for_others(void)
{
	static const unsigned crowds[] = {10, 100, 1000};

	for (unsigned k = 0; k < 3; k++) {
		struct rig_options options = many_connections();
		struct rig r;
		struct stream *fresh;

		rig_init(&r, &options);
		for (unsigned i = 0; i < crowds[k]; i++) {
			slow[i] = open_one(&r, i);
			fill_window(&r);
		}
		print_message("%4u that do not read hold %5u of %u buffers; share %u\n", crowds[k],
			(unsigned)r.stats.tcp_mbufs_held, BUDGET, tcp_share(r.net.tcp));
		assert_true(r.stats.tcp_memory_rung <= TCP_RUNG_SMALL);
		assert_true(crowds[k] < 1000 || r.stats.tcp_share_windows > 0);
		fresh = open_one(&r, FRESH);
		assert_true(r.conn->rcv_adv - r.conn->rcv_nxt >= 4 * MSS);
		for (unsigned i = 0; i < 100; i++) { // all that is offered is sent and taken
			fill_window(&r);
			assert_true(stream_readable(fresh) > 0);
			while (stream_readable(fresh) > 0)
				stream_consume(fresh, stream_peek(fresh).len);
			rig_after(&r, 5);
			tx_skip(&r);
			assert_true(r.conn->rcv_adv - r.conn->rcv_nxt >= 4 * MSS);
		}
		assert_int_equal(r.stats.tcp_drop_memory, 0);
		close_all(&r, crowds[k]);
		assert_int_equal(tcp_share(r.net.tcp), BUDGET / 16);
		r.stream = fresh;
		rig_fini(&r);
	}
}

// Who waits for more room than the share can give is told when there is what can be had.
static void a_writer_that_wants_more_than_its_share_goes_on(void)
{
	struct rig_options options = many_connections();
	struct rig r;

	rig_established(&r, &options);
	tcp_hold(r.net.tcp, BUDGET / 2); // the least share is left
	assert_int_equal(rig_write(&r, 100000), 8000);
	assert_int_equal(r.stats.tcp_share_writes, 1);
	stream_want_write(r.stream, 50000);
	rig_run(&r);
	tx_skip(&r);
	r.events = 0;
	rx(&r, SEG(.seq = 1, .ack = 1001));
	assert_false(r.events & STREAM_WRITABLE);
	rx(&r, SEG(.seq = 1, .ack = 2001));
	assert_true(r.events & STREAM_WRITABLE);
	tcp_unhold(r.net.tcp, BUDGET / 2);
	rig_fini(&r);
}

TESTS(TEST(slow_readers_leave_room_for_who_reads),
	TEST(owners_that_do_not_read_leave_a_window_for_others),
	TEST(a_writer_that_wants_more_than_its_share_goes_on))
