#include "router/cluster_stats.h"

const struct stat_desc cluster_stat_descs[] = {
#define STAT(name, kind, title, help) {#name, STAT_##kind, title, help},
#include "router/cluster_stats.def"
};

const unsigned cluster_n_stats = sizeof(cluster_stat_descs) / sizeof(cluster_stat_descs[0]);
