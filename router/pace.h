// How fast a peer moves what waits for it alone: bytes of a body that it has to send, or has to take. The slow peer that an
// attack is made of moves just enough to look alive, so what counts is bytes in a while and not the last sign of life.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint64_t since_us; // start of the while; 0: nothing waits for the peer
	uint64_t bytes;    // moved before it
};

// To be told whenever it may have changed whether something waits for the peer; 'bytes' have moved so far.
static inline void pace_note(struct pace *p, bool waits, uint64_t bytes, uint64_t now_us)
{
	if (!waits)
		p->since_us = 0;
	else if (p->since_us == 0)
		*p = (struct pace){.since_us = now_us, .bytes = bytes};
}

// Judges a while of 'window_us' that is over, at least 'min_bytes' in it, and begins the next one. True: too slow. '*next_us' is
// when to ask again.
static inline bool pace_is_slow(struct pace *p, uint64_t bytes, uint64_t min_bytes,
	uint64_t window_us, uint64_t now_us, uint64_t *next_us)
{
	bool slow;

	*next_us = (p->since_us != 0 ? p->since_us : now_us) + window_us;
	if (p->since_us == 0 || now_us < *next_us)
		return false;
	slow = bytes - p->bytes < min_bytes;
	*p = (struct pace){.since_us = now_us, .bytes = bytes};
	*next_us = now_us + window_us;
	return slow;
}
