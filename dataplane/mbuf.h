// The one pool of packet buffers that all ports and workers share.
//
// One area of memory, because AF_XDP maps the pool into the kernel as it is; then every port can send a
// buffer that any other received. Each mbuf has MBUF_PRIVATE bytes for who queues it.
#pragma once

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MBUF_PRIVATE 32u   // bytes behind struct rte_mbuf, of the queue that holds it
#define MBUF_ROOM    2048u // bytes behind the headroom: one Ethernet frame of 1500 with everything

// How buffers lie in memory.
enum mbuf_layout {
	MBUF_HUGE,   // hugepages: in any order, for any device
	MBUF_PACKED, // small pages, across their borders: for devices without DMA
	MBUF_PAGED,  // small pages, none crosses a border: for zero-copy AF_XDP; costs a page each
};

// Bytes that one mbuf takes in the pool, with its share of the list of those that are free.
size_t mbuf_size(enum mbuf_layout layout);

// Returns the pool, or NULL and a sentence in 'error'.
struct rte_mempool *mbuf_pool_new(
	uint32_t n, enum mbuf_layout layout, char *error, size_t error_size);
