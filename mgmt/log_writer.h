// The thread that writes the access log: it empties the workers' log rings into one file with large writes, so that a worker
// never waits for a disk or a pipe.
//
//     worker 0 --> ring 0 --+
//     worker 1 --> ring 1 --+--> log writer --> /dev/stdout, or a file opened for append
//
// Lines reach the file within about 100 ms. A reader that is slow (a full pipe) makes the rings fill up, and the workers
// count what they drop; a target that fails (disk full, reader gone) costs the lines at hand, which are counted here, and the
// writer goes on trying.
#pragma once

#include "router/log_ring.h"

#include <stddef.h>
#include <stdint.h>

struct log_writer;

struct log_writer_stats {
	uint64_t bytes;        // written
	uint64_t lost_lines;   // could not be written
	uint64_t write_errors; // failed writes
	uint64_t reopens;
};

// Starts the thread; signals are blocked in it. 'rings' have to outlive it. 'path' NULL: discards until log_writer_set_path().
// Returns 0 or a negative errno (of the thread; a path that cannot be opened is logged and tried again).
int log_writer_start(
	struct log_writer **out, struct log_ring *const *rings, unsigned n_rings, const char *path);

// Writes what is in the rings, for a second at most, and ends the thread.
void log_writer_stop(struct log_writer **lp);

// From now on lines go to 'path' (copied). Nothing happens if it is the same. mgmt thread.
void log_writer_set_path(struct log_writer *l, const char *path);

// Opens the path anew, for log rotation. mgmt thread; does not wait.
void log_writer_reopen(struct log_writer *l);

void log_writer_stats(const struct log_writer *l, struct log_writer_stats *out); // any thread
