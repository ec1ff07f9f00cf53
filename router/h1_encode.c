// Heads, chunk lines and trailers as bytes. A writer latches: too little room or a byte that cannot
// stand where it is put makes the result 0, so that nothing is ever split in two by what it
// contains.

#include "router/h1.h"
#include "router/http_chars.h"

struct writer {
	uint8_t *pos;
	uint8_t *end;
	bool failed;
};

static void put(struct writer *w, struct bytes b)
{
	if ((size_t)(w->end - w->pos) < b.len || w->failed) {
		w->failed = true;
		return;
	}
	if (b.len > 0)
		memcpy(w->pos, b.ptr, b.len);
	w->pos += b.len;
}

#define PUT(w, literal) put(w, BYTES(literal))

static void put_token(struct writer *w, struct bytes b)
{
	w->failed |= !http_is_token(b.ptr, b.len);
	put(w, b);
}

static void put_value(struct writer *w, struct bytes b)
{
	w->failed |= b.len > 0 && http_find_control(b.ptr, b.ptr + b.len) != b.ptr + b.len;
	put(w, b);
}

static void put_target(struct writer *w, struct bytes b)
{
	w->failed |= b.len == 0 || http_find_not_target(b.ptr, b.ptr + b.len) != b.ptr + b.len;
	put(w, b);
}

static void put_field(struct writer *w, const struct http_field *f)
{
	put_token(w, f->name);
	PUT(w, ": ");
	put_value(w, f->value);
	PUT(w, "\r\n");
}

static void put_fields(struct writer *w, const struct http_head *head, bool request)
{
	for (unsigned i = 0; i < head->fields.n; i++) {
		const struct http_field *f = &head->fields.at[i];

		switch ((enum http_field_id)f->id) {
		case HTTP_FIELD_CONNECTION:
		case HTTP_FIELD_TRANSFER_ENCODING: continue;
		case HTTP_FIELD_CONTENT_LENGTH:
			if (head->chunked)
				continue;
			break;
		case HTTP_FIELD_HOST:
			if (request)
				continue;
			break;
		case HTTP_FIELD_UPGRADE:
			if (!head->upgrade)
				continue;
			break;
		default: break;
		}
		put_field(w, f);
	}
}

// The fields that belong to this connection, and the end of the head.
static size_t finish(struct writer *w, const uint8_t *start, const struct http_head *head)
{
	if (head->chunked)
		PUT(w, "transfer-encoding: chunked\r\n");
	if (head->upgrade)
		PUT(w, "connection: upgrade\r\n");
	else if (!head->keep_alive)
		PUT(w, "connection: close\r\n");
	else if (head->version == HTTP_1_0)
		PUT(w, "connection: keep-alive\r\n");
	PUT(w, "\r\n");
	return w->failed ? 0 : (size_t)(w->pos - start);
}

size_t h1_encode_request(const struct http_head *head, uint8_t *to, size_t cap)
{
	struct writer w = {to, to + cap, false};

	put_token(&w, head->method);
	PUT(&w, " ");
	put_target(&w, bytes_equal(head->method, BYTES("CONNECT")) ? head->authority : head->path);
	PUT(&w, " HTTP/1.1\r\nhost: ");
	put_value(&w, head->authority);
	PUT(&w, "\r\n");
	put_fields(&w, head, true);
	return finish(&w, to, head);
}

size_t h1_encode_response(const struct http_head *head, uint8_t *to, size_t cap)
{
	struct writer w = {to, to + cap, false};
	uint8_t status[3] = {(uint8_t)('0' + head->status / 100),
		(uint8_t)('0' + head->status / 10 % 10), (uint8_t)('0' + head->status % 10)};

	w.failed = head->status < 100 || head->status > 599
		|| (head->version == HTTP_1_0 && head->chunked);
	put(&w, head->version == HTTP_1_0 ? BYTES("HTTP/1.0 ") : BYTES("HTTP/1.1 "));
	put(&w, bytes_of(status, sizeof(status)));
	PUT(&w, " ");
	put(&w, bytes_of_str(http_reason(head->status)));
	PUT(&w, "\r\n");
	put_fields(&w, head, false);
	return finish(&w, to, head);
}

size_t h1_encode_chunk_head(uint64_t size, uint8_t to[H1_CHUNK_HEAD_MAX])
{
	unsigned n_digits = size > 0 ? (67 - (unsigned)__builtin_clzll(size)) / 4 : 1;

	for (unsigned i = n_digits; i-- > 0; size >>= 4)
		to[i] = (uint8_t) "0123456789abcdef"[size & 15];
	to[n_digits] = '\r';
	to[n_digits + 1] = '\n';
	return n_digits + 2;
}

size_t h1_encode_last_chunk(const struct http_fields *trailers, uint8_t *to, size_t cap)
{
	struct writer w = {to, to + cap, false};

	PUT(&w, "0\r\n");
	for (unsigned i = 0; trailers != NULL && i < trailers->n; i++)
		put_field(&w, &trailers->at[i]);
	PUT(&w, "\r\n");
	return w.failed ? 0 : (size_t)(w.pos - to);
}
