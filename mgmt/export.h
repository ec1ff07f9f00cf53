// Statistics as Prometheus text (reference 7.1), for /metrics, /stats/prometheus and pollgatectl. What runs is described by
// plain pointers, so that a test can do without it.
//
//     pollgate_*        our own: packets, TCP, TLS, HTTP rules, configuration; summed over workers
//     envoy_cluster_*   by cluster_name          envoy_http_*  by http_conn_manager_prefix
//     envoy_listener_*  by listener_address      istio_*       by source, destination and outcome of requests
//
// Names and labels are Envoy's and Istio's, so that existing dashboards and alerts work. Each metric has one HELP and one
// TYPE line and then its samples. Of a cluster, status codes that never came and histograms without values are left out: many
// clusters are mostly quiet.
//
// The counters are read while the workers write them. Any thread but a worker: it allocates.
#pragma once

#include "dataplane/dataplane.h"
#include "router/http_rules.h"
#include "router/router.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// Grows as needed; zeroed at first. 'failed' latches when there was no memory: then the text is incomplete.
struct export_buffer {
	char *text; // not NUL-terminated
	size_t len;
	size_t cap;
	bool failed;
};

void export_buffer_free(struct export_buffer *b);

// Of one worker; NULL: not printed.
struct export_worker {
	const struct dataplane_stats *dataplane;
	const struct tls_stats *tls;
	const struct router_stats *router;
	const struct http_rule_counts *rules;
};

// What became of configurations. mgmt knows.
struct export_config {
	const char *version; // of the one that runs; NULL: none yet
	uint64_t age_s;      // since it was taken
	uint64_t n_loaded;
	uint64_t n_rejected;
	uint64_t n_quarantined;  // objects left out of the one that runs
	bool last_load_rejected; // what is on disk is not what runs
	uint64_t n_retired;      // older ones that requests still use
};

struct export_sources {
	const char *program_version; // tag of istio_build
	uint64_t uptime_s;
	int64_t now_s; // since 1970
	const struct export_worker *workers;
	unsigned n_workers;
	const struct port_status *ports;
	unsigned n_ports;
	const struct memory_status *memory; // NULL: not printed
	const struct snapshot *snapshot;    // NULL: nothing runs yet
	const struct hcm_state *hcms;
	const struct listener_state *listeners;
	struct request_metrics *const *requests; // [n_workers], or NULL
	struct export_config config;
	uint64_t log_lost; // lines of the process log
	bool draining;
};

// Appends to 'out'.
void export_prometheus(const struct export_sources *s, struct export_buffer *out);

// docs/METRICS.md: each metric with its kind, labels and meaning.
void export_reference(FILE *to);
