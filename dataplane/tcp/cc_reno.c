#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_conn.h"

static void reno_init(struct tcp_conn *c)
{
	c->cc_state = (struct tcp_cc){.acked = 0};
}

static void reno_on_ack(struct tcp_conn *c, uint32_t acked, uint64_t now_us)
{
	(void)now_us;
	if (c->cwnd < c->ssthresh) {
		// Appropriate byte counting with L=2 (RFC 3465, 2.2).
		c->cwnd += acked < 2u * c->mss ? acked : 2u * c->mss;
		return;
	}
	c->cc_state.acked += acked;
	if (c->cc_state.acked >= c->cwnd) {
		c->cc_state.acked -= c->cwnd;
		c->cwnd += c->mss;
	}
}

// RFC 5681, equation 4.
static uint32_t reno_on_loss(struct tcp_conn *c, uint32_t in_flight, bool timeout, uint64_t now_us)
{
	(void)timeout;
	(void)now_us;
	c->cc_state.acked = 0;
	return in_flight / 2 > 2u * c->mss ? in_flight / 2 : 2u * c->mss;
}

const struct tcp_cc_ops tcp_cc_reno = {
	.name = "reno",
	.init = reno_init,
	.on_ack = reno_on_ack,
	.on_loss = reno_on_loss,
};
