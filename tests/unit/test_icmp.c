// ICMP: pings, and errors about our own segments.

#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <netinet/in.h>

static struct rig_frame frame;

static void start(void)
{
	test_eal_init();
	rig_start();
	rig_at(0);
	rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.2",
		"10.0.0.1"));
	rig.n_sent = 0;
}

static void message(uint8_t type, uint8_t code, const void *body, size_t len)
{
	uint8_t bytes[1500] = {type, code};
	uint16_t sum;

	memcpy(bytes + 4, body, len);
	sum = (uint16_t)~rte_raw_cksum(bytes, 4 + len);
	memcpy(bytes + 2, &sum, 2);
	rig_ip4(&frame, "10.0.0.2", "10.0.0.1", IPPROTO_ICMP, bytes, 4 + len);
}

static void an_echo_comes_back_as_it_was(void)
{
	// An odd length, so that the checksum has a half word at its end.
	static const uint8_t body[] = "\x12\x34\x00\x07the quick brown fox jumps over it.";
	struct rte_ipv4_hdr *ip;
	const uint8_t *reply;

	start();
	message(8, 0, body, sizeof(body));
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_echo_replies, 1);
	ip = rig_sent_ip4(rig.n_sent - 1);
	reply = (const uint8_t *)(ip + 1);
	assert_int_equal(ip->src_addr, rig_ip("10.0.0.1"));
	assert_int_equal(ip->dst_addr, rig_ip("10.0.0.2"));
	assert_int_equal(rte_be_to_cpu_16(ip->total_length), 20 + 4 + sizeof(body));
	assert_int_equal(reply[0], 0);
	assert_memory_equal(reply + 4, body, sizeof(body));
	assert_int_equal(rte_raw_cksum(reply, 4 + sizeof(body)), 0xffff);
	assert_int_equal(rig_stop(), 0);
}

static void echoes_are_limited_in_rate(void)
{
	start();
	for (unsigned i = 0; i < 1005; i++) {
		message(8, 0, "abcd", 4);
		rig_receive(&frame);
	}
	assert_int_equal(rig.stats.icmp_echo_replies, 1000);
	assert_int_equal(rig.stats.icmp_drop_rate, 5);
	rig_at(10000); // ten more tokens
	for (unsigned i = 0; i < 20; i++) {
		message(8, 0, "abcd", 4);
		rig_receive(&frame);
	}
	assert_int_equal(rig.stats.icmp_echo_replies, 1010);
	assert_int_equal(rig_stop(), 0);
}

struct quote {
	uint8_t unused[2];
	uint8_t mtu[2];
	uint8_t bytes[28]; // IP header and the first eight of TCP's
};

// The body of an error about a segment of ours, 10.0.0.1:16384 to 192.0.2.1:443 at sequence 0x01020304.
static struct quote quote(void)
{
	struct quote q = {
		.mtu = {0x05, 0x14}
        };
	struct rte_ipv4_hdr ip = {
		.version_ihl = 0x45,
		.next_proto_id = IPPROTO_TCP,
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		.src_addr = rig_ip("10.0.0.1"),
		.dst_addr = rig_ip("192.0.2.1"),
	};

	memcpy(q.bytes, &ip, sizeof(ip));
	memcpy(q.bytes + 20, "\x40\x00\x01\xbb\x01\x02\x03\x04", 8);
	return q;
}

static void an_unreachable_reaches_tcp_with_the_quoted_tuple(void)
{
	struct quote q = quote();

	start();
	message(3, 1, &q, sizeof(q));
	rig_receive(&frame);
	assert_int_equal(rig.tcp.n_errors, 1);
	assert_int_equal(rig.tcp.error_kind, TCP_ICMP_UNREACHABLE);
	assert_int_equal(ip_addr_v4(&rig.tcp.local.addr), rig_ip("10.0.0.1"));
	assert_int_equal(rig.tcp.local.port, 16384);
	assert_int_equal(ip_addr_v4(&rig.tcp.remote.addr), rig_ip("192.0.2.1"));
	assert_int_equal(rig.tcp.remote.port, 443);
	assert_int_equal(rig.tcp.seq, 0x01020304);

	message(3, 4, &q, sizeof(q));
	rig_receive(&frame);
	assert_int_equal(rig.tcp.error_kind, TCP_ICMP_TOO_BIG);
	assert_int_equal(rig.tcp.mtu, 1300);
	assert_int_equal(rig.stats.icmp_too_big_received, 1);
	assert_int_equal(rig_stop(), 0);
}

static void bad_messages_are_dropped_with_their_reason(void)
{
	struct quote q = quote();

	start();
	rig_ip4(&frame, "10.0.0.2", "10.0.0.1", IPPROTO_ICMP, "\x08\x00\xf7\xff\x00", 5);
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_drop_short, 1);
	message(8, 0, "abcd", 4);
	frame.data[frame.len - 1] ^= 1;
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_drop_checksum, 1);
	message(5, 1, &q, sizeof(q)); // a redirect
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_drop_type, 1);
	message(0, 0, "abcd", 4); // a reply to nothing
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_drop_type, 2);

	message(3, 1, &q, sizeof(q) - 1); // quotes too little
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_drop_short, 2);
	q.bytes[0] = 0x4f; // the quoted header is longer than the quote
	message(3, 1, &q, sizeof(q));
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_drop_short, 3);
	q = quote();
	q.bytes[9] = IPPROTO_UDP;
	message(3, 1, &q, sizeof(q));
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_drop_quote, 1);
	q = quote();
	q.bytes[15] = 9; // from 10.0.0.9: not ours
	message(3, 1, &q, sizeof(q));
	rig_receive(&frame);
	assert_int_equal(rig.stats.icmp_drop_quote, 2);
	assert_int_equal(rig.tcp.n_errors, 0);
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(an_echo_comes_back_as_it_was), TEST(echoes_are_limited_in_rate),
	TEST(an_unreachable_reaches_tcp_with_the_quoted_tuple),
	TEST(bad_messages_are_dropped_with_their_reason))
