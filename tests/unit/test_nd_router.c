// IPv6 routers: who may become the default route, which of several is used, and when they are asked for.

#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <errno.h>

#define RA WIRE_ICMP6_ROUTER_ADVERTISEMENT
#define NA WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT

#define HIGH     1u
#define MEDIUM   0u
#define RESERVED 2u
#define LOW      3u

#define FAR "2001:db8::7"

static struct rig_frame frame;
static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};

// A net whose checks and announcements are over.
static void start(void)
{
	test_eal_init();
	rig_start6_routers();
	rig_at(0);
	rig_at(20 * RIG_SECOND);
	rig.n_sent = 0;
}

static uint32_t word_of(unsigned preference, unsigned lifetime_s)
{
	return 64u << 24 | preference << 19 | lifetime_s;
}

// Builds an advertisement with the router's hardware address, without one if 'mac' is NULL.
static struct rig_frame *build(
	const char *router, const uint8_t *mac, unsigned preference, unsigned lifetime_s)
{
	uint8_t rest[16] = {[8] = WIRE_ND_SOURCE_MAC, [9] = 1};

	if (mac != NULL)
		memcpy(rest + 10, mac, 6);
	rig_icmp6(&frame, router, "ff02::1", RA, word_of(preference, lifetime_s), rest,
		mac != NULL ? 16 : 8);
	rig_ip6_of(&frame)->hop_limits = 255;
	return &frame;
}

static void advertise(
	const char *router, const uint8_t *mac, unsigned preference, unsigned lifetime_s)
{
	rig_receive(build(router, mac, preference, lifetime_s));
}

// An advertisement of fe80::a with these options.
static void advertise_options(const uint8_t *options, size_t len)
{
	uint8_t rest[1400] = {0};

	memcpy(rest + 8, options, len);
	rig_icmp6(&frame, "fe80::a", "ff02::1", RA, word_of(MEDIUM, 1800), rest, 8 + len);
	rig_ip6_of(&frame)->hop_limits = 255;
	rig_receive(&frame);
}

static int router_state(const char *router)
{
	struct ip_addr a = rig_addr(router);
	const struct neigh *n = neigh_find(rig.net, rig.iface, &a);

	return n != NULL ? n->state : -1;
}

// Where packets to the world go: to this router, NULL: nowhere.
static void assert_way(const char *router)
{
	struct ip_addr to = rig_addr(FAR), src;
	const struct route *r = fib_route(rig.net, &to);
	uint16_t mtu;

	if (router == NULL) {
		assert_null(r);
		assert_false(net_route(rig.net, &to, &src, &mtu));
		return;
	}
	to = rig_addr(router);
	assert_non_null(r);
	assert_true(ip_addr_equal(&r->gateway, &to));
}

// A frame that goes to the world leaves for 'mac'.
static void assert_goes_to(const uint8_t mac[6])
{
	rig.n_sent = 0;
	assert_int_equal(rig_send("fd00::1", FAR), 0);
	assert_true(rig.n_sent > 0);
	assert_memory_equal(rig.sent[rig.n_sent - 1].data, mac, 6);
}

// The router answers the question that is under way.
static void answer(const char *router, const uint8_t mac[6])
{
	rig_receive(rig_nd(&frame, router, "fe80::ff:fe00:1", NA,
		WIRE_ND_ROUTER | WIRE_ND_SOLICITED | WIRE_ND_OVERRIDE, router, WIRE_ND_TARGET_MAC,
		mac));
}

// Lets the questions for the router's hardware address run out, which a packet sets off.
static void let_fail(void)
{
	uint64_t from_us = rig.now_us - RIG_START;

	rig_send("fd00::1", FAR);
	for (unsigned k = 1; k <= 8; k++)
		rig_at(from_us + k * RIG_SECOND);
}

static uint16_t mtu_to(const char *dst)
{
	struct ip_addr to = rig_addr(dst), src;
	uint16_t mtu;

	assert_true(net_route(rig.net, &to, &src, &mtu));
	return mtu;
}

// --- learning

static void a_router_becomes_the_way_out(void)
{
	struct ip_addr to = rig_addr(FAR), own = rig_addr("fd00::1"), src;
	uint16_t mtu;

	start();
	assert_way(NULL);
	assert_int_equal(rig_send("fd00::1", FAR), 0 - EHOSTUNREACH);
	advertise("fe80::a", mac_a, MEDIUM, 1800);
	assert_way("fe80::a");
	assert_int_equal(router_state("fe80::a"), NEIGH_STALE);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig.stats.nd_router_advertisements_received, 1);
	assert_int_equal(rig.stats.nd_routers, 1);
	assert_int_equal(rig.stats.nd_router_changes, 1);
	// The link-local address is not one to talk to the world from.
	assert_true(net_route(rig.net, &to, &src, &mtu));
	assert_true(ip_addr_equal(&src, &own));
	assert_int_equal(mtu, 1500);
	assert_goes_to(mac_a);
	assert_int_equal(router_state("fe80::a"), NEIGH_PROBE); // what it said unasked is checked
	// On the link nothing goes by the router, and IPv4 has a way of its own.
	to = rig_addr("fd00::2");
	assert_int_equal(fib_route(rig.net, &to)->gateway.q[1], 0);
	assert_int_equal(rig_stop(), 0);
}

static void a_router_without_its_hardware_address_is_asked_for_it(void)
{
	start();
	advertise("fe80::a", NULL, MEDIUM, 1800);
	assert_way("fe80::a");
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(rig_sent_icmp6(0)->type, WIRE_ICMP6_NEIGHBOUR_SOLICITATION);
	rig_send("fd00::1", FAR); // waits
	answer("fe80::a", mac_a);
	assert_memory_equal(rig.sent[rig.n_sent - 1].data, mac_a, 6);
	assert_int_equal(router_state("fe80::a"), NEIGH_REACHABLE);
	assert_int_equal(rig_stop(), 0);
}

// RFC 4861, 6.3.4: no answer of its own, so not REACHABLE; but what waits goes out.
static void an_advertisement_tells_the_address_that_is_being_asked_for(void)
{
	start();
	advertise("fe80::a", NULL, MEDIUM, 1800);
	rig_send("fd00::1", FAR);
	advertise("fe80::a", mac_a, MEDIUM, 1800);
	assert_int_equal(router_state("fe80::a"), NEIGH_STALE);
	assert_memory_equal(rig.sent[rig.n_sent - 1].data, mac_a, 6);
	advertise("fe80::a", mac_b, MEDIUM, 1800);
	assert_goes_to(mac_b);
	assert_int_equal(rig.stats.nd_routers, 1);
	assert_int_equal(rig_stop(), 0);
}

static void a_router_expires(void)
{
	start();
	advertise("fe80::a", mac_a, MEDIUM, 30);
	rig_at(49 * RIG_SECOND);
	assert_way("fe80::a");
	advertise("fe80::a", mac_a, MEDIUM, 30); // and again from here
	rig_at(51 * RIG_SECOND);
	assert_way("fe80::a");
	rig_at(78 * RIG_SECOND);
	assert_way("fe80::a");
	rig_at(79 * RIG_SECOND + 2000);
	assert_way(NULL);
	assert_int_equal(rig.stats.nd_routers, 0);
	assert_int_equal(rig.stats.nd_router_changes, 2);
	assert_int_equal(rig_stop(), 0);
}

static void a_router_can_take_itself_back(void)
{
	start();
	advertise("fe80::a", mac_a, HIGH, 0); // was none
	assert_way(NULL);
	assert_int_equal(router_state("fe80::a"), -1);
	advertise("fe80::a", mac_a, MEDIUM, 65535);
	assert_goes_to(mac_a);
	advertise("fe80::b", mac_b, MEDIUM, 0); // another's word says nothing of it
	assert_way("fe80::a");
	advertise("fe80::a", mac_a, MEDIUM, 0);
	assert_way(NULL);
	assert_int_equal(rig.stats.nd_routers, 0);
	assert_int_equal(rig_send("fd00::1", FAR), 0 - EHOSTUNREACH);
	assert_int_equal(rig.stats.nd_router_advertisements_received, 4);
	assert_int_equal(rig_stop(), 0);
}

static void the_mtu_is_the_links_and_at_most_the_ports(void)
{
	uint8_t mtu[8] = {WIRE_ND_MTU, 1, 0, 0, 0, 0, 1400 >> 8, 1400 & 0xff};
	uint8_t long_one[16] = {WIRE_ND_MTU, 2, 0, 0, 0, 0, 1300 >> 8, 1300 & 0xff};
	static const uint16_t bad[] = {0, 1279, 1501, 9000, 65535};

	start();
	advertise_options(mtu, sizeof(mtu));
	assert_int_equal(mtu_to(FAR), 1400);
	assert_int_equal(mtu_to("fd00::2"), 1400);
	assert_int_equal(mtu_to("10.0.0.2"), 1500);
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		mtu[6] = (uint8_t)(bad[k] >> 8);
		mtu[7] = (uint8_t)bad[k];
		advertise_options(mtu, sizeof(mtu));
		assert_int_equal(mtu_to(FAR), 1400);
	}
	mtu[4] = 1; // 65536 and more
	advertise_options(mtu, sizeof(mtu));
	assert_int_equal(mtu_to(FAR), 1400);
	advertise_options(long_one, sizeof(long_one));
	assert_int_equal(mtu_to(FAR), 1400);
	memcpy(mtu + 4, "\x00\x00\x05\x00", 4);
	advertise_options(mtu, sizeof(mtu));
	assert_int_equal(mtu_to(FAR), 1280);
	memcpy(mtu + 4, "\x00\x00\x05\xdc", 4);
	advertise_options(mtu, sizeof(mtu));
	assert_int_equal(mtu_to(FAR), 1500);
	assert_int_equal(rig_stop(), 0);
}

static void prefixes_and_unknown_options_change_nothing(void)
{
	uint8_t options[64] = {WIRE_ND_PREFIX, 4, 64, 0xc0, [16] = 0x20, 1, 0x0d, 0xb8, [32] = 77,
		3, [56] = WIRE_ND_SOURCE_MAC, 1, 2, 0, 0, 0, 0, 0xa};
	struct ip_addr to = rig_addr(FAR);
	unsigned n;

	start();
	n = rig.iface->n_addresses;
	advertise_options(options, sizeof(options));
	assert_way("fe80::a");
	assert_non_null(fib_route(rig.net, &to));
	assert_int_equal(rig.iface->n_addresses, n);
	assert_goes_to(mac_a);
	assert_int_equal(rig_stop(), 0);
}

// --- several

static void of_equal_routers_the_first_stays(void)
{
	start();
	advertise("fe80::a", mac_a, MEDIUM, 1800);
	advertise("fe80::b", mac_b, RESERVED, 1800); // as medium
	assert_way("fe80::a");
	advertise("fe80::b", mac_b, HIGH, 1800);
	assert_way("fe80::b");
	advertise("fe80::b", mac_b, LOW, 1800);
	assert_way("fe80::a");
	advertise("fe80::a", mac_a, MEDIUM, 0);
	assert_way("fe80::b");
	assert_int_equal(rig.stats.nd_routers, 1);
	assert_int_equal(rig_stop(), 0);
}

static void when_one_expires_the_other_takes_over(void)
{
	start();
	advertise("fe80::a", mac_a, HIGH, 10);
	advertise("fe80::b", mac_b, LOW, 1800);
	assert_goes_to(mac_a);
	rig_at(31 * RIG_SECOND);
	assert_way("fe80::b");
	assert_goes_to(mac_b);
	assert_int_equal(rig_stop(), 0);
}

// RFC 4191, 3.2: reachability goes before preference.
static void a_router_that_does_not_answer_is_left(void)
{
	start();
	advertise("fe80::a", mac_a, HIGH, 1800);
	advertise("fe80::b", mac_b, LOW, 1800);
	assert_goes_to(mac_a);
	let_fail();
	assert_int_equal(router_state("fe80::a"), NEIGH_FAILED);
	assert_goes_to(mac_b);
	answer("fe80::b", mac_b);
	assert_way("fe80::b");
	advertise("fe80::a", mac_a, HIGH, 1800); // it lives
	assert_way("fe80::a");
	assert_int_equal(rig_stop(), 0);
}

static void when_none_answers_all_are_tried_in_turn(void)
{
	start();
	advertise("fe80::a", mac_a, HIGH, 1800);
	advertise("fe80::b", mac_b, LOW, 1800);
	let_fail();
	assert_way("fe80::b");
	let_fail();
	assert_int_equal(router_state("fe80::b"), NEIGH_FAILED);
	assert_way("fe80::a");
	let_fail();
	assert_way("fe80::b");
	let_fail();
	assert_way("fe80::a");
	rig_send("fd00::1", FAR); // asks
	answer("fe80::a", mac_a);
	assert_way("fe80::a");
	assert_goes_to(mac_a);
	assert_int_equal(rig_stop(), 0);
}

static void more_routers_than_there_is_room_for_are_refused(void)
{
	char name[16];

	start();
	for (unsigned k = 1; k <= ND_MAX_ROUTERS + 3; k++) {
		snprintf(name, sizeof(name), "fe80::%x", k);
		advertise(name, mac_a, MEDIUM, 1800);
	}
	assert_int_equal(rig.stats.nd_routers, ND_MAX_ROUTERS);
	assert_int_equal(rig.stats.nd_drop_router_room, 3);
	assert_way("fe80::1");
	assert_int_equal(router_state("fe80::7"), -1);
	// The place of one that does not answer is free.
	let_fail();
	assert_int_equal(router_state("fe80::1"), NEIGH_FAILED);
	advertise("fe80::a", mac_a, HIGH, 1800);
	assert_way("fe80::a");
	assert_int_equal(rig.stats.nd_routers, ND_MAX_ROUTERS);
	assert_int_equal(rig_stop(), 0);
}

// What is configured on any port goes first, then the ports' order counts and not who spoke first.
static void among_ports_the_order_is_fixed(void)
{
	struct iface_config c = {
		.name = "second", .mtu = 1500, .n_addresses = 1, .transmit = take_sent};
	struct ip_addr to = rig_addr(FAR), a = rig_addr("fe80::a"), b = rig_addr("fe80::b");
	struct iface *first, *second;

	start();
	first = rig.iface;
	c.addresses[0] = rig_addr("fd01::1");
	c.prefix_len[0] = 64;
	second = net_add_iface(rig.net, &c);
	rig.iface = second;
	advertise("fe80::b", mac_b, HIGH, 1800);
	assert_ptr_equal(fib_route(rig.net, &to)->iface, second);
	rig.iface = first;
	advertise("fe80::a", mac_a, LOW, 1800);
	assert_ptr_equal(fib_route(rig.net, &to)->iface, first);
	rig.iface = second;
	advertise("fe80::b", mac_b, HIGH, 1800);
	assert_ptr_equal(fib_route(rig.net, &to)->iface, first);
	assert_true(ip_addr_equal(&fib_route(rig.net, &to)->gateway, &a));
	rig.iface = first;
	advertise("fe80::a", mac_a, LOW, 0);
	assert_true(ip_addr_equal(&fib_route(rig.net, &to)->gateway, &b));
	advertise("fe80::a", mac_a, LOW, 1800);

	c.name = "third";
	c.addresses[0] = rig_addr("fd02::1");
	c.gateway6 = rig_addr("fd02::fe");
	assert_non_null(net_add_iface(rig.net, &c));
	assert_true(ip_addr_equal(&fib_route(rig.net, &to)->gateway, &c.gateway6));
	advertise("fe80::a", mac_a, HIGH, 0);
	advertise("fe80::a", mac_a, HIGH, 1800);
	assert_true(ip_addr_equal(&fib_route(rig.net, &to)->gateway, &c.gateway6));
	assert_int_equal(rig_stop(), 0);
}

// --- refusing

static void refused(const uint64_t *counter)
{
	uint64_t before = *counter;

	rig_receive(&frame);
	assert_int_equal(*counter, before + 1);
	assert_way(NULL);
	assert_int_equal(rig.stats.nd_routers, 0);
	assert_int_equal(rig.stats.nd_router_advertisements_received, 0);
	assert_int_equal(router_state("fe80::a"), -1);
}

// RFC 4861, 6.1.2, row by row.
static void invalid_advertisements_are_refused_for_their_reason(void)
{
	static const uint8_t group[6] = {3, 0, 0, 0, 0, 1}, nobody[6];
	struct wire_icmp6 *icmp = (struct wire_icmp6 *)(void *)(rig_ip6_of(&frame) + 1);
	uint8_t rest[80] = {0};

	start();
	build("fe80::a", mac_a, MEDIUM, 1800);
	rig_ip6_of(&frame)->hop_limits = 254;
	refused(&rig.stats.nd_drop_hop_limit);
	build("fd00::2", mac_a, MEDIUM, 1800);
	refused(&rig.stats.nd_drop_sender);
	build("::", mac_a, MEDIUM, 1800);
	refused(&rig.stats.nd_drop_sender);
	build("fe80::a", group, MEDIUM, 1800);
	refused(&rig.stats.nd_drop_sender);
	build("fe80::a", nobody, MEDIUM, 1800);
	refused(&rig.stats.nd_drop_sender);
	build("fe80::a", rig_own_mac, MEDIUM, 1800);
	refused(&rig.stats.nd_drop_sender);
	build("fe80::a", mac_a, MEDIUM, 1800);
	icmp->code = 1;
	rig_fix_icmp6_sum(&frame);
	refused(&rig.stats.nd_drop_malformed);
	icmp->code = 0;
	refused(&rig.stats.icmp6_drop_checksum);
	build("fe80::ff:fe00:1", mac_a, MEDIUM, 1800); // our own
	refused(&rig.stats.ip6_drop_source);

	for (size_t len = 0; len < 8; len++) { // ends inside the fixed part
		rig_icmp6(&frame, "fe80::a", "ff02::1", RA, word_of(MEDIUM, 1800), rest, len);
		rig_ip6_of(&frame)->hop_limits = 255;
		refused(&rig.stats.nd_drop_malformed);
	}
	for (size_t len = 1; len < 16; len++) { // inside an option, or one of length 0
		rest[8] = 77;
		rest[9] = len < 8 ? 1 : len == 8 ? 0 : 2;
		rig_icmp6(&frame, "fe80::a", "ff02::1", RA, word_of(MEDIUM, 1800), rest, 8 + len);
		rig_ip6_of(&frame)->hop_limits = 255;
		refused(&rig.stats.nd_drop_malformed);
	}
	assert_int_equal(rig_stop(), 0);
}

static void options_are_many_but_not_without_end(void)
{
	uint8_t options[65 * 8];

	for (size_t k = 0; k < 65; k++)
		memcpy(options + k * 8, "\x4d\x01\0\0\0\0\0\0", 8);
	start();
	advertise_options(options, sizeof(options));
	assert_way(NULL);
	assert_int_equal(rig.stats.nd_drop_malformed, 1);
	advertise_options(options, sizeof(options) - 8);
	assert_way("fe80::a");
	assert_int_equal(rig_stop(), 0);
}

static void a_flood_is_cut(void)
{
	start();
	for (unsigned k = 0; k < 1000; k++)
		advertise("fe80::a", mac_a, MEDIUM, k % 2 == 0 ? 1800 : 0);
	assert_true(rig.stats.nd_drop_router_rate > 900);
	assert_int_equal(
		rig.stats.nd_drop_router_rate + rig.stats.nd_router_advertisements_received, 1000);
	rig_at(22 * RIG_SECOND);
	advertise("fe80::a", mac_a, MEDIUM, 1800);
	assert_way("fe80::a");
	assert_int_equal(rig_stop(), 0);
}

static void with_a_configured_gateway_nobody_is_listened_to(void)
{
	test_eal_init();
	rig_start6_quiet();
	advertise("fe80::a", mac_a, HIGH, 1800);
	assert_int_equal(rig.stats.nd_drop_router, 1);
	assert_int_equal(router_state("fe80::a"), -1);
	assert_way("fd00::fe");
	rig_at(30 * RIG_SECOND);
	assert_int_equal(rig.stats.nd_router_solicitations_sent, 0);
	assert_int_equal(rig_stop(), 0);
}

static void without_ipv6_nobody_is_asked(void)
{
	test_eal_init();
	rig_start();
	rig_at(0);
	rig_at(30 * RIG_SECOND);
	assert_int_equal(rig.stats.nd_router_solicitations_sent, 0);
	advertise("fe80::a", mac_a, HIGH, 1800);
	assert_way(NULL);
	assert_int_equal(rig_stop(), 0);
}

static void keep_nothing(void *arg, const struct ip_addr *who)
{
	(void)arg;
	(void)who;
}

static void on_a_port_that_the_kernel_keeps_nobody_is_listened_to(void)
{
	start();
	net_keep(rig.iface, keep_nothing, NULL);
	advertise("fe80::a", mac_a, HIGH, 1800);
	assert_int_equal(rig.stats.nd_drop_router, 1);
	assert_way(NULL);
	assert_int_equal(rig_stop(), 0);
}

static void routers_are_not_answered(void)
{
	uint8_t rest[1];

	start();
	rig_icmp6(&frame, "fe80::a", "ff02::1", WIRE_ICMP6_ROUTER_SOLICITATION, 0, rest, 0);
	rig_ip6_of(&frame)->hop_limits = 255;
	rig_receive(&frame);
	assert_int_equal(rig.stats.nd_drop_router, 1);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig_stop(), 0);
}

// --- asking

// Runs the net in steps until the number of questions changes; when that was.
static uint64_t next_question(uint64_t until_us)
{
	uint64_t before = rig.stats.nd_router_solicitations_sent;

	for (uint64_t us = rig.now_us - RIG_START; us < until_us; us += 10000) {
		rig_at(us);
		if (rig.stats.nd_router_solicitations_sent != before)
			return us;
	}
	return UINT64_MAX;
}

static void assert_question(void)
{
	struct ip_addr own = rig_addr("fe80::ff:fe00:1"), routers = rig_addr("ff02::2");
	unsigned last = rig.n_sent - 1;
	const struct wire_icmp6 *icmp = rig_sent_icmp6(last);
	const struct wire_nd_mac *option = (const struct wire_nd_mac *)(const void *)(icmp + 1);

	assert_int_equal(icmp->type, WIRE_ICMP6_ROUTER_SOLICITATION);
	assert_int_equal(icmp->code, 0);
	assert_int_equal(icmp->word, 0);
	assert_int_equal(rig_sent_ip6(last)->hop_limits, 255);
	assert_memory_equal(rig.sent[last].data, "\x33\x33\0\0\0\x02", 6);
	assert_memory_equal(rig_sent_ip6(last)->src_addr, own.b, 16);
	assert_memory_equal(rig_sent_ip6(last)->dst_addr, routers.b, 16);
	assert_int_equal(rte_be_to_cpu_16(rig_sent_ip6(last)->payload_len), 16);
	assert_int_equal(option->kind, WIRE_ND_SOURCE_MAC);
	assert_memory_equal(option->mac, rig_own_mac, 6);
}

static void routers_are_asked_for_three_times(void)
{
	uint64_t first_us, second_us, third_us;

	test_eal_init();
	rig_start6_routers();
	rig_at(0);
	first_us = next_question(30 * RIG_SECOND);
	assert_in_range(first_us, 1 * RIG_SECOND, 2 * RIG_SECOND + 20000); // the check, the delay
	assert_question();
	second_us = next_question(30 * RIG_SECOND);
	assert_in_range(second_us - first_us, 4 * RIG_SECOND, 4 * RIG_SECOND + 20000);
	assert_question();
	third_us = next_question(30 * RIG_SECOND);
	assert_in_range(third_us - second_us, 4 * RIG_SECOND, 4 * RIG_SECOND + 20000);
	assert_int_equal(next_question(60 * RIG_SECOND), UINT64_MAX);
	assert_int_equal(rig.stats.nd_router_solicitations_sent, 3);
	assert_int_equal(rig_stop(), 0);
}

static void the_first_answer_ends_the_questions(void)
{
	test_eal_init();
	rig_start6_routers();
	rig_at(0);
	assert_true(next_question(30 * RIG_SECOND) != UINT64_MAX);
	advertise("fe80::a", mac_a, MEDIUM, 1800);
	assert_int_equal(next_question(60 * RIG_SECOND), UINT64_MAX);
	assert_int_equal(rig_stop(), 0);
}

// RFC 4861, 6.3.7: what was said before need not be all.
static void one_question_is_asked_although_a_router_is_known(void)
{
	test_eal_init();
	rig_start6_routers();
	rig_at(0);
	advertise("fe80::a", mac_a, MEDIUM, 1800);
	assert_true(next_question(30 * RIG_SECOND) != UINT64_MAX);
	assert_int_equal(next_question(60 * RIG_SECOND), UINT64_MAX);
	assert_int_equal(rig.stats.nd_router_solicitations_sent, 1);
	assert_int_equal(rig_stop(), 0);
}

static void a_router_that_is_no_way_out_is_no_answer(void)
{
	test_eal_init();
	rig_start6_routers();
	rig_at(0);
	assert_true(next_question(30 * RIG_SECOND) != UINT64_MAX);
	advertise("fe80::a", mac_a, MEDIUM, 0);
	assert_true(next_question(30 * RIG_SECOND) != UINT64_MAX);
	assert_int_equal(rig_stop(), 0);
}

static void who_has_no_address_on_the_link_asks_without_one(void)
{
	static const uint8_t unspecified[16];

	test_eal_init();
	rig_start6_routers();
	rig_at(0);
	rig_receive(rig_nd(&frame, "fe80::ff:fe00:1", "ff02::1", NA, 0, "fe80::ff:fe00:1",
		WIRE_ND_TARGET_MAC, rig_peer_mac));
	assert_int_equal(rig.stats.nd_duplicates, 1);
	assert_true(next_question(30 * RIG_SECOND) != UINT64_MAX);
	assert_memory_equal(rig_sent_ip6(rig.n_sent - 1)->src_addr, unspecified, 16);
	assert_int_equal(rte_be_to_cpu_16(rig_sent_ip6(rig.n_sent - 1)->payload_len), 8);
	assert_int_equal(rig_stop(), 0);
}

static void one_of_several_workers_asks_and_all_learn(void)
{
	test_eal_init();
	rig_start6_routers();
	rig.net->quiet = true;
	rig_at(0);
	assert_int_equal(next_question(30 * RIG_SECOND), UINT64_MAX);
	advertise("fe80::a", mac_a, MEDIUM, 1800);
	assert_goes_to(mac_a);
	assert_int_equal(rig_stop(), 0);
}

static void an_empty_pool_costs_one_question(void)
{
	struct rte_mbuf *all[512];
	unsigned n = 0;

	test_eal_init();
	rig_start6_routers();
	rig_at(0);
	rig_at(900000);
	while (n < 512 && (all[n] = rte_pktmbuf_alloc(rig.pool)) != NULL)
		n++;
	rig_at(2 * RIG_SECOND + 20000);
	assert_int_equal(rig.stats.nd_router_solicitations_sent, 0);
	assert_true(rig.stats.net_no_buffer > 0);
	rte_pktmbuf_free_bulk(all, n);
	assert_true(next_question(30 * RIG_SECOND) != UINT64_MAX);
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(a_router_becomes_the_way_out),
	TEST(a_router_without_its_hardware_address_is_asked_for_it),
	TEST(an_advertisement_tells_the_address_that_is_being_asked_for), TEST(a_router_expires),
	TEST(a_router_can_take_itself_back), TEST(the_mtu_is_the_links_and_at_most_the_ports),
	TEST(prefixes_and_unknown_options_change_nothing), TEST(of_equal_routers_the_first_stays),
	TEST(when_one_expires_the_other_takes_over), TEST(a_router_that_does_not_answer_is_left),
	TEST(when_none_answers_all_are_tried_in_turn),
	TEST(more_routers_than_there_is_room_for_are_refused), TEST(among_ports_the_order_is_fixed),
	TEST(invalid_advertisements_are_refused_for_their_reason),
	TEST(options_are_many_but_not_without_end), TEST(a_flood_is_cut),
	TEST(with_a_configured_gateway_nobody_is_listened_to), TEST(without_ipv6_nobody_is_asked),
	TEST(on_a_port_that_the_kernel_keeps_nobody_is_listened_to), TEST(routers_are_not_answered),
	TEST(routers_are_asked_for_three_times), TEST(the_first_answer_ends_the_questions),
	TEST(one_question_is_asked_although_a_router_is_known),
	TEST(a_router_that_is_no_way_out_is_no_answer),
	TEST(who_has_no_address_on_the_link_asks_without_one),
	TEST(one_of_several_workers_asks_and_all_learn), TEST(an_empty_pool_costs_one_question))
