// Applications for the simulator: each end of a connection writes so many bytes of a known pattern, ends
// its direction, reads the other's to the end and checks every byte, then closes.
#pragma once

#include "dataplane/stream.h"
#include "tests/sim/link.h"

#define PEER_PORT 80
#define MAX_PAIRS 8u

struct peer {
	struct world *world;
	struct stream *stream; // NULL: closed, or not there yet
	uint64_t pattern;
	uint32_t to_send;
	uint32_t sent;
	uint32_t to_receive;
	uint32_t received;
	uint32_t max_write;     // bytes a call; 0: no limit
	uint32_t max_read;      // bytes an event; 0: no limit
	uint32_t pause_in_1000; // chance to stop reading for a while
	uint64_t paused_until_us;
	bool closes_early;  // gives the stream back as soon as all is written
	bool waits_for_end; // of the other direction before ending its own
	bool read_ended;
	bool ended;  // our direction
	bool closed; // in good order
	enum stream_error error;
};

// One connection; side 0 connects to side 1.
struct pair {
	struct peer ends[2];
};

struct transfer {
	struct world *world;
	struct pair pairs[MAX_PAIRS];
	unsigned n_pairs;
	unsigned n_accepted;
	uint16_t ports[MAX_PAIRS]; // of side 0
	struct tcp_listener *listener;
};

// Listens on side 1 and connects the pairs, whose sizes and habits the caller has filled in.
void transfer_start(struct transfer *t, struct world *w);

// Runs until every connection is over or 'limit_us' virtual time have passed. Returns true if all closed in
// good order and the world fell quiet.
bool transfer_run(struct transfer *t, uint64_t limit_us);

// For the message of a failed test.
void transfer_print(struct transfer *t);

// Calls 'run' for the seeds 1 to 'n'; SIM_SEEDS=n in the environment sets another number, SEED=n runs that one
// alone. If the program fails on the way, it ends by printing how to replay the seed. Returns how many ran.
uint64_t each_seed(uint64_t n, void (*run)(uint64_t seed));
