#include "dataplane/rtnl.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

// Headers are copied out: nothing says how a buffer is aligned.
#define READ(cursor, object) \
	memcpy(&(object), cursor_take_or_zero(cursor, sizeof(object)), sizeof(object))

static const uint8_t *cursor_take_or_zero(struct cursor *c, size_t n)
{
	static const uint8_t zero[64];
	struct bytes b = cursor_take(c, n);

	return cursor_ok(c) ? b.ptr : zero;
}

static struct bytes rest_of(const struct cursor *c)
{
	return bytes_of(c->pos, cursor_left(c));
}

// The attribute at the front of '*rest', which moves behind it.
static bool next_attribute(struct bytes *rest, uint16_t *type, struct bytes *value)
{
	struct rtattr a;

	if (rest->len < sizeof(a))
		return false;
	memcpy(&a, rest->ptr, sizeof(a));
	if (a.rta_len < sizeof(a) || a.rta_len > rest->len)
		return false;
	*type = a.rta_type & NLA_TYPE_MASK;
	*value = bytes_of(rest->ptr + sizeof(a), a.rta_len - sizeof(a));
	*rest = bytes_skip(*rest, RTA_ALIGN(a.rta_len));
	return true;
}

static bool read_address(struct bytes value, uint8_t family, struct ip_addr *out)
{
	uint32_t be;

	if (family == AF_INET && value.len == sizeof(be)) {
		memcpy(&be, value.ptr, sizeof(be));
		*out = ip_addr_of_v4(be);
		return true;
	}
	if (family != AF_INET6 || value.len != sizeof(*out))
		return false;
	memcpy(out->b, value.ptr, sizeof(*out));
	return true;
}

static uint32_t read_u32(struct bytes value)
{
	uint32_t v = 0;

	if (value.len == sizeof(v))
		memcpy(&v, value.ptr, sizeof(v));
	return v;
}

static bool is_known_family(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

static void take_address(struct cursor *c, unsigned index, struct rtnl_message *out)
{
	struct ifaddrmsg h;
	struct bytes rest, value;
	uint32_t flags;
	uint16_t type;
	bool has_local = false, found = false;

	READ(c, h);
	flags = h.ifa_flags;
	if (!cursor_ok(c) || h.ifa_index != index || !is_known_family(h.ifa_family))
		return;
	for (rest = rest_of(c); next_attribute(&rest, &type, &value);) {
		// With a peer IFA_ADDRESS is the other end's.
		if (type == IFA_LOCAL)
			has_local = found = read_address(value, h.ifa_family, &out->addr);
		else if (type == IFA_ADDRESS && !has_local)
			found = read_address(value, h.ifa_family, &out->addr);
		else if (type == IFA_FLAGS)
			flags = read_u32(value);
	}
	// One that is still being checked for duplicates comes again when it is not.
	if (!found || h.ifa_prefixlen > (h.ifa_family == AF_INET ? 32 : 128)
		|| (!out->gone && (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0))
		return;
	out->prefix_len = h.ifa_prefixlen;
	out->deprecated = (flags & IFA_F_DEPRECATED) != 0;
	out->kind = RTNL_ADDRESS;
}

// Of several next hops the first that leaves by our interface is used.
static bool take_hops(struct bytes hops, unsigned index, uint8_t family, struct rtnl_message *out)
{
	while (hops.len >= sizeof(struct rtnexthop)) {
		struct rtnexthop h;
		struct bytes rest, value;
		uint16_t type;

		memcpy(&h, hops.ptr, sizeof(h));
		if (h.rtnh_len < sizeof(h) || h.rtnh_len > hops.len)
			return false;
		if ((unsigned)h.rtnh_ifindex == index
			&& (h.rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0) {
			rest = bytes_of(hops.ptr + sizeof(h), h.rtnh_len - sizeof(h));
			while (next_attribute(&rest, &type, &value)) {
				if (type == RTA_VIA || type == RTA_ENCAP_TYPE)
					return false;
				if (type == RTA_GATEWAY
					&& !read_address(value, family, &out->gateway))
					return false;
			}
			return true;
		}
		hops = bytes_skip(hops, RTNH_ALIGN(h.rtnh_len));
	}
	return false;
}

static void take_route(struct cursor *c, unsigned index, struct rtnl_message *out)
{
	struct rtmsg h;
	struct bytes rest, value;
	uint32_t table;
	uint16_t type;
	bool is_good = true, leaves_here = false;

	READ(c, h);
	table = h.rtm_table;
	if (!cursor_ok(c) || !is_known_family(h.rtm_family) || h.rtm_type != RTN_UNICAST
		|| (h.rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD | RTNH_F_LINKDOWN)) != 0
		|| h.rtm_dst_len > (h.rtm_family == AF_INET ? 32 : 128) || h.rtm_src_len != 0
		|| h.rtm_tos != 0)
		return;
	if (h.rtm_family == AF_INET)
		out->addr = ip_addr_of_v4(0);
	for (rest = rest_of(c); next_attribute(&rest, &type, &value);) {
		switch (type) {
		case RTA_TABLE: table = read_u32(value); break;
		case RTA_PRIORITY: out->metric = read_u32(value); break;
		case RTA_OIF: leaves_here = read_u32(value) == index; break;
		case RTA_DST: is_good &= read_address(value, h.rtm_family, &out->addr); break;
		case RTA_GATEWAY:
			is_good &= read_address(value, h.rtm_family, &out->gateway);
			break;
		case RTA_PREFSRC: is_good &= read_address(value, h.rtm_family, &out->source); break;
		case RTA_MULTIPATH:
			leaves_here |= take_hops(value, index, h.rtm_family, out);
			break;
		case RTA_VIA:        // IPv4 by way of an IPv6 neighbour
		case RTA_ENCAP_TYPE: // into a tunnel
			is_good = false;
			break;
		}
	}
	if (!is_good || !leaves_here || table != RT_TABLE_MAIN)
		return;
	out->prefix_len = (uint8_t)(h.rtm_dst_len + (h.rtm_family == AF_INET ? 96 : 0));
	out->kind = RTNL_ROUTE;
}

static void take_mac(struct bytes value, struct rtnl_message *out)
{
	if (value.len != sizeof(out->mac))
		return;
	memcpy(out->mac, value.ptr, sizeof(out->mac));
	out->has_mac = true;
}

static void take_link(struct cursor *c, unsigned index, struct rtnl_message *out)
{
	struct ifinfomsg h;
	struct bytes rest, value;
	uint16_t type;

	READ(c, h);
	if (!cursor_ok(c) || (unsigned)h.ifi_index != index)
		return;
	for (rest = rest_of(c); next_attribute(&rest, &type, &value);) {
		if (type == IFLA_ADDRESS)
			take_mac(value, out);
		else if (type == IFLA_MTU)
			out->mtu = read_u32(value);
	}
	out->kind = RTNL_LINK;
}

static void take_neighbour(struct cursor *c, unsigned index, struct rtnl_message *out)
{
	struct ndmsg h;
	struct bytes rest, value;
	uint16_t type;
	bool found = false;

	READ(c, h);
	if (!cursor_ok(c) || (unsigned)h.ndm_ifindex != index || !is_known_family(h.ndm_family)
		|| (h.ndm_flags & NTF_PROXY) != 0)
		return;
	for (rest = rest_of(c); next_attribute(&rest, &type, &value);) {
		if (type == NDA_DST)
			found = read_address(value, h.ndm_family, &out->addr);
		if (type == NDA_LLADDR)
			take_mac(value, out);
	}
	out->state = h.ndm_state;
	if (found)
		out->kind = RTNL_NEIGHBOUR;
}

static void take_error(struct cursor *c, struct rtnl_message *out)
{
	int32_t code;

	READ(c, code);
	out->error = cursor_ok(c) ? code : -EBADMSG;
	out->kind = RTNL_ERROR;
}

bool rtnl_next(struct bytes *rest, unsigned index, struct rtnl_message *out)
{
	struct nlmsghdr h;
	struct cursor c;

	*out = (struct rtnl_message){.kind = RTNL_OTHER};
	if (rest->len < sizeof(h))
		return false;
	memcpy(&h, rest->ptr, sizeof(h));
	if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > rest->len)
		return false;
	c = cursor_of(bytes_of(rest->ptr + sizeof(h), h.nlmsg_len - sizeof(h)));
	*rest = bytes_skip(*rest, NLMSG_ALIGN(h.nlmsg_len));
	out->gone = h.nlmsg_type == RTM_DELADDR || h.nlmsg_type == RTM_DELROUTE
		|| h.nlmsg_type == RTM_DELNEIGH || h.nlmsg_type == RTM_DELLINK;
	switch (h.nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR: take_address(&c, index, out); break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		take_route(&c, index, out);
		// Nothing else is said of the route that was there before.
		if (out->kind == RTNL_OTHER && (h.nlmsg_flags & NLM_F_REPLACE) != 0)
			out->kind = RTNL_CHANGE;
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK: take_link(&c, index, out); break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH: take_neighbour(&c, index, out); break;
	case NLMSG_DONE: out->kind = RTNL_DONE; break;
	case NLMSG_ERROR: take_error(&c, out); break;
	}
	return true;
}

// --- requests

static size_t put(uint8_t *buf, size_t at, const void *data, size_t len)
{
	memcpy(buf + at, data, len);
	return at + len;
}

size_t rtnl_write_dump(uint8_t buf[RTNL_REQUEST_SIZE], enum rtnl_table what, uint32_t seq)
{
	static const uint16_t types[] = {
		[RTNL_ADDRESSES] = RTM_GETADDR,
		[RTNL_ROUTES] = RTM_GETROUTE,
		[RTNL_NEIGHBOURS] = RTM_GETNEIGH,
	};
	// None of the headers is longer; the kernel reads the family alone.
	const struct rtmsg body = {.rtm_family = AF_UNSPEC};
	const struct nlmsghdr h = {.nlmsg_len = sizeof(h) + sizeof(body),
		.nlmsg_type = types[what],
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.nlmsg_seq = seq};
	size_t len = put(buf, 0, &h, sizeof(h));

	return put(buf, len, &body, sizeof(body));
}

size_t rtnl_write_get_link(uint8_t buf[RTNL_REQUEST_SIZE], unsigned index, uint32_t seq)
{
	const struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index};
	const struct nlmsghdr h = {.nlmsg_len = sizeof(h) + sizeof(body),
		.nlmsg_type = RTM_GETLINK,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.nlmsg_seq = seq};
	size_t len = put(buf, 0, &h, sizeof(h));

	return put(buf, len, &body, sizeof(body));
}

static size_t write_neighbour(uint8_t *buf, uint16_t type, uint16_t flags, uint8_t neighbour_flags,
	unsigned index, const struct ip_addr *a)
{
	bool is_v4 = ip_addr_is_v4(a);
	const struct ndmsg body = {.ndm_family = is_v4 ? AF_INET : AF_INET6,
		.ndm_ifindex = (int)index,
		.ndm_flags = neighbour_flags};
	const struct rtattr dst = {
		.rta_len = (uint16_t)(sizeof(dst) + (is_v4 ? 4 : 16)), .rta_type = NDA_DST};
	const struct nlmsghdr h = {.nlmsg_len = (uint32_t)(sizeof(h) + sizeof(body) + dst.rta_len),
		.nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)};
	size_t len = put(buf, 0, &h, sizeof(h));

	len = put(buf, len, &body, sizeof(body));
	len = put(buf, len, &dst, sizeof(dst));
	return put(buf, len, is_v4 ? a->b + 12 : a->b, is_v4 ? 4 : 16);
}

size_t rtnl_write_use(uint8_t buf[RTNL_REQUEST_SIZE], unsigned index, const struct ip_addr *a)
{
	return write_neighbour(buf, RTM_NEWNEIGH, NLM_F_CREATE, NTF_USE, index, a);
}

size_t rtnl_write_get(uint8_t buf[RTNL_REQUEST_SIZE], unsigned index, const struct ip_addr *a)
{
	return write_neighbour(buf, RTM_GETNEIGH, 0, 0, index, a);
}
