// The certificate of a client: whether it is good for a chain, and what it says, as texts. Worker thread, except for
// client_rules_new() and client_rules_free().
//
// OpenSSL verifies the chain for the purpose of a TLS client: an extended key usage that does not name it is refused. Names are
// read from the certificate by type, and those with bytes that a name cannot have (NUL, control bytes, blanks, beyond ASCII)
// are no names: they match nothing and are told to nobody (Envoy CVE-2022-21656, CVE-2025-66220).
#pragma once

#include "tls/tls.h"
#include "tls/tls_failure.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct client_rules;

// Copies what 'c' says, and makes 'ctx' ask for certificates and check them. '*out' is NULL if the chain asks for none. Returns
// false and a sentence in 'error'.
bool client_rules_new(struct client_rules **out, SSL_CTX *ctx, const struct tls_client_config *c,
	char error[TLS_ERROR_SIZE]);
void client_rules_free(struct client_rules **rp);

// What 'ssl', which moved to the chain's context, has to be told besides.
void client_rules_apply(const struct client_rules *r, SSL *ssl);

// Judges a chain that a client sent. Returns OTHER if it is good, else the cause, which is noted in 'store' too.
enum tls_cause client_rules_verify(const struct client_rules *r, X509_STORE_CTX *store);

// Whether a session with the client's certificate 'leaf' (NULL: none) may be resumed now. That the rules are those under which it
// began is the session context's business.
bool client_rules_resume(const struct client_rules *r, X509 *leaf);

// Writes one subject alternative name; false if it is not of this type (GEN_DNS...), or no name.
#define CLIENT_NAME_SIZE 256
bool client_name(const GENERAL_NAME *g, int type, char out[CLIENT_NAME_SIZE]);

// What 'leaf', a client's certificate, says, in OpenSSL's memory. 'own' is the certificate that the client was shown; NULL: none.
// Returns NULL without memory.
struct tls_client *client_read(X509 *leaf, X509 *own);
void client_free(struct tls_client **cp);
