// How much of the stack's buffers is in use, as a ladder: each rung takes something away from connections
// so that the last buffers last.
#pragma once

#include "dataplane/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct tcp;
struct tcp_conn;

enum tcp_rung {
	TCP_RUNG_FREE,
	TCP_RUNG_STEADY,  // half in use: windows grow no further
	TCP_RUNG_SMALL,   // three quarters: only small windows are promised
	TCP_RUNG_COOKIES, // seven eighths: SYNs get cookies, data out of order is dropped
	TCP_RUNG_ABORT, // fifteen sixteenths: no window at all, SYNs are dropped, who does not move is aborted
	TCP_N_RUNGS,
};

struct tcp_pressure {
	uint8_t rung;       // as of the last turn
	uint64_t since_us;  // aborting
	struct timer timer; // looks for connections to abort
};

enum tcp_rung tcp_memory_rung(const struct tcp *t);

void tcp_memory_init(struct tcp *t);
void tcp_memory_fini(struct tcp *t);

// Buffers that one connection may hold to send, and as many received ones: an eighth of what is free of half
// the budget, so that however many want much, each gets as much as the others, a later one finds some
// left, and the ladder's upper rungs stay out of reach. A few are always allowed: nobody's share is
// nothing.
uint32_t tcp_share(const struct tcp *t);

// Once each turn: counts the rungs that were climbed. From the last one on, until the one below is left too, so
// that others can begin again, connections that hold many buffers and do not move are aborted, worst first
// by buffers times time, a few every 100 ms, and what is kept out of order is dropped (RFC 2018, 8 permits
// it).
// On the way down windows that were closed are opened again.
void tcp_memory_run(struct tcp *t, uint64_t now_us);

// The window grows with what the owner took in a round trip, and not beyond a share of the budget. To be
// called when it took something.
void tcp_window_grow(struct tcp_conn *c);

// The right edge that may be announced now. '*is_shared', if not NULL, tells whether the connection's share of
// the buffers keeps it from being further right.
uint32_t tcp_window_edge(const struct tcp_conn *c, bool *is_shared);

// Its size at the start of a connection.
uint32_t tcp_window_first(const struct tcp_conn *c);

static inline bool tcp_memory_wants_cookies(const struct tcp *t)
{
	return tcp_memory_rung(t) >= TCP_RUNG_COOKIES;
}
