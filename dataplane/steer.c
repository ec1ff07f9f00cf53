#include "dataplane/steer.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <string.h>

#define ICMP_UNREACHABLE 3

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

struct tuple {
	uint32_t remote_addr;
	uint32_t local_addr;
	uint16_t remote_port;
	uint16_t local_port;
};

static uint32_t owner_of_tuple(const struct steer *s, const struct tuple *t)
{
	if (t->local_port >= s->port_first && t->local_port <= s->port_last
		&& (uint32_t)(t->local_port & s->port_mask) < s->n_workers)
		return t->local_port & s->port_mask;
	return (uint32_t)(hash_bytes(&s->secret, t, sizeof(*t)) % s->n_workers);
}

struct ip4_fields {
	uint32_t src;
	uint32_t dst;
	uint8_t protocol;
};

// Leaves the cursor after the header.
static bool read_ip4(struct cursor *c, struct ip4_fields *out)
{
	uint8_t version_ihl = cursor_u8(c);
	struct bytes rest = cursor_take(c, 19);

	if (!cursor_ok(c) || version_ihl >> 4 != 4 || (version_ihl & 15) < 5)
		return false;
	out->protocol = rest.ptr[8];
	memcpy(&out->src, rest.ptr + 11, 4);
	memcpy(&out->dst, rest.ptr + 15, 4);
	cursor_take(c, (size_t)(version_ihl & 15) * 4 - 20);
	return cursor_ok(c);
}

static uint32_t owner_of_ip4(const struct steer *s, struct cursor *c)
{
	struct ip4_fields ip = {0};
	struct tuple t;

	if (!read_ip4(c, &ip))
		return 0;
	if (ip.protocol == IPPROTO_TCP) {
		t = (struct tuple){.remote_addr = ip.src, .local_addr = ip.dst};
		t.remote_port = cursor_be16(c);
		t.local_port = cursor_be16(c);
		return cursor_ok(c) ? owner_of_tuple(s, &t) : 0;
	}
	if (ip.protocol != IPPROTO_ICMP || cursor_u8(c) != ICMP_UNREACHABLE)
		return 0;
	cursor_take(c, 7);
	if (!read_ip4(c, &ip) || ip.protocol != IPPROTO_TCP)
		return 0;
	t = (struct tuple){.remote_addr = ip.dst, .local_addr = ip.src}; // the quoted one is ours
	t.local_port = cursor_be16(c);
	t.remote_port = cursor_be16(c);
	return cursor_ok(c) ? owner_of_tuple(s, &t) : 0;
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
	if (type == RTE_ETHER_TYPE_ARP)
		return STEER_EVERYBODY;
	return type == RTE_ETHER_TYPE_IPV4 ? owner_of_ip4(s, &c) : 0;
}
