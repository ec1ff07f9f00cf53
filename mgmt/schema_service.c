// Service, EndpointSlice and Pod: backends in Kubernetes (reference/istio-gateway.md, 4.3 and 4.4).
#include "mgmt/objects.h"

#define OBJECT service_port
static const struct field port_fields[] = {
	FIELD("name", F_STRING, name,
		"joins it to the EndpointSlices' port; begins with the protocol"),
	FIELD("port", F_COUNT, port, "what routes and rules call it", .required = true, .min = "1",
		.max = "65535"),
	FIELD("targetPort", F_NODE, target_port, "of the gateway's own Service: where to listen"),
	FIELD("protocol", F_STRING, protocol, "UDP is left out", .dflt = "TCP"),
	FIELD("appProtocol", F_STRING, app_protocol, "overrides the name's protocol"),
	NOTHING("nodePort", SILENT, "for others"),
};
static const struct object_type port_type = TYPE("Service spec.ports[]", port_fields);
#undef OBJECT

#define OBJECT service_spec
static const struct field spec_fields[] = {
	LIST_FIELD("ports", F_OBJECTS, ports, "see below", .object = &port_type),
	LIST_FIELD("selector", F_MAP, selector,
		"the Appliance's labels: this is the gateway's own Service"),
	FIELD("type", F_STRING, type, "ExternalName is not acted on", .dflt = "ClusterIP"),
	FIELD("publishNotReadyAddresses", F_BOOL, publish_not_ready,
		"take endpoints that are not ready as ready", .dflt = "false"),
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
	FIELD("ready", F_BOOL, ready, "false: not chosen", .dflt = "true"),
	FIELD("terminating", F_BOOL, terminating, "true: left out", .dflt = "false"),
	NOTHING("serving", SILENT, "ready decides"),
};
static const struct object_type conditions_type =
	TYPE("EndpointSlice endpoints[].conditions", conditions_fields);
#undef OBJECT

#define OBJECT target_reference
static const struct field target_fields[] = {
	FIELD("kind", F_STRING, kind, "Pod"),
	FIELD("name", F_STRING, name, "its labels decide on subsets, if it is in the files"),
	FIELD("namespace", F_STRING, namespace, "absent: the slice's"),
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
	LIST_FIELD("addresses", F_STRINGS, addresses, "the first is used", .required = true),
	FIELD("conditions", F_OBJECT, conditions, "see below", .object = &conditions_type),
	FIELD("targetRef", F_OBJECT, target, "see below", .object = &target_type),
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
	FIELD("name", F_STRING, name, "the Service port's"),
	FIELD("port", F_COUNT, port, "where the endpoints listen", .required = true, .min = "1",
		.max = "65535"),
	FIELD("protocol", F_STRING, protocol, "UDP is left out", .dflt = "TCP"),
	NOTHING("appProtocol", SILENT, "the Service's decides"),
};
static const struct object_type slice_port_type = TYPE("EndpointSlice ports[]", slice_port_fields);
#undef OBJECT

#define OBJECT endpoint_slice
static const struct field slice_fields[] = {
	DOCUMENT_ROWS,
	FIELD("addressType", F_STRING, address_type, "IPv4 or IPv6", .required = true),
	LIST_FIELD("endpoints", F_OBJECTS, endpoints, "see below", .object = &endpoint_type),
	LIST_FIELD("ports", F_OBJECTS, ports, "see below", .object = &slice_port_type),
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
