// A snapshot: everything the workers need of one configuration, immutable. Built on the mgmt thread, or on one that it waits for; cluster state and
// endpoints are taken over from the previous snapshot by name and address, not reset.
//
// Life: snapshot_new() -> router_publish() makes each worker adopt it between two turns -> exchanges that began
// under an older one pin that until they end -> snapshot_reap() frees an old one when no worker pins it.
#pragma once

#include "router/access_log.h"
#include "router/cluster.h"
#include "router/config.h"
#include "router/hcm_stats.h"
#include "router/route.h"

#define SNAPSHOT_MAX_WORKERS 64
#define SNAPSHOT_ERROR_SIZE  512

struct listener_view {
	const struct listener_config *config;
	struct tls_server *tls; // NULL: plain
	struct hcm_state **hcm; // one per chain: counters by stat prefix
	const char *
		*table_names; // one per chain: identity of the chain across reloads (registry.h)
	struct listener_state *state; // counters by listener name
};

struct snapshot {
	struct router_config *config;         // owned
	struct route_table **tables;          // as config->route_tables
	struct cluster *clusters;             // as config->clusters
	struct listener_view *listeners;      // as config->listeners
	struct access_log_format *log_format; // NULL: no access log
	struct route_scratch *scratch[SNAPSHOT_MAX_WORKERS];
	uint32_t *cluster_index; // hash of a name -> position in 'clusters' + 1; 0: empty
	uint32_t cluster_mask;
	unsigned n_workers;
	struct snapshot *next_retired; // router.c
	uint64_t generation;
	// pins[w]: exchanges of worker w that began under this snapshot; written by w alone.
	struct snapshot_pins {
		_Alignas(CACHE_LINE) atomic_uint n;
	} pins[SNAPSHOT_MAX_WORKERS];
};

// Takes '*config' (also on failure). 'previous' may be NULL. Returns NULL and a sentence in 'error'. mgmt thread, or one that it waits for.
struct snapshot *snapshot_new(struct router_config **config, const struct snapshot *previous,
	unsigned n_workers, char error[SNAPSHOT_ERROR_SIZE]);
void snapshot_free(struct snapshot **sp);

// To be called when 's' is about to be published: marks what it names as current. 'previous' may be NULL.
void snapshot_activate(struct snapshot *s, const struct snapshot *previous);

// The cluster of that name, or NULL; constant time.
const struct cluster *snapshot_cluster(const struct snapshot *s, struct bytes name);

// True if no worker pins it; then it may be freed once no worker has it as the current one.
bool snapshot_is_unused(const struct snapshot *s);
