#include "tests/tls_peer.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <time.h>

// OpenSSL's macros cast const away, which clang notices.
static char *not_const(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void bio_text(BIO *bio, char out[TLS_PEM_SIZE])
{
	int n = BIO_read(bio, out, TLS_PEM_SIZE - 1);

	assert(n > 0 && n < TLS_PEM_SIZE - 1);
	out[n] = 0;
	BIO_free(bio);
}

static X509 *read_certificate(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	assert(x != NULL);
	BIO_free(bio);
	return x;
}

static EVP_PKEY *read_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	assert(key != NULL);
	BIO_free(bio);
	return key;
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, not_const(value));

	assert(e != NULL && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static void add_dns(X509 *x, struct bytes name)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	assert(ASN1_STRING_set(s, name.ptr, (int)name.len) == 1);
	GENERAL_NAME_set0_value(g, GEN_DNS, s);
	assert(sk_GENERAL_NAME_push(names, g) > 0);
	assert(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

void tls_pem_make_as(struct tls_pem *out, const struct tls_pem_options *o)
{
	EVP_PKEY *key = o->kind == TLS_KEY_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	EVP_PKEY *signer = o->issuer != NULL ? read_key(o->issuer->key) : key;
	X509 *x = X509_new(), *issuer = NULL;
	X509_NAME *subject = X509_get_subject_name(x);
	BIO *bio;

	assert(key != NULL);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), o->serial != 0 ? o->serial : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), o->not_before_s);
	X509_gmtime_adj(X509_getm_notAfter(x), o->not_after_s);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)o->name, -1, -1, 0);
	if (o->issuer != NULL)
		issuer = read_certificate(o->issuer->certificate);
	X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer) : subject);
	X509_set_pubkey(x, key);
	if (o->is_ca)
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	if (o->san != NULL)
		add_extension(x, NID_subject_alt_name, o->san);
	if (o->dns.len > 0)
		add_dns(x, o->dns);
	if (o->usage != NULL)
		add_extension(x, NID_ext_key_usage, o->usage);
	assert(X509_sign(x, signer, EVP_sha256()) > 0);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, x);
	bio_text(bio, out->certificate);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	bio_text(bio, out->key);
	X509_free(x);
	X509_free(issuer);
	if (signer != key)
		EVP_PKEY_free(signer);
	EVP_PKEY_free(key);
}

void tls_pem_make(struct tls_pem *out, enum tls_key_kind kind, const char *name, long not_before_s,
	long not_after_s)
{
	tls_pem_make_as(out,
		&(struct tls_pem_options){.kind = kind,
			.name = name,
			.not_before_s = not_before_s,
			.not_after_s = not_after_s});
}

void tls_crl_make(char out[TLS_PEM_SIZE], const struct tls_pem *issuer, long serial, int days)
{
	X509 *ca = read_certificate(issuer->certificate);
	EVP_PKEY *key = read_key(issuer->key);
	X509_REVOKED *revoked = X509_REVOKED_new();
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	ASN1_TIME *now = ASN1_TIME_adj(NULL, time(NULL), 0, -10);
	ASN1_TIME *later = ASN1_TIME_adj(NULL, time(NULL), days, 0);
	X509_CRL *crl = X509_CRL_new();
	BIO *bio = BIO_new(BIO_s_mem());

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, later);
	ASN1_INTEGER_set(number, serial);
	X509_REVOKED_set_serialNumber(revoked, number);
	X509_REVOKED_set_revocationDate(revoked, now);
	assert(X509_CRL_add0_revoked(crl, revoked) == 1);
	assert(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	PEM_write_bio_X509_CRL(bio, crl);
	bio_text(bio, out);
	X509_CRL_free(crl);
	ASN1_TIME_free(now);
	ASN1_TIME_free(later);
	ASN1_INTEGER_free(number);
	EVP_PKEY_free(key);
	X509_free(ca);
}

struct tls_certificate_config tls_pem_config(const struct tls_pem *p, const char *name)
{
	return (struct tls_certificate_config){.chain_pem = bytes_of_str(p->certificate),
		.key_pem = bytes_of_str(p->key),
		.name = name};
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_peer *p = SSL_get_app_data(ssl);

	SSL_SESSION_free(p->session);
	p->session = session;
	return 1; // taken
}

static void use_certificate(SSL *ssl, const struct tls_pem *pem)
{
	X509 *x = read_certificate(pem->certificate);
	EVP_PKEY *key = read_key(pem->key);

	assert(SSL_use_certificate(ssl, x) == 1 && SSL_use_PrivateKey(ssl, key) == 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

void tls_peer_init(struct tls_peer *p, struct stream *end, const struct tls_peer_options *options)
{
	*p = (struct tls_peer){.end = end, .ctx = SSL_CTX_new(TLS_client_method()), .alert = -1};
	SSL_CTX_set_session_cache_mode(p->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(p->ctx, on_session);
	SSL_CTX_set_min_proto_version(p->ctx, options->version);
	SSL_CTX_set_max_proto_version(p->ctx, options->version);
	if (options->ciphers != NULL)
		assert(SSL_CTX_set_cipher_list(p->ctx, options->ciphers) == 1);
	if (options->groups != NULL)
		assert(SSL_CTX_set1_groups_list(p->ctx, not_const(options->groups)) == 1);
	p->ssl = SSL_new(p->ctx);
	assert(p->ssl != NULL);
	if (options->certificate != NULL)
		use_certificate(p->ssl, options->certificate);
	SSL_set_app_data(p->ssl, p);
	if (options->sni != NULL)
		SSL_set_tlsext_host_name(p->ssl, not_const(options->sni));
	if (options->alpn != NULL)
		SSL_set_alpn_protos(p->ssl, (const unsigned char *)options->alpn,
			(unsigned)strlen(options->alpn));
	if (options->session != NULL)
		SSL_set_session(p->ssl, options->session);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(p->in, -1);
	SSL_set_bio(p->ssl, p->in, p->out);
	SSL_set_connect_state(p->ssl);
}

void tls_peer_fini(struct tls_peer *p)
{
	// OpenSSL would spoil the session of a connection that ends without close_notify.
	SSL_set_shutdown(p->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	SSL_SESSION_free(p->session);
	*p = (struct tls_peer){0};
	ERR_clear_error();
}

static bool take_in(struct tls_peer *p)
{
	bool moved = false;

	for (;;) {
		struct bytes b = stream_peek(p->end);

		if (b.len == 0)
			return moved;
		assert(BIO_write(p->in, b.ptr, (int)b.len) == (int)b.len);
		stream_consume(p->end, b.len);
		moved = true;
	}
}

static bool put_out(struct tls_peer *p)
{
	char *data;
	size_t n = (size_t)BIO_get_mem_data(p->out, &data);
	size_t room = stream_room(p->end);
	uint8_t copy[4096];
	int got;

	if (n > room)
		n = room;
	if (n > sizeof(copy))
		n = sizeof(copy);
	if (n == 0)
		return false;
	got = BIO_read(p->out, copy, (int)n);
	assert(got > 0 && stream_write(p->end, bytes_of(copy, (size_t)got), false) == (size_t)got);
	return true;
}

static void note_error(struct tls_peer *p, int result)
{
	int error = SSL_get_error(p->ssl, result);
	int reason = ERR_GET_REASON(ERR_peek_last_error());

	if (error == SSL_ERROR_SSL && reason >= SSL_AD_REASON_OFFSET)
		p->alert = reason - SSL_AD_REASON_OFFSET;

	if (error == SSL_ERROR_ZERO_RETURN)
		p->ended = true;
	else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		p->error = error;
}

bool tls_peer_step(struct tls_peer *p)
{
	bool moved = take_in(p);

	if (!p->connected && p->error == 0) {
		int result;

		ERR_clear_error();
		result = SSL_do_handshake(p->ssl);
		if (result == 1)
			p->connected = true;
		else
			note_error(p, result);
	}
	while (put_out(p))
		moved = true;
	return moved;
}

size_t tls_peer_read(struct tls_peer *p, void *out, size_t cap)
{
	size_t n = 0;

	take_in(p);
	while (n < cap && p->error == 0) {
		int result;

		ERR_clear_error();
		result = SSL_read(p->ssl, (char *)out + n, (int)(cap - n));
		if (result <= 0) {
			note_error(p, result);
			break;
		}
		n += (size_t)result;
	}
	put_out(p);
	return n;
}

void tls_peer_write(struct tls_peer *p, struct bytes b)
{
	ERR_clear_error();
	assert(SSL_write(p->ssl, b.ptr, (int)b.len) == (int)b.len);
	while (put_out(p)) {}
}

void tls_peer_shutdown(struct tls_peer *p)
{
	SSL_shutdown(p->ssl);
	while (put_out(p)) {}
}
