// Server names: what is one, and which chain answers it.
//
// The table is built by the mgmt thread and only read afterwards. Looking a name up costs one hash a label,
// however many names there are. Envoy's precedence: the exact name, then the longest "*.suffix" (the star
// stands for one label or more), then the chain without names.
#pragma once

#include "dataplane/base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_SNI_SIZE 256 // RFC 1035: a host name has at most 253 characters
#define TLS_SNI_NONE UINT32_MAX

struct tls_sni_entry {
	char *name; // without "*." for a wildcard; NULL: free slot
	uint32_t chain;
	bool wildcard;
};

struct tls_sni_table {
	struct tls_sni_entry *entries;
	uint32_t n_slots; // a power of two
	uint32_t n_used;
	uint32_t nameless; // chain, or TLS_SNI_NONE
};

// Room for 'n_names'. Returns 0 or -ENOMEM.
int tls_sni_init(struct tls_sni_table *t, uint32_t n_names);
void tls_sni_fini(struct tls_sni_table *t);

// 'name' is lower case; NULL or "*" makes 'chain' the nameless one. Returns 0, -ENOMEM, or -EEXIST
// if another chain has the name.
int tls_sni_add(struct tls_sni_table *t, const char *name, uint32_t chain);

// 'name' is lower case, len 0 if the client sent none. Returns a chain or TLS_SNI_NONE.
uint32_t tls_sni_find(const struct tls_sni_table *t, struct bytes name);

// Reads the extension's body (RFC 6066, 3). Writes the host name in lower case and its length; returns false
// if the body is malformed or the name holds anything but letters, digits, "-", "_" and ".": such a name
// must not reach a log line.
bool tls_sni_read(struct bytes extension, char out[TLS_SNI_SIZE], size_t *len);
