// Congestion control behind a small table, so that another algorithm is another file. The functions
// decide how large the window is; what is lost and sent again is tcp_ack.c's business, and how the window
// shrinks while a loss is repaired is tcp_prr.c's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;

// What an algorithm remembers of a connection. Bytes unless it says otherwise.
struct tcp_cc {
	uint64_t epoch_us;   // when congestion avoidance began; 0: not yet
	uint64_t last_us;    // the last ACK that the window had been the limit for
	uint32_t acked;      // towards the next step, or what division left over
	uint32_t w_max;      // the window at the last loss
	uint32_t k_ms;       // from the start of the epoch until 'w_max' is reached again
	uint32_t w_est;      // what Reno would have
	uint32_t w_est_rest; // left over by division
	uint32_t prior;      // the window before the last loss
};

// Of slow start: the shortest round trips of a round and of the one before (RFC 9406, 4.2).
struct tcp_slow_start {
	uint32_t round_end; // the round ends when this is acknowledged
	uint32_t rtt_us;    // 0: no round yet; UINT32_MAX: no sample yet
	uint32_t last_rtt_us;
	uint32_t baseline_rtt_us; // when conservative slow start began
	uint8_t n_samples;
	uint8_t css_rounds; // in conservative slow start, from 1; 0: not in it
};

struct tcp_cc_ops {
	const char *name;
	// A connection starts; the window is set already.
	void (*init)(struct tcp_conn *c);
	// 'acked' bytes left the network while no loss is being repaired and the window was the limit.
	void (*on_ack)(struct tcp_conn *c, uint32_t acked, uint64_t now_us);
	// Something was lost: the new ssthresh, in bytes. 'in_flight' is what was outstanding; 'timeout'
	// tells that only the retransmission timer found out.
	uint32_t (*on_loss)(struct tcp_conn *c, uint32_t in_flight, bool timeout, uint64_t now_us);
	// A sample of the round trip; may be NULL.
	void (*on_rtt)(struct tcp_conn *c, uint32_t rtt_us);
};

// RFC 9438 with HyStart++ (RFC 9406). The default.
extern const struct tcp_cc_ops tcp_cc_cubic;
// RFC 5681.
extern const struct tcp_cc_ops tcp_cc_reno;
