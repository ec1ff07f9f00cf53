#include "router/h2_session.h"

#include "router/exchange.h"

#include <assert.h>
#include <stdlib.h>

// What of a stream is given to nghttp2 in one event, so that one connection does not have the
// worker to itself: bytes, and frames, since small ones cost more than their bytes.
#define READ_MAX         65536u
#define READ_FRAMES_MAX  32u
// So many bytes between looks at the number of frames: fewer where frames are small.
#define READ_PIECE       4096u
#define READ_SMALL_PIECE 512u
#define SMALL_FRAMES     4u // of a small piece
// What nghttp2 may hold for a session: H2_IDLE_BYTES at rest, plus 100 streams, plus heads being sent.
#define MEMORY_MAX       (512u * 1024u)
// What of it is kept for frames that cannot be declined: answers to the peer's, ends of streams.
#define MEMORY_RESERVE   (64u * 1024u)
// The part of the pool of chunks that one connection's received bodies may fill.
#define WINDOW_SHARE     16u

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
		else if (h2_stream_is_answered(s))
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
	case NGHTTP2_ERR_CALLBACK_FAILURE: break; // punished
	case NGHTTP2_ERR_NOMEM: break;            // counted in the turn
	default:
		stat_inc(&h->worker->stats->h2_frame_errors);
		nghttp2_session_terminate_session(h->ng, NGHTTP2_PROTOCOL_ERROR);
	}
	send_frames(h);
	die(h);
}

static void receive_frames(struct h2_session *h, size_t max)
{
	size_t done = 0, piece = READ_SMALL_PIECE;

	h->n_frames = 0;
	while (!h->dead && done < max && (h->io_closed || h->n_frames < READ_FRAMES_MAX)) {
		struct bytes b = stream_peek(h->io);
		uint32_t before = h->n_frames;
		ssize_t n;

		if (b.len == 0)
			break;
		if (b.len > piece)
			b.len = piece;
		if (b.len > max - done)
			b.len = max - done;
		n = nghttp2_session_mem_recv(h->ng, b.ptr, b.len);
		if (n < 0) {
			give_up(h, (int)n);
			return;
		}
		stream_consume(h->io, (size_t)n);
		done += (size_t)n;
		piece = h->n_frames - before < SMALL_FRAMES ? READ_PIECE : READ_SMALL_PIECE;
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

void h2_session_lose(struct h2_session *h)
{
	h->lost = true;
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
	timer_cancel(w->timers, &h->ping_timer);
	nghttp2_session_del(h->ng);
	stat_dec(&w->stats->h2_sessions_active);
	pool_put(&w->h2_sessions, h);
}
