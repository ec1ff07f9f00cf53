// Graceful shutdown as a state machine without side effects: it is told the time and the load, and says what to do.
//
//     SERVING -- SIGTERM --> NOTICE: not ready, keep-alive ends, still accepting, so that a connection which a load
//                               |    balancer sends before it has noticed is served
//                               v    after the grace
//                            CLOSING: no new connections, wait until nothing is left; for handshakes not longer than
//                               |     DRAIN_HANDSHAKE_US, as who began them may never have meant to end them
//                               |
//                               v    nothing left, the deadline, or a second SIGTERM
//                            FINISHED (what was left is aborted and reported)
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DRAIN_HANDSHAKE_US 1000000u

enum drain_phase {
	DRAIN_SERVING,
	DRAIN_NOTICE,
	DRAIN_CLOSING,
	DRAIN_FINISHED,
};

// What the caller has to do now; in this order if drain_step() is called until it says NOTHING.
enum drain_action {
	DRAIN_DO_NOTHING,
	DRAIN_DO_END_KEEPALIVE,  // readiness is false; router_drain() with drain_spread_us()
	DRAIN_DO_STOP_LISTENING, // router_stop_listening()
	DRAIN_DO_ABORT,          // router_abort_all() and report it
	DRAIN_DO_EXIT,
};

struct drain {
	enum drain_phase phase;
	bool hurry;
	bool announced; // DRAIN_DO_END_KEEPALIVE was said
	bool aborted;   // DRAIN_DO_ABORT was said
	uint64_t started_us;
	uint64_t closing_us; // when CLOSING began
	uint64_t grace_us;
	uint64_t timeout_us;
};

// 'timeout_us' is for everything. Does nothing if a drain is under way.
void drain_start(struct drain *d, uint64_t timeout_us, uint64_t now_us);

// No more waiting: the next steps abort what is left and exit. Starts a drain if none is under way.
void drain_hurry(struct drain *d, uint64_t now_us);

// What is under way now.
struct drain_load {
	uint64_t n_requests;
	uint64_t n_connections;
	// Needed when CLOSING: TCP connections that are none of n_connections.
	uint64_t n_half_open; // handshakes that may yet become some
	uint64_t n_unsent;    // ended, but their last answers have not arrived
};

enum drain_action drain_step(struct drain *d, const struct drain_load *load, uint64_t now_us);

// Over which time idle connections are to be closed.
uint64_t drain_spread_us(const struct drain *d);

// When drain_step() wants to be called next, if nothing else happens; UINT64_MAX while serving.
uint64_t drain_next_us(const struct drain *d, uint64_t now_us);

// "serving", "draining", "closing", "finished".
const char *drain_phase_name(enum drain_phase phase);
