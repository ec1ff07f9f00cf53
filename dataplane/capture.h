// Frames kept for 'pollgatectl capture': a worker copies what a filter takes into a ring of its own, the mgmt thread reads it
// from there. One writer, one reader, no lock:
//
//     worker: capture_write()  -> [ record | record | ...          ] -> capture_peek(), capture_consume() : mgmt
//                                   tail, never passes           head, written by mgmt
//
// Frames are as the stack made them: what the port's device finishes or cuts is seen before that, with checksums that are not
// complete and segments that are still one packet.
//
// A record lies together in memory; what is left at the ring's end is skipped if the next one does not fit. A frame that finds
// the ring full is counted and not kept. The filter is a program of classic BPF, which has no loops: its time is bounded by its
// length.
#pragma once

#include "dataplane/dataplane_stats.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURE_MAX_SNAPLEN 65535u
#define CAPTURE_ALIGN       8u

struct bpf_insn; // of libpcap
struct rte_mbuf;

// What to keep. Borrowed by the worker while it captures.
struct capture_filter {
	const struct bpf_insn *program; // NULL: everything; else it was validated
	uint32_t snaplen;               // bytes of a frame that are kept; 1 to CAPTURE_MAX_SNAPLEN
	uint32_t ports;                 // bit i: the port with number i
};

enum capture_direction {
	CAPTURE_IN,
	CAPTURE_OUT,
};

struct capture_record {
	uint64_t wall_ns;   // since 1970
	uint32_t frame_len; // on the wire
	uint16_t len;       // of 'data'
	uint8_t port;
	uint8_t direction; // enum capture_direction
	uint8_t data[];
};

struct capture_ring {
	uint8_t *memory;
	uint32_t size; // a power of two

	_Alignas(
		64) _Atomic uint64_t head; // all that was consumed, in bytes; written by the reader
	_Alignas(64) _Atomic uint64_t tail; // all that was written; written by the writer
};

// 'bytes' is rounded down to a power of two. Returns 0 or -ENOMEM; -EINVAL if the largest frame would not fit.
int capture_ring_init(struct capture_ring *r, size_t bytes);
void capture_ring_fini(struct capture_ring *r);

// --- the worker's side

// Copies those of the frames that 'f' takes; counted in 'stats', as are those that find no room. They are only read.
void capture_write(struct capture_ring *r, const struct capture_filter *f,
	struct rte_mbuf *const *ms, unsigned n, unsigned port, enum capture_direction direction,
	uint64_t wall_ns, struct dataplane_stats *stats);

// --- the reader's side

// The oldest record, valid until it is consumed; NULL if there is none.
const struct capture_record *capture_peek(struct capture_ring *r);
void capture_consume(struct capture_ring *r, const struct capture_record *record);

// Forgets what is there.
void capture_clear(struct capture_ring *r);
