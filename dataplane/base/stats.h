// Counters declared in one line. Each layer has a table,
//
//     STAT(name, COUNTER|GAUGE, "one line for people", "sentence for the reference page")
//
// in <layer>_stats.def; from it come a struct of uint64_t (one per worker, written by that worker
// alone), the array of descriptors, the metrics text and the reference page. A reader on another
// thread uses stat_read(); a torn or slightly old value is impossible or harmless respectively.
#pragma once

#include <stdint.h>

enum stat_kind {
	STAT_COUNTER,
	STAT_GAUGE,
};

struct stat_desc {
	const char *name;
	enum stat_kind kind;
	const char *title;
	const char *help;
};

// Relaxed atomics: the same instruction as a plain load or add on x86, but defined behaviour when
// the mgmt thread reads while a worker writes.
static inline void stat_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void stat_inc(uint64_t *counter)
{
	stat_add(counter, 1);
}

static inline void stat_dec(uint64_t *counter)
{
	stat_add(counter, (uint64_t)-1);
}

static inline void stat_set(uint64_t *gauge, uint64_t value)
{
	__atomic_store_n(gauge, value, __ATOMIC_RELAXED);
}

static inline uint64_t stat_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}
