// Congestion control behind a small table, so that another algorithm is another file. The functions
// decide how large the window is; what is lost and sent again is tcp_ack.c's business.
#pragma once

#include <stdint.h>

struct tcp_conn;

struct tcp_cc_ops {
	const char *name;
	// A connection starts; the window is set already.
	void (*init)(struct tcp_conn *c);
	// 'acked' bytes left the network while no loss is being repaired and the window was the limit.
	void (*on_ack)(struct tcp_conn *c, uint32_t acked, uint64_t now_us);
	// Something was lost: the new ssthresh, in bytes. 'in_flight' is what was outstanding.
	uint32_t (*on_loss)(struct tcp_conn *c, uint32_t in_flight, uint64_t now_us);
};

// RFC 5681.
extern const struct tcp_cc_ops tcp_cc_reno;
