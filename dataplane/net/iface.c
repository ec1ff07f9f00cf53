#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

#include <errno.h>

#define VLAN_MAX 4094u // IEEE 802.1Q, 9.6: 4095 is reserved

// RFC 4291, appendix A: the hardware address with ff:fe in its middle and the universal bit turned.
static struct ip_addr link_local_of(const uint8_t mac[6])
{
	return (struct ip_addr){
		.b = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3],
                      mac[4], mac[5]}
        };
}

static bool is_usable6(const struct ip_addr *a)
{
	return !wire_ip6_is_group(a) && !wire_ip6_is_unspecified(a);
}

static int add_address(struct iface *i, const struct ip_addr *a, unsigned prefix_len)
{
	bool is_v4 = ip_addr_is_v4(a);

	if (prefix_len > (is_v4 ? 32u : 128u) || (!is_v4 && !is_usable6(a)))
		return -EINVAL;
	if (iface_address_of(i, a) != NULL)
		return 0;
	i->has_ip6 |= !is_v4;
	i->addresses[i->n_addresses++] = (struct iface_address){
		.addr = *a,
		.prefix_len = (uint8_t)(is_v4 ? 96 + prefix_len : prefix_len),
		.state = is_v4 ? ADDRESS_IN_USE : ADDRESS_OPTIMISTIC,
	};
	return 0;
}

static int add_gateway(struct iface *i, const struct ip_addr *a)
{
	static const struct ip_addr none;

	if (ip_addr_equal(a, &none))
		return 0;
	if (!ip_addr_is_v4(a) && !is_usable6(a))
		return -EINVAL;
	if (i->n_gateways > 0 && ip_addr_is_v4(a) == ip_addr_is_v4(&i->gateways[0]))
		return -EINVAL;
	i->gateways[i->n_gateways++] = *a;
	return 0;
}

int iface_init(struct iface *i, struct net *net, const struct iface_config *config)
{
	struct ip_addr link_local = link_local_of(config->mac);
	int error = 0;

	*i = (struct iface){
		.net = net,
		.name = config->name,
		.mtu = config->mtu,
		.mtu6 = config->mtu,
		.vlan = config->vlan,
		.rx_csum = config->rx_csum,
		.offloads = config->offloads,
		.transmit = config->transmit,
		.transmit_arg = config->transmit_arg,
	};
	if (config->n_addresses >= NET_MAX_ADDRESSES || config->vlan > VLAN_MAX)
		return -EINVAL;
	memcpy(i->mac, config->mac, sizeof(i->mac));
	for (unsigned k = 0; k < config->n_addresses && error == 0; k++)
		error = add_address(i, &config->addresses[k], config->prefix_len[k]);
	if (error == 0 && i->has_ip6)
		error = add_address(i, &link_local, 64);
	if (error == 0)
		error = add_gateway(i, &config->gateway);
	if (error == 0)
		error = add_gateway(i, &config->gateway6);
	return error;
}

void iface_fini(struct iface *i)
{
	rte_pktmbuf_free_bulk(i->tx, i->n_tx);
	i->n_tx = 0;
}

struct iface_address *iface_address_of(struct iface *i, const struct ip_addr *a)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		if (ip_addr_equal(&i->addresses[k].addr, a))
			return &i->addresses[k];
	}
	return NULL;
}

bool iface_owns(const struct iface *i, const struct ip_addr *a)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		if (ip_addr_equal(&i->addresses[k].addr, a))
			return i->addresses[k].state != ADDRESS_DUPLICATE;
	}
	return false;
}

bool iface_in_group6(const struct iface *i, const struct ip_addr *a)
{
	// RFC 4291, 2.7.1: ff02::1 and ff02::1:ff00:0 with the address's last 24 bits.
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	static const uint8_t solicited[13] = {0xff, 2, [11] = 1, 0xff};

	if (!i->has_ip6)
		return false;
	if (memcmp(a->b, all_nodes, sizeof(all_nodes)) == 0)
		return true;
	if (memcmp(a->b, solicited, sizeof(solicited)) != 0)
		return false;
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct ip_addr *own = &i->addresses[k].addr;

		if (!ip_addr_is_v4(own) && memcmp(own->b + 13, a->b + 13, 3) == 0)
			return true;
	}
	return false;
}

bool iface_is_broadcast4(const struct iface *i, uint32_t be)
{
	struct ip_addr mapped = ip_addr_of_v4(be);

	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *a = &i->addresses[k];
		uint32_t host_bits;

		// A /31 has no broadcast (RFC 3021), and a /32 no network.
		if (!ip_addr_is_v4(&a->addr) || a->prefix_len >= 96 + 31
			|| !fib_prefix_matches(&a->addr, a->prefix_len, &mapped))
			continue;
		host_bits = ~wire_ip4_mask(a->prefix_len - 96u);
		if ((be & host_bits) == host_bits || (be & host_bits) == 0)
			return true;
	}
	return false;
}

bool iface_is_on_link(const struct iface *i, const struct ip_addr *a)
{
	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *own = &i->addresses[k];

		if (fib_prefix_matches(&own->addr, own->prefix_len, a))
			return true;
	}
	// A gateway outside of every network is still a neighbour (a pod's /32 with 169.254.1.1).
	for (unsigned k = 0; k < i->n_gateways; k++) {
		if (ip_addr_equal(&i->gateways[k], a))
			return true;
	}
	return false;
}

const struct ip_addr *iface_source(const struct iface *i, const struct ip_addr *dst)
{
	const struct ip_addr *first = NULL;
	bool is_v4 = ip_addr_is_v4(dst);

	for (unsigned k = 0; k < i->n_addresses; k++) {
		const struct iface_address *own = &i->addresses[k];

		if (ip_addr_is_v4(&own->addr) != is_v4 || own->state == ADDRESS_DUPLICATE)
			continue;
		if (fib_prefix_matches(&own->addr, own->prefix_len, dst))
			return &own->addr;
		if (first == NULL)
			first = &own->addr;
	}
	return first;
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
