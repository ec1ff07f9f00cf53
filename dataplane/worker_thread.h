// How dataplane.c makes and runs the workers of worker.h. Everybody else uses worker.h.
//
// Life of a worker: worker_new() on the mgmt thread, worker_run() on its own (net_new, the app's start, the loop,
// the app's stop, net_free), worker_free() on the mgmt thread.
#pragma once

#include "dataplane/port.h"
#include "dataplane/steer.h"
#include "dataplane/worker.h"

#include <rte_ring.h>
#include <stdatomic.h>

#define WORKER_MAX_PORTS DATAPLANE_MAX_PORTS

#define WORKER_US_SHIFT 40 // microseconds without a division each turn, right to parts in 10^9

// What all workers have in common; lives as long as they do.
struct worker_shared {
	// set before the workers start
	const struct worker_app *app;
	const struct dataplane_config *config;
	const struct port *ports;
	unsigned n_ports;
	struct rte_mempool *mbufs;
	struct hash_key secret;
	struct steer steer;
	uint32_t max_connections; // of one worker
	uint32_t max_time_wait;
	uint32_t max_mbufs_held;
	uint64_t tsc_start;
	uint64_t us_per_cycle; // times 2^WORKER_US_SHIFT
	struct worker **workers;
	unsigned n_workers;

	atomic_bool stop;
	_Atomic uint64_t wall_offset_us; // wall clock less now_us
};

enum worker_state {
	WORKER_STARTING,
	WORKER_RUNNING,
	WORKER_QUIET, // told to stop; its stack will send no more
	WORKER_ENDED,
	WORKER_FAILED, // see worker_error()
};

// Microseconds since the dataplane started. Any thread.
uint64_t worker_shared_now(const struct worker_shared *s);

// Returns NULL without memory.
struct worker *worker_new(struct worker_shared *shared, unsigned index);
void worker_free(struct worker **wp);

// Its stack's side of the port with that number. On the worker's thread.
struct iface *worker_iface(struct worker *w, unsigned port);

// The worker's life, for rte_eal_remote_launch(); 'arg' is the worker. Returns 0.
int worker_run(void *arg);

enum worker_state worker_state(const struct worker *w);
// Why it failed: a negative errno, and what was done. Valid when WORKER_FAILED.
int worker_error(const struct worker *w, const char **what);
