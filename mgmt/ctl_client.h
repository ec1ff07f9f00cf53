// pollgatectl's side of the control socket (admin_protocol.h). It blocks.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#define CTL_EXIT_USAGE 2

// Returns a socket on which an answer is waited for 'timeout_s' seconds at most (0: for ever), or -1 after a message on standard
// error.
int ctl_connect(const char *path, unsigned timeout_s);

// Returns false if not all of it was sent; there may be an answer all the same.
bool ctl_send(int fd, bool json, char *const *words, int n);

// Reads the answer to its end and closes 'fd'. Data goes to 'data', pieces of bytes to 'bytes' (NULL: they are not expected); the
// last line to standard error if it says more than "done". Returns the exit status.
typedef bool ctl_bytes_fn(void *arg, const void *bytes, size_t len); // false: no more are wanted
int ctl_read(int fd, FILE *data, ctl_bytes_fn *bytes, void *arg);
