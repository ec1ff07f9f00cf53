#include "mgmt/reference.h"

#include "dataplane/dataplane_stats.h"
#include "mgmt/admin.h"
#include "router/cluster_stats.h"
#include "router/hcm_stats.h"
#include "router/router_stats.h"
#include "tls/tls_stats.h"

#include <string.h>

struct metric_group {
	const char *title;
	const char *prefix; // of the printed names
	const char *labels;
	const struct stat_desc *descs;
	const unsigned *n;
};

// clang-format off
static const struct metric_group groups[] = {
	{"Clusters (Envoy's names)", "envoy_cluster_", "cluster_name", cluster_stat_descs, &cluster_n_stats},
	{"HTTP connection managers (Envoy's names)", "envoy_http_", "http_conn_manager_prefix", hcm_stat_descs, &hcm_n_stats},
	{"Router", "pollgate_", "worker", router_stat_descs, &router_n_stats},
	{"TLS", "pollgate_", "worker", tls_stat_descs, &tls_n_stats},
	{"Dataplane", "pollgate_", "worker", dataplane_stat_descs, &dataplane_n_stats},
};
// clang-format on

static void print_metrics(FILE *to)
{
	fputs("# Metrics\n", to);
	for (unsigned g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		fprintf(to,
			"\n## %s\n\nLabel: `%s`.\n\n| metric | kind | meaning |\n|---|---|---|\n",
			groups[g].title, groups[g].labels);
		for (unsigned i = 0; i < *groups[g].n; i++) {
			const struct stat_desc *d = &groups[g].descs[i];

			fprintf(to, "| `%s%s` | %s | %s |\n", groups[g].prefix, d->name,
				d->kind == STAT_GAUGE ? "gauge" : "counter", d->help);
		}
	}
}

bool reference_print(FILE *to, const char *page)
{
	if (strcmp(page, "metrics") == 0)
		print_metrics(to);
	else if (strcmp(page, "commands") == 0)
		admin_print_reference(to);
	else
		return false;
	return true;
}
