// What the kernel knows of the network behind one of its interfaces, and follows as it changes: for ports with shared
// addressing, whose addresses, routes and neighbours are the kernel's.
//
//     rtnetlink events --> kernel_net_run() --> paths       (hardware address and MTU, addresses and routes: any change reads
//                                                            all of them anew)
//                                           --> neighbours  (as they change, and those that were asked for)
//     worker: kernel_net_want() --ring, eventfd--> kernel_net_run() --> the kernel is told to find the neighbour
//
// mgmt thread, but for kernel_net_want().
#pragma once

#include "dataplane/net/kept.h"

#include <stddef.h>
#include <stdint.h>

struct kernel_net;

struct kernel_neighbour {
	struct ip_addr addr;
	bool has_mac; // false: the kernel got no answer, or has forgotten it
	bool confirmed;
	uint8_t mac[6];
};

// Called from kernel_net_run().
struct kernel_net_ops {
	void (*set_paths)(void *arg, const struct net_paths *paths);
	void (*set_neighbours)(void *arg, const struct kernel_neighbour *list, unsigned n);
	void *arg;
};

// Returns NULL and a sentence in 'error'. Nothing is read before the first kernel_net_run().
struct kernel_net *kernel_net_new(
	const char *interface, unsigned index, char *error, size_t error_size);
void kernel_net_free(struct kernel_net **kp);

// Becomes readable when kernel_net_run() has something to do.
int kernel_net_fd(const struct kernel_net *k);

// Takes what has come and calls 'ops' with it; does not wait. A change of addresses or routes sooner than
// KERNEL_NET_PAUSE_US after the last one waits for a later call, which has to come without being asked for.
#define KERNEL_NET_PAUSE_US 100000u
void kernel_net_run(struct kernel_net *k, const struct kernel_net_ops *ops, uint64_t now_us);

// Any worker's thread; an iface_resolve_fn whose 'arg' is a struct kernel_net. When more neighbours are wanted than fit
// the ring the rest has to ask again.
void kernel_net_want(void *arg, const struct ip_addr *neighbour);
