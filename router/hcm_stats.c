#include "router/hcm_stats.h"

const struct stat_desc hcm_stat_descs[] = {
#define STAT(name, kind, title, help) {#name, STAT_##kind, title, help},
#include "router/hcm_stats.def"
};

const unsigned hcm_n_stats = sizeof(hcm_stat_descs) / sizeof(hcm_stat_descs[0]);
