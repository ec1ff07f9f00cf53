// What the device does of a frame and what the stack does: the wire looks the same.

#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <netinet/in.h>

static const struct net_offloads nothing;
static const struct net_offloads checksums = {.ip4_csum = true, .tcp_csum = true};
static const struct net_offloads everything = {
	.ip4_csum = true, .tcp_csum = true, .tso4 = true, .tso6 = true, .tso_mbufs = 64};
static const struct net_offloads only_cuts = {.tso4 = true, .tso6 = true, .tso_mbufs = 64};

// Both gateways are known, and nothing was sent yet.
static void start(const struct net_offloads *offloads, uint16_t vlan)
{
	struct ip_addr gateways[2];

	test_eal_init();
	rig_start6();
	rig.iface->offloads = *offloads;
	rig.iface->vlan = vlan;
	gateways[0] = rig_addr("10.0.0.254");
	gateways[1] = rig_addr("fd00::fe");
	for (unsigned i = 0; i < 2; i++)
		neigh_learn(rig.net, neigh_get(rig.net, rig.iface, &gateways[i], rig.now_us),
			rig_peer_mac, true, rig.now_us);
	rig_at(5 * RIG_SECOND);
	rig.n_sent = 0;
}

// A segment as TCP gives it, with 'len' bytes of payload, more than one buffer of them if that is too many.
static struct rte_mbuf *segment(
	const struct ip_addr *src, const struct ip_addr *dst, uint32_t len, uint16_t cut)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig.pool), *part;
	struct rte_tcp_hdr *h = (void *)rte_pktmbuf_append(m, sizeof(*h));
	uint32_t total = sizeof(*h) + len;

	*h = (struct rte_tcp_hdr){.src_port = RTE_BE16(80),
		.dst_port = RTE_BE16(40000),
		.sent_seq = RTE_BE32(0xffffff00), // wraps
		.data_off = 5 << 4,
		.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG,
		.cksum = csum_fold(csum_pseudo(src, dst) + (cut != 0 ? 0 : csum_len(total)))};
	for (uint32_t done = 0; done < len;) {
		uint32_t n = RTE_MIN(len - done, cut != 0 ? cut : len);
		char *p;

		part = cut != 0 ? rte_pktmbuf_alloc(rig.pool) : m;
		p = rte_pktmbuf_append(part, (uint16_t)n);
		for (uint32_t i = 0; i < n; i++)
			p[i] = (char)((done + i) * 7 % 251);
		if (part != m)
			rte_pktmbuf_chain(m, part);
		done += n;
	}
	m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | (cut != 0 ? RTE_MBUF_F_TX_TCP_SEG : 0);
	m->l4_len = sizeof(*h);
	m->tso_segsz = cut;
	return m;
}

static void send_tcp(const char *from, const char *to, uint32_t len, uint16_t cut)
{
	struct ip_addr src = rig_addr(from), dst = rig_addr(to);

	assert_int_equal(net_output(rig.net, segment(&src, &dst, len, cut), &src, &dst, IPPROTO_TCP,
				 rig.now_us),
		0);
	net_run(rig.net, rig.now_us);
}

static const char *const families[2][2] = {
	{"10.0.0.1", "192.0.2.1"  },
        {"fd00::1",  "2001:db8::1"}
};

static void checksums_are_the_same_whoever_computes_them(void)
{
	for (unsigned i = 0; i < 2; i++) {
		for (uint32_t len = 0; len < 40; len += 13) {
			static struct rig_frame by_us, by_device;
			uint16_t vlan = len == 13 ? 7 : 0;

			start(&nothing, vlan);
			send_tcp(families[i][0], families[i][1], len, 0);
			assert_int_equal(rig.last_flags, 0);
			assert_int_equal(rig.n_sent, 1);
			by_us = rig.sent[0];
			assert_int_equal(rig_stop(), 0);

			start(&checksums, vlan);
			send_tcp(families[i][0], families[i][1], len, 0);
			assert_true(rig.last_flags & RTE_MBUF_F_TX_TCP_CKSUM);
			assert_int_equal(!!(rig.last_flags & RTE_MBUF_F_TX_IP_CKSUM), i == 0);
			assert_int_equal(rig.n_sent, 1);
			by_device = rig.sent[0];
			assert_int_equal(rig_stop(), 0);

			assert_int_equal(by_us.len, by_device.len);
			assert_memory_equal(by_us.data, by_device.data, by_us.len);
		}
	}
}

// Half of an offer is used as such.
static void each_checksum_is_offloaded_by_itself(void)
{
	start(&(struct net_offloads){.ip4_csum = true}, 0);
	send_tcp("10.0.0.1", "192.0.2.1", 10, 0);
	assert_int_equal(rig.last_flags, RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4);
	send_tcp("fd00::1", "2001:db8::1", 10, 0);
	assert_int_equal(rig.last_flags, 0);
	assert_int_equal(rig_stop(), 0);

	start(&(struct net_offloads){.tcp_csum = true}, 0);
	send_tcp("10.0.0.1", "192.0.2.1", 10, 0);
	assert_int_equal(rig.last_flags, RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4);
	assert_int_equal(rte_raw_cksum(rig_sent_ip4(1 - 1), 20), 0xffff);
	assert_int_equal(rig_stop(), 0);
}

static void a_packet_that_is_cut_is_what_segments_would_have_been(void)
{
	for (unsigned i = 0; i < 2; i++) {
		start(&everything, i == 0 ? 9 : 0);
		send_tcp(families[i][0], families[i][1], 3 * 1001 + 500, 1001);
		assert_true(rig.last_flags & RTE_MBUF_F_TX_TCP_SEG);
		assert_int_equal(rig.n_sent, 4);
		for (unsigned k = 0; k < 4; k++) {
			size_t l2 = i == 0 ? 18 : 14, l3 = i == 0 ? 20 : 40;
			const struct rte_tcp_hdr *h = (const void *)(rig.sent[k].data + l2 + l3);

			assert_int_equal(rig.sent[k].len, l2 + l3 + 20 + (k < 3 ? 1001 : 500));
			assert_int_equal(rte_be_to_cpu_32(h->sent_seq), 0xffffff00 + 1001 * k);
			assert_int_equal(h->tcp_flags,
				k < 3 ? RTE_TCP_ACK_FLAG
				      : RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG);
		}
		assert_int_equal(rig_stop(), 0);
	}
}

static void how_many_segments_go_at_once_is_the_device_s_to_say(void)
{
	static const struct {
		struct net_offloads offloads;
		uint16_t payload;
		unsigned n4, n6;
	} cases[] = {
		{{0},							      1448, 1,   1  },
		{{.tso4 = true, .tso_mbufs = 64},                                  1448, 45,  1  },
		{{.tso4 = true, .tso6 = true, .tso_mbufs = 64},                    1448, 45,  45 },
		{{.tso4 = true, .tso6 = true, .tso_mbufs = 1000},                  512,  127, 127},
		{{.tso4 = true, .tso6 = true, .tso_mbufs = 17},                    1448, 16,  16 },
		{{.tso4 = true, .tso6 = true, .tso_mbufs = 2},                     1448, 1,   1  },
 // With 18 bytes of Ethernet and VLAN and 52 or 72 of headers.
		{{.tso4 = true, .tso6 = true, .tso_mbufs = 64, .tso_frame = 1500}, 1430, 45,  1  },
		{{.tso4 = true, .tso6 = true, .tso_mbufs = 64, .tso_frame = 1500}, 1431, 1,   1  },
	};
	struct ip_addr dst4 = rig_addr("192.0.2.1"), dst6 = rig_addr("2001:db8::1");

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(&cases[i].offloads, 0);
		assert_int_equal(
			net_segments_at_once(rig.net, &dst4, 32, cases[i].payload, rig.now_us),
			cases[i].n4);
		assert_int_equal(
			net_segments_at_once(rig.net, &dst6, 32, cases[i].payload, rig.now_us),
			cases[i].n6);
		assert_int_equal(rig_stop(), 0);
	}
}

// The kernel's socket takes large packets only (gso_socket.h): whole ones go to a driver that does nothing to them.
static void whole_segments_are_complete_where_only_cutting_is_offered(void)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct rte_tcp_hdr *h;

		start(&only_cuts, 0);
		send_tcp(families[i][0], families[i][1], 100, 0);
		assert_int_equal(rig.n_sent, 1);
		assert_int_equal(rig.last_flags, 0);
		send_tcp(families[i][0], families[i][1], 2 * 1001, 1001);
		assert_true(rig.last_flags & RTE_MBUF_F_TX_TCP_SEG);
		assert_true(rig.last_flags & (i == 0 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6));
		assert_false(rig.last_flags & RTE_MBUF_F_TX_IP_CKSUM);
		assert_int_equal(rig.n_sent, 3);
		h = (const void *)(rig.sent[2].data + 14 + (i == 0 ? 20 : 40));
		assert_int_equal(rte_be_to_cpu_32(h->sent_seq), 0xffffff00 + 1001);
		assert_int_equal(rig_stop(), 0);
	}
}

// ICMP, ARP and ND ask nothing of the device, not even in a buffer that came with flags.
static void what_is_not_tcp_stays_whole(void)
{
	static struct rig_frame frame;
	uint8_t echo[16] = {8};
	uint16_t sum;

	start(&everything, 0);
	sum = (uint16_t)~rte_raw_cksum(echo, sizeof(echo));
	memcpy(echo + 2, &sum, 2);
	rig_ip4(&frame, "192.0.2.1", "10.0.0.1", IPPROTO_ICMP, echo, sizeof(echo));
	rig_receive(&frame);
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(rig.last_flags, 0);
	assert_int_equal(rte_raw_cksum(rig_sent_ip4(0), 20), 0xffff);
	rig_icmp6(&frame, "2001:db8::1", "fd00::1", WIRE_ICMP6_ECHO_REQUEST, 0, echo, 8);
	rig_receive(&frame);
	assert_int_equal(rig.n_sent, 2);
	assert_int_equal(rig.last_flags, 0);
	rig_sent_icmp6(1);
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(checksums_are_the_same_whoever_computes_them),
	TEST(each_checksum_is_offloaded_by_itself),
	TEST(a_packet_that_is_cut_is_what_segments_would_have_been),
	TEST(whole_segments_are_complete_where_only_cutting_is_offered),
	TEST(how_many_segments_go_at_once_is_the_device_s_to_say),
	TEST(what_is_not_tcp_stays_whole))
