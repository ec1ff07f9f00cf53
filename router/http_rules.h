// The rules of both versions of HTTP (h1_error.def, h2_error.def) in one row, so that each has its counters: how many
// messages of clients, and of endpoints, were refused for breaking it.
#pragma once

#include "router/h2_error.h"

#define HTTP_N_RULES (H1_N_ERRORS + H2_N_ERRORS)

// Of one worker.
struct http_rule_counts {
	uint64_t clients[HTTP_N_RULES]; // by the 'index' of a rule
	uint64_t endpoints[HTTP_N_RULES];
};

// 'index' < HTTP_N_RULES.
static inline const struct h1_error *http_rule(unsigned index)
{
	return index < H1_N_ERRORS ? h1_errors[index] : h2_errors[index - H1_N_ERRORS];
}
