#include "dataplane/mbuf_tsan.h"

#include <errno.h>
#include <rte_mempool.h>
#include <rte_ring.h>

static int ring_alloc(struct rte_mempool *pool)
{
	pool->pool_data =
		rte_ring_create("mbufs_tsan", rte_align32pow2(pool->size + 1), pool->socket_id, 0);
	return pool->pool_data != NULL ? 0 : -ENOMEM;
}

static void ring_free(struct rte_mempool *pool)
{
	rte_ring_free(pool->pool_data);
}

static int ring_put(struct rte_mempool *pool, void *const *objects, unsigned n)
{
	return rte_ring_mp_enqueue_bulk(pool->pool_data, objects, n, NULL) == n ? 0 : -ENOBUFS;
}

static int ring_get(struct rte_mempool *pool, void **objects, unsigned n)
{
	return rte_ring_mc_dequeue_bulk(pool->pool_data, objects, n, NULL) == n ? 0 : -ENOBUFS;
}

// As rte_ring_count(), whose plain reads are good enough for mgmt but not for TSan.
static unsigned ring_count(const struct rte_mempool *pool)
{
	const struct rte_ring *r = pool->pool_data;
	uint32_t end = __atomic_load_n(&r->prod.tail, __ATOMIC_RELAXED);
	uint32_t n = (end - __atomic_load_n(&r->cons.tail, __ATOMIC_RELAXED)) & r->mask;

	return n < r->capacity ? n : r->capacity;
}

static const struct rte_mempool_ops ring_ops = {
	.name = "ring_tsan",
	.alloc = ring_alloc,
	.free = ring_free,
	.enqueue = ring_put,
	.dequeue = ring_get,
	.get_count = ring_count,
};

RTE_MEMPOOL_REGISTER_OPS(ring_ops)

const char *mbuf_tsan_ops(void)
{
	return ring_ops.name;
}
