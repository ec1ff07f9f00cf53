// The counters of tls_stats.def as a struct; see base/stats.h.
#pragma once

#include "dataplane/base/stats.h"

struct tls_stats {
#define STAT(name, kind, title, help) uint64_t name;
#include "tls/tls_stats.def"
};

// In the order of the struct's members.
extern const struct stat_desc tls_stat_descs[];
extern const unsigned tls_n_stats;
