// TCP (RFC 9293) as a stream. See net.h for how the stack is driven; connections live in one net and
// never leave it.
#pragma once

#include "dataplane/base/ip_addr.h"
#include "dataplane/net/net.h"
#include "dataplane/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct tcp; // the TCP part of a net; tcp.c
struct tcp_listener;
struct tcp_cc_ops;

struct tcp_settings {
	uint32_t send_buffer_max;    // bytes a connection may have written and unacknowledged
	uint32_t receive_buffer_max; // the largest window it ever offers; it starts with 64 KiB
	uint32_t user_timeout_us;    // unacknowledged for this long: the connection is dead
	uint32_t time_wait_us;
	uint32_t fin_wait_2_us;      // for connections their owner has closed
	uint32_t linger_bytes;       // discarded after close() before a RST
	bool nagle;                  // off: owners batch by loop turn
	const struct tcp_cc_ops *cc; // tcp_cc.h; NULL: CUBIC
};

extern const struct tcp_settings tcp_default_settings;

struct tcp_keepalive {
	uint32_t time_s; // idle before the first probe; 0: keepalive off
	uint32_t interval_s;
	uint32_t probes;
};

// A connection arrived and its handshake is done. Return false to refuse (it is reset and counted); else
// call stream_set_owner() before returning. Bytes may already be readable; READABLE comes for them.
typedef bool tcp_accept_fn(void *arg, struct stream *s, uint64_t now_us);

struct tcp_listen_options {
	struct ip_endpoint local; // all-zero address: every address of the net
	uint32_t max_half_open;   // SYNs in handshake; beyond it they are answered with cookies
	struct tcp_keepalive keepalive;
	tcp_accept_fn *accept;
	void *arg;
};

// Returns a listener owned by the net until tcp_unlisten(), or NULL with errno EADDRINUSE or ENOMEM.
struct tcp_listener *tcp_listen(struct net *net, const struct tcp_listen_options *options);

// New SYNs are refused from now on; connections in handshake go on and are still offered to accept().
void tcp_stop_listening(struct tcp_listener *l);

// As tcp_stop_listening(), but connections in handshake are reset; accepted ones live on.
void tcp_unlisten(struct net *net, struct tcp_listener **lp);

struct tcp_connect_options {
	struct ip_endpoint remote;
	struct ip_addr local; // all zero: chosen by route
	struct tcp_keepalive keepalive;
	stream_event_fn *on_event; // CONNECTED, or CLOSED with the reason
	void *owner;
};

// Starts an active open. Returns the stream (owned by the caller from now on), or NULL with '*error' set
// to NO_PORT, NO_MEMORY or UNREACHABLE. How long it may take is the owner's timer to decide.
struct stream *tcp_connect(struct net *net, const struct tcp_connect_options *options,
	enum stream_error *error, uint64_t now_us);

// What keeps a connection from sending more. Columns: name, text, help.
#define TCP_WAITS(X)                                                                  \
	X(APPLICATION, "application", "all that was written is acknowledged")         \
	X(ACK, "ack", "all that was written is sent; not all is acknowledged")        \
	X(CONGESTION, "congestion-window", "what the network is believed to take")    \
	X(PEER_WINDOW, "peer-window", "what the peer says it takes")                  \
	X(BUFFERS, "buffers", "packet buffers: the owner could not write all it had") \
	X(HANDSHAKE, "handshake", "the connection is not open yet")

enum tcp_wait {
#define X(name, text, help) TCP_WAIT_##name,
	TCP_WAITS(X)
#undef X
		TCP_N_WAITS,
};

const char *tcp_wait_text(enum tcp_wait w);

// For 'pollgatectl connections' and the tests.
struct tcp_info {
	const struct stream *stream; // NULL: it has no owner; not to be kept
	struct ip_endpoint local;
	struct ip_endpoint remote;
	const char *state;
	enum tcp_wait waits_for;
	bool passive; // the peer opened it
	bool timestamps;
	bool sack;
	bool recovering; // from a loss
	const char *congestion_control;
	uint32_t srtt_us; // 0: no sample yet; so are the next two
	uint32_t rttvar_us;
	uint32_t min_rtt_us;
	uint32_t rto_us;
	uint32_t backoff;
	uint32_t cwnd;           // bytes
	uint32_t ssthresh;       // bytes; UINT32_MAX: none yet
	uint32_t send_queued;    // bytes written, not acknowledged
	uint32_t in_flight;      // of these, sent
	uint32_t lost;           // of these, believed lost
	uint32_t receive_queued; // bytes received, not consumed
	uint32_t reordered;      // bytes received before what precedes them
	uint32_t send_window;
	uint32_t receive_window;
	uint8_t send_scale;
	uint8_t receive_scale;
	uint32_t mbufs_held;
	uint32_t n_retransmits;
	uint16_t mss;
	uint16_t mtu;
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t created_us;
	uint64_t last_received_us; // a segment
	uint64_t last_sent_us;     // data; 0: none
};

typedef bool tcp_info_fn(void *arg, const struct tcp_info *info); // false stops

// Calls 'fn' for each connection. On the owning thread only.
void tcp_each(struct net *net, tcp_info_fn *fn, void *arg);

// The same a slice at a time, so that a stack with many can do other things in between: tcp_walk() calls 'fn' for at most 'n'
// more of those that there were at tcp_walk_begin() and still are, oldest first. Returns false when there are no more. One walk
// at a time.
void tcp_walk_begin(struct net *net);
bool tcp_walk(struct net *net, unsigned n, tcp_info_fn *fn, void *arg);

// What peers of our listeners still expect of us although no owner knows of it.
struct tcp_unowned {
	uint32_t n_half_open; // handshakes: a peer may take it for accepted already
	uint32_t n_unsent;    // closed by their owners, and what these wrote is not acknowledged
};

struct tcp_unowned tcp_count_unowned(struct net *net);

// Resets every connection. Before the end of the stack, so that no peer waits for what will not come.
void tcp_reset_all(struct net *net, uint64_t now_us);

// Connections that exist, TIME_WAIT not counted.
uint32_t tcp_n_connections(const struct net *net);
