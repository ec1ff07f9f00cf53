#include "tls/tls_certificate.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

// A parsed chain and key.
struct credential {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

__attribute__((format(printf, 3, 4))) static bool fail(
	char error[TLS_ERROR_SIZE], const struct tls_certificate_config *c, const char *format, ...)
{
	int n = snprintf(error, TLS_ERROR_SIZE, "%s: ", c->name != NULL ? c->name : "certificate");
	va_list args;

	if (n < 0 || n >= TLS_ERROR_SIZE)
		return false;
	va_start(args, format);
	vsnprintf(error + n, (size_t)(TLS_ERROR_SIZE - n), format, args);
	va_end(args);
	return false;
}

static const char *openssl_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason != NULL ? reason : "no reason given";
}

int tls_no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static BIO *reader_of(struct bytes pem)
{
	return pem.len > 0 && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
}

static void credential_fini(struct credential *k)
{
	X509_free(k->leaf);
	sk_X509_pop_free(k->chain, X509_free);
	EVP_PKEY_free(k->key);
}

// The stack ends where no further PEM block starts; anything else is damage.
static bool read_chain(struct credential *k, BIO *in)
{
	X509 *x;

	while ((x = PEM_read_bio_X509(in, NULL, tls_no_password, NULL)) != NULL) {
		if (sk_X509_push(k->chain, x) <= 0) {
			X509_free(x);
			return false;
		}
	}
	return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static bool credential_read(struct credential *k, const struct tls_certificate_config *c,
	int64_t *not_after_s, char error[TLS_ERROR_SIZE])
{
	BIO *in = reader_of(c->chain_pem);
	struct tm tm;

	ERR_clear_error();
	*k = (struct credential){.chain = sk_X509_new_null()};
	if (in == NULL || k->chain == NULL)
		return BIO_free(in), fail(error, c, "the certificate is empty");
	k->leaf = PEM_read_bio_X509(in, NULL, tls_no_password, NULL);
	if (k->leaf == NULL || !read_chain(k, in)) {
		BIO_free(in);
		return fail(error, c, "%s is not a PEM certificate (%s)",
			k->leaf == NULL ? "the certificate" : "a part of the chain",
			openssl_reason());
	}
	BIO_free(in);
	if (not_after_s != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(k->leaf), &tm) == 1)
		*not_after_s = timegm(&tm);

	in = reader_of(c->key_pem);
	if (in == NULL)
		return fail(error, c, "the private key is empty");
	ERR_clear_error();
	k->key = PEM_read_bio_PrivateKey(in, NULL, tls_no_password, NULL);
	BIO_free(in);
	if (k->key == NULL)
		return fail(error, c,
			"the private key is not PEM, or is protected by a password (%s)",
			openssl_reason());
	if (X509_check_private_key(k->leaf, k->key) != 1)
		return fail(error, c, "the private key does not belong to the certificate");
	return true;
}

static bool credential_use(struct credential *k, SSL_CTX *ctx,
	const struct tls_certificate_config *c, char error[TLS_ERROR_SIZE])
{
	ERR_clear_error();
	if (SSL_CTX_use_cert_and_key(ctx, k->leaf, k->key, k->chain, 0) == 1)
		return true;
	if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_NOT_REPLACING_CERTIFICATE)
		return fail(error, c, "the chain has a certificate with this type of key already");
	return fail(error, c, "the certificate cannot be used (%s)", openssl_reason());
}

bool tls_certificate_load(
	SSL_CTX *ctx, const struct tls_certificate_config *c, char error[TLS_ERROR_SIZE])
{
	struct credential k;
	bool ok = credential_read(&k, c, NULL, error) && credential_use(&k, ctx, c, error);

	credential_fini(&k);
	ERR_clear_error();
	return ok;
}

bool tls_certificate_check(
	const struct tls_certificate_config *c, int64_t *not_after_s, char error[TLS_ERROR_SIZE])
{
	struct credential k;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	bool ok = credential_read(&k, c, not_after_s, error);

	// The security level (key sizes, digests) is the context's to judge.
	ok = ok && (ctx != NULL ? credential_use(&k, ctx, c, error) : fail(error, c, "no memory"));
	credential_fini(&k);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool tls_certificates_fit(
	const struct tls_certificate_config *list, unsigned n, char error[TLS_ERROR_SIZE])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	bool ok = ctx != NULL;

	if (!ok)
		snprintf(error, TLS_ERROR_SIZE, "no memory");
	for (unsigned i = 0; ok && i < n; i++)
		ok = tls_certificate_load(ctx, &list[i], error);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}
