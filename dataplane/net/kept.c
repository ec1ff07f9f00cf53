#include "dataplane/net/kept.h"

#include "dataplane/base/log.h"
#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

LOG_MODULE("net")

void net_keep(struct iface *i, iface_resolve_fn *resolve, void *arg)
{
	i->resolve = resolve;
	i->resolve_arg = arg;
}

// As iface_init() would have made them, but in use at once: the kernel has checked them. An address that it refuses is
// left out.
static void set_addresses(struct iface *i, const struct net_paths *paths)
{
	struct iface_config config = {.name = i->name, .mtu = i->mtu};
	struct iface next;

	memcpy(config.mac, i->mac, sizeof(config.mac));
	for (unsigned k = 0; k < paths->n_addresses; k++) {
		config.addresses[config.n_addresses] = paths->addresses[k];
		config.prefix_len[config.n_addresses] = paths->prefix_len[k];
		config.n_addresses++;
		if (iface_init(&next, i->net, &config) != 0)
			config.n_addresses--;
	}
	if (iface_init(&next, i->net, &config) != 0)
		return;
	memcpy(i->addresses, next.addresses, sizeof(i->addresses));
	i->n_addresses = next.n_addresses;
	i->has_ip6 = next.has_ip6;
	for (unsigned k = 0; k < i->n_addresses; k++)
		i->addresses[k].state = ADDRESS_IN_USE;
}

// Returns true if the MTU is another one.
static bool set_link(struct iface *i, const struct net_paths *paths)
{
	bool resized = paths->mtu != 0 && paths->mtu != i->mtu;

	if (!wire_mac_is_zero(paths->mac))
		memcpy(i->mac, paths->mac, sizeof(i->mac));
	if (resized)
		i->mtu = i->mtu6 = paths->mtu;
	return resized;
}

void net_set_paths(struct net *net, struct iface *i, const struct net_paths *paths, uint64_t now_us)
{
	static const struct ip_addr none;
	bool resized = set_link(i, paths);
	unsigned n_left;

	set_addresses(i, paths);
	n_left = fib_replace(net, i, paths->paths, paths->n_paths);
	if (n_left > 0)
		log_warning("no room for routes interface=%s left_out=%u", i->name, n_left);
	for (unsigned k = 0; k < paths->n_paths; k++) {
		const struct ip_addr *gateway = &paths->paths[k].gateway;

		if (!ip_addr_equal(gateway, &none))
			neigh_ask(net, neigh_get(net, i, gateway, now_us), now_us);
	}
	if (resized)
		tcp_mtu_follow(net->tcp, now_us);
}

void net_set_neighbour(struct net *net, struct iface *i, const struct ip_addr *neighbour,
	const uint8_t mac[6], bool confirmed, uint64_t now_us)
{
	struct neigh *n = neigh_find(net, i, neighbour);

	if (n == NULL)
		return;
	if (mac != NULL)
		neigh_learn(net, n, mac, confirmed, now_us);
	else
		neigh_lose(net, n, now_us);
}
