// The allocator below OpenSSL. In ASan builds it is malloc, so what concerns the arena is skipped there.

#include "tests/test_support.h"
#include "tls/tls.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#define ARENA_SIZE ((size_t)4 << 20)
#define N_BLOCKS   200u

// Where the arena is in use at all.
static bool arena_works(void)
{
	struct tls_alloc_usage usage;

	tls_alloc_usage(&usage);
	return usage.arena_bytes > 0;
}

static void freed_blocks_are_used_again(void)
{
	struct tls_alloc_usage first, again;
	void *blocks[N_BLOCKS];

	assert_int_equal(tls_alloc_thread_init(ARENA_SIZE), 0);
	if (arena_works()) {
		for (unsigned round = 0; round < 50; round++) {
			for (size_t i = 0; i < N_BLOCKS; i++) {
				blocks[i] = OPENSSL_malloc(i * 37 + 1);
				assert_int_equal((uintptr_t)blocks[i] % 16, 0);
				memset(blocks[i], (int)i, i * 37 + 1);
			}
			for (size_t i = 0; i < N_BLOCKS; i++) {
				assert_int_equal(((uint8_t *)blocks[i])[i * 37], i);
				OPENSSL_free(blocks[i]);
			}
			tls_alloc_usage(round == 0 ? &first : &again);
		}
		assert_int_equal(first.carved_bytes, again.carved_bytes);
		assert_int_equal(again.n_fallbacks, 0);
	}
	tls_alloc_thread_fini();
}

// Idle connections are kept by the thousand: what they hold is to be little more than what they asked for.
static void blocks_are_little_larger_than_asked_for(void)
{
	struct tls_alloc_usage before, after;

	assert_int_equal(tls_alloc_thread_init(ARENA_SIZE), 0);
	for (size_t size = 100; arena_works() && size <= 65536; size += size / 5) {
		void *p;

		tls_alloc_usage(&before);
		p = OPENSSL_malloc(size);
		tls_alloc_usage(&after);
		assert_true(after.carved_bytes - before.carved_bytes <= size + size / 8 + 32);
		OPENSSL_free(p);
	}
	tls_alloc_thread_fini();
}

static void realloc_keeps_what_was_there(void)
{
	char *p;

	assert_int_equal(tls_alloc_thread_init(ARENA_SIZE), 0);
	p = OPENSSL_malloc(10);
	strcpy(p, "ninechars");
	for (size_t size = 20; size < 300000; size *= 3) {
		p = OPENSSL_realloc(p, size);
		assert_string_equal(p, "ninechars");
		p[size - 1] = 'x';
	}
	OPENSSL_free(p);
	assert_null(OPENSSL_malloc(0));
	OPENSSL_free(NULL);
	tls_alloc_thread_fini();
}

static void an_exhausted_arena_falls_back_and_counts(void)
{
	struct tls_alloc_usage usage;
	void *blocks[64];

	assert_int_equal(tls_alloc_thread_init(64 << 10), 0);
	if (arena_works()) {
		for (size_t i = 0; i < 64; i++) {
			blocks[i] = OPENSSL_malloc(4000);
			assert_non_null(blocks[i]);
			memset(blocks[i], 1, 4000);
		}
		tls_alloc_usage(&usage);
		assert_true(usage.carved_bytes <= usage.arena_bytes);
		assert_in_range(usage.n_fallbacks, 40, 60);
		for (size_t i = 0; i < 64; i++)
			OPENSSL_free(blocks[i]);
	}
	tls_alloc_thread_fini();
}

struct hand_over {
	void *blocks[N_BLOCKS];
};

static void *free_all(void *arg)
{
	struct hand_over *h = arg;

	for (unsigned i = 0; i < N_BLOCKS; i++)
		OPENSSL_free(h->blocks[i]);
	return NULL;
}

// Two threads give back what a third has made, at the same time.
static void blocks_freed_by_other_threads_come_home(void)
{
	struct hand_over halves[2];
	struct tls_alloc_usage first, again;
	pthread_t threads[2];

	assert_int_equal(tls_alloc_thread_init(ARENA_SIZE), 0);
	if (arena_works()) {
		for (unsigned round = 0; round < 20; round++) {
			for (unsigned i = 0; i < 2 * N_BLOCKS; i++) {
				halves[i % 2].blocks[i / 2] = OPENSSL_malloc(500);
				memset(halves[i % 2].blocks[i / 2], 7, 500);
			}
			tls_alloc_usage(round == 0 ? &first : &again);
			for (unsigned i = 0; i < 2; i++)
				pthread_create(&threads[i], NULL, free_all, &halves[i]);
			for (unsigned i = 0; i < 2; i++)
				pthread_join(threads[i], NULL);
		}
		assert_int_equal(first.carved_bytes, again.carved_bytes);
	}
	tls_alloc_thread_fini();
}

static void *digest(void *arg)
{
	unsigned char out[EVP_MAX_MD_SIZE];
	unsigned len;

	(void)arg;
	assert_int_equal(tls_alloc_thread_init(ARENA_SIZE), 0);
	for (unsigned i = 0; i < 1000; i++)
		EVP_Digest("x", 1, out, &len, EVP_sha384(), NULL);
	tls_alloc_thread_fini();
	return NULL;
}

// OpenSSL keeps what a worker's thread has fetched; it has to outlive the thread.
static void what_openssl_keeps_outlives_its_thread(void)
{
	unsigned char out[EVP_MAX_MD_SIZE];
	pthread_t thread;
	unsigned len;

	pthread_create(&thread, NULL, digest, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(EVP_Digest("x", 1, out, &len, EVP_sha384(), NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(freed_blocks_are_used_again),
		TEST(blocks_are_little_larger_than_asked_for), TEST(realloc_keeps_what_was_there),
		TEST(an_exhausted_arena_falls_back_and_counts),
		TEST(blocks_freed_by_other_threads_come_home),
		TEST(what_openssl_keeps_outlives_its_thread)};

	// Before anything else of OpenSSL, as the program does.
	if (tls_alloc_install() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
