// Memory for one piece of work, given back all at once. An arena takes chunks from a pool when it
// needs them and returns every chunk in arena_reset(). It is bounded: past 'max_chunks' it says NULL.
//
// One thread owns an arena and its pool.
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/pool.h"

#include <stddef.h>
#include <stdint.h>

#define ARENA_CHUNK_SIZE 4096u

struct arena_chunk; // object of the pool; arena_chunk_pool_init() sizes it

struct arena {
	struct pool *chunks;
	struct arena_chunk *head;
	uint32_t used; // in 'head'
	uint16_t n_chunks;
	uint16_t max_chunks;
	// for what fits no chunk
	struct pool *blocks; // NULL: none
	uint8_t *block;
	uint32_t block_size;
	uint32_t block_used;
};

// Makes 'p' a pool of 'cap' arena chunks. Returns 0 or -ENOMEM.
int arena_chunk_pool_init(struct pool *p, const char *name, uint32_t cap);

// Takes no memory yet. 'chunks' has to outlive the arena.
void arena_init(struct arena *a, struct pool *chunks, uint16_t max_chunks);

// From now on the arena may also take one object of 'blocks', of 'size' bytes, for what does not fit a chunk.
void arena_set_blocks(struct arena *a, struct pool *blocks, uint32_t size);

// Gives every chunk back; the arena can be used again.
void arena_reset(struct arena *a);

// Returns 'size' bytes aligned to 8, or NULL when the pool or the bound is exhausted. A request that
// does not fit a chunk (ARENA_CHUNK_SIZE less a small header) needs arena_set_blocks().
void *arena_alloc(struct arena *a, size_t size);

// Copies 'b' into the arena. '*out' is what was copied; returns false when there was no room.
bool arena_copy(struct arena *a, struct bytes b, struct bytes *out);

// The largest size that fits a chunk.
size_t arena_max_alloc(void);
