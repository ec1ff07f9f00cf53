#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"
#include "dataplane/tcp/tcp_csum.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define ICMP_RATE            1000u
#define ICMP_BURST           1000u
#define ARP_RATE             1000u
#define ARP_BURST            256u
#define ROUTER_RATE          10u // RFC 4861, 6.2.6: a router says nothing twice within three seconds
#define ROUTER_BURST         32u
#define ANNOUNCE_INTERVAL_US (2 * NET_SECOND_US) // RFC 5227, 1.1: ANNOUNCE_INTERVAL
#define TSO_PAYLOAD_MIN      256u // some devices refuse to cut smaller ones, and it would gain little
#define ETH_HEADERS          (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)
#define NET_TIMERS_A_TURN    64u // so that a burst of timeouts cannot stall packets

void net_drop(struct net *net, struct rte_mbuf *m, enum net_drop why)
{
	static const uint16_t counter_of[NET_N_DROPS] = {
#define DROP(layer, reason, title, help) \
	[NET_DROP_##layer##_##reason] =  \
		(uint16_t)offsetof(struct dataplane_stats, layer##_drop_##reason),
#include "dataplane/net/net_drops.def"
	};

	stat_inc((uint64_t *)(void *)((uint8_t *)net->stats + counter_of[why]));
	rte_pktmbuf_free(m);
}

void token_bucket_init(struct token_bucket *b, uint32_t rate, uint32_t burst, uint64_t now_us)
{
	*b = (struct token_bucket){.rate = rate,
		.burst = burst,
		.tokens_us = burst * (NET_SECOND_US / rate),
		.filled_us = now_us};
}

bool token_bucket_take(struct token_bucket *b, uint64_t now_us)
{
	uint64_t cost_us = NET_SECOND_US / b->rate, full_us = b->burst * cost_us;

	b->tokens_us += now_us - b->filled_us;
	b->filled_us = now_us;
	if (b->tokens_us > full_us)
		b->tokens_us = full_us;
	if (b->tokens_us < cost_us)
		return false;
	b->tokens_us -= cost_us;
	return true;
}

struct net *net_new(const struct net_config *config, uint64_t now_us)
{
	struct net *net = calloc(1, sizeof(*net));

	if (net == NULL)
		return NULL;
	net->mbufs = config->mbufs;
	net->stats = config->stats;
	net->secret = config->secret;
	net->quiet = config->quiet;
	net->tell = config->tell;
	net->tell_arg = config->tell_arg;
	net->arrives = config->arrives;
	net->arrives_arg = config->arrives_arg;
	token_bucket_init(&net->icmp_bucket, ICMP_RATE, ICMP_BURST, now_us);
	token_bucket_init(&net->arp_bucket, ARP_RATE, ARP_BURST, now_us);
	token_bucket_init(&net->router_bucket, ROUTER_RATE, ROUTER_BURST, now_us);
	neigh_init(net);
	fib_init(net);
	net->timers = timer_wheel_new(now_us);
	if (net->timers == NULL) {
		errno = ENOMEM;
		goto failed;
	}
	net->tcp = tcp_new(net, config, now_us);
	if (net->tcp == NULL)
		goto failed;
	return net;
failed:
	net_free(&net);
	return NULL;
}

void net_free(struct net **np)
{
	struct net *net = *np;
	int error = errno;

	*np = NULL;
	if (net == NULL)
		return;
	if (net->tcp != NULL)
		tcp_free(&net->tcp);
	if (net->timers != NULL) {
		neigh_fini(net);
		for (unsigned k = 0; k < net->n_ifaces; k++) {
			timer_cancel(net->timers, &net->ifaces[k].announce);
			timer_cancel(net->timers, &net->ifaces[k].duplicate_check);
			nd_router_fini(&net->ifaces[k]);
			iface_fini(&net->ifaces[k]);
		}
		timer_wheel_free(&net->timers);
	}
	free(net);
	errno = error;
}

// Tells the neighbours who we are, and asks for the gateways, which the first packet will need.
static void announce(struct iface *i, uint64_t now_us)
{
	struct net *net = i->net;

	if (i->resolve != NULL) // the kernel has done it
		return;
	if (!net->quiet)
		arp_announce(i);
	if (i->n_announced == 0)
		nd_start(i, now_us);
	else
		nd_announce(i);
	for (unsigned k = 0; k < i->n_gateways; k++)
		neigh_ask(net, neigh_get(net, i, &i->gateways[k], now_us), now_us);
	if (++i->n_announced < NET_ANNOUNCEMENTS)
		timer_arm(net->timers, &i->announce, now_us + ANNOUNCE_INTERVAL_US);
}

static void on_announce(struct timer *t, uint64_t now_us)
{
	announce(container_of(t, struct iface, announce), now_us);
}

struct iface *net_add_iface(struct net *net, const struct iface_config *config)
{
	struct iface *i = &net->ifaces[net->n_ifaces];
	int error;

	if (net->n_ifaces == NET_MAX_IFACES) {
		errno = ENOSPC;
		return NULL;
	}
	error = iface_init(i, net, config);
	if (error != 0) {
		errno = -error;
		return NULL;
	}
	timer_init(&i->announce, on_announce);
	timer_init(&i->duplicate_check, nd_on_duplicate_check);
	nd_router_init(i);
	net->n_ifaces++;
	fib_add_iface(net, i);
	return i;
}

// One batch in passes: the headers are on their way to the cache while the first frames are looked at,
// and IP sees its packets together.
static void input_batch(struct iface *in, struct rte_mbuf **ms, unsigned n, uint64_t now_us)
{
	struct rte_mbuf *ip4[NET_BATCH], *ip6[NET_BATCH];
	unsigned n_ip4 = 0, n_ip6 = 0;

	for (unsigned k = 0; k < n; k++)
		rte_prefetch0(rte_pktmbuf_mtod(ms[k], void *));
	for (unsigned k = 0; k < n; k++) {
		uint16_t type = 0;
		enum net_drop why = eth_check(in, ms[k], &type);

		if (why != NET_PASS)
			net_drop(in->net, ms[k], why);
		else if (type == RTE_ETHER_TYPE_IPV4)
			ip4[n_ip4++] = ms[k];
		else if (type == RTE_ETHER_TYPE_IPV6)
			ip6[n_ip6++] = ms[k];
		else
			arp_input(in, ms[k], now_us);
	}
	ip4_input(in, ip4, n_ip4, now_us);
	ip6_input(in, ip6, n_ip6, now_us);
}

void net_input(struct net *net, struct iface *in, struct rte_mbuf **ms, unsigned n, uint64_t now_us)
{
	(void)net;
	for (; n > NET_BATCH; n -= NET_BATCH, ms += NET_BATCH)
		input_batch(in, ms, NET_BATCH, now_us);
	input_batch(in, ms, n, now_us);
}

bool net_run(struct net *net, uint64_t now_us)
{
	bool worked = false;

	if (!net->announced) {
		net->announced = true;
		for (unsigned k = 0; k < net->n_ifaces; k++)
			announce(&net->ifaces[k], now_us);
	}
	worked |= timer_wheel_run(net->timers, now_us, NET_TIMERS_A_TURN) > 0;
	worked |= tcp_run(net->tcp, now_us);
	for (unsigned k = 0; k < net->n_ifaces; k++)
		worked |= iface_flush(&net->ifaces[k]);
	return worked;
}

uint64_t net_next_deadline(const struct net *net)
{
	if (!net->announced || tcp_has_work(net->tcp))
		return 0;
	return timer_wheel_next(net->timers);
}

struct timer_wheel *net_timers(struct net *net)
{
	return net->timers;
}

struct tcp *net_tcp(struct net *net)
{
	return net->tcp;
}

// TCP has asked for its checksum; the device below 'out' completes it, or we do.
static void share_checksums(const struct iface *out, struct rte_mbuf *m, bool is_v4)
{
	const struct net_offloads *o = &out->offloads;

	if (!o->tcp_csum && !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)) {
		csum_finish(m);
		m->ol_flags = 0;
	}
	if (is_v4 && o->ip4_csum)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	if (m->ol_flags == 0)
		return;
	m->ol_flags |= is_v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	m->l3_len = is_v4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
}

int net_output(struct net *net, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t protocol, uint64_t now_us)
{
	const struct fib_entry *to = fib_find(net, dst, now_us);
	bool is_v4 = ip_addr_is_v4(dst);

	if (to == NULL) {
		net_drop(net, m, is_v4 ? NET_DROP_ip4_no_route : NET_DROP_ip6_no_route);
		return -EHOSTUNREACH;
	}
	if (protocol == IPPROTO_TCP)
		share_checksums(to->iface, m, is_v4);
	else
		m->ol_flags = 0; // an answer may be the received buffer
	if (is_v4)
		ip4_prepend(m, ip_addr_v4(src), ip_addr_v4(dst), protocol);
	else
		ip6_prepend(m, src, dst, protocol, IP6_HOP_LIMIT);
	return neigh_output(net, to->neigh, m, now_us);
}

unsigned net_segments_at_once(struct net *net, const struct ip_addr *dst, uint16_t header,
	uint16_t payload, uint64_t now_us)
{
	const struct fib_entry *to = fib_find(net, dst, now_us);
	bool is_v4 = ip_addr_is_v4(dst);
	const struct net_offloads *o;
	uint32_t headers, n;

	if (to == NULL)
		return 1;
	o = &to->iface->offloads;
	headers = header + (is_v4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr));
	n = (UINT16_MAX - headers) / payload; // what the IP header's length takes
	if (!(is_v4 ? o->tso4 : o->tso6) || o->tso_mbufs < 3 || payload < TSO_PAYLOAD_MIN
		|| (o->tso_frame != 0 && ETH_HEADERS + headers + payload > o->tso_frame))
		return 1;
	return RTE_MIN(n, o->tso_mbufs - 1u);
}

bool net_route(struct net *net, const struct ip_addr *dst, struct ip_addr *src, uint16_t *mtu)
{
	static const struct ip_addr none;
	const struct route *r = fib_route(net, dst);
	const struct ip_addr *own;

	if (r == NULL)
		return false;
	*mtu = ip_addr_is_v4(dst) ? r->iface->mtu : r->iface->mtu6;
	if (iface_owns(r->iface, &r->source)) {
		*src = r->source;
		return true;
	}
	// A gateway's link-local address says nothing about which of ours the rest of the world can reach.
	own = iface_source(r->iface,
		ip_addr_equal(&r->gateway, &none) || wire_ip6_is_link_local(&r->gateway)
			? dst
			: &r->gateway);
	if (own == NULL)
		return false;
	*src = *own;
	return true;
}

bool net_arrives_here(
	struct net *net, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	const struct route *r = net->arrives != NULL ? fib_route(net, &remote->addr) : NULL;

	return r == NULL
		|| net->arrives(
			net->arrives_arg, (unsigned)(r->iface - net->ifaces), local, remote);
}

bool net_owns(const struct net *net, const struct ip_addr *a)
{
	for (unsigned k = 0; k < net->n_ifaces; k++) {
		if (iface_owns(&net->ifaces[k], a))
			return true;
	}
	return false;
}
