// CUBIC, RFC 9438, in integers: after a loss the window follows a cubic function of the time since, which
// is flat near the window that was too large and steep far from it, and is never below what Reno would
// have. Slow start ends by HyStart++, RFC 9406: when the round trip grows the queue is filling, so the window
// need not double until it overflows.

#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_conn.h"

// Per mille of the constants of RFC 9438, 4.1 and 4.6.
#define BETA_1000  700u
#define ALPHA_NUM  9u // 3 * (1 - beta) / (1 + beta)
#define ALPHA_DEN  17u
#define MAX_AGE_MS 1000000u // keeps the cube inside 64 bits

// RFC 9406, 4.2 and 4.3. L is the RFC's for senders that do not pace: our peers acknowledge bursts at once.
#define SLOW_START_L  8u
#define MIN_THRESH_US 4000u
#define MAX_THRESH_US 16000u
#define MIN_SAMPLES   8u
#define CSS_DIVISOR   4u
#define CSS_ROUNDS    5u

static uint64_t cube_root(uint64_t x)
{
	uint64_t root = 0;

	for (int shift = 63; shift >= 0; shift -= 3) {
		uint64_t bit;

		root *= 2;
		bit = 3 * root * (root + 1) + 1;
		if (x >> shift >= bit) {
			x -= bit << shift;
			root++;
		}
	}
	return root;
}

static void cubic_init(struct tcp_conn *c)
{
	c->cc_state = (struct tcp_cc){.epoch_us = 0};
	c->slow_start = (struct tcp_slow_start){.rtt_us = 0};
}

// --- slow start

static void on_round(struct tcp_conn *c)
{
	struct tcp_slow_start *s = &c->slow_start;

	s->last_rtt_us = s->n_samples > 0 ? s->rtt_us : UINT32_MAX;
	s->rtt_us = UINT32_MAX;
	s->n_samples = 0;
	s->round_end = c->snd_nxt;
	if (s->css_rounds > 0 && s->css_rounds++ == CSS_ROUNDS) {
		s->css_rounds = 0;
		c->ssthresh = c->cwnd;
	}
}

static void cubic_on_rtt(struct tcp_conn *c, uint32_t rtt_us)
{
	struct tcp_slow_start *s = &c->slow_start;
	uint32_t thresh;

	if (c->cwnd >= c->ssthresh || s->rtt_us == 0)
		return;
	if (rtt_us < s->rtt_us)
		s->rtt_us = rtt_us;
	if (s->n_samples < MIN_SAMPLES)
		s->n_samples++;
	if (s->n_samples < MIN_SAMPLES || s->last_rtt_us == UINT32_MAX)
		return;
	if (s->css_rounds > 0) { // the growth was only noise
		if (s->rtt_us < s->baseline_rtt_us)
			s->css_rounds = 0;
		return;
	}
	thresh = s->last_rtt_us / 8;
	thresh = thresh < MIN_THRESH_US  ? MIN_THRESH_US
		: thresh > MAX_THRESH_US ? MAX_THRESH_US
					 : thresh;
	if (s->rtt_us >= s->last_rtt_us + thresh) {
		s->baseline_rtt_us = s->rtt_us;
		s->css_rounds = 1;
	}
}

static void slow_start(struct tcp_conn *c, uint32_t acked)
{
	uint32_t most = SLOW_START_L * c->mss, step = acked < most ? acked : most;

	if (c->slow_start.css_rounds > 0)
		step /= CSS_DIVISOR;
	c->cwnd += step;
	if (c->slow_start.rtt_us == 0 || seq_le(c->slow_start.round_end, c->snd_una))
		on_round(c);
}

// --- congestion avoidance

// C * (t - K)^3 in bytes, with C = 0.4 segments / s^3.
static uint64_t cubic_term(const struct tcp_conn *c, uint64_t ms)
{
	if (ms > MAX_AGE_MS)
		ms = MAX_AGE_MS;
	return ms * ms * ms / 10000 * c->mss / 250000;
}

static void begin_epoch(struct tcp_conn *c, uint64_t now_us)
{
	struct tcp_cc *s = &c->cc_state;

	s->epoch_us = now_us;
	s->acked = 0;
	s->w_est = c->cwnd;
	s->w_est_rest = 0;
	s->k_ms = 0;
	if (c->cwnd < s->w_max)
		s->k_ms = (uint32_t)cube_root(
			(uint64_t)(s->w_max - c->cwnd) * 2500000000ull / c->mss);
	else
		s->w_max = c->cwnd;
}

static uint64_t cubic_window(const struct tcp_conn *c, uint64_t age_us)
{
	const struct tcp_cc *s = &c->cc_state;
	uint64_t ms = age_us / 1000, down;

	if (ms >= s->k_ms)
		return s->w_max + cubic_term(c, ms - s->k_ms);
	down = cubic_term(c, s->k_ms - ms);
	return down < s->w_max ? s->w_max - down : 0;
}

// RFC 9438, 4.3: alpha segments each round trip, one once Reno would be where the loss was.
static void grow_estimate(struct tcp_conn *c, uint32_t acked)
{
	struct tcp_cc *s = &c->cc_state;
	uint64_t n = (uint64_t)acked * c->mss;

	if (s->w_est < s->prior)
		n = n * ALPHA_NUM / ALPHA_DEN;
	n += s->w_est_rest;
	s->w_est += (uint32_t)(n / c->cwnd);
	s->w_est_rest = (uint32_t)(n % c->cwnd);
}

static void cubic_on_ack(struct tcp_conn *c, uint32_t acked, uint64_t now_us)
{
	struct tcp_cc *s = &c->cc_state;
	uint64_t age_us, target, n;

	if (c->cwnd < c->ssthresh) {
		slow_start(c, acked);
		return;
	}
	if (s->epoch_us == 0)
		begin_epoch(c, now_us);
	else if (now_us - s->last_us > 2ull * c->srtt_us + 1000)
		// Time in which the window was not the limit teaches nothing (RFC 9438, 5.8).
		s->epoch_us += now_us - s->last_us - c->srtt_us;
	s->last_us = now_us;
	age_us = now_us - s->epoch_us;
	grow_estimate(c, acked);
	if (cubic_window(c, age_us) < s->w_est) {
		if (c->cwnd < s->w_est)
			c->cwnd = s->w_est;
		return;
	}
	target = cubic_window(c, age_us + c->srtt_us);
	if (target <= c->cwnd)
		return;
	if (target > c->cwnd + c->cwnd / 2)
		target = c->cwnd + c->cwnd / 2;
	n = (target - c->cwnd) * acked + s->acked;
	s->acked = (uint32_t)(n % c->cwnd);
	c->cwnd += (uint32_t)(n / c->cwnd);
}

static uint32_t cubic_on_loss(struct tcp_conn *c, uint32_t in_flight, bool timeout, uint64_t now_us)
{
	struct tcp_cc *s = &c->cc_state;
	uint32_t ssthresh = (uint32_t)((uint64_t)in_flight * BETA_1000 / 1000);

	(void)now_us;
	s->epoch_us = 0;
	c->slow_start.css_rounds = 0;
	s->prior = c->cwnd;
	if (timeout) // RFC 9438, 4.8: the next epoch starts from what it finds
		s->w_max = 0;
	else if (c->cwnd < s->w_max) // fast convergence, 4.7
		s->w_max = (uint32_t)((uint64_t)c->cwnd * (1000 + BETA_1000) / 2000);
	else
		s->w_max = c->cwnd;
	return ssthresh > 2u * c->mss ? ssthresh : 2u * c->mss;
}

const struct tcp_cc_ops tcp_cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.on_ack = cubic_on_ack,
	.on_loss = cubic_on_loss,
	.on_rtt = cubic_on_rtt,
};
