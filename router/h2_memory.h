// What nghttp2 allocates for one session: taken from the allocator that OpenSSL has on the worker
// (tls/tls_alloc.c), so that no call reaches malloc while that arena lasts, and bounded, so that no
// peer can make a session hold more than its share. Past the bound nghttp2 is told that there is no
// memory; it gives up, and so does the connection. One thread.
#pragma once

#include <nghttp2/nghttp2.h>
#include <stddef.h>

struct h2_memory {
	nghttp2_mem mem; // to be given to nghttp2
	size_t used;
	size_t max;
	unsigned n_refused;
};

void h2_memory_init(struct h2_memory *m, size_t max);
