// What all documents share: metadata, and the small objects that several kinds use.
#include "mgmt/objects.h"

#define OBJECT metadata
static const struct field metadata_fields[] = {
	FIELD("name", F_STRING, name, "unique in kind and namespace", .required = true),
	FIELD("namespace", F_STRING, namespace, "decides who sees it", .dflt = "default"),
	LIST_FIELD("labels", F_MAP, labels, "what selectors look at"),
	LIST_FIELD("annotations", F_MAP, annotations, "kept, no effect"),
	NOTHING("creationTimestamp", SILENT, "files have an order of their own: by name"),
	NOTHING("generation", SILENT, NULL),
	NOTHING("generateName", SILENT, NULL),
	NOTHING("resourceVersion", SILENT, NULL),
	NOTHING("uid", SILENT, NULL),
	NOTHING("ownerReferences", SILENT, NULL),
	NOTHING("finalizers", SILENT, NULL),
	NOTHING("managedFields", SILENT, NULL),
	NOTHING("selfLink", SILENT, NULL),
	NOTHING("deletionTimestamp", SILENT, NULL),
	NOTHING("deletionGracePeriodSeconds", SILENT, NULL),
};
const struct object_type metadata_type = TYPE("metadata", metadata_fields);
#undef OBJECT

#define OBJECT keepalive
static const struct field keepalive_fields[] = {
	FIELD("probes", F_COUNT, probes, "unanswered probes that end a connection", .dflt = "9",
		.min = "1", .max = "127"),
	FIELD("time", F_DURATION, time_us, "idle before the first probe", .dflt = "7200s",
		.min = "1s"),
	FIELD("interval", F_DURATION, interval_us, "between probes", .dflt = "75s", .min = "1s"),
};
const struct object_type keepalive_type = TYPE("tcpKeepalive", keepalive_fields);
#undef OBJECT

#define OBJECT http2_keepalive
static const struct field http2_keepalive_fields[] = {
	FIELD("interval", F_DURATION, interval_us, "between PING frames", .required = true,
		.min = "1ms", .max = "24h"),
	FIELD("timeout", F_DURATION, timeout_us,
		"the connection ends when nothing comes for so long after one", .required = true,
		.min = "1ms", .max = "24h"),
};
const struct object_type http2_keepalive_type = TYPE("http2KeepAlive", http2_keepalive_fields);
#undef OBJECT

#define OBJECT port_selector
static const struct field port_selector_fields[] = {
	FIELD("number", F_COUNT, number, "the service's port, never the target port",
		.required = true, .min = "1", .max = "65535"),
};
const struct object_type port_selector_type = TYPE("port", port_selector_fields);
#undef OBJECT
