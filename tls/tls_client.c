#include "tls/tls_client.h"

#include "tls/tls_certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DEPTH_MAX 8           // of a chain, leaf and root not counted
#define LIST_MAX  (32 * 1024) // bytes of all certificates that a client may send

struct client_rules {
	bool required;
	bool any; // whoever signed it
	char **names;
	unsigned n_names;
	struct tls_sha256 *certificates;
	unsigned n_certificates;
	struct tls_sha256 *keys;
	unsigned n_keys;
};

// --- trust

static BIO *reader_of(struct bytes pem)
{
	return BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

static bool is_end_of_pem(void)
{
	bool is = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

	ERR_clear_error();
	return is;
}

// The CAs: each is a root of trust, an intermediate one too, as in Envoy.
static bool add_authorities(SSL_CTX *ctx, const struct tls_client_config *c, char *error)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *in = reader_of(c->ca_pem);
	unsigned n = 0;
	bool good = in != NULL;
	X509 *x;

	ERR_clear_error();
	for (; good && (x = PEM_read_bio_X509(in, NULL, tls_no_password, NULL)) != NULL; n++) {
		good = X509_STORE_add_cert(store, x) == 1 && SSL_CTX_add_client_CA(ctx, x) == 1;
		X509_free(x);
	}
	good = good && is_end_of_pem() && n > 0;
	BIO_free(in);
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	if (!good)
		snprintf(error, TLS_ERROR_SIZE, "%s: not a list of PEM certificates",
			c->ca_name != NULL ? c->ca_name : "CA");
	return good;
}

static bool add_revocations(SSL_CTX *ctx, const struct tls_client_config *c, char *error)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *in = reader_of(c->crl_pem);
	unsigned n = 0;
	bool good = in != NULL;
	X509_CRL *crl;

	ERR_clear_error();
	for (; good && (crl = PEM_read_bio_X509_CRL(in, NULL, tls_no_password, NULL)) != NULL;
		n++) {
		good = X509_STORE_add_crl(store, crl) == 1;
		X509_CRL_free(crl);
	}
	good = good && is_end_of_pem() && n > 0;
	BIO_free(in);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	if (!good)
		snprintf(error, TLS_ERROR_SIZE, "%s: not a list of PEM revocation lists",
			c->crl_name != NULL ? c->crl_name : "CRL");
	return good;
}

// --- rules

static bool copy_pins(struct tls_sha256 **to, const struct tls_sha256 *from, unsigned n)
{
	*to = calloc(n + 1, sizeof(**to));
	if (*to != NULL && n > 0)
		memcpy(*to, from, n * sizeof(**to));
	return *to != NULL;
}

// Addresses in the one spelling that they are compared in.
static char *copy_name(const char *name)
{
	char text[IP_ENDPOINT_TEXT_SIZE];
	struct ip_addr a;

	if (!ip_addr_parse(name, &a))
		return strdup(name);
	text[ip_addr_print(&a, text)] = '\0';
	return strdup(text);
}

static bool copy_names(struct client_rules *r, const struct tls_client_config *c)
{
	r->names = calloc(c->n_names + 1, sizeof(*r->names));
	for (; r->names != NULL && r->n_names < c->n_names; r->n_names++) {
		r->names[r->n_names] = copy_name(c->names[r->n_names]);
		if (r->names[r->n_names] == NULL)
			return false;
	}
	return r->names != NULL;
}

bool client_rules_new(struct client_rules **out, SSL_CTX *ctx, const struct tls_client_config *c,
	char error[TLS_ERROR_SIZE])
{
	struct client_rules *r;

	*out = NULL;
	if (c->auth == TLS_CLIENT_NOT_ASKED)
		return true;
	r = calloc(1, sizeof(*r));
	*out = r;
	if (r == NULL || !copy_names(r, c)
		|| !copy_pins(&r->certificates, c->certificates, c->n_certificates)
		|| !copy_pins(&r->keys, c->keys, c->n_keys)) {
		snprintf(error, TLS_ERROR_SIZE, "no memory for the rules of client certificates");
		return false;
	}
	r->required = c->auth == TLS_CLIENT_REQUIRED;
	r->any = c->any;
	r->n_certificates = c->n_certificates;
	r->n_keys = c->n_keys;
	return (c->ca_pem.len == 0 || add_authorities(ctx, c, error))
		&& (c->crl_pem.len == 0 || add_revocations(ctx, c, error));
}

void client_rules_free(struct client_rules **rp)
{
	struct client_rules *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	for (unsigned i = 0; r->names != NULL && i < r->n_names; i++)
		free(r->names[i]);
	free(r->names);
	free(r->certificates);
	free(r->keys);
	free(r);
}

static int64_t first_expiry(SSL_CTX *ctx)
{
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
	int64_t first = INT64_MAX;
	struct tm tm;

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
		X509_OBJECT *object = sk_X509_OBJECT_value(all, i);
		const X509 *x = X509_OBJECT_get0_X509(object);
		const X509_CRL *crl = X509_OBJECT_get0_X509_CRL(object);
		const ASN1_TIME *end = x != NULL ? X509_get0_notAfter(x)
			: crl != NULL            ? X509_CRL_get0_nextUpdate(crl)
						 : NULL;

		if (end != NULL && ASN1_TIME_to_tm(end, &tm) == 1)
			first = timegm(&tm) < first ? timegm(&tm) : first;
	}
	return first;
}

bool tls_client_check(
	const struct tls_client_config *c, int64_t *not_after_s, char error[TLS_ERROR_SIZE])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct client_rules *rules = NULL;
	bool good = ctx != NULL && client_rules_new(&rules, ctx, c, error);

	if (ctx == NULL)
		snprintf(error, TLS_ERROR_SIZE, "no memory");
	*not_after_s = good ? first_expiry(ctx) : INT64_MAX;
	client_rules_free(&rules);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

void client_rules_apply(const struct client_rules *r, SSL *ssl)
{
	int mode = SSL_VERIFY_NONE;

	if (r != NULL)
		mode = SSL_VERIFY_PEER | (r->required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
	SSL_set_verify(ssl, mode, NULL);
	SSL_set_verify_depth(ssl, DEPTH_MAX);
	SSL_set_max_cert_list(ssl, LIST_MAX);
}

// --- names of a certificate

bool client_name(const GENERAL_NAME *g, int type, char out[CLIENT_NAME_SIZE])
{
	const ASN1_STRING *s;
	int len;

	if (g->type != type)
		return false;
	if (type == GEN_IPADD) {
		struct ip_addr a;

		len = ASN1_STRING_length(g->d.iPAddress);
		if (len == 4) {
			uint32_t v4;

			memcpy(&v4, ASN1_STRING_get0_data(g->d.iPAddress), 4);
			a = ip_addr_of_v4(v4);
		} else if (len == (int)sizeof(a.b)) {
			memcpy(a.b, ASN1_STRING_get0_data(g->d.iPAddress), sizeof(a.b));
		} else {
			return false;
		}
		out[ip_addr_print(&a, out)] = '\0';
		return true;
	}
	s = g->d.ia5; // so are email, dNSName and uniformResourceIdentifier
	len = ASN1_STRING_length(s);
	if (len <= 0 || len >= CLIENT_NAME_SIZE)
		return false;
	for (int i = 0; i < len; i++) {
		uint8_t c = ASN1_STRING_get0_data(s)[i];

		if (c <= 0x20 || c >= 0x7f)
			return false;
		out[i] = (char)c;
	}
	out[len] = '\0';
	return true;
}

static const int name_types[] = {GEN_URI, GEN_DNS, GEN_EMAIL, GEN_IPADD};

static bool name_matches(const GENERAL_NAME *g, const char *wanted)
{
	char text[CLIENT_NAME_SIZE];

	for (unsigned i = 0; i < sizeof(name_types) / sizeof(name_types[0]); i++) {
		if (client_name(g, name_types[i], text))
			return g->type == GEN_DNS ? strcasecmp(text, wanted) == 0
						  : strcmp(text, wanted) == 0;
	}
	return false;
}

static bool has_name(const struct client_rules *r, X509 *leaf)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		for (unsigned k = 0; !found && k < r->n_names; k++)
			found = name_matches(sk_GENERAL_NAME_value(names, i), r->names[k]);
	}
	GENERAL_NAMES_free(names);
	return found;
}

// --- pins

static bool has_pin(const struct tls_sha256 *pins, unsigned n, const uint8_t *digest)
{
	for (unsigned i = 0; i < n; i++) {
		if (memcmp(pins[i].b, digest, sizeof(pins[i].b)) == 0)
			return true;
	}
	return false;
}

static bool digest_key(X509 *leaf, uint8_t out[EVP_MAX_MD_SIZE])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
	bool good = len > 0 && EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return good;
}

// One of either list is enough.
static bool is_pinned(const struct client_rules *r, X509 *leaf)
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	return (X509_digest(leaf, EVP_sha256(), digest, NULL) == 1
		       && has_pin(r->certificates, r->n_certificates, digest))
		|| (r->n_keys > 0 && digest_key(leaf, digest)
			&& has_pin(r->keys, r->n_keys, digest));
}

// --- verify

static enum tls_cause cause_of(int error)
{
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID: return TLS_CAUSE_CLIENT_EXPIRED;
	case X509_V_ERR_CERT_REVOKED: return TLS_CAUSE_CLIENT_REVOKED;
	case X509_V_ERR_INVALID_PURPOSE: return TLS_CAUSE_CLIENT_PURPOSE;
	case X509_V_ERR_OUT_OF_MEM: return TLS_CAUSE_NO_MEMORY;
	default: return TLS_CAUSE_CLIENT_UNTRUSTED;
	}
}

enum tls_cause client_rules_verify(const struct client_rules *r, X509_STORE_CTX *store)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	if (r->any) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return TLS_CAUSE_OTHER;
	}
	if (X509_verify_cert(store) != 1)
		return cause_of(X509_STORE_CTX_get_error(store));
	// OpenSSL turns these two into alerts: bad_certificate.
	if (r->n_names > 0 && !has_name(r, leaf)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
		return TLS_CAUSE_CLIENT_NAME;
	}
	if (r->n_certificates + r->n_keys > 0 && !is_pinned(r, leaf)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
		return TLS_CAUSE_CLIENT_PIN;
	}
	return TLS_CAUSE_OTHER;
}

bool client_rules_resume(const struct client_rules *r, X509 *leaf)
{
	if (r == NULL || r->any)
		return true;
	if (leaf == NULL)
		return !r->required;
	return X509_cmp_current_time(X509_get0_notAfter(leaf)) > 0;
}
