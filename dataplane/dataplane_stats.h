// The counters of dataplane_stats.def as a struct; see base/stats.h.
#pragma once

#include "dataplane/base/stats.h"

struct dataplane_stats {
#define STAT(name, kind, title, help) uint64_t name;
#include "dataplane/dataplane_stats.def"
};

// In the order of the struct's members.
extern const struct stat_desc dataplane_stat_descs[];
extern const unsigned dataplane_n_stats;
