#include "router/outlier.h"

#include "dataplane/base/log.h"

LOG_MODULE("outlier")

// How an endpoint can be found failing.
enum detector {
	DETECTOR_GATEWAY,
	DETECTOR_5XX,
};

static const char *const detector_names[] = {
	[DETECTOR_GATEWAY] = "consecutive_gateway_failure",
	[DETECTOR_5XX] = "consecutive_5xx",
};

static unsigned load(const atomic_uint *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static void clear(atomic_uint *v)
{
	// Most are zero already; a store would take the cache line from the other workers.
	if (load(v) != 0)
		atomic_store_explicit(v, 0, memory_order_relaxed);
}

static void count(atomic_ullong *v)
{
	atomic_fetch_add_explicit(v, 1, memory_order_relaxed);
}

static bool is_ejected(const struct endpoint *e)
{
	return (load(&e->health) & ENDPOINT_FAILED_OUTLIER) != 0;
}

// May one more be out, when 'n_ejected' are? The limit is computed on the result, not on what was before.
static bool may_eject(const struct cluster *c, unsigned n_ejected)
{
	const struct outlier_config *config = &c->config->outlier;

	if (config->always_eject_one && config->max_ejection_percent > 0 && n_ejected == 0
		&& c->n_endpoints >= 2)
		return true;
	return (uint64_t)(n_ejected + 1) * 100
		<= (uint64_t)config->max_ejection_percent * c->n_endpoints;
}

// Takes a place among the ejected. '*n_ejected' is their number afterwards.
static bool take_place(const struct cluster *c, unsigned *n_ejected)
{
	atomic_uint *places = &c->state->n_ejected;
	unsigned n = load(places);

	do {
		*n_ejected = n;
		if (!may_eject(c, n))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		places, &n, n + 1, memory_order_relaxed, memory_order_relaxed));
	*n_ejected = n + 1;
	return true;
}

static uint64_t ejection_us(const struct outlier_config *config, unsigned multiplier)
{
	uint64_t us = config->base_ejection_us * multiplier;

	return us < config->max_ejection_us ? us : config->max_ejection_us;
}

// ejected_at_us is the claim: who takes it from zero is the only one to eject, and everything else is written before the
// health bit that makes the sweep look at it.
static void eject(const struct cluster *c, struct endpoint *e, enum detector detector,
	unsigned consecutive, uint64_t now_us)
{
	const struct outlier_config *config = &c->config->outlier;
	struct cluster_state *state = c->state;
	unsigned long long none = 0;
	unsigned n_ejected, multiplier;

	if (!atomic_compare_exchange_strong_explicit(&e->outlier.ejected_at_us, &none,
		    now_us > 0 ? now_us : 1, memory_order_acquire, memory_order_relaxed))
		return;
	count(detector == DETECTOR_GATEWAY ? &state->n_detected_gateway : &state->n_detected_5xx);
	if (!take_place(c, &n_ejected)) {
		atomic_store_explicit(&e->outlier.ejected_at_us, 0, memory_order_release);
		count(&state->n_ejections_overflow);
		log_warning("ejection suppressed by maxEjectionPercent cluster=%s endpoint=%s "
			    "type=%s consecutive=%u ejected=%u/%u max_percent=%u",
			state->name, e->text, detector_names[detector], consecutive, n_ejected,
			c->n_endpoints, config->max_ejection_percent);
		return;
	}
	multiplier = load(&e->outlier.multiplier);
	if (multiplier * config->base_ejection_us
		< config->max_ejection_us + config->base_ejection_us)
		multiplier =
			atomic_fetch_add_explicit(&e->outlier.multiplier, 1, memory_order_relaxed)
			+ 1;
	count(&state->n_ejections);
	count(detector == DETECTOR_GATEWAY ? &state->n_enforced_gateway : &state->n_enforced_5xx);
	atomic_fetch_or_explicit(&e->health, ENDPOINT_FAILED_OUTLIER, memory_order_release);
	log_warning("endpoint ejected cluster=%s endpoint=%s type=%s consecutive=%u ejected=%u/%u "
		    "max_percent=%u duration_ms=%llu times=%u",
		state->name, e->text, detector_names[detector], consecutive, n_ejected,
		c->n_endpoints, config->max_ejection_percent,
		(unsigned long long)ejection_us(config, multiplier) / 1000, multiplier);
}

// One more failure of a kind. When there are enough in a row, the one worker that takes them away acts on them.
static void fail(const struct cluster *c, struct endpoint *e, enum detector detector,
	atomic_uint *consecutive, unsigned threshold, uint64_t now_us)
{
	unsigned n;

	if (threshold == 0)
		return;
	n = atomic_fetch_add_explicit(consecutive, 1, memory_order_relaxed) + 1;
	if (n < threshold)
		return;
	n = atomic_exchange_explicit(consecutive, 0, memory_order_relaxed);
	if (n >= threshold)
		eject(c, e, detector, n, now_us);
}

void outlier_record(const struct cluster *c, struct endpoint *e, unsigned status, uint64_t now_us)
{
	const struct outlier_config *config = &c->config->outlier;

	if (!config->enabled || is_ejected(e))
		return;
	if (status < 500) {
		clear(&e->outlier.consecutive_5xx);
		clear(&e->outlier.consecutive_gateway);
		return;
	}
	if (status >= 502 && status <= 504)
		fail(c, e, DETECTOR_GATEWAY, &e->outlier.consecutive_gateway,
			config->consecutive_gateway, now_us);
	else
		clear(&e->outlier.consecutive_gateway);
	fail(c, e, DETECTOR_5XX, &e->outlier.consecutive_5xx, config->consecutive_5xx, now_us);
}

// Failures that are recorded while this runs are forgotten with the old ones.
static bool uneject(struct cluster_state *state, struct endpoint *e)
{
	unsigned before = atomic_fetch_and_explicit(
		&e->health, ~(unsigned)ENDPOINT_FAILED_OUTLIER, memory_order_acquire);

	if ((before & ENDPOINT_FAILED_OUTLIER) == 0)
		return false;
	atomic_fetch_sub_explicit(&state->n_ejected, 1, memory_order_relaxed);
	atomic_store_explicit(&e->outlier.ejected_at_us, 0, memory_order_release);
	clear(&e->outlier.consecutive_5xx);
	clear(&e->outlier.consecutive_gateway);
	return true;
}

void outlier_forget(struct cluster_state *state, struct endpoint *e)
{
	if (uneject(state, e))
		log_info("ejection forgotten cluster=%s endpoint=%s", state->name, e->text);
	atomic_store_explicit(&e->outlier.multiplier, 0, memory_order_relaxed);
}

// A worker's clock may be a little ahead of ours.
static uint64_t since(uint64_t then_us, uint64_t now_us)
{
	return now_us > then_us ? now_us - then_us : 0;
}

static void sweep_endpoint(const struct cluster *c, struct endpoint *e, uint64_t now_us)
{
	const struct outlier_config *config = &c->config->outlier;
	bool ejected =
		(atomic_load_explicit(&e->health, memory_order_acquire) & ENDPOINT_FAILED_OUTLIER)
		!= 0;
	unsigned multiplier = load(&e->outlier.multiplier);
	uint64_t out_us;

	if (!ejected) {
		// Only the value just looked at: a worker may be ejecting it right now.
		if (multiplier > 0
			&& since(atomic_load_explicit(
					 &e->outlier.unejected_at_us, memory_order_relaxed),
				   now_us)
				>= config->interval_us)
			atomic_compare_exchange_strong_explicit(&e->outlier.multiplier, &multiplier,
				multiplier - 1, memory_order_relaxed, memory_order_relaxed);
		return;
	}
	out_us = since(
		atomic_load_explicit(&e->outlier.ejected_at_us, memory_order_relaxed), now_us);
	if (out_us < ejection_us(config, multiplier))
		return;
	atomic_store_explicit(&e->outlier.unejected_at_us, now_us, memory_order_relaxed);
	if (uneject(c->state, e))
		log_info("endpoint returned cluster=%s endpoint=%s after_ms=%llu ejected=%u/%u",
			c->state->name, e->text, (unsigned long long)out_us / 1000,
			load(&c->state->n_ejected), c->n_endpoints);
}

uint64_t outlier_sweep(const struct cluster *c, uint64_t now_us)
{
	const struct outlier_config *config = &c->config->outlier;
	struct cluster_state *state = c->state;

	if (!config->enabled) {
		for (unsigned i = 0; load(&state->n_ejected) > 0 && i < c->n_endpoints; i++)
			outlier_forget(state, c->endpoints[i]);
		state->next_sweep_us = 0;
		return UINT64_MAX;
	}
	// The first sweep comes an interval after the cluster; a reload may have shortened that.
	if (state->next_sweep_us == 0 || state->next_sweep_us > now_us + config->interval_us)
		state->next_sweep_us = now_us + config->interval_us;
	if (now_us < state->next_sweep_us)
		return state->next_sweep_us;
	for (unsigned i = 0; i < c->n_endpoints; i++)
		sweep_endpoint(c, c->endpoints[i], now_us);
	state->next_sweep_us = now_us + config->interval_us;
	return state->next_sweep_us;
}
