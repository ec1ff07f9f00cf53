// Appliance: our own document, what this process is.
#include "mgmt/config.h"
#include "mgmt/objects.h"

static const struct enum_value idles[] = {
	{"poll",     0, NULL},
	{"adaptive", 1, NULL},
	{NULL,       0, NULL},
};

static const struct enum_value hugepages[] = {
	{"prefer",  HUGEPAGES_PREFER,  NULL},
	{"require", HUGEPAGES_REQUIRE, NULL},
	{"off",     HUGEPAGES_OFF,     NULL},
	{NULL,      0,                 NULL},
};

static const struct enum_value drivers[] = {
	{"af_xdp",    PORT_AF_XDP,    NULL},
	{"af_packet", PORT_AF_PACKET, NULL},
	{"tap",       PORT_TAP,       NULL},
	{"memif",     PORT_MEMIF,     NULL},
	{"pci",       PORT_PCI,       NULL},
	{"devargs",   PORT_DEVARGS,   NULL},
	{NULL,        0,              NULL},
};

static const struct enum_value addressings[] = {
	{"own",    0, NULL},
	{"shared", 1, NULL},
	{NULL,     0, NULL},
};

// The order is that of checksum_names in translate_appliance.c.
static const struct enum_value checksums[] = {
	{"auto",           0, NULL},
	{"verify",         1, NULL},
	{"trust",          2, NULL},
	{"accept-partial", 3, NULL},
	{NULL,             0, NULL},
};

static const struct enum_value offloads[] = {
	{"auto", 1, NULL},
	{"off",  0, NULL},
	{NULL,   0, NULL},
};

static const struct enum_value on_errors[] = {
	{"reject",     0, NULL				       },
	{"quarantine", 1, "a configuration with an error is rejected"},
	{NULL,         0, NULL				       },
};

#define OBJECT appliance_workers
static const struct field workers_fields[] = {
	FIELD("cores", F_STRING, cores, "a core list such as 1-3,5; absent: one of the allowed"),
	FIELD("idle", F_ENUM, adaptive, "poll: never sleep; adaptive: sleep when nothing comes",
		.dflt = "adaptive", .values = idles),
};
static const struct object_type workers_type = TYPE("Appliance spec.workers", workers_fields);
#undef OBJECT

#define OBJECT appliance_memory
static const struct field memory_fields[] = {
	FIELD("limit", F_QUANTITY, limit, "of everything", .dflt = "200Mi", .min = "96Mi",
		.max = "64Gi"),
	FIELD("hugepages", F_ENUM, hugepages, "prefer, require, off", .dflt = "prefer",
		.values = hugepages),
};
static const struct object_type memory_type = TYPE("Appliance spec.memory", memory_fields);
#undef OBJECT

#define OBJECT appliance_port_spec
static const struct field port_fields[] = {
	FIELD("name", F_STRING, name, "in messages and statistics", .required = true),
	FIELD("driver", F_ENUM, driver, "how packets come in", .required = true, .values = drivers),
	FIELD("interface", F_STRING, interface, "af_xdp, af_packet: of the kernel; tap: to make"),
	FIELD("address", F_STRING, address, "pci: such as 0000:01:00.0"),
	FIELD("devargs", F_STRING, devargs, "devargs: as DPDK writes them"),
	FIELD("socket", F_STRING, socket, "memif: path"),
	FIELD("addressing", F_ENUM, shared,
		"own: our IP and MAC; shared: the kernel's (a pod), af_xdp only", .dflt = "own",
		.values = addressings),
	LIST_FIELD("addresses", F_STRINGS, addresses,
		"address/prefix length of either family, at most 8; with an IPv6 one comes the link-local one"),
	FIELD("gateway", F_ADDRESS, gateway,
		"default route of its family; without an IPv6 one the port listens to router advertisements"),
	FIELD("gateway6", F_ADDRESS, gateway6, "IPv6 default route where gateway is the IPv4 one"),
	FIELD("mtu", F_COUNT, mtu, "absent: the interface's", .min = "1280", .max = "9000"),
	FIELD("vlan", F_COUNT, vlan,
		"802.1Q identifier of every frame in and out, others are dropped; absent: untagged; not with addressing: shared",
		.min = "1", .max = "4094"),
	FIELD("checksum", F_ENUM, checksum, "of received packets; auto: by driver", .dflt = "auto",
		.values = checksums),
	FIELD("offloads", F_ENUM, offloads,
		"auto: the device computes checksums, cuts segments and spreads packets over workers "
		"(RSS) as far as it offers to, and for af_xdp without zero-copy and af_packet the kernel cuts "
		"(GSO); off: nothing",
		.dflt = "auto", .values = offloads),
};
static const struct object_type port_type = TYPE("Appliance spec.ports[]", port_fields);
#undef OBJECT

#define OBJECT appliance_management
static const struct field management_fields[] = {
	FIELD("socket", F_STRING, socket, "for pollgatectl", .dflt = "/run/pollgate/mgmt.sock"),
	FIELD("metrics", F_STRING, metrics, "address:port of /stats/prometheus; absent: off"),
	FIELD("health", F_STRING, health, "address:port of /healthz/ready; absent: off"),
};
static const struct object_type management_type =
	TYPE("Appliance spec.management", management_fields);
#undef OBJECT

#define OBJECT appliance_drain
static const struct field drain_fields[] = {
	FIELD("timeout", F_DURATION, timeout_us, "for exchanges under way when told to stop",
		.dflt = "45s", .max = "1h"),
};
static const struct object_type drain_type = TYPE("Appliance spec.drain", drain_fields);
#undef OBJECT

#define OBJECT appliance_outlier
static const struct field outlier_fields[] = {
	FIELD("alwaysEjectOne", F_BOOL, always_eject_one,
		"one host of two or more can be ejected whatever maxEjectionPercent",
		.dflt = "true"),
};
static const struct object_type outlier_type = TYPE("Appliance spec.outlier", outlier_fields);
#undef OBJECT

#define OBJECT appliance_metrics
static const struct field metrics_fields[] = {
	FIELD("destinationReporter", F_BOOL, destination_reporter,
		"count as reporter=\"destination\" too: for services without sidecars",
		.dflt = "false"),
};
static const struct object_type metrics_type = TYPE("Appliance spec.metrics", metrics_fields);
#undef OBJECT

#define OBJECT     appliance_http2
#define TEXT(x)    #x
#define TEXT_OF(x) TEXT(x)
static const struct field http2_fields[] = {
#define H2_LIMIT(member, yaml, default_, least, most, text)                                  \
	FIELD(yaml, F_COUNT, member, text, .dflt = TEXT_OF(default_), .min = TEXT_OF(least), \
		.max = TEXT_OF(most)),
#include "router/h2_limits.def"
};
static const struct object_type http2_type = TYPE("Appliance spec.http.http2", http2_fields);
#undef OBJECT

static const struct enum_value underscores[] = {
	{"allow",  UNDERSCORES_ALLOW,  NULL},
	{"drop",   UNDERSCORES_DROP,   NULL},
	{"reject", UNDERSCORES_REJECT, NULL},
	{NULL,     0,		  NULL},
};

#define OBJECT appliance_http
static const struct field http_fields[] = {
	FIELD("maxHeadBytes", F_COUNT, max_head_bytes, "of a request or an answer", .dflt = "61440",
		.min = "1024", .max = "65536"),
	FIELD("maxFields", F_COUNT, max_fields, "header lines", .dflt = "100", .min = "10",
		.max = "100"),
	FIELD("headTimeout", F_DURATION, head_timeout_us,
		"from the first byte of a request to the end of its head", .dflt = "60s",
		.min = "1s"),
	FIELD("idleTimeout", F_DURATION, idle_timeout_us,
		"of a client's connection without requests", .dflt = "1h", .min = "1s"),
	FIELD("requestTimeout", F_DURATION, request_timeout_us,
		"from the first byte of a request to its last, unless an answer begins before; 0s: "
		"none",
		.dflt = "0s"),
	FIELD("bodyTimeout", F_DURATION, body_timeout_us, "without progress of a body; 0s: none",
		.dflt = "0s"),
	FIELD("minBodyRate", F_COUNT, min_body_rate,
		"bytes a second that a client has to send of a body, or to take of an answer, while only "
		"the client is waited for; 0: any",
		.dflt = "100", .max = "1000000"),
	FIELD("bodyRateWindow", F_DURATION, body_rate_window_us, "over which minBodyRate is judged",
		.dflt = "30s", .min = "1s", .max = "1h"),
	FIELD("maxConnections", F_COUNT, max_connections,
		"of clients, for each worker; beyond it the one that is idle longest is closed",
		.dflt = "8192", .min = "1", .max = "1000000"),
	FIELD("maxConnectionsPerAddress", F_COUNT, max_connections_per_address,
		"of clients of one address (IPv6: one /64), for each worker; more are refused; 0: no "
		"limit",
		.dflt = "0", .max = "1000000"),
	FIELD("acceptHttp10", F_BOOL, accept_http_10, "HTTP/1.0 is answered; false: 426",
		.dflt = "false"),
	FIELD("underscores", F_ENUM, underscores, "in names of a request's fields", .dflt = "allow",
		.values = underscores),
	FIELD("serverName", F_STRING, server_name, "server header", .dflt = "istio-envoy"),
	FIELD("webSocketOverHttp2", F_BOOL, extended_connect,
		"HTTP/2 clients may ask for WebSocket (RFC 8441)", .dflt = "true"),
	FIELD("http2KeepAlive", F_OBJECT, http2_keepalive, "PING frames to clients; absent: none",
		.object = &http2_keepalive_type),
	FIELD("http2", F_OBJECT, http2, "see below", .object = &http2_type, .always = true),
};
static const struct object_type http_type = TYPE("Appliance spec.http", http_fields);
#undef OBJECT

#define OBJECT appliance_spec
static const struct field spec_fields[] = {
	FIELD("workers", F_OBJECT, workers, "see below", .always = true, .object = &workers_type),
	FIELD("memory", F_OBJECT, memory, "see below", .always = true, .object = &memory_type),
	LIST_FIELD("ports", F_OBJECTS, ports, "at most 8", .object = &port_type),
	FIELD("localPorts", F_STRING, local_ports,
		"first-last, of connections that the gateway opens; absent: 16384-65535, with a shared "
		"port 61000-65535; the kernel must not use them on a shared port "
		"(net.ipv4.ip_local_reserved_ports)"),
	FIELD("management", F_OBJECT, management, "see below", .always = true,
		.object = &management_type),
	FIELD("drain", F_OBJECT, drain, "see below", .always = true, .object = &drain_type),
	FIELD("outlier", F_OBJECT, outlier, "see below", .always = true, .object = &outlier_type),
	FIELD("metrics", F_OBJECT, metrics, "see below", .always = true, .object = &metrics_type),
	FIELD("http", F_OBJECT, http, "see below", .always = true, .object = &http_type),
	FIELD("meshRoutes", F_BOOL, mesh_routes,
		"serve VirtualServices bound to mesh too: for services without sidecars",
		.dflt = "false"),
	FIELD("onError", F_ENUM, quarantine, "what an error in one object does", .dflt = "reject",
		.values = on_errors),
};
const struct object_type appliance_spec_type = TYPE("Appliance spec", spec_fields);
#undef OBJECT

#define OBJECT appliance_document
static const struct field appliance_fields[] = {DOCUMENT_ROWS, SPEC_ROW(appliance_spec_type)};
const struct object_type appliance_type = TYPE("Appliance", appliance_fields);
#undef OBJECT
