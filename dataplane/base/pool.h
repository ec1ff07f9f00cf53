// A pool of equally sized objects, allocated whole at start; taking and giving back are O(1) and
// never call malloc. One thread owns a pool. An empty pool is an ordinary answer (NULL), counted in
// n_failed, and the caller says what happens then.
//
// In ASan builds objects that are not taken are poisoned.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pool {
	const char *name; // for messages and metrics
	uint32_t object_size;
	uint32_t cap;
	uint32_t n_used;
	uint32_t n_used_max;
	uint64_t n_failed;
	void *free_list;
	uint8_t *memory;
};

// Returns 0 or -ENOMEM. 'name' is borrowed for the pool's life. Objects are aligned to a cache line
// if they are at least that large, else to 16 bytes.
int pool_init(struct pool *p, const char *name, size_t object_size, uint32_t cap);

// Frees the memory; asserts that every object was given back.
void pool_fini(struct pool *p);

// Returns an object with undefined content, or NULL.
void *pool_get(struct pool *p);

// As pool_get(), the object filled with zeros.
void *pool_get_zeroed(struct pool *p);

// Takes 'object' back. NULL is ignored.
void pool_put(struct pool *p, void *object);
