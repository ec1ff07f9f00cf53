#include "router/h1_message.h"

#include <assert.h>
#include <string.h>

// A chunk's size line and the CRLF behind its data.
#define CHUNK_OVERHEAD (H1_CHUNK_HEAD_MAX + 2)
// Room worth waiting for: less would make runs of tiny chunks.
#define ROOM_WANTED    4096u

void h1_reader_start(struct h1_reader *r, enum h1_kind kind)
{
	assert(r->partial == NULL && r->trailers == NULL);
	*r = (struct h1_reader){.chunks_left = r->chunks_left};
	h1_scan_init(&r->scan, kind);
}

static void free_partial(struct h1_reader *r, struct router_worker *w)
{
	if (r->partial != NULL)
		pool_put(r->large ? &w->large_heads : &w->chunks, r->partial);
	r->partial = NULL;
	r->partial_len = r->partial_cap = 0;
	r->large = false;
}

void h1_reader_drop(struct h1_reader *r, struct router_worker *w)
{
	free_partial(r, w);
	pool_put(&w->trailers, r->trailers);
	r->trailers = NULL;
}

// Appends to the portions kept so far. They start in a chunk of the arenas' pool and move to a large head when they outgrow it.
static bool keep(struct h1_reader *r, struct router_worker *w, struct bytes b)
{
	uint32_t needed = r->partial_len + (uint32_t)b.len;

	if (needed > r->partial_cap) {
		bool large = needed > ARENA_CHUNK_SIZE;
		uint8_t *to;

		if (needed > LARGE_HEAD_SIZE)
			return false;
		to = pool_get(large ? &w->large_heads : &w->chunks);
		if (to == NULL)
			return false;
		if (r->partial_len > 0)
			memcpy(to, r->partial, r->partial_len);
		if (r->partial != NULL)
			pool_put(&w->chunks, r->partial);
		r->partial = to;
		r->partial_cap = large ? LARGE_HEAD_SIZE : ARENA_CHUNK_SIZE;
		r->large = large;
	}
	memcpy(r->partial + r->partial_len, b.ptr, b.len);
	r->partial_len = needed;
	return true;
}

// The section is complete in 'partial': moves it to the arena, or hands the large head over.
static bool finish_partial(
	struct h1_reader *r, struct router_worker *w, struct arena *a, uint8_t **head, size_t *len)
{
	*len = r->partial_len;
	if (r->large) {
		*head = r->partial;
		r->took_large = true;
		r->partial = NULL;
		free_partial(r, w);
		return true;
	}
	if (r->partial_len > arena_max_alloc()) {
		// Between what an arena gives and a whole chunk of the pool.
		*head = pool_get(&w->large_heads);
		r->took_large = *head != NULL;
	} else {
		*head = arena_alloc(a, r->partial_len);
	}
	if (*head != NULL)
		memcpy(*head, r->partial, r->partial_len);
	free_partial(r, w);
	return *head != NULL;
}

enum h1_result h1_reader_head(struct h1_reader *r, struct stream *s, struct router_worker *w,
	struct arena *a, const struct h1_limits *limits, uint8_t **head, size_t *len)
{
	for (;;) {
		struct bytes b = stream_peek(s);
		size_t used = 0;
		enum h1_result result;

		if (b.len == 0)
			return H1_MORE;
		result = h1_scan(&r->scan, b, limits, &used);
		if (result == H1_ERROR) {
			r->error = r->scan.error;
			return H1_ERROR;
		}
		if (result == H1_MORE)
			used = b.len;
		// The usual case: the whole head in one piece, copied once.
		if (result == H1_DONE && r->partial == NULL && used <= arena_max_alloc()) {
			struct bytes copy;

			if (!arena_copy(a, (struct bytes){b.ptr, used}, &copy))
				return H1_ERROR;
			*head = (uint8_t *)(uintptr_t)copy.ptr;
			*len = used;
			stream_consume(s, used);
			r->wire += used;
			return H1_DONE;
		}
		if (!keep(r, w, (struct bytes){b.ptr, used}))
			return H1_ERROR;
		stream_consume(s, used);
		r->wire += used;
		if (result == H1_DONE)
			return finish_partial(r, w, a, head, len) ? H1_DONE : H1_ERROR;
	}
}

void h1_reader_start_body(struct h1_reader *r, enum h1_body kind, int64_t content_length)
{
	r->kind = (uint8_t)kind;
	r->left = kind == H1_BODY_LENGTH ? (uint64_t)content_length : 0;
	r->ended = kind == H1_BODY_NONE || (kind == H1_BODY_LENGTH && r->left == 0);
	if (kind == H1_BODY_CHUNKED)
		h1_chunked_init(&r->chunked);
}

static enum h1_read read_trailers(struct h1_reader *r, struct stream *s, struct router_worker *w,
	struct arena *a, const struct h1_limits *limits)
{
	uint8_t *section;
	size_t len;

	switch (h1_reader_head(r, s, w, a, limits, &section, &len)) {
	case H1_MORE: return stream_read_ended(s) ? H1_READ_TRUNCATED : H1_READ_WAIT;
	case H1_ERROR: return H1_READ_ERROR;
	case H1_DONE: break;
	}
	if (r->took_large) {
		// Trailers as large as that are not worth a place.
		pool_put(&w->large_heads, section);
		r->took_large = false;
		r->error = &H1_ERR_HEAD_TOO_LARGE;
		return H1_READ_ERROR;
	}
	r->trailers = pool_get(&w->trailers);
	if (r->trailers == NULL)
		return H1_READ_ERROR;
	r->error = h1_parse_trailers(section, len, limits, r->trailers);
	if (r->error != NULL)
		return H1_READ_ERROR;
	r->ended = true;
	return H1_READ_END;
}

#define CHUNKS_A_TURN 64u

void h1_reader_turn(struct h1_reader *r, bool last)
{
	r->chunks_left = last ? UINT32_MAX : CHUNKS_A_TURN;
}

static enum h1_read peek_chunked(struct h1_reader *r, struct stream *s, struct router_worker *w,
	struct arena *a, const struct h1_limits *limits, struct bytes *data)
{
	while (!r->in_trailers) {
		struct bytes b = stream_peek(s), run = {NULL, 0};
		size_t used = 0, before;
		enum h1_result result;

		if (b.len == 0)
			return stream_read_ended(s) ? H1_READ_TRUNCATED : H1_READ_WAIT;
		if (r->chunks_left == 0) {
			stream_want_read(s);
			return H1_READ_WAIT;
		}
		result = h1_chunked_read(&r->chunked, b, &used, &run);
		if (result == H1_ERROR) {
			r->error = r->chunked.error;
			return H1_READ_ERROR;
		}
		if (run.len > 0) {
			before = (size_t)(run.ptr - b.ptr);
			r->chunks_left--;
			r->run = run.len;
			r->tail = used - before - run.len;
			r->wire += before;
			stream_consume(s, before);
			*data = run;
			if (result == H1_DONE)
				r->in_trailers = true;
			break;
		}
		r->wire += used;
		stream_consume(s, used);
		if (result == H1_DONE)
			r->in_trailers = true;
	}
	if (r->run > 0)
		return H1_READ_DATA;
	if (r->scan.kind != H1_TRAILERS)
		h1_scan_init(&r->scan, H1_TRAILERS);
	return read_trailers(r, s, w, a, limits);
}

enum h1_read h1_reader_peek_body(struct h1_reader *r, struct stream *s, struct router_worker *w,
	struct arena *a, const struct h1_limits *limits, struct bytes *data)
{
	struct bytes b;

	if (r->ended)
		return H1_READ_END;
	if (r->kind == H1_BODY_CHUNKED && r->run == 0)
		return peek_chunked(r, s, w, a, limits, data);
	b = stream_peek(s);
	if (b.len == 0) {
		if (!stream_read_ended(s))
			return H1_READ_WAIT;
		if (r->kind != H1_BODY_CLOSE)
			return H1_READ_TRUNCATED;
		r->ended = true;
		return H1_READ_END;
	}
	if (r->kind == H1_BODY_CHUNKED && b.len > r->run)
		b.len = r->run;
	if (r->kind == H1_BODY_LENGTH && b.len > r->left)
		b.len = r->left;
	*data = b;
	return H1_READ_DATA;
}

void h1_reader_consume_body(struct h1_reader *r, struct stream *s, size_t n)
{
	stream_consume(s, n);
	r->wire += n;
	if (r->kind == H1_BODY_LENGTH) {
		r->left -= n;
		r->ended = r->left == 0;
	} else if (r->kind == H1_BODY_CHUNKED) {
		r->run -= n;
		if (r->run == 0 && r->tail > 0) {
			stream_consume(s, r->tail);
			r->wire += r->tail;
			r->tail = 0;
		}
	}
}

void h1_writer_start(struct h1_writer *w, bool request)
{
	*w = (struct h1_writer){.request = request};
}

// Writes what of 'b' has not left. True if all has.
static bool write_rest(struct h1_writer *w, struct stream *s, struct bytes b, bool more)
{
	struct bytes rest = bytes_skip(b, w->sent);
	size_t n = stream_write(s, rest, more);

	w->sent += (uint32_t)n;
	w->wire += n;
	if (n == rest.len) {
		w->sent = 0;
		return true;
	}
	stream_want_write(s, rest.len - n < ROOM_WANTED ? rest.len - n : ROOM_WANTED);
	return false;
}

// 'len' bytes of the scratch are the head or the end; 0: it could not be encoded. A body without its head would be taken for the
// next message.
static bool write_encoded(
	struct h1_writer *w, struct stream *s, struct router_worker *worker, size_t len, bool more)
{
	if (len == 0 && !w->failed) {
		stat_inc(&worker->stats->h1_heads_refused);
		w->failed = true;
	}
	return !w->failed && write_rest(w, s, (struct bytes){worker->scratch, len}, more);
}

// A head that did not fit is encoded again: rare, and cheaper than a place to keep it.
bool h1_writer_flush(struct h1_writer *w, struct stream *s, struct router_worker *worker)
{
	size_t len;

	if (w->head != NULL) {
		len = w->request ? h1_encode_request(w->head, worker->scratch, SCRATCH_SIZE)
				 : h1_encode_response(w->head, worker->scratch, SCRATCH_SIZE);
		if (!write_encoded(w, s, worker, len, !w->end_after_head))
			return false;
		w->head = NULL;
		w->ended = w->end_after_head;
	}
	if (w->ending) {
		len = h1_encode_last_chunk(w->trailers, worker->scratch, SCRATCH_SIZE);
		if (!write_encoded(w, s, worker, len, false))
			return false;
		w->ending = false;
		w->ended = true;
	}
	return true;
}

void h1_writer_head(struct h1_writer *w, struct stream *s, struct router_worker *worker,
	const struct http_head *head, bool end)
{
	assert(w->head == NULL && !w->ended);
	w->head = head;
	w->chunked = head->chunked;
	w->end_after_head = end;
	h1_writer_flush(w, s, worker);
}

size_t h1_writer_body(struct h1_writer *w, struct stream *s, struct bytes b)
{
	uint8_t line[H1_CHUNK_HEAD_MAX];
	size_t room, n;

	if (w->head != NULL)
		return 0;
	if (!w->chunked) {
		n = stream_write(s, b, false);
		w->wire += n;
		if (n < b.len)
			stream_want_write(s, ROOM_WANTED);
		return n;
	}
	room = stream_room(s);
	if (room <= CHUNK_OVERHEAD) {
		stream_want_write(s, ROOM_WANTED);
		return 0;
	}
	n = b.len < room - CHUNK_OVERHEAD ? b.len : room - CHUNK_OVERHEAD;
	if (n < b.len)
		stream_want_write(s, ROOM_WANTED);
	// room() promised that all three are taken.
	w->wire += stream_write(s, (struct bytes){line, h1_encode_chunk_head(n, line)}, true);
	w->wire += stream_write(s, (struct bytes){b.ptr, n}, true);
	w->wire += stream_write(s, BYTES("\r\n"), false);
	return n;
}

void h1_writer_end(struct h1_writer *w, struct stream *s, struct router_worker *worker,
	const struct http_fields *trailers)
{
	assert(!w->ended && !w->ending);
	if (!w->chunked) {
		// Nothing marks the end of a body with a length but its last byte.
		w->ended = w->head == NULL;
		w->end_after_head |= w->head != NULL;
		return;
	}
	w->trailers = trailers;
	w->ending = true;
	h1_writer_flush(w, s, worker);
}
