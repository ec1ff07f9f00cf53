// Neighbour discovery (RFC 4861) and the check for duplicates of our addresses (RFC 4862, 5.4, in the
// optimistic manner of RFC 4429: an address works from the start, but displaces nobody's until the check is
// over). What strangers send can refresh what we asked for, and a question for us introduces who asks; an
// advertisement that nobody asked for changes nothing.

#include "dataplane/base/log.h"
#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <netinet/in.h>

LOG_MODULE("nd")

#define ND_RETRANS_US  (1 * NET_SECOND_US) // RFC 4861, 10: RETRANS_TIMER
#define ND_MAX_OPTIONS 16u
#define ND_GROUP_MAC(a)                                                    \
	{                                                                  \
		0x33, 0x33, (a)->b[12], (a)->b[13], (a)->b[14], (a)->b[15] \
	}

static const struct ip_addr all_nodes = {
	.b = {0xff, 2, [15] = 1}
};

static struct ip_addr solicited_group_of(const struct ip_addr *target)
{
	struct ip_addr group = {
		.b = {0xff, 2, [11] = 1, 0xff}
        };

	memcpy(group.b + 13, target->b + 13, 3);
	return group;
}

// --- output

// A solicitation or an advertisement, with the option 'kind' that tells our hardware address; 0: without.
static void send_nd(struct iface *out, const uint8_t to[6], const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t type, uint32_t flags, const struct ip_addr *target,
	uint8_t kind)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(out->net->mbufs);
	struct wire_nd_mac *option;
	struct wire_nd *nd;

	if (m == NULL) {
		stat_inc(&out->net->stats->net_no_buffer);
		return;
	}
	m->data_off += sizeof(*nd) + sizeof(*option);
	if (kind != 0) {
		option = wire_push(m, sizeof(*option));
		*option = (struct wire_nd_mac){.kind = kind, .len = 1};
		memcpy(option->mac, out->mac, sizeof(option->mac));
	}
	nd = wire_push(m, sizeof(*nd));
	nd->icmp = (struct wire_icmp6){.type = type, .word = flags};
	memcpy(nd->target, target->b, sizeof(nd->target));
	nd->icmp.checksum = (uint16_t)~wire_icmp6_sum(src, dst, nd, rte_pktmbuf_data_len(m));
	ip6_prepend(m, src, dst, IPPROTO_ICMPV6, ND_HOP_LIMIT);
	eth_output(out, m, to, RTE_ETHER_TYPE_IPV6);
}

static bool is_optimistic(struct iface *i, const struct ip_addr *own)
{
	return iface_address_of(i, own)->state == ADDRESS_OPTIMISTIC;
}

void nd_solicit(struct iface *out, const struct ip_addr *target, const uint8_t *mac)
{
	const struct ip_addr *source = iface_source(out, target);
	struct ip_addr group = solicited_group_of(target);
	const uint8_t group_mac[6] = ND_GROUP_MAC(&group);

	if (source == NULL)
		return;
	stat_inc(&out->net->stats->nd_solicitations_sent);
	// RFC 4429, 3.2: an address that may be another's is not put into anybody's cache.
	send_nd(out, mac != NULL ? mac : group_mac, source, mac != NULL ? target : &group,
		WIRE_ICMP6_NEIGHBOUR_SOLICITATION, 0, target,
		is_optimistic(out, source) ? 0 : WIRE_ND_SOURCE_MAC);
}

static void advertise(struct iface *out, const uint8_t to[6], const struct ip_addr *own,
	const struct ip_addr *dst, uint32_t flags)
{
	if (!is_optimistic(out, own))
		flags |= WIRE_ND_OVERRIDE;
	send_nd(out, to, own, dst, WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT, flags, own,
		WIRE_ND_TARGET_MAC);
}

static void advertise_to_all(struct iface *out, const struct ip_addr *own)
{
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, [5] = 1};

	stat_inc(&out->net->stats->nd_announcements_sent);
	advertise(out, all_nodes_mac, own, &all_nodes, 0);
}

// RFC 4861, 7.2.6.
void nd_announce(struct iface *i)
{
	if (i->net->quiet)
		return;
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *a = &i->addresses[k];

		if (!ip_addr_is_v4(&a->addr) && a->state == ADDRESS_IN_USE)
			advertise_to_all(i, &a->addr);
	}
}

// --- our own addresses

void nd_start(struct iface *i, uint64_t now_us)
{
	static const struct ip_addr unspecified;

	if (!i->has_ip6)
		return;
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct ip_addr *own = &i->addresses[k].addr;
		struct ip_addr group = solicited_group_of(own);
		const uint8_t group_mac[6] = ND_GROUP_MAC(&group);

		if (ip_addr_is_v4(own) || i->net->quiet)
			continue;
		stat_inc(&i->net->stats->nd_solicitations_sent);
		send_nd(i, group_mac, &unspecified, &group, WIRE_ICMP6_NEIGHBOUR_SOLICITATION, 0,
			own, 0);
	}
	timer_arm(i->net->timers, &i->duplicate_check, now_us + ND_RETRANS_US);
}

void nd_on_duplicate_check(struct timer *t, uint64_t now_us)
{
	struct iface *i = container_of(t, struct iface, duplicate_check);

	for (unsigned k = 0; k < i->n_addresses; k++) {
		if (i->addresses[k].state == ADDRESS_OPTIMISTIC)
			i->addresses[k].state = ADDRESS_IN_USE;
	}
	nd_announce(i);
	nd_router_start(i, now_us);
}

static void found_duplicate(struct iface *i, struct iface_address *a)
{
	char text[IP_ENDPOINT_TEXT_SIZE];

	a->state = ADDRESS_DUPLICATE;
	stat_inc(&i->net->stats->nd_duplicates);
	ip_addr_print(&a->addr, text);
	log_error("another station has our address, which is therefore not used interface=%s "
		  "address=%s",
		i->name, text);
}

// Somebody else speaks for one of our addresses, or is about to take it. It is too late for that once the
// check is over: then we say that it is ours.
static enum net_drop take_conflict(struct iface *in, struct iface_address *a, bool is_probe)
{
	char text[IP_ENDPOINT_TEXT_SIZE];

	if (a->state == ADDRESS_OPTIMISTIC) {
		found_duplicate(in, a);
	} else if (a->state == ADDRESS_IN_USE) {
		ip_addr_print(&a->addr, text);
		log_warning(
			"another station uses our address interface=%s address=%s", in->name, text);
		if (is_probe && !in->net->quiet)
			advertise_to_all(in, &a->addr);
	}
	return NET_DROP_nd_conflict;
}

// --- input

bool nd_mac_is_good(const struct iface *in, const uint8_t *mac)
{
	return !wire_mac_is_group(mac) && !wire_mac_is_zero(mac) && !wire_mac_equal(mac, in->mac);
}

bool nd_parse_options(struct bytes b, unsigned max, struct nd_options *out)
{
	*out = (struct nd_options){NULL, NULL, NULL};
	for (unsigned n = 0; b.len > 0; n++) {
		const struct wire_nd_mac *option = (const struct wire_nd_mac *)(const void *)b.ptr;

		if (n == max || b.len < sizeof(*option) || option->len == 0
			|| b.len < option->len * sizeof(*option))
			return false;
		if (option->kind == WIRE_ND_SOURCE_MAC && out->source_mac == NULL)
			out->source_mac = option->mac;
		else if (option->kind == WIRE_ND_TARGET_MAC && out->target_mac == NULL)
			out->target_mac = option->mac;
		else if (option->kind == WIRE_ND_MTU && option->len == 1 && out->mtu_be == NULL)
			out->mtu_be = option->mac + 2; // behind two reserved bytes
		b = bytes_skip(b, option->len * sizeof(*option));
	}
	return true;
}

// RFC 4861, 7.2.3 and 7.2.4.
static enum net_drop take_solicitation(struct iface *in, const struct ip_addr *src,
	const struct ip_addr *target, const struct nd_options *options, uint64_t now_us)
{
	struct iface_address *own = iface_address_of(in, target);
	struct net *net = in->net;
	struct neigh *sender;

	if (!iface_is_on_link(in, src))
		return NET_DROP_nd_sender;
	if (options->source_mac != NULL && !nd_mac_is_good(in, options->source_mac))
		return NET_DROP_nd_sender;
	sender = neigh_find(net, in, src);
	if (sender != NULL && options->source_mac != NULL)
		neigh_learn(net, sender, options->source_mac, false, now_us);
	if (own == NULL || own->state == ADDRESS_DUPLICATE)
		return NET_DROP_nd_not_ours;
	if (!token_bucket_take(&net->arp_bucket, now_us))
		return NET_DROP_nd_rate;
	// Whom we do not know has to say where it is.
	if (options->source_mac == NULL
		&& (sender == NULL || sender->state == NEIGH_ASKING
			|| sender->state == NEIGH_FAILED))
		return NET_DROP_nd_sender;
	if (sender == NULL) {
		sender = neigh_get(net, in, src, now_us);
		neigh_learn(net, sender, options->source_mac, false, now_us);
	}
	if (net->quiet)
		return NET_PASS;
	stat_inc(&net->stats->nd_advertisements_sent);
	advertise(in, options->source_mac != NULL ? options->source_mac : sender->mac, target, src,
		WIRE_ND_SOLICITED);
	return NET_PASS;
}

// A solicitation without a source is a check like ours (RFC 4862, 5.4.3).
static enum net_drop take_probe(struct iface *in, const struct ip_addr *dst,
	const struct ip_addr *target, const struct nd_options *options, uint64_t now_us)
{
	struct ip_addr group = solicited_group_of(target);
	struct iface_address *own = iface_address_of(in, target);

	if (options->source_mac != NULL || !ip_addr_equal(dst, &group))
		return NET_DROP_nd_malformed;
	if (own == NULL)
		return NET_DROP_nd_not_ours;
	if (!token_bucket_take(&in->net->arp_bucket, now_us))
		return NET_DROP_nd_rate;
	return take_conflict(in, own, true);
}

static enum net_drop take_advertisement(struct iface *in, const struct ip_addr *dst,
	const struct wire_nd *nd, const struct nd_options *options, uint64_t now_us)
{
	struct ip_addr target = wire_ip6(nd->target);
	bool solicited = (nd->icmp.word & WIRE_ND_SOLICITED) != 0;
	struct iface_address *own = iface_address_of(in, &target);
	struct neigh *n;
	enum net_drop why;

	if (solicited && wire_ip6_is_group(dst))
		return NET_DROP_nd_malformed;
	if (options->target_mac != NULL && !nd_mac_is_good(in, options->target_mac))
		return NET_DROP_nd_sender;
	if (own != NULL)
		return take_conflict(in, own, false);
	n = neigh_find(in->net, in, &target);
	if (n == NULL)
		return NET_DROP_nd_unasked;
	why = neigh_advertise(in->net, n, options->target_mac, solicited,
		(nd->icmp.word & WIRE_ND_OVERRIDE) != 0, now_us);
	if (why == NET_PASS)
		stat_inc(&in->net->stats->nd_advertisements_received);
	return why;
}

static enum net_drop check(const struct rte_mbuf *m, struct nd_options *options)
{
	const struct wire_nd *nd = rte_pktmbuf_mtod(m, const struct wire_nd *);
	struct ip_addr target;

	if (nd->icmp.code != 0 || rte_pktmbuf_data_len(m) < sizeof(*nd))
		return NET_DROP_nd_malformed;
	target = wire_ip6(nd->target);
	if (wire_ip6_is_group(&target) || ip_addr_is_v4(&target)
		|| !nd_parse_options(bytes_of(nd + 1, rte_pktmbuf_data_len(m) - sizeof(*nd)),
			ND_MAX_OPTIONS, options))
		return NET_DROP_nd_malformed;
	return NET_PASS;
}

static enum net_drop take_neighbour(struct iface *in, const struct rte_mbuf *m,
	const struct ip_addr *src, const struct ip_addr *dst, uint64_t now_us)
{
	const struct wire_nd *nd = rte_pktmbuf_mtod(m, const struct wire_nd *);
	struct nd_options options;
	enum net_drop why = check(m, &options);
	struct ip_addr target;

	if (why != NET_PASS)
		return why;
	target = wire_ip6(nd->target);
	if (nd->icmp.type == WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT)
		return wire_ip6_is_unspecified(src)
			? NET_DROP_nd_sender
			: take_advertisement(in, dst, nd, &options, now_us);
	if (wire_ip6_is_unspecified(src))
		return take_probe(in, dst, &target, &options, now_us);
	return take_solicitation(in, src, &target, &options, now_us);
}

void nd_input(struct iface *in, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t hop_limit, uint64_t now_us)
{
	const struct wire_icmp6 *icmp = rte_pktmbuf_mtod(m, const struct wire_icmp6 *);
	enum net_drop why;

	// RFC 4861, 6.1 and 7.1: what a router passed on is not of this link.
	if (hop_limit != ND_HOP_LIMIT)
		why = NET_DROP_nd_hop_limit;
	else if (icmp->type == WIRE_ICMP6_ROUTER_SOLICITATION)
		why = NET_DROP_nd_router;
	else if (icmp->type == WIRE_ICMP6_ROUTER_ADVERTISEMENT)
		why = nd_router_input(in, m, src, now_us);
	else
		why = take_neighbour(in, m, src, dst, now_us);
	if (why == NET_PASS)
		rte_pktmbuf_free(m);
	else
		net_drop(in->net, m, why);
}
