// Two connected byte streams in memory: what a test puts below TLS or an HTTP codec instead of TCP.
//
//     struct fake_pair *p = fake_pair_new();
//     unit under test <- fake_pair_end(p, 0)        fake_pair_end(p, 1) -> the test as the peer
//     ... fake_pair_pump(p, now) ...                moves bytes and delivers events, nothing else does
//
// The ends keep the contract of stream.h strictly and check that their owner does: a call on an end that
// was given back, or a consume() beyond what was received, fails an assert. Bytes travel only in
// fake_pair_step(), in the pieces and within the room that the test sets, so every schedule can be
// replayed. An end whose owner was never set just collects; the test looks at it when it wants to.
#pragma once

#include "dataplane/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_pair;

enum fake_fate {
	FAKE_OPEN,
	FAKE_CLOSED,  // by stream_close()
	FAKE_ABORTED, // by stream_abort()
};

// Two ends, connected, each with room for 64 KB and no limit on pieces. Never NULL.
struct fake_pair *fake_pair_new(void);
// Whatever state the ends are in; they must not be used afterwards.
void fake_pair_free(struct fake_pair **pp);

// Side 0 or 1.
struct stream *fake_pair_end(struct fake_pair *p, unsigned side);

// Moves at most a piece each way and calls on_event() of both sides as needed. Returns false if nothing
// happened, and nothing will until somebody writes, consumes or closes.
bool fake_pair_step(struct fake_pair *p, uint64_t now_us);
// Steps until nothing happens. Asserts that this comes to an end.
void fake_pair_pump(struct fake_pair *p, uint64_t now_us);

// How side's owner gave its end back, and whether it ended its direction (shutdown, close or abort).
enum fake_fate fake_pair_fate(const struct fake_pair *p, unsigned side);
bool fake_pair_is_shut(const struct fake_pair *p, unsigned side);

// Settings of an end; any time.
//
// What 's' may have written that its peer has not consumed; the send buffer and window in one.
void fake_set_room(struct stream *s, size_t bytes);
// At most 'n' bytes arrive at 's' in a step, and peek() shows no more at once. 0: no limit.
void fake_set_piece(struct stream *s, size_t n);
// While held, nothing that 's' wrote arrives: the network is dead.
void fake_set_held(struct stream *s, bool held);

// Things that happen to 's'; its owner hears of them in the next step.
//
// What its peer has written or ended so far arrives.
void fake_arrive(struct stream *s);
// The handshake of an active open ends now.
void fake_connected(struct stream *s);
// CLOSED with this error. Bytes received stay readable; nothing moves any more in either direction.
void fake_fail(struct stream *s, enum stream_error error);

// The test as the peer: takes up to 'cap' received bytes out of 's', returns how many.
size_t fake_take(struct stream *s, void *out, size_t cap);
// Writes all of 'b', asserting that there is room.
void fake_put(struct stream *s, struct bytes b);
