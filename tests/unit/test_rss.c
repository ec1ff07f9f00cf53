// RSS: the hash that NICs compute, and when a NIC is believed to.

#include "dataplane/rss.h"
#include "dataplane/steer.h"
#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <netinet/in.h>
#include <rte_random.h>
#include <rte_thash.h>
#include <stdlib.h>

// Of Microsoft's "Verifying the RSS Hash Calculation".
static const uint8_t known_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77,
	0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static struct ip_endpoint endpoint(const char *address, uint16_t port)
{
	return (struct ip_endpoint){rig_addr(address), port};
}

static void the_hash_is_the_one_that_everybody_computes(void)
{
	static const struct {
		const char *src, *dst;
		uint16_t src_port, dst_port;
		uint32_t hash;
	} cases[] = {
		{"66.9.149.187",                   "161.142.100.80",     2794,  1766,  0x51ccc178},
		{"199.92.111.2",                   "65.69.140.83",       14230, 4739,  0xc626b0ea},
		{"24.19.198.95",                   "12.22.207.184",      12898, 38024, 0x5c2b394a},
		{"3ffe:2501:200:1fff::7",          "3ffe:2501:200:3::1", 2794,  1766,  0x40207d3d},
		{"3ffe:501:8::260:97ff:fe40:efab", "ff02::1",            14230, 4739,  0xdde51bbf},
	};
	static struct rss r;

	rss_init(&r, known_key, sizeof(known_key), 2, 128);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_endpoint src = endpoint(cases[i].src, cases[i].src_port);
		struct ip_endpoint dst = endpoint(cases[i].dst, cases[i].dst_port);

		assert_int_equal(rss_hash(&r, &src, &dst), cases[i].hash);
	}
}

static void the_hash_is_dpdk_s_for_any_key(void)
{
	static struct rss r;

	for (unsigned i = 0; i < 200; i++) {
		uint8_t key_len = i % 2 == 0 ? 40 : 52, key[52];
		struct ip_endpoint src, dst;
		uint32_t tuple[9];

		for (unsigned k = 0; k < sizeof(key); k++)
			key[k] = (uint8_t)rte_rand();
		rss_init(&r, key, key_len, 3, 64);
		for (unsigned k = 0; k < 9; k++)
			tuple[k] = (uint32_t)rte_rand();
		tuple[0] |= 0x20000000; // no embedded IPv4
		for (unsigned k = 0; k < 4; k++) {
			uint32_t be[2] = {htonl(tuple[k]), htonl(tuple[4 + k])};

			memcpy(src.addr.b + 4 * k, &be[0], 4);
			memcpy(dst.addr.b + 4 * k, &be[1], 4);
		}
		src.port = (uint16_t)(tuple[8] >> 16);
		dst.port = (uint16_t)tuple[8];
		assert_int_equal(rss_hash(&r, &src, &dst), rte_softrss(tuple, 9, key));
		src.addr = ip_addr_of_v4(htonl(tuple[0]));
		dst.addr = ip_addr_of_v4(htonl(tuple[1]));
		tuple[2] = tuple[8];
		assert_int_equal(rss_hash(&r, &src, &dst), rte_softrss(tuple, 3, key));
	}
}

// Hashes of different flows are different in this byte, see note_right().
static uint32_t flow(unsigned i)
{
	return i << 24 | (i * 37 & 0xff);
}

static void enough_flows_by_the_right_queues_verify_it(void)
{
	char text[RSS_TEXT_SIZE];
	static struct rss r;

	rss_init(&r, known_key, sizeof(known_key), 4, 128);
	for (unsigned i = 0; i < 10000; i++) // one flow may be luck
		assert_true(rss_check(&r, flow(1), rss_queue(&r, flow(1)), NULL));
	rss_print(&r, text);
	assert_string_equal(text, "rss checking 1/64");
	for (unsigned i = 2; i < 64; i++)
		assert_true(rss_check(&r, flow(i), rss_queue(&r, flow(i)), NULL));
	assert_int_equal(rss_state(&r), RSS_CHECKING);
	assert_true(rss_check(&r, flow(64), rss_queue(&r, flow(64)), NULL));
	assert_int_equal(rss_state(&r), RSS_VERIFIED);
	rss_print(&r, text);
	assert_string_equal(text, "rss verified");
}

static void one_frame_that_is_wrong_ends_it_for_good(void)
{
	for (unsigned how = 0; how < 4; how++) {
		static struct rss r;
		uint32_t hash = flow(70), other = hash ^ 0x100;
		uint16_t queue;
		char text[RSS_TEXT_SIZE];

		rss_init(&r, known_key, sizeof(known_key), 2, 64);
		queue = rss_queue(&r, hash);
		for (unsigned i = 0; i < (how & 1 ? 200 : 20); i++)
			assert_true(rss_check(&r, flow(i), rss_queue(&r, flow(i)), NULL));
		assert_int_equal(rss_state(&r), how & 1 ? RSS_VERIFIED : RSS_CHECKING);
		assert_true(rss_check(&r, hash, queue, &hash));
		if (how & 2)
			assert_false(rss_check(&r, hash, queue ^ 1, &hash));
		else
			assert_false(rss_check(&r, hash, queue, &other));
		assert_int_equal(rss_state(&r), RSS_WRONG);
		// It is told once, and nothing makes it right again.
		assert_true(rss_check(&r, hash, queue ^ 1, NULL));
		for (unsigned i = 0; i < 200; i++)
			assert_true(rss_check(&r, flow(i), rss_queue(&r, flow(i)), NULL));
		assert_int_equal(rss_state(&r), RSS_WRONG);
		rss_print(&r, text);
		assert_string_equal(text, "software: the device's rss was wrong");
	}
}

// A NIC that spreads by a rule of its own is found out.
static void a_nic_with_another_key_does_not_pass(void)
{
	static struct rss ours, theirs;
	unsigned n_verified = 0;

	for (unsigned seed = 0; seed < 20; seed++) {
		uint8_t key[40];

		for (unsigned k = 0; k < sizeof(key); k++)
			key[k] = (uint8_t)((seed * 40 + k + 1) * 2654435761u >> 23);
		rss_init(&ours, known_key, sizeof(known_key), 2, 128);
		rss_init(&theirs, key, sizeof(key), 2, 128);
		for (unsigned i = 0; i < 1000; i++) {
			struct ip_endpoint dst = endpoint("10.0.0.1", 443), src;
			char from[16];

			// Where only a few bits differ, two keys may well agree.
			snprintf(from, sizeof(from), "198.%u.%u.1", i * 37 % 256, i * 151 % 256);
			src = endpoint(from, (uint16_t)(i * 40503u));
			rss_check(&ours, rss_hash(&ours, &src, &dst),
				rss_queue(&theirs, rss_hash(&theirs, &src, &dst)), NULL);
		}
		n_verified += rss_state(&ours) == RSS_VERIFIED;
	}
	assert_int_equal(n_verified, 0);
}

// --- steering

static struct rig_frame frame;
static struct rss nic;
static struct steer steer;

static struct steer_verdict verdict(void)
{
	return steer_frame(&steer, &nic, bytes_of(frame.data, frame.len));
}

static void tcp4(uint16_t from, uint16_t to)
{
	uint8_t segment[20] = {
		(uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to};

	rig_ip4(&frame, "192.0.2.1", "10.0.0.1", IPPROTO_TCP, segment, sizeof(segment));
}

static void tcp6(uint16_t from, uint16_t to)
{
	uint8_t segment[20] = {
		(uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to};

	rig_ip6(&frame, "2001:db8::1", "fd00::1", IPPROTO_TCP, segment, sizeof(segment));
}

static void setup(void)
{
	rss_init(&nic, known_key, sizeof(known_key), 4, 128);
	nic.has_ip6 = true;
	steer_init(&steer, &(struct hash_key){3, 4}, 4, 16384, 65535);
}

static void with_rss_software_names_the_queue_that_the_nic_would(void)
{
	unsigned n[4] = {0};

	setup();
	for (uint16_t port = 1024; port < 5024; port++) {
		struct ip_endpoint src4 = endpoint("192.0.2.1", port);
		struct ip_endpoint dst4 = endpoint("10.0.0.1", 8443);
		struct ip_endpoint src6 = endpoint("2001:db8::1", port);
		struct ip_endpoint dst6 = endpoint("fd00::1", 8443);
		struct steer_verdict v;

		tcp4(port, 8443);
		v = verdict();
		assert_true(v.is_hashed);
		assert_int_equal(v.hash, rss_hash(&nic, &src4, &dst4));
		assert_int_equal(v.owner, rss_queue(&nic, v.hash));
		n[v.owner]++;
		tcp6(port, 8443);
		v = verdict();
		assert_true(v.is_hashed);
		assert_int_equal(v.hash, rss_hash(&nic, &src6, &dst6));
		assert_int_equal(v.owner, rss_queue(&nic, v.hash));
	}
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(n[i], 800, 1200);
}

static void answers_to_us_are_checked_but_belong_to_who_asked(void)
{
	setup();
	for (uint16_t port = 16384; port < 16500; port++) {
		struct steer_verdict v;

		tcp4(443, port);
		v = verdict();
		assert_true(v.is_hashed);
		assert_int_equal(v.owner, port & 3);
	}
}

// What a NIC may see as something else tells nothing about it, and goes where all of its connection goes.
static void what_is_bent_is_not_held_against_the_nic(void)
{
	static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 1};
	struct steer_verdict whole;

	setup();
	tcp4(5000, 8443);
	whole = verdict();
	assert_true(whole.is_hashed);

	rig_ip4_of(&frame)->hdr_checksum ^= 1;
	assert_false(verdict().is_hashed);
	assert_int_equal(verdict().owner, whole.owner);

	tcp4(5000, 8443);
	rig_ip4_of(&frame)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	rig_fix_ip4_sum(&frame);
	assert_false(verdict().is_hashed);

	tcp4(5000, 8443);
	rig_ip4_of(&frame)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	rig_fix_ip4_sum(&frame);
	assert_true(verdict().is_hashed);

	tcp4(5000, 8443);
	frame.len -= 4; // the segment is shorter than its header
	assert_false(verdict().is_hashed);
	rig_ip4_of(&frame)->total_length = RTE_BE16(36);
	rig_fix_ip4_sum(&frame);
	assert_false(verdict().is_hashed);

	rig_ip4(&frame, "192.0.2.1", "10.0.0.1", IPPROTO_UDP, group, sizeof(group));
	assert_false(verdict().is_hashed);

	tcp6(5000, 8443);
	assert_true(verdict().is_hashed);
	nic.has_ip6 = false;
	whole = verdict();
	assert_false(whole.is_hashed);
	assert_int_equal(whole.owner, rss_queue(&nic, whole.hash));
	nic.has_ip6 = true;
	// An embedded IPv4 address as the source: to the NIC sixteen bytes, inside another family.
	memset(rig_ip6_of(&frame)->src_addr, 0, 10);
	memset(rig_ip6_of(&frame)->src_addr + 10, 0xff, 2);
	assert_false(verdict().is_hashed);
}

TESTS(TEST(the_hash_is_the_one_that_everybody_computes), TEST(the_hash_is_dpdk_s_for_any_key),
	TEST(enough_flows_by_the_right_queues_verify_it),
	TEST(one_frame_that_is_wrong_ends_it_for_good), TEST(a_nic_with_another_key_does_not_pass),
	TEST(with_rss_software_names_the_queue_that_the_nic_would),
	TEST(answers_to_us_are_checked_but_belong_to_who_asked),
	TEST(what_is_bent_is_not_held_against_the_nic))
