#include "mgmt/background.h"

#include "dataplane/base/log.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

LOG_MODULE("background")

struct job {
	background_fn *work;
	void *arg;
	int ended_fd; // eventfd
};

static void *run(void *arg)
{
	const struct job *j = arg;
	const uint64_t one = 1;

	j->work(j->arg);
	while (write(j->ended_fd, &one, sizeof(one)) < 0)
		; // a signal's doing: there is room for one
	return NULL;
}

static void wait_for(int ended_fd, const struct background_meanwhile *m)
{
	struct pollfd fds[BACKGROUND_MAX_FDS + 1] = {
		{.fd = ended_fd, .events = POLLIN}
        };

	for (unsigned i = 0; i < m->n_fds; i++)
		fds[i + 1] = (struct pollfd){.fd = m->fds[i], .events = POLLIN};
	while ((fds[0].revents & POLLIN) == 0) {
		poll(fds, m->n_fds + 1, BACKGROUND_PERIOD_MS);
		m->fn(m->arg);
	}
}

void background_run(background_fn *work, void *arg, const struct background_meanwhile *meanwhile)
{
	struct job job = {work, arg, eventfd(0, EFD_CLOEXEC)};
	pthread_t thread;
	int err = job.ended_fd < 0 ? -1 : pthread_create(&thread, NULL, run, &job);

	if (err == 0) {
		wait_for(job.ended_fd, meanwhile);
		pthread_join(thread, NULL);
	} else {
		log_warning("no thread to be had: nothing else is done meanwhile");
		work(arg);
	}
	if (job.ended_fd >= 0)
		close(job.ended_fd);
}
