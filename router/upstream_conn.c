#include "router/upstream_conn.h"

#include "router/exchange.h"
#include "router/h2_session.h"
#include "router/histogram.h"
#include "router/proxy_protocol.h"

#include <assert.h>

static struct cluster_stats *stats_of(const struct upstream_pool *p, const struct router_worker *w)
{
	return &p->endpoint->cluster->stats[w->index];
}

static void count_end(struct upstream_conn *c, bool remote, bool active, uint64_t now_us)
{
	struct cluster_stats *stats = stats_of(c->pool, c->worker);

	stat_inc(&stats->upstream_cx_destroy);
	stat_inc(remote ? &stats->upstream_cx_destroy_remote : &stats->upstream_cx_destroy_local);
	if (active) {
		stat_inc(&stats->upstream_cx_destroy_with_active_rq);
		stat_inc(remote ? &stats->upstream_cx_destroy_remote_with_active_rq
				: &stats->upstream_cx_destroy_local_with_active_rq);
	}
	stat_dec(&stats->upstream_cx_active);
	histogram_record(&stats->upstream_cx_length_ms, now_us - c->opened_us);
}

void upstream_conn_end(struct upstream_conn *c, bool abort, bool active, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;

	count_end(c, c->io_closed || (c->io != NULL && stream_read_ended(c->io)), active, now_us);
	if (c->state == UPSTREAM_CONN_CONNECTING)
		p->n_connecting--;
	p->n_connections--;
	atomic_fetch_sub_explicit(&p->endpoint->cluster->connections, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&p->endpoint->active_connections, 1, memory_order_relaxed);
	list_remove(&c->node);
	list_remove(&c->worker_node);
	list_remove(&c->idle_node);
	list_remove(&c->client_node);
	timer_cancel(w->timers, &c->timer);
	h1_reader_drop(&c->reader, w);
	if (c->h2 != NULL && !abort)
		h2_session_say_goodbye(c->h2);
	if (c->h2 != NULL)
		h2_session_free(&c->h2);
	if (abort)
		stream_abort(&c->io);
	else
		stream_close(&c->io);
	pool_put(&w->upstreams, c);
}

static void connect_failed(
	struct upstream_conn *c, enum reset_reason reason, const char *transport, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct upstream_pool *p = c->pool;

	stat_inc(&stats_of(p, w)->upstream_cx_connect_fail);
	atomic_fetch_add_explicit(&p->endpoint->n_connect_failures, 1, memory_order_relaxed);
	upstream_conn_end(c, true, false, now_us);
	upstream_pool_fail_pending(w, p, reason, transport);
}

static void on_connected(struct upstream_conn *c, uint64_t now_us)
{
	struct upstream_pool *p = c->pool;

	c->connected_us = now_us;
	p->n_connecting--;
	timer_cancel(c->worker->timers, &c->timer);
	histogram_record(&stats_of(p, c->worker)->upstream_cx_connect_ms, now_us - c->opened_us);
	c->state = UPSTREAM_CONN_IDLE;
	if (p->is_h2 && !h2_client_start(c, &c->worker->snapshot->config->http, now_us)) {
		struct router_worker *w = c->worker;

		upstream_conn_end(c, true, false, now_us);
		upstream_pool_fail_pending(w, p, RESET_NO_MEMORY, NULL);
		return;
	}
	upstream_conn_offer(c, now_us);
}

static void on_connecting_event(struct upstream_conn *c, unsigned events, uint64_t now_us)
{
	if (events & STREAM_CLOSED) {
		enum stream_error error = stream_error(c->io);

		c->io_closed = true;
		connect_failed(c,
			error == STREAM_ERROR_CONNECT_TIMEOUT ? RESET_CONNECTION_TIMEOUT
							      : RESET_REMOTE_CONNECTION_FAILURE,
			stream_error_text(error), now_us);
		return;
	}
	if (events & STREAM_CONNECTED)
		on_connected(c, now_us);
}

static void on_h2_event(struct upstream_conn *c, unsigned events, uint64_t now_us)
{
	if (events & STREAM_CLOSED)
		c->io_closed = true;
	h2_session_on_event(c->h2, events, now_us);
}

static void on_stream_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct upstream_conn *c = owner;
	struct router_worker *w = c->worker;

	(void)s;
	switch (c->state) {
	case UPSTREAM_CONN_CONNECTING: on_connecting_event(c, events, now_us); break;
	case UPSTREAM_CONN_BUSY:
		if (c->h2 != NULL)
			on_h2_event(c, events, now_us);
		else
			h1_client_on_event(c, events, now_us);
		break;
	case UPSTREAM_CONN_IDLE:
		if (c->h2 != NULL) {
			on_h2_event(c, events, now_us);
			break;
		}
		// Whatever an endpoint says unasked, the connection is of no use any more.
		if (events & (STREAM_READABLE | STREAM_CLOSED)) {
			struct upstream_pool *p = c->pool;

			c->io_closed = (events & STREAM_CLOSED) != 0;
			upstream_conn_end(c, c->io_closed, false, now_us);
			upstream_pool_connect(w, p, now_us);
		}
		break;
	default: assert(false);
	}
	router_worker_leave(w, now_us);
}

static void on_timer(struct timer *t, uint64_t now_us)
{
	struct upstream_conn *c = container_of(t, struct upstream_conn, timer);
	struct router_worker *w = c->worker;

	if (c->state == UPSTREAM_CONN_CONNECTING) {
		stat_inc(&stats_of(c->pool, w)->upstream_cx_connect_timeout);
		connect_failed(c, RESET_CONNECTION_TIMEOUT,
			stream_error_text(STREAM_ERROR_CONNECT_TIMEOUT), now_us);
	} else if (c->state == UPSTREAM_CONN_IDLE) {
		struct upstream_pool *p = c->pool;

		stat_inc(&stats_of(p, w)->upstream_cx_idle_timeout);
		upstream_conn_end(c, false, false, now_us);
		upstream_pool_connect(w, p, now_us);
	} else if (c->h2 != NULL) {
		h2_session_wake_all(c->h2);
	}
	router_worker_leave(w, now_us);
}

struct upstream_conn *upstream_conn_new(struct router_worker *w, struct upstream_pool *p,
	const struct cluster_config *config, uint64_t now_us)
{
	struct upstream_conn *c = pool_get_zeroed(&w->upstreams);

	if (c == NULL)
		return NULL;
	c->stream.ops = &h1_client_ops;
	c->worker = w;
	c->pool = p;
	c->opened_us = now_us;
	c->max_active = upstream_max_streams(config);
	c->idle_timeout_us = config->idle_timeout_us;
	c->proxy_version = config->proxy_version;
	c->ping_interval_us = config->ping_interval_us;
	c->ping_timeout_us = config->ping_timeout_us;
	c->state = UPSTREAM_CONN_CONNECTING;
	timer_init(&c->timer, on_timer);
	list_init(&c->client_node);
	list_init(&c->idle_node);
	list_push(&p->connecting, &c->node);
	list_push(&w->upstream_list, &c->worker_node);
	p->n_connections++;
	p->n_connecting++;
	atomic_fetch_add_explicit(&p->endpoint->active_connections, 1, memory_order_relaxed);
	stat_inc(&stats_of(p, w)->upstream_cx_total);
	stat_inc(p->is_h2 ? &stats_of(p, w)->upstream_cx_http2_total
			  : &stats_of(p, w)->upstream_cx_http1_total);
	stat_inc(&stats_of(p, w)->upstream_cx_active);
	return c;
}

bool upstream_conn_connect(
	struct upstream_conn *c, const struct cluster_config *config, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	enum stream_error error = STREAM_ERROR_NONE;

	c->io = w->seams.connect(w->seams.arg,
		&(struct tcp_connect_options){
			.remote = c->pool->endpoint->address,
			.keepalive = config->keepalive,
			.on_event = on_stream_event,
			.owner = c,
		},
		&error, now_us);
	if (c->io == NULL) {
		connect_failed(c, RESET_LOCAL_CONNECTION_FAILURE, stream_error_text(error), now_us);
		return false;
	}
	if (config->connect_timeout_us > 0)
		timer_arm(w->timers, &c->timer, now_us + config->connect_timeout_us);
	return true;
}

bool upstream_conn_announce(struct upstream_conn *c, struct exchange_peer *client)
{
	uint8_t header[PROXY_WRITE_MAX];
	size_t len;

	if (c->proxy_version == 0 || c->client != NULL)
		return true;
	len = proxy_protocol_write(c->proxy_version, &client->remote, &client->local, header);
	if (stream_room(c->io) < len)
		return false;
	stream_write(c->io, bytes_of(header, len), true);
	stat_inc(&c->worker->stats->proxy_headers_sent);
	c->client = client;
	list_push(&client->announced, &c->client_node);
	return true;
}

void upstream_forget_client(struct exchange_peer *client, uint64_t now_us)
{
	while (!list_is_empty(&client->announced)) {
		struct upstream_conn *c =
			container_of(client->announced.next, struct upstream_conn, client_node);

		list_remove(&c->client_node);
		c->client = NULL;
		c->retiring = true;
		// The last exchange of a client's connection ends before it; what is not idle is about to end.
		if (c->state == UPSTREAM_CONN_IDLE) {
			struct router_worker *w = c->worker;
			struct upstream_pool *p = c->pool;

			upstream_conn_end(c, false, false, now_us);
			upstream_pool_connect(w, p, now_us);
		}
	}
}

static const struct upstream_conn *conn_of(const struct codec_stream *s)
{
	if (s->ops->version == HTTP_2)
		return h2_client_conn(s);
	return (const struct upstream_conn *)(const void *)s;
}

bool upstream_is_reused(const struct codec_stream *s)
{
	return conn_of(s)->n_requests > 1;
}

bool upstream_may_have_arrived(const struct codec_stream *s)
{
	const struct upstream_conn *c = conn_of(s);

	// What of a connection of many streams arrived is not known by stream.
	if (s->ops->version == HTTP_2)
		return s->wire_sent > 0;
	return c->writer.wire > stream_unsent(c->io);
}

struct ip_endpoint upstream_local(const struct codec_stream *s)
{
	return conn_of(s)->io->local;
}

bool upstream_owns(const struct stream *s, struct router_stream_owner *out)
{
	const struct upstream_conn *c = s->owner;

	if (s->on_event != on_stream_event)
		return false;
	*out = (struct router_stream_owner){
		.is_upstream = true,
		.name = c->pool->endpoint->cluster->name,
		.protocol = c->pool->is_h2 ? "h2" : "http/1.1",
	};
	return true;
}
