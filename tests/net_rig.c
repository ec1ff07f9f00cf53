#include "tests/net_rig.h"

#include "dataplane/tcp/tcp_net.h"
#include "tests/nic.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

struct rig rig;
const uint8_t rig_own_mac[6] = {2, 0, 0, 0, 0, 1};
const uint8_t rig_peer_mac[6] = {2, 0, 0, 0, 0, 2};
const uint8_t rig_broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

#ifndef RIG_WITH_TCP

// --- the TCP that only notes

struct tcp {
	struct net *net;
};

struct tcp *tcp_new(struct net *net, const struct net_config *config, uint64_t now_us)
{
	struct tcp *t = calloc(1, sizeof(*t));

	(void)config;
	(void)now_us;
	if (t != NULL)
		t->net = net;
	return t;
}

void tcp_free(struct tcp **tp)
{
	free(*tp);
	*tp = NULL;
}

void tcp_input(struct tcp *t, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, enum csum_policy csum, uint64_t now_us)
{
	(void)t;
	(void)csum;
	(void)now_us;
	rig.tcp.n_segments++;
	rig.tcp.src = *src;
	rig.tcp.dst = *dst;
	rig.tcp.segment.len = rte_pktmbuf_data_len(m);
	memcpy(rig.tcp.segment.data, rte_pktmbuf_mtod(m, void *), rig.tcp.segment.len);
	rte_pktmbuf_free(m);
}

bool tcp_run(struct tcp *t, uint64_t now_us)
{
	(void)t;
	(void)now_us;
	return false;
}

bool tcp_has_work(const struct tcp *t)
{
	(void)t;
	return false;
}

void tcp_icmp_error(struct tcp *t, enum tcp_icmp_kind kind, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, uint32_t seq, uint16_t mtu, uint64_t now_us)
{
	(void)t;
	(void)now_us;
	rig.tcp.n_errors++;
	rig.tcp.error_kind = (int)kind;
	rig.tcp.local = *local;
	rig.tcp.remote = *remote;
	rig.tcp.seq = seq;
	rig.tcp.mtu = mtu;
}

void tcp_mtu_follow(struct tcp *t, uint64_t now_us)
{
	(void)t;
	(void)now_us;
	rig.tcp.n_followed++;
}

void tcp_unreachable(struct tcp *t, const struct ip_addr *dst, uint64_t now_us)
{
	(void)t;
	(void)now_us;
	rig.tcp.n_unreachable++;
	rig.tcp.unreachable = *dst;
}

#endif

// --- the rig

static void record(void *arg, uint8_t *bytes, uint32_t len)
{
	struct rig_frame *f = &rig.sent[rig.n_sent++ % RIG_MAX_SENT];

	(void)arg;
	assert(len <= sizeof(f->data));
	f->len = len;
	memcpy(f->data, bytes, len);
}

static void take_sent(void *arg, struct rte_mbuf **ms, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		rig.last_flags = ms[i]->ol_flags;
		nic_send(ms[i], record, arg);
		rte_pktmbuf_free(ms[i]);
	}
}

static void rig_start_with(bool with_ip6, bool with_gateway6)
{
	static struct rte_mempool *pool;
	struct net_config config;
	struct iface_config iface = {
		.name = "test",
		.mtu = 1500,
		.rx_csum = CSUM_VERIFY,
		.n_addresses = 1,
		.transmit = take_sent,
	};

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("rig", 511, 0, 32, 2048 + 128, SOCKET_ID_ANY);
	assert(pool != NULL);
	memset(&rig, 0, sizeof(rig));
	rig.pool = pool;
	rig.now_us = RIG_START;
	config = (struct net_config){
		.mbufs = pool,
		.secret = {1, 2},
		.max_connections = 64,
		.max_time_wait = 8,
		.stats = &rig.stats,
	};
	rig.net = net_new(&config, RIG_START);
	assert(rig.net != NULL);
	memcpy(iface.mac, rig_own_mac, sizeof(iface.mac));
	iface.addresses[0] = ip_addr_of_v4(rig_ip("10.0.0.1"));
	iface.prefix_len[0] = 24;
	iface.gateway = ip_addr_of_v4(rig_ip("10.0.0.254"));
	if (with_ip6) {
		iface.addresses[1] = rig_addr("fd00::1");
		iface.prefix_len[1] = 64;
		iface.n_addresses = 2;
	}
	if (with_gateway6)
		iface.gateway6 = rig_addr("fd00::fe");
	rig.iface = net_add_iface(rig.net, &iface);
	assert(rig.iface != NULL);
}

void rig_start(void)
{
	rig_start_with(false, false);
}

void rig_start6(void)
{
	rig_start_with(true, true);
}

void rig_start6_routers(void)
{
	rig_start_with(true, false);
}

void rig_start6_quiet(void)
{
	struct ip_addr peer = rig_addr("fd00::2");

	rig_start6();
	rig_at(0);
	rig_at(3 * RIG_SECOND);
	neigh_learn(rig.net, neigh_get(rig.net, rig.iface, &peer, rig.now_us), rig_peer_mac, true,
		rig.now_us);
	rig.n_sent = 0;
}

unsigned rig_stop(void)
{
	net_free(&rig.net);
	return rte_mempool_in_use_count(rig.pool);
}

void rig_receive(const struct rig_frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig.pool);

	assert(m != NULL && f->len <= rte_pktmbuf_tailroom(m));
	memcpy(rte_pktmbuf_append(m, (uint16_t)f->len), f->data, f->len);
	net_input(rig.net, rig.iface, &m, 1, rig.now_us);
	net_run(rig.net, rig.now_us);
}

void rig_at(uint64_t us)
{
	rig.now_us = RIG_START + us;
	net_run(rig.net, rig.now_us);
}

int rig_send(const char *src, const char *dst)
{
	bool is_ip6 = strchr(dst, ':') != NULL;
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig.pool);
	struct ip_addr from = is_ip6 ? rig_addr(src) : ip_addr_of_v4(rig_ip(src));
	struct ip_addr to = is_ip6 ? rig_addr(dst) : ip_addr_of_v4(rig_ip(dst));
	int result;

	memset(rte_pktmbuf_append(m, 20), 7, 20);
	result = net_output(rig.net, m, &from, &to, IPPROTO_TCP, rig.now_us);
	net_run(rig.net, rig.now_us);
	return result;
}

uint32_t rig_ip(const char *text)
{
	struct ip_addr a;

	if (!ip_addr_parse(text, &a))
		abort();
	return ip_addr_v4(&a);
}

struct ip_addr rig_addr(const char *text)
{
	struct ip_addr a;

	if (!ip_addr_parse(text, &a))
		abort();
	return a;
}

struct rig_frame *rig_append(struct rig_frame *f, const void *data, size_t len)
{
	assert(f->len + len <= sizeof(f->data));
	if (len > 0)
		memcpy(f->data + f->len, data, len);
	f->len += len;
	return f;
}

struct rig_frame *rig_eth(
	struct rig_frame *f, const uint8_t dst[6], const uint8_t src[6], uint16_t type)
{
	const uint8_t type_be[2] = {(uint8_t)(type >> 8), (uint8_t)type};

	f->len = 0;
	rig_append(f, dst, 6);
	rig_append(f, src, 6);
	return rig_append(f, type_be, 2);
}

struct rig_frame *rig_ip4(struct rig_frame *f, const char *src, const char *dst, uint8_t protocol,
	const void *payload, size_t len)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(ip) + len)),
		.time_to_live = 64,
		.next_proto_id = protocol,
		.src_addr = rig_ip(src),
		.dst_addr = rig_ip(dst),
	};

	rig_eth(f, rig_own_mac, rig_peer_mac, RTE_ETHER_TYPE_IPV4);
	rig_append(f, &ip, sizeof(ip));
	rig_append(f, payload, len);
	rig_fix_ip4_sum(f);
	return f;
}

struct rte_ipv4_hdr *rig_ip4_of(struct rig_frame *f)
{
	return (struct rte_ipv4_hdr *)(void *)(f->data + RTE_ETHER_HDR_LEN);
}

void rig_fix_ip4_sum(struct rig_frame *f)
{
	struct rte_ipv4_hdr *ip = rig_ip4_of(f);

	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
}

struct rig_frame *rig_arp(struct rig_frame *f, const uint8_t dst[6], uint16_t opcode,
	const uint8_t sender_mac[6], const char *sender, const char *target)
{
	struct rte_arp_hdr arp = {
		.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
		.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = 6,
		.arp_plen = 4,
		.arp_opcode = rte_cpu_to_be_16(opcode),
		.arp_data.arp_sip = rig_ip(sender),
		.arp_data.arp_tip = rig_ip(target),
	};

	memcpy(arp.arp_data.arp_sha.addr_bytes, sender_mac, 6);
	rig_eth(f, dst, sender_mac, RTE_ETHER_TYPE_ARP);
	return rig_append(f, &arp, sizeof(arp));
}

struct rig_frame *rig_ip6(struct rig_frame *f, const char *src, const char *dst, uint8_t next,
	const void *payload, size_t len)
{
	struct ip_addr from = rig_addr(src), to = rig_addr(dst);
	const uint8_t group_mac[6] = {0x33, 0x33, to.b[12], to.b[13], to.b[14], to.b[15]};
	struct rte_ipv6_hdr ip = {
		.vtc_flow = RTE_BE32(0x60000000),
		.payload_len = rte_cpu_to_be_16((uint16_t)len),
		.proto = next,
		.hop_limits = 64,
	};

	memcpy(ip.src_addr, from.b, sizeof(ip.src_addr));
	memcpy(ip.dst_addr, to.b, sizeof(ip.dst_addr));
	rig_eth(f, to.b[0] == 0xff ? group_mac : rig_own_mac, rig_peer_mac, RTE_ETHER_TYPE_IPV6);
	rig_append(f, &ip, sizeof(ip));
	return rig_append(f, payload, len);
}

struct rte_ipv6_hdr *rig_ip6_of(struct rig_frame *f)
{
	return (struct rte_ipv6_hdr *)(void *)(f->data + RTE_ETHER_HDR_LEN);
}

static uint16_t icmp6_sum(const struct rig_frame *f)
{
	const struct rte_ipv6_hdr *ip = (const void *)(f->data + RTE_ETHER_HDR_LEN);
	struct ip_addr src = wire_ip6(ip->src_addr), dst = wire_ip6(ip->dst_addr);

	return wire_icmp6_sum(&src, &dst, ip + 1, rte_be_to_cpu_16(ip->payload_len));
}

void rig_fix_icmp6_sum(struct rig_frame *f)
{
	struct wire_icmp6 *icmp = (struct wire_icmp6 *)(void *)(rig_ip6_of(f) + 1);

	icmp->checksum = 0;
	icmp->checksum = (uint16_t)~icmp6_sum(f);
}

struct rig_frame *rig_icmp6(struct rig_frame *f, const char *src, const char *dst, uint8_t type,
	uint32_t word, const void *rest, size_t len)
{
	struct wire_icmp6 icmp = {.type = type, .word = rte_cpu_to_be_32(word)};

	rig_ip6(f, src, dst, IPPROTO_ICMPV6, &icmp, sizeof(icmp));
	rig_append(f, rest, len);
	rig_ip6_of(f)->payload_len = rte_cpu_to_be_16((uint16_t)(sizeof(icmp) + len));
	rig_fix_icmp6_sum(f);
	return f;
}

struct rig_frame *rig_nd(struct rig_frame *f, const char *src, const char *dst, uint8_t type,
	uint32_t flags_be, const char *target, uint8_t kind, const uint8_t mac[6])
{
	struct ip_addr about = rig_addr(target);
	uint8_t rest[24];
	size_t len = sizeof(about);

	memcpy(rest, about.b, sizeof(about));
	if (kind != 0) {
		rest[16] = kind;
		rest[17] = 1;
		memcpy(rest + 18, mac, 6);
		len = sizeof(rest);
	}
	rig_icmp6(f, src, dst, type, rte_be_to_cpu_32(flags_be), rest, len);
	rig_ip6_of(f)->hop_limits = 255;
	return f;
}

static void *sent_payload(unsigned i, uint16_t type)
{
	struct rig_frame *f = &rig.sent[i];
	uint16_t found = (uint16_t)(f->data[12] << 8 | f->data[13]);

	if (i >= rig.n_sent || found != type) {
		fprintf(stderr, "rig: frame %u of %u is not of type %04x\n", i, rig.n_sent, type);
		abort();
	}
	return f->data + RTE_ETHER_HDR_LEN;
}

struct rte_arp_hdr *rig_sent_arp(unsigned i)
{
	return sent_payload(i, RTE_ETHER_TYPE_ARP);
}

struct rte_ipv4_hdr *rig_sent_ip4(unsigned i)
{
	return sent_payload(i, RTE_ETHER_TYPE_IPV4);
}

struct rte_ipv6_hdr *rig_sent_ip6(unsigned i)
{
	return sent_payload(i, RTE_ETHER_TYPE_IPV6);
}

struct wire_icmp6 *rig_sent_icmp6(unsigned i)
{
	struct rte_ipv6_hdr *ip = rig_sent_ip6(i);

	if (ip->proto != IPPROTO_ICMPV6 || icmp6_sum(&rig.sent[i]) != 0xffff) {
		fprintf(stderr, "rig: frame %u is no good ICMPv6\n", i);
		abort();
	}
	return (struct wire_icmp6 *)(void *)(ip + 1);
}
