// A connection to an endpoint, private to upstream.c (its life), h1_client.c and h2_client.c (what
// is said on it).
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
};

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
