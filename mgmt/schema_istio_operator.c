// IstioOperator and meshConfig (reference/istio-gateway.md, 5).
#include "mgmt/objects.h"
#include "router/config.h"

static const struct enum_value encodings[] = {
	{"TEXT", 0, NULL},
	{"JSON", 1, NULL},
	{NULL,   0, NULL},
};

static const struct enum_value normalizations[] = {
	{"DEFAULT",                  PATH_NORMALIZE_BASE,                     NULL},
	{"NONE",		     PATH_NORMALIZE_NONE,                     NULL},
	{"BASE",		     PATH_NORMALIZE_BASE,                     NULL},
	{"MERGE_SLASHES",            PATH_NORMALIZE_MERGE_SLASHES,            NULL},
	{"DECODE_AND_MERGE_SLASHES", PATH_NORMALIZE_DECODE_AND_MERGE_SLASHES, NULL},
	{NULL,		       0,				       NULL},
};

#define OBJECT path_normalization_spec
static const struct field normalization_fields[] = {
	FIELD("normalization", F_ENUM, mode, "of paths, before they are matched", .dflt = "DEFAULT",
		.values = normalizations),
};
static const struct object_type normalization_type =
	TYPE("meshConfig.pathNormalization", normalization_fields);
#undef OBJECT

#define OBJECT proxy_protocol_spec
static const struct field proxy_protocol_fields[] = {};
static const struct object_type proxy_protocol_type =
	TYPE("meshConfig.defaultConfig.gatewayTopology.proxyProtocol", proxy_protocol_fields);
#undef OBJECT

#define OBJECT gateway_topology
static const struct field topology_fields[] = {
	FIELD("numTrustedProxies", F_COUNT, num_trusted_proxies,
		"proxies before us whose x-forwarded-for counts", .dflt = "0", .max = "255"),
	NOTHING("forwardClientCertDetails", NOT_ACTED_ON,
		"x-forwarded-client-cert is made anew: SANITIZE_SET"),
	FIELD("proxyProtocol", F_OBJECT, proxy_protocol,
		"{}: each connection has to begin with a PROXY header, version 1 or 2",
		.object = &proxy_protocol_type),
};
static const struct object_type topology_type =
	TYPE("meshConfig.defaultConfig.gatewayTopology", topology_fields);
#undef OBJECT

#define OBJECT proxy_header
static const struct field proxy_header_fields[] = {
	FIELD("disabled", F_BOOL, disabled, "true: not sent", .dflt = "false"),
};
static const struct object_type proxy_header_type =
	TYPE("meshConfig.defaultConfig.proxyHeaders.requestId, attemptCount, envoyDebugHeaders",
		proxy_header_fields);
#undef OBJECT

#define OBJECT proxy_header_added
static const struct field proxy_header_added_fields[] = {
	FIELD("enabled", F_BOOL, enabled, "true: sent", .dflt = "false"),
};
static const struct object_type proxy_header_added_type =
	TYPE("meshConfig.defaultConfig.proxyHeaders.xForwardedHost, xForwardedPort",
		proxy_header_added_fields);
#undef OBJECT

#define OBJECT proxy_server_header
static const struct field proxy_server_header_fields[] = {
	FIELD("disabled", F_BOOL, disabled, "true: what the service says stays", .dflt = "false"),
	FIELD("value", F_STRING, value, "absent: the Appliance's http.serverName"),
};
static const struct object_type proxy_server_header_type =
	TYPE("meshConfig.defaultConfig.proxyHeaders.server", proxy_server_header_fields);
#undef OBJECT

#define OBJECT proxy_headers
static const struct field proxy_headers_fields[] = {
	FIELD("server", F_OBJECT, server, "see below", .object = &proxy_server_header_type),
	FIELD("requestId", F_OBJECT, request_id,
		"x-request-id; disabled: the client's stays, none is made",
		.object = &proxy_header_type),
	FIELD("attemptCount", F_OBJECT, attempt_count, "x-envoy-attempt-count",
		.object = &proxy_header_type),
	FIELD("envoyDebugHeaders", F_OBJECT, debug,
		"x-envoy-attempt-count, -expected-rq-timeout-ms, -original-path, -overloaded, "
		"-upstream-service-time",
		.object = &proxy_header_type),
	FIELD("xForwardedHost", F_OBJECT, forwarded_host,
		"x-forwarded-host where the authority is rewritten",
		.object = &proxy_header_added_type),
	FIELD("xForwardedPort", F_OBJECT, forwarded_port, "x-forwarded-port: the port bound",
		.object = &proxy_header_added_type),
	NOTHING("metadataExchangeHeaders", NOT_ACTED_ON, "they are not sent"),
	NOTHING("preserveHttp1HeaderCase", NOT_ACTED_ON, "names are sent in lower case"),
	NOTHING("forwardedClientCert", NOT_ACTED_ON, "gatewayTopology decides"),
	NOTHING("setCurrentClientCertDetails", NOT_ACTED_ON, "gatewayTopology decides"),
};
static const struct object_type proxy_headers_type =
	TYPE("meshConfig.defaultConfig.proxyHeaders", proxy_headers_fields);
#undef OBJECT

#define OBJECT proxy_config
static const struct field proxy_fields[] = {
	FIELD("gatewayTopology", F_OBJECT, topology, "see below", .object = &topology_type),
	NOTHING("tracing", NOT_ACTED_ON, "requests are not traced"),
	NOTHING("holdApplicationUntilProxyStarts", NOT_FOR_GATEWAY, "sidecars only"),
	NOTHING("concurrency", NOT_ACTED_ON, "the Appliance's workers.cores decides"),
	NOTHING("drainDuration", NOT_ACTED_ON, "the Appliance's drain.timeout decides"),
	NOTHING("terminationDrainDuration", NOT_ACTED_ON, "the Appliance's drain.timeout decides"),
	NOTHING("proxyAdminPort", NOT_ACTED_ON, "the Appliance's management decides"),
	NOTHING("statusPort", NOT_ACTED_ON, "the Appliance's management decides"),
	NOTHING("discoveryAddress", NOT_ACTED_ON, "the configuration is in files"),
	NOTHING("proxyMetadata", NOT_ACTED_ON, "there is no Envoy"),
	NOTHING("proxyStatsMatcher", NOT_ACTED_ON, "all statistics are shown"),
	FIELD("proxyHeaders", F_OBJECT, headers, "see below", .object = &proxy_headers_type),
	NOTHING("statNameLength", NOT_ACTED_ON, NULL),
	NOTHING("fileFlushInterval", NOT_ACTED_ON, NULL),
	NOTHING("fileFlushMinSizeKb", NOT_ACTED_ON, NULL),
	NOTHING("connectionSettings", NOT_ACTED_ON, "the Appliance's http decides"),
	NOTHING("runtimeValues", NOT_ACTED_ON, "there is no Envoy"),
	NOTHING("image", NOT_FOR_GATEWAY, NULL),
};
static const struct object_type proxy_type = TYPE("meshConfig.defaultConfig", proxy_fields);
#undef OBJECT

static const struct enum_value h2_upgrades[] = {
	{"DO_NOT_UPGRADE", 0, NULL},
	{"UPGRADE",        1, NULL},
	{NULL,             0, NULL},
};

#define OBJECT mesh_config
static const struct field mesh_fields[] = {
	FIELD("accessLogFile", F_STRING, access_log_file, "path of the access log; absent: none"),
	FIELD("accessLogFormat", F_STRING, access_log_format, "absent: Istio's"),
	FIELD("accessLogEncoding", F_ENUM, access_log_json,
		"JSON: accessLogFormat is a JSON object", .dflt = "TEXT", .values = encodings),
	FIELD("connectTimeout", F_DURATION, connect_timeout_us, "to a service", .dflt = "10s",
		.min = "1ms"),
	FIELD("tcpKeepalive", F_OBJECT, keepalive, "of connections to services",
		.object = &keepalive_type),
	FIELD("defaultHttpRetryPolicy", F_OBJECT, retry, "for routes without retries",
		.object = &http_retry_type),
	FIELD("pathNormalization", F_OBJECT, normalization, "see below",
		.object = &normalization_type),
	FIELD("rootNamespace", F_STRING, root_namespace, "whose DestinationRules hold for all",
		.dflt = "istio-system"),
	FIELD("defaultConfig", F_OBJECT, proxy, "see below", .object = &proxy_type),
	NOTHING("enableAutoMtls", NOT_ACTED_ON, "services are spoken to in clear text"),
	NOTHING("outboundTrafficPolicy", NOT_FOR_GATEWAY, "unknown hosts get 404 or 503 anyway"),
	NOTHING("enableTracing", NOT_ACTED_ON, "requests are not traced"),
	NOTHING("defaultTrafficPolicy", NOT_ACTED_ON, "DestinationRules are"),
	NOTHING("trustDomain", NOT_ACTED_ON, "services are spoken to in clear text"),
	NOTHING("trustDomainAliases", NOT_ACTED_ON, "services are spoken to in clear text"),
	NOTHING("caCertificates", NOT_ACTED_ON, "services are spoken to in clear text"),
	NOTHING("meshMTLS", NOT_ACTED_ON, "services are spoken to in clear text"),
	NOTHING("tlsDefaults", NOT_ACTED_ON, "the Gateway's tls decides"),
	NOTHING("enableEnvoyAccessLogService", NOT_ACTED_ON, "the log is a file"),
	NOTHING("disableEnvoyListenerLog", NOT_ACTED_ON, NULL),
	NOTHING("extensionProviders", NOT_ACTED_ON, "there are no extensions"),
	NOTHING("defaultProviders", NOT_ACTED_ON, "there are no extensions"),
	NOTHING("protocolDetectionTimeout", NOT_ACTED_ON, "protocols are not guessed"),
	NOTHING("dnsRefreshRate", NOT_ACTED_ON, "names are not resolved"),
	NOTHING("localityLbSetting", NOT_ACTED_ON, "there are no localities"),
	FIELD("h2UpgradePolicy", F_ENUM, h2_upgrade, "HTTP/2 to services", .dflt = "DO_NOT_UPGRADE",
		.values = h2_upgrades),
	NOTHING("outboundClusterStatName", NOT_ACTED_ON, "clusters have Istio's names"),
	NOTHING("defaultServiceExportTo", NOT_ACTED_ON, "the default is *"),
	NOTHING("defaultVirtualServiceExportTo", NOT_ACTED_ON, "the default is *"),
	NOTHING("defaultDestinationRuleExportTo", NOT_ACTED_ON, "the default is *"),
	NOTHING("proxyListenPort", NOT_FOR_GATEWAY, "sidecars only"),
	NOTHING("proxyInboundListenPort", NOT_FOR_GATEWAY, "sidecars only"),
	NOTHING("proxyHttpPort", NOT_FOR_GATEWAY, "sidecars only"),
	NOTHING("discoverySelectors", NOT_FOR_GATEWAY, "the configuration is in files"),
	NOTHING("configSources", NOT_FOR_GATEWAY, "the configuration is in files"),
	NOTHING("serviceSettings", NOT_FOR_GATEWAY, NULL),
	NOTHING("certificates", NOT_FOR_GATEWAY, NULL),
	NOTHING("ca", NOT_FOR_GATEWAY, NULL),
	NOTHING("ingressSelector", NOT_FOR_GATEWAY, "Kubernetes Ingress is not read"),
	NOTHING("ingressClass", NOT_FOR_GATEWAY, "Kubernetes Ingress is not read"),
	NOTHING("ingressControllerMode", NOT_FOR_GATEWAY, "Kubernetes Ingress is not read"),
	NOTHING("ingressService", NOT_FOR_GATEWAY, "Kubernetes Ingress is not read"),
	NOTHING("enablePrometheusMerge", NOT_FOR_GATEWAY, "sidecars only"),
	NOTHING("verifyCertificateAtClient", NOT_ACTED_ON, "services are spoken to in clear text"),
};
const struct object_type mesh_config_type = TYPE("meshConfig", mesh_fields);
#undef OBJECT

#define OBJECT operator_port
static const struct field port_fields[] = {
	FIELD("name", F_STRING, name, "no effect"),
	FIELD("port", F_COUNT, port, "what a Gateway's server calls it", .required = true,
		.min = "1", .max = "65535"),
	FIELD("targetPort", F_NODE, target_port, "where it is bound; absent: port"),
	NOTHING("protocol", SILENT, "the Gateway's decides"),
	NOTHING("nodePort", SILENT, "for others"),
};
static const struct object_type port_type =
	TYPE("IstioOperator spec.components.ingressGateways[].k8s.service.ports[]", port_fields);
#undef OBJECT

#define OBJECT operator_service
static const struct field service_fields[] = {
	LIST_FIELD("ports", F_OBJECTS, ports, "see below", .object = &port_type),
	NOTHING("type", SILENT, "for others"),
	NOTHING("externalTrafficPolicy", SILENT, "for others"),
	NOTHING("loadBalancerIP", SILENT, "for others"),
	NOTHING("loadBalancerSourceRanges", SILENT, "for others"),
	NOTHING("selector", SILENT, "for others"),
	NOTHING("clusterIP", SILENT, "for others"),
	NOTHING("externalIPs", SILENT, "for others"),
};
static const struct object_type service_object_type =
	TYPE("IstioOperator spec.components.ingressGateways[].k8s.service", service_fields);
#undef OBJECT

#define OBJECT operator_k8s
static const struct field k8s_fields[] = {
	FIELD("service", F_OBJECT, service, "see below", .object = &service_object_type),
	NOTHING("resources", NOT_ACTED_ON, "the Appliance's memory.limit and workers.cores decide"),
	NOTHING("replicaCount", NOT_FOR_GATEWAY, "one process is one replica"),
	NOTHING("hpaSpec", NOT_FOR_GATEWAY, "one process is one replica"),
	NOTHING("env", NOT_ACTED_ON, "there is no Envoy"),
	NOTHING("affinity", NOT_FOR_GATEWAY, NULL),
	NOTHING("nodeSelector", NOT_FOR_GATEWAY, NULL),
	NOTHING("tolerations", NOT_FOR_GATEWAY, NULL),
	NOTHING("overlays", NOT_ACTED_ON, "the Appliance says what we are"),
	NOTHING("serviceAnnotations", SILENT, "for others"),
	NOTHING("podAnnotations", SILENT, "for others"),
	NOTHING("strategy", NOT_FOR_GATEWAY, NULL),
	NOTHING("podDisruptionBudget", NOT_FOR_GATEWAY, NULL),
	NOTHING("readinessProbe", NOT_FOR_GATEWAY, NULL),
	NOTHING("securityContext", NOT_FOR_GATEWAY, NULL),
	NOTHING("imagePullPolicy", NOT_FOR_GATEWAY, NULL),
	NOTHING("priorityClassName", NOT_FOR_GATEWAY, NULL),
	NOTHING("volumes", NOT_FOR_GATEWAY, NULL),
	NOTHING("volumeMounts", NOT_FOR_GATEWAY, NULL),
};
static const struct object_type k8s_type =
	TYPE("IstioOperator spec.components.ingressGateways[].k8s", k8s_fields);
#undef OBJECT

#define OBJECT operator_gateway
static const struct field gateway_fields[] = {
	FIELD("name", F_STRING, name, "the Appliance's name: this is us", .required = true),
	FIELD("namespace", F_STRING, namespace, "absent: istio-system"),
	FIELD("enabled", F_BOOL, enabled, "false: the entry is not looked at", .dflt = "true"),
	FIELD("k8s", F_OBJECT, k8s, "see below", .object = &k8s_type),
	NOTHING("label", SILENT, "the Appliance's labels decide"),
	NOTHING("hub", SILENT, NULL),
	NOTHING("tag", SILENT, NULL),
};
static const struct object_type gateway_entry_type =
	TYPE("IstioOperator spec.components.ingressGateways[]", gateway_fields);
#undef OBJECT

#define OBJECT operator_components
static const struct field components_fields[] = {
	LIST_FIELD(
		"ingressGateways", F_OBJECTS, ingress, "see below", .object = &gateway_entry_type),
	NOTHING("pilot", NOT_FOR_GATEWAY,
		"there is no control plane here: its resources, replicas and HPA have no effect"),
	NOTHING("base", NOT_FOR_GATEWAY, NULL),
	NOTHING("cni", NOT_FOR_GATEWAY, NULL),
	NOTHING("ztunnel", NOT_FOR_GATEWAY, NULL),
	NOTHING("egressGateways", NOT_FOR_GATEWAY, "an ingress gateway"),
	NOTHING("istiodRemote", NOT_FOR_GATEWAY, NULL),
};
static const struct object_type components_type =
	TYPE("IstioOperator spec.components", components_fields);
#undef OBJECT

#define OBJECT operator_spec
static const struct field spec_fields[] = {
	FIELD("meshConfig", F_OBJECT, mesh, "see below", .object = &mesh_config_type),
	FIELD("components", F_OBJECT, components, "see below", .object = &components_type),
	NOTHING("profile", SILENT, "decides what others install"),
	NOTHING("values", NOT_FOR_GATEWAY, "values of Helm charts"),
	NOTHING("unvalidatedValues", NOT_FOR_GATEWAY, "values of Helm charts"),
	NOTHING("hub", SILENT, NULL),
	NOTHING("tag", SILENT, NULL),
	NOTHING("revision", SILENT, NULL),
	NOTHING("namespace", SILENT, NULL),
	NOTHING("installPackagePath", SILENT, NULL),
	NOTHING("addonComponents", NOT_FOR_GATEWAY, NULL),
};
static const struct object_type spec_type = TYPE("IstioOperator spec", spec_fields);
#undef OBJECT

#define OBJECT istio_operator
static const struct field operator_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type istio_operator_type = TYPE("IstioOperator", operator_fields);
#undef OBJECT
