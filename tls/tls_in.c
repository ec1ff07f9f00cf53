// Decrypting. Plaintext lies in buffers of the worker's pool that a connection holds only while there is
// plaintext. What does not fit, or what the owner leaves, stays encrypted in the lower stream, whose window
// then closes.
#include "tls/tls_conn.h"

#include <assert.h>
#include <openssl/err.h>

static void drop_head(struct tls_conn *c)
{
	struct tls_buffer *b = c->in_head;

	c->in_head = b->next;
	if (c->in_head == NULL)
		c->in_tail = NULL;
	c->n_in--;
	worker_buffer_put(c->w, b);
}

// The buffer that the next bytes go to, or NULL: enough is held, or the pool is empty.
static struct tls_buffer *tail_with_space(struct tls_conn *c)
{
	struct tls_buffer *b = c->in_tail;

	if (b != NULL && b->start + b->len < sizeof(b->data))
		return b;
	if (c->n_in == TLS_IN_BUFFERS)
		return NULL;
	b = worker_buffer_get(c->w);
	if (b == NULL) {
		stat_inc(&c->w->stats->tls_read_waits);
		conn_recheck_later(c);
		return NULL;
	}
	b->next = NULL;
	b->start = 0;
	b->len = 0;
	if (c->in_tail != NULL)
		c->in_tail->next = b;
	else
		c->in_head = b;
	c->in_tail = b;
	c->n_in++;
	return b;
}

// An empty tail is not kept while a connection waits.
static void return_empty_tail(struct tls_conn *c)
{
	if (c->n_in == 1 && c->in_head->len == 0)
		drop_head(c);
}

static bool ciphertext_is_there(struct tls_conn *c)
{
	return stream_readable(c->lower) > 0 || SSL_has_pending(c->ssl)
		|| stream_read_ended(c->lower);
}

// Returns true if the connection's condition changed.
static bool read_stopped(struct tls_conn *c, int result)
{
	switch (SSL_get_error(c->ssl, result)) {
	case SSL_ERROR_WANT_READ: return false;
	case SSL_ERROR_WANT_WRITE:
		// The answer to a KeyUpdate has no room below.
		stream_want_write(c->lower, 1);
		return false;
	case SSL_ERROR_ZERO_RETURN: c->in_ended = true; return true;
	case SSL_ERROR_SSL: conn_fail(c, STREAM_ERROR_TLS_PROTOCOL, TLS_CAUSE_OTHER); return true;
	default: break;
	}
	if (stream_read_ended(c->lower)) {
		conn_fail(c, STREAM_ERROR_TLS_TRUNCATED, TLS_CAUSE_CLOSED);
		return true;
	}
	return false; // the lower stream failed, which its CLOSED has told
}

// After a failure of TLS there is nothing to trust; after CLOSED from below what had arrived is still good.
static bool can_decrypt(const struct tls_conn *c)
{
	return !c->in_ended
		&& (c->state == TLS_OPEN || (c->state == TLS_OVER && c->failure[0] == 0));
}

bool conn_fill(struct tls_conn *c)
{
	uint32_t got = 0;
	bool changed = false;

	if (!can_decrypt(c))
		return false;
	while (got < TLS_RECORD_MAX && ciphertext_is_there(c)) {
		struct tls_buffer *b = tail_with_space(c);
		uint32_t at, n;
		int result;

		if (b == NULL)
			break;
		at = b->start + b->len;
		n = (uint32_t)sizeof(b->data) - at;
		ERR_clear_error();
		result = SSL_read(c->ssl, b->data + at, (int)n);
		if (result <= 0) {
			changed = read_stopped(c, result);
			break;
		}
		b->len += (uint32_t)result;
		got += (uint32_t)result;
	}
	return_empty_tail(c);
	c->readable += got;
	c->base.bytes_received += got;
	if (got > 0)
		c->looked_past = false;
	return changed || got > 0;
}

void conn_drop_input(struct tls_conn *c)
{
	while (c->in_head != NULL)
		drop_head(c);
	c->readable = 0;
}

static struct bytes find(const struct tls_conn *c, size_t skip)
{
	for (const struct tls_buffer *b = c->in_head; b != NULL; b = b->next) {
		if (skip < b->len)
			return bytes_of(b->data + b->start + skip, b->len - skip);
		skip -= b->len;
	}
	return (struct bytes){NULL, 0};
}

struct bytes conn_peek_at(struct tls_conn *c, size_t skip)
{
	if (skip >= c->readable && c->lower != NULL) {
		enum tls_state before = c->state;
		bool ended = c->in_ended;

		conn_fill(c);
		// An end or a failure that was found here is reported in the next turn: no events from inside a call.
		if (c->state != before || c->in_ended != ended)
			conn_recheck_later(c);
		c->looked_past = skip >= c->readable;
	}
	return find(c, skip);
}

void conn_consume(struct tls_conn *c, size_t n)
{
	assert(n <= c->readable);
	c->readable -= (uint32_t)n;
	while (n > 0) {
		struct tls_buffer *b = c->in_head;
		uint32_t part = n < b->len ? (uint32_t)n : b->len;

		b->start += part;
		b->len -= part;
		n -= part;
		if (b->len == 0)
			drop_head(c);
	}
}
