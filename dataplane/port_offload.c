#include "dataplane/port_offload.h"

#include <stdio.h>

#define RX_CSUM                        \
	(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM \
		| RTE_ETH_RX_OFFLOAD_TCP_CKSUM) // some drivers want both or none
#define TX_TSO (RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)

#define TSO_MBUFS     64u // 64 KiB of full segments, the headers, and some
#define TSO_MBUFS_MIN 3u  // headers and two segments
#define MTU_MBUFS_MIN \
	3u // a frame cut off lies in the headers' buffer and one segment's; one to spare

static bool offers(uint64_t capabilities, uint64_t flags)
{
	return (capabilities & flags) == flags;
}

void port_offload_choose(struct port_offloads *out, const struct rte_eth_dev_info *info,
	uint16_t mtu, unsigned limits, bool rx_csum)
{
	const struct rte_eth_desc_lim *lim = &info->tx_desc_lim;
	uint64_t tx = info->tx_offload_capa;
	struct net_offloads *net = &out->net;
	uint16_t n_mbufs = lim->nb_seg_max == 0 ? TSO_MBUFS : lim->nb_seg_max;

	*out = (struct port_offloads){0};
	out->rx_csum = rx_csum && offers(info->rx_offload_capa, RX_CSUM);
	if (out->rx_csum)
		out->rx_flags |= RX_CSUM;
	net->ip4_csum = offers(tx, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	net->tcp_csum = offers(tx, RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
	if (net->ip4_csum)
		out->tx_flags |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	if (net->tcp_csum)
		out->tx_flags |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	if (!offers(tx, TX_TSO) || !net->ip4_csum || !net->tcp_csum || n_mbufs < TSO_MBUFS_MIN
		|| (lim->nb_mtu_seg_max != 0 && lim->nb_mtu_seg_max < MTU_MBUFS_MIN))
		return;
	out->tx_flags |= TX_TSO;
	net->tso4 = true;
	net->tso6 = !(limits & PORT_TSO_IP4_ONLY);
	net->tso_mbufs = RTE_MIN(n_mbufs, TSO_MBUFS);
	net->tso_frame = limits & PORT_TSO_WITHIN_MTU ? mtu : 0;
}

void port_offload_use_gso(struct port_offloads *o)
{
	o->gso = true;
	o->net.tso4 = true;
	o->net.tso6 = true;
	o->net.tso_mbufs = TSO_MBUFS;
	o->net.tso_frame = 0;
}

void port_offload_print(const struct port_offloads *o, char text[PORT_OFFLOADS_TEXT_SIZE])
{
	const struct {
		bool used;
		const char *name;
	} all[] = {
		{o->rx_csum,                  "rx-checksum" },
		{o->net.ip4_csum,             "ip4-checksum"},
		{o->net.tcp_csum,             "tcp-checksum"},
		{o->net.tso6 && !o->gso,      "tso"         },
		{o->net.tso4 && !o->net.tso6, "tso4"        },
		{o->gso,                      "gso"         },
	};
	int len = 0;

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].used)
			len += snprintf(text + len, PORT_OFFLOADS_TEXT_SIZE - (size_t)len, "%s%s",
				len > 0 ? " " : "", all[i].name);
	}
	if (len == 0)
		snprintf(text, PORT_OFFLOADS_TEXT_SIZE, "none");
}
