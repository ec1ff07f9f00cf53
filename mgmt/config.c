#include "mgmt/config.h"

#include "mgmt/check.h"
#include "mgmt/translate.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

static void free_region(void *memory)
{
	struct region *r = memory;

	region_free(&r);
}

static struct router_config *translate(const struct manifest *m, struct region *out,
	const struct appliance *appliance, const struct document *document)
{
	static const struct key_value default_labels[] = {
		{NULL, "app",   "istio-ingressgateway"},
		{NULL, "istio", "ingressgateway"      },
	};
	struct reader r = {.objects = m->objects, .strings = m->strings, .d = m->d};
	struct translation t = {.m = m,
		.d = m->d,
		.work = m->objects,
		.out = out,
		.mesh = m->mesh != NULL ? m->mesh : object_defaults(&r, &mesh_config_type),
		.appliance = appliance,
		.labels = default_labels,
		.n_labels = COUNT_OF(default_labels),
		.router = region_alloc(out, sizeof(*t.router)),
		.now_s = (int64_t)time(NULL)};

	if (document != NULL && document->metadata != NULL) {
		t.labels = document->metadata->labels;
		t.n_labels = document->metadata->n_labels;
	}
	translate_http_and_log(&t);
	translate_backends(&t);
	translate_gateways(&t);
	translate_clusters(&t);
	t.router->memory = out;
	t.router->free_memory = free_region;
	return t.router;
}

static int load(struct config **out, struct manifest *m, struct region *kept)
{
	struct region *memory = region_new();
	struct config *c = region_alloc(memory, sizeof(*c));
	const struct document *document;

	c->memory = memory;
	c->appliance = translate_appliance(m, memory, &document);
	check_objects(m);
	c->router = translate(m, kept, c->appliance, document);
	if (diag_n_errors(m->d) > 0) {
		config_free(&c); // with 'kept'
		return -EINVAL;
	}
	*out = c;
	return 0;
}

int config_load(struct config **out, const char *const *paths, unsigned n_paths, struct diag *d)
{
	struct region *objects = region_new(), *kept = region_new();
	struct manifest m;
	int err;

	*out = NULL;
	manifest_load(&m, paths, n_paths, objects, kept, d);
	err = load(out, &m, kept);
	region_free(&objects);
	return err;
}

void config_free(struct config **cp)
{
	struct config *c = *cp;
	struct region *memory;

	*cp = NULL;
	if (c == NULL)
		return;
	router_config_free(&c->router);
	memory = c->memory;
	region_free(&memory);
}

// --- what cannot change while running

struct fixed {
	config_fixed_fn *fn;
	void *arg;
};

static void compare_text(
	const struct fixed *f, const char *field, const char *now, const char *wanted)
{
	now = now != NULL ? now : "";
	wanted = wanted != NULL ? wanted : "";
	if (strcmp(now, wanted) != 0)
		f->fn(f->arg, field, now, wanted);
}

static void compare_number(const struct fixed *f, const char *field, uint64_t now, uint64_t wanted)
{
	char now_text[24], wanted_text[24];

	snprintf(now_text, sizeof(now_text), "%" PRIu64, now);
	snprintf(wanted_text, sizeof(wanted_text), "%" PRIu64, wanted);
	compare_text(f, field, now_text, wanted_text);
}

static void compare_endpoint(const struct fixed *f, const char *field,
	const struct ip_endpoint *now, const struct ip_endpoint *wanted)
{
	char now_text[IP_ENDPOINT_TEXT_SIZE] = "off", wanted_text[IP_ENDPOINT_TEXT_SIZE] = "off";

	if (now->port != 0)
		ip_endpoint_print(now, now_text);
	if (wanted->port != 0)
		ip_endpoint_print(wanted, wanted_text);
	compare_text(f, field, now_text, wanted_text);
}

static const char *const driver_names[] = {
	[PORT_AF_XDP] = "af_xdp",
	[PORT_AF_PACKET] = "af_packet",
	[PORT_TAP] = "tap",
	[PORT_MEMIF] = "memif",
	[PORT_PCI] = "pci",
	[PORT_DEVARGS] = "devargs",
};

static void addresses_text(const struct appliance_port *p, char *to, size_t size)
{
	size_t at = 0;

	to[0] = '\0';
	for (unsigned i = 0; i < p->n_addresses && at < size; i++) {
		char address[IP_ENDPOINT_TEXT_SIZE];

		ip_addr_print(&p->addresses[i], address);
		at += (size_t)snprintf(to + at, size - at, "%s%s/%u", at > 0 ? "," : "", address,
			p->prefix_len[i]);
	}
}

static void compare_port(const struct fixed *f, unsigned index, const struct appliance_port *now,
	const struct appliance_port *wanted)
{
	char now_text[512], wanted_text[512], field[64];

#define PORT_FIELD(name) (snprintf(field, sizeof(field), "ports[%u]." name, index), field)
	compare_text(f, PORT_FIELD("name"), now->name, wanted->name);
	compare_text(
		f, PORT_FIELD("driver"), driver_names[now->driver], driver_names[wanted->driver]);
	compare_text(f, PORT_FIELD("interface"), now->interface, wanted->interface);
	compare_text(f, PORT_FIELD("address"), now->pci_address, wanted->pci_address);
	compare_text(f, PORT_FIELD("devargs"), now->devargs, wanted->devargs);
	compare_text(f, PORT_FIELD("socket"), now->memif_socket, wanted->memif_socket);
	compare_text(f, PORT_FIELD("addressing"), now->shared ? "shared" : "own",
		wanted->shared ? "shared" : "own");
	addresses_text(now, now_text, sizeof(now_text));
	addresses_text(wanted, wanted_text, sizeof(wanted_text));
	compare_text(f, PORT_FIELD("addresses"), now_text, wanted_text);
	ip_addr_print(&now->gateway, now_text);
	ip_addr_print(&wanted->gateway, wanted_text);
	compare_text(f, PORT_FIELD("gateway"), now_text, wanted_text);
	ip_addr_print(&now->gateway6, now_text);
	ip_addr_print(&wanted->gateway6, wanted_text);
	compare_text(f, PORT_FIELD("gateway6"), now_text, wanted_text);
	compare_number(f, PORT_FIELD("mtu"), now->mtu, wanted->mtu);
	compare_number(f, PORT_FIELD("vlan"), now->vlan, wanted->vlan);
	compare_text(f, PORT_FIELD("checksum"), now->checksum, wanted->checksum);
	compare_text(f, PORT_FIELD("offloads"), now->offloads ? "auto" : "off",
		wanted->offloads ? "auto" : "off");
#undef PORT_FIELD
}

void config_each_fixed_change(const struct appliance *running, const struct appliance *wanted,
	config_fixed_fn *fn, void *arg)
{
	struct fixed f = {fn, arg};
	unsigned n = running->n_ports < wanted->n_ports ? running->n_ports : wanted->n_ports;

	compare_text(&f, "workers.cores", running->cores, wanted->cores);
	compare_text(&f, "workers.idle", running->idle_adaptive ? "adaptive" : "poll",
		wanted->idle_adaptive ? "adaptive" : "poll");
	compare_number(&f, "memory.limit", running->memory_limit, wanted->memory_limit);
	compare_number(&f, "memory.hugepages", running->hugepages, wanted->hugepages);
	compare_number(&f, "ports (number of)", running->n_ports, wanted->n_ports);
	for (unsigned i = 0; i < n; i++)
		compare_port(&f, i, &running->ports[i], &wanted->ports[i]);
	compare_number(
		&f, "localPorts (first)", running->local_port_first, wanted->local_port_first);
	compare_number(&f, "localPorts (last)", running->local_port_last, wanted->local_port_last);
	compare_text(&f, "management.socket", running->socket_path, wanted->socket_path);
	compare_endpoint(&f, "management.metrics", &running->metrics, &wanted->metrics);
	compare_endpoint(&f, "management.health", &running->health, &wanted->health);
}
