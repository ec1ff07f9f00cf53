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
	{"normalization", F_ENUM, AT(mode), .dflt = "DEFAULT", .values = normalizations,
         .help = "of paths, before they are matched"},
};
static const struct object_type normalization_type =
	TYPE("meshConfig.pathNormalization", normalization_fields);
#undef OBJECT

#define OBJECT gateway_topology
static const struct field topology_fields[] = {
	{"numTrustedProxies", F_COUNT, AT(num_trusted_proxies), .dflt = "0", .max = "255",
         .help = "proxies before us whose x-forwarded-for counts"},
	NOTHING("forwardClientCertDetails", NOT_ACTED_ON, "clients are not asked for certificates"),
	NOTHING("proxyProtocol", NOT_ACTED_ON, "no PROXY header is read"),
};
static const struct object_type topology_type =
	TYPE("meshConfig.defaultConfig.gatewayTopology", topology_fields);
#undef OBJECT

#define OBJECT proxy_config
static const struct field proxy_fields[] = {
	{"gatewayTopology", F_OBJECT, AT(topology), .object = &topology_type, .help = "see below"},
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
	NOTHING("proxyHeaders", NOT_ACTED_ON, "Istio's default headers are sent"),
	NOTHING("statNameLength", NOT_ACTED_ON, NULL),
	NOTHING("fileFlushInterval", NOT_ACTED_ON, NULL),
	NOTHING("fileFlushMinSizeKb", NOT_ACTED_ON, NULL),
	NOTHING("connectionSettings", NOT_ACTED_ON, "the Appliance's http decides"),
	NOTHING("runtimeValues", NOT_ACTED_ON, "there is no Envoy"),
	NOTHING("image", NOT_FOR_GATEWAY, NULL),
};
static const struct object_type proxy_type = TYPE("meshConfig.defaultConfig", proxy_fields);
#undef OBJECT

#define OBJECT mesh_config
static const struct field mesh_fields[] = {
	{"accessLogFile",          F_STRING,               AT(access_log_file),
         .help = "path of the access log; absent: none"                                                            },
	{		   "accessLogFormat",                F_STRING,  AT(access_log_format), .help = "absent: Istio's"                             },
	{ "accessLogEncoding",     F_ENUM,             AT(access_log_json),       .dflt = "TEXT",                                                           .values = encodings,
         .help = "JSON: accessLogFormat is a JSON object"},
	{									     "connectTimeout",              F_DURATION, AT(connect_timeout_us),             .dflt = "10s",                  .min = "1ms",
         .help = "to a service"},
	{													 "tcpKeepalive",           F_OBJECT,               AT(keepalive),             .object = &keepalive_type,
         .help = "of connections to services"},
	{											   "defaultHttpRetryPolicy", F_OBJECT,               AT(retry),                 .object = &http_retry_type,
         .help = "for routes without retries"},
	{											   "pathNormalization",      F_OBJECT,               AT(normalization),         .object = &normalization_type,
         .help = "see below"},
	{													    "rootNamespace",          F_STRING,               AT(root_namespace),        .dflt = "istio-system",
         .help = "whose DestinationRules hold for all"},
	{										  "defaultConfig",          F_OBJECT,               AT(proxy),                 .object = &proxy_type,         .help = "see below"},
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
	NOTHING("h2UpgradePolicy", NOT_ACTED_ON, "services are spoken to in HTTP/1.1"),
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
	{"name",          F_STRING,                  AT(name), .help = "no effect"},
	{"port",          F_COUNT,                   AT(port), .required = true,    .min = "1", .max = "65535",
         .help = "what a Gateway's server calls it"},
	{"targetPort", F_NODE, AT(target_port),         .help = "where it is bound; absent: port"                },
	NOTHING("protocol", SILENT, "the Gateway's decides"),
	NOTHING("nodePort", SILENT, "for others"),
};
static const struct object_type port_type =
	TYPE("IstioOperator spec.components.ingressGateways[].k8s.service.ports[]", port_fields);
#undef OBJECT

#define OBJECT operator_service
static const struct field service_fields[] = {
	{"ports", F_OBJECTS, LIST(ports), .object = &port_type, .help = "see below"},
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
	{"service", F_OBJECT, AT(service), .object = &service_object_type, .help = "see below"},
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
	{"name",      F_STRING,    AT(name),            .required = true,               .help = "the Appliance's name: this is us"},
	{"namespace", F_STRING,    AT(namespace),       .help = "absent: istio-system"},
	{"enabled",     F_BOOL, AT(enabled),      .dflt = "true",
         .help = "false: the entry is not looked at"                                          },
	{"k8s",   F_OBJECT,     AT(k8s), .object = &k8s_type,            .help = "see below"                                  },
	NOTHING("label", SILENT, "the Appliance's labels decide"),
	NOTHING("hub", SILENT, NULL),
	NOTHING("tag", SILENT, NULL),
};
static const struct object_type gateway_entry_type =
	TYPE("IstioOperator spec.components.ingressGateways[]", gateway_fields);
#undef OBJECT

#define OBJECT operator_components
static const struct field components_fields[] = {
	{"ingressGateways", F_OBJECTS, LIST(ingress), .object = &gateway_entry_type,
         .help = "see below"},
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
	{"meshConfig", F_OBJECT, AT(mesh),       .object = &mesh_config_type, .help = "see below"},
	{"components", F_OBJECT, AT(components), .object = &components_type,  .help = "see below"},
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
