// Rates out of two readings of the command "counters"; the computing half of 'pollgatectl top'. Pure.
#pragma once

#include <jansson.h>

// Returns a value to be printed, owned by the caller; NULL if the readings are not such (or not in this order).
json_t *ctl_top_rates(const json_t *before, const json_t *after);
