// IPv6 neighbours: how they are found, kept and lost, how we are found, and who may not change what.

#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <errno.h>
#include <netinet/in.h>

#define NS WIRE_ICMP6_NEIGHBOUR_SOLICITATION
#define NA WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT

static struct rig_frame frame;
static const uint8_t other_mac[6] = {2, 0, 0, 0, 0, 3};

static const struct wire_nd *sent_nd(unsigned i, uint8_t type)
{
	const struct wire_nd *nd = (const struct wire_nd *)rig_sent_icmp6(i);

	assert_int_equal(nd->icmp.type, type);
	assert_int_equal(rig_sent_ip6(i)->hop_limits, 255);
	return nd;
}

static const struct wire_nd_mac *option_of(unsigned i)
{
	const struct wire_nd *nd = (const struct wire_nd *)rig_sent_icmp6(i);

	if (rte_be_to_cpu_16(rig_sent_ip6(i)->payload_len) == sizeof(*nd))
		return NULL;
	assert_int_equal(rte_be_to_cpu_16(rig_sent_ip6(i)->payload_len), sizeof(*nd) + 8);
	return (const struct wire_nd_mac *)(const void *)(nd + 1);
}

static void assert_solicitation(unsigned i, const char *src, const char *dst, const char *target)
{
	const struct wire_nd *nd = sent_nd(i, NS);
	struct ip_addr from = rig_addr(src), to = rig_addr(dst), about = rig_addr(target);

	assert_memory_equal(rig_sent_ip6(i)->src_addr, from.b, 16);
	assert_memory_equal(rig_sent_ip6(i)->dst_addr, to.b, 16);
	assert_memory_equal(nd->target, about.b, 16);
	if (to.b[0] == 0xff) {
		assert_memory_equal(rig.sent[i].data, "\x33\x33", 2);
		assert_memory_equal(rig.sent[i].data + 2, to.b + 12, 4);
	}
}

static void assert_advertisement(unsigned i, const char *dst, const char *target, uint32_t flags)
{
	const struct wire_nd *nd = sent_nd(i, NA);
	struct ip_addr to = rig_addr(dst), about = rig_addr(target);

	assert_memory_equal(rig_sent_ip6(i)->src_addr, about.b, 16);
	assert_memory_equal(rig_sent_ip6(i)->dst_addr, to.b, 16);
	assert_memory_equal(nd->target, about.b, 16);
	assert_int_equal(nd->icmp.word, flags);
	assert_int_equal(option_of(i)->kind, WIRE_ND_TARGET_MAC);
	assert_memory_equal(option_of(i)->mac, rig_own_mac, 6);
}

// A stack whose checks and announcements are over and whose gateways are known.
static void start_quiet(void)
{
	test_eal_init();
	rig_start6();
	rig_at(0);
	rig_receive(rig_arp(
		&frame, rig_own_mac, RTE_ARP_OP_REPLY, other_mac, "10.0.0.254", "10.0.0.1"));
	rig_receive(rig_nd(&frame, "fd00::fe", "fd00::1", NA,
		WIRE_ND_ROUTER | WIRE_ND_SOLICITED | WIRE_ND_OVERRIDE, "fd00::fe",
		WIRE_ND_TARGET_MAC, other_mac));
	rig_at(1 * RIG_SECOND + 2000);
	rig_at(3 * RIG_SECOND);
	rig.n_sent = 0;
}

static int send_to(const char *dst)
{
	return rig_send("fd00::1", dst);
}

static void peer_advertises(const uint8_t *mac, uint32_t flags)
{
	rig_receive(rig_nd(&frame, "fd00::2", "fd00::1", NA, flags, "fd00::2",
		mac != NULL ? WIRE_ND_TARGET_MAC : 0, mac));
}

static const struct neigh *peer(void)
{
	struct ip_addr a = rig_addr("fd00::2");

	return neigh_find(rig.net, rig.iface, &a);
}

// The peer is REACHABLE at rig_peer_mac.
static void find_peer(void)
{
	assert_int_equal(send_to("fd00::2"), 0);
	peer_advertises(rig_peer_mac, WIRE_ND_SOLICITED | WIRE_ND_OVERRIDE);
	assert_int_equal(peer()->state, NEIGH_REACHABLE);
	rig.n_sent = 0;
}

// --- our own addresses

static void addresses_are_checked_and_then_announced(void)
{
	test_eal_init();
	rig_start6();
	rig_at(0);
	// ARP's announcement, two checks, and the questions for both gateways.
	assert_int_equal(rig.n_sent, 5);
	assert_solicitation(1, "::", "ff02::1:ff00:1", "fd00::1");
	assert_solicitation(2, "::", "ff02::1:ff00:1", "fe80::ff:fe00:1");
	assert_null(option_of(1));
	rig_sent_arp(3);
	// Optimistic: nobody is told to put us into a cache (RFC 4429, 3.2).
	assert_solicitation(4, "fd00::1", "ff02::1:ff00:fe", "fd00::fe");
	assert_null(option_of(4));

	rig_at(1 * RIG_SECOND + 2000);
	assert_int_equal(rig.n_sent, 9);
	assert_advertisement(5, "ff02::1", "fd00::1", WIRE_ND_OVERRIDE);
	assert_advertisement(6, "ff02::1", "fe80::ff:fe00:1", WIRE_ND_OVERRIDE);
	assert_int_equal(rig.stats.nd_announcements_sent, 2);
	assert_non_null(option_of(8)); // asked again, now with our address
	rig_at(2 * RIG_SECOND + 5000);
	assert_int_equal(rig.stats.nd_announcements_sent, 4);
	assert_int_equal(rig_stop(), 0);
}

static void while_it_is_checked_an_address_works_but_overrides_nobody(void)
{
	test_eal_init();
	rig_start6();
	rig_at(0);
	rig.n_sent = 0;
	rig_receive(rig_nd(&frame, "fd00::2", "ff02::1:ff00:1", NS, 0, "fd00::1",
		WIRE_ND_SOURCE_MAC, rig_peer_mac));
	assert_advertisement(0, "fd00::2", "fd00::1", WIRE_ND_SOLICITED);
	rig_at(3 * RIG_SECOND);
	rig.n_sent = 0;
	rig_receive(rig_nd(&frame, "fd00::2", "ff02::1:ff00:1", NS, 0, "fd00::1",
		WIRE_ND_SOURCE_MAC, rig_peer_mac));
	assert_advertisement(0, "fd00::2", "fd00::1", WIRE_ND_SOLICITED | WIRE_ND_OVERRIDE);
	assert_int_equal(rig_stop(), 0);
}

static void an_address_that_another_station_has_is_given_up(void)
{
	struct ip_addr own = rig_addr("fd00::1");

	for (unsigned by_probe = 0; by_probe < 2; by_probe++) {
		test_eal_init();
		rig_start6();
		rig_at(0);
		if (by_probe)
			rig_nd(&frame, "::", "ff02::1:ff00:1", NS, 0, "fd00::1", 0, NULL);
		else
			rig_nd(&frame, "fd00::1", "ff02::1", NA, WIRE_ND_OVERRIDE, "fd00::1",
				WIRE_ND_TARGET_MAC, rig_peer_mac);
		rig_receive(&frame);
		assert_int_equal(rig.stats.nd_drop_conflict, 1);
		assert_int_equal(rig.stats.nd_duplicates, 1);
		assert_false(net_owns(rig.net, &own));
		rig_at(3 * RIG_SECOND);
		rig.n_sent = 0;
		rig_receive(rig_nd(&frame, "fd00::2", "ff02::1:ff00:1", NS, 0, "fd00::1",
			WIRE_ND_SOURCE_MAC, rig_peer_mac));
		assert_int_equal(rig.stats.nd_drop_not_ours, 1);
		assert_int_equal(rig.n_sent, 0);
		assert_int_equal(rig_stop(), 0);
	}
}

static void once_checked_an_address_is_defended_and_kept(void)
{
	struct ip_addr own = rig_addr("fd00::1");

	start_quiet();
	rig_receive(rig_nd(&frame, "::", "ff02::1:ff00:1", NS, 0, "fd00::1", 0, NULL));
	assert_advertisement(0, "ff02::1", "fd00::1", WIRE_ND_OVERRIDE);
	rig_receive(rig_nd(&frame, "fe80::2", "ff02::1", NA, WIRE_ND_OVERRIDE, "fd00::1",
		WIRE_ND_TARGET_MAC, other_mac));
	assert_int_equal(rig.stats.nd_drop_conflict, 2);
	assert_int_equal(rig.stats.nd_duplicates, 0);
	assert_true(net_owns(rig.net, &own));
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(rig_stop(), 0);
}

static void a_quiet_net_learns_but_neither_checks_nor_answers(void)
{
	test_eal_init();
	rig_start6();
	rig.net->quiet = true;
	rig_at(0);
	assert_int_equal(rig.n_sent, 2); // both gateways
	rig_at(RIG_SECOND / 2);
	rig_receive(rig_nd(&frame, "fd00::2", "ff02::1:ff00:1", NS, 0, "fd00::1",
		WIRE_ND_SOURCE_MAC, rig_peer_mac));
	assert_int_equal(rig.n_sent, 2);
	assert_int_equal(peer()->state, NEIGH_STALE);
	rig_at(2 * RIG_SECOND + 5000);
	assert_int_equal(rig.stats.nd_announcements_sent, 0);
	assert_int_equal(rig_stop(), 0);
}

// --- neighbours

static void packets_wait_for_an_unknown_neighbour_and_leave_in_order(void)
{
	start_quiet();
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(send_to("fd00::2"), 0);
	assert_int_equal(rig.n_sent, 1);
	assert_solicitation(0, "fd00::1", "ff02::1:ff00:2", "fd00::2");
	assert_int_equal(option_of(0)->kind, WIRE_ND_SOURCE_MAC);
	assert_memory_equal(option_of(0)->mac, rig_own_mac, 6);
	assert_int_equal(rig.stats.neigh_drop_queue, 1);

	peer_advertises(rig_peer_mac, WIRE_ND_SOLICITED);
	assert_int_equal(rig.n_sent, 4);
	for (unsigned i = 1; i < 4; i++) {
		assert_memory_equal(rig.sent[i].data, rig_peer_mac, 6);
		assert_int_equal(rig_sent_ip6(i)->payload_len, rte_cpu_to_be_16(20));
		assert_int_equal(rig_sent_ip6(i)->hop_limits, 64);
	}
	assert_int_equal(rig_stop(), 0);
}

static void an_unanswered_neighbour_fails_after_three_questions(void)
{
	struct ip_addr to = rig_addr("fd00::2");

	start_quiet();
	assert_int_equal(send_to("fd00::2"), 0);
	rig_at(4 * RIG_SECOND + 2000);
	rig_at(5 * RIG_SECOND + 4000);
	assert_int_equal(rig.n_sent, 3);
	rig_at(6 * RIG_SECOND + 6000);
	assert_int_equal(rig.n_sent, 3);
	assert_int_equal(rig.tcp.n_unreachable, 1);
	assert_true(ip_addr_equal(&rig.tcp.unreachable, &to));
	assert_int_equal(send_to("fd00::2"), -EHOSTUNREACH);
	// What comes now answers nothing.
	peer_advertises(rig_peer_mac, WIRE_ND_SOLICITED);
	assert_int_equal(rig.stats.nd_drop_unasked, 1);
	assert_int_equal(rig_stop(), 0);
}

static void a_stale_neighbour_is_probed_where_it_was_then_sought_everywhere(void)
{
	start_quiet();
	find_peer();
	rig_at(40 * RIG_SECOND);
	assert_int_equal(send_to("fd00::2"), 0);
	assert_int_equal(rig.n_sent, 2);
	assert_solicitation(0, "fd00::1", "fd00::2", "fd00::2");
	assert_memory_equal(rig.sent[0].data, rig_peer_mac, 6);
	for (unsigned s = 41; s <= 43; s++)
		rig_at(s * RIG_SECOND + (s - 40) * 5000);
	assert_int_equal(rig.n_sent, 5);
	assert_solicitation(4, "fd00::1", "ff02::1:ff00:2", "fd00::2");
	peer_advertises(other_mac, WIRE_ND_SOLICITED | WIRE_ND_OVERRIDE);
	assert_int_equal(peer()->state, NEIGH_REACHABLE);
	assert_memory_equal(peer()->mac, other_mac, 6);
	assert_int_equal(rig_stop(), 0);
}

static void remote_destinations_share_the_gateway(void)
{
	struct ip_addr to = rig_addr("2001:db8::7"), to4 = rig_addr("192.0.2.1"), src;
	uint16_t mtu;

	start_quiet();
	assert_int_equal(send_to("2001:db8::7"), 0);
	assert_int_equal(send_to("2001:db8:1::7"), 0);
	assert_int_equal(rig.n_sent, 2);
	assert_memory_equal(rig.sent[1].data, other_mac, 6);
	assert_true(net_route(rig.net, &to, &src, &mtu));
	assert_true(ip_addr_equal(&src, &rig.iface->addresses[1].addr));
	assert_true(net_route(rig.net, &to4, &src, &mtu));
	assert_int_equal(ip_addr_v4(&src), rig_ip("10.0.0.1"));
	// Nobody's: which link it would be on is not said.
	to = rig_addr("fe80::9");
	assert_false(net_route(rig.net, &to, &src, &mtu));
	assert_int_equal(send_to("fe80::9"), 0 - EHOSTUNREACH);
	assert_int_equal(rig.stats.ip6_drop_no_route, 1);
	assert_int_equal(rig_stop(), 0);
}

static void ipv4_takes_no_ipv6_default_route(void)
{
	struct iface_config c = {
		.name = "six", .mtu = 1500, .n_addresses = 1, .transmit = take_sent};
	struct net_config config = {
		.stats = &rig.stats, .secret = {1, 2}
        };
	struct ip_addr to4 = rig_addr("192.0.2.1"), to6 = rig_addr("2001:db8::7"), src;
	uint16_t mtu;
	struct net *net;

	start_quiet();
	config.mbufs = rig.pool;
	net = net_new(&config, RIG_START);
	c.addresses[0] = rig_addr("fd01::1");
	c.prefix_len[0] = 64;
	c.gateway = rig_addr("fe80::1");
	assert_non_null(net_add_iface(net, &c));
	assert_false(net_route(net, &to4, &src, &mtu));
	assert_true(net_route(net, &to6, &src, &mtu));
	// The gateway's own scope does not decide which address the world sees.
	assert_true(ip_addr_equal(&src, &c.addresses[0]));
	net_free(&net);
	assert_int_equal(rig_stop(), 0);
}

// RFC 4861, 7.2.5, row by row.
static void an_advertisement_changes_what_its_flags_allow(void)
{
	static const struct {
		uint32_t flags;
		bool other; // says another address than the known one
		bool none;  // or none at all
		int state;  // afterwards, from REACHABLE
		bool moved;
	} cases[] = {
		{0,				    false, false, NEIGH_REACHABLE, false},
		{WIRE_ND_SOLICITED,                    false, false, NEIGH_REACHABLE, false},
		{WIRE_ND_OVERRIDE,                     false, false, NEIGH_REACHABLE, false},
		{WIRE_ND_SOLICITED,                    false, true,  NEIGH_REACHABLE, false},
		{0,				    true,  false, NEIGH_STALE,     false},
		{WIRE_ND_SOLICITED,                    true,  false, NEIGH_STALE,     false},
		{WIRE_ND_OVERRIDE,                     true,  false, NEIGH_STALE,     true },
		{WIRE_ND_SOLICITED | WIRE_ND_OVERRIDE, true,  false, NEIGH_REACHABLE, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start_quiet();
		find_peer();
		peer_advertises(cases[i].none    ? NULL
				: cases[i].other ? other_mac
						 : rig_peer_mac,
			cases[i].flags);
		assert_int_equal(peer()->state, cases[i].state);
		assert_memory_equal(peer()->mac, cases[i].moved ? other_mac : rig_peer_mac, 6);
		assert_int_equal(rig.stats.neigh_changed, cases[i].moved);
		assert_int_equal(rig.stats.nd_drop_override, cases[i].other && !cases[i].moved);
		assert_int_equal(rig_stop(), 0);
	}
}

static void an_unasked_or_empty_advertisement_makes_no_entry(void)
{
	start_quiet();
	peer_advertises(rig_peer_mac, WIRE_ND_SOLICITED | WIRE_ND_OVERRIDE);
	assert_int_equal(rig.stats.nd_drop_unasked, 1);
	assert_null(peer());
	send_to("fd00::2");
	peer_advertises(NULL, WIRE_ND_SOLICITED);
	assert_int_equal(rig.stats.nd_drop_malformed, 1);
	assert_int_equal(peer()->state, NEIGH_ASKING);
	// Unsolicited, it tells where the neighbour is and not that it hears us.
	peer_advertises(rig_peer_mac, 0);
	assert_int_equal(peer()->state, NEIGH_STALE);
	assert_int_equal(rig_stop(), 0);
}

static void a_question_for_us_introduces_the_asker_and_one_for_others_does_not(void)
{
	start_quiet();
	rig_receive(rig_nd(&frame, "fd00::2", "ff02::1:ff00:1", NS, 0, "fd00:0:0:0:1::1",
		WIRE_ND_SOURCE_MAC, rig_peer_mac));
	assert_int_equal(rig.stats.nd_drop_not_ours, 1);
	assert_null(peer());
	rig_receive(rig_nd(&frame, "fe80::2", "ff02::1:ff00:1", NS, 0, "fe80::ff:fe00:1",
		WIRE_ND_SOURCE_MAC, rig_peer_mac));
	assert_advertisement(0, "fe80::2", "fe80::ff:fe00:1", WIRE_ND_SOLICITED | WIRE_ND_OVERRIDE);
	// A probe needs no option from whom we know.
	rig_receive(
		rig_nd(&frame, "fe80::2", "fe80::ff:fe00:1", NS, 0, "fe80::ff:fe00:1", 0, NULL));
	assert_int_equal(rig.stats.nd_advertisements_sent, 2);
	assert_memory_equal(rig.sent[1].data, rig_peer_mac, 6);
	assert_int_equal(rig_stop(), 0);
}

static void answers_are_limited_in_rate(void)
{
	start_quiet();
	for (unsigned i = 0; i < 300; i++)
		rig_receive(rig_nd(&frame, "fd00::2", "ff02::1:ff00:1", NS, 0, "fd00::1",
			WIRE_ND_SOURCE_MAC, rig_peer_mac));
	assert_int_equal(rig.stats.nd_advertisements_sent, 256);
	assert_int_equal(rig.stats.nd_drop_rate, 44);
	assert_int_equal(rig_stop(), 0);
}

// --- refusals

static struct wire_nd *nd_of(void)
{
	return (struct wire_nd *)(void *)(rig_ip6_of(&frame) + 1);
}
static void passed_on(void)
{
	rig_ip6_of(&frame)->hop_limits = 254;
}
static void with_a_code(void)
{
	nd_of()->icmp.code = 1;
}
static void cut(void)
{
	rig_ip6_of(&frame)->payload_len = RTE_BE16(23);
}
static void option_of_no_length(void)
{
	frame.data[frame.len - 7] = 0;
}
static void option_beyond(void)
{
	frame.data[frame.len - 7] = 2;
}
static void about_a_group(void)
{
	nd_of()->target[0] = 0xff;
}
static void from_a_group_mac(void)
{
	frame.data[frame.len - 6] |= 1;
}
static void from_our_mac(void)
{
	memcpy(frame.data + frame.len - 6, rig_own_mac, 6);
}
static void from_off_link(void)
{
	struct ip_addr a = rig_addr("2001:db8::2");

	memcpy(rig_ip6_of(&frame)->src_addr, a.b, 16);
}
static void from_an_unknown_without_option(void)
{
	rig_nd(&frame, "fd00::9", "ff02::1:ff00:1", NS, 0, "fd00::1", 0, NULL);
}
static void check_with_option(void)
{
	rig_nd(&frame, "::", "ff02::1:ff00:1", NS, 0, "fd00::1", WIRE_ND_SOURCE_MAC, rig_peer_mac);
}
static void check_to_everybody(void)
{
	rig_nd(&frame, "::", "ff02::1", NS, 0, "fd00::1", 0, NULL);
}
static void solicited_to_a_group(void)
{
	rig_nd(&frame, "fd00::2", "ff02::1", NA, WIRE_ND_SOLICITED, "fd00::2", WIRE_ND_TARGET_MAC,
		rig_peer_mac);
}
static void advertised_by_nobody(void)
{
	rig_nd(&frame, "::", "ff02::1", NA, 0, "fd00::2", WIRE_ND_TARGET_MAC, rig_peer_mac);
}
static void advertised_at_a_group(void)
{
	rig_nd(&frame, "fd00::2", "ff02::1", NA, 0, "fd00::2", WIRE_ND_TARGET_MAC,
		rig_broadcast_mac);
}
static void by_a_router(void)
{
	rig_nd(&frame, "fe80::2", "ff02::1", WIRE_ICMP6_ROUTER_ADVERTISEMENT, 0, "::", 0, NULL);
}

static void each_fault_is_dropped_with_its_reason(void)
{
#define COUNTER(name) offsetof(struct dataplane_stats, name)
	static const struct {
		void (*spoil)(void);
		size_t counter;
	} cases[] = {
		{passed_on,                      COUNTER(nd_drop_hop_limit)},
		{with_a_code,                    COUNTER(nd_drop_malformed)},
		{cut,			    COUNTER(nd_drop_malformed)},
		{option_of_no_length,            COUNTER(nd_drop_malformed)},
		{option_beyond,                  COUNTER(nd_drop_malformed)},
		{about_a_group,                  COUNTER(nd_drop_malformed)},
		{from_a_group_mac,               COUNTER(nd_drop_sender)   },
		{from_our_mac,                   COUNTER(nd_drop_sender)   },
		{from_off_link,                  COUNTER(nd_drop_sender)   },
		{from_an_unknown_without_option, COUNTER(nd_drop_sender)   },
		{check_with_option,              COUNTER(nd_drop_malformed)},
		{check_to_everybody,             COUNTER(nd_drop_malformed)},
		{solicited_to_a_group,           COUNTER(nd_drop_malformed)},
		{advertised_by_nobody,           COUNTER(nd_drop_sender)   },
		{advertised_at_a_group,          COUNTER(nd_drop_sender)   },
		{by_a_router,                    COUNTER(nd_drop_router)   },
	};

	start_quiet();
	find_peer();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t *counter =
			(const uint64_t *)(const void *)((const uint8_t *)&rig.stats
				+ cases[i].counter);
		uint64_t before = *counter;

		rig_nd(&frame, "fd00::9", "ff02::1:ff00:1", NS, 0, "fd00::1", WIRE_ND_SOURCE_MAC,
			other_mac);
		cases[i].spoil();
		rig_fix_icmp6_sum(&frame);
		rig_receive(&frame);
		if (*counter != before + 1)
			fail_msg("case %zu was not dropped for its reason", i);
	}
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig.stats.neigh_entries, 3); // the gateways and the peer
	assert_int_equal(peer()->state, NEIGH_REACHABLE);
	assert_int_equal(rig_stop(), 0);
}

static void an_empty_pool_costs_the_question_and_not_the_neighbour(void)
{
	struct rte_mbuf *all[600], *m;
	struct ip_addr from = rig_addr("fd00::1"), to = rig_addr("fd00::2");
	unsigned n = 0;

	start_quiet();
	m = rte_pktmbuf_alloc(rig.pool);
	rte_pktmbuf_append(m, 20);
	while ((all[n] = rte_pktmbuf_alloc(rig.pool)) != NULL)
		n++;
	assert_int_equal(net_output(rig.net, m, &from, &to, IPPROTO_TCP, rig.now_us), 0);
	net_run(rig.net, rig.now_us);
	assert_int_equal(rig.stats.net_no_buffer, 1);
	assert_int_equal(rig.n_sent, 0);
	rte_pktmbuf_free_bulk(all, n);
	rig_at(4 * RIG_SECOND + 5000);
	assert_solicitation(0, "fd00::1", "ff02::1:ff00:2", "fd00::2");
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(addresses_are_checked_and_then_announced),
	TEST(while_it_is_checked_an_address_works_but_overrides_nobody),
	TEST(an_address_that_another_station_has_is_given_up),
	TEST(once_checked_an_address_is_defended_and_kept),
	TEST(a_quiet_net_learns_but_neither_checks_nor_answers),
	TEST(packets_wait_for_an_unknown_neighbour_and_leave_in_order),
	TEST(an_unanswered_neighbour_fails_after_three_questions),
	TEST(a_stale_neighbour_is_probed_where_it_was_then_sought_everywhere),
	TEST(remote_destinations_share_the_gateway), TEST(ipv4_takes_no_ipv6_default_route),
	TEST(an_advertisement_changes_what_its_flags_allow),
	TEST(an_unasked_or_empty_advertisement_makes_no_entry),
	TEST(a_question_for_us_introduces_the_asker_and_one_for_others_does_not),
	TEST(answers_are_limited_in_rate), TEST(each_fault_is_dropped_with_its_reason),
	TEST(an_empty_pool_costs_the_question_and_not_the_neighbour))
