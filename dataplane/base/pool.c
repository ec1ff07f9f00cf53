#include "dataplane/base/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SANITIZE_ADDRESS__
#define POOL_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISONS 1
#endif
#endif
#ifdef POOL_POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define CACHE_LINE 64u

// What a free object holds.
struct pool_link {
	struct pool_link *next;
};

int pool_init(struct pool *p, const char *name, size_t object_size, uint32_t cap)
{
	size_t align = object_size >= CACHE_LINE ? CACHE_LINE : 16;
	size_t size = (object_size + align - 1) / align * align;

	*p = (struct pool){.name = name, .object_size = (uint32_t)size, .cap = cap};
	if (cap == 0)
		return 0;
	p->memory =
		aligned_alloc(CACHE_LINE, (size * cap + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
	if (p->memory == NULL)
		return -ENOMEM;
	for (uint32_t i = cap; i-- > 0;) {
		struct pool_link *link = (struct pool_link *)(void *)(p->memory + size * i);

		link->next = p->free_list;
		p->free_list = link;
		ASAN_POISON_MEMORY_REGION(link, size);
	}
	return 0;
}

void pool_fini(struct pool *p)
{
	assert(p->n_used == 0);
	ASAN_UNPOISON_MEMORY_REGION(p->memory, (size_t)p->object_size * p->cap);
	free(p->memory);
	*p = (struct pool){0};
}

void *pool_get(struct pool *p)
{
	struct pool_link *link = p->free_list;

	if (link == NULL) {
		p->n_failed++;
		return NULL;
	}
	ASAN_UNPOISON_MEMORY_REGION(link, p->object_size);
	p->free_list = link->next;
	p->n_used++;
	if (p->n_used > p->n_used_max)
		p->n_used_max = p->n_used;
	return link;
}

void *pool_get_zeroed(struct pool *p)
{
	void *object = pool_get(p);

	if (object != NULL)
		memset(object, 0, p->object_size);
	return object;
}

void pool_put(struct pool *p, void *object)
{
	struct pool_link *link = object;

	if (link == NULL)
		return;
	assert(p->n_used > 0);
	link->next = p->free_list;
	p->free_list = link;
	p->n_used--;
	ASAN_POISON_MEMORY_REGION(link, p->object_size);
}
