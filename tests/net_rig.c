#include "tests/net_rig.h"

#include "dataplane/tcp/tcp_net.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct rig rig;
const uint8_t rig_own_mac[6] = {2, 0, 0, 0, 0, 1};
const uint8_t rig_peer_mac[6] = {2, 0, 0, 0, 0, 2};
const uint8_t rig_broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

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

void tcp_unreachable(struct tcp *t, const struct ip_addr *dst, uint64_t now_us)
{
	(void)t;
	(void)now_us;
	rig.tcp.n_unreachable++;
	rig.tcp.unreachable = *dst;
}

// --- the rig

static void take_sent(void *arg, struct rte_mbuf **ms, unsigned n)
{
	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		struct rig_frame *f = &rig.sent[rig.n_sent % RIG_MAX_SENT];

		f->len = rte_pktmbuf_data_len(ms[i]);
		memcpy(f->data, rte_pktmbuf_mtod(ms[i], void *), f->len);
		rig.n_sent++;
		rte_pktmbuf_free(ms[i]);
	}
}

void rig_start(void)
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
		.mbufs = pool, .secret = {1, 2},
                     .stats = &rig.stats
        };
	rig.net = net_new(&config, RIG_START);
	assert(rig.net != NULL);
	memcpy(iface.mac, rig_own_mac, sizeof(iface.mac));
	iface.addresses[0] = ip_addr_of_v4(rig_ip("10.0.0.1"));
	iface.prefix_len[0] = 24;
	iface.gateway = ip_addr_of_v4(rig_ip("10.0.0.254"));
	rig.iface = net_add_iface(rig.net, &iface);
	assert(rig.iface != NULL);
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

uint32_t rig_ip(const char *text)
{
	struct ip_addr a;

	if (!ip_addr_parse(text, &a))
		abort();
	return ip_addr_v4(&a);
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
