// From checked documents to router_config: Istio's semantics in one place
// (reference/istio-gateway.md, 1 to 5). Only the files translate_*.c include this.
//
//     Appliance ----------> appliance (translate_appliance.c)
//     Gateway, VirtualService --> listeners, chains, hosts (translate_gateway.c) --> routes (translate_route.c)
//     Service, ServiceEntry, EndpointSlice --> backends (translate_backend.c)
//     what routes name x DestinationRule ----> clusters (translate_cluster.c)
//
// Documents with an error are left out: the whole is refused then anyway, and the rest is still
// looked at for mistakes.
#pragma once

#include "mgmt/config.h"
#include "mgmt/manifest.h"

struct backend_port {
	uint32_t number;
	uint32_t target; // of a ServiceEntry; 0: 'number'
	const char *name;
	bool http2; // spoken by prior knowledge
};

// A Service, or one host of a ServiceEntry.
struct backend {
	const char *host; // lower case, complete
	const char *name; // short
	const char *namespace;
	const struct service *service; // one of the two
	const struct service_entry *entry;
	struct backend_port *ports;
	unsigned n_ports;
};

// A cluster that a route names.
struct wanted_cluster {
	const char *name;
	const struct backend *backend;
	const struct backend_port *port;
	const char *subset;
};

struct translation {
	const struct manifest *m;
	struct diag *d;
	struct region *work;            // until the end of the translation
	struct region *out;             // of router_config
	const struct mesh_config *mesh; // never NULL
	const struct appliance *appliance;
	const struct key_value *labels; // the Appliance's
	unsigned n_labels;
	struct router_config *router;
	int64_t now_s;

	struct backend *backends; // by host
	unsigned n_backends;
	struct endpoint_slice **slices; // by namespace and service
	unsigned n_slices;
	struct wanted_cluster *clusters;
	unsigned n_clusters;
	const char **rule_hosts;                     // complete, of each DestinationRule
	const struct destination_rule **rules_found; // room for all of them
	unsigned *cluster_index; // hash table of 'clusters' by name, plus 1; 0: free
	unsigned cluster_index_size;
};

// --- names (translate_name.c)

#define CLUSTER_DOMAIN "cluster.local"

// Completes a short name by its object's namespace; lower case (reference 0.3).
const char *host_complete(struct region *r, const char *host, const char *namespace);
// True if 'pattern' ("a.example", "*.example", "*") covers the host or pattern 'host'.
bool host_covers(const char *pattern, const char *host);
// Where it is visible from 'namespace' (reference 0.6).
bool is_exported(const char *const *to, unsigned n, const char *own, const char *namespace);
// "name", "namespace/name", "./name" in an object of 'own': "namespace/name".
const char *gateway_reference(struct region *r, const char *text, const char *own);
// Strict base64; '*len' is that of the result, a zero byte follows. NULL if it is not base64.
char *base64_decode(struct region *r, const char *text, size_t *len);

// --- the steps, in order

// The Appliance in 'out'; one with defaults if there is no document.
struct appliance *translate_appliance(
	const struct manifest *m, struct region *out, const struct document **document);
void translate_http_and_log(struct translation *t);
void translate_backends(struct translation *t);
void translate_gateways(struct translation *t);
void translate_clusters(struct translation *t);

// The backend of a complete host name, or NULL.
const struct backend *backend_find(const struct translation *t, const char *host);
// Endpoints of 'c' by subset's labels; sets the two members.
void backend_endpoints(struct translation *t, const struct wanted_cluster *c,
	const struct key_value *labels, unsigned n_labels, struct cluster_config *to);

// Notes that a route needs the cluster; returns its name.
const char *cluster_want(struct translation *t, const struct backend *b,
	const struct backend_port *port, const char *subset);
// True if a DestinationRule that holds for 'b' has the subset.
bool cluster_has_subset(struct translation *t, const struct backend *b, const char *subset);

// Routes of 'vs' for one server of one Gateway.
struct route_place {
	const char *gateway;  // "namespace/name" or "mesh"
	uint32_t server_port; // the server's number
};
struct routes {
	struct route_config *at;
	unsigned n;
};
struct routes translate_routes(
	struct translation *t, const struct virtual_service *vs, const struct route_place *place);
bool route_is_catch_all(const struct route_config *r);

void translate_retry(struct translation *t, const struct http_retry *own, struct retry_config *to);
// Unknown words of 'text' go to 'fn'.
typedef void retry_word_fn(void *arg, const char *word);
void retry_on_parse(const char *text, struct retry_config *to, retry_word_fn *fn, void *arg);

// The operations of 'first', then of 'second', as one pass (either may be NULL).
struct header_ops translate_header_ops(struct translation *t, const struct header_operations *first,
	const struct header_operations *second);
// The literal Host that the operations set, or NULL.
const char *translate_host_header(struct translation *t, const struct header_operations *o);

// Where a server of a Gateway is bound (reference 1.5).
uint16_t bound_port(const struct translation *t, uint32_t server_number);

// TLS of a server as one filter chain.
void translate_tls(struct translation *t, const struct server *s, struct tls_chain_config *to);
