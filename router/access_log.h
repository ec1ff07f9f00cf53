// Access log lines by Envoy's format language (reference 6). A format is compiled once on the mgmt thread; workers
// render into their log ring, a thread of mgmt writes the rings out (log_ring.h).
//
// The operators are rows of access_log_ops.def; any other is a configuration error that names it. Where we differ from
// Envoy, on purpose:
// - In text, Envoy writes values as they are. We write control bytes as \xNN, so that nobody can add lines to the log or
//   drive the terminal that shows it; quotes stay as they are.
// - In JSON, a byte that is not UTF-8 becomes U+FFFD: a line is always JSON.
// - UPSTREAM_CLUSTER prints the cluster's name, without the ';' that Istio 1.24 and later put behind it.
#pragma once

#include "router/log_ring.h"
#include "router/record.h"

struct access_log_format;

// 'text' with operators; 'json': it is the text of a JSON object whose string values have operators. NULL or "" for 'text' is
// Istio's default of that encoding. Returns NULL and a sentence in 'error' that names the operator.
struct access_log_format *access_log_format_new(const char *text, bool json, char error[256]);
void access_log_format_free(struct access_log_format **fp);

// Renders one line, newline included, into 'to'. Returns its length; a line that does not fit is cut at 'cap' and still
// ends with a newline. Allocates nothing, takes no lock, asks no clock.
size_t access_log_render(
	const struct access_log_format *f, const struct exchange_record *r, char *to, size_t cap);

// Renders into 'ring'. Returns false if the ring is full (the caller counts).
bool access_log_write(
	const struct access_log_format *f, const struct exchange_record *r, struct log_ring *ring);
