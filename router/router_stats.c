#include "router/router_stats.h"

const struct stat_desc router_stat_descs[] = {
#define STAT(name, kind, title, help) {#name, STAT_##kind, title, help},
#include "router/router_stats.def"
};

const unsigned router_n_stats = sizeof(router_stat_descs) / sizeof(router_stat_descs[0]);
