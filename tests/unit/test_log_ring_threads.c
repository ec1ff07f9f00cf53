// The ring between a worker and the log writer, each on its thread. Run it under ThreadSanitizer: make tsan.

#include "router/log_ring.h"
#include "tests/test_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define N_LINES 20000u

// Each line is "<i>:" and a tail that depends on i, so that the reader knows what must come.
static size_t line_of(unsigned i, char *to)
{
	size_t len = (size_t)sprintf(to, "%u:", i);
	size_t tail = i * 7919u % 3000;

	memset(to + len, 'a' + i % 26, tail);
	to[len + tail] = '\n';
	return len + tail + 1;
}

static void *write_lines(void *arg)
{
	struct log_ring *r = arg;

	for (unsigned i = 0; i < N_LINES; i++) {
		char *line;

		while ((line = log_ring_reserve(r)) == NULL)
			sched_yield();
		log_ring_commit(r, line_of(i, line));
	}
	return NULL;
}

static void one_writer_and_one_reader_need_no_lock(void)
{
	struct log_ring *r = log_ring_new(0);
	static char expected[4096];
	pthread_t writer;

	assert_int_equal(pthread_create(&writer, NULL, write_lines, r), 0);
	for (unsigned i = 0; i < N_LINES;) {
		const char *run;
		size_t n = log_ring_peek(r, &run), done = 0;

		if (n == 0)
			sched_yield();
		while (done < n) {
			size_t len = line_of(i++, expected);

			assert_true(done + len <= n); // whole lines only
			assert_memory_equal(run + done, expected, len);
			done += len;
		}
		log_ring_consume(r, n);
	}
	pthread_join(writer, NULL);
	log_ring_free(&r);
}

TESTS(TEST(one_writer_and_one_reader_need_no_lock))
