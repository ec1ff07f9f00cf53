// What a worker does after a turn that found nothing ("idle: adaptive"): a ladder from polling at full speed
// down to sleeping, and up again with the first work.
//
//     IDLE_POLLS empty turns          poll on
//     until IDLE_SLEEP_AFTER_US       poll with pauses: the sibling thread of the core gets on
//     after that                      sleep, doubling from IDLE_SLEEP_MIN_US to IDLE_SLEEP_MAX_US
//
// A sleep ends at the next timer. Where each frame can end it too (wake.h) it is long, up to IDLE_WAIT_MAX_US. Else
// IDLE_SLEEP_MAX_US, and what the kernel needs to wake a thread, is how long a first frame waits.
//
// Pure; time is a parameter.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define IDLE_POLLS          64u
#define IDLE_SLEEP_AFTER_US 100u
#define IDLE_SLEEP_MIN_US   20u
#define IDLE_SLEEP_MAX_US   200u
#define IDLE_WAIT_MAX_US    100000u

enum idle_rung {
	IDLE_POLL,
	IDLE_PAUSE,
	IDLE_SLEEP,
};

struct idle {
	uint32_t n_empty;  // turns without work in a row
	uint32_t sleep_us; // the next sleep at most
	uint64_t since_us; // of the first empty turn
};

// A turn found work.
static inline void idle_reset(struct idle *i)
{
	i->n_empty = 0;
}

// A turn found nothing; where on the ladder that is.
enum idle_rung idle_step(struct idle *i, uint64_t now_us);

// On IDLE_SLEEP: for how many microseconds; 0 if 'deadline_us', when something is due, has come. 'wakes' if a
// received frame ends the sleep. Each call is a step towards longer sleeps.
uint64_t idle_sleep_us(struct idle *i, uint64_t now_us, uint64_t deadline_us, bool wakes);
