// DestinationRule: how to speak with a service (reference/istio-gateway.md, 3).
#include "mgmt/objects.h"
#include "router/config.h"

#define OBJECT pool_tcp
static const struct field tcp_fields[] = {
	{"maxConnections", F_COUNT, AT(max_connections), .max = "2147483647",
		.help = "to the service, over all workers; 0: no limit"},
	{"connectTimeout", F_DURATION, AT(connect_timeout_us), .min = "1ms",
		.help = "absent: meshConfig.connectTimeout"},
	{"tcpKeepalive", F_OBJECT, AT(keepalive), .object = &keepalive_type, .help = "probes of idle connections"},
	{"idleTimeout", F_DURATION, AT(idle_timeout_us), .help = "if http.idleTimeout is absent"},
	NOTHING("maxConnectionDuration", NOT_ACTED_ON, "connections live as long as they are used"),
};
static const struct object_type tcp_type = TYPE("connectionPool.tcp", tcp_fields);
#undef OBJECT

static const struct enum_value h2_upgrades[] = {
	{"DEFAULT", 0, NULL},
	{"DO_NOT_UPGRADE", 0, NULL},
	{"UPGRADE", 1, "services are spoken to in HTTP/1.1"},
	{NULL, 0, NULL},
};

#define OBJECT pool_http
static const struct field http_fields[] = {
	{"http1MaxPendingRequests", F_COUNT, AT(max_pending_requests), .max = "2147483647",
		.help = "that wait for a connection; 0: no limit"},
	{"http2MaxRequests", F_COUNT, AT(max_requests), .max = "2147483647",
		.help = "at the same time, HTTP/1.1 too; 0: no limit"},
	{"maxRequestsPerConnection", F_COUNT, AT(max_requests_per_connection), .max = "536870912",
		.help = "1: no keep-alive; 0: no limit"},
	{"maxRetries", F_COUNT, AT(max_retries), .max = "2147483647",
		.help = "at the same time; 0: no limit"},
	{"idleTimeout", F_DURATION, AT(idle_timeout_us), .help = "of a connection without requests; absent: 1h"},
	{"h2UpgradePolicy", F_ENUM, AT(h2_upgrade), .dflt = "DEFAULT", .values = h2_upgrades,
		.help = "HTTP/2 to the service"},
	NOTHING("useClientProtocol", NOT_ACTED_ON, "services are spoken to in HTTP/1.1"),
	NOTHING("maxConcurrentStreams", NOT_ACTED_ON, "services are spoken to in HTTP/1.1"),
	NOTHING("http2KeepAlive", NOT_ACTED_ON, "services are spoken to in HTTP/1.1"),
};
static const struct object_type http_type = TYPE("connectionPool.http", http_fields);
#undef OBJECT

#define OBJECT connection_pool
static const struct field pool_fields[] = {
	{"tcp", F_OBJECT, AT(tcp), .object = &tcp_type, .help = "see below"},
	{"http", F_OBJECT, AT(http), .object = &http_type, .help = "see below"},
};
static const struct object_type pool_type = TYPE("connectionPool", pool_fields);
#undef OBJECT

#define OBJECT outlier_detection
static const struct field outlier_fields[] = {
	{"consecutive5xxErrors", F_COUNT, AT(consecutive_5xx), .dflt = "5",
		.help = "failures in a row that eject a host; 0: off"},
	{"consecutiveGatewayErrors", F_COUNT, AT(consecutive_gateway), .dflt = "0",
		.help = "the same for 502, 503, 504; 0: off"},
	{"interval", F_DURATION, AT(interval_us), .dflt = "10s", .min = "1ms",
		.help = "between looks at who may return"},
	{"baseEjectionTime", F_DURATION, AT(base_ejection_us), .dflt = "30s", .min = "1ms",
		.help = "the n-th ejection lasts n times this long"},
	{"maxEjectionPercent", F_COUNT, AT(max_ejection_percent), .max = "100",
		.help = "of the hosts, out at the same time; 0 and absent: 10"},
	{"minHealthPercent", F_COUNT, AT(min_health_percent), .dflt = "0", .max = "100",
		.help = "with fewer healthy hosts, ejection is ignored"},
	NOTHING("consecutiveErrors", NOT_ACTED_ON, "Istio has withdrawn it; use consecutive5xxErrors"),
	NOTHING("splitExternalLocalOriginErrors", NOT_ACTED_ON, "local failures count as 5xx"),
	NOTHING("consecutiveLocalOriginFailures", NOT_ACTED_ON, "local failures count as 5xx"),
	NOTHING("outlierDetectionHttpErrorCodes", NOT_ACTED_ON, "500 to 599 are failures"),
};
static const struct object_type outlier_type = TYPE("outlierDetection", outlier_fields);
#undef OBJECT

static const struct enum_value balancers[] = {
	{"UNSPECIFIED", LB_LEAST_REQUEST, NULL},
	{"ROUND_ROBIN", LB_ROUND_ROBIN, NULL},
	{"LEAST_REQUEST", LB_LEAST_REQUEST, NULL},
	{"LEAST_CONN", LB_LEAST_REQUEST, NULL},
	{"RANDOM", LB_RANDOM, NULL},
	{"PASSTHROUGH", LB_LEAST_REQUEST, "LEAST_REQUEST is used"},
	{NULL, 0, NULL},
};

#define OBJECT load_balancer
static const struct field balancer_fields[] = {
	{"simple", F_ENUM, AT(simple), .dflt = "LEAST_REQUEST", .values = balancers,
		.help = "how a host is chosen"},
	NOTHING("consistentHash", NOT_ACTED_ON, "LEAST_REQUEST is used"),
	NOTHING("localityLbSetting", NOT_ACTED_ON, "there are no localities"),
	NOTHING("zoneAwareLbSetting", NOT_ACTED_ON, "there are no localities"),
	NOTHING("warmup", NOT_ACTED_ON, "new hosts get their full share"),
	NOTHING("warmupDurationSecs", NOT_ACTED_ON, "new hosts get their full share"),
};
static const struct object_type balancer_type = TYPE("loadBalancer", balancer_fields);
#undef OBJECT

static const struct enum_value client_tls_modes[] = {
	{"DISABLE", 0, NULL},
	{"SIMPLE", 1, "services are spoken to in clear text"},
	{"MUTUAL", 1, "services are spoken to in clear text"},
	{"ISTIO_MUTUAL", 1, "services are spoken to in clear text"},
	{NULL, 0, NULL},
};

#define OBJECT client_tls
static const struct field client_tls_fields[] = {
	{"mode", F_ENUM, AT(mode), .dflt = "DISABLE", .values = client_tls_modes, .help = "TLS to the service"},
	NOTHING("clientCertificate", SILENT, "see mode"),
	NOTHING("privateKey", SILENT, "see mode"),
	NOTHING("caCertificates", SILENT, "see mode"),
	NOTHING("credentialName", SILENT, "see mode"),
	NOTHING("subjectAltNames", SILENT, "see mode"),
	NOTHING("sni", SILENT, "see mode"),
	NOTHING("insecureSkipVerify", SILENT, "see mode"),
	NOTHING("caCrl", SILENT, "see mode"),
};
static const struct object_type client_tls_type = TYPE("trafficPolicy.tls", client_tls_fields);
#undef OBJECT

#define POLICY_ROWS                                                                                \
	{.name = "loadBalancer", .kind = F_OBJECT, AT(load_balancer), .object = &balancer_type,    \
		.help = "see below"},                                                              \
	{.name = "connectionPool", .kind = F_OBJECT, AT(connection_pool), .object = &pool_type,    \
		.help = "see below"},                                                              \
	{.name = "outlierDetection", .kind = F_OBJECT, AT(outlier), .object = &outlier_type,       \
		.help = "see below; {} turns it on with its defaults"},                            \
	{.name = "tls", .kind = F_OBJECT, AT(tls), .object = &client_tls_type, .help = "see below"}

#define OBJECT port_policy
static const struct field port_policy_fields[] = {
	{"port", F_OBJECT, AT(port), .required = true, .object = &port_selector_type,
		.help = "of the service"},
	POLICY_ROWS,
};
static const struct object_type port_policy_type =
	TYPE("DestinationRule spec.trafficPolicy.portLevelSettings[]", port_policy_fields);
#undef OBJECT

#define OBJECT traffic_policy
static const struct field policy_fields[] = {
	POLICY_ROWS,
	{"portLevelSettings", F_OBJECTS, LIST(ports), .object = &port_policy_type,
		.help = "replace all of the above for one port"},
	NOTHING("tunnel", NOT_ACTED_ON, "there are no tunnels"),
	NOTHING("proxyProtocol", NOT_ACTED_ON, "no PROXY header is sent"),
	NOTHING("retryBudget", NOT_ACTED_ON, "maxRetries is the limit"),
};
static const struct object_type policy_type = TYPE("DestinationRule spec.trafficPolicy", policy_fields);
#undef OBJECT

#define OBJECT subset
static const struct field subset_fields[] = {
	{"name", F_STRING, AT(name), .required = true, .help = "what a VirtualService calls it"},
	{"labels", F_MAP, LIST(labels), .help = "of the hosts that belong to it; absent: all"},
	{"trafficPolicy", F_OBJECT, AT(policy), .object = &policy_type,
		.help = "its blocks replace the rule's"},
};
static const struct object_type subset_type = TYPE("DestinationRule spec.subsets[]", subset_fields);
#undef OBJECT

#define OBJECT destination_rule_spec
static const struct field spec_fields[] = {
	{"host", F_STRING, AT(host), .required = true, .help = "of a service: name, *.suffix"},
	{"trafficPolicy", F_OBJECT, AT(policy), .object = &policy_type, .help = "see below"},
	{"subsets", F_OBJECTS, LIST(subsets), .object = &subset_type, .help = "see below"},
	{"exportTo", F_STRINGS, LIST(export_to), .help = "namespaces, . or *"},
	NOTHING("workloadSelector", NOT_ACTED_ON, "the rule holds for every workload"),
};
static const struct object_type spec_type = TYPE("DestinationRule spec", spec_fields);
#undef OBJECT

#define OBJECT destination_rule
static const struct field destination_rule_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type destination_rule_type = TYPE("DestinationRule", destination_rule_fields);
#undef OBJECT
