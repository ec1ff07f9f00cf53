// Which segments are lost, told by time, and the probe for a lost tail: RACK-TLP, RFC 8985. For peers with
// SACK; the others are served by duplicate ACKs (tcp_ack.c).
//
// RACK: once a segment is known to have arrived, everything sent before it should have too. What has not
// after a round trip and a reorder window is lost, whether it was sent once or again. The window follows
// the peer's D-SACKs: they say that something was sent again in vain.
//
// TLP: when the end of a flight is lost no later segment arrives to tell. So after two round trips without
// an ACK the last segment goes again, or a new one if there is one: its SACK lets RACK see the rest.
//
// Unlike RFC 8985, 6.2 the reorder window is never zero. The RFC closes it after three segments out of order
// as long as no reordering was seen, which sends again in vain the first time a path reorders.

#include "dataplane/tcp/tcp_conn.h"

#define MIN_REORDER_US  1000u // the timer wheel's tick
#define MIN_PROBE_US    2000u
#define FIRST_PROBE_US  1000000u // without a sample of the round trip
#define MAX_ACK_DELAY   50000u   // of a peer that has less than two full segments to acknowledge
#define WINDOW_PERSISTS 16u      // recoveries without D-SACK before the window shrinks again
#define MIN_RTT_AGE_US  300000000u

static bool is_sent_after(uint64_t a_us, uint32_t a_end, uint64_t b_us, uint32_t b_end)
{
	return a_us > b_us || (a_us == b_us && seq_lt(b_end, a_end));
}

void tcp_rack_rtt(struct tcp_conn *c, uint32_t rtt_us, uint64_t now_us)
{
	// The path may have changed for the longer.
	if (c->min_rtt_us == 0 || rtt_us <= c->min_rtt_us
		|| now_us - c->min_rtt_at_us > MIN_RTT_AGE_US) {
		c->min_rtt_us = rtt_us;
		c->min_rtt_at_us = now_us;
	}
}

void tcp_rack_delivered(struct tcp_conn *c, const struct tcp_buf *b, uint32_t end,
	const struct tcp_options *opt, uint64_t now_us)
{
	uint64_t rtt_us = now_us - b->tx_us;

	if (b->n_tx > 1) {
		// Which of its transmissions arrived? Not the last one if it was too quick.
		if (rtt_us < c->min_rtt_us)
			return;
		if (opt->has_timestamp && c->flags & TCP_F_TIMESTAMP
			&& seq_lt(opt->ts_echo, tcp_ts_now(c, b->tx_us)))
			return;
	}
	if (!is_sent_after(b->tx_us, end, c->rack_tx_us, c->rack_end))
		return;
	c->rack_tx_us = b->tx_us;
	c->rack_end = end;
	c->rack_rtt_us = rtt_us < TCP_RTO_MAX_US ? (uint32_t)rtt_us : TCP_RTO_MAX_US;
}

static uint32_t reorder_window(const struct tcp_conn *c)
{
	uint32_t window_us = c->min_rtt_us / 4 * (1u + c->reorder_steps);

	if (window_us > c->srtt_us)
		window_us = c->srtt_us;
	return window_us > MIN_REORDER_US ? window_us : MIN_REORDER_US;
}

void tcp_rack_dsack(struct tcp_conn *c)
{
	stat_inc(&c->tcp->stats->tcp_dsack_received);
	if (c->flags & TCP_F_DSACK_ROUND && seq_lt(c->snd_una, c->dsack_round))
		return; // once each round trip
	c->flags |= TCP_F_DSACK_ROUND;
	c->dsack_round = c->snd_nxt;
	c->reorder_persists = WINDOW_PERSISTS;
	if (c->reorder_steps < UINT8_MAX)
		c->reorder_steps++;
}

void tcp_rack_recovered(struct tcp_conn *c)
{
	if (c->reorder_persists > 0 && --c->reorder_persists == 0)
		c->reorder_steps = 0;
}

void tcp_rack_find_lost(struct tcp_conn *c, uint64_t now_us)
{
	uint64_t allowed_us = (uint64_t)c->rack_rtt_us + reorder_window(c), latest_us = 0;

	for (struct rte_mbuf *m = c->sending.head; m != c->unsent; m = tcp_buf(m)->next) {
		struct tcp_buf *b = tcp_buf(m);

		if (b->flags & TCP_BUF_SACKED
			|| (b->flags & (TCP_BUF_LOST | TCP_BUF_AGAIN)) == TCP_BUF_LOST
			|| !is_sent_after(c->rack_tx_us, c->rack_end, b->tx_us, tcp_buf_end(m)))
			continue;
		if (b->tx_us + allowed_us > now_us) {
			if (b->tx_us + allowed_us > latest_us)
				latest_us = b->tx_us + allowed_us;
		} else {
			tcp_mark_lost(c, m);
		}
	}
	c->reorder_at_us = latest_us != 0 ? latest_us : TCP_NEVER;
	c->probe_at_us = TCP_NEVER;
}

// --- the tail

void tcp_probe_arm(struct tcp_conn *c, uint64_t now_us)
{
	uint64_t wait_us = c->srtt_us != 0 ? 2ull * c->srtt_us : FIRST_PROBE_US;

	c->probe_at_us = TCP_NEVER;
	if (!(c->flags & TCP_F_SACK) || c->flags & (TCP_F_RECOVERY | TCP_F_LOSS | TCP_F_PROBED)
		|| c->sacked_bytes + c->lost_bytes > 0 || tcp_in_flight(c) == 0)
		return;
	if (tcp_in_flight(c) < 2u * c->mss)
		wait_us += MAX_ACK_DELAY;
	if (wait_us < MIN_PROBE_US)
		wait_us = MIN_PROBE_US;
	if (now_us + wait_us < c->rto_at_us)
		c->probe_at_us = now_us + wait_us;
}

void tcp_probe_timeout(struct tcp_conn *c, uint64_t now_us)
{
	uint32_t end = c->snd_nxt;

	c->probe_at_us = TCP_NEVER;
	if (!tcp_send_tail(c, now_us))
		return;
	stat_inc(&c->tcp->stats->tcp_tail_probes);
	c->flags |= TCP_F_PROBED;
	if (end == c->snd_nxt)
		c->flags |= TCP_F_PROBED_AGAIN;
	c->probe_end = c->snd_nxt;
	c->rto_at_us = now_us + tcp_rto(c);
}

// RFC 8985, 7.4.2.
bool tcp_probe_acked(struct tcp_conn *c, const struct tcp_segment *seg, bool dsack, bool duplicate)
{
	bool lost = false;

	if (!(c->flags & TCP_F_PROBED) || seq_lt(seg->ack, c->probe_end))
		return false;
	if (c->flags & TCP_F_PROBED_AGAIN && !dsack) {
		lost = seq_lt(c->probe_end, seg->ack);
		if (!lost && !duplicate)
			return false; // a second ACK tells whether it arrived twice
	}
	c->flags &= ~(uint32_t)(TCP_F_PROBED | TCP_F_PROBED_AGAIN);
	if (lost)
		stat_inc(&c->tcp->stats->tcp_tail_losses);
	return lost;
}
