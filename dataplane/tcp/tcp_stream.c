// A TCP connection as its owner sees it (stream.h).

#include "dataplane/tcp/tcp_conn.h"

static struct tcp_conn *conn_of(struct stream *s)
{
	return container_of(s, struct tcp_conn, stream);
}

// --- reading

static struct bytes stream_peek_at_skip(struct stream *s, size_t skip)
{
	struct rte_mbuf *m = conn_of(s)->received.head;

	for (; m != NULL; m = tcp_buf(m)->next) {
		if (skip < m->data_len)
			return bytes_of(
				rte_pktmbuf_mtod_offset(m, uint8_t *, skip), m->data_len - skip);
		skip -= m->data_len;
	}
	return (struct bytes){NULL, 0};
}

static struct bytes stream_peek_front(struct stream *s)
{
	return stream_peek_at_skip(s, 0);
}

// The window has to be told when it opens by two segments or half the buffer (RFC 9293, 3.8.6.2.2).
void tcp_announce_if_opened(struct tcp_conn *c)
{
	uint32_t grown = tcp_window_edge(c, NULL) - c->rcv_adv, half = c->window_size / 2;

	if (c->flags & TCP_F_FIN_RECEIVED || !(c->flags & TCP_F_IN_TABLE))
		return;
	if (grown >= 2u * c->mss || grown >= half
		|| (c->rcv_adv == c->rcv_nxt && grown >= c->mss)) {
		// While much is still open, the next ACK is soon enough.
		if (c->rcv_adv - c->rcv_nxt > half)
			return;
		c->flags |= TCP_F_ACK_NOW;
		tcp_post_output(c);
	}
}

static void consume(struct stream *s, size_t n)
{
	struct tcp_conn *c = conn_of(s);
	uint32_t freed = 0;

	s->bytes_received += n;
	while (n > 0) {
		struct rte_mbuf *m = c->received.head;

		if (n < m->data_len) {
			rte_pktmbuf_adj(m, (uint16_t)n);
			tcp_buf(m)->len -= (uint16_t)n;
			c->received.bytes -= (uint32_t)n;
			break;
		}
		n -= m->data_len;
		rte_pktmbuf_free(tcp_queue_pop(&c->received));
		freed++;
	}
	tcp_unhold(c->tcp, freed);
	tcp_window_grow(c);
	tcp_announce_if_opened(c);
}

static size_t readable(struct stream *s)
{
	return conn_of(s)->received.bytes;
}

static bool read_ended(struct stream *s)
{
	struct tcp_conn *c = conn_of(s);

	return c->flags & TCP_F_FIN_RECEIVED && c->received.bytes == 0;
}

static bool end_received(struct stream *s)
{
	return conn_of(s)->flags & TCP_F_FIN_RECEIVED;
}

static void want_read(struct stream *s)
{
	tcp_post_event(conn_of(s), STREAM_READABLE);
}

// --- writing

static bool can_write(const struct tcp_conn *c)
{
	return c->flags & TCP_F_IN_TABLE && !(c->flags & TCP_F_FIN_QUEUED);
}

// The last segment takes more as long as it was not sent.
static uint32_t tail_room(const struct tcp_conn *c)
{
	struct rte_mbuf *m = c->sending.tail;
	const struct tcp_buf *b;

	if (c->unsent == NULL)
		return 0;
	b = tcp_buf(m);
	return b->off == NET_HEADROOM && b->len < c->mss ? c->mss - b->len : 0;
}

// Buffers that may be held to send.
static uint32_t most_buffers(const struct tcp_conn *c)
{
	uint32_t own = c->tcp->settings.send_buffer_max / TCP_MIN_BUF_BYTES + 1;
	uint32_t share = tcp_share(c->tcp);

	return own < share ? own : share;
}

static uint32_t buffers_left(const struct tcp_conn *c)
{
	const struct tcp *t = c->tcp;
	uint32_t own = most_buffers(c);
	uint32_t all = t->mbufs_held < t->max_mbufs_held ? t->max_mbufs_held - t->mbufs_held : 0;

	own = c->sending.n < own ? own - c->sending.n : 0;
	return own < all ? own : all;
}

// Bytes that may wait to be sent or acknowledged. While there are plenty of buffers a large queue saves turns.
// After that, twice the congestion window is what keeps the path full: a window in flight, and another while
// its ACK is on the way. While a loss is repaired the window is smaller than what is in flight. More would
// only pin buffers of a peer that reads slowly.
static uint32_t most_bytes(const struct tcp_conn *c)
{
	uint32_t most = c->tcp->settings.send_buffer_max, least = 2 * TCP_INITIAL_MSS_N * c->mss;
	uint32_t window = c->cwnd > tcp_in_flight(c) ? c->cwnd : tcp_in_flight(c);
	uint32_t useful = window < most / 2 ? 2 * window : most;

	if (tcp_memory_rung(c->tcp) == TCP_RUNG_FREE)
		return most;
	if (useful < least)
		useful = least;
	return useful < most ? useful : most;
}

// The stack as a whole holds so many buffers that this connection does not get 'bytes' more.
static bool is_budget_short(const struct tcp_conn *c, uint32_t bytes)
{
	const struct tcp *t = c->tcp;

	return t->mbufs_held + bytes / c->mss >= t->max_mbufs_held;
}

static size_t room(struct stream *s)
{
	const struct tcp_conn *c = conn_of(s);
	uint32_t most = most_bytes(c), by_buffers;

	if (!can_write(c) || c->sending.bytes >= most)
		return 0;
	most -= c->sending.bytes;
	by_buffers = tail_room(c) + buffers_left(c) * c->mss;
	return most < by_buffers ? most : by_buffers;
}

// What room() can become as things stand.
static size_t most_room(const struct tcp_conn *c)
{
	size_t most = most_bytes(c), by_buffers = (size_t)most_buffers(c) * c->mss;

	return most < by_buffers ? most : by_buffers;
}

// Room that is worth a turn of the owner, if it asked for more. A queue that is kept short may not run dry.
static size_t enough_room(const struct tcp_conn *c)
{
	size_t most = most_room(c);

	return most < c->tcp->settings.send_buffer_max ? most / 4 : most / 2;
}

static void append(struct tcp_conn *c, struct rte_mbuf *m, const uint8_t *p, uint16_t n)
{
	struct tcp_buf *b = tcp_buf(m);

	memcpy((char *)m->buf_addr + b->off + b->len, p, n);
	b->len += n;
	c->sending.bytes += n;
	c->snd_end += n;
}

// An empty segment at the end of the queue, or NULL.
static struct rte_mbuf *add_segment(struct tcp_conn *c)
{
	struct rte_mbuf *m = tcp_mbuf_get(c->tcp);

	if (m == NULL)
		return NULL;
	*tcp_buf(m) = (struct tcp_buf){.seq = c->snd_end, .off = NET_HEADROOM};
	tcp_queue_push(&c->sending, m);
	tcp_hold(c->tcp, 1);
	if (c->unsent == NULL)
		c->unsent = m;
	return m;
}

// WRITABLE comes when there is room for 'want'. If buffers that others hold are the reason, no ACK of
// this connection need ever come to wake it: then the stack does.
static void wait_for_room(struct tcp_conn *c, uint32_t want, bool starved)
{
	struct tcp *t = c->tcp;
	uint32_t most = t->settings.send_buffer_max, by_buffers = t->max_mbufs_held / 4 * c->mss;

	if (most > by_buffers && by_buffers > 0)
		most = by_buffers;
	c->want_room = want < most ? want : most;
	c->flags |= TCP_F_WANT_WRITE;
	if (can_write(c) && (starved || is_budget_short(c, c->want_room))
		&& list_is_empty(&c->starved_node))
		list_push(&t->starved, &c->starved_node);
}

static size_t stream_write_bytes(struct stream *s, struct bytes b, bool more)
{
	struct tcp_conn *c = conn_of(s);
	size_t most = room(s), n = b.len < most ? b.len : most, done = 0;
	uint32_t half = c->tcp->settings.send_buffer_max / 2;
	bool starved = false;

	(void)more; // segments leave at the end of the loop turn anyway
	while (done < n) {
		uint32_t left = tail_room(c);
		struct rte_mbuf *m = left > 0 ? c->sending.tail : add_segment(c);

		if (m == NULL) { // not even the budget was used up: somebody else has them
			starved = true;
			timer_arm(c->tcp->timers, &c->tcp->retry_timer,
				c->tcp->now_us + TCP_RETRY_US);
			break;
		}
		if (left == 0)
			left = c->mss;
		if (left > n - done)
			left = (uint32_t)(n - done);
		append(c, m, b.ptr + done, (uint16_t)left);
		done += left;
	}
	if (done > 0)
		tcp_post_output(c);
	s->bytes_sent += done;
	if (done < b.len && can_write(c)) {
		if (starved || is_budget_short(c, c->mss))
			stat_inc(&c->tcp->stats->tcp_write_no_memory);
		else if (c->sending.n >= tcp_share(c->tcp))
			stat_inc(&c->tcp->stats->tcp_share_writes);
		wait_for_room(c, half, starved);
	}
	return done;
}

static void want_write(struct stream *s, size_t n)
{
	struct tcp_conn *c = conn_of(s);

	wait_for_room(c, n < UINT32_MAX ? (uint32_t)n : UINT32_MAX, false);
	tcp_check_writable(c);
}

void tcp_check_writable(struct tcp_conn *c)
{
	if (!(c->flags & TCP_F_WANT_WRITE) || !can_write(c))
		return;
	if (room(&c->stream) < c->want_room && room(&c->stream) < enough_room(c)) {
		wait_for_room(c, c->want_room, false);
		return;
	}
	c->flags &= ~(uint32_t)TCP_F_WANT_WRITE;
	list_remove(&c->starved_node);
	tcp_post_event(c, STREAM_WRITABLE);
}

static size_t unsent(struct stream *s)
{
	return conn_of(s)->sending.bytes;
}

// --- ending

static void stream_shutdown_write(struct stream *s)
{
	struct tcp_conn *c = conn_of(s);

	if (c->flags & TCP_F_FIN_QUEUED || !(c->flags & TCP_F_IN_TABLE))
		return;
	c->flags |= TCP_F_FIN_QUEUED;
	c->flags &= ~(uint32_t)TCP_F_WANT_WRITE;
	list_remove(&c->starved_node);
	if (c->state == TCP_ESTABLISHED)
		tcp_set_state(c, TCP_FIN_WAIT_1);
	else if (c->state == TCP_CLOSE_WAIT)
		tcp_set_state(c, TCP_LAST_ACK);
	tcp_post_output(c);
}

// From here on nobody is told anything.
static void give_up_owner(struct tcp_conn *c)
{
	c->flags &= ~(uint32_t)TCP_F_OWNED;
	c->events = 0;
	list_remove(&c->event_node);
	c->stream.on_event = NULL;
	c->stream.owner = NULL;
}

static void stream_abort_now(struct stream *s)
{
	struct tcp_conn *c = conn_of(s);

	give_up_owner(c);
	if (c->flags & TCP_F_IN_TABLE) {
		stat_inc(&c->tcp->stats->tcp_aborted);
		tcp_conn_reset(c, STREAM_ERROR_NONE, c->tcp->now_us);
	} else {
		tcp_conn_release(c);
	}
}

static void stream_close_gracefully(struct stream *s)
{
	struct tcp_conn *c = conn_of(s);

	give_up_owner(c);
	if (!(c->flags & TCP_F_IN_TABLE)) {
		tcp_conn_release(c);
		return;
	}
	if (c->state == TCP_SYN_SENT) {
		tcp_conn_finish(c);
		return;
	}
	c->discarded += c->received.bytes;
	tcp_queue_drop(c->tcp, &c->received);
	stream_shutdown_write(s);
	if (c->state == TCP_FIN_WAIT_2)
		c->give_up_us = c->tcp->now_us + c->tcp->settings.fin_wait_2_us;
	c->flags |= TCP_F_ACK_NOW; // the window may have opened
	tcp_post_output(c);
}

const struct stream_ops tcp_stream_ops = {
	.name = "tcp",
	.peek = stream_peek_front,
	.peek_at = stream_peek_at_skip,
	.consume = consume,
	.readable = readable,
	.read_ended = read_ended,
	.end_received = end_received,
	.want_read = want_read,
	.room = room,
	.write = stream_write_bytes,
	.want_write = want_write,
	.unsent = unsent,
	.shutdown = stream_shutdown_write,
	.close = stream_close_gracefully,
	.abort = stream_abort_now,
};
