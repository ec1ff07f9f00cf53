#include "tls/tls_failure.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

static const struct {
	size_t handshake;
	size_t open;
} cause_counters[TLS_N_CAUSES] = {
#define X(name, handshake, open) \
	[TLS_CAUSE_##name] = {   \
		offsetof(struct tls_stats, handshake), offsetof(struct tls_stats, open)},
	TLS_CAUSES(X)
#undef X
};

// OpenSSL's reasons; alerts of the peer are SSL_AD_REASON_OFFSET and up.
static const struct {
	int reason;
	enum tls_cause cause;
} reason_causes[] = {
	{SSL_R_NO_SHARED_CIPHER,                    TLS_CAUSE_CIPHER     },
	{SSL_R_NO_CIPHERS_SPECIFIED,                TLS_CAUSE_CIPHER     },
	{SSL_R_UNSUPPORTED_PROTOCOL,                TLS_CAUSE_VERSION    },
	{SSL_R_NO_PROTOCOLS_AVAILABLE,              TLS_CAUSE_VERSION    },
	{SSL_R_VERSION_TOO_LOW,                     TLS_CAUSE_VERSION    },
	{SSL_R_INAPPROPRIATE_FALLBACK,              TLS_CAUSE_VERSION    },
	{SSL_R_NO_SUITABLE_KEY_SHARE,               TLS_CAUSE_PARAMETERS },
	{SSL_R_NO_SUITABLE_GROUPS,                  TLS_CAUSE_PARAMETERS },
	{SSL_R_NO_SHARED_GROUPS,                    TLS_CAUSE_PARAMETERS },
	{SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,     TLS_CAUSE_PARAMETERS },
	{SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS,      TLS_CAUSE_PARAMETERS },
	{SSL_R_HTTP_REQUEST,                        TLS_CAUSE_PLAINTEXT  },
	{SSL_R_HTTPS_PROXY_REQUEST,                 TLS_CAUSE_PLAINTEXT  },
	{SSL_R_WRONG_VERSION_NUMBER,                TLS_CAUSE_NOT_TLS    },
	{SSL_R_UNKNOWN_PROTOCOL,                    TLS_CAUSE_NOT_TLS    },
	{SSL_R_BAD_RECORD_TYPE,                     TLS_CAUSE_BAD_RECORD },
	{SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, TLS_CAUSE_BAD_RECORD },
	{SSL_R_DECRYPTION_FAILED,                   TLS_CAUSE_BAD_RECORD },
	{SSL_R_PACKET_LENGTH_TOO_LONG,              TLS_CAUSE_BAD_RECORD },
	{SSL_R_ENCRYPTED_LENGTH_TOO_LONG,           TLS_CAUSE_BAD_RECORD },
	{SSL_R_DATA_LENGTH_TOO_LONG,                TLS_CAUSE_BAD_RECORD },
	{SSL_R_RECORD_LENGTH_MISMATCH,              TLS_CAUSE_BAD_RECORD },
	{SSL_R_RECORD_TOO_SMALL,                    TLS_CAUSE_BAD_RECORD },
	{SSL_R_BAD_LENGTH,                          TLS_CAUSE_BAD_RECORD },
	{SSL_R_LENGTH_MISMATCH,                     TLS_CAUSE_BAD_RECORD },
	{SSL_R_UNEXPECTED_EOF_WHILE_READING,        TLS_CAUSE_CLOSED     },
	{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE,   TLS_CAUSE_CLIENT_NONE},
	{ERR_R_MALLOC_FAILURE,                      TLS_CAUSE_NO_MEMORY  },
};

void tls_cause_count(struct tls_stats *stats, enum tls_cause cause, bool in_handshake)
{
	size_t at = in_handshake ? cause_counters[cause].handshake : cause_counters[cause].open;

	stat_inc((uint64_t *)(void *)((char *)stats + at));
}

static enum tls_cause cause_of(unsigned long error)
{
	int reason = ERR_GET_REASON(error);

	if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET)
		return TLS_CAUSE_CLIENT_ALERT;
	for (size_t i = 0; i < sizeof(reason_causes) / sizeof(reason_causes[0]); i++) {
		if (reason_causes[i].reason == reason)
			return reason_causes[i].cause;
	}
	return TLS_CAUSE_OTHER;
}

static void append(char text[TLS_FAILURE_TEXT_SIZE], const char *part)
{
	size_t len = strlen(text);

	for (; *part != 0 && len + 1 < TLS_FAILURE_TEXT_SIZE; part++)
		text[len++] = *part == ' ' || *part == '\t' ? '_' : *part;
	text[len] = 0;
}

// "no shared cipher" as BoringSSL, and so Envoy, names it: NO_SHARED_CIPHER.
static void append_reason(char text[TLS_FAILURE_TEXT_SIZE], unsigned long error)
{
	const char *reason = ERR_reason_error_string(error);
	char upper[96];
	size_t n = 0;

	for (; reason != NULL && reason[n] != 0 && n + 1 < sizeof(upper); n++)
		upper[n] = (char)toupper((unsigned char)reason[n]);
	upper[n] = 0;
	append(text, n > 0 ? upper : "UNKNOWN");
}

enum tls_cause tls_failure_take(char text[TLS_FAILURE_TEXT_SIZE])
{
	enum tls_cause cause = TLS_CAUSE_OTHER;
	unsigned long error;

	strcpy(text, "TLS_error:");
	while ((error = ERR_get_error()) != 0) {
		const char *library = ERR_lib_error_string(error);
		char code[32];

		if (cause == TLS_CAUSE_OTHER)
			cause = cause_of(error);
		snprintf(code, sizeof(code), "|%lu:", error);
		append(text, code);
		append(text, library != NULL ? library : "unknown");
		append(text, ":OPENSSL_internal:");
		append_reason(text, error);
	}
	append(text, ":TLS_error_end");
	return cause;
}

void tls_failure_text(const char *reason, char text[TLS_FAILURE_TEXT_SIZE])
{
	strcpy(text, "TLS_error:|0:SSL_routines:OPENSSL_internal:");
	append(text, reason);
	append(text, ":TLS_error_end");
}
