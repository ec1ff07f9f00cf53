// Routes are few (a network for each address, a default for each gateway), so the longest match is a
// walk; what makes output cheap is the cache from destination to neighbour in front of it.

#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <assert.h>

bool fib_prefix_matches(const struct ip_addr *prefix, unsigned prefix_len, const struct ip_addr *a)
{
	unsigned bits = prefix_len;

	// IPv4 is not a part of ::/0.
	if (bits < 96 && ip_addr_is_v4(a))
		return false;
	for (unsigned k = 0; k < 4; k++, bits -= 32) {
		if (bits < 32)
			return ((a->w[k] ^ prefix->w[k]) & wire_ip4_mask(bits)) == 0;
		if (a->w[k] != prefix->w[k])
			return false;
	}
	return true;
}

// The longer prefix goes first. Among equals the first one stays first, but what routers say is behind what is
// configured, in the order of the ports whenever it was said.
static bool precedes(const struct route *a, const struct route *b)
{
	if (a->prefix_len != b->prefix_len)
		return a->prefix_len > b->prefix_len;
	if (a->learned != b->learned)
		return b->learned;
	return a->learned && a->iface < b->iface;
}

static void add_route(struct fib *fib, const struct route *r)
{
	unsigned at = fib->n_routes;

	assert(at < FIB_MAX_ROUTES);
	for (; at > 0 && precedes(r, &fib->routes[at - 1]); at--)
		fib->routes[at] = fib->routes[at - 1];
	fib->routes[at] = *r;
	fib->n_routes++;
}

static const struct ip_addr everything6;

void fib_init(struct net *net)
{
	net->fib.generation = 1;
}

void fib_invalidate(struct net *net)
{
	if (++net->fib.generation == 0)
		net->fib.generation = 1;
}

void fib_add_iface(struct net *net, struct iface *i)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *a = &i->addresses[k];

		if (wire_ip6_is_link_local(&a->addr))
			continue;
		add_route(&net->fib,
			&(struct route){
				.prefix = a->addr, .prefix_len = a->prefix_len, .iface = i});
	}
	for (unsigned k = 0; k < i->n_gateways; k++) {
		const struct ip_addr *gateway = &i->gateways[k];
		bool is_v4 = ip_addr_is_v4(gateway);

		add_route(&net->fib,
			&(struct route){.prefix = is_v4 ? ip_addr_of_v4(0) : everything6,
				.prefix_len = is_v4 ? 96 : 0,
				.gateway = *gateway,
				.iface = i});
	}
	fib_invalidate(net);
}

unsigned fib_replace(
	struct net *net, struct iface *i, const struct net_path *paths, unsigned n_paths)
{
	struct fib *fib = &net->fib;
	unsigned kept = 0, added = 0;

	for (unsigned k = 0; k < fib->n_routes; k++) {
		if (fib->routes[k].iface != i)
			fib->routes[kept++] = fib->routes[k];
	}
	fib->n_routes = kept;
	for (; added < n_paths && fib->n_routes < FIB_MAX_ROUTES; added++)
		add_route(fib,
			&(struct route){.prefix = paths[added].prefix,
				.prefix_len = paths[added].prefix_len,
				.gateway = paths[added].gateway,
				.source = paths[added].source,
				.iface = i});
	fib_invalidate(net);
	return n_paths - added;
}

void fib_set_router(struct net *net, struct iface *i, const struct ip_addr *router)
{
	struct fib *fib = &net->fib;
	unsigned kept = 0;

	for (unsigned k = 0; k < fib->n_routes; k++) {
		if (fib->routes[k].iface != i || !fib->routes[k].learned)
			fib->routes[kept++] = fib->routes[k];
	}
	fib->n_routes = kept;
	if (router != NULL)
		add_route(fib,
			&(struct route){.prefix = everything6,
				.prefix_len = 0,
				.gateway = *router,
				.learned = true,
				.iface = i});
	fib_invalidate(net);
}

const struct route *fib_route(const struct net *net, const struct ip_addr *dst)
{
	// A link-local destination is nothing without its interface, and beyond no gateway.
	if (wire_ip6_is_link_local(dst))
		return NULL;
	for (unsigned k = 0; k < net->fib.n_routes; k++) {
		if (fib_prefix_matches(
			    &net->fib.routes[k].prefix, net->fib.routes[k].prefix_len, dst))
			return &net->fib.routes[k];
	}
	return NULL;
}

// Keyed, so that nobody outside can choose destinations that share a slot.
static struct fib_entry *slot_of(struct net *net, const struct ip_addr *dst)
{
	uint64_t h = (dst->q[0] ^ net->secret.k0) * 0x9e3779b97f4a7c15u;

	h = (h ^ dst->q[1] ^ net->secret.k1) * 0x9e3779b97f4a7c15u;
	return &net->fib.cache[h >> 54 & (FIB_CACHE - 1)];
}

const struct fib_entry *fib_find(struct net *net, const struct ip_addr *dst, uint64_t now_us)
{
	static const struct ip_addr none;
	struct fib_entry *e = slot_of(net, dst);
	const struct ip_addr *next_hop;
	const struct route *r;
	struct neigh *n;

	if (e->generation == net->fib.generation && ip_addr_equal(&e->dst, dst))
		return e;
	r = fib_route(net, dst);
	if (r == NULL)
		return NULL;
	next_hop = ip_addr_equal(&r->gateway, &none) ? dst : &r->gateway;
	n = neigh_get(net, r->iface, next_hop, now_us); // may move the generation on
	*e = (struct fib_entry){
		.dst = *dst, .generation = net->fib.generation, .iface = r->iface, .neigh = n};
	return e;
}
