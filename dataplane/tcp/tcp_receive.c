// Received data: put in order, duplicates cut away, what came too early kept aside, SACK blocks kept
// up to date.

#include "dataplane/tcp/tcp_conn.h"

#define COLLAPSE_FRACTION 4u // payload below a quarter of its buffer is copied to the one before

// --- SACK blocks to report

// Puts 'r' in front; blocks that it touches become part of it.
static void sack_add(struct tcp_conn *c, struct tcp_range r)
{
	struct tcp_range kept[TCP_MAX_SACK];
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_sack; i++) {
		struct tcp_range *s = &c->sack[i];

		if (seq_lt(r.right, s->left) || seq_lt(s->right, r.left)) {
			if (n < TCP_MAX_SACK - 1)
				kept[n++] = *s;
			continue;
		}
		r.left = seq_min(r.left, s->left);
		r.right = seq_max(r.right, s->right);
	}
	c->sack[0] = r;
	memcpy(&c->sack[1], kept, n * sizeof(kept[0]));
	c->n_sack = (uint8_t)(n + 1);
}

// Forgets what is in order by now.
static void sack_trim(struct tcp_conn *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_sack; i++) {
		if (seq_lt(c->rcv_nxt, c->sack[i].left))
			c->sack[n++] = c->sack[i];
	}
	c->n_sack = (uint8_t)n;
}

static void report_duplicate(struct tcp_conn *c, uint32_t left, uint32_t right)
{
	c->dsack = (struct tcp_range){left, right};
	c->has_dsack = true;
}

// --- in order

// Copies a small payload behind the last one so that it does not pin a buffer of its own.
static bool collapse(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct rte_mbuf *tail = c->received.tail;
	uint16_t len = tcp_buf(m)->len;
	char *to;

	if (tail == NULL || len > m->buf_len / COLLAPSE_FRACTION || rte_pktmbuf_tailroom(tail) < len
		|| rte_mbuf_refcnt_read(tail) != 1)
		return false;
	to = rte_pktmbuf_append(tail, len);
	memcpy(to, rte_pktmbuf_mtod(m, char *), len);
	tcp_buf(tail)->len += len;
	c->received.bytes += len;
	stat_inc(&c->tcp->stats->tcp_collapsed);
	rte_pktmbuf_free(m);
	return true;
}

// Takes 'm', which starts at rcv_nxt. 'held' if it is charged already.
static void put_in_order(struct tcp_conn *c, struct rte_mbuf *m, bool held)
{
	struct tcp *t = c->tcp;
	struct tcp_buf *b = tcp_buf(m);
	bool fin = b->flags & TCP_BUF_FIN;

	c->rcv_nxt += b->len;
	stat_add(&t->stats->tcp_rx_bytes, b->len);
	if (b->len == 0 || !(c->flags & (TCP_F_OWNED | TCP_F_ACCEPTING))) {
		c->discarded += b->len; // nobody reads it any more
		rte_pktmbuf_free(m);
		tcp_unhold(t, held);
	} else if (collapse(c, m)) {
		tcp_unhold(t, held);
	} else {
		tcp_queue_push(&c->received, m);
		tcp_hold(t, !held);
	}
	if (fin) {
		c->rcv_nxt++;
		c->flags |= TCP_F_FIN_RECEIVED | TCP_F_ACK_NOW;
		tcp_queue_drop(t, &c->reordered);
		c->n_sack = 0;
	}
}

// Moves what 'rcv_nxt' has reached from the reordered to the received queue.
static void take_reordered(struct tcp_conn *c)
{
	while (c->reordered.head != NULL && seq_le(tcp_buf(c->reordered.head)->seq, c->rcv_nxt)) {
		struct rte_mbuf *m = tcp_queue_pop(&c->reordered);
		struct tcp_buf *b = tcp_buf(m);
		uint32_t old = c->rcv_nxt - b->seq;

		if (old > b->len || (old == b->len && !(b->flags & TCP_BUF_FIN))) {
			rte_pktmbuf_free(m);
			tcp_unhold(c->tcp, 1);
			continue;
		}
		rte_pktmbuf_adj(m, (uint16_t)old);
		b->seq += old;
		b->len -= (uint16_t)old;
		put_in_order(c, m, true);
	}
	if (c->n_sack > 0)
		sack_trim(c);
}

// --- out of order

// The last queued segment that starts at or before 'seq', NULL if there is none.
static struct rte_mbuf *find_before(struct tcp_conn *c, uint32_t seq)
{
	struct rte_mbuf *before = NULL;

	// Nearly always the newest one goes to the end.
	if (c->reordered.tail != NULL && seq_le(tcp_buf(c->reordered.tail)->seq, seq))
		return c->reordered.tail;
	for (struct rte_mbuf *m = c->reordered.head; m != NULL && seq_le(tcp_buf(m)->seq, seq);
		m = tcp_buf(m)->next)
		before = m;
	return before;
}

// Removes what follows 'm' and lies wholly in it.
static void swallow_followers(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct rte_mbuf *next;

	while ((next = tcp_buf(m)->next) != NULL && seq_le(tcp_buf_end(next), tcp_buf_end(m))) {
		tcp_buf(m)->next = tcp_buf(next)->next;
		if (c->reordered.tail == next)
			c->reordered.tail = m;
		c->reordered.bytes -= tcp_buf(next)->len;
		c->reordered.n--;
		rte_pktmbuf_free(next);
		tcp_unhold(c->tcp, 1);
	}
}

// Takes 'm', which starts behind rcv_nxt.
static void put_aside(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct tcp *t = c->tcp;
	struct tcp_buf *b = tcp_buf(m);
	struct rte_mbuf *before = find_before(c, b->seq), *next;
	struct tcp_range range = {b->seq, tcp_buf_end(m)};
	uint32_t overlap;

	if (before != NULL && seq_le(range.right, tcp_buf_end(before))) {
		report_duplicate(c, range.left, range.right);
		sack_add(c, range); // the block that it lies in comes next, RFC 2883, 4
		stat_inc(&t->stats->tcp_drop_duplicate);
		rte_pktmbuf_free(m);
		return;
	}
	// The first to suffer when buffers are scarce; the peer sends it again (RFC 2018, 8 permits it).
	if (c->reordered.n >= TCP_MAX_OOO || tcp_memory_rung(t) >= TCP_RUNG_COOKIES) {
		stat_inc(&t->stats->tcp_drop_ooo_memory);
		rte_pktmbuf_free(m);
		return;
	}
	if (before != NULL && seq_lt(range.left, tcp_buf_end(before))) {
		overlap = tcp_buf_end(before) - range.left;
		rte_pktmbuf_adj(m, (uint16_t)overlap);
		b->seq += overlap;
		b->len -= (uint16_t)overlap;
	}
	tcp_queue_insert(&c->reordered, before, m);
	tcp_hold(t, 1);
	stat_inc(&t->stats->tcp_out_of_order);
	swallow_followers(c, m);
	next = b->next;
	if (next != NULL && seq_lt(tcp_buf(next)->seq, tcp_buf_end(m))) {
		overlap = tcp_buf_end(m) - tcp_buf(next)->seq;
		if (b->flags & TCP_BUF_FIN) { // a FIN before data that came earlier is not believed
			b->flags &= (uint8_t)~TCP_BUF_FIN;
			overlap--;
		}
		rte_pktmbuf_trim(m, (uint16_t)overlap);
		b->len -= (uint16_t)overlap;
		c->reordered.bytes -= overlap;
	}
	sack_add(c, range);
}

void tcp_receive(
	struct tcp_conn *c, struct rte_mbuf *m, const struct tcp_segment *seg, uint64_t now_us)
{
	struct tcp *t = c->tcp;
	struct tcp_buf *b = tcp_buf(m);
	uint32_t seq = seg->seq, len = seg->len, end;
	bool fin = seg->flags & RTE_TCP_FIN_FLAG;

	(void)now_us;
	// Cut to the window, left and right (RFC 9293, 3.10.7.4).
	if (seq_lt(seq, c->rcv_nxt)) {
		uint32_t old = c->rcv_nxt - seq;

		report_duplicate(c, seq, c->rcv_nxt);
		c->flags |= TCP_F_ACK_NOW;
		if (old > len)
			old = len;
		rte_pktmbuf_adj(m, (uint16_t)old);
		seq += old;
		len -= old;
	}
	end = seq + len;
	if (seq_lt(c->rcv_adv, end + fin)) {
		uint32_t beyond = end - c->rcv_adv;

		fin = false;
		c->flags |= TCP_F_ACK_NOW;
		if (seq_lt(c->rcv_adv, end)) {
			rte_pktmbuf_trim(m, (uint16_t)beyond);
			len -= beyond;
		}
	}
	if (len == 0 && !fin) {
		if (seg->len > 0)
			stat_inc(&t->stats->tcp_drop_window);
		rte_pktmbuf_free(m);
		return;
	}
	*b = (struct tcp_buf){.seq = seq, .len = (uint16_t)len, .flags = fin ? TCP_BUF_FIN : 0};
	if (seq != c->rcv_nxt) {
		c->flags |= TCP_F_ACK_NOW;
		put_aside(c, m);
		return;
	}
	if (t->mbufs_held >= t->max_mbufs_held && len > 0
		&& c->flags & (TCP_F_OWNED | TCP_F_ACCEPTING)) {
		stat_inc(&t->stats->tcp_drop_memory);
		rte_pktmbuf_free(m);
		return;
	}
	if (c->reordered.head != NULL)
		c->flags |= TCP_F_ACK_NOW; // a hole is filled (RFC 5681, 4.2)
	put_in_order(c, m, false);
	if (c->reordered.head != NULL)
		take_reordered(c);
	tcp_post_event(c, STREAM_READABLE);
}
