#include "router/histogram.h"

#include "dataplane/base/stats.h"

// Columns: bound in thousandths, as printed. The last one is infinite.
#define BOUNDS(X)                \
	X(500, "0.5")            \
	X(1000, "1")             \
	X(5000, "5")             \
	X(10000, "10")           \
	X(25000, "25")           \
	X(50000, "50")           \
	X(100000, "100")         \
	X(250000, "250")         \
	X(500000, "500")         \
	X(1000000, "1000")       \
	X(2500000, "2500")       \
	X(5000000, "5000")       \
	X(10000000, "10000")     \
	X(30000000, "30000")     \
	X(60000000, "60000")     \
	X(300000000, "300000")   \
	X(600000000, "600000")   \
	X(1800000000, "1800000") \
	X(3600000000, "3600000") \
	X(UINT64_MAX, "+Inf")

static const uint64_t limits[] = {
#define X(milli, text) milli,
	BOUNDS(X)
#undef X
};

const char *const histogram_bounds[HISTOGRAM_N_BUCKETS] = {
#define X(milli, text) text,
	BOUNDS(X)
#undef X
};

_Static_assert(sizeof(limits) / sizeof(limits[0]) == HISTOGRAM_N_BUCKETS, "a row for each bucket");

void histogram_record(struct histogram *h, uint64_t milli)
{
	unsigned i = 0;

	// Most values are small: a request takes milliseconds and is a few hundred bytes.
	while (milli > limits[i])
		i++;
	stat_inc(&h->buckets[i]);
	stat_add(&h->sum, milli);
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_N_BUCKETS; i++)
		to->buckets[i] += stat_read(&from->buckets[i]);
	to->sum += stat_read(&from->sum);
}
