// The drain as a state machine: virtual time, and a load that the test makes up.
#include "mgmt/drain.h"

#include "tests/test_support.h"

#define SECOND UINT64_C(1000000)

static enum drain_action step(
	struct drain *d, uint64_t n_requests, uint64_t n_connections, uint64_t now_us)
{
	return drain_step(d,
		&(struct drain_load){.n_requests = n_requests, .n_connections = n_connections},
		now_us);
}

static void it_announces_first_and_goes_on_accepting_for_the_grace(void)
{
	struct drain d = {0};

	assert_int_equal(step(&d, 5, 5, 0), DRAIN_DO_NOTHING);
	drain_start(&d, 45 * SECOND, 0);
	assert_int_equal(d.phase, DRAIN_NOTICE);
	assert_int_equal(step(&d, 5, 5, 0), DRAIN_DO_END_KEEPALIVE);
	assert_int_equal(step(&d, 5, 5, 0), DRAIN_DO_NOTHING);
	// No load at all does not end the grace: the load balancer has not noticed yet.
	assert_int_equal(step(&d, 0, 0, 5 * SECOND - 1), DRAIN_DO_NOTHING);
	assert_int_equal(step(&d, 0, 0, 5 * SECOND), DRAIN_DO_STOP_LISTENING);
	assert_int_equal(step(&d, 0, 0, 5 * SECOND), DRAIN_DO_EXIT);
	assert_false(d.aborted);
}

static void it_waits_for_requests_and_connections_to_end(void)
{
	struct drain d = {0};

	drain_start(&d, 30 * SECOND, 100);
	assert_int_equal(step(&d, 2, 2, 100), DRAIN_DO_END_KEEPALIVE);
	assert_int_equal(step(&d, 2, 2, 6 * SECOND), DRAIN_DO_STOP_LISTENING);
	assert_int_equal(step(&d, 1, 2, 7 * SECOND), DRAIN_DO_NOTHING);
	assert_int_equal(step(&d, 0, 1, 8 * SECOND), DRAIN_DO_NOTHING);
	assert_int_equal(step(&d, 0, 0, 9 * SECOND), DRAIN_DO_EXIT);
	assert_false(d.aborted);
}

static void the_deadline_aborts_what_is_left(void)
{
	struct drain d = {0};

	drain_start(&d, 10 * SECOND, 0);
	assert_int_equal(step(&d, 1, 1, 0), DRAIN_DO_END_KEEPALIVE);
	assert_int_equal(step(&d, 1, 1, 4 * SECOND), DRAIN_DO_STOP_LISTENING);
	assert_int_equal(step(&d, 1, 1, 10 * SECOND - 1), DRAIN_DO_NOTHING);
	assert_int_equal(step(&d, 1, 1, 10 * SECOND), DRAIN_DO_ABORT);
	assert_true(d.aborted);
	assert_int_equal(step(&d, 1, 1, 10 * SECOND), DRAIN_DO_EXIT);
}

static void a_handshake_has_a_second_to_become_a_connection(void)
{
	const struct drain_load half_open = {.n_half_open = 1}, unsent = {.n_unsent = 1};
	struct drain d = {0};

	drain_start(&d, 30 * SECOND, 0);
	assert_int_equal(step(&d, 0, 0, 0), DRAIN_DO_END_KEEPALIVE);
	assert_int_equal(step(&d, 0, 0, 6 * SECOND), DRAIN_DO_STOP_LISTENING);
	assert_int_equal(drain_step(&d, &half_open, 6 * SECOND), DRAIN_DO_NOTHING);
	assert_int_equal(step(&d, 0, 1, 6 * SECOND + 1), DRAIN_DO_NOTHING); // it has
	assert_int_equal(drain_step(&d, &half_open, 7 * SECOND - 1), DRAIN_DO_NOTHING);
	assert_int_equal(
		drain_step(&d, &unsent, 8 * SECOND), DRAIN_DO_NOTHING); // its answer is on the way
	assert_int_equal(drain_step(&d, &half_open, 8 * SECOND), DRAIN_DO_EXIT);
	assert_false(d.aborted);
}

static void a_second_signal_ends_it_at_once(void)
{
	struct drain d = {0};

	drain_start(&d, 45 * SECOND, 0);
	assert_int_equal(step(&d, 1, 1, 0), DRAIN_DO_END_KEEPALIVE);
	drain_hurry(&d, 1);
	assert_int_equal(step(&d, 1, 1, 1), DRAIN_DO_STOP_LISTENING);
	assert_int_equal(step(&d, 1, 1, 1), DRAIN_DO_ABORT);
	assert_int_equal(step(&d, 0, 0, 1), DRAIN_DO_EXIT);
}

static void a_second_start_does_not_prolong_it(void)
{
	struct drain d = {0};

	drain_start(&d, 9 * SECOND, 0);
	drain_start(&d, 900 * SECOND, 5 * SECOND);
	assert_int_equal(d.timeout_us, 9 * SECOND);
	assert_int_equal(d.started_us, 0);
	assert_int_equal(d.grace_us, 3 * SECOND);
}

static void it_asks_to_be_called_while_it_is_under_way(void)
{
	struct drain d = {0};

	assert_int_equal(drain_next_us(&d, 7), UINT64_MAX);
	drain_start(&d, 9 * SECOND, 7);
	assert_true(drain_next_us(&d, 7) > 7);
	assert_true(drain_next_us(&d, 7) < 7 + SECOND);
	assert_string_equal(drain_phase_name(d.phase), "draining");
}

TESTS(TEST(it_announces_first_and_goes_on_accepting_for_the_grace),
	TEST(it_waits_for_requests_and_connections_to_end), TEST(the_deadline_aborts_what_is_left),
	TEST(a_handshake_has_a_second_to_become_a_connection),
	TEST(a_second_signal_ends_it_at_once), TEST(a_second_start_does_not_prolong_it),
	TEST(it_asks_to_be_called_while_it_is_under_way))
