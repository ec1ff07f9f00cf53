// Appliance: our own document, what this process is.
#include "mgmt/config.h"
#include "mgmt/objects.h"

static const struct enum_value idles[] = {
	{"poll", 0, NULL},
	{"adaptive", 1, NULL},
	{NULL, 0, NULL},
};

static const struct enum_value hugepages[] = {
	{"prefer", HUGEPAGES_PREFER, NULL},
	{"require", HUGEPAGES_REQUIRE, NULL},
	{"off", HUGEPAGES_OFF, NULL},
	{NULL, 0, NULL},
};

static const struct enum_value drivers[] = {
	{"af_xdp", PORT_AF_XDP, NULL},
	{"af_packet", PORT_AF_PACKET, NULL},
	{"tap", PORT_TAP, NULL},
	{"memif", PORT_MEMIF, NULL},
	{"pci", PORT_PCI, NULL},
	{"devargs", PORT_DEVARGS, NULL},
	{NULL, 0, NULL},
};

static const struct enum_value addressings[] = {
	{"own", 0, NULL},
	{"shared", 1, NULL},
	{NULL, 0, NULL},
};

// The order is that of checksum_names in translate_appliance.c.
static const struct enum_value checksums[] = {
	{"auto", 0, NULL},
	{"verify", 1, NULL},
	{"trust", 2, NULL},
	{"accept-partial", 3, NULL},
	{NULL, 0, NULL},
};

static const struct enum_value on_errors[] = {
	{"reject", 0, NULL},
	{"quarantine", 1, "a configuration with an error is rejected"},
	{NULL, 0, NULL},
};

#define OBJECT appliance_workers
static const struct field workers_fields[] = {
	{"cores", F_STRING, AT(cores), .help = "a core list such as 1-3,5; absent: one of the allowed"},
	{"idle", F_ENUM, AT(adaptive), .dflt = "adaptive", .values = idles,
		.help = "poll: never sleep; adaptive: sleep when nothing comes"},
};
static const struct object_type workers_type = TYPE("Appliance spec.workers", workers_fields);
#undef OBJECT

#define OBJECT appliance_memory
static const struct field memory_fields[] = {
	{"limit", F_QUANTITY, AT(limit), .dflt = "200Mi", .min = "64Mi", .max = "64Gi",
		.help = "of everything"},
	{"hugepages", F_ENUM, AT(hugepages), .dflt = "prefer", .values = hugepages,
		.help = "prefer, require, off"},
};
static const struct object_type memory_type = TYPE("Appliance spec.memory", memory_fields);
#undef OBJECT

#define OBJECT appliance_port_spec
static const struct field port_fields[] = {
	{"name", F_STRING, AT(name), .required = true, .help = "in messages and statistics"},
	{"driver", F_ENUM, AT(driver), .required = true, .values = drivers, .help = "how packets come in"},
	{"interface", F_STRING, AT(interface), .help = "af_xdp, af_packet: of the kernel; tap: to make"},
	{"address", F_STRING, AT(address), .help = "pci: such as 0000:01:00.0"},
	{"devargs", F_STRING, AT(devargs), .help = "devargs: as DPDK writes them"},
	{"socket", F_STRING, AT(socket), .help = "memif: path"},
	{"addressing", F_ENUM, AT(shared), .dflt = "own", .values = addressings,
		.help = "own: our IP and MAC; shared: the kernel's"},
	{"addresses", F_STRINGS, LIST(addresses), .help = "address/prefix length, at most 8"},
	{"gateway", F_ADDRESS, AT(gateway), .help = "default route"},
	{"mtu", F_COUNT, AT(mtu), .min = "1280", .max = "9000", .help = "absent: the interface's"},
	{"checksum", F_ENUM, AT(checksum), .dflt = "auto", .values = checksums,
		.help = "of received packets; auto: by driver"},
};
static const struct object_type port_type = TYPE("Appliance spec.ports[]", port_fields);
#undef OBJECT

#define OBJECT appliance_management
static const struct field management_fields[] = {
	{"socket", F_STRING, AT(socket), .dflt = "/run/pollgate/mgmt.sock", .help = "for pollgatectl"},
	{"metrics", F_STRING, AT(metrics), .help = "address:port of /stats/prometheus; absent: off"},
	{"health", F_STRING, AT(health), .help = "address:port of /healthz/ready; absent: off"},
};
static const struct object_type management_type = TYPE("Appliance spec.management", management_fields);
#undef OBJECT

#define OBJECT appliance_drain
static const struct field drain_fields[] = {
	{"timeout", F_DURATION, AT(timeout_us), .dflt = "45s", .max = "1h",
		.help = "for exchanges under way when told to stop"},
};
static const struct object_type drain_type = TYPE("Appliance spec.drain", drain_fields);
#undef OBJECT

#define OBJECT appliance_outlier
static const struct field outlier_fields[] = {
	{"alwaysEjectOne", F_BOOL, AT(always_eject_one), .dflt = "true",
		.help = "one host of two or more can be ejected whatever maxEjectionPercent"},
};
static const struct object_type outlier_type = TYPE("Appliance spec.outlier", outlier_fields);
#undef OBJECT

#define OBJECT appliance_metrics
static const struct field metrics_fields[] = {
	{"destinationReporter", F_BOOL, AT(destination_reporter), .dflt = "false",
		.help = "count as reporter=\"destination\" too: for services without sidecars"},
};
static const struct object_type metrics_type = TYPE("Appliance spec.metrics", metrics_fields);
#undef OBJECT

#define OBJECT appliance_http
static const struct field http_fields[] = {
	{"maxHeadBytes", F_COUNT, AT(max_head_bytes), .dflt = "61440", .min = "1024",
		.max = "65536", .help = "of a request or an answer"},
	{"maxFields", F_COUNT, AT(max_fields), .dflt = "100", .min = "10", .max = "100",
		.help = "header lines"},
	{"headTimeout", F_DURATION, AT(head_timeout_us), .dflt = "60s", .min = "1s",
		.help = "from the first byte of a request to the end of its head"},
	{"idleTimeout", F_DURATION, AT(idle_timeout_us), .dflt = "1h", .min = "1s",
		.help = "of a client's connection without requests"},
	{"bodyTimeout", F_DURATION, AT(body_timeout_us), .dflt = "0s",
		.help = "without progress of a body; 0s: none"},
	{"maxConnections", F_COUNT, AT(max_connections), .dflt = "8192", .min = "1",
		.max = "1000000", .help = "of clients, for each worker"},
	{"serverName", F_STRING, AT(server_name), .dflt = "istio-envoy", .help = "server header"},
};
static const struct object_type http_type = TYPE("Appliance spec.http", http_fields);
#undef OBJECT

#define OBJECT appliance_spec
static const struct field spec_fields[] = {
	{"workers", F_OBJECT, AT(workers), .always = true, .object = &workers_type, .help = "see below"},
	{"memory", F_OBJECT, AT(memory), .always = true, .object = &memory_type, .help = "see below"},
	{"ports", F_OBJECTS, LIST(ports), .object = &port_type, .help = "at most 8"},
	{"management", F_OBJECT, AT(management), .always = true, .object = &management_type, .help = "see below"},
	{"drain", F_OBJECT, AT(drain), .always = true, .object = &drain_type, .help = "see below"},
	{"outlier", F_OBJECT, AT(outlier), .always = true, .object = &outlier_type, .help = "see below"},
	{"metrics", F_OBJECT, AT(metrics), .always = true, .object = &metrics_type, .help = "see below"},
	{"http", F_OBJECT, AT(http), .always = true, .object = &http_type, .help = "see below"},
	{"meshRoutes", F_BOOL, AT(mesh_routes), .dflt = "false",
		.help = "serve VirtualServices bound to mesh too: for services without sidecars"},
	{"onError", F_ENUM, AT(quarantine), .dflt = "reject", .values = on_errors,
		.help = "what an error in one object does"},
};
const struct object_type appliance_spec_type = TYPE("Appliance spec", spec_fields);
#undef OBJECT

#define OBJECT appliance_document
static const struct field appliance_fields[] = {DOCUMENT_ROWS, SPEC_ROW(appliance_spec_type)};
const struct object_type appliance_type = TYPE("Appliance", appliance_fields);
#undef OBJECT
