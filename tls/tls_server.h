// The inside of a tls_server, for tls_conn.c.
//
// Each chain is an SSL_CTX. A connection begins on the front context, which has no certificate; the
// ClientHello callback reads the server name and moves the connection to the chain's context before OpenSSL
// looks at versions, ciphers or tickets.
//
// Session tickets: one key of the process encrypts them, so that any worker, and the server built by the
// next reload, can resume. The session id context is a digest of all that a chain is, so a session resumes
// on an equal chain and on no other (nginx CVE-2025-23419, Envoy CVE-2022-21654): the rules for client certificates are part
// of it, CAs and revocation lists included. A certificate that has expired since resumes nothing.
#pragma once

#include "tls/tls.h"
#include "tls/tls_failure.h"
#include "tls/tls_sni.h"

#include <openssl/ssl.h>

#define TLS_CHAIN_ID_SIZE 32 // SHA-256, and SSL_MAX_SID_CTX_LENGTH

struct client_rules;

struct tls_chain {
	SSL_CTX *ctx;
	unsigned index;
	int min_version;
	int max_version;
	bool has_certificate;
	bool alpn_h2;
	struct client_rules *client; // NULL: clients are not asked for certificates
	uint8_t id[TLS_CHAIN_ID_SIZE];
};

struct tls_server {
	uint32_t n_refs; // atomic

	// immutable
	SSL_CTX *front;
	struct tls_sni_table sni;
	struct tls_chain *chains;
	unsigned n_chains;
};

// What the ClientHello said; a part of the connection.
struct tls_hello {
	const struct tls_server *server;
	const struct tls_chain *chain; // NULL until known
	bool refused;                  // by us, for 'cause'
	enum tls_cause cause;
	uint16_t sni_len;
	char sni[TLS_SNI_SIZE];
};

// Returns a connection in the server's role, or NULL without memory. '*hello' has to outlive it.
SSL *tls_server_ssl_new(struct tls_hello *hello);
