// The neighbour cache, in the manner of RFC 4861, 7.3, for ARP too (RFC 1122, 2.3.2.1 leaves the method
// to us):
//
//     ASKING --answer--> REACHABLE --30 s--> STALE --used--> PROBE --answer--> REACHABLE
//        |                                                     |
//        +--3 requests unanswered--> FAILED --pause, used--> ASKING <--3 unanswered--+
//
// A probe goes to the known address; when it is not answered everybody is asked, because a neighbour that
// failed over has a new one.

#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <assert.h>
#include <errno.h>

#define NEIGH_REACHABLE_US (30 * NET_SECOND_US)
#define NEIGH_RETRY_US     (1 * NET_SECOND_US)
#define NEIGH_PAUSE_US     (2 * NET_SECOND_US) // a failed neighbour is not asked for again sooner
#define NEIGH_TOUCH_US     (1 * NET_SECOND_US) // how exact the order of use is
#define NEIGH_REQUESTS     3u

static uint16_t *bucket_of(struct net *net, const struct iface *i, const struct ip_addr *a)
{
	uint64_t h = hash_bytes(&net->secret, a, sizeof(*a)) + (uint64_t)(i - net->ifaces);

	return &net->neighs.buckets[h % NEIGH_BUCKETS];
}

static void free_pending(struct net *net, struct neigh *n, enum net_drop why)
{
	for (unsigned k = 0; k < n->n_pending; k++)
		net_drop(net, n->pending[k], why);
	n->n_pending = 0;
}

static void send_request(struct net *net, struct neigh *n, uint64_t now_us)
{
	n->n_asked++;
	if (n->iface->resolve != NULL)
		n->iface->resolve(n->iface->resolve_arg, &n->addr);
	else if (ip_addr_is_v4(&n->addr))
		arp_request(n->iface, &n->addr, n->state == NEIGH_PROBE ? n->mac : NULL);
	else
		nd_solicit(n->iface, &n->addr, n->state == NEIGH_PROBE ? n->mac : NULL);
	timer_arm(net->timers, &n->timer, now_us + NEIGH_RETRY_US);
}

static void start_asking(struct net *net, struct neigh *n, enum neigh_state how, uint64_t now_us)
{
	n->state = (uint8_t)how;
	n->n_asked = 0;
	send_request(net, n, now_us);
	nd_router_on_neigh(n);
}

// The header that waits or goes out is of the neighbour's own family.
static struct ip_addr destination_of(const struct neigh *n, const struct rte_mbuf *m)
{
	if (ip_addr_is_v4(&n->addr))
		return ip_addr_of_v4(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr);
	return wire_ip6(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->dst_addr);
}

static void send_to(struct neigh *n, struct rte_mbuf *m)
{
	eth_output(n->iface, m, n->mac,
		ip_addr_is_v4(&n->addr) ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
}

// Tells TCP about the destinations whose packets waited, so that connects fail now and not by timeout.
static void fail(struct net *net, struct neigh *n, uint64_t now_us)
{
	struct ip_addr dst[NEIGH_MAX_PENDING];
	unsigned n_dst = n->n_pending;

	for (unsigned k = 0; k < n_dst; k++)
		dst[k] = destination_of(n, n->pending[k]);
	n->state = NEIGH_FAILED;
	n->confirmed_us = now_us; // the pause counts from here
	nd_router_on_neigh(n);
	stat_inc(&net->stats->neigh_failures);
	free_pending(net, n, NET_DROP_neigh_failed);
	for (unsigned k = 0; k < n_dst; k++)
		tcp_unreachable(net->tcp, &dst[k], now_us);
}

static void on_timer(struct timer *t, uint64_t now_us)
{
	struct neigh *n = container_of(t, struct neigh, timer);
	struct net *net = n->iface->net;

	if (n->n_asked < NEIGH_REQUESTS)
		send_request(net, n, now_us);
	else if (n->state == NEIGH_PROBE && n->iface->resolve != NULL)
		n->state =
			NEIGH_STALE; // the kernel probes at its own pace, and says when it was in vain
	else if (n->state == NEIGH_PROBE)
		start_asking(net, n, NEIGH_ASKING, now_us);
	else
		fail(net, n, now_us);
}

void neigh_init(struct net *net)
{
	struct neigh_cache *c = &net->neighs;

	list_init(&c->recent);
	for (unsigned k = 0; k < NEIGH_BUCKETS; k++)
		c->buckets[k] = NEIGH_NONE;
	for (unsigned k = 0; k < NEIGH_CAP; k++) {
		list_init(&c->entries[k].node);
		c->entries[k].next = k + 1 < NEIGH_CAP ? (uint16_t)(k + 1) : NEIGH_NONE;
		timer_init(&c->entries[k].timer, on_timer);
	}
}

// Takes 'n' out of its bucket, stops its timer and drops what waits.
static void forget(struct net *net, struct neigh *n, enum net_drop why)
{
	uint16_t *link = bucket_of(net, n->iface, &n->addr);

	while (&net->neighs.entries[*link] != n)
		link = &net->neighs.entries[*link].next;
	*link = n->next;
	free_pending(net, n, why);
	timer_cancel(net->timers, &n->timer);
	list_remove(&n->node);
	n->next = net->neighs.free;
	net->neighs.free = (uint16_t)(n - net->neighs.entries);
	stat_dec(&net->stats->neigh_entries);
}

void neigh_fini(struct net *net)
{
	while (!list_is_empty(&net->neighs.recent))
		forget(net, container_of(net->neighs.recent.next, struct neigh, node),
			NET_DROP_neigh_evicted);
}

struct neigh *neigh_find(struct net *net, const struct iface *i, const struct ip_addr *a)
{
	for (uint16_t k = *bucket_of(net, i, a); k != NEIGH_NONE; k = net->neighs.entries[k].next) {
		struct neigh *n = &net->neighs.entries[k];

		if (n->iface == i && ip_addr_equal(&n->addr, a))
			return n;
	}
	return NULL;
}

struct neigh *neigh_get(struct net *net, struct iface *i, const struct ip_addr *a, uint64_t now_us)
{
	struct neigh_cache *c = &net->neighs;
	struct neigh *n = neigh_find(net, i, a);
	uint16_t *bucket;

	if (n != NULL)
		return n;
	if (c->free == NEIGH_NONE) {
		stat_inc(&net->stats->neigh_evictions);
		forget(net, container_of(c->recent.next, struct neigh, node),
			NET_DROP_neigh_evicted);
		fib_invalidate(net);
	}
	n = &c->entries[c->free];
	c->free = n->next;
	bucket = bucket_of(net, i, a);
	n->next = *bucket;
	*bucket = (uint16_t)(n - c->entries);
	n->iface = i;
	n->addr = *a;
	n->state = NEIGH_FAILED; // without a pause: the first use asks
	n->confirmed_us = 0;
	n->used_us = now_us;
	n->n_asked = 0;
	n->n_pending = 0;
	// Nobody has used it yet: strangers that only talk to us push each other out, not those we talk to.
	list_push_front(&c->recent, &n->node);
	stat_inc(&net->stats->neigh_entries);
	return n;
}

static void touch(struct net *net, struct neigh *n, uint64_t now_us)
{
	n->used_us = now_us;
	list_remove(&n->node);
	list_push(&net->neighs.recent, &n->node);
}

// RFC 1122, 2.3.2.2: the latest packet is saved.
static void keep(struct net *net, struct neigh *n, struct rte_mbuf *m)
{
	if (n->n_pending == NEIGH_MAX_PENDING) {
		net_drop(net, n->pending[0], NET_DROP_neigh_queue);
		memmove(n->pending, n->pending + 1, (NEIGH_MAX_PENDING - 1) * sizeof(*n->pending));
		n->n_pending--;
	}
	n->pending[n->n_pending++] = m;
}

void neigh_ask(struct net *net, struct neigh *n, uint64_t now_us)
{
	if (n->state == NEIGH_FAILED)
		start_asking(net, n, NEIGH_ASKING, now_us);
}

int neigh_output(struct net *net, struct neigh *n, struct rte_mbuf *m, uint64_t now_us)
{
	if (now_us - n->used_us >= NEIGH_TOUCH_US || n->used_us == 0)
		touch(net, n, now_us);

	switch ((enum neigh_state)n->state) {
	case NEIGH_REACHABLE:
		if (now_us - n->confirmed_us < NEIGH_REACHABLE_US)
			break;
		__attribute__((fallthrough));
	case NEIGH_STALE: start_asking(net, n, NEIGH_PROBE, now_us); break;
	case NEIGH_PROBE: break;
	case NEIGH_ASKING: keep(net, n, m); return 0;
	case NEIGH_FAILED:
		if (n->confirmed_us != 0 && now_us - n->confirmed_us < NEIGH_PAUSE_US) {
			net_drop(net, m, NET_DROP_neigh_failed);
			return -EHOSTUNREACH;
		}
		keep(net, n, m);
		start_asking(net, n, NEIGH_ASKING, now_us);
		return 0;
	}
	send_to(n, m);
	return 0;
}

static void set_state(struct net *net, struct neigh *n, enum neigh_state state, uint64_t now_us)
{
	n->state = (uint8_t)state;
	if (state == NEIGH_REACHABLE)
		n->confirmed_us = now_us;
	timer_cancel(net->timers, &n->timer);
	nd_router_on_neigh(n);
}

// The neighbour has answered. That makes it one that we talk to.
static void flush_pending(struct net *net, struct neigh *n, uint64_t now_us)
{
	if (n->n_pending > 0)
		touch(net, n, now_us);
	for (unsigned k = 0; k < n->n_pending; k++)
		send_to(n, n->pending[k]);
	n->n_pending = 0;
}

void neigh_lose(struct net *net, struct neigh *n, uint64_t now_us)
{
	if (n->state == NEIGH_FAILED)
		return;
	timer_cancel(net->timers, &n->timer);
	if (n->state == NEIGH_ASKING)
		fail(net, n, now_us);
	else
		start_asking(net, n, NEIGH_ASKING, now_us);
}

// Announcements come to every worker; an answer is believed only by the one that asked.
static void tell(struct net *net, const struct neigh *n)
{
	if (net->tell != NULL)
		net->tell(net->tell_arg, (unsigned)(n->iface - net->ifaces), &n->addr, n->mac);
}

// Returns true if that was news.
static bool learn(
	struct net *net, struct neigh *n, const uint8_t mac[6], bool confirmed, uint64_t now_us)
{
	bool known = n->state != NEIGH_ASKING && n->state != NEIGH_FAILED;
	bool moved = known && !wire_mac_equal(n->mac, mac);

	if (moved)
		stat_inc(&net->stats->neigh_changed);
	memcpy(n->mac, mac, sizeof(n->mac));
	if (confirmed || n->state == NEIGH_ASKING)
		set_state(net, n, NEIGH_REACHABLE, now_us);
	else if (!known || moved)
		set_state(net, n, NEIGH_STALE, now_us);
	flush_pending(net, n, now_us);
	return !known || moved;
}

void neigh_learn(
	struct net *net, struct neigh *n, const uint8_t mac[6], bool confirmed, uint64_t now_us)
{
	bool asked = confirmed || n->state == NEIGH_ASKING;

	if (learn(net, n, mac, confirmed, now_us) && asked)
		tell(net, n);
}

void net_hear(struct net *net, unsigned iface, const struct ip_addr *addr, const uint8_t mac[6],
	uint64_t now_us)
{
	if (iface >= net->n_ifaces)
		return;
	stat_inc(&net->stats->neigh_heard);
	learn(net, neigh_get(net, &net->ifaces[iface], addr, now_us), mac, true, now_us);
}

enum net_drop neigh_advertise(struct net *net, struct neigh *n, const uint8_t *mac, bool solicited,
	bool override, uint64_t now_us)
{
	bool moved;

	if (n->state == NEIGH_FAILED)
		return NET_DROP_nd_unasked;
	if (n->state == NEIGH_ASKING) {
		if (mac == NULL)
			return NET_DROP_nd_malformed; // answers nothing
		memcpy(n->mac, mac, sizeof(n->mac));
		set_state(net, n, solicited ? NEIGH_REACHABLE : NEIGH_STALE, now_us);
		flush_pending(net, n, now_us);
		if (solicited)
			tell(net, n);
		return NET_PASS;
	}
	moved = mac != NULL && !wire_mac_equal(n->mac, mac);
	if (moved && !override) {
		// Somebody else says so, too: what we have is used until a probe decides.
		if (n->state == NEIGH_REACHABLE)
			set_state(net, n, NEIGH_STALE, now_us);
		return NET_DROP_nd_override;
	}
	if (moved) {
		stat_inc(&net->stats->neigh_changed);
		memcpy(n->mac, mac, sizeof(n->mac));
	}
	if (solicited)
		set_state(net, n, NEIGH_REACHABLE, now_us);
	else if (moved)
		set_state(net, n, NEIGH_STALE, now_us);
	if (moved && solicited)
		tell(net, n);
	return NET_PASS;
}
