#include "dataplane/idle.h"

enum idle_rung idle_step(struct idle *i, uint64_t now_us)
{
	if (i->n_empty == 0) {
		i->since_us = now_us;
		i->sleep_us = IDLE_SLEEP_MIN_US;
	}
	// One empty turn is enough to sleep again after a wake-up; only work starts the ladder anew.
	if (i->n_empty < IDLE_POLLS) {
		i->n_empty++;
		return IDLE_POLL;
	}
	return now_us - i->since_us < IDLE_SLEEP_AFTER_US ? IDLE_PAUSE : IDLE_SLEEP;
}

uint64_t idle_sleep_us(struct idle *i, uint64_t now_us, uint64_t deadline_us, bool wakes)
{
	uint64_t most = wakes ? IDLE_WAIT_MAX_US : i->sleep_us;

	if (deadline_us <= now_us)
		return 0;
	i->sleep_us *= 2;
	if (i->sleep_us > IDLE_SLEEP_MAX_US)
		i->sleep_us = IDLE_SLEEP_MAX_US;
	return deadline_us - now_us < most ? deadline_us - now_us : most;
}
