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

// New SYNs are refused from now on; connections in handshake are reset; accepted ones live on.
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

// For 'pollgatectl connections' and the tests.
struct tcp_info {
	struct ip_endpoint local;
	struct ip_endpoint remote;
	const char *state;
	uint32_t srtt_us;
	uint32_t rto_us;
	uint32_t cwnd;           // bytes
	uint32_t ssthresh;       // bytes
	uint32_t send_queued;    // bytes written, not acknowledged
	uint32_t receive_queued; // bytes received, not consumed
	uint32_t send_window;
	uint32_t receive_window;
	uint32_t mbufs_held;
	uint32_t n_retransmits;
	uint16_t mss;
	uint64_t created_us;
};

typedef bool tcp_info_fn(void *arg, const struct tcp_info *info); // false stops

// Calls 'fn' for each connection. On the owning thread only.
void tcp_each(struct net *net, tcp_info_fn *fn, void *arg);

// Connections that exist, TIME_WAIT not counted.
uint32_t tcp_n_connections(const struct net *net);
