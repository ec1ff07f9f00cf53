#include "router/h2_memory.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>

// In front of each block, keeping the alignment.
struct block {
	size_t size; // of the payload
	size_t unused;
};

static struct block *block_of(void *payload)
{
	return (struct block *)payload - 1;
}

static void *reallocate(void *payload, size_t size, void *arg)
{
	struct h2_memory *m = arg;
	size_t old = payload != NULL ? block_of(payload)->size : 0;
	struct block *b;

	if (size > m->max || m->used - old > m->max - size) {
		m->n_refused++;
		return NULL;
	}
	b = OPENSSL_realloc(payload != NULL ? block_of(payload) : NULL, sizeof(*b) + size);
	if (b == NULL) {
		m->n_refused++;
		return NULL;
	}
	b->size = size;
	m->used += size - old;
	return b + 1;
}

static void *allocate(size_t size, void *arg)
{
	return reallocate(NULL, size, arg);
}

static void *allocate_zeroed(size_t n, size_t size, void *arg)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	p = reallocate(NULL, bytes, arg);
	if (p != NULL)
		memset(p, 0, bytes);
	return p;
}

static void release(void *payload, void *arg)
{
	struct h2_memory *m = arg;

	if (payload == NULL)
		return;
	m->used -= block_of(payload)->size;
	OPENSSL_free(block_of(payload));
}

void h2_memory_init(struct h2_memory *m, size_t max)
{
	*m = (struct h2_memory){
		.mem = {.mem_user_data = m,
			.malloc = allocate,
			.free = release,
			.calloc = allocate_zeroed,
			.realloc = reallocate},
		.max = max,
	};
}
