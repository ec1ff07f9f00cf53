// What a client's certificate says, as texts for requests and the log.
#include "tls/tls_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

// Texts in one buffer, and which of them is where.
struct texts {
	BIO *bio;
	struct {
		struct bytes *to;
		size_t start;
		size_t len;
	} at[16];
	unsigned n;
};

static size_t written(const struct texts *t)
{
	return (size_t)BIO_pending(t->bio);
}

// Texts may be parts of others.
static unsigned text_begin(struct texts *t, struct bytes *to)
{
	t->at[t->n].to = to;
	t->at[t->n].start = written(t);
	return t->n++;
}

static void text_end(struct texts *t, unsigned i)
{
	t->at[i].len = written(t) - t->at[i].start;
}

#define TEXT(t, to, ...)                        \
	do {                                    \
		unsigned i = text_begin(t, to); \
		__VA_ARGS__;                    \
		text_end(t, i);                 \
	} while (0)

static void put_hex(BIO *to, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		BIO_printf(to, "%02x", bytes[i]);
}

static void put_digest(BIO *to, X509 *leaf, const EVP_MD *md)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len;

	if (X509_digest(leaf, md, digest, &len) == 1)
		put_hex(to, digest, len);
}

static void put_certificate(BIO *to, X509 *leaf)
{
	BIO *pem = BIO_new(BIO_s_mem());
	char *text;
	long len;

	if (pem == NULL)
		return;
	len = PEM_write_bio_X509(pem, leaf) == 1 ? BIO_get_mem_data(pem, &text) : 0;
	for (long i = 0; i < len; i++) {
		// Those of a PEM text that may not stand in a URL.
		if (memchr("\n +/=", text[i], 5) != NULL)
			BIO_printf(to, "%%%02X", text[i]);
		else
			BIO_write(to, text + i, 1);
	}
	BIO_free(pem);
}

// All names of one type: 'before' and 'between' frame each.
static unsigned put_names(
	BIO *to, const GENERAL_NAMES *names, int type, const char *before, bool quote)
{
	unsigned n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		char text[CLIENT_NAME_SIZE];
		bool quoted;

		if (!client_name(sk_GENERAL_NAME_value(names, i), type, text))
			continue;
		if (n++ > 0 && !quote)
			BIO_puts(to, ",");
		BIO_puts(to, before);
		quoted = quote && strpbrk(text, ",;\"\\") != NULL;
		if (quoted)
			BIO_puts(to, "\"");
		for (const char *c = text; *c != '\0'; c++) {
			if (quoted && (*c == '"' || *c == '\\'))
				BIO_puts(to, "\\");
			BIO_write(to, c, 1);
		}
		if (quoted)
			BIO_puts(to, "\"");
	}
	return n;
}

static void put_own_names(BIO *to, X509 *own)
{
	GENERAL_NAMES *names =
		own != NULL ? X509_get_ext_d2i(own, NID_subject_alt_name, NULL, NULL) : NULL;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		char text[CLIENT_NAME_SIZE];

		if (client_name(sk_GENERAL_NAME_value(names, i), GEN_URI, text)
			&& strpbrk(text, ",;\"\\") == NULL)
			BIO_printf(to, "By=%s;", text);
	}
	GENERAL_NAMES_free(names);
}

static void put_name(BIO *to, const X509_NAME *name)
{
	X509_NAME_print_ex(to, name, 0, XN_FLAG_RFC2253);
}

static bool is_forwarded_whole(X509 *leaf)
{
	return i2d_X509(leaf, NULL) <= TLS_CLIENT_FORWARDED_MAX;
}

// The order of the elements is Envoy's.
static void put_forwarded(
	struct texts *t, struct tls_client *c, X509 *own, X509 *leaf, const GENERAL_NAMES *names)
{
	put_own_names(t->bio, own);
	BIO_puts(t->bio, "Hash=");
	TEXT(t, &c->fingerprint_256, put_digest(t->bio, leaf, EVP_sha256()));
	if (is_forwarded_whole(leaf)) {
		BIO_puts(t->bio, ";Cert=\"");
		TEXT(t, &c->certificate, put_certificate(t->bio, leaf));
		BIO_puts(t->bio, "\"");
	}
	BIO_puts(t->bio, ";Subject=\"");
	TEXT(t, &c->subject, put_name(t->bio, X509_get_subject_name(leaf)));
	BIO_puts(t->bio, "\"");
	if (put_names(t->bio, names, GEN_URI, ";URI=", true) == 0)
		BIO_puts(t->bio, ";URI=");
	put_names(t->bio, names, GEN_DNS, ";DNS=", true);
}

static void put_serial(BIO *to, X509 *leaf)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);

	put_hex(to, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
}

static int64_t time_of(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void put_texts(struct texts *t, struct tls_client *c, X509 *own, X509 *leaf)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);

	TEXT(t, &c->forwarded, put_forwarded(t, c, own, leaf, names));
	if (!is_forwarded_whole(leaf))
		TEXT(t, &c->certificate, put_certificate(t->bio, leaf));
	TEXT(t, &c->issuer, put_name(t->bio, X509_get_issuer_name(leaf)));
	TEXT(t, &c->serial, put_serial(t->bio, leaf));
	TEXT(t, &c->fingerprint_1, put_digest(t->bio, leaf, EVP_sha1()));
	TEXT(t, &c->uri_sans, put_names(t->bio, names, GEN_URI, "", false));
	TEXT(t, &c->dns_sans, put_names(t->bio, names, GEN_DNS, "", false));
	TEXT(t, &c->email_sans, put_names(t->bio, names, GEN_EMAIL, "", false));
	TEXT(t, &c->ip_sans, put_names(t->bio, names, GEN_IPADD, "", false));
	c->valid_from_us = (uint64_t)time_of(X509_get0_notBefore(leaf)) * 1000000;
	c->valid_until_us = (uint64_t)time_of(X509_get0_notAfter(leaf)) * 1000000;
	GENERAL_NAMES_free(names);
}

// Takes the texts out of 'bio'. Returns false without memory, also if that ended one of them early.
static bool take_texts(struct texts *t, struct tls_client *c)
{
	size_t size = written(t);

	c->memory = OPENSSL_malloc(size + 1);
	if (c->memory == NULL || BIO_read(t->bio, c->memory, (int)size) != (int)size
		|| ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
		return false;
	for (unsigned i = 0; i < t->n; i++)
		*t->at[i].to = bytes_of((uint8_t *)c->memory + t->at[i].start, t->at[i].len);
	return true;
}

struct tls_client *client_read(X509 *leaf, X509 *own)
{
	struct tls_client *c = OPENSSL_zalloc(sizeof(*c));
	struct texts t = {.bio = BIO_new(BIO_s_mem())};

	ERR_clear_error();
	if (c != NULL && t.bio != NULL)
		put_texts(&t, c, own, leaf);
	if (c == NULL || t.bio == NULL || !take_texts(&t, c))
		client_free(&c);
	ERR_clear_error();
	BIO_free(t.bio);
	return c;
}

void client_free(struct tls_client **cp)
{
	struct tls_client *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	OPENSSL_free(c->memory);
	OPENSSL_free(c);
}
