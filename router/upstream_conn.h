// A connection to an endpoint, private to upstream.c (its life) and h1_client.c (what is said on it).
#pragma once

#include "router/h1_message.h"
#include "router/upstream.h"

enum upstream_conn_state {
	UPSTREAM_CONN_CONNECTING,
	UPSTREAM_CONN_IDLE,
	UPSTREAM_CONN_BUSY,
};

struct upstream_pool {
	struct endpoint *endpoint;
	struct list idle; // last used first
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
	struct list node;        // in 'idle' or 'connecting' of the pool
	struct list worker_node; // in upstream_list of the worker
	struct timer timer;      // connect or idle timeout
	uint8_t state;           // enum upstream_conn_state
	bool io_closed;          // the stream reported its end
	bool head_read;          // the final response head was read
	bool keep_alive;         // after that response
	uint32_t n_requests;
	uint64_t opened_us;
	uint64_t connected_us;
	struct h1_reader reader;
	struct h1_writer writer;
};

extern const struct codec_ops h1_client_ops;

// Prepares 'c' for one request and its response.
void h1_client_start(struct upstream_conn *c);
// READABLE, WRITABLE or CLOSED while an exchange uses 'c'.
void h1_client_on_event(struct upstream_conn *c, unsigned events, uint64_t now_us);

// The exchange has let go of 'c': into the pool, to the next in the queue, or closed.
void upstream_conn_free_up(struct upstream_conn *c, bool reusable, uint64_t now_us);
