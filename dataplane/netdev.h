// What the kernel says about one of its network interfaces, and the little we ask of it. For ports that
// sit on top of one (AF_XDP, AF_PACKET). mgmt thread; works in whatever network namespace we are in.
#pragma once

#include "dataplane/base/ip_addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netdev {
	char driver[32]; // "veth", "ixgbe"; "" if it does not say
	unsigned index;
	unsigned n_rx_queues;
	uint16_t mtu;
	bool up;
	bool loopback;
	bool has_default_route;
	uint32_t xdp_program; // id of the attached one, 0: none
};

// Returns 0, or -ENODEV and the like.
int netdev_read(const char *name, struct netdev *out);
int netdev_set_up(const char *name);
// True if the interface is there, up, and has a carrier.
bool netdev_has_link(unsigned index);
// Lets frames to every group in, or no longer. Returns 1 if that was not so before, 0, or a negative errno.
int netdev_set_all_groups(unsigned index, bool on);

// True if the kernel has the address on any interface.
bool netdev_kernel_owns(const struct ip_addr *address);

// True if the kernel may give local ports within [first, last] to its own connections; '*from' and '*to' are the first and the
// last of them.
bool netdev_local_ports_overlap(uint16_t first, uint16_t last, uint16_t *from, uint16_t *to);

// True for interfaces whose sender is this very kernel, which leaves checksums unfinished.
bool netdev_is_virtual(const struct netdev *d);

// Names of all interfaces, ", " between them.
void netdev_list(char *out, size_t size);
