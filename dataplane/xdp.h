// XDP programs on the interfaces of AF_XDP ports: whose interface it is, what a killed process left there, and
// the program of a port with shared addressing (net/xdp_share.c), which is part of our own.
//
//     xdp_claim --> xdp_clear --> xdp_share_file --> the driver loads and attaches it --> xdp_share_find
//                                                    xdp_share_set_ports / _set_addresses, while packets flow
//
// mgmt thread.
#pragma once

#include "dataplane/base/ip_addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XDP_MAX_ADDRESSES 64u

// A set of TCP ports, as the program reads it.
struct xdp_ports {
	uint64_t words[1024]; // bit p % 64 of word p / 64
};

static inline void xdp_ports_add(struct xdp_ports *s, uint16_t port)
{
	s->words[port / 64] |= UINT64_C(1) << (port % 64);
}

static inline bool xdp_ports_has(const struct xdp_ports *s, uint16_t port)
{
	return (s->words[port / 64] >> (port % 64) & 1) != 0;
}

// The maps of a program that is attached.
struct xdp_share {
	int ports_fd; // 0 and below: not open
	int addresses_fd;
	struct xdp_ports ports; // what the map holds
	struct ip_addr addresses[XDP_MAX_ADDRESSES];
	unsigned n_addresses;
};

// Makes this process the one gateway on an interface of its network namespace until it ends, however it ends.
// Returns a file descriptor to close, -EADDRINUSE if another has it, or another negative errno.
int xdp_claim(unsigned interface_index);

// Detaches the program 'id' that is on the interface, which we have claimed: it was left by a process that was
// killed. Returns 0, -EBUSY with its name in 'name' if it is none of ours, or another negative errno. Without the
// right to ask for names (CAP_SYS_ADMIN) every program is taken for ours.
int xdp_clear(unsigned interface_index, uint32_t id, char name[16]);

// Puts the program for shared addressing where a driver can open it by a path, which is written to 'path'. Returns a
// file descriptor to close once it is loaded, or a negative errno.
int xdp_share_file(char *path, size_t size);

// Finds the maps of the program that this process loaded last. Returns 0, or -ENOENT.
int xdp_share_find(struct xdp_share *s);
void xdp_share_fini(struct xdp_share *s);

// Both return 0 or a negative errno, and change only what differs.
int xdp_share_set_ports(struct xdp_share *s, const struct xdp_ports *ports);
int xdp_share_set_addresses(struct xdp_share *s, const struct ip_addr *addresses, unsigned n);
