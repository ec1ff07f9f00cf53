// Receive-side scaling of one port: the NIC spreads connections over its queues by a hash (Toeplitz) of addresses and
// ports and a table. We choose the key and the table, so we know for every frame which queue it has to come in by.
//
// The NIC is not relied on. A port with RSS has the same hash and table for its steering in software (steer.h), so the
// owner of a frame is the same whatever queue it came in by; a NIC that keeps its word only saves the way over a ring.
// Whether it does is looked at with each frame:
//
//     CHECKING   --- frames of 64 different hashes came in by the right queue ---> VERIFIED
//     CHECKING, VERIFIED   --- one did not, or the NIC's hash is another ---> WRONG, for good
//
// While it is not WRONG, connections that we open get local ports whose answers come in by their worker's queue.
//
// The hash is pure; the state is the one thing that workers write. Set up by the mgmt thread before they run.
#pragma once

#include "dataplane/base/ip_addr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RSS_KEY_MAX   64u
#define RSS_INPUT_MAX 36u // IPv6 addresses and ports
#define RSS_KEY_MIN   (RSS_INPUT_MAX + 4u)
#define RSS_TABLE_MAX 512u
#define RSS_FLOWS     64u // of different hashes, that have to be right

enum rss_state {
	RSS_CHECKING,
	RSS_VERIFIED,
	RSS_WRONG,
};

struct rss {
	// set before the workers run
	uint8_t key[RSS_KEY_MAX];
	uint8_t key_len;
	uint16_t n_queues;
	uint16_t table_size;           // a power of two
	uint16_t table[RSS_TABLE_MAX]; // from the hash's low bits to the queue
	bool has_ip6;                  // the NIC hashes TCP over IPv6 too
	uint32_t nibbles[2 * RSS_INPUT_MAX]
			[16]; // what each value of each half byte adds to the hash

	// written by all workers
	_Atomic uint8_t state;    // enum rss_state
	_Atomic uint32_t n_seen;  // bits below that are set
	_Atomic uint64_t seen[4]; // by a byte of the hash
};

// 'key_len' is at least RSS_KEY_MIN, 'table_size' a power of two. The queues follow each other in the table.
void rss_init(
	struct rss *r, const uint8_t *key, uint8_t key_len, uint16_t n_queues, uint16_t table_size);

// Of a TCP segment from 'src' to 'dst', both of one family.
uint32_t rss_hash(
	const struct rss *r, const struct ip_endpoint *src, const struct ip_endpoint *dst);

static inline uint16_t rss_queue(const struct rss *r, uint32_t hash)
{
	return r->table[hash & (r->table_size - 1u)];
}

static inline enum rss_state rss_state(const struct rss *r)
{
	return (enum rss_state)atomic_load_explicit(&r->state, memory_order_relaxed);
}

// A frame with 'hash' came in by 'queue', and the NIC said it has the hash 'said', or nothing (NULL). Returns false
// if this is what turned RSS off: once in a port's life.
bool rss_check(struct rss *r, uint32_t hash, uint16_t queue, const uint32_t *said);

// Such as "rss verified", "rss checking 12/64".
#define RSS_TEXT_SIZE 64
void rss_print(const struct rss *r, char text[RSS_TEXT_SIZE]);
