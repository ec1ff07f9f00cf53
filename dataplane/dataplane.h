// The dataplane as the rest of the program sees it: EAL, ports and workers, started and stopped as one. mgmt thread.
//
//     dataplane_start()  EAL (in memory, unique prefix, with or without hugepages), mempools, ports, one worker
//                        for each core, each with its net; then the app's start() on every worker
//     dataplane_stop()   the app's stop() on every worker, ports closed (XDP programs detached)
#pragma once

#include "dataplane/base/ip_addr.h"
#include "dataplane/worker.h"

#include <stdbool.h>
#include <stdint.h>

#define DATAPLANE_MAX_PORTS   8
#define DATAPLANE_MAX_WORKERS 64
#define DATAPLANE_ERROR_SIZE  512

enum port_kind {
	PORT_KIND_AF_XDP,
	PORT_KIND_AF_PACKET,
	PORT_KIND_TAP,
	PORT_KIND_MEMIF,
	PORT_KIND_PCI,
	PORT_KIND_DEVARGS,
};

struct port_config {
	const char *name;
	enum port_kind kind;
	const char *device; // interface, PCI address, memif socket, or the whole devargs string
	bool shared;
	struct ip_addr addresses[8];
	uint8_t prefix_len[8];
	unsigned n_addresses;
	struct ip_addr gateway;  // all zero: none
	struct ip_addr gateway6; // another of the other family
	uint16_t vlan;           // 0: untagged
	uint16_t mtu;            // 0: the device's
	int checksum;            // enum csum_policy; -1: by driver (quirk table)
	bool offloads;           // use what the device offers
};

// Local ports of active opens, when the configuration names none. They lie above the ports that gateways listen on; on
// an interface that is shared with the kernel also above those that its own connections get by default.
#define DATAPLANE_LOCAL_PORT_FIRST        16384u
#define DATAPLANE_LOCAL_PORT_FIRST_SHARED 61000u
#define DATAPLANE_LOCAL_PORT_LAST         65535u

struct dataplane_config {
	const char *cores; // "1", "1-3,5" within the allowed set; NULL: the last allowed one
	bool adaptive;     // idle ladder; else poll for ever
	enum {
		DATAPLANE_HUGEPAGES_PREFER,
		DATAPLANE_HUGEPAGES_REQUIRE,
		DATAPLANE_HUGEPAGES_OFF
	} hugepages;
	uint16_t local_port_first; // of active opens; both 0: by default
	uint16_t local_port_last;
	uint64_t memory_bytes; // for mbufs and stacks (the app's own memory is the app's)
	size_t capture_bytes;  // of each worker, besides: frames kept for 'pollgatectl capture'
	struct port_config ports[DATAPLANE_MAX_PORTS];
	unsigned n_ports;
};

struct dataplane;

// How many workers 'cores' asks for, before anything is started; 0 and a sentence in 'error' if it cannot be had.
unsigned dataplane_count_workers(const char *cores, char error[DATAPLANE_ERROR_SIZE]);

// Starts everything or nothing. Returns 0, or a negative errno and a sentence that names the port, the numbers and the
// remedy. Strings of 'config' are copied.
int dataplane_start(struct dataplane **out, const struct dataplane_config *config,
	const struct worker_app *app, char error[DATAPLANE_ERROR_SIZE]);
void dataplane_stop(struct dataplane **dp);

struct worker *const *dataplane_workers(const struct dataplane *d, unsigned *n);

#define PORT_STATUS_TEXT_SIZE 64

struct port_status {
	const char *name;
	const char *driver; // "net_af_xdp"
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t n_queues;
	bool link_up;
	uint64_t n_link_changes;              // of the MAC or the MTU that were followed
	const char *checksum;                 // "accept-partial"
	char offloads[PORT_STATUS_TEXT_SIZE]; // "rx-checksum tcp-checksum tso"; "gso"; "none"
	char steering[PORT_STATUS_TEXT_SIZE]; // "rss verified"; "software: one worker"
	uint64_t rx_packets, rx_bytes, rx_missed, rx_errors, rx_nombuf;
	uint64_t tx_packets, tx_bytes, tx_errors;
};

// Returns false when there is no port 'index'.
bool dataplane_port_status(const struct dataplane *d, unsigned index, struct port_status *out);

struct memory_status {
	uint64_t mbufs_total, mbufs_in_use;
	uint64_t mbuf_bytes; // of one, headers included
	uint64_t eal_bytes;
	bool hugepages;
	uint32_t connections; // that a worker has room for
};

// The sum over all workers; see tcp.h. mgmt thread.
struct tcp_unowned dataplane_count_unowned(struct dataplane *d);

void dataplane_memory_status(const struct dataplane *d, struct memory_status *out);

// Ports with shared addressing follow the kernel: dataplane_follow() is to be called when the descriptor is readable;
// it is -1 when there is no such port.
int dataplane_kernel_fd(const struct dataplane *d);
void dataplane_follow(struct dataplane *d);

// Says what TCP ports the gateway listens on; the others of a shared interface are the kernel's. Returns 0 or a negative
// errno, which is logged.
int dataplane_listen(struct dataplane *d, const uint16_t *tcp_ports, unsigned n);

// Keeps the workers' wall clock right; to be called about once a second.
void dataplane_tick(struct dataplane *d);
