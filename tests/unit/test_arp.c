// Neighbours: how ARP finds, keeps and loses them, and what happens to packets meanwhile.

#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <errno.h>
#include <netinet/in.h>

static struct rig_frame frame;
static const uint8_t other_mac[6] = {2, 0, 0, 0, 0, 3};

// A stack whose announcements and question for the gateway are over.
static void start_quiet(void)
{
	test_eal_init();
	rig_start();
	rig_at(0);
	rig_receive(rig_arp(
		&frame, rig_own_mac, RTE_ARP_OP_REPLY, other_mac, "10.0.0.254", "10.0.0.1"));
	rig_at(2 * RIG_SECOND);
	rig.n_sent = 0;
}

static int send_to(const char *dst)
{
	return rig_send("10.0.0.1", dst);
}

static void peer_replies(const uint8_t mac[6])
{
	rig_receive(rig_arp(&frame, rig_own_mac, RTE_ARP_OP_REPLY, mac, "10.0.0.2", "10.0.0.1"));
}

static void assert_request_sent(unsigned i, const char *target, const uint8_t to[6])
{
	struct rte_arp_hdr *arp = rig_sent_arp(i);

	assert_int_equal(arp->arp_opcode, RTE_BE16(RTE_ARP_OP_REQUEST));
	assert_int_equal(arp->arp_data.arp_sip, rig_ip("10.0.0.1"));
	assert_int_equal(arp->arp_data.arp_tip, rig_ip(target));
	assert_memory_equal(arp->arp_data.arp_sha.addr_bytes, rig_own_mac, 6);
	assert_memory_equal(rig.sent[i].data, to, 6);
}

static void addresses_are_announced_twice_and_the_gateway_is_asked_for(void)
{
	test_eal_init();
	rig_start();
	assert_int_equal(net_next_deadline(rig.net), 0);
	rig_at(0);
	assert_int_equal(rig.n_sent, 2);
	assert_request_sent(0, "10.0.0.1", rig_broadcast_mac);
	assert_request_sent(1, "10.0.0.254", rig_broadcast_mac);
	rig_receive(rig_arp(
		&frame, rig_own_mac, RTE_ARP_OP_REPLY, other_mac, "10.0.0.254", "10.0.0.1"));
	rig_at(2 * RIG_SECOND + 2000);
	assert_int_equal(rig.n_sent, 3);
	assert_request_sent(2, "10.0.0.1", rig_broadcast_mac);
	assert_int_equal(rig.stats.arp_announcements_sent, 2);
	assert_int_equal(net_next_deadline(rig.net), UINT64_MAX);
	assert_int_equal(rig_stop(), 0);
}

static void a_question_for_us_is_answered_and_introduces_the_asker(void)
{
	struct rte_arp_hdr *arp;

	start_quiet();
	rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.2",
		"10.0.0.1"));
	assert_int_equal(rig.n_sent, 1);
	arp = rig_sent_arp(0);
	assert_int_equal(arp->arp_opcode, RTE_BE16(RTE_ARP_OP_REPLY));
	assert_int_equal(arp->arp_data.arp_sip, rig_ip("10.0.0.1"));
	assert_int_equal(arp->arp_data.arp_tip, rig_ip("10.0.0.2"));
	assert_memory_equal(arp->arp_data.arp_tha.addr_bytes, rig_peer_mac, 6);
	assert_memory_equal(rig.sent[0].data, rig_peer_mac, 6);

	// Known without having asked, but not confirmed: used and probed at once.
	assert_int_equal(send_to("10.0.0.2"), 0);
	assert_int_equal(rig.n_sent, 3);
	assert_request_sent(1, "10.0.0.2", rig_peer_mac);
	assert_non_null(rig_sent_ip4(2));
	assert_int_equal(rig_stop(), 0);
}

static void a_probe_without_sender_is_answered_and_teaches_nothing(void)
{
	start_quiet();
	rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "0.0.0.0",
		"10.0.0.1"));
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(rig.stats.neigh_entries, 1); // the gateway
	assert_int_equal(rig_stop(), 0);
}

static void packets_wait_for_an_unknown_neighbour_and_leave_in_order(void)
{
	start_quiet();
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(send_to("10.0.0.2"), 0);
	assert_int_equal(rig.n_sent, 1);
	assert_request_sent(0, "10.0.0.2", rig_broadcast_mac);
	assert_int_equal(rig.stats.neigh_drop_queue, 1); // three wait, the oldest made room

	peer_replies(rig_peer_mac);
	assert_int_equal(rig.n_sent, 4);
	for (unsigned i = 1; i < 4; i++) {
		struct rte_ipv4_hdr *ip = rig_sent_ip4(i);

		assert_memory_equal(rig.sent[i].data, rig_peer_mac, 6);
		assert_memory_equal(rig.sent[i].data + 6, rig_own_mac, 6);
		assert_int_equal(ip->dst_addr, rig_ip("10.0.0.2"));
		assert_int_equal(ip->total_length, rte_cpu_to_be_16(40));
		assert_int_equal(rte_raw_cksum(ip, sizeof(*ip)), 0xffff);
	}
	assert_int_equal(send_to("10.0.0.2"), 0);
	assert_int_equal(rig.n_sent, 5);
	assert_int_equal(rig_stop(), 0);
}

static void three_questions_a_second_apart_then_the_neighbour_has_failed(void)
{
	start_quiet();
	assert_int_equal(send_to("10.0.0.2"), 0);
	rig_at(2 * RIG_SECOND + 990000);
	assert_int_equal(rig.n_sent, 1);
	rig_at(3 * RIG_SECOND + 2000);
	assert_int_equal(rig.n_sent, 2);
	rig_at(4 * RIG_SECOND + 5000);
	assert_int_equal(rig.n_sent, 3);
	assert_int_equal(rig.tcp.n_unreachable, 0);
	rig_at(5 * RIG_SECOND + 10000);
	assert_int_equal(rig.n_sent, 3);
	assert_int_equal(rig.tcp.n_unreachable, 1);
	assert_int_equal(ip_addr_v4(&rig.tcp.unreachable), rig_ip("10.0.0.2"));
	assert_int_equal(rig.stats.neigh_drop_failed, 1);
	assert_int_equal(rig.stats.neigh_failures, 1);

	// It stays failed for a while, and is asked for again by the first packet after that.
	assert_int_equal(send_to("10.0.0.2"), -EHOSTUNREACH);
	rig_at(7 * RIG_SECOND + 20000);
	assert_int_equal(send_to("10.0.0.2"), 0);
	assert_int_equal(rig.n_sent, 4);
	peer_replies(rig_peer_mac);
	assert_non_null(rig_sent_ip4(4));
	assert_int_equal(rig_stop(), 0);
}

static void a_stale_neighbour_is_used_while_it_is_probed(void)
{
	start_quiet();
	send_to("10.0.0.2");
	peer_replies(rig_peer_mac);
	rig_at(31 * RIG_SECOND);
	rig.n_sent = 0;
	assert_int_equal(send_to("10.0.0.2"), 0);
	assert_int_equal(rig.n_sent, 1); // confirmed 29 s ago
	rig_at(33 * RIG_SECOND);
	assert_int_equal(send_to("10.0.0.2"), 0);
	assert_int_equal(rig.n_sent, 3);
	assert_request_sent(1, "10.0.0.2", rig_peer_mac);
	assert_non_null(rig_sent_ip4(2));

	peer_replies(rig_peer_mac);
	rig_at(40 * RIG_SECOND);
	assert_int_equal(rig.n_sent, 3); // confirmed: no second probe
	assert_int_equal(rig_stop(), 0);
}

static void a_neighbour_that_answers_no_probe_is_sought_at_a_new_address(void)
{
	start_quiet();
	send_to("10.0.0.2");
	peer_replies(rig_peer_mac);
	rig_at(40 * RIG_SECOND);
	rig.n_sent = 0;
	send_to("10.0.0.2"); // probe 1 and the packet
	for (unsigned s = 41; s <= 43; s++)
		rig_at(s * RIG_SECOND + (s - 40) * 5000);
	assert_int_equal(rig.n_sent, 5);
	assert_request_sent(3, "10.0.0.2", rig_peer_mac);
	assert_request_sent(4, "10.0.0.2", rig_broadcast_mac);
	send_to("10.0.0.2"); // waits
	assert_int_equal(rig.n_sent, 5);
	peer_replies(other_mac);
	assert_int_equal(rig.n_sent, 6);
	assert_memory_equal(rig.sent[5].data, other_mac, 6);
	assert_int_equal(rig_stop(), 0);
}

static void a_reply_nobody_asked_for_makes_no_entry(void)
{
	start_quiet();
	peer_replies(rig_peer_mac);
	assert_int_equal(rig.stats.arp_drop_unasked, 1);
	assert_int_equal(rig.stats.neigh_entries, 1);
	send_to("10.0.0.2");
	assert_request_sent(0, "10.0.0.2", rig_broadcast_mac);
	assert_int_equal(rig_stop(), 0);
}

static void an_announcement_moves_a_known_neighbour(void)
{
	start_quiet();
	send_to("10.0.0.2");
	peer_replies(rig_peer_mac);
	rig.n_sent = 0;
	rig_receive(rig_arp(
		&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, other_mac, "10.0.0.2", "10.0.0.2"));
	assert_int_equal(rig.stats.neigh_changed, 1);
	send_to("10.0.0.2");
	assert_memory_equal(rig.sent[rig.n_sent - 1].data, other_mac, 6);
	assert_int_equal(rig_stop(), 0);
}

static void remote_destinations_share_the_gateway(void)
{
	start_quiet();
	assert_int_equal(send_to("192.0.2.1"), 0);
	assert_int_equal(send_to("198.51.100.7"), 0);
	assert_int_equal(rig.n_sent, 2);
	assert_memory_equal(rig.sent[0].data, other_mac, 6);
	assert_memory_equal(rig.sent[1].data, other_mac, 6);
	assert_int_equal(rig_sent_ip4(1)->dst_addr, rig_ip("198.51.100.7"));
	assert_int_equal(rig.stats.neigh_entries, 1);
	assert_int_equal(rig_stop(), 0);
}

static void a_full_cache_forgets_the_neighbour_used_longest_ago(void)
{
	char text[32];

	start_quiet();
	send_to("10.0.0.2");
	peer_replies(rig_peer_mac);
	// Strangers that only ask push each other out.
	for (unsigned i = 0; i < 600; i++) {
		uint8_t mac[6] = {2, 0, 0, 1, (uint8_t)(i >> 8), (uint8_t)i};

		snprintf(text, sizeof(text), "10.0.0.%u", 3 + i % 250);
		if (i % 200 == 0)
			rig_at((10 + i) * RIG_SECOND); // refills the answer rate
		rig_receive(rig_arp(
			&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, mac, text, "10.0.0.1"));
	}
	assert_true(rig.stats.neigh_entries <= 256);
	// The one in use is still there.
	rig.n_sent = 0;
	send_to("10.0.0.2");
	assert_non_null(rig_sent_ip4(rig.n_sent - 1));
	assert_int_equal(rig_stop(), 0);
}

// Sends to 'n' neighbours, one each millisecond. More than 254 need a wider network than the rig's own.
static void send_to_many(unsigned n)
{
	struct iface_config wide = {
		.name = "wide", .mtu = 1500, .n_addresses = 1, .transmit = take_sent};
	char text[32];

	memcpy(wide.mac, rig_own_mac, 6);
	wide.addresses[0] = ip_addr_of_v4(rig_ip("10.1.0.1"));
	wide.prefix_len[0] = 16;
	assert_non_null(net_add_iface(rig.net, &wide));
	for (unsigned i = 0; i < n; i++) {
		rig_at(i * RIG_SECOND / 1000);
		snprintf(text, sizeof(text), "10.1.%u.%u", i / 200, 2 + i % 200);
		assert_int_equal(send_to(text), 0);
	}
}

static void packets_of_an_evicted_neighbour_are_freed_and_its_route_forgotten(void)
{
	test_eal_init();
	rig_start();
	rig_at(0);
	send_to_many(400);
	assert_int_equal(rig.stats.neigh_entries, 256);
	assert_true(rig.stats.neigh_evictions >= 144);
	assert_true(rig.stats.neigh_drop_evicted >= 144);
	assert_int_equal(rig_stop(), 0);
}

static void new_neighbours_that_have_answered_do_not_push_each_other_out(void)
{
	uint64_t evictions;

	test_eal_init();
	rig_start();
	rig_at(0);
	send_to_many(300);
	assert_int_equal(rig.stats.neigh_entries, 256);
	rig_at(10 * RIG_SECOND);
	evictions = rig.stats.neigh_evictions;
	for (unsigned i = 0; i < 20; i++) {
		const char *text = i % 2 == 0 ? "10.0.0.2" : "10.0.0.3";

		rig_at(10 * RIG_SECOND + i * RIG_SECOND / 1000);
		assert_int_equal(send_to(text), 0);
		rig_receive(rig_arp(&frame, rig_own_mac, RTE_ARP_OP_REPLY,
			i % 2 == 0 ? rig_peer_mac : other_mac, text, "10.0.0.1"));
	}
	assert_int_equal(rig.stats.neigh_evictions, evictions + 2);
	assert_int_equal(rig_stop(), 0);
}

static void malformed_and_impossible_arp_is_dropped_with_its_reason(void)
{
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(void *)(frame.data + 14);
	static const uint8_t zero_mac[6];

	start_quiet();
	rig_arp(&frame, rig_own_mac, RTE_ARP_OP_REPLY, rig_peer_mac, "10.0.0.2", "10.0.0.1");
	frame.len--;
	rig_receive(&frame);
	assert_int_equal(rig.stats.arp_drop_malformed, 1);
	rig_arp(&frame, rig_own_mac, RTE_ARP_OP_REPLY, rig_peer_mac, "10.0.0.2", "10.0.0.1");
	arp->arp_hlen = 8;
	rig_receive(&frame);
	assert_int_equal(rig.stats.arp_drop_malformed, 2);
	rig_receive(rig_arp(&frame, rig_own_mac, 3, rig_peer_mac, "10.0.0.2", "10.0.0.1"));
	assert_int_equal(rig.stats.arp_drop_malformed, 3);

	rig_arp(&frame, rig_own_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.2", "10.0.0.1");
	memcpy(arp->arp_data.arp_sha.addr_bytes, zero_mac, 6);
	rig_receive(&frame);
	assert_int_equal(rig.stats.arp_drop_sender, 1);
	memcpy(arp->arp_data.arp_sha.addr_bytes, rig_broadcast_mac, 6);
	rig_receive(&frame);
	assert_int_equal(rig.stats.arp_drop_sender, 2);
	rig_receive(rig_arp(
		&frame, rig_own_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "192.0.2.9", "10.0.0.1"));
	assert_int_equal(rig.stats.arp_drop_sender, 3);
	rig_receive(rig_arp(
		&frame, rig_own_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.255", "10.0.0.1"));
	assert_int_equal(rig.stats.arp_drop_sender, 4);

	rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.1",
		"10.0.0.1"));
	assert_int_equal(rig.stats.arp_drop_conflict, 1);
	rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.2",
		"10.0.0.3"));
	assert_int_equal(rig.stats.arp_drop_not_ours, 1);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig_stop(), 0);
}

static void answers_are_limited_in_rate(void)
{
	start_quiet();
	for (unsigned i = 0; i < 300; i++)
		rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac,
			"10.0.0.2", "10.0.0.1"));
	assert_int_equal(rig.stats.arp_replies_sent, 256);
	assert_int_equal(rig.stats.arp_drop_rate, 44);
	rig_at(3 * RIG_SECOND);
	rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.2",
		"10.0.0.1"));
	assert_int_equal(rig.stats.arp_replies_sent, 257);
	assert_int_equal(rig_stop(), 0);
}

static void an_empty_pool_costs_the_request_and_not_the_neighbour(void)
{
	struct rte_mbuf *all[600], *m;
	struct ip_addr from = ip_addr_of_v4(rig_ip("10.0.0.1"));
	struct ip_addr to = ip_addr_of_v4(rig_ip("10.0.0.2"));
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
	rig_at(3 * RIG_SECOND + 5000);
	assert_request_sent(0, "10.0.0.2", rig_broadcast_mac);
	peer_replies(rig_peer_mac);
	assert_non_null(rig_sent_ip4(1));
	assert_int_equal(rig_stop(), 0);
}

static void routes_know_source_and_mtu_and_their_limits(void)
{
	struct ip_addr to = ip_addr_of_v4(rig_ip("192.0.2.1")), src;
	uint16_t mtu;

	start_quiet();
	assert_true(net_route(rig.net, &to, &src, &mtu));
	assert_int_equal(ip_addr_v4(&src), rig_ip("10.0.0.1"));
	assert_int_equal(mtu, 1500);
	assert_true(net_owns(rig.net, &src));
	assert_false(net_owns(rig.net, &to));
	assert_true(ip_addr_parse("2001:db8::1", &to));
	assert_false(net_route(rig.net, &to, &src, &mtu));
	assert_int_equal(rig_stop(), 0);
}

static void a_quiet_net_learns_but_neither_announces_nor_answers(void)
{
	test_eal_init();
	rig_start();
	rig.net->quiet = true;
	rig_at(0);
	rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.2",
		"10.0.0.1"));
	assert_int_equal(rig.n_sent, 1);
	assert_request_sent(0, "10.0.0.254", rig_broadcast_mac);
	assert_int_equal(rig.stats.neigh_entries, 2);
	send_to("10.0.0.2");
	assert_non_null(rig_sent_ip4(2));
	assert_int_equal(rig_stop(), 0);
}

static unsigned n_told;

static void on_tell(void *arg, unsigned iface, const struct ip_addr *addr, const uint8_t mac[6])
{
	assert_ptr_equal(arg, &n_told);
	assert_int_equal(iface, 0);
	assert_int_equal(ip_addr_v4(addr), rig_ip("10.0.0.2"));
	assert_memory_equal(mac, rig_peer_mac, 6);
	n_told++;
}

static void what_was_asked_for_is_told_to_others_once(void)
{
	start_quiet();
	n_told = 0;
	rig.net->tell = on_tell;
	rig.net->tell_arg = &n_told;
	assert_int_equal(send_to("10.0.0.2"), 0);
	peer_replies(rig_peer_mac);
	assert_int_equal(n_told, 1);
	peer_replies(rig_peer_mac); // no news
	rig_receive(rig_arp(        // everybody gets an announcement by itself
		&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, other_mac, "10.0.0.2", "10.0.0.2"));
	assert_int_equal(n_told, 1);
	assert_int_equal(rig_stop(), 0);
}

static void what_is_heard_needs_no_question(void)
{
	struct ip_addr peer = ip_addr_of_v4(rig_ip("10.0.0.2"));

	start_quiet();
	net_hear(rig.net, 0, &peer, rig_peer_mac, rig.now_us);
	net_hear(rig.net, 1, &peer, rig_peer_mac, rig.now_us); // there is no such interface
	assert_int_equal(rig.stats.neigh_heard, 1);
	assert_int_equal(send_to("10.0.0.2"), 0);
	assert_int_equal(rig.n_sent, 1);
	assert_memory_equal(rig.sent[0].data, rig_peer_mac, 6);
	assert_int_equal(rig_sent_ip4(0)->dst_addr, rig_ip("10.0.0.2"));
	net_hear(rig.net, 0, &peer, other_mac, rig.now_us);
	assert_int_equal(rig.stats.neigh_changed, 1);
	assert_int_equal(send_to("10.0.0.2"), 0);
	assert_memory_equal(rig.sent[1].data, other_mac, 6);
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(what_was_asked_for_is_told_to_others_once), TEST(what_is_heard_needs_no_question),
	TEST(addresses_are_announced_twice_and_the_gateway_is_asked_for),
	TEST(a_question_for_us_is_answered_and_introduces_the_asker),
	TEST(a_probe_without_sender_is_answered_and_teaches_nothing),
	TEST(packets_wait_for_an_unknown_neighbour_and_leave_in_order),
	TEST(three_questions_a_second_apart_then_the_neighbour_has_failed),
	TEST(a_stale_neighbour_is_used_while_it_is_probed),
	TEST(a_neighbour_that_answers_no_probe_is_sought_at_a_new_address),
	TEST(a_reply_nobody_asked_for_makes_no_entry),
	TEST(an_announcement_moves_a_known_neighbour), TEST(remote_destinations_share_the_gateway),
	TEST(a_full_cache_forgets_the_neighbour_used_longest_ago),
	TEST(packets_of_an_evicted_neighbour_are_freed_and_its_route_forgotten),
	TEST(new_neighbours_that_have_answered_do_not_push_each_other_out),
	TEST(malformed_and_impossible_arp_is_dropped_with_its_reason),
	TEST(answers_are_limited_in_rate),
	TEST(an_empty_pool_costs_the_request_and_not_the_neighbour),
	TEST(routes_know_source_and_mtu_and_their_limits),
	TEST(a_quiet_net_learns_but_neither_announces_nor_answers))
