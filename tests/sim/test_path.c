// What a path does to a transfer that has nothing wrong with it: order, the loss of the last segments.

#include "tests/sim/peer.h"
#include "tests/test_support.h"

#include <stdlib.h>

#define MINUTE_US (60ull * 1000000)

// Moves 'bytes' from side 0 to side 1 and returns how long that took.
static uint64_t move(struct world *w, uint32_t bytes)
{
	struct transfer t = {.n_pairs = 1};
	uint64_t start = world_now(w);

	t.pairs[0].ends[0].to_send = bytes;
	transfer_start(&t, w);
	if (!transfer_run(&t, 60 * MINUTE_US)) {
		transfer_print(&t);
		fail_msg("the transfer did not end");
	}
	return world_now(w) - start;
}

static void reordering_within_a_quarter_of_the_round_trip_causes_no_retransmission(void)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct world *w = world_new(&(struct link_config){
			.seed = seed,
			.delay_us = 20000,
			.reorder = 300,
			.reorder_us = 4500, // each way
			.drop_nth = -1,
			.drop_nth_2 = -1,
		});
		struct dataplane_stats *s = world_stats(w, 0);

		move(w, 500000);
		assert_true(world_stats(w, 1)->tcp_out_of_order > 10);
		assert_int_equal(s->tcp_retransmit_fast, 0);
		assert_int_equal(s->tcp_retransmit_rto, 0);
		world_free(&w);
	}
}

// The answer of a backend next door: twenty segments, and any one of them lost.
static void no_single_loss_near_by_waits_for_the_timeout(void)
{
	for (int nth = 4; nth < 20; nth++) {
		struct world *w = world_new(&(struct link_config){
			.seed = 1,
			.delay_us = 50,
			.drop_nth = nth,
			.drop_nth_2 = -1,
		});

		move(w, 20000);
		assert_int_equal(world_stats(w, 0)->tcp_rto, 0);
		world_free(&w);
	}
}

TESTS(TEST(reordering_within_a_quarter_of_the_round_trip_causes_no_retransmission),
	TEST(no_single_loss_near_by_waits_for_the_timeout))
