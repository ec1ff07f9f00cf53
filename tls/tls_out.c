// Encrypting. What is written in a turn gathers in one buffer, so that an HTTP/2 session's many small
// writes share a record; it is encrypted when a full record is there, or at the end of the turn. A large
// write skips the buffer.
//
// A record decrypts only when all of it has come: at the start, and after a pause, records fit one segment;
// once the connection is busy they are as large as they may be.
//
// conn_room() promises only what fits the lower stream with every record's overhead and the close_notify,
// so OpenSSL never has to hold a record; should the lower stream take less than it said (it ran out of
// packet buffers), the record is 'stuck' in OpenSSL and nothing is taken until it is out.
#include "tls/tls_conn.h"

#include <openssl/err.h>

#define SMALL_RECORD      1300u // with any overhead it fits a segment of 1360 bytes
#define SMALL_FOR_BYTES   (128u << 10)
#define PAUSE_US          1000000u
#define CLOSE_NOTIFY_SIZE 64u // alert record of any cipher

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t record_size(const struct tls_conn *c)
{
	if (c->w->now_us - c->last_sent_us > PAUSE_US || c->burst_sent < SMALL_FOR_BYTES)
		return SMALL_RECORD;
	return TLS_RECORD_MAX;
}

// Bytes of the lower stream that records for 'n' bytes of payload take.
static size_t wire_size(const struct tls_conn *c, size_t n)
{
	size_t record = record_size(c);

	return n + (n + record - 1) / record * c->overhead + CLOSE_NOTIFY_SIZE;
}

// The largest payload whose records fit 'wire' bytes.
static size_t payload_size(const struct tls_conn *c, size_t wire)
{
	size_t record = record_size(c), rest;

	if (wire <= CLOSE_NOTIFY_SIZE)
		return 0;
	wire -= CLOSE_NOTIFY_SIZE;
	rest = wire % (record + c->overhead);
	return wire / (record + c->overhead) * record
		+ (rest > c->overhead ? rest - c->overhead : 0);
}

static bool can_send(const struct tls_conn *c)
{
	return c->state == TLS_OPEN && !c->shut_wanted && !c->lower_closed;
}

size_t conn_room(struct tls_conn *c)
{
	size_t pending = c->out != NULL ? c->out->len : 0;
	size_t payload;

	if (!can_send(c) || c->stuck != 0)
		return 0;
	payload = payload_size(c, stream_room(c->lower));
	return payload > pending ? payload - pending : 0;
}

static void encrypt_failed(struct tls_conn *c)
{
	// A dead lower stream tells its CLOSED itself.
	if (c->lower_closed)
		return;
	conn_fail(c, STREAM_ERROR_TLS_PROTOCOL, TLS_CAUSE_OTHER);
	conn_recheck_later(c);
}

// Makes one record. If the lower stream does not take all of it, the same bytes have to be given again, and
// no others: 'stuck' says how many.
static bool encrypt(struct tls_conn *c, const uint8_t *bytes, size_t n)
{
	int result;

	ERR_clear_error();
	result = SSL_write(c->ssl, bytes, (int)n);
	if (result <= 0) {
		if (SSL_get_error(c->ssl, result) == SSL_ERROR_WANT_WRITE) {
			c->stuck = (uint32_t)n;
			stream_want_write(c->lower, 1);
		} else {
			encrypt_failed(c);
		}
		return false;
	}
	c->stuck = 0;
	if (c->w->now_us - c->last_sent_us > PAUSE_US)
		c->burst_sent = 0;
	c->burst_sent += n;
	c->last_sent_us = c->w->now_us;
	stat_inc(&c->w->stats->tls_records_sent);
	return true;
}

static bool out_take(struct tls_conn *c)
{
	c->out = worker_buffer_get(c->w);
	if (c->out == NULL)
		return false;
	c->out->start = 0;
	c->out->len = 0;
	return true;
}

static void out_release(struct tls_conn *c)
{
	worker_buffer_put(c->w, c->out);
	c->out = NULL;
	list_remove(&c->dirty_node);
}

static bool flush_buffer(struct tls_conn *c)
{
	while (c->out != NULL) {
		struct tls_buffer *b = c->out;
		size_t n = c->stuck != 0 ? c->stuck : min_size(b->len, record_size(c));

		if (!encrypt(c, b->data + b->start, n)) {
			if (c->stuck == 0)
				out_release(c);
			return false;
		}
		b->start += (uint32_t)n;
		b->len -= (uint32_t)n;
		if (b->len == 0)
			out_release(c);
	}
	return true;
}

// One record straight from the owner's bytes; only while nothing is buffered. Returns false if the owner
// must not go on.
static bool write_direct(struct tls_conn *c, const uint8_t *bytes, size_t n)
{
	if (encrypt(c, bytes, n))
		return true;
	if (c->stuck == 0)
		return false;
	if (!out_take(c)) {
		// OpenSSL may have a part of the record out already, and nobody can keep the bytes for it.
		c->stuck = 0;
		conn_fail(c, STREAM_ERROR_NO_MEMORY, TLS_CAUSE_NO_MEMORY);
		conn_recheck_later(c);
		return false;
	}
	memcpy(c->out->data, bytes, n);
	c->out->len = (uint32_t)n;
	return true;
}

// close_notify, then the lower stream's end. Returns false if it has to be tried again.
static bool send_end(struct tls_conn *c)
{
	int result;

	if (!c->shut_wanted || c->shut_done)
		return true;
	ERR_clear_error();
	result = SSL_shutdown(c->ssl);
	if (result < 0 && SSL_get_error(c->ssl, result) == SSL_ERROR_WANT_WRITE) {
		stream_want_write(c->lower, 1);
		return false;
	}
	c->shut_done = true;
	stream_shutdown(c->lower);
	return true;
}

bool conn_flush(struct tls_conn *c)
{
	if (c->state != TLS_OPEN && c->state != TLS_LINGER)
		return true;
	return flush_buffer(c) && send_end(c);
}

void conn_drop_output(struct tls_conn *c)
{
	if (c->out != NULL)
		out_release(c);
}

// Returns how many bytes were put into the buffer, 0 if there is none.
static size_t gather(struct tls_conn *c, struct bytes b)
{
	size_t at, n;

	if (c->out == NULL && !out_take(c)) {
		stat_inc(&c->w->stats->tls_write_direct);
		return 0;
	}
	at = c->out->start + c->out->len;
	n = min_size(b.len, sizeof(c->out->data) - at);
	memcpy(c->out->data + at, b.ptr, n);
	c->out->len += (uint32_t)n;
	if (list_is_empty(&c->dirty_node))
		list_push(&c->w->dirty, &c->dirty_node);
	return n;
}

static bool out_is_full(const struct tls_conn *c)
{
	return c->out != NULL && c->out->start + c->out->len == sizeof(c->out->data);
}

size_t conn_write(struct tls_conn *c, struct bytes b, bool more)
{
	size_t n = min_size(b.len, conn_room(c)), done = 0;

	(void)more; // the turn's end comes soon enough in either case
	while (done < n && c->stuck == 0 && c->state == TLS_OPEN) {
		struct bytes left = bytes_of(b.ptr + done, n - done);
		size_t part = 0;

		if (c->out != NULL || left.len < record_size(c))
			part = gather(c, left);
		if (part == 0) {
			part = min_size(left.len, record_size(c));
			if (!write_direct(c, left.ptr, part))
				break;
		}
		done += part;
		if (out_is_full(c) && !flush_buffer(c))
			break;
	}
	c->base.bytes_sent += done;
	if (done < b.len && c->wanted_room == 0)
		conn_want_write(c, min_size(b.len - done, SMALL_RECORD));
	return done;
}

void conn_want_write(struct tls_conn *c, size_t room)
{
	size_t pending = c->out != NULL ? c->out->len : 0;

	if (!can_send(c))
		return;
	c->wanted_room = room > 0 ? room : 1;
	stream_want_write(c->lower, wire_size(c, c->wanted_room + pending));
}
