// Memory of one loaded configuration: grows, is never given back in parts, and goes all at once.
// mgmt thread only.
//
// What can be asked for is bounded by the bounds on the input (tree.h), so running out of memory
// here means that the machine has none: the process says so and aborts.
#pragma once

#include <stddef.h>

struct region;

struct region *region_new(void);
void region_free(struct region **rp);
size_t region_size(const struct region *r); // bytes taken from the system

// Zeroed, aligned for anything. Never NULL.
void *region_alloc(struct region *r, size_t size);

// An array that grows by doubling: returns 'items' or a larger copy of it, with room for one more
// than 'n'.
void *region_grow(struct region *r, void *items, unsigned n, size_t item_size);

char *region_copy(struct region *r, const char *text, size_t len);
char *region_strdup(struct region *r, const char *text);
char *region_lower(struct region *r, const char *text); // ASCII
__attribute__((format(printf, 2, 3))) char *region_printf(
	struct region *r, const char *format, ...);
