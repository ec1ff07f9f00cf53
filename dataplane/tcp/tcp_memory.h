// How much of the stack's buffers is in use, as a ladder: each rung takes something away from connections
// so that the last buffers last.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp;

enum tcp_rung {
	TCP_RUNG_FREE,
	TCP_RUNG_STEADY,  // half in use: windows grow no further
	TCP_RUNG_SMALL,   // three quarters: only small windows are promised
	TCP_RUNG_COOKIES, // seven eighths: SYNs get cookies, data out of order is dropped
	TCP_RUNG_ABORT,   // fifteen sixteenths: no window at all, SYNs are dropped
};

enum tcp_rung tcp_memory_rung(const struct tcp *t);

static inline bool tcp_memory_wants_cookies(const struct tcp *t)
{
	return tcp_memory_rung(t) >= TCP_RUNG_COOKIES;
}
