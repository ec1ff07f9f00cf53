// OpenSSL's allocator. A worker thread has an arena: one mapping, from which blocks are carved once and
// then live on a free list of their size class. OpenSSL asks for the same few sizes again and again, so
// nothing is ever merged or given back.
//
//     block = header (owner, capacity) + payload;  eight classes a doubling, 32 bytes to 64 KB
//     free on the owner's thread    -> its free list
//     free on another thread        -> pushed on the owner's return list (lock-free, many writers), which
//                                      the owner takes whole when a free list is empty
//
// Threads without an arena (mgmt) use malloc; so does a worker whose arena is exhausted, and a size beyond
// the classes: counted, because malloc can take a lock that another thread holds.
#include "tls/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#define ALLOC_IS_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALLOC_IS_MALLOC 1
#endif
#endif
#ifndef ALLOC_IS_MALLOC
#define ALLOC_IS_MALLOC 0
#endif

#define MIN_SHIFT 5u  // smallest class: 32 bytes
#define MAX_SHIFT 16u // largest: 64 KB
#define N_CLASSES ((MAX_SHIFT - MIN_SHIFT) * 8 + 1)

struct block {
	struct tls_arena *owner; // NULL: malloc
	size_t size;             // of the payload
};

// In the payload of a free block.
struct block_link {
	struct block_link *next;
};

struct tls_arena {
	// the owning thread
	uint8_t *memory;
	size_t size;
	size_t carved;
	uint64_t n_fallbacks;
	uint64_t n_live; // blocks handed out and not back yet
	struct block_link *free_lists[N_CLASSES];

	// any thread
	_Alignas(64) struct block_link *returned;
};

_Static_assert(sizeof(struct block) == 16, "payloads have to stay aligned to 16 bytes");

static __thread struct tls_arena *my_arena;

// The smallest class whose blocks hold 'size' bytes; N_CLASSES if there is none.
static unsigned class_of(size_t size)
{
	unsigned shift, eighth;

	if (size <= 1u << MIN_SHIFT)
		return 0;
	if (size > 1u << MAX_SHIFT)
		return N_CLASSES;
	shift = 63 - (unsigned)__builtin_clzl(size - 1); // 2^shift < size <= 2^(shift + 1)
	eighth = (unsigned)((size - 1) >> (shift - 3)) & 7;
	return (shift - MIN_SHIFT) * 8 + eighth + 1;
}

static size_t class_size(unsigned c)
{
	unsigned shift, eighth;

	if (c == 0)
		return 1u << MIN_SHIFT;
	shift = (c - 1) / 8 + MIN_SHIFT;
	eighth = (c - 1) % 8;
	return ((size_t)1 << shift) + (((size_t)eighth + 1) << (shift - 3));
}

static struct block *block_of(void *payload)
{
	return (struct block *)payload - 1;
}

static void arena_take_back(struct tls_arena *a, struct block_link *link)
{
	unsigned c = class_of(block_of(link)->size);

	link->next = a->free_lists[c];
	a->free_lists[c] = link;
	a->n_live--;
}

static void arena_collect_returned(struct tls_arena *a)
{
	struct block_link *link = __atomic_exchange_n(&a->returned, NULL, __ATOMIC_ACQUIRE);

	while (link != NULL) {
		struct block_link *next = link->next;

		arena_take_back(a, link);
		link = next;
	}
}

// Returns NULL if the arena is exhausted.
static void *arena_take(struct tls_arena *a, unsigned c)
{
	struct block_link *link = a->free_lists[c];
	size_t need;

	if (link == NULL && __atomic_load_n(&a->returned, __ATOMIC_RELAXED) != NULL) {
		arena_collect_returned(a);
		link = a->free_lists[c];
	}
	if (link != NULL) {
		a->free_lists[c] = link->next;
		a->n_live++;
		return link;
	}
	// Classes that are no multiple of 16 exist only below 128 bytes.
	need = sizeof(struct block) + ((class_size(c) + 15) & ~(size_t)15);
	if (need > a->size - a->carved)
		return NULL;
	struct block *b = (struct block *)(void *)(a->memory + a->carved);

	a->carved += need;
	a->n_live++;
	*b = (struct block){.owner = a, .size = class_size(c)};
	return b + 1;
}

static void *malloc_take(size_t size)
{
	struct block *b;

	if (size > SIZE_MAX - sizeof(*b))
		return NULL;
	b = malloc(sizeof(*b) + size);
	if (b == NULL)
		return NULL;
	*b = (struct block){.owner = NULL, .size = size};
	return b + 1;
}

static void *alloc_malloc(size_t size, const char *file, int line)
{
	struct tls_arena *a = my_arena;
	unsigned c = class_of(size);
	void *p = NULL;

	(void)file;
	(void)line;
	if (size == 0)
		return NULL;
	if (a == NULL)
		return malloc_take(size);
	if (c < N_CLASSES)
		p = arena_take(a, c);
	if (p == NULL) {
		a->n_fallbacks++;
		p = malloc_take(size);
	}
	return p;
}

static void alloc_free(void *p, const char *file, int line)
{
	struct block_link *link = p;
	struct tls_arena *a;

	(void)file;
	(void)line;
	if (p == NULL)
		return;
	a = block_of(p)->owner;
	if (a == NULL) {
		free(block_of(p));
		return;
	}
	if (a == my_arena) {
		arena_take_back(a, link);
		return;
	}
	link->next = __atomic_load_n(&a->returned, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
		&a->returned, &link->next, link, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {}
}

static void *alloc_realloc(void *p, size_t size, const char *file, int line)
{
	void *moved;

	if (p != NULL && size != 0 && size <= block_of(p)->size)
		return p;
	moved = alloc_malloc(size, file, line);
	if (p != NULL && moved != NULL)
		memcpy(moved, p, block_of(p)->size);
	if (moved != NULL || size == 0)
		alloc_free(p, file, line);
	return moved;
}

int tls_alloc_install(void)
{
	// ASan has to see every block.
	if (!ALLOC_IS_MALLOC
		&& CRYPTO_set_mem_functions(alloc_malloc, alloc_realloc, alloc_free) != 1)
		return -EBUSY;
	// A configuration file of the machine must not change what a Gateway says. The handler at exit would
	// free what workers may still hold.
	return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) == 1
		? 0
		: -ENOMEM;
}

int tls_alloc_thread_init(size_t bytes)
{
	struct tls_arena *a;

	assert(my_arena == NULL);
	if (ALLOC_IS_MALLOC || bytes == 0)
		return 0;
	a = aligned_alloc(64, sizeof(*a));
	if (a == NULL)
		return -ENOMEM;
	*a = (struct tls_arena){.size = bytes};
	a->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->memory == MAP_FAILED) {
		free(a);
		return -ENOMEM;
	}
	my_arena = a;
	return 0;
}

void tls_alloc_thread_fini(void)
{
	struct tls_arena *a = my_arena;

	OPENSSL_thread_stop();
	if (a == NULL)
		return;
	arena_collect_returned(a);
	my_arena = NULL;
	// What OpenSSL keeps for the process (fetched algorithms, say) may have been made on this thread.
	if (a->n_live > 0)
		return;
	munmap(a->memory, a->size);
	free(a);
}

void tls_alloc_usage(struct tls_alloc_usage *out)
{
	const struct tls_arena *a = my_arena;

	*out = (struct tls_alloc_usage){0};
	if (a == NULL)
		return;
	out->arena_bytes = a->size;
	out->carved_bytes = a->carved;
	out->n_fallbacks = a->n_fallbacks;
}
