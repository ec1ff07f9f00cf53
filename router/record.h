// What is known of an exchange when it ends: the input of the access log and of the request metrics. Plain data that
// borrows from the exchange for the duration of the call.
#pragma once

#include "router/cluster.h"
#include "router/http.h"
#include "tls/tls.h"

#include <stdbool.h>
#include <stdint.h>

// Envoy's response flags (reference 6.5). Columns: short name, long name.
#define RESPONSE_FLAGS(X)                        \
	X(UH, "NoHealthyUpstream")               \
	X(UF, "UpstreamConnectionFailure")       \
	X(UO, "UpstreamOverflow")                \
	X(NR, "NoRouteFound")                    \
	X(URX, "UpstreamRetryLimitExceeded")     \
	X(NC, "NoClusterFound")                  \
	X(DT, "DurationTimeout")                 \
	X(DC, "DownstreamConnectionTermination") \
	X(LR, "LocalReset")                      \
	X(UR, "UpstreamRemoteReset")             \
	X(UC, "UpstreamConnectionTermination")   \
	X(UT, "UpstreamRequestTimeout")          \
	X(DI, "DelayInjected")                   \
	X(FI, "FaultInjected")                   \
	X(RL, "RateLimited")                     \
	X(SI, "StreamIdleTimeout")               \
	X(IH, "InvalidEnvoyRequestHeaders")      \
	X(DPE, "DownstreamProtocolError")        \
	X(UPE, "UpstreamProtocolError")          \
	X(OM, "OverloadManagerTerminated")       \
	X(DR, "DownstreamRemoteReset")

enum response_flag {
#define X(name, text) RESPONSE_FLAG_##name,
	RESPONSE_FLAGS(X)
#undef X
		N_RESPONSE_FLAGS,
};

// Flags in the order in which they were set; each at most once.
struct response_flags {
	uint8_t at[6];
	uint8_t n;
};

void response_flags_add(struct response_flags *f, enum response_flag flag);
bool response_flags_has(const struct response_flags *f, enum response_flag flag);

// "URX,UF" or "-". Returns the length; 'to' is not NUL-terminated.
#define RESPONSE_FLAGS_TEXT_SIZE 40
size_t response_flags_print(const struct response_flags *f, char to[RESPONSE_FLAGS_TEXT_SIZE]);

const char *response_flag_long_name(enum response_flag flag);

struct exchange_record {
	// time points, worker clock; 0: did not happen
	uint64_t start_us;          // first byte of the request
	uint64_t request_end_us;    // last byte of the request received
	uint64_t upstream_start_us; // first byte sent to the endpoint that answered
	uint64_t upstream_end_us;   // last byte sent to it
	uint64_t response_start_us; // first byte of its answer
	uint64_t response_end_us;   // last byte of its answer
	uint64_t end_us;            // last byte sent to the client, or the end by whatever else
	uint64_t start_wall_us;     // microseconds since 1970
	// messages, as last mutated; NULL: never complete
	const struct http_head *request;
	const struct http_head *response;
	const struct http_fields *response_trailers;
	struct bytes original_path; // as received, before rewrite; len 0: the request's
	// outcome
	uint16_t status; // 0: none was sent
	struct response_flags flags;
	const char *details;            // RESPONSE_CODE_DETAILS; NULL: "-"
	const char *termination;        // CONNECTION_TERMINATION_DETAILS; NULL: "-"
	struct bytes transport_failure; // UPSTREAM_TRANSPORT_FAILURE_REASON; len 0: "-"
	uint64_t request_body_bytes;
	uint64_t response_body_bytes;
	uint64_t request_wire_bytes; // head, framing and body
	uint64_t response_wire_bytes;
	// upstream
	const struct cluster *cluster;     // NULL: none (404, redirect, NC)
	const struct endpoint *endpoint;   // the last one tried; NULL: none
	struct ip_endpoint upstream_local; // port 0: none
	uint32_t attempts;                 // 0: none, 1: no retry
	const struct endpoint_config
		*endpoint_config; // labels of 'endpoint' in this configuration; NULL: unknown
	// downstream
	struct ip_endpoint downstream_local;
	struct ip_endpoint downstream_remote; // the trusted client; port 0 if from x-forwarded-for
	struct ip_endpoint downstream_direct_remote;
	struct bytes sni;
	const char *tls_version; // NULL: no TLS
	const char *tls_cipher;
	const struct tls_client *client; // NULL: it has shown no certificate
	const char *route_name;          // "" if none
	enum http_version protocol;
	uint64_t connection_id;
	bool grpc;
	int grpc_status; // -1: none
};
