// The pool of packet buffers: what it takes is what the plan of the memory counts for it.
#include "dataplane/mbuf.h"
#include "tests/test_support.h"

#include <rte_malloc.h>
#include <rte_mempool.h>

#define FEW     511u
#define MANY    16384u // one more than the slots of half its ring
#define ROUNDED 65536u

static size_t allocated(void)
{
	struct rte_malloc_socket_stats stats;

	assert_int_equal(rte_malloc_get_socket_stats(0, &stats), 0);
	return stats.heap_allocsz_bytes;
}

// Of DPDK's memory, for a pool of 'n'.
static size_t taken_by(uint32_t n, enum mbuf_layout layout)
{
	size_t before = allocated(), taken;
	char error[256];
	struct rte_mempool *pool = mbuf_pool_new(n, layout, error, sizeof(error));

	assert_non_null(pool);
	taken = allocated() - before;
	rte_mempool_free(pool);
	return taken;
}

static void a_pool_takes_no_more_than_its_buffers_sizes(void)
{
	test_eal_init();
	for (enum mbuf_layout layout = MBUF_PACKED; layout <= MBUF_PAGED; layout++) {
		size_t besides = taken_by(FEW, layout) - FEW * mbuf_size(layout);

		assert_true(taken_by(MANY, layout) <= besides + MANY * mbuf_size(layout) + ROUNDED);
	}
}

// What was freed last is given out first, also what does not fit the cache of a core.
static void warm_buffers_come_first(void)
{
	static struct rte_mbuf *ms[2048];
	uintptr_t low = UINTPTR_MAX, high = 0;
	struct rte_mempool *pool;
	char error[256];

	test_eal_init();
	pool = mbuf_pool_new(MANY, MBUF_PACKED, error, sizeof(error));
	assert_non_null(pool);
	for (unsigned round = 0; round < 2 * MANY / 2048; round++) {
		assert_int_equal(rte_pktmbuf_alloc_bulk(pool, ms, 2048), 0);
		for (unsigned i = 0; i < 2048; i++) {
			low = RTE_MIN(low, (uintptr_t)ms[i]);
			high = RTE_MAX(high, (uintptr_t)ms[i]);
		}
		rte_pktmbuf_free_bulk(ms, 2048);
	}
	assert_true(high - low < 2 * 2048 * mbuf_size(MBUF_PACKED));
	rte_mempool_free(pool);
}

TESTS(TEST(a_pool_takes_no_more_than_its_buffers_sizes), TEST(warm_buffers_come_first))
