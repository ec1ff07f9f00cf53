// ICMP (RFC 792): answers pings, and hands errors about our segments to TCP, which decides whether to
// believe them (RFC 5927).

#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <netinet/in.h>

#define QUOTED_TRANSPORT 8u // bytes after the quoted IP header that every router sends

static enum net_drop answer_echo(struct net *net, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint64_t now_us)
{
	struct rte_icmp_hdr *icmp = rte_pktmbuf_mtod(m, struct rte_icmp_hdr *);

	if (!token_bucket_take(&net->icmp_bucket, now_us))
		return NET_DROP_icmp_rate;
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
	icmp->icmp_cksum = 0;
	icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, rte_pktmbuf_data_len(m));
	stat_inc(&net->stats->icmp_echo_replies);
	net_output(net, m, dst, src, IPPROTO_ICMP, now_us);
	return NET_PASS;
}

// Finds the segment that a destination unreachable quotes and tells TCP.
static enum net_drop take_unreachable(
	struct net *net, const struct rte_mbuf *m, const struct ip_addr *dst, uint64_t now_us)
{
	const struct rte_icmp_hdr *icmp = rte_pktmbuf_mtod(m, const struct rte_icmp_hdr *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(const void *)(icmp + 1);
	size_t left = rte_pktmbuf_data_len(m) - sizeof(*icmp);
	struct ip_endpoint local, remote;
	struct cursor c;
	uint32_t seq;

	if (left < sizeof(*ip) || left < rte_ipv4_hdr_len(ip) + QUOTED_TRANSPORT)
		return NET_DROP_icmp_short;
	local.addr = ip_addr_of_v4(ip->src_addr);
	remote.addr = ip_addr_of_v4(ip->dst_addr);
	if (ip->version_ihl >> 4 != 4 || rte_ipv4_hdr_len(ip) < sizeof(*ip)
		|| ip->next_proto_id != IPPROTO_TCP
		|| (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK)) != 0
		|| !ip_addr_equal(&local.addr, dst))
		return NET_DROP_icmp_quote;
	c = cursor_of(bytes_of((const uint8_t *)ip + rte_ipv4_hdr_len(ip), QUOTED_TRANSPORT));
	local.port = cursor_be16(&c);
	remote.port = cursor_be16(&c);
	seq = cursor_be32(&c);

	if (icmp->icmp_code == WIRE_ICMP_FRAGMENTATION_NEEDED) {
		stat_inc(&net->stats->icmp_too_big_received);
		// RFC 1191, 4: the next hop's MTU is the low half of the word after the checksum.
		tcp_icmp_error(net->tcp, TCP_ICMP_TOO_BIG, &local, &remote, seq,
			rte_be_to_cpu_16(icmp->icmp_seq_nb), now_us);
	} else {
		stat_inc(&net->stats->icmp_unreachable_received);
		tcp_icmp_error(net->tcp, TCP_ICMP_UNREACHABLE, &local, &remote, seq, 0, now_us);
	}
	return NET_PASS;
}

void icmp4_input(struct iface *in, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint64_t now_us)
{
	const struct rte_icmp_hdr *icmp = rte_pktmbuf_mtod(m, const struct rte_icmp_hdr *);
	struct net *net = in->net;
	enum net_drop why;

	if (rte_pktmbuf_data_len(m) < sizeof(*icmp)) {
		why = NET_DROP_icmp_short;
	} else if (!wire_sum_is_good(icmp, rte_pktmbuf_data_len(m))) {
		why = NET_DROP_icmp_checksum;
	} else if (icmp->icmp_type == RTE_IP_ICMP_ECHO_REQUEST && icmp->icmp_code == 0) {
		why = answer_echo(net, m, src, dst, now_us);
		if (why == NET_PASS)
			return;
	} else if (icmp->icmp_type == WIRE_ICMP_UNREACHABLE) {
		why = take_unreachable(net, m, dst, now_us);
	} else {
		why = NET_DROP_icmp_type;
	}
	if (why == NET_PASS)
		rte_pktmbuf_free(m);
	else
		net_drop(net, m, why);
}
