// Two real workers on one port with one queue or two, each on its thread; the test is the wire, and a third thread
// keeps calling them as mgmt does. Run it under ThreadSanitizer: make tsan.
//
//     the test --> rx ring --> worker 0 --(inbox)--> worker 1
//              <-- tx ring <-- worker 0 <--(outbox)-- worker 1
//
// With two queues the test is a NIC with RSS, which keeps its word or does not.

#include "dataplane/base/list.h"
#include "dataplane/base/tsan.h"
#include "dataplane/mbuf.h"
#include "dataplane/net/wire.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_csum.h"
#include "dataplane/tcp/tcp_wire.h"
#include "dataplane/worker_thread.h"
#include "tests/test_support.h"

#include <netinet/in.h>
#include <pthread.h>
#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <sched.h>
#include <string.h>

#define N_WORKERS     2u
#define N_CONNECTIONS 128u
#define PORT          80u
#define FIRST_PORT    10000u
#define ISS           5000u
#define OURS          0x0100000au // 10.0.0.1 as it stands in memory
#define PEER          0x0200000au

// fd00::1, fd00::2
static const struct ip_addr ours6 =
				    {
					    .b = {0xfd, [15] = 1}
},
			    peer6 = {.b = {0xfd, [15] = 2}};
static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

enum nic {
	NIC_ONE_QUEUE,
	NIC_RSS,
	NIC_RSS_LIES, // about every second connection
};

static struct rte_ring *to_workers[N_WORKERS], *from_workers;
static enum nic nic;
static struct rss rss;
static struct rte_mempool *pool;
static struct worker_shared shared;
static struct worker *workers[N_WORKERS];
static pthread_t threads[N_WORKERS];

// --- the application: it sends back what it gets

struct echo {
	struct tcp_listener *listener;
	unsigned n_accepted;
	unsigned n_calls;
};

static void on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct bytes b;

	(void)owner;
	(void)now_us;
	while ((b = stream_peek(s)).len > 0) {
		stream_write(s, b, false);
		stream_consume(s, b.len);
	}
	if (events & STREAM_CLOSED || stream_read_ended(s))
		stream_close(&s);
}

static bool on_accept(void *arg, struct stream *s, uint64_t now_us)
{
	struct echo *e = arg;

	(void)now_us;
	e->n_accepted++;
	stream_set_owner(s, on_event, NULL);
	return true;
}

static struct tcp_listener *listen_on(struct worker *w, struct echo *e, uint16_t port)
{
	return tcp_listen(worker_net(w),
		&(struct tcp_listen_options){.local = {.port = port},
			.max_half_open = 256,
			.accept = on_accept,
			.arg = e});
}

static int app_start(void *arg, struct worker *w, void **state, uint64_t now_us)
{
	static struct echo echoes[N_WORKERS];
	struct echo *e = &echoes[worker_index(w)];

	(void)arg;
	(void)now_us;
	*e = (struct echo){.listener = listen_on(w, e, PORT)};
	*state = e;
	return e->listener != NULL ? 0 : -1;
}

static bool app_turn(void *state, uint64_t now_us)
{
	(void)state;
	(void)now_us;
	return false;
}

static uint64_t app_next_deadline(void *state)
{
	(void)state;
	return UINT64_MAX;
}

static void app_stop(void *state)
{
	(void)state;
}

// --- the machine

static void *run_worker(void *arg)
{
	rte_thread_register();
	worker_run(arg);
	rte_thread_unregister();
	return NULL;
}

static const uint8_t rss_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77,
	0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

// Once; each test leaves it empty.
static void make_wire(void)
{
	char error[256];

	if (pool != NULL)
		return;
	test_eal_init();
	pool = mbuf_pool_new(8191, MBUF_PACKED, error, sizeof(error));
	to_workers[0] = rte_ring_create("rx0", 1024, SOCKET_ID_ANY, 0);
	to_workers[1] = rte_ring_create("rx1", 1024, SOCKET_ID_ANY, 0);
	from_workers = rte_ring_create("tx", 4096, SOCKET_ID_ANY, 0);
	assert_non_null(pool);
}

static uint16_t open_nic(uint16_t n_queues)
{
	struct rte_ring *tx[N_WORKERS] = {from_workers, from_workers};
	static unsigned n_opened;
	char name[16];
	int id;

	snprintf(name, sizeof(name), "wire%u", n_opened++);
	id = rte_eth_from_rings(name, to_workers, n_queues, tx, n_queues, SOCKET_ID_ANY);
	assert_true(id >= 0);
	assert_int_equal(
		rte_eth_dev_configure((uint16_t)id, n_queues, n_queues, &(struct rte_eth_conf){0}),
		0);
	for (uint16_t i = 0; i < n_queues; i++) {
		assert_int_equal(rte_eth_rx_queue_setup((uint16_t)id, i, 1024, 0, NULL, pool), 0);
		assert_int_equal(rte_eth_tx_queue_setup((uint16_t)id, i, 1024, 0, NULL), 0);
	}
	assert_int_equal(rte_eth_dev_start((uint16_t)id), 0);
	return (uint16_t)id;
}

static void start(enum nic kind)
{
	static const struct worker_app app = {
		app_start, app_turn, app_next_deadline, app_stop, NULL};
	static struct dataplane_config config = {
		.adaptive = true, .n_ports = 1, .ports = {{.name = "wire", .n_addresses = 2}}};
	static struct port port;
	uint16_t id;

	make_wire();
	nic = kind;
	id = open_nic(nic == NIC_ONE_QUEUE ? 1 : N_WORKERS);
	rss_init(&rss, rss_key, sizeof(rss_key), N_WORKERS, 128);
	config.ports[0].addresses[0] = ip_addr_of_v4(OURS);
	config.ports[0].prefix_len[0] = 24;
	config.ports[0].addresses[1] = ours6;
	config.ports[0].prefix_len[1] = 64;
	port = (struct port){.name = "wire",
		.id = id,
		.n_queues = nic == NIC_ONE_QUEUE ? 1 : N_WORKERS,
		.rss.rss = nic == NIC_ONE_QUEUE ? NULL : &rss,
		.mtu = 1500,
		.csum = CSUM_VERIFY};
	memcpy(port.mac, own_mac, sizeof(port.mac));
	shared = (struct worker_shared){
		.app = &app,
		.config = &config,
		.ports = &port,
		.n_ports = 1,
		.mbufs = pool,
		.secret = {3, 4},
		.max_connections = 1000,
		.max_time_wait = 1000,
		.max_mbufs_held = 2000,
		.tsc_start = rte_rdtsc(),
		.us_per_cycle = (UINT64_C(1000000) << WORKER_US_SHIFT) / rte_get_tsc_hz(),
		.workers = workers,
		.n_workers = N_WORKERS,
	};
	steer_init(&shared.steer, &shared.secret, N_WORKERS, 16384, 65535);
	for (unsigned i = 0; i < N_WORKERS; i++) {
		workers[i] = worker_new(&shared, i);
		assert_non_null(workers[i]);
	}
	for (unsigned i = 0; i < N_WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_worker, workers[i]), 0);
	for (unsigned i = 0; i < N_WORKERS; i++) {
		while (worker_state(workers[i]) == WORKER_STARTING)
			sched_yield();
		assert_int_equal(worker_state(workers[i]), WORKER_RUNNING);
	}
}

static unsigned n_last_resets; // frames that left at the end

static void stop(void)
{
	struct rte_mbuf *m;

	shared.stop = true;
	for (unsigned i = 0; i < N_WORKERS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < N_WORKERS; i++)
		worker_free(&workers[i]);
	while (rte_ring_dequeue(from_workers, (void **)&m) == 0) {
		const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);

		tsan_acquire(&m->refcnt);
		n_last_resets += f[13] == 0 && f[34 + 13] & RTE_TCP_RST_FLAG;
		rte_pktmbuf_free(m);
	}
	for (unsigned i = 0; i < N_WORKERS; i++) { // what came too late
		while (rte_ring_dequeue(to_workers[i], (void **)&m) == 0)
			rte_pktmbuf_free(m);
	}
	rte_eth_dev_stop(shared.ports[0].id);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

// --- the wire

static void send_frame(uint16_t queue, const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *m;

	while ((m = rte_pktmbuf_alloc(pool)) == NULL)
		sched_yield();
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	tsan_release(&m->refcnt); // the driver between is DPDK's
	while (rte_ring_enqueue(to_workers[queue], m) != 0)
		sched_yield();
}

// Where the NIC puts a segment from that port of the peer.
static uint16_t queue_of(uint16_t from)
{
	struct ip_endpoint src = {ip_addr_of_v4(PEER), from}, dst = {ip_addr_of_v4(OURS), PORT};
	uint16_t queue = nic == NIC_ONE_QUEUE ? 0 : rss_queue(&rss, rss_hash(&rss, &src, &dst));

	return nic == NIC_RSS_LIES && from % 2 == 1 ? !queue : queue;
}

#define SEGMENT_MAX 256

// Returns its length.
static size_t make_segment(uint8_t f[SEGMENT_MAX], uint16_t from, uint8_t flags, uint32_t seq,
	uint32_t ack, const char *data)
{
	uint8_t *ip = f + 14, *h = ip + 20, *p;
	const uint32_t src = PEER, dst = OURS;
	const struct ip_addr here = ip_addr_of_v4(OURS), peer = ip_addr_of_v4(PEER);
	size_t len = 20 + strlen(data);
	uint16_t sum;

	memset(f, 0, SEGMENT_MAX);
	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	f[12] = 0x08;
	ip[0] = 0x45;
	tcp_put_be16(ip + 2, (uint16_t)(20 + len));
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, &src, 4);
	memcpy(ip + 16, &dst, 4);
	sum = (uint16_t)~rte_raw_cksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
	p = tcp_put_be16(h, from);
	p = tcp_put_be16(p, PORT);
	p = tcp_put_be32(p, seq);
	p = tcp_put_be32(p, ack);
	p = tcp_put_u8(p, 5 << 4);
	p = tcp_put_u8(p, flags);
	tcp_put_be16(p, 0xffff);
	memcpy(h + 20, data, strlen(data));
	sum = (uint16_t)~csum_fold(
		csum_add(h, len, csum_pseudo(&peer, &here) + csum_len((uint32_t)len)));
	memcpy(h + 16, &sum, 2);
	return 34 + len;
}

static void send_segment(uint16_t from, uint8_t flags, uint32_t seq, uint32_t ack, const char *data)
{
	uint8_t f[SEGMENT_MAX];

	send_frame(queue_of(from), f, make_segment(f, from, flags, seq, ack, data));
}

static uint32_t owner_of(uint16_t from)
{
	uint8_t f[SEGMENT_MAX];
	size_t len = make_segment(f, from, RTE_TCP_SYN_FLAG, ISS, 0, "");

	return steer_frame(&shared.steer, NULL, bytes_of(f, len)).owner;
}

static void send_arp(uint16_t opcode)
{
	uint8_t f[42] = {0};
	struct rte_arp_hdr arp = {
		.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
		.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = 6,
		.arp_plen = 4,
		.arp_opcode = rte_cpu_to_be_16(opcode),
		.arp_data = {.arp_sip = PEER, .arp_tip = OURS},
	};

	memcpy(arp.arp_data.arp_sha.addr_bytes, peer_mac, 6);
	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	f[12] = 0x08;
	f[13] = 0x06;
	memcpy(f + 14, &arp, sizeof(arp));
	send_frame(0, f, sizeof(f));
}

static void send_icmp6(void *message, size_t len)
{
	uint8_t f[14 + 40 + 64] = {0};
	struct rte_ipv6_hdr *ip = (void *)(f + 14);
	struct wire_icmp6 *icmp = message;

	icmp->checksum = (uint16_t)~wire_icmp6_sum(&peer6, &ours6, message, (uint32_t)len);
	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	f[12] = 0x86;
	f[13] = 0xdd;
	ip->vtc_flow = RTE_BE32(UINT32_C(6) << 28);
	ip->payload_len = rte_cpu_to_be_16((uint16_t)len);
	ip->proto = IPPROTO_ICMPV6;
	ip->hop_limits = ND_HOP_LIMIT;
	memcpy(ip->src_addr, &peer6, 16);
	memcpy(ip->dst_addr, &ours6, 16);
	memcpy(f + 14 + sizeof(*ip), message, len);
	send_frame(0, f, 14 + sizeof(*ip) + len);
}

static void send_ping6(void)
{
	struct wire_icmp6 ping = {.type = WIRE_ICMP6_ECHO_REQUEST};

	send_icmp6(&ping, sizeof(ping));
}

static unsigned n_questions6, n_pongs6;

static void answer_icmp6(const struct wire_icmp6 *icmp)
{
	const struct wire_nd *nd = (const void *)icmp;
	struct {
		struct wire_nd nd;
		struct wire_nd_mac mac;
	} answer = {
		.nd.icmp = {.type = WIRE_ICMP6_NEIGHBOUR_ADVERTISEMENT, .word = WIRE_ND_SOLICITED},
		.mac = {.kind = WIRE_ND_TARGET_MAC,                 .len = 1                 },
	};

	n_pongs6 += icmp->type == WIRE_ICMP6_ECHO_REPLY;
	if (icmp->type != WIRE_ICMP6_NEIGHBOUR_SOLICITATION
		|| memcmp(nd->target, &peer6, sizeof(peer6)) != 0)
		return; // what it says of its own addresses
	n_questions6++;
	memcpy(answer.nd.target, &peer6, sizeof(peer6));
	memcpy(answer.mac.mac, peer_mac, 6);
	send_icmp6(&answer, sizeof(answer));
}

// What the wire has seen of each connection.
static struct {
	bool established;
	bool echoed;
	bool finished;
} seen[N_CONNECTIONS];
static unsigned n_arp_replies;
static bool say_nothing; // once a connection is there

static void answer_segment(const struct rte_tcp_hdr *h, size_t len)
{
	uint16_t to = rte_be_to_cpu_16(h->dst_port);
	uint32_t seq = rte_be_to_cpu_32(h->sent_seq);
	unsigned i = to - FIRST_PORT;
	size_t header_len = (h->data_off >> 4) * 4u;

	assert_true(i < N_CONNECTIONS && (h->tcp_flags & RTE_TCP_RST_FLAG) == 0);
	if (h->tcp_flags & RTE_TCP_SYN_FLAG) {
		seen[i].established = true;
		send_segment(to, RTE_TCP_ACK_FLAG, ISS + 1, seq + 1, say_nothing ? "" : "hello");
	} else if (len > header_len) {
		assert_memory_equal((const char *)h + header_len, "hello", 5);
		seen[i].echoed = true;
		send_segment(to, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG, ISS + 6, seq + 5, "");
	}
	if (h->tcp_flags & RTE_TCP_FIN_FLAG) {
		seen[i].finished = true;
		send_segment(to, RTE_TCP_ACK_FLAG, ISS + 7, seq + 1, "");
	}
}

// Looks at what the workers sent, and answers as a peer. Returns false if there was nothing.
static bool serve_wire(void)
{
	struct rte_mbuf *m;
	const uint8_t *f;

	if (rte_ring_dequeue(from_workers, (void **)&m) != 0)
		return false;
	tsan_acquire(&m->refcnt);
	f = rte_pktmbuf_mtod(m, const uint8_t *);
	if (f[13] == 0x06) {
		const struct rte_arp_hdr *arp = (const void *)(f + 14);

		if (arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REPLY))
			n_arp_replies++;
		else if (arp->arp_data.arp_tip == PEER)
			send_arp(RTE_ARP_OP_REPLY);
	} else if (f[13] == 0xdd) {
		answer_icmp6((const void *)(f + 14 + 40));
	} else {
		answer_segment((const void *)(f + 34), m->data_len - 34u);
	}
	rte_pktmbuf_free(m);
	return true;
}

#define serve_until(condition)         \
	do {                           \
		if (!serve_wire())     \
			sched_yield(); \
	} while (!(condition))

// --- mgmt

static void count_call(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	struct echo *e = state;
	struct tcp_listener *l = listen_on(w, e, 81);

	(void)now_us;
	assert_non_null(l);
	tcp_unlisten(worker_net(w), &l);
	*(unsigned *)arg = ++e->n_calls;
}

static void read_accepted(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	(void)w;
	(void)now_us;
	*(unsigned *)arg = ((struct echo *)state)->n_accepted;
}

static atomic_bool calls_end;
static unsigned n_calls;

static void *keep_calling(void *arg)
{
	(void)arg;
	while (!calls_end) {
		for (unsigned i = 0; i < N_WORKERS; i++)
			worker_call(workers[i], count_call, &n_calls);
		for (unsigned i = 0; i < N_WORKERS; i++)
			stat_read(&worker_stats(workers[i])->rx_packets);
		atomic_store_explicit(&shared.wall_offset_us, n_calls, memory_order_relaxed);
	}
	return NULL;
}

static bool all_finished(void)
{
	for (unsigned i = 0; i < N_CONNECTIONS; i++) {
		if (!seen[i].finished)
			return false;
	}
	return true;
}

static uint64_t sum(size_t stat)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < N_WORKERS; i++)
		n += stat_read((const void *)((const uint8_t *)worker_stats(workers[i]) + stat));
	return n;
}

#define SUM(stat) sum(offsetof(struct dataplane_stats, stat))

// Starts, and each side knows the other's address.
static void meet(enum nic kind)
{
	memset(seen, 0, sizeof(seen));
	n_arp_replies = 0;
	start(kind);
	send_arp(RTE_ARP_OP_REQUEST);
	serve_until(n_arp_replies > 0);
}

// Every connection gets its echo and ends well.
static void serve_connections(enum nic kind)
{
	unsigned accepted[N_WORKERS];
	pthread_t mgmt;

	calls_end = false;
	meet(kind);
	assert_int_equal(pthread_create(&mgmt, NULL, keep_calling, NULL), 0);
	for (unsigned i = 0; i < N_CONNECTIONS; i++) {
		send_segment((uint16_t)(FIRST_PORT + i), RTE_TCP_SYN_FLAG, ISS, 0, "");
		serve_wire();
	}
	serve_until(all_finished());
	assert_int_equal(n_arp_replies, 1); // one answers, all have learnt
	for (unsigned i = 0; i < N_WORKERS; i++) {
		assert_int_equal(stat_read(&worker_stats(workers[i])->neigh_entries), 1);
		worker_call(workers[i], read_accepted, &accepted[i]);
	}
	calls_end = true;
	pthread_join(mgmt, NULL);
	assert_int_equal(accepted[0] + accepted[1], N_CONNECTIONS);
	// The key is fixed, and so is the division.
	assert_in_range(accepted[0], N_CONNECTIONS / 4, N_CONNECTIONS / 4 * 3);
	assert_true(n_calls > 0);
	assert_int_equal(SUM(steer_drop_full), 0);
	assert_int_equal(SUM(tcp_drop_closed_port) + SUM(tcp_tx_rst), 0);
}

static void two_workers_share_a_queue(void)
{
	serve_connections(NIC_ONE_QUEUE);
	assert_true(SUM(steer_handed_over) > N_CONNECTIONS / 4);
	stop();
}

static void a_nic_that_keeps_its_word_saves_the_handing_over(void)
{
	serve_connections(NIC_RSS);
	assert_int_equal(rss_state(&rss), RSS_VERIFIED);
	assert_int_equal(SUM(steer_rss_wrong), 0);
	assert_true(SUM(steer_handed_over) < 10); // ARP, and what it says of neighbours
	stop();
}

static void a_nic_that_does_not_costs_nothing_else(void)
{
	serve_connections(NIC_RSS_LIES);
	assert_int_equal(rss_state(&rss), RSS_WRONG);
	assert_int_equal(SUM(steer_rss_wrong), 1);
	assert_true(SUM(steer_handed_over) > N_CONNECTIONS / 4);
	stop();
}

// Only worker 0 is asked to answer, so only it asks; to the other the answer is about nobody.
static void a_neighbour_that_one_found_over_nd_is_known_to_the_other(void)
{
	n_questions6 = n_pongs6 = 0;
	meet(NIC_ONE_QUEUE);
	assert_int_equal(SUM(neigh_heard), 0);
	send_ping6();
	serve_until(n_pongs6 == 1 && SUM(neigh_heard) == 1);
	assert_int_equal(n_questions6, 1);
	assert_int_equal(stat_read(&worker_stats(workers[0])->nd_advertisements_received), 1);
	assert_int_equal(stat_read(&worker_stats(workers[1])->neigh_heard), 1);
	for (unsigned i = 0; i < N_WORKERS; i++) // with the one that ARP found
		assert_int_equal(stat_read(&worker_stats(workers[i])->neigh_entries), 2);
	stop();
}

static atomic_bool is_held, is_let_go;

static void hold(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	(void)state, (void)w, (void)arg, (void)now_us;
	is_held = true;
	while (!is_let_go)
		sched_yield();
}

static void *hold_worker_1(void *arg)
{
	worker_call(workers[1], hold, arg);
	return NULL;
}

static void what_a_full_inbox_drops_comes_again(void)
{
	uint16_t ports[N_CONNECTIONS];
	unsigned n = 0, n_fillers = 0, n_unfinished;
	uint64_t n_before, n_dropped;
	pthread_t holder;

	meet(NIC_ONE_QUEUE);
	for (uint16_t i = 0; i < N_CONNECTIONS; i++) {
		if (owner_of((uint16_t)(FIRST_PORT + i)) == 1)
			ports[n++] = (uint16_t)(FIRST_PORT + i);
	}
	assert_true(n > 1);
	assert_int_equal(pthread_create(&holder, NULL, hold_worker_1, NULL), 0);
	while (!is_held)
		sched_yield();
	n_before = SUM(steer_handed_over);
	for (; SUM(steer_drop_full) == 0; n_fillers++) // with what nobody answers
		send_segment(ports[0], RTE_TCP_RST_FLAG, ISS, 0, "");
	while (SUM(steer_handed_over) + SUM(steer_drop_full) < n_before + n_fillers)
		sched_yield();
	n_dropped = SUM(steer_drop_full);
	for (unsigned i = 0; i < n; i++)
		send_segment(ports[i], RTE_TCP_SYN_FLAG, ISS, 0, "");
	while (SUM(steer_drop_full) < n_dropped + n)
		sched_yield();
	is_let_go = true;
	pthread_join(holder, NULL);
	while (SUM(tcp_drop_listen) < n_fillers - n_dropped)
		sched_yield();
	for (unsigned i = 0; i < n; i++) {
		send_segment(ports[i], RTE_TCP_SYN_FLAG, ISS, 0, "");
		serve_wire();
	}
	do {
		if (!serve_wire())
			sched_yield();
		n_unfinished = 0;
		for (unsigned i = 0; i < n; i++)
			n_unfinished += !seen[ports[i] - FIRST_PORT].finished;
	} while (n_unfinished > 0);
	assert_int_equal(SUM(tcp_passive_opens), n);
	stop();
}

static void both_say_goodbye_to_their_connections(void)
{
	meet(NIC_ONE_QUEUE);
	say_nothing = true;
	for (unsigned i = 0; i < N_CONNECTIONS; i++) {
		send_segment((uint16_t)(FIRST_PORT + i), RTE_TCP_SYN_FLAG, ISS, 0, "");
		serve_wire();
	}
	serve_until(SUM(tcp_state_established) == N_CONNECTIONS);
	n_last_resets = 0;
	stop();
	say_nothing = false;
	assert_int_equal(n_last_resets, N_CONNECTIONS); // worker 1 has no transmit queue
}

TESTS(TEST(two_workers_share_a_queue), TEST(what_a_full_inbox_drops_comes_again),
	TEST(a_neighbour_that_one_found_over_nd_is_known_to_the_other),
	TEST(both_say_goodbye_to_their_connections),
	TEST(a_nic_that_keeps_its_word_saves_the_handing_over),
	TEST(a_nic_that_does_not_costs_nothing_else))
