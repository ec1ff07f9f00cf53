// Clusters at run time: what of a backend outlives one configuration and is shared by the workers.
//
//     snapshot --> cluster (view of one configuration) --> cluster_state (by name, carried over by reload)
//                      |                                       breakers, per-worker counters, outlier detection
//                      +--> endpoint* (by cluster and address, carried over): health, active requests, ejection
//
// The view is immutable. What changes in cluster_state and endpoint is relaxed atomics, a cache line for each group that
// is written together, because Istio's limits hold for the cluster, not for each core. Connections are not in
// here: each worker has its own pool (upstream.h).
#pragma once

#include "router/cluster_stats.h"
#include "router/config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CACHE_LINE 64

struct cluster_state;
struct lb_state;
struct upstream_pool;

// Why an endpoint is not healthy.
enum endpoint_health {
	ENDPOINT_FAILED_EDS = 1 << 0,     // EndpointSlice says not ready
	ENDPOINT_FAILED_OUTLIER = 1 << 1, // ejected
};

// Ejection state of an endpoint; written through outlier.c only.
struct endpoint_outlier {
	atomic_uint consecutive_5xx;
	atomic_uint consecutive_gateway;
	atomic_uint multiplier;
	atomic_ullong ejected_at_us;
	atomic_ullong unejected_at_us;
};

struct endpoint {
	// set at creation
	struct ip_endpoint address;
	struct cluster_state *cluster;
	char text[IP_ENDPOINT_TEXT_SIZE]; // "10.0.0.1:80"
	uint32_t text_len;
	unsigned refs;                // views that name it; mgmt thread
	struct upstream_pool **pools; // [n_workers], each of its worker (upstream.h)
	// at publish
	atomic_ullong generation; // the newest snapshot that names it
	atomic_uint position;     // in the newest view
	// per request
	_Alignas(CACHE_LINE) atomic_uint active_requests;
	atomic_uint active_connections;
	atomic_ullong n_requests;
	atomic_ullong n_errors; // 5xx, resets, timeouts
	atomic_ullong n_connect_failures;
	// rarely
	_Alignas(CACHE_LINE) atomic_uint health; // enum endpoint_health, or'ed; 0: healthy
	struct endpoint_outlier outlier;
};

// What the workers share of a cluster, and its counters.
struct cluster_state {
	// set at creation
	char *name;
	unsigned n_workers;
	struct cluster_stats *stats; // [n_workers], each written by its worker
	unsigned refs;               // snapshots that have a view of it; mgmt thread
	// per request: the breakers' counts
	_Alignas(CACHE_LINE) atomic_uint connections;
	atomic_uint pending;
	atomic_uint requests;
	atomic_uint retries;
	// rarely; written by outlier.c
	_Alignas(CACHE_LINE) atomic_uint n_ejected;
	atomic_ullong n_ejections;
	atomic_ullong n_ejections_overflow; // suppressed by max_ejection_percent
	atomic_ullong n_detected_5xx;
	atomic_ullong n_detected_gateway;
	atomic_ullong n_enforced_5xx;
	atomic_ullong n_enforced_gateway;
	uint64_t next_sweep_us; // mgmt thread
};

// One configuration's view of a cluster.
struct cluster {
	const struct cluster_config *config;
	struct cluster_state *state;
	unsigned index;              // dense in its snapshot
	struct endpoint **endpoints; // in the order of config->endpoints
	uint32_t *weights;           // of the view
	struct lb_state **lb;        // [n_workers], each of its worker
	unsigned n_endpoints;
	unsigned n_workers;
	bool equal_weights;
};

static inline bool endpoint_is_healthy(const struct endpoint *e)
{
	return atomic_load_explicit(&e->health, memory_order_relaxed) == 0;
}

// Healthy endpoints of the view.
unsigned cluster_n_healthy(const struct cluster *c);

// The labels of 'e' in this view, or NULL.
const struct endpoint_config *cluster_endpoint_config(
	const struct cluster *c, const struct endpoint *e);

// Fills '*c' with a view of 'config' (borrowed). State and endpoints are taken over from 'previous' (the view of the
// same name, or NULL), else made. Returns 0, or -ENOMEM with '*c' safe for cluster_fini(). mgmt thread.
int cluster_init(struct cluster *c, const struct cluster_config *config, unsigned index,
	const struct cluster *previous, unsigned n_workers);

// What running changes when the view becomes the newest one: readiness, marks of removed endpoints. mgmt thread.
void cluster_activate(struct cluster *c, const struct cluster *previous, uint64_t generation);

// Lets go of everything; state and endpoints that no other view names are freed. mgmt thread, when no worker uses the view.
void cluster_fini(struct cluster *c);
