#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <netinet/in.h>

#define IP4_TTL 64

// Sources that nobody can have (RFC 1122, 3.2.1.3; RFC 6890): this network, loopback, groups, reserved,
// broadcast.
static bool source_is_martian(const struct iface *in, uint32_t be)
{
	uint8_t first = (uint8_t)(rte_be_to_cpu_32(be) >> 24);
	struct ip_addr a = ip_addr_of_v4(be);

	return first == 0 || first == 127 || first >= 224 || iface_is_broadcast4(in, be)
		|| net_owns(in->net, &a);
}

// The tests of RFC 1812, 5.2.2 and RFC 1122, 3.2.1, cheapest first. Options are skipped, not read.
static enum net_drop check(const struct iface *in, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct ip_addr dst;
	uint16_t total, hdr_len;

	if (rte_pktmbuf_data_len(m) < sizeof(*ip))
		return NET_DROP_ip4_short;
	hdr_len = rte_ipv4_hdr_len(ip);
	if (ip->version_ihl >> 4 != 4 || hdr_len < sizeof(*ip))
		return NET_DROP_ip4_version;
	if (hdr_len > rte_pktmbuf_data_len(m))
		return NET_DROP_ip4_short;
	total = rte_be_to_cpu_16(ip->total_length);
	if (total < hdr_len)
		return NET_DROP_ip4_length;
	if (total > rte_pktmbuf_data_len(m))
		return NET_DROP_ip4_truncated;
	// No driver leaves this one unfinished, so it costs ten additions and needs no policy.
	if (!wire_sum_is_good(ip, hdr_len))
		return NET_DROP_ip4_checksum;
	if ((ip->fragment_offset & RTE_BE16(0x3fff)) != 0)
		return NET_DROP_ip4_fragment;
	if (source_is_martian(in, ip->src_addr))
		return NET_DROP_ip4_source;
	dst = ip_addr_of_v4(ip->dst_addr);
	if (!iface_owns(in, &dst))
		return NET_DROP_ip4_not_ours;
	if (ip->next_proto_id != IPPROTO_TCP && ip->next_proto_id != IPPROTO_ICMP)
		return NET_DROP_ip4_protocol;
	return NET_PASS;
}

void ip4_input(struct iface *in, struct rte_mbuf **ms, unsigned n, uint64_t now_us)
{
	for (unsigned k = 0; k < n; k++) {
		struct rte_mbuf *m = ms[k];
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
		enum net_drop why = check(in, m);
		struct ip_addr src, dst;

		if (why != NET_PASS) {
			net_drop(in->net, m, why);
			continue;
		}
		src = ip_addr_of_v4(ip->src_addr);
		dst = ip_addr_of_v4(ip->dst_addr);
		// Short frames are padded to 60 bytes; only the datagram goes on.
		rte_pktmbuf_trim(m, rte_pktmbuf_data_len(m) - rte_be_to_cpu_16(ip->total_length));
		rte_pktmbuf_adj(m, rte_ipv4_hdr_len(ip));
		if (ip->next_proto_id == IPPROTO_TCP)
			tcp_input(in->net->tcp, m, &src, &dst, in->rx_csum, now_us);
		else
			icmp4_input(in, m, &src, &dst, now_us);
	}
}

// With DF set and never fragmented the identification means nothing (RFC 6864, 4.1), so it stays zero
// and tells nobody how much we send.
void ip4_prepend(struct rte_mbuf *m, uint32_t src_be, uint32_t dst_be, uint8_t protocol)
{
	struct rte_ipv4_hdr *ip = wire_push(m, sizeof(*ip));

	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)rte_pktmbuf_pkt_len(m)),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = IP4_TTL,
		.next_proto_id = protocol,
		.src_addr = src_be,
		.dst_addr = dst_be,
	};
	if (!(m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM))
		ip->hdr_checksum = rte_ipv4_cksum(ip);
}
