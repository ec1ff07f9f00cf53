#include "tls/tls_conn.h"

#include "tls/tls_client.h"

#include <assert.h>
#include <openssl/err.h>

#define RECORD_OVERHEAD_AEAD 29u // header 5, explicit nonce 8 (TLS 1.2) or type 1 (1.3), tag 16
#define RECORD_OVERHEAD_CBC  85u // header 5, IV 16, MAC at most 48, padding at most 16

static void conn_free(struct tls_conn *c)
{
	struct tls_worker *w = c->w;

	client_free(&c->client);
	SSL_free(c->ssl);
	tls_server_unref(&c->server);
	pool_put(&w->conns, c);
	stat_dec(&w->stats->tls_connections_active);
}

static void conn_enter(struct tls_conn *c, uint64_t now_us)
{
	c->w->now_us = now_us;
	c->depth++;
}

static void conn_leave(struct tls_conn *c)
{
	assert(c->depth > 0);
	if (--c->depth == 0 && c->state == TLS_DONE)
		conn_free(c);
}

// The lower stream has been given back. Frees 'c', now or when its own callbacks have returned.
static void conn_done(struct tls_conn *c)
{
	c->state = TLS_DONE;
	timer_cancel(c->w->timers, &c->timer);
	list_remove(&c->recheck_node);
	conn_drop_input(c);
	conn_drop_output(c);
	list_remove(&c->dirty_node);
	if (c->depth == 0)
		conn_free(c);
}

void conn_recheck_later(struct tls_conn *c)
{
	if (list_is_empty(&c->recheck_node))
		list_push(&c->w->recheck, &c->recheck_node);
}

static void set_failure_text(struct tls_conn *c, enum tls_cause cause)
{
	static const char *const texts[TLS_N_CAUSES] = {
		[TLS_CAUSE_NO_CHAIN] = "filter_chain_not_found",
		[TLS_CAUSE_NO_CERTIFICATE] = "Secret_is_not_supplied_by_SDS",
		[TLS_CAUSE_BAD_SNI] = "INVALID_SERVER_NAME",
		[TLS_CAUSE_HELLO_TOO_LARGE] = "EXCESSIVE_MESSAGE_SIZE",
		[TLS_CAUSE_BAD_RECORD] = "UNEXPECTED_RECORD",
		[TLS_CAUSE_CLOSED] = "UNEXPECTED_EOF_WHILE_READING",
		[TLS_CAUSE_TIMEOUT] = "HANDSHAKE_TIMEOUT",
		[TLS_CAUSE_NO_MEMORY] = "MALLOC_FAILURE",
		[TLS_CAUSE_CLIENT_UNTRUSTED] = "CERTIFICATE_VERIFY_FAILED",
		[TLS_CAUSE_CLIENT_EXPIRED] = "CERTIFICATE_VERIFY_FAILED",
		[TLS_CAUSE_CLIENT_REVOKED] = "CERTIFICATE_VERIFY_FAILED",
		[TLS_CAUSE_CLIENT_PURPOSE] = "CERTIFICATE_VERIFY_FAILED",
		[TLS_CAUSE_CLIENT_NAME] = "CERTIFICATE_VERIFY_FAILED",
		[TLS_CAUSE_CLIENT_PIN] = "CERTIFICATE_VERIFY_FAILED",
	};

	tls_failure_text(texts[cause] != NULL ? texts[cause] : "UNKNOWN", c->failure);
}

void conn_fail(struct tls_conn *c, enum stream_error error, enum tls_cause cause)
{
	bool in_handshake = c->state == TLS_HANDSHAKE;

	// The peer's end says nothing about what we still have to say.
	if (error == STREAM_ERROR_TLS_TRUNCATED && c->state == TLS_OPEN)
		conn_flush(c);
	if (c->state != TLS_HANDSHAKE && c->state != TLS_OPEN)
		return;
	if (cause == TLS_CAUSE_OTHER)
		cause = tls_failure_take(c->failure);
	else
		set_failure_text(c, cause);
	c->cause = cause;
	tls_cause_count(c->w->stats, cause, in_handshake);
	timer_cancel(c->w->timers, &c->timer);
	conn_drop_output(c);
	c->state = TLS_OVER;
	c->base.error = error;
	c->tell_closed = true;
}

static void conn_tell(struct tls_conn *c, unsigned events)
{
	if (c->given_back || c->told_closed)
		return;
	if (c->tell_closed) {
		c->tell_closed = false;
		c->told_closed = true;
		events |= STREAM_CLOSED;
	}
	if (events != 0 && c->base.on_event != NULL)
		c->base.on_event(c->base.owner, &c->base, events, c->w->now_us);
}

// WRITABLE is due when there is the room that was asked for, or when the lower stream says that there will
// never be more.
static bool room_has_come(struct tls_conn *c, bool lower_writable)
{
	bool was_stuck = c->stuck != 0;

	if (!conn_flush(c) || c->wanted_room == 0)
		return false;
	if (conn_room(c) >= c->wanted_room || (lower_writable && !was_stuck && conn_room(c) > 0))
		return true;
	if (lower_writable)
		conn_want_write(c, c->wanted_room);
	return false;
}

// Looks at a connection whose handshake is done, and tells the owner 'events' and what it finds.
static void conn_advance(struct tls_conn *c, unsigned events, bool lower_writable)
{
	if (room_has_come(c, lower_writable))
		events |= STREAM_WRITABLE;
	if ((c->readable == 0 || c->looked_past) && conn_fill(c))
		events |= STREAM_READABLE;
	if (c->lower_closed && c->state == TLS_OPEN) {
		c->state = TLS_OVER;
		c->base.error = stream_error(c->lower);
		c->tell_closed = true;
		conn_drop_output(c);
	}
	if (events & STREAM_WRITABLE)
		c->wanted_room = 0;
	conn_tell(c, events);
}

static void count_handshake(struct tls_conn *c)
{
	struct tls_stats *stats = c->w->stats;
	const unsigned char *alpn;
	unsigned alpn_len;

	stat_inc(&stats->tls_handshakes);
	if (SSL_session_reused(c->ssl))
		stat_inc(&stats->tls_handshakes_resumed);
	stat_inc(SSL_version(c->ssl) == TLS1_3_VERSION ? &stats->tls_handshakes_1_3
						       : &stats->tls_handshakes_1_2);
	SSL_get0_alpn_selected(c->ssl, &alpn, &alpn_len);
	if (bytes_equal(bytes_of(alpn, alpn_len), BYTES("h2")))
		stat_inc(&stats->tls_alpn_h2);
	else if (alpn_len > 0)
		stat_inc(&stats->tls_alpn_http1);
}

static void conn_opened(struct tls_conn *c)
{
	X509 *leaf = SSL_get0_peer_certificate(c->ssl);

	if (leaf != NULL)
		c->client = client_read(leaf, SSL_get_certificate(c->ssl));
	if (leaf != NULL && c->client == NULL) {
		conn_fail(c, STREAM_ERROR_TLS_HANDSHAKE, TLS_CAUSE_NO_MEMORY);
		conn_tell(c, 0);
		return;
	}
	c->state = TLS_OPEN;
	c->overhead = SSL_CIPHER_is_aead(SSL_get_current_cipher(c->ssl)) ? RECORD_OVERHEAD_AEAD
									 : RECORD_OVERHEAD_CBC;
	timer_cancel(c->w->timers, &c->timer);
	count_handshake(c);
	conn_advance(c, STREAM_CONNECTED | STREAM_WRITABLE, false);
}

// Moves the first bytes up, so that an end after a few of them is seen.
static void take_prefix(struct tls_conn *c)
{
	while (c->prefix_len < TLS_HELLO_PREFIX) {
		struct bytes b = stream_peek(c->lower);
		size_t part = b.len < TLS_HELLO_PREFIX - c->prefix_len
			? b.len
			: TLS_HELLO_PREFIX - c->prefix_len;

		if (part == 0)
			break;
		memcpy(c->prefix + c->prefix_len, b.ptr, part);
		stream_consume(c->lower, part);
		c->prefix_len += (uint8_t)part;
	}
}

// OpenSSL reserves what a ClientHello announces, up to 128 KB, and an SSL costs some KB itself: neither is
// spent on a peer that has not begun a ClientHello of reasonable size. Returns false to wait for more, or
// after conn_fail(). What is no handshake record OpenSSL names best.
static bool hello_has_begun(struct tls_conn *c)
{
	enum { HANDSHAKE_RECORD = 22, HANDSHAKE_HEADER = 4 };
	const uint8_t *p = c->prefix;

	take_prefix(c);
	if (c->prefix_len == 0 || (p[0] == HANDSHAKE_RECORD && c->prefix_len < TLS_HELLO_PREFIX)) {
		if (stream_read_ended(c->lower) || c->lower_closed)
			conn_fail(c, STREAM_ERROR_TLS_HANDSHAKE, TLS_CAUSE_CLOSED);
		return false;
	}
	if (p[0] != HANDSHAKE_RECORD)
		return true;
	if ((p[3] << 8 | p[4]) < HANDSHAKE_HEADER) {
		conn_fail(c, STREAM_ERROR_TLS_HANDSHAKE, TLS_CAUSE_BAD_RECORD);
		return false;
	}
	if ((p[6] << 16 | p[7] << 8 | p[8]) > (int)TLS_HELLO_MAX) {
		conn_fail(c, STREAM_ERROR_TLS_HANDSHAKE, TLS_CAUSE_HELLO_TOO_LARGE);
		return false;
	}
	return true;
}

static bool ssl_begin(struct tls_conn *c)
{
	if (!hello_has_begun(c))
		return false;
	c->ssl = tls_server_ssl_new(&c->hello);
	if (c->ssl != NULL && tls_bio_attach(c))
		return true;
	conn_fail(c, STREAM_ERROR_TLS_HANDSHAKE, TLS_CAUSE_NO_MEMORY);
	return false;
}

static void handshake_stopped(struct tls_conn *c, int result)
{
	switch (SSL_get_error(c->ssl, result)) {
	case SSL_ERROR_WANT_READ: return;
	case SSL_ERROR_WANT_WRITE: stream_want_write(c->lower, 1); return;
	case SSL_ERROR_SSL:
		conn_fail(c, STREAM_ERROR_TLS_HANDSHAKE,
			c->hello.refused ? c->hello.cause : TLS_CAUSE_OTHER);
		return;
	default: conn_fail(c, STREAM_ERROR_TLS_HANDSHAKE, TLS_CAUSE_CLOSED); return;
	}
}

// One step as far as the bytes allow. A step may sign, so a turn has a limited number of them.
static void conn_handshake(struct tls_conn *c)
{
	int result;

	if (c->ssl == NULL && !ssl_begin(c)) {
		conn_tell(c, 0);
		return;
	}
	if (c->w->handshakes_left == 0) {
		stat_inc(&c->w->stats->tls_handshakes_delayed);
		conn_recheck_later(c);
		return;
	}
	c->w->handshakes_left--;
	ERR_clear_error();
	result = SSL_do_handshake(c->ssl);
	if (result == 1) {
		conn_opened(c);
		return;
	}
	handshake_stopped(c, result);
	conn_tell(c, 0);
}

// close() waits here until the lower stream has taken the rest.
static void conn_linger(struct tls_conn *c)
{
	stream_consume(c->lower, stream_readable(c->lower));
	if (c->lower_closed)
		stream_abort(&c->lower);
	else if (conn_flush(c))
		stream_close(&c->lower);
	if (c->lower == NULL)
		conn_done(c);
}

static void on_lower(void *owner, struct stream *lower, unsigned events, uint64_t now_us)
{
	struct tls_conn *c = owner;

	(void)lower;
	conn_enter(c, now_us);
	if (events & STREAM_CLOSED)
		c->lower_closed = true;
	switch (c->state) {
	case TLS_HANDSHAKE: conn_handshake(c); break;
	case TLS_OPEN: conn_advance(c, 0, (events & STREAM_WRITABLE) != 0); break;
	case TLS_LINGER: conn_linger(c); break;
	case TLS_OVER:
	case TLS_DONE: break;
	}
	conn_leave(c);
}

void conn_on_turn(struct tls_conn *c)
{
	unsigned events = c->recheck_readable ? STREAM_READABLE : 0;

	c->recheck_readable = false;
	conn_enter(c, c->w->now_us);
	switch (c->state) {
	case TLS_HANDSHAKE: conn_handshake(c); break;
	case TLS_OPEN:
	case TLS_OVER:
		conn_advance(c, c->in_ended ? events | STREAM_READABLE : events, false);
		break;
	case TLS_LINGER:
	case TLS_DONE: break;
	}
	conn_leave(c);
}

static void on_timeout(struct timer *t, uint64_t now_us)
{
	struct tls_conn *c = container_of(t, struct tls_conn, timer);

	conn_enter(c, now_us);
	if (c->state == TLS_LINGER) {
		stat_inc(&c->w->stats->tls_linger_timeouts);
		stream_abort(&c->lower);
		conn_done(c);
	} else {
		conn_fail(c, STREAM_ERROR_CONNECT_TIMEOUT, TLS_CAUSE_TIMEOUT);
		conn_tell(c, 0);
	}
	conn_leave(c);
}

static struct bytes op_peek(struct stream *s)
{
	return conn_peek_at(conn_of(s), 0);
}

static struct bytes op_peek_at(struct stream *s, size_t skip)
{
	return conn_peek_at(conn_of(s), skip);
}

static void op_consume(struct stream *s, size_t n)
{
	conn_consume(conn_of(s), n);
}

static size_t op_readable(struct stream *s)
{
	return conn_of(s)->readable;
}

static bool op_read_ended(struct stream *s)
{
	const struct tls_conn *c = conn_of(s);

	return c->in_ended && c->readable == 0;
}

static bool op_end_received(struct stream *s)
{
	return conn_of(s)->in_ended;
}

static void op_want_read(struct stream *s)
{
	conn_of(s)->recheck_readable = true;
	conn_recheck_later(conn_of(s));
}

static size_t op_room(struct stream *s)
{
	return conn_room(conn_of(s));
}

static size_t op_write(struct stream *s, struct bytes b, bool more)
{
	return conn_write(conn_of(s), b, more);
}

static void op_want_write(struct stream *s, size_t room)
{
	conn_want_write(conn_of(s), room);
}

static size_t op_unsent(struct stream *s)
{
	const struct tls_conn *c = conn_of(s);

	return stream_unsent(c->lower) + (c->out != NULL ? c->out->len : 0);
}

static void op_shutdown(struct stream *s)
{
	struct tls_conn *c = conn_of(s);

	if (c->state != TLS_OPEN)
		return;
	c->shut_wanted = true;
	conn_flush(c);
}

static void op_close(struct stream *s)
{
	struct tls_conn *c = conn_of(s);

	c->given_back = true;
	if (c->state == TLS_OPEN && !c->lower_closed) {
		c->shut_wanted = true;
		if (!conn_flush(c) && c->state == TLS_OPEN) {
			stat_inc(&c->w->stats->tls_lingers);
			c->state = TLS_LINGER;
			conn_drop_input(c);
			list_remove(&c->recheck_node);
			timer_arm(
				c->w->timers, &c->timer, c->w->now_us + c->w->handshake_timeout_us);
			return;
		}
	}
	stream_close(&c->lower);
	conn_done(c);
}

static void op_abort(struct stream *s)
{
	struct tls_conn *c = conn_of(s);

	c->given_back = true;
	stream_abort(&c->lower);
	conn_done(c);
}

static struct stream *op_lower(struct stream *s)
{
	return conn_of(s)->lower;
}

const struct stream_ops tls_ops = {
	.name = "tls",
	.peek = op_peek,
	.peek_at = op_peek_at,
	.consume = op_consume,
	.readable = op_readable,
	.read_ended = op_read_ended,
	.end_received = op_end_received,
	.want_read = op_want_read,
	.room = op_room,
	.write = op_write,
	.want_write = op_want_write,
	.unsent = op_unsent,
	.shutdown = op_shutdown,
	.close = op_close,
	.abort = op_abort,
	.lower = op_lower,
};

struct stream *tls_accept(struct tls_worker *w, struct tls_server *server, struct stream **lower,
	stream_event_fn *on_event, void *owner, uint64_t now_us)
{
	struct tls_conn *c = pool_get_zeroed(&w->conns);

	if (c == NULL) {
		stat_inc(&w->stats->tls_refused_full);
		return NULL;
	}
	w->now_us = now_us;
	c->w = w;
	c->server = tls_server_ref(server);
	c->hello.server = server;
	c->lower = *lower;
	*lower = NULL;
	c->base.ops = &tls_ops;
	c->base.local = c->lower->local;
	c->base.remote = c->lower->remote;
	stream_set_owner(&c->base, on_event, owner);
	stream_set_owner(c->lower, on_lower, c);
	list_init(&c->recheck_node);
	list_init(&c->dirty_node);
	timer_init(&c->timer, on_timeout);
	timer_arm(w->timers, &c->timer, now_us + w->handshake_timeout_us);
	stat_inc(&w->stats->tls_connections);
	stat_add(&w->stats->tls_connections_active, 1);
	return &c->base;
}

const struct stream *tls_above(const struct stream *lower)
{
	const struct tls_conn *c = lower->owner;

	return lower->on_event == on_lower && !c->given_back ? &c->base : NULL;
}

void tls_info_get(struct stream *s, struct tls_info *out)
{
	const struct tls_conn *c = conn_of(s);
	const unsigned char *alpn = NULL;
	unsigned alpn_len = 0;

	assert(s->ops == &tls_ops);
	*out = (struct tls_info){.sni = bytes_of(c->hello.sni, c->hello.sni_len),
		.chain_index = c->hello.chain != NULL ? c->hello.chain->index : 0,
		.version = "",
		.cipher = "",
		.failure = c->failure[0] != 0 ? c->failure : NULL,
		.cause = c->cause,
		.client = c->client};
	if (c->ssl == NULL || !SSL_is_init_finished(c->ssl))
		return;
	SSL_get0_alpn_selected(c->ssl, &alpn, &alpn_len);
	out->alpn = bytes_of(alpn, alpn_len);
	out->version = SSL_get_version(c->ssl);
	out->cipher = SSL_get_cipher_name(c->ssl);
	out->session_reused = SSL_session_reused(c->ssl) == 1;
}
