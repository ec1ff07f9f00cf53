// The buffer budget is not the pool: with all of it held by connections, and more coming, frames are still received,
// and ACK, RST, ARP and ND answers still leave. Real IP and TCP on a hand-held wire.

#define RIG_WITH_TCP
#include "tests/net_rig.c"

#include "dataplane/tcp/tcp_conn.h"
#include "tests/test_support.h"

#define POOL    511u
#define BUDGET  (POOL / 4 * 3)
#define N_CONNS 40u
#define PORT    80
#define MSS     1400
#define N_FLOOD 20000u

static struct rig_frame frame;
static unsigned n_accepted;
static struct stream *streams[N_CONNS];

struct peer {
	bool ip6;
	uint16_t port;
	uint32_t seq; // next of ours
	uint32_t ack;
};

static bool on_accept(void *arg, struct stream *s, uint64_t now_us)
{
	(void)arg, (void)now_us;
	assert_true(n_accepted < N_CONNS);
	streams[n_accepted++] = s;
	stream_set_owner(s, NULL, NULL);
	return true;
}

static void receive_segment(struct peer *p, uint8_t flags, int32_t offset, size_t len, uint16_t to)
{
	struct {
		struct rte_tcp_hdr h;
		uint8_t data[MSS];
	} s = {
		.h = {.src_port = rte_cpu_to_be_16(p->port),
                      .dst_port = rte_cpu_to_be_16(to),
                      .sent_seq = rte_cpu_to_be_32(p->seq + (uint32_t)offset),
                      .recv_ack = rte_cpu_to_be_32(p->ack),
                      .data_off = sizeof(struct rte_tcp_hdr) / 4 << 4,
                      .tcp_flags = flags,
                      .rx_win = 0xffff},
	};
	struct rte_tcp_hdr *h;

	if (p->ip6) {
		rig_ip6(&frame, "fd00::2", "fd00::1", IPPROTO_TCP, &s, sizeof(s.h) + len);
		h = (struct rte_tcp_hdr *)(rig_ip6_of(&frame) + 1);
		h->cksum = rte_ipv6_udptcp_cksum(rig_ip6_of(&frame), h);
	} else {
		rig_ip4(&frame, "10.0.0.2", "10.0.0.1", IPPROTO_TCP, &s, sizeof(s.h) + len);
		h = (struct rte_tcp_hdr *)(rig_ip4_of(&frame) + 1);
		h->cksum = rte_ipv4_udptcp_cksum(rig_ip4_of(&frame), h);
	}
	rig.n_sent = 0;
	rig_receive(&frame); // fails the test without a buffer for it
}

static const struct rte_tcp_hdr *sent_segment(const struct peer *p, unsigned i)
{
	return p->ip6 ? (const struct rte_tcp_hdr *)(rig_sent_ip6(i) + 1)
		      : (const struct rte_tcp_hdr *)(rig_sent_ip4(i) + 1);
}

static void open_peer(struct peer *p)
{
	receive_segment(p, RTE_TCP_SYN_FLAG, 0, 0, PORT);
	p->seq++;
	assert_int_equal(sent_segment(p, 0)->tcp_flags, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
	p->ack = rte_be_to_cpu_32(sent_segment(p, 0)->sent_seq) + 1;
	receive_segment(p, RTE_TCP_ACK_FLAG, 0, 0, PORT);
}

static void ask_by_arp(void)
{
	rig.n_sent = 0;
	rig_receive(rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.2",
		"10.0.0.1"));
}

static void ask_by_nd(void)
{
	rig.n_sent = 0;
	rig_receive(rig_nd(&frame, "fd00::2", "ff02::1:ff00:1", WIRE_ICMP6_NEIGHBOUR_SOLICITATION,
		0, "fd00::1", 1, rig_peer_mac));
}

static void know(const char *text)
{
	struct ip_addr addr = rig_addr(text);

	neigh_learn(rig.net, neigh_get(rig.net, rig.iface, &addr, rig.now_us), rig_peer_mac, true,
		rig.now_us);
}

static void start(void)
{
	rig_start6_quiet();
	know("::ffff:10.0.0.2");
	know("::ffff:10.0.0.254");
	know("fd00::fe");
	rig_at(4 * RIG_SECOND);
}

static void assert_all_are_answered(struct peer *known)
{
	struct peer stranger = {.ip6 = known->ip6, .port = 9, .seq = 77, .ack = 99};

	ask_by_arp();
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(rig_sent_arp(0)->arp_opcode, RTE_BE16(RTE_ARP_OP_REPLY));
	ask_by_nd();
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(rig_sent_icmp6(0)->type, WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT);
	receive_segment(&stranger, RTE_TCP_ACK_FLAG, 0, 0, 4711);
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(sent_segment(&stranger, 0)->tcp_flags, RTE_TCP_RST_FLAG);
	receive_segment(known, RTE_TCP_ACK_FLAG, -1, 1, PORT); // was there: an ACK at once
	assert_true(rig.n_sent > 0);
	assert_int_equal(sent_segment(known, 0)->tcp_flags & RTE_TCP_RST_FLAG, 0);
	assert_true(sent_segment(known, 0)->tcp_flags & RTE_TCP_ACK_FLAG);
}

// Segments of every kind that asks for a buffer, in no order.
static void flood(struct peer *peers)
{
	uint32_t dice = 1;

	for (unsigned i = 0; i < N_FLOOD; i++) {
		struct peer *p;

		dice = dice * 1664525u + 1013904223u;
		p = &peers[dice >> 8 & 31];
		switch (dice >> 24 & 3) {
		case 0:
			receive_segment(p, RTE_TCP_ACK_FLAG, (int32_t)(dice >> 14 & 0xffff),
				1 + (dice >> 16 & 0x3ff), PORT);
			break;
		case 1: receive_segment(p, RTE_TCP_ACK_FLAG, 0, MSS, PORT); break;
		case 2:
			receive_segment(
				&(struct peer){.ip6 = p->ip6, .port = (uint16_t)(dice >> 12)},
				RTE_TCP_SYN_FLAG, 0, 0, PORT);
			break;
		default:
			receive_segment(
				p, RTE_TCP_ACK_FLAG, (int32_t)(dice >> 14 & 0xfff), 1, PORT);
			break;
		}
		if (i % 64 == 0)
			rig_at(rig.now_us - RIG_START + 1000);
	}
}

static void write_all(void)
{
	static const uint8_t bytes[65536];

	for (unsigned i = 0; i < n_accepted; i++)
		stream_write(streams[i], bytes_of(bytes, sizeof(bytes)), false);
	rig_at(rig.now_us - RIG_START);
}

static void a_budget_that_is_used_up_leaves_what_answers_need(void)
{
	struct tcp_listener *listener;
	struct peer peers[N_CONNS];

	test_eal_init();
	n_accepted = 0;
	start();
	listener = tcp_listen(rig.net,
		&(struct tcp_listen_options){
			.local = {.port = PORT}, .max_half_open = 16, .accept = on_accept});
	for (unsigned i = 0; i < N_CONNS; i++) {
		peers[i] = (struct peer){
			.ip6 = i % 2 != 0, .port = (uint16_t)(30000 + i), .seq = 1000 * i};
		open_peer(&peers[i]);
	}
	assert_int_equal(n_accepted, N_CONNS);
	assert_all_are_answered(&peers[0]);

	write_all();
	flood(peers);
	print_message("%u of %u buffers held\n", net_tcp(rig.net)->mbufs_held, BUDGET);
	assert_true(net_tcp(rig.net)->mbufs_held > BUDGET / 4 * 3);
	// All that is left of the budget goes too, whoever has it.
	for (unsigned turn = 0; turn < 2; turn++) {
		struct tcp *t = net_tcp(rig.net);
		struct rte_mbuf *held[POOL];
		unsigned n = 0;

		while (t->mbufs_held < BUDGET) {
			held[n] = rte_pktmbuf_alloc(rig.pool);
			assert_non_null(held[n++]);
			tcp_hold(t, 1);
		}
		assert_true(rte_mempool_avail_count(rig.pool) >= POOL - BUDGET - BUDGET / 8);
		assert_all_are_answered(&peers[turn]);
		flood(peers);
		assert_true(rte_mempool_avail_count(rig.pool) >= POOL - BUDGET - BUDGET / 8);
		assert_all_are_answered(&peers[turn]);
		rte_pktmbuf_free_bulk(held, n);
		tcp_unhold(t, n);
	}
	assert_int_equal(rig.stats.net_no_buffer, 0);
	assert_int_equal(rig.stats.tcp_tx_no_buffer, 0);
	assert_true(rig.stats.tcp_drop_memory + rig.stats.tcp_drop_ooo_memory > 0);
	for (unsigned i = 0; i < N_CONNS; i++)
		stream_abort(&streams[i]);
	tcp_unlisten(rig.net, &listener);
	assert_int_equal(rig_stop(), 0);
}

// Even without a single buffer nothing breaks, and all goes on when there are some again.
static void an_empty_pool_is_counted_and_passes(void)
{
	static struct rte_mbuf *all[POOL];
	struct tcp_listener *listener;
	struct peer known = {.port = 30000};
	unsigned n = 0;

	test_eal_init();
	n_accepted = 0;
	start();
	listener = tcp_listen(rig.net,
		&(struct tcp_listen_options){
			.local = {.port = PORT}, .max_half_open = 16, .accept = on_accept});
	open_peer(&known);
	while (n < POOL && (all[n] = rte_pktmbuf_alloc(rig.pool)) != NULL)
		n++;
	// The only buffer there is holds the question.
	for (unsigned i = 0; i < 4; i++) {
		rte_pktmbuf_free(all[--n]);
		switch (i) {
		case 0: ask_by_arp(); break;
		case 1: ask_by_nd(); break;
		case 2:
			receive_segment(&(struct peer){.port = 9}, RTE_TCP_ACK_FLAG, 0, 0, 4711);
			break;
		default: receive_segment(&known, RTE_TCP_ACK_FLAG, -1, 1, PORT); break;
		}
		// An ACK waits for the end of the turn, when the segment's own buffer is free.
		assert_int_equal(rig.n_sent, i == 3);
		all[n] = rte_pktmbuf_alloc(rig.pool);
		assert_non_null(all[n++]);
	}
	assert_int_equal(rig.stats.net_no_buffer, 2);
	assert_int_equal(rig.stats.tcp_tx_no_buffer, 1);
	rte_pktmbuf_free_bulk(all, n);
	assert_all_are_answered(&known);
	stream_abort(&streams[0]);
	tcp_unlisten(rig.net, &listener);
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(a_budget_that_is_used_up_leaves_what_answers_need),
	TEST(an_empty_pool_is_counted_and_passes))
