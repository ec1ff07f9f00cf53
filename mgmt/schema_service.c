// Service, EndpointSlice and Pod: backends in Kubernetes (reference/istio-gateway.md, 4.3 and 4.4).
#include "mgmt/objects.h"

#define OBJECT service_port
static const struct field port_fields[] = {
	{"name",           F_STRING,			      AT(name),
         .help = "joins it to the EndpointSlices' port; begins with the protocol"           },
	{"port",           F_COUNT,			       AT(port), .required = true, .min = "1", .max = "65535",
         .help = "what routes and rules call it"},
	{"targetPort",  F_NODE,                 AT(target_port),
         .help = "of the gateway's own Service: where to listen"                             },
	{"protocol", F_STRING, AT(protocol),         .dflt = "TCP",.help = "UDP is left out"},
	{"appProtocol",    F_STRING,                            AT(app_protocol),   .help = "overrides the name's protocol"                                },
	NOTHING("nodePort", SILENT, "for others"),
};
static const struct object_type port_type = TYPE("Service spec.ports[]", port_fields);
#undef OBJECT

#define OBJECT service_spec
static const struct field spec_fields[] = {
	{"ports",    F_OBJECTS,             LIST(ports),         .object = &port_type,                   .help = "see below"},
	{"selector", F_MAP,                 LIST(selector),
         .help = "the Appliance's labels: this is the gateway's own Service"                           },
	{"type",  F_STRING,              AT(type), .dflt = "ClusterIP", .help = "ExternalName is not acted on"                   },
	{"publishNotReadyAddresses",    F_BOOL, AT(publish_not_ready),     .dflt = "false",
         .help = "take endpoints that are not ready as ready"},
	NOTHING("externalName", NOT_ACTED_ON, "names are not resolved"),
	NOTHING("clusterIP", SILENT, "endpoints are used"),
	NOTHING("clusterIPs", SILENT, "endpoints are used"),
	NOTHING("ipFamilies", SILENT, "endpoints are used"),
	NOTHING("ipFamilyPolicy", SILENT, "endpoints are used"),
	NOTHING("externalIPs", SILENT, "for others"),
	NOTHING("loadBalancerIP", SILENT, "for others"),
	NOTHING("loadBalancerClass", SILENT, "for others"),
	NOTHING("loadBalancerSourceRanges", SILENT, "for others"),
	NOTHING("allocateLoadBalancerNodePorts", SILENT, "for others"),
	NOTHING("externalTrafficPolicy", SILENT, "for others"),
	NOTHING("internalTrafficPolicy", SILENT, "for others"),
	NOTHING("healthCheckNodePort", SILENT, "for others"),
	NOTHING("sessionAffinity", SILENT, "as in Istio"),
	NOTHING("sessionAffinityConfig", SILENT, "as in Istio"),
	NOTHING("trafficDistribution", SILENT, "for others"),
};
static const struct object_type spec_type = TYPE("Service spec", spec_fields);
#undef OBJECT

#define OBJECT service
static const struct field service_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type service_type = TYPE("Service", service_fields);
#undef OBJECT

#define OBJECT endpoint_conditions
static const struct field conditions_fields[] = {
	{"ready",       F_BOOL, AT(ready),       .dflt = "true",  .help = "false: not chosen"},
	{"terminating", F_BOOL, AT(terminating), .dflt = "false", .help = "true: left out"   },
	NOTHING("serving", SILENT, "ready decides"),
};
static const struct object_type conditions_type =
	TYPE("EndpointSlice endpoints[].conditions", conditions_fields);
#undef OBJECT

#define OBJECT target_reference
static const struct field target_fields[] = {
	{"kind",      F_STRING, AT(kind),      .help = "Pod"                                                },
	{"name",      F_STRING, AT(name),      .help = "its labels decide on subsets, if it is in the files"},
	{"namespace", F_STRING, AT(namespace), .help = "absent: the slice's"                                },
	NOTHING("uid", SILENT, NULL),
	NOTHING("apiVersion", SILENT, NULL),
	NOTHING("resourceVersion", SILENT, NULL),
	NOTHING("fieldPath", SILENT, NULL),
};
static const struct object_type target_type =
	TYPE("EndpointSlice endpoints[].targetRef", target_fields);
#undef OBJECT

#define OBJECT slice_endpoint
static const struct field endpoint_fields[] = {
	{"addresses",  F_STRINGS, LIST(addresses), .required = true,           .help = "the first is used"},
	{"conditions", F_OBJECT,  AT(conditions),  .object = &conditions_type, .help = "see below"        },
	{"targetRef",  F_OBJECT,  AT(target),      .object = &target_type,     .help = "see below"        },
	NOTHING("hostname", SILENT, NULL),
	NOTHING("nodeName", SILENT, "there are no localities"),
	NOTHING("zone", SILENT, "there are no localities"),
	NOTHING("hints", SILENT, "there are no localities"),
	NOTHING("deprecatedTopology", SILENT, NULL),
};
static const struct object_type endpoint_type = TYPE("EndpointSlice endpoints[]", endpoint_fields);
#undef OBJECT

#define OBJECT slice_port
static const struct field slice_port_fields[] = {
	{"name",   F_STRING, AT(name),         .help = "the Service port's"},
	{	       "port", F_COUNT, AT(port), .required = true,                   .min = "1", .max = "65535",
         .help = "where the endpoints listen"},
	{ "protocol",        F_STRING,       AT(protocol),        .dflt = "TCP",                  .help = "UDP is left out"},
	NOTHING("appProtocol", SILENT, "the Service's decides"),
};
static const struct object_type slice_port_type = TYPE("EndpointSlice ports[]", slice_port_fields);
#undef OBJECT

#define OBJECT endpoint_slice
static const struct field slice_fields[] = {
	DOCUMENT_ROWS,
	{"addressType", F_STRING,  AT(address_type), .required = true,           .help = "IPv4 or IPv6"},
	{"endpoints",   F_OBJECTS, LIST(endpoints),  .object = &endpoint_type,   .help = "see below"   },
	{"ports",       F_OBJECTS, LIST(ports),      .object = &slice_port_type, .help = "see below"   },
};
const struct object_type endpoint_slice_type = TYPE("EndpointSlice", slice_fields);
#undef OBJECT

#define OBJECT pod
static const struct field pod_fields[] = {
	DOCUMENT_ROWS,
	NOTHING("spec", SILENT, "its labels are what is read"),
};
const struct object_type pod_type = TYPE("Pod", pod_fields);
#undef OBJECT
