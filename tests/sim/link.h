// Two stacks in one process, joined by a model link that loses, duplicates, reorders, corrupts and delays
// frames as a seeded generator says. Time is virtual: the world jumps from one event to the next.
//
//     net A --transmit--> [drop? copy, delay] --deliver--> net B       and the other way round
//
// As a driver does, the link keeps the sender's buffer for a while after it was sent, so that
// retransmissions meet buffers that are not theirs alone; the receiver gets a copy from its own pool,
// or nothing if that is empty.
#pragma once

#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp.h"

#include <stdbool.h>
#include <stdint.h>

// Chances are in 1/1000. ARP and ND frames are never touched: their losses are another test's business.
struct link_config {
	uint64_t seed;
	bool ip6; // IPv6 instead of IPv4; MTUs are 1280 at least
	unsigned drop;
	unsigned duplicate;
	unsigned corrupt;  // one bit
	unsigned reorder;  // delayed by up to 'reorder_us' more
	unsigned burst;    // the link goes dead ...
	uint32_t burst_us; // ... in both directions, for up to that long
	uint32_t delay_us;
	uint32_t reorder_us;
	uint32_t rate_mbit; // 0: no limit
	uint32_t queue_len; // frames that wait for the rate; more are dropped. 0: no limit
	uint32_t hold_us;   // the driver keeps sent buffers up to that long
	int drop_nth;       // this TCP frame, from 0, is dropped, and one more ...
	int drop_nth_2;     // ... -1: none
	uint16_t mtu;       // of both interfaces; 0: 1500
	struct net_offloads offloads; // of both: what is sent is finished and cut as a NIC would
	bool rx_offload; // both look at checksums of what arrives, but for every eighth frame
	uint16_t
		path_mtu; // from 'path_mtu_us' after the start on, larger packets do not arrive; 0: never
	uint32_t path_mtu_us;
	bool path_mtu_icmp;  // and a router says so to their sender
	uint32_t n_mbufs[2]; // of each side's pool; 0: 4096
	uint32_t max_mbufs_held[2];
	uint32_t max_connections;       // 0: 64
	const struct tcp_settings *tcp; // NULL: defaults with a TIME_WAIT of 1 s
};

struct world; // link.c

// Returns two stacks at 10.0.0.1 or fd00::1 (side 0) and 10.0.0.2 or fd00::2 (side 1) and the link between
// them. Never NULL: a test that cannot have them fails.
struct world *world_new(const struct link_config *config);

// Fails the test if a buffer is still used.
void world_free(struct world **wp);

struct net *world_net(struct world *w, unsigned side);
struct dataplane_stats *world_stats(struct world *w, unsigned side);
struct ip_addr world_addr(const struct world *w, unsigned side);
uint64_t world_now(const struct world *w);
// A number below 'n' from the world's generator.
uint32_t world_random(struct world *w, uint32_t n);
// TCP frames that were given to the link so far.
unsigned world_n_frames(const struct world *w);
// Frames above 'path_mtu'.
unsigned world_n_too_big(const struct world *w);

// Goes to the next event. Returns false if there is none, or none before 'until_us'.
bool world_step(struct world *w, uint64_t until_us);

// Something an application wants to do later; one at a time for each side.
void world_wake_at(struct world *w, uint64_t at_us);

// Frames on the link and connections, TIME_WAIT and timers on both sides: all gone.
bool world_is_quiet(struct world *w);
// What is left, for the message of a failed test.
void world_print(struct world *w);
