// Deadlines of a connection: retransmission (RFC 6298), reordering and tail probe (RFC 8985), delayed ACK, keepalive, giving up. One wheel
// entry a connection stands for the earliest of them.

#include "dataplane/tcp/tcp_conn.h"

uint64_t tcp_rto(const struct tcp_conn *c)
{
	uint64_t rto = (uint64_t)c->rto_us << (c->backoff < 16 ? c->backoff : 16);

	return rto < TCP_RTO_MAX_US ? rto : TCP_RTO_MAX_US;
}

// RFC 6298, 2.2 to 2.4, in microseconds; the granularity term is the wheel's tick.
void tcp_rtt_sample(struct tcp_conn *c, uint64_t rtt_us, uint64_t now_us)
{
	uint32_t r = rtt_us < TCP_RTO_MAX_US ? (uint32_t)rtt_us : TCP_RTO_MAX_US;
	uint64_t rto;

	if (r == 0)
		r = 1;
	tcp_rack_rtt(c, r, now_us);
	if (c->cc->on_rtt != NULL)
		c->cc->on_rtt(c, r);
	if (c->srtt_us == 0) {
		c->srtt_us = r;
		c->rttvar_us = r / 2;
	} else {
		uint32_t delta = r > c->srtt_us ? r - c->srtt_us : c->srtt_us - r;

		c->rttvar_us = (uint32_t)((3ull * c->rttvar_us + delta) / 4);
		c->srtt_us = (uint32_t)((7ull * c->srtt_us + r) / 8);
	}
	rto = c->srtt_us + (4ull * c->rttvar_us > 1000 ? 4ull * c->rttvar_us : 1000);
	if (rto < TCP_RTO_MIN_US)
		rto = TCP_RTO_MIN_US;
	c->rto_us = rto < TCP_RTO_MAX_US ? (uint32_t)rto : TCP_RTO_MAX_US;
}

void tcp_timer_update(struct tcp_conn *c)
{
	uint64_t at = c->rto_at_us;

	if (!(c->flags & TCP_F_IN_TABLE))
		return;
	if (c->ack_at_us < at)
		at = c->ack_at_us;
	if (c->probe_at_us < at)
		at = c->probe_at_us;
	if (c->pace_at_us < at)
		at = c->pace_at_us;
	if (c->reorder_at_us < at)
		at = c->reorder_at_us;
	if (c->keepalive_at_us < at)
		at = c->keepalive_at_us;
	if (c->give_up_us < at)
		at = c->give_up_us;
	timer_arm(c->tcp->timers, &c->timer, at);
}

// True if the connection is over.
static bool gave_up(struct tcp_conn *c, uint64_t now_us)
{
	struct tcp *t = c->tcp;

	if (now_us < c->give_up_us)
		return false;
	if (c->state == TCP_SYN_RECEIVED) { // no RST: the address may be forged
		stat_inc(&t->stats->tcp_timeout_half_open);
		tcp_conn_fail(c, STREAM_ERROR_TIMEOUT);
	} else {
		stat_inc(&t->stats->tcp_timeout_fin_wait_2);
		tcp_conn_reset(c, STREAM_ERROR_TIMEOUT, now_us);
	}
	return true;
}

// RFC 9293, 3.8.4 and MUST-24..28: a byte-less segment from before the window has to be answered.
static bool keepalive_gave_up(struct tcp_conn *c, uint64_t now_us)
{
	struct tcp *t = c->tcp;
	uint64_t idle_us = c->keepalive.time_s * 1000000ull;

	if (now_us < c->keepalive_at_us)
		return false;
	if (c->last_rx_us + idle_us > now_us || tcp_in_flight(c) > 0) {
		c->keepalive_sent = 0;
		c->keepalive_at_us = (tcp_in_flight(c) > 0 ? now_us : c->last_rx_us) + idle_us;
		return false;
	}
	if (c->keepalive_sent >= c->keepalive.probes) {
		stat_inc(&t->stats->tcp_timeout_keepalive);
		tcp_conn_reset(c, STREAM_ERROR_KEEPALIVE, now_us);
		return true;
	}
	c->keepalive_sent++;
	stat_inc(&t->stats->tcp_keepalive_probes);
	tcp_send_control(c, RTE_TCP_ACK_FLAG, c->snd_una - 1, now_us);
	c->keepalive_at_us = now_us + c->keepalive.interval_s * 1000000ull;
	return false;
}

// True if the connection is over.
static bool retransmit(struct tcp_conn *c, uint64_t now_us)
{
	struct tcp *t = c->tcp;

	if (now_us < c->rto_at_us)
		return false;
	c->rto_at_us = TCP_NEVER;
	// A window probe that was answered is as good as progress, however long ago it went out.
	if (c->snd_wnd == 0 && c->flags & TCP_F_OWNED && c->last_rx_us >= c->last_tx_us
		&& c->state != TCP_SYN_SENT)
		c->progress_us = now_us;
	if (now_us - c->progress_us >= t->settings.user_timeout_us
		&& (c->state == TCP_SYN_SENT || c->sending.n > 0)) {
		stat_inc(&t->stats->tcp_timeout_user);
		tcp_conn_reset(c,
			c->state == TCP_SYN_SENT ? STREAM_ERROR_CONNECT_TIMEOUT
						 : STREAM_ERROR_TIMEOUT,
			now_us);
		return true;
	}
	if (c->backoff < 255)
		c->backoff++;
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED) {
		stat_inc(&t->stats->tcp_retransmit_syn);
		c->n_retransmits++;
		c->flags |= TCP_F_SYN_DUE;
	} else if (tcp_in_flight(c) == 0) {
		tcp_send_probe(c, now_us);
	} else {
		stat_inc(&t->stats->tcp_rto);
		tcp_mtu_timeout(c, now_us);
		tcp_mark_all_lost(c, now_us);
	}
	return false;
}

static void on_timer(struct timer *timer, uint64_t now_us)
{
	struct tcp_conn *c = container_of(timer, struct tcp_conn, timer);

	if (gave_up(c, now_us) || keepalive_gave_up(c, now_us) || retransmit(c, now_us))
		return;
	if (now_us >= c->reorder_at_us)
		tcp_reorder_timeout(c, now_us);
	if (now_us >= c->probe_at_us)
		tcp_probe_timeout(c, now_us);
	if (now_us >= c->ack_at_us) {
		c->ack_at_us = TCP_NEVER;
		c->flags |= TCP_F_ACK_NOW;
		stat_inc(&c->tcp->stats->tcp_delayed_acks);
	}
	tcp_post_output(c);
	tcp_timer_update(c);
}

void tcp_timer_start(struct tcp_conn *c)
{
	timer_init(&c->timer, on_timer);
}
