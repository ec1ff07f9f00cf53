// DestinationRule: how to speak with a service (reference/istio-gateway.md, 3).
#include "mgmt/objects.h"
#include "router/config.h"

#define OBJECT pool_tcp
static const struct field tcp_fields[] = {
	FIELD("maxConnections", F_COUNT, max_connections,
		"to the service, over all workers; 0: no limit", .max = "2147483647"),
	FIELD("connectTimeout", F_DURATION, connect_timeout_us, "absent: meshConfig.connectTimeout",
		.min = "1ms"),
	FIELD("tcpKeepalive", F_OBJECT, keepalive, "probes of idle connections",
		.object = &keepalive_type),
	FIELD("idleTimeout", F_DURATION, idle_timeout_us, "if http.idleTimeout is absent"),
	NOTHING("maxConnectionDuration", NOT_ACTED_ON, "connections live as long as they are used"),
};
static const struct object_type tcp_type = TYPE("connectionPool.tcp", tcp_fields);
#undef OBJECT

static const struct enum_value h2_upgrades[] = {
	{"DEFAULT",        H2_UPGRADE_DEFAULT, NULL},
	{"DO_NOT_UPGRADE", H2_UPGRADE_NO,      NULL},
	{"UPGRADE",        H2_UPGRADE_YES,     NULL},
	{NULL,             0,		  NULL},
};

#define OBJECT pool_http
static const struct field http_fields[] = {
	FIELD("http1MaxPendingRequests", F_COUNT, max_pending_requests,
		"that wait for a connection; 0: no limit", .max = "2147483647"),
	FIELD("http2MaxRequests", F_COUNT, max_requests,
		"at the same time, HTTP/1.1 too; 0: no limit", .max = "2147483647"),
	FIELD("maxRequestsPerConnection", F_COUNT, max_requests_per_connection,
		"1: no keep-alive; 0: no limit", .max = "536870912"),
	FIELD("maxRetries", F_COUNT, max_retries, "at the same time; 0: no limit",
		.max = "2147483647"),
	FIELD("idleTimeout", F_DURATION, idle_timeout_us,
		"of a connection without requests; absent: 1h"),
	FIELD("h2UpgradePolicy", F_ENUM, h2_upgrade, "HTTP/2 to the service", .dflt = "DEFAULT",
		.values = h2_upgrades),
	FIELD("useClientProtocol", F_BOOL, use_client_protocol,
		"the version a request came by goes on", .dflt = "false"),
	FIELD("maxConcurrentStreams", F_COUNT, max_concurrent_streams,
		"requests at the same time on an HTTP/2 connection; 0: 1024", .max = "2147483647"),
	FIELD("http2KeepAlive", F_OBJECT, keepalive, "PING frames on HTTP/2 connections",
		.object = &http2_keepalive_type),
};
static const struct object_type http_type = TYPE("connectionPool.http", http_fields);
#undef OBJECT

#define OBJECT connection_pool
static const struct field pool_fields[] = {
	FIELD("tcp", F_OBJECT, tcp, "see below", .object = &tcp_type),
	FIELD("http", F_OBJECT, http, "see below", .object = &http_type),
};
static const struct object_type pool_type = TYPE("connectionPool", pool_fields);
#undef OBJECT

#define OBJECT outlier_detection
static const struct field outlier_fields[] = {
	FIELD("consecutive5xxErrors", F_COUNT, consecutive_5xx,
		"failures in a row that eject a host; 0: off", .dflt = "5"),
	FIELD("consecutiveGatewayErrors", F_COUNT, consecutive_gateway,
		"the same for 502, 503, 504; 0: off", .dflt = "0"),
	FIELD("interval", F_DURATION, interval_us, "between looks at who may return", .dflt = "10s",
		.min = "1ms"),
	FIELD("baseEjectionTime", F_DURATION, base_ejection_us,
		"the n-th ejection lasts n times this long", .dflt = "30s", .min = "1ms"),
	FIELD("maxEjectionPercent", F_COUNT, max_ejection_percent,
		"of the hosts, out at the same time; 0 and absent: 10", .max = "100"),
	FIELD("minHealthPercent", F_COUNT, min_health_percent,
		"with fewer healthy hosts, ejection is ignored", .dflt = "0", .max = "100"),
	NOTHING("consecutiveErrors", NOT_ACTED_ON,
		"Istio has withdrawn it; use consecutive5xxErrors"),
	NOTHING("splitExternalLocalOriginErrors", NOT_ACTED_ON, "local failures count as 5xx"),
	NOTHING("consecutiveLocalOriginFailures", NOT_ACTED_ON, "local failures count as 5xx"),
	NOTHING("outlierDetectionHttpErrorCodes", NOT_ACTED_ON, "500 to 599 are failures"),
};
static const struct object_type outlier_type = TYPE("outlierDetection", outlier_fields);
#undef OBJECT

static const struct enum_value balancers[] = {
	{"UNSPECIFIED",   LB_LEAST_REQUEST, NULL                   },
	{"ROUND_ROBIN",   LB_ROUND_ROBIN,   NULL                   },
	{"LEAST_REQUEST", LB_LEAST_REQUEST, NULL                   },
	{"LEAST_CONN",    LB_LEAST_REQUEST, NULL                   },
	{"RANDOM",        LB_RANDOM,        NULL                   },
	{"PASSTHROUGH",   LB_LEAST_REQUEST, "LEAST_REQUEST is used"},
	{NULL,            0,                NULL                   },
};

#define OBJECT load_balancer
static const struct field balancer_fields[] = {
	FIELD("simple", F_ENUM, simple, "how a host is chosen", .dflt = "LEAST_REQUEST",
		.values = balancers),
	NOTHING("consistentHash", NOT_ACTED_ON, "LEAST_REQUEST is used"),
	NOTHING("localityLbSetting", NOT_ACTED_ON, "there are no localities"),
	NOTHING("zoneAwareLbSetting", NOT_ACTED_ON, "there are no localities"),
	NOTHING("warmup", NOT_ACTED_ON, "new hosts get their full share"),
	NOTHING("warmupDurationSecs", NOT_ACTED_ON, "new hosts get their full share"),
};
static const struct object_type balancer_type = TYPE("loadBalancer", balancer_fields);
#undef OBJECT

static const struct enum_value client_tls_modes[] = {
	{"DISABLE",      0, NULL				  },
	{"SIMPLE",       1, "services are spoken to in clear text"},
	{"MUTUAL",       1, "services are spoken to in clear text"},
	{"ISTIO_MUTUAL", 1, "services are spoken to in clear text"},
	{NULL,           0, NULL				  },
};

#define OBJECT client_tls
static const struct field client_tls_fields[] = {
	FIELD("mode", F_ENUM, mode, "TLS to the service", .dflt = "DISABLE",
		.values = client_tls_modes),
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

#define POLICY_ROWS                                                                              \
	FIELD("loadBalancer", F_OBJECT, load_balancer, "see below", .object = &balancer_type),   \
		FIELD("connectionPool", F_OBJECT, connection_pool, "see below",                  \
			.object = &pool_type),                                                   \
		FIELD("outlierDetection", F_OBJECT, outlier,                                     \
			"see below; {} turns it on with its defaults", .object = &outlier_type), \
		FIELD("tls", F_OBJECT, tls, "see below", .object = &client_tls_type)

#define OBJECT port_policy
static const struct field port_policy_fields[] = {
	FIELD("port", F_OBJECT, port, "of the service", .required = true,
		.object = &port_selector_type),
	POLICY_ROWS,
};
static const struct object_type port_policy_type =
	TYPE("DestinationRule spec.trafficPolicy.portLevelSettings[]", port_policy_fields);
#undef OBJECT

static const struct enum_value proxy_versions[] = {
	{"V1", 1, NULL},
	{"V2", 2, NULL},
	{NULL, 0, NULL},
};

#define OBJECT proxy_header_spec
static const struct field proxy_header_fields[] = {
	FIELD("version", F_ENUM, version, "of the header", .dflt = "V1", .values = proxy_versions),
};
static const struct object_type proxy_header_type =
	TYPE("trafficPolicy.proxyProtocol", proxy_header_fields);
#undef OBJECT

#define OBJECT traffic_policy
static const struct field policy_fields[] = {
	POLICY_ROWS,
	LIST_FIELD("portLevelSettings", F_OBJECTS, ports, "replace all of the above for one port",
		.object = &port_policy_type),
	NOTHING("tunnel", NOT_ACTED_ON, "there are no tunnels"),
	FIELD("proxyProtocol", F_OBJECT, proxy_protocol,
		"connections begin with a PROXY header that says who the client is; each is one client "
		"connection's",
		.object = &proxy_header_type),
	NOTHING("retryBudget", NOT_ACTED_ON, "maxRetries is the limit"),
};
static const struct object_type policy_type =
	TYPE("DestinationRule spec.trafficPolicy", policy_fields);
#undef OBJECT

#define OBJECT subset
static const struct field subset_fields[] = {
	FIELD("name", F_STRING, name, "what a VirtualService calls it", .required = true),
	LIST_FIELD("labels", F_MAP, labels, "of the hosts that belong to it; absent: all"),
	FIELD("trafficPolicy", F_OBJECT, policy, "its blocks replace the rule's",
		.object = &policy_type),
};
static const struct object_type subset_type = TYPE("DestinationRule spec.subsets[]", subset_fields);
#undef OBJECT

#define OBJECT destination_rule_spec
static const struct field spec_fields[] = {
	FIELD("host", F_STRING, host, "of a service: name, *.suffix", .required = true),
	FIELD("trafficPolicy", F_OBJECT, policy, "see below", .object = &policy_type),
	LIST_FIELD("subsets", F_OBJECTS, subsets, "see below", .object = &subset_type),
	LIST_FIELD("exportTo", F_STRINGS, export_to, "namespaces, . or *"),
	NOTHING("workloadSelector", NOT_ACTED_ON, "the rule holds for every workload"),
};
static const struct object_type spec_type = TYPE("DestinationRule spec", spec_fields);
#undef OBJECT

#define OBJECT destination_rule
static const struct field destination_rule_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type destination_rule_type = TYPE("DestinationRule", destination_rule_fields);
#undef OBJECT
