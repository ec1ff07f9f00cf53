// The ports whose interface stays the kernel's (addressing: shared), joined: what the kernel says goes to the workers'
// stacks, and what the gateway listens on goes to the XDP programs.
//
// mgmt thread. Does nothing, cheaply, when no port is shared.
#pragma once

#include "dataplane/worker_thread.h"

struct shared_ports;

// To be called when the ports are open, before the workers run. Returns 0, or a negative errno and a sentence.
// '*out' is NULL when no port is shared, which all functions take.
int shared_ports_new(struct shared_ports **out, struct port *ports, unsigned n_ports,
	struct worker_shared *shared, char *error, size_t error_size);
// Before the ports are closed, after the workers have ended.
void shared_ports_free(struct shared_ports **sp);

// Readable when shared_ports_run() has work; -1 when no port is shared.
int shared_ports_fd(const struct shared_ports *s);
// To be called when the descriptor is readable, and once when the workers run.
void shared_ports_run(struct shared_ports *s);
// To be called about once a second.
void shared_ports_tick(struct shared_ports *s);

// These ports and the slice of active opens are ours, the others are the kernel's. One that was and is not any more
// stays ours until the last connection to it is closed.
int shared_ports_listen(struct shared_ports *s, const uint16_t *tcp_ports, unsigned n);
