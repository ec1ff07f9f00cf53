// docs/METRICS.md, from the tables that the metrics themselves are printed from.
#include "mgmt/export_text.h"

#include "router/http_rules.h"

static void print_row(FILE *to, const char *prefix, const char *name, enum metric_kind kind,
	const char *labels, const char *help)
{
	struct metric m;

	// Only for its name.
	metric_init(&m, NULL, prefix, name, kind, help);
	fprintf(to, "| `%s` | %s | %s | %s |\n", m.name, metric_kind_names[kind], labels, help);
}

static void print_head(FILE *to, const char *title, const char *text)
{
	fprintf(to, "\n## %s\n\n%s\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n",
		title, text);
}

static void print_stats(
	FILE *to, const char *prefix, const struct stat_desc *descs, unsigned n, const char *labels)
{
	for (unsigned i = 0; i < n; i++) {
		enum metric_kind kind =
			descs[i].kind == STAT_COUNTER ? METRIC_COUNTER : METRIC_GAUGE;
		const char *shown = stat_is_by_worker(descs[i].name) ? "worker" : labels;

		print_row(to, prefix, descs[i].name, kind, shown, descs[i].help);
	}
}

static void print_process(FILE *to)
{
	print_head(to, "The process and its configuration", "Of the whole process.");
#define EXPORT_PROCESS(name, kind, help, expression) \
	print_row(to, "pollgate_", #name, METRIC_##kind, "", help);
#define EXPORT_MEMORY(name, kind, help, expression) \
	print_row(to, "pollgate_", #name, METRIC_##kind, "", help);
#include "mgmt/export_metrics.def"
	print_row(to, "pollgate_", "config_info", METRIC_GAUGE, "version", EXPORT_CONFIG_INFO_HELP);
	print_row(to, "envoy_server_", "days_until_first_cert_expiring", METRIC_GAUGE, "",
		EXPORT_FIRST_EXPIRY_HELP);
	print_head(to, "Ports", "What the devices say of themselves.");
#define EXPORT_PORT(name, kind, help, expression) \
	print_row(to, "pollgate_", #name, METRIC_##kind, "port", help);
#include "mgmt/export_metrics.def"
}

static void print_workers(FILE *to)
{
	print_head(to, "Packets, TCP, TLS and HTTP",
		"Counted by each worker and summed, but for those with a worker label. "
		"Every drop, close and refusal has a counter here that says why.");
	print_stats(to, "pollgate_", dataplane_stat_descs, dataplane_n_stats, "");
	print_stats(to, "pollgate_", tls_stat_descs, tls_n_stats, "");
	print_stats(to, "pollgate_", router_stat_descs, router_n_stats, "");
	print_row(to, "pollgate_", "http_errors", METRIC_COUNTER, "from, rule", EXPORT_RULES_HELP);
	fprintf(to,
		"\nThe rules of `pollgate_http_errors_total`:\n\n| rule | meaning |\n|---|---|\n");
	for (unsigned i = 0; i < HTTP_N_RULES; i++)
		fprintf(to, "| `%s` | %s |\n", http_rule(i)->rule, http_rule(i)->text);
}

static void print_clusters(FILE *to)
{
	print_head(to, "Clusters",
		"As Envoy names them. Status codes that never came and histograms without values are "
		"left out; the outlier detection's exist where a DestinationRule turns it on.");
	print_stats(to, "envoy_cluster_", cluster_stat_descs, cluster_n_stats, "cluster_name");
	print_row(to, "envoy_cluster_", "upstream_rq_xx", METRIC_COUNTER,
		"response_code_class, cluster_name", EXPORT_CLUSTER_CLASS_HELP);
	print_row(to, "envoy_cluster_", "upstream_rq", METRIC_COUNTER,
		"response_code, cluster_name", EXPORT_CLUSTER_CODE_HELP);
#define EXPORT_MEMBERSHIP(name, kind, help, expression) \
	print_row(to, "envoy_cluster_", #name, METRIC_##kind, "cluster_name", help);
#define EXPORT_OUTLIER(name, kind, help, counter)                                               \
	print_row(to, "envoy_cluster_outlier_detection_", #name, METRIC_##kind, "cluster_name", \
		help);
#define EXPORT_BREAKER(envoy, help, counter, limit)                                            \
	print_row(to, "envoy_cluster_circuit_breakers_default_", #envoy "_open", METRIC_GAUGE, \
		"cluster_name", "1 while " help);                                              \
	print_row(to, "pollgate_cluster_breaker_", #counter, METRIC_GAUGE, "cluster_name",     \
		EXPORT_BREAKER_HELP);                                                          \
	print_row(to, "pollgate_cluster_breaker_", #counter "_limit", METRIC_GAUGE,            \
		"cluster_name", EXPORT_BREAKER_LIMIT_HELP);
#define EXPORT_CLUSTER_HISTOGRAM(name, help) \
	print_row(to, "envoy_cluster_", #name, METRIC_HISTOGRAM, "cluster_name", help);
#include "mgmt/export_metrics.def"
	print_row(to, "pollgate_", "endpoint_unhealthy", METRIC_GAUGE,
		"cluster_name, endpoint, reason", EXPORT_UNHEALTHY_HELP);
}

static void print_edge(FILE *to)
{
	static const char hcm[] = "http_conn_manager_prefix";

	print_head(to, "HTTP at the edge",
		"By server: `outbound_` and the address it is bound to, or the name that the Gateway's "
		"server has.");
	print_stats(to, "envoy_http_", hcm_stat_descs, hcm_n_stats, hcm);
	print_row(to, "envoy_http_", "downstream_rq_xx", METRIC_COUNTER,
		"response_code_class, http_conn_manager_prefix", EXPORT_HTTP_CLASS_HELP);
	print_row(to, "envoy_http_", "downstream_rq_time", METRIC_HISTOGRAM, hcm,
		EXPORT_HTTP_TIME_HELP);
	print_head(to, "Listeners", "By address and port, as `0.0.0.0_8080`.");
#define EXPORT_LISTENER(name, kind, help) \
	print_row(to, "envoy_listener_", #name, METRIC_##kind, "listener_address", help);
#include "mgmt/export_metrics.def"
}

static void print_istio(FILE *to)
{
	print_head(to, "Requests, as Istio counts them",
		"One series for each combination of destination, status, flags and protocol; each "
		"worker has room for a fixed number of them and counts the rest under "
		"`destination_service=\"overflow\"`. With `destinationReporter` in the Appliance, "
		"requests for a service are also counted as `reporter=\"destination\"` with "
		"`connection_security_policy=\"none\"`, as the sidecars of its backends would.");
	print_row(to, "istio_", "build", METRIC_GAUGE, "component, tag", EXPORT_ISTIO_BUILD_HELP);
	print_row(to, "istio_", "requests_total", METRIC_COUNTER, "see below",
		EXPORT_ISTIO_TOTAL_HELP);
#define EXPORT_ISTIO_HISTOGRAM(name, help, member) \
	print_row(to, "istio_", #name, METRIC_HISTOGRAM, "see below", help);
#include "mgmt/export_metrics.def"
	fputs("\nTheir labels: ", to);
	export_istio_labels(to);
	fputs(".\n", to);
}

void export_reference(FILE *to)
{
	fputs("# Metrics\n\n"
	      "Printed by `pollgate reference metrics`; served as Prometheus text at `/metrics` and "
	      "`/stats/prometheus` of the management's metrics address.\n",
		to);
	print_process(to);
	print_workers(to);
	print_edge(to);
	print_clusters(to);
	print_istio(to);
}
