// A hundred thousand idle connections on one stack: what each costs, and that packets find their way as
// quickly as among a thousand. Times are printed, not asserted; what is asserted is how far a packet has
// to look and how often the timer wheel moves anything.

#include "tests/unit/tcp_rig.h"

#include <time.h>

#define N_FEW     1000u
#define N_MANY    100000u
#define N_PACKETS 20000u

static void take_all(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	(void)owner, (void)events, (void)now_us;
	while (stream_readable(s) > 0)
		stream_consume(s, stream_peek(s).len);
}

// The peer of connection i.
static void select_peer(struct rig *r, uint32_t i)
{
	r->peer.addr.b[14] = (uint8_t)(i / 25000);
	r->peer.port = (uint16_t)(20000 + i % 25000);
}

static void open_until(struct rig *r, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < n; i++) {
		select_peer(r, i);
		rx(r, SEG(.flags = F_SYN, .seq = 0));
		tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0));
		rx(r, SEG(.seq = 1, .ack = 1));
		stream_set_owner(r->stream, take_all, NULL);
	}
	r->stream = NULL;
	assert_int_equal(r->stats.tcp_state_established, n);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Nanoseconds of this thread that a data segment and its ACK take, the rig's own work included.
static double packet_ns(struct rig *r, uint32_t n)
{
	uint64_t start = now_ns();
	uint32_t i = 1;

	for (unsigned k = 0; k < N_PACKETS; k++) {
		struct tcp_conn *c;

		i = (i * 1664525u + 1013904223u) & 0x7fffffff;
		select_peer(r, i % n);
		c = tcp_lookup(r->net.tcp, &r->here, &r->peer);
		r->iss = c->iss;
		rx_quiet(r, SEG(.seq = c->rcv_nxt - RIG_PEER_ISS, .ack = 1, .len = 1));
		tcp_run(r->net.tcp, r->now_us);
		r->now_us += 10;
		timer_wheel_run(r->net.timers, r->now_us, 64);
		if (r->net.n_sent > RIG_MAX_SENT / 2)
			tx_skip(r);
	}
	start = now_ns() - start;
	rig_after(r, 2000); // the delayed ACKs, and the timer of the handshakes
	tx_skip(r);
	return (double)start / N_PACKETS;
}

// Entries that a lookup of a present connection looks at, on average, times 1000.
static unsigned probes(const struct tcp *t, unsigned *longest)
{
	uint64_t sum = 0, n = 0;

	*longest = 0;
	for (uint32_t i = 0; i <= t->bucket_mask; i++) {
		unsigned len = 0;

		for (const struct tcp_conn *c = t->buckets[i]; c != NULL; c = c->hash_next)
			sum += ++len;
		n += len;
		if (len > *longest)
			*longest = len;
	}
	return (unsigned)(sum * 1000 / n);
}

static bool count_one(void *arg, const struct tcp_info *info)
{
	(void)info;
	++*(uint32_t *)arg;
	return true;
}

// As 'pollgatectl connections' does it.
static void walk_all(struct rig *r)
{
	uint64_t longest = 0, sum = 0;
	uint32_t n = 0;
	bool more;

	tcp_walk_begin(&r->net);
	do {
		uint64_t start = now_ns();

		more = tcp_walk(&r->net, 512, count_one, &n);
		start = now_ns() - start;
		sum += start;
		longest = start > longest ? start : longest;
	} while (more);
	assert_int_equal(n, N_MANY);
	print_message("a walk over %u in slices of 512: %.0f ns each, the longest slice %llu us\n",
		n, (double)sum / n, (unsigned long long)longest / 1000);
}

static void a_hundred_thousand_idle_connections_are_no_burden(void)
{
	struct rig r;
	double few, many;
	unsigned longest, n, before;

	rig_init(&r,
		&(struct rig_options){
			.max_connections = N_MANY + 1,
			.max_half_open = 16,
			.keepalive = {.time_s = 7200, .interval_s = 75, .probes = 9}
        });
	open_until(&r, 0, N_FEW);
	few = packet_ns(&r, N_FEW);
	open_until(&r, N_FEW, N_MANY);
	many = packet_ns(&r, N_MANY);
	n = probes(r.net.tcp, &longest);
	print_message(
		"%u connections: %zu bytes each in the pool, %zu in the table; 64 in TIME_WAIT, 96 in "
		"handshake\n",
		N_MANY, (size_t)r.net.tcp->conn_pool.object_size,
		((size_t)r.net.tcp->bucket_mask + 1) * sizeof(void *) / N_MANY);
	print_message(
		"data and ACK: %.0f ns among %u, %.0f ns among %u; %u.%03u entries looked at, at most %u\n",
		few, N_FEW, many, N_MANY, n / 1000, n % 1000, longest);
	assert_true(n < 1600); // a load of 0.76 gives 1.38
	assert_true(longest <= 12);
	assert_true(r.net.tcp->conn_pool.object_size <= 1024);
	walk_all(&r);
	// An idle connection has one timer, which is not touched: an hour passes without a packet.
	assert_int_equal(timer_wheel_n_armed(r.net.timers), N_MANY);
	before = (unsigned)r.stats.tcp_tx_segments;
	rig_after(&r, 3600e3);
	assert_int_equal(r.stats.tcp_tx_segments, before);
	assert_int_equal(r.stats.tcp_state_established, N_MANY);
	rig_fini(&r);
}

TESTS(TEST(a_hundred_thousand_idle_connections_are_no_burden))
