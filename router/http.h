// What an HTTP request and response are, for both versions: a head (control data and fields), a
// body of bytes, trailers. RFC 9110 words.
//
// The bytes that a head refers to live in the arena of its exchange (or, while parsing, in the
// caller's buffer); names are lower case.
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum http_version {
	HTTP_1_0,
	HTTP_1_1,
	HTTP_2,
};

// Fields that the gateway itself looks at, so that finding one is an array access. Columns: id,
// name.
#define HTTP_KNOWN_FIELDS(X)                                              \
	X(OTHER, "")                                                      \
	X(ACCEPT, "accept")                                               \
	X(CONNECTION, "connection")                                       \
	X(CONTENT_LENGTH, "content-length")                               \
	X(CONTENT_TYPE, "content-type")                                   \
	X(COOKIE, "cookie")                                               \
	X(DATE, "date")                                                   \
	X(EXPECT, "expect")                                               \
	X(GRPC_STATUS, "grpc-status")                                     \
	X(GRPC_TIMEOUT, "grpc-timeout")                                   \
	X(HOST, "host")                                                   \
	X(HTTP2_SETTINGS, "http2-settings")                               \
	X(KEEP_ALIVE, "keep-alive")                                       \
	X(LOCATION, "location")                                           \
	X(PROXY_CONNECTION, "proxy-connection")                           \
	X(REFERER, "referer")                                             \
	X(SERVER, "server")                                               \
	X(TE, "te")                                                       \
	X(TRAILER, "trailer")                                             \
	X(TRANSFER_ENCODING, "transfer-encoding")                         \
	X(UPGRADE, "upgrade")                                             \
	X(USER_AGENT, "user-agent")                                       \
	X(X_ENVOY_ATTEMPT_COUNT, "x-envoy-attempt-count")                 \
	X(X_ENVOY_EXTERNAL_ADDRESS, "x-envoy-external-address")           \
	X(X_ENVOY_ORIGINAL_PATH, "x-envoy-original-path")                 \
	X(X_ENVOY_OVERLOADED, "x-envoy-overloaded")                       \
	X(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time") \
	X(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert")             \
	X(X_FORWARDED_FOR, "x-forwarded-for")                             \
	X(X_FORWARDED_HOST, "x-forwarded-host")                           \
	X(X_FORWARDED_PROTO, "x-forwarded-proto")                         \
	X(X_REQUEST_ID, "x-request-id")

enum http_field_id {
#define X(id, name) HTTP_FIELD_##id,
	HTTP_KNOWN_FIELDS(X)
#undef X
		HTTP_N_FIELD_IDS,
};

struct http_field {
	struct bytes name; // lower case
	struct bytes value;
	uint8_t id; // enum http_field_id
};

#define HTTP_MAX_FIELDS 128 // room for 100 received ones (Envoy's limit) and what the gateway adds

struct http_fields {
	struct http_field at[HTTP_MAX_FIELDS];
	uint16_t n;
};

struct http_head {
	enum http_version version;
	// Request:
	struct bytes method;
	struct bytes scheme;    // "http" or "https"
	struct bytes authority; // Host or :authority, as received
	struct bytes path;      // with query, without fragment
	// Response:
	uint16_t status;
	// Both. 'host' is not among the fields of a request; it is 'authority'.
	struct http_fields fields;
	int64_t content_length; // -1: none
	bool chunked;           // HTTP/1.1 only
	bool keep_alive;        // HTTP/1: the connection may be used again after this message
	bool upgrade;           // has Connection: upgrade and an Upgrade field
};

// True if an answer with that status has no body, whatever its fields say (RFC 9110, 6.4.1).
static inline bool http_status_is_bodyless(unsigned status)
{
	return status < 200 || status == 204 || status == 304;
}

// Returns HTTP_FIELD_OTHER for a name nobody asks for. 'name' is lower case.
enum http_field_id http_field_id(struct bytes name);

// The first field with that id, or NULL.
const struct http_field *http_field_find(const struct http_fields *f, enum http_field_id id);

// The first field named 'name' (lower case), or NULL.
const struct http_field *http_field_find_name(const struct http_fields *f, struct bytes name);

// Appends; returns false when HTTP_MAX_FIELDS are there. Bytes are borrowed.
bool http_field_add(struct http_fields *f, struct bytes name, struct bytes value);

// Replaces the first field of that name and removes the others, or appends.
bool http_field_set(struct http_fields *f, struct bytes name, struct bytes value);

// Removes every field of that name; returns how many there were.
unsigned http_field_remove(struct http_fields *f, struct bytes name);
unsigned http_field_remove_id(struct http_fields *f, enum http_field_id id);

// Takes the next element of a comma-separated list off the front of '*list', without the whitespace
// around it; empty elements are skipped (RFC 9110, 5.6.1). Returns false when there is none.
bool http_list_next(struct bytes *list, struct bytes *element);

// Removes what concerns one connection only (RFC 9110, 7.6.1): the fields that Connection names,
// Connection itself, Keep-Alive, Proxy-Connection, Transfer-Encoding, HTTP2-Settings, and Upgrade
// unless 'keep_upgrade'. TE becomes "trailers" if it has that, else goes. Returns how many fields
// went.
unsigned http_remove_hop_by_hop(struct http_fields *f, bool keep_upgrade);

// Reason phrase of a status code for HTTP/1.1 ("OK"); "" for one that has none.
const char *http_reason(uint16_t status);
