// Connections to endpoints: per worker and endpoint a pool of idle ones (last used first out), those that are
// being opened, and the attempts that wait. The breakers of the cluster are counted here, exactly as Envoy does
// (reference 3.4): a slot is taken before the thing it stands for exists, and given back in one place.
//
//     exchange --> upstream_acquire() --> idle connection --> at once
//                                     +-> pending queue --> exchange_on_connection() / exchange_on_no_connection()
//
// Where a cluster is told by a PROXY header who its clients are, a connection is one client connection's and ends with it.
//
// A worker owns its pools; only the breakers' counts are shared.
#pragma once

#include "router/cluster.h"
#include "router/codec.h"
#include "router/reset_reason.h"
#include "router/stream_owner.h"

struct exchange;
struct exchange_peer;
struct router_worker;
struct snapshot;
struct stream;
struct upstream_pool;

// One pool pointer for each worker. mgmt thread.
struct upstream_pool **upstream_pools_new(struct endpoint *e, unsigned n_workers);
// Asserts that no connection and no waiting attempt is left.
void upstream_pools_free(struct upstream_pool ***pp, unsigned n_workers);

enum upstream_result {
	UPSTREAM_READY,    // '*out' is the stream
	UPSTREAM_WAITING,  // the exchange is told
	UPSTREAM_OVERFLOW, // a breaker refuses
	UPSTREAM_NO_MEMORY,
};

// A connection to 'e' for the attempt of 'x'. 'fresh': not one that was used before.
enum upstream_result upstream_acquire(struct router_worker *w, const struct cluster *c,
	struct endpoint *e, struct exchange *x, bool fresh, struct codec_stream **out,
	uint64_t now_us);

// 'x' does not wait any longer.
void upstream_cancel(struct router_worker *w, struct exchange *x);

// True if the stream's connection carried an earlier request.
bool upstream_is_reused(const struct codec_stream *s);
// False if not a byte of the request was given to the stream below, or none of them arrived.
bool upstream_may_have_arrived(const struct codec_stream *s);
// Our end of the connection.
struct ip_endpoint upstream_local(const struct codec_stream *s);

// The client's connection is over: connections to endpoints that a PROXY header gave to it alone end too.
void upstream_forget_client(struct exchange_peer *client, uint64_t now_us);

// Closes idle connections of endpoints that generation 'generation' does not name. 'previous' lists the endpoints.
void upstream_drain_removed(struct router_worker *w, const struct snapshot *previous,
	uint64_t generation, uint64_t now_us);

// Ends every connection of the worker; none is in use any more.
void upstream_close_all(struct router_worker *w, uint64_t now_us);

// False if 's' is not that of a connection to an endpoint.
bool upstream_owns(const struct stream *s, struct router_stream_owner *out);
