// Messages of rtnetlink: what is read from them, and what is not.

#include "dataplane/rtnl.h"
#include "tests/test_support.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#define INDEX 7u

// A datagram under construction.
static struct {
	_Alignas(8) uint8_t data[1024];
	size_t len;
	size_t message; // where the present message starts
} d;

static void append(const void *data, size_t len)
{
	if (len > 0)
		memcpy(d.data + d.len, data, len);
	d.len += len;
}

static void begin(uint16_t type, const void *body, size_t len)
{
	struct nlmsghdr h = {.nlmsg_type = type};

	d.len = d.message = NLMSG_ALIGN(d.len);
	append(&h, sizeof(h));
	append(body, len);
}

static void attribute(uint16_t type, const void *value, size_t len)
{
	struct rtattr a = {.rta_len = (uint16_t)(sizeof(a) + len), .rta_type = type};

	append(&a, sizeof(a));
	append(value, len);
	d.len = RTA_ALIGN(d.len);
}

static struct bytes end(void)
{
	uint32_t len = (uint32_t)(d.len - d.message);

	memcpy(d.data + d.message, &len, sizeof(len));
	return bytes_of(d.data, d.len);
}

static void start(void)
{
	d.len = 0;
}

static struct rtnl_message only(void)
{
	struct bytes rest = end();
	struct rtnl_message m;

	assert_true(rtnl_next(&rest, INDEX, &m));
	assert_int_equal(rest.len, 0);
	return m;
}

static struct ip_addr address(const char *text)
{
	struct ip_addr a;

	assert_true(ip_addr_parse(text, &a));
	return a;
}

static void attribute4(uint16_t type, const char *text)
{
	struct ip_addr a = address(text);

	attribute(type, a.b + 12, 4);
}

static void attribute_u32(uint16_t type, uint32_t value)
{
	attribute(type, &value, sizeof(value));
}

static void assert_address(const struct ip_addr *a, const char *text)
{
	struct ip_addr expected = address(text);

	assert_true(ip_addr_equal(a, &expected));
}

static void an_address_is_the_local_one_not_the_peers(void)
{
	struct ifaddrmsg body = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = INDEX};
	struct rtnl_message m;

	start();
	begin(RTM_NEWADDR, &body, sizeof(body));
	attribute4(IFA_LOCAL, "10.0.0.5");
	attribute4(IFA_ADDRESS, "10.0.0.9");
	m = only();
	assert_int_equal(m.kind, RTNL_ADDRESS);
	assert_false(m.gone);
	assert_int_equal(m.prefix_len, 32);
	assert_address(&m.addr, "10.0.0.5");
}

static void an_address_under_test_is_not_ours_yet(void)
{
	struct ifaddrmsg body = {.ifa_family = AF_INET6, .ifa_prefixlen = 64, .ifa_index = INDEX};
	struct ip_addr a = address("fd00::5");

	start();
	begin(RTM_NEWADDR, &body, sizeof(body));
	attribute(IFA_ADDRESS, a.b, 16);
	attribute_u32(IFA_FLAGS, IFA_F_TENTATIVE | IFA_F_PERMANENT);
	assert_int_equal(only().kind, RTNL_OTHER);

	start();
	begin(RTM_NEWADDR, &body, sizeof(body));
	attribute(IFA_ADDRESS, a.b, 16);
	attribute_u32(IFA_FLAGS, IFA_F_PERMANENT);
	assert_int_equal(only().kind, RTNL_ADDRESS);
}

static void a_deprecated_address_is_ours_and_marked(void)
{
	struct ifaddrmsg body = {.ifa_family = AF_INET6, .ifa_prefixlen = 64, .ifa_index = INDEX};
	struct ip_addr a = address("fd00::5");
	struct rtnl_message m;

	for (uint32_t flags = 0; flags <= IFA_F_DEPRECATED; flags += IFA_F_DEPRECATED) {
		start();
		begin(RTM_NEWADDR, &body, sizeof(body));
		attribute(IFA_ADDRESS, a.b, 16);
		attribute_u32(IFA_FLAGS, IFA_F_PERMANENT | flags);
		m = only();
		assert_int_equal(m.kind, RTNL_ADDRESS);
		assert_int_equal(m.deprecated, flags != 0);
	}
}

static void a_default_route_has_no_destination(void)
{
	struct rtmsg body = {
		.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST};
	struct rtnl_message m;

	start();
	begin(RTM_NEWROUTE, &body, sizeof(body));
	attribute4(RTA_GATEWAY, "169.254.1.1");
	attribute_u32(RTA_OIF, INDEX);
	attribute_u32(RTA_PRIORITY, 100);
	attribute4(RTA_PREFSRC, "10.0.0.5");
	m = only();
	assert_int_equal(m.kind, RTNL_ROUTE);
	assert_int_equal(m.prefix_len, 96);
	assert_int_equal(m.metric, 100);
	assert_address(&m.addr, "0.0.0.0");
	assert_address(&m.gateway, "169.254.1.1");
	assert_address(&m.source, "10.0.0.5");
}

static void routes_of_others_are_passed_over(void)
{
	static const struct {
		struct rtmsg body;
		uint32_t interface;
	} cases[] = {
		{{.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST},
                 INDEX + 1									    },
		{{.rtm_family = AF_INET, .rtm_table = RT_TABLE_LOCAL, .rtm_type = RTN_UNICAST},
                 INDEX										},
		{{.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_LOCAL},     INDEX},
		{{.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_BLACKHOLE},
                 INDEX										},
		{{.rtm_family = AF_INET,
			 .rtm_table = RT_TABLE_MAIN,
			 .rtm_type = RTN_UNICAST,
			 .rtm_flags = RTM_F_CLONED},
                 INDEX										},
		{{.rtm_family = AF_INET,
			 .rtm_table = RT_TABLE_MAIN,
			 .rtm_type = RTN_UNICAST,
			 .rtm_flags = RTNH_F_LINKDOWN},
                 INDEX										},
		{{.rtm_family = AF_MPLS, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST},
                 INDEX										},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start();
		begin(RTM_NEWROUTE, &cases[i].body, sizeof(cases[i].body));
		attribute_u32(RTA_OIF, cases[i].interface);
		assert_int_equal(only().kind, RTNL_OTHER);
	}
}

// For packets with a type of service, which ours have not, or into a tunnel.
static void routes_that_are_not_for_plain_packets_are_passed_over(void)
{
	struct rtmsg body = {.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_type = RTN_UNICAST,
		.rtm_tos = 0x10};
	const uint16_t mpls = 1; // LWTUNNEL_ENCAP_MPLS
	struct {
		struct rtnexthop hop;
		struct rtattr type;
		uint16_t value[2];
	} hop = {
		{.rtnh_len = sizeof(hop),     .rtnh_ifindex = INDEX},
		{.rta_len = 6,                           .rta_type = RTA_ENCAP_TYPE},
                {mpls}
        };

	start();
	begin(RTM_NEWROUTE, &body, sizeof(body));
	attribute_u32(RTA_OIF, INDEX);
	assert_int_equal(only().kind, RTNL_OTHER);

	body.rtm_tos = 0;
	start();
	begin(RTM_NEWROUTE, &body, sizeof(body));
	attribute_u32(RTA_OIF, INDEX);
	attribute(RTA_ENCAP_TYPE, &mpls, sizeof(mpls));
	assert_int_equal(only().kind, RTNL_OTHER);

	start();
	begin(RTM_NEWROUTE, &body, sizeof(body));
	attribute(RTA_MULTIPATH, &hop, sizeof(hop));
	assert_int_equal(only().kind, RTNL_OTHER);
}

static void a_link_is_told_of_by_its_index(void)
{
	struct ifinfomsg body = {.ifi_index = INDEX};

	start();
	begin(RTM_NEWLINK, &body, sizeof(body));
	assert_int_equal(only().kind, RTNL_LINK);
	start();
	begin(RTM_DELLINK, &body, sizeof(body));
	assert_int_equal(only().kind, RTNL_LINK);
	assert_true(only().gone);
	body.ifi_index = INDEX + 1;
	start();
	begin(RTM_NEWLINK, &body, sizeof(body));
	assert_int_equal(only().kind, RTNL_OTHER);
}

static void a_link_has_its_address_and_its_mtu(void)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7}, long_one[20];
	struct ifinfomsg body = {.ifi_index = INDEX};
	struct rtnl_message m;

	start();
	begin(RTM_NEWLINK, &body, sizeof(body));
	attribute_u32(IFLA_MTU, 1400);
	attribute(IFLA_ADDRESS, mac, sizeof(mac));
	m = only();
	assert_int_equal(m.mtu, 1400);
	assert_true(m.has_mac);
	assert_memory_equal(m.mac, mac, sizeof(mac));

	// InfiniBand's is no hardware address of Ethernet.
	start();
	begin(RTM_NEWLINK, &body, sizeof(body));
	attribute(IFLA_ADDRESS, long_one, sizeof(long_one));
	m = only();
	assert_false(m.has_mac);
	assert_int_equal(m.mtu, 0);
}

static void a_route_that_replaces_another_is_news_whatever_it_is(void)
{
	const struct rtmsg body = {
		.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST};
	struct nlmsghdr h;

	for (uint32_t interface = INDEX; interface <= INDEX + 1; interface++) {
		start();
		begin(RTM_NEWROUTE, &body, sizeof(body));
		memcpy(&h, d.data, sizeof(h));
		h.nlmsg_flags = NLM_F_REPLACE;
		memcpy(d.data, &h, sizeof(h));
		attribute_u32(RTA_OIF, interface);
		assert_int_equal(only().kind, interface == INDEX ? RTNL_ROUTE : RTNL_CHANGE);
	}
}

static void of_several_next_hops_ours_is_taken(void)
{
	struct rtmsg body = {.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_type = RTN_UNICAST,
		.rtm_dst_len = 8};
	struct {
		struct rtnexthop hop;
		struct rtattr a;
		uint8_t gateway[4];
	} hops[2] = {
		{{.rtnh_len = sizeof(hops[0]), .rtnh_ifindex = INDEX + 1},
                 {.rta_len = 8, .rta_type = RTA_GATEWAY}, {10, 1, 1, 1}},
		{{.rtnh_len = sizeof(hops[0]), .rtnh_ifindex = INDEX},
                 {.rta_len = 8, .rta_type = RTA_GATEWAY}, {10, 1, 1, 2}},
	};
	struct rtnl_message m;

	start();
	begin(RTM_NEWROUTE, &body, sizeof(body));
	attribute4(RTA_DST, "10.0.0.0");
	attribute(RTA_MULTIPATH, hops, sizeof(hops));
	m = only();
	assert_int_equal(m.kind, RTNL_ROUTE);
	assert_int_equal(m.prefix_len, 104);
	assert_address(&m.gateway, "10.1.1.2");
}

static void a_neighbour_has_its_state_and_maybe_its_address(void)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct ndmsg body = {
		.ndm_family = AF_INET, .ndm_ifindex = INDEX, .ndm_state = NUD_REACHABLE};
	struct rtnl_message m;

	start();
	begin(RTM_NEWNEIGH, &body, sizeof(body));
	attribute4(NDA_DST, "10.0.0.1");
	attribute(NDA_LLADDR, mac, sizeof(mac));
	m = only();
	assert_int_equal(m.kind, RTNL_NEIGHBOUR);
	assert_true(m.has_mac);
	assert_memory_equal(m.mac, mac, sizeof(mac));
	assert_int_equal(m.state, NUD_REACHABLE);

	body.ndm_state = NUD_FAILED;
	start();
	begin(RTM_DELNEIGH, &body, sizeof(body));
	attribute4(NDA_DST, "10.0.0.1");
	m = only();
	assert_true(m.gone);
	assert_false(m.has_mac);
}

static void a_datagram_has_several_messages(void)
{
	struct ifaddrmsg body = {.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = INDEX};
	const int32_t code = -2;
	struct rtnl_message m;
	struct bytes rest;

	start();
	begin(RTM_NEWADDR, &body, sizeof(body));
	attribute4(IFA_LOCAL, "10.0.0.5");
	end();
	begin(NLMSG_ERROR, &code, sizeof(code));
	end();
	begin(NLMSG_DONE, NULL, 0);
	rest = end();
	assert_true(rtnl_next(&rest, INDEX, &m));
	assert_int_equal(m.kind, RTNL_ADDRESS);
	assert_true(rtnl_next(&rest, INDEX, &m));
	assert_int_equal(m.kind, RTNL_ERROR);
	assert_int_equal(m.error, -2);
	assert_true(rtnl_next(&rest, INDEX, &m));
	assert_int_equal(m.kind, RTNL_DONE);
	assert_false(rtnl_next(&rest, INDEX, &m));
}

// Cut anywhere, and with every byte of a length changed: nothing is read beyond the end (ASan watches).
static void damaged_messages_do_no_harm(void)
{
	struct rtmsg body = {
		.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST};
	struct rtnl_message m;
	size_t len;

	start();
	begin(RTM_NEWROUTE, &body, sizeof(body));
	attribute4(RTA_GATEWAY, "169.254.1.1");
	attribute_u32(RTA_OIF, INDEX);
	len = end().len;
	for (size_t cut = 0; cut <= len; cut++) {
		for (size_t at = 0; at < cut; at++) {
			uint8_t *copy = malloc(cut + 1);
			struct bytes rest = bytes_of(copy, cut);

			memcpy(copy, d.data, cut);
			copy[at] ^= 0x15;
			while (rtnl_next(&rest, INDEX, &m))
				;
			free(copy);
		}
	}
}

static void requests_name_what_they_ask_for(void)
{
	_Alignas(8) uint8_t buf[RTNL_REQUEST_SIZE];
	struct ip_addr a = address("10.0.0.1"), a6 = address("fd00::1");
	struct ifinfomsg link;
	struct nlmsghdr h;
	struct ndmsg n;
	size_t len = rtnl_write_use(buf, INDEX, &a);

	memcpy(&h, buf, sizeof(h));
	memcpy(&n, buf + sizeof(h), sizeof(n));
	assert_int_equal(h.nlmsg_len, len);
	assert_int_equal(h.nlmsg_type, RTM_NEWNEIGH);
	assert_int_equal(n.ndm_flags, NTF_USE);
	assert_int_equal(n.ndm_ifindex, INDEX);
	assert_memory_equal(buf + len - 4, a.b + 12, 4);

	len = rtnl_write_get(buf, INDEX, &a6);
	memcpy(&h, buf, sizeof(h));
	assert_int_equal(h.nlmsg_type, RTM_GETNEIGH);
	assert_memory_equal(buf + len - 16, a6.b, 16);
	assert_int_equal(rtnl_write_dump(buf, RTNL_ROUTES, 1), sizeof(h) + sizeof(struct rtmsg));

	assert_int_equal(rtnl_write_get_link(buf, INDEX, 1), sizeof(h) + sizeof(link));
	memcpy(&h, buf, sizeof(h));
	memcpy(&link, buf + sizeof(h), sizeof(link));
	assert_int_equal(h.nlmsg_len, sizeof(h) + sizeof(link));
	assert_int_equal(h.nlmsg_type, RTM_GETLINK);
	assert_int_equal(link.ifi_index, INDEX);
}

TESTS(TEST(an_address_is_the_local_one_not_the_peers), TEST(an_address_under_test_is_not_ours_yet),
	TEST(a_deprecated_address_is_ours_and_marked), TEST(a_default_route_has_no_destination),
	TEST(routes_of_others_are_passed_over),
	TEST(routes_that_are_not_for_plain_packets_are_passed_over),
	TEST(a_link_is_told_of_by_its_index), TEST(a_link_has_its_address_and_its_mtu),
	TEST(a_route_that_replaces_another_is_news_whatever_it_is),
	TEST(of_several_next_hops_ours_is_taken),
	TEST(a_neighbour_has_its_state_and_maybe_its_address),
	TEST(a_datagram_has_several_messages), TEST(damaged_messages_do_no_harm),
	TEST(requests_name_what_they_ask_for))
