// Which worker a received frame belongs to. Correctness never depends on the NIC: whatever queue a frame
// came in by, this says whose it is.
//
//     TCP to a port of the active-open range   the port's low bits name the worker that opened it
//     any other TCP                            keyed hash of addresses and ports; on a port with RSS the
//                                              NIC's hash and table, computed here (rss.h)
//     ICMP error that quotes a TCP segment     as an answer to that segment
//     ARP, IPv6 neighbour discovery            worker 0 answers, everybody learns
//     anything else                            worker 0
//
// Pure; any thread.
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "dataplane/rss.h"

#define STEER_EVERYBODY UINT32_MAX

struct steer {
	struct hash_key secret;
	uint32_t n_workers;
	uint16_t port_first; // of the range that active opens use, see net_config
	uint16_t port_last;
	uint16_t port_mask; // next power of two at or above n_workers, less one
};

void steer_init(struct steer *s, const struct hash_key *secret, uint32_t n_workers,
	uint16_t port_first, uint16_t port_last);

struct steer_verdict {
	uint32_t owner; // the index of a worker, or STEER_EVERYBODY
	bool is_hashed; // a NIC with RSS hashes it, to 'hash'
	uint32_t hash;
};

// 'frame' starts at the Ethernet header and may be anything. 'rss' is the port's, or NULL.
struct steer_verdict steer_frame(const struct steer *s, const struct rss *rss, struct bytes frame);
