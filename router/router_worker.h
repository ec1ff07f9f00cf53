// What the router has on one worker: pools, timers, the snapshot in use, and the list of things that are ready to go on.
// Private to router/. One thread.
//
// Nothing in the router calls back into what called it. Events of streams and timers only note what happened and put
// the object on the ready list; the entry point (router_worker_enter/leave around every callback) then runs the list until
// it is empty. So no function has to fear that what it holds is freed under it, and no chain of pipelined
// requests becomes a recursion.
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"
#include "dataplane/stream.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/timer.h"
#include "router/address_count.h"
#include "router/http_rules.h"
#include "router/log_ring.h"
#include "router/request_metrics.h"
#include "router/router_stats.h"
#include "router/snapshot.h"
#include "tls/tls.h"

struct ready;
typedef void ready_fn(struct ready *r, uint64_t now_us);

// Something that can be on the ready list.
struct ready {
	struct list node;
	ready_fn *fn;
};

// How a router worker reaches the outside: TCP and the wall clock of its worker, or what a test puts there.
struct router_seams {
	struct stream *(*connect)(void *arg, const struct tcp_connect_options *options,
		enum stream_error *error, uint64_t now_us);
	struct tcp_listener *(*listen)(void *arg, const struct tcp_listen_options *options);
	void (*stop_listening)(struct tcp_listener *l);
	void (*unlisten)(void *arg, struct tcp_listener **lp);
	uint64_t (*wall_us)(void *arg, uint64_t now_us);
	void *arg;
	struct timer_wheel *timers;
};

// Where the results go; owned by the router, read by mgmt.
struct router_outputs {
	struct router_stats *stats;
	struct http_rule_counts *rules;
	struct tls_stats *tls_stats;
	struct request_metrics *metrics; // NULL: not recorded
	struct log_ring *log;            // NULL: no log
};

// Numbers of objects in the pools.
struct router_capacity {
	uint32_t connections;
	uint32_t exchanges;
	uint32_t upstream_connections;
	uint32_t chunks;      // of ARENA_CHUNK_SIZE: heads, retry buffers
	uint32_t large_heads; // of LARGE_HEAD_SIZE
	uint32_t trailers;
	uint32_t tls_connections;       // 0: no TLS
	uint32_t tls_http2_connections; // of these, if all are HTTP/2
	size_t arena_bytes; // of what OpenSSL and nghttp2 allocate from (tls_alloc.c); 0: any
};

// What OpenSSL holds for an idle TLS 1.3 connection, with its share of tickets and contexts.
#define TLS_IDLE_BYTES 16384u
// What nghttp2 holds for a connection without streams: 27 KB, and tables of fields.
#define H2_IDLE_BYTES  32768u

// Heads that do not fit an arena chunk; more than Envoy's limit of 60 KiB.
#define LARGE_HEAD_SIZE 65536u

// What the codecs encode into before they hand it to a stream: any head, with what the gateway adds.
#define SCRATCH_SIZE (2 * LARGE_HEAD_SIZE)

// Clients' connections of a kind: what runs out for one of them is not what another holds.
struct downstream_group {
	struct list fresh; // those without a request so far, oldest first
	struct list idle;  // those between requests, idle longest first
	uint32_t n;        // in all
	uint32_t n_fresh;
};

struct router_worker {
	// set at start
	unsigned index;
	struct router_seams seams;
	struct router_outputs out;
	struct router_stats *stats;
	struct timer_wheel *timers;
	struct tls_worker *tls;
	uint8_t *scratch;
	struct pool connections;
	struct pool exchanges;
	struct pool upstreams;
	struct pool chunks;
	struct pool large_heads;
	struct pool trailers;
	struct pool listener_pool;
	struct pool h2_sessions;
	struct pool h2_streams;
	struct address_counts addresses; // of clients, where there is a limit for each
	struct h2_worker *h2;
	// at publish
	struct snapshot *snapshot; // NULL: none yet
	struct list listeners;     // struct listener (downstream.h)
	bool draining;
	uint64_t goaway_us; // between the two GOAWAYs of a connection that is to end
	bool stopping;
	// per event
	struct list ready;
	bool entered;
	struct list downstreams; // every open connection
	struct downstream_group light;
	struct downstream_group heavy; // over TLS, or HTTP/2: those with a part of the arena
	uint32_t n_over_tls;
	uint32_t n_over_h2;
	size_t idle_bytes; // of the arena, for idle connections; 0: any
	uint32_t n_downstreams;
	// The next in 'downstreams' for router_worker_sweep(); NULL: all have been looked at.
	struct list *sweep;
	uint64_t sweep_spread_us; // over which idle ones are closed because of the drain
	bool sweep_drains;
	struct list upstream_list;
	struct list idle_upstreams; // those that no request is on, idle longest first
	uint64_t next_connection_id;
	uint64_t random[2];
	uint64_t date_s;
	char date[32]; // of the second 'date_s', "Sun, 06 Nov 1994 08:49:37 GMT"
};

// Returns NULL and errno. 'seams' and 'outputs' are copied.
struct router_worker *router_worker_new(unsigned index, const struct router_seams *seams,
	const struct router_outputs *outputs, const struct router_capacity *capacity);

// Cuts everything and frees. Streams given back earlier belong to TCP and are not touched.
void router_worker_free(struct router_worker **wp, uint64_t now_us);

// The capacity that fits into 'bytes' of one worker.
void router_capacity_of(uint64_t bytes, struct router_capacity *out);

// Opens what 'next' listens on and 'w' does not yet. Returns 0, or a negative errno and the listener that could not be opened;
// then nothing has changed.
int router_worker_prepare(struct router_worker *w, const struct snapshot *next,
	const struct listener_config **failed);
// Undoes a prepare whose snapshot is not adopted.
void router_worker_cancel(struct router_worker *w);
// Makes 'next' what new requests see.
void router_worker_adopt(struct router_worker *w, struct snapshot *next, uint64_t now_us);
void router_worker_drain(struct router_worker *w, uint64_t timeout_us, uint64_t now_us);
// Connections that end at one call, so that packets do not wait for those of a hundred thousand.
#define SWEEP_ENDS 16u
// Goes on with what these two began: to be called in each turn. Returns false when all connections have been looked at.
bool router_worker_sweep(struct router_worker *w, uint64_t now_us);
// The connection whose node of 'downstreams' this is ends.
void router_worker_forget(struct router_worker *w, const struct list *node);
// No new connections, but handshakes under way may still become some.
void router_worker_stop_listening(struct router_worker *w);
// Returns how many requests were cut.
uint64_t router_worker_abort_all(struct router_worker *w, uint64_t now_us);

static inline void ready_init(struct ready *r, ready_fn *fn)
{
	list_init(&r->node);
	r->fn = fn;
}

static inline void ready_add(struct router_worker *w, struct ready *r)
{
	if (list_is_empty(&r->node))
		list_push(&w->ready, &r->node);
}

// A client's message was refused for breaking rule 'e'.
static inline void router_count_rule(struct router_worker *w, const struct h1_error *e)
{
	stat_inc(&w->out.rules->clients[e->index]);
}

// Likewise an endpoint's.
static inline void router_count_endpoint_rule(struct router_worker *w, const struct h1_error *e)
{
	stat_inc(&w->out.rules->endpoints[e->index]);
}

// Around every event that comes from outside.
void router_worker_leave(struct router_worker *w, uint64_t now_us);

// xoroshiro128+ (Blackman, Vigna), seeded from the kernel at start; for load balancing, jitter and request ids.
uint64_t router_random(struct router_worker *w);

// The Date field's value for now; valid until the next call in another second.
struct bytes router_date(struct router_worker *w, uint64_t now_us);
