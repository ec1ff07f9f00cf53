// One TCP/IP stack instance: interfaces, neighbours, routes, and TCP above them. A worker has one; a
// simulator has two in one process, joined by a model link, with virtual time.
//
//     net_input(frames, now) --> eth --> arp | ip4 | ip6 --> icmp | icmp6 (nd) | tcp
//     net_run(now)           --> timers, stream events (the owners' callbacks), TCP output
//     iface.transmit(frames) <-- eth <-- ip4 | ip6 <-------------------------- tcp
//
// Nothing in here reads a clock, takes a lock or allocates after net_new(). One thread owns a net.
#pragma once

#include "dataplane/base/hash.h"
#include "dataplane/base/ip_addr.h"
#include "dataplane/dataplane_stats.h"
#include "dataplane/timer.h"

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#define NET_MAX_IFACES 8
#define NET_HEADROOM \
	128u // every mbuf has at least this before its data; Ethernet+VLAN+IPv6+TCP fit

struct net;
struct iface;

// What to believe of a transport checksum that arrives (reference/tcp-stack.md 5.3).
enum csum_policy {
	CSUM_VERIFY,         // compute it
	CSUM_TRUST,          // believe the NIC's flags (ol_flags); compute what it did not look at
	CSUM_ACCEPT_PARTIAL, // verify, but the folded pseudo-header sum of a same-host sender is fine too
};

// What the device below an interface does to frames on their way out; all zero: nothing. The stack asks
// for it in each mbuf (ol_flags, l2_len and the like), and does itself what is not offered.
struct net_offloads {
	bool ip4_csum; // fills in the checksum of the IPv4 header
	bool tcp_csum; // completes that of TCP, over both families
	bool tso4;     // cuts large TCP packets into segments and makes their checksums
	bool tso6;
	uint16_t tso_mbufs; // that such a packet may consist of, the headers' one included
	uint16_t tso_frame; // bytes that what is cut off may have, Ethernet header included; 0: any
};

// Takes every mbuf of 'ms'. Frames that find no room are freed and counted by the callee.
typedef void iface_transmit_fn(void *arg, struct rte_mbuf **ms, unsigned n);

struct iface_config {
	const char *name;
	uint8_t mac[6];
	uint16_t mtu;  // IP bytes, 1500 on Ethernet
	uint16_t vlan; // the 802.1Q identifier of every frame, in and out; 0: none is tagged
	enum csum_policy rx_csum;
	struct net_offloads offloads;
	struct ip_addr addresses[8];
	uint8_t prefix_len[8]; // in bits of the address's own family: 24 for a v4 /24
	unsigned n_addresses;
	struct ip_addr gateway;  // default route of this interface; all zero: none
	struct ip_addr gateway6; // another of the other family; no IPv6 one: by routers
	iface_transmit_fn *transmit;
	void *transmit_arg;
};

// A neighbour answered our question: it is at 'mac'. 'iface' counts from 0 in the order of net_add_iface().
typedef void net_tell_fn(
	void *arg, unsigned iface, const struct ip_addr *addr, const uint8_t mac[6]);

// True if what comes from 'remote' to 'local' over that interface arrives where this net runs without a detour.
typedef bool net_arrives_fn(void *arg, unsigned iface, const struct ip_endpoint *local,
	const struct ip_endpoint *remote);

struct net_config {
	struct rte_mempool *mbufs; // for everything sent; received mbufs come from anywhere
	struct hash_key
		secret; // keys ISNs, hashes and port choice; from the kernel's random source
	uint32_t max_connections;
	uint32_t max_time_wait;
	uint16_t port_first; // local ports for active opens: [first, last], only those with
	uint16_t port_last;  // (port & port_mask) == port_value, so that workers do not collide
	uint16_t port_mask;
	uint16_t port_value;
	uint32_t
		max_mbufs_held; // in all receive and send queues together; 0: three quarters of the pool
	struct dataplane_stats *stats;  // borrowed for the net's life
	const struct tcp_settings *tcp; // NULL: defaults; copied
	net_tell_fn *tell; // so that other nets with the same interfaces need not ask; NULL: nobody
	void *tell_arg;
	net_arrives_fn *arrives; // which local ports are better than others; NULL: all are the same
	void *arrives_arg;
	bool quiet; // another net answers ARP and ND for the same addresses and announces them; this one
		// learns only
};

// Returns a stack without interfaces, owned by the caller, or NULL with errno set.
struct net *net_new(const struct net_config *config, uint64_t now_us);

// Aborts what is open without sending and frees all.
void net_free(struct net **np);

// Adds an interface and announces its addresses (gratuitous ARP, ND) at the first net_run(). With an IPv6
// address it gets the link-local one of its hardware address too (RFC 4291, 2.5.6). Copies
// 'config' but for the name, which has to outlive the net. Returns it, or NULL with errno ENOSPC when
// NET_MAX_IFACES are there, EAFNOSUPPORT or EINVAL for an address it cannot have.
struct iface *net_add_iface(struct net *net, const struct iface_config *config);

// Takes every mbuf of 'ms': frames as they came from the wire. One that is spread over several buffers is
// brought together in its first, or dropped if that is too small.
void net_input(
	struct net *net, struct iface *in, struct rte_mbuf **ms, unsigned n, uint64_t now_us);

// What another net with the same interfaces has told by its net_tell_fn. It is as good as an answer of our own.
void net_hear(struct net *net, unsigned iface, const struct ip_addr *addr, const uint8_t mac[6],
	uint64_t now_us);

// Runs timers, tells owners of streams what happened, sends what is to be sent. To be called once each
// loop turn, after net_input(). Returns true if it did anything.
bool net_run(struct net *net, uint64_t now_us);

// When net_run() has to be called again although no frame comes; UINT64_MAX if never.
uint64_t net_next_deadline(const struct net *net);

struct timer_wheel *net_timers(struct net *net);

// --- for tcp and icmp, inside the stack

// Sends 'm', whose data starts at the transport header, from 'src' to 'dst': finds the route and the
// neighbour, prepends IP and Ethernet headers, hands the frame to the interface's transmit batch. A
// neighbour that is not known yet is asked for and the frame waits in its (bounded) queue. Takes 'm'.
// 'm' may have other references: headers are written before its data, payload is not touched.
// TCP leaves its checksum to this: the field holds the pseudo-header's sum, ol_flags asks for the rest and
// l4_len is set. The device does it, or it is done here. Other protocols have no ol_flags.
// Returns 0, or -EHOSTUNREACH when there is no route or the neighbour does not answer.
int net_output(struct net *net, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t protocol, uint64_t now_us);

// How many segments with 'header' bytes of TCP header and 'payload' bytes each may go to 'dst' as one packet
// that the device cuts; 1 if it cuts none.
unsigned net_segments_at_once(struct net *net, const struct ip_addr *dst, uint16_t header,
	uint16_t payload, uint64_t now_us);

// The local address and path MTU for packets to 'dst'. Returns false if there is no route.
bool net_route(struct net *net, const struct ip_addr *dst, struct ip_addr *src, uint16_t *mtu);

// True if answers from 'remote' to 'local' arrive without a detour (net_arrives_fn), as far as that is known.
bool net_arrives_here(
	struct net *net, const struct ip_endpoint *local, const struct ip_endpoint *remote);

// True if 'a' is an address of one of the interfaces.
bool net_owns(const struct net *net, const struct ip_addr *a);
