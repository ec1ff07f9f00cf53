#include "dataplane/tcp/tcp_memory.h"

#include "dataplane/tcp/tcp_conn.h"

#define PERIOD_US    100000u  // between two looks
#define STUCK_US     1000000u // nobody is aborted who moved since
#define MAX_ABORTS   8u       // of one look
#define ENOUGH_BYTES 16384u   // that is to move, at most; or a quarter of what waits
#define FIRST_WINDOW 65536u
#define SMALL_WINDOW 4u  // segments
#define BUDGET_SHARE 16u // of the buffers, that one window may come to
#define UNKNOWN_RTT  100000u
#define SHARE        8u // an eighth of what is free
#define SHARE_LEAST  8u // buffers; SMALL_WINDOW when they are scarce

enum tcp_rung tcp_memory_rung(const struct tcp *t)
{
	uint32_t held = t->mbufs_held, most = t->max_mbufs_held;

	if (held < most / 2)
		return TCP_RUNG_FREE;
	if (held < most / 4 * 3)
		return TCP_RUNG_STEADY;
	if (held < most / 8 * 7)
		return TCP_RUNG_SMALL;
	return held < most - most / 16 ? TCP_RUNG_COOKIES : TCP_RUNG_ABORT;
}

uint32_t tcp_share(const struct tcp *t)
{
	uint32_t shared = t->max_mbufs_held / 2;
	uint32_t share = t->mbufs_held < shared ? (shared - t->mbufs_held) / SHARE : 0;
	uint32_t least = tcp_memory_rung(t) < TCP_RUNG_SMALL ? SHARE_LEAST : SMALL_WINDOW;

	return share > least ? share : least;
}

// --- the last rung

static uint32_t held_by(const struct tcp_conn *c)
{
	return c->sending.n + c->received.n + c->reordered.n;
}

// How long 'c' has held its buffers without moving enough, as far as was looked. A peer that drips does
// not move.
static uint64_t stuck_us(struct tcp_conn *c, uint64_t now_us)
{
	uint32_t moved = c->snd_una - c->looked_una + (uint32_t)c->stream.bytes_received
		- c->looked_received;
	uint32_t enough = (c->sending.bytes + c->received.bytes) / 4 + 1;

	if (enough > ENOUGH_BYTES)
		enough = ENOUGH_BYTES;
	if (c->looked_us < c->tcp->pressure.since_us || moved >= enough) {
		c->looked_us = now_us;
		c->looked_una = c->snd_una;
		c->looked_received = (uint32_t)c->stream.bytes_received;
	}
	return now_us - c->looked_us;
}

static void drop_reordered(struct tcp_conn *c)
{
	stat_add(&c->tcp->stats->tcp_drop_ooo_memory, c->reordered.n);
	tcp_queue_drop(c->tcp, &c->reordered);
	c->n_sack = 0;
}

struct candidate {
	struct tcp_conn *conn;
	uint64_t weight; // buffers times microseconds
};

// Keeps the heaviest, in order.
static unsigned consider(struct candidate *worst, unsigned n, struct candidate new)
{
	unsigned at = n;

	while (at > 0 && worst[at - 1].weight < new.weight)
		at--;
	if (at == MAX_ABORTS)
		return n;
	if (n == MAX_ABORTS)
		n--;
	memmove(&worst[at + 1], &worst[at], (n - at) * sizeof(worst[0]));
	worst[at] = new;
	return n + 1;
}

// Peers whose windows had to be closed do not know that there are buffers again.
static void open_windows(struct tcp *t)
{
	list_foreach (it, &t->conns) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, node);

		if (c->state != TCP_SYN_SENT && c->state != TCP_SYN_RECEIVED)
			tcp_announce_if_opened(c);
	}
}

static void on_timer(struct timer *timer, uint64_t now_us)
{
	struct tcp *t = container_of(timer, struct tcp, pressure.timer);
	enum tcp_rung rung = tcp_memory_rung(t);
	struct candidate worst[MAX_ABORTS];
	unsigned n = 0;

	if (rung < TCP_RUNG_ABORT)
		open_windows(t);
	if (rung < TCP_RUNG_COOKIES)
		return;
	list_foreach (it, &t->conns) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, node);
		uint64_t stuck;

		if (held_by(c) == 0 || !(c->flags & TCP_F_IN_TABLE))
			continue;
		// On the way down only who holds more than its share.
		if (rung < TCP_RUNG_ABORT && held_by(c) <= SMALL_WINDOW)
			continue;
		if (c->reordered.n > 0)
			drop_reordered(c);
		stuck = stuck_us(c, now_us);
		if (stuck >= STUCK_US)
			n = consider(worst, n, (struct candidate){c, held_by(c) * stuck});
	}
	for (unsigned i = 0; i < n && tcp_memory_rung(t) >= TCP_RUNG_COOKIES; i++) {
		stat_inc(&t->stats->tcp_memory_aborts);
		tcp_conn_reset(worst[i].conn, STREAM_ERROR_NO_MEMORY, now_us);
		// What its owner has not read is given up as well: it is no clean end.
		if (worst[i].conn->received.n > 0)
			worst[i].conn->flags &= ~(uint32_t)TCP_F_FIN_RECEIVED;
		tcp_queue_drop(t, &worst[i].conn->received);
	}
	timer_arm(t->timers, timer, now_us + PERIOD_US);
}

void tcp_memory_init(struct tcp *t)
{
	timer_init(&t->pressure.timer, on_timer);
}

void tcp_memory_fini(struct tcp *t)
{
	timer_cancel(t->timers, &t->pressure.timer);
}

void tcp_memory_run(struct tcp *t, uint64_t now_us)
{
	uint64_t *const climbed[TCP_N_RUNGS] = {
		[TCP_RUNG_STEADY] = &t->stats->tcp_memory_steady,
		[TCP_RUNG_SMALL] = &t->stats->tcp_memory_small,
		[TCP_RUNG_COOKIES] = &t->stats->tcp_memory_cookies,
		[TCP_RUNG_ABORT] = &t->stats->tcp_memory_abort,
	};
	enum tcp_rung rung = tcp_memory_rung(t);

	if (rung == t->pressure.rung)
		return;
	for (unsigned i = t->pressure.rung + 1u; i <= rung; i++)
		stat_inc(climbed[i]);
	t->pressure.rung = (uint8_t)rung;
	stat_set(&t->stats->tcp_memory_rung, rung);
	if (rung == TCP_RUNG_ABORT && !timer_is_armed(&t->pressure.timer)) {
		t->pressure.since_us = now_us;
		timer_arm(t->timers, &t->pressure.timer, now_us);
	}
}

// --- windows

static uint32_t largest_window(const struct tcp *t)
{
	uint64_t share = (uint64_t)t->max_mbufs_held / BUDGET_SHARE * t->max_payload;
	uint32_t most = t->settings.receive_buffer_max;

	if (share < FIRST_WINDOW)
		share = FIRST_WINDOW;
	return share < most ? (uint32_t)share : most;
}

uint32_t tcp_window_first(const struct tcp_conn *c)
{
	uint32_t most = largest_window(c->tcp), size = FIRST_WINDOW;

	if (tcp_memory_rung(c->tcp) >= TCP_RUNG_SMALL)
		size = SMALL_WINDOW * c->mss;
	return size < most ? size : most;
}

// What a SYN announces is not scaled, what follows is: it has to be a number that both can say.
static uint16_t said_in_both_ways(const struct tcp *t, uint32_t size)
{
	uint32_t unit = 1u << t->receive_scale;

	size = (size + unit - 1) / unit * unit;
	return (uint16_t)(size <= UINT16_MAX ? size : UINT16_MAX / unit * unit);
}

uint16_t tcp_syn_window(const struct tcp *t)
{
	uint32_t most = t->settings.receive_buffer_max, size = UINT16_MAX;
	uint32_t share = tcp_share(t) * TCP_DEFAULT_MSS_V6;

	if (tcp_memory_rung(t) >= TCP_RUNG_SMALL)
		size = SMALL_WINDOW * TCP_DEFAULT_MSS_V6;
	if (size > share)
		size = share;
	return said_in_both_ways(t, size < most ? size : most);
}

uint16_t tcp_cookie_window(const struct tcp *t)
{
	uint32_t most = t->settings.receive_buffer_max, size = SMALL_WINDOW * TCP_DEFAULT_MSS_V6;

	return said_in_both_ways(t, size < most ? size : most);
}

void tcp_window_grow(struct tcp_conn *c)
{
	const struct tcp *t = c->tcp;
	uint32_t taken = (uint32_t)c->stream.bytes_received - c->taken_before, most;

	if (t->now_us - c->taken_us < (c->srtt_us != 0 ? c->srtt_us : UNKNOWN_RTT))
		return;
	c->taken_us = t->now_us;
	c->taken_before = (uint32_t)c->stream.bytes_received;
	if (taken <= c->window_size / 2 || tcp_memory_rung(t) >= TCP_RUNG_STEADY)
		return;
	most = largest_window(t);
	c->window_size = taken < most / 2 ? 2 * taken : most;
}

// Bytes that the peer may send before the connection holds its share. Segments that are not full are copied
// together, so that buffers fill up.
static uint32_t share_left(const struct tcp_conn *c)
{
	uint32_t share = tcp_share(c->tcp);

	return c->received.n < share ? (share - c->received.n) * c->mss : 0;
}

uint32_t tcp_window_edge(const struct tcp_conn *c, bool *is_shared)
{
	uint32_t space = c->window_size, left = share_left(c);
	enum tcp_rung rung = tcp_memory_rung(c->tcp);

	if (space > (uint32_t)UINT16_MAX << c->receive_scale)
		space = (uint32_t)UINT16_MAX << c->receive_scale;
	space = space > c->received.bytes ? space - c->received.bytes : 0;
	// What is held counts, not what it says: slivers would pin the pool.
	if (c->received.n > c->window_size / TCP_MIN_BUF_BYTES)
		space = 0;
	// Promises are kept, but no new ones made, when buffers become scarce.
	if (rung >= TCP_RUNG_SMALL && space > SMALL_WINDOW * c->mss)
		space = SMALL_WINDOW * c->mss;
	if (rung == TCP_RUNG_ABORT)
		space = 0;
	if (is_shared != NULL)
		*is_shared = left < space;
	if (space > left)
		space = left;
	return seq_max(c->rcv_adv, c->rcv_nxt + space);
}
