// Connections of clients: accepted from a listener, through TLS where the listener says so, then
// HTTP/1.1 (h1_server.c) or HTTP/2 (h2_server.c). Private to router/.
//
// A connection outlives configurations. It remembers the name of its route table and finds the
// table again under each new snapshot, so that every request is answered by the configuration that
// is in force when its head arrives.
#pragma once

#include "router/exchange.h"
#include "router/h1_message.h"
#include "router/stream_owner.h"

// A listening socket of one worker; found again by name and address when the configuration changes.
struct listener {
	struct list node;
	struct router_worker *worker;
	struct listener_state *state;
	struct ip_endpoint local;
	struct tcp_listener *tcp;
	const struct listener_view *view; // of the worker's snapshot; NULL: not in it
	uint32_t n_connections;
};

struct downstream {
	struct codec_stream stream; // of the exchange under way
	struct router_worker *worker;
	struct stream *io;
	struct listener *listener;
	struct list node; // in 'downstreams' of the worker
	bool over_tls;
	struct downstream_group *group;
	struct list idle_node; // in 'fresh' or 'idle' of the group, unless a request is under way
	bool has_asked;        // a request was received, ever
	struct timer timer;
	struct ready ready;
	struct exchange_peer peer;
	bool awaits_proxy;          // a PROXY header comes first
	bool counted;               // among those of its address
	const char *table_name;     // of registry.h; NULL: still in the TLS handshake, or before it
	struct snapshot *handshake; // pinned while the handshake lasts
	const struct listener_view *handshake_view;
	uint64_t generation; // of the snapshot that peer.table is of
	uint64_t idle_since_us;
	uint64_t head_start_us; // first byte of the head that is being read; 0: none
	bool io_closed;
	bool refused;       // answered without an exchange; nothing more is read
	struct arena arena; // of the next exchange
	struct h1_reader reader;
	struct h1_writer writer;
	// HTTP/2
	bool sniffing;         // the first bytes are to tell the version
	struct h2_session *h2; // NULL: HTTP/1
	uint8_t goaway;        // what h2_server.c has said of it
	uint64_t goaway_us;
};

extern const struct codec_ops h1_server_ops;

// Arguments: the struct listener.
tcp_accept_fn downstream_accept;

// False if 's' is not that of a client's connection.
bool downstream_owns(const struct stream *s, struct router_stream_owner *out);

// Ends the connection; no exchange uses it.
void downstream_end(struct downstream *c, bool abort, uint64_t now_us);
// A request is under way.
bool downstream_is_busy(const struct downstream *c);
// Finds the route table under the worker's snapshot.
void downstream_bind_table(struct downstream *c);

// A request is under way; none is any more. Both may be said again.
void downstream_note_busy(struct downstream *c);
void downstream_note_idle(struct downstream *c);
// 'timeout_us' 0: never.
static inline uint64_t downstream_deadline(uint64_t since_us, uint64_t timeout_us)
{
	return timeout_us > 0 ? since_us + timeout_us : UINT64_MAX;
}

// When the timer of a connection has to look at it, at the latest; UINT64_MAX: never.
uint64_t downstream_look_at(const struct http_config *http, uint64_t now_us);
// The same of one that speaks HTTP/1, with what it is at.
uint64_t downstream_next_check(const struct downstream *c, uint64_t now_us);

// Prepares 'c' for its first or next request.
void h1_server_start(struct downstream *c, uint64_t now_us);
// Looks for a request in what has arrived. No exchange uses 'c'. 'c' may be gone afterwards.
void h1_server_read(struct downstream *c, uint64_t now_us);
// WRITABLE or READABLE while an exchange uses 'c'.
void h1_server_on_event(struct downstream *c, unsigned events);
// A head has begun and does not come to its end.
void h1_server_head_timeout(struct downstream *c, uint64_t now_us);
