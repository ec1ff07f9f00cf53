// The Appliance document as the process needs it.
#include "mgmt/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Of connections that the gateway opens: not the well-known ones, and enough of them for each worker.
#define LOCAL_PORT_MIN  1024u
#define LOCAL_PORTS_MIN 1024u

// The documents' texts live as long as the router's configuration; the Appliance's are kept longer.
static const char *or_null(struct region *out, const char *text)
{
	return text[0] != '\0' ? region_strdup(out, text) : NULL;
}

// "127.0.0.1:15090", "[::1]:15090", ":15090".
static bool parse_endpoint(struct region *r, const char *text, struct ip_endpoint *out)
{
	const char *colon = strrchr(text, ':');
	char *host;
	uint64_t port;

	if (colon == NULL || !number_parse(colon + 1, &port) || port == 0 || port > 65535)
		return false;
	host = region_copy(r, text, (size_t)(colon - text));
	if (host[0] == '[' && colon > text + 1 && colon[-1] == ']') {
		host[colon - text - 1] = '\0';
		host++;
	}
	if (host[0] == '\0')
		host = region_strdup(r, "0.0.0.0");
	out->port = (uint16_t)port;
	return ip_addr_parse(host, &out->addr);
}

static bool parse_prefix(
	struct region *r, const char *text, struct ip_addr *address, uint8_t *prefix_len)
{
	const char *slash = strchr(text, '/');
	uint64_t len;

	if (slash == NULL || !number_parse(slash + 1, &len))
		return false;
	if (!ip_addr_parse(region_copy(r, text, (size_t)(slash - text)), address))
		return false;
	if (len == 0 || len > (ip_addr_is_v4(address) ? 32 : 128))
		return false;
	// Neither a group nor nothing.
	if (address->b[0] == 0xff || (address->q[0] == 0 && address->q[1] == 0))
		return false;
	*prefix_len = (uint8_t)len;
	return true;
}

static bool is_core_list(const char *text)
{
	char *end;

	do {
		unsigned long first, last;

		if (*text < '0' || *text > '9')
			return false;
		first = last = strtoul(text, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return false;
			last = strtoul(end + 1, &end, 10);
		}
		if (last < first || last > 1023)
			return false;
		text = end + 1;
	} while (*end == ',');
	return *end == '\0';
}

static const struct {
	enum port_driver driver;
	const char *field; // what says which device it is
} driver_fields[] = {
	{PORT_AF_XDP,    "interface"},
	{PORT_AF_PACKET, "interface"},
	{PORT_TAP,       "interface"},
	{PORT_MEMIF,     "socket"   },
	{PORT_PCI,       "address"  },
	{PORT_DEVARGS,   "devargs"  },
};

// A default route of a family that the port has no address of would never carry anything.
static void check_gateways(struct diag *d, const struct appliance_port_spec *spec)
{
	bool has_v4 = false, has_v6 = false;
	const struct {
		const char *field;
		const struct ip_addr *address;
	} gateways[] = {
		{"gateway",  &spec->gateway },
		{"gateway6", &spec->gateway6},
	};

	for (unsigned i = 0; i < spec->n_addresses; i++) {
		has_v4 |= strchr(spec->addresses[i], ':') == NULL;
		has_v6 |= strchr(spec->addresses[i], ':') != NULL;
	}
	for (size_t i = 0; i < COUNT_OF(gateways); i++) {
		bool is_v4 = ip_addr_is_v4(gateways[i].address);

		if (object_has(spec, gateways[i].field) && !(is_v4 ? has_v4 : has_v6))
			tree_field_error(d, spec->node, gateways[i].field,
				"is an %s address and the port has none; expected one in addresses",
				is_v4 ? "IPv4" : "IPv6");
	}
	if (object_has(spec, "gateway6") && ip_addr_is_v4(&spec->gateway6))
		tree_field_error(d, spec->node, "gateway6",
			"is an IPv4 address; expected an IPv6 one, or it in gateway");
	else if (object_has(spec, "gateway6") && object_has(spec, "gateway")
		&& !ip_addr_is_v4(&spec->gateway))
		tree_field_error(d, spec->node, "gateway6",
			"is a second IPv6 gateway; expected an IPv4 one in gateway");
}

static void check_shared_port(struct diag *d, const struct appliance_port_spec *spec)
{
	static const char *const kernels[] = {"addresses", "gateway", "gateway6"};

	if (spec->driver != PORT_AF_XDP && object_has(spec, "driver"))
		tree_field_error(d, spec->node, "addressing",
			"\"shared\" cannot be had with driver %s; expected driver af_xdp",
			object_get(spec, "driver")->text);
	for (size_t i = 0; i < COUNT_OF(kernels); i++) {
		if (object_has(spec, kernels[i]))
			tree_field_error(d, spec->node, kernels[i],
				"is the kernel's with addressing: shared; expected no such field");
	}
	if (object_has(spec, "vlan"))
		tree_field_error(d, spec->node, "vlan",
			"cannot be had with addressing: shared, which leaves tagged frames to the kernel; "
			"expected addressing: own");
}

static void check_port(struct diag *d, const struct appliance_port_spec *spec,
	const struct appliance_port_spec *others, unsigned n_others)
{
	for (size_t i = 0; i < COUNT_OF(driver_fields); i++) {
		if (object_has(spec, "driver") && (int)driver_fields[i].driver == spec->driver
			&& !object_has(spec, driver_fields[i].field))
			tree_field_error(d, spec->node, driver_fields[i].field,
				"is missing; expected it for driver %s",
				object_get(spec, "driver")->text);
	}
	if (!spec->shared && spec->n_addresses == 0)
		tree_field_error(d, spec->node, "addresses",
			"is missing; expected at least one such as 10.0.0.1/24");
	if (spec->shared)
		check_shared_port(d, spec);
	else
		check_gateways(d, spec);
	for (unsigned i = 0; i < n_others; i++) {
		if (spec->name[0] != '\0' && strcmp(others[i].name, spec->name) == 0)
			tree_field_error(d, spec->node, "name",
				"\"%s\" is already used at line %u; expected another name",
				spec->name, others[i].node->line);
		if (spec->interface[0] != '\0' && strcmp(others[i].interface, spec->interface) == 0)
			tree_field_error(d, spec->node, "interface",
				"\"%s\" is already used at line %u; expected another interface",
				spec->interface, others[i].node->line);
	}
}

static void translate_port(const struct manifest *m, struct region *out,
	const struct appliance_port_spec *spec, struct appliance_port *to)
{
	static const char *const checksum_names[] = {NULL, "verify", "trust", "accept-partial"};
	const struct node *list = object_get(spec, "addresses");
	const struct node *n = list != NULL ? list->first : NULL;

	to->name = region_strdup(out, spec->name);
	to->driver = (enum port_driver)spec->driver;
	to->interface = or_null(out, spec->interface);
	to->pci_address = or_null(out, spec->address);
	to->devargs = or_null(out, spec->devargs);
	to->memif_socket = or_null(out, spec->socket);
	to->shared = spec->shared != 0;
	to->gateway = spec->gateway;
	to->gateway6 = spec->gateway6;
	to->mtu = (uint16_t)spec->mtu;
	to->vlan = (uint16_t)spec->vlan;
	to->checksum = checksum_names[spec->checksum];
	to->offloads = spec->offloads != 0;
	for (unsigned i = 0; i < spec->n_addresses && n != NULL; i++, n = n->next) {
		if (i == COUNT_OF(to->addresses)) {
			tree_error(m->d, n, "too many addresses; expected at most 8");
			break;
		}
		if (parse_prefix(out, spec->addresses[i], &to->addresses[i], &to->prefix_len[i]))
			to->n_addresses++;
		else
			tree_error(m->d, n,
				"\"%s\" is not an address with a prefix; expected such as 10.0.0.1/24",
				spec->addresses[i]);
	}
}

static void endpoint_field(const struct manifest *m, struct region *out,
	const struct appliance_management *spec, const char *field, const char *text,
	struct ip_endpoint *to)
{
	if (text[0] != '\0' && !parse_endpoint(out, text, to))
		tree_field_error(m->d, spec->node, field,
			"\"%s\" is not an address and port; expected such as 127.0.0.1:15090",
			text);
}

static void translate_labels(
	struct region *out, const struct key_value *labels, unsigned n, struct appliance *to)
{
	const char **keys = region_alloc(out, (n + 1) * sizeof(*keys));
	const char **values = region_alloc(out, (n + 1) * sizeof(*values));

	for (unsigned i = 0; i < n; i++) {
		keys[i] = region_strdup(out, labels[i].key);
		values[i] = region_strdup(out, labels[i].value);
	}
	to->label_keys = keys;
	to->label_values = values;
	to->n_labels = n;
}

static void translate_local_ports(
	const struct manifest *m, const struct appliance_spec *spec, struct appliance *to)
{
	unsigned first, last;
	int len = 0;

	if (spec->local_ports[0] == '\0')
		return;
	if (sscanf(spec->local_ports, "%5u-%5u%n", &first, &last, &len) != 2
		|| spec->local_ports[len] != '\0' || first < LOCAL_PORT_MIN || last > UINT16_MAX
		|| last < first + LOCAL_PORTS_MIN - 1) {
		tree_field_error(m->d, spec->node, "localPorts",
			"\"%s\" is no range of at least %u ports from %u; expected such as 61000-65535",
			spec->local_ports, LOCAL_PORTS_MIN, LOCAL_PORT_MIN);
		return;
	}
	to->local_port_first = (uint16_t)first;
	to->local_port_last = (uint16_t)last;
}

static void translate_spec(const struct manifest *m, struct region *out,
	const struct appliance_spec *spec, struct appliance *to)
{
	const struct appliance_workers *workers = spec->workers;
	const struct appliance_memory *memory = spec->memory;
	const struct appliance_management *management = spec->management;
	const struct appliance_drain *drain = spec->drain;
	const struct appliance_outlier *outlier = spec->outlier;
	const struct appliance_metrics *metrics = spec->metrics;
	const struct appliance_http *http = spec->http;

	to->cores = or_null(out, workers->cores);
	if (to->cores != NULL && !is_core_list(to->cores))
		tree_field_error(m->d, workers->node, "cores",
			"\"%s\" is not a core list; expected such as 1-3,5", to->cores);
	to->idle_adaptive = workers->adaptive != 0;
	to->memory_limit = memory->limit;
	to->hugepages = (unsigned)memory->hugepages;
	to->socket_path = region_strdup(out, management->socket);
	endpoint_field(m, out, management, "metrics", management->metrics, &to->metrics);
	endpoint_field(m, out, management, "health", management->health, &to->health);
	to->drain_timeout_us = drain->timeout_us;
	to->mesh_routes = spec->mesh_routes;
	to->quarantine = spec->quarantine != 0;
	to->destination_reporter = metrics->destination_reporter;
	to->always_eject_one = outlier->always_eject_one;
	to->http = (struct http_config){
		.max_head_bytes = http->max_head_bytes,
		.max_fields = http->max_fields,
		.head_timeout_us = http->head_timeout_us,
		.idle_timeout_us = http->idle_timeout_us,
		.body_timeout_us = http->body_timeout_us,
		.min_body_rate = http->min_body_rate,
		.body_rate_window_us = http->body_rate_window_us,
		.max_connections = http->max_connections,
		.path_normalization = PATH_NORMALIZE_BASE,
		.underscores = (enum underscores)http->underscores,
		.extended_connect = http->extended_connect,
		.accept_http_10 = http->accept_http_10,
		.request_timeout_us = http->request_timeout_us,
		.max_connections_per_address = http->max_connections_per_address,
		.server_name = region_strdup(out, http->server_name),
		.http2 =
			{
#define H2_LIMIT(member, yaml, default_, least, most, text) .member = http->http2->member,
#include "router/h2_limits.def"
			},
	};
	if (http->http2_keepalive != NULL) {
		to->http.ping_interval_us = http->http2_keepalive->interval_us;
		to->http.ping_timeout_us = http->http2_keepalive->timeout_us;
	}
	check_one_line(m, http, "serverName");
	translate_local_ports(m, spec, to);
	for (unsigned i = 0; i < spec->n_ports; i++) {
		if (i == APPLIANCE_MAX_PORTS) {
			tree_field_error(
				m->d, spec->node, "ports", "too many ports; expected at most 8");
			break;
		}
		check_port(m->d, &spec->ports[i], spec->ports, i);
		translate_port(m, out, &spec->ports[i], &to->ports[i]);
		to->n_ports++;
	}
}

struct appliance *translate_appliance(
	const struct manifest *m, struct region *out, const struct document **document)
{
	static const struct key_value default_labels[] = {
		{NULL, "app",   "istio-ingressgateway"},
		{NULL, "istio", "ingressgateway"      },
	};
	struct appliance *to = region_alloc(out, sizeof(*to));
	const struct appliance_document *o = NULL;
	const struct appliance_spec *spec;
	struct reader r = {.objects = m->objects, .strings = m->strings, .d = m->d};

	if (m->of[KIND_APPLIANCE].n > 0)
		o = (struct appliance_document *)m->of[KIND_APPLIANCE].at[0];
	for (unsigned i = 1; i < m->of[KIND_APPLIANCE].n; i++)
		tree_field_error(m->d, m->of[KIND_APPLIANCE].at[i]->node, "kind",
			"a second Appliance; expected one, as at %s:%u", o->document.node->file,
			o->document.node->line);
	*document = o != NULL ? &o->document : NULL;
	if (o == NULL) {
		diag_add(m->d, DIAG_WARNING, NULL, 0, 0, NULL,
			"no Appliance in the configuration; it can be checked as "
			"istio-system/istio-ingressgateway, but not run");
		to->name = "istio-ingressgateway";
		to->namespace = "istio-system";
		translate_labels(out, default_labels, COUNT_OF(default_labels), to);
	} else {
		to->name = region_strdup(out, o->document.name);
		to->namespace = region_strdup(out, o->document.namespace);
		if (o->document.metadata != NULL)
			translate_labels(out, o->document.metadata->labels,
				o->document.metadata->n_labels, to);
	}
	spec = o != NULL ? o->spec : NULL;
	if (spec == NULL)
		spec = object_defaults(&r, &appliance_spec_type);
	translate_spec(m, out, spec, to);
	return to;
}
