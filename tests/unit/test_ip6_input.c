// What IPv6 lets through, for which reason it drops the rest, and whom it tells.

#include "dataplane/net/ip6_chain.h"
#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <netinet/in.h>

static struct rig_frame frame;
static uint8_t payload[1400];

static void start(void)
{
	test_eal_init();
	rig_start6_quiet();
}

static void receive_from(const char *src, const char *dst, uint8_t next, size_t len)
{
	rig_receive(rig_ip6(&frame, src, dst, next, payload, len));
}

// The frame with 'n' more bytes at 'at' of its payload.
static void receive_chain(uint8_t first, const void *headers, size_t len)
{
	rig_ip6(&frame, "fd00::2", "fd00::1", first, headers, len);
	rig_append(&frame, payload, 20);
	rig_ip6_of(&frame)->payload_len = rte_cpu_to_be_16((uint16_t)(len + 20));
	rig_receive(&frame);
}

// The last frame sent is an ICMPv6 error to the peer about the packet that came in 'frame'.
static void assert_reported(uint8_t type, uint8_t code, uint32_t word)
{
	struct wire_icmp6 *icmp = rig_sent_icmp6(rig.n_sent - 1);
	struct rte_ipv6_hdr *ip = rig_sent_ip6(rig.n_sent - 1);
	struct ip_addr to = rig_addr("fd00::2");

	assert_int_equal(icmp->type, type);
	assert_int_equal(icmp->code, code);
	assert_int_equal(icmp->word, rte_cpu_to_be_32(word));
	assert_memory_equal(ip->dst_addr, to.b, 16);
	assert_memory_equal(icmp + 1, rig_ip6_of(&frame), 40);
}

static void a_segment_reaches_tcp_without_headers_and_padding(void)
{
	struct ip_addr src = rig_addr("fd00::2"), dst = rig_addr("fd00::1");

	start();
	rig_ip6(&frame, "fd00::2", "fd00::1", IPPROTO_TCP, payload, 20);
	rig_append(&frame, payload, 6);
	rig_receive(&frame);
	assert_int_equal(rig.tcp.n_segments, 1);
	assert_int_equal(rig.tcp.segment.len, 20);
	assert_true(ip_addr_equal(&rig.tcp.src, &src));
	assert_true(ip_addr_equal(&rig.tcp.dst, &dst));
	assert_int_equal(rig_stop(), 0);
}

static void known_extension_headers_are_skipped(void)
{
	// Hop-by-hop with a router alert and padding, options with Pad1 and an unknown one that may be
	// skipped, a routing header of type 0 with nothing left to visit.
	static const uint8_t hop[] = {IPPROTO_DSTOPTS, 0, 5, 2, 0, 0, 1, 0};
	static const uint8_t dst[] = {IPPROTO_ROUTING, 0, 0, 0, 0x1e, 1, 7, 0};
	static const uint8_t routing[] = {IPPROTO_TCP, 0, 0, 0, 0, 0, 0, 0};
	uint8_t all[24];

	start();
	memcpy(all, hop, 8);
	memcpy(all + 8, dst, 8);
	memcpy(all + 16, routing, 8);
	receive_chain(IPPROTO_HOPOPTS, all, sizeof(all));
	assert_int_equal(rig.tcp.n_segments, 1);
	assert_int_equal(rig.tcp.segment.len, 20);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig_stop(), 0);
}

static void as_many_headers_as_are_walked_and_no_more(void)
{
	uint8_t all[(IP6_MAX_HEADERS + 1) * 8] = {0};

	start();
	for (unsigned k = 0; k < IP6_MAX_HEADERS; k++)
		all[k * 8] = IPPROTO_DSTOPTS;
	all[(IP6_MAX_HEADERS - 1) * 8] = IPPROTO_TCP;
	receive_chain(IPPROTO_DSTOPTS, all, IP6_MAX_HEADERS * 8);
	assert_int_equal(rig.tcp.n_segments, 1);

	all[(IP6_MAX_HEADERS - 1) * 8] = IPPROTO_DSTOPTS;
	all[IP6_MAX_HEADERS * 8] = IPPROTO_TCP;
	receive_chain(IPPROTO_DSTOPTS, all, sizeof(all));
	assert_int_equal(rig.tcp.n_segments, 1);
	assert_int_equal(rig.stats.ip6_drop_headers, 1);
	assert_int_equal(rig_stop(), 0);
}

static void bad_headers_are_refused_and_reported_as_the_rfc_says(void)
{
	static const uint8_t routing[] = {IPPROTO_TCP, 0, 0, 1, 0, 0, 0, 0};
	static const uint8_t fragment[] = {IPPROTO_TCP, 0, 0, 1, 0, 0, 0, 7};
	static const uint8_t second_hop[] = {
		IPPROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0, IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0};
	static const uint8_t beyond[] = {IPPROTO_TCP, 9, 1, 4, 0, 0, 0, 0};
	static const uint8_t option_beyond[] = {IPPROTO_TCP, 0, 1, 9, 0, 0, 0, 0};

	start();
	receive_chain(IPPROTO_ROUTING, routing, 8);
	assert_int_equal(rig.stats.ip6_drop_routing, 1);
	assert_reported(WIRE_ICMP6_PARAMETER_PROBLEM, WIRE_ICMP6_BAD_FIELD, 42);
	receive_chain(IPPROTO_DSTOPTS, second_hop, 16);
	assert_int_equal(rig.stats.ip6_drop_headers, 1);
	assert_reported(WIRE_ICMP6_PARAMETER_PROBLEM, WIRE_ICMP6_NEXT_HEADER, 40);
	assert_int_equal(rig.n_sent, 2);

	receive_chain(IPPROTO_FRAGMENT, fragment, 8);
	assert_int_equal(rig.stats.ip6_drop_fragment, 1);
	receive_chain(IPPROTO_DSTOPTS, beyond, 8);
	receive_chain(IPPROTO_DSTOPTS, option_beyond, 8);
	assert_int_equal(rig.stats.ip6_drop_short, 2);
	assert_int_equal(rig.n_sent, 2);
	assert_int_equal(rig.tcp.n_segments, 0);
	assert_int_equal(rig_stop(), 0);
}

static void an_unknown_option_is_handled_by_the_bits_of_its_kind(void)
{
	static const struct {
		uint8_t kind;
		const char *dst;
		bool dropped, reported;
	} cases[] = {
		{0x1e, "fd00::1", false, false},
		{0x5e, "fd00::1", true,  false},
		{0x9e, "fd00::1", true,  true },
		{0xde, "fd00::1", true,  true },
		{0x9e, "ff02::1", true,  true },
		{0xde, "ff02::1", true,  false},
	};
	uint8_t bytes[28] = {IPPROTO_TCP, 0, 1, 0, 0, 2};

	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t dropped = rig.stats.ip6_drop_option;
		unsigned n_sent = rig.n_sent;

		bytes[4] = cases[i].kind;
		rig_receive(rig_ip6(
			&frame, "fd00::2", cases[i].dst, IPPROTO_DSTOPTS, bytes, sizeof(bytes)));
		assert_int_equal(rig.stats.ip6_drop_option - dropped, cases[i].dropped);
		assert_int_equal(rig.n_sent - n_sent, cases[i].reported);
		if (cases[i].reported)
			assert_reported(WIRE_ICMP6_PARAMETER_PROBLEM, WIRE_ICMP6_OPTION, 44);
	}
	assert_int_equal(rig.tcp.n_segments, 1);
	assert_int_equal(rig_stop(), 0);
}

static void errors_are_limited_and_never_answer_errors_or_nobody(void)
{
	static const uint8_t error[16] = {IPPROTO_ICMPV6, 0, 0x9e, 4, 0, 0, 0, 0, 1};

	start();
	receive_from("fd00::2", "fd00::1", 132, 40); // SCTP
	assert_reported(WIRE_ICMP6_PARAMETER_PROBLEM, WIRE_ICMP6_NEXT_HEADER, 6);
	receive_from("fd00::2", "fd00::1", IPPROTO_UDP, 1400);
	assert_reported(WIRE_ICMP6_UNREACHABLE, WIRE_ICMP6_PORT_UNREACHABLE, 0);
	assert_int_equal(rig.sent[rig.n_sent - 1].len, 14 + 1280);
	assert_int_equal(rig.stats.icmp6_errors_sent, 2);

	receive_from("fd00::2", "fd00::1", IPPROTO_NONE, 8);
	receive_from("fd00::2", "ff02::1", IPPROTO_UDP, 8);
	rig_receive(rig_ip6(&frame, "fd00::2", "fd00::1", IPPROTO_DSTOPTS, error, sizeof(error)));
	assert_int_equal(rig.stats.icmp6_errors_sent, 2);
	assert_int_equal(rig.stats.ip6_drop_protocol, 4);
	assert_int_equal(rig.stats.ip6_drop_option, 1);
	for (unsigned i = 0; i < 1100; i++)
		receive_from("fd00::2", "fd00::1", IPPROTO_UDP, 8);
	assert_int_equal(rig.stats.icmp6_errors_sent, 1000);
	assert_int_equal(rig.stats.icmp6_drop_rate, 102);
	assert_int_equal(rig_stop(), 0);
}

static void an_empty_pool_costs_the_report_only(void)
{
	struct rte_mbuf *all[600], *m;
	unsigned n = 0;

	start();
	rig_ip6(&frame, "fd00::2", "fd00::1", IPPROTO_UDP, payload, 8);
	m = rte_pktmbuf_alloc(rig.pool);
	memcpy(rte_pktmbuf_append(m, (uint16_t)frame.len), frame.data, frame.len);
	while ((all[n] = rte_pktmbuf_alloc(rig.pool)) != NULL)
		n++;
	net_input(rig.net, rig.iface, &m, 1, rig.now_us);
	assert_int_equal(rig.stats.net_no_buffer, 1);
	assert_int_equal(rig.stats.icmp6_errors_sent, 0);
	rte_pktmbuf_free_bulk(all, n);
	assert_int_equal(rig_stop(), 0);
}

// Each makes one thing wrong with a good segment.
static void cut_ip(void)
{
	frame.len = 14 + 39;
}
static void version_4(void)
{
	rig_ip6_of(&frame)->vtc_flow = RTE_BE32(0x40000000);
}
static void empty(void)
{
	rig_ip6_of(&frame)->payload_len = 0;
}
static void beyond_the_frame(void)
{
	rig_ip6_of(&frame)->payload_len = RTE_BE16(21);
}
static void set_source(const char *text)
{
	struct ip_addr a = rig_addr(text);

	memcpy(rig_ip6_of(&frame)->src_addr, a.b, 16);
}
static void from_nowhere(void)
{
	set_source("::");
}
static void from_loopback(void)
{
	set_source("::1");
}
static void from_a_group(void)
{
	set_source("ff02::1");
}
static void from_mapped_ipv4(void)
{
	set_source("::ffff:10.0.0.2");
}
static void from_compatible_ipv4(void)
{
	set_source("::10.0.0.2");
}
static void from_our_own_address(void)
{
	set_source("fd00::1");
}
static void from_link_local(void)
{
	set_source("fe80::2");
}
static void set_destination(const char *text)
{
	struct ip_addr a = rig_addr(text);

	memcpy(rig_ip6_of(&frame)->dst_addr, a.b, 16);
}
static void to_another_host(void)
{
	set_destination("fd00::3");
}
static void to_our_mapped_ipv4(void)
{
	set_destination("::ffff:10.0.0.1");
}
static void to_our_link_local(void)
{
	set_destination("fe80::ff:fe00:1");
}
static void to_all_nodes_in_our_frame(void)
{
	set_destination("ff02::1");
}
static void in_a_group_frame(void)
{
	memcpy(frame.data, "\x33\x33\x00\x00\x00\x01", 6);
}
static void to_all_nodes(void)
{
	in_a_group_frame();
	to_all_nodes_in_our_frame();
}
static void to_another_group(void)
{
	memcpy(frame.data, "\x33\x33\x00\x00\x00\xfb", 6);
	set_destination("ff02::fb");
}
static void to_a_group_of_the_frame_only(void)
{
	memcpy(frame.data, "\x33\x33\xff\x00\x00\x01", 6);
	to_all_nodes_in_our_frame();
}
static void to_everybody(void)
{
	memset(frame.data, 0xff, 6);
}

static void each_fault_is_dropped_with_its_reason(void)
{
#define COUNTER(name) offsetof(struct dataplane_stats, name)
	static const struct {
		void (*spoil)(void);
		size_t counter;
	} cases[] = {
		{cut_ip,                       COUNTER(ip6_drop_short)    },
		{version_4,                    COUNTER(ip6_drop_version)  },
		{empty,			COUNTER(ip6_drop_length)   },
		{beyond_the_frame,             COUNTER(ip6_drop_truncated)},
		{from_nowhere,                 COUNTER(ip6_drop_source)   },
		{from_loopback,                COUNTER(ip6_drop_source)   },
		{from_a_group,                 COUNTER(ip6_drop_source)   },
		{from_mapped_ipv4,             COUNTER(ip6_drop_source)   },
		{from_compatible_ipv4,         COUNTER(ip6_drop_source)   },
		{from_our_own_address,         COUNTER(ip6_drop_source)   },
		{from_link_local,              COUNTER(ip6_drop_scope)    },
		{to_another_host,              COUNTER(ip6_drop_not_ours) },
		{to_our_mapped_ipv4,           COUNTER(ip6_drop_not_ours) },
		{to_our_link_local,            COUNTER(ip6_drop_scope)    },
		{to_all_nodes_in_our_frame,    COUNTER(ip6_drop_scope)    },
		{to_all_nodes,                 COUNTER(ip6_drop_scope)    },
		{in_a_group_frame,             COUNTER(eth_drop_not_ours) },
		{to_another_group,             COUNTER(eth_drop_not_ours) },
		{to_a_group_of_the_frame_only, COUNTER(eth_drop_not_ours) },
		{to_everybody,                 COUNTER(eth_drop_not_ours) },
	};

	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t *counter =
			(const uint64_t *)(const void *)((const uint8_t *)&rig.stats
				+ cases[i].counter);
		uint64_t before = *counter;

		rig_ip6(&frame, "fd00::2", "fd00::1", IPPROTO_TCP, payload, 20);
		cases[i].spoil();
		rig_receive(&frame);
		if (*counter != before + 1 || rig.tcp.n_segments != 0)
			fail_msg("case %zu was not dropped for its reason", i);
	}
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig_stop(), 0);
}

static void a_net_without_ipv6_addresses_takes_none(void)
{
	test_eal_init();
	rig_start();
	rig_at(0);
	receive_from("fd00::2", "fd00::1", IPPROTO_TCP, 20);
	assert_int_equal(rig.stats.ip6_drop_not_ours, 1);
	receive_from("fd00::2", "ff02::1", IPPROTO_TCP, 20);
	assert_int_equal(rig.stats.eth_drop_not_ours, 1);
	assert_int_equal(rig_stop(), 0);
}

static void addresses_and_gateways_are_checked_by_family(void)
{
	struct iface_config c = {.name = "second", .mtu = 1500, .transmit = take_sent};

	start();
	c.n_addresses = 1;
	c.addresses[0] = rig_addr("ff02::1");
	c.prefix_len[0] = 64;
	assert_null(net_add_iface(rig.net, &c));
	c.addresses[0] = rig_addr("2001:db8::1");
	c.prefix_len[0] = 129;
	assert_null(net_add_iface(rig.net, &c));
	c.prefix_len[0] = 128;
	c.gateway = rig_addr("fe80::1");
	c.gateway6 = rig_addr("fe80::2");
	assert_null(net_add_iface(rig.net, &c));
	c.gateway6 = rig_addr("ff02::2");
	assert_null(net_add_iface(rig.net, &c));
	c.gateway6 = (struct ip_addr){
		.q = {0, 0}
        };
	assert_non_null(net_add_iface(rig.net, &c));
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(a_segment_reaches_tcp_without_headers_and_padding),
	TEST(known_extension_headers_are_skipped), TEST(as_many_headers_as_are_walked_and_no_more),
	TEST(bad_headers_are_refused_and_reported_as_the_rfc_says),
	TEST(an_unknown_option_is_handled_by_the_bits_of_its_kind),
	TEST(errors_are_limited_and_never_answer_errors_or_nobody),
	TEST(an_empty_pool_costs_the_report_only), TEST(each_fault_is_dropped_with_its_reason),
	TEST(a_net_without_ipv6_addresses_takes_none),
	TEST(addresses_and_gateways_are_checked_by_family))
