#include "mgmt/sizing.h"

#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

// What has to be there for one worker besides the process, so that it can serve at all.
#define PROCESS_MIN    (48 * MIB)
#define WORKER_MIN     (48 * MIB)
#define LOG_RING_MIN   (MIB / 2)
#define LOG_RING_MAX   (8 * MIB)
#define LOG_RING_SHARE 64 // of the limit
#define CAPTURE_MIN    (MIB / 2)
#define CAPTURE_MAX    (8 * MIB)
#define CAPTURE_SHARE  128

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static uint64_t power_of_two_below(uint64_t value)
{
	uint64_t p = 1;

	while (p * 2 <= value)
		p *= 2;
	return p;
}

bool sizing_divide(
	struct sizing *out, uint64_t limit, unsigned n_workers, char error[SIZING_ERROR_SIZE])
{
	uint64_t need = PROCESS_MIN + n_workers * WORKER_MIN;
	uint64_t log_ring = clamp(limit / LOG_RING_SHARE / n_workers, LOG_RING_MIN, LOG_RING_MAX);
	uint64_t capture = clamp(
		power_of_two_below(limit / CAPTURE_SHARE / n_workers), CAPTURE_MIN, CAPTURE_MAX);
	uint64_t rest;

	if (limit < need) {
		snprintf(error, SIZING_ERROR_SIZE,
			"memory.limit is %llu MiB; %u workers need at least %llu MiB",
			(unsigned long long)(limit / MIB), n_workers,
			(unsigned long long)(need / MIB));
		return false;
	}
	*out = (struct sizing){
		.limit = limit, .log_ring = (size_t)log_ring, .capture = (size_t)capture};
	// Configurations grow with what they serve, which grows with the machine.
	out->process = PROCESS_MIN + (limit - need) / 8;
	rest = limit - out->process - n_workers * (log_ring + capture);
	out->dataplane = rest / 2;
	out->router = rest - out->dataplane;
	return true;
}

static const char *port_device(const struct appliance_port *p)
{
	switch (p->driver) {
	case PORT_AF_XDP:
	case PORT_AF_PACKET:
	case PORT_TAP: return p->interface;
	case PORT_MEMIF: return p->memif_socket;
	case PORT_PCI: return p->pci_address;
	case PORT_DEVARGS: return p->devargs;
	}
	return NULL;
}

static enum port_kind port_kind(enum port_driver driver)
{
	switch (driver) {
	case PORT_AF_XDP: return PORT_KIND_AF_XDP;
	case PORT_AF_PACKET: return PORT_KIND_AF_PACKET;
	case PORT_TAP: return PORT_KIND_TAP;
	case PORT_MEMIF: return PORT_KIND_MEMIF;
	case PORT_PCI: return PORT_KIND_PCI;
	case PORT_DEVARGS: return PORT_KIND_DEVARGS;
	}
	return PORT_KIND_DEVARGS;
}

static int port_checksum(const char *name)
{
	static const struct {
		const char *name;
		enum csum_policy policy;
	} policies[] = {
		{"verify",         CSUM_VERIFY        },
		{"trust",          CSUM_TRUST         },
		{"accept-partial", CSUM_ACCEPT_PARTIAL},
	};

	for (unsigned i = 0; name != NULL && i < sizeof(policies) / sizeof(policies[0]); i++) {
		if (strcmp(policies[i].name, name) == 0)
			return (int)policies[i].policy;
	}
	return -1;
}

static int hugepages(const struct appliance *a)
{
	switch (a->hugepages) {
	case HUGEPAGES_PREFER: return DATAPLANE_HUGEPAGES_PREFER;
	case HUGEPAGES_REQUIRE: return DATAPLANE_HUGEPAGES_REQUIRE;
	case HUGEPAGES_OFF: return DATAPLANE_HUGEPAGES_OFF;
	}
	return DATAPLANE_HUGEPAGES_PREFER;
}

void sizing_dataplane_config(
	struct dataplane_config *out, const struct appliance *a, const struct sizing *s)
{
	*out = (struct dataplane_config){
		.cores = a->cores,
		.adaptive = a->idle_adaptive,
		.hugepages = hugepages(a),
		.memory_bytes = s->dataplane,
		.capture_bytes = s->capture,
		.local_port_first = a->local_port_first,
		.local_port_last = a->local_port_last,
		.n_ports = a->n_ports,
	};
	for (unsigned i = 0; i < a->n_ports; i++) {
		const struct appliance_port *from = &a->ports[i];
		struct port_config *to = &out->ports[i];

		*to = (struct port_config){
			.name = from->name,
			.kind = port_kind(from->driver),
			.device = port_device(from),
			.shared = from->shared,
			.n_addresses = from->n_addresses,
			.gateway = from->gateway,
			.gateway6 = from->gateway6,
			.mtu = from->mtu,
			.vlan = from->vlan,
			.checksum = port_checksum(from->checksum),
			.offloads = from->offloads,
		};
		memcpy(to->addresses, from->addresses, sizeof(to->addresses));
		memcpy(to->prefix_len, from->prefix_len, sizeof(to->prefix_len));
	}
}
