// What all documents share: metadata, and the small objects that several kinds use.
#include "mgmt/objects.h"

#define OBJECT metadata
static const struct field metadata_fields[] = {
	{"name",			    F_STRING, AT(name),   .required = true,                            .help = "unique in kind and namespace"},
	{"namespace",				 F_STRING,                               AT(namespace), .dflt = "default", .help = "decides who sees it"},
	{"labels",    F_MAP,            LIST(labels),               .help = "what selectors look at"                                                 },
	{"annotations", F_MAP,         LIST(annotations),.help = "kept, no effect"},
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
	{"probes", F_COUNT, AT(probes),   .dflt = "9",          .min = "1",      .max = "127",
         .help = "unanswered probes that end a connection"},
	{"time",        F_DURATION,          AT(time_us),     .dflt = "7200s",     .min = "1s",
         .help = "idle before the first probe"},
	{"interval",        F_DURATION,      AT(interval_us), .dflt = "75s", .min = "1s",
         .help = "between probes"      },
};
const struct object_type keepalive_type = TYPE("tcpKeepalive", keepalive_fields);
#undef OBJECT

#define OBJECT port_selector
static const struct field port_selector_fields[] = {
	{"number", F_COUNT, AT(number), .required = true, .min = "1", .max = "65535",
         .help = "the service's port, never the target port"},
};
const struct object_type port_selector_type = TYPE("port", port_selector_fields);
#undef OBJECT
