#include "router/h2_server.h"

#include "router/downstream.h"
#include "router/h2_error.h"
#include "router/h2_session.h"

#include <string.h>

enum goaway {
	GOAWAY_NONE,
	GOAWAY_ANNOUNCED,
	GOAWAY_FINAL,
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum h2_preface h2_server_sniff(struct stream *io)
{
	size_t done = 0;

	while (done < sizeof(preface) - 1) {
		struct bytes b = stream_peek_at(io, done);

		if (b.len == 0)
			return H2_PREFACE_MAYBE;
		if (b.len > sizeof(preface) - 1 - done)
			b.len = sizeof(preface) - 1 - done;
		if (memcmp(b.ptr, preface + done, b.len) != 0)
			return H2_PREFACE_NO;
		done += b.len;
	}
	return H2_PREFACE_YES;
}

// --- what the session reports

static void on_head(struct h2_stream *s, bool end)
{
	struct h2_session *h = s->session;
	struct downstream *c = h->owner;
	const struct h1_error *error;
	struct exchange *x;

	downstream_bind_table(c);
	x = exchange_new(c->worker, &s->stream, &c->peer, &s->arena, NULL, s->start_us, h->now_us);
	if (x == NULL) {
		exchange_log_refused(c->worker, &c->peer, HTTP_2, s->start_us, h->now_us);
		h2_stream_reset_for_shortage(s);
		return;
	}
	h->n_used++;
	error = h2_fields_request(s, h->fields, end, &x->request);
	x->large_request = s->large;
	s->large = NULL;
	s->head_done = true;
	if (error != NULL) {
		if (error->status != 431)
			stat_inc(&c->worker->stats->h2_messaging_errors);
		x->request.fields.n = 0;
		exchange_refuse(x, error);
		return;
	}
	exchange_start(x);
}

static const struct h1_error *const flood_errors[H2_N_ABUSES] = {
#define H2_ABUSE(name, counter) [H2_ABUSE_##name] = &H2_ERR_FLOOD_##name,
#include "router/h2_abuse.def"
};

static void on_closed(struct h2_stream *s, uint32_t error_code)
{
	struct h2_session *h = s->session;
	struct exchange *x = s->stream.exchange;

	(void)error_code;
	if (h->stalled) {
		x->owes_room = true;
		exchange_on_downstream_end(x, DOWNSTREAM_SLOW, NULL);
	} else if (s->reset_received) {
		exchange_on_downstream_end(x, DOWNSTREAM_RESET, NULL);
	} else if (h->dead && !h->broken && !h->punished) {
		exchange_on_downstream_end(x, DOWNSTREAM_GONE, NULL);
	} else if (h->punished) {
		exchange_on_downstream_end(x, DOWNSTREAM_VIOLATION, flood_errors[h->abuse]);
	} else {
		exchange_on_downstream_end(x, DOWNSTREAM_VIOLATION, &H2_ERR_RESET);
	}
}

static void on_turn(struct h2_session *h, uint64_t now_us)
{
	struct downstream *c = h->owner;
	const struct http_config *http = &c->worker->snapshot->config->http;

	if (h->dead) {
		if (h->broken || h->punished)
			stat_inc(&c->peer.hcm->downstream_cx_protocol_error);
		if (h->n_used == 0)
			downstream_end(c, h->io_closed || h->lost, now_us);
		return;
	}
	if (h->n_used > 0) {
		c->idle_since_us = now_us;
		downstream_note_busy(c);
	} else {
		downstream_note_idle(c);
	}
	if (h->starved)
		timer_arm_by(c->worker->timers, &c->timer, now_us + H2_STARVED_US);
	if (h->receiving != NULL && http->head_timeout_us > 0)
		timer_arm_by(
			c->worker->timers, &c->timer, h->section_start_us + http->head_timeout_us);
	if (c->worker->draining && c->goaway == GOAWAY_NONE)
		h2_server_drain(c, now_us);
}

static const struct h2_role role = {
	.is_server = true,
	.ops = &h2_server_ops,
	.on_head = on_head,
	.on_closed = on_closed,
	.on_turn = on_turn,
};

// --- the connection

bool h2_server_start(struct downstream *c, uint64_t now_us)
{
	const struct http_config *http = &c->worker->snapshot->config->http;

	c->h2 = h2_session_new(c->worker, &role, c, c->io, http, now_us);
	if (c->h2 == NULL)
		return false;
	h2_session_keep_alive(c->h2, http->ping_interval_us, http->ping_timeout_us, now_us);
	return true;
}

uint32_t h2_server_n_requests(const struct downstream *c)
{
	return c->h2->n_used;
}

void h2_server_drain(struct downstream *c, uint64_t now_us)
{
	if (c->goaway != GOAWAY_NONE || c->h2->dead)
		return;
	c->goaway = GOAWAY_ANNOUNCED;
	c->goaway_us = now_us;
	nghttp2_submit_shutdown_notice(c->h2->ng);
	h2_session_wake(c->h2);
	timer_arm_by(c->worker->timers, &c->timer, now_us + c->worker->goaway_us);
}

static void finish_drain(struct downstream *c)
{
	c->goaway = GOAWAY_FINAL;
	stat_inc(&c->peer.hcm->downstream_cx_drain_close);
	nghttp2_submit_goaway(c->h2->ng, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(c->h2->ng), NGHTTP2_NO_ERROR, NULL, 0);
	h2_session_wake(c->h2);
}

uint32_t h2_server_cut(struct downstream *c)
{
	uint32_t n = 0;

	list_foreach (node, &c->h2->streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, node);

		if (s->stream.exchange == NULL)
			continue;
		exchange_on_downstream_end(s->stream.exchange, DOWNSTREAM_CUT, NULL);
		n++;
	}
	c->h2->ending = true;
	nghttp2_session_terminate_session(c->h2->ng, NGHTTP2_NO_ERROR);
	h2_session_wake(c->h2);
	return n;
}

// Ends the streams whose bodies do not move. Returns when the next one is due.
static uint64_t check_streams(struct downstream *c, uint64_t now_us)
{
	uint64_t next = UINT64_MAX;

	list_foreach (node, &c->h2->streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, node);

		if (s->stream.exchange != NULL) {
			uint64_t due = exchange_check_time(s->stream.exchange, now_us);

			next = due < next ? due : next;
		}
	}
	return next;
}

// The client does not read what is sent to it, whatever the streams' windows say. True if it is given up.
static bool check_reader(struct downstream *c, const struct http_config *http, uint64_t now_us)
{
	uint64_t least = http->body_rate_window_us * http->min_body_rate / 1000000, next;

	if (least == 0 || c->h2->dead
		|| !pace_is_slow(&c->h2->pace, c->h2->n_written, least, http->body_rate_window_us,
			now_us, &next))
		return false;
	stat_inc(&c->worker->stats->downstream_slow_readers);
	h2_session_give_up(c->h2);
	return true;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t h2_server_check(struct downstream *c, bool *gone, uint64_t now_us)
{
	const struct http_config *http = &c->worker->snapshot->config->http;
	struct h2_session *h = c->h2;
	uint64_t next = check_streams(c, now_us);
	uint64_t head = downstream_deadline(h->section_start_us, http->head_timeout_us);

	*gone = false;
	h->now_us = now_us;
	if (check_reader(c, http, now_us))
		return UINT64_MAX;
	if (h->starved) {
		h2_session_wake_all(h);
		next = earlier(next, now_us + H2_STARVED_US);
	}
	if (c->worker->draining)
		h2_server_drain(c, now_us);
	if (c->goaway == GOAWAY_ANNOUNCED) {
		if (now_us >= c->goaway_us + c->worker->goaway_us)
			finish_drain(c);
		else
			next = earlier(next, c->goaway_us + c->worker->goaway_us);
	}
	if (h->receiving != NULL) {
		if (now_us < head)
			return earlier(next, head);
		stat_inc(&c->peer.hcm->downstream_rq_timeout);
		nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM);
		h2_session_wake(h);
	} else if (h->n_streams == 0 && !h->dead) {
		uint64_t idle = downstream_deadline(c->idle_since_us, http->idle_timeout_us);

		if (now_us < idle)
			return earlier(earlier(next, idle), downstream_look_at(http, now_us));
		stat_inc(&c->peer.hcm->downstream_cx_idle_timeout);
		nghttp2_session_terminate_session(h->ng, NGHTTP2_NO_ERROR);
		h2_session_wake(h);
	}
	// Nothing of the above is near; what begins later is found at the next look.
	return earlier(next, downstream_look_at(http, now_us));
}

// --- what an exchange does

static void send_head(struct codec_stream *cs, const struct http_head *head, bool end)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2_session *h = s->session;
	nghttp2_nv nv[H2_MAX_NV];
	uint8_t status[3];
	nghttp2_data_provider provider = h2_stream_provider(s);
	int n;

	if (!s->known || s->reset_sent || h->dead)
		return;
	n = h2_fields_of_response(head, status, nv);
	if (n < 0 || !h2_session_can_hold(h, nv, (size_t)n)) {
		h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
		exchange_on_downstream_end(cs->exchange, DOWNSTREAM_CUT, NULL);
		return;
	}
	s->tunnel = head->status == 101;
	if (head->status < 200 && !s->tunnel) {
		nghttp2_submit_headers(h->ng, NGHTTP2_FLAG_NONE, s->id, NULL, nv, (size_t)n, NULL);
	} else {
		s->head_sent = true;
		s->out_ended = end;
		nghttp2_submit_response(h->ng, s->id, nv, (size_t)n, end ? NULL : &provider);
	}
	h2_session_wake(h);
}

static void give_back(struct h2_stream *s)
{
	struct downstream *c = s->session->owner;

	stat_add(&c->peer.hcm->downstream_cx_rx_bytes_total, s->stream.wire_received);
	stat_add(&c->peer.hcm->downstream_cx_tx_bytes_total, s->stream.wire_sent);
	h2_stream_detach(s);
}

static void release(struct codec_stream **sp, uint64_t now_us)
{
	struct h2_stream *s = h2_stream_of(*sp);

	(void)now_us;
	*sp = NULL;
	// The client goes on sending what nobody reads (RFC 9113, 8.1). Before the answer has left,
	// see on_frame_send().
	if (s->out_left && !s->in_ended)
		h2_stream_reset(s, NGHTTP2_NO_ERROR);
	give_back(s);
}

static void reset(struct codec_stream **sp, uint64_t now_us)
{
	struct h2_stream *s = h2_stream_of(*sp);

	(void)now_us;
	*sp = NULL;
	s->innocent |= s->stream.exchange->downstream_end == DOWNSTREAM_FAILED;
	// nghttp2 drops a head that waits behind a reset; the client is to see what was said.
	if (s->head_sent)
		h2_session_flush(s->session);
	// RFC 8441, 5: what a reset of TCP would be.
	h2_stream_reset(s, s->tunnel ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
	give_back(s);
}

const struct codec_ops h2_server_ops = {
	.name = "h2",
	.version = HTTP_2,
	.send_head = send_head,
	.send_body = h2_stream_send_body,
	.send_end = h2_stream_send_end,
	.send_pending = h2_stream_send_pending,
	.peek_body = h2_stream_peek_body,
	.consume_body = h2_stream_consume_body,
	.release = release,
	.reset = reset,
};
