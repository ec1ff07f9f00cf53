// What ends a worker's sleep before its time: a frame on one of its queues, or a ring of its doorbell by another
// worker or the mgmt thread. A worker without work arms, does one more turn, and then waits:
//
//     wake_arm()       from here on nothing is missed
//     a turn           finds nothing
//     wake_wait()      until a frame, a ring or 'most_us'
//
// One worker owns it; wake_ring() is for everybody.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WAKE_MAX_PORTS 8

struct wake_queue {
	uint16_t port_id;
	uint16_t queue;
	int fd; // of the socket that tells; below 0: it is the driver's interrupt
};

struct wake {
	// set before the worker starts
	int doorbell; // eventfd
	int clock;    // timerfd: ends short waits

	// of the worker
	bool complete; // every queue of the worker can end a wait
	bool armed;
	unsigned n_queues;
	struct wake_queue queues[WAKE_MAX_PORTS];

	atomic_bool asleep
		__attribute__((aligned(64))); // or about to be: the doorbell has to be rung
};

// Returns 0 or a negative errno; wake_fini() is harmless after a failure. mgmt thread.
int wake_init(struct wake *w);
void wake_fini(struct wake *w);

// Adds the doorbell and a receive queue to what ends waits of this thread. 'fd' is the queue's socket, -1 if there is none: then
// the driver's receive interrupt is tried. Both return false if a frame there cannot end a wait.
bool wake_add_doorbell(struct wake *w);
bool wake_add_queue(struct wake *w, uint16_t port_id, uint16_t queue, int fd);

void wake_arm(struct wake *w);
void wake_disarm(struct wake *w);

#define WAKE_CLOCK_US 10000u // waits that are exact; longer ones are rounded up to milliseconds

// Waits and disarms.
void wake_wait(struct wake *w, uint64_t most_us);

// After something was put where the worker will find it. A system call only if the worker is asleep.
void wake_ring(struct wake *w);
