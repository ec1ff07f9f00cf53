// Which processor cores the workers run on: a list in the operator's syntax, checked against the cores
// that this process may use (its cpuset, in a container).
#pragma once

#include <sched.h>

#define CORES_MAX 64u

// Reads "1", "1-3,5" into 'cores', in the order of the text; NULL or "" stands for the last allowed core. Returns how
// many, or 0 and a sentence in 'error'.
unsigned cores_parse(const char *text, const cpu_set_t *allowed, unsigned cores[CORES_MAX],
	char *error, size_t error_size);

// Writes 'set' as a list ("0-3,6") for messages and the EAL.
void cores_print(const cpu_set_t *set, char *out, size_t size);
