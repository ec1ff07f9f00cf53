// A worker, as worker.c (its life and its loop) and worker_io.c (its frames) see it.
#pragma once

#include "dataplane/worker_idle.h"
#include "dataplane/worker_thread.h"

#include <pthread.h>

#define WORKER_BACKLOG 1024u // frames kept for a port whose transmit queue is full; power of two

// One port as this worker uses it.
struct worker_port {
	// set at creation
	struct worker *worker;
	struct iface *iface;
	struct worker *
		sender; // who has the transmit queue: itself, or the one whose outbox takes the frames
	uint16_t port_id;
	uint16_t queue;         // both directions; UINT16_MAX: none
	struct rss *rss;        // of all workers; NULL: the port has none
	struct gso_socket *gso; // of the queue; NULL: who cuts packets is the device
	bool prepares; // the device does something to frames, and its driver wants to see them before

	// per packet
	uint32_t backlog_head;
	uint32_t backlog_tail;
	struct rte_mbuf *backlog[WORKER_BACKLOG];
};

struct worker_request {
	worker_call_fn *fn;
	void *arg;
	atomic_bool done;
};

struct worker {
	// set at creation
	struct worker_shared *shared;
	unsigned index;
	struct net *net;
	void *app_state;
	struct rte_ring *inbox;  // received frames that are ours, from workers that polled them
	struct rte_ring *outbox; // frames to send, from workers without a transmit queue
	struct capture_ring captured;

	// per turn
	struct dataplane_stats stats;
	struct worker_idle idle;
	const struct capture_filter *capture; // NULL: nobody looks
	struct worker_port ports[WORKER_MAX_PORTS];

	// written by other threads
	_Atomic(struct worker_request *) request __rte_cache_aligned;
	_Atomic enum worker_state state;
	int error;
	const char *error_what;
	pthread_mutex_t callers; // one worker_call() at a time; the worker never takes it
};

// --- worker_io.c; the worker's own thread

// A burst from a port's queue, and one from the inbox; each goes to its owner. True if there was any.
bool worker_receive_port(struct worker *w, struct worker_port *p, uint64_t now_us);
bool worker_receive_inbox(struct worker *w, uint64_t now_us);

// What the stack calls to send: through the port's queue, or to who has it. 'arg' is the worker_port.
void worker_transmit(void *arg, struct rte_mbuf **ms, unsigned n);

// A burst of frames of workers without a queue, and what a full queue has not taken. True if there was any.
bool worker_send_outbox(struct worker *w);
bool worker_send_backlog(struct worker_port *p);

// What the stack calls when a neighbour has answered it. 'arg' is the worker.
void worker_tell_others(
	void *arg, unsigned iface, const struct ip_addr *addr, const uint8_t mac[6]);
