#include "dataplane/steer.h"

#include "dataplane/base/ip_addr.h"
#include "dataplane/net/ip6_chain.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <string.h>

#define ICMP_UNREACHABLE  3
#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG     2
#define TCP_HEADER_LEN    20u
#define ICMP6_ND_FIRST    133 // router solicitation ... neighbour advertisement
#define ICMP6_ND_LAST     136

void steer_init(struct steer *s, const struct hash_key *secret, uint32_t n_workers,
	uint16_t port_first, uint16_t port_last)
{
	uint16_t mask = 0;

	while ((uint32_t)mask + 1 < n_workers)
		mask = (uint16_t)(mask << 1 | 1);
	*s = (struct steer){.secret = *secret,
		.n_workers = n_workers,
		.port_first = port_first,
		.port_last = port_last,
		.port_mask = mask};
}

// What tells a connection, whichever of its packets said it.
struct tuple {
	struct ip_addr remote_addr;
	struct ip_addr local_addr;
	uint16_t remote_port;
	uint16_t local_port;
	uint32_t pad; // hashed, so it has to be there
};

// What a frame is steered by.
struct steering {
	const struct steer *steer;
	const struct rss *rss;
	bool is_tagged_by_provider;
	struct steer_verdict verdict;
};

static uint32_t rss_hash_of(const struct rss *rss, const struct tuple *t)
{
	struct ip_endpoint remote = {t->remote_addr, t->remote_port};
	struct ip_endpoint local = {t->local_addr, t->local_port};

	return rss_hash(rss, &remote, &local);
}

static uint32_t owner_of_tuple(struct steering *g, const struct tuple *t)
{
	const struct steer *s = g->steer;

	if (g->rss != NULL)
		g->verdict.hash = rss_hash_of(g->rss, t);
	if (t->local_port >= s->port_first && t->local_port <= s->port_last
		&& (uint32_t)(t->local_port & s->port_mask) < s->n_workers)
		return t->local_port & s->port_mask;
	if (g->rss != NULL)
		return rss_queue(g->rss, g->verdict.hash);
	return (uint32_t)(hash_bytes(&s->secret, t, sizeof(*t)) % s->n_workers);
}

struct ip_fields {
	struct ip_addr src;
	struct ip_addr dst;
	uint8_t protocol;
	struct bytes packet; // the header and all behind it
};

// Leaves the cursor after the header.
static bool read_ip4(struct cursor *c, struct ip_fields *out)
{
	const uint8_t *start = c->pos;
	size_t len = cursor_left(c);
	uint8_t version_ihl = cursor_u8(c);
	struct bytes rest = cursor_take(c, 19);
	uint32_t be;

	if (!cursor_ok(c) || version_ihl >> 4 != 4 || (version_ihl & 15) < 5)
		return false;
	out->protocol = rest.ptr[8];
	out->packet = bytes_of(start, len);
	memcpy(&be, rest.ptr + 11, 4);
	out->src = ip_addr_of_v4(be);
	memcpy(&be, rest.ptr + 15, 4);
	out->dst = ip_addr_of_v4(be);
	cursor_take(c, (size_t)(version_ihl & 15) * 4 - 20);
	return cursor_ok(c);
}

// Leaves the cursor after the extension headers. What they forbid is for the owner to refuse.
static bool read_ip6(struct cursor *c, struct ip_fields *out)
{
	struct cursor start = *c;
	struct bytes packet = cursor_take(&start, cursor_left(c));
	struct ip6_chain chain;

	if (packet.len < IP6_HEADER_LEN || packet.ptr[0] >> 4 != 6)
		return false;
	ip6_chain_walk(packet, &chain);
	out->protocol = chain.protocol;
	out->packet = packet;
	memcpy(&out->src, packet.ptr + 8, sizeof(out->src));
	memcpy(&out->dst, packet.ptr + 24, sizeof(out->dst));
	cursor_take(c, chain.offset);
	return cursor_ok(c);
}

// What every NIC takes for TCP: no options, no fragment, nothing wrong with the header, a whole TCP header. What
// somebody bends so that a NIC does not see it that way must not tell against the NIC.
static bool is_plain_tcp(const struct ip_fields *ip)
{
	const uint8_t *p = ip->packet.ptr;
	size_t len;

	if (p[0] == 0x45) {
		len = (size_t)p[2] << 8 | p[3];
		return ((p[6] & 0x3f) | p[7]) == 0 && len >= 20 + TCP_HEADER_LEN
			&& len <= ip->packet.len && rte_raw_cksum(p, 20) == 0xffff;
	}
	len = (size_t)p[4] << 8 | p[5];
	return p[0] >> 4 == 6 && p[6] == IPPROTO_TCP && len >= TCP_HEADER_LEN
		&& len <= ip->packet.len - IP6_HEADER_LEN && !ip_addr_is_v4(&ip->src)
		&& !ip_addr_is_v4(&ip->dst);
}

static uint32_t owner_of_segment(struct steering *g, struct cursor *c, const struct ip_fields *ip)
{
	struct tuple t = {.remote_addr = ip->src, .local_addr = ip->dst};

	t.remote_port = cursor_be16(c);
	t.local_port = cursor_be16(c);
	if (!cursor_ok(c))
		return 0;
	if (g->rss != NULL && !g->is_tagged_by_provider)
		g->verdict.is_hashed =
			is_plain_tcp(ip) && (ip_addr_is_v4(&ip->src) || g->rss->has_ip6);
	return owner_of_tuple(g, &t);
}

// The quoted segment is ours.
static uint32_t owner_of_quote(struct steering *g, struct cursor *c, const struct ip_fields *ip)
{
	struct tuple t = {.remote_addr = ip->dst, .local_addr = ip->src};

	t.local_port = cursor_be16(c);
	t.remote_port = cursor_be16(c);
	return cursor_ok(c) ? owner_of_tuple(g, &t) : 0;
}

static uint32_t owner_of_ip4(struct steering *g, struct cursor *c)
{
	struct ip_fields ip;

	if (!read_ip4(c, &ip))
		return 0;
	if (ip.protocol == IPPROTO_TCP)
		return owner_of_segment(g, c, &ip);
	if (ip.protocol != IPPROTO_ICMP || cursor_u8(c) != ICMP_UNREACHABLE)
		return 0;
	cursor_take(c, 7);
	return read_ip4(c, &ip) && ip.protocol == IPPROTO_TCP ? owner_of_quote(g, c, &ip) : 0;
}

static uint32_t owner_of_ip6(struct steering *g, struct cursor *c)
{
	struct ip_fields ip;
	uint8_t type;

	if (!read_ip6(c, &ip))
		return 0;
	if (ip.protocol == IPPROTO_TCP)
		return owner_of_segment(g, c, &ip);
	if (ip.protocol != IPPROTO_ICMPV6)
		return 0;
	type = cursor_u8(c);
	if (type >= ICMP6_ND_FIRST && type <= ICMP6_ND_LAST)
		return STEER_EVERYBODY;
	if (type != ICMP6_UNREACHABLE && type != ICMP6_TOO_BIG)
		return 0;
	cursor_take(c, 7);
	return read_ip6(c, &ip) && ip.protocol == IPPROTO_TCP ? owner_of_quote(g, c, &ip) : 0;
}

static uint32_t owner_of(struct steering *g, struct bytes frame)
{
	struct cursor c = cursor_of(bytes_skip(frame, 2 * RTE_ETHER_ADDR_LEN));
	uint16_t type = cursor_be16(&c);

	if (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ) {
		g->is_tagged_by_provider = type == RTE_ETHER_TYPE_QINQ;
		cursor_be16(&c);
		type = cursor_be16(&c);
	}
	if (!cursor_ok(&c))
		return 0;
	switch (type) {
	case RTE_ETHER_TYPE_ARP: return STEER_EVERYBODY;
	case RTE_ETHER_TYPE_IPV4: return owner_of_ip4(g, &c);
	case RTE_ETHER_TYPE_IPV6: return owner_of_ip6(g, &c);
	default: return 0;
	}
}

struct steer_verdict steer_frame(const struct steer *s, const struct rss *rss, struct bytes frame)
{
	struct steering g = {.steer = s, .rss = rss};

	g.verdict.owner = owner_of(&g, frame);
	return g.verdict;
}
