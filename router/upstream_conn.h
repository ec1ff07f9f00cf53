// A connection to an endpoint: its life (upstream_conn.c), the pool that it is of (upstream.c), and what is said on it (h1_client.c,
// h2_client.c).
#pragma once

#include "router/h1_message.h"
#include "router/upstream.h"

struct h2_session;

enum upstream_conn_state {
	UPSTREAM_CONN_CONNECTING,
	UPSTREAM_CONN_IDLE,
	UPSTREAM_CONN_BUSY,
};

// Each endpoint has two on a worker: an element for HTTP/1 and, behind it, one for HTTP/2.
enum upstream_version {
	UPSTREAM_HTTP_1,
	UPSTREAM_HTTP_2,
	UPSTREAM_N_VERSIONS,
};

struct upstream_pool {
	struct endpoint *endpoint;
	bool is_h2;
	struct list idle; // last used first
	struct list busy; // HTTP/2 only: with requests; they may take more
	struct list connecting;
	struct list pending; // exchanges
	uint32_t n_connections;
	uint32_t n_connecting;
	uint32_t n_pending;
};

struct upstream_conn {
	struct codec_stream stream; // the attempt's
	struct router_worker *worker;
	struct stream *io;
	struct upstream_pool *pool;
	struct list node;        // in 'idle', 'busy' or 'connecting' of the pool
	struct list worker_node; // in upstream_list of the worker
	struct list idle_node;   // in idle_upstreams of the worker, while in 'idle' of the pool
	struct timer timer;      // connect or idle timeout
	uint8_t state;           // enum upstream_conn_state
	bool io_closed;          // the stream reported its end
	bool head_read;          // the final response head was read
	bool keep_alive;         // after that response
	bool upgrade_asked;      // the request asked for another protocol
	uint32_t n_requests;
	uint64_t opened_us;
	uint64_t connected_us;
	struct h1_reader reader;
	struct h1_writer writer;
	struct h2_session *h2;    // NULL: HTTP/1, or still connecting
	bool retiring;            // HTTP/2: takes no more requests, ends with the last one
	uint32_t n_active;        // streams that an exchange uses
	uint32_t max_active;      // as the cluster is configured
	uint64_t idle_timeout_us; // likewise; 0: none
	uint64_t ping_interval_us;
	uint64_t ping_timeout_us;
	uint8_t proxy_version;        // of the PROXY header it begins with; 0: none
	struct exchange_peer *client; // whom that header names; nobody else's requests may follow
	struct list client_node;      // in 'announced' of that client
};

// --- the life of one (upstream_conn.c)

// A connection in the making; a slot among the cluster's connections is taken for it. NULL: the pool is empty.
struct upstream_conn *upstream_conn_new(struct router_worker *w, struct upstream_pool *p,
	const struct cluster_config *config, uint64_t now_us);
// Returns false if it came to nothing at once: 'c' is gone, and those that waited have been told.
bool upstream_conn_connect(
	struct upstream_conn *c, const struct cluster_config *config, uint64_t now_us);
// The PROXY header, if there is to be one and it has not left yet. Returns false if there is no room for it.
bool upstream_conn_announce(struct upstream_conn *c, struct exchange_peer *client);
// Ends 'c'. The stream is closed in order if nothing is cut thereby, else aborted.
void upstream_conn_end(struct upstream_conn *c, bool abort, bool active, uint64_t now_us);

// --- what waits for them (upstream.c)

// Opens connections until each waiting attempt has one in the making, as far as maxConnections allows; a pool without
// any may always open one. Returns false if our own memory is what stops it and nothing is on the way.
bool upstream_pool_connect(struct router_worker *w, struct upstream_pool *p, uint64_t now_us);
// No connection can be had: all that wait are told.
void upstream_pool_fail_pending(struct router_worker *w, struct upstream_pool *p,
	enum reset_reason reason, const char *transport);
// 'c' has room: the queue first, then the pool. 'c' may be gone afterwards.
void upstream_conn_offer(struct upstream_conn *c, uint64_t now_us);
// Requests at the same time on an HTTP/2 connection.
uint32_t upstream_max_streams(const struct cluster_config *config);

extern const struct codec_ops h1_client_ops;

// Prepares 'c' for one request and its response.
void h1_client_start(struct upstream_conn *c);
// READABLE, WRITABLE or CLOSED while an exchange uses 'c'.
void h1_client_on_event(struct upstream_conn *c, unsigned events, uint64_t now_us);

extern const struct codec_ops h2_client_ops;

// Begins HTTP/2 on 'c', which is connected. Returns false if there is no memory.
bool h2_client_start(struct upstream_conn *c, const struct http_config *http, uint64_t now_us);
// A stream for the attempt of 'x'; NULL: no memory.
struct codec_stream *h2_client_open(struct upstream_conn *c, struct exchange *x);
// The connection whose stream 's' is, of h2_client_ops.
struct upstream_conn *h2_client_conn(const struct codec_stream *s);
// False if no stream will be opened on it any more.
bool h2_client_is_usable(const struct upstream_conn *c);
// How many more streams the endpoint and the configuration allow now.
uint32_t h2_client_room(const struct upstream_conn *c);

// After the frames of an event: streams may have become free, or the connection is over.
void upstream_conn_on_turn(struct upstream_conn *c, uint64_t now_us);
// The exchange has let go of a stream of 'c'.
void upstream_stream_free_up(
	struct upstream_conn *c, const struct codec_stream *s, uint64_t now_us);

// The exchange has let go of 'c': into the pool, to the next in the queue, or closed.
void upstream_conn_free_up(struct upstream_conn *c, bool reusable, uint64_t now_us);
