// The configuration as the process needs it: our own Appliance, and what Istio's documents come
// to for the router. Plain data.
#pragma once

#include "mgmt/diag.h"
#include "router/config.h"

#include <stdbool.h>
#include <stdint.h>

enum port_driver {
	PORT_AF_XDP,
	PORT_AF_PACKET,
	PORT_TAP,
	PORT_MEMIF,
	PORT_PCI,
	PORT_DEVARGS,
};

#define APPLIANCE_MAX_PORTS 8

struct appliance_port {
	const char *name;
	enum port_driver driver;
	const char *interface; // af_xdp, af_packet: kernel interface; tap: the one to make
	const char *pci_address;
	const char *devargs;
	const char *memif_socket;
	bool shared; // addressing: shared
	struct ip_addr addresses[8];
	uint8_t prefix_len[8];
	unsigned n_addresses;
	struct ip_addr gateway;  // all zero: none
	struct ip_addr gateway6; // beside an IPv4 one
	uint16_t mtu;            // 0: the port's
	uint16_t vlan;           // 0: untagged
	const char *checksum;    // verify | trust | accept-partial; NULL: by driver
	bool offloads;           // what the device offers is used
};

struct appliance {
	const char *name;
	const char *namespace;
	const char *const *label_keys;
	const char *const *label_values;
	unsigned n_labels;
	const char *cores; // "1", "1-3,5"; NULL: one, chosen from the allowed set
	bool idle_adaptive;
	uint64_t memory_limit; // bytes, everything
	enum { HUGEPAGES_PREFER, HUGEPAGES_REQUIRE, HUGEPAGES_OFF } hugepages;
	struct appliance_port ports[APPLIANCE_MAX_PORTS];
	unsigned n_ports;
	uint16_t local_port_first; // of connections that we open; both 0: by default
	uint16_t local_port_last;
	const char *socket_path;
	struct ip_endpoint metrics; // port 0: off
	struct ip_endpoint health;  // port 0: off
	uint64_t drain_timeout_us;
	bool mesh_routes;
	bool quarantine; // onError: quarantine
	bool destination_reporter;
	bool always_eject_one;
	struct http_config http;
};

struct config {
	struct appliance *appliance;
	struct router_config *router; // snapshot_new() takes it; NULL afterwards
	void *memory;                 // of 'appliance'
};

// Reads every file of 'paths' (a folder: its *.yaml, sorted), checks all of it, and translates.
// Returns 0 and '*out', or a negative errno with every problem in 'd'; warnings are in 'd' in
// both cases. Any one thread at a time.
int config_load(struct config **out, const char *const *paths, unsigned n_paths, struct diag *d);
void config_free(struct config **cp);

// Names (for the operator) each field of the Appliance that differs and cannot change while
// running; 'fn' is called for each.
typedef void config_fixed_fn(void *arg, const char *field, const char *now, const char *wanted);
void config_each_fixed_change(const struct appliance *running, const struct appliance *wanted,
	config_fixed_fn *fn, void *arg);
