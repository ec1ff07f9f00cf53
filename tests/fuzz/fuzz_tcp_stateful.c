// One stack, two peers and an application, all driven by the input: frames in and out of every window, time,
// calls on streams, a driver that keeps buffers, a device that cuts packets or does not, a pool that runs empty. The input is two bytes of settings, then a
// series of operations: a byte (low five bits: which one, high three: the connection), then the operation's own
// bytes. What is sent in both directions is a function of the sequence number, so that every byte that arrives
// anywhere can be checked. After each operation:
//
//     every queue adds up, every buffer is accounted for          check_conn(), check_buffers()
//     what waits for something has a timer                        check_timers()
//     frames are well-formed, inside the peer's window, the
//     promised window never moves back, content is right          check_sent()
//
// and at the end, with all streams closed and silent peers, everything goes away by itself.

#include "dataplane/net/net_instance.h"
#include "dataplane/tcp/tcp_conn.h"
#include "dataplane/tcp/tcp_csum.h"
#include "tests/nic.h"
#include "tests/test_support.h"

#include <netinet/in.h>
#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_PEERS  2u
#define N_SLOTS  8u // connections that the peers play, the last two for active opens
#define N_APPS   32u
#define N_MBUFS  1023u
#define MAX_HELD 64u // frames in the driver
#define MAX_OPS  4096u
#define START_US (1000ull * 1000000)
#define OUR_IP   0x0100000au // 10.0.0.1 as it stands in memory
#define PEER_IP  0x0200000au // and the next one is 10.0.0.3

#define CHECK(what)                                                                        \
	do {                                                                               \
		if (!(what)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                           \
		}                                                                          \
	} while (0)

// A connection as the peer sees it.
struct slot {
	struct ip_endpoint here;
	struct ip_endpoint peer;
	uint32_t snd;     // the peer's next sequence number
	uint32_t rcv;     // after the highest that we sent
	uint32_t acked;   // our highest ACK number
	uint32_t isn;     // of our last SYN, or of the connection that 'edge' is of,
	uint32_t irs;     // and the peer's
	uint32_t edge;    // right edge that we promised
	bool has_edge;    // since our last SYN
	uint8_t scale;    // of our windows
	uint32_t our_ts;  // our last timestamp
	uint32_t iss;     // of the connection that 'allowed' is of
	uint32_t allowed; // right edge of what the peer ever took
	bool has_allowed;
};

struct app {
	struct stream *stream;
	bool lazy; // does not read by itself
};

static struct {
	struct net *net;
	struct tcp *tcp;
	struct iface *iface;
	struct rte_mempool *pool;     // of the stack
	struct rte_mempool *received; // the peers do not compete for its buffers
	struct dataplane_stats stats;
	uint64_t now_us;
	struct cursor in;
	struct slot slots[N_SLOTS];
	struct app apps[N_APPS];
	struct tcp_listener *listeners[2];
	bool refuse;
	bool lazy;
	bool write_back;
	bool end_in_event;
	bool hold;
	unsigned n_held;
	struct rte_mbuf *held[MAX_HELD];
	unsigned n_taken;
	struct rte_mbuf *taken[N_MBUFS];
	bool arp_due[N_PEERS];
	bool deaf; // the peers answer no ARP
} w;

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

static uint8_t in_byte(uint32_t seq)
{
	return (uint8_t)(seq * 2654435761u >> 24);
}

static uint8_t out_byte(uint32_t seq)
{
	return (uint8_t)(seq * 2246822519u >> 23);
}

static struct slot *find_slot(const struct ip_endpoint *here, const struct ip_endpoint *peer)
{
	for (unsigned i = 0; i < N_SLOTS; i++) {
		struct slot *s = &w.slots[i];

		if (s->here.port == here->port && s->peer.port == peer->port
			&& ip_addr_equal(&s->peer.addr, &peer->addr))
			return s;
	}
	return NULL;
}

// --- what the stack sends

static void check_tcp(const struct rte_ipv4_hdr *ip, const uint8_t *bytes, size_t len)
{
	const struct rte_tcp_hdr *h = (const void *)bytes;
	struct ip_endpoint here = {ip_addr_of_v4(ip->src_addr), rte_be_to_cpu_16(h->src_port)};
	struct ip_endpoint peer = {ip_addr_of_v4(ip->dst_addr), rte_be_to_cpu_16(h->dst_port)};
	struct slot *s = find_slot(&here, &peer);
	uint32_t header_len = (h->data_off >> 4) * 4u, seq = rte_be_to_cpu_32(h->sent_seq), end;
	uint32_t ack = rte_be_to_cpu_32(h->recv_ack), edge;
	const struct tcp_conn *c;
	struct tcp_options opt;
	uint64_t sum = csum_pseudo(&here.addr, &peer.addr) + csum_len((uint32_t)len);

	CHECK(header_len >= 20 && header_len <= len);
	CHECK(csum_fold(csum_add(bytes, (uint32_t)len, sum)) == 0xffff);
	tcp_options_parse(bytes_of(bytes + 20, header_len - 20), &opt);
	CHECK((h->tcp_flags & RTE_TCP_SYN_FLAG) == 0 || len == header_len);
	for (uint32_t i = 0; i < len - header_len; i++)
		CHECK(bytes[header_len + i] == out_byte(seq + i));
	if (s == NULL || h->tcp_flags & RTE_TCP_RST_FLAG)
		return;
	end = seq + (uint32_t)(len - header_len) + !!(h->tcp_flags & RTE_TCP_SYN_FLAG)
		+ !!(h->tcp_flags & RTE_TCP_FIN_FLAG);
	if (opt.has_timestamp)
		s->our_ts = opt.ts_value;
	c = tcp_lookup(w.tcp, &here, &peer);
	if (c != NULL) { // what is sent from TIME_WAIT has the scale of its connection
		s->scale = c->receive_scale;
		s->has_edge = s->has_edge && s->isn == c->iss && s->irs == c->irs;
		s->isn = c->iss;
		s->irs = c->irs;
	} else if (!(h->tcp_flags & RTE_TCP_SYN_FLAG) && (seq != s->isn + 1 || ack != s->irs + 1)
		&& tcp_syn_lookup(w.tcp, &here, &peer) != NULL) {
		s->has_edge = false; // a challenge by a handshake whose SYN-ACK never left
		return;
	}
	edge = ack + ((uint32_t)rte_be_to_cpu_16(h->rx_win) << s->scale);
	if (h->tcp_flags & RTE_TCP_SYN_FLAG) {
		s->rcv = end;
		s->isn = seq;
		s->irs = ack - 1;
		// By a SYN-ACK it is agreed on; after a SYN, when there is a connection.
		s->scale = h->tcp_flags & RTE_TCP_ACK_FLAG && opt.has_scale ? opt.scale : 0;
		s->has_edge = h->tcp_flags & RTE_TCP_ACK_FLAG;
		s->edge = ack + rte_be_to_cpu_16(h->rx_win);
		s->acked = ack;
		return;
	}
	// One byte beyond the window is the window probe.
	if (end != seq && s->has_allowed)
		CHECK(seq_le(end, s->allowed + 1));
	s->rcv = seq_max(s->rcv, end);
	if (s->has_edge) {
		CHECK(seq_le(s->edge, edge));
		CHECK(seq_le(s->acked, ack));
	}
	s->edge = edge;
	s->acked = ack;
	s->has_edge = true;
}

static void check_sent(void *arg, uint8_t *f, uint32_t len)
{
	const struct rte_ipv4_hdr *ip = (const void *)(f + RTE_ETHER_HDR_LEN);

	(void)arg;
	CHECK(len >= RTE_ETHER_HDR_LEN + 20 && len <= RTE_ETHER_HDR_LEN + 1500);
	CHECK(memcmp(f + 6, own_mac, 6) == 0);
	if (f[12] == 0x08 && f[13] == 0x06) {
		const struct rte_arp_hdr *arp = (const void *)(f + RTE_ETHER_HDR_LEN);
		uint32_t i = (arp->arp_data.arp_tip - PEER_IP) >> 24;

		if (i < N_PEERS)
			w.arp_due[i] = true;
		return;
	}
	CHECK(f[12] == 0x08 && f[13] == 0x00 && memcmp(f, peer_mac, 6) == 0);
	CHECK(rte_raw_cksum(ip, 20) == 0xffff && ip->src_addr == OUR_IP);
	CHECK(rte_be_to_cpu_16(ip->total_length) == len - RTE_ETHER_HDR_LEN);
	if (ip->next_proto_id == IPPROTO_TCP)
		check_tcp(ip, f + RTE_ETHER_HDR_LEN + 20, len - RTE_ETHER_HDR_LEN - 20);
}

static void take_sent(void *arg, struct rte_mbuf **ms, unsigned n)
{
	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		nic_send(ms[i], check_sent, NULL);
		if (w.hold && w.n_held < MAX_HELD)
			w.held[w.n_held++] = ms[i];
		else
			rte_pktmbuf_free(ms[i]);
	}
}

static void release_held(void)
{
	while (w.n_held > 0)
		rte_pktmbuf_free(w.held[--w.n_held]);
}

// --- invariants

static void check_sending(const struct tcp_conn *c)
{
	uint32_t bytes = 0, n = 0, sacked = 0, lost = 0, again = 0;
	uint32_t seq = c->state <= TCP_SYN_RECEIVED ? c->snd_nxt : c->snd_una;
	bool unsent = false;

	for (struct rte_mbuf *m = c->sending.head; m != NULL; m = tcp_buf(m)->next) {
		struct tcp_buf *b = tcp_buf(m);

		if (m == c->unsent) {
			unsent = true;
			CHECK(b->seq == c->snd_nxt);
		}
		CHECK(b->seq == seq);
		CHECK(!unsent || (b->flags & ~TCP_BUF_FIN) == 0);
		CHECK(!(b->flags & TCP_BUF_FIN) || b->next == NULL);
		CHECK(b->off >= NET_HEADROOM && b->off + b->len <= m->buf_len);
		seq = tcp_buf_end(m);
		bytes += b->len;
		n++;
		sacked += b->flags & TCP_BUF_SACKED ? tcp_buf_seq_len(m) : 0;
		lost += b->flags & TCP_BUF_LOST ? tcp_buf_seq_len(m) : 0;
		again += b->flags & TCP_BUF_AGAIN ? tcp_buf_seq_len(m) : 0;
	}
	CHECK(unsent == (c->unsent != NULL));
	CHECK(bytes == c->sending.bytes && n == c->sending.n);
	CHECK(lost == c->lost_bytes && again == c->again_bytes);
	if (c->state > TCP_SYN_RECEIVED && c->flags & TCP_F_IN_TABLE) {
		CHECK(seq == c->snd_end && seq_le(c->snd_una, c->snd_nxt));
		CHECK(seq_le(c->snd_nxt, c->snd_end));
		CHECK((c->flags & TCP_F_SACK) == 0 || sacked == c->sacked_bytes);
		CHECK(tcp_pipe(c) <= tcp_in_flight(c));
	}
}

static void check_receiving(const struct tcp_conn *c)
{
	uint32_t bytes = 0, n = 0, end = c->rcv_nxt;

	for (struct rte_mbuf *m = c->received.head; m != NULL; m = tcp_buf(m)->next) {
		CHECK(m->data_len == tcp_buf(m)->len && m->data_len > 0);
		bytes += m->data_len;
		n++;
	}
	CHECK(bytes == c->received.bytes && n == c->received.n);
	bytes = n = 0;
	for (struct rte_mbuf *m = c->reordered.head; m != NULL; m = tcp_buf(m)->next) {
		CHECK(m->data_len == tcp_buf(m)->len);
		CHECK(n == 0 ? seq_lt(end, tcp_buf(m)->seq) : seq_le(end, tcp_buf(m)->seq));
		end = tcp_buf_end(m);
		bytes += m->data_len;
		n++;
	}
	CHECK(bytes == c->reordered.bytes && n == c->reordered.n && n <= TCP_MAX_OOO);
	CHECK(c->n_sack <= TCP_MAX_SACK && (n > 0 || c->n_sack == 0));
	CHECK(seq_le(c->rcv_nxt, c->rcv_adv + 1));
}

// What waits for the peer, or only for time to pass, has a deadline, and the wheel knows it.
static void check_timers(const struct tcp_conn *c)
{
	uint64_t first = c->rto_at_us;
	bool waits = c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED
		|| tcp_in_flight(c) > 0 || c->unsent != NULL;

	if (!(c->flags & TCP_F_IN_TABLE))
		return;
	if (waits)
		CHECK(c->rto_at_us != TCP_NEVER || c->reorder_at_us != TCP_NEVER
			|| c->probe_at_us != TCP_NEVER);
	if (!(c->flags & (TCP_F_OWNED | TCP_F_ACCEPTING)))
		CHECK(waits || c->rto_at_us != TCP_NEVER || c->give_up_us != TCP_NEVER);
	first = RTE_MIN(first, c->ack_at_us);
	first = RTE_MIN(first, c->probe_at_us);
	first = RTE_MIN(first, c->reorder_at_us);
	first = RTE_MIN(first, c->keepalive_at_us);
	first = RTE_MIN(first, c->give_up_us);
	if (first != TCP_NEVER)
		CHECK(timer_is_armed(&c->timer) && c->timer.expires_us <= first);
	CHECK(c->rcv_nxt == c->rcv_acked || c->ack_at_us != TCP_NEVER
		|| c->state == TCP_SYN_RECEIVED);
}

static unsigned n_in_use(void)
{
	return rte_mempool_in_use_count(w.pool) + rte_mempool_in_use_count(w.received);
}

static void check_buffers(uint32_t n_queued)
{
	uint32_t n_pending = 0;

	CHECK(n_queued == w.tcp->mbufs_held && n_queued == w.stats.tcp_mbufs_held);
	for (unsigned i = 0; i < NEIGH_CAP; i++)
		n_pending += w.net->neighs.entries[i].n_pending;
	if (w.n_held == 0 && n_pending == 0)
		CHECK(n_in_use() == n_queued + w.n_taken);
}

// The right edge of all that the peer ever allowed; to be called after each frame, before the stack sends.
static void note_windows(void)
{
	list_foreach (it, &w.tcp->conns) {
		const struct tcp_conn *c = container_of(it, struct tcp_conn, node);
		struct slot *s = find_slot(&c->stream.local, &c->stream.remote);
		uint32_t edge = c->snd_una + c->snd_wnd;

		if (s == NULL || c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED)
			continue;
		if (!(c->flags & TCP_F_IN_TABLE)) // only its owner still has it
			continue;
		if (!s->has_allowed || s->iss != c->iss)
			s->allowed = edge;
		else
			s->allowed = seq_max(s->allowed, edge);
		s->iss = c->iss;
		s->has_allowed = true;
	}
}

static void check_stack(void)
{
	uint32_t n_queued = 0;

	list_foreach (it, &w.tcp->conns) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, node);

		check_sending(c);
		check_receiving(c);
		check_timers(c);
		if (c->flags & TCP_F_IN_TABLE)
			CHECK(tcp_lookup(w.tcp, &c->stream.local, &c->stream.remote) == c);
		else
			CHECK(c->flags & TCP_F_OWNED);
		n_queued += c->sending.n + c->received.n + c->reordered.n;
	}
	check_buffers(n_queued);
}

// --- the application

static void app_read(struct app *a, size_t most)
{
	const struct tcp_conn *c = (const void *)a->stream;

	while (most > 0) {
		struct bytes b = stream_peek(a->stream);
		uint32_t seq = c->irs + 1 + (uint32_t)a->stream->bytes_received;

		if (b.len > most)
			b.len = most;
		if (b.len == 0)
			return;
		for (uint32_t i = 0; i < b.len; i++)
			CHECK(b.ptr[i] == in_byte(seq + i));
		stream_consume(a->stream, b.len);
		most -= b.len;
	}
}

static void app_write(struct app *a, size_t n)
{
	static uint8_t bytes[65536];
	const struct tcp_conn *c = (const void *)a->stream;
	size_t room = stream_room(a->stream), done;

	n = RTE_MIN(n, sizeof(bytes));
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = out_byte(c->snd_end + i);
	done = stream_write(a->stream, bytes_of(bytes, n), false);
	CHECK(done <= n && done <= room);
}

static void on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct app *a = owner;

	CHECK(a->stream == s && now_us == w.now_us);
	if (events & STREAM_READABLE && !a->lazy)
		app_read(a, SIZE_MAX);
	if (events & STREAM_CLOSED || w.end_in_event) {
		if (w.refuse)
			stream_abort(&a->stream);
		else
			stream_close(&a->stream);
		return;
	}
	if (events & STREAM_WRITABLE && w.write_back)
		app_write(a, 3000);
	if (events & STREAM_READABLE && stream_read_ended(s) && !a->lazy)
		stream_shutdown(s);
}

static struct app *free_app(void)
{
	for (unsigned i = 0; i < N_APPS; i++) {
		if (w.apps[i].stream == NULL)
			return &w.apps[i];
	}
	return NULL;
}

static bool on_accept(void *arg, struct stream *s, uint64_t now_us)
{
	struct app *a = free_app();

	(void)arg;
	(void)now_us;
	if (a == NULL || w.refuse)
		return false;
	a->stream = s;
	a->lazy = w.lazy;
	stream_set_owner(s, on_event, a);
	if (w.write_back)
		stream_want_write(s, 1);
	return true;
}

static void listen_on(unsigned i)
{
	const struct tcp_listen_options options = {
		.local = {.port = (uint16_t)(80 + i)},
		.max_half_open = 4,
		.keepalive = { .time_s = i * 30, .interval_s = 5, .probes = 3},
		.accept = on_accept,
	};

	if (w.listeners[i] == NULL)
		w.listeners[i] = tcp_listen(w.net, &options);
}

static void connect_slot(struct slot *s)
{
	enum stream_error error = STREAM_ERROR_NONE;
	struct app *a = free_app();

	if (a == NULL || s < &w.slots[N_SLOTS - N_PEERS])
		return;
	a->lazy = w.lazy;
	a->stream = tcp_connect(w.net,
		&(struct tcp_connect_options){.remote = s->peer, .on_event = on_event, .owner = a},
		&error, w.now_us);
	if (a->stream == NULL) {
		CHECK(error != STREAM_ERROR_NONE);
		return;
	}
	s->here.port = a->stream->local.port;
	s->has_edge = false;
	s->has_allowed = false;
}

// The application's end of 's'; any open stream if it has none.
static struct app *app_of(const struct slot *s)
{
	struct app *any = NULL;

	for (unsigned i = 0; i < N_APPS; i++) {
		struct app *a = &w.apps[i];

		if (a->stream == NULL)
			continue;
		if (find_slot(&a->stream->local, &a->stream->remote) == s)
			return a;
		any = a;
	}
	return any;
}

// --- time

static void give_frame(const uint8_t *bytes, size_t len);

static bool answer_arp(void)
{
	bool any = false;

	for (uint32_t i = 0; i < N_PEERS; i++) {
		uint8_t f[42];
		const uint8_t head[8] = {0, 1, 8, 0, 6, 4, 0, 2};
		const uint32_t from = PEER_IP + (i << 24), to = OUR_IP;

		if (!w.arp_due[i] || w.deaf)
			continue;
		w.arp_due[i] = false;
		memcpy(f, own_mac, 6);
		memcpy(f + 6, peer_mac, 6);
		f[12] = 0x08;
		f[13] = 0x06;
		memcpy(f + 14, head, 8);
		memcpy(f + 22, peer_mac, 6);
		memcpy(f + 28, &from, 4);
		memcpy(f + 32, own_mac, 6);
		memcpy(f + 38, &to, 4);
		give_frame(f, sizeof(f));
		any = true;
	}
	return any;
}

static void run(void)
{
	bool answered;
	unsigned n = 0;

	do {
		note_windows();
		net_run(w.net, w.now_us);
		answered = answer_arp();
		CHECK(++n < 1000);
	} while (answered || tcp_has_work(w.tcp));
}

static void run_until(uint64_t until_us)
{
	unsigned n_stuck = 0;

	for (;;) {
		uint64_t next = net_next_deadline(w.net);

		if (next > until_us)
			break;
		if (next > w.now_us) {
			w.now_us = next;
			n_stuck = 0;
		} else {
			CHECK(++n_stuck < 3000);
			w.now_us = RTE_MIN(until_us, w.now_us + 1000);
		}
		run();
		if (w.now_us == until_us)
			return;
	}
	w.now_us = until_us;
	run();
}

// --- what the peers send

static void give_frame(const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w.received);

	CHECK(m != NULL);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	net_input(w.net, w.iface, &m, 1, w.now_us);
	note_windows();
}

// Small steps near zero, large ones far from it.
static uint32_t offset_of(uint8_t byte)
{
	int32_t x = (int8_t)byte, magnitude = x < 0 ? -x : x;

	if (magnitude > 64)
		magnitude = 64 + (magnitude - 64) * (magnitude - 64) * 37;
	return (uint32_t)(x < 0 ? -magnitude : magnitude);
}

static uint32_t length_of(uint8_t byte)
{
	uint32_t n = byte < 64 ? byte : 64 + (byte - 64u) * 8;

	return RTE_MIN(n, 1400u);
}

struct segment {
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
	uint16_t window;
	uint32_t len;
	uint8_t options[40];
	uint32_t n_options;
	bool bad_sum;
};

static void send_segment(struct slot *s, const struct segment *g)
{
	uint8_t f[1600] = {0}, *ip = f + 14, *h = ip + 20, *p;
	uint32_t header_len = 20 + g->n_options, len = header_len + g->len, src, dst = OUR_IP;
	uint16_t sum;

	src = ip_addr_v4(&s->peer.addr);
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
	p = tcp_put_be16(h, s->peer.port);
	p = tcp_put_be16(p, s->here.port);
	p = tcp_put_be32(p, g->seq);
	p = tcp_put_be32(p, g->flags & RTE_TCP_ACK_FLAG ? g->ack : 0);
	p = tcp_put_u8(p, (uint8_t)(header_len / 4 << 4));
	p = tcp_put_u8(p, g->flags);
	tcp_put_be16(p, g->window);
	memcpy(h + 20, g->options, g->n_options);
	for (uint32_t i = 0; i < g->len; i++)
		h[header_len + i] = in_byte(g->seq + !!(g->flags & RTE_TCP_SYN_FLAG) + i);
	sum = (uint16_t)~csum_fold(
		csum_add(h, len, csum_pseudo(&s->peer.addr, &s->here.addr) + csum_len(len)));
	sum = (uint16_t)(sum + g->bad_sum);
	memcpy(h + 16, &sum, 2);
	give_frame(f, 14 + 20 + len);
}

static void put_options(struct segment *g, const struct slot *s, uint8_t which, bool syn)
{
	uint8_t *p = g->options;

	if (syn) {
		static const uint16_t sizes[4] = {1460, 536, 100, 9000};

		if ((which & 3) != 3)
			p = tcp_put_be32(p, 0x02040000u | sizes[which >> 4 & 3]);
		if (which & 4)
			p = tcp_put_be32(p, 0x01010402);
		if (which & 8)
			p = tcp_put_be32(p, 0x01030300u | (which >> 4 & 15));
	}
	if (which & 1) {
		p = tcp_put_be32(p, 0x0101080a);
		p = tcp_put_be32(p, (uint32_t)(w.now_us / 1000) - (which & 128 ? 5000 : 0));
		p = tcp_put_be32(p, s->our_ts - (which >> 6 & 1));
	}
	if (!syn && which & 2) {
		unsigned n = which & 1 ? 1 + (which >> 2 & 1) : 1 + (which >> 2 & 3) % 3;

		p = tcp_put_be32(p, 0x01010500u | (2 + 8 * n));
		for (unsigned i = 0; i < n; i++) {
			uint32_t left = s->rcv - 4 * length_of(cursor_u8(&w.in));

			p = tcp_put_be32(p, left);
			p = tcp_put_be32(p, left + 4 * length_of(cursor_u8(&w.in)));
		}
	}
	g->n_options = (uint32_t)(p - g->options);
}

// Any segment, field by field.
static void op_segment(struct slot *s)
{
	static const uint8_t flags[16] = {0x10, 0x18, 0x02, 0x12, 0x11, 0x04, 0x14, 0x00, 0x01,
		0x30, 0x03, 0xff, 0x19, 0x52, 0x06, 0x10};
	uint8_t how = cursor_u8(&w.in), which = cursor_u8(&w.in);
	struct segment g = {.flags = flags[how & 15]};

	g.seq = s->snd + offset_of(cursor_u8(&w.in));
	g.ack = s->rcv + offset_of(cursor_u8(&w.in));
	g.window = (uint16_t)(cursor_u8(&w.in) * 257);
	g.len = length_of(cursor_u8(&w.in));
	put_options(&g, s, which, g.flags & RTE_TCP_SYN_FLAG);
	g.bad_sum = (how & 0xe0) == 0xe0;
	send_segment(s, &g);
	if (how & 16)
		s->snd = g.seq + g.len + !!(g.flags & RTE_TCP_SYN_FLAG)
			+ !!(g.flags & RTE_TCP_FIN_FLAG);
}

// What an honest peer sends: data of some length, everything acknowledged.
static void op_data(struct slot *s, uint8_t flags)
{
	struct segment g = {
		.flags = flags, .seq = s->snd, .ack = s->rcv, .window = 0xffff, .len = 0};
	uint8_t b = cursor_u8(&w.in);

	g.len = length_of(b);
	put_options(&g, s, 1, false);
	send_segment(s, &g);
	s->snd += g.len + !!(flags & RTE_TCP_FIN_FLAG);
}

// A handshake from the peer's side, or its answer to ours.
static void op_handshake(struct slot *s)
{
	bool active = s >= &w.slots[N_SLOTS - N_PEERS];
	struct segment g = {.flags = RTE_TCP_SYN_FLAG, .window = 0x4000};
	uint8_t which = cursor_u8(&w.in);

	s->snd += 100000;
	g.seq = s->snd;
	g.ack = s->rcv;
	if (active)
		g.flags |= RTE_TCP_ACK_FLAG;
	put_options(&g, s, which, true);
	send_segment(s, &g);
	s->snd++;
	run();
	if (active)
		return;
	g = (struct segment){.flags = RTE_TCP_ACK_FLAG,
		.seq = s->snd,
		.ack = s->rcv,
		.window = (uint16_t)(0x4000 >> (which & 8 ? which >> 4 & 7 : 0))};
	put_options(&g, s, which & 1, false);
	send_segment(s, &g);
}

static void op_icmp(struct slot *s)
{
	uint8_t how = cursor_u8(&w.in), f[14 + 20 + 8 + 28] = {0}, *ip = f + 14, *icmp = ip + 20;
	uint32_t src = ip_addr_v4(&s->peer.addr), dst = OUR_IP;
	uint16_t sum;

	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	f[12] = 0x08;
	ip[0] = 0x45;
	tcp_put_be16(ip + 2, 20 + 8 + 28);
	ip[8] = 64;
	ip[9] = IPPROTO_ICMP;
	memcpy(ip + 12, &src, 4);
	memcpy(ip + 16, &dst, 4);
	sum = (uint16_t)~rte_raw_cksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
	icmp[0] = 3;
	icmp[1] = how & 1 ? 4 : 1;
	tcp_put_be16(icmp + 6, (uint16_t)(how >> 1 << 4));
	icmp[8] = 0x45;
	tcp_put_be16(icmp + 10, 1500);
	icmp[8 + 8] = 64;
	icmp[8 + 9] = IPPROTO_TCP;
	memcpy(icmp + 8 + 12, &dst, 4);
	memcpy(icmp + 8 + 16, &src, 4);
	tcp_put_be16(icmp + 28, s->here.port);
	tcp_put_be16(icmp + 30, s->peer.port);
	tcp_put_be32(icmp + 32, s->rcv + offset_of(cursor_u8(&w.in)) - 1);
	sum = (uint16_t)~rte_raw_cksum(icmp, 8 + 28);
	memcpy(icmp + 2, &sum, 2);
	give_frame(f, sizeof(f));
}

static void take_buffers(unsigned n)
{
	while (n > 0 && w.n_taken < N_MBUFS) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(w.pool);

		if (m == NULL)
			return;
		w.taken[w.n_taken++] = m;
		n--;
	}
}

static void give_back_buffers(void)
{
	while (w.n_taken > 0)
		rte_pktmbuf_free(w.taken[--w.n_taken]);
}

static void op_app(struct slot *s, uint8_t op)
{
	struct app *a = app_of(s);

	if (a == NULL)
		return;
	switch (op) {
	case 0: app_write(a, cursor_u8(&w.in) * 61u); break;
	case 1: app_read(a, cursor_u8(&w.in) * 61u); break;
	case 2: stream_shutdown(a->stream); break;
	case 3: stream_close(&a->stream); break;
	case 4: stream_abort(&a->stream); break;
	case 5: stream_want_write(a->stream, cursor_u8(&w.in) * 1024u); break;
	default: stream_want_read(a->stream); break;
	}
}

static void set_mtu(uint16_t mtu)
{
	if (mtu == w.iface->mtu)
		return;
	w.iface->mtu = mtu;
	tcp_mtu_follow(w.tcp, w.now_us);
}

static void op_switch(uint8_t bits)
{
	w.refuse = bits & 1;
	w.lazy = bits & 2;
	w.write_back = bits & 4;
	w.end_in_event = bits & 8;
	w.hold = bits & 16;
	w.deaf = bits & 32;
	set_mtu(bits & 64 ? 700 : 1500);
	if (!w.hold)
		release_held();
}

static void step(void)
{
	uint8_t op = cursor_u8(&w.in), arg;
	struct slot *s = &w.slots[op >> 5];

	switch (op & 31) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4: op_segment(s); break;
	case 5:
	case 6: op_data(s, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG); break;
	case 7: op_data(s, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG); break;
	case 8:
	case 9: op_handshake(s); break;
	case 10: op_icmp(s); break;
	case 11: connect_slot(s); break;
	case 12: listen_on(op >> 5 & 1); break;
	case 13: tcp_unlisten(w.net, &w.listeners[op >> 5 & 1]); break;
	case 14: op_switch(cursor_u8(&w.in)); break;
	case 15: take_buffers(cursor_u8(&w.in) * 4u); break;
	case 16: give_back_buffers(); break;
	case 17: run_until(w.now_us + cursor_u8(&w.in)); break;
	case 18: run_until(w.now_us + cursor_u8(&w.in) * 1000u); break;
	case 19: run_until(w.now_us + cursor_u8(&w.in) * 100000u); break;
	case 20:
		arg = cursor_u8(&w.in);
		for (unsigned i = 0; i < 1u + arg % 8; i++)
			run_until(RTE_MIN(net_next_deadline(w.net), w.now_us + 60000000));
		break;
	case 21: w.now_us += cursor_u8(&w.in) * 1000000ull; break; // the worker stood still
	case 22: return; // the next one comes in the same burst
	default: op_app(s, (op & 31) - 23); break;
	}
}

// --- a life

static struct rte_mempool *new_pool(const char *name, unsigned n)
{
	struct rte_mempool *p =
		rte_pktmbuf_pool_create(name, n, 0, 32, 2048 + NET_HEADROOM, SOCKET_ID_ANY);

	CHECK(p != NULL);
	return p;
}

static void start(uint8_t how, uint8_t more)
{
	static const uint32_t sizes[4] = {2048, 16384, 65536, 1 << 20};
	static const uint32_t budgets[4] = {0, 24, 100, 400};
	struct tcp_settings settings = tcp_default_settings;
	struct iface_config iface = {
		.name = "fuzz",
		.mtu = 1500,
		.n_addresses = 1,
		.prefix_len = {24},
		.transmit = take_sent,
	};
	struct net_config config = {
		.secret = {1, 2},
		.max_connections = 6,
		.max_time_wait = 3,
		.port_first = 20000,
		.port_last = 20015,
		.port_mask = 3,
		.port_value = 1,
		.stats = &w.stats,
		.tcp = &settings,
	};
	struct rte_mempool *pool = w.pool, *received = w.received;

	memset(&w, 0, sizeof(w));
	w.pool = pool != NULL ? pool : new_pool("sent", N_MBUFS);
	w.received = received != NULL ? received : new_pool("received", 4095);
	w.now_us = START_US;
	settings.send_buffer_max = sizes[how & 3];
	settings.receive_buffer_max = sizes[how >> 2 & 3];
	settings.nagle = how & 16;
	settings.linger_bytes = how & 32 ? 3000 : settings.linger_bytes;
	if (more & 2)
		iface.offloads = (struct net_offloads){.ip4_csum = more & 4,
			.tcp_csum = more & 4,
			.tso4 = true,
			.tso_mbufs = (uint16_t)(2 + (more >> 2))};
	config.max_mbufs_held = budgets[how >> 6 & 3];
	config.mbufs = w.pool;
	w.net = net_new(&config, w.now_us);
	CHECK(w.net != NULL);
	w.tcp = w.net->tcp;
	memcpy(iface.mac, own_mac, sizeof(iface.mac));
	iface.addresses[0] = ip_addr_of_v4(OUR_IP);
	w.iface = net_add_iface(w.net, &iface);
	CHECK(w.iface != NULL);
	for (uint32_t i = 0; i < N_SLOTS; i++) {
		struct slot *s = &w.slots[i];
		bool active = i >= N_SLOTS - N_PEERS;

		s->peer.addr = ip_addr_of_v4(PEER_IP + (i % N_PEERS << 24));
		s->here.addr = ip_addr_of_v4(OUR_IP);
		s->peer.port = (uint16_t)(active ? 8080 : 40000 + i / N_PEERS);
		s->here.port = (uint16_t)(active ? 1 : 80 + (i >> 1 & 1));
		s->snd = more & 1 ? 0xffffff00u : 1000 * i; // near the wrap
	}
	listen_on(0);
	listen_on(1);
	run();
}

static void end(void)
{
	release_held();
	give_back_buffers();
	w.hold = false;
	w.refuse = false;
	for (unsigned i = 0; i < N_APPS; i++)
		stream_close(&w.apps[i].stream);
	tcp_unlisten(w.net, &w.listeners[0]);
	tcp_unlisten(w.net, &w.listeners[1]);
	run();
	check_stack();
	run_until(w.now_us + 400000000);
	check_stack();
	list_foreach (it, &w.tcp->conns) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, node);

		fprintf(stderr,
			"left: %s flags %x una %u nxt %u end %u wnd %u queued %u backoff %u\n",
			tcp_state_name(c->state), c->flags, c->snd_una, c->snd_nxt, c->snd_end,
			c->snd_wnd, c->sending.n, c->backoff);
	}
	CHECK(tcp_n_connections(w.net) == 0 && w.stats.tcp_time_wait == 0);
	net_free(&w.net);
	CHECK(n_in_use() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	test_eal_init();
	w.in = cursor_of(bytes_of(data, size));
	if (size < 3)
		return 0;
	{
		struct cursor in = w.in;
		uint8_t how = cursor_u8(&in), more = cursor_u8(&in);

		start(how, more);
		w.in = in;
	}
	for (unsigned n = 0; n < MAX_OPS && cursor_left(&w.in) > 0; n++) {
		bool burst = (*w.in.pos & 31) == 22;

		step();
		if (!burst)
			run();
		if (!tcp_has_work(w.tcp))
			check_stack();
	}
	end();
	return 0;
}
