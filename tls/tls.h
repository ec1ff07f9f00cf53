// TLS as a stream over a stream: OpenSSL with a custom BIO, no sockets, no files on a worker.
//
// The mgmt thread builds a tls_server for each listener (certificates, keys and chains are given as
// bytes); it is immutable afterwards, reference counted, and shared by all workers. A worker accepts TLS
// on a TCP stream with tls_accept(). Which chain answers is chosen by SNI in the ClientHello, as Envoy's
// filter chain match does: exact name, then the longest wildcard, then the chain without names; no chain
// means the connection is closed and counted (Envoy: filter_chain_not_found, flag NR).
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/stream.h"
#include "dataplane/timer.h"
#include "tls/tls_failure.h"
#include "tls/tls_stats.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_ERROR_SIZE 256

struct tls_server; // immutable, shared
struct tls_worker; // per worker: pools, timers, counters

enum tls_version {
	TLS_VERSION_1_2 = 0x0303,
	TLS_VERSION_1_3 = 0x0304,
};

struct tls_certificate_config {
	struct bytes chain_pem; // leaf first
	struct bytes key_pem;
	const char *name;    // for messages: "secret default/shop-cert" or a file name
	int64_t not_after_s; // as tls_certificate_check() said; nothing here depends on it
};

enum tls_client_auth {
	TLS_CLIENT_NOT_ASKED,
	TLS_CLIENT_OPTIONAL, // a client without a certificate is taken, one with a bad one is not
	TLS_CLIENT_REQUIRED,
};

struct tls_sha256 {
	uint8_t b[32];
};

// What a chain wants of its clients' certificates.
struct tls_client_config {
	enum tls_client_auth auth;
	bool any;             // whoever signed it, and whatever it says
	struct bytes ca_pem;  // one or more
	const char *ca_name;  // for messages
	struct bytes crl_pem; // of every CA in the chains, if there are any
	const char *crl_name;
	const char *const *names; // one of them has to be a subject alternative name; none: any
	unsigned n_names;
	// If there are any, the certificate's digest or its public key's (SubjectPublicKeyInfo) has to be one of them.
	const struct tls_sha256 *certificates;
	unsigned n_certificates;
	const struct tls_sha256 *keys;
	unsigned n_keys;
};

// One filter chain.
struct tls_chain_config {
	const char *const
		*sni; // lower case; "shop.example", "*.example"; none: matches every name and none
	unsigned n_sni;
	struct tls_certificate_config certificates[2]; // e.g. one RSA and one ECDSA; 0: see below
	unsigned n_certificates; // 0: the secret is missing: the chain exists, its handshakes fail
	enum tls_version min_version;
	enum tls_version max_version;
	const char *cipher_suites; // OpenSSL syntax for TLS 1.2; NULL: Envoy's default list
	bool alpn_h2;              // offer h2 before http/1.1
	unsigned index;            // told back by tls_info_get()
	struct tls_client_config client;
};

struct tls_server_config {
	const struct tls_chain_config *chains;
	unsigned n_chains;
};

// Builds what 'config' says; nothing of it is kept. Returns NULL and a sentence in 'error' if a
// certificate or key is unusable. mgmt thread. The caller holds one reference.
struct tls_server *tls_server_new(
	const struct tls_server_config *config, char error[TLS_ERROR_SIZE]);
struct tls_server *tls_server_ref(struct tls_server *s); // any thread
void tls_server_unref(struct tls_server **sp);           // any thread

// Checks a certificate and key without building a server: they parse and belong together. Returns false and a sentence in
// 'error'; else '*not_after_s' is when it expires, which may have been.
bool tls_certificate_check(
	const struct tls_certificate_config *c, int64_t *not_after_s, char error[TLS_ERROR_SIZE]);

// Checks that one chain can have all of them: no two with one type of key. Each was good for tls_certificate_check().
bool tls_certificates_fit(
	const struct tls_certificate_config *list, unsigned n, char error[TLS_ERROR_SIZE]);

// Checks the CAs and revocation lists without building a server. Returns false and a sentence in 'error'. '*not_after_s' is when
// the first of the CAs, or of the lists, expires; INT64_MAX: there are none.
bool tls_client_check(
	const struct tls_client_config *c, int64_t *not_after_s, char error[TLS_ERROR_SIZE]);

struct tls_worker_config {
	uint32_t max_connections;
	// Plaintext buffers of 16 KB, held only while a connection has plaintext; 0: a quarter of max_connections,
	// at least 64 and at most 4096.
	uint32_t n_buffers;
	uint32_t handshake_timeout_us;
	struct timer_wheel *timers;
	struct tls_stats *stats; // borrowed
};

struct tls_worker *tls_worker_new(const struct tls_worker_config *config);
void tls_worker_free(struct tls_worker **wp); // asserts that no connection is left

// Encrypts what was written in this turn, and gives another chance to connections that had to wait for a
// buffer or for their handshake's share of the turn. Call it once each loop turn, after everything else that
// writes: without it small writes never leave. Calls on_event(). Returns true if there is more to do in the
// next turn.
bool tls_worker_turn(struct tls_worker *w, uint64_t now_us);

// Puts TLS over '*lower' (taken and cleared, becomes owned by the returned stream). The new stream reports
// STREAM_CONNECTED when the handshake is done, or STREAM_CLOSED with TLS_HANDSHAKE or CONNECT_TIMEOUT. Returns
// NULL when the pool is empty; '*lower' is then still the caller's. Takes a reference on 'server'.
//
// Ends: a close_notify makes stream_read_ended() true. A FIN without one is STREAM_CLOSED with TLS_TRUNCATED;
// what was decrypted stays readable, stream_close() still delivers what was written, and the owner decides
// whether something is missing. stream_close() after a failed handshake delivers the alert.
struct stream *tls_accept(struct tls_worker *w, struct tls_server *server, struct stream **lower,
	stream_event_fn *on_event, void *owner, uint64_t now_us);

// The TLS stream above 'lower', or NULL if its owner is something else, or has given the TLS stream back.
const struct stream *tls_above(const struct stream *lower);

// A certificate larger than this is left out of 'forwarded': the head would be too large for most endpoints.
#define TLS_CLIENT_FORWARDED_MAX 8192

// What a client's certificate says. Subject and issuer as RFC 2253 has them, lists with commas, numbers in lower-case hex.
struct tls_client {
	struct bytes
		forwarded; // the value of Envoy's x-forwarded-client-cert: Hash, Cert, Subject, URI, DNS
	struct bytes certificate; // PEM, URL-encoded
	struct bytes subject;
	struct bytes issuer;
	struct bytes serial;
	struct bytes fingerprint_256;
	struct bytes fingerprint_1;
	struct bytes uri_sans;
	struct bytes dns_sans;
	struct bytes email_sans;
	struct bytes ip_sans;
	uint64_t valid_from_us; // since 1970
	uint64_t valid_until_us;
	void *memory; // of the texts
};

struct tls_info {
	struct bytes sni;     // as sent, lower case, checked to be a host name; len 0 if none
	struct bytes alpn;    // what was agreed on; len 0 if nothing
	unsigned chain_index; // of the tls_chain_config that answered
	const char *version;  // "TLSv1.3"
	const char *cipher;   // OpenSSL's name
	bool session_reused;
	const char *
		failure; // why the handshake failed, whitespace as "_", for the access log; or NULL
	enum tls_cause cause;            // of the failure
	const struct tls_client *client; // NULL: it has shown no certificate
};

// 's' is a stream of tls_accept(). Valid after STREAM_CONNECTED (or CLOSED, for 'failure'); pointers live as
// long as the stream.
void tls_info_get(struct stream *s, struct tls_info *out);

// Installs the per-worker allocator for OpenSSL (CRYPTO_set_mem_functions). To be called before anything
// else of OpenSSL, once in the process.
int tls_alloc_install(void);

// To be called once on each worker's thread: sizes its allocator, so that no OpenSSL call on the thread
// reaches malloc while memory lasts. 'bytes' is the arena's size.
int tls_alloc_thread_init(size_t bytes);
// Blocks of the thread that others still hold stay valid; the arena is then left to the process's end.
void tls_alloc_thread_fini(void);

struct tls_alloc_usage {
	size_t arena_bytes; // 0: the thread has no arena
	size_t carved_bytes;
	uint64_t n_fallbacks;
};

// Of the calling thread.
void tls_alloc_usage(struct tls_alloc_usage *out);
