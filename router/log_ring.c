// A bip buffer: lines never wrap. A line that may not fit before the end of the storage starts again at
// its beginning, and 'watermark' says where the valid bytes of the lap before end.
//
//     read <= write:  [ ..... R#######W ...... ]    valid: R..W
//     read >  write:  [ ####W ...... R#####M.. ]    valid: R..M, then 0..W
//
// read == write is empty; the writer never lets a full ring look like that.
#include "router/log_ring.h"

#include <stdatomic.h>
#include <stdlib.h>

#define CACHE_LINE_SIZE 64

struct log_ring {
	// set at creation
	size_t size;
	// per line, written by the worker
	_Alignas(CACHE_LINE_SIZE) atomic_size_t write;
	atomic_size_t watermark;
	bool wrapping; // what was reserved lies at the beginning
	// per run, written by the reader
	_Alignas(CACHE_LINE_SIZE) atomic_size_t read;
	_Alignas(CACHE_LINE_SIZE) char bytes[];
};

struct log_ring *log_ring_new(size_t size)
{
	size_t rounded = 4 * LOG_RING_LINE_MAX;
	struct log_ring *r;

	if (size > SIZE_MAX / 4)
		return NULL;
	while (rounded < size)
		rounded *= 2;
	r = aligned_alloc(CACHE_LINE_SIZE, sizeof(*r) + rounded);
	if (r == NULL)
		return NULL;
	r->size = rounded;
	r->wrapping = false;
	atomic_init(&r->write, 0);
	atomic_init(&r->watermark, 0);
	atomic_init(&r->read, 0);
	return r;
}

void log_ring_free(struct log_ring **rp)
{
	free(*rp);
	*rp = NULL;
}

char *log_ring_reserve(struct log_ring *r)
{
	size_t write = atomic_load_explicit(&r->write, memory_order_relaxed);
	size_t read = atomic_load_explicit(&r->read, memory_order_acquire);

	r->wrapping = false;
	if (write < read)
		return read - write > LOG_RING_LINE_MAX ? r->bytes + write : NULL;
	if (r->size - write >= LOG_RING_LINE_MAX)
		return r->bytes + write;
	if (read <= LOG_RING_LINE_MAX)
		return NULL;
	r->wrapping = true;
	return r->bytes;
}

void log_ring_commit(struct log_ring *r, size_t len)
{
	size_t write = atomic_load_explicit(&r->write, memory_order_relaxed);

	// Nothing to show: above all, a wrap with no bytes would look like an older state to the reader.
	if (len == 0)
		return;
	if (r->wrapping) {
		atomic_store_explicit(&r->watermark, write, memory_order_relaxed);
		write = 0;
	}
	atomic_store_explicit(&r->write, write + len, memory_order_release);
}

size_t log_ring_peek(struct log_ring *r, const char **out)
{
	size_t write = atomic_load_explicit(&r->write, memory_order_acquire);
	size_t read = atomic_load_explicit(&r->read, memory_order_relaxed);
	size_t end = write;

	if (write < read) {
		end = atomic_load_explicit(&r->watermark, memory_order_relaxed);
		if (read == end) {
			read = 0;
			end = write;
			atomic_store_explicit(&r->read, read, memory_order_release);
		}
	}
	*out = r->bytes + read;
	return end - read;
}

void log_ring_consume(struct log_ring *r, size_t n)
{
	size_t read = atomic_load_explicit(&r->read, memory_order_relaxed);

	atomic_store_explicit(&r->read, read + n, memory_order_release);
}
