// The exchange: one request and its answer, from the first byte to the log line, whatever versions of HTTP are spoken on its two
// sides (codec.h).
//
//     REQUEST -> ROUTE -> PICK -> CONNECT -> FORWARD -> ANSWER or TUNNEL -> END
//                   |       ^________ BACKOFF _|                             ^
//                   +------------> REPLY ------------------------------------+
//
// The codecs note what happened (exchange_on_*), the exchange then runs from the ready list: one function for each state, which
// says whether to go on or to wait. It runs to END exactly once, gives both streams back exactly once, and everything it owns is
// in its arena or in the pools of its worker.
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/stream.h"
#include "router/codec.h"
#include "router/h1.h"
#include "router/hcm_stats.h"
#include "router/pace.h"
#include "router/record.h"
#include "router/reset_reason.h"
#include "router/router_worker.h"

enum exchange_state {
#define EXCHANGE_STATE(name, help, next) EXCHANGE_##name,
#include "router/exchange.def"
	EXCHANGE_N_STATES,
};

// How the client's side ended before the exchange did.
enum downstream_end {
	DOWNSTREAM_GONE = 1,  // reset or closed by the client or the network
	DOWNSTREAM_CUT,       // by us: drained, aborted
	DOWNSTREAM_FAILED,    // by us: the rest of the answer cannot be had
	DOWNSTREAM_BROKEN,    // the request's body is not HTTP, or does not come to its end
	DOWNSTREAM_STALLED,   // no progress for too long
	DOWNSTREAM_SLOW,      // less of a body than http_config.min_body_rate
	DOWNSTREAM_LATE,      // not all of the request in http_config.request_timeout_us
	DOWNSTREAM_RESET,     // the client reset this stream, not its connection
	DOWNSTREAM_VIOLATION, // the request breaks a rule, and its stream is gone already
};

// What the connection knows that carries the request. Borrowed for the exchange's life.
struct exchange_peer {
	struct ip_endpoint local;
	struct ip_endpoint remote;        // as a PROXY header says, if there is one
	struct ip_endpoint direct_remote; // the TCP peer
	struct bytes sni;
	const char *tls_version; // NULL: no TLS
	const char *tls_cipher;
	const struct tls_client *client; // NULL: it has shown no certificate
	uint64_t connection_id;
	struct hcm_stats *hcm;
	// The route table of the connection under the newest snapshot; NULL if there is none any more.
	const struct route_table *table;
	struct list announced; // connections to endpoints whose PROXY header names this one
};

// A piece of the request's body, kept so that it can be sent again.
struct body_chunk {
	struct body_chunk *next;
	uint32_t len;
	uint8_t bytes[ARENA_CHUNK_SIZE - 16];
};

#define EXCHANGE_MAX_TRIED 8

struct exchange {
	// set at creation
	struct router_worker *worker;
	struct ready ready;
	struct exchange_peer *peer;
	struct snapshot *snapshot; // pinned
	const struct route_table *table;
	struct arena arena;
	uint8_t *large_request;  // of the pool of large heads
	uint8_t *large_response; // likewise
	uint64_t start_us;
	uint64_t start_wall_us;

	// the state machine
	uint8_t state; // enum exchange_state; exchange_set_state() alone writes it
	bool has_request;
	bool has_response;      // x->response is final, or a reply of our own
	bool request_ended;     // every byte of it is received
	bool request_sent;      // and handed to the attempt
	bool response_started;  // a final head was handed to the client
	bool continue_relayed;  // a 100 was
	bool fresh_connection;  // the next attempt must not reuse one
	bool replayed;          // the one replay after a stale connection is used up
	bool avoids_h2;         // the endpoint's HTTP/2 takes no extended CONNECT
	bool client_keep_alive; // what the request asked for
	bool expects_continue;
	bool answer_has_body;
	bool answer_ended;      // the endpoint's response is handed over whole
	bool retry_abandoned;   // the body outgrew the retry buffer
	bool is_retry_reserved; // counted in the cluster's retries
	bool is_head;
	bool grpc;
	bool owes_body;       // the client: what it has sent of the request's body is used up
	bool owes_room;       // the client: bytes of the answer wait for it
	bool pace_is_of_room; // which of the two 'pace' is of
	bool upgrade;         // asks for another protocol, and no answer but 101 has come
	bool is_upgrade_counted;
	uint8_t downstream_end; // enum downstream_end; 0: alive
	bool upstream_head;     // noted by the codec: x->response is parsed
	bool upstream_continue; // noted by the codec: a 100 came
	bool upstream_failed;   // noted by the codec or the pool: see 'reason'
	bool timed_out;         // noted by the timers
	bool try_timed_out;
	bool backoff_over;
	uint8_t reason; // enum reset_reason
	const struct h1_error *codec_error;
	const char *codec_details;

	// the client
	struct codec_stream *downstream;

	// the route
	const struct route_config *route;
	const struct weighted_cluster *choice;
	const struct cluster *cluster;
	uint64_t timeout_us; // effective
	struct timer timer;  // the route's timeout

	// the attempt
	struct endpoint *endpoint;
	struct codec_stream *upstream;
	struct list pending_node; // in the queue of an upstream_pool
	struct upstream_pool *pending_pool;
	struct timer try_timer; // the try's timeout, and the backoff
	const struct endpoint *tried[EXCHANGE_MAX_TRIED];
	uint32_t attempts;
	uint32_t retries;
	uint64_t progress_us; // the last time any body byte moved
	struct pace pace;     // of the client
	const char *transport_failure;

	// the request's body, while it may have to be sent again
	struct body_chunk *kept;
	struct body_chunk *kept_last;
	struct body_chunk *replay; // next to be sent to this attempt
	uint32_t replay_offset;
	uint32_t kept_bytes;

	// a reply of our own
	struct bytes reply_body;

	// for the record
	struct bytes original_path;
	struct response_flags flags;
	const char *details;
	uint64_t request_body_bytes;
	uint64_t response_body_bytes;
	uint64_t request_end_us;
	uint64_t upstream_start_us;
	uint64_t upstream_end_us;
	uint64_t response_start_us;
	uint64_t response_end_us;
	struct ip_endpoint upstream_local;
	struct ip_endpoint client; // the trusted one

	// Not cleared at creation: the parsers fill them.
	struct http_head request;
	struct http_head response;
};

// --- for the downstream codec

// Returns NULL if the pool is empty. Takes what '*arena' and 'large' hold. The request's head is then to be parsed into x->request,
// and exchange_start() or exchange_refuse() to be called.
struct exchange *exchange_new(struct router_worker *w, struct codec_stream *downstream,
	struct exchange_peer *peer, struct arena *arena, uint8_t *large, uint64_t start_us,
	uint64_t now_us);
void exchange_start(struct exchange *x);
// The head is not acceptable: the client is told by error->status, then the connection is done. NULL: we are out of memory.
void exchange_refuse(struct exchange *x, const struct h1_error *error);
// The head did not come in time.
void exchange_refuse_slow(struct exchange *x);
// The client's side is over; a response may be cut. The stream is still to be given back by the exchange.
void exchange_on_downstream_end(
	struct exchange *x, enum downstream_end how, const struct h1_error *error);

// Looks at the time: ends 'x' if its client stalls it. Returns when to look again.
uint64_t exchange_check_time(struct exchange *x, uint64_t now_us);

// The pool of exchanges is empty: the request that was answered 503 leaves a line all the same.
void exchange_log_refused(struct router_worker *w, const struct exchange_peer *peer,
	enum http_version version, uint64_t start_us, uint64_t now_us);

// --- for both codecs

// Body bytes came, or room.
void exchange_on_progress(struct exchange *x);

// --- for the upstream codec and the pool

// A final head, or a 101 that was asked for, was parsed into x->response.
void exchange_on_response(struct exchange *x);
// True if a 101 fits what an upgrade asked for (exchange_tunnel.c).
bool exchange_upgrade_is_answered(const struct http_head *response);
// The endpoint said 100 (Continue).
void exchange_on_continue(struct exchange *x);
// The attempt is over without a (whole) response. 'transport' may be NULL.
void exchange_on_upstream_end(struct exchange *x, enum reset_reason reason, const char *transport);
void exchange_on_connection(struct exchange *x, struct codec_stream *s);
void exchange_on_no_connection(struct exchange *x, enum reset_reason reason, const char *transport);
