// What the gateway changes in the fields of messages that pass (reference 8.3 to 8.5, 2.5). New values live in the arena
// of the exchange; those of the configuration live as long as its snapshot.
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/ip_addr.h"
#include "router/config.h"
#include "router/http.h"

enum edge_verdict {
	EDGE_OK,
	EDGE_BAD_CONNECTION, // a nomination in Connection that Envoy refuses: 400
	EDGE_BAD_TE,         // likewise
	EDGE_UNDERSCORE,     // in a field name, where that is not allowed: 400
	EDGE_NO_MEMORY,
};

// What is known of the client and its connection.
struct edge_context {
	const struct http_config *http;
	struct ip_endpoint remote;
	struct ip_endpoint local;
	bool tls;
	const struct tls_client
		*certificate; // NULL: the client has shown none; else it outlives the request
	uint64_t random[2];   // for the request's id
	// results
	struct ip_endpoint
		client; // the trusted one; port 0 if it is known from x-forwarded-for only
};

// Makes of a received request what goes on: hop-by-hop fields removed, the client's claims about itself replaced by ours.
// The scheme is what the connection is, or what a trusted proxy says of it, whatever the request's target claims.
enum edge_verdict header_edge_request(
	struct http_head *request, struct edge_context *c, struct arena *a);

// Makes of an endpoint's response what goes on. 'service_time_ms' < 0: not to be told.
enum edge_verdict header_edge_response(struct http_head *response, const struct http_config *http,
	struct bytes date, int64_t service_time_ms, struct arena *a);

// remove, set, add. In a request, "host" and ":authority" set the authority. Returns false if there is no room.
bool header_apply_ops(struct http_head *head, const struct header_ops *ops);

// Sets a field to a decimal number.
bool header_set_number(struct http_fields *f, struct bytes name, uint64_t number, struct arena *a);

// Decimal digits of 'number' in the arena; len 0 without memory.
struct bytes header_number(uint64_t number, struct arena *a);
