// The BIO between OpenSSL and the lower stream: no buffer of its own, no system call.
#include "tls/tls_conn.h"

static struct tls_conn *conn_of_bio(BIO *bio)
{
	return BIO_get_data(bio);
}

static int bio_read(BIO *bio, char *out, size_t size, size_t *n_read)
{
	struct tls_conn *c = conn_of_bio(bio);
	size_t n = 0;

	BIO_clear_retry_flags(bio);
	for (; c->prefix_used < c->prefix_len && n < size; n++)
		out[n] = (char)c->prefix[c->prefix_used++];
	while (n < size) {
		struct bytes b = stream_peek(c->lower);
		size_t part = b.len < size - n ? b.len : size - n;

		if (part == 0)
			break;
		memcpy(out + n, b.ptr, part);
		stream_consume(c->lower, part);
		n += part;
	}
	*n_read = n;
	if (n > 0)
		return 1;
	if (!stream_read_ended(c->lower) && !c->lower_closed)
		BIO_set_retry_read(bio);
	return 0;
}

static int bio_write(BIO *bio, const char *in, size_t size, size_t *n_written)
{
	struct tls_conn *c = conn_of_bio(bio);

	BIO_clear_retry_flags(bio);
	*n_written = stream_write(c->lower, bytes_of(in, size), false);
	if (*n_written < size)
		stat_inc(&c->w->stats->tls_short_writes);
	if (*n_written > 0)
		return 1;
	if (!c->lower_closed)
		BIO_set_retry_write(bio);
	return 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
	(void)bio;
	(void)number;
	(void)arg;
	// Bytes leave at the end of the turn. An end of file is seen by tls_in.c; saying so here would make
	// OpenSSL answer a missing close_notify with an alert.
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method_new(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

	if (m == NULL)
		return NULL;
	if (BIO_meth_set_read_ex(m, bio_read) != 1 || BIO_meth_set_write_ex(m, bio_write) != 1
		|| BIO_meth_set_ctrl(m, bio_ctrl) != 1)
		BIO_meth_free(m), m = NULL;
	return m;
}

bool tls_bio_attach(struct tls_conn *c)
{
	BIO *bio = BIO_new(c->w->bio_method);

	if (bio == NULL)
		return false;
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio); // takes it
	return true;
}
