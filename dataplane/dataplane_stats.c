#include "dataplane/dataplane_stats.h"

const struct stat_desc dataplane_stat_descs[] = {
#define STAT(name, kind, title, help) {#name, STAT_##kind, title, help},
#include "dataplane/dataplane_stats.def"
};

const unsigned dataplane_n_stats = sizeof(dataplane_stat_descs) / sizeof(dataplane_stat_descs[0]);
