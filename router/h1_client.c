// HTTP/1.1 towards an endpoint: one request at a time on a connection of the pool.

#include "router/exchange.h"
#include "router/upstream_conn.h"
#include "router/websocket.h"

static struct upstream_conn *conn_of(const struct codec_stream *s)
{
	return (struct upstream_conn *)(uintptr_t)s;
}

static void update_wire(struct upstream_conn *c)
{
	c->stream.wire_received = c->reader.wire;
	c->stream.wire_sent = c->writer.wire;
}

static struct h1_limits limits_of(const struct exchange *x)
{
	const struct http_config *http = &x->snapshot->config->http;

	return (struct h1_limits){.max_head_bytes = http->max_head_bytes,
		.max_fields = http->max_fields,
		.accept_http_10 = true};
}

void h1_client_start(struct upstream_conn *c)
{
	h1_reader_start(&c->reader, H1_RESPONSE);
	h1_writer_start(&c->writer, true);
	c->head_read = false;
	c->keep_alive = false;
	c->stream.trailers = NULL;
	c->stream.wire_received = c->stream.wire_sent = 0;
}

static void fail(struct upstream_conn *c, enum reset_reason reason)
{
	exchange_on_upstream_end(c->stream.exchange, reason, NULL);
}

// The response is not HTTP: the log says which rule it breaks. NULL: it asked for more memory than there is.
static void fail_rule(struct upstream_conn *c, const struct h1_error *e)
{
	struct cluster_stats *stats = &c->pool->endpoint->cluster->stats[c->worker->index];

	stat_inc(&stats->upstream_cx_protocol_error);
	if (e != NULL)
		router_count_endpoint_rule(c->worker, e);
	exchange_on_upstream_end(
		c->stream.exchange, RESET_PROTOCOL_ERROR, e != NULL ? e->rule : "no_memory");
}

// False for a protocol that nobody asked for, or that is not the one asked for, or before the question has left. Where the client
// speaks HTTP/2 the question has a key of ours (RFC 6455, 4.1).
static bool may_switch(const struct upstream_conn *c)
{
	const struct exchange *x = c->stream.exchange;

	return x->upgrade && exchange_upgrade_is_answered(&x->response)
		&& !h1_writer_is_pending(&c->writer)
		&& (x->request.version != HTTP_2
			|| websocket_is_accepted(&x->response.fields, &x->request.fields));
}

// A whole head is in x's arena. Returns false if reading stops here.
static bool take_head(struct upstream_conn *c, uint8_t *head, size_t len)
{
	struct exchange *x = c->stream.exchange;
	struct h1_limits limits = limits_of(x);
	uint64_t wire = c->reader.wire;
	const struct h1_error *error;

	if (c->reader.took_large) {
		pool_put(&c->worker->large_heads, x->large_response);
		x->large_response = head;
	}
	error = h1_parse_response(head, len, &limits, &x->response);
	if (error == NULL && x->response.status == 101 && !may_switch(c))
		error = &H1_ERR_STATUS_UPGRADE;
	if (error != NULL) {
		fail_rule(c, error);
		return false;
	}
	if (x->response.status < 200 && x->response.status != 101) {
		if (x->response.status == 100)
			exchange_on_continue(x);
		h1_reader_start(&c->reader, H1_RESPONSE);
		c->reader.wire = wire;
		return true;
	}
	c->head_read = true;
	c->keep_alive = x->response.keep_alive;
	h1_reader_start_body(&c->reader,
		x->response.status == 101 ? H1_BODY_CLOSE
					  : h1_response_body(&x->response, x->request.method),
		x->response.content_length);
	if (x->upgrade)
		c->upgrade_asked = true;
	if (x->upgrade && x->response.status != 101)
		h1_writer_end(&c->writer, c->io, c->worker, NULL);
	if (!c->keep_alive)
		stat_inc(&c->pool->endpoint->cluster->stats[c->worker->index]
				  .upstream_cx_close_notify);
	exchange_on_response(x);
	return false;
}

static void read_heads(struct upstream_conn *c)
{
	struct exchange *x = c->stream.exchange;
	struct h1_limits limits = limits_of(x);

	for (;;) {
		uint8_t *head;
		size_t len;

		switch (h1_reader_head(
			&c->reader, c->io, c->worker, &x->arena, &limits, &head, &len)) {
		case H1_DONE:
			if (!take_head(c, head, len))
				return;
			break;
		case H1_ERROR: fail_rule(c, c->reader.error); return;
		case H1_MORE:
			if (c->io_closed || stream_read_ended(c->io))
				fail(c, RESET_CONNECTION_TERMINATION);
			return;
		}
	}
}

void h1_client_on_event(struct upstream_conn *c, unsigned events, uint64_t now_us)
{
	struct exchange *x = c->stream.exchange;

	(void)now_us;
	if (events & STREAM_CLOSED)
		c->io_closed = true;
	h1_reader_turn(&c->reader, c->io_closed);
	if (!c->io_closed && events & STREAM_WRITABLE)
		h1_writer_flush(&c->writer, c->io, c->worker);
	if (!c->head_read && events & (STREAM_READABLE | STREAM_CLOSED) && !x->upstream_failed)
		read_heads(c);
	update_wire(c);
	// The endpoint had ended its direction of a tunnel, so nobody reads any more.
	if (c->io_closed && c->reader.ended && x->state == EXCHANGE_TUNNEL)
		fail(c, RESET_CONNECTION_TERMINATION);
	exchange_on_progress(x);
}

static void send_head(struct codec_stream *s, const struct http_head *head, bool end)
{
	struct upstream_conn *c = conn_of(s);

	h1_writer_head(&c->writer, c->io, c->worker, head, end);
	if (c->writer.failed)
		fail(c, RESET_LOCAL_RESET);
	update_wire(c);
}

static size_t send_body(struct codec_stream *s, struct bytes b)
{
	struct upstream_conn *c = conn_of(s);
	size_t n = h1_writer_body(&c->writer, c->io, b);

	update_wire(c);
	return n;
}

static void send_end(struct codec_stream *s, const struct http_fields *trailers)
{
	struct upstream_conn *c = conn_of(s);

	h1_writer_end(&c->writer, c->io, c->worker, trailers);
	if (c->writer.failed)
		fail(c, RESET_LOCAL_RESET);
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
	struct upstream_conn *c = conn_of(s);
	struct exchange *x = s->exchange;
	struct h1_limits limits = limits_of(x);

	switch (h1_reader_peek_body(&c->reader, c->io, c->worker, &x->arena, &limits, data)) {
	case H1_READ_DATA: return CODEC_DATA;
	case H1_READ_END:
		s->trailers = c->reader.trailers;
		update_wire(c);
		return CODEC_END;
	case H1_READ_ERROR: fail_rule(c, c->reader.error); return CODEC_WAIT;
	case H1_READ_TRUNCATED: fail(c, RESET_CONNECTION_TERMINATION); return CODEC_WAIT;
	case H1_READ_WAIT:
		if (c->io_closed)
			fail(c, RESET_CONNECTION_TERMINATION);
		break;
	}
	return CODEC_WAIT;
}

static void consume_body(struct codec_stream *s, size_t n)
{
	struct upstream_conn *c = conn_of(s);

	h1_reader_consume_body(&c->reader, c->io, n);
	update_wire(c);
}

static void release(struct codec_stream **sp, uint64_t now_us)
{
	struct upstream_conn *c = conn_of(*sp);
	// Bytes behind the response mean that the two sides do not agree on where it ended.
	// An endpoint that refused to switch may yet think otherwise.
	bool reusable = c->head_read && c->reader.ended && c->writer.ended && c->keep_alive
		&& !c->upgrade_asked && !c->io_closed && stream_readable(c->io) == 0
		&& !stream_read_ended(c->io);

	*sp = NULL;
	upstream_conn_free_up(c, reusable, now_us);
}

static void reset(struct codec_stream **sp, uint64_t now_us)
{
	struct upstream_conn *c = conn_of(*sp);

	*sp = NULL;
	upstream_conn_free_up(c, false, now_us);
}

const struct codec_ops h1_client_ops = {
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
