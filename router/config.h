// What the router is told: plain data, already checked, in the router's terms (Envoy's: listener, filter
// chain, route table, virtual host, route, cluster, endpoint). mgmt translates Istio's YAML into this,
// all in one piece of memory; snapshot_new() takes it, and the run-time form points into it.
//
// Strings are NUL-terminated and never NULL unless said. Times are microseconds; 0 means "none" or "off"
// where that makes sense. Lists are arrays with a count.
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_addr.h"
#include "dataplane/tcp/tcp.h"
#include "tls/tls.h"

#include <stdbool.h>
#include <stdint.h>

// --- matching (reference/istio-gateway.md 2.3)

enum string_match_kind {
	STRING_MATCH_ANY, // always true
	STRING_MATCH_EXACT,
	STRING_MATCH_PREFIX,
	STRING_MATCH_REGEX,   // full match, RE2/Hyperscan syntax
	STRING_MATCH_PRESENT, // headers and query parameters: exists, even when empty
};

struct string_match {
	enum string_match_kind kind;
	const char *text;
	bool ignore_case; // EXACT and PREFIX of uri only
};

struct field_match {
	const char *name; // lower case for headers; case kept for query parameters
	struct string_match match;
	bool invert; // withoutHeaders
};

struct route_match {
	struct string_match uri; // path without query
	struct string_match method;
	struct string_match scheme;
	struct string_match authority;
	const struct field_match *headers;
	unsigned n_headers;
	const struct field_match *query;
	unsigned n_query;
};

// --- actions

struct header_value {
	const char *name; // lower case
	const char
		*value; // literal: mgmt refuses '%' commands it cannot resolve and unescapes "%%"
};

// Applied in this order: remove, set, add.
struct header_ops {
	const char *const *remove;
	unsigned n_remove;
	const struct header_value *set;
	unsigned n_set;
	const struct header_value *add;
	unsigned n_add;
};

struct weighted_cluster {
	const char *cluster; // name; need not exist (503 NC)
	uint32_t weight;     // > 0
	struct header_ops request_headers;
	struct header_ops response_headers;
};

enum retry_on { // reference 2.10
	RETRY_5XX = 1 << 0,
	RETRY_GATEWAY_ERROR = 1 << 1,
	RETRY_RESET = 1 << 2,
	RETRY_RESET_BEFORE_REQUEST = 1 << 3,
	RETRY_CONNECT_FAILURE = 1 << 4,
	RETRY_REFUSED_STREAM = 1 << 5,
	RETRY_RETRIABLE_4XX = 1 << 6,
	RETRY_RETRIABLE_STATUS_CODES = 1 << 7,
	RETRY_RETRIABLE_HEADERS = 1 << 8, // no-op, as in Istio
	RETRY_ENVOY_RATELIMITED = 1 << 9,
	RETRY_GRPC_CANCELLED = 1 << 10,
	RETRY_GRPC_DEADLINE_EXCEEDED = 1 << 11,
	RETRY_GRPC_INTERNAL = 1 << 12,
	RETRY_GRPC_RESOURCE_EXHAUSTED = 1 << 13,
	RETRY_GRPC_UNAVAILABLE = 1 << 14,
};

#define RETRY_MAX_STATUS_CODES 16

struct retry_config {
	uint32_t attempts; // retries, not tries; 0: none
	uint64_t per_try_timeout_us;
	uint32_t on; // enum retry_on, or'ed
	uint16_t status_codes[RETRY_MAX_STATUS_CODES];
	unsigned n_status_codes;
	uint64_t backoff_base_us; // 25 ms if not configured
	bool ignore_previous_hosts;
};

enum route_action {
	ROUTE_FORWARD,
	ROUTE_REDIRECT,
	ROUTE_DIRECT_RESPONSE,
};

struct redirect_config { // reference 2.7; NULL: keep the request's
	uint16_t status;
	const char *scheme;
	const char *authority;
	const char *path;
	const char *prefix_rewrite;
	uint16_t port;          // 0: see port_mode
	bool port_from_request; // FROM_REQUEST_PORT: the Gateway server's number
};

struct rewrite_config {   // reference 2.6; NULL: none
	const char *path; // replaces the matched prefix, or the whole path for exact and regex
	const char *authority;
};

struct route_config {
	const char *name;   // ROUTE_NAME; "" if none
	const char *origin; // "VirtualService default/shop http[2]" for pollgatectl
	struct route_match match;
	enum route_action action;
	// ROUTE_FORWARD
	const struct weighted_cluster *clusters;
	unsigned n_clusters;
	uint64_t timeout_us;
	struct retry_config retry;
	struct rewrite_config rewrite;
	// the others
	struct redirect_config redirect;
	uint16_t direct_status;
	struct bytes direct_body;
	// all
	struct header_ops request_headers;
	struct header_ops response_headers;
};

struct virtual_host_config {
	const char *domain;                // lower case: "shop.example", "*.example" or "*"
	bool require_tls;                  // httpsRedirect: 301 to https before any route
	const struct route_config *routes; // in matching order
	unsigned n_routes;
};

struct route_table_config {
	const char *name;     // "http.8080", "https.443.https.shop.default"
	uint16_t server_port; // the Gateway server's number, for redirects
	const struct virtual_host_config *hosts;
	unsigned n_hosts;
};

// --- listeners

struct filter_chain_config {
	struct tls_chain_config
		tls;             // used if the listener is TLS; .index is the position in 'chains'
	unsigned route_table;    // index into router_config.route_tables
	const char *stat_prefix; // HCM prefix: "outbound_0.0.0.0_8443"
};

struct listener_config {
	const char *name;         // "0.0.0.0_8443"; identity across reloads
	struct ip_endpoint local; // all-zero address: every address of the external ports
	bool tls;
	bool proxy_protocol;                      // each connection begins with a PROXY header
	const struct filter_chain_config *chains; // exactly one if not TLS
	unsigned n_chains;
};

// --- clusters

enum lb_policy {
	LB_ROUND_ROBIN,
	LB_LEAST_REQUEST,
	LB_RANDOM,
};

struct endpoint_config {
	struct ip_endpoint address;
	uint32_t weight; // >= 1
	bool healthy;    // EndpointSlice ready
	// For metrics; "" if unknown.
	const char *workload;
	const char *namespace;
};

struct outlier_config { // reference 3.6
	bool enabled;
	uint32_t consecutive_5xx;     // 0: off
	uint32_t consecutive_gateway; // 0: off
	uint64_t interval_us;
	uint64_t base_ejection_us;
	uint64_t max_ejection_us;
	uint32_t max_ejection_percent;
	bool always_eject_one; // in a cluster of two or more (design.md section 7)
};

// What is spoken to endpoints.
enum cluster_protocol {
	CLUSTER_HTTP_1,
	CLUSTER_HTTP_2,           // by prior knowledge
	CLUSTER_PROTOCOL_CLIENTS, // what the request came by
};

struct cluster_config {
	const char
		*name; // "outbound|80||checkout.default.svc.cluster.local"; identity across reloads
	const char *service_host; // FQDN
	const char *service_name; // short, for metrics
	const char *service_namespace;
	const struct endpoint_config *endpoints;
	unsigned n_endpoints;
	enum lb_policy lb;
	uint64_t connect_timeout_us;
	uint64_t idle_timeout_us; // of a pooled connection
	struct tcp_keepalive keepalive;
	// Breakers; UINT32_MAX: no limit.
	uint32_t max_connections;
	uint32_t max_pending_requests;
	uint32_t max_requests;
	uint32_t max_retries;
	uint32_t max_requests_per_connection; // 0: no limit
	enum cluster_protocol protocol;
	uint32_t max_concurrent_streams; // of a connection; 0: 1024
	uint8_t proxy_version;           // of the PROXY header that connections begin with; 0: none
	// HTTP/2: PING after each interval, 0: none; without an answer in time the connection is given up.
	uint64_t ping_interval_us;
	uint64_t ping_timeout_us;
	uint32_t panic_threshold_percent; // minHealthPercent; 0: no panic mode
	struct outlier_config outlier;
};

// --- the whole

struct access_log_config {
	bool enabled;
	const char *format; // text with operators
	bool json;          // 'format' is the text of a JSON object (accessLogEncoding: JSON)
	const char *path;   // "/dev/stdout" or a file
};

// Limits of an HTTP/2 connection; 0: the default of h2_limits.def.
struct http2_config {
#define H2_LIMIT(member, name, dflt, min, max, help) uint32_t member;
#include "router/h2_limits.def"
};

// Edge behaviour and limits (reference 1.11, 8).
struct http_config {
	uint32_t max_head_bytes;  // 60 KiB
	uint32_t max_fields;      // 100
	uint64_t head_timeout_us; // from the first byte of a request to the end of its head
	uint64_t idle_timeout_us; // of a downstream connection without a request; 1 h
	uint64_t
		request_timeout_us; // from the first byte to the last, unless an answer begins before; 0: none
	uint64_t body_timeout_us; // without any progress of a body in either direction; 0: none
	// What a client moves of a body at least while nothing but the client is waited for, in bytes a second over a
	// while of 'body_rate_window_us'; 0: any.
	uint32_t min_body_rate;
	uint64_t body_rate_window_us;
	bool extended_connect;    // WebSocket by HTTP/2 is offered to clients (RFC 8441)
	bool accept_http_10;      // else 426
	uint32_t max_connections; // downstream, per worker
	uint32_t max_connections_per_address; // likewise; 0: no limit
	uint32_t num_trusted_proxies;
	enum path_normalization {
		PATH_NORMALIZE_NONE,
		PATH_NORMALIZE_BASE,
		PATH_NORMALIZE_MERGE_SLASHES,
		PATH_NORMALIZE_DECODE_AND_MERGE_SLASHES,
	} path_normalization;
	enum underscores {
		UNDERSCORES_ALLOW,
		UNDERSCORES_DROP,
		UNDERSCORES_REJECT,
	} underscores;           // in names of a request's fields
	const char *server_name; // "istio-envoy"; NULL: what the endpoint says stays
	// meshConfig.defaultConfig.proxyHeaders
	bool keep_request_id;    // of the client; none is made
	bool no_attempt_count;   // x-envoy-attempt-count
	bool no_debug_headers;   // that, and what else Envoy tells of its workings
	bool add_forwarded_host; // x-forwarded-host when the authority is rewritten
	bool add_forwarded_port; // x-forwarded-port
	struct http2_config http2;
	uint64_t ping_interval_us; // to clients; 0: none
	uint64_t ping_timeout_us;
};

// Labels of the gateway itself in Istio's metrics.
struct gateway_identity {
	const char *workload; // "istio-ingressgateway"
	const char *namespace;
	const char *app;
	const char *version;
	const char *canonical_service;
	const char *canonical_revision;
	const char *cluster;       // "Kubernetes"
	bool destination_reporter; // count also as reporter="destination", for backends without sidecars
};

struct router_config {
	const struct listener_config *listeners;
	unsigned n_listeners;
	const struct route_table_config *route_tables;
	unsigned n_route_tables;
	const struct cluster_config *clusters;
	unsigned n_clusters;
	struct access_log_config access_log;
	struct http_config http;
	struct gateway_identity identity;
	const char *version; // of the configuration, for status and metrics: hash of the inputs
	void *memory;        // everything above lives in there, this struct included
	void (*free_memory)(void *memory);
};

// Frees '*cp' with all it points to and clears it.
static inline void router_config_free(struct router_config **cp)
{
	struct router_config *c = *cp;

	*cp = NULL;
	if (c != NULL)
		c->free_memory(c->memory);
}
