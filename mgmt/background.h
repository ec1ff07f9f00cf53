// Work that takes its time, as reading a configuration and compiling its regular expressions does, on a thread of its own.
// The caller waits for it, and meanwhile goes on with what cannot wait.
//
//     caller   background_run() ---- meanwhile, meanwhile, ... ---- returns
//     thread         work ........................................|
#pragma once

#include <stdint.h>

#define BACKGROUND_MAX_FDS   4
#define BACKGROUND_PERIOD_MS 100

typedef void background_fn(void *arg);

struct background_meanwhile {
	// On the caller's thread: when a descriptor is readable, and each BACKGROUND_PERIOD_MS. Shares nothing with the work.
	background_fn *fn;
	void *arg;
	int fds[BACKGROUND_MAX_FDS]; // below 0: none
	unsigned n_fds;
};

// Returns when 'work' has. Without a thread to be had the work is done on the caller's.
void background_run(background_fn *work, void *arg, const struct background_meanwhile *meanwhile);
