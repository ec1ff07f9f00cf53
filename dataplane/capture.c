#include "dataplane/capture.h"

#include <assert.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

// In the place of a record: what follows up to the ring's end is nothing.
#define SKIP UINT32_MAX

static uint32_t record_size(uint32_t len)
{
	uint32_t size = (uint32_t)sizeof(struct capture_record) + len;

	return (size + CAPTURE_ALIGN - 1) / CAPTURE_ALIGN * CAPTURE_ALIGN;
}

int capture_ring_init(struct capture_ring *r, size_t bytes)
{
	uint32_t size = 1u << 31;

	*r = (struct capture_ring){0};
	while (size > bytes)
		size /= 2;
	if (size < 2 * record_size(CAPTURE_MAX_SNAPLEN))
		return -EINVAL;
	r->memory = calloc(1, size);
	if (r->memory == NULL)
		return -ENOMEM;
	r->size = size;
	return 0;
}

void capture_ring_fini(struct capture_ring *r)
{
	free(r->memory);
	r->memory = NULL;
	r->size = 0;
}

static struct capture_record *record_at(const struct capture_ring *r, uint64_t at)
{
	return (struct capture_record *)(void *)(r->memory + (at & (r->size - 1)));
}

// --- write

// Room for 'size' bytes that lie together, from '*tail' on, which moves to where they begin; NULL if there is none.
static struct capture_record *room_for(struct capture_ring *r, uint64_t *tail, uint32_t size)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint32_t to_end = r->size - (uint32_t)(*tail & (r->size - 1));
	uint32_t skip = to_end < size ? to_end : 0;

	if (r->size - (*tail - head) < (uint64_t)skip + size)
		return NULL;
	// A remainder that cannot hold even a header is skipped by its size alone.
	if (skip >= sizeof(struct capture_record))
		record_at(r, *tail)->frame_len = SKIP;
	*tail += skip;
	return record_at(r, *tail);
}

// How much of 'm' the filter takes; 0: nothing.
static uint32_t taken_of(const struct capture_filter *f, const struct rte_mbuf *m)
{
	uint32_t len = f->snaplen;

	if (f->program != NULL) {
		uint32_t accepted = bpf_filter(f->program, rte_pktmbuf_mtod(m, const uint8_t *),
			rte_pktmbuf_pkt_len(m), rte_pktmbuf_data_len(m));

		len = RTE_MIN(len, accepted);
	}
	return RTE_MIN(len, rte_pktmbuf_pkt_len(m));
}

static void copy_frame(uint8_t *to, const struct rte_mbuf *m, uint32_t len)
{
	while (len > 0) {
		uint32_t part = RTE_MIN(len, (uint32_t)rte_pktmbuf_data_len(m));

		memcpy(to, rte_pktmbuf_mtod(m, const uint8_t *), part);
		to += part;
		len -= part;
		m = m->next;
	}
}

void capture_write(struct capture_ring *r, const struct capture_filter *f,
	struct rte_mbuf *const *ms, unsigned n, unsigned port, enum capture_direction direction,
	uint64_t wall_ns, struct dataplane_stats *stats)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if ((f->ports >> port & 1) == 0)
		return;
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = taken_of(f, ms[i]);
		struct capture_record *record;

		if (len == 0)
			continue;
		record = room_for(r, &tail, record_size(len));
		if (record == NULL) {
			stat_inc(&stats->capture_drop_full);
			continue;
		}
		*record = (struct capture_record){.wall_ns = wall_ns,
			.frame_len = rte_pktmbuf_pkt_len(ms[i]),
			.len = (uint16_t)len,
			.port = (uint8_t)port,
			.direction = (uint8_t)direction};
		copy_frame(record->data, ms[i], len);
		tail += record_size(len);
		stat_inc(&stats->capture_frames);
	}
	atomic_store_explicit(&r->tail, tail, memory_order_release);
}

// --- read

const struct capture_record *capture_peek(struct capture_ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t to_end = r->size - (uint32_t)(head & (r->size - 1));

	if (head == tail)
		return NULL;
	if (to_end < sizeof(struct capture_record) || record_at(r, head)->frame_len == SKIP) {
		head += to_end;
		atomic_store_explicit(&r->head, head, memory_order_release);
		if (head == tail)
			return NULL;
	}
	return record_at(r, head);
}

void capture_consume(struct capture_ring *r, const struct capture_record *record)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	assert(record == record_at(r, head));
	atomic_store_explicit(&r->head, head + record_size(record->len), memory_order_release);
}

void capture_clear(struct capture_ring *r)
{
	atomic_store_explicit(&r->head, atomic_load_explicit(&r->tail, memory_order_acquire),
		memory_order_release);
}
