// Why an attempt ended without a response (reset_reason.def): the texts and flags clients and logs see.
#pragma once

#include "router/record.h"

enum reset_reason {
#define RESET_REASON(name, text, detail, flag, status) RESET_##name,
#include "router/reset_reason.def"
	N_RESET_REASONS,
};

struct reset_reason_info {
	const char *text;
	const char *before; // details when no response had begun
	const char *after;  // details when one had
	const char *body;   // of the local reply
	const char *body_retried;
	enum response_flag flag;
	uint16_t status;
};

extern const struct reset_reason_info reset_reasons[N_RESET_REASONS];

// True if no connection could be made.
static inline bool reset_reason_is_connect(enum reset_reason r)
{
	return r <= RESET_CONNECTION_TIMEOUT;
}
