// Counters by HTTP connection manager (hcm_stats.def) and by listener (reference 7.6), one struct per worker; they live as long
// as the process and are found again by name when the configuration changes.
#pragma once

#include "dataplane/base/stats.h"
#include "router/histogram.h"

struct hcm_stats {
#define STAT(name, kind, title, help) uint64_t name;
#include "router/hcm_stats.def"
	uint64_t downstream_rq_xx[6];
	struct histogram downstream_rq_time; // ms
};

extern const struct stat_desc hcm_stat_descs[];
extern const unsigned hcm_n_stats;

struct hcm_state {
	char *stat_prefix;
	struct hcm_stats *stats; // [n_workers]
	struct hcm_state *next;
};

// Printed as envoy_listener_<name>{listener_address="0.0.0.0_8080"}.
struct listener_stats {
	uint64_t downstream_cx_total;
	uint64_t downstream_cx_active;
	uint64_t downstream_cx_destroy;
	uint64_t downstream_cx_overflow; // refused: connection limit
	uint64_t downstream_pre_cx_timeout;
	uint64_t downstream_cx_proxy_proto_error;
	uint64_t no_filter_chain_match;
	uint64_t ssl_handshake;
	uint64_t ssl_connection_error;
	uint64_t ssl_no_certificate;
	uint64_t ssl_fail_verify_no_cert;
	uint64_t ssl_fail_verify_error;
	uint64_t ssl_fail_verify_san;
	uint64_t ssl_fail_verify_cert_hash;
};

struct listener_state {
	char *name;
	struct listener_stats *stats; // [n_workers]
	struct listener_state *next;
};
