#include "dataplane/base/arena.h"

#include <string.h>

struct arena_chunk {
	struct arena_chunk *next;
	_Alignas(16) uint8_t bytes[ARENA_CHUNK_SIZE - 16];
};

int arena_chunk_pool_init(struct pool *p, const char *name, uint32_t cap)
{
	return pool_init(p, name, sizeof(struct arena_chunk), cap);
}

void arena_init(struct arena *a, struct pool *chunks, uint16_t max_chunks)
{
	*a = (struct arena){.chunks = chunks, .max_chunks = max_chunks};
}

void arena_set_blocks(struct arena *a, struct pool *blocks, uint32_t size)
{
	a->blocks = blocks;
	a->block_size = size;
}

void arena_reset(struct arena *a)
{
	if (a->block != NULL)
		pool_put(a->blocks, a->block);
	a->block = NULL;
	a->block_used = 0;
	while (a->head != NULL) {
		struct arena_chunk *next = a->head->next;

		pool_put(a->chunks, a->head);
		a->head = next;
	}
	a->used = 0;
	a->n_chunks = 0;
}

size_t arena_max_alloc(void)
{
	return sizeof(((struct arena_chunk *)0)->bytes);
}

static void *alloc_of_block(struct arena *a, size_t size)
{
	void *at;

	if (a->block == NULL && a->blocks != NULL)
		a->block = pool_get(a->blocks);
	if (a->block == NULL || size > a->block_size - a->block_used)
		return NULL;
	at = a->block + a->block_used;
	a->block_used += (uint32_t)size;
	return at;
}

void *arena_alloc(struct arena *a, size_t size)
{
	void *at;

	if (size > SIZE_MAX - 7)
		return NULL;
	size = (size + 7) & ~(size_t)7;
	if (size > arena_max_alloc())
		return alloc_of_block(a, size);
	if (a->head == NULL || a->used + size > arena_max_alloc()) {
		struct arena_chunk *chunk;

		if (a->n_chunks >= a->max_chunks)
			return NULL;
		chunk = pool_get(a->chunks);
		if (chunk == NULL)
			return NULL;
		chunk->next = a->head;
		a->head = chunk;
		a->used = 0;
		a->n_chunks++;
	}
	at = a->head->bytes + a->used;
	a->used += (uint32_t)size;
	return at;
}

bool arena_copy(struct arena *a, struct bytes b, struct bytes *out)
{
	uint8_t *to = arena_alloc(a, b.len);

	if (to == NULL)
		return false;
	if (b.len > 0)
		memcpy(to, b.ptr, b.len);
	*out = bytes_of(to, b.len);
	return true;
}
