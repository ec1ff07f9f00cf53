// A worker: one pinned thread that polls its ports, runs its stack and everything above it to
// completion, and shares nothing on the packet path.
//
//     rx burst -> steer -> net_input -> net_run (owners' callbacks) -> on_turn hook -> tx flush
//              -> read mailbox -> quiescent -> (idle ladder)
//
// The layers above hang on by struct worker_app: the worker calls them, never the other way round in
// the include graph. The mgmt thread talks to a worker by worker_call() only.
#pragma once

#include "dataplane/capture.h"
#include "dataplane/dataplane_stats.h"
#include "dataplane/net/net.h"

#include <stdbool.h>
#include <stdint.h>

struct worker;

// What runs on the workers. All functions are called on the worker's thread.
struct worker_app {
	// Once, before the first packet. '*state' is the app's own per-worker object. Negative errno: start-up
	// fails with a printed reason.
	int (*start)(void *arg, struct worker *w, void **state, uint64_t now_us);
	// Once each loop turn, after net_run(); returns true if it did work.
	bool (*turn)(void *state, uint64_t now_us);
	// When turn() has to run although nothing came; UINT64_MAX if never.
	uint64_t (*next_deadline)(void *state);
	// At exit, after the last turn.
	void (*stop)(void *state);
	void *arg;
};

// Runs 'fn(state, arg)' on the worker between two turns, and waits until it is done. For the mgmt thread;
// 'state' is the app's. Bounded: a worker that does not answer within a second is a bug that is logged.
typedef void worker_call_fn(void *state, struct worker *w, void *arg, uint64_t now_us);
void worker_call(struct worker *w, worker_call_fn *fn, void *arg);

unsigned worker_index(const struct worker *w); // 0 .. n-1
struct net *worker_net(struct worker *w);
struct dataplane_stats *worker_stats(struct worker *w);

// From now on the worker keeps what 'f' takes: frames received, as they come from the port and before they are handed to the
// worker they belong to, and frames sent, as the stack made them. NULL: nothing. On the worker's thread; 'f' is borrowed.
void worker_capture(struct worker *w, const struct capture_filter *f);
// Where they are; for the mgmt thread to read. NULL: the configuration gave it no memory.
struct capture_ring *worker_capture_ring(struct worker *w);

// Wall clock for 'now_us', microseconds since 1970; the mgmt thread keeps the offset right.
uint64_t worker_wall_us(const struct worker *w, uint64_t now_us);
