// How memory.limit is divided, and how an Appliance becomes what the dataplane is started with. Pure.
//
//     limit = process + logs + captures + dataplane + router
//
//     process    code and libraries (about 30 MiB of them are resident), two configurations with their route tables
//                and regex databases, answers of the control socket
//     logs       the rings between workers and log writer
//     captures   frames that 'pollgatectl capture' has not fetched yet; untouched, and so not resident, until it is used
//     dataplane  packet buffers, connections and tables of the stack
//     router     connections, exchanges and their arenas, TLS, request metrics
#pragma once

#include "dataplane/dataplane.h"
#include "mgmt/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIZING_ERROR_SIZE 256

struct sizing {
	uint64_t limit;
	uint64_t process;
	uint64_t dataplane;
	uint64_t router;
	size_t log_ring; // of each worker
	size_t capture;  // of each worker
};

// Returns false and a sentence in 'error' if 'limit' is too little for 'n_workers'.
bool sizing_divide(
	struct sizing *out, uint64_t limit, unsigned n_workers, char error[SIZING_ERROR_SIZE]);

// Strings are borrowed from 'a'.
void sizing_dataplane_config(
	struct dataplane_config *out, const struct appliance *a, const struct sizing *s);
