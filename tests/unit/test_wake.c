// What ends a worker's sleep.
#include "dataplane/wake.h"
#include "tests/test_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static bool has_error(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

// A socket whose peer, which nobody is, has refused what it sent.
static int refused_socket(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(to);
	int nobody = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(nobody, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(getsockname(nobody, (struct sockaddr *)&to, &size), 0);
	close(nobody);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, "?", 1, 0), 1);
	while (!has_error(fd))
		;
	return fd;
}

// As that of an AF_PACKET socket when its interface was down: nobody else takes it, and no wait would be one any more. Sockets
// are not asked before there is something to say.
static void an_error_of_a_queues_socket_ends_one_wait(void)
{
	struct wake w;
	int fd;

	test_eal_init();
	fd = refused_socket();
	assert_int_equal(wake_init(&w), 0);
	assert_true(wake_add_doorbell(&w));
	assert_true(wake_add_queue(&w, 0, 0, fd));
	wake_arm(&w);
	assert_true(has_error(fd));
	wake_wait(&w, 60000000);
	assert_false(has_error(fd));
	wake_fini(&w);
	close(fd);
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

// A timer that is due within the millisecond does not put off the frames that come before it.
static void short_waits_end_by_the_clock_or_before_it(void)
{
	struct wake w;
	uint64_t began;
	int pair[2];

	test_eal_init();
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	assert_int_equal(wake_init(&w), 0);
	assert_true(wake_add_doorbell(&w));
	assert_true(wake_add_queue(&w, 0, 0, pair[0]));

	began = now_us();
	wake_arm(&w);
	wake_wait(&w, 700);
	assert_true(now_us() - began >= 700);
	assert_false(is_readable(w.clock));

	wake_arm(&w);
	wake_ring(&w);
	wake_wait(&w, 700);
	assert_false(is_readable(w.doorbell));

	// What is there already.
	assert_int_equal(send(pair[1], "!", 1, 0), 1);
	wake_arm(&w);
	wake_wait(&w, 9999);
	assert_true(is_readable(pair[0]));
	wake_fini(&w);
	close(pair[0]);
	close(pair[1]);
}

TESTS(TEST(an_error_of_a_queues_socket_ends_one_wait),
	TEST(short_waits_end_by_the_clock_or_before_it))
