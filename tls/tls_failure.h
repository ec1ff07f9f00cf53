// Why TLS failed: a cause with a counter, and a text for the access log in the shape of Envoy's transport
// failure reason.
#pragma once

#include "tls/tls_stats.h"

#include <stdbool.h>
#include <stddef.h>

#define TLS_FAILURE_TEXT_SIZE 192

// Cause, counter of the handshake, counter after the handshake.
#define TLS_CAUSES(X)                                                   \
	X(NO_CHAIN, tls_fail_no_chain, tls_error_other)                 \
	X(NO_CERTIFICATE, tls_fail_no_certificate, tls_error_other)     \
	X(BAD_SNI, tls_fail_bad_sni, tls_error_other)                   \
	X(HELLO_TOO_LARGE, tls_fail_hello_too_large, tls_error_other)   \
	X(VERSION, tls_fail_version, tls_error_other)                   \
	X(CIPHER, tls_fail_cipher, tls_error_other)                     \
	X(PARAMETERS, tls_fail_parameters, tls_error_other)             \
	X(PLAINTEXT, tls_fail_plaintext, tls_error_bad_record)          \
	X(NOT_TLS, tls_fail_not_tls, tls_error_bad_record)              \
	X(BAD_RECORD, tls_fail_bad_record, tls_error_bad_record)        \
	X(CLIENT_ALERT, tls_fail_client_alert, tls_error_client_alert)  \
	X(CLIENT_NONE, tls_fail_client_none, tls_error_other)           \
	X(CLIENT_UNTRUSTED, tls_fail_client_untrusted, tls_error_other) \
	X(CLIENT_EXPIRED, tls_fail_client_expired, tls_error_other)     \
	X(CLIENT_REVOKED, tls_fail_client_revoked, tls_error_other)     \
	X(CLIENT_PURPOSE, tls_fail_client_purpose, tls_error_other)     \
	X(CLIENT_NAME, tls_fail_client_name, tls_error_other)           \
	X(CLIENT_PIN, tls_fail_client_pin, tls_error_other)             \
	X(CLOSED, tls_fail_closed, tls_truncated)                       \
	X(TIMEOUT, tls_fail_timeout, tls_error_other)                   \
	X(NO_MEMORY, tls_fail_no_memory, tls_error_other)               \
	X(OTHER, tls_fail_other, tls_error_other)

enum tls_cause {
#define X(name, handshake, open) TLS_CAUSE_##name,
	TLS_CAUSES(X)
#undef X
		TLS_N_CAUSES,
};

void tls_cause_count(struct tls_stats *stats, enum tls_cause cause, bool in_handshake);

// Takes the calling thread's OpenSSL errors: says what they mean, and writes them as
// "TLS_error:|<code>:SSL_routines:OPENSSL_internal:NO_SHARED_CIPHER:TLS_error_end". An empty queue is OTHER.
enum tls_cause tls_failure_take(char text[TLS_FAILURE_TEXT_SIZE]);

// For causes that OpenSSL does not know: the same shape around 'reason'.
void tls_failure_text(const char *reason, char text[TLS_FAILURE_TEXT_SIZE]);
