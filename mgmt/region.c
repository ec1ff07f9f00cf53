#include "mgmt/region.h"

#include "dataplane/base/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE  (16u * 1024)
#define BLOCK_ALIGN _Alignof(max_align_t)

struct block {
	struct block *next;
	size_t size;
	size_t used;
	_Alignas(max_align_t) char data[];
};

struct region {
	struct block *blocks; // the first one is filled
	size_t size;
};

static void *must(void *memory)
{
	if (memory == NULL) {
		fprintf(stderr, "config: out of memory\n");
		abort();
	}
	return memory;
}

struct region *region_new(void)
{
	return must(calloc(1, sizeof(struct region)));
}

void region_free(struct region **rp)
{
	struct region *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	for (struct block *b = r->blocks, *next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(r);
}

size_t region_size(const struct region *r)
{
	return r->size;
}

void *region_alloc(struct region *r, size_t size)
{
	struct block *b = r->blocks;
	char *at;

	size = (size + BLOCK_ALIGN - 1) & ~(BLOCK_ALIGN - 1);
	if (b == NULL || b->size - b->used < size) {
		size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;
		struct block *fresh = must(calloc(1, sizeof(*fresh) + block_size));

		fresh->size = block_size;
		r->size += sizeof(*fresh) + block_size;
		// A block made for one large piece is full: the one in use stays in front.
		if (b != NULL && size > BLOCK_SIZE) {
			fresh->next = b->next;
			b->next = fresh;
		} else {
			fresh->next = b;
			r->blocks = fresh;
		}
		b = fresh;
	}
	at = b->data + b->used;
	b->used += size;
	return at;
}

void *region_grow(struct region *r, void *items, unsigned n, size_t item_size)
{
	void *larger;

	// The capacity is the next power of two, at least 4; it is full when 'n' has reached one.
	if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
		return items;
	larger = region_alloc(r, (n == 0 ? 4 : 2 * (size_t)n) * item_size);
	if (n > 0)
		memcpy(larger, items, n * item_size);
	return larger;
}

char *region_copy(struct region *r, const char *text, size_t len)
{
	char *copy = region_alloc(r, len + 1);

	if (len > 0)
		memcpy(copy, text, len);
	return copy;
}

char *region_strdup(struct region *r, const char *text)
{
	return region_copy(r, text, strlen(text));
}

char *region_lower(struct region *r, const char *text)
{
	char *copy = region_strdup(r, text);

	for (char *c = copy; *c != '\0'; c++)
		*c = (char)byte_lower((uint8_t)*c);
	return copy;
}

char *region_printf(struct region *r, const char *format, ...)
{
	va_list args, again;
	char *text;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	assert(len >= 0);
	text = region_alloc(r, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}
