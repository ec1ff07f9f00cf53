// Containers, hash, pool and arena.

#include "dataplane/base/arena.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/ip_addr.h"
#include "dataplane/base/list.h"
#include "tests/test_support.h"

static void siphash_keeps_its_values(void)
{
	// Not from the paper, which prints 2-4: fixed here so that a change is noticed, since the worker that owns a flow is chosen by it.
	struct hash_key key = {1, 2};
	uint64_t a = hash_bytes(&key, "abcdefgh", 8);

	assert_true(a != hash_bytes(&key, "abcdefgi", 8));
	assert_true(a != hash_bytes(&key, "abcdefgh\0", 9));
	key.k1 = 3;
	assert_true(a != hash_bytes(&key, "abcdefgh", 8));
}

static void pool_is_bounded_and_counts_refusals(void)
{
	struct pool p;
	void *a, *b;

	assert_int_equal(pool_init(&p, "test", 100, 2), 0);
	a = pool_get(&p);
	b = pool_get(&p);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(pool_get(&p));
	assert_int_equal(p.n_failed, 1);
	pool_put(&p, a);
	assert_ptr_equal(pool_get_zeroed(&p), a);
	assert_int_equal(*(char *)a, 0);
	pool_put(&p, a);
	pool_put(&p, b);
	assert_int_equal(p.n_used_max, 2);
	pool_fini(&p);
}

static void arena_gives_all_back_at_once(void)
{
	struct pool chunks;
	struct arena a;
	struct bytes copy;

	assert_int_equal(arena_chunk_pool_init(&chunks, "test", 3), 0);
	arena_init(&a, &chunks, 2);
	assert_null(arena_alloc(&a, arena_max_alloc() + 1));
	assert_non_null(arena_alloc(&a, arena_max_alloc()));
	assert_true(arena_copy(&a, BYTES("hello"), &copy));
	assert_true(bytes_equal(copy, BYTES("hello")));
	assert_null(arena_alloc(&a, arena_max_alloc())); // third chunk: over the bound
	arena_reset(&a);
	assert_int_equal(chunks.n_used, 0);
	pool_fini(&chunks);
}

static void arena_takes_one_block_for_what_fits_no_chunk(void)
{
	struct pool chunks, blocks;
	struct arena a;

	assert_int_equal(arena_chunk_pool_init(&chunks, "test", 3), 0);
	assert_int_equal(pool_init(&blocks, "test", 10000, 3), 0);
	arena_init(&a, &chunks, 2);
	arena_set_blocks(&a, &blocks, 10000);
	assert_non_null(arena_alloc(&a, 5000));
	assert_non_null(arena_alloc(&a, 4992));
	assert_null(arena_alloc(&a, 5000));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_int_equal(blocks.n_used, 1);
	assert_int_equal(chunks.n_used, 0);
	arena_reset(&a);
	assert_int_equal(blocks.n_used, 0);
	assert_non_null(arena_alloc(&a, 10000));
	arena_reset(&a);
	pool_fini(&blocks);
	pool_fini(&chunks);
}

static void addresses_print_as_they_are_written(void)
{
	struct ip_endpoint e = {.port = 8443};
	char text[IP_ENDPOINT_TEXT_SIZE];

	assert_true(ip_addr_parse("10.77.1.254", &e.addr));
	assert_int_equal(ip_endpoint_print(&e, text), strlen("10.77.1.254:8443"));
	assert_string_equal(text, "10.77.1.254:8443");
	assert_true(ip_addr_parse("fd00::1", &e.addr));
	ip_endpoint_print(&e, text);
	assert_string_equal(text, "[fd00::1]:8443");
	assert_false(ip_addr_parse("10.1", &e.addr));
	assert_false(ip_addr_parse("010.0.0.1", &e.addr));
}

TESTS(TEST(siphash_keeps_its_values), TEST(pool_is_bounded_and_counts_refusals),
	TEST(arena_gives_all_back_at_once), TEST(arena_takes_one_block_for_what_fits_no_chunk),
	TEST(addresses_print_as_they_are_written))
