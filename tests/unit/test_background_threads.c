// Work on a thread of its own, and what goes on meanwhile.
#include "mgmt/background.h"
#include "tests/test_support.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct rig {
	int ends[2]; // of the work and of the caller
	pthread_t worker;
	unsigned n_answers;
};

// Ends only if somebody answers meanwhile.
static void ask_twice(void *arg)
{
	struct rig *r = arg;
	char answer;

	r->worker = pthread_self();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(write(r->ends[0], "?", 1), 1);
		assert_int_equal(read(r->ends[0], &answer, 1), 1);
	}
}

static void answer(void *arg)
{
	struct rig *r = arg;
	char question;

	if (recv(r->ends[1], &question, 1, MSG_DONTWAIT) != 1)
		return;
	r->n_answers++;
	assert_int_equal(write(r->ends[1], "!", 1), 1);
}

static void the_caller_goes_on_while_the_work_is_done(void)
{
	struct rig r = {0};
	struct background_meanwhile meanwhile = {
		answer, &r, {-1, -1},
                  2
        };

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, r.ends), 0);
	meanwhile.fds[1] = r.ends[1];
	background_run(ask_twice, &r, &meanwhile);
	assert_int_equal(r.n_answers, 2);
	assert_false(pthread_equal(r.worker, pthread_self()));

	// By the period alone.
	meanwhile.n_fds = 0;
	background_run(ask_twice, &r, &meanwhile);
	assert_int_equal(r.n_answers, 4);
	close(r.ends[0]);
	close(r.ends[1]);
}

TESTS(TEST(the_caller_goes_on_while_the_work_is_done))
