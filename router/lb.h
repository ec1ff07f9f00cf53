// Load balancing (reference 3.5): which endpoint of a cluster gets the next attempt.
//
//     ROUND_ROBIN    in turn, from a random start; with unequal weights each endpoint gets its share, spread out evenly
//     LEAST_REQUEST  of two random endpoints the one with fewer requests under way; with unequal weights both are
//                    drawn by weight and requests are compared per weight
//     RANDOM         uniform; weights are ignored, as in Envoy
//
// As long as endpoints are healthy a pick costs the same for two of them as for two thousand. Health is looked at
// endpoint by endpoint at the moment of the pick, so an ejection on any worker counts at once.
#pragma once

#include "router/cluster.h"

#include <stdint.h>

#define LB_MAX_TRIED 8

// Per worker and cluster; zeroed by its owner at creation, written by lb_pick(). Without 'credits' (or with fewer than the
// cluster has endpoints) weighted round robin falls back to weighted random.
struct lb_state {
	uint32_t next;   // round robin: position
	uint64_t random; // state of the generator; 0: seeded at first use
	uint32_t *
		credits; // weighted round robin: one per endpoint, or NULL; the owner allocates n_endpoints
	uint32_t n_credits;
	uint32_t max_weight;     // largest of the healthy endpoints, as of the last look
	uint32_t max_weight_age; // picks since then
};

struct lb_context {
	const struct endpoint *tried
		[LB_MAX_TRIED]; // avoid these if possible (previous_hosts: five re-picks, then any)
	unsigned n_tried;
};

// Returns an endpoint, or NULL if none is healthy (and the panic threshold does not apply). 'context' may be NULL. Counts
// lb_healthy_panic in 'stats' for each pick that ignored health.
struct endpoint *lb_pick(const struct cluster *c, struct lb_state *state,
	const struct lb_context *context, struct cluster_stats *stats);
