// Reading and writing HTTP/1.1 messages on a stream: what h1_server and h1_client share. A reader takes a head, a body and
// trailers off a stream in whatever portions they come; a writer puts them on one in whatever portions there is
// room for. Neither keeps body bytes: they stay in the stream until the owner consumes them.
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/stream.h"
#include "router/h1.h"
#include "router/router_worker.h"

struct h1_reader {
	struct h1_scan scan;
	struct h1_chunked chunked;
	// a head or trailer section that came in portions
	uint8_t *partial;
	uint32_t partial_len;
	uint32_t partial_cap;
	bool large;      // 'partial' is of the pool of large heads
	bool took_large; // so is the last head that was returned; the caller gives it back
	// the body
	uint8_t kind; // enum h1_body
	bool in_trailers;
	bool ended;
	uint64_t left;        // of a body with a length
	uint32_t chunks_left; // in this turn
	size_t run;           // decoded bytes at the front of the stream, not consumed
	size_t tail;          // framing behind them, to be consumed with their last byte
	struct http_fields *trailers;
	const struct h1_error *error; // set with H1_ERROR; NULL: out of memory
	uint64_t wire;                // bytes taken off the stream for this message
};

// The stream has an event: chunks may be read again. Small ones cost more than their bytes, so that one connection would have the
// worker to itself; what is left is asked for by READABLE. Once the stream is closed ('last') all is read.
void h1_reader_turn(struct h1_reader *r, bool last);

// Starts with the next message.
void h1_reader_start(struct h1_reader *r, enum h1_kind kind);
// Gives back what is half read.
void h1_reader_drop(struct h1_reader *r, struct router_worker *w);

// Reads the head. H1_DONE: '*head' is the whole of it in memory of 'a' (or a large head, see took_large), consumed. H1_ERROR:
// see r->error.
enum h1_result h1_reader_head(struct h1_reader *r, struct stream *s, struct router_worker *w,
	struct arena *a, const struct h1_limits *limits, uint8_t **head, size_t *len);

void h1_reader_start_body(struct h1_reader *r, enum h1_body kind, int64_t content_length);

enum h1_read {
	H1_READ_WAIT,
	H1_READ_DATA,
	H1_READ_END,
	H1_READ_ERROR,     // see r->error
	H1_READ_TRUNCATED, // the stream ended before the message did
};

enum h1_read h1_reader_peek_body(struct h1_reader *r, struct stream *s, struct router_worker *w,
	struct arena *a, const struct h1_limits *limits, struct bytes *data);
void h1_reader_consume_body(struct h1_reader *r, struct stream *s, size_t n);

struct h1_writer {
	const struct http_head *head; // not sent yet in full
	const struct http_fields *trailers;
	uint32_t sent; // bytes of the head or of the end that have left
	bool request;
	bool chunked;
	bool end_after_head;
	bool ending; // the last chunk is to be sent
	bool ended;  // all was handed to the stream
	bool failed; // there is no way to say it in HTTP/1.1: nothing of it leaves, nor of what follows
	uint64_t wire;
};

void h1_writer_start(struct h1_writer *w, bool request);
// Hands over as much as the stream takes; asks for WRITABLE if something is left.
void h1_writer_head(struct h1_writer *w, struct stream *s, struct router_worker *worker,
	const struct http_head *head, bool end);
size_t h1_writer_body(struct h1_writer *w, struct stream *s, struct bytes b);
void h1_writer_end(struct h1_writer *w, struct stream *s, struct router_worker *worker,
	const struct http_fields *trailers);
// Goes on after WRITABLE. Returns true if nothing is left.
bool h1_writer_flush(struct h1_writer *w, struct stream *s, struct router_worker *worker);

static inline bool h1_writer_is_pending(const struct h1_writer *w)
{
	return w->head != NULL || w->ending;
}
