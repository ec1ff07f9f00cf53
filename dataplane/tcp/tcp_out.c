// Segments are built and sent here, and here is decided which.

#include "dataplane/tcp/tcp_conn.h"
#include "dataplane/tcp/tcp_csum.h"

#include <assert.h>
#include <netinet/in.h>

#define MAX_RST_S 1000u // to closed ports, a second

_Static_assert(NET_HEADROOM >= 14 + 4 + 40 + TCP_HEADER_LEN + TCP_MAX_OPTIONS, "all headers fit");

// What goes into a header besides the payload that is in the mbuf.
struct header {
	const struct ip_endpoint *local;
	const struct ip_endpoint *remote;
	uint64_t pseudo_sum; // without the length
	uint32_t seq;
	uint32_t ack;
	uint16_t window;
	uint8_t flags;
	uint8_t n_options; // bytes, a multiple of four
	uint8_t options[TCP_MAX_OPTIONS];
};

// Takes 'm', whose data is the payload, in one buffer unless it is a packet to be cut.
static void emit(struct tcp *t, struct rte_mbuf *m, const struct header *h, uint64_t now_us)
{
	uint32_t header_len = TCP_HEADER_LEN + h->n_options;
	uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)header_len);
	bool cut = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
	uint16_t sum;

	assert(p != NULL);
	// Who sends it completes the sum (net_output). Each piece of a packet that is cut has a length of its own.
	sum = csum_fold(h->pseudo_sum + (cut ? 0 : csum_len(m->pkt_len)));
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	m->l4_len = header_len;
	p = tcp_put_be16(p, h->local->port);
	p = tcp_put_be16(p, h->remote->port);
	p = tcp_put_be32(p, h->seq);
	p = tcp_put_be32(p, h->ack);
	p = tcp_put_u8(p, (uint8_t)(header_len / 4 << 4));
	p = tcp_put_u8(p, h->flags);
	p = tcp_put_be16(p, h->window);
	memcpy(p, &sum, sizeof(sum));
	p = tcp_put_be16(p + sizeof(sum), 0); // urgent pointer
	memcpy(p, h->options, h->n_options);

	stat_inc(&t->stats->tcp_tx_segments);
	if (h->flags & RTE_TCP_RST_FLAG)
		stat_inc(&t->stats->tcp_tx_rst);
	if (net_output(t->net, m, &h->local->addr, &h->remote->addr, IPPROTO_TCP, now_us) != 0)
		stat_inc(&t->stats->tcp_tx_unroutable);
}

static uint8_t *put_range(uint8_t *p, struct tcp_range r)
{
	return tcp_put_be32(tcp_put_be32(p, r.left), r.right);
}

// RFC 2018, 4 and RFC 2883: a duplicate first, then the block that changed last.
static uint8_t *put_sack(struct tcp_conn *c, uint8_t *p)
{
	unsigned max = c->flags & TCP_F_TIMESTAMP ? 3 : 4, n = 0;
	uint8_t *start = p;

	p = tcp_put_be32(p, TCP_OPT_NOP << 24 | TCP_OPT_NOP << 16 | TCP_OPT_SACK << 8);
	if (c->has_dsack) {
		p = put_range(p, c->dsack);
		n++;
	}
	for (unsigned i = 0; i < c->n_sack && n < max; i++, n++)
		p = put_range(p, c->sack[i]);
	start[3] = (uint8_t)(2 + 8 * n);
	c->has_dsack = false;
	return p;
}

// The window field; moves the promised edge (never to the left).
static uint16_t announce(struct tcp_conn *c)
{
	bool is_shared;
	uint32_t edge = tcp_window_edge(c, &is_shared), threshold = c->window_size / 2;
	uint16_t window;

	if (is_shared)
		stat_inc(&c->tcp->stats->tcp_share_windows);
	// Silly window avoidance, RFC 9293, 3.8.6.2.2.
	if (threshold > c->mss)
		threshold = c->mss;
	if (edge - c->rcv_adv < threshold)
		edge = c->rcv_adv;
	window = tcp_window_field(edge - c->rcv_nxt, c->receive_scale);
	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + ((uint32_t)window << c->receive_scale));
	return window;
}

static void send_segment(
	struct tcp_conn *c, struct rte_mbuf *m, uint8_t flags, uint32_t seq, uint64_t now_us)
{
	struct header h = {
		.local = &c->stream.local,
		.remote = &c->stream.remote,
		.pseudo_sum = c->pseudo_sum,
		.seq = seq,
		.ack = c->rcv_nxt,
		.flags = flags,
	};
	uint8_t *p = h.options;

	h.window = announce(c);
	if (c->flags & TCP_F_TIMESTAMP)
		p = tcp_put_timestamp(p, tcp_ts_now(c, now_us), c->ts_recent);
	if (c->flags & TCP_F_SACK && m->pkt_len == 0 && (c->n_sack > 0 || c->has_dsack)
		&& !(flags & RTE_TCP_RST_FLAG))
		p = put_sack(c, p);
	h.n_options = (uint8_t)(p - h.options);
	c->rcv_acked = c->rcv_nxt;
	c->ack_at_us = TCP_NEVER;
	c->flags &= ~(uint32_t)TCP_F_ACK_NOW;
	emit(c->tcp, m, &h, now_us);
}

void tcp_send_control(struct tcp_conn *c, uint8_t flags, uint32_t seq, uint64_t now_us)
{
	struct rte_mbuf *m = tcp_mbuf_get(c->tcp);

	if (m == NULL) {
		c->ack_at_us = now_us + TCP_RETRY_US;
		return;
	}
	send_segment(c, m, flags, seq, now_us);
}

static unsigned ip_header_len(const struct tcp_conn *c)
{
	return ip_addr_is_v4(&c->stream.remote.addr) ? 20 : 40;
}

void tcp_send_syn(struct tcp_conn *c, uint64_t now_us)
{
	struct tcp *t = c->tcp;
	bool answer = c->state == TCP_SYN_RECEIVED;
	// A challenge before this one, whose window was scaled, may have promised more than the field holds.
	uint32_t promised = RTE_MIN(c->rcv_adv - c->rcv_nxt, UINT16_MAX);
	uint16_t window = RTE_MAX(tcp_syn_window(t), (uint16_t)promised);
	struct rte_mbuf *m = tcp_mbuf_get(t);
	struct header h = {
		.local = &c->stream.local,
		.remote = &c->stream.remote,
		.pseudo_sum = c->pseudo_sum,
		.seq = c->iss,
		.ack = answer ? c->rcv_nxt : 0,
		.flags = answer ? RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG : RTE_TCP_SYN_FLAG,
		.window = window, // never scaled
	};
	uint8_t *p = h.options;

	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + window);
	c->flags &= ~(uint32_t)(TCP_F_SYN_DUE | TCP_F_ACK_NOW);
	c->rto_at_us = now_us + (m != NULL ? tcp_rto(c) : TCP_RETRY_US);
	c->last_tx_us = now_us;
	if (m == NULL)
		return;
	p = tcp_put_be32(p,
		TCP_OPT_MSS << 24 | 4 << 16
			| (uint32_t)(c->mtu - ip_header_len(c) - TCP_HEADER_LEN));
	if (!answer || c->flags & TCP_F_SACK)
		p = tcp_put_be32(
			p, TCP_OPT_NOP << 24 | TCP_OPT_NOP << 16 | TCP_OPT_SACK_OK << 8 | 2);
	if (!answer || c->flags & TCP_F_TIMESTAMP)
		p = tcp_put_timestamp(p, tcp_ts_now(c, now_us), c->ts_recent);
	if (!answer || c->flags & TCP_F_SCALE)
		p = tcp_put_be32(p,
			TCP_OPT_NOP << 24 | TCP_OPT_SCALE << 16 | 3 << 8
				| (uint32_t)t->receive_scale);
	h.n_options = (uint8_t)(p - h.options);
	if (answer)
		c->rcv_acked = c->rcv_nxt;
	emit(t, m, &h, now_us);
}

void tcp_send_syn_ack(struct tcp *t, const struct tcp_handshake *h, uint32_t ts, uint64_t now_us)
{
	uint32_t ip_len = ip_addr_is_v4(&h->remote.addr) ? 20 : 40;
	uint8_t options[TCP_MAX_OPTIONS], *p = options;

	p = tcp_put_be32(
		p, TCP_OPT_MSS << 24 | 4 << 16 | (uint32_t)(h->mtu - ip_len - TCP_HEADER_LEN));
	if (h->opt.has_sack_ok)
		p = tcp_put_be32(
			p, TCP_OPT_NOP << 24 | TCP_OPT_NOP << 16 | TCP_OPT_SACK_OK << 8 | 2);
	if (h->opt.has_timestamp)
		p = tcp_put_timestamp(p, ts, h->opt.ts_value);
	if (h->opt.has_scale)
		p = tcp_put_be32(p,
			TCP_OPT_NOP << 24 | TCP_OPT_SCALE << 16 | 3 << 8
				| (uint32_t)t->receive_scale);
	tcp_send_bare(t, &h->local, &h->remote, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, h->iss,
		h->irs + 1, h->window, bytes_of(options, (size_t)(p - options)), now_us);
}

void tcp_send_bare(struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote,
	uint8_t flags, uint32_t seq, uint32_t ack, uint16_t window, struct bytes options,
	uint64_t now_us)
{
	struct rte_mbuf *m = tcp_mbuf_get(t);
	struct header h = {
		.local = local,
		.remote = remote,
		.pseudo_sum = csum_pseudo(&local->addr, &remote->addr),
		.seq = seq,
		.ack = ack,
		.flags = flags,
		.window = window,
	};

	if (m == NULL)
		return;
	if (options.len > 0)
		memcpy(h.options, options.ptr, options.len);
	h.n_options = (uint8_t)options.len;
	emit(t, m, &h, now_us);
}

void tcp_send_reset(struct tcp *t, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, const struct tcp_segment *seg, uint64_t now_us)
{
	uint32_t seq_len =
		seg->len + !!(seg->flags & RTE_TCP_SYN_FLAG) + !!(seg->flags & RTE_TCP_FIN_FLAG);

	if (seg->flags & RTE_TCP_RST_FLAG)
		return;
	if (!tcp_limit_allows(&t->rst_limit, MAX_RST_S, now_us)) {
		stat_inc(&t->stats->tcp_rst_limited);
		return;
	}
	if (seg->flags & RTE_TCP_ACK_FLAG)
		tcp_send_bare(t, local, remote, RTE_TCP_RST_FLAG, seg->ack, 0, 0,
			(struct bytes){NULL, 0}, now_us);
	else
		tcp_send_bare(t, local, remote, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, 0,
			seg->seq + seq_len, 0, (struct bytes){NULL, 0}, now_us);
}

void tcp_update_mss(struct tcp_conn *c)
{
	uint32_t mss = c->mtu - ip_header_len(c) - TCP_HEADER_LEN;

	if (mss > c->peer_mss)
		mss = c->peer_mss;
	if (mss > c->tcp->max_payload)
		mss = c->tcp->max_payload;
	if (c->flags & TCP_F_TIMESTAMP)
		mss -= TCP_TIMESTAMP_LEN;
	c->mss = (uint16_t)mss;
}

bool tcp_split(struct tcp_conn *c, struct rte_mbuf *m, uint16_t at)
{
	struct tcp_buf *b = tcp_buf(m), *rest;
	struct rte_mbuf *tail = tcp_mbuf_get(c->tcp);

	if (tail == NULL)
		return false;
	rest = tcp_buf(tail);
	*rest = (struct tcp_buf){
		.tx_us = b->tx_us,
		.seq = b->seq + at,
		.len = (uint16_t)(b->len - at),
		.off = NET_HEADROOM,
		.flags = b->flags,
		.n_tx = b->n_tx,
	};
	memcpy((char *)tail->buf_addr + rest->off, (char *)m->buf_addr + b->off + at, rest->len);
	b->flags &= (uint8_t)~TCP_BUF_FIN;
	b->len = at;
	c->sending.bytes -= rest->len;
	tcp_queue_insert(&c->sending, m, tail);
	tcp_hold(c->tcp, 1);
	return true;
}

// The same payload in a buffer that nobody else holds.
static struct rte_mbuf *copy_segment(struct tcp_conn *c, struct rte_mbuf *m)
{
	const struct tcp_buf *b = tcp_buf(m);
	struct rte_mbuf *copy = tcp_mbuf_get(c->tcp);

	if (copy == NULL)
		return NULL;
	memcpy(rte_pktmbuf_mtod(copy, char *), (char *)m->buf_addr + b->off, b->len);
	copy->data_len = b->len;
	copy->pkt_len = b->len;
	stat_inc(&c->tcp->stats->tcp_retransmit_copied);
	return copy;
}

static uint8_t flags_of(const struct tcp_buf *b)
{
	uint8_t flags = RTE_TCP_ACK_FLAG;

	if (b->next == NULL)
		flags |= RTE_TCP_PSH_FLAG;
	if (b->flags & TCP_BUF_FIN)
		flags |= RTE_TCP_FIN_FLAG;
	return flags;
}

static void note_sent(struct tcp_conn *c, struct tcp_buf *b, uint64_t now_us)
{
	b->tx_us = now_us;
	b->n_tx += b->n_tx < UINT8_MAX;
	c->last_tx_us = now_us;
	c->prr_out += b->len;
}

// Sends the queued segment 'm', the first time or again. Returns false without a buffer.
static bool transmit(struct tcp_conn *c, struct rte_mbuf *m, uint64_t now_us)
{
	struct tcp_buf *b = tcp_buf(m);
	struct rte_mbuf *out = m;

	// The copy also serves what was cut at an odd place: headers below want even addresses.
	if (b->n_tx > 0 && (rte_mbuf_refcnt_read(m) > 1 || b->off % 2 != 0)) {
		out = copy_segment(c, m);
		if (out == NULL)
			return false;
	} else {
		m->data_off = b->off;
		m->data_len = b->len;
		m->pkt_len = b->len;
		m->ol_flags = 0;
		rte_mbuf_refcnt_update(m, 1);
	}
	note_sent(c, b, now_us);
	send_segment(c, out, flags_of(b), b->seq, now_us);
	return true;
}

// The first unsent segment is about to be sent.
static struct rte_mbuf *take_unsent(struct tcp_conn *c, uint64_t now_us)
{
	struct rte_mbuf *m = c->unsent;

	if (tcp_in_flight(c) == 0)
		c->progress_us = now_us;
	c->unsent = tcp_buf(m)->next;
	c->snd_nxt = tcp_buf_end(m);
	stat_add(&c->tcp->stats->tcp_tx_bytes, tcp_buf(m)->len);
	return m;
}

// Sends the first unsent segment.
static void transmit_new(struct tcp_conn *c, uint64_t now_us)
{
	transmit(c, take_unsent(c, now_us), now_us); // needs no buffer the first time
}

// Sends the first unsent segment and those behind it, if they can leave together.
static bool transmit_run(struct tcp_conn *c, uint64_t now_us)
{
	uint32_t seq = tcp_buf(c->unsent)->seq;
	struct tcp_buf *last;
	unsigned n = 0;
	struct rte_mbuf *packet = tcp_tso_packet(c, &n, now_us);

	if (packet == NULL)
		return false;
	stat_add(&c->tcp->stats->tcp_tx_segments, n - 1);
	do {
		last = tcp_buf(take_unsent(c, now_us));
		note_sent(c, last, now_us);
	} while (--n > 0);
	send_segment(c, packet, flags_of(last), seq,
		now_us); // who cuts it leaves FIN and PSH to the last
	return true;
}

// What is marked lost goes first, oldest first, as the congestion window allows. Behind the peer's window
// (it may have shrunk) only the oldest goes out: RFC 9293, 3.8.6, SHLD-17.
static void retransmit_lost(struct tcp_conn *c, uint64_t now_us)
{
	bool fast = c->flags & TCP_F_RECOVERY;

	for (struct rte_mbuf *m = c->sending.head; c->again_bytes < c->lost_bytes && m != c->unsent;
		m = tcp_buf(m)->next) {
		struct tcp_buf *b = tcp_buf(m);

		if ((b->flags & (TCP_BUF_LOST | TCP_BUF_AGAIN)) != TCP_BUF_LOST)
			continue;
		if (b->len > c->mss && !tcp_split(c, m, c->mss))
			return;
		if (!(c->flags & TCP_F_FIRST_AGAIN) && tcp_pipe(c) > 0
			&& tcp_pipe(c) + b->len > c->cwnd)
			return;
		if (m != c->sending.head && seq_lt(c->snd_una + c->snd_wnd, tcp_buf_end(m)))
			return;
		if (!transmit(c, m, now_us))
			return;
		c->flags &= ~(uint32_t)TCP_F_FIRST_AGAIN;
		b->flags |= TCP_BUF_AGAIN;
		c->again_bytes += tcp_buf_seq_len(m);
		tcp_undo_sent_again(c, now_us);
		c->n_retransmits++;
		stat_inc(fast ? &c->tcp->stats->tcp_retransmit_fast
			      : &c->tcp->stats->tcp_retransmit_rto);
	}
}

// The FIN becomes part of the last segment that is still unsent, or an empty segment.
static void make_fin(struct tcp_conn *c)
{
	struct rte_mbuf *m = c->sending.tail;

	if (!(c->flags & TCP_F_FIN_QUEUED) || c->flags & TCP_F_FIN_MADE)
		return;
	if (c->unsent == NULL) {
		// Many that close at once may go beyond the budget, but not far: the reserve is for ACKs.
		if (c->tcp->mbufs_held >= c->tcp->max_mbufs_held + c->tcp->max_mbufs_held / 8)
			return;
		m = tcp_mbuf_get(c->tcp);
		if (m == NULL)
			return;
		*tcp_buf(m) = (struct tcp_buf){.seq = c->snd_end, .off = NET_HEADROOM};
		tcp_queue_push(&c->sending, m);
		tcp_hold(c->tcp, 1);
		c->unsent = m;
	}
	tcp_buf(m)->flags |= TCP_BUF_FIN;
	c->flags |= TCP_F_FIN_MADE;
	c->snd_end++;
}

// Whether the first unsent segment, or a part of it, goes out now; cuts it if need be.
static bool fit_unsent(struct tcp_conn *c)
{
	struct rte_mbuf *m = c->unsent;
	struct tcp_buf *b = tcp_buf(m);
	uint32_t edge = c->snd_una + c->snd_wnd, usable;

	if (b->len > c->mss && !tcp_split(c, m, c->mss))
		return false;
	if (tcp_pipe(c) > 0 && tcp_pipe(c) + b->len > c->cwnd) {
		c->flags |= TCP_F_CWND_FULL;
		return false;
	}
	if (seq_le(tcp_buf_end(m), edge)) {
		if (c->tcp->settings.nagle && b->len < c->mss && tcp_in_flight(c) > 0
			&& !(b->flags & TCP_BUF_FIN))
			return false;
		return true;
	}
	// Sender's silly window avoidance (RFC 9293, 3.8.6.2.1): at least half of what the peer ever
	// offered; else the window probe overrides.
	usable = edge - b->seq;
	if (seq_le(edge, b->seq) || usable < c->snd_wnd_max / 2)
		return false;
	return tcp_split(c, m, (uint16_t)usable);
}

static void send_new(struct tcp_conn *c, uint64_t now_us)
{
	uint32_t initial = TCP_INITIAL_MSS_N * c->mss;

	if (tcp_in_flight(c) == 0) {
		// RFC 5681, 4.1: what was learnt before a pause may no longer hold.
		if (c->cwnd > initial && now_us - c->last_tx_us > tcp_rto(c))
			c->cwnd = initial;
		tcp_mtu_raise(c, now_us);
	}
	c->flags &= ~(uint32_t)TCP_F_CWND_FULL;
	while (c->unsent != NULL && fit_unsent(c) && tcp_pace_allows(c, now_us)) {
		uint32_t nxt = c->snd_nxt;

		if (!transmit_run(c, now_us))
			transmit_new(c, now_us);
		tcp_pace_sent(c, c->snd_nxt - nxt, now_us);
	}
}

void tcp_send_probe(struct tcp_conn *c, uint64_t now_us)
{
	struct rte_mbuf *m = c->unsent;
	uint32_t usable;

	if (m == NULL)
		return;
	// What the window takes, held back so far by silly window avoidance; else one byte beyond it.
	usable = seq_lt(tcp_buf(m)->seq, c->snd_una + c->snd_wnd)
		? c->snd_una + c->snd_wnd - tcp_buf(m)->seq
		: 1;
	if (tcp_buf(m)->len > usable && !tcp_split(c, m, (uint16_t)usable))
		return;
	stat_inc(&c->tcp->stats->tcp_window_probes);
	transmit_new(c, now_us);
}

static struct rte_mbuf *last_in_flight(const struct tcp_conn *c)
{
	struct rte_mbuf *last = NULL;

	if (c->unsent == NULL)
		return c->sending.tail;
	for (struct rte_mbuf *m = c->sending.head; m != c->unsent; m = tcp_buf(m)->next)
		last = m;
	return last;
}

// RFC 6675, 4, NextSeg() (4): once in a recovery, when nothing else may be sent, the end of the flight goes
// again. That it was lost, or that what was sent again is lost too, could otherwise only a timeout tell. Unlike
// the RFC's, ours waits until its ACK is overdue: most ends of short flights are on their way.
static void rescue_tail(struct tcp_conn *c, uint64_t now_us)
{
	struct rte_mbuf *m;

	if (!(c->flags & TCP_F_SACK) || c->flags & (TCP_F_RESCUED | TCP_F_FIRST_AGAIN)
		|| c->again_bytes < c->lost_bytes || c->reorder_at_us != TCP_NEVER
		|| tcp_pipe(c) + c->mss > c->cwnd)
		return;
	m = last_in_flight(c);
	if (m == NULL || tcp_buf(m)->flags & (TCP_BUF_SACKED | TCP_BUF_LOST)
		|| tcp_buf(m)->len > c->mss || now_us - tcp_buf(m)->tx_us <= c->srtt_us
		|| seq_lt(c->snd_una + c->snd_wnd, tcp_buf_end(m)) || !transmit(c, m, now_us))
		return;
	c->flags |= TCP_F_RESCUED;
	tcp_undo_sent_again(c, now_us);
	c->n_retransmits++;
	stat_inc(&c->tcp->stats->tcp_rescues);
}

bool tcp_send_tail(struct tcp_conn *c, uint64_t now_us)
{
	struct rte_mbuf *m = c->unsent, *last;
	uint32_t edge = c->snd_una + c->snd_wnd;

	if (m != NULL && tcp_buf(m)->len <= c->mss && seq_le(tcp_buf_end(m), edge)) {
		transmit_new(c, now_us);
		return true;
	}
	last = last_in_flight(c);
	if (last == NULL || tcp_buf(last)->len > c->mss || seq_lt(edge, tcp_buf_end(last))
		|| !transmit(c, last, now_us))
		return false;
	c->n_retransmits++;
	return true;
}

static void send_ack(struct tcp_conn *c, uint64_t now_us)
{
	if (c->flags & TCP_F_ACK_NOW || c->rcv_nxt - c->rcv_acked >= 2u * c->mss)
		tcp_send_control(c, RTE_TCP_ACK_FLAG, tcp_control_seq(c), now_us);
	else if (c->rcv_nxt != c->rcv_acked && c->ack_at_us == TCP_NEVER)
		c->ack_at_us = now_us + TCP_ACK_DELAY_US;
}

static void arm_retransmission(struct tcp_conn *c, bool sent_new, uint64_t now_us)
{
	bool waiting = tcp_in_flight(c) > 0 || c->unsent != NULL
		|| (c->flags & (TCP_F_FIN_QUEUED | TCP_F_FIN_MADE)) == TCP_F_FIN_QUEUED;

	if (!waiting) {
		c->rto_at_us = TCP_NEVER;
		c->probe_at_us = TCP_NEVER;
	} else if (c->rto_at_us == TCP_NEVER) {
		if (tcp_in_flight(c) == 0 && c->backoff == 0)
			c->progress_us = now_us;
		c->rto_at_us = now_us + tcp_rto(c);
		tcp_probe_arm(c, now_us);
	} else if (sent_new) {
		tcp_probe_arm(c, now_us);
	}
}

void tcp_output(struct tcp_conn *c, uint64_t now_us)
{
	if (c->flags & TCP_F_SYN_DUE) {
		tcp_send_syn(c, now_us);
	} else if (c->state == TCP_SYN_RECEIVED) {
		if (c->flags & TCP_F_ACK_NOW)
			tcp_send_control(c, RTE_TCP_ACK_FLAG, c->snd_nxt, now_us);
	} else if (c->state != TCP_SYN_SENT) {
		bool sack_due = c->flags & TCP_F_ACK_NOW && (c->n_sack > 0 || c->has_dsack);
		uint32_t nxt = c->snd_nxt;

		c->pace_at_us = TCP_NEVER;
		if (c->again_bytes < c->lost_bytes)
			retransmit_lost(c, now_us);
		make_fin(c);
		if (c->unsent != NULL)
			send_new(c, now_us);
		if (c->flags & TCP_F_RECOVERY)
			rescue_tail(c, now_us);
		if (sack_due) // segments with data have no room for it
			c->flags |= TCP_F_ACK_NOW;
		send_ack(c, now_us);
		arm_retransmission(c, nxt != c->snd_nxt, now_us);
	}
	tcp_timer_update(c);
}
