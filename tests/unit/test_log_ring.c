// The ring between a worker and the log writer, both on one thread; see test_log_ring_threads.c.

#include "router/log_ring.h"
#include "tests/test_support.h"

#include <stdlib.h>
#include <string.h>

static bool put(struct log_ring *r, char fill, size_t len)
{
	char *line = log_ring_reserve(r);

	if (line == NULL)
		return false;
	memset(line, fill, len);
	log_ring_commit(r, len);
	return true;
}

static void lines_come_out_as_they_went_in(void)
{
	struct log_ring *r = log_ring_new(0);
	const char *run;

	assert_int_equal(log_ring_peek(r, &run), 0);
	assert_true(put(r, 'a', 3));
	assert_true(put(r, 'b', 2));
	assert_int_equal(log_ring_peek(r, &run), 5);
	assert_memory_equal(run, "aaabb", 5);
	log_ring_consume(r, 4);
	assert_int_equal(log_ring_peek(r, &run), 1);
	log_ring_consume(r, 1);
	assert_int_equal(log_ring_peek(r, &run), 0);
	log_ring_free(&r);
	assert_null(r);
}

static void a_reservation_that_is_not_used_leaves_nothing(void)
{
	struct log_ring *r = log_ring_new(0);
	const char *run;

	assert_non_null(log_ring_reserve(r));
	log_ring_commit(r, 0);
	assert_int_equal(log_ring_peek(r, &run), 0);
	assert_true(put(r, 'x', 1));
	assert_int_equal(log_ring_peek(r, &run), 1);
	log_ring_free(&r);
}

static void a_full_ring_refuses_and_takes_lines_again_once_read(void)
{
	struct log_ring *r = log_ring_new(0);
	const char *run;
	size_t n = 0, total = 0;

	while (put(r, 'x', LOG_RING_LINE_MAX))
		n++;
	assert_true(n >= 3);
	assert_null(log_ring_reserve(r));
	for (size_t len; (len = log_ring_peek(r, &run)) > 0; total += len)
		log_ring_consume(r, len);
	assert_int_equal(total, n * LOG_RING_LINE_MAX);
	assert_true(put(r, 'y', 1));
	log_ring_free(&r);
}

// Line lengths run through all values several times, so that every distance to the end is met.
static void nothing_is_lost_or_torn_over_many_laps(void)
{
	struct log_ring *r = log_ring_new(100000);
	size_t written = 0, seen = 0, len = 1;
	const char *run;

	for (unsigned i = 0; i < 20000; i++) {
		len = (len * 31 + i) % LOG_RING_LINE_MAX + 1;
		while (!put(r, (char)('a' + len % 26), len)) {
			size_t n = log_ring_peek(r, &run);

			assert_true(n > 0);
			log_ring_consume(r, n / 2 + 1);
			seen += n / 2 + 1;
		}
		written += len;
	}
	for (size_t n; (n = log_ring_peek(r, &run)) > 0; seen += n)
		log_ring_consume(r, n);
	assert_int_equal(seen, written);
	log_ring_free(&r);
}

TESTS(TEST(lines_come_out_as_they_went_in), TEST(a_reservation_that_is_not_used_leaves_nothing),
	TEST(a_full_ring_refuses_and_takes_lines_again_once_read),
	TEST(nothing_is_lost_or_torn_over_many_laps))
