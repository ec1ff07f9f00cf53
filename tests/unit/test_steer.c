// Whose frame is it: the same answer for every packet of a connection, whatever came in by which queue.

#include "dataplane/steer.h"
#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <netinet/in.h>

static const struct hash_key key = {3, 4};
static struct rig_frame frame;

static uint32_t owner_of_frame(const struct steer *s)
{
	return steer_frame(s, NULL, bytes_of(frame.data, frame.len)).owner;
}

static uint32_t owner_of_segment(const struct steer *s, uint16_t from, uint16_t to)
{
	const uint8_t ports[4] = {
		(uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to};

	rig_ip4(&frame, "192.0.2.1", "10.0.0.1", IPPROTO_TCP, ports, sizeof(ports));
	return owner_of_frame(s);
}

static void answers_to_active_opens_find_the_worker_by_port(void)
{
	struct steer s;

	steer_init(&s, &key, 4, 16384, 65535);
	assert_int_equal(s.port_mask, 3);
	for (uint16_t port = 16384; port < 16500; port++)
		assert_int_equal(owner_of_segment(&s, 443, port), port & 3);
	assert_int_equal(owner_of_segment(&s, 443, 65535), 3);
}

static void passive_connections_spread_evenly_and_stay(void)
{
	unsigned n[3] = {0};
	struct steer s;

	steer_init(&s, &key, 3, 16384, 65535);
	for (uint16_t port = 1024; port < 7024; port++) {
		uint32_t owner = owner_of_segment(&s, port, 8443);

		assert_in_range(owner, 0, 2);
		assert_int_equal(owner_of_segment(&s, port, 8443), owner);
		n[owner]++;
	}
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(n[i], 1850, 2150);
}

static void a_port_slice_nobody_has_is_hashed(void)
{
	struct steer s;

	steer_init(&s, &key, 3, 16384, 65535);
	assert_int_equal(s.port_mask, 3);
	assert_in_range(owner_of_segment(&s, 443, 16387), 0, 2);
}

static void an_error_goes_where_the_answer_would(void)
{
	uint8_t bytes[8 + 28] = {3, 1};
	struct rte_ipv4_hdr quoted = {.version_ihl = 0x45,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = rig_ip("10.0.0.1"),
		.dst_addr = rig_ip("192.0.2.1")};
	struct steer s;

	steer_init(&s, &key, 4, 16384, 65535);
	for (uint16_t port = 5000; port < 5040; port++) {
		const uint8_t ports[4] = {
			8443 >> 8, 8443 & 255, (uint8_t)(port >> 8), (uint8_t)port};
		uint32_t owner = owner_of_segment(&s, port, 8443);

		memcpy(bytes + 8, &quoted, sizeof(quoted));
		memcpy(bytes + 28, ports, 4);
		rig_ip4(&frame, "198.51.100.1", "10.0.0.1", IPPROTO_ICMP, bytes, sizeof(bytes));
		assert_int_equal(owner_of_frame(&s), owner);
	}
}

static void the_rest_is_for_worker_0_and_arp_for_everybody(void)
{
	struct steer s;

	steer_init(&s, &key, 4, 16384, 65535);
	rig_arp(&frame, rig_broadcast_mac, 1, rig_peer_mac, "10.0.0.2", "10.0.0.1");
	assert_int_equal(owner_of_frame(&s), STEER_EVERYBODY);
	rig_ip4(&frame, "192.0.2.1", "10.0.0.1", IPPROTO_ICMP, "\x08\x00\x00\x00", 4);
	assert_int_equal(owner_of_frame(&s), 0);
	// Cut anywhere, it is somebody's, and nothing is read past the end (the sanitizers would tell).
	owner_of_segment(&s, 5001, 8443);
	for (; frame.len > 0; frame.len--)
		assert_true(owner_of_frame(&s) < 4);
}

static uint32_t owner_of_segment6(const struct steer *s, uint16_t from, uint16_t to)
{
	const uint8_t bytes[8 + 4] = {IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0, (uint8_t)(from >> 8),
		(uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to};
	uint32_t owner;

	rig_ip6(&frame, "2001:db8::1", "fd00::1", IPPROTO_DSTOPTS, bytes, sizeof(bytes));
	owner = owner_of_frame(s); // the same behind options as without
	rig_ip6(&frame, "2001:db8::1", "fd00::1", IPPROTO_TCP, bytes + 8, 4);
	assert_int_equal(owner_of_frame(s), owner);
	return owner;
}

static void ipv6_is_steered_as_ipv4_is(void)
{
	uint8_t quote[40 + 4] = {[0] = 0x60, [6] = IPPROTO_TCP};
	struct ip_addr own = rig_addr("fd00::1"), peer = rig_addr("2001:db8::1");
	unsigned n[3] = {0};
	struct steer s;

	steer_init(&s, &key, 3, 16384, 65535);
	assert_int_equal(owner_of_segment6(&s, 443, 16384), 0);
	assert_int_equal(owner_of_segment6(&s, 443, 16386), 2);
	memcpy(quote + 8, &own, 16);
	memcpy(quote + 24, &peer, 16);
	for (uint16_t port = 1024; port < 4024; port++) {
		const uint8_t ports[4] = {
			8443 >> 8, 8443 & 255, (uint8_t)(port >> 8), (uint8_t)port};
		uint32_t owner = owner_of_segment6(&s, port, 8443);

		assert_in_range(owner, 0, 2);
		n[owner]++;
		memcpy(quote + 40, ports, 4);
		rig_icmp6(&frame, "2001:db8::ffff", "fd00::1", 2, 1280, quote, sizeof(quote));
		assert_int_equal(owner_of_frame(&s), owner);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(n[i], 900, 1100);

	rig_nd(&frame, "fd00::2", "fd00::1", WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT, 0, "fd00::2", 2,
		rig_peer_mac);
	assert_int_equal(owner_of_frame(&s), STEER_EVERYBODY);
	rig_icmp6(&frame, "fd00::2", "fd00::1", WIRE_ICMP6_ECHO_REQUEST, 1, "ping", 4);
	assert_int_equal(owner_of_frame(&s), 0);
	owner_of_segment6(&s, 5001, 8443);
	for (; frame.len > 0; frame.len--)
		assert_true(owner_of_frame(&s) < 3);
}

TESTS(TEST(answers_to_active_opens_find_the_worker_by_port),
	TEST(passive_connections_spread_evenly_and_stay), TEST(a_port_slice_nobody_has_is_hashed),
	TEST(an_error_goes_where_the_answer_would),
	TEST(the_rest_is_for_worker_0_and_arp_for_everybody), TEST(ipv6_is_steered_as_ipv4_is))
