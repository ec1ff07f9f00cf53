// ICMPv6 (RFC 4443): answers pings, hands errors about our segments to TCP, which decides whether to
// believe them (RFC 5927), and tells senders what of theirs we cannot take.

#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <netinet/in.h>

#define QUOTED_TRANSPORT 8u

void icmp6_output(struct iface *out, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint64_t now_us)
{
	struct wire_icmp6 *icmp = rte_pktmbuf_mtod(m, struct wire_icmp6 *);
	struct net *net = out->net;

	icmp->checksum = 0;
	icmp->checksum = (uint16_t)~wire_icmp6_sum(src, dst, icmp, rte_pktmbuf_data_len(m));
	if (!wire_ip6_is_link_local(dst)) {
		net_output(net, m, src, dst, IPPROTO_ICMPV6, now_us);
		return;
	}
	m->ol_flags = 0; // of the received buffer
	ip6_prepend(m, src, dst, IPPROTO_ICMPV6, IP6_HOP_LIMIT);
	neigh_output(net, neigh_get(net, out, dst, now_us), m, now_us);
}

// True if the packet carries an ICMPv6 error, behind whatever headers.
static bool is_error(const struct rte_mbuf *m)
{
	const uint8_t *packet = rte_pktmbuf_mtod(m, const uint8_t *);
	size_t len = rte_pktmbuf_data_len(m), at = sizeof(struct rte_ipv6_hdr);
	uint8_t next = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->proto;

	while ((next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING)
		&& len - at >= 8) {
		size_t header_len = (packet[at + 1] + 1u) * 8;

		next = packet[at];
		if (header_len > len - at)
			return false;
		at += header_len;
	}
	return next == IPPROTO_ICMPV6 && at < len && packet[at] < WIRE_ICMP6_ECHO_REQUEST;
}

void icmp6_report(struct iface *in, const struct rte_mbuf *m, uint8_t type, uint8_t code,
	uint32_t word, uint64_t now_us)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	struct ip_addr to = wire_ip6(ip->src_addr), from = wire_ip6(ip->dst_addr);
	uint16_t most = RTE_IPV6_MIN_MTU - sizeof(*ip) - sizeof(struct wire_icmp6);
	uint16_t quoted = RTE_MIN(rte_pktmbuf_data_len(m), most);
	const struct ip_addr *own;
	struct net *net = in->net;
	struct wire_icmp6 *icmp;
	struct rte_mbuf *out;

	// RFC 4443, 2.4 (e).
	if (wire_ip6_is_group(&to) || wire_ip6_is_unspecified(&to) || is_error(m))
		return;
	if (!token_bucket_take(&net->icmp_bucket, now_us)) {
		stat_inc(&net->stats->icmp6_drop_rate);
		return;
	}
	own = iface_owns(in, &from) ? &from : iface_source(in, &to);
	out = own != NULL ? rte_pktmbuf_alloc(net->mbufs) : NULL;
	icmp = out != NULL ? (struct wire_icmp6 *)(void *)rte_pktmbuf_append(
		       out, (uint16_t)(sizeof(*icmp) + quoted))
			   : NULL;
	if (icmp == NULL) {
		stat_inc(&net->stats->net_no_buffer);
		rte_pktmbuf_free(out);
		return;
	}
	*icmp = (struct wire_icmp6){.type = type, .code = code, .word = rte_cpu_to_be_32(word)};
	memcpy(icmp + 1, ip, quoted);
	stat_inc(&net->stats->icmp6_errors_sent);
	icmp6_output(in, out, own, &to, now_us);
}

static enum net_drop answer_echo(struct iface *in, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint64_t now_us)
{
	struct net *net = in->net;

	if (wire_ip6_is_unspecified(src))
		return NET_DROP_ip6_source;
	if (wire_ip6_is_group(dst))
		return NET_DROP_icmp6_group;
	if (!token_bucket_take(&net->icmp_bucket, now_us))
		return NET_DROP_icmp6_rate;
	rte_pktmbuf_mtod(m, struct wire_icmp6 *)->type = WIRE_ICMP6_ECHO_REPLY;
	stat_inc(&net->stats->icmp6_echo_replies);
	icmp6_output(in, m, dst, src, now_us);
	return NET_PASS;
}

// Finds the segment that an error quotes and tells TCP. We send no extension headers, so a quoted packet
// with some is none of ours.
static enum net_drop take_error(
	struct net *net, const struct rte_mbuf *m, const struct ip_addr *dst, uint64_t now_us)
{
	const struct wire_icmp6 *icmp = rte_pktmbuf_mtod(m, const struct wire_icmp6 *);
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)(const void *)(icmp + 1);
	uint32_t word = rte_be_to_cpu_32(icmp->word), seq;
	struct ip_endpoint local, remote;
	struct cursor c;

	if (rte_pktmbuf_data_len(m) < sizeof(*icmp) + sizeof(*ip) + QUOTED_TRANSPORT)
		return NET_DROP_icmp6_short;
	local.addr = wire_ip6(ip->src_addr);
	remote.addr = wire_ip6(ip->dst_addr);
	if ((ip->vtc_flow & RTE_BE32(0xf0000000)) != RTE_BE32(0x60000000)
		|| ip->proto != IPPROTO_TCP || !ip_addr_equal(&local.addr, dst))
		return NET_DROP_icmp6_quote;
	c = cursor_of(bytes_of(ip + 1, QUOTED_TRANSPORT));
	local.port = cursor_be16(&c);
	remote.port = cursor_be16(&c);
	seq = cursor_be32(&c);

	if (icmp->type == WIRE_ICMP6_TOO_BIG) {
		if (word < RTE_IPV6_MIN_MTU)
			return NET_DROP_icmp6_mtu;
		stat_inc(&net->stats->icmp6_too_big_received);
		tcp_icmp_error(net->tcp, TCP_ICMP_TOO_BIG, &local, &remote, seq,
			(uint16_t)RTE_MIN(word, (uint32_t)UINT16_MAX), now_us);
	} else {
		stat_inc(&net->stats->icmp6_unreachable_received);
		tcp_icmp_error(net->tcp, TCP_ICMP_UNREACHABLE, &local, &remote, seq, 0, now_us);
	}
	return NET_PASS;
}

void icmp6_input(struct iface *in, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t hop_limit, uint64_t now_us)
{
	const struct wire_icmp6 *icmp = rte_pktmbuf_mtod(m, const struct wire_icmp6 *);
	struct net *net = in->net;
	enum net_drop why = NET_PASS;

	if (rte_pktmbuf_data_len(m) < sizeof(*icmp)) {
		net_drop(net, m, NET_DROP_icmp6_short);
		return;
	}
	if (wire_icmp6_sum(src, dst, icmp, rte_pktmbuf_data_len(m)) != 0xffff) {
		net_drop(net, m, NET_DROP_icmp6_checksum);
		return;
	}
	switch (icmp->type) {
	case WIRE_ICMP6_ECHO_REQUEST:
		if (icmp->code != 0) {
			why = NET_DROP_icmp6_type;
			break;
		}
		why = answer_echo(in, m, src, dst, now_us);
		if (why == NET_PASS)
			return;
		break;
	case WIRE_ICMP6_UNREACHABLE:
	case WIRE_ICMP6_TOO_BIG: why = take_error(net, m, dst, now_us); break;
	case WIRE_ICMP6_ROUTER_SOLICITATION:
	case WIRE_ICMP6_ROUTER_ADVERTISEMENT:
	case WIRE_ICMP6_NEIGHBOUR_SOLICITATION:
	case WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT:
		nd_input(in, m, src, dst, hop_limit, now_us);
		return;
	default: why = NET_DROP_icmp6_type; break;
	}
	if (why == NET_PASS)
		rte_pktmbuf_free(m);
	else
		net_drop(net, m, why);
}
