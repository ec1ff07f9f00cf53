// How fast the segments of a connection leave whose NIC cuts packets. A window's worth in a few large packets
// leaves at the speed of the link, and drowns the queue of the first slower one on the way; so it is spread over
// the round trip. Segments that leave one by one are spread by the ACKs that let them out.
//
// The rate is above what the window allows, so that it is the window that limits: twice in slow start, where
// the window doubles in a round trip, a quarter more later. As much as is due until the timer wheel's next
// tick leaves at once. Where a round trip is not many ticks long there is nothing to spread.

#include "dataplane/tcp/tcp_conn.h"

#define TICK_US    1000u
#define MIN_RTT_US (8u * TICK_US)

static bool is_paced(const struct tcp_conn *c)
{
	return c->flags & TCP_F_PACED && c->srtt_us >= MIN_RTT_US
		&& c->cwnd > TCP_INITIAL_MSS_N * c->mss;
}

// Bytes in a round trip.
static uint64_t rate(const struct tcp_conn *c)
{
	return c->cwnd < c->ssthresh ? 2ull * c->cwnd : c->cwnd + c->cwnd / 4;
}

bool tcp_pace_allows(struct tcp_conn *c, uint64_t now_us)
{
	if (c->paced_until_us <= now_us + TICK_US || !is_paced(c) || tcp_pipe(c) == 0)
		return true;
	c->pace_at_us = c->paced_until_us - TICK_US;
	stat_inc(&c->tcp->stats->tcp_paced);
	return false;
}

unsigned tcp_pace_run(const struct tcp_conn *c, unsigned most)
{
	uint64_t n;

	if (!is_paced(c))
		return most;
	n = rate(c) * TICK_US / c->srtt_us / c->mss + 1;
	return n < most ? (unsigned)n : most;
}

void tcp_pace_sent(struct tcp_conn *c, uint32_t bytes, uint64_t now_us)
{
	if (!is_paced(c))
		return;
	if (c->paced_until_us < now_us)
		c->paced_until_us = now_us;
	c->paced_until_us += (uint64_t)bytes * c->srtt_us / rate(c);
}
