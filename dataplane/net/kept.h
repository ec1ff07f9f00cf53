// Interfaces that the kernel keeps (addressing: shared, a pod's): what the kernel says of them takes the place of our
// configuration, ARP and ND.
//
//     net_add_iface --> net_keep --> net_set_paths, net_set_neighbour   as the kernel's news comes
//
// On the net's own thread.
#pragma once

#include "dataplane/net/net.h"

// Wants to know a neighbour of a kept interface; net_set_neighbour() is the answer. Asked again each second that none comes.
typedef void iface_resolve_fn(void *arg, const struct ip_addr *neighbour);

// The kernel keeps this interface from now on, which has no addresses yet. To be called before the first net_run().
void net_keep(struct iface *i, iface_resolve_fn *resolve, void *arg);

#define NET_MAX_PATHS 64u

struct net_path {
	struct ip_addr prefix;
	uint8_t prefix_len;     // of 128, IPv4 mapped
	struct ip_addr gateway; // all zero: the destination itself is the neighbour
	struct ip_addr source;  // to be preferred; all zero: none
};

struct net_paths {
	uint8_t mac[6]; // of the interface; all zero: as it is
	uint16_t mtu;   // likewise; 0: as it is
	struct ip_addr addresses[8];
	uint8_t prefix_len[8]; // as in iface_config
	unsigned n_addresses;
	struct net_path paths[NET_MAX_PATHS];
	unsigned n_paths;
};

// Replaces what a kept interface has. Connections from an address that is gone stay until they time out; nothing reaches
// them any more. Those that go on have segments as large as the new MTU lets them.
void net_set_paths(
	struct net *net, struct iface *i, const struct net_paths *paths, uint64_t now_us);

// What the kernel knows of a neighbour of such an interface: 'mac', or NULL when it has stopped to believe in the one it
// had or got no answer. 'confirmed': the neighbour has answered not long ago. Ignored for one that nobody here talks to.
void net_set_neighbour(struct net *net, struct iface *i, const struct ip_addr *neighbour,
	const uint8_t mac[6], bool confirmed, uint64_t now_us);
