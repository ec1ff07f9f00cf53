// What is said of a connection: what it waits for, and a walk over many of them in slices.

#include "tests/unit/tcp_rig.h"

static bool take_info(void *arg, const struct tcp_info *info)
{
	*(struct tcp_info *)arg = *info;
	return true;
}

static struct tcp_info info_of(struct rig *r)
{
	struct tcp_info info = {0};

	tcp_each(&r->net, take_info, &info);
	return info;
}

static void it_says_what_a_connection_waits_for(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .window = 20000});
	assert_int_equal(info_of(&r).waits_for, TCP_WAIT_APPLICATION);
	assert_true(info_of(&r).passive);
	assert_ptr_equal(info_of(&r).stream, r.stream);

	rig_write(&r, 3000);
	assert_int_equal(info_of(&r).waits_for, TCP_WAIT_ACK);
	assert_int_equal(info_of(&r).in_flight, 3000);
	assert_int_equal(info_of(&r).send_queued, 3000);

	rig_write(&r, 12000); // the first window of congestion is ten segments
	assert_int_equal(info_of(&r).waits_for, TCP_WAIT_CONGESTION);
	assert_int_equal(info_of(&r).in_flight, 10000);
	assert_int_equal(info_of(&r).send_queued, 15000);
	assert_int_equal(info_of(&r).mbufs_held, 15);
	tx_skip(&r);

	rx(&r, SEG(.seq = 1, .ack = 10001, .window = 2000));
	assert_int_equal(info_of(&r).waits_for, TCP_WAIT_PEER_WINDOW);
	assert_int_equal(info_of(&r).send_window, 2000);
	tx_skip(&r);
	rx(&r, SEG(.seq = 1, .ack = 12001));
	rx(&r, SEG(.seq = 1, .ack = 15001));
	assert_int_equal(info_of(&r).waits_for, TCP_WAIT_APPLICATION);
	tx_skip(&r);
	rig_fini(&r);
}

static void a_handshake_is_waited_for_and_has_its_owner(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	rig_connect(&r);
	assert_int_equal(info_of(&r).waits_for, TCP_WAIT_HANDSHAKE);
	assert_false(info_of(&r).passive);
	assert_ptr_equal(info_of(&r).stream, r.stream);
	rig_fini(&r);
}

static void who_finds_no_buffers_waits_for_them(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){.mss = 1000, .max_mbufs_held = 160});
	tcp_hold(r.net.tcp, 160);
	stream_write(r.stream, BYTES("x"), false);
	stream_want_write(r.stream, 1);
	assert_int_equal(info_of(&r).waits_for, TCP_WAIT_BUFFERS);
	tcp_unhold(r.net.tcp, 160);
	rig_fini(&r);
}

static void who_was_given_back_has_no_stream(void)
{
	struct rig r;

	rig_established(&r, &(struct rig_options){0});
	stream_close(&r.stream);
	rig_run(&r);
	assert_null(info_of(&r).stream);
	assert_string_equal(info_of(&r).state, "FIN_WAIT_1");
	tx_skip(&r);
	rig_fini(&r);
}

static void what_arrived_and_waits_is_counted(void)
{
	struct rig r;
	struct tcp_info i;

	rig_established(&r, &(struct rig_options){.mss = 1000, .sack = true, .timestamps = true});
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 500));
	rx(&r, SEG(.seq = 1001, .ack = 1, .len = 300));
	i = info_of(&r);
	assert_int_equal(i.receive_queued, 500);
	assert_int_equal(i.reordered, 300);
	assert_int_equal(i.mbufs_held, 2);
	assert_int_equal(i.last_received_us, r.now_us);
	assert_true(i.sack && i.timestamps && !i.recovering);
	assert_string_equal(i.congestion_control, "cubic");
	tx_skip(&r);
	rig_fini(&r);
}

// --- the walk

#define N_CONNECTIONS 10u

static void on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	(void)owner, (void)s, (void)events, (void)now_us;
}

static struct stream *streams[N_CONNECTIONS + 1];

static void open_one(struct rig *r, unsigned i)
{
	r->peer.port = (uint16_t)(20000 + i);
	rx(r, SEG(.flags = F_SYN, .seq = 0));
	tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0));
	rx(r, SEG(.seq = 1, .ack = 1));
	stream_set_owner(r->stream, on_event, NULL);
	streams[i] = r->stream;
	r->stream = NULL;
	rig_after(r, 1);
}

static void open_many(struct rig *r)
{
	rig_init(r, &(struct rig_options){.max_half_open = 16, .max_connections = 16});
	for (unsigned i = 0; i < N_CONNECTIONS; i++)
		open_one(r, i);
}

struct seen {
	unsigned n;
	uint16_t ports[N_CONNECTIONS + 1];
};

static bool see(void *arg, const struct tcp_info *info)
{
	struct seen *s = arg;

	s->ports[s->n++] = (uint16_t)(info->remote.port - 20000);
	return true;
}

static void abort_one(struct rig *r, unsigned i)
{
	stream_abort(&streams[i]);
	rig_run(r);
	tx_skip(r);
}

static void a_walk_visits_each_once_a_slice_at_a_time(void)
{
	struct seen s = {0};
	struct rig r;

	open_many(&r);
	tcp_walk_begin(&r.net);
	assert_true(tcp_walk(&r.net, 4, see, &s));
	assert_int_equal(s.n, 4);
	assert_true(tcp_walk(&r.net, 4, see, &s));
	assert_false(tcp_walk(&r.net, 4, see, &s));
	assert_int_equal(s.n, N_CONNECTIONS);
	for (unsigned i = 0; i < s.n; i++)
		assert_int_equal(s.ports[i], i);
	assert_false(tcp_walk(&r.net, 4, see, &s));
	assert_int_equal(s.n, N_CONNECTIONS);
	rig_fini(&r);
}

// The one that is next, one behind it and one that was visited go while the walk rests; one comes.
static void a_walk_survives_what_happens_between_its_slices(void)
{
	struct seen s = {0};
	struct rig r;

	open_many(&r);
	tcp_walk_begin(&r.net);
	assert_true(tcp_walk(&r.net, 4, see, &s));
	abort_one(&r, 1);
	abort_one(&r, 4);
	abort_one(&r, 5);
	abort_one(&r, 8);
	rig_after(&r, 1);
	open_one(&r, N_CONNECTIONS);
	while (tcp_walk(&r.net, 1, see, &s))
		;
	assert_int_equal(s.n, 7);
	assert_int_equal(s.ports[4], 6);
	assert_int_equal(s.ports[5], 7);
	assert_int_equal(s.ports[6], 9);
	rig_fini(&r);
}

static void the_last_connections_may_go_under_a_walk(void)
{
	struct seen s = {0};
	struct rig r;

	open_many(&r);
	tcp_walk_begin(&r.net);
	assert_true(tcp_walk(&r.net, 9, see, &s));
	for (unsigned i = 0; i < N_CONNECTIONS; i++)
		abort_one(&r, i);
	assert_false(tcp_walk(&r.net, 9, see, &s));
	assert_int_equal(s.n, 9);
	tcp_walk_begin(&r.net);
	assert_false(tcp_walk(&r.net, 9, see, &s));
	rig_fini(&r);
}

TESTS(TEST(it_says_what_a_connection_waits_for), TEST(a_handshake_is_waited_for_and_has_its_owner),
	TEST(who_finds_no_buffers_waits_for_them), TEST(who_was_given_back_has_no_stream),
	TEST(what_arrived_and_waits_is_counted), TEST(a_walk_visits_each_once_a_slice_at_a_time),
	TEST(a_walk_survives_what_happens_between_its_slices),
	TEST(the_last_connections_may_go_under_a_walk))
