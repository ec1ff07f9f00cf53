// The log writer with real rings, pipes and files. The only waiting is for the writer's thread: by reading what it
// writes, or by stopping it, which joins it.
#include "mgmt/log_writer.h"

#include "tests/test_support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE "one line of the access log\n"

struct rig {
	char folder[64];
	char path[96];
	struct log_ring *rings[2];
	struct log_writer *writer;
};

static void rig_init(struct rig *r, const char *name)
{
	strcpy(r->folder, "/tmp/mg-log-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->path, sizeof(r->path), "%s/%s", r->folder, name);
	for (unsigned i = 0; i < 2; i++)
		r->rings[i] = log_ring_new(1 << 18);
	r->writer = NULL;
}

static void rig_start(struct rig *r, const char *path)
{
	assert_int_equal(log_writer_start(&r->writer, r->rings, 2, path), 0);
}

static void rig_fini(struct rig *r)
{
	log_writer_stop(&r->writer);
	for (unsigned i = 0; i < 2; i++)
		log_ring_free(&r->rings[i]);
	unlink(r->path);
	rmdir(r->folder);
}

static bool put(struct log_ring *ring, const char *line)
{
	char *at = log_ring_reserve(ring);

	if (at == NULL)
		return false;
	memcpy(at, line, strlen(line));
	log_ring_commit(ring, strlen(line));
	return true;
}

static size_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

// Reads from a descriptor until 'len' bytes came; fails after ten seconds without any.
static void read_bytes(int fd, size_t len)
{
	char buffer[4096];

	while (len > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&p, 1, 10000), 1);
		n = read(fd, buffer, len < sizeof(buffer) ? len : sizeof(buffer));
		assert_true(n > 0);
		len -= (size_t)n;
	}
}

// Gives the writer's thread time until a number of its statistics has come; fails after ten seconds.
static void wait_for(const struct rig *r, size_t offset, uint64_t value)
{
	struct log_writer_stats s;

	for (unsigned i = 0; i < 10000; i++) {
		log_writer_stats(r->writer, &s);
		if (*(const uint64_t *)(const void *)((const char *)&s + offset) >= value)
			return;
		poll(NULL, 0, 1);
	}
	fail_msg("the writer did not get there");
}

#define WAIT_FOR(rig, member, value) wait_for(rig, offsetof(struct log_writer_stats, member), value)

static void lines_of_all_workers_reach_the_file(void)
{
	struct rig r;

	rig_init(&r, "access.log");
	rig_start(&r, r.path);
	for (unsigned i = 0; i < 1000; i++)
		assert_true(put(r.rings[i % 2], LINE));
	log_writer_stop(&r.writer);
	assert_int_equal(file_size(r.path), 1000 * strlen(LINE));
	rig_fini(&r);
}

static void lines_are_appended_to_what_is_there(void)
{
	struct rig r;

	rig_init(&r, "access.log");
	for (unsigned i = 0; i < 2; i++) {
		rig_start(&r, r.path);
		assert_true(put(r.rings[0], LINE));
		log_writer_stop(&r.writer);
	}
	assert_int_equal(file_size(r.path), 2 * strlen(LINE));
	rig_fini(&r);
}

static void a_pipe_is_written_without_waiting_for_the_end(void)
{
	struct rig r;
	int fd;

	rig_init(&r, "pipe");
	assert_int_equal(mkfifo(r.path, 0600), 0);
	fd = open(r.path, O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	rig_start(&r, r.path);
	assert_true(put(r.rings[1], LINE));
	read_bytes(fd, strlen(LINE));
	close(fd);
	rig_fini(&r);
}

static void a_slow_reader_costs_nothing_but_room_in_the_ring(void)
{
	struct log_writer_stats s;
	size_t written = 0;
	struct rig r;
	int fd;

	rig_init(&r, "pipe");
	assert_int_equal(mkfifo(r.path, 0600), 0);
	fd = open(r.path, O_RDONLY | O_NONBLOCK);
	rig_start(&r, r.path);
	// More than a pipe (64 KiB) holds.
	for (unsigned i = 0; i < 5000; i++)
		written += put(r.rings[0], LINE) ? strlen(LINE) : 0;
	assert_true(written > 100000);
	read_bytes(fd, written);
	log_writer_stats(r.writer, &s);
	assert_int_equal(s.lost_lines, 0);
	close(fd);
	rig_fini(&r);
}

static void a_full_disk_costs_lines_that_are_counted(void)
{
	struct log_writer_stats s = {0};
	struct rig r;

	rig_init(&r, "unused");
	rig_start(&r, "/dev/full");
	assert_true(put(r.rings[0], LINE));
	assert_true(put(r.rings[0], LINE));
	assert_true(put(r.rings[1], LINE));
	WAIT_FOR(&r, lost_lines, 3);
	log_writer_stats(r.writer, &s);
	assert_int_equal(s.lost_lines, 3);
	assert_true(s.write_errors >= 1);
	assert_int_equal(s.bytes, 0);
	// The disk has room again: the writer lives.
	log_writer_set_path(r.writer, r.path);
	WAIT_FOR(&r, reopens, 2);
	log_writer_stats(r.writer, &s);
	assert_true(put(r.rings[0], LINE));
	log_writer_stop(&r.writer);
	assert_int_equal(file_size(r.path), strlen(LINE));
	rig_fini(&r);
}

static void a_reader_that_goes_away_costs_lines_not_the_process(void)
{
	struct log_writer_stats s = {0};
	struct rig r;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	rig_init(&r, "pipe");
	assert_int_equal(mkfifo(r.path, 0600), 0);
	fd = open(r.path, O_RDONLY | O_NONBLOCK);
	rig_start(&r, r.path);
	assert_true(put(r.rings[0], LINE));
	read_bytes(fd, strlen(LINE));
	close(fd);
	assert_true(put(r.rings[0], LINE));
	WAIT_FOR(&r, lost_lines, 1);
	log_writer_stats(r.writer, &s);
	assert_int_equal(s.lost_lines, 1);
	rig_fini(&r);
}

static void a_rotated_file_is_left_alone_after_reopening(void)
{
	struct log_writer_stats s = {0};
	char rotated[128];
	struct rig r;

	rig_init(&r, "access.log");
	snprintf(rotated, sizeof(rotated), "%s.1", r.path);
	rig_start(&r, r.path);
	assert_true(put(r.rings[0], LINE));
	for (unsigned i = 0; file_size(r.path) == 0 && i < 10000; i++)
		poll(NULL, 0, 1);
	assert_int_equal(rename(r.path, rotated), 0);
	log_writer_reopen(r.writer);
	WAIT_FOR(&r, reopens, 2);
	log_writer_stats(r.writer, &s);
	assert_true(put(r.rings[0], LINE LINE));
	log_writer_stop(&r.writer);
	assert_int_equal(file_size(rotated), strlen(LINE));
	assert_int_equal(file_size(r.path), 2 * strlen(LINE));
	unlink(rotated);
	rig_fini(&r);
}

static void a_path_that_cannot_be_opened_is_tried_again_and_lines_are_counted(void)
{
	struct log_writer_stats s = {0};
	struct rig r;

	rig_init(&r, "no/such/folder.log");
	rig_start(&r, r.path);
	assert_true(put(r.rings[0], LINE));
	WAIT_FOR(&r, lost_lines, 1);
	log_writer_stats(r.writer, &s);
	assert_int_equal(s.lost_lines, 1);
	rig_fini(&r);
}

TESTS(TEST(lines_of_all_workers_reach_the_file), TEST(lines_are_appended_to_what_is_there),
	TEST(a_pipe_is_written_without_waiting_for_the_end),
	TEST(a_slow_reader_costs_nothing_but_room_in_the_ring),
	TEST(a_full_disk_costs_lines_that_are_counted),
	TEST(a_reader_that_goes_away_costs_lines_not_the_process),
	TEST(a_rotated_file_is_left_alone_after_reopening),
	TEST(a_path_that_cannot_be_opened_is_tried_again_and_lines_are_counted))
