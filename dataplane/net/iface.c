#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <errno.h>

// True if the first 'prefix_len' bits of an IPv4 address are those of 'network'.
static bool in_network4(uint32_t be, uint32_t network_be, unsigned prefix_len)
{
	return ((be ^ network_be) & wire_ip4_mask(prefix_len)) == 0;
}

int iface_init(struct iface *i, struct net *net, const struct iface_config *config)
{
	static const struct ip_addr none;

	*i = (struct iface){
		.net = net,
		.name = config->name,
		.mtu = config->mtu,
		.rx_csum = config->rx_csum,
		.gateway = config->gateway,
		.has_gateway = !ip_addr_equal(&config->gateway, &none),
		.transmit = config->transmit,
		.transmit_arg = config->transmit_arg,
	};
	if (config->n_addresses > NET_MAX_ADDRESSES)
		return -EINVAL;
	if (i->has_gateway && !ip_addr_is_v4(&i->gateway))
		return -EAFNOSUPPORT;
	memcpy(i->mac, config->mac, sizeof(i->mac));
	for (unsigned k = 0; k < config->n_addresses; k++) {
		if (!ip_addr_is_v4(&config->addresses[k]))
			return -EAFNOSUPPORT;
		if (config->prefix_len[k] > 32)
			return -EINVAL;
		i->addresses[k].addr = config->addresses[k];
		i->addresses[k].prefix_len = config->prefix_len[k];
	}
	i->n_addresses = config->n_addresses;
	return 0;
}

void iface_fini(struct iface *i)
{
	rte_pktmbuf_free_bulk(i->tx, i->n_tx);
	i->n_tx = 0;
}

bool iface_owns(const struct iface *i, const struct ip_addr *a)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		if (ip_addr_equal(&i->addresses[k].addr, a))
			return true;
	}
	return false;
}

bool iface_is_broadcast4(const struct iface *i, uint32_t be)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *a = &i->addresses[k];
		uint32_t host_bits = ~wire_ip4_mask(a->prefix_len);

		// A /31 has no broadcast (RFC 3021), and a /32 no network.
		if (a->prefix_len >= 31 || !in_network4(be, ip_addr_v4(&a->addr), a->prefix_len))
			continue;
		if ((be & host_bits) == host_bits || (be & host_bits) == 0)
			return true;
	}
	return false;
}

bool iface_is_on_link(const struct iface *i, const struct ip_addr *a)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *own = &i->addresses[k];

		if (in_network4(ip_addr_v4(a), ip_addr_v4(&own->addr), own->prefix_len))
			return true;
	}
	// A gateway outside of every network is still a neighbour (a pod's /32 with 169.254.1.1).
	return i->has_gateway && ip_addr_equal(&i->gateway, a);
}

const struct ip_addr *iface_source(const struct iface *i, const struct ip_addr *next_hop)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *own = &i->addresses[k];

		if (in_network4(ip_addr_v4(next_hop), ip_addr_v4(&own->addr), own->prefix_len))
			return &own->addr;
	}
	return i->n_addresses > 0 ? &i->addresses[0].addr : NULL;
}

bool iface_flush(struct iface *i)
{
	unsigned n = i->n_tx;

	if (n == 0)
		return false;
	i->n_tx = 0;
	i->transmit(i->transmit_arg, i->tx, n);
	return true;
}

void iface_enqueue(struct iface *i, struct rte_mbuf *m)
{
	if (i->n_tx == NET_BATCH)
		iface_flush(i);
	i->tx[i->n_tx++] = m;
}
