// Transfers over a bad link: every byte arrives, every connection closes, nothing is left. A failing seed is
// printed (each_seed() in peer.h).

#include "tests/sim/peer.h"
#include "tests/test_support.h"

#define N_SEEDS     1000u
#define N_SEEDS_IP6 400u
#define HOUR_US     (3600ull * 1000000)

static bool over_ip6;

// Every second NIC does something; what it takes as one packet is of many sizes.
static struct net_offloads nic_of(uint64_t seed)
{
	if (seed % 2 == 0)
		return (struct net_offloads){0};
	return (struct net_offloads){
		.ip4_csum = seed % 16 != 5,
		.tcp_csum = true,
		.tso4 = seed % 16 != 5,
		.tso6 = true,
		.tso_mbufs = (uint16_t)(2 + seed % 63),
	};
}

static struct link_config bad_link(uint64_t seed)
{
	return (struct link_config){
		.seed = seed,
		.ip6 = over_ip6,
		.offloads = nic_of(seed),
		.rx_offload = seed % 4 >= 2,
		.drop = 50,
		.duplicate = 20,
		.corrupt = 5,
		.reorder = 100,
		.delay_us = 100u << (seed % 9), // 0.1 to 25 ms
		.reorder_us = 20000,
		.rate_mbit = seed % 3 == 0 ? 100 : 0,
		.queue_len = 100,
		.hold_us = seed % 4 == 1 ? 400000 : 1000,
		.mtu = seed % 5 == 2 ? 576 : 1500,
		.drop_nth = -1,
		.drop_nth_2 = -1,
	};
}

// Small buffers, so that windows close and writers wait.
static struct tcp_settings small_buffers(uint64_t seed)
{
	struct tcp_settings s = tcp_default_settings;

	s.time_wait_us = 1000000;
	s.send_buffer_max = 4096u << seed % 5;
	s.receive_buffer_max = 1500u << seed % 7;
	s.nagle = seed % 11 == 0;
	return s;
}

// Sizes from nothing to some hundred kilobytes, most of them small.
static uint32_t random_size(struct world *w)
{
	return world_random(w, 4) == 0 ? 0 : world_random(w, 1u << (4 + world_random(w, 15)));
}

static void random_habits(struct world *w, struct pair *pair)
{
	for (unsigned side = 0; side < 2; side++) {
		struct peer *p = &pair->ends[side];

		p->to_send = random_size(w);
		p->max_write = world_random(w, 3) == 0 ? 1 + world_random(w, 5000) : 0;
		p->max_read = world_random(w, 3) == 0 ? 100 + world_random(w, 5000) : 0;
		p->pause_in_1000 = world_random(w, 4) == 0 ? 5 : 0;
	}
	// One at most, or both would wait for ever.
	if (world_random(w, 2) == 0)
		pair->ends[world_random(w, 2)].waits_for_end = true;
}

// What all seeds together went through.
static struct dataplane_stats seen;

static void add_stats(struct dataplane_stats *sum, const struct dataplane_stats *s)
{
	sum->tcp_rx_bytes += s->tcp_rx_bytes;
	sum->tcp_tx_bytes += s->tcp_tx_bytes;
	sum->tcp_drop_checksum += s->tcp_drop_checksum;
	sum->tcp_drop_duplicate += s->tcp_drop_duplicate;
	sum->tcp_out_of_order += s->tcp_out_of_order;
	sum->tcp_retransmit_fast += s->tcp_retransmit_fast;
	sum->tcp_retransmit_rto += s->tcp_retransmit_rto;
	sum->tcp_retransmit_syn += s->tcp_retransmit_syn;
	sum->tcp_retransmit_copied += s->tcp_retransmit_copied;
	sum->tcp_window_probes += s->tcp_window_probes;
	sum->tcp_delayed_acks += s->tcp_delayed_acks;
	sum->tcp_tso_packets += s->tcp_tso_packets;
	sum->tcp_tso_segments += s->tcp_tso_segments;
	sum->tcp_rx_csum_offloaded += s->tcp_rx_csum_offloaded;
	sum->tcp_collapsed += s->tcp_collapsed;
}

static void run_seed(uint64_t seed)
{
	struct link_config config = bad_link(seed);
	struct tcp_settings small = small_buffers(seed);
	struct world *w;
	struct transfer t = {0};

	if (seed % 2 == 0)
		config.tcp = &small;
	w = world_new(&config);
	t.n_pairs = 1 + world_random(w, 4);
	for (unsigned i = 0; i < t.n_pairs; i++)
		random_habits(w, &t.pairs[i]);
	transfer_start(&t, w);
	if (!transfer_run(&t, HOUR_US)) {
		transfer_print(&t);
		fail_msg("seed %llu", (unsigned long long)seed);
	}
	for (unsigned side = 0; side < 2; side++)
		add_stats(&seen, world_stats(w, side));
	world_free(&w);
}

static void survive(bool ip6, unsigned n_seeds)
{
	uint64_t n;

	over_ip6 = ip6;
	memset(&seen, 0, sizeof(seen));
	n = each_seed(n_seeds, run_seed);
	assert_int_equal(seen.tcp_rx_bytes, seen.tcp_tx_bytes);
	if (n < n_seeds)
		return;
	// The link was as bad as it claims.
	assert_true(seen.tcp_drop_checksum > 0);
	assert_true(seen.tcp_drop_duplicate > 0);
	assert_true(seen.tcp_out_of_order > 0);
	assert_true(seen.tcp_retransmit_fast > 0);
	assert_true(seen.tcp_retransmit_rto > 0);
	assert_true(seen.tcp_retransmit_syn > 0);
	assert_true(seen.tcp_retransmit_copied > 0);
	assert_true(seen.tcp_window_probes > 0);
	assert_true(seen.tcp_delayed_acks > 0);
	// And the NICs did their part.
	assert_true(seen.tcp_tso_packets > 1000);
	assert_true(seen.tcp_tso_segments > 2 * seen.tcp_tso_packets);
	assert_true(seen.tcp_rx_csum_offloaded > 0);
	assert_true(seen.tcp_collapsed > 0);
}

static void transfers_survive_loss_reordering_and_duplication(void)
{
	survive(false, N_SEEDS);
}

static void they_do_over_ip6_too(void)
{
	survive(true, N_SEEDS_IP6);
}

TESTS(TEST(transfers_survive_loss_reordering_and_duplication), TEST(they_do_over_ip6_too))
