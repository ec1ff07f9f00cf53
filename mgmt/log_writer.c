#include "mgmt/log_writer.h"

#include "dataplane/base/log.h"
#include "dataplane/base/stats.h"
#include "mgmt/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

LOG_MODULE("access_log")

#define IDLE_MS    100
#define BUSY_MS    10
#define MAX_RUNS   64
#define STOP_US    1000000u
#define RETRY_US   1000000u
#define BUSY_BYTES (256u * 1024)
#define FILE_MODE  0640

struct log_writer {
	// set at creation
	struct log_ring *const *rings;
	unsigned n_rings;
	int wake_fd;
	pthread_t thread;
	// asked by the mgmt thread
	atomic_bool stop;
	atomic_bool reopen;
	pthread_mutex_t lock; // of 'path'
	char *path;
	// the writer's own
	int fd; // -1: not open
	uint64_t next_open_us;
	uint64_t deadline_us; // of the last drain; 0: not stopping
	struct log_writer_stats stats;
};

// Standard output as a file is shared, offset included, with whoever else writes to it (the process log, with 2>&1). A pipe
// is opened anew instead, because O_NONBLOCK on the shared description would be everybody's.
static int open_stdout(void)
{
	struct stat st;
	int fd = -1;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode))
		fd = open("/dev/stdout", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int open_target(const char *path)
{
	int fd;

	if (strcmp(path, "/dev/stdout") == 0)
		return open_stdout();
	fd = open(
		path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, FILE_MODE);
	return fd < 0 ? -errno : fd;
}

// A target that cannot be opened leaves the previous one in use.
static void open_again(struct log_writer *l, uint64_t now_us)
{
	int fd;

	l->next_open_us = now_us + RETRY_US;
	pthread_mutex_lock(&l->lock);
	fd = l->path != NULL ? open_target(l->path) : -ENOENT;
	if (fd < 0 && l->path != NULL)
		log_error("cannot open the access log: %s (path=%s)", strerror(-fd), l->path);
	pthread_mutex_unlock(&l->lock);
	if (fd < 0)
		return;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	stat_inc(&l->stats.reopens);
}

static uint64_t count_lines(const char *at, size_t len)
{
	uint64_t n = 0;

	for (const char *end = at + len; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
		n++;
	return n;
}

// Takes up to MAX_RUNS runs, one of each ring.
static unsigned gather(const struct log_writer *l, struct iovec *runs, struct log_ring **from)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->n_rings && n < MAX_RUNS; i++) {
		const char *at;
		size_t len = log_ring_peek(l->rings[i], &at);

		if (len == 0)
			continue;
		// writev() takes what it only reads as not const.
		runs[n] = (struct iovec){(void *)(uintptr_t)at, len};
		from[n++] = l->rings[i];
	}
	return n;
}

static void consume(struct iovec *runs, struct log_ring **from, unsigned n, size_t written)
{
	for (unsigned i = 0; i < n && written > 0; i++) {
		size_t len = runs[i].iov_len < written ? runs[i].iov_len : written;

		log_ring_consume(from[i], len);
		written -= len;
	}
}

static void drop(struct log_writer *l, struct iovec *runs, struct log_ring **from, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		stat_add(&l->stats.lost_lines, count_lines(runs[i].iov_base, runs[i].iov_len));
		log_ring_consume(from[i], runs[i].iov_len);
	}
}

static bool has_room(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, timeout_ms) > 0;
}

// Writes one round. Returns the bytes taken out of the rings.
static size_t write_round(struct log_writer *l, uint64_t now_us)
{
	struct iovec runs[MAX_RUNS];
	struct log_ring *from[MAX_RUNS];
	unsigned n = gather(l, runs, from);
	ssize_t written;
	size_t total = 0;

	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		total += runs[i].iov_len;
	if (l->fd < 0 && now_us >= l->next_open_us)
		open_again(l, now_us);
	if (l->fd < 0) {
		drop(l, runs, from, n);
		return total;
	}
	if (!has_room(l->fd, IDLE_MS))
		return 0;
	written = writev(l->fd, runs, (int)n);
	if (written >= 0) {
		consume(runs, from, n, (size_t)written);
		stat_add(&l->stats.bytes, (uint64_t)written);
		return (size_t)written;
	}
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	stat_inc(&l->stats.write_errors);
	log_error("cannot write the access log: %s (lines are lost)", strerror(errno));
	drop(l, runs, from, n);
	// A reader that went away may come back under the same name; a full disk gets its next chance with the next lines.
	if (errno == EPIPE) {
		close(l->fd);
		l->fd = -1;
		l->next_open_us = now_us + RETRY_US;
	}
	return total;
}

static void wait_for_work(struct log_writer *l, size_t done)
{
	struct pollfd p = {.fd = l->wake_fd, .events = POLLIN};
	uint64_t value;

	if (done >= BUSY_BYTES)
		return;
	if (poll(&p, 1, done > 0 ? BUSY_MS : IDLE_MS) > 0)
		(void)!read(l->wake_fd, &value, sizeof(value));
}

static void *run(void *arg)
{
	struct log_writer *l = arg;

	open_again(l, loop_now_us());
	for (;;) {
		uint64_t now_us = loop_now_us();
		size_t done;

		if (atomic_exchange(&l->reopen, false))
			open_again(l, now_us);
		if (l->deadline_us == 0 && atomic_load(&l->stop))
			l->deadline_us = now_us + STOP_US;
		done = write_round(l, now_us);
		if (l->deadline_us != 0) {
			const char *at;
			bool empty = true;

			for (unsigned i = 0; i < l->n_rings; i++)
				empty = empty && log_ring_peek(l->rings[i], &at) == 0;
			if (empty || now_us >= l->deadline_us)
				return NULL;
		} else {
			wait_for_work(l, done);
		}
	}
}

static int start_thread(struct log_writer *l)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&l->thread, NULL, run, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

int log_writer_start(
	struct log_writer **out, struct log_ring *const *rings, unsigned n_rings, const char *path)
{
	struct log_writer *l = calloc(1, sizeof(*l));
	int err = -ENOMEM;

	if (l == NULL)
		return -ENOMEM;
	l->fd = -1;
	l->rings = rings;
	l->n_rings = n_rings;
	pthread_mutex_init(&l->lock, NULL);
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->wake_fd < 0) {
		err = -errno;
		goto failed;
	}
	if (path != NULL) {
		l->path = strdup(path);
		if (l->path == NULL)
			goto failed;
	}
	err = start_thread(l);
	if (err != 0)
		goto failed;
	*out = l;
	return 0;
failed:
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	free(l->path);
	free(l);
	return err;
}

static void wake(struct log_writer *l)
{
	uint64_t one = 1;

	(void)!write(l->wake_fd, &one, sizeof(one));
}

void log_writer_stop(struct log_writer **lp)
{
	struct log_writer *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	atomic_store(&l->stop, true);
	wake(l);
	pthread_join(l->thread, NULL);
	if (l->fd >= 0)
		close(l->fd);
	close(l->wake_fd);
	pthread_mutex_destroy(&l->lock);
	free(l->path);
	free(l);
}

void log_writer_set_path(struct log_writer *l, const char *path)
{
	char *copy;

	if (l->path != NULL && strcmp(l->path, path) == 0)
		return;
	copy = strdup(path);
	if (copy == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	free(l->path);
	l->path = copy;
	pthread_mutex_unlock(&l->lock);
	log_writer_reopen(l);
}

void log_writer_reopen(struct log_writer *l)
{
	atomic_store(&l->reopen, true);
	wake(l);
}

void log_writer_stats(const struct log_writer *l, struct log_writer_stats *out)
{
	*out = (struct log_writer_stats){
		.bytes = stat_read(&l->stats.bytes),
		.lost_lines = stat_read(&l->stats.lost_lines),
		.write_errors = stat_read(&l->stats.write_errors),
		.reopens = stat_read(&l->stats.reopens),
	};
}
