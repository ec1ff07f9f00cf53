// A port: one Ethernet device of DPDK, opened from its line of the configuration. What a driver can do is
// asked (rte_eth_dev_info) and obeyed; where it says too much or too little a row of the quirk table in
// port.c corrects it. Nothing above knows which driver it has.
//
// mgmt thread; the queues are polled by the workers.
#pragma once

#include "dataplane/dataplane.h"
#include "dataplane/gso_socket.h"
#include "dataplane/port_offload.h"
#include "dataplane/port_rss.h"
#include "dataplane/xdp.h"

#include <rte_mempool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port {
	const char *name; // borrowed from the configuration
	const char *driver;
	uint16_t id; // of the Ethernet device
	bool is_open;
	uint16_t n_queues; // receive and transmit, in pairs; the first n workers have one each
	uint16_t mtu; // what the stack uses, as 'mac'; of a shared port the kernel may change both
	uint16_t mtu_open;   // what the device was opened for
	uint16_t mtu_kernel; // of a shared port, as far as it is known
	uint64_t n_link_changes;
	uint8_t mac
		[6]; // what the stack uses; not the device's where the kernel has that one itself
	enum csum_policy csum;
	struct port_offloads offloads;
	struct port_rss rss;
	bool wakes; // a frame can end a worker's wait: by its queue's socket, or a receive interrupt
	int sockets[DATAPLANE_MAX_WORKERS]; // of the queues, owned by the driver; -1: none
	struct gso_socket *gso;             // one for each queue; NULL: none, see port_offloads
	char device_name[64];
	bool shared;              // addresses, routes and neighbours are the kernel's
	unsigned interface_index; // of the kernel's interface below; 0: none
	bool lets_groups_in;      // it does because of us
	int claim_fd;             // xdp_claim()
	struct xdp_share share;
	struct kernel_net *kernel; // of a shared port, see shared_ports.h
};

#define PORT_MTU_MIN 576u // RFC 791: every host takes this much

// Buffers that 'n_queues' queues of any driver may hold, so that the pool can be sized before a port is open.
uint32_t port_mbufs_needed(unsigned n_queues);

// True if the device may read buffers by itself, page by page (enum mbuf_layout).
bool port_needs_pages(const struct port_config *config);

// Checks what can be checked before the EAL runs and nothing is touched yet. Returns 0, or a negative errno and a
// sentence that starts with the port's name.
int port_check(const struct port_config *config, char *error, size_t error_size);

// Opens and starts the device with buffers from 'pool'. 'index' makes its name unique. As port_check().
int port_open(struct port *p, const struct port_config *config, unsigned index, unsigned n_workers,
	struct rte_mempool *pool, char *error, size_t error_size);

// Stops the device; an XDP program is detached with it. Harmless for a port that is not open.
void port_close(struct port *p);

const char *port_csum_name(enum csum_policy policy);
