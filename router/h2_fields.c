// Field sections: from what HPACK gives to a head, and back. nghttp2 has checked RFC 9113, section
// 8, by then; the rules here are those that HTTP/1.1 has on top, because any message may go on as
// HTTP/1.1.

#include "router/h2_error.h"
#include "router/h2_session.h"

#include "router/exchange.h"
#include "router/http_chars.h"
#include "router/uri.h"
#include "router/websocket.h"

#include <string.h>

// --- receiving

// Memory for 'size' bytes that lives as long as the message: of the arena, or of a large head.
static uint8_t *text_alloc(struct h2_stream *s, size_t size)
{
	struct exchange *x = s->stream.exchange;
	uint8_t *p = NULL;

	if (size <= arena_max_alloc())
		p = arena_alloc(x != NULL ? &x->arena : &s->arena, size);
	if (p != NULL || s->head_done || size > LARGE_HEAD_SIZE - s->large_used)
		return p;
	if (s->large == NULL)
		s->large = pool_get(&s->session->worker->large_heads);
	if (s->large == NULL)
		return NULL;
	p = s->large + s->large_used;
	s->large_used += (uint32_t)size;
	return p;
}

static void take_pseudo(struct h2_stream *s, struct bytes name, struct bytes value)
{
	if (bytes_equal(name, BYTES(":method")))
		s->method = value;
	else if (bytes_equal(name, BYTES(":scheme")))
		s->scheme = value;
	else if (bytes_equal(name, BYTES(":authority")))
		s->authority = value;
	else if (bytes_equal(name, BYTES(":path")))
		s->path = value;
	else if (bytes_equal(name, BYTES(":protocol")))
		s->protocol = value;
	else if (bytes_equal(name, BYTES(":status")) && value.len == 3)
		s->status = (uint16_t)((value.ptr[0] - '0') * 100 + (value.ptr[1] - '0') * 10
			+ (value.ptr[2] - '0'));
}

bool h2_fields_add(
	struct h2_stream *s, struct http_fields *section, struct bytes name, struct bytes value)
{
	const struct h2_session *h = s->session;
	bool pseudo = name.len > 0 && name.ptr[0] == ':';
	uint8_t *text;

	if (h->section_bytes > h->max_head_bytes + H2_FIELD_OVERHEAD * (section->n + 4u)) {
		s->too_large = s->bad = true;
		s->error = &H2_ERR_HEAD_TOO_LARGE;
		return true;
	}
	if (!pseudo && section->n >= h->max_fields) {
		s->too_large = s->bad = true;
		s->error = &H2_ERR_TOO_MANY_FIELDS;
		return true;
	}
	text = text_alloc(s, name.len + value.len);
	if (text == NULL)
		return false;
	memcpy(text, name.ptr, name.len);
	if (value.len > 0)
		memcpy(text + name.len, value.ptr, value.len);
	name = bytes_of(text, name.len);
	value = bytes_of(text + name.len, value.len);
	if (pseudo)
		take_pseudo(s, name, value);
	else
		http_field_add(section, name, value);
	return true;
}

static bool is_lower_token(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		if (http_token_lower[b.ptr[i]] != b.ptr[i])
			return false;
	}
	return b.len > 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool is_value(struct bytes b)
{
	if (b.len == 0)
		return true;
	return http_find_control(b.ptr, b.ptr + b.len) == b.ptr + b.len && !is_blank(b.ptr[0])
		&& !is_blank(b.ptr[b.len - 1]);
}

static const struct h1_error *check_section(const struct http_fields *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (!is_lower_token(f->at[i].name))
			return &H2_ERR_NAME;
		if (!is_value(f->at[i].value))
			return &H2_ERR_VALUE;
		switch ((enum http_field_id)f->at[i].id) {
		case HTTP_FIELD_CONNECTION:
		case HTTP_FIELD_HTTP2_SETTINGS:
		case HTTP_FIELD_KEEP_ALIVE:
		case HTTP_FIELD_PROXY_CONNECTION:
		case HTTP_FIELD_TRANSFER_ENCODING:
		case HTTP_FIELD_UPGRADE: return &H2_ERR_CONNECTION;
		default: break;
		}
	}
	return NULL;
}

// Content-Length of a head, which loses its leading zeros; with 'end' no DATA follows. nghttp2 has checked the syntax and that
// there is only one, and checks it against the DATA.
static const struct h1_error *take_length(struct http_head *head, bool end, bool bodyless)
{
	const struct http_field *found = http_field_find(&head->fields, HTTP_FIELD_CONTENT_LENGTH);
	struct http_field *f;
	int64_t n = 0;

	head->content_length = -1;
	if (found == NULL)
		return NULL;
	f = &head->fields.at[found - head->fields.at];
	for (size_t i = 0; i < f->value.len; i++) {
		if (!http_char_is(f->value.ptr[i], HTTP_CHAR_DIGIT) || n > (INT64_MAX - 9) / 10)
			return &H2_ERR_LENGTH;
		n = n * 10 + f->value.ptr[i] - '0';
	}
	if (f->value.len == 0 || (end && n > 0 && !bodyless))
		return &H2_ERR_LENGTH;
	while (f->value.len > 1 && f->value.ptr[0] == '0')
		f->value = bytes_skip(f->value, 1);
	head->content_length = n;
	return NULL;
}

// RFC 9113, 8.2.3: the crumbs of a cookie become one field before they go anywhere else.
static bool join_cookies(struct h2_stream *s, struct http_fields *f)
{
	struct http_field *first = NULL;
	unsigned n = 0;
	size_t len = 0;
	uint8_t *text, *to;

	for (unsigned i = 0; i < f->n; i++) {
		if (f->at[i].id != HTTP_FIELD_COOKIE)
			continue;
		first = first != NULL ? first : &f->at[i];
		len += f->at[i].value.len + (n > 0 ? 2 : 0);
		n++;
	}
	if (n < 2)
		return true;
	text = to = text_alloc(s, len);
	if (text == NULL)
		return false;
	for (unsigned i = 0; i < f->n; i++) {
		if (f->at[i].id != HTTP_FIELD_COOKIE)
			continue;
		if (to != text) {
			*to++ = ';';
			*to++ = ' ';
		}
		if (f->at[i].value.len > 0)
			memcpy(to, f->at[i].value.ptr, f->at[i].value.len);
		to += f->at[i].value.len;
	}
	return http_field_set(f, first->name, bytes_of(text, (size_t)(to - text)));
}

static void init_head(struct http_head *out, const struct http_fields *section)
{
	static const struct bytes none;

	out->version = HTTP_2;
	out->method = out->scheme = out->authority = out->path = none;
	out->status = 0;
	out->content_length = -1;
	out->chunked = false;
	out->keep_alive = true;
	out->upgrade = false;
	out->fields.n = section->n;
	memcpy(out->fields.at, section->at, section->n * sizeof(section->at[0]));
}

// Host says what :authority says, or stands for it (RFC 9113, 8.3.1).
static const struct h1_error *judge_authority(const struct h2_stream *s, struct http_head *out)
{
	const struct http_field *host = http_field_find(&out->fields, HTTP_FIELD_HOST);

	out->authority = s->authority;
	if (host != NULL && s->authority.len > 0 && !bytes_equal_nocase(host->value, s->authority))
		return &H2_ERR_HOST_MISMATCH;
	if (host != NULL && s->authority.len == 0)
		out->authority = host->value;
	if (host == NULL && s->authority.ptr == NULL)
		return &H2_ERR_HOST_MISSING;
	if (out->authority.len > 0 && !uri_authority_is_valid(out->authority))
		return &H2_ERR_AUTHORITY;
	if (http_field_remove_id(&out->fields, HTTP_FIELD_HOST) > 1)
		return &H2_ERR_HOST_MISMATCH;
	return NULL;
}

// RFC 8441: what an extended CONNECT asks for is what Upgrade asks for in HTTP/1.1, whose handshake is between the gateway and an
// endpoint. A length would be of a body, which there is none of.
static const struct h1_error *take_connect(struct h2_stream *s, struct http_head *out)
{
	struct router_worker *w = s->session->worker;
	uint64_t random[2] = {router_random(w), router_random(w)};
	uint8_t *key = text_alloc(s, WEBSOCKET_KEY_LEN);

	if (out->content_length > 0)
		return &H2_ERR_LENGTH;
	if (key == NULL)
		return &H2_ERR_HEAD_TOO_LARGE;
	websocket_key(random, key);
	http_field_remove_id(&out->fields, HTTP_FIELD_CONTENT_LENGTH);
	out->content_length = -1;
	out->chunked = false;
	out->upgrade = s->connect = true;
	out->method = BYTES("GET");
	if (!http_field_set(
		    &out->fields, BYTES("sec-websocket-key"), bytes_of(key, WEBSOCKET_KEY_LEN))
		|| !http_field_add(&out->fields, BYTES("upgrade"), s->protocol))
		return &H2_ERR_TOO_MANY_FIELDS;
	return NULL;
}

const struct h1_error *h2_fields_request(
	struct h2_stream *s, struct http_fields *section, bool end, struct http_head *out)
{
	const struct h1_error *error;

	init_head(out, section);
	if (s->bad)
		return s->error;
	if (!http_is_token(s->method.ptr, s->method.len))
		return &H2_ERR_METHOD;
	out->method = s->method;
	if (s->path.len > 0
		&& http_find_not_target(s->path.ptr, s->path.ptr + s->path.len)
			!= s->path.ptr + s->path.len)
		return &H2_ERR_PATH;
	out->path = s->path;
	// What the client claims of the scheme is replaced by what we know; here it only has to be
	// one of ours.
	if (s->scheme.len > 0 && !bytes_equal_nocase(s->scheme, BYTES("http"))
		&& !bytes_equal_nocase(s->scheme, BYTES("https")))
		return &H2_ERR_SCHEME;
	error = check_section(&out->fields);
	if (error == NULL)
		error = judge_authority(s, out);
	if (error == NULL)
		error = take_length(out, end, false);
	if (error == NULL && !join_cookies(s, &out->fields))
		error = &H2_ERR_COOKIES;
	// What HTTP/1.1 has to frame if it goes on as that.
	out->chunked = !end && out->content_length < 0;
	if (error == NULL && s->protocol.len > 0)
		error = take_connect(s, out);
	return error;
}

// A 2xx to an extended CONNECT is what 101 is in HTTP/1.1; of its length nothing is to be made (RFC 9110, 9.3.6).
static const struct h1_error *take_tunnel(struct h2_stream *s, struct http_head *out)
{
	struct exchange *x = s->stream.exchange;

	s->tunnel = true;
	out->status = 101;
	out->upgrade = true;
	out->content_length = -1;
	http_field_remove_id(&out->fields, HTTP_FIELD_CONTENT_LENGTH);
	if (!http_field_add(&out->fields, BYTES("upgrade"), BYTES("websocket"))
		|| !websocket_set_accept(&out->fields, &x->request.fields, &x->arena))
		return &H2_ERR_TOO_MANY_FIELDS;
	return NULL;
}

const struct h1_error *h2_fields_response(
	struct h2_stream *s, struct http_fields *section, bool end, struct http_head *out)
{
	const struct h1_error *error;

	init_head(out, section);
	if (s->bad)
		return s->error;
	if (s->status < 100 || s->status > 599)
		return &H2_ERR_STATUS;
	out->status = s->status;
	error = check_section(&out->fields);
	// An answer to HEAD, and 304, say how long the body would be.
	if (error == NULL)
		error = take_length(out, end, true);
	if (error == NULL && s->connect && s->status / 100 == 2)
		error = take_tunnel(s, out);
	return error;
}

const struct h1_error *h2_fields_trailers(const struct http_fields *section)
{
	for (unsigned i = 0; i < section->n; i++) {
		if (h1_is_trailer_refused(&section->at[i]))
			return &H2_ERR_TRAILER;
	}
	return check_section(section);
}

// --- sending

struct list_of_nv {
	nghttp2_nv *to;
	int n;
	bool failed;
};

static void put(struct list_of_nv *l, struct bytes name, struct bytes value)
{
	if (l->n == H2_MAX_NV
		|| (value.len > 0
			&& http_find_control(value.ptr, value.ptr + value.len)
				!= value.ptr + value.len)) {
		l->failed = true;
		return;
	}
	l->to[l->n++] = (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name.ptr,
		.value = (uint8_t *)(uintptr_t)value.ptr,
		.namelen = name.len,
		.valuelen = value.len,
	};
}

// What HTTP/2 has no use for in the handshake of a WebSocket (RFC 8441, 5).
static bool is_of_handshake(const struct http_field *f)
{
	return f->id == HTTP_FIELD_CONTENT_LENGTH
		|| bytes_equal(f->name, BYTES("sec-websocket-key"))
		|| bytes_equal(f->name, BYTES("sec-websocket-accept"));
}

static void put_fields(struct list_of_nv *l, const struct http_fields *f, bool handshake)
{
	for (unsigned i = 0; i < f->n; i++) {
		switch ((enum http_field_id)f->at[i].id) {
		case HTTP_FIELD_CONNECTION:
		case HTTP_FIELD_HOST:
		case HTTP_FIELD_HTTP2_SETTINGS:
		case HTTP_FIELD_KEEP_ALIVE:
		case HTTP_FIELD_PROXY_CONNECTION:
		case HTTP_FIELD_TRANSFER_ENCODING:
		case HTTP_FIELD_UPGRADE: continue;
		default: break;
		}
		if (handshake && is_of_handshake(&f->at[i]))
			continue;
		l->failed |= !is_lower_token(f->at[i].name);
		put(l, f->at[i].name, f->at[i].value);
	}
}

int h2_fields_of_request(const struct http_head *head, nghttp2_nv to[H2_MAX_NV])
{
	struct list_of_nv l = {.to = to};

	put(&l, BYTES(":method"), head->upgrade ? BYTES("CONNECT") : head->method);
	if (head->upgrade)
		put(&l, BYTES(":protocol"), BYTES("websocket"));
	put(&l, BYTES(":scheme"), head->scheme.len > 0 ? head->scheme : BYTES("http"));
	put(&l, BYTES(":authority"), head->authority);
	put(&l, BYTES(":path"), head->path);
	put_fields(&l, &head->fields, head->upgrade);
	return l.failed ? -1 : l.n;
}

int h2_fields_of_response(
	const struct http_head *head, uint8_t status_text[3], nghttp2_nv to[H2_MAX_NV])
{
	struct list_of_nv l = {.to = to};
	unsigned status = head->status == 101 ? 200 : head->status; // RFC 8441, 5

	status_text[0] = (uint8_t)('0' + status / 100 % 10);
	status_text[1] = (uint8_t)('0' + status / 10 % 10);
	status_text[2] = (uint8_t)('0' + status % 10);
	put(&l, BYTES(":status"), bytes_of(status_text, 3));
	put_fields(&l, &head->fields, head->status == 101);
	return l.failed ? -1 : l.n;
}

int h2_fields_of_trailers(const struct http_fields *trailers, nghttp2_nv to[H2_MAX_NV])
{
	struct list_of_nv l = {.to = to};

	put_fields(&l, trailers, false);
	return l.failed ? -1 : l.n;
}
