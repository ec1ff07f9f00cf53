// What a NIC does to a frame on its way out, for tests that stand where one would: completes checksums and cuts
// what is to be cut, as the mbuf asks. Every request has to be in order: a field that was not prepared fails the
// test.
//
//     nic_cut_segment()  TCP alone, for those that have no IP below them
//     nic_send()         a whole Ethernet frame
#pragma once

#include "dataplane/net/net.h"
#include "dataplane/net/wire.h"
#include "dataplane/tcp/tcp_csum.h"
#include "tests/test_support.h"

#include <rte_tcp.h>

#define NIC_MAX 65600u

// Gets each frame or segment that leaves.
typedef void nic_sent_fn(void *arg, uint8_t *bytes, uint32_t len);

// All buffers of 'm' in one row; returns the length.
static inline uint32_t nic_flatten(const struct rte_mbuf *m, uint8_t bytes[NIC_MAX])
{
	uint32_t len = 0;
	unsigned n = 0;

	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, n++) {
		assert_true(len + s->data_len <= NIC_MAX);
		memcpy(bytes + len, rte_pktmbuf_mtod(s, void *), s->data_len);
		len += s->data_len;
	}
	assert_int_equal(len, m->pkt_len);
	assert_int_equal(n, m->nb_segs);
	return len;
}

// 'pseudo' is csum_pseudo() of its addresses. 'segment' has its TCP header at 'before' bytes, and each piece gets a
// copy of what is in front of it.
static inline void nic_cut_segment(const struct rte_mbuf *m, const uint8_t *segment, uint32_t len,
	uint32_t before, uint64_t pseudo, nic_sent_fn *fn, void *arg)
{
	bool cut = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
	uint32_t headers = before + m->l4_len, done = headers, left = len - headers;
	const struct rte_tcp_hdr *first = (const void *)(segment + before);
	uint8_t piece[NIC_MAX];

	assert_int_equal((first->data_off >> 4) * 4, m->l4_len);
	assert_int_equal(first->cksum, csum_fold(pseudo + (cut ? 0 : csum_len(len - before))));
	if (cut)
		assert_in_range(m->tso_segsz, 1, left - 1); // what needs no cut may not ask for it
	do {
		uint32_t n = cut && left > m->tso_segsz ? m->tso_segsz : left;
		struct rte_tcp_hdr *h = (void *)(piece + before);

		memcpy(piece, segment, headers);
		memcpy(piece + headers, segment + done, n);
		h->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(first->sent_seq) + done - headers);
		if (n < left)
			h->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
		h->cksum = 0;
		h->cksum = (uint16_t)~csum_fold(
			csum_add(h, m->l4_len + n, pseudo + csum_len(m->l4_len + n)));
		fn(arg, piece, headers + n);
		done += n;
		left -= n;
	} while (left > 0);
}

struct nic_frame {
	const struct rte_mbuf *m;
	nic_sent_fn *fn;
	void *arg;
};

// The IP header of a piece.
static inline void nic_finish_ip(void *arg, uint8_t *bytes, uint32_t len)
{
	const struct nic_frame *f = arg;
	uint16_t payload = (uint16_t)(len - f->m->l2_len);

	if (f->m->ol_flags & RTE_MBUF_F_TX_IPV4) {
		struct rte_ipv4_hdr *ip = (void *)(bytes + f->m->l2_len);

		ip->total_length = rte_cpu_to_be_16(payload);
		if (f->m->ol_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG)) {
			ip->hdr_checksum = 0;
			ip->hdr_checksum = rte_ipv4_cksum(ip);
		}
	} else {
		struct rte_ipv6_hdr *ip = (void *)(bytes + f->m->l2_len);

		ip->payload_len = rte_cpu_to_be_16((uint16_t)(payload - sizeof(*ip)));
	}
	f->fn(f->arg, bytes, len);
}

// 'm' stays the caller's.
static inline void nic_send(const struct rte_mbuf *m, nic_sent_fn *fn, void *arg)
{
	struct nic_frame f = {m, fn, arg};
	uint8_t bytes[NIC_MAX];
	uint32_t len = nic_flatten(m, bytes), before = m->l2_len + m->l3_len;
	const struct rte_ether_hdr *eth = (const void *)bytes;
	const uint8_t *ip = bytes + m->l2_len;
	bool is_v4 = m->ol_flags & RTE_MBUF_F_TX_IPV4;
	struct ip_addr src, dst;

	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM)) {
		fn(arg, bytes, len);
		return;
	}
	assert_int_equal(m->l2_len, eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_VLAN) ? 18 : 14);
	assert_int_equal(m->l3_len, is_v4 ? 20 : 40);
	assert_int_equal(ip[0] >> 4, is_v4 ? 4 : 6);
	if (is_v4) {
		const struct rte_ipv4_hdr *h = (const void *)ip;

		src = ip_addr_of_v4(h->src_addr);
		dst = ip_addr_of_v4(h->dst_addr);
		if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM)
			assert_int_equal(h->hdr_checksum, 0);
		else // also before it is cut: between two of this kernel's interfaces it stays whole
			assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
	} else {
		src = wire_ip6(ip + 8);
		dst = wire_ip6(ip + 24);
	}
	nic_cut_segment(m, bytes, len, before, csum_pseudo(&src, &dst), nic_finish_ip, &f);
}
