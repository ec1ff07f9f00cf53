// Which endpoint a request is given: shares, health, panic, and what was tried before.

#include "router/lb.h"
#include "tests/test_support.h"

#include <string.h>

#define MAX_N 16

static struct cluster_config config;
static struct endpoint endpoints[MAX_N];
static struct endpoint *pointers[MAX_N];
static uint32_t weights[MAX_N];
static uint32_t credits[MAX_N];
static struct cluster cluster;
static struct lb_state state;
static struct cluster_stats stats;
static unsigned picked[MAX_N];

static void setup(enum lb_policy policy, unsigned n)
{
	memset(endpoints, 0, sizeof(endpoints));
	memset(credits, 0, sizeof(credits));
	memset(&stats, 0, sizeof(stats));
	config = (struct cluster_config){.lb = policy};
	for (unsigned i = 0; i < MAX_N; i++) {
		pointers[i] = &endpoints[i];
		weights[i] = 1;
	}
	cluster = (struct cluster){.config = &config,
		.endpoints = pointers,
		.weights = weights,
		.n_endpoints = n,
		.equal_weights = true};
	state = (struct lb_state){.random = 42, .credits = credits, .n_credits = n};
}

static void set_weights(const uint32_t *w)
{
	memcpy(weights, w, cluster.n_endpoints * sizeof(*w));
	cluster.equal_weights = false;
}

static struct endpoint *pick(void)
{
	return lb_pick(&cluster, &state, NULL, &stats);
}

static void pick_many(unsigned n)
{
	memset(picked, 0, sizeof(picked));
	for (unsigned i = 0; i < n; i++) {
		struct endpoint *e = pick();

		assert_non_null(e);
		picked[e - endpoints]++;
	}
}

static void assert_share(unsigned i, unsigned n, double share)
{
	double got = (double)picked[i] / n;

	if (got < share - 0.02 || got > share + 0.02)
		fail_msg("endpoint %u got %.3f of the picks, not %.3f", i, got, share);
}

static void round_robin_takes_turns(void)
{
	setup(LB_ROUND_ROBIN, 3);
	for (unsigned i = 0; i < 30; i++)
		assert_ptr_equal(pick(), &endpoints[i % 3]);
}

static void round_robin_starts_anywhere(void)
{
	setup(LB_ROUND_ROBIN, 16);
	for (unsigned i = 0; i < 1600; i++) {
		state = (struct lb_state){0}; // as its owner makes it
		picked[pick() - endpoints]++;
	}
	for (unsigned i = 0; i < 16; i++)
		assert_in_range(picked[i], 40, 200);
}

static void round_robin_does_not_favour_the_one_behind_a_sick_one(void)
{
	setup(LB_ROUND_ROBIN, 4);
	endpoints[1].health = ENDPOINT_FAILED_OUTLIER;
	pick_many(300);
	assert_int_equal(picked[0], 100);
	assert_int_equal(picked[1], 0);
	assert_int_equal(picked[2], 100);
	assert_int_equal(picked[3], 100);
}

static void weighted_round_robin_gives_exact_shares_spread_out(void)
{
	unsigned run = 0, longest = 0;

	setup(LB_ROUND_ROBIN, 3);
	set_weights((uint32_t[]){3, 1, 6});
	pick_many(1000);
	assert_int_equal(picked[0], 300);
	assert_int_equal(picked[1], 100);
	assert_int_equal(picked[2], 600);
	// Endpoint 2 has 6 of 10: spread evenly it is never chosen more than three times in a row.
	for (unsigned i = 0; i < 1000; i++) {
		run = pick() == &endpoints[2] ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	assert_in_range(longest, 1, 3);
}

static void weighted_round_robin_goes_on_when_the_heaviest_falls_ill(void)
{
	setup(LB_ROUND_ROBIN, 3);
	set_weights((uint32_t[]){1, UINT32_MAX, 3});
	pick_many(10);
	endpoints[1].health = ENDPOINT_FAILED_OUTLIER;
	pick_many(2); // the round that was under way
	pick_many(400);
	assert_int_equal(picked[1], 0);
	assert_in_range(picked[0], 99, 101);
	endpoints[1].health = 0;
	pick_many(1000);
	assert_in_range(picked[1], 990, 1000);
}

static void weighted_round_robin_without_credits_keeps_the_shares(void)
{
	setup(LB_ROUND_ROBIN, 2);
	set_weights((uint32_t[]){1, 3});
	state.credits = NULL;
	pick_many(20000);
	assert_share(0, 20000, 0.25);
}

static void random_is_uniform_whatever_the_weights(void)
{
	setup(LB_RANDOM, 4);
	set_weights((uint32_t[]){1, 100, 1, 1});
	pick_many(20000);
	for (unsigned i = 0; i < 4; i++)
		assert_share(i, 20000, 0.25);
}

static void random_stays_uniform_when_most_are_sick(void)
{
	setup(LB_RANDOM, 16);
	for (unsigned i = 0; i < 16; i++)
		endpoints[i].health = i == 3 || i == 4 || i == 11 ? 0 : ENDPOINT_FAILED_EDS;
	pick_many(20000);
	assert_share(3, 20000, 1 / 3.0);
	assert_share(4, 20000, 1 / 3.0);
	assert_share(11, 20000, 1 / 3.0);
}

static void least_request_is_uniform_when_idle(void)
{
	setup(LB_LEAST_REQUEST, 5);
	pick_many(20000);
	for (unsigned i = 0; i < 5; i++)
		assert_share(i, 20000, 0.2);
}

// With two random choices out of two, the busy one is taken only when it is drawn twice.
static void least_request_avoids_the_busy_one(void)
{
	setup(LB_LEAST_REQUEST, 2);
	endpoints[0].active_requests = 10;
	pick_many(20000);
	assert_share(0, 20000, 0.25);
}

static void least_request_follows_weights_when_idle_and_load_per_weight_when_not(void)
{
	setup(LB_LEAST_REQUEST, 2);
	set_weights((uint32_t[]){1, 3});
	pick_many(20000);
	assert_share(0, 20000, 0.25);

	// Equal load per weight: still the weights.
	endpoints[0].active_requests = 2;
	endpoints[1].active_requests = 6;
	pick_many(20000);
	assert_share(0, 20000, 0.25);

	// The light one carries more than its share: taken only when drawn twice.
	endpoints[0].active_requests = 3;
	pick_many(20000);
	assert_share(0, 20000, 0.0625);
}

static void one_endpoint_is_always_it(void)
{
	for (int policy = LB_ROUND_ROBIN; policy <= LB_RANDOM; policy++) {
		setup((enum lb_policy)policy, 1);
		assert_ptr_equal(pick(), &endpoints[0]);
	}
}

static void nobody_healthy_is_nobody(void)
{
	for (int policy = LB_ROUND_ROBIN; policy <= LB_RANDOM; policy++) {
		setup((enum lb_policy)policy, 3);
		for (unsigned i = 0; i < 3; i++)
			endpoints[i].health = ENDPOINT_FAILED_OUTLIER;
		assert_null(pick());
		set_weights((uint32_t[]){1, 2, 3});
		assert_null(pick());
		cluster.n_endpoints = 0;
		assert_null(pick());
	}
}

static void panic_uses_all_and_counts_picks_that_ignored_health(void)
{
	for (int policy = LB_ROUND_ROBIN; policy <= LB_RANDOM; policy++) {
		setup((enum lb_policy)policy, 4);
		config.panic_threshold_percent = 50;
		endpoints[0].health = ENDPOINT_FAILED_OUTLIER;
		endpoints[1].health = ENDPOINT_FAILED_EDS;
		pick_many(1000); // exactly half is not below the threshold
		assert_int_equal(picked[0] + picked[1], 0);
		assert_int_equal(stats.lb_healthy_panic, 0);

		endpoints[2].health = ENDPOINT_FAILED_OUTLIER;
		pick_many(4000);
		for (unsigned i = 0; i < 4; i++)
			assert_in_range(picked[i], 850, 1150);
		assert_int_equal(stats.lb_healthy_panic, picked[0] + picked[1] + picked[2]);
	}
}

static void a_retry_avoids_what_was_tried(void)
{
	struct lb_context context = {.tried = {&endpoints[1]}, .n_tried = 1};

	setup(LB_ROUND_ROBIN, 3);
	for (unsigned i = 0; i < 10; i++)
		assert_ptr_not_equal(lb_pick(&cluster, &state, &context, &stats), &endpoints[1]);

	// Six random picks of two all hit the tried one in 1 of 64 cases: then it is taken.
	setup(LB_RANDOM, 2);
	memset(picked, 0, sizeof(picked));
	for (unsigned i = 0; i < 20000; i++)
		picked[lb_pick(&cluster, &state, &context, &stats) - endpoints]++;
	assert_share(1, 20000, 1 / 64.0);

	setup(LB_LEAST_REQUEST, 2);
	endpoints[0].health = ENDPOINT_FAILED_OUTLIER;
	assert_ptr_equal(lb_pick(&cluster, &state, &context, &stats), &endpoints[1]);
}

TESTS(TEST(round_robin_takes_turns), TEST(round_robin_starts_anywhere),
	TEST(round_robin_does_not_favour_the_one_behind_a_sick_one),
	TEST(weighted_round_robin_gives_exact_shares_spread_out),
	TEST(weighted_round_robin_goes_on_when_the_heaviest_falls_ill),
	TEST(weighted_round_robin_without_credits_keeps_the_shares),
	TEST(random_is_uniform_whatever_the_weights), TEST(random_stays_uniform_when_most_are_sick),
	TEST(least_request_is_uniform_when_idle), TEST(least_request_avoids_the_busy_one),
	TEST(least_request_follows_weights_when_idle_and_load_per_weight_when_not),
	TEST(one_endpoint_is_always_it), TEST(nobody_healthy_is_nobody),
	TEST(panic_uses_all_and_counts_picks_that_ignored_health),
	TEST(a_retry_avoids_what_was_tried))
