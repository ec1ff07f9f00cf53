// An answer of the control socket that takes its time: what is there by now is sent, the rest follows. mgmt thread.
//
// The server asks for more whenever the client has taken all there was, so a client that reads slowly holds its stream back.
// After more() has returned false, and after cancel(), the stream is not touched again.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct admin_stream_ops {
	// Writes what there is; false: with it the answer is complete.
	bool (*more)(void *arg, FILE *to, uint64_t now_us);
	// The next more() is to complete the answer: the client wants no more, or the gateway ends.
	void (*finish)(void *arg);
	// The client is gone.
	void (*cancel)(void *arg);
};

struct admin_stream {
	const struct admin_stream_ops *ops; // NULL: no stream
	void *arg;
};
