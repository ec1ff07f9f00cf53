// Targets and authorities. The first byte is the mode of normalisation. What has to be true:
//  - the normal form has no dot segment, no backslash, and is its own normal form;
//  - the parts of a target lie in it.

#include "router/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(struct bytes whole, struct bytes part)
{
	if (part.len > 0 && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len))
		abort();
}

static void check_path(struct bytes path, bool merged)
{
	size_t start = 1;

	if (path.len == 0 || path.ptr[0] != '/')
		abort();
	for (size_t i = 1; i <= path.len; i++) {
		struct bytes segment;

		if (i < path.len
			&& (path.ptr[i] <= ' ' || path.ptr[i] >= 0x7f || path.ptr[i] == '\\'))
			abort();
		if (i < path.len && path.ptr[i] != '/')
			continue;
		segment = bytes_of(path.ptr + start, i - start);
		if (bytes_equal_str(segment, ".") || bytes_equal_str(segment, ".."))
			abort();
		if (merged && segment.len == 0 && i < path.len)
			abort();
		start = i + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pool chunks;
	struct arena a;
	struct bytes target, out, again, value;
	enum path_normalization mode;

	if (size == 0)
		return 0;
	if (chunks.cap == 0 && arena_chunk_pool_init(&chunks, "fuzz", 8) != 0)
		abort();
	mode = (enum path_normalization)(data[0] % 4);
	target = bytes_of(data + 1, size - 1);
	arena_init(&a, &chunks, 8);
	if (uri_normalize(target, mode, &a, &out)) {
		if (mode != PATH_NORMALIZE_NONE)
			check_path(uri_path(out), mode != PATH_NORMALIZE_BASE);
		if (!uri_normalize(out, mode, &a, &again) || !bytes_equal(out, again))
			abort();
		check_part(out, uri_path(out));
		check_part(out, uri_query(out));
		if (uri_query_param(uri_query(out), BYTES("a"), &value))
			check_part(out, value);
	}
	arena_reset(&a);
	check_part(target, uri_host(target));
	(void)uri_authority_is_valid(target);
	return 0;
}
