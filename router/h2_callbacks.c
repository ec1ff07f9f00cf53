// What nghttp2 calls: frames that came, frames that left. All is only noted here.

#include "router/h2_session.h"

#include "router/exchange.h"

#include <stdlib.h>

// A head of the largest size, as we forward it, with what HPACK may add.
#define SEND_HEAD_MAX  (2u * LARGE_HEAD_SIZE)
// A field section may be so many times larger than allowed before the connection is given up; until
// then it is decoded, so that its stream alone is refused.
#define SECTION_FACTOR 4u
#define FRAME_HEAD_LEN 9u // RFC 9113, 4.1

static struct h2_stream *stream_by_id(nghttp2_session *ng, int32_t id)
{
	return id > 0 ? nghttp2_session_get_stream_user_data(ng, id) : NULL;
}
// --- receiving

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2_session *h = arg;

	(void)ng;
	h->heard_us = h->now_us;
	h2_session_note_frame(h, hd);
	return 0;
}

// Each stream gets its turn of one frame, whatever its peer would like (RFC 9218, 10 leaves it to
// us).
static void set_fair(struct h2_session *h, int32_t id)
{
	nghttp2_extpri fair = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};

	nghttp2_session_change_extpri_stream_priority(h->ng, id, &fair, 1);
}

// Of a stream that is not opened at all.
static int refuse_stream(struct h2_session *h, int32_t id)
{
	h->n_closed++;
	nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

// Clients that are slow to end a field section hold at most half of those that there are: the rest is for answers.
static bool may_begin_section(const struct h2_session *h)
{
	const struct pool *p = &h->worker->trailers;

	return !h->role->is_server || p->n_used < p->cap / 2;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_session *h = arg;
	struct h2_stream *s = stream_by_id(ng, frame->hd.stream_id);

	h->section_bytes = 0;
	h->section_start_us = h->now_us;
	if (h->role->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		h->n_opened++;
		// nghttp2 counts those it knows; one that was reset and is not cleaned up yet is
		// work under way all the same.
		if (h->punished || h->n_streams >= h->limits.max_concurrent_streams) {
			stat_inc(&h->worker->stats->h2_streams_refused);
			h2_session_note_early_reset(h);
			return refuse_stream(h, frame->hd.stream_id);
		}
		s = h2_stream_new(h);
		if (s == NULL)
			return refuse_stream(h, frame->hd.stream_id);
		s->id = frame->hd.stream_id;
		s->known = true;
		nghttp2_session_set_stream_user_data(ng, s->id, s);
		set_fair(h, s->id);
	}
	if (s == NULL)
		return 0;
	if (h->fields == NULL && may_begin_section(h))
		h->fields = pool_get(&h->worker->trailers);
	if (h->fields == NULL) {
		stat_inc(&h->worker->stats->h2_pool_empty);
		h2_stream_reset_for_shortage(s);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	h->fields->n = 0;
	s->too_large = false;
	h->receiving = s;
	return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct h2_session *h = arg;
	struct h2_stream *s = stream_by_id(ng, frame->hd.stream_id);

	(void)flags;
	if (h->section_bytes > SECTION_FACTOR * LARGE_HEAD_SIZE) {
		h2_session_punish(h, H2_ABUSE_FIELDS);
		return NGHTTP2_ERR_CALLBACK_FAILURE; // a segment more may hold thousands of fields
	}
	h->section_bytes += (uint32_t)(name_len + value_len) + H2_FIELD_OVERHEAD;
	if (s == NULL || s != h->receiving || s->too_large || h->punished)
		return 0;
	if (h2_fields_add(s, h->fields, bytes_of(name, name_len), bytes_of(value, value_len))) {
		if (s->too_large)
			stat_inc(&h->worker->stats->h2_header_overflow);
		return 0;
	}
	h2_stream_reset_for_shortage(s);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

// Counts a message that breaks a rule, once.
static void note_violation(struct h2_session *h, struct h2_stream *s)
{
	if (s != NULL && s->bad)
		return;
	stat_inc(&h->worker->stats->h2_messaging_errors);
	if (s != NULL)
		s->bad = true;
}

static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name,
	nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct h2_session *h = arg;
	struct h2_stream *s = stream_by_id(ng, frame->hd.stream_id);

	(void)name;
	(void)value;
	(void)flags;
	// Left to itself nghttp2 would drop the field and pass the rest.
	note_violation(h, s);
	if (s != NULL)
		h2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2_session *h = arg;

	if (frame->hd.type == NGHTTP2_HEADERS || error == NGHTTP2_ERR_HTTP_MESSAGING
		|| error == NGHTTP2_ERR_HTTP_HEADER)
		note_violation(h, stream_by_id(ng, frame->hd.stream_id));
	return 0;
}

static void message_ended(struct h2_stream *s)
{
	if (s->reset_sent)
		return;
	s->in_ended = true;
	if (s->stream.exchange != NULL)
		exchange_on_progress(s->stream.exchange);
}

static void take_trailers(struct h2_session *h, struct h2_stream *s)
{
	if (s->stream.exchange == NULL)
		return;
	// A tunnel has none (RFC 9113, 8.5).
	if (s->too_large || s->tunnel || h2_fields_trailers(h->fields) != NULL) {
		note_violation(h, s);
		h2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	if (h->fields->n == 0 || s->trailers_memory != NULL)
		return;
	s->trailers_memory = h->fields;
	s->stream.trailers = h->fields;
	h->fields = NULL;
}

// Nothing is received of a field section any more.
static void drop_section(struct h2_session *h)
{
	h->receiving = NULL;
	pool_put(&h->worker->trailers, h->fields);
	h->fields = NULL;
}

static void section_ended(struct h2_session *h, struct h2_stream *s, bool end)
{
	h->receiving = NULL;
	if (!s->head_done) {
		h->role->on_head(s, end);
	} else {
		take_trailers(h, s);
	}
	if (end)
		message_ended(s);
	drop_section(h);
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_session *h = arg;
	struct h2_stream *s = stream_by_id(ng, frame->hd.stream_id);
	bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (s != NULL)
		s->stream.wire_received += frame->hd.length + FRAME_HEAD_LEN;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (s != NULL && s == h->receiving)
			section_ended(h, s, end);
		break;
	case NGHTTP2_DATA:
		if (s != NULL && end)
			message_ended(s);
		break;
	case NGHTTP2_RST_STREAM:
		stat_inc(&h->worker->stats->h2_rx_reset);
		if (s != NULL)
			s->reset_received = true;
		break;
	case NGHTTP2_GOAWAY:
		stat_inc(&h->worker->stats->h2_rx_goaway);
		h->goaway = true;
		if (h->role->on_peer != NULL)
			h->role->on_peer(h);
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			h2_session_note_pong(h);
		break;
	case NGHTTP2_SETTINGS:
		h->settings_came = true;
		h->peer_known |= !(frame->hd.flags & NGHTTP2_FLAG_ACK);
		if (h->role->on_peer != NULL)
			h->role->on_peer(h);
		break;
	default: break;
	}
	return 0;
}

// True while bytes that wait for the other side need not hold the window that the streams share.
// Connections to endpoints carry many clients, none of which may stall the others; what one client
// does to itself is given less.
static bool memory_is_plenty(const struct h2_session *h)
{
	const struct pool *chunks = &h->worker->chunks;

	return chunks->n_used < chunks->cap / (h->role->is_server ? 4 : 2);
}

static int on_data(
	nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct h2_session *h = arg;
	struct h2_stream *s = stream_by_id(ng, id);
	size_t n;

	(void)flags;
	if (s == NULL || s->stream.exchange == NULL || s->reset_sent) {
		nghttp2_session_consume(ng, id, len);
		return 0;
	}
	n = h2_queue_append(&s->in, &h->worker->chunks, bytes_of(data, len));
	s->owed += (uint32_t)n;
	if (n < len) {
		stat_inc(&h->worker->stats->h2_pool_empty);
		nghttp2_session_consume(ng, id, len - n);
		h2_stream_reset_for_shortage(s);
		return 0;
	}
	if (memory_is_plenty(h)) {
		nghttp2_session_consume_connection(ng, s->owed);
		s->owed = 0;
	}
	exchange_on_progress(s->stream.exchange);
	return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error_code, void *arg)
{
	struct h2_session *h = arg;
	struct h2_stream *s = stream_by_id(ng, id);

	if (s == NULL)
		return 0;
	s->known = false;
	if (h->receiving == s)
		drop_section(h);
	h->n_closed++;
	if (!s->out_left && !s->tunnel && !s->innocent)
		h2_session_note_early_reset(h);
	if (s->stream.exchange == NULL)
		h2_stream_free(&s);
	else if (h2_stream_is_answered(s))
		exchange_on_progress(s->stream.exchange);
	else
		h->role->on_closed(s, error_code);
	return 0;
}

// --- sending

// GOAWAY left. With an error it is nghttp2's, for what the peer sent, unless we calm it down.
static void note_error(struct h2_session *h, uint32_t code)
{
	if (code == NGHTTP2_NO_ERROR || code == NGHTTP2_ENHANCE_YOUR_CALM || h->broken)
		return;
	h->broken = true;
	stat_inc(&h->worker->stats->h2_frame_errors);
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_session *h = arg;
	struct h2_stream *s = stream_by_id(ng, frame->hd.stream_id);

	if (s != NULL)
		s->stream.wire_sent += frame->hd.length + FRAME_HEAD_LEN;
	switch (frame->hd.type) {
	case NGHTTP2_DATA: h->n_data_sent++; break;
	case NGHTTP2_RST_STREAM:
		if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
			stat_inc(&h->worker->stats->h2_tx_reset);
		// nghttp2 resets a stream whose window SETTINGS lifted too far; it is an error of
		// the connection (RFC 9113, 6.9.2).
		if (frame->rst_stream.error_code == NGHTTP2_FLOW_CONTROL_ERROR && h->settings_came)
			nghttp2_session_terminate_session(ng, NGHTTP2_FLOW_CONTROL_ERROR);
		return 0;
	case NGHTTP2_GOAWAY:
		stat_inc(&h->worker->stats->h2_tx_goaway);
		note_error(h, frame->goaway.error_code);
		return 0;
	case NGHTTP2_HEADERS: break;
	default: return 0;
	}
	if (s == NULL || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	s->out_left = true;
	if (s->stream.exchange != NULL)
		exchange_on_progress(s->stream.exchange);
	else if (!s->in_ended && h->role->is_server)
		// The answer is complete and nobody reads the request any more (RFC 9113, 8.1).
		h2_stream_reset(s, NGHTTP2_NO_ERROR);
	return 0;
}

// What was submitted does not leave. A request's stream is closed by nghttp2 itself.
static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2_session *h = arg;
	struct h2_stream *s = stream_by_id(ng, frame->hd.stream_id);

	(void)error;
	if (frame->hd.type == NGHTTP2_HEADERS && s != NULL && h->role->is_server)
		h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
	return 0;
}

// --- per worker

struct h2_worker *h2_worker_new(void)
{
	struct h2_worker *hw = calloc(1, sizeof(*hw));
	nghttp2_session_callbacks *cb;

	if (hw == NULL || nghttp2_session_callbacks_new(&hw->callbacks) != 0
		|| nghttp2_option_new(&hw->option) != 0) {
		h2_worker_free(&hw);
		return NULL;
	}
	cb = hw->callbacks;
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
	nghttp2_option_set_no_auto_window_update(hw->option, 1);
	// Closed streams are of use for priorities only, which are off.
	nghttp2_option_set_no_closed_streams(hw->option, 1);
	nghttp2_option_set_max_send_header_block_length(hw->option, SEND_HEAD_MAX);
	return hw;
}

void h2_worker_free(struct h2_worker **hp)
{
	struct h2_worker *hw = *hp;

	*hp = NULL;
	if (hw == NULL)
		return;
	nghttp2_session_callbacks_del(hw->callbacks);
	nghttp2_option_del(hw->option);
	free(hw);
}
