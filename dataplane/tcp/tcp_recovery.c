// How the congestion window moves while a loss is repaired, and how the reduction is taken back when there
// was no loss.
//
// Proportional rate reduction, RFC 6937 (and the conservative bound of RFC 9937): in recovery what may be sent
// follows what was delivered, so that the window reaches ssthresh over a round trip without a pause at
// the start or a burst at the end.
//
// Taken back is a reduction when the peer shows that nothing was lost: the first ACK that covers what was sent
// again answers a timestamp from before that (Eifel, RFC 3522 and 4015), or each segment sent again
// comes back as a D-SACK (RFC 3708).

#include "dataplane/tcp/tcp_conn.h"

void tcp_prr_begin(struct tcp_conn *c)
{
	uint32_t flight = tcp_in_flight(c);

	// What limited transmit sent since the first sign of the loss was let out by what arrived since.
	c->prr_flight = flight > c->prr_out + c->mss ? flight - c->prr_out : c->mss;
	c->prr_delivered = c->sacked_bytes;
}

void tcp_prr_ack(struct tcp_conn *c, uint32_t delivered, bool advanced)
{
	uint32_t pipe = tcp_pipe(c), credit, allowed;

	c->prr_delivered += delivered;
	if (pipe > c->ssthresh) {
		uint64_t due = ((uint64_t)c->prr_delivered * c->ssthresh + c->prr_flight - 1)
			/ c->prr_flight;

		allowed = due > c->prr_out ? (uint32_t)(due - c->prr_out) : 0;
	} else {
		credit = c->prr_delivered > c->prr_out ? c->prr_delivered - c->prr_out : 0;
		if (credit < delivered)
			credit = delivered;
		if (advanced)
			credit += c->mss;
		allowed = c->ssthresh - pipe;
		if (allowed > credit)
			allowed = credit;
	}
	c->cwnd = pipe + allowed;
}

// --- taking it back

void tcp_undo_save(struct tcp_conn *c)
{
	c->undo = (struct tcp_undo){
		.cwnd = c->cwnd,
		.ssthresh = c->ssthresh,
		.una = c->snd_una,
		.cc = c->cc_state,
	};
}

void tcp_undo_forget(struct tcp_conn *c)
{
	c->undo.cwnd = 0;
}

void tcp_undo_sent_again(struct tcp_conn *c, uint64_t now_us)
{
	if (c->undo.cwnd == 0)
		return;
	if (c->undo.n_sent == 0)
		c->undo.ts = tcp_ts_now(c, now_us);
	if (c->undo.n_sent < UINT32_MAX)
		c->undo.n_sent++;
}

// Nothing is believed lost any more; what really is will be found again.
static void unmark_all(struct tcp_conn *c)
{
	for (struct rte_mbuf *m = c->sending.head; m != c->unsent; m = tcp_buf(m)->next) {
		struct tcp_buf *b = tcp_buf(m);

		if (b->flags & TCP_BUF_SACKED)
			continue;
		tcp_unmark(c, b, tcp_buf_seq_len(m));
		b->flags &= TCP_BUF_FIN;
	}
}

static void take_back(struct tcp_conn *c)
{
	struct dataplane_stats *stats = c->tcp->stats;
	const struct tcp_undo *u = &c->undo;

	stat_inc(u->timeout ? &stats->tcp_spurious_rto : &stats->tcp_spurious_recoveries);
	unmark_all(c);
	if (c->cwnd < u->cwnd)
		c->cwnd = u->cwnd;
	if (c->ssthresh < u->ssthresh)
		c->ssthresh = u->ssthresh;
	c->cc_state = u->cc;
	c->flags &= ~(uint32_t)(TCP_F_RECOVERY | TCP_F_LOSS | TCP_F_FIRST_AGAIN);
	tcp_undo_forget(c);
}

bool tcp_undo_ack(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	struct tcp_undo *u = &c->undo;
	bool early;

	if (u->cwnd == 0 || u->n_sent == 0 || u->answered || !(c->flags & TCP_F_TIMESTAMP)
		|| !seg->opt.has_timestamp || seq_le(seg->ack, u->una))
		return false;
	u->answered = true; // only the first ACK tells, RFC 3522, 3.2, step 5
	early = seq_lt(seg->opt.ts_echo, u->ts);
	// Of several that were sent again, only the first is known to have been in vain; a timeout marked
	// all of them without knowing anything.
	if (!early || (!u->timeout && c->lost_bytes > 0))
		return false;
	if (u->timeout) // RFC 4015, 3.3: the round trip is longer than it was thought to be
		tcp_rtt_sample(
			c, (uint64_t)(tcp_ts_now(c, now_us) - seg->opt.ts_echo) * 1000, now_us);
	take_back(c);
	return true;
}

bool tcp_undo_dsack(struct tcp_conn *c, struct tcp_range r)
{
	struct tcp_undo *u = &c->undo;

	if (u->cwnd == 0 || u->n_sent == 0 || seq_lt(r.left, u->una) || seq_lt(c->recover, r.right))
		return false;
	if (--u->n_sent > 0)
		return false;
	take_back(c);
	return true;
}
