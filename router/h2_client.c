// HTTP/2 towards an endpoint: many requests at a time on a connection of the pool, each a stream.

#include "router/exchange.h"
#include "router/h2_session.h"
#include "router/upstream_conn.h"

struct upstream_conn *h2_client_conn(const struct codec_stream *s)
{
	return ((const struct h2_stream *)(const void *)s)->session->owner;
}

// Of the endpoint's SETTINGS.
static uint32_t max_streams(const struct h2_session *h)
{
	return nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

// RFC 8441, 3: only an endpoint that said so may be asked.
static bool takes_connect(const struct h2_session *h)
{
	return nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL)
		== 1;
}

static void fail(struct h2_stream *s, enum reset_reason reason)
{
	struct upstream_conn *c = s->session->owner;

	// The first reason is the cause of the others.
	if (s->stream.exchange == NULL || s->stream.exchange->upstream_failed)
		return;
	if (reason == RESET_PROTOCOL_ERROR)
		stat_inc(&c->pool->endpoint->cluster->stats[c->worker->index]
				  .upstream_cx_protocol_error);
	exchange_on_upstream_end(s->stream.exchange, reason, NULL);
}

static void on_head(struct h2_stream *s, bool end)
{
	struct h2_session *h = s->session;
	struct exchange *x = s->stream.exchange;

	if (x == NULL || x->upstream_failed)
		return;
	if (h2_fields_response(s, h->fields, end, &x->response) != NULL) {
		stat_inc(&h->worker->stats->h2_messaging_errors);
		h2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
		fail(s, RESET_PROTOCOL_ERROR);
		return;
	}
	if (s->status < 200) {
		if (s->status == 100)
			exchange_on_continue(x);
		return;
	}
	s->head_done = true;
	pool_put(&h->worker->large_heads, x->large_response);
	x->large_response = s->large;
	s->large = NULL;
	exchange_on_response(x);
}

static void on_closed(struct h2_stream *s, uint32_t error_code)
{
	const struct h2_session *h = s->session;

	if (h->dead)
		fail(s, h->broken ? RESET_PROTOCOL_ERROR : RESET_CONNECTION_TERMINATION);
	else if (s->reset_sent)
		// By us: for want of memory, or for what the endpoint said.
		fail(s, s->bad ? RESET_PROTOCOL_ERROR : RESET_LOCAL_RESET);
	else if (error_code == NGHTTP2_REFUSED_STREAM)
		// Also what nghttp2 says of streams that GOAWAY leaves out: not processed (RFC 9113, 6.8).
		fail(s, RESET_REMOTE_REFUSED);
	else
		fail(s, s->reset_received ? RESET_REMOTE_RESET : RESET_PROTOCOL_ERROR);
}

static void submit(struct h2_stream *s, const struct http_head *head, bool end)
{
	struct h2_session *h = s->session;
	nghttp2_data_provider provider = h2_stream_provider(s);
	nghttp2_nv nv[H2_MAX_NV];
	int n = h2_fields_of_request(head, nv);
	int32_t id;

	if (head->upgrade && !takes_connect(h)) {
		fail(s, RESET_NO_CONNECT_PROTOCOL);
		return;
	}
	id = n > 0 && h2_session_can_hold(h, nv, (size_t)n)
		? nghttp2_submit_request(h->ng, NULL, nv, (size_t)n, end ? NULL : &provider, s)
		: -1;
	if (id < 0) {
		fail(s, n > 0 ? RESET_LOCAL_RESET : RESET_PROTOCOL_ERROR);
		return;
	}
	s->id = id;
	s->known = true;
	s->head_sent = true;
	s->connect = head->upgrade;
	s->out_ended = end;
	h->n_opened++;
	h2_session_wake(h);
}

// What the endpoint does not let begin any more need not wait for it: the requests that have not
// left are as good as refused (RFC 9113, 6.8; CVE-2021-32780).
static void on_peer(struct h2_session *h)
{
	bool refuses = h->goaway || max_streams(h) == 0;

	list_foreach (node, &h->streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, node);
		const struct http_head *held = s->held;

		if (held != NULL && (refuses || h->peer_known))
			s->held = NULL;
		if (refuses && (held != NULL || (s->known && s->stream.wire_sent == 0)))
			fail(s, RESET_REMOTE_REFUSED);
		else if (held != NULL && s->held == NULL)
			submit(s, held, false);
	}
}

static void on_turn(struct h2_session *h, uint64_t now_us)
{
	struct upstream_conn *c = h->owner;

	if (h->starved && c->n_active > 0)
		timer_arm_by(c->worker->timers, &c->timer, now_us + H2_STARVED_US);
	upstream_conn_on_turn(h->owner, now_us);
}

static const struct h2_role role = {
	.is_server = false,
	.ops = &h2_client_ops,
	.on_head = on_head,
	.on_closed = on_closed,
	.on_peer = on_peer,
	.on_turn = on_turn,
};

bool h2_client_start(struct upstream_conn *c, const struct http_config *http, uint64_t now_us)
{
	c->h2 = h2_session_new(c->worker, &role, c, c->io, http, now_us);
	if (c->h2 == NULL)
		return false;
	h2_session_keep_alive(c->h2, c->ping_interval_us, c->ping_timeout_us, now_us);
	return true;
}

struct codec_stream *h2_client_open(struct upstream_conn *c, struct exchange *x)
{
	struct h2_stream *s = h2_stream_new(c->h2);

	if (s == NULL)
		return NULL;
	s->stream.exchange = x;
	c->h2->n_used++;
	return &s->stream;
}

bool h2_client_is_usable(const struct upstream_conn *c)
{
	const struct h2_session *h = c->h2;

	return !h->dead && !h->goaway && max_streams(h) > 0
		&& nghttp2_session_check_request_allowed(h->ng);
}

uint32_t h2_client_room(const struct upstream_conn *c)
{
	uint32_t max = max_streams(c->h2);

	if (max > c->max_active)
		max = c->max_active;
	if (!h2_client_is_usable(c))
		return 0;
	return c->h2->n_streams < max ? max - c->h2->n_streams : 0;
}

static void send_head(struct codec_stream *cs, const struct http_head *head, bool end)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2_session *h = s->session;

	if (h->dead)
		return;
	if (head->upgrade && !h->peer_known)
		s->held = head;
	else
		submit(s, head, end);
}

static void give_back(struct h2_stream *s, uint64_t now_us)
{
	struct upstream_conn *c = s->session->owner;

	upstream_stream_free_up(c, &s->stream, now_us);
	h2_stream_detach(s);
}

static void release(struct codec_stream **sp, uint64_t now_us)
{
	struct h2_stream *s = h2_stream_of(*sp);

	*sp = NULL;
	// The response is complete and the request is not: nobody wants its rest.
	if (!s->out_ended || !s->in_ended)
		h2_stream_reset(s, NGHTTP2_CANCEL);
	give_back(s, now_us);
}

static void reset(struct codec_stream **sp, uint64_t now_us)
{
	struct h2_stream *s = h2_stream_of(*sp);

	*sp = NULL;
	h2_stream_reset(s, NGHTTP2_CANCEL);
	give_back(s, now_us);
}

const struct codec_ops h2_client_ops = {
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
