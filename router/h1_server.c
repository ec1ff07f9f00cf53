// HTTP/1.1 towards a client: one request at a time; what is pipelined behind it waits in the stream.

#include "router/downstream.h"

#include <string.h>

// Room that an interim response needs; without it the client goes on by itself after a while.
#define INTERIM_ROOM 256u

static struct downstream *conn_of(const struct codec_stream *s)
{
	return (struct downstream *)(uintptr_t)s;
}

static struct h1_limits limits_of(const struct snapshot *s)
{
	const struct http_config *http = &s->config->http;

	return (struct h1_limits){.max_head_bytes = http->max_head_bytes,
		.max_fields = http->max_fields,
		.accept_http_10 = http->accept_http_10};
}

static void update_wire(struct downstream *c)
{
	c->stream.wire_received = c->reader.wire;
	c->stream.wire_sent = c->writer.wire;
}

static void next_message(struct downstream *c, uint64_t now_us)
{
	h1_reader_start(&c->reader, H1_REQUEST);
	h1_writer_start(&c->writer, false);
	c->stream.exchange = NULL;
	c->stream.trailers = NULL;
	c->stream.wire_received = c->stream.wire_sent = 0;
	c->head_start_us = 0;
	c->idle_since_us = now_us;
	downstream_note_idle(c);
}

void h1_server_start(struct downstream *c, uint64_t now_us)
{
	next_message(c, now_us);
	timer_arm(c->worker->timers, &c->timer, downstream_next_check(c, now_us));
}

// No place for an exchange: the client is told by bytes that need none.
static void refuse_without_exchange(struct downstream *c, uint64_t now_us)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
				     "content-length: 16\r\n"
				     "content-type: text/plain\r\n"
				     "server: istio-envoy\r\n"
				     "connection: close\r\n"
				     "\r\n"
				     "envoy overloaded";

	stream_write(c->io, bytes_of(answer, sizeof(answer) - 1), false);
	exchange_log_refused(c->worker, &c->peer, HTTP_1_1, c->head_start_us, now_us);
	downstream_end(c, false, now_us);
}

static struct exchange *new_exchange(struct downstream *c, uint8_t *large, uint64_t now_us)
{
	struct exchange *x = exchange_new(
		c->worker, &c->stream, &c->peer, &c->arena, large, c->head_start_us, now_us);

	if (x == NULL) {
		pool_put(&c->worker->large_heads, large);
		refuse_without_exchange(c, now_us);
		return NULL;
	}
	c->head_start_us = 0;
	downstream_note_busy(c);
	return x;
}

// Envoy's rules of what asks for another protocol: "h2c" is not listened to, and a body has no place before the switch.
static const struct h1_error *judge_upgrade(struct http_head *request)
{
	const struct http_field *f = http_field_find(&request->fields, HTTP_FIELD_UPGRADE);

	if (!request->upgrade)
		return NULL;
	if (bytes_equal_nocase(f->value, BYTES("h2c"))) {
		request->upgrade = false;
		return NULL;
	}
	if (request->chunked || request->content_length > 0)
		return &H1_ERR_BODY_FORBIDDEN;
	http_field_remove_id(&request->fields, HTTP_FIELD_CONTENT_LENGTH);
	request->content_length = -1;
	return NULL;
}

static void take_head(struct downstream *c, uint8_t *head, size_t len, uint64_t now_us)
{
	struct h1_limits limits = limits_of(c->worker->snapshot);
	struct exchange *x = new_exchange(c, c->reader.took_large ? head : NULL, now_us);
	const struct h1_error *error;

	if (x == NULL)
		return;
	update_wire(c);
	error = h1_parse_request(head, len, &limits, &x->request);
	if (error == NULL)
		error = judge_upgrade(&x->request);
	if (error != NULL) {
		x->request.fields.n = 0;
		exchange_refuse(x, error);
		return;
	}
	h1_reader_start_body(&c->reader,
		x->request.upgrade ? H1_BODY_CLOSE : h1_request_body(&x->request),
		x->request.content_length);
	exchange_start(x);
}

void h1_server_read(struct downstream *c, uint64_t now_us)
{
	struct h1_limits limits = limits_of(c->worker->snapshot);
	struct exchange *x;
	uint8_t *head;
	size_t len;

	if (stream_readable(c->io) == 0) {
		// Between requests, or within a head: nothing can be answered.
		if (stream_read_ended(c->io)) {
			c->io_closed = true;
			downstream_end(c, false, now_us);
		}
		return;
	}
	if (c->head_start_us == 0)
		c->head_start_us = now_us;
	downstream_bind_table(c);
	switch (h1_reader_head(&c->reader, c->io, c->worker, &c->arena, &limits, &head, &len)) {
	case H1_DONE: take_head(c, head, len, now_us); break;
	case H1_ERROR:
		x = new_exchange(c, NULL, now_us);
		if (x != NULL)
			exchange_refuse(x, c->reader.error);
		break;
	case H1_MORE:
		if (stream_read_ended(c->io)) {
			c->io_closed = true;
			downstream_end(c, false, now_us);
		} else if (c->worker->snapshot->config->http.head_timeout_us > 0) {
			timer_arm(c->worker->timers, &c->timer,
				c->head_start_us
					+ c->worker->snapshot->config->http.head_timeout_us);
		}
		break;
	}
}

void h1_server_head_timeout(struct downstream *c, uint64_t now_us)
{
	struct exchange *x;

	downstream_bind_table(c);
	x = new_exchange(c, NULL, now_us);
	if (x != NULL)
		exchange_refuse_slow(x);
}

void h1_server_on_event(struct downstream *c, unsigned events)
{
	h1_reader_turn(&c->reader, c->io_closed);
	if (events & STREAM_WRITABLE)
		h1_writer_flush(&c->writer, c->io, c->worker);
	update_wire(c);
	exchange_on_progress(c->stream.exchange);
}

static void send_head(struct codec_stream *s, const struct http_head *head, bool end)
{
	struct downstream *c = conn_of(s);

	if (head->status < 200 && head->status != 101) {
		if (stream_room(c->io) >= INTERIM_ROOM)
			c->writer.wire += stream_write(c->io,
				bytes_of(c->worker->scratch,
					h1_encode_response(head, c->worker->scratch, SCRATCH_SIZE)),
				false);
	} else {
		h1_writer_head(&c->writer, c->io, c->worker, head, end);
	}
	if (c->writer.failed)
		exchange_on_downstream_end(s->exchange, DOWNSTREAM_CUT, NULL);
	update_wire(c);
}

static size_t send_body(struct codec_stream *s, struct bytes b)
{
	struct downstream *c = conn_of(s);
	size_t n = h1_writer_body(&c->writer, c->io, b);

	update_wire(c);
	return n;
}

static void send_end(struct codec_stream *s, const struct http_fields *trailers)
{
	struct downstream *c = conn_of(s);

	h1_writer_end(&c->writer, c->io, c->worker, trailers);
	if (c->writer.failed)
		exchange_on_downstream_end(s->exchange, DOWNSTREAM_CUT, NULL);
	if (s->exchange->state == EXCHANGE_TUNNEL)
		stream_shutdown(c->io);
	update_wire(c);
}

static bool send_pending(const struct codec_stream *s)
{
	return h1_writer_is_pending(&conn_of(s)->writer);
}

static enum codec_read peek_body(struct codec_stream *s, struct bytes *data)
{
	struct downstream *c = conn_of(s);
	struct exchange *x = s->exchange;
	struct h1_limits limits = limits_of(x->snapshot);
	enum h1_read r =
		h1_reader_peek_body(&c->reader, c->io, c->worker, &x->arena, &limits, data);

	update_wire(c);
	switch (r) {
	case H1_READ_DATA: return CODEC_DATA;
	case H1_READ_END: s->trailers = c->reader.trailers; return CODEC_END;
	case H1_READ_ERROR:
		if (c->reader.error != NULL)
			exchange_on_downstream_end(x, DOWNSTREAM_BROKEN, c->reader.error);
		else
			exchange_on_downstream_end(x, DOWNSTREAM_CUT, NULL);
		break;
	case H1_READ_TRUNCATED: exchange_on_downstream_end(x, DOWNSTREAM_GONE, NULL); break;
	case H1_READ_WAIT: break;
	}
	return CODEC_WAIT;
}

static void consume_body(struct codec_stream *s, size_t n)
{
	struct downstream *c = conn_of(s);

	h1_reader_consume_body(&c->reader, c->io, n);
	update_wire(c);
}

static void count_message(struct downstream *c)
{
	stat_add(&c->peer.hcm->downstream_cx_rx_bytes_total, c->stream.wire_received);
	stat_add(&c->peer.hcm->downstream_cx_tx_bytes_total, c->stream.wire_sent);
	c->stream.exchange = NULL;
}

static void release(struct codec_stream **sp, uint64_t now_us)
{
	struct downstream *c = conn_of(*sp);
	struct exchange *x = c->stream.exchange;
	bool keep = x->response.keep_alive && c->reader.ended && c->writer.ended && !c->io_closed
		&& c->listener->view != NULL;

	*sp = NULL;
	count_message(c);
	if (!keep) {
		if (c->worker->draining)
			stat_inc(&c->peer.hcm->downstream_cx_drain_close);
		downstream_end(c, false, now_us);
		return;
	}
	h1_reader_drop(&c->reader, c->worker);
	next_message(c, now_us);
	if (stream_readable(c->io) > 0 || stream_read_ended(c->io))
		ready_add(c->worker, &c->ready);
}

static void reset(struct codec_stream **sp, uint64_t now_us)
{
	struct downstream *c = conn_of(*sp);

	*sp = NULL;
	stat_inc(&c->peer.hcm->downstream_cx_destroy_active_rq);
	count_message(c);
	downstream_end(c, true, now_us);
}

const struct codec_ops h1_server_ops = {
	.name = "h1",
	.version = HTTP_1_1,
	.send_head = send_head,
	.send_body = send_body,
	.send_end = send_end,
	.send_pending = send_pending,
	.peek_body = peek_body,
	.consume_body = consume_body,
	.release = release,
	.reset = reset,
};
