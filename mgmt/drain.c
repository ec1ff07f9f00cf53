#include "mgmt/drain.h"

// Istio's terminationDrainDuration: load balancers are given this long to notice (reference 8.11).
#define GRACE_MAX_US  5000000u
// Idle connections are closed one by one over this time at most, so that clients do not come back in one wave.
#define SPREAD_MAX_US 10000000u
#define POLL_US       50000u

void drain_start(struct drain *d, uint64_t timeout_us, uint64_t now_us)
{
	if (d->phase != DRAIN_SERVING)
		return;
	*d = (struct drain){
		.phase = DRAIN_NOTICE,
		.started_us = now_us,
		.timeout_us = timeout_us,
		.grace_us = timeout_us / 3 < GRACE_MAX_US ? timeout_us / 3 : GRACE_MAX_US,
	};
}

void drain_hurry(struct drain *d, uint64_t now_us)
{
	drain_start(d, 0, now_us);
	d->hurry = true;
}

static bool is_over(const struct drain *d, uint64_t now_us)
{
	return d->hurry || now_us - d->started_us >= d->timeout_us;
}

static bool nothing_is_left(const struct drain *d, const struct drain_load *load, uint64_t now_us)
{
	return load->n_requests == 0 && load->n_connections == 0 && load->n_unsent == 0
		&& (load->n_half_open == 0 || now_us - d->closing_us >= DRAIN_HANDSHAKE_US);
}

enum drain_action drain_step(struct drain *d, const struct drain_load *load, uint64_t now_us)
{
	switch (d->phase) {
	case DRAIN_SERVING: return DRAIN_DO_NOTHING;

	case DRAIN_NOTICE:
		if (!d->announced) {
			d->announced = true;
			return DRAIN_DO_END_KEEPALIVE;
		}
		if (!is_over(d, now_us) && now_us - d->started_us < d->grace_us)
			return DRAIN_DO_NOTHING;
		d->phase = DRAIN_CLOSING;
		d->closing_us = now_us;
		return DRAIN_DO_STOP_LISTENING;

	case DRAIN_CLOSING:
		if (nothing_is_left(d, load, now_us)) {
			d->phase = DRAIN_FINISHED;
			return DRAIN_DO_EXIT;
		}
		if (!is_over(d, now_us))
			return DRAIN_DO_NOTHING;
		d->phase = DRAIN_FINISHED;
		d->aborted = true;
		return DRAIN_DO_ABORT;

	case DRAIN_FINISHED: return DRAIN_DO_EXIT;
	}
	return DRAIN_DO_EXIT;
}

uint64_t drain_spread_us(const struct drain *d)
{
	uint64_t third = d->timeout_us / 3;

	return third < SPREAD_MAX_US ? third : SPREAD_MAX_US;
}

uint64_t drain_next_us(const struct drain *d, uint64_t now_us)
{
	return d->phase == DRAIN_SERVING ? UINT64_MAX : now_us + POLL_US;
}

const char *drain_phase_name(enum drain_phase phase)
{
	static const char *const names[] = {
		[DRAIN_SERVING] = "serving",
		[DRAIN_NOTICE] = "draining",
		[DRAIN_CLOSING] = "closing",
		[DRAIN_FINISHED] = "finished",
	};

	return names[phase];
}
