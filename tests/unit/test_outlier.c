// Ejection and return of endpoints, in virtual time (reference 3.6, A11, A12).

#include "dataplane/base/log.h"
#include "router/outlier.h"
#include "tests/test_support.h"

#include <string.h>

#define SECOND 1000000u
#define MAX_N  20

static struct cluster_config config;
static struct cluster_state state;
static struct endpoint endpoints[MAX_N];
static struct endpoint *pointers[MAX_N];
static struct cluster cluster;
static char name[] = "outbound|80||shop";

static void setup(unsigned n, uint32_t max_percent)
{
	log_threshold = LOG_ERROR;
	memset(&state, 0, sizeof(state));
	memset(endpoints, 0, sizeof(endpoints));
	state.name = name;
	config = (struct cluster_config){
		.outlier = {
			    .enabled = true,
			    .consecutive_5xx = 5,
			    .interval_us = SECOND,
			    .base_ejection_us = 3 * SECOND,
			    .max_ejection_us = 300 * SECOND,
			    .max_ejection_percent = max_percent,
			    }
        };
	for (unsigned i = 0; i < MAX_N; i++)
		pointers[i] = &endpoints[i];
	cluster = (struct cluster){
		.config = &config, .state = &state, .endpoints = pointers, .n_endpoints = n};
}

static void fail_times(unsigned i, unsigned n, unsigned status, uint64_t now_us)
{
	while (n-- > 0)
		outlier_record(&cluster, &endpoints[i], status, now_us);
}

static bool is_out(unsigned i)
{
	return !endpoint_is_healthy(&endpoints[i]);
}

// Sweeps each second as mgmt does; returns the second in which 'i' came back.
static unsigned seconds_until_back(unsigned i, unsigned from_s)
{
	for (unsigned s = from_s; s < from_s + 1000; s++) {
		outlier_sweep(&cluster, (uint64_t)s * SECOND);
		if (!is_out(i))
			return s;
	}
	fail_msg("endpoint %u never came back", i);
	return 0;
}

static void the_fifth_failure_in_a_row_ejects(void)
{
	setup(2, 100);
	fail_times(0, 4, 500, 1);
	outlier_record(&cluster, &endpoints[0], 404, 1);
	fail_times(0, 4, 500, 1);
	assert_false(is_out(0));
	fail_times(0, 1, 500, 1);
	assert_true(is_out(0));
	assert_int_equal(state.n_ejected, 1);
	assert_int_equal(state.n_ejections, 1);
	assert_int_equal(state.n_detected_5xx, 1);
	assert_int_equal(state.n_enforced_5xx, 1);
	assert_false(is_out(1));
}

static void gateway_errors_are_counted_apart(void)
{
	setup(2, 100);
	config.outlier.consecutive_gateway = 3;
	fail_times(0, 2, 503, 1);
	fail_times(0, 1, 500, 1); // an error, but not the gateway kind
	assert_int_equal(endpoints[0].outlier.consecutive_gateway, 0);
	outlier_record(&cluster, &endpoints[0], 200, 1);
	fail_times(0, 1, 502, 1);
	fail_times(0, 1, 503, 1);
	fail_times(0, 1, 504, 1);
	assert_true(is_out(0));
	assert_int_equal(state.n_enforced_gateway, 1);
	assert_int_equal(state.n_enforced_5xx, 0);
}

static void an_endpoint_that_both_detectors_find_is_ejected_once(void)
{
	setup(2, 100);
	config.outlier.consecutive_gateway = 5;
	fail_times(0, 5, 503, 1);
	assert_int_equal(state.n_ejected, 1);
	assert_int_equal(state.n_detected_gateway + state.n_detected_5xx, 1);
}

static void zero_turns_a_detector_off(void)
{
	setup(2, 100);
	config.outlier.consecutive_5xx = 0;
	fail_times(0, 100, 503, 1);
	assert_false(is_out(0));
	assert_int_equal(state.n_detected_5xx, 0);
	config.outlier.enabled = false;
	config.outlier.consecutive_5xx = 1;
	fail_times(0, 100, 503, 1);
	assert_false(is_out(0));
}

static void each_ejection_lasts_longer_and_good_behaviour_is_rewarded(void)
{
	setup(2, 100);
	config.outlier.consecutive_5xx = 1;
	assert_int_equal(outlier_sweep(&cluster, 10 * SECOND), 11 * SECOND);

	fail_times(0, 1, 500, 10 * SECOND + SECOND / 2);
	assert_true(is_out(0));
	assert_int_equal(seconds_until_back(0, 11), 14); // the first sweep after 13.5
	fail_times(0, 1, 500, 14 * SECOND + 1);
	assert_int_equal(seconds_until_back(0, 15), 21); // twice as long
	assert_int_equal(endpoints[0].outlier.multiplier, 2);

	outlier_sweep(&cluster, 22 * SECOND);
	assert_int_equal(endpoints[0].outlier.multiplier, 1);
	outlier_sweep(&cluster, 23 * SECOND);
	outlier_sweep(&cluster, 24 * SECOND);
	assert_int_equal(endpoints[0].outlier.multiplier, 0);
	fail_times(0, 1, 500, 24 * SECOND);
	assert_int_equal(seconds_until_back(0, 25), 27);
	assert_int_equal(state.n_ejected, 0);
}

static void an_ejection_is_never_longer_than_the_maximum(void)
{
	unsigned now_s = 10;

	setup(2, 100);
	config.outlier.consecutive_5xx = 1;
	config.outlier.max_ejection_us = 5 * SECOND;
	outlier_sweep(&cluster, (uint64_t)now_s * SECOND);
	for (unsigned i = 0; i < 10; i++) {
		unsigned back;

		fail_times(0, 1, 500, (uint64_t)now_s * SECOND);
		back = seconds_until_back(0, now_s + 1);
		assert_int_equal(back - now_s, i == 0 ? 3 : 5);
		now_s = back;
	}
	// 3 s times 3 is the first product past 5 s + 3 s.
	assert_int_equal(endpoints[0].outlier.multiplier, 3);
}

static void ten_percent_of_two_ejects_nobody_and_says_so_once_a_burst(void)
{
	setup(2, 10);
	fail_times(0, 4, 500, 1);
	assert_int_equal(state.n_ejections_overflow, 0);
	fail_times(0, 11, 500, 1);
	assert_false(is_out(0));
	assert_int_equal(state.n_ejections_overflow, 3);
	assert_int_equal(state.n_detected_5xx, 3);
	assert_int_equal(state.n_ejections, 0);
	assert_int_equal(endpoints[0].outlier.multiplier, 0);
}

static void the_limit_holds_on_the_result(void)
{
	setup(10, 30);
	for (unsigned i = 0; i < 10; i++)
		fail_times(i, 5, 500, 1);
	assert_int_equal(state.n_ejected, 3);
	assert_true(is_out(0) && is_out(1) && is_out(2));
	assert_int_equal(state.n_ejections_overflow, 7);
}

static void the_first_of_three_can_be_ejected_at_thirty_percent(void)
{
	setup(3, 30);
	config.outlier.always_eject_one = true;
	fail_times(0, 5, 500, 1);
	fail_times(1, 5, 500, 1);
	assert_true(is_out(0));
	assert_false(is_out(1));
	assert_int_equal(state.n_ejections_overflow, 1);

	setup(3, 30);
	config.outlier.always_eject_one = true;
	config.outlier.max_ejection_percent = 0;
	fail_times(0, 5, 500, 1);
	assert_false(is_out(0));
}

static void the_only_endpoint_is_ejected_at_a_hundred_percent_alone(void)
{
	setup(1, 99);
	config.outlier.always_eject_one = true;
	fail_times(0, 5, 500, 1);
	assert_false(is_out(0));
	config.outlier.max_ejection_percent = 100;
	fail_times(0, 5, 500, 1);
	assert_true(is_out(0));
}

static void what_happens_while_out_is_forgotten_at_the_return(void)
{
	setup(2, 100);
	outlier_sweep(&cluster, 1 * SECOND);
	fail_times(0, 5, 500, 1 * SECOND);
	fail_times(0, 4, 500, 2 * SECOND); // attempts that were under way
	seconds_until_back(0, 2);
	fail_times(0, 4, 500, 5 * SECOND);
	assert_false(is_out(0));
	fail_times(0, 1, 500, 5 * SECOND);
	assert_true(is_out(0));
}

static void other_reasons_of_ill_health_stay(void)
{
	setup(2, 100);
	outlier_sweep(&cluster, 1 * SECOND);
	endpoints[0].health = ENDPOINT_FAILED_EDS;
	fail_times(0, 5, 500, 1 * SECOND);
	for (unsigned s = 2; s < 8; s++)
		outlier_sweep(&cluster, s * SECOND);
	assert_int_equal(state.n_ejected, 0);
	assert_int_equal(endpoints[0].health, ENDPOINT_FAILED_EDS);
}

static void a_lower_threshold_counts_failures_seen_before(void)
{
	setup(2, 100);
	fail_times(0, 4, 500, 1);
	config.outlier.consecutive_5xx = 3; // reloaded
	fail_times(0, 1, 500, 1);
	assert_true(is_out(0));
}

static void sweeps_come_at_the_interval_even_after_it_shrank(void)
{
	setup(2, 100);
	config.outlier.interval_us = 60 * SECOND;
	assert_int_equal(outlier_sweep(&cluster, SECOND), 61 * SECOND);
	assert_int_equal(outlier_sweep(&cluster, 2 * SECOND), 61 * SECOND);
	config.outlier.interval_us = SECOND;
	assert_int_equal(outlier_sweep(&cluster, 3 * SECOND), 4 * SECOND);
	config.outlier.enabled = false;
	assert_true(outlier_sweep(&cluster, 3 * SECOND) == UINT64_MAX);
}

static void an_endpoint_that_leaves_gives_its_place_back(void)
{
	setup(2, 50);
	fail_times(0, 5, 500, 1);
	outlier_forget(&state, &endpoints[0]);
	outlier_forget(&state, &endpoints[0]);
	assert_int_equal(state.n_ejected, 0);
	assert_int_equal(endpoints[0].outlier.multiplier, 0);
	fail_times(1, 5, 500, 1);
	assert_true(is_out(1));
}

static void switching_detection_off_returns_everybody(void)
{
	setup(4, 100);
	for (unsigned i = 0; i < 4; i++)
		fail_times(i, 5, 500, 1);
	assert_int_equal(state.n_ejected, 4);
	config.outlier.enabled = false;
	outlier_sweep(&cluster, SECOND);
	assert_int_equal(state.n_ejected, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_false(is_out(i));
}

TESTS(TEST(the_fifth_failure_in_a_row_ejects), TEST(gateway_errors_are_counted_apart),
	TEST(an_endpoint_that_both_detectors_find_is_ejected_once), TEST(zero_turns_a_detector_off),
	TEST(each_ejection_lasts_longer_and_good_behaviour_is_rewarded),
	TEST(an_ejection_is_never_longer_than_the_maximum),
	TEST(ten_percent_of_two_ejects_nobody_and_says_so_once_a_burst),
	TEST(the_limit_holds_on_the_result),
	TEST(the_first_of_three_can_be_ejected_at_thirty_percent),
	TEST(the_only_endpoint_is_ejected_at_a_hundred_percent_alone),
	TEST(what_happens_while_out_is_forgotten_at_the_return),
	TEST(other_reasons_of_ill_health_stay), TEST(a_lower_threshold_counts_failures_seen_before),
	TEST(sweeps_come_at_the_interval_even_after_it_shrank),
	TEST(an_endpoint_that_leaves_gives_its_place_back),
	TEST(switching_detection_off_returns_everybody))
