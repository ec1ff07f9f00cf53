// ServiceEntry and WorkloadEntry: backends outside Kubernetes (reference/istio-gateway.md, 4.1
// and 4.2).
#include "mgmt/objects.h"

#define OBJECT workload
static const struct field workload_fields[] = {
	FIELD("address", F_STRING, address, "an IP address"),
	FIELD("ports", F_NODE, ports, "number by port name; absent: targetPort, or number"),
	LIST_FIELD("labels", F_MAP, labels, "what subsets and selectors look at"),
	FIELD("weight", F_COUNT, weight, "share of the requests", .dflt = "1", .max = "16777216"),
	NOTHING("network", NOT_ACTED_ON, "there is one network"),
	NOTHING("locality", NOT_ACTED_ON, "there are no localities"),
	NOTHING("serviceAccount", NOT_ACTED_ON, "services are spoken to in clear text"),
};
const struct object_type workload_type =
	TYPE("WorkloadEntry spec, ServiceEntry spec.endpoints[]", workload_fields);
#undef OBJECT

#define OBJECT workload_entry
static const struct field workload_entry_fields[] = {DOCUMENT_ROWS, SPEC_ROW(workload_type)};
const struct object_type workload_entry_type = TYPE("WorkloadEntry", workload_entry_fields);
#undef OBJECT

#define OBJECT service_entry_port
static const struct field port_fields[] = {
	FIELD("number", F_COUNT, number, "what routes and rules call it", .required = true,
		.min = "1", .max = "65535"),
	FIELD("protocol", F_STRING, protocol, "HTTP; HTTPS needs TLS to the service",
		.dflt = "HTTP"),
	FIELD("name", F_STRING, name, "unique in the entry", .required = true),
	FIELD("targetPort", F_COUNT, target_port, "of the endpoints; absent: number", .min = "1",
		.max = "65535"),
};
static const struct object_type port_type = TYPE("ServiceEntry spec.ports[]", port_fields);
#undef OBJECT

#define OBJECT label_selector
static const struct field selector_fields[] = {
	LIST_FIELD("labels", F_MAP, labels, "of WorkloadEntries in the same namespace"),
};
static const struct object_type selector_type =
	TYPE("ServiceEntry spec.workloadSelector", selector_fields);
#undef OBJECT

static const struct enum_value resolutions[] = {
	{"NONE",            RESOLUTION_NONE,   NULL					   },
	{"STATIC",          RESOLUTION_STATIC, NULL					   },
	{"DNS",             RESOLUTION_DNS,    "names are not resolved; IP addresses are used"},
	{"DNS_ROUND_ROBIN", RESOLUTION_DNS,    "names are not resolved; IP addresses are used"},
	{"DYNAMIC_DNS",     RESOLUTION_DNS,    "names are not resolved; IP addresses are used"},
	{NULL,              0,                 NULL					   },
};

#define OBJECT service_entry_spec
static const struct field spec_fields[] = {
	LIST_FIELD("hosts", F_STRINGS, hosts, "what routes call it", .required = true),
	LIST_FIELD("ports", F_OBJECTS, ports, "see below", .required = true, .object = &port_type),
	FIELD("resolution", F_ENUM, resolution, "STATIC: the endpoints' addresses", .dflt = "NONE",
		.values = resolutions),
	LIST_FIELD(
		"endpoints", F_OBJECTS, endpoints, "see WorkloadEntry", .object = &workload_type),
	FIELD("workloadSelector", F_OBJECT, selector, "instead of endpoints",
		.object = &selector_type),
	LIST_FIELD("exportTo", F_STRINGS, export_to, "namespaces, . or *"),
	NOTHING("location", SILENT, "there is no TLS to services that it could decide on"),
	NOTHING("addresses", SILENT, "virtual addresses are for sidecars"),
	NOTHING("subjectAltNames", NOT_ACTED_ON, "services are spoken to in clear text"),
};
static const struct object_type spec_type = TYPE("ServiceEntry spec", spec_fields);
#undef OBJECT

#define OBJECT service_entry
static const struct field service_entry_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type service_entry_type = TYPE("ServiceEntry", service_entry_fields);
#undef OBJECT
