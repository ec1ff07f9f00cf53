#include "dataplane/worker_idle.h"

#include <rte_pause.h>
#include <time.h>

#define PAUSES 32u // after an empty turn on that rung of the ladder

void worker_idle_init(struct worker_idle *i, struct dataplane_stats *stats)
{
	i->stats = stats;
	wake_init(&i->wake); // without a doorbell it only sleeps shorter
}

void worker_idle_fini(struct worker_idle *i)
{
	wake_fini(&i->wake);
}

void worker_idle_prepare(struct worker_idle *i, bool adaptive)
{
	i->wake.complete = adaptive && wake_add_doorbell(&i->wake);
}

void worker_idle_add_queue(
	struct worker_idle *i, uint16_t port_id, uint16_t queue, bool wakes, int fd)
{
	if (i->wake.complete)
		i->wake.complete = wakes && wake_add_queue(&i->wake, port_id, queue, fd);
}

bool worker_idle_wants_sleep(struct worker_idle *i, uint64_t now_us)
{
	switch (idle_step(&i->ladder, now_us)) {
	case IDLE_POLL: break;
	case IDLE_PAUSE:
		for (unsigned n = 0; n < PAUSES; n++)
			rte_pause();
		break;
	case IDLE_SLEEP: return true;
	}
	return false;
}

static void sleep_for(struct worker_idle *i, uint64_t us)
{
	const struct timespec t = {.tv_nsec = (long)(us * 1000)};

	if (!i->wake.complete) {
		stat_inc(&i->stats->sleeps);
		nanosleep(&t, NULL);
	} else if (!i->wake.armed) {
		// What came before rings no bell: one more turn has to find nothing.
		wake_arm(&i->wake);
	} else {
		stat_inc(&i->stats->waits);
		wake_wait(&i->wake, us);
	}
}

void worker_idle_sleep(struct worker_idle *i, uint64_t now_us, uint64_t deadline_us)
{
	uint64_t us = idle_sleep_us(&i->ladder, now_us, deadline_us, i->wake.complete);

	// A frame can end it, so there is no need to begin with short ones; but what is due at once is polled for.
	if (us > 0 && (!i->wake.complete || us >= IDLE_SLEEP_MIN_US))
		sleep_for(i, us);
}

void worker_idle_end(struct worker_idle *i)
{
	idle_reset(&i->ladder);
	if (i->wake.armed)
		wake_disarm(&i->wake);
}
