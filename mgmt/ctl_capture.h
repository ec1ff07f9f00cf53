// 'pollgatectl capture': what the gateway's command 'frames' is asked for, and the file that its answer becomes.
#pragma once

#include "mgmt/admin_protocol.h"

#define CTL_CAPTURE_ERROR_SIZE 512
#define CTL_CAPTURE_MAX_WORDS  6

struct ctl_capture {
	const char *file;                   // NULL or "-": standard output
	char *words[CTL_CAPTURE_MAX_WORDS]; // of 'frames'; owned
	int n_words;
};

// Understands the arguments of 'capture' and compiles its expression, in which names may be looked up. Returns false and a
// sentence in 'error'; ctl_capture_free() is due in any case.
bool ctl_capture_parse(
	struct ctl_capture *c, const struct admin_words *words, char error[CTL_CAPTURE_ERROR_SIZE]);
void ctl_capture_free(struct ctl_capture *c);

// Does it, until it is done or a signal says so. Returns the exit status.
int ctl_capture_run(const struct ctl_capture *c, const char *socket_path);
