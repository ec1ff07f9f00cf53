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

TESTS(TEST(a_pool_takes_no_more_than_its_buffers_sizes))
