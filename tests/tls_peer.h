// The other side of TLS in tests: certificates made on the spot, and an OpenSSL client over memory BIOs at
// one end of a fake stream. The client moves only in tls_peer_step().
#pragma once

#include "dataplane/stream.h"
#include "tls/tls.h"

#include <openssl/ssl.h>
#include <stdbool.h>

enum tls_key_kind {
	TLS_KEY_P256,
	TLS_KEY_RSA,
};

#define TLS_PEM_SIZE 4096

struct tls_pem {
	char certificate[TLS_PEM_SIZE];
	char key[TLS_PEM_SIZE];
};

struct tls_pem_options {
	enum tls_key_kind kind;
	const char *name;             // CN of the subject
	const struct tls_pem *issuer; // NULL: self-signed
	bool is_ca;
	const char *san;   // as in openssl.cnf: "URI:spiffe://a/b,DNS:c.example"; NULL: none
	struct bytes dns;  // a dNSName of any bytes; len 0: none
	const char *usage; // extended: "clientAuth"; NULL: none
	long not_before_s; // offsets from now
	long not_after_s;
	long serial; // 0: 1
};
void tls_pem_make_as(struct tls_pem *out, const struct tls_pem_options *o);

// A revocation list of 'issuer' with the certificate 'serial'.
void tls_crl_make(char out[TLS_PEM_SIZE], const struct tls_pem *issuer, long serial, int days);

// A self-signed certificate for 'name', valid from 'not_before_s' to 'not_after_s' (offsets from now).
void tls_pem_make(struct tls_pem *out, enum tls_key_kind kind, const char *name, long not_before_s,
	long not_after_s);
struct tls_certificate_config tls_pem_config(const struct tls_pem *p, const char *name);

struct tls_peer_options {
	const char *sni; // NULL: none
	int version;     // TLS1_2_VERSION, TLS1_3_VERSION, or 0 for both
	const char *ciphers;
	const char *alpn; // in wire form: "\x02h2"
	const char *groups;
	SSL_SESSION *session;              // to resume; borrowed
	const struct tls_pem *certificate; // the client's; NULL: none
};

struct tls_peer {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in;
	BIO *out;
	struct stream *end;
	bool connected;
	bool ended;           // close_notify came
	int error;            // of SSL_get_error(), if the connection broke
	int alert;            // that came with it; -1: none
	SSL_SESSION *session; // the newest ticket
};

void tls_peer_init(struct tls_peer *p, struct stream *end, const struct tls_peer_options *options);
void tls_peer_fini(struct tls_peer *p);

// Moves ciphertext both ways and shakes hands. Returns false if nothing moved.
bool tls_peer_step(struct tls_peer *p);

// Bytes of the application. Reading moves what is there first.
size_t tls_peer_read(struct tls_peer *p, void *out, size_t cap);
void tls_peer_write(struct tls_peer *p, struct bytes b);
void tls_peer_shutdown(struct tls_peer *p); // close_notify
