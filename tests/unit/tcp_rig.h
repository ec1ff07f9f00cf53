// One TCP stack under a microscope: the net below it is a stub that records what is sent, the peer is the
// test, the clock is a variable.
//
//     struct rig r;
//     rig_established(&r, &(struct rig_options){.mss = 1000});
//     rx(&r, SEG(.seq = 1, .ack = 1, .data = "hello"));     the peer sends
//     tx(&r, SEG(.ack = 6));                                exactly this was sent
//     rig_done(&r);                                         nothing leaked, no timer left
//
// Numbers are relative to both initial sequence numbers: the SYN is 0, the first byte 1. Windows are not
// scaled. ACK is set unless .flags says otherwise.
#pragma once

#include "dataplane/tcp/tcp_conn.h"
#include "dataplane/tcp/tcp_csum.h"
#include "tests/nic.h"
#include "tests/test_support.h"

#include <stdio.h>
#include <stdlib.h>

#define RIG_MAX_SENT  4096u
#define RIG_START_US  (1000ull * 1000000)
#define RIG_PEER_ISS  0xfffffff0u // so that numbers wrap at once
#define RIG_PEER_PORT 40000
#define RIG_PORT      80

#define F_FIN RTE_TCP_FIN_FLAG
#define F_SYN RTE_TCP_SYN_FLAG
#define F_RST RTE_TCP_RST_FLAG
#define F_PSH RTE_TCP_PSH_FLAG
#define F_ACK RTE_TCP_ACK_FLAG

struct net {
	struct tcp *tcp;
	struct timer_wheel *timers;
	struct rte_mbuf *sent[RIG_MAX_SENT];
	unsigned n_sent;
	unsigned n_taken;
	unsigned n_packets;     // as TCP gave them, before they were cut
	unsigned at_once;       // segments that the device takes as one packet
	uint16_t straight_port; // the one whose answers come without a detour; 0: all
	bool hold;              // the device keeps the next packet ...
	struct rte_mbuf *held;  // ... this
	uint16_t mtu;
	bool unroutable;
};

struct rig_options {
	uint16_t mss;     // the peer's; 0: 1460
	bool timestamps;  // the peer offers them
	bool sack;        // the peer offers it
	int scale;        // the peer's; 0: not offered, so windows are as they stand
	uint32_t window;  // the peer's, in its SYN and ever after; 0: 65535
	bool active;      // we connect
	uint32_t n_mbufs; // of the pool; 0: 1000
	uint32_t max_mbufs_held;
	uint32_t max_connections;     // 0: 16
	uint32_t max_half_open;       // 0: 8
	struct tcp_settings settings; // members that are 0 are the defaults
	struct tcp_keepalive keepalive;
	bool refuse;      // the listener's owner says no
	unsigned at_once; // segments that the device cuts from one packet; 0: it cuts none
};

struct rig {
	struct rig_options options;
	struct net net;
	struct rte_mempool *pool;
	struct dataplane_stats stats;
	struct tcp_listener *listener;
	struct ip_endpoint here;
	struct ip_endpoint peer;
	struct stream *stream;
	struct tcp_conn *conn;
	unsigned events; // all that came
	unsigned n_accepted;
	uint64_t now_us;
	uint32_t iss; // ours, as the peer saw it
	uint32_t peer_ts;
	uint32_t our_ts; // last seen
};

// A segment, sent or expected. -1 stands for "whatever".
struct seg {
	int flags; // 0: ACK
	int64_t seq;
	int64_t ack;
	int64_t window;
	int len;          // expected payload length; of 'data' if that is given
	const char *data; // bytes; NULL with 'len': 'x's
	int n_sack;
	uint32_t sack[8]; // left, right, ...
	uint32_t ts;      // to send, instead of the rig's clock
	bool no_ts;
	int mss; // expected option
};

// Its defaults are there to be overridden.
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
#define SEG(...) (&(struct seg){.flags = 0, .seq = -1, .ack = -1, .window = -1, __VA_ARGS__})

// --- the stub below TCP

struct timer_wheel *net_timers(struct net *net)
{
	return net->timers;
}

struct tcp *net_tcp(struct net *net)
{
	return net->tcp;
}

// The wire: a copy, so that the stack may use its buffer again.
static inline void rig_record(void *arg, uint8_t *bytes, uint32_t len)
{
	struct rte_mbuf *copy = calloc(1, sizeof(struct rte_mbuf) + 4096);
	struct net *net = arg;

	assert_true(net->n_sent < RIG_MAX_SENT && len <= 4096);
	copy->buf_addr = copy + 1;
	copy->data_len = (uint16_t)len;
	memcpy(copy->buf_addr, bytes, len);
	net->sent[net->n_sent++] = copy;
}

int net_output(struct net *net, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t protocol, uint64_t now_us)
{
	uint8_t bytes[NIC_MAX];
	uint32_t len = nic_flatten(m, bytes);

	(void)now_us;
	assert_int_equal(protocol, 6);
	assert_true(rte_pktmbuf_headroom(m) >= 14 + 4 + 40);
	nic_cut_segment(m, bytes, len, 0, csum_pseudo(src, dst), rig_record, net);
	net->n_packets++;
	if (net->held == NULL && net->hold)
		net->held = m;
	else
		rte_pktmbuf_free(m);
	return net->unroutable ? -EHOSTUNREACH : 0;
}

unsigned net_segments_at_once(struct net *net, const struct ip_addr *dst, uint16_t header,
	uint16_t payload, uint64_t now_us)
{
	(void)dst;
	(void)header;
	(void)payload;
	(void)now_us;
	return net->at_once;
}

bool net_route(struct net *net, const struct ip_addr *dst, struct ip_addr *src, uint16_t *mtu)
{
	(void)dst;
	if (net->unroutable)
		return false;
	ip_addr_parse("10.0.0.1", src);
	*mtu = net->mtu;
	return true;
}

bool net_arrives_here(
	struct net *net, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	(void)remote;
	return net->straight_port == 0 || local->port == net->straight_port;
}

bool net_owns(const struct net *net, const struct ip_addr *a)
{
	(void)net;
	(void)a;
	return true;
}

// --- driving

static inline void rig_on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct rig *r = owner;

	assert_ptr_equal(s, r->stream);
	assert_int_equal(now_us, r->now_us);
	r->events |= events;
}

static inline bool rig_accept(void *arg, struct stream *s, uint64_t now_us)
{
	struct rig *r = arg;

	(void)now_us;
	if (r->options.refuse)
		return false;
	r->n_accepted++;
	r->stream = s;
	stream_set_owner(s, rig_on_event, r);
	return true;
}

static inline void rig_run(struct rig *r)
{
	do {
		timer_wheel_run(r->net.timers, r->now_us, 1000);
		tcp_run(r->net.tcp, r->now_us);
	} while (tcp_has_work(r->net.tcp));
}

// Moves the clock to 'ms' after the start, and lets what is due happen on the way.
static inline void rig_at(struct rig *r, double ms)
{
	uint64_t until = RIG_START_US + (uint64_t)(ms * 1000 + 0.5);

	assert_true(until >= r->now_us);
	for (;;) {
		uint64_t next = timer_wheel_next(r->net.timers);

		if (next > until)
			break;
		if (next > r->now_us)
			r->now_us = next;
		rig_run(r);
	}
	r->now_us = until;
	rig_run(r);
}

static inline void rig_after(struct rig *r, double ms)
{
	rig_at(r, (double)(r->now_us - RIG_START_US) / 1000 + ms);
}

// The peer sends 's', without letting the stack answer yet.
static inline void rx_quiet(struct rig *r, const struct seg *s)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(r->pool);
	uint8_t flags = (uint8_t)(s->flags != 0 ? s->flags : F_ACK), options[40], *p = options, *h;
	size_t len = s->data != NULL ? strlen(s->data) : (size_t)s->len, header_len;
	uint16_t sum;

	assert_non_null(m);
	if (flags & F_SYN) {
		p = tcp_put_be32(p, 0x02040000u | (r->options.mss != 0 ? r->options.mss : 1460u));
		if (r->options.sack)
			p = tcp_put_be32(p, 0x01010402);
		if (r->options.scale != 0)
			p = tcp_put_be32(p, 0x01030300u | (uint32_t)r->options.scale);
	}
	if (r->options.timestamps && !s->no_ts) {
		p = tcp_put_be32(p, 0x0101080a);
		p = tcp_put_be32(p, s->ts != 0 ? s->ts : r->peer_ts + (uint32_t)(r->now_us / 1000));
		p = tcp_put_be32(p, r->our_ts);
	}
	if (s->n_sack > 0) {
		p = tcp_put_be32(p, 0x01010500u | (uint32_t)(2 + 8 * s->n_sack));
		for (int i = 0; i < 2 * s->n_sack; i++)
			p = tcp_put_be32(p, r->iss + s->sack[i]);
	}
	header_len = 20 + (size_t)(p - options);
	h = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(header_len + len));
	memcpy(h + 20, options, header_len - 20);
	if (s->data != NULL)
		memcpy(h + header_len, s->data, len);
	else
		memset(h + header_len, 'x', len);
	p = tcp_put_be16(h, r->peer.port);
	p = tcp_put_be16(p, r->here.port);
	p = tcp_put_be32(p, RIG_PEER_ISS + (uint32_t)(s->seq >= 0 ? s->seq : 0));
	p = tcp_put_be32(p, flags & F_ACK ? r->iss + (uint32_t)(s->ack >= 0 ? s->ack : 0) : 0);
	p = tcp_put_u8(p, (uint8_t)(header_len / 4 << 4));
	p = tcp_put_u8(p, flags);
	p = tcp_put_be16(p,
		(uint16_t)(s->window >= 0                ? (uint32_t)s->window
				: r->options.window != 0 ? r->options.window
							 : 65535));
	tcp_put_be32(p, 0);
	sum = (uint16_t)~csum_fold(csum_add(
		h, m->data_len, csum_pseudo(&r->peer.addr, &r->here.addr) + csum_len(m->data_len)));
	memcpy(h + 16, &sum, sizeof(sum));
	tcp_input(r->net.tcp, m, &r->peer.addr, &r->here.addr, CSUM_VERIFY, r->now_us);
}

static inline void rx(struct rig *r, const struct seg *s)
{
	rx_quiet(r, s);
	rig_run(r);
}

static inline void print_sent(const struct rig *r, const struct rte_mbuf *m)
{
	const struct rte_tcp_hdr *h = m->buf_addr;

	print_error("  sent: flags 0x%02x seq %u ack %u window %u payload %u\n", h->tcp_flags,
		rte_be_to_cpu_32(h->sent_seq) - r->iss,
		rte_be_to_cpu_32(h->recv_ack) - RIG_PEER_ISS, rte_be_to_cpu_16(h->rx_win),
		m->data_len - (h->data_off >> 4) * 4);
}

static inline void show_pending(const struct rig *r)
{
	for (unsigned i = r->net.n_taken; i < r->net.n_sent; i++)
		print_sent(r, r->net.sent[i]);
}

#define tx_none(r)                                         \
	do {                                               \
		if ((r)->net.n_taken != (r)->net.n_sent) { \
			show_pending(r);                   \
			fail_msg("segments were sent");    \
		}                                          \
	} while (0)

// How many segments were sent that nobody looked at; they are forgotten.
static inline unsigned tx_skip(struct rig *r)
{
	unsigned n = r->net.n_sent - r->net.n_taken;

	while (r->net.n_taken < r->net.n_sent)
		free(r->net.sent[r->net.n_taken++]);
	r->net.n_taken = 0;
	r->net.n_sent = 0;
	return n;
}

// The oldest segment sent that was not looked at has to be 's'.
static inline void tx_at(struct rig *r, const struct seg *s, const char *file, int line)
{
	int flags = s->flags != 0 ? s->flags : F_ACK;
	const struct rte_tcp_hdr *h;
	struct tcp_options opt;
	struct rte_mbuf *m;
	int header_len, len;
	bool good;

	if (r->net.n_taken == r->net.n_sent) {
		print_error("%s:%d: nothing was sent\n", file, line);
		fail();
	}
	m = r->net.sent[r->net.n_taken];
	h = m->buf_addr;
	header_len = (h->data_off >> 4) * 4;
	len = m->data_len - header_len;
	tcp_options_parse(bytes_of(h + 1, (size_t)header_len - 20), &opt);
	if (h->tcp_flags & F_SYN)
		r->iss = rte_be_to_cpu_32(h->sent_seq);
	if (opt.has_timestamp)
		r->our_ts = opt.ts_value;
	good = (h->tcp_flags & ~F_PSH) == (flags & ~F_PSH)
		&& (s->seq < 0 || rte_be_to_cpu_32(h->sent_seq) - r->iss == (uint32_t)s->seq)
		&& (s->ack < 0 || rte_be_to_cpu_32(h->recv_ack) - RIG_PEER_ISS == (uint32_t)s->ack)
		&& (s->window < 0 || rte_be_to_cpu_16(h->rx_win) == s->window)
		&& len == (s->data != NULL ? (int)strlen(s->data) : s->len)
		&& (s->data == NULL
			|| memcmp((const char *)h + header_len, s->data, (size_t)len) == 0)
		&& (s->mss == 0 || opt.mss == s->mss) && opt.n_sack == s->n_sack;
	for (int i = 0; good && i < s->n_sack; i++)
		good = opt.sack[i].left - RIG_PEER_ISS == s->sack[2 * i]
			&& opt.sack[i].right - RIG_PEER_ISS == s->sack[2 * i + 1];
	if (!good) {
		print_error("%s:%d: expected flags 0x%02x seq %lld ack %lld window %lld len %d\n",
			file, line, flags, (long long)s->seq, (long long)s->ack,
			(long long)s->window, s->data != NULL ? (int)strlen(s->data) : s->len);
		for (int i = 0; i < opt.n_sack; i++)
			print_error("  with SACK %u-%u\n", opt.sack[i].left - RIG_PEER_ISS,
				opt.sack[i].right - RIG_PEER_ISS);
		show_pending(r);
		fail();
	}
	free(m);
	r->net.n_taken++;
	if (r->net.n_taken == r->net.n_sent)
		tx_skip(r);
}

#define tx(r, s) tx_at((r), (s), __FILE__, __LINE__)

// --- the ends of a test

static inline struct tcp_settings rig_settings(const struct tcp_settings *wanted)
{
	struct tcp_settings s = tcp_default_settings;

	s.time_wait_us = 1000000;
	if (wanted->send_buffer_max != 0)
		s.send_buffer_max = wanted->send_buffer_max;
	if (wanted->receive_buffer_max != 0)
		s.receive_buffer_max = wanted->receive_buffer_max;
	if (wanted->user_timeout_us != 0)
		s.user_timeout_us = wanted->user_timeout_us;
	if (wanted->time_wait_us != 0)
		s.time_wait_us = wanted->time_wait_us;
	if (wanted->fin_wait_2_us != 0)
		s.fin_wait_2_us = wanted->fin_wait_2_us;
	if (wanted->linger_bytes != 0)
		s.linger_bytes = wanted->linger_bytes;
	s.nagle = wanted->nagle;
	return s;
}

// A stack with a listener on RIG_PORT, nothing connected.
static inline void rig_init(struct rig *r, const struct rig_options *options)
{
	static unsigned n_pools;
	char name[32];
	struct tcp_settings settings = rig_settings(&options->settings);
	struct net_config config = {
		.secret = {1, 2},
		.max_connections = options->max_connections != 0 ? options->max_connections : 16,
		.max_time_wait = 8,
		.port_first = 20000,
		.port_last = 20099,
		.port_mask = 3,
		.port_value = 1,
		.max_mbufs_held = options->max_mbufs_held,
		.stats = &r->stats,
		.tcp = &settings,
	};

	test_eal_init();
	*r = (struct rig){.options = *options, .now_us = RIG_START_US, .peer_ts = 5000};
	snprintf(name, sizeof(name), "rig%u", n_pools++);
	r->pool = rte_pktmbuf_pool_create(name, options->n_mbufs != 0 ? options->n_mbufs : 1000, 0,
		32, 2048 + NET_HEADROOM, 0);
	assert_non_null(r->pool);
	config.mbufs = r->pool;
	r->net.timers = timer_wheel_new(r->now_us);
	r->net.mtu = 1500;
	r->net.at_once = options->at_once != 0 ? options->at_once : 1;
	r->net.tcp = tcp_new(&r->net, &config, r->now_us);
	assert_non_null(r->net.tcp);
	ip_addr_parse("10.0.0.1", &r->here.addr);
	ip_addr_parse("10.0.0.2", &r->peer.addr);
	r->here.port = RIG_PORT;
	r->peer.port = RIG_PEER_PORT;
	r->listener = tcp_listen(&r->net,
		&(struct tcp_listen_options){
			.local = {.port = RIG_PORT},
			.max_half_open = options->max_half_open != 0 ? options->max_half_open : 8,
			.keepalive = options->keepalive,
			.accept = rig_accept,
			.arg = r,
		});
	assert_non_null(r->listener);
}

static inline void rig_find_conn(struct rig *r)
{
	r->conn = tcp_lookup(r->net.tcp, &r->here, &r->peer);
}

// We connect to the peer; the SYN is out.
static inline void rig_connect(struct rig *r)
{
	enum stream_error error = STREAM_ERROR_NONE;

	r->peer.port = 8080;
	r->stream = tcp_connect(&r->net,
		&(struct tcp_connect_options){.remote = r->peer,
			.keepalive = r->options.keepalive,
			.on_event = rig_on_event,
			.owner = r},
		&error, r->now_us);
	assert_non_null(r->stream);
	r->here.port = r->stream->local.port;
	rig_find_conn(r);
	assert_non_null(r->conn);
	rig_run(r);
}

// A stack with one connection, ESTABLISHED, both sides at 1.
static inline void rig_established(struct rig *r, const struct rig_options *options)
{
	rig_init(r, options);
	if (options->active) {
		rig_connect(r);
		tx(r, SEG(.flags = F_SYN, .seq = 0));
		rx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
		tx(r, SEG(.seq = 1, .ack = 1));
	} else {
		rx(r, SEG(.flags = F_SYN, .seq = 0));
		tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
		rx(r, SEG(.seq = 1, .ack = 1));
		assert_int_equal(r->n_accepted, 1);
	}
	rig_find_conn(r);
	assert_non_null(r->conn);
	assert_int_equal(r->conn->state, TCP_ESTABLISHED);
	tx_none(r);
}

static inline size_t rig_write(struct rig *r, size_t n)
{
	static uint8_t bytes[1 << 20];
	size_t done;

	memset(bytes, 'y', sizeof(bytes));
	done = stream_write(r->stream, bytes_of(bytes, n), false);
	rig_run(r);
	return done;
}

// Everything readable has to be 'text'.
static inline void rig_read(struct rig *r, const char *text)
{
	size_t len = strlen(text), at = 0;

	assert_int_equal(stream_readable(r->stream), len);
	while (at < len) {
		struct bytes b = stream_peek(r->stream);

		assert_true(b.len > 0);
		assert_memory_equal(b.ptr, text + at, b.len);
		at += b.len;
		stream_consume(r->stream, b.len);
	}
	assert_int_equal(stream_peek(r->stream).len, 0);
	rig_run(r);
}

// Takes the stack down without more traffic; with a connection still open it is aborted.
static inline void rig_fini(struct rig *r)
{
	stream_abort(&r->stream);
	rig_run(r);
	tx_skip(r);
	tcp_unlisten(&r->net, &r->listener);
	rig_run(r);
	tx_skip(r);
	tcp_free(&r->net.tcp);
	assert_int_equal(timer_wheel_n_armed(r->net.timers), 0);
	assert_int_equal(r->stats.tcp_mbufs_held, 0);
	assert_int_equal(rte_mempool_in_use_count(r->pool), 0);
	timer_wheel_free(&r->net.timers);
	rte_mempool_free(r->pool);
}

// The connection has to have gone by itself: no object, no buffer, no timer.
static inline void rig_done(struct rig *r)
{
	rig_run(r);
	tx_none(r);
	assert_null(r->stream);
	rig_after(r, 1100); // TIME_WAIT
	assert_int_equal(r->stats.tcp_time_wait, 0);
	assert_int_equal(tcp_n_connections(&r->net), 0);
	assert_int_equal(timer_wheel_n_armed(r->net.timers), 0);
	assert_int_equal(rte_mempool_in_use_count(r->pool), 0);
	rig_fini(r);
}
