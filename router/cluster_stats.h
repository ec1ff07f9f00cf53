// The counters of cluster_stats.def and what is counted by status code, for one cluster on one worker.
#pragma once

#include "dataplane/base/stats.h"
#include "router/histogram.h"

struct cluster_stats {
#define STAT(name, kind, title, help) uint64_t name;
#include "router/cluster_stats.def"
	uint64_t upstream_rq_xx[6];        // by class: [2] is 2xx
	uint64_t upstream_rq_code[600];    // by status
	struct histogram upstream_rq_time; // ms, request complete to response complete
	struct histogram upstream_cx_connect_ms;
	struct histogram upstream_cx_length_ms;
};

// In the order of the struct's members; printed names are descs[i].name.
extern const struct stat_desc cluster_stat_descs[];
extern const unsigned cluster_n_stats;
