#include "router/h2_session.h"

#include "router/exchange.h"
#include "router/h2_error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// What of a stream is given to nghttp2 in one event, so that one connection does not have the
// worker to itself.
#define READ_MAX         65536u
// What nghttp2 may hold for a session: 17 KB at rest, plus 100 streams, plus heads being sent.
#define MEMORY_MAX       (512u * 1024u)
// What of it is kept for frames that cannot be declined: answers to the peer's, ends of streams.
#define MEMORY_RESERVE   (64u * 1024u)
// A head of the largest size, as we forward it, with what HPACK may add.
#define SEND_HEAD_MAX    (2u * LARGE_HEAD_SIZE)
// The part of the pool of chunks that one connection's received bodies may fill.
#define WINDOW_SHARE     16u
// A field section may be so many times larger than allowed before the connection is given up; until
// then it is decoded, so that its stream alone is refused.
#define SECTION_FACTOR   4u
// A burst of control frames is forgiven in so many seconds.
#define CONTROL_REFILL_S 10u
#define FRAME_HEAD_LEN   9u // RFC 9113, 4.1

struct h2_worker {
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
};

static struct h2_stream *stream_by_id(nghttp2_session *ng, int32_t id)
{
	return id > 0 ? nghttp2_session_get_stream_user_data(ng, id) : NULL;
}

// --- abuse

void h2_session_punish(struct h2_session *h, enum h2_abuse why)
{
	struct router_stats *stats = h->worker->stats;

	if (h->punished || h->dead)
		return;
	h->punished = true;
	h->abuse = (uint8_t)why;
	switch (why) {
#define H2_ABUSE(name, counter)                       \
	case H2_ABUSE_##name:                         \
		stat_inc(&stats->h2_flood_##counter); \
		break;
#include "router/h2_abuse.def"
	case H2_N_ABUSES: break;
	}
	nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM);
	h2_session_wake(h);
}

// A stream ended before its answer did. Alone that is a client's right; as a habit it is a way to
// make work for nothing.
static void count_early_reset(struct h2_session *h)
{
	h->n_early_resets++;
	if (h->role->is_server && h->n_early_resets > h->limits.max_early_resets
		&& h->n_early_resets * 2 >= h->n_closed)
		h2_session_punish(h, H2_ABUSE_EARLY_RESETS);
}

static void count_control(struct h2_session *h)
{
	uint64_t burst = h->limits.max_control_frames;
	uint64_t refill = (h->now_us - h->control_since_us) * burst / (CONTROL_REFILL_S * 1000000u);

	if (refill > 0) {
		h->control_since_us = h->now_us;
		h->control_credit =
			(uint32_t)(h->control_credit + refill > burst ? burst
								      : h->control_credit + refill);
	}
	if (h->control_credit == 0)
		h2_session_punish(h, H2_ABUSE_CONTROL);
	else
		h->control_credit--;
}

static bool is_empty_frame(const nghttp2_frame_hd *hd)
{
	if (hd->length > 0)
		return false;
	switch (hd->type) {
	case NGHTTP2_DATA: return !(hd->flags & NGHTTP2_FLAG_END_STREAM);
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION: return !(hd->flags & NGHTTP2_FLAG_END_HEADERS);
	default: return false;
	}
}

// Clients number their streams upwards (RFC 9113, 5.1.1). nghttp2 takes a stream that was left out
// for one that is closed, whose frames it ignores; of the last ones left out we know better.
static void check_order(struct h2_session *h, int32_t id)
{
	if (id > h->last_id + 2) {
		h->skipped_after = h->last_id;
		h->skipped_before = id;
	}
	if (id > h->last_id)
		h->last_id = id;
	else if (id > h->skipped_after && id < h->skipped_before)
		nghttp2_session_terminate_session(h->ng, NGHTTP2_PROTOCOL_ERROR);
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2_session *h = arg;

	(void)ng;
	if (is_empty_frame(hd)) {
		if (++h->n_empty > h->limits.max_empty_frames)
			h2_session_punish(h, H2_ABUSE_EMPTY_FRAMES);
	} else if (hd->type == NGHTTP2_DATA || hd->type == NGHTTP2_HEADERS) {
		h->n_empty = 0;
	}
	switch (hd->type) {
	case NGHTTP2_PRIORITY:
		// nghttp2 does not look at what it ignores.
		if (hd->stream_id == 0)
			nghttp2_session_terminate_session(h->ng, NGHTTP2_PROTOCOL_ERROR);
		__attribute__((fallthrough));
	case NGHTTP2_PRIORITY_UPDATE:
		if (++h->n_priority > h->limits.max_priority_frames * (1 + h->n_opened))
			h2_session_punish(h, H2_ABUSE_PRIORITY);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		// Envoy's formula.
		if (++h->n_window_updates
			> 5 + 2 * (h->n_opened + h->limits.max_window_updates * h->n_data_sent))
			h2_session_punish(h, H2_ABUSE_WINDOW_UPDATES);
		break;
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PING: count_control(h); break;
	case NGHTTP2_HEADERS:
		if (h->role->is_server)
			check_order(h, hd->stream_id);
		break;
	default: break;
	}
	return 0;
}

// --- receiving

// Each stream gets its turn of one frame, whatever its peer would like (RFC 9218, 10 leaves it to
// us).
static void set_fair(struct h2_session *h, int32_t id)
{
	nghttp2_extpri fair = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};

	nghttp2_session_change_extpri_stream_priority(h->ng, id, &fair, 1);
}

static int refuse_stream(struct h2_session *h, int32_t id)
{
	stat_inc(&h->worker->stats->h2_streams_refused);
	h->n_closed++;
	count_early_reset(h);
	nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
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
		if (h->punished || h->n_streams >= h->limits.max_concurrent_streams)
			return refuse_stream(h, frame->hd.stream_id);
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
	if (h->fields == NULL)
		h->fields = pool_get(&h->worker->trailers);
	if (h->fields == NULL) {
		stat_inc(&h->worker->stats->h2_pool_empty);
		h2_stream_reset(s, NGHTTP2_REFUSED_STREAM);
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
	if (h->section_bytes > SECTION_FACTOR * LARGE_HEAD_SIZE)
		h2_session_punish(h, H2_ABUSE_FIELDS);
	else
		h->section_bytes += (uint32_t)(name_len + value_len) + H2_FIELD_OVERHEAD;
	if (s == NULL || s != h->receiving || s->too_large || h->punished)
		return 0;
	if (h2_fields_add(s, h->fields, bytes_of(name, name_len), bytes_of(value, value_len))) {
		if (s->too_large)
			stat_inc(&h->worker->stats->h2_header_overflow);
		return 0;
	}
	h2_stream_reset(s, NGHTTP2_REFUSED_STREAM);
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
		h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
		return 0;
	}
	if (memory_is_plenty(h)) {
		nghttp2_session_consume_connection(ng, s->owed);
		s->owed = 0;
	}
	exchange_on_progress(s->stream.exchange);
	return 0;
}

// True if 's' ended as it should: its answer is whole. A tunnel has two directions to end.
static bool is_answered(const struct h2_session *h, const struct h2_stream *s)
{
	if (s->tunnel)
		return s->out_left && s->in_ended;
	return h->role->is_server ? s->out_left : s->in_ended;
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
	if (!s->out_left && !s->tunnel)
		count_early_reset(h);
	if (s->stream.exchange == NULL)
		h2_stream_free(&s);
	else if (is_answered(h, s))
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

static void die(struct h2_session *h)
{
	if (h->dead)
		return;
	h->dead = true;
	h->out = (struct bytes){NULL, 0};
	list_foreach_safe (node, &h->streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, node);

		if (s->stream.exchange == NULL)
			h2_stream_free(&s);
		else if (is_answered(h, s))
			exchange_on_progress(s->stream.exchange);
		else
			h->role->on_closed(s, h->broken ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_CANCEL);
	}
}

static void send_frames(struct h2_session *h)
{
	while (!h->dead && !h->io_closed) {
		size_t taken;

		if (h->out.len == 0) {
			const uint8_t *data;
			ssize_t n = nghttp2_session_mem_send(h->ng, &data);

			if (n < 0)
				die(h);
			if (n <= 0)
				return;
			h->out = bytes_of(data, (size_t)n);
		}
		taken = stream_write(h->io, h->out, false);
		h->out = bytes_skip(h->out, taken);
		h->n_written += taken;
		pace_note(&h->pace, h->out.len > 0, h->n_written, h->now_us);
		if (h->out.len > 0) {
			stream_want_write(h->io, h->out.len);
			return;
		}
	}
}

// nghttp2 cannot go on: the peer is told why, if it can be told anything.
static void give_up(struct h2_session *h, int error)
{
	h->broken = true;
	switch (error) {
	case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
		h2_session_punish(h, H2_ABUSE_CONTINUATIONS);
		break;
	case NGHTTP2_ERR_FLOODED: h2_session_punish(h, H2_ABUSE_CONTROL); break;
	case NGHTTP2_ERR_NOMEM: break; // counted in the turn
	default:
		stat_inc(&h->worker->stats->h2_frame_errors);
		nghttp2_session_terminate_session(h->ng, NGHTTP2_PROTOCOL_ERROR);
	}
	send_frames(h);
	die(h);
}

static void receive_frames(struct h2_session *h, size_t max)
{
	size_t done = 0;

	while (!h->dead && done < max) {
		struct bytes b = stream_peek(h->io);
		ssize_t n;

		if (b.len == 0)
			break;
		if (b.len > max - done)
			b.len = max - done;
		n = nghttp2_session_mem_recv(h->ng, b.ptr, b.len);
		if (n < 0) {
			give_up(h, (int)n);
			return;
		}
		stream_consume(h->io, (size_t)n);
		done += (size_t)n;
	}
	if (!h->dead && stream_readable(h->io) > 0)
		stream_want_read(h->io);
}

void h2_session_on_event(struct h2_session *h, unsigned events, uint64_t now_us)
{
	h->now_us = now_us;
	// What came before the end counts; windows and the receive buffer bound it.
	if (events & STREAM_CLOSED)
		h->io_closed = true;
	if (events & (STREAM_READABLE | STREAM_CLOSED))
		receive_frames(h, h->io_closed ? SIZE_MAX : READ_MAX);
	if (h->io_closed || stream_read_ended(h->io))
		die(h);
	h2_session_wake(h);
}

void h2_session_flush(struct h2_session *h)
{
	send_frames(h);
}

void h2_session_wake(struct h2_session *h)
{
	ready_add(h->worker, &h->ready);
}

void h2_session_give_up(struct h2_session *h)
{
	h->stalled = true;
	die(h);
	h2_session_wake(h);
}

void h2_session_wake_all(struct h2_session *h)
{
	h->starved = false;
	list_foreach (node, &h->streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, node);

		if (s->stream.exchange != NULL)
			exchange_on_progress(s->stream.exchange);
	}
}

static void turn(struct ready *r, uint64_t now_us)
{
	struct h2_session *h = container_of(r, struct h2_session, ready);

	h->now_us = now_us;
	send_frames(h);
	h->settings_came &= h->out.len > 0;
	if (h->memory.n_refused > 0) {
		h->memory.n_refused = 0;
		stat_inc(&h->worker->stats->h2_memory_refused);
		h->broken = true;
		die(h);
	}
	if (h->ending && h->n_used == 0)
		die(h);
	// Everything said and nothing more to hear: GOAWAY was sent, by us or by nghttp2 for an
	// error of the peer.
	if (!h->dead && h->out.len == 0 && !nghttp2_session_want_read(h->ng)
		&& !nghttp2_session_want_write(h->ng))
		die(h);
	h->role->on_turn(h, now_us);
}

// --- life

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

void h2_limits_of(const struct http2_config *config, struct http2_config *out)
{
	*out = *config;
#define H2_LIMIT(member, name, dflt, min, max, help) \
	if (out->member == 0)                        \
		out->member = (dflt);
#include "router/h2_limits.def"
}

static uint32_t connection_window(const struct h2_session *h)
{
	uint64_t share = (uint64_t)h->worker->chunks.cap * ARENA_CHUNK_SIZE / WINDOW_SHARE;
	uint32_t window = h->limits.connection_window;

	if (window > share)
		window = (uint32_t)share;
	return window < NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE
		? NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE
		: window;
}

// Of one stream: at most half of what all have, so that one that stalls leaves room for others.
static uint32_t stream_window(const struct h2_session *h)
{
	uint32_t half = connection_window(h) / 2;

	return h->limits.stream_window < half ? h->limits.stream_window : half;
}

static bool submit_settings(struct h2_session *h, bool extended_connect)
{
	uint32_t window = stream_window(h);
	nghttp2_settings_entry server[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,  h->limits.max_concurrent_streams},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,     window                          },
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                 h->max_head_bytes + H2_FIELD_OVERHEAD * h->max_fields                     },
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES,   1                               },
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1                               },
	};
	nghttp2_settings_entry client[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH,          0             },
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,  window        },
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                 h->max_head_bytes + H2_FIELD_OVERHEAD * h->max_fields},
	};
	bool is_server = h->role->is_server;
	size_t n_server = extended_connect ? 5 : 4;

	return nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, is_server ? server : client,
		       is_server ? n_server : 3)
		== 0
		&& nghttp2_session_set_local_window_size(
			   h->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)connection_window(h))
		== 0;
}

struct h2_session *h2_session_new(struct router_worker *w, const struct h2_role *role, void *owner,
	struct stream *io, const struct http_config *http, uint64_t now_us)
{
	struct h2_session *h = pool_get_zeroed(&w->h2_sessions);
	int error;

	if (h == NULL) {
		stat_inc(&w->stats->h2_pool_empty);
		return NULL;
	}
	h->worker = w;
	h->role = role;
	h->owner = owner;
	h->io = io;
	h->now_us = now_us;
	h->max_head_bytes = http->max_head_bytes;
	h->max_fields = http->max_fields;
	h2_limits_of(&http->http2, &h->limits);
	h->control_credit = h->limits.max_control_frames;
	h->control_since_us = now_us;
	list_init(&h->streams);
	ready_init(&h->ready, turn);
	h2_memory_init(&h->memory, MEMORY_MAX);
	nghttp2_option_set_max_continuations(w->h2->option, h->limits.max_continuations);
	error = role->is_server ? nghttp2_session_server_new3(
			&h->ng, w->h2->callbacks, h, w->h2->option, &h->memory.mem)
				: nghttp2_session_client_new3(
					&h->ng, w->h2->callbacks, h, w->h2->option, &h->memory.mem);
	if (error != 0 || !submit_settings(h, http->extended_connect)) {
		stat_inc(&w->stats->h2_pool_empty);
		nghttp2_session_del(h->ng);
		pool_put(&w->h2_sessions, h);
		return NULL;
	}
	stat_inc(&w->stats->h2_sessions_active);
	h2_session_wake(h);
	return h;
}

bool h2_session_can_hold(struct h2_session *h, const nghttp2_nv *nv, size_t n)
{
	size_t bytes = MEMORY_RESERVE;

	// nghttp2 copies the fields, and encodes them with up to twelve bytes more for each.
	for (size_t i = 0; i < n; i++)
		bytes += 2 * (nv[i].namelen + nv[i].valuelen) + sizeof(nv[i]) + 12;
	if (h->memory.max - h->memory.used >= bytes)
		return true;
	stat_inc(&h->worker->stats->h2_heads_refused);
	return false;
}

void h2_session_say_goodbye(struct h2_session *h)
{
	if (h->dead)
		return;
	nghttp2_session_terminate_session(h->ng, NGHTTP2_NO_ERROR);
	send_frames(h);
}

void h2_session_free(struct h2_session **hp)
{
	struct h2_session *h = *hp;
	struct router_worker *w = h->worker;

	*hp = NULL;
	assert(h->n_used == 0);
	h->dead = true;
	list_foreach_safe (node, &h->streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, node);

		h2_stream_free(&s);
	}
	pool_put(&w->trailers, h->fields);
	list_remove(&h->ready.node);
	nghttp2_session_del(h->ng);
	stat_dec(&w->stats->h2_sessions_active);
	pool_put(&w->h2_sessions, h);
}
