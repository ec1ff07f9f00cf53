#include "tls/tls_stats.h"

const struct stat_desc tls_stat_descs[] = {
#define STAT(name, kind, title, help) {#name, STAT_##kind, title, help},
#include "tls/tls_stats.def"
};

const unsigned tls_n_stats = sizeof(tls_stat_descs) / sizeof(tls_stat_descs[0]);
