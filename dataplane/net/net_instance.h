// The inside of a net. For the files of net/ only; everybody else uses net.h.
//
//     net.c    the instance, the batch passes, output      eth.c   Ethernet in and out
//     iface.c  addresses and the transmit batch            arp.c   requests, replies, announcements
//     neigh.c  cache of neighbours, whatever the family    ip4.c   checks on input, header on output
//     fib.c    routes and the destination cache            icmp.c  echo, errors for TCP
//     ip6.c, ip6_chain.c, icmp6.c   the same for IPv6      nd.c    what ARP does, for IPv6
//     nd_router.c   the IPv6 default router, where none is configured
//     kept.c   interfaces whose addresses, routes and neighbours are the kernel's
//
// Every frame has one owner. _input and _output take; a frame that goes no further ends in net_drop()
// with its reason, nowhere else.
#pragma once

#include "dataplane/base/hash.h"
#include "dataplane/base/list.h"
#include "dataplane/net/kept.h"
#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp_net.h"
#include "dataplane/timer.h"

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#define NET_BATCH         32u // frames that go through a pass together
#define NET_MAX_ADDRESSES 9u  // eight configured ones and the IPv6 link-local one
#define NET_ANNOUNCEMENTS 2u  // RFC 5227, 1.1: ANNOUNCE_NUM
#define IP6_HOP_LIMIT     64u
#define NEIGH_MAX_PENDING 3u
#define NEIGH_CAP         256u
#define NEIGH_BUCKETS     256u
#define FIB_MAX_ROUTES    (NET_MAX_IFACES * (NET_MAX_ADDRESSES + 2) + NET_MAX_PATHS)
#define FIB_CACHE         1024u
#define ND_MAX_ROUTERS    4u // of an interface; the others' advertisements are refused
#define NET_SECOND_US     1000000ull

enum net_drop {
	NET_PASS,
#define DROP(layer, reason, title, help) NET_DROP_##layer##_##reason,
#include "dataplane/net/net_drops.def"
	NET_N_DROPS,
};

// At most 'rate' a second, 'burst' at once.
struct token_bucket {
	uint32_t rate;
	uint32_t burst;
	uint64_t tokens_us; // in microseconds of refill; one token is a second / rate
	uint64_t filled_us;
};

// RFC 4862, 5.4 with RFC 4429: an IPv6 address is used while it is still being checked, but gently. IPv4
// ones are in use from the start.
enum iface_address_state {
	ADDRESS_IN_USE,
	ADDRESS_OPTIMISTIC, // nobody has objected yet; must not displace another's in a cache
	ADDRESS_DUPLICATE,  // another station has it: not ours
};

struct iface_address {
	struct ip_addr addr;
	uint8_t prefix_len; // of 128, IPv4 mapped
	uint8_t state;      // enum iface_address_state
};

// A router that has advertised itself as a way out (RFC 4861, 6.3.4).
struct nd_router {
	struct ip_addr addr; // link-local
	uint64_t expires_us;
	int8_t preference; // RFC 4191, 2.1: -1 low, 0 medium, 1 high
};

struct nd_routers {
	struct nd_router list[ND_MAX_ROUTERS];
	unsigned n;
	struct ip_addr chosen; // the default route's; all zero: none
	unsigned n_solicited;
	struct timer expiry; // of the one that goes first
	struct timer solicit;
};

struct iface {
	// set at creation; some is the kernel's to change (kept.h)
	struct net *net;
	const char *name;
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t mtu6; // at most 'mtu': what routers say of the link
	uint16_t vlan; // 0: untagged
	enum csum_policy rx_csum;
	struct net_offloads offloads;
	unsigned n_addresses;
	struct iface_address addresses[NET_MAX_ADDRESSES];
	bool has_ip6;
	unsigned n_gateways;
	struct ip_addr gateways[2]; // at most one of each family
	iface_transmit_fn *transmit;
	void *transmit_arg;
	iface_resolve_fn *resolve; // NULL: our own ARP and ND
	void *resolve_arg;

	// per packet
	struct rte_mbuf *tx[NET_BATCH];
	unsigned n_tx;

	struct timer announce;
	unsigned n_announced;
	struct timer duplicate_check;
	struct nd_routers routers;
};

enum neigh_state {
	NEIGH_ASKING,    // no hardware address yet; frames wait
	NEIGH_REACHABLE, // confirmed not long ago
	NEIGH_STALE,     // known, but not confirmed for a while; probed when next used
	NEIGH_PROBE,     // used and being asked again; frames go to the old address meanwhile
	NEIGH_FAILED,    // does not answer; output fails until a pause is over
};

struct neigh {
	struct list node; // in neigh_cache.recent; first is the next victim
	uint16_t next;    // in the bucket or the free list; NEIGH_NONE ends it
	uint8_t state;    // enum neigh_state
	uint8_t n_asked;
	uint8_t n_pending;
	uint8_t mac[6];
	struct iface *iface;
	struct ip_addr addr;
	uint64_t confirmed_us;
	uint64_t used_us;
	struct timer timer;
	struct rte_mbuf *pending[NEIGH_MAX_PENDING]; // data starts at the IP header
};

#define NEIGH_NONE UINT16_MAX

struct neigh_cache {
	struct list recent;
	uint16_t buckets[NEIGH_BUCKETS];
	uint16_t free;
	struct neigh entries[NEIGH_CAP];
};

struct route {
	struct ip_addr prefix;
	struct ip_addr gateway; // all zero: the destination itself is the neighbour
	struct ip_addr source;  // of ours, to be preferred; all zero: by network
	uint8_t prefix_len;     // of 128, IPv4 mapped
	bool learned;           // from a router: behind those that are configured
	struct iface *iface;
};

// Where packets to one destination go. Valid while 'generation' is the fib's.
struct fib_entry {
	struct ip_addr dst;
	uint32_t generation;
	struct iface *iface;
	struct neigh *neigh;
};

struct fib {
	struct route routes[FIB_MAX_ROUTES]; // longest prefix first
	unsigned n_routes;
	uint32_t generation; // never 0; moves on when a route or a neighbour goes away
	struct fib_entry cache[FIB_CACHE];
};

struct net {
	// set at creation
	struct rte_mempool *mbufs;
	struct dataplane_stats *stats;
	struct timer_wheel *timers;
	struct tcp *tcp;
	struct hash_key secret;
	bool quiet;
	net_tell_fn *tell;
	void *tell_arg;
	net_arrives_fn *arrives;
	void *arrives_arg;

	unsigned n_ifaces;
	bool announced;
	struct token_bucket icmp_bucket;
	struct token_bucket arp_bucket; // for neighbour solicitations too
	struct token_bucket router_bucket;
	struct iface ifaces[NET_MAX_IFACES];
	struct neigh_cache neighs;
	struct fib fib;
};

// --- net.c

// Frees 'm' (NULL is allowed) and counts why.
void net_drop(struct net *net, struct rte_mbuf *m, enum net_drop why);
void token_bucket_init(struct token_bucket *b, uint32_t rate, uint32_t burst, uint64_t now_us);
bool token_bucket_take(struct token_bucket *b, uint64_t now_us);

// --- iface.c

// Returns 0, or -EAFNOSUPPORT or -EINVAL.
int iface_init(struct iface *i, struct net *net, const struct iface_config *config);
void iface_fini(struct iface *i);
bool iface_owns(const struct iface *i, const struct ip_addr *a);
// The entry of one of our addresses, whatever its state, or NULL.
struct iface_address *iface_address_of(struct iface *i, const struct ip_addr *a);
// True if 'a' is a group that we are in: all nodes, and the solicited-node group of each address.
bool iface_in_group6(const struct iface *i, const struct ip_addr *a);
// True if 'a' is the broadcast or network address of one of the interface's IPv4 networks.
bool iface_is_broadcast4(const struct iface *i, uint32_t be);
// True if 'a' is inside one of the interface's networks, or its gateway.
bool iface_is_on_link(const struct iface *i, const struct ip_addr *a);
// The own address to talk to 'dst' from: that of its network, else the first of its family; NULL if none.
const struct ip_addr *iface_source(const struct iface *i, const struct ip_addr *dst);
// Puts a whole frame into the transmit batch; a full batch goes out at once. Takes 'm'.
void iface_enqueue(struct iface *i, struct rte_mbuf *m);
bool iface_flush(struct iface *i);

// --- eth.c

// Decides about a frame and, when it passes, moves its data to what follows the Ethernet header.
// '*type' is the EtherType in host order.
enum net_drop eth_check(const struct iface *in, struct rte_mbuf *m, uint16_t *type);
// Prepends the Ethernet header and enqueues. Takes 'm'.
void eth_output(struct iface *out, struct rte_mbuf *m, const uint8_t dst[6], uint16_t type);

// --- arp.c

void arp_input(struct iface *in, struct rte_mbuf *m, uint64_t now_us);
// Asks for 'target'; to everybody when 'mac' is NULL.
void arp_request(struct iface *out, const struct ip_addr *target, const uint8_t *mac);
// Tells everybody that the interface's addresses are at its hardware address.
void arp_announce(struct iface *out);

// --- neigh.c

void neigh_init(struct net *net);
void neigh_fini(struct net *net);
// NULL if there is no entry.
struct neigh *neigh_find(struct net *net, const struct iface *i, const struct ip_addr *a);
// Finds or makes the entry; a full cache loses the one that was used longest ago. A new one has no
// address and asks when neigh_output() first wants it.
struct neigh *neigh_get(struct net *net, struct iface *i, const struct ip_addr *a, uint64_t now_us);
// Sends 'm', data at the IP header, or keeps it until the neighbour answers. Takes 'm'. Returns 0 or
// -EHOSTUNREACH.
int neigh_output(struct net *net, struct neigh *n, struct rte_mbuf *m, uint64_t now_us);
// The neighbour has told its hardware address; 'confirmed' if in answer to our question.
void neigh_learn(
	struct net *net, struct neigh *n, const uint8_t mac[6], bool confirmed, uint64_t now_us);
// The neighbour was advertised (RFC 4861, 7.2.5); 'mac' is NULL when the advertisement left it out. Returns
// NET_PASS, or why the advertisement changes nothing.
enum net_drop neigh_advertise(struct net *net, struct neigh *n, const uint8_t *mac, bool solicited,
	bool override, uint64_t now_us);
// The neighbour's address is not to be used any more: it is asked for anew, or if that is under way, given up.
void neigh_lose(struct net *net, struct neigh *n, uint64_t now_us);
// Starts asking for a neighbour before there is anything to send.
void neigh_ask(struct net *net, struct neigh *n, uint64_t now_us);

// --- fib.c

void fib_init(struct net *net);
void fib_add_iface(struct net *net, struct iface *i);
// True if the first 'prefix_len' of 128 bits are the same.
bool fib_prefix_matches(const struct ip_addr *prefix, unsigned prefix_len, const struct ip_addr *a);
// Replaces all routes of the interface; returns how many found no room.
unsigned fib_replace(
	struct net *net, struct iface *i, const struct net_path *paths, unsigned n_paths);
// Makes 'router' the interface's IPv6 default route that it has learned, NULL: it has none any more.
void fib_set_router(struct net *net, struct iface *i, const struct ip_addr *router);
// Longest match; NULL if there is none.
const struct route *fib_route(const struct net *net, const struct ip_addr *dst);
// As fib_route(), with the neighbour, from the destination cache if it can. The entry is valid until the
// next call.
const struct fib_entry *fib_find(struct net *net, const struct ip_addr *dst, uint64_t now_us);
// To be called when a neighbour's entry is reused.
void fib_invalidate(struct net *net);

// --- ip4.c

// Takes every mbuf of 'ms'; data starts at the IP header.
void ip4_input(struct iface *in, struct rte_mbuf **ms, unsigned n, uint64_t now_us);
// Prepends the IPv4 header.
void ip4_prepend(struct rte_mbuf *m, uint32_t src_be, uint32_t dst_be, uint8_t protocol);

// --- icmp.c

// 'm' is exactly one ICMP message.
void icmp4_input(struct iface *in, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint64_t now_us);

// --- ip6.c

// Takes every mbuf of 'ms'; data starts at the IP header.
void ip6_input(struct iface *in, struct rte_mbuf **ms, unsigned n, uint64_t now_us);
// Prepends the IPv6 header.
void ip6_prepend(struct rte_mbuf *m, const struct ip_addr *src, const struct ip_addr *dst,
	uint8_t protocol, uint8_t hop_limit);

// --- icmp6.c

// 'm' is exactly one ICMPv6 message; 'hop_limit' is what its packet came with.
void icmp6_input(struct iface *in, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t hop_limit, uint64_t now_us);
// Reports a packet that we cannot take to its sender, as RFC 4443, 2.4 allows and the rate limit lets.
// 'm' holds the packet from the IP header on; borrowed.
void icmp6_report(struct iface *in, const struct rte_mbuf *m, uint8_t type, uint8_t code,
	uint32_t word, uint64_t now_us);
// Sends an ICMPv6 message without a checksum yet to a neighbour or a host beyond; a link-local 'dst' is on
// 'out'. Takes 'm'.
void icmp6_output(struct iface *out, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint64_t now_us);

// --- nd.c

// The bytes of an option's value in the message, or NULL.
struct nd_options {
	const uint8_t *source_mac;
	const uint8_t *target_mac;
	const uint8_t *mtu_be; // 4 bytes
};

// RFC 4861, 4.6: unknown options are skipped, of several of a kind the first one counts. False if the options do not
// end where 'b' does, or are more than 'max'.
bool nd_parse_options(struct bytes b, unsigned max, struct nd_options *out);
// True if another station of the link can have that hardware address.
bool nd_mac_is_good(const struct iface *in, const uint8_t *mac);
// The checksum is good already.
void nd_input(struct iface *in, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t hop_limit, uint64_t now_us);
// Asks for 'target'; its solicited-node group when 'mac' is NULL.
void nd_solicit(struct iface *out, const struct ip_addr *target, const uint8_t *mac);
// Asks whether others have the interface's addresses; a second later those are in use, and said to be.
void nd_start(struct iface *i, uint64_t now_us);
timer_fn nd_on_duplicate_check; // of iface.duplicate_check
// Tells everybody that the interface's addresses are at its hardware address.
void nd_announce(struct iface *i);

// --- nd_router.c

void nd_router_init(struct iface *i);
void nd_router_fini(struct iface *i);
// Asks for routers, to be called when the check of our addresses is over.
void nd_router_start(struct iface *i, uint64_t now_us);
// A router advertisement whose checksum and hop limit are good; borrows 'm'.
enum net_drop nd_router_input(
	struct iface *in, const struct rte_mbuf *m, const struct ip_addr *src, uint64_t now_us);
// The neighbour's state has changed: if it is a router, another one may be the better way now.
void nd_router_on_neigh(const struct neigh *n);
