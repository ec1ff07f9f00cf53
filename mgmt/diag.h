// Collects what is wrong with a configuration: all of it, not the first thing. Each message has
// the form
//
//     file:line:column: path.to.field: what is wrong; what was expected
//     file:line:column: warning: path.to.field: ...
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct diag;

enum diag_severity {
	DIAG_ERROR,
	DIAG_WARNING,
};

struct diag_message {
	enum diag_severity severity;
	char *text; // without newline
};

struct diag *diag_new(void);
void diag_free(struct diag **dp);

// Adds a message. 'line' and 'column' count from 1; 0 leaves them out. 'path' may be NULL.
// Returns false, so that a reader can "return diag_add(...)".
__attribute__((format(printf, 7, 8))) bool diag_add(struct diag *d, enum diag_severity severity,
	const char *file, unsigned line, unsigned column, const char *path, const char *format,
	...);

unsigned diag_n_errors(const struct diag *d);
unsigned diag_n_warnings(const struct diag *d);

// In the order of file, line and column.
size_t diag_n_messages(const struct diag *d);
const struct diag_message *diag_message(const struct diag *d, size_t i);

// One message a line.
void diag_print(const struct diag *d, FILE *to);
