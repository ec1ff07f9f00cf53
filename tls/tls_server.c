#include "tls/tls_server.h"

#include "tls/tls_certificate.h"
#include "tls/tls_client.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define TICKET_KEYS_SIZE  80 // name, HMAC key, AES key: what OpenSSL wants
#define TICKET_LIFETIME_S 7200

// Envoy's list; TLS 1.3 suites are not configurable there either. AES-128 first: it is the cheapest with
// AES-NI. With SSL_OP_PRIORITIZE_CHACHA a client that prefers ChaCha20 gets it, which is what the brackets
// in Envoy's list are for.
#define DEFAULT_CIPHERS                                                \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:" \
	"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:"     \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define CIPHER_SUITES_1_3 \
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

static uint8_t ticket_keys[TICKET_KEYS_SIZE];
static bool ticket_keys_ok;
static pthread_once_t ticket_keys_once = PTHREAD_ONCE_INIT;

static void ticket_keys_init(void)
{
	ticket_keys_ok = RAND_priv_bytes(ticket_keys, sizeof(ticket_keys)) == 1;
}

static const uint8_t alpn_h2_http1[] = "\x02h2\x08http/1.1";
static const uint8_t alpn_http1[] = "\x08http/1.1";

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *arg)
{
	const struct tls_chain *chain = arg;
	const uint8_t *ours = chain->alpn_h2 ? alpn_h2_http1 : alpn_http1;
	size_t ours_len = (chain->alpn_h2 ? sizeof(alpn_h2_http1) : sizeof(alpn_http1)) - 1;
	unsigned char *chosen;

	(void)ssl;
	// Envoy goes on without ALPN, i.e. with HTTP/1.1, when nothing is common.
	if (SSL_select_next_proto(&chosen, out_len, ours, (unsigned)ours_len, in, in_len)
		!= OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int refuse(struct tls_hello *hello, enum tls_cause cause, int alert, int *alert_out)
{
	hello->refused = true;
	hello->cause = cause;
	*alert_out = alert;
	return SSL_CLIENT_HELLO_ERROR;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_hello *hello = SSL_get_app_data(ssl);
	const struct tls_server *server = hello->server;
	const struct tls_chain *chain;
	const unsigned char *ext;
	size_t ext_len, len = 0;
	uint32_t index;

	(void)arg;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &ext_len) == 1
		&& !tls_sni_read(bytes_of(ext, ext_len), hello->sni, &len))
		return refuse(hello, TLS_CAUSE_BAD_SNI, SSL_AD_ILLEGAL_PARAMETER, alert);
	hello->sni_len = (uint16_t)len;
	index = tls_sni_find(&server->sni, bytes_of(hello->sni, len));
	if (index == TLS_SNI_NONE)
		return refuse(hello, TLS_CAUSE_NO_CHAIN, SSL_AD_UNRECOGNIZED_NAME, alert);
	chain = &server->chains[index];
	hello->chain = chain;
	if (!chain->has_certificate)
		return refuse(hello, TLS_CAUSE_NO_CERTIFICATE, SSL_AD_INTERNAL_ERROR, alert);
	// The context brings certificates, ciphers and ALPN; the rest was copied from the front context when
	// the connection was made.
	if (SSL_set_SSL_CTX(ssl, chain->ctx) == NULL
		|| SSL_set_min_proto_version(ssl, chain->min_version) != 1
		|| SSL_set_max_proto_version(ssl, chain->max_version) != 1
		|| SSL_set_session_id_context(ssl, chain->id, sizeof(chain->id)) != 1)
		return refuse(hello, TLS_CAUSE_NO_MEMORY, SSL_AD_INTERNAL_ERROR, alert);
	client_rules_apply(chain->client, ssl);
	return SSL_CLIENT_HELLO_SUCCESS;
}

// The client has sent certificates.
static int on_verify(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_hello *hello = SSL_get_app_data(ssl);
	const struct tls_chain *chain = arg;
	enum tls_cause cause = client_rules_verify(chain->client, store);

	if (cause == TLS_CAUSE_OTHER)
		return 1;
	hello->refused = true;
	hello->cause = cause;
	return 0;
}

// A ticket is there; the name is known, so the chain is too.
static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
	size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	const struct tls_hello *hello = SSL_get_app_data(ssl);

	(void)name, (void)name_len, (void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (hello->chain == NULL
		|| !client_rules_resume(hello->chain->client, SSL_SESSION_get0_peer(session)))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

static SSL_CTX *context_new(void)
{
	static char groups[] = "X25519:P-256"; // OpenSSL's macro takes no const
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx,
		SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE
			| SSL_OP_PRIORITIZE_CHACHA);
	// The cache would be a lock that all workers share; tickets need none.
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TICKET_LIFETIME_S);
	SSL_CTX_set_mode(ctx,
		SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
			| SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_tlsext_ticket_keys(ctx, ticket_keys, sizeof(ticket_keys)) != 1
		|| SSL_CTX_set1_groups_list(ctx, groups) != 1
		|| SSL_CTX_set_ciphersuites(ctx, CIPHER_SUITES_1_3) != 1
		|| SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1
		|| SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1)
		SSL_CTX_free(ctx), ctx = NULL;
	return ctx;
}

static void digest_bytes(EVP_MD_CTX *md, struct bytes b)
{
	EVP_DigestUpdate(md, &b.len, sizeof(b.len));
	EVP_DigestUpdate(md, b.ptr, b.len);
}

static void digest_text(EVP_MD_CTX *md, const char *text)
{
	EVP_DigestUpdate(md, text, strlen(text) + 1);
}

static void digest_client(EVP_MD_CTX *md, const struct tls_client_config *c)
{
	uint32_t settings[] = {c->auth, c->any, c->n_names, c->n_certificates, c->n_keys};

	EVP_DigestUpdate(md, settings, sizeof(settings));
	digest_bytes(md, c->ca_pem);
	digest_bytes(md, c->crl_pem);
	for (unsigned i = 0; i < c->n_names; i++)
		digest_text(md, c->names[i]);
	EVP_DigestUpdate(md, c->certificates, c->n_certificates * sizeof(*c->certificates));
	EVP_DigestUpdate(md, c->keys, c->n_keys * sizeof(*c->keys));
}

// What must be equal for a session to resume: names, certificates, and every setting.
static bool chain_id_make(struct tls_chain *chain, const struct tls_chain_config *c)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint32_t settings[] = {c->index, c->min_version, c->max_version, c->alpn_h2};
	bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	if (ok) {
		EVP_DigestUpdate(md, settings, sizeof(settings));
		digest_text(md, c->cipher_suites != NULL ? c->cipher_suites : "");
		for (unsigned i = 0; i < c->n_sni; i++)
			digest_text(md, c->sni[i]);
		for (unsigned i = 0; i < c->n_certificates; i++)
			digest_bytes(md, c->certificates[i].chain_pem);
		digest_client(md, &c->client);
		ok = EVP_DigestFinal_ex(md, chain->id, NULL) == 1;
	}
	EVP_MD_CTX_free(md);
	return ok;
}

static bool chain_init(
	struct tls_chain *chain, const struct tls_chain_config *c, char error[TLS_ERROR_SIZE])
{
	const char *ciphers = c->cipher_suites != NULL ? c->cipher_suites : DEFAULT_CIPHERS;

	*chain = (struct tls_chain){.ctx = context_new(),
		.index = c->index,
		.min_version = c->min_version != 0 ? (int)c->min_version : TLS1_2_VERSION,
		.max_version = c->max_version != 0 ? (int)c->max_version : TLS1_3_VERSION,
		.has_certificate = c->n_certificates > 0,
		.alpn_h2 = c->alpn_h2};
	if (chain->ctx == NULL || !chain_id_make(chain, c)) {
		snprintf(error, TLS_ERROR_SIZE, "no memory for a TLS context");
		return false;
	}
	// Unknown names in the list are ignored by OpenSSL, as Istio ignores them.
	if (SSL_CTX_set_cipher_list(chain->ctx, ciphers) != 1) {
		snprintf(error, TLS_ERROR_SIZE, "no usable cipher suite in \"%s\"", ciphers);
		return false;
	}
	for (unsigned i = 0; i < c->n_certificates; i++) {
		if (!tls_certificate_load(chain->ctx, &c->certificates[i], error))
			return false;
	}
	SSL_CTX_set_alpn_select_cb(chain->ctx, on_alpn, chain);
	SSL_CTX_set_cert_verify_callback(chain->ctx, on_verify, chain);
	return client_rules_new(&chain->client, chain->ctx, &c->client, error);
}

static bool names_add(
	struct tls_server *s, const struct tls_server_config *config, char error[TLS_ERROR_SIZE])
{
	uint32_t n_names = 0;

	for (unsigned i = 0; i < config->n_chains; i++)
		n_names += config->chains[i].n_sni;
	if (tls_sni_init(&s->sni, n_names) != 0) {
		snprintf(error, TLS_ERROR_SIZE, "no memory for %u server names", n_names);
		return false;
	}
	for (unsigned i = 0; i < config->n_chains; i++) {
		const struct tls_chain_config *c = &config->chains[i];

		for (unsigned j = 0; j < c->n_sni || (c->n_sni == 0 && j == 0); j++) {
			const char *name = c->n_sni > 0 ? c->sni[j] : NULL;

			if (tls_sni_add(&s->sni, name, i) != 0) {
				snprintf(error, TLS_ERROR_SIZE,
					"server name \"%s\" is in two filter chains",
					name != NULL ? name : "*");
				return false;
			}
		}
	}
	return true;
}

static void server_free(struct tls_server *s)
{
	for (unsigned i = 0; i < s->n_chains; i++) {
		SSL_CTX_free(s->chains[i].ctx);
		client_rules_free(&s->chains[i].client);
	}
	free(s->chains);
	tls_sni_fini(&s->sni);
	SSL_CTX_free(s->front);
	free(s);
}

struct tls_server *tls_server_new(
	const struct tls_server_config *config, char error[TLS_ERROR_SIZE])
{
	struct tls_server *s = calloc(1, sizeof(*s));
	bool ok;

	if (s == NULL) {
		snprintf(error, TLS_ERROR_SIZE, "no memory for a TLS server");
		return NULL;
	}
	pthread_once(&ticket_keys_once, ticket_keys_init);
	s->n_refs = 1;
	s->front = ticket_keys_ok ? context_new() : NULL;
	s->chains = calloc(config->n_chains + 1, sizeof(*s->chains));
	ok = s->front != NULL && s->chains != NULL
		&& SSL_CTX_set_session_ticket_cb(s->front, NULL, on_ticket, NULL) == 1;
	if (!ok)
		snprintf(error, TLS_ERROR_SIZE, "no memory or randomness for a TLS server");
	else
		SSL_CTX_set_client_hello_cb(s->front, on_client_hello, NULL);
	while (ok && s->n_chains < config->n_chains) {
		ok = chain_init(&s->chains[s->n_chains], &config->chains[s->n_chains], error);
		s->n_chains++;
	}
	ok = ok && names_add(s, config, error);
	ERR_clear_error();
	if (ok)
		return s;
	server_free(s);
	return NULL;
}

struct tls_server *tls_server_ref(struct tls_server *s)
{
	__atomic_fetch_add(&s->n_refs, 1, __ATOMIC_RELAXED);
	return s;
}

void tls_server_unref(struct tls_server **sp)
{
	struct tls_server *s = *sp;

	*sp = NULL;
	if (s != NULL && __atomic_fetch_sub(&s->n_refs, 1, __ATOMIC_ACQ_REL) == 1)
		server_free(s);
}

SSL *tls_server_ssl_new(struct tls_hello *hello)
{
	SSL *ssl = SSL_new(hello->server->front);

	if (ssl == NULL)
		return NULL;
	SSL_set_accept_state(ssl);
	if (SSL_set_app_data(ssl, hello) != 1)
		SSL_free(ssl), ssl = NULL;
	return ssl;
}
