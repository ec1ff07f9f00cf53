// The router as the rest of the program sees it: what runs on the workers (a worker_app), and what the mgmt thread may
// ask of it. Everything here is called on the mgmt thread.
#pragma once

#include "dataplane/worker.h"
#include "router/request_metrics.h"
#include "router/router_stats.h"
#include "router/snapshot.h"
#include "router/stream_owner.h"
#include "tls/tls_stats.h"

struct router; // the whole; has one router_worker for each worker

struct router_options {
	unsigned n_workers;
	uint64_t
		memory_bytes; // for pools of connections, exchanges and arenas of all workers together
	size_t log_ring_bytes; // of each worker
	uint32_t max_series;   // of each worker's request metrics
};

struct router *router_new(const struct router_options *options); // NULL and errno
void router_free(struct router **rp);

// To be given to the dataplane before the workers start.
const struct worker_app *router_app(struct router *r);

// What there is room for at the same time, on each worker.
struct router_room {
	uint32_t connections; // of clients
	uint32_t tls_connections;
	uint32_t tls_http2_connections; // if all of those are HTTP/2
	uint32_t requests;
};

struct router_room router_room(const struct router *r);

// Makes '*next' (taken) what all workers use for new requests: listeners are opened, kept or closed, then the pointer is
// swapped on each worker. The previous snapshot is retired. Returns 0; or a negative errno and a sentence, with nothing changed, if a
// listener cannot be opened.
int router_publish(struct router *r, struct worker *const *workers, struct snapshot **next,
	char error[SNAPSHOT_ERROR_SIZE]);

// What runs now; NULL before the first publish. Valid until the next router_publish() by the same thread.
const struct snapshot *router_current(const struct router *r);

// Periodic work of the mgmt thread: outlier sweeps, freeing of retired snapshots. Returns when to call again.
uint64_t router_tick(struct router *r, uint64_t now_us);
unsigned router_n_retired(const struct router *r);

// Drain: stop keep-alive (Connection: close on every answer, idle connections closed gradually within 'timeout_us'); new
// connections are still served until router_stop_listening().
void router_drain(struct router *r, struct worker *const *workers, uint64_t timeout_us);
void router_stop_listening(struct router *r, struct worker *const *workers);
// Requests under way and connections open, over all workers.
void router_load(struct router *r, uint64_t *requests, uint64_t *connections);
// Aborts what is left; returns how many requests were cut.
uint64_t router_abort_all(struct router *r, struct worker *const *workers);

// Whose 's' is. On the worker that 's' is of, unlike the rest. Returns false if 's' is not the router's.
bool router_stream_owner(const struct stream *s, struct router_stream_owner *out);

// For the exporter and the log writer. Index < n_workers.
const struct router_stats *router_worker_stats(const struct router *r, unsigned index);
const struct http_rule_counts *router_worker_rules(const struct router *r, unsigned index);
const struct tls_stats *router_worker_tls_stats(const struct router *r, unsigned index);
struct request_metrics *const *router_request_metrics(const struct router *r);
struct log_ring *router_log_ring(const struct router *r, unsigned index);
const struct hcm_state *router_first_hcm(const struct router *r);
const struct listener_state *router_first_listener(const struct router *r);
