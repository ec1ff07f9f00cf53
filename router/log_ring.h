// Bytes from one worker to the log writer: a bounded ring with one writer and one reader, no locks. A full ring refuses the
// line; the worker counts it and goes on.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_RING_LINE_MAX 16384u

struct log_ring;

// 'size' is rounded up to a power of two. Returns NULL without memory.
struct log_ring *log_ring_new(size_t size);
void log_ring_free(struct log_ring **rp);

// Worker: room for one line of at most LOG_RING_LINE_MAX bytes in one piece, or NULL if the ring is too full.
char *log_ring_reserve(struct log_ring *r);
// Worker: publishes the first 'len' bytes of what was reserved.
void log_ring_commit(struct log_ring *r, size_t len);

// Reader: the next run of whole lines that lie together; len 0 if there is none.
size_t log_ring_peek(struct log_ring *r, const char **out);
// Reader: done with the first 'n' bytes of that run.
void log_ring_consume(struct log_ring *r, size_t n);
