// Load balancing (reference 3.5): which endpoint of a cluster gets the next attempt.
#pragma once

#include "router/cluster.h"

#include <stdint.h>

#define LB_MAX_TRIED 8

// Per worker and cluster; zeroed by its owner at creation, written by lb_pick().
struct lb_state {
	uint32_t next;   // round robin: position
	uint64_t random; // state of the generator; seeded at first use
	uint32_t *
		credits; // weighted round robin: one per endpoint, or NULL; the owner allocates n_endpoints
	uint32_t n_credits;
};

struct lb_context {
	const struct endpoint *tried
		[LB_MAX_TRIED]; // avoid these if possible (previous_hosts: five re-picks, then any)
	unsigned n_tried;
};

// Returns an endpoint, or NULL if none is healthy (and the panic threshold does not apply). Counts lb_healthy_panic in
// 'stats'.
struct endpoint *lb_pick(const struct cluster *c, struct lb_state *state,
	const struct lb_context *context, struct cluster_stats *stats);
