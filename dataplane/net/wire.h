// What net/ needs of the wire beyond DPDK's header structs: Internet checksums, and addresses as they
// stand in a header.
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
