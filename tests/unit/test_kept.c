// An interface that the kernel keeps (addressing: shared): no ARP of ours, and everything that ARP and the
// configuration would have said comes from outside.

#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <errno.h>
#include <netinet/in.h>

static struct rig_frame frame;
static const uint8_t new_mac[6] = {2, 0, 0, 0, 0, 9};

static struct iface *kept;
static struct ip_addr wanted[16];
static unsigned n_wanted;

static void note_wanted(void *arg, const struct ip_addr *neighbour)
{
	assert_ptr_equal(arg, &n_wanted);
	wanted[n_wanted++ % 16] = *neighbour;
}

static struct ip_addr address(const char *text)
{
	struct ip_addr a;

	assert_true(ip_addr_parse(text, &a));
	return a;
}

static void set_paths(const char *own, const char *gateway)
{
	struct net_paths paths = {.n_addresses = 1, .n_paths = 2};

	paths.addresses[0] = address(own);
	paths.prefix_len[0] = 24;
	paths.paths[0] = (struct net_path){.prefix = address("192.168.0.0"),
		.prefix_len = 96 + 16,
		.gateway = address(gateway)};
	paths.paths[1] = (struct net_path){.prefix = address(own), .prefix_len = 96 + 24};
	net_set_paths(rig.net, kept, &paths, rig.now_us);
}

static void set_neighbour(const char *who, const uint8_t *mac, bool confirmed)
{
	struct ip_addr a = address(who);

	net_set_neighbour(rig.net, kept, &a, mac, confirmed, rig.now_us);
	net_run(rig.net, rig.now_us);
}

static int send_to(const char *dst)
{
	return rig_send("10.1.0.5", dst);
}

// The rig's own interface has the kept one beside it: 10.1.0.5/24 with the gateway 10.1.0.1.
static void start(void)
{
	struct iface_config config = {
		.name = "kept", .mtu = 1400, .rx_csum = CSUM_VERIFY, .transmit = take_sent};

	test_eal_init();
	rig_start();
	memcpy(config.mac, rig_own_mac, sizeof(config.mac));
	kept = net_add_iface(rig.net, &config);
	assert_non_null(kept);
	net_keep(kept, note_wanted, &n_wanted);
	rig_at(0);
	n_wanted = 0;
	set_paths("10.1.0.5", "10.1.0.1");
	rig_at(3 * RIG_SECOND);
	rig.n_sent = 0;
	n_wanted = 0;
}

static void assert_wanted(const char *who)
{
	struct ip_addr a = address(who);

	assert_int_equal(n_wanted, 1);
	assert_true(ip_addr_equal(&wanted[0], &a));
	n_wanted = 0;
}

static void nothing_is_announced_or_answered(void)
{
	struct rte_mbuf *m;

	test_eal_init();
	start();
	m = rte_pktmbuf_alloc(rig.pool);
	rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.1.0.2",
		"10.1.0.5");
	memcpy(rte_pktmbuf_append(m, (uint16_t)frame.len), frame.data, frame.len);
	net_input(rig.net, kept, &m, 1, rig.now_us);
	net_run(rig.net, rig.now_us);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(rig.stats.eth_drop_not_ours, 1);
	assert_int_equal(rig_stop(), 0);
}

static void packets_wait_until_the_kernel_knows_the_neighbour(void)
{
	start();
	assert_int_equal(send_to("10.1.0.7"), 0);
	assert_wanted("10.1.0.7");
	assert_int_equal(rig.n_sent, 0);
	set_neighbour("10.1.0.7", new_mac, false);
	assert_non_null(rig_sent_ip4(0));
	assert_memory_equal(rig.sent[0].data, new_mac, 6);
	assert_int_equal(rig_stop(), 0);
}

static void a_gateway_is_asked_for_before_it_is_needed(void)
{
	start();
	set_neighbour("10.1.0.1", rig_peer_mac, true);
	set_paths("10.1.0.5", "10.1.0.2");
	assert_wanted("10.1.0.2");
	set_neighbour("10.1.0.2", new_mac, true);
	assert_int_equal(send_to("192.168.0.1"), 0);
	assert_memory_equal(rig.sent[0].data, new_mac, 6);
	assert_int_equal(n_wanted, 0);
	assert_int_equal(rig_stop(), 0);
}

static void a_neighbour_that_moves_is_followed(void)
{
	start();
	send_to("10.1.0.7");
	set_neighbour("10.1.0.7", rig_peer_mac, true);
	set_neighbour("10.1.0.7", new_mac, true);
	send_to("10.1.0.7");
	assert_memory_equal(rig.sent[1].data, new_mac, 6);
	assert_int_equal(rig.stats.neigh_changed, 1);
	assert_int_equal(rig_stop(), 0);
}

static void a_lost_neighbour_is_asked_for_anew_and_then_given_up(void)
{
	start();
	send_to("10.1.0.7");
	set_neighbour("10.1.0.7", rig_peer_mac, true);
	n_wanted = 0;
	set_neighbour("10.1.0.7", NULL, false);
	assert_wanted("10.1.0.7");
	send_to("10.1.0.7");
	assert_int_equal(rig.n_sent, 1); // the second one waits
	set_neighbour("10.1.0.7", NULL, false);
	assert_int_equal(rig.tcp.n_unreachable, 1);
	assert_int_equal(send_to("10.1.0.7"), -EHOSTUNREACH);
	assert_int_equal(rig_stop(), 0);
}

// The kernel takes five seconds before it probes at all; meanwhile packets go where they went.
static void a_probe_that_nobody_answers_does_not_stop_packets(void)
{
	start();
	send_to("10.1.0.7");
	set_neighbour("10.1.0.7", rig_peer_mac, true);
	rig_at(40 * RIG_SECOND);
	for (unsigned s = 41; s < 60; s++) {
		rig.n_sent = 0;
		assert_int_equal(send_to("10.1.0.7"), 0);
		assert_int_equal(rig.n_sent, 1);
		assert_memory_equal(rig.sent[0].data, rig_peer_mac, 6);
		rig_at(s * RIG_SECOND);
	}
	assert_true(n_wanted > 3);
	assert_int_equal(rig_stop(), 0);
}

static void strangers_of_the_kernel_take_no_place(void)
{
	uint64_t before;

	start();
	before = rig.stats.neigh_entries;
	set_neighbour("10.1.0.77", new_mac, true);
	assert_int_equal(rig.stats.neigh_entries, before);
	assert_int_equal(rig_stop(), 0);
}

static void paths_replace_those_of_the_interface_alone(void)
{
	struct ip_addr far = address("192.168.0.1"), near = address("10.0.0.9"), src;
	struct net_paths paths = {.n_addresses = 2, .n_paths = 1};
	struct ip_addr old = address("10.1.0.5");
	uint16_t mtu;

	start();
	paths.addresses[0] = address("10.1.0.6");
	paths.addresses[1] = address("10.1.0.7");
	paths.prefix_len[0] = paths.prefix_len[1] = 32;
	paths.paths[0] = (struct net_path){.prefix = address("192.168.0.0"),
		.prefix_len = 96 + 16,
		.gateway = address("169.254.1.1"),
		.source = address("10.1.0.7")};
	net_set_paths(rig.net, kept, &paths, rig.now_us);
	assert_false(net_owns(rig.net, &old));
	assert_true(net_owns(rig.net, &paths.addresses[1]));
	assert_true(net_route(rig.net, &far, &src, &mtu));
	assert_true(ip_addr_equal(&src, &paths.addresses[1]));
	assert_int_equal(mtu, 1400);
	assert_true(net_route(rig.net, &near, &src, &mtu));
	assert_int_equal(ip_addr_v4(&src), rig_ip("10.0.0.1"));
	assert_int_equal(rig_stop(), 0);
}

static void set_link(const uint8_t mac[6], uint16_t mtu)
{
	struct net_paths paths = {.mtu = mtu, .n_addresses = 1, .n_paths = 1};

	memcpy(paths.mac, mac, sizeof(paths.mac));
	paths.addresses[0] = address("10.1.0.5");
	paths.prefix_len[0] = 24;
	paths.paths[0] = (struct net_path){.prefix = address("10.1.0.0"), .prefix_len = 96 + 24};
	net_set_paths(rig.net, kept, &paths, rig.now_us);
}

static unsigned n_refused_after_a_frame_to(const uint8_t mac[6])
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig.pool);
	struct rte_ether_hdr eth = {.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)};
	uint64_t before = rig.stats.eth_drop_not_ours;

	memcpy(eth.dst_addr.addr_bytes, mac, 6);
	memcpy(eth.src_addr.addr_bytes, rig_peer_mac, 6);
	memcpy(rte_pktmbuf_append(m, sizeof(eth)), &eth, sizeof(eth));
	net_input(rig.net, kept, &m, 1, rig.now_us);
	return (unsigned)(rig.stats.eth_drop_not_ours - before);
}

static void the_hardware_address_and_the_mtu_are_the_kernels(void)
{
	static const uint8_t none[6];
	struct ip_addr near = address("10.1.0.7"), src;
	uint16_t mtu;

	start();
	assert_int_equal(n_refused_after_a_frame_to(rig_own_mac), 0);
	set_link(new_mac, 1300);
	assert_int_equal(n_refused_after_a_frame_to(new_mac), 0);
	assert_int_equal(n_refused_after_a_frame_to(rig_own_mac), 1);
	assert_true(net_route(rig.net, &near, &src, &mtu));
	assert_int_equal(mtu, 1300);
	assert_int_equal(rig.tcp.n_followed, 1);
	send_to("10.1.0.7");
	set_neighbour("10.1.0.7", rig_peer_mac, true);
	assert_memory_equal(rig.sent[0].data + 6, new_mac, 6);

	// What is not said stays.
	set_link(none, 0);
	assert_int_equal(n_refused_after_a_frame_to(new_mac), 0);
	assert_true(net_route(rig.net, &near, &src, &mtu));
	assert_int_equal(mtu, 1300);
	assert_int_equal(rig.tcp.n_followed, 1);
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(nothing_is_announced_or_answered),
	TEST(packets_wait_until_the_kernel_knows_the_neighbour),
	TEST(a_gateway_is_asked_for_before_it_is_needed), TEST(a_neighbour_that_moves_is_followed),
	TEST(a_lost_neighbour_is_asked_for_anew_and_then_given_up),
	TEST(a_probe_that_nobody_answers_does_not_stop_packets),
	TEST(strangers_of_the_kernel_take_no_place),
	TEST(paths_replace_those_of_the_interface_alone),
	TEST(the_hardware_address_and_the_mtu_are_the_kernels))
