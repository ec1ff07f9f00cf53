// Body bytes of a stream that wait: received and not taken by the exchange, or taken from it and
// not framed yet. In chunks of the worker's pool; small portions share a chunk. One thread.
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/pool.h"

#include <stdint.h>

struct body_chunk;

struct h2_queue {
	struct body_chunk *first;
	struct body_chunk *last;
	uint32_t offset; // in 'first'
	uint32_t len;    // of all
};

// Appends as much of 'b' as there is memory for; returns how much.
size_t h2_queue_append(struct h2_queue *q, struct pool *chunks, struct bytes b);
// The bytes at the front that lie together.
struct bytes h2_queue_peek(const struct h2_queue *q);
// Frees 'n' bytes at the front; n is at most what there is.
void h2_queue_drop(struct h2_queue *q, struct pool *chunks, size_t n);
// Copies out and frees up to 'cap' bytes; returns how many.
size_t h2_queue_take(struct h2_queue *q, struct pool *chunks, uint8_t *to, size_t cap);
