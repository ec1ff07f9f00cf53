// The process log: what an operator reads, not the access log. One line a message on standard error:
//
//     2026-11-24T06:37:11.123Z info  tls: certificate loaded host=shop.example not_after=...
//
// log_*() may be called from any thread, but never for each packet or request: a worker puts the line
// into a lock-free ring that log_drain() empties on the mgmt thread; a full ring drops the line and
// counts it. Every call site is rate limited (10 lines, then 1 a second, saying how many were withheld).
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_INFO,
	LOG_DEBUG,
	LOG_N_LEVELS,
};

struct log_site {
	uint64_t window_s; // the second that 'n' counts in
	uint32_t n;
	uint32_t withheld;
};

extern enum log_level log_threshold;

// First line of a .c file that logs.
#define LOG_MODULE(name) static const char *const log_module = name;

#define log_at(level, ...)                                                       \
	do {                                                                     \
		static struct log_site log_site_;                                \
		if ((level) <= log_threshold)                                    \
			log_write(&log_site_, (level), log_module, __VA_ARGS__); \
	} while (0)

#define log_error(...)   log_at(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_at(LOG_DEBUG, __VA_ARGS__)

__attribute__((format(printf, 4, 5))) void log_write(
	struct log_site *site, enum log_level level, const char *module, const char *format, ...);

// From now on lines of the calling thread go through the ring. Called once by each worker.
void log_use_ring(void);

// Writes what is in the ring; returns the number of lines. mgmt thread only.
unsigned log_drain(void);

// Lines lost to a full ring since start.
uint64_t log_lost(void);

const char *log_level_name(enum log_level level);
bool log_level_parse(const char *name, enum log_level *out);
