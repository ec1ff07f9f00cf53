// The gateway as a process: brings the parts up in order, runs the mgmt thread's loop until it is told to end, and takes the
// parts down again.
//
//     config -> checks -> memory split -> endpoints, control socket -> router, dataplane -> first publish -> log writer -> ready
//
//     SIGTERM, SIGINT   drain and exit; the second one at once        SIGHUP    reload
//     SIGUSR1           open the access log anew
//
// The calling thread becomes the mgmt thread. Besides it there are the workers (dataplane) and the log writer, nothing else.
#pragma once

#define POLLGATE_VERSION "0.1.0"

struct gateway_options {
	const char *const *paths; // of configuration files and folders
	unsigned n_paths;
};

// Runs until the end; returns the exit code of the process: 0 after a drain, 1 if it could not start (said on standard error).
int gateway_run(const struct gateway_options *options);

// Loads and checks as gateway_run() does, and prints every problem. Returns the exit code: 0, or 1 if there is an error.
int gateway_check(const struct gateway_options *options);
