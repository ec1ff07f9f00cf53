#include "router/lb.h"

#include <rte_random.h>

// Envoy's host_selection_retry_max_attempts, as Istio sets it.
#define MAX_REPICKS    5
// Draws before an exact but linear choice is made.
#define MAX_DRAWS      32
#define MAX_WEIGHT_TTL 1024

// One pick: what it is about, and whether health matters for it, which is found out when an unhealthy endpoint is met.
struct pick {
	const struct cluster *cluster;
	struct lb_state *state;
	bool panic_known;
	bool panic;
};

// SplitMix64 (Steele, Lea, Flood 2014).
static uint64_t random_next(struct lb_state *state)
{
	uint64_t z;

	if (state->random == 0)
		state->random = rte_rand() | 1;
	z = state->random += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

// Uniform in [0, n) (Lemire's multiplication, without a division).
static uint32_t random_below(struct lb_state *state, uint32_t n)
{
	return (uint32_t)(((random_next(state) >> 32) * n) >> 32);
}

// Below the threshold it is more likely that our view of health is wrong than that so few are left (3.6).
static bool panics(const struct cluster *c)
{
	uint64_t n_healthy = 0;

	if (c->config->panic_threshold_percent == 0)
		return false;
	for (unsigned i = 0; i < c->n_endpoints; i++)
		n_healthy += endpoint_is_healthy(c->endpoints[i]);
	return n_healthy * 100 < (uint64_t)c->config->panic_threshold_percent * c->n_endpoints;
}

static bool usable(struct pick *p, unsigned i)
{
	if (endpoint_is_healthy(p->cluster->endpoints[i]))
		return true;
	if (!p->panic_known) {
		p->panic = panics(p->cluster);
		p->panic_known = true;
	}
	return p->panic;
}

// The 'k'-th usable endpoint, counted round the array: health may change meanwhile, but not make this fail.
static int usable_at(struct pick *p, uint32_t k)
{
	int last = -1;

	for (unsigned i = 0; i < p->cluster->n_endpoints; i++) {
		if (!usable(p, i))
			continue;
		last = (int)i;
		if (k-- == 0)
			break;
	}
	return last;
}

static unsigned count_usable(struct pick *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->cluster->n_endpoints; i++)
		n += usable(p, i);
	return n;
}

// Any usable endpoint, each as likely as the others; -1 if there is none.
static int draw(struct pick *p)
{
	unsigned n;

	for (unsigned try = 0; try < MAX_DRAWS; try++) {
		unsigned i = random_below(p->state, p->cluster->n_endpoints);

		if (usable(p, i))
			return (int)i;
	}
	n = count_usable(p);
	return n > 0 ? usable_at(p, random_below(p->state, n)) : -1;
}

static void look_at_weights(struct pick *p)
{
	struct lb_state *state = p->state;

	state->max_weight = 0;
	state->max_weight_age = 0;
	for (unsigned i = 0; i < p->cluster->n_endpoints; i++) {
		if (usable(p, i) && p->cluster->weights[i] > state->max_weight)
			state->max_weight = p->cluster->weights[i];
	}
}

// A usable endpoint, drawn by weight, at a cost that grows with their number.
static int draw_weighted_exactly(struct pick *p)
{
	const struct cluster *c = p->cluster;
	uint64_t total = 0, at;
	int last = -1;

	for (unsigned i = 0; i < c->n_endpoints; i++)
		total += usable(p, i) ? c->weights[i] : 0;
	at = total > 0 ? random_next(p->state) % total : 0;
	for (unsigned i = 0; i < c->n_endpoints; i++) {
		if (!usable(p, i))
			continue;
		last = (int)i;
		if (at < c->weights[i])
			break;
		at -= c->weights[i];
	}
	return last;
}

// A usable endpoint, drawn by weight: any one, accepted with the probability weight / largest weight.
static int draw_weighted(struct pick *p)
{
	struct lb_state *state = p->state;

	if (state->max_weight == 0 || ++state->max_weight_age >= MAX_WEIGHT_TTL)
		look_at_weights(p);
	for (unsigned try = 0; state->max_weight > 0 && try < MAX_DRAWS; try++) {
		unsigned i = random_below(state, p->cluster->n_endpoints);

		if (usable(p, i) && random_below(state, state->max_weight) < p->cluster->weights[i])
			return (int)i;
	}
	return draw_weighted_exactly(p);
}

static int pick_least_request(struct pick *p)
{
	const struct cluster *c = p->cluster;
	int a = c->equal_weights ? draw(p) : draw_weighted(p);
	int b = c->equal_weights ? draw(p) : draw_weighted(p);
	uint64_t active_a, active_b;

	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	active_a = atomic_load_explicit(&c->endpoints[a]->active_requests, memory_order_relaxed);
	active_b = atomic_load_explicit(&c->endpoints[b]->active_requests, memory_order_relaxed);
	if (!c->equal_weights) {
		active_a *= c->weights[b];
		active_b *= c->weights[a];
	}
	return active_a <= active_b ? a : b;
}

static unsigned advance(struct lb_state *state, unsigned n)
{
	unsigned i = state->next < n ? state->next : 0;

	state->next = i + 1;
	return i;
}

// In turn. An unusable endpoint is stepped over, and its turn is not given to its neighbour a second time: the next pick
// goes on behind the one chosen.
static int pick_round_robin(struct pick *p)
{
	unsigned n = p->cluster->n_endpoints;

	for (unsigned step = 0; step < n; step++) {
		unsigned i = advance(p->state, n);

		if (usable(p, i))
			return (int)i;
	}
	return -1;
}

// In rounds: each visit earns an endpoint its weight, and the price of being chosen is the largest weight. So of an
// endpoint's visits the fraction weight / largest weight chooses it, evenly spaced. The largest weight is taken again at
// each new round, over those usable then; hence somebody is chosen within two rounds.
static int pick_weighted_round_robin(struct pick *p)
{
	const struct cluster *c = p->cluster;
	struct lb_state *state = p->state;

	for (unsigned step = 0; step < 3 * c->n_endpoints; step++) {
		unsigned i = advance(state, c->n_endpoints);
		uint64_t earned;

		if (i == 0 || state->max_weight == 0)
			look_at_weights(p);
		if (!usable(p, i))
			continue;
		earned = (uint64_t)state->credits[i] + c->weights[i];
		if (earned < state->max_weight) {
			state->credits[i] = (uint32_t)earned;
			continue;
		}
		earned -= state->max_weight;
		// Only after the largest weight has shrunk can more than one price be left.
		state->credits[i] = earned < state->max_weight ? (uint32_t)earned : 0;
		return (int)i;
	}
	return -1;
}

static int pick_by_policy(struct pick *p)
{
	const struct cluster *c = p->cluster;

	switch (c->config->lb) {
	case LB_ROUND_ROBIN:
		if (c->equal_weights)
			return pick_round_robin(p);
		if (p->state->credits != NULL && p->state->n_credits >= c->n_endpoints)
			return pick_weighted_round_robin(p);
		return draw_weighted(p);
	case LB_RANDOM: return draw(p);
	case LB_LEAST_REQUEST: break;
	}
	return pick_least_request(p);
}

static bool was_tried(const struct lb_context *context, const struct endpoint *e)
{
	for (unsigned i = 0; context != NULL && i < context->n_tried; i++) {
		if (context->tried[i] == e)
			return true;
	}
	return false;
}

struct endpoint *lb_pick(const struct cluster *c, struct lb_state *state,
	const struct lb_context *context, struct cluster_stats *stats)
{
	struct pick p = {.cluster = c, .state = state};
	struct endpoint *e = NULL;

	if (c->n_endpoints == 0)
		return NULL;
	if (state->random == 0) // first use: workers must not all begin with the same endpoint
		state->next = random_below(state, c->n_endpoints);
	for (unsigned repick = 0; repick <= MAX_REPICKS; repick++) {
		int i = pick_by_policy(&p);

		if (i < 0)
			return NULL;
		e = c->endpoints[i];
		if (!was_tried(context, e))
			break;
	}
	if (!endpoint_is_healthy(e) && p.panic)
		stat_inc(&stats->lb_healthy_panic);
	return e;
}
