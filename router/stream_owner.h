// Whose a stream of TCP is, for those who look at connections from outside (router_stream_owner() of router.h).
#pragma once

#include <stdbool.h>

struct router_stream_owner {
	bool is_upstream; // to an endpoint; else from a client
	const char *name; // of the cluster or the listener; valid until the next publish or tick
	const char *protocol; // "http/1.1", "h2", or "" as long as that is not known
	bool tls;
};
