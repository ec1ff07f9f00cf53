// The counters of router_stats.def as a struct; see base/stats.h.
#pragma once

#include "dataplane/base/stats.h"

struct router_stats {
#define STAT(name, kind, title, help) uint64_t name;
#include "router/router_stats.def"
};

// In the order of the struct's members.
extern const struct stat_desc router_stat_descs[];
extern const unsigned router_n_stats;
