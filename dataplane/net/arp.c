// ARP (RFC 826) with the manners of RFC 5227. What strangers send can refresh what we asked for, and a
// question for us introduces who asks; a reply that nobody asked for changes nothing.

#include "dataplane/base/log.h"
#include "dataplane/net/net_instance.h"
#include "dataplane/net/wire.h"

LOG_MODULE("arp")

static const uint8_t broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void send_arp(struct iface *out, uint16_t opcode, const uint8_t to[6], uint32_t sender_be,
	const uint8_t target_mac[6], uint32_t target_be)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(out->net->mbufs);
	struct rte_arp_hdr *arp;

	if (m == NULL) {
		stat_inc(&out->net->stats->net_no_buffer);
		return;
	}
	m->data_off += sizeof(*arp);
	arp = wire_push(m, sizeof(*arp));
	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = sizeof(uint32_t);
	arp->arp_opcode = rte_cpu_to_be_16(opcode);
	memcpy(arp->arp_data.arp_sha.addr_bytes, out->mac, sizeof(out->mac));
	arp->arp_data.arp_sip = sender_be;
	memcpy(arp->arp_data.arp_tha.addr_bytes, target_mac, RTE_ETHER_ADDR_LEN);
	arp->arp_data.arp_tip = target_be;
	eth_output(out, m, to, RTE_ETHER_TYPE_ARP);
}

void arp_request(struct iface *out, const struct ip_addr *target, const uint8_t *mac)
{
	static const uint8_t unknown[6];
	const struct ip_addr *source = iface_source(out, target);

	stat_inc(&out->net->stats->arp_requests_sent);
	send_arp(out, RTE_ARP_OP_REQUEST, mac != NULL ? mac : broadcast_mac,
		source != NULL ? ip_addr_v4(source) : 0, unknown, ip_addr_v4(target));
}

// RFC 5227, 2.3: an announcement is a request whose sender and target are the same.
void arp_announce(struct iface *out)
{
	static const uint8_t unknown[6];

	for (unsigned k = 0; k < out->n_addresses; k++) {
		uint32_t own_be = ip_addr_v4(&out->addresses[k].addr);

		if (!ip_addr_is_v4(&out->addresses[k].addr))
			continue;
		stat_inc(&out->net->stats->arp_announcements_sent);
		send_arp(out, RTE_ARP_OP_REQUEST, broadcast_mac, own_be, unknown, own_be);
	}
}

static enum net_drop check(const struct iface *in, const struct rte_mbuf *m)
{
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod(m, const struct rte_arp_hdr *);
	const uint8_t *sha = arp->arp_data.arp_sha.addr_bytes;
	struct ip_addr sender;

	if (rte_pktmbuf_data_len(m) < sizeof(*arp)
		|| arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER)
		|| arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4)
		|| arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != sizeof(uint32_t))
		return NET_DROP_arp_malformed;
	if (arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST)
		&& arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REPLY))
		return NET_DROP_arp_malformed;

	if (wire_mac_is_group(sha) || wire_mac_is_zero(sha) || wire_mac_equal(sha, in->mac))
		return NET_DROP_arp_sender;
	// A probe has no sender address yet (RFC 5227, 2.1.1); it is answered but teaches nothing.
	if (arp->arp_data.arp_sip == 0)
		return NET_PASS;
	sender = ip_addr_of_v4(arp->arp_data.arp_sip);
	if (iface_owns(in, &sender))
		return NET_DROP_arp_conflict;
	if (!iface_is_on_link(in, &sender) || iface_is_broadcast4(in, arp->arp_data.arp_sip))
		return NET_DROP_arp_sender;
	return NET_PASS;
}

static void warn_of_conflict(const struct iface *in, const struct rte_arp_hdr *arp)
{
	struct ip_addr own = ip_addr_of_v4(arp->arp_data.arp_sip);
	const uint8_t *mac = arp->arp_data.arp_sha.addr_bytes;
	char text[IP_ENDPOINT_TEXT_SIZE];

	ip_addr_print(&own, text);
	log_warning("another station uses our address interface=%s address=%s "
		    "mac=%02x:%02x:%02x:%02x:%02x:%02x",
		in->name, text, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static enum net_drop take_request(
	struct iface *in, const struct rte_arp_hdr *arp, struct neigh *sender, uint64_t now_us)
{
	struct net *net = in->net;
	struct ip_addr from = ip_addr_of_v4(arp->arp_data.arp_sip);
	struct ip_addr target = ip_addr_of_v4(arp->arp_data.arp_tip);
	const uint8_t *sha = arp->arp_data.arp_sha.addr_bytes;

	// RFC 826: what is known is updated whoever is asked for (so does an announcement after a failover);
	// a new entry is made only for those who ask for us.
	if (sender != NULL)
		neigh_learn(net, sender, sha, false, now_us);
	if (!iface_owns(in, &target))
		return NET_DROP_arp_not_ours;
	if (!token_bucket_take(&net->arp_bucket, now_us))
		return NET_DROP_arp_rate;
	if (sender == NULL && arp->arp_data.arp_sip != 0)
		neigh_learn(net, neigh_get(net, in, &from, now_us), sha, false, now_us);
	if (!net->quiet) {
		stat_inc(&net->stats->arp_replies_sent);
		send_arp(in, RTE_ARP_OP_REPLY, sha, arp->arp_data.arp_tip, sha,
			arp->arp_data.arp_sip);
	}
	return NET_PASS;
}

static enum net_drop take_reply(
	struct iface *in, const struct rte_arp_hdr *arp, struct neigh *sender, uint64_t now_us)
{
	struct ip_addr target = ip_addr_of_v4(arp->arp_data.arp_tip);
	bool to_us = iface_owns(in, &target);

	if (sender == NULL)
		return NET_DROP_arp_unasked;
	stat_inc(&in->net->stats->arp_replies_received);
	neigh_learn(in->net, sender, arp->arp_data.arp_sha.addr_bytes,
		to_us && (sender->state == NEIGH_ASKING || sender->state == NEIGH_PROBE), now_us);
	return NET_PASS;
}

void arp_input(struct iface *in, struct rte_mbuf *m, uint64_t now_us)
{
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod(m, const struct rte_arp_hdr *);
	enum net_drop why = check(in, m);

	if (why == NET_DROP_arp_conflict)
		warn_of_conflict(in, arp);
	if (why == NET_PASS) {
		struct ip_addr from = ip_addr_of_v4(arp->arp_data.arp_sip);
		struct neigh *sender = neigh_find(in->net, in, &from);

		why = arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST)
			? take_request(in, arp, sender, now_us)
			: take_reply(in, arp, sender, now_us);
	}
	if (why == NET_PASS)
		rte_pktmbuf_free(m);
	else
		net_drop(in->net, m, why);
}
