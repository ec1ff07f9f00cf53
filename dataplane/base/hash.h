// Keyed hash for tables whose keys a stranger chooses: SipHash-1-3 (Aumasson, Bernstein 2012), so
// that nobody outside can aim many keys at one bucket.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k0;
	uint64_t k1;
};

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len);
