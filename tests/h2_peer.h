// An HTTP/2 client or endpoint for tests: nghttp2 on the test's end of a fake stream, recording what arrives; and frames made
// by hand for what nghttp2 would not say.
#pragma once

#include "tests/router_rig.h"

#include <nghttp2/nghttp2.h>

#define PEER_MAX_STREAMS 1024
#define PEER_UNUSED      __attribute__((unused))

struct peer_stream {
	int32_t id;
	char head[2048];     // "name: value\n"
	char trailers[1024]; // likewise
	char body[2048];     // the first bytes
	size_t body_len;
	bool ended;
	bool reset;
	uint32_t error_code;
};

struct h2_peer {
	nghttp2_session *ng;
	struct rig *rig;
	struct stream *io;
	struct peer_stream streams[PEER_MAX_STREAMS];
	unsigned n_streams;
	uint64_t body_bytes; // of all streams
	int32_t data_order[64];
	unsigned n_data;
	uint32_t goaway_code;
	int32_t goaway_last;
	unsigned n_goaways;
	uint64_t window_updates[2]; // bytes: of the connection, of streams
	bool reading;               // consumes what it gets
	const char *upload;         // what bodies are made of; NULL: zeros
	size_t upload_left;
	bool upload_trailers;
	bool upload_open; // what there is of it is not the end
	// received, frame by frame
	bool raw; // the test makes all frames itself from now on; 'ng' is out of it
	nghttp2_hd_inflater *inflater;
	unsigned n_frames[16]; // by type
	size_t preface_left;   // the client's
	bool section_ends;
	size_t section_len;
	size_t in_len;
	uint8_t section[1 << 17];
	uint8_t in[1 << 18];
};

PEER_UNUSED static struct peer_stream *peer_find(struct h2_peer *p, int32_t id)
{
	for (unsigned i = 0; i < p->n_streams; i++) {
		if (p->streams[i].id == id)
			return &p->streams[i];
	}
	assert_true(p->n_streams < PEER_MAX_STREAMS);
	p->streams[p->n_streams].id = id;
	return &p->streams[p->n_streams++];
}

PEER_UNUSED static void peer_note_field(
	struct peer_stream *s, bool in_trailers, const nghttp2_nv *nv)
{
	char *to = in_trailers ? s->trailers : s->head;
	size_t cap = in_trailers ? sizeof(s->trailers) : sizeof(s->head);
	size_t at = strlen(to);

	snprintf(to + at, cap - at, "%.*s: %.*s\n", (int)nv->namelen, (const char *)nv->name,
		(int)nv->valuelen, (const char *)nv->value);
}

// A section without a :status or :method is trailers.
PEER_UNUSED static void peer_note_section(struct h2_peer *p, struct peer_stream *s, struct bytes b)
{
	bool in_trailers = true;
	int flags = 0;

	for (;;) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, b.ptr, b.len, 1);

		assert_true(n >= 0);
		b = bytes_skip(b, (size_t)n);
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			if (nv.name[0] == ':')
				in_trailers = false;
			peer_note_field(s, in_trailers, &nv);
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
	}
	nghttp2_hd_inflate_end_headers(p->inflater);
}

PEER_UNUSED static uint32_t peer_u32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

PEER_UNUSED static void peer_note_data(struct h2_peer *p, struct peer_stream *s, struct bytes b)
{
	for (size_t i = 0; i < b.len && s->body_len + i < sizeof(s->body) - 1; i++)
		s->body[s->body_len + i] = (char)b.ptr[i];
	s->body_len += b.len;
	p->body_bytes += b.len;
	if (p->n_data < 64)
		p->data_order[p->n_data++] = s->id;
	if (p->reading && !p->raw)
		nghttp2_session_consume(p->ng, s->id, b.len);
}

PEER_UNUSED static void peer_note_frame(
	struct h2_peer *p, uint8_t type, uint8_t flags, int32_t id, struct bytes b)
{
	struct peer_stream *s = id != 0 ? peer_find(p, id) : NULL;

	p->n_frames[type < 16 ? type : 15]++;
	switch (type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		memcpy(p->section + p->section_len, b.ptr, b.len);
		p->section_len += b.len;
		if (type == NGHTTP2_HEADERS)
			p->section_ends = flags & NGHTTP2_FLAG_END_STREAM;
		if (flags & NGHTTP2_FLAG_END_HEADERS) {
			peer_note_section(p, s, bytes_of(p->section, p->section_len));
			p->section_len = 0;
			s->ended |= p->section_ends;
		}
		break;
	case NGHTTP2_DATA:
		peer_note_data(p, s, b);
		s->ended |= (flags & NGHTTP2_FLAG_END_STREAM) != 0;
		break;
	case NGHTTP2_RST_STREAM:
		s->reset = true;
		s->error_code = peer_u32(b.ptr);
		break;
	case NGHTTP2_GOAWAY:
		p->n_goaways++;
		p->goaway_last = (int32_t)peer_u32(b.ptr);
		p->goaway_code = peer_u32(b.ptr + 4);
		break;
	case NGHTTP2_WINDOW_UPDATE: p->window_updates[id != 0] += peer_u32(b.ptr); break;
	default: break;
	}
}

PEER_UNUSED static void peer_note(struct h2_peer *p, struct bytes b)
{
	size_t preface = p->preface_left < b.len ? p->preface_left : b.len;

	p->preface_left -= preface;
	b = bytes_skip(b, preface);
	memcpy(p->in + p->in_len, b.ptr, b.len);
	p->in_len += b.len;
	for (;;) {
		size_t len = (size_t)p->in[0] << 16 | (size_t)p->in[1] << 8 | p->in[2];

		if (p->in_len < 9 || p->in_len < 9 + len)
			return;
		peer_note_frame(p, p->in[3], p->in[4], (int32_t)peer_u32(p->in + 5),
			bytes_of(p->in + 9, len));
		p->in_len -= 9 + len;
		memmove(p->in, p->in + 9 + len, p->in_len);
	}
}

// Sends and receives until nothing moves any more.
PEER_UNUSED static void peer_pump(struct h2_peer *p)
{
	static uint8_t buffer[1 << 16];
	bool moved = true;

	while (moved) {
		const uint8_t *out;
		ssize_t n;
		size_t got;

		moved = false;
		while (!p->raw && stream_room(p->io) > 20000
			&& (n = nghttp2_session_mem_send(p->ng, &out)) > 0) {
			fake_put(p->io, bytes_of(out, (size_t)n));
			moved = true;
		}
		rig_pump(p->rig);
		got = fake_take(p->io, buffer, sizeof(buffer));
		if (got > 0) {
			if (!p->raw)
				assert_int_equal(nghttp2_session_mem_recv(p->ng, buffer, got), got);
			peer_note(p, bytes_of(buffer, got));
			moved = true;
		}
	}
}

PEER_UNUSED static struct h2_peer *peer_new_with(struct rig *r, struct stream *io, bool server,
	const nghttp2_settings_entry *settings, size_t n_settings)
{
	struct h2_peer *p = calloc(1, sizeof(*p));
	nghttp2_session_callbacks *cb;
	nghttp2_option *option;

	assert_non_null(p);
	p->rig = r;
	p->io = io;
	p->reading = true;
	p->preface_left = server ? 24 : 0;
	nghttp2_session_callbacks_new(&cb);
	nghttp2_option_new(&option);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_http_messaging(option, 1);
	if (server)
		nghttp2_session_server_new2(&p->ng, cb, p, option);
	else
		nghttp2_session_client_new2(&p->ng, cb, p, option);
	nghttp2_hd_inflate_new(&p->inflater);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	nghttp2_submit_settings(p->ng, NGHTTP2_FLAG_NONE, settings, n_settings);
	peer_pump(p);
	return p;
}

PEER_UNUSED static struct h2_peer *peer_new(
	struct rig *r, struct stream *io, bool server, uint32_t max_streams, uint32_t window)
{
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,    window     },
	};

	return peer_new_with(r, io, server, settings, 2);
}

PEER_UNUSED static struct h2_peer *peer_client(struct rig *r)
{
	return peer_new(r, rig_client_stream(r, rig_client(r)), false, 100, 65535);
}

PEER_UNUSED static void peer_free(struct h2_peer **pp)
{
	nghttp2_session_del((*pp)->ng);
	nghttp2_hd_inflate_del((*pp)->inflater);
	free(*pp);
	*pp = NULL;
}

PEER_UNUSED static nghttp2_nv peer_nv(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value)};
}

PEER_UNUSED static ssize_t peer_read(nghttp2_session *ng, int32_t id, uint8_t *to, size_t cap,
	uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2_peer *p = arg;
	size_t n = p->upload_left < cap ? p->upload_left : cap;

	(void)source;
	if (p->upload != NULL)
		memcpy(to, p->upload, n);
	else
		memset(to, 'u', n);
	if (p->upload != NULL)
		p->upload += n;
	p->upload_left -= n;
	if (p->upload_left == 0 && p->upload_open)
		return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	if (p->upload_left == 0) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (p->upload_trailers) {
			nghttp2_nv nv = peer_nv("grpc-status", "0");

			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			nghttp2_submit_trailer(ng, id, &nv, 1);
		}
	}
	return (ssize_t)n;
}

// 'fields' are name, value, ... NULL, after the pseudo fields. 'body' < 0: none.
PEER_UNUSED static int32_t peer_request(struct h2_peer *p, const char *method, const char *path,
	const char *const *fields, long body)
{
	nghttp2_nv nv[128] = {peer_nv(":method", method), peer_nv(":scheme", "http"),
		peer_nv(":authority", "shop.example"), peer_nv(":path", path)};
	nghttp2_data_provider provider = {.read_callback = peer_read};
	size_t n = 4;
	int32_t id;

	for (; fields != NULL && *fields != NULL; fields += 2)
		nv[n++] = peer_nv(fields[0], fields[1]);
	if (body >= 0)
		p->upload_left = (size_t)body;
	id = nghttp2_submit_request(p->ng, NULL, nv, n, body >= 0 ? &provider : NULL, NULL);
	assert_true(id > 0);
	peer_pump(p);
	return id;
}

PEER_UNUSED static void peer_respond(
	struct h2_peer *p, int32_t id, const char *status, const char *const *fields, long body)
{
	nghttp2_nv nv[64] = {peer_nv(":status", status)};
	nghttp2_data_provider provider = {.read_callback = peer_read};
	size_t n = 1;

	for (; fields != NULL && *fields != NULL; fields += 2)
		nv[n++] = peer_nv(fields[0], fields[1]);
	if (body >= 0)
		p->upload_left = (size_t)body;
	nghttp2_submit_response(p->ng, id, nv, n, body >= 0 ? &provider : NULL);
	peer_pump(p);
}

// --- by hand

PEER_UNUSED static size_t peer_frame(
	uint8_t *to, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
	uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags,
		(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	memcpy(to, head, sizeof(head));
	if (len > 0)
		memcpy(to + sizeof(head), payload, len);
	return len + sizeof(head);
}

PEER_UNUSED static void peer_raw(struct h2_peer *p, uint8_t type, uint8_t flags, uint32_t id,
	const void *payload, size_t len)
{
	static uint8_t frame[1 << 15];

	p->raw = true;
	fake_put(p->io, bytes_of(frame, peer_frame(frame, type, flags, id, payload, len)));
}

// HPACK: literal without indexing, lengths below 127.
PEER_UNUSED static size_t peer_literal(uint8_t *to, struct bytes name, struct bytes value)
{
	to[0] = 0;
	to[1] = (uint8_t)name.len;
	memcpy(to + 2, name.ptr, name.len);
	to[2 + name.len] = (uint8_t)value.len;
	memcpy(to + 3 + name.len, value.ptr, value.len);
	return 3 + name.len + value.len;
}

// The pseudo fields of GET / of shop.example.
PEER_UNUSED static size_t peer_pseudo(uint8_t *to)
{
	static const uint8_t indexed[] = {0x82, 0x86, 0x84}; // GET, http, /

	memcpy(to, indexed, sizeof(indexed));
	return sizeof(indexed)
		+ peer_literal(to + sizeof(indexed), BYTES(":authority"), BYTES("shop.example"));
}
