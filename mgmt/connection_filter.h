// Which connections 'pollgatectl connections' shows. Pure.
//
// Every word is a condition, and all have to hold: a state, or an ADDRESS, ADDRESS:PORT or :PORT that either side may have, or
// one of the names below with "=" and a value; or it says how the answer looks (limit, skip, detail).
#pragma once

#include "dataplane/tcp/tcp.h"
#include "mgmt/admin_protocol.h"
#include "router/stream_owner.h"

#include <stdbool.h>
#include <stdint.h>

#define CONNECTIONS_SHOWN     500u
#define CONNECTIONS_SHOWN_MAX 5000u

struct connection_side {
	bool has_address;
	bool has_port;
	struct ip_addr address;
	uint16_t port;
};

enum connection_direction {
	CONNECTION_ANY,
	CONNECTION_DOWNSTREAM, // opened by the other side
	CONNECTION_UPSTREAM,
};

struct connection_filter {
	const char *state; // as it is spelt in tcp_state.def; NULL: any
	const char *name;  // a part of the listener's or cluster's; NULL: any
	const char *waits_for;
	enum connection_direction direction;
	struct connection_side either;
	struct connection_side local;
	struct connection_side remote;
	uint64_t min_queued; // bytes in either direction
	uint64_t min_memory; // bytes of packet buffers
	uint64_t idle_us;    // nothing received and no data sent for so long
	uint64_t limit;
	uint64_t skip;
	bool detail;
};

struct connection {
	struct tcp_info tcp;
	struct router_stream_owner owner; // name NULL: nobody's
};

// Understands the arguments of the command; they are borrowed. Returns false if 'a' was ended with the reason.
bool connection_filter_parse(
	struct connection_filter *f, const struct admin_words *words, struct admin_answer *a);

// 'now_us' is the workers' time, 'mbuf_bytes' what a packet buffer takes.
bool connection_filter_matches(const struct connection_filter *f, const struct connection *c,
	uint64_t mbuf_bytes, uint64_t now_us);

static inline bool connection_is_upstream(const struct connection *c)
{
	return c->owner.name != NULL ? c->owner.is_upstream : !c->tcp.passive;
}

// Since something was received, or data was sent.
uint64_t connection_idle_us(const struct connection *c, uint64_t now_us);
