// ServiceEntry and WorkloadEntry: backends outside Kubernetes (reference/istio-gateway.md, 4.1 and 4.2).
#include "mgmt/objects.h"

#define OBJECT workload
static const struct field workload_fields[] = {
	{"address", F_STRING, AT(address), .help = "an IP address"},
	{"ports", F_NODE, AT(ports), .help = "number by port name; absent: targetPort, or number"},
	{"labels", F_MAP, LIST(labels), .help = "what subsets and selectors look at"},
	{"weight", F_COUNT, AT(weight), .dflt = "1", .max = "16777216", .help = "share of the requests"},
	NOTHING("network", NOT_ACTED_ON, "there is one network"),
	NOTHING("locality", NOT_ACTED_ON, "there are no localities"),
	NOTHING("serviceAccount", NOT_ACTED_ON, "services are spoken to in clear text"),
};
const struct object_type workload_type = TYPE("WorkloadEntry spec, ServiceEntry spec.endpoints[]", workload_fields);
#undef OBJECT

#define OBJECT workload_entry
static const struct field workload_entry_fields[] = {DOCUMENT_ROWS, SPEC_ROW(workload_type)};
const struct object_type workload_entry_type = TYPE("WorkloadEntry", workload_entry_fields);
#undef OBJECT

#define OBJECT service_entry_port
static const struct field port_fields[] = {
	{"number", F_COUNT, AT(number), .required = true, .min = "1", .max = "65535",
		.help = "what routes and rules call it"},
	{"protocol", F_STRING, AT(protocol), .dflt = "HTTP", .help = "HTTP; HTTPS needs TLS to the service"},
	{"name", F_STRING, AT(name), .required = true, .help = "unique in the entry"},
	{"targetPort", F_COUNT, AT(target_port), .min = "1", .max = "65535",
		.help = "of the endpoints; absent: number"},
};
static const struct object_type port_type = TYPE("ServiceEntry spec.ports[]", port_fields);
#undef OBJECT

#define OBJECT label_selector
static const struct field selector_fields[] = {
	{"labels", F_MAP, LIST(labels), .help = "of WorkloadEntries in the same namespace"},
};
static const struct object_type selector_type = TYPE("ServiceEntry spec.workloadSelector", selector_fields);
#undef OBJECT

static const struct enum_value resolutions[] = {
	{"NONE", RESOLUTION_NONE, NULL},
	{"STATIC", RESOLUTION_STATIC, NULL},
	{"DNS", RESOLUTION_DNS, "names are not resolved; IP addresses are used"},
	{"DNS_ROUND_ROBIN", RESOLUTION_DNS, "names are not resolved; IP addresses are used"},
	{"DYNAMIC_DNS", RESOLUTION_DNS, "names are not resolved; IP addresses are used"},
	{NULL, 0, NULL},
};

#define OBJECT service_entry_spec
static const struct field spec_fields[] = {
	{"hosts", F_STRINGS, LIST(hosts), .required = true, .help = "what routes call it"},
	{"ports", F_OBJECTS, LIST(ports), .required = true, .object = &port_type, .help = "see below"},
	{"resolution", F_ENUM, AT(resolution), .dflt = "NONE", .values = resolutions,
		.help = "STATIC: the endpoints' addresses"},
	{"endpoints", F_OBJECTS, LIST(endpoints), .object = &workload_type, .help = "see WorkloadEntry"},
	{"workloadSelector", F_OBJECT, AT(selector), .object = &selector_type, .help = "instead of endpoints"},
	{"exportTo", F_STRINGS, LIST(export_to), .help = "namespaces, . or *"},
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
