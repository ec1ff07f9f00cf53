// The documents of a configuration as C structs: what Istio, Kubernetes and we write in YAML,
// field by field, without interpretation. The tables of schema_*.c fill them. A pointer to a
// struct is NULL if the field is absent; texts are "" then.
#pragma once

#include "dataplane/base/ip_addr.h"
#include "mgmt/schema.h"

#include <stdbool.h>
#include <stdint.h>

struct metadata {
	const struct node *node;
	const char *name;
	const char *namespace;
	struct key_value *labels;
	unsigned n_labels;
	struct key_value *annotations;
	unsigned n_annotations;
};

// What every document begins with.
struct document {
	const struct node *node;
	struct metadata *metadata;
	// Filled by manifest.c
	const char *name;
	const char *namespace; // "default" if not given
	bool broken;           // has an error; translation leaves it out
};

// --- Gateway (reference 1)

enum server_protocol {
	PROTOCOL_HTTP, // with HTTP2, GRPC, GRPC-WEB: the same listener in Envoy
	PROTOCOL_HTTPS,
	PROTOCOL_TLS,
	PROTOCOL_TCP,
};

struct server_port {
	const struct node *node;
	uint32_t number;
	int protocol;
	const char *name;
};

enum tls_mode {
	TLS_MODE_PASSTHROUGH,
	TLS_MODE_SIMPLE,
	TLS_MODE_MUTUAL,
	TLS_MODE_AUTO_PASSTHROUGH,
	TLS_MODE_ISTIO_MUTUAL,
	TLS_MODE_OPTIONAL_MUTUAL,
};

// TLS ends at the gateway.
static inline bool tls_mode_ends(int mode)
{
	return mode == TLS_MODE_SIMPLE || mode == TLS_MODE_MUTUAL
		|| mode == TLS_MODE_OPTIONAL_MUTUAL;
}

struct certificate_files {
	const struct node *node;
	const char *certificate;
	const char *key;
	const char *ca;
};

struct server_tls {
	const struct node *node;
	bool https_redirect;
	int mode;
	const char *certificate;
	const char *key;
	const char *ca;
	const char *crl;
	const char *credential;
	const char *ca_credential;
	const char **credentials;
	unsigned n_credentials;
	struct certificate_files *files;
	unsigned n_files;
	int min_version; // enum tls_version
	int max_version;
	const char **ciphers;
	unsigned n_ciphers;
	bool skip_verify;
	const char **names; // subjectAltNames
	unsigned n_names;
	const char **keys; // verifyCertificateSpki
	unsigned n_keys;
	const char **hashes; // verifyCertificateHash
	unsigned n_hashes;
};

struct server {
	const struct node *node;
	struct server_port *port;
	const char *bind;
	const char **hosts;
	unsigned n_hosts;
	struct server_tls *tls;
	const char *name;
};

struct gateway_spec {
	const struct node *node;
	struct key_value *selector;
	unsigned n_selector;
	struct server *servers;
	unsigned n_servers;
};

struct gateway {
	struct document document;
	struct gateway_spec *spec;
};

// --- VirtualService (reference 2)

struct text_match {
	const struct node *node;
	const char *key; // in a map
	const char *exact;
	const char *prefix;
	const char *regex;
};

struct http_match {
	const struct node *node;
	const char *name;
	struct text_match *uri;
	struct text_match *scheme;
	struct text_match *method;
	struct text_match *authority;
	struct text_match *headers;
	unsigned n_headers;
	struct text_match *without_headers;
	unsigned n_without_headers;
	struct text_match *query;
	unsigned n_query;
	uint32_t port;
	const char **gateways;
	unsigned n_gateways;
	struct key_value *source_labels;
	unsigned n_source_labels;
	const char *source_namespace;
	bool ignore_uri_case;
};

struct header_operations {
	const struct node *node;
	struct key_value *set;
	unsigned n_set;
	struct key_value *add;
	unsigned n_add;
	const char **remove;
	unsigned n_remove;
};

struct headers {
	const struct node *node;
	struct header_operations *request;
	struct header_operations *response;
};

struct port_selector {
	const struct node *node;
	uint32_t number;
};

struct destination {
	const struct node *node;
	const char *host;
	const char *subset;
	struct port_selector *port;
};

struct http_destination {
	const struct node *node;
	struct destination *destination;
	uint32_t weight;
	struct headers *headers;
};

struct http_redirect {
	const struct node *node;
	const char *uri;
	const char *prefix_rewrite;
	const char *authority;
	const char *scheme;
	uint32_t port;
	int from_request_port;
	uint32_t code;
};

struct direct_body {
	const struct node *node;
	const char *text;
	const char *base64;
};

struct direct_response {
	const struct node *node;
	uint32_t status;
	struct direct_body *body;
};

struct http_rewrite {
	const struct node *node;
	const char *uri;
	const char *authority;
};

struct http_retry {
	const struct node *node;
	uint32_t attempts;
	uint64_t per_try_timeout_us;
	const char *retry_on;
	uint64_t backoff_us;
	bool ignore_previous_hosts;
};

struct http_route {
	const struct node *node;
	const char *name;
	struct http_match *matches;
	unsigned n_matches;
	struct http_destination *destinations;
	unsigned n_destinations;
	struct http_redirect *redirect;
	struct direct_response *direct;
	struct http_rewrite *rewrite;
	uint64_t timeout_us;
	struct http_retry *retries;
	struct headers *headers;
};

struct virtual_service_spec {
	const struct node *node;
	const char **hosts;
	unsigned n_hosts;
	const char **gateways;
	unsigned n_gateways;
	struct http_route *http;
	unsigned n_http;
	const char **export_to;
	unsigned n_export_to;
};

struct virtual_service {
	struct document document;
	struct virtual_service_spec *spec;
};

// --- DestinationRule (reference 3)

struct keepalive {
	const struct node *node;
	uint32_t probes;
	uint64_t time_us;
	uint64_t interval_us;
};

struct http2_keepalive {
	const struct node *node;
	uint64_t interval_us;
	uint64_t timeout_us;
};

struct pool_tcp {
	const struct node *node;
	uint32_t max_connections;
	uint64_t connect_timeout_us;
	struct keepalive *keepalive;
	uint64_t idle_timeout_us;
};

enum h2_upgrade {
	H2_UPGRADE_NO,
	H2_UPGRADE_YES,
	H2_UPGRADE_DEFAULT, // as the mesh says
};

struct pool_http {
	const struct node *node;
	uint32_t max_pending_requests;
	uint32_t max_requests;
	uint32_t max_requests_per_connection;
	uint32_t max_retries;
	uint64_t idle_timeout_us;
	int h2_upgrade; // enum h2_upgrade
	bool use_client_protocol;
	uint32_t max_concurrent_streams;
	struct http2_keepalive *keepalive;
};

struct connection_pool {
	const struct node *node;
	struct pool_tcp *tcp;
	struct pool_http *http;
};

struct outlier_detection {
	const struct node *node;
	uint32_t consecutive_5xx;
	uint32_t consecutive_gateway;
	uint64_t interval_us;
	uint64_t base_ejection_us;
	uint32_t max_ejection_percent;
	uint32_t min_health_percent;
};

struct load_balancer {
	const struct node *node;
	int simple; // enum lb_policy
};

struct client_tls {
	const struct node *node;
	int mode; // 0: DISABLE
};

struct port_policy {
	const struct node *node;
	struct port_selector *port;
	struct load_balancer *load_balancer;
	struct connection_pool *connection_pool;
	struct outlier_detection *outlier;
	struct client_tls *tls;
};

struct proxy_header_spec {
	const struct node *node;
	int version; // of the PROXY protocol
};

struct traffic_policy {
	const struct node *node;
	struct proxy_header_spec *proxy_protocol;
	struct load_balancer *load_balancer;
	struct connection_pool *connection_pool;
	struct outlier_detection *outlier;
	struct client_tls *tls;
	struct port_policy *ports;
	unsigned n_ports;
};

struct subset {
	const struct node *node;
	const char *name;
	struct key_value *labels;
	unsigned n_labels;
	struct traffic_policy *policy;
};

struct destination_rule_spec {
	const struct node *node;
	const char *host;
	struct traffic_policy *policy;
	struct subset *subsets;
	unsigned n_subsets;
	const char **export_to;
	unsigned n_export_to;
};

struct destination_rule {
	struct document document;
	struct destination_rule_spec *spec;
};

// --- backends (reference 4)

struct named_port {
	const struct node *node;
	const char *key;
	const char *value; // number
};

struct workload {
	const struct node *node;
	const char *address;
	const struct node *ports; // mapping of name to number
	struct key_value *labels;
	unsigned n_labels;
	uint32_t weight;
};

struct workload_entry {
	struct document document;
	struct workload *spec;
};

struct service_entry_port {
	const struct node *node;
	uint32_t number;
	const char *protocol;
	const char *name;
	uint32_t target_port;
};

struct label_selector {
	const struct node *node;
	struct key_value *labels;
	unsigned n_labels;
};

enum resolution {
	RESOLUTION_NONE,
	RESOLUTION_STATIC,
	RESOLUTION_DNS,
};

struct service_entry_spec {
	const struct node *node;
	const char **hosts;
	unsigned n_hosts;
	struct service_entry_port *ports;
	unsigned n_ports;
	int resolution;
	struct workload *endpoints;
	unsigned n_endpoints;
	struct label_selector *selector;
	const char **export_to;
	unsigned n_export_to;
};

struct service_entry {
	struct document document;
	struct service_entry_spec *spec;
};

struct service_port {
	const struct node *node;
	const char *name;
	uint32_t port;
	const struct node *target_port; // number or name
	const char *protocol;
	const char *app_protocol;
};

struct service_spec {
	const struct node *node;
	struct service_port *ports;
	unsigned n_ports;
	struct key_value *selector;
	unsigned n_selector;
	const char *type;
	bool publish_not_ready;
};

struct service {
	struct document document;
	struct service_spec *spec;
};

struct endpoint_conditions {
	const struct node *node;
	bool ready;
	bool terminating;
};

struct target_reference {
	const struct node *node;
	const char *kind;
	const char *name;
	const char *namespace;
};

struct slice_endpoint {
	const struct node *node;
	const char **addresses;
	unsigned n_addresses;
	struct endpoint_conditions *conditions;
	struct target_reference *target;
};

struct slice_port {
	const struct node *node;
	const char *name;
	uint32_t port;
	const char *protocol;
};

struct endpoint_slice {
	struct document document;
	const char *address_type;
	struct slice_endpoint *endpoints;
	unsigned n_endpoints;
	struct slice_port *ports;
	unsigned n_ports;
};

struct secret {
	struct document document;
	const char *type;
	struct key_value *data; // base64
	unsigned n_data;
	struct key_value *string_data;
	unsigned n_string_data;
};

struct config_map {
	struct document document;
	const struct node *data;
};

struct pod {
	struct document document;
};

// --- mesh (reference 5)

struct path_normalization_spec {
	const struct node *node;
	int mode; // enum path_normalization
};

struct proxy_protocol_spec {
	const struct node *node;
};

struct gateway_topology {
	const struct node *node;
	uint32_t num_trusted_proxies;
	struct proxy_protocol_spec *proxy_protocol;
};

// One header that Istio sends unless it is disabled, or only if it is enabled.
struct proxy_header {
	const struct node *node;
	bool disabled;
};

struct proxy_header_added {
	const struct node *node;
	bool enabled;
};

struct proxy_server_header {
	const struct node *node;
	bool disabled;
	const char *value;
};

struct proxy_headers {
	const struct node *node;
	struct proxy_server_header *server;
	struct proxy_header *request_id;
	struct proxy_header *attempt_count;
	struct proxy_header *debug;
	struct proxy_header_added *forwarded_host;
	struct proxy_header_added *forwarded_port;
};

struct proxy_config {
	const struct node *node;
	struct gateway_topology *topology;
	struct proxy_headers *headers;
};

struct mesh_config {
	const struct node *node;
	const char *access_log_file;
	const char *access_log_format;
	int access_log_json;
	uint64_t connect_timeout_us;
	struct keepalive *keepalive;
	struct http_retry *retry;
	struct path_normalization_spec *normalization;
	const char *root_namespace;
	int h2_upgrade; // enum h2_upgrade
	struct proxy_config *proxy;
};

struct operator_port {
	const struct node *node;
	const char *name;
	uint32_t port;
	const struct node *target_port;
};

struct operator_service {
	const struct node *node;
	struct operator_port *ports;
	unsigned n_ports;
};

struct operator_k8s {
	const struct node *node;
	struct operator_service *service;
};

struct operator_gateway {
	const struct node *node;
	const char *name;
	const char *namespace;
	bool enabled;
	struct operator_k8s *k8s;
};

struct operator_components {
	const struct node *node;
	struct operator_gateway *ingress;
	unsigned n_ingress;
};

struct operator_spec {
	const struct node *node;
	struct mesh_config *mesh;
	struct operator_components *components;
};

struct istio_operator {
	struct document document;
	struct operator_spec *spec;
};

// --- Appliance (design: our own)

struct appliance_workers {
	const struct node *node;
	const char *cores;
	int adaptive;
};

struct appliance_memory {
	const struct node *node;
	uint64_t limit;
	int hugepages;
};

struct appliance_port_spec {
	const struct node *node;
	const char *name;
	int driver; // enum port_driver
	const char *interface;
	const char *address;
	const char *devargs;
	const char *socket;
	int shared;
	const char **addresses;
	unsigned n_addresses;
	struct ip_addr gateway;
	struct ip_addr gateway6;
	uint32_t mtu;
	uint32_t vlan;
	int checksum;
	int offloads;
};

struct appliance_management {
	const struct node *node;
	const char *socket;
	const char *metrics;
	const char *health;
};

struct appliance_drain {
	const struct node *node;
	uint64_t timeout_us;
};

struct appliance_outlier {
	const struct node *node;
	bool always_eject_one;
};

struct appliance_metrics {
	const struct node *node;
	bool destination_reporter;
};

struct appliance_http2 {
	const struct node *node;
#define H2_LIMIT(member, yaml, default_, least, most, text) uint32_t member;
#include "router/h2_limits.def"
};

struct appliance_http {
	const struct node *node;
	uint32_t max_head_bytes;
	uint32_t max_fields;
	uint64_t head_timeout_us;
	uint64_t idle_timeout_us;
	uint64_t body_timeout_us;
	uint32_t min_body_rate;
	uint64_t body_rate_window_us;
	uint32_t max_connections;
	int underscores; // enum underscores
	bool extended_connect;
	bool accept_http_10;
	uint64_t request_timeout_us;
	uint32_t max_connections_per_address;
	const char *server_name;
	struct appliance_http2 *http2;
	struct http2_keepalive *http2_keepalive;
};

struct appliance_spec {
	const struct node *node;
	struct appliance_workers *workers;
	struct appliance_memory *memory;
	struct appliance_port_spec *ports;
	unsigned n_ports;
	const char *local_ports;
	struct appliance_management *management;
	struct appliance_drain *drain;
	struct appliance_outlier *outlier;
	struct appliance_metrics *metrics;
	struct appliance_http *http;
	bool mesh_routes;
	int quarantine;
};

struct appliance_document {
	struct document document;
	struct appliance_spec *spec;
};

// --- kinds

enum object_kind {
	KIND_APPLIANCE,
	KIND_GATEWAY,
	KIND_VIRTUAL_SERVICE,
	KIND_DESTINATION_RULE,
	KIND_SERVICE_ENTRY,
	KIND_WORKLOAD_ENTRY,
	KIND_ISTIO_OPERATOR,
	KIND_SERVICE,
	KIND_ENDPOINT_SLICE,
	KIND_POD,
	KIND_SECRET,
	KIND_CONFIG_MAP,
	OBJECT_N_KINDS,
};

// The tables. Each is in schema_<kind>.c.
extern const struct object_type appliance_type;
extern const struct object_type appliance_spec_type;
extern const struct object_type gateway_type;
extern const struct object_type virtual_service_type;
extern const struct object_type destination_rule_type;
extern const struct object_type service_entry_type;
extern const struct object_type workload_entry_type;
extern const struct object_type istio_operator_type;
extern const struct object_type service_type;
extern const struct object_type endpoint_slice_type;
extern const struct object_type pod_type;
extern const struct object_type secret_type;
extern const struct object_type config_map_type;

// Shared by several kinds.
extern const struct object_type metadata_type;
extern const struct object_type http_retry_type;
extern const struct object_type keepalive_type;
extern const struct object_type http2_keepalive_type;
extern const struct object_type mesh_config_type;
extern const struct object_type workload_type;
extern const struct object_type port_selector_type;

// The rows every document begins with; 'spec' follows.
#define DOCUMENT_ROWS                                                                     \
	NOTHING("apiVersion", SILENT, "one of the versions of the kind"),                 \
		NOTHING("kind", SILENT, "the kind's name"),                               \
		FIELD("metadata", F_OBJECT, document.metadata, "name, namespace, labels", \
			.required = true, .object = &metadata_type),                      \
		NOTHING("status", SILENT, "written by other programs")
#define SPEC_ROW(type) \
	FIELD("spec", F_OBJECT, spec, "see below", .required = true, .object = &(type))
