// A worker after a turn without work: the ladder of idle.h with the sleeps of wake.h at its end. The worker's own, but
// for the bell, which others ring.
#pragma once

#include "dataplane/dataplane_stats.h"
#include "dataplane/idle.h"
#include "dataplane/wake.h"

struct worker_idle {
	struct idle ladder;
	struct wake wake;
	struct dataplane_stats *stats;
};

// mgmt thread, before and after the worker's life.
void worker_idle_init(struct worker_idle *i, struct dataplane_stats *stats);
void worker_idle_fini(struct worker_idle *i);

// On the worker's thread, once, then for each of its receive queues: what may end a sleep. 'wakes' if the port can,
// 'fd' as in wake_add_queue().
void worker_idle_prepare(struct worker_idle *i, bool adaptive);
void worker_idle_add_queue(
	struct worker_idle *i, uint16_t port_id, uint16_t queue, bool wakes, int fd);

// After a turn without work. Pauses if it is time for that; returns true if it is time to sleep.
bool worker_idle_wants_sleep(struct worker_idle *i, uint64_t now_us);

// Sleeps until something comes or 'deadline_us', where something is due.
void worker_idle_sleep(struct worker_idle *i, uint64_t now_us, uint64_t deadline_us);

// After a turn with work.
void worker_idle_end(struct worker_idle *i);
