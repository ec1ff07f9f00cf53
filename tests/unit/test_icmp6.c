// ICMPv6: pings, and errors about our own segments.

#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <netinet/in.h>

static struct rig_frame frame;

static void start(void)
{
	test_eal_init();
	rig_start6_quiet();
}

static void an_echo_comes_back_as_it_was(void)
{
	// An odd length, so that the checksum has a half word at its end.
	static const uint8_t body[] = "the quick brown fox jumps over it.";
	struct ip_addr from = rig_addr("fd00::1"), to = rig_addr("fd00::2");
	struct wire_icmp6 *reply;

	start();
	rig_receive(rig_icmp6(&frame, "fd00::2", "fd00::1", WIRE_ICMP6_ECHO_REQUEST, 0x12340007,
		body, sizeof(body)));
	assert_int_equal(rig.stats.icmp6_echo_replies, 1);
	reply = rig_sent_icmp6(0);
	assert_int_equal(reply->type, WIRE_ICMP6_ECHO_REPLY);
	assert_int_equal(reply->word, RTE_BE32(0x12340007));
	assert_memory_equal(reply + 1, body, sizeof(body));
	assert_memory_equal(rig_sent_ip6(0)->src_addr, from.b, 16);
	assert_memory_equal(rig_sent_ip6(0)->dst_addr, to.b, 16);
	assert_int_equal(rig_stop(), 0);
}

static void a_link_local_ping_is_answered_on_its_link(void)
{
	struct ip_addr from = rig_addr("fe80::ff:fe00:1");

	start();
	rig_receive(rig_icmp6(
		&frame, "fe80::2", "fe80::ff:fe00:1", WIRE_ICMP6_ECHO_REQUEST, 1, "x", 1));
	assert_int_equal(rig.n_sent, 1); // who is it
	rig_receive(rig_nd(&frame, "fe80::2", "fe80::ff:fe00:1", WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT,
		WIRE_ND_SOLICITED, "fe80::2", WIRE_ND_TARGET_MAC, rig_peer_mac));
	assert_int_equal(rig_sent_icmp6(1)->type, WIRE_ICMP6_ECHO_REPLY);
	assert_memory_equal(rig_sent_ip6(1)->src_addr, from.b, 16);
	assert_int_equal(rig_stop(), 0);
}

static void pings_to_groups_and_from_nobody_are_not_answered(void)
{
	start();
	rig_receive(rig_icmp6(&frame, "fd00::2", "ff02::1", WIRE_ICMP6_ECHO_REQUEST, 1, "x", 1));
	assert_int_equal(rig.stats.icmp6_drop_group, 1);
	rig_receive(rig_icmp6(&frame, "::", "ff02::1", WIRE_ICMP6_ECHO_REQUEST, 1, "x", 1));
	assert_int_equal(rig.stats.ip6_drop_source, 1);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig_stop(), 0);
}

static void echoes_are_limited_in_rate(void)
{
	start();
	for (unsigned i = 0; i < 1005; i++)
		rig_receive(rig_icmp6(
			&frame, "fd00::2", "fd00::1", WIRE_ICMP6_ECHO_REQUEST, i, "x", 1));
	assert_int_equal(rig.stats.icmp6_echo_replies, 1000);
	assert_int_equal(rig.stats.icmp6_drop_rate, 5);
	assert_int_equal(rig_stop(), 0);
}

struct quote {
	struct rte_ipv6_hdr ip;
	uint8_t transport[8];
};

// A segment of ours, fd00::1 port 16384 to 2001:db8::9 port 443 at sequence 0x01020304.
static struct quote quote(void)
{
	struct quote q = {
		.ip = {.vtc_flow = RTE_BE32(0x60000000), .proto = IPPROTO_TCP, .hop_limits = 60},
		.transport = { 0x40, 0, 0x01, 0xbb, 1, 2, 3, 4},
	};
	struct ip_addr src = rig_addr("fd00::1"), dst = rig_addr("2001:db8::9");

	memcpy(q.ip.src_addr, src.b, 16);
	memcpy(q.ip.dst_addr, dst.b, 16);
	return q;
}

static void error(uint8_t type, uint32_t word, const struct quote *q, size_t len)
{
	rig_receive(rig_icmp6(&frame, "2001:db8::fe", "fd00::1", type, word, q, len));
}

static void errors_about_our_segments_reach_tcp(void)
{
	struct quote q = quote();
	struct ip_addr local = rig_addr("fd00::1"), remote = rig_addr("2001:db8::9");

	start();
	error(WIRE_ICMP6_TOO_BIG, 1280, &q, sizeof(q));
	assert_int_equal(rig.tcp.n_errors, 1);
	assert_int_equal(rig.tcp.error_kind, TCP_ICMP_TOO_BIG);
	assert_int_equal(rig.tcp.mtu, 1280);
	assert_int_equal(rig.tcp.seq, 0x01020304);
	assert_true(ip_addr_equal(&rig.tcp.local.addr, &local));
	assert_true(ip_addr_equal(&rig.tcp.remote.addr, &remote));
	assert_int_equal(rig.tcp.local.port, 16384);
	assert_int_equal(rig.tcp.remote.port, 443);
	error(WIRE_ICMP6_TOO_BIG, 100000, &q, sizeof(q));
	assert_int_equal(rig.tcp.mtu, 65535);
	assert_int_equal(rig.stats.icmp6_too_big_received, 2);
	error(WIRE_ICMP6_UNREACHABLE, 0, &q, sizeof(q));
	assert_int_equal(rig.tcp.error_kind, TCP_ICMP_UNREACHABLE);
	assert_int_equal(rig.stats.icmp6_unreachable_received, 1);
	assert_int_equal(rig_stop(), 0);
}

static void what_is_wrong_is_dropped_with_its_reason(void)
{
	struct quote q = quote();
	struct ip_addr other = rig_addr("fd00::3");

	start();
	error(WIRE_ICMP6_TOO_BIG, 1279, &q, sizeof(q));
	assert_int_equal(rig.stats.icmp6_drop_mtu, 1);
	error(WIRE_ICMP6_TOO_BIG, 1280, &q, sizeof(q) - 1);
	assert_int_equal(rig.stats.icmp6_drop_short, 1);
	q.ip.proto = IPPROTO_UDP;
	error(WIRE_ICMP6_TOO_BIG, 1280, &q, sizeof(q));
	q = quote();
	q.ip.vtc_flow = RTE_BE32(0x40000000);
	error(WIRE_ICMP6_UNREACHABLE, 0, &q, sizeof(q));
	q = quote();
	memcpy(q.ip.src_addr, other.b, 16);
	error(WIRE_ICMP6_UNREACHABLE, 0, &q, sizeof(q));
	assert_int_equal(rig.stats.icmp6_drop_quote, 3);

	q = quote();
	error(WIRE_ICMP6_TIME_EXCEEDED, 0, &q, sizeof(q));
	error(WIRE_ICMP6_ECHO_REPLY, 0, &q, sizeof(q));
	error(137, 0, &q, sizeof(q)); // redirect
	assert_int_equal(rig.stats.icmp6_drop_type, 3);

	rig_icmp6(&frame, "fd00::2", "fd00::1", WIRE_ICMP6_ECHO_REQUEST, 1, "x", 1);
	frame.data[frame.len - 1] ^= 1;
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp6_drop_checksum, 1);
	rig_receive(rig_ip6(&frame, "fd00::2", "fd00::1", IPPROTO_ICMPV6, "\x80\0\0\0\0\0\0", 7));
	assert_int_equal(rig.stats.icmp6_drop_short, 2);
	assert_int_equal(rig.tcp.n_errors, 0);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(an_echo_comes_back_as_it_was), TEST(a_link_local_ping_is_answered_on_its_link),
	TEST(pings_to_groups_and_from_nobody_are_not_answered), TEST(echoes_are_limited_in_rate),
	TEST(errors_about_our_segments_reach_tcp), TEST(what_is_wrong_is_dropped_with_its_reason))
