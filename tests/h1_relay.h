// A proxy in one function, for tests and fuzzers of the HTTP/1.1 codec: reads the messages of one
// connection in portions of any size, and writes each as the gateway would pass it on. Nothing is
// guessed: what it writes is made by the encoders from the parsed form alone.
#pragma once

#include "router/h1.h"

#include <stdio.h>
#include <stdlib.h>

#define H1_RELAY_HEAD_SIZE 8192
#define H1_RELAY_OUT_SIZE  65536

struct h1_relay {
	// set by the caller
	enum h1_kind kind;           // H1_REQUEST or H1_RESPONSE
	struct bytes request_method; // of the requests that the responses answer
	struct h1_limits limits;
	// outcome
	uint8_t out[H1_RELAY_OUT_SIZE]; // messages passed on
	size_t out_len;
	unsigned n_messages;          // passed on
	const struct h1_error *error; // why the rest was refused; NULL: it was not
	bool tunnel;                  // CONNECT, or a body that ends with the connection
	bool unfinished;              // the bytes end inside a message
	// under way
	enum { RELAY_HEAD, RELAY_LENGTH, RELAY_CHUNKED, RELAY_TRAILERS } at;
	struct h1_scan scan;
	struct h1_chunked chunked;
	struct http_head head;
	struct http_fields trailers;
	uint8_t head_bytes[H1_RELAY_HEAD_SIZE], trailer_bytes[H1_RELAY_HEAD_SIZE];
	size_t head_len, trailer_len;
	uint8_t body[H1_RELAY_OUT_SIZE];
	size_t body_len;
	uint64_t length_left;
};

static inline void h1_relay_init(struct h1_relay *r, enum h1_kind kind)
{
	r->kind = kind;
	r->request_method = BYTES("GET");
	r->limits = (struct h1_limits){.max_head_bytes = 4096, .max_fields = 20};
	r->out_len = r->n_messages = 0;
	r->error = NULL;
	r->tunnel = r->unfinished = false;
	r->at = RELAY_HEAD;
	r->head_len = r->trailer_len = r->body_len = 0;
	h1_scan_init(&r->scan, kind);
}

static inline void h1_relay_write(struct h1_relay *r, const void *p, size_t len)
{
	if (r->out_len + len > sizeof(r->out))
		abort();
	memcpy(r->out + r->out_len, p, len);
	r->out_len += len;
}

// Passes on the message that is complete.
static inline void h1_relay_message(struct h1_relay *r)
{
	static uint8_t buf[2 * H1_RELAY_HEAD_SIZE];
	size_t n;

	http_remove_hop_by_hop(&r->head.fields, r->head.upgrade);
	n = r->kind == H1_REQUEST ? h1_encode_request(&r->head, buf, sizeof(buf))
				  : h1_encode_response(&r->head, buf, sizeof(buf));
	if (n == 0)
		abort();
	h1_relay_write(r, buf, n);
	if (r->head.chunked && r->at != RELAY_HEAD) {
		if (r->body_len > 0) {
			h1_relay_write(r, buf, h1_encode_chunk_head(r->body_len, buf));
			h1_relay_write(r, r->body, r->body_len);
			h1_relay_write(r, "\r\n", 2);
		}
		n = h1_encode_last_chunk(&r->trailers, buf, sizeof(buf));
		if (n == 0)
			abort();
		h1_relay_write(r, buf, n);
	} else {
		h1_relay_write(r, r->body, r->body_len);
	}
	r->n_messages++;
	r->at = RELAY_HEAD;
	r->head_len = r->trailer_len = r->body_len = 0;
	h1_scan_init(&r->scan, r->kind);
}

static inline void h1_relay_head(struct h1_relay *r)
{
	enum h1_body body;

	r->error = r->kind == H1_REQUEST
		? h1_parse_request(r->head_bytes, r->head_len, &r->limits, &r->head)
		: h1_parse_response(r->head_bytes, r->head_len, &r->limits, &r->head);
	if (r->error != NULL)
		return;
	body = r->kind == H1_REQUEST ? h1_request_body(&r->head)
				     : h1_response_body(&r->head, r->request_method);
	switch (body) {
	case H1_BODY_CLOSE: r->tunnel = true; break;
	case H1_BODY_NONE:
		r->tunnel = bytes_equal(r->head.method, BYTES("CONNECT")) || r->head.status == 101;
		break;
	case H1_BODY_LENGTH:
		r->at = RELAY_LENGTH;
		r->length_left = (uint64_t)r->head.content_length;
		return;
	case H1_BODY_CHUNKED:
		r->at = RELAY_CHUNKED;
		h1_chunked_init(&r->chunked);
		return;
	}
	h1_relay_message(r);
}

static inline void h1_relay_body(struct h1_relay *r, struct bytes data)
{
	if (r->body_len + data.len > sizeof(r->body))
		abort();
	memcpy(r->body + r->body_len, data.ptr, data.len);
	r->body_len += data.len;
}

// Reads a head or a trailer section; returns true when it is complete.
static inline bool h1_relay_scan(struct h1_relay *r, struct bytes *b, uint8_t *to, size_t *len)
{
	size_t used;
	enum h1_result result = h1_scan(&r->scan, *b, &r->limits, &used);

	if (*len + used > H1_RELAY_HEAD_SIZE)
		abort();
	memcpy(to + *len, b->ptr, used);
	*len += used;
	*b = bytes_skip(*b, used);
	r->error = result == H1_ERROR ? r->scan.error : NULL;
	return result == H1_DONE;
}

// The next portion of the connection; not longer than H1_RELAY_OUT_SIZE all in all.
static inline void h1_relay_read(struct h1_relay *r, struct bytes b)
{
	while (b.len > 0 && r->error == NULL && !r->tunnel) {
		struct bytes data;
		size_t used;

		switch (r->at) {
		case RELAY_HEAD:
			if (h1_relay_scan(r, &b, r->head_bytes, &r->head_len))
				h1_relay_head(r);
			break;
		case RELAY_LENGTH:
			used = b.len < r->length_left ? b.len : (size_t)r->length_left;
			h1_relay_body(r, bytes_of(b.ptr, used));
			b = bytes_skip(b, used);
			r->length_left -= used;
			if (r->length_left == 0)
				h1_relay_message(r);
			break;
		case RELAY_CHUNKED:
			switch (h1_chunked_read(&r->chunked, b, &used, &data)) {
			case H1_DONE:
				r->at = RELAY_TRAILERS;
				h1_scan_init(&r->scan, H1_TRAILERS);
				break;
			case H1_MORE: break;
			case H1_ERROR: r->error = r->chunked.error; break;
			}
			h1_relay_body(r, data);
			b = bytes_skip(b, used);
			break;
		case RELAY_TRAILERS:
			if (!h1_relay_scan(r, &b, r->trailer_bytes, &r->trailer_len))
				break;
			r->error = h1_parse_trailers(
				r->trailer_bytes, r->trailer_len, &r->limits, &r->trailers);
			if (r->error == NULL)
				h1_relay_message(r);
			break;
		}
	}
	r->unfinished = r->error == NULL && !r->tunnel && (r->at != RELAY_HEAD || r->head_len > 0);
}
