#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

// An IPv6 packet in a group frame has to be for one of our groups (RFC 2464, 7), and for the group that the
// frame names. 'at' is where the IPv6 header starts.
static bool is_our_group6(const struct iface *in, const struct rte_mbuf *m, uint16_t at)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	struct ip_addr dst;

	if (frame[0] != 0x33 || frame[1] != 0x33
		|| rte_pktmbuf_data_len(m) < at + sizeof(struct rte_ipv6_hdr))
		return false;
	dst = wire_ip6(frame + at + offsetof(struct rte_ipv6_hdr, dst_addr));
	return memcmp(frame + 2, dst.b + 12, 4) == 0 && iface_in_group6(in, &dst);
}

// RFC 1122, 2.4 and 3.3.6: a unicast packet in a group frame is somebody's mistake, so only ARP may come
// to everybody, and IPv6 to groups.
enum net_drop eth_check(const struct iface *in, struct rte_mbuf *m, uint16_t *type)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	uint16_t hdr_len = sizeof(*eth), vlan = 0;
	bool group;

	// Only devices that could not put a frame into one buffer do this: seldom enough to copy.
	if (m->nb_segs != 1 && (m->nb_segs == 0 || rte_pktmbuf_linearize(m) != 0))
		return NET_DROP_eth_segments;
	if (rte_pktmbuf_data_len(m) < sizeof(*eth))
		return NET_DROP_eth_short;
	*type = rte_be_to_cpu_16(eth->ether_type);
	if (wire_mac_is_group(eth->src_addr.addr_bytes)
		|| wire_mac_equal(eth->src_addr.addr_bytes, in->mac))
		return NET_DROP_eth_source;

	group = wire_mac_is_group(eth->dst_addr.addr_bytes);
	if (!group && !wire_mac_equal(eth->dst_addr.addr_bytes, in->mac))
		return NET_DROP_eth_not_ours;

	// 802.1Q, 9.6: VLAN identifier 0 says that the tag carries a priority only.
	if (*type == RTE_ETHER_TYPE_VLAN || *type == RTE_ETHER_TYPE_QINQ) {
		const struct rte_vlan_hdr *tag = (const struct rte_vlan_hdr *)(eth + 1);

		if (rte_pktmbuf_data_len(m) < sizeof(*eth) + sizeof(*tag))
			return NET_DROP_eth_short;
		vlan = rte_be_to_cpu_16(tag->vlan_tci) & 0x0fff;
		if (vlan != 0 && *type != RTE_ETHER_TYPE_VLAN) // a provider's, not ours
			return NET_DROP_eth_vlan;
		*type = rte_be_to_cpu_16(tag->eth_proto);
		hdr_len += sizeof(*tag);
	}
	if (vlan != in->vlan)
		return NET_DROP_eth_vlan;

	if (group && !(*type == RTE_ETHER_TYPE_ARP && rte_is_broadcast_ether_addr(&eth->dst_addr))
		&& !(*type == RTE_ETHER_TYPE_IPV6 && is_our_group6(in, m, hdr_len)))
		return NET_DROP_eth_not_ours;
	if (*type == RTE_ETHER_TYPE_ARP && in->resolve != NULL) // for the kernel, which has it too
		return NET_DROP_eth_not_ours;
	if (*type != RTE_ETHER_TYPE_ARP && *type != RTE_ETHER_TYPE_IPV4
		&& *type != RTE_ETHER_TYPE_IPV6)
		return NET_DROP_eth_type;
	rte_pktmbuf_adj(m, hdr_len);
	return NET_PASS;
}

void eth_output(struct iface *out, struct rte_mbuf *m, const uint8_t dst[6], uint16_t type)
{
	struct rte_ether_hdr *eth;

	if (out->vlan != 0) {
		struct rte_vlan_hdr *tag = wire_push(m, sizeof(*tag));

		tag->vlan_tci = rte_cpu_to_be_16(out->vlan);
		tag->eth_proto = rte_cpu_to_be_16(type);
		type = RTE_ETHER_TYPE_VLAN;
	}
	eth = wire_push(m, sizeof(*eth));
	memcpy(eth->dst_addr.addr_bytes, dst, sizeof(eth->dst_addr));
	memcpy(eth->src_addr.addr_bytes, out->mac, sizeof(eth->src_addr));
	if (m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK)
		m->l2_len =
			out->vlan != 0 ? sizeof(*eth) + sizeof(struct rte_vlan_hdr) : sizeof(*eth);
	eth->ether_type = rte_cpu_to_be_16(type);
	iface_enqueue(out, m);
}
