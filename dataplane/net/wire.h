// What net/ needs of the wire beyond DPDK's header structs: Internet checksums, ICMPv6 and neighbour
// discovery, and addresses as they stand in a header.
#pragma once

#include "dataplane/base/ip_addr.h"

#include <assert.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WIRE_ICMP_UNREACHABLE          3
#define WIRE_ICMP_FRAGMENTATION_NEEDED 4 // code of type 3, RFC 1191

// RFC 4443, RFC 4861.
enum wire_icmp6_type {
	WIRE_ICMP6_UNREACHABLE = 1,
	WIRE_ICMP6_TOO_BIG = 2,
	WIRE_ICMP6_TIME_EXCEEDED = 3,
	WIRE_ICMP6_PARAMETER_PROBLEM = 4,
	WIRE_ICMP6_ECHO_REQUEST = 128, // below it are the errors
	WIRE_ICMP6_ECHO_REPLY = 129,
	WIRE_ICMP6_ROUTER_SOLICITATION = 133,
	WIRE_ICMP6_ROUTER_ADVERTISEMENT = 134,
	WIRE_ICMP6_NEIGHBOUR_SOLICITATION = 135,
	WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT = 136,
};

#define WIRE_ICMP6_PORT_UNREACHABLE 4 // code of type 1
#define WIRE_ICMP6_BAD_FIELD        0 // codes of type 4
#define WIRE_ICMP6_NEXT_HEADER      1
#define WIRE_ICMP6_OPTION           2

// Packed as DPDK's headers are: behind 14 bytes of Ethernet nothing is aligned.
struct wire_icmp6 {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	uint32_t word; // flags, MTU or pointer, by type
} __rte_packed;

// A neighbour solicitation or advertisement; options follow.
struct wire_nd {
	struct wire_icmp6 icmp;
	uint8_t target[16];
} __rte_packed;

// A router advertisement; options follow. The word: hop limit, flags, lifetime in seconds.
struct wire_nd_router {
	struct wire_icmp6 icmp;
	uint32_t reachable_ms;
	uint32_t retrans_ms;
} __rte_packed;

#define WIRE_ND_ROUTER    RTE_BE32(0x80000000) // flags of an advertisement
#define WIRE_ND_SOLICITED RTE_BE32(0x40000000)
#define WIRE_ND_OVERRIDE  RTE_BE32(0x20000000)

#define ND_HOP_LIMIT 255u

#define WIRE_ND_SOURCE_MAC 1 // kinds of options
#define WIRE_ND_TARGET_MAC 2
#define WIRE_ND_PREFIX     3
#define WIRE_ND_MTU        5

struct wire_nd_mac {
	uint8_t kind;
	uint8_t len; // in units of 8 bytes
	uint8_t mac[6];
};

// Room for a header of 'size' bytes in front of the data. Every mbuf of a net has it (NET_HEADROOM).
static inline void *wire_push(struct rte_mbuf *m, uint16_t size)
{
	char *header = rte_pktmbuf_prepend(m, size);

	assert(header != NULL);
	return header;
}

// A folded sum over data and its checksum field is 0xffff when the checksum is right (RFC 1071).
static inline bool wire_sum_is_good(const void *data, size_t len)
{
	return rte_raw_cksum(data, len) == 0xffff;
}

static inline bool wire_mac_is_group(const uint8_t mac[6])
{
	return (mac[0] & 1) != 0;
}

static inline bool wire_mac_is_zero(const uint8_t mac[6])
{
	static const uint8_t zero[6];

	return memcmp(mac, zero, sizeof(zero)) == 0;
}

static inline bool wire_mac_equal(const uint8_t a[6], const uint8_t b[6])
{
	return memcmp(a, b, 6) == 0;
}

// The netmask of an IPv4 prefix length, as on the wire.
static inline uint32_t wire_ip4_mask(unsigned prefix_len)
{
	return prefix_len == 0 ? 0 : rte_cpu_to_be_32(UINT32_MAX << (32 - prefix_len));
}

static inline struct ip_addr wire_ip6(const uint8_t be[16])
{
	struct ip_addr a;

	memcpy(a.b, be, sizeof(a.b));
	return a;
}

static inline bool wire_ip6_is_group(const struct ip_addr *a)
{
	return a->b[0] == 0xff;
}

static inline bool wire_ip6_is_unspecified(const struct ip_addr *a)
{
	return a->q[0] == 0 && a->q[1] == 0;
}

// fe80::/10, good on one link only (RFC 4291, 2.5.6).
static inline bool wire_ip6_is_link_local(const struct ip_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

// The folded sum of an ICMPv6 message and its pseudo-header (RFC 8200, 8.1): 0xffff when the checksum in it
// is right.
static inline uint16_t wire_icmp6_sum(
	const struct ip_addr *src, const struct ip_addr *dst, const void *message, uint32_t len)
{
	const struct {
		struct ip_addr src, dst;
		uint32_t len_be;
		uint32_t next_be;
	} pseudo = {*src, *dst, rte_cpu_to_be_32(len), RTE_BE32(58)};

	return __rte_raw_cksum_reduce(
		(uint32_t)rte_raw_cksum(&pseudo, sizeof(pseudo)) + rte_raw_cksum(message, len));
}
