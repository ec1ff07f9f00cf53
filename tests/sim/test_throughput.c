// How fast a transfer is on a path that loses at random, beside what the textbook says, and what a bottleneck
// with a queue does to it. Virtual time makes the numbers the same on every machine.

#include "dataplane/tcp/tcp_cc.h"
#include "tests/sim/peer.h"
#include "tests/test_support.h"

#include <stdio.h>

#define MINUTE_US (60ull * 1000000)
#define RTT_US    50000u
#define MSS       1448u // with timestamps
#define N_BYTES   (20u * 1000 * 1000)
#define N_SEEDS   3u

struct result {
	double segments; // delivered each round trip
	double seconds;
	uint64_t n_rto;
	uint64_t n_retransmits;
	uint64_t n_in_vain; // arrived twice
};

static struct result move(struct link_config config, const struct tcp_cc_ops *cc, uint32_t bytes)
{
	struct tcp_settings settings = tcp_default_settings;
	struct transfer t = {.n_pairs = 1};
	struct result r = {0};
	struct world *w;
	uint64_t start;

	settings.cc = cc;
	settings.time_wait_us = 1000000;
	settings.send_buffer_max = 2u << 20;
	settings.receive_buffer_max = 1u << 20;
	config.tcp = &settings;
	config.delay_us = RTT_US / 2;
	config.drop_nth = -1;
	config.drop_nth_2 = -1;
	w = world_new(&config);
	start = world_now(w);
	t.pairs[0].ends[0].to_send = bytes;
	transfer_start(&t, w);
	if (!transfer_run(&t, 60 * MINUTE_US)) {
		transfer_print(&t);
		fail_msg("the transfer did not end");
	}
	r.seconds = (double)(world_now(w) - start - settings.time_wait_us) / 1e6;
	r.segments = (double)bytes / MSS * RTT_US / 1e6 / r.seconds;
	r.n_rto = world_stats(w, 0)->tcp_rto;
	r.n_retransmits =
		world_stats(w, 0)->tcp_retransmit_fast + world_stats(w, 0)->tcp_retransmit_rto;
	r.n_in_vain = world_stats(w, 1)->tcp_drop_duplicate;
	world_free(&w);
	return r;
}

static struct result with_loss(unsigned in_1000, const struct tcp_cc_ops *cc)
{
	struct result sum = {0};

	for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
		struct result r =
			move((struct link_config){.seed = seed, .drop = in_1000}, cc, N_BYTES);

		sum.segments += r.segments / N_SEEDS;
		sum.n_rto += r.n_rto;
		sum.n_retransmits += r.n_retransmits;
		sum.n_in_vain += r.n_in_vain;
	}
	return sum;
}

static double square_root(double x)
{
	double r = x > 1 ? x : 1;

	for (unsigned i = 0; i < 60; i++)
		r = (r + x / r) / 2;
	return r;
}

// RFC 9438, 5: equations 5 (Reno) and 6, segments each round trip.
static double expected(double p, bool cubic)
{
	double rtt = RTT_US / 1e6, x = rtt / p;

	if (!cubic)
		return square_root(1.5 / p);
	return 1.054 * square_root(x * square_root(x)); // x^(3/4)
}

static void random_loss_leaves_what_the_textbook_says(void)
{
	static const unsigned losses[] = {10, 30};
	static const struct tcp_cc_ops *const ccs[] = {&tcp_cc_cubic, &tcp_cc_reno};

	for (unsigned i = 0; i < 2 * 2; i++) {
		const struct tcp_cc_ops *cc = ccs[i % 2];
		double p = losses[i / 2] / 1000.0, reno = expected(p, false),
		       cubic = expected(p, true);
		struct result r = with_loss(losses[i / 2], cc);

		printf("%2.0f %% loss, %u ms: %-5s %5.1f segments a round trip (%4.0f kB/s); "
		       "textbook: Reno %.1f, CUBIC %.1f; sent again %llu, in vain %llu, "
		       "timeouts %llu\n",
			p * 100, RTT_US / 1000, cc->name, r.segments,
			r.segments * MSS / RTT_US * 1000, reno, cubic,
			(unsigned long long)r.n_retransmits, (unsigned long long)r.n_in_vain,
			(unsigned long long)r.n_rto);
		// In this region CUBIC is to be as fast as Reno (RFC 9438, 4.3).
		assert_true(cubic < reno);
		assert_true(r.segments > 0.6 * reno && r.segments < 1.5 * reno);
	}
}

// 20 Mbit/s with a queue of half a round trip: what slow start overshoots by, and what is used of the rate.
static void fill_bottleneck(bool tso)
{
	const double rate_mbit = 20;
	struct result r = move(
		(struct link_config){
			.seed = 1,
			.rate_mbit = (uint32_t)rate_mbit,
			.queue_len = 40,
			.offloads =
				{.ip4_csum = tso, .tcp_csum = tso, .tso4 = tso, .tso_mbufs = 45}
        },
		&tcp_cc_cubic, N_BYTES);
	double used = N_BYTES * 8 / (r.seconds * rate_mbit * 1e6);

	printf("%.0f Mbit/s, %u ms: cubic uses %.0f %%; sent again %llu of %u, in vain %llu, "
	       "timeouts %llu\n",
		rate_mbit, RTT_US / 1000, used * 100, (unsigned long long)r.n_retransmits,
		N_BYTES / MSS, (unsigned long long)r.n_in_vain, (unsigned long long)r.n_rto);
	assert_true(used > 0.85);
	assert_true(r.n_retransmits < N_BYTES / MSS / 50);
	assert_int_equal(r.n_rto, 0);
}

static void a_bottleneck_is_filled_without_drowning_its_queue(void)
{
	fill_bottleneck(false);
}

// Packets that the NIC cuts are paced.
static void a_bottleneck_is_filled_by_large_packets_too(void)
{
	fill_bottleneck(true);
}

TESTS(TEST(a_bottleneck_is_filled_by_large_packets_too),
	TEST(a_bottleneck_is_filled_without_drowning_its_queue),
	TEST(random_loss_leaves_what_the_textbook_says))
