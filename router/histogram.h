// A histogram with Istio's default buckets (reference 7.1), in milliseconds or bytes. Written by one thread, read by any.
#pragma once

#include <stdint.h>

#define HISTOGRAM_N_BUCKETS 20 // the last one is +Inf

struct histogram {
	uint64_t buckets[HISTOGRAM_N_BUCKETS]; // not cumulative
	uint64_t sum;                          // in thousandths of the unit
};

// Upper bounds as printed: "0.5", "1", ... "+Inf".
extern const char *const histogram_bounds[HISTOGRAM_N_BUCKETS];

// 'milli' is the value in thousandths (microseconds for a histogram of milliseconds).
void histogram_record(struct histogram *h, uint64_t milli);

// Adds 'from' to 'to'. 'from' may be written meanwhile.
void histogram_merge(struct histogram *to, const struct histogram *from);
