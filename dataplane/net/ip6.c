#include "dataplane/net/ip6_chain.h"
#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <netinet/in.h>

static const struct rte_ipv6_hdr *header_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
}

// Sources that nobody can have (RFC 4291, 2.5; RFC 6890). An embedded IPv4 address is refused above all
// because inside it would be taken for that IPv4 address.
static bool source_is_martian(const struct ip_addr *src, const struct ip_addr *dst)
{
	static const uint8_t zero[12];

	if (wire_ip6_is_group(src) || ip_addr_is_v4(src))
		return true;
	// Only who looks for a neighbour before it has an address leaves it out, and asks a group.
	if (wire_ip6_is_unspecified(src))
		return !wire_ip6_is_group(dst);
	return memcmp(src->b, zero, sizeof(zero)) == 0; // loopback, IPv4-compatible
}

// Our own address as the source is somebody's forgery, or the advertisement by which another station says
// that the address is its own.
static bool source_is_ours(
	const struct iface *in, const struct rte_ipv6_hdr *ip, const struct ip_addr *src)
{
	if (!net_owns(in->net, src))
		return false;
	return ip->proto != IPPROTO_ICMPV6
		|| *(const uint8_t *)(ip + 1) != WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT;
}

// The tests of the fixed header, cheapest first.
static enum net_drop check_header(const struct iface *in, const struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip = header_of(m);
	struct ip_addr src, dst;
	uint16_t payload;

	if (rte_pktmbuf_data_len(m) < sizeof(*ip))
		return NET_DROP_ip6_short;
	if ((ip->vtc_flow & RTE_BE32(0xf0000000)) != RTE_BE32(0x60000000))
		return NET_DROP_ip6_version;
	payload = rte_be_to_cpu_16(ip->payload_len);
	if (payload == 0)
		return NET_DROP_ip6_length;
	if (payload > rte_pktmbuf_data_len(m) - sizeof(*ip))
		return NET_DROP_ip6_truncated;
	src = wire_ip6(ip->src_addr);
	dst = wire_ip6(ip->dst_addr);
	if (source_is_martian(&src, &dst) || source_is_ours(in, ip, &src))
		return NET_DROP_ip6_source;
	if (ip_addr_is_v4(&dst) || !(iface_owns(in, &dst) || iface_in_group6(in, &dst)))
		return NET_DROP_ip6_not_ours;
	return NET_PASS;
}

// Which errors the sender gets: RFC 8200, 4 to 4.5.
static enum net_drop refuse_chain(struct iface *in, const struct rte_mbuf *m,
	enum ip6_chain_verdict verdict, const struct ip6_chain *chain, uint64_t now_us)
{
	bool to_group = header_of(m)->dst_addr[0] == 0xff;

	switch (verdict) {
	case IP6_CHAIN_OK: break;
	case IP6_CHAIN_SHORT: return NET_DROP_ip6_short;
	case IP6_CHAIN_LONG: return NET_DROP_ip6_headers;
	case IP6_CHAIN_FRAGMENT: return NET_DROP_ip6_fragment;
	case IP6_CHAIN_MISPLACED:
		if (!to_group)
			icmp6_report(in, m, WIRE_ICMP6_PARAMETER_PROBLEM, WIRE_ICMP6_NEXT_HEADER,
				chain->fault, now_us);
		return NET_DROP_ip6_headers;
	case IP6_CHAIN_ROUTING:
		if (!to_group)
			icmp6_report(in, m, WIRE_ICMP6_PARAMETER_PROBLEM, WIRE_ICMP6_BAD_FIELD,
				chain->fault, now_us);
		return NET_DROP_ip6_routing;
	case IP6_CHAIN_OPTION_SILENT: return NET_DROP_ip6_option;
	case IP6_CHAIN_OPTION_UNICAST:
		if (to_group)
			return NET_DROP_ip6_option;
		__attribute__((fallthrough));
	case IP6_CHAIN_OPTION_REPORT:
		icmp6_report(in, m, WIRE_ICMP6_PARAMETER_PROBLEM, WIRE_ICMP6_OPTION, chain->fault,
			now_us);
		return NET_DROP_ip6_option;
	}
	return NET_PASS;
}

// What comes after the chain.
static enum net_drop check_protocol(
	struct iface *in, const struct rte_mbuf *m, const struct ip6_chain *chain, uint64_t now_us)
{
	struct ip_addr src = wire_ip6(header_of(m)->src_addr);
	struct ip_addr dst = wire_ip6(header_of(m)->dst_addr);

	if (chain->protocol == IPPROTO_ICMPV6)
		return NET_PASS;
	if (wire_ip6_is_unspecified(&src))
		return NET_DROP_ip6_source;
	if (chain->protocol == IPPROTO_TCP)
		return wire_ip6_is_group(&dst) || wire_ip6_is_link_local(&dst)
				|| wire_ip6_is_link_local(&src)
			? NET_DROP_ip6_scope
			: NET_PASS;
	if (!wire_ip6_is_group(&dst)) {
		if (chain->protocol == IPPROTO_UDP)
			icmp6_report(in, m, WIRE_ICMP6_UNREACHABLE, WIRE_ICMP6_PORT_UNREACHABLE, 0,
				now_us);
		else if (chain->protocol != IPPROTO_NONE)
			icmp6_report(in, m, WIRE_ICMP6_PARAMETER_PROBLEM, WIRE_ICMP6_NEXT_HEADER,
				chain->fault, now_us);
	}
	return NET_DROP_ip6_protocol;
}

static enum net_drop check(
	struct iface *in, struct rte_mbuf *m, struct ip6_chain *chain, uint64_t now_us)
{
	enum net_drop why = check_header(in, m);
	enum ip6_chain_verdict verdict;
	uint16_t len;

	if (why != NET_PASS)
		return why;
	len = (uint16_t)(sizeof(struct rte_ipv6_hdr) + rte_be_to_cpu_16(header_of(m)->payload_len));
	// Short frames are padded to 60 bytes; only the packet goes on.
	rte_pktmbuf_trim(m, (uint16_t)(rte_pktmbuf_data_len(m) - len));
	verdict = ip6_chain_walk(bytes_of(header_of(m), len), chain);
	why = refuse_chain(in, m, verdict, chain, now_us);
	return why != NET_PASS ? why : check_protocol(in, m, chain, now_us);
}

void ip6_input(struct iface *in, struct rte_mbuf **ms, unsigned n, uint64_t now_us)
{
	for (unsigned k = 0; k < n; k++) {
		struct rte_mbuf *m = ms[k];
		struct ip_addr src, dst;
		struct ip6_chain chain;
		enum net_drop why = check(in, m, &chain, now_us);
		uint8_t hop_limit;

		if (why != NET_PASS) {
			net_drop(in->net, m, why);
			continue;
		}
		src = wire_ip6(header_of(m)->src_addr);
		dst = wire_ip6(header_of(m)->dst_addr);
		hop_limit = header_of(m)->hop_limits;
		rte_pktmbuf_adj(m, chain.offset);
		if (chain.protocol == IPPROTO_TCP)
			tcp_input(in->net->tcp, m, &src, &dst, in->rx_csum, now_us);
		else
			icmp6_input(in, m, &src, &dst, hop_limit, now_us);
	}
}

void ip6_prepend(struct rte_mbuf *m, const struct ip_addr *src, const struct ip_addr *dst,
	uint8_t protocol, uint8_t hop_limit)
{
	uint16_t payload = (uint16_t)rte_pktmbuf_pkt_len(m);
	struct rte_ipv6_hdr *ip = wire_push(m, sizeof(*ip));

	ip->vtc_flow = RTE_BE32(0x60000000);
	ip->payload_len = rte_cpu_to_be_16(payload);
	ip->proto = protocol;
	ip->hop_limits = hop_limit;
	memcpy(ip->src_addr, src->b, sizeof(ip->src_addr));
	memcpy(ip->dst_addr, dst->b, sizeof(ip->dst_addr));
}
