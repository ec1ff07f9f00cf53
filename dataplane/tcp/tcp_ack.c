// What an ACK does: frees what arrived, measures the round trip, moves the windows, finds out what was
// lost and starts to repair it (RFC 5681, 6582, 6675; tcp_rack.c).
//
// Each segment in flight is plain, SACKED, LOST, or LOST|AGAIN (sent again). The sums of the marks give
// the 'pipe', what is believed to be in the network; that against the congestion window is the only
// rule for sending, so limited transmit (RFC 3042) and recovery need no code of their own. Without SACK
// each duplicate ACK counts as one full segment that left the network.

#include "dataplane/tcp/tcp_conn.h"

#define DUP_THRESHOLD 3u

// The head was acknowledged up to 'ack', in its middle.
static void trim_head(struct tcp_conn *c, uint32_t ack)
{
	struct tcp_buf *b = tcp_buf(c->sending.head);
	uint16_t n = (uint16_t)(ack - b->seq);

	tcp_unmark(c, b, n);
	b->seq += n;
	b->off += n;
	b->len -= n;
	c->sending.bytes -= n;
}

// Frees what 'ack' covers. Returns the time the newest of them took, if it was sent only once (Karn); TCP_NEVER
// otherwise. Without SACK nobody tells that it arrived long ago and waited for one that was sent again.
static uint64_t free_acked(
	struct tcp_conn *c, uint32_t ack, const struct tcp_options *opt, uint64_t now_us)
{
	uint64_t rtt_us = TCP_NEVER;
	bool ambiguous = false;
	uint32_t n = 0;

	while (c->sending.head != c->unsent) {
		struct rte_mbuf *m = c->sending.head;
		struct tcp_buf *b = tcp_buf(m);

		if (seq_lt(ack, tcp_buf_end(m))) {
			if (seq_lt(b->seq, ack))
				trim_head(c, ack);
			break;
		}
		tcp_unmark(c, b, tcp_buf_seq_len(m));
		rtt_us = TCP_NEVER;
		ambiguous |= b->n_tx > 1 && !(c->flags & TCP_F_SACK);
		if (!(b->flags & TCP_BUF_SACKED)) {
			if (b->n_tx == 1)
				rtt_us = now_us - b->tx_us;
			if (c->flags & TCP_F_SACK)
				tcp_rack_delivered(c, b, tcp_buf_end(m), opt, now_us);
		}
		rte_pktmbuf_free(tcp_queue_pop(&c->sending));
		n++;
	}
	tcp_unhold(c->tcp, n);
	return ambiguous ? TCP_NEVER : rtt_us;
}

// Marks what the SACK blocks cover (RFC 2018, 5). A block that does not lie in what is in flight says
// nothing: old ones, D-SACKs, lies.
static void mark_sacked(struct tcp_conn *c, const struct tcp_options *opt, uint64_t now_us)
{
	for (unsigned i = 0; i < opt->n_sack; i++) {
		struct tcp_range r = opt->sack[i];

		if (!seq_lt(r.left, r.right) || seq_le(r.left, c->snd_una)
			|| seq_lt(c->snd_nxt, r.right))
			continue;
		for (struct rte_mbuf *m = c->sending.head; m != c->unsent; m = tcp_buf(m)->next) {
			struct tcp_buf *b = tcp_buf(m);
			uint32_t seq_len = tcp_buf_seq_len(m);

			if (seq_le(r.right, b->seq))
				break;
			if (b->flags & TCP_BUF_SACKED || seq_lt(b->seq, r.left)
				|| seq_lt(r.right, tcp_buf_end(m)))
				continue;
			tcp_unmark(c, b, seq_len);
			b->flags = (uint8_t)((b->flags & TCP_BUF_FIN) | TCP_BUF_SACKED);
			c->sacked_bytes += seq_len;
			tcp_rack_delivered(c, b, tcp_buf_end(m), opt, now_us);
		}
	}
}

static void enter_recovery(struct tcp_conn *c, uint64_t now_us)
{
	if (c->flags & (TCP_F_RECOVERY | TCP_F_LOSS))
		return;
	c->flags |= TCP_F_RECOVERY | TCP_F_FIRST_AGAIN; // RFC 6675, 5, step 4.3
	c->flags &= ~(uint32_t)TCP_F_RESCUED;
	c->recover = c->snd_nxt;
	tcp_undo_save(c);
	tcp_prr_begin(c);
	c->ssthresh = c->cc->on_loss(c, c->prr_flight, false, now_us);
	tcp_prr_ack(c, 0, true);
	c->rto_at_us = TCP_NEVER; // starts anew with the retransmission
	c->probe_at_us = TCP_NEVER;
	stat_inc(&c->tcp->stats->tcp_fast_recoveries);
}

// Without SACK (RFC 6582): 'sacked_bytes' is an estimate from the number of duplicate ACKs.
static void set_estimate(struct tcp_conn *c)
{
	uint32_t most = tcp_in_flight(c) > c->mss ? tcp_in_flight(c) - c->mss : 0;
	uint32_t bytes = (uint32_t)c->dup_acks * c->mss;

	// What is marked lost did not arrive.
	most = most > c->lost_bytes ? most - c->lost_bytes : 0;
	c->sacked_bytes = bytes < most ? bytes : most;
}

void tcp_forget_duplicates(struct tcp_conn *c)
{
	c->dup_acks = 0;
	if (!(c->flags & TCP_F_SACK))
		c->sacked_bytes = 0;
}

static void on_duplicate(struct tcp_conn *c, uint64_t now_us)
{
	if (c->dup_acks < UINT16_MAX)
		c->dup_acks++;
	set_estimate(c);
	if (c->dup_acks >= DUP_THRESHOLD && !(c->flags & (TCP_F_RECOVERY | TCP_F_LOSS))
		&& c->sending.head != c->unsent
		&& !(tcp_buf(c->sending.head)->flags & TCP_BUF_LOST)) {
		tcp_mark_lost(c, c->sending.head);
		enter_recovery(c, now_us);
		set_estimate(c);
	}
}

// The peer acknowledged new data while a loss is being repaired.
static void on_partial_ack(struct tcp_conn *c, uint32_t acked, uint64_t now_us)
{
	if (seq_le(c->recover, c->snd_una)) {
		if (c->flags & TCP_F_RECOVERY)
			c->cwnd = c->ssthresh;
		tcp_rack_recovered(c);
		c->flags &= ~(uint32_t)(TCP_F_RECOVERY | TCP_F_LOSS);
		tcp_forget_duplicates(c);
		return;
	}
	if (c->flags & TCP_F_LOSS)
		c->cc->on_ack(c, acked, now_us);
	if (!(c->flags & TCP_F_SACK)) {
		uint32_t n = acked / c->mss;

		c->dup_acks = n < c->dup_acks + 1u ? (uint16_t)(c->dup_acks + 1 - n) : 0;
		if (c->sending.head != c->unsent
			&& !(tcp_buf(c->sending.head)->flags & TCP_BUF_LOST))
			tcp_mark_lost(c, c->sending.head);
		set_estimate(c);
	}
}

void tcp_mark_all_lost(struct tcp_conn *c, uint64_t now_us)
{
	struct rte_mbuf *head = c->sending.head;
	bool reneged = tcp_buf(head)->flags & TCP_BUF_SACKED;
	bool probe = seq_lt(c->snd_una + c->snd_wnd, tcp_buf_end(head));

	tcp_forget_duplicates(c);
	for (struct rte_mbuf *m = head; m != c->unsent; m = tcp_buf(m)->next) {
		struct tcp_buf *b = tcp_buf(m);

		if (b->flags & TCP_BUF_SACKED && !reneged)
			continue;
		tcp_mark_lost(c, m);
	}
	c->reorder_at_us = TCP_NEVER;
	c->probe_at_us = TCP_NEVER;
	c->flags &= ~(uint32_t)(TCP_F_PROBED | TCP_F_PROBED_AGAIN);
	if (probe) { // the peer's window is closed: no sign of congestion
		stat_inc(&c->tcp->stats->tcp_window_probes);
		return;
	}
	// RFC 5681, equation 4, is for the first loss of a segment, not for each time it is sent again.
	if (!(c->flags & TCP_F_LOSS)) {
		if (c->flags & TCP_F_RECOVERY) {
			tcp_undo_forget(c); // one loss at least was real
		} else {
			tcp_undo_save(c);
			c->undo.timeout = true;
		}
		c->ssthresh = c->cc->on_loss(c, tcp_in_flight(c), true, now_us);
	}
	c->cwnd = c->mss;
	c->recover = c->snd_nxt;
	c->flags = (c->flags & ~(uint32_t)TCP_F_RECOVERY) | TCP_F_LOSS;
}

// RFC 9293, 3.10.7.4: the window, unless the segment is older than the last that told one.
static void update_window(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	uint32_t old_edge = c->snd_una + c->snd_wnd;
	struct rte_mbuf *head = c->sending.head;
	bool opened;

	if (!(seq_lt(c->snd_wl1, seg->seq)
		    || (c->snd_wl1 == seg->seq && seq_le(c->snd_wl2, seg->ack))))
		return;
	c->snd_wl1 = seg->seq;
	c->snd_wl2 = seg->ack;
	c->snd_wnd = seg->window << c->send_scale;
	if (c->snd_wnd > c->snd_wnd_max)
		c->snd_wnd_max = c->snd_wnd;
	// A peer that answers probes is alive, but after close() only progress counts: it may not hold
	// our memory for ever.
	if (c->snd_wnd == 0 && c->flags & TCP_F_OWNED)
		c->progress_us = now_us;
	if (head == NULL)
		return;
	opened = seq_lt(old_edge, tcp_buf_end(head))
		&& seq_le(tcp_buf_end(head), c->snd_una + c->snd_wnd);
	if (!opened)
		return;
	c->backoff = 0;
	c->rto_at_us = TCP_NEVER;
	// The probe was thrown away by a full receiver. Nobody would send it again before the timeout.
	if (head != c->unsent && !(tcp_buf(head)->flags & TCP_BUF_SACKED))
		tcp_mark_lost(c, head);
}

static void on_new_ack(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	uint32_t acked = seg->ack - c->snd_una;
	bool limited = c->flags & TCP_F_CWND_FULL || 2 * tcp_in_flight(c) >= c->cwnd;
	uint64_t rtt_us = free_acked(c, seg->ack, &seg->opt, now_us);

	c->snd_una = seg->ack;
	c->progress_us = now_us;
	c->backoff = 0;
	c->rto_at_us = TCP_NEVER; // tcp_output() starts it anew if something is left
	if (rtt_us != TCP_NEVER)
		tcp_rtt_sample(c, rtt_us, now_us);
	if (tcp_undo_ack(c, seg, now_us)) {
		tcp_forget_duplicates(c);
	} else if (c->flags & (TCP_F_RECOVERY | TCP_F_LOSS)) {
		on_partial_ack(c, acked, now_us);
	} else {
		tcp_forget_duplicates(c);
		if (limited)
			c->cc->on_ack(c, acked, now_us);
	}
	tcp_check_writable(c);
}

void tcp_reorder_timeout(struct tcp_conn *c, uint64_t now_us)
{
	tcp_rack_find_lost(c, now_us);
	if (c->lost_bytes > c->again_bytes)
		enter_recovery(c, now_us);
}

// RFC 2883, 4: the first block lies below the ACK number or inside the second.
static bool has_dsack(const struct tcp_segment *seg)
{
	const struct tcp_range *r = seg->opt.sack;

	if (seg->opt.n_sack == 0)
		return false;
	return seq_le(r[0].right, seg->ack)
		|| (seg->opt.n_sack > 1 && seq_le(r[1].left, r[0].left)
			&& seq_le(r[0].right, r[1].right));
}

// The losses that SACK blocks tell of, by themselves or by the time that passed.
static void find_losses(
	struct tcp_conn *c, const struct tcp_segment *seg, bool duplicate, uint64_t now_us)
{
	bool dsack = has_dsack(seg);

	if (dsack) {
		tcp_rack_dsack(c);
		tcp_undo_dsack(c, seg->opt.sack[0]);
	}
	if (c->flags & TCP_F_PROBED && tcp_probe_acked(c, seg, dsack, duplicate)
		&& !(c->flags & (TCP_F_RECOVERY | TCP_F_LOSS))) {
		tcp_undo_forget(c);
		c->ssthresh = c->cc->on_loss(c, tcp_in_flight(c), false, now_us);
		c->cwnd = c->ssthresh;
	}
	if (seg->opt.n_sack > 0)
		mark_sacked(c, &seg->opt, now_us);
	if (c->sacked_bytes == 0 && c->lost_bytes == 0) {
		c->reorder_at_us = TCP_NEVER;
		return;
	}
	tcp_reorder_timeout(c, now_us);
}

void tcp_ack(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	// RFC 5681, 2: nothing in it but the number that is acknowledged already.
	bool duplicate = seg->ack == c->snd_una && seg->len == 0 && !(seg->flags & RTE_TCP_FIN_FLAG)
		&& seg->window << c->send_scale == c->snd_wnd;
	bool recovery = c->flags & TCP_F_RECOVERY;
	uint32_t una = c->snd_una, sacked = c->sacked_bytes;

	if (!recovery && sacked == 0)
		c->prr_out = 0;
	if (seq_lt(c->snd_una, seg->ack))
		on_new_ack(c, seg, now_us);
	if (c->flags & TCP_F_SACK) {
		if (seg->opt.n_sack > 0 || c->sacked_bytes + c->lost_bytes > 0
			|| c->flags & TCP_F_PROBED || c->reorder_at_us != TCP_NEVER)
			find_losses(c, seg, duplicate, now_us);
	} else if (duplicate && tcp_in_flight(c) > 0) {
		on_duplicate(c, now_us);
	}
	if (recovery && c->flags & TCP_F_RECOVERY) {
		uint32_t delivered = c->snd_una - una + c->sacked_bytes - sacked;

		// Without SACK, what was counted as delivered before may exceed what was.
		tcp_prr_ack(c, (int32_t)delivered > 0 ? delivered : 0, c->snd_una != una);
	}
	update_window(c, seg, now_us);
	tcp_post_output(c);
}
