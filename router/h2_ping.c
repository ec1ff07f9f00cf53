// PING frames that find out whether the peer is still there. Whatever comes from it counts as an answer, because the answer to a
// PING may have to wait behind bodies.

#include "router/h2_session.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void ping(struct h2_session *h, uint64_t now_us)
{
	h->ping_out = true;
	h->pinged_us = now_us;
	nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL);
	stat_inc(&h->worker->stats->h2_tx_ping);
	h2_session_wake(h);
	timer_arm(h->worker->timers, &h->ping_timer, now_us + h->ping_timeout_us);
}

static void on_timer(struct timer *t, uint64_t now_us)
{
	struct h2_session *h = container_of(t, struct h2_session, ping_timer);
	struct router_worker *w = h->worker;
	uint64_t due = later(h->pinged_us, h->heard_us) + h->ping_timeout_us;

	h->now_us = now_us;
	if (h->dead) {
		// Its end is under way.
	} else if (!h->ping_out) {
		ping(h, now_us);
	} else if (now_us < due) {
		timer_arm(w->timers, &h->ping_timer, due);
	} else {
		stat_inc(&w->stats->h2_ping_timeouts);
		h2_session_lose(h);
	}
	router_worker_leave(w, now_us);
}

void h2_session_keep_alive(
	struct h2_session *h, uint64_t interval_us, uint64_t timeout_us, uint64_t now_us)
{
	timer_init(&h->ping_timer, on_timer);
	h->ping_interval_us = interval_us;
	h->ping_timeout_us = timeout_us;
	if (interval_us > 0)
		timer_arm(h->worker->timers, &h->ping_timer, now_us + interval_us);
}

void h2_session_note_pong(struct h2_session *h)
{
	if (!h->ping_out || h->dead)
		return;
	h->ping_out = false;
	timer_arm(h->worker->timers, &h->ping_timer,
		later(h->pinged_us + h->ping_interval_us, h->now_us));
}
