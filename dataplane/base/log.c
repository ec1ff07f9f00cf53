#include "dataplane/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING_SLOTS 256u
#define LINE_SIZE  480u
#define BURST      10u

// A bounded queue with many writers and one reader (Vyukov): 'turn' says whose move a slot is.
struct log_slot {
	atomic_uint turn;
	uint16_t len;
	char line[LINE_SIZE];
};

enum log_level log_threshold = LOG_INFO;

static struct log_slot ring[RING_SLOTS];
static atomic_uint ring_tail;
static unsigned ring_head; // reader only
static atomic_ullong n_lost;
static _Thread_local bool uses_ring;

static const char *const level_names[LOG_N_LEVELS] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

bool log_level_parse(const char *name, enum log_level *out)
{
	for (int i = 0; i < LOG_N_LEVELS; i++) {
		if (strcmp(level_names[i], name) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

uint64_t log_lost(void)
{
	return atomic_load_explicit(&n_lost, memory_order_relaxed);
}

void log_use_ring(void)
{
	uses_ring = true;
}

// Slot i starts with turn i in the writers' eyes; stored as turn - i so that zeroed memory is right.
static unsigned slot_turn(unsigned index)
{
	return atomic_load_explicit(&ring[index % RING_SLOTS].turn, memory_order_acquire)
		+ index % RING_SLOTS;
}

static void slot_set_turn(unsigned index, unsigned turn)
{
	atomic_store_explicit(
		&ring[index % RING_SLOTS].turn, turn - index % RING_SLOTS, memory_order_release);
}

static void ring_push(const char *line, size_t len)
{
	unsigned at = atomic_load_explicit(&ring_tail, memory_order_relaxed);

	for (;;) {
		unsigned turn = slot_turn(at);

		if (turn == at) {
			if (atomic_compare_exchange_weak_explicit(&ring_tail, &at, at + 1,
				    memory_order_relaxed, memory_order_relaxed))
				break;
		} else if ((int)(turn - at) < 0) {
			atomic_fetch_add_explicit(&n_lost, 1, memory_order_relaxed);
			return;
		} else {
			at = atomic_load_explicit(&ring_tail, memory_order_relaxed);
		}
	}
	memcpy(ring[at % RING_SLOTS].line, line, len);
	ring[at % RING_SLOTS].len = (uint16_t)len;
	slot_set_turn(at, at + 1);
}

static void write_all(const char *line, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, line, len);

		if (n <= 0)
			return;
		line += n;
		len -= (size_t)n;
	}
}

unsigned log_drain(void)
{
	unsigned n = 0;

	while (slot_turn(ring_head) == ring_head + 1) {
		struct log_slot *slot = &ring[ring_head % RING_SLOTS];

		write_all(slot->line, slot->len);
		slot_set_turn(ring_head, ring_head + RING_SLOTS);
		ring_head++;
		n++;
	}
	return n;
}

// True if the line may go out; '*withheld' is how many did not since the last one that did. Sites are
// shared by threads without a lock: a race costs a line too many or too few, nothing else.
static bool site_allows(struct log_site *site, uint64_t now_s, uint32_t *withheld)
{
	uint64_t window = __atomic_load_n(&site->window_s, __ATOMIC_RELAXED);
	uint32_t n = __atomic_load_n(&site->n, __ATOMIC_RELAXED);

	if (window != now_s) {
		n = n > 0 && now_s - window < BURST ? n - 1 : 0;
		__atomic_store_n(&site->window_s, now_s, __ATOMIC_RELAXED);
	}
	if (n >= BURST) {
		__atomic_store_n(&site->n, n, __ATOMIC_RELAXED);
		__atomic_fetch_add(&site->withheld, 1, __ATOMIC_RELAXED);
		return false;
	}
	__atomic_store_n(&site->n, n + 1, __ATOMIC_RELAXED);
	*withheld = __atomic_exchange_n(&site->withheld, 0, __ATOMIC_RELAXED);
	return true;
}

void log_write(
	struct log_site *site, enum log_level level, const char *module, const char *format, ...)
{
	char line[LINE_SIZE];
	struct timespec ts;
	uint32_t withheld;
	struct tm tm;
	va_list args;
	size_t len;
	int n;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (!site_allows(site, (uint64_t)ts.tv_sec, &withheld))
		return;
	gmtime_r(&ts.tv_sec, &tm);
	len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	len += (size_t)snprintf(line + len, sizeof(line) - len,
		".%03ldZ %-7s %s: ", ts.tv_nsec / 1000000, level_names[level], module);
	va_start(args, format);
	n = vsnprintf(line + len, sizeof(line) - len, format, args);
	va_end(args);
	if (n > 0)
		len += (size_t)n;
	if (len > sizeof(line) - 32)
		len = sizeof(line) - 32;
	if (withheld > 0)
		len += (size_t)snprintf(line + len, sizeof(line) - len, " (withheld=%u)", withheld);
	line[len++] = '\n';
	if (uses_ring)
		ring_push(line, len);
	else
		write_all(line, len);
}
