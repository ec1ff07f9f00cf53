// The ring between a worker that captures and the mgmt thread, each on its thread. Run it under ThreadSanitizer: make tsan.
#include "dataplane/capture.h"
#include "dataplane/mbuf.h"
#include "tests/test_support.h"

#include <pthread.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <string.h>

#define N_FRAMES 20000u
#define PERIOD   64u // of the lengths

static struct capture_ring ring;
static struct dataplane_stats stats;
static struct rte_mbuf frames[PERIOD];
static uint8_t bytes[PERIOD][2048];

static uint16_t len_of(uint64_t i)
{
	return (uint16_t)(1 + i % PERIOD * 31);
}

static void make_frames(void)
{
	for (unsigned i = 0; i < PERIOD; i++) {
		memset(bytes[i], (int)i, sizeof(bytes[i]));
		frames[i] = (struct rte_mbuf){
			.buf_addr = bytes[i], .data_len = len_of(i), .pkt_len = len_of(i)};
	}
}

static void *write_frames(void *arg)
{
	const struct capture_filter f = {.snaplen = CAPTURE_MAX_SNAPLEN, .ports = 1};

	(void)arg;
	for (uint64_t i = 0; i < N_FRAMES; i++) {
		struct rte_mbuf *m = &frames[i % PERIOD];

		capture_write(&ring, &f, &m, 1, 0, CAPTURE_OUT, i, &stats);
		if (i % PERIOD == 0)
			sched_yield();
	}
	return NULL;
}

static void one_writer_and_one_reader_need_no_lock(void)
{
	const struct capture_record *r;
	uint64_t n_read = 0;
	pthread_t writer;

	make_frames();
	assert_int_equal(capture_ring_init(&ring, 256 * 1024), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_frames, NULL), 0);
	while (n_read + stat_read(&stats.capture_drop_full) < N_FRAMES) {
		r = capture_peek(&ring);
		if (r == NULL) {
			sched_yield();
			continue;
		}
		assert_int_equal(r->len, len_of(r->wall_ns));
		assert_int_equal(r->data[0], r->wall_ns % PERIOD);
		assert_int_equal(r->data[r->len - 1], r->wall_ns % PERIOD);
		capture_consume(&ring, r);
		n_read++;
	}
	pthread_join(writer, NULL);
	assert_int_equal(stats.capture_frames, n_read);
	assert_null(capture_peek(&ring));
	capture_ring_fini(&ring);
}

TESTS(TEST(one_writer_and_one_reader_need_no_lock))
