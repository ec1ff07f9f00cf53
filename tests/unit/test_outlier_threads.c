// Workers that find endpoints failing at the same moment: the limit holds at every instant, and the books balance.
// Run it under ThreadSanitizer: make tsan.

#include "dataplane/base/log.h"
#include "router/outlier.h"
#include "tests/test_support.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#define N_ENDPOINTS 10u
#define N_WORKERS   4u
#define N_SWEEPS    300u
#define PER_SWEEP   200u // results recorded between two sweeps, at least
#define LIMIT       3u   // 30 % of ten

static struct cluster_config config = {
	.outlier = {
		    .enabled = true,
		    .consecutive_5xx = 3,
		    .consecutive_gateway = 2,
		    .interval_us = 10,
		    .base_ejection_us = 20,
		    .max_ejection_us = 200,
		    .max_ejection_percent = 30,
		    }
};
static char name[] = "outbound|80||shop";
static struct cluster_state state = {.name = name};
static struct endpoint endpoints[N_ENDPOINTS];
static struct endpoint *pointers[N_ENDPOINTS];
static struct cluster cluster = {
	.config = &config, .state = &state, .endpoints = pointers, .n_endpoints = N_ENDPOINTS};
static atomic_ullong clock_us = 1;
static atomic_bool stop;

static void *work(void *arg)
{
	uint32_t random = (uint32_t)(uintptr_t)arg * 2654435761u + 1;

	while (!atomic_load(&stop)) {
		static const unsigned statuses[] = {200, 500, 503, 503, 504, 500};
		struct endpoint *e;
		unsigned status;

		random = random * 1664525u + 1013904223u;
		e = &endpoints[(random >> 8) % N_ENDPOINTS];
		status = statuses[(random >> 16) % 6];
		outlier_record(&cluster, e, status, atomic_fetch_add(&clock_us, 1));
	}
	return NULL;
}

static unsigned count_out(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_ENDPOINTS; i++)
		n += !endpoint_is_healthy(&endpoints[i]);
	return n;
}

// This thread is the only one that returns endpoints, so between two sweeps their number only grows: what it counts
// one after another was out at one and the same time.
static void concurrent_ejections_never_exceed_the_limit(void)
{
	pthread_t workers[N_WORKERS];
	unsigned long long returned;

	log_threshold = LOG_ERROR;
	for (unsigned i = 0; i < N_ENDPOINTS; i++)
		pointers[i] = &endpoints[i];
	for (unsigned i = 0; i < N_WORKERS; i++)
		assert_int_equal(
			pthread_create(&workers[i], NULL, work, (void *)(uintptr_t)(i + 1)), 0);
	for (unsigned i = 0; i < N_SWEEPS; i++) {
		uint64_t until = atomic_load(&clock_us) + PER_SWEEP;

		do {
			assert_true(atomic_load(&state.n_ejected) <= LIMIT);
			assert_true(count_out() <= LIMIT);
			sched_yield();
		} while (atomic_load(&clock_us) < until);
		outlier_sweep(&cluster, atomic_load(&clock_us));
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < N_WORKERS; i++)
		pthread_join(workers[i], NULL);

	assert_int_equal(count_out(), state.n_ejected);
	assert_int_equal(state.n_ejections, state.n_enforced_5xx + state.n_enforced_gateway);
	assert_int_equal(state.n_detected_5xx + state.n_detected_gateway,
		state.n_ejections + state.n_ejections_overflow);
	assert_true(state.n_ejections > LIMIT); // some returned and went again
	assert_true(state.n_ejections_overflow > 0);

	returned = atomic_load(&clock_us) + config.outlier.max_ejection_us;
	outlier_sweep(&cluster, returned);
	assert_int_equal(state.n_ejected, 0);
	assert_int_equal(count_out(), 0);
	for (unsigned i = 0; i < N_ENDPOINTS; i++)
		assert_int_equal(endpoints[i].outlier.ejected_at_us, 0);
}

TESTS(TEST(concurrent_ejections_never_exceed_the_limit))
