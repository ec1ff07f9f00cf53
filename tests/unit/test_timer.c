// The timer wheel against a clock that is a variable.

#include "dataplane/timer.h"
#include "tests/test_support.h"

#include <limits.h>
#include <stdlib.h>

#define START_US 1234567891ull

struct alarm {
	struct timer timer;
	struct timer_wheel *wheel;
	unsigned n_calls;
	uint64_t called_us;
	uint64_t again_us;    // armed again for this time when called; 0: not
	struct timer *victim; // cancelled when called
};

static void ring(struct timer *t, uint64_t now_us)
{
	struct alarm *a = container_of(t, struct alarm, timer);

	assert_false(timer_is_armed(t));
	a->n_calls++;
	a->called_us = now_us;
	if (a->again_us != 0)
		timer_arm(a->wheel, t, a->again_us);
	if (a->victim != NULL)
		timer_cancel(a->wheel, a->victim);
}

static void alarm_init(struct alarm *a, struct timer_wheel *w)
{
	*a = (struct alarm){.wheel = w};
	timer_init(&a->timer, ring);
}

static void fires_once_and_never_early(void)
{
	static const uint64_t delays[] = {
		0,
		1,
		999,
		1000,
		1001,
		63000,
		64000,
		65000,
		4095999,
		4096000,
		262144000,
		86400000000,
	};

	for (unsigned i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		struct timer_wheel *w = timer_wheel_new(START_US);
		struct alarm a;
		uint64_t due = START_US + delays[i], seen;

		alarm_init(&a, w);
		timer_arm(w, &a.timer, due);
		assert_int_equal(timer_wheel_n_armed(w), 1);
		if (delays[i] > 0) {
			timer_wheel_run(w, due - 1, 10);
			assert_int_equal(a.n_calls, 0);
		}
		while (a.n_calls == 0) {
			seen = timer_wheel_next(w);
			assert_true(seen < due + 1000);
			timer_wheel_run(w, seen, 10);
		}
		assert_true(a.called_us >= due || delays[i] == 0);
		assert_int_equal(timer_wheel_next(w), UINT64_MAX);
		timer_wheel_run(w, due + 1000000, 10);
		assert_int_equal(a.n_calls, 1);
		assert_int_equal(timer_wheel_n_armed(w), 0);
		timer_wheel_free(&w);
		assert_null(w);
	}
}

static void a_deadline_moves_later_and_earlier(void)
{
	struct timer_wheel *w = timer_wheel_new(START_US);
	struct alarm a;

	alarm_init(&a, w);
	timer_arm(w, &a.timer, START_US + 10000);
	timer_arm(w, &a.timer, START_US + 900000);
	assert_int_equal(timer_wheel_n_armed(w), 1);
	timer_wheel_run(w, START_US + 899999, 10);
	assert_int_equal(a.n_calls, 0);
	timer_arm(w, &a.timer, START_US + 950000);
	timer_arm(w, &a.timer, START_US + 910000);
	timer_wheel_run(w, START_US + 911000, 10);
	assert_int_equal(a.n_calls, 1);
	timer_wheel_free(&w);
}

static void a_cancelled_timer_is_silent(void)
{
	struct timer_wheel *w = timer_wheel_new(START_US);
	struct alarm a, b;

	alarm_init(&a, w);
	alarm_init(&b, w);
	timer_cancel(w, &a.timer);
	timer_arm(w, &a.timer, START_US + 5000);
	timer_arm(w, &b.timer, START_US + 5000);
	timer_cancel(w, &a.timer);
	assert_true(timer_wheel_next(w) <= START_US + 6000);
	timer_cancel(w, &b.timer);
	assert_int_equal(timer_wheel_next(w), UINT64_MAX);
	timer_wheel_run(w, START_US + 100000, 10);
	assert_int_equal(a.n_calls + b.n_calls, 0);
	timer_wheel_free(&w);
}

static void a_callback_may_arm_itself_and_cancel_others(void)
{
	struct timer_wheel *w = timer_wheel_new(START_US);
	struct alarm a, b;

	alarm_init(&a, w);
	alarm_init(&b, w);
	a.victim = &b.timer;
	a.again_us = START_US; // in the past: the next run, not this one
	timer_arm(w, &a.timer, START_US + 2000);
	timer_arm(w, &b.timer, START_US + 2000);
	assert_int_equal(timer_wheel_run(w, START_US + 5000, 10), 1);
	assert_int_equal(b.n_calls, 0);
	assert_true(timer_wheel_next(w) <= START_US + 5000);
	a.again_us = 0;
	assert_int_equal(timer_wheel_run(w, START_US + 5000, 10), 1);
	assert_int_equal(a.n_calls, 2);
	assert_int_equal(timer_wheel_n_armed(w), 0);
	timer_wheel_free(&w);
}

static void a_burst_is_cut_and_goes_on(void)
{
	struct timer_wheel *w = timer_wheel_new(START_US);
	struct alarm a[100];

	for (unsigned i = 0; i < 100; i++) {
		alarm_init(&a[i], w);
		timer_arm(w, &a[i].timer, START_US + 1000 * i);
	}
	assert_int_equal(timer_wheel_run(w, START_US + 1000000, 64), 64);
	assert_int_equal(a[0].n_calls, 1);
	assert_int_equal(a[99].n_calls, 0);
	assert_true(timer_wheel_next(w) <= START_US + 1000000);
	timer_cancel(w, &a[99].timer);
	assert_int_equal(timer_wheel_run(w, START_US + 1000000, 64), 35);
	assert_int_equal(timer_wheel_n_armed(w), 0);
	timer_wheel_free(&w);
}

// Runs until nothing is left to do at 'now_us'; returns how often.
static unsigned run_all(struct timer_wheel *w, uint64_t now_us)
{
	unsigned n = 0;

	do {
		timer_wheel_run(w, now_us, UINT_MAX);
		n++;
	} while (timer_wheel_next(w) <= now_us);
	return n;
}

// A hundred thousand connections that went idle in the same minutes: their slot comes up all at once.
static void a_crowded_slot_is_emptied_in_many_runs(void)
{
	enum { N = 20 * TIMER_MOVES_A_RUN };
	struct timer_wheel *w = timer_wheel_new(0);
	struct alarm *a = calloc(N + 1, sizeof(*a));
	const uint64_t hour = 3600000000;
	uint64_t slot_us;

	for (unsigned i = 0; i < N; i++) {
		alarm_init(&a[i], w);
		timer_arm(w, &a[i].timer, hour + 10000 * (i % 7));
	}
	slot_us = timer_wheel_next(w);
	assert_true(slot_us < hour);
	timer_wheel_run(w, slot_us, UINT_MAX);
	assert_true(timer_wheel_next(w) <= slot_us);
	// What happens between two parts finds a wheel in order.
	timer_cancel(w, &a[N - 1].timer);
	timer_arm(w, &a[N - 2].timer, slot_us + 5000);
	alarm_init(&a[N], w);
	timer_arm(w, &a[N].timer, slot_us + 3000);
	assert_true(run_all(w, slot_us) >= 18);
	run_all(w, slot_us + 3000);
	assert_int_equal(a[N].n_calls, 1);
	run_all(w, slot_us + 5000);
	assert_int_equal(a[N - 2].n_calls, 1);
	for (unsigned tens = 0; tens < 7; tens++) {
		run_all(w, hour + 10000 * tens);
		for (unsigned i = 0; i < N - 2; i++)
			assert_int_equal(a[i].n_calls, i % 7 <= tens);
	}
	assert_int_equal(a[N - 1].n_calls, 0);
	assert_int_equal(timer_wheel_n_armed(w), 0);
	free(a);
	timer_wheel_free(&w);
}

static void deadlines_moved_later_are_put_back_in_many_runs(void)
{
	enum { N = 20 * TIMER_MOVES_A_RUN };
	struct timer_wheel *w = timer_wheel_new(0);
	struct alarm *a = calloc(N, sizeof(*a));

	for (unsigned i = 0; i < N; i++) {
		alarm_init(&a[i], w);
		timer_arm(w, &a[i].timer, 5000);
		timer_arm(w, &a[i].timer, 60000);
	}
	assert_true(run_all(w, 5000) >= 19);
	run_all(w, 59000);
	assert_int_equal(timer_wheel_n_armed(w), N);
	run_all(w, 60000);
	assert_int_equal(timer_wheel_n_armed(w), 0);
	free(a);
	timer_wheel_free(&w);
}

// A thousand timers moved, cancelled and waited for at random, against the plain deadline.
static void random_use_agrees_with_the_deadlines(void)
{
	enum { N = 1000 };
	struct timer_wheel *w = timer_wheel_new(START_US);
	static struct alarm a[N];
	static uint64_t due[N]; // UINT64_MAX: not armed
	uint64_t now = START_US;

	srandom(7);
	for (unsigned i = 0; i < N; i++) {
		alarm_init(&a[i], w);
		due[i] = UINT64_MAX;
	}
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = (unsigned)random() % N;

		switch (random() % 4) {
		case 0:
			timer_cancel(w, &a[i].timer);
			due[i] = UINT64_MAX;
			break;
		case 1:
			now += (uint64_t)random() % 20000;
			run_all(w, now);
			break;
		default:
			due[i] = now
				+ (uint64_t)random() % (random() % 16 == 0 ? 900000000u : 300000u);
			timer_arm(w, &a[i].timer, due[i]);
			break;
		}
		for (i = 0; i < N; i++) {
			if (a[i].n_calls > 0) {
				assert_true(due[i] <= now);
				due[i] = UINT64_MAX;
				a[i].n_calls = 0;
			}
			assert_true(due[i] == UINT64_MAX ? !timer_is_armed(&a[i].timer)
							 : due[i] + 21000 > now);
		}
	}
	run_all(w, now + 1000000000);
	assert_int_equal(timer_wheel_n_armed(w), 0);
	timer_wheel_free(&w);
}

TESTS(TEST(fires_once_and_never_early), TEST(a_deadline_moves_later_and_earlier),
	TEST(a_cancelled_timer_is_silent), TEST(a_callback_may_arm_itself_and_cancel_others),
	TEST(a_burst_is_cut_and_goes_on), TEST(a_crowded_slot_is_emptied_in_many_runs),
	TEST(deadlines_moved_later_are_put_back_in_many_runs),
	TEST(random_use_agrees_with_the_deadlines))
