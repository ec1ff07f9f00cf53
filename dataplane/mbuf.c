#include "dataplane/mbuf.h"

#include "dataplane/base/tsan.h"
#include "dataplane/mbuf_tsan.h"

#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CACHE        256u // of each lcore
#define ELEMENT_SIZE (sizeof(struct rte_mbuf) + MBUF_PRIVATE + RTE_PKTMBUF_HEADROOM + MBUF_ROOM)

size_t mbuf_size(enum mbuf_layout layout)
{
	size_t size = rte_mempool_calc_obj_size(ELEMENT_SIZE, 0, NULL);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	// In the pool's stack; at most, in a ring, whose size is a power of two.
	size_t slots = 2 * sizeof(void *);

	return (layout == MBUF_PAGED ? page / (page / size) : size) + slots;
}

static const char *pool_ops(void)
{
#ifdef BUILT_FOR_TSAN
	return mbuf_tsan_ops();
#else
	const char *best = rte_mbuf_best_mempool_ops();

	// What was freed last is still in the processor's cache; a ring would go round all memory.
	return strcmp(best, RTE_MBUF_DEFAULT_MEMPOOL_OPS) == 0 ? "lf_stack" : best;
#endif
}

// As rte_pktmbuf_pool_create(), which cannot be told that no device needs physically contiguous buffers.
static struct rte_mempool *create(uint32_t n, enum mbuf_layout layout)
{
	struct rte_pktmbuf_pool_private private = {
		.mbuf_data_room_size = RTE_PKTMBUF_HEADROOM + MBUF_ROOM,
		.mbuf_priv_size = MBUF_PRIVATE,
	};
	struct rte_mempool *pool =
		rte_mempool_create_empty("mbufs", n, ELEMENT_SIZE, CACHE, sizeof(private),
			SOCKET_ID_ANY, layout == MBUF_PACKED ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
	int result;

	if (pool == NULL)
		return NULL;
	result = rte_mempool_set_ops_byname(pool, pool_ops(), NULL);
	if (result != 0) // DPDK's package of it is not there
		result = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (result == 0) {
		rte_pktmbuf_pool_init(pool, &private);
		result = rte_mempool_populate_default(pool);
	}
	if (result < 0) {
		rte_mempool_free(pool);
		rte_errno = -result;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

struct rte_mempool *mbuf_pool_new(
	uint32_t n, enum mbuf_layout layout, char *error, size_t error_size)
{
	struct rte_mempool *pool = create(n, layout);

	if (pool == NULL) {
		snprintf(error, error_size,
			"no memory for %u packet buffers of %zu bytes: %s; expected more memory", n,
			mbuf_size(layout), rte_strerror(rte_errno));
		return NULL;
	}
	if (pool->nb_mem_chunks != 1) {
		snprintf(error, error_size,
			"memory for %u packet buffers is in %u pieces, and AF_XDP needs one; expected "
			"larger hugepages, or hugepages: off",
			n, pool->nb_mem_chunks);
		rte_mempool_free(pool);
		return NULL;
	}
	return pool;
}
