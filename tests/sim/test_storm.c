// Everything that a network does at its worst, some of it at a time, chosen by the seed: loss one by one and in
// bursts, reordering, duplication, flipped bits, a bottleneck with a short queue, a path whose MTU shrinks
// during the transfer with and without a word, drivers that keep buffers; and applications that write and
// read in pieces, pause, and end their directions in any order. Whatever happens: every byte arrives
// as it was sent, both ends close in good order, and no connection, timer or buffer is left.

#include "tests/sim/peer.h"
#include "tests/test_support.h"

#include <stdio.h>

#define N_SEEDS 10000u
#define DAY_US  (24ull * 3600 * 1000000)

// What all seeds together went through.
static struct {
	uint64_t frames, too_big, rto, fast, probes, holes, learned, duplicates, checksums,
		out_of_order, spurious, half_closed, window_probes, learned_ip6;
} seen;

static uint32_t pick(struct world *w, const uint32_t *choices, uint32_t n)
{
	return choices[world_random(w, n)];
}

#define PICK(w, ...)                             \
	pick(w, (const uint32_t[]){__VA_ARGS__}, \
		sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

// Each trouble is absent from half of the worlds, so that the others are seen alone too.
static struct link_config random_link(struct world *dice, uint64_t seed)
{
	struct link_config c = {
		.seed = seed, .ip6 = seed % 8 == 7, .drop_nth = -1, .drop_nth_2 = -1};

	c.drop = PICK(dice, 0, 0, 0, 10, 30, 50, 100);
	c.burst = PICK(dice, 0, 0, 0, 2, 5, 10);
	c.burst_us = PICK(dice, 1000, 20000, 500000);
	c.duplicate = PICK(dice, 0, 0, 10, 100);
	c.corrupt = PICK(dice, 0, 0, 5, 30);
	c.reorder = PICK(dice, 0, 0, 50, 300);
	c.reorder_us = PICK(dice, 500, 5000, 50000);
	c.delay_us = PICK(dice, 20, 100, 1000, 10000, 50000);
	c.rate_mbit = PICK(dice, 0, 0, 1, 10, 100);
	c.queue_len = PICK(dice, 5, 20, 100);
	c.hold_us = PICK(dice, 0, 1000, 400000);
	c.mtu = (uint16_t)PICK(dice, 1500, 1500, 1500, 1280, 576);
	if (world_random(dice, 3) == 0) {
		c.path_mtu = (uint16_t)PICK(dice, 1499, 1400, 1280, 600, 576);
		c.path_mtu_us = PICK(dice, 0, 10000, 200000);
		c.path_mtu_icmp = world_random(dice, 2) == 0;
	}
	return c;
}

static struct tcp_settings random_settings(struct world *dice)
{
	struct tcp_settings s = tcp_default_settings;

	s.time_wait_us = 1000000;
	s.user_timeout_us = UINT32_MAX; // in a storm like this one may wait long
	s.send_buffer_max = PICK(dice, 4096, 65536, 262144);
	s.receive_buffer_max = PICK(dice, 1500, 8192, 65536, 262144);
	s.nagle = world_random(dice, 8) == 0;
	return s;
}

static void random_habits(struct world *w, struct pair *pair)
{
	for (unsigned side = 0; side < 2; side++) {
		struct peer *p = &pair->ends[side];

		p->to_send = world_random(w, 4) == 0
			? 0
			: world_random(w, 1u << (4 + world_random(w, 14)));
		p->max_write = world_random(w, 4) == 0 ? 1 + world_random(w, 5000) : 0;
		p->max_read = world_random(w, 4) == 0 ? 100 + world_random(w, 5000) : 0;
		p->pause_in_1000 = world_random(w, 6) == 0 ? 5 : 0;
	}
	switch (world_random(w, 4)) {
	case 0: pair->ends[0].waits_for_end = true; break;
	case 1: pair->ends[1].waits_for_end = true; break;
	case 2: // gives its stream back while the other still has it
		pair->ends[0].to_send = 0;
		pair->ends[1].closes_early = true;
		pair->ends[0].waits_for_end = true;
		break;
	default: break;
	}
}

static void add_up(struct world *w)
{
	struct ip_addr addr = world_addr(w, 0);

	seen.frames += world_n_frames(w);
	seen.too_big += world_n_too_big(w);
	for (unsigned side = 0; side < 2; side++) {
		const struct dataplane_stats *s = world_stats(w, side);

		seen.rto += s->tcp_rto;
		seen.fast += s->tcp_retransmit_fast;
		seen.probes += s->tcp_tail_probes;
		seen.holes += s->tcp_mtu_black_holes;
		seen.learned += s->tcp_mtu_reduced;
		if (!ip_addr_is_v4(&addr))
			seen.learned_ip6 += s->tcp_mtu_reduced;
		seen.duplicates += s->tcp_drop_duplicate;
		seen.checksums += s->tcp_drop_checksum;
		seen.out_of_order += s->tcp_out_of_order;
		seen.spurious += s->tcp_spurious_rto + s->tcp_spurious_recoveries;
		seen.window_probes += s->tcp_window_probes;
	}
}

static void run_seed(uint64_t seed)
{
	struct world *dice = world_new(&(struct link_config){.seed = ~seed}), *w;
	struct link_config config = random_link(dice, seed);
	struct tcp_settings settings = random_settings(dice);
	struct transfer t = {0};

	world_free(&dice);
	config.tcp = &settings;
	w = world_new(&config);
	t.n_pairs = 1 + world_random(w, 3);
	for (unsigned i = 0; i < t.n_pairs; i++) {
		random_habits(w, &t.pairs[i]);
		seen.half_closed +=
			t.pairs[i].ends[0].waits_for_end || t.pairs[i].ends[1].waits_for_end;
	}
	transfer_start(&t, w);
	if (!transfer_run(&t, DAY_US)) {
		transfer_print(&t);
		fail_msg("seed %llu", (unsigned long long)seed);
	}
	add_up(w);
	world_free(&w);
}

static void every_transfer_survives_the_storm(void)
{
	uint64_t n = each_seed(N_SEEDS, run_seed);

	printf("%llu worlds, %llu frames: %llu timeouts, %llu fast retransmissions, %llu tail probes, "
	       "%llu taken back, %llu black holes, %llu MTUs learned\n",
		(unsigned long long)n, (unsigned long long)seen.frames,
		(unsigned long long)seen.rto, (unsigned long long)seen.fast,
		(unsigned long long)seen.probes, (unsigned long long)seen.spurious,
		(unsigned long long)seen.holes, (unsigned long long)seen.learned);
	if (n < N_SEEDS)
		return;
	// The storm was as bad as it claims.
	assert_true(seen.too_big > 0 && seen.holes > 0 && seen.learned > 0 && seen.learned_ip6 > 0);
	assert_true(seen.rto > 0 && seen.fast > 0 && seen.probes > 0 && seen.spurious > 0);
	assert_true(seen.duplicates > 0 && seen.checksums > 0 && seen.out_of_order > 0);
	assert_true(seen.half_closed > 0 && seen.window_probes > 0);
}

TESTS(TEST(every_transfer_survives_the_storm))
