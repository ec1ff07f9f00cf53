// The ring below the caches of the mbuf pool, for ThreadSanitizer's build only. It is DPDK's own "ring_mp_mc", but
// compiled with us, so that TSan sees: who frees a buffer is done with it before who allocates it begins. Drivers,
// which it does not see into, come here too.
#pragma once

// The name for rte_mempool_set_ops_byname().
const char *mbuf_tsan_ops(void);
