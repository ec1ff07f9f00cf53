// A hierarchical timer wheel with intrusive entries: arming, moving and cancelling are O(1), expiry
// has 1 ms resolution and never comes early. Entries are lazy: moving a deadline later only writes a
// field, and the entry is put in its new slot when the old one comes up.
//
// One worker owns a wheel. Time is a parameter (microseconds, monotonic, any origin).
#pragma once

#include "dataplane/base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct timer;
struct timer_wheel;

// Called from timer_wheel_run() with the timer unarmed; may arm it again, arm or cancel others, and
// free the object the timer is part of.
typedef void timer_fn(struct timer *t, uint64_t now_us);

struct timer {
	struct list node;    // in a slot of the wheel
	uint64_t expires_us; // UINT64_MAX: not armed
	uint64_t slot_us;    // the deadline its slot stands for; at most expires_us
	timer_fn *fn;
};

// Returns a wheel that starts at 'now_us', or NULL without memory. The caller frees it.
struct timer_wheel *timer_wheel_new(uint64_t now_us);
void timer_wheel_free(struct timer_wheel **wp);

void timer_init(struct timer *t, timer_fn *fn);
bool timer_is_armed(const struct timer *t);

// (Re)arms 't'; a time in the past expires at the next run.
void timer_arm(struct timer_wheel *w, struct timer *t, uint64_t expires_us);

// Arms 't' unless it expires by then anyway: for a deadline among others, whose timer looks at all of them.
static inline void timer_arm_by(struct timer_wheel *w, struct timer *t, uint64_t expires_us)
{
	if (expires_us < t->expires_us)
		timer_arm(w, t, expires_us);
}

// Harmless for a timer that is not armed.
void timer_cancel(struct timer_wheel *w, struct timer *t);

// Timers that a run puts from one slot into another: a hundred thousand connections may share one.
#define TIMER_MOVES_A_RUN 512u

// Calls what expired until 'now_us', at most 'max' timers, so that a burst of timeouts cannot stall
// packets. Returns how many were called. There may be more to do at once: timer_wheel_next() says so.
unsigned timer_wheel_run(struct timer_wheel *w, uint64_t now_us, unsigned max);

// A time before which timer_wheel_run() has nothing to call, and not later than it could call the
// first one; UINT64_MAX if nothing is armed.
uint64_t timer_wheel_next(const struct timer_wheel *w);

// Armed timers, for the leak check of tests.
uint32_t timer_wheel_n_armed(const struct timer_wheel *w);
