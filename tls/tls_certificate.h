// Reading a certificate chain and its key from PEM. mgmt thread.
#pragma once

#include "tls/tls.h"

#include <openssl/ssl.h>

// Puts certificate, chain and key into 'ctx', beside those of other key types. Returns false and a sentence
// in 'error'.
bool tls_certificate_load(
	SSL_CTX *ctx, const struct tls_certificate_config *c, char error[TLS_ERROR_SIZE]);

// For PEM_read_bio_*(): nobody can be asked for a password.
int tls_no_password(char *buf, int size, int rwflag, void *arg);
