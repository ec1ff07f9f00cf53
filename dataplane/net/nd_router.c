// Router discovery (RFC 4861, 6.3) on interfaces with an IPv6 address and no configured IPv6 gateway: up to three
// questions after the start, and then what routers advertise. Taken are the default route with its preference
// (RFC 4191), the router's hardware address and the link's MTU. Prefixes are not, because addresses are
// configured; nor are hop limit and timers, because a stranger's choice of them has no use.
//
// Every worker's net learns by itself; one asks (net_config.quiet).

#include "dataplane/base/log.h"
#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <netinet/in.h>

LOG_MODULE("nd")

#define SOLICIT_DELAY_US    (1 * NET_SECOND_US) // RFC 4861, 10: MAX_RTR_SOLICITATION_DELAY
#define SOLICIT_INTERVAL_US (4 * NET_SECOND_US) // RTR_SOLICITATION_INTERVAL
#define SOLICITATIONS       3u                  // MAX_RTR_SOLICITATIONS
#define MAX_OPTIONS         64u                 // a prefix takes one, and a link may have many

#define PREFERENCE(flags) ((flags) >> 3 & 3u)

enum reach {
	REACH_NOT,
	REACH_DOUBTFUL,
	REACH_GOOD, // as far as known
};

static const struct ip_addr none;

// True where routers are listened to.
static bool is_wanted(const struct iface *i)
{
	if (!i->has_ip6 || i->resolve != NULL)
		return false;
	for (unsigned k = 0; k < i->n_gateways; k++) {
		if (!ip_addr_is_v4(&i->gateways[k]))
			return false;
	}
	return true;
}

// --- asking

static const struct ip_addr *link_local_of(const struct iface *i)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *a = &i->addresses[k];

		if (wire_ip6_is_link_local(&a->addr) && a->state == ADDRESS_IN_USE)
			return &a->addr;
	}
	return NULL;
}

// RFC 4861, 4.1: without an address of ours that is good on the link, from none.
static void solicit(struct iface *out)
{
	static const struct ip_addr all_routers = {
		.b = {0xff, 2, [15] = 2}
        };
	static const uint8_t all_routers_mac[6] = {0x33, 0x33, [5] = 2};
	const struct ip_addr *own = link_local_of(out), *src = own != NULL ? own : &none;
	struct rte_mbuf *m = rte_pktmbuf_alloc(out->net->mbufs);
	struct wire_nd_mac *option;
	struct wire_icmp6 *icmp;

	if (m == NULL) {
		stat_inc(&out->net->stats->net_no_buffer);
		return;
	}
	m->data_off += sizeof(*icmp) + sizeof(*option);
	if (own != NULL) {
		option = wire_push(m, sizeof(*option));
		*option = (struct wire_nd_mac){.kind = WIRE_ND_SOURCE_MAC, .len = 1};
		memcpy(option->mac, out->mac, sizeof(option->mac));
	}
	icmp = wire_push(m, sizeof(*icmp));
	*icmp = (struct wire_icmp6){.type = WIRE_ICMP6_ROUTER_SOLICITATION};
	icmp->checksum =
		(uint16_t)~wire_icmp6_sum(src, &all_routers, icmp, rte_pktmbuf_data_len(m));
	stat_inc(&out->net->stats->nd_router_solicitations_sent);
	ip6_prepend(m, src, &all_routers, IPPROTO_ICMPV6, ND_HOP_LIMIT);
	eth_output(out, m, all_routers_mac, RTE_ETHER_TYPE_IPV6);
}

// RFC 4861, 6.3.7: one question although a router has spoken already, because the answer may say more.
static void on_solicit(struct timer *t, uint64_t now_us)
{
	struct iface *i = container_of(t, struct iface, routers.solicit);
	struct nd_routers *r = &i->routers;

	if (r->n_solicited > 0 && r->n > 0)
		return;
	solicit(i);
	if (++r->n_solicited < SOLICITATIONS)
		timer_arm(i->net->timers, &r->solicit, now_us + SOLICIT_INTERVAL_US);
}

// The delay keeps hosts that start together apart.
void nd_router_start(struct iface *i, uint64_t now_us)
{
	uint64_t delay_us = hash_bytes(&i->net->secret, i->mac, sizeof(i->mac)) % SOLICIT_DELAY_US;

	if (is_wanted(i) && !i->net->quiet)
		timer_arm(i->net->timers, &i->routers.solicit, now_us + delay_us);
}

// --- choosing

static struct nd_router *find(struct iface *i, const struct ip_addr *addr)
{
	for (unsigned k = 0; k < i->routers.n; k++) {
		if (ip_addr_equal(&i->routers.list[k].addr, addr))
			return &i->routers.list[k];
	}
	return NULL;
}

static enum reach reach_of(struct iface *i, const struct nd_router *r)
{
	const struct neigh *n = neigh_find(i->net, i, &r->addr);

	if (n == NULL || n->state == NEIGH_ASKING)
		return REACH_DOUBTFUL;
	return n->state == NEIGH_FAILED ? REACH_NOT : REACH_GOOD;
}

// RFC 4861, 6.3.6 and RFC 4191, 3.2: reachable ones go before preferred ones.
static int score(struct iface *i, const struct nd_router *r)
{
	enum reach reach = reach_of(i, r);

	return reach == REACH_NOT ? 0 : (int)reach * 3 + r->preference + 1;
}

// Of equals the one in use stays. When it has failed, the next has its turn, so that all are tried.
static const struct nd_router *best_of(struct iface *i)
{
	struct nd_routers *r = &i->routers;
	const struct nd_router *best = NULL, *chosen = find(i, &r->chosen);
	unsigned first = 0;

	if (chosen != NULL)
		first = (unsigned)(chosen - r->list) + (reach_of(i, chosen) == REACH_NOT ? 1 : 0);
	for (unsigned k = 0; k < r->n; k++) {
		const struct nd_router *candidate = &r->list[(first + k) % r->n];

		if (best == NULL || score(i, candidate) > score(i, best))
			best = candidate;
	}
	return best;
}

static void choose(struct iface *i)
{
	const struct nd_router *best = best_of(i);
	struct ip_addr addr = best != NULL ? best->addr : none;
	char text[IP_ENDPOINT_TEXT_SIZE];

	if (ip_addr_equal(&addr, &i->routers.chosen))
		return;
	i->routers.chosen = addr;
	fib_set_router(i->net, i, best != NULL ? &addr : NULL);
	stat_inc(&i->net->stats->nd_router_changes);
	if (i->net->quiet)
		return;
	ip_addr_print(&addr, text);
	if (best != NULL)
		log_info("default router interface=%s address=%s", i->name, text);
	else
		log_warning("no IPv6 router any more interface=%s", i->name);
}

void nd_router_on_neigh(const struct neigh *n)
{
	if (n->iface->routers.n > 1 && find(n->iface, &n->addr) != NULL)
		choose(n->iface);
}

// --- the list

static void remove_router(struct iface *i, struct nd_router *r)
{
	struct nd_routers *all = &i->routers;
	struct nd_router *end = &all->list[all->n];

	memmove(r, r + 1, (size_t)(end - (r + 1)) * sizeof(*r));
	all->n--;
	stat_dec(&i->net->stats->nd_routers);
}

static void arm_expiry(struct iface *i)
{
	struct nd_routers *r = &i->routers;
	uint64_t first_us = UINT64_MAX;

	for (unsigned k = 0; k < r->n; k++)
		first_us = RTE_MIN(first_us, r->list[k].expires_us);
	if (r->n > 0)
		timer_arm(i->net->timers, &r->expiry, first_us);
	else
		timer_cancel(i->net->timers, &r->expiry);
}

static void on_expiry(struct timer *t, uint64_t now_us)
{
	struct iface *i = container_of(t, struct iface, routers.expiry);

	for (unsigned k = i->routers.n; k > 0; k--) {
		if (i->routers.list[k - 1].expires_us <= now_us)
			remove_router(i, &i->routers.list[k - 1]);
	}
	arm_expiry(i);
	choose(i);
}

void nd_router_init(struct iface *i)
{
	timer_init(&i->routers.expiry, on_expiry);
	timer_init(&i->routers.solicit, on_solicit);
}

void nd_router_fini(struct iface *i)
{
	timer_cancel(i->net->timers, &i->routers.expiry);
	timer_cancel(i->net->timers, &i->routers.solicit);
}

// A place for a new router, if need be that of one that does not answer; NULL if all do.
static struct nd_router *make_room(struct iface *i)
{
	struct nd_routers *r = &i->routers;

	for (unsigned k = 0; k < r->n && r->n == ND_MAX_ROUTERS; k++) {
		if (reach_of(i, &r->list[k]) == REACH_NOT)
			remove_router(i, &r->list[k]);
	}
	if (r->n == ND_MAX_ROUTERS)
		return NULL;
	stat_inc(&i->net->stats->nd_routers);
	return &r->list[r->n++];
}

// --- input

static int8_t preference_of(uint32_t flags)
{
	static const int8_t preferences[] = {
		0, 1, 0, -1}; // RFC 4191, 2.2: 2 is reserved, and as medium

	return preferences[PREFERENCE(flags)];
}

// RFC 4861, 6.3.4: what it says unasked is probed when it is first used.
static void learn_mac(struct iface *in, struct neigh *n, const uint8_t *mac, uint64_t now_us)
{
	if (n->state == NEIGH_ASKING)
		neigh_advertise(in->net, n, mac, false, true, now_us);
	else
		neigh_learn(in->net, n, mac, false, now_us);
}

static void learn_mtu(struct iface *in, const uint8_t *mtu_be)
{
	struct cursor c = cursor_of(bytes_of(mtu_be, sizeof(uint32_t)));
	uint32_t mtu = cursor_be32(&c);

	if (mtu >= RTE_IPV6_MIN_MTU && mtu <= in->mtu)
		in->mtu6 = (uint16_t)mtu;
}

// Puts the router into the list or takes it out. False if there is no room for it.
static bool take_router(struct iface *in, const struct ip_addr *addr, unsigned lifetime_s,
	int8_t preference, uint64_t now_us)
{
	struct nd_router *r = find(in, addr);

	if (lifetime_s == 0) {
		if (r != NULL)
			remove_router(in, r);
	} else {
		if (r == NULL)
			r = make_room(in);
		if (r == NULL)
			return false;
		*r = (struct nd_router){.addr = *addr,
			.expires_us = now_us + lifetime_s * NET_SECOND_US,
			.preference = preference};
	}
	arm_expiry(in);
	return true;
}

// RFC 4861, 6.1.2; the hop limit and the checksum have been looked at.
static enum net_drop check(const struct iface *in, const struct rte_mbuf *m,
	const struct ip_addr *src, struct nd_options *options)
{
	const struct wire_nd_router *ra = rte_pktmbuf_mtod(m, const struct wire_nd_router *);

	if (!wire_ip6_is_link_local(src))
		return NET_DROP_nd_sender;
	if (ra->icmp.code != 0 || rte_pktmbuf_data_len(m) < sizeof(*ra)
		|| !nd_parse_options(bytes_of(ra + 1, rte_pktmbuf_data_len(m) - sizeof(*ra)),
			MAX_OPTIONS, options))
		return NET_DROP_nd_malformed;
	if (options->source_mac != NULL && !nd_mac_is_good(in, options->source_mac))
		return NET_DROP_nd_sender;
	return NET_PASS;
}

enum net_drop nd_router_input(
	struct iface *in, const struct rte_mbuf *m, const struct ip_addr *src, uint64_t now_us)
{
	const struct wire_nd_router *ra = rte_pktmbuf_mtod(m, const struct wire_nd_router *);
	uint32_t word = rte_be_to_cpu_32(ra->icmp.word);
	struct net *net = in->net;
	struct nd_options options;
	enum net_drop why;
	struct neigh *n;

	if (!is_wanted(in))
		return NET_DROP_nd_router;
	why = check(in, m, src, &options);
	if (why != NET_PASS)
		return why;
	if (!token_bucket_take(&net->router_bucket, now_us))
		return NET_DROP_nd_router_rate;
	if (!take_router(in, src, word & 0xffff, preference_of(word >> 16), now_us))
		return NET_DROP_nd_router_room;
	stat_inc(&net->stats->nd_router_advertisements_received);
	if (options.mtu_be != NULL)
		learn_mtu(in, options.mtu_be);
	// One that is no way out is not worth an entry.
	n = find(in, src) != NULL ? neigh_get(net, in, src, now_us) : neigh_find(net, in, src);
	if (n != NULL && options.source_mac != NULL)
		learn_mac(in, n, options.source_mac, now_us);
	else if (n != NULL)
		neigh_ask(net, n, now_us); // if it is not known
	choose(in);
	return NET_PASS;
}
