// Streams: what waits in each direction, and the operations of an exchange that are the same
// towards clients and endpoints.

#include "router/h2_session.h"

#include "router/exchange.h"

// What of a body is taken from an exchange before it has left: a DATA frame. What cannot be sent
// stays where it came from.
#define OUT_MAX          16384u
#define MAX_ARENA_CHUNKS 32

struct h2_stream *h2_stream_new(struct h2_session *h)
{
	struct router_worker *w = h->worker;
	struct h2_stream *s = pool_get_zeroed(&w->h2_streams);

	if (s == NULL) {
		stat_inc(&w->stats->h2_pool_empty);
		return NULL;
	}
	s->stream.ops = h->role->ops;
	s->session = h;
	s->start_us = h->now_us;
	arena_init(&s->arena, &w->chunks, MAX_ARENA_CHUNKS);
	list_push(&h->streams, &s->node);
	h->n_streams++;
	stat_inc(&w->stats->h2_streams_active);
	return s;
}

void h2_stream_free(struct h2_stream **sp)
{
	struct h2_stream *s = *sp;
	struct h2_session *h = s->session;
	struct router_worker *w = h->worker;

	*sp = NULL;
	if (s->known && !h->dead)
		nghttp2_session_set_stream_user_data(h->ng, s->id, NULL);
	if (h->receiving == s)
		h->receiving = NULL;
	if (s->owed > 0 && !h->dead)
		nghttp2_session_consume_connection(h->ng, s->owed);
	h2_queue_drop(&s->in, &w->chunks, s->in.len);
	h2_queue_drop(&s->out, &w->chunks, s->out.len);
	arena_reset(&s->arena);
	pool_put(&w->large_heads, s->large);
	pool_put(&w->trailers, s->trailers_memory);
	list_remove(&s->node);
	h->n_streams--;
	stat_dec(&w->stats->h2_streams_active);
	pool_put(&w->h2_streams, s);
}

bool h2_stream_is_answered(const struct h2_stream *s)
{
	if (s->tunnel)
		return s->out_left && s->in_ended;
	return s->session->role->is_server ? s->out_left : s->in_ended;
}

void h2_stream_reset(struct h2_stream *s, uint32_t error_code)
{
	struct h2_session *h = s->session;

	if (!s->known || s->reset_sent || h->dead)
		return;
	s->reset_sent = true;
	nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, error_code);
	h2_session_wake(h);
}

void h2_stream_reset_for_shortage(struct h2_stream *s)
{
	s->innocent |= !s->reset_sent;
	// REFUSED_STREAM promises that nothing was done of a request, so that it may be sent again (RFC 9113, 8.7); once
	// its head is here that is not known.
	h2_stream_reset(s, s->head_done ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_REFUSED_STREAM);
}

void h2_stream_detach(struct h2_stream *s)
{
	struct h2_session *h = s->session;

	s->stream.exchange = NULL;
	s->out_trailers = NULL;
	h->n_used--;
	h2_session_wake(h);
	if (!s->known || h->dead)
		h2_stream_free(&s);
}

// --- sending

static ssize_t read_out(nghttp2_session *ng, int32_t id, uint8_t *to, size_t cap, uint32_t *flags,
	nghttp2_data_source *source, void *owner)
{
	struct h2_stream *s = source->ptr;
	struct h2_session *h = s->session;
	bool was_full = s->out.len == OUT_MAX;
	size_t n = h2_queue_take(&s->out, &h->worker->chunks, to, cap);

	(void)owner;
	if (was_full && s->stream.exchange != NULL)
		exchange_on_progress(s->stream.exchange);
	if (s->out.len > 0)
		return (ssize_t)n;
	if (s->out_ended) {
		nghttp2_nv nv[H2_MAX_NV];
		int n_nv = s->out_trailers != NULL ? h2_fields_of_trailers(s->out_trailers, nv) : 0;

		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (n_nv > 0 && nghttp2_submit_trailer(ng, id, nv, (size_t)n_nv) == 0)
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		s->out_trailers = NULL;
		return (ssize_t)n;
	}
	return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
}

nghttp2_data_provider h2_stream_provider(struct h2_stream *s)
{
	return (nghttp2_data_provider){.source = {.ptr = s}, .read_callback = read_out};
}

static void resume(struct h2_stream *s)
{
	// Fails when nothing is deferred, which is as good.
	nghttp2_session_resume_data(s->session->ng, s->id);
	h2_session_wake(s->session);
}

size_t h2_stream_send_body(struct codec_stream *cs, struct bytes b)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2_session *h = s->session;
	size_t n = OUT_MAX - s->out.len;

	if (!s->known || s->reset_sent || h->dead)
		return 0;
	if (n > b.len)
		n = b.len;
	if (n == 0)
		return 0;
	n = h2_queue_append(&s->out, &h->worker->chunks, bytes_of(b.ptr, n));
	if (n == 0)
		h->starved = true;
	resume(s);
	return n;
}

void h2_stream_send_end(struct codec_stream *cs, const struct http_fields *trailers)
{
	struct h2_stream *s = h2_stream_of(cs);

	if (s->out_ended)
		return;
	s->out_ended = true;
	s->out_trailers = trailers;
	if (s->known && !s->reset_sent && !s->session->dead)
		resume(s);
}

bool h2_stream_send_pending(const struct codec_stream *cs)
{
	const struct h2_stream *s = (const struct h2_stream *)(uintptr_t)cs;

	return s->out_ended && !s->out_left && s->known && !s->reset_sent && !s->session->dead;
}

// --- receiving

enum codec_read h2_stream_peek_body(struct codec_stream *cs, struct bytes *data)
{
	struct h2_stream *s = h2_stream_of(cs);

	*data = h2_queue_peek(&s->in);
	if (data->len > 0)
		return CODEC_DATA;
	return s->in_ended ? CODEC_END : CODEC_WAIT;
}

void h2_stream_consume_body(struct codec_stream *cs, size_t n)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2_session *h = s->session;

	size_t owed = n < s->owed ? n : s->owed;

	h2_queue_drop(&s->in, &h->worker->chunks, n);
	s->owed -= (uint32_t)owed;
	if (h->dead)
		return;
	if (s->known)
		nghttp2_session_consume_stream(h->ng, s->id, n);
	if (owed > 0)
		nghttp2_session_consume_connection(h->ng, owed);
	h2_session_wake(h);
}
