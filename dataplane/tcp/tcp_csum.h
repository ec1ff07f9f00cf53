// The Internet checksum (RFC 1071) of TCP over IPv4 and IPv6, in software.
//
// Sums are in memory order: one's complement addition does not care about byte order as long as the
// result is stored the way the data was read.
#pragma once

#include "dataplane/base/ip_addr.h"

#include <rte_mbuf.h>
#include <stddef.h>
#include <stdint.h>

// One's complement sum of 'len' bytes, not folded; chains through 'sum'.
uint64_t csum_add(const void *data, size_t len, uint64_t sum);

static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

// The pseudo-header (RFC 9293, 3.1) without the length.
uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst);

// Completes the checksum of the segment 'm', one buffer whose data starts at the TCP header: the field holds
// the folded sum of its pseudo-header, length included, as a NIC wants it too.
void csum_finish(struct rte_mbuf *m);

// What the pseudo-header's length field adds.
static inline uint64_t csum_len(uint32_t len)
{
	return __builtin_bswap32(len);
}
