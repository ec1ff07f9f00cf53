// The idle ladder: when a worker sleeps, and for how long at most.

#include "dataplane/idle.h"
#include "tests/test_support.h"

#define NEVER UINT64_MAX

// Goes down the ladder until it sleeps, 'turn_us' for each turn; returns the time.
static uint64_t go_to_sleep(struct idle *i, uint64_t now_us, uint64_t turn_us)
{
	while (idle_step(i, now_us) != IDLE_SLEEP)
		now_us += turn_us;
	return now_us;
}

static void polls_then_pauses_then_sleeps(void)
{
	struct idle i = {0};
	uint64_t now_us = 1000;

	for (unsigned n = 0; n < IDLE_POLLS; n++, now_us++)
		assert_int_equal(idle_step(&i, now_us), IDLE_POLL);
	for (; now_us < 1000 + IDLE_SLEEP_AFTER_US; now_us++)
		assert_int_equal(idle_step(&i, now_us), IDLE_PAUSE);
	assert_int_equal(idle_step(&i, now_us), IDLE_SLEEP);
}

static void sleeps_grow_to_the_limit_and_never_past_it(void)
{
	struct idle i = {0};
	uint64_t now_us = go_to_sleep(&i, 0, 2), last = 0;

	assert_int_equal(idle_sleep_us(&i, now_us, NEVER, false), IDLE_SLEEP_MIN_US);
	for (unsigned n = 0; n < 100000; n++) {
		uint64_t us = idle_sleep_us(&i, now_us, NEVER, false);

		assert_true(us >= last && us <= IDLE_SLEEP_MAX_US);
		last = us;
		now_us += us;
		assert_int_equal(idle_step(&i, now_us), IDLE_SLEEP);
	}
	assert_int_equal(last, IDLE_SLEEP_MAX_US);
	assert_true(IDLE_SLEEP_MAX_US <= 200);
}

static void work_starts_the_ladder_anew(void)
{
	struct idle i = {0};
	uint64_t now_us = go_to_sleep(&i, 0, 2);

	for (unsigned n = 0; n < 10; n++)
		idle_sleep_us(&i, now_us, NEVER, false);
	idle_reset(&i);
	assert_int_equal(idle_step(&i, now_us), IDLE_POLL);
	now_us = go_to_sleep(&i, now_us, 2);
	assert_int_equal(idle_sleep_us(&i, now_us, NEVER, false), IDLE_SLEEP_MIN_US);
}

static void no_sleep_reaches_past_the_next_timer(void)
{
	struct idle i = {0};
	uint64_t now_us = go_to_sleep(&i, 0, 2);

	assert_int_equal(idle_sleep_us(&i, now_us, now_us + 7, false), 7);
	assert_int_equal(idle_sleep_us(&i, now_us, now_us + 7, true), 7);
	assert_int_equal(idle_sleep_us(&i, now_us, now_us, false), 0);
	assert_int_equal(idle_sleep_us(&i, now_us, now_us - 1, true), 0);
	assert_int_equal(idle_sleep_us(&i, now_us, 0, false), 0);
}

static void with_interrupts_a_sleep_is_long(void)
{
	struct idle i = {0};
	uint64_t now_us = go_to_sleep(&i, 0, 2);

	assert_int_equal(idle_sleep_us(&i, now_us, NEVER, true), IDLE_WAIT_MAX_US);
	assert_int_equal(idle_sleep_us(&i, now_us, now_us + 5000, true), 5000);
}

TESTS(TEST(polls_then_pauses_then_sleeps), TEST(sleeps_grow_to_the_limit_and_never_past_it),
	TEST(work_starts_the_ladder_anew), TEST(no_sleep_reaches_past_the_next_timer),
	TEST(with_interrupts_a_sleep_is_long))
