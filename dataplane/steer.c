#include "dataplane/steer.h"

#include "dataplane/base/ip_addr.h"
#include "dataplane/net/ip6_chain.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <string.h>

#define ICMP_UNREACHABLE  3
#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG     2
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

static uint32_t owner_of_tuple(const struct steer *s, const struct tuple *t)
{
	if (t->local_port >= s->port_first && t->local_port <= s->port_last
		&& (uint32_t)(t->local_port & s->port_mask) < s->n_workers)
		return t->local_port & s->port_mask;
	return (uint32_t)(hash_bytes(&s->secret, t, sizeof(*t)) % s->n_workers);
}

struct ip_fields {
	struct ip_addr src;
	struct ip_addr dst;
	uint8_t protocol;
};

// Leaves the cursor after the header.
static bool read_ip4(struct cursor *c, struct ip_fields *out)
{
	uint8_t version_ihl = cursor_u8(c);
	struct bytes rest = cursor_take(c, 19);
	uint32_t be;

	if (!cursor_ok(c) || version_ihl >> 4 != 4 || (version_ihl & 15) < 5)
		return false;
	out->protocol = rest.ptr[8];
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
	memcpy(&out->src, packet.ptr + 8, sizeof(out->src));
	memcpy(&out->dst, packet.ptr + 24, sizeof(out->dst));
	cursor_take(c, chain.offset);
	return cursor_ok(c);
}

static uint32_t owner_of_segment(
	const struct steer *s, struct cursor *c, const struct ip_fields *ip)
{
	struct tuple t = {.remote_addr = ip->src, .local_addr = ip->dst};

	t.remote_port = cursor_be16(c);
	t.local_port = cursor_be16(c);
	return cursor_ok(c) ? owner_of_tuple(s, &t) : 0;
}

// The quoted segment is ours.
static uint32_t owner_of_quote(const struct steer *s, struct cursor *c, const struct ip_fields *ip)
{
	struct tuple t = {.remote_addr = ip->dst, .local_addr = ip->src};

	t.local_port = cursor_be16(c);
	t.remote_port = cursor_be16(c);
	return cursor_ok(c) ? owner_of_tuple(s, &t) : 0;
}

static uint32_t owner_of_ip4(const struct steer *s, struct cursor *c)
{
	struct ip_fields ip;

	if (!read_ip4(c, &ip))
		return 0;
	if (ip.protocol == IPPROTO_TCP)
		return owner_of_segment(s, c, &ip);
	if (ip.protocol != IPPROTO_ICMP || cursor_u8(c) != ICMP_UNREACHABLE)
		return 0;
	cursor_take(c, 7);
	return read_ip4(c, &ip) && ip.protocol == IPPROTO_TCP ? owner_of_quote(s, c, &ip) : 0;
}

static uint32_t owner_of_ip6(const struct steer *s, struct cursor *c)
{
	struct ip_fields ip;
	uint8_t type;

	if (!read_ip6(c, &ip))
		return 0;
	if (ip.protocol == IPPROTO_TCP)
		return owner_of_segment(s, c, &ip);
	if (ip.protocol != IPPROTO_ICMPV6)
		return 0;
	type = cursor_u8(c);
	if (type >= ICMP6_ND_FIRST && type <= ICMP6_ND_LAST)
		return STEER_EVERYBODY;
	if (type != ICMP6_UNREACHABLE && type != ICMP6_TOO_BIG)
		return 0;
	cursor_take(c, 7);
	return read_ip6(c, &ip) && ip.protocol == IPPROTO_TCP ? owner_of_quote(s, c, &ip) : 0;
}

uint32_t steer_owner(const struct steer *s, struct bytes frame)
{
	struct cursor c = cursor_of(bytes_skip(frame, 2 * RTE_ETHER_ADDR_LEN));
	uint16_t type = cursor_be16(&c);

	if (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ) {
		cursor_be16(&c);
		type = cursor_be16(&c);
	}
	if (!cursor_ok(&c))
		return 0;
	switch (type) {
	case RTE_ETHER_TYPE_ARP: return STEER_EVERYBODY;
	case RTE_ETHER_TYPE_IPV4: return owner_of_ip4(s, &c);
	case RTE_ETHER_TYPE_IPV6: return owner_of_ip6(s, &c);
	default: return 0;
	}
}
