// HTTP/1.1 on the wire, strictly (RFC 9112): pure functions from bytes to messages and back.
// Anything ambiguous is an error, never a guess: what is forwarded is rebuilt from the parsed form,
// so nothing that a second parser could read differently ever leaves the gateway.
//
// A head is read in two steps. h1_scan() looks at bytes as they arrive, in any portions, finds the
// end of the head, and refuses what can be refused early. When it says H1_DONE the caller has the
// whole head in one piece of writable memory, and h1_parse_request() or h1_parse_response() makes a
// http_head of it in place (names are lower-cased there). Bodies: by content-length the caller
// counts; chunked ones go through h1_chunked.
#pragma once

#include "dataplane/base/bytes.h"
#include "router/http.h"

#include <stdbool.h>
#include <stdint.h>

enum h1_result {
	H1_DONE,
	H1_MORE,
	H1_ERROR,
};

// Why a message was refused. Constant objects; compare by address. One row a rule, so that "why"
// has a counter and a text.
struct h1_error {
	const char *rule;    // "space_before_colon": name of the counter
	const char *text;    // "whitespace between field name and colon (RFC 9112, 5.1)"
	const char *details; // RESPONSE_CODE_DETAILS: "http1.codec_error"
	uint16_t status;     // what a client is told: 400, 431, 501, 505, 426
	unsigned index;      // dense over both versions, see http_rules.h
};

// The table of errors is h1_error.def: H1_ERROR_ROW(NAME, "rule", status, "details", "text");
// H1_ERR_NAME is the object.
#define H1_ERROR_ROW(name, rule, status, details, text) extern const struct h1_error H1_ERR_##name;
#include "router/h1_error.def"

enum h1_error_index {
#define H1_ERROR_ROW(name, rule, status, details, text) H1_ERROR_INDEX_##name,
#include "router/h1_error.def"
	H1_N_ERRORS,
};

extern const struct h1_error *const h1_errors[H1_N_ERRORS];

struct h1_limits {
	uint32_t max_head_bytes;
	uint32_t max_fields;
	bool accept_http_10;
};

enum h1_kind {
	H1_REQUEST,
	H1_RESPONSE,
	H1_TRAILERS, // a field section alone, ended by an empty line
};

struct h1_scan {
	uint32_t len; // bytes scanned so far
	uint8_t state;
	uint8_t kind;
	uint16_t n_lines;
	const struct h1_error *error;
};

void h1_scan_init(struct h1_scan *s, enum h1_kind kind);

// Looks at the next portion. H1_DONE: '*used' bytes of 'b' belong to the head, its total length is
// s->len. H1_MORE: all of 'b' belongs to it. H1_ERROR: see s->error. At most one empty line before
// a request line is skipped (RFC 9112, 2.2); it counts into the length.
enum h1_result h1_scan(
	struct h1_scan *s, struct bytes b, const struct h1_limits *limits, size_t *used);

// 'head' is what h1_scan() delimited, 'len' its length. Fills '*out', whose bytes then point into
// 'head'. The request's 'scheme' is left empty for origin-form; absolute-form sets scheme,
// authority and path from the target. Host and Transfer-Encoding are not among the fields
// afterwards: they are 'authority' and 'chunked'. Connection is (see http_remove_hop_by_hop()).
// Content-Length is, in canonical form. Returns NULL, or the error; '*out' is then half filled,
// with valid pointers.
const struct h1_error *h1_parse_request(
	uint8_t *head, size_t len, const struct h1_limits *limits, struct http_head *out);

// As above. HTTP/1.0 answers are accepted whatever 'limits' say. An error's 'status' is for
// clients: here it means a 502.
const struct h1_error *h1_parse_response(
	uint8_t *head, size_t len, const struct h1_limits *limits, struct http_head *out);

// Refuses fields that must not be in trailers (RFC 9110, 6.5.1): framing, routing, authentication,
// content.
const struct h1_error *h1_parse_trailers(
	uint8_t *section, size_t len, const struct h1_limits *limits, struct http_fields *out);

// True for a field that must not be in trailers (RFC 9110, 6.5.1).
bool h1_is_trailer_refused(const struct http_field *f);

// How a message's body is delimited (RFC 9112, 6.3). A length of 0 is NONE.
enum h1_body {
	H1_BODY_NONE,
	H1_BODY_LENGTH, // head->content_length
	H1_BODY_CHUNKED,
	H1_BODY_CLOSE, // response only: until the connection ends
};

enum h1_body h1_request_body(const struct http_head *request);
enum h1_body h1_response_body(const struct http_head *response, struct bytes request_method);

// The chunked coding, resumable at any byte (RFC 9112, 7.1). Chunk extensions are parsed, bounded
// and dropped.
struct h1_chunked {
	uint64_t left; // of the chunk under way
	uint32_t line_len;
	uint8_t state;
	const struct h1_error *error;
};

void h1_chunked_init(struct h1_chunked *c);

// Reads from the front of 'b': '*used' bytes are done with, '*data' is the body part among them
// (may be empty; at most one run a call). H1_MORE: call again with what follows ('*used' may be
// less than b.len: then call at once). H1_DONE: the last chunk's size line is read; the trailer
// section follows and is scanned as H1_TRAILERS.
enum h1_result h1_chunked_read(
	struct h1_chunked *c, struct bytes b, size_t *used, struct bytes *data);

// Encoders write to 'to' and return the length, or 0 if 'cap' is too small or the head has a byte
// that HTTP/1.1 cannot carry where it stands (what came by HTTP/2 or from the configuration may).
// They write the fields given, less those that they make themselves: request line / status line,
// "host", "transfer-encoding: chunked" when head->chunked (and then no "content-length"),
// "connection" from keep_alive and upgrade. Without 'upgrade' an "upgrade" field is left out. An
// HTTP/1.0 head cannot be chunked; a request is always written as HTTP/1.1.
size_t h1_encode_request(const struct http_head *head, uint8_t *to, size_t cap);
size_t h1_encode_response(const struct http_head *head, uint8_t *to, size_t cap);

#define H1_CHUNK_HEAD_MAX 18
// "1a2b\r\n" for a chunk of 'size' bytes (the caller writes the bytes and then CRLF). Returns the
// length.
size_t h1_encode_chunk_head(uint64_t size, uint8_t to[H1_CHUNK_HEAD_MAX]);
// "0\r\n" trailers "\r\n"; 'trailers' may be NULL. Returns the length, or 0 if 'cap' is too small.
size_t h1_encode_last_chunk(const struct http_fields *trailers, uint8_t *to, size_t cap);
