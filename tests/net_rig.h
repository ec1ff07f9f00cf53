// A net with one interface, a wire that the test holds in its hands, and a TCP that only notes what it is
// told: for tests and the fuzz target of dataplane/net/. It brings its own tcp_*() functions, so that
// the real TCP is not linked; with RIG_WITH_TCP defined, it is.
//
//     rig_frame() & co --> rig_receive() --> net --> rig.sent[], rig.tcp
//
// The interface is 10.0.0.1/24 at 02:00:00:00:00:01 with the gateway 10.0.0.254; time starts at RIG_START.
// With IPv6 it is fd00::1/64 and fe80::ff:fe00:1 too, with the gateway fd00::fe.
#pragma once

#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#define RIG_START    1000000000ull
#define RIG_SECOND   1000000ull
#define RIG_MAX_SENT 64u

struct rig_frame {
	uint8_t data[2048];
	size_t len;
};

// What the stack told TCP last.
struct rig_tcp {
	unsigned n_segments;
	struct rig_frame segment;
	struct ip_addr src, dst;
	unsigned n_errors;
	int error_kind;
	struct ip_endpoint local, remote;
	uint32_t seq;
	uint16_t mtu;
	unsigned n_followed;
	unsigned n_unreachable;
	struct ip_addr unreachable;
};

struct rig {
	struct net *net;
	struct iface *iface;
	struct rte_mempool *pool;
	struct dataplane_stats stats;
	uint64_t now_us;
	unsigned n_sent;
	uint64_t last_flags; // what the last frame asked of the device, which does it (nic.h)
	struct rig_frame sent[RIG_MAX_SENT];
	struct rig_tcp tcp;
};

extern struct rig rig;

// Starts 'rig' with a net that has not run yet; rig_stop() frees it and returns how many mbufs leaked.
void rig_start(void);
void rig_start6(void);
// Without the IPv6 gateway, so that routers are listened to.
void rig_start6_routers(void);
// With IPv6, its checks and announcements over, and the peer fd00::2 known.
void rig_start6_quiet(void);
unsigned rig_stop(void);

// Gives the net a frame and runs it.
void rig_receive(const struct rig_frame *f);
// Sets the clock to 'us' after RIG_START and runs the net.
void rig_at(uint64_t us);

// Has the net send 20 bytes as TCP would, and runs it; what net_output() said.
int rig_send(const char *src, const char *dst);

uint32_t rig_ip(const char *text);
extern const uint8_t rig_own_mac[6], rig_peer_mac[6], rig_broadcast_mac[6];

// Building frames. All return 'f'.
struct rig_frame *rig_eth(
	struct rig_frame *f, const uint8_t dst[6], const uint8_t src[6], uint16_t type);
struct rig_frame *rig_append(struct rig_frame *f, const void *data, size_t len);
// Ethernet and IPv4 headers with a right checksum around 'payload', from the peer's hardware address to ours.
struct rig_frame *rig_ip4(struct rig_frame *f, const char *src, const char *dst, uint8_t protocol,
	const void *payload, size_t len);
struct rig_frame *rig_arp(struct rig_frame *f, const uint8_t dst[6], uint16_t opcode,
	const uint8_t sender_mac[6], const char *sender, const char *target);
struct rte_ipv4_hdr *rig_ip4_of(struct rig_frame *f);
void rig_fix_ip4_sum(struct rig_frame *f);
struct ip_addr rig_addr(const char *text);
// The same for IPv6; a group is sent to its hardware address. 'next' is the first header's kind.
struct rig_frame *rig_ip6(struct rig_frame *f, const char *src, const char *dst, uint8_t next,
	const void *payload, size_t len);
struct rte_ipv6_hdr *rig_ip6_of(struct rig_frame *f);
// An ICMPv6 message with a right checksum behind the fixed header.
struct rig_frame *rig_icmp6(struct rig_frame *f, const char *src, const char *dst, uint8_t type,
	uint32_t word, const void *rest, size_t len);
void rig_fix_icmp6_sum(struct rig_frame *f);
// A solicitation or advertisement as a neighbour sends it, hop limit 255; 'kind' and 'mac' are its option, 0 for
// none.
struct rig_frame *rig_nd(struct rig_frame *f, const char *src, const char *dst, uint8_t type,
	uint32_t flags_be, const char *target, uint8_t kind, const uint8_t mac[6]);

// Looking at what was sent. All end the program if frame i is something else.
struct rte_arp_hdr *rig_sent_arp(unsigned i);
struct rte_ipv4_hdr *rig_sent_ip4(unsigned i);
struct rte_ipv6_hdr *rig_sent_ip6(unsigned i);
// Its checksum is right, too.
struct wire_icmp6 *rig_sent_icmp6(unsigned i);
