#include "mgmt/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS 32

struct loop {
	int epoll_fd;
	// What loop_run_once() has fetched and not delivered yet, so that loop_remove() can strike a source out.
	struct epoll_event events[MAX_EVENTS];
	int n_events;
	int next_event;
};

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop **lp)
{
	struct loop *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	close(l->epoll_fd);
	free(l);
}

static int loop_control(struct loop *l, int op, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(l->epoll_fd, op, source->fd, &event) == 0 ? 0 : -errno;
}

int loop_add(struct loop *l, struct loop_source *source, uint32_t events)
{
	return loop_control(l, EPOLL_CTL_ADD, source, events);
}

int loop_modify(struct loop *l, struct loop_source *source, uint32_t events)
{
	return loop_control(l, EPOLL_CTL_MOD, source, events);
}

void loop_remove(struct loop *l, struct loop_source *source)
{
	loop_control(l, EPOLL_CTL_DEL, source, 0);
	for (int i = l->next_event; i < l->n_events; i++) {
		if (l->events[i].data.ptr == source)
			l->events[i].data.ptr = NULL;
	}
}

void loop_run_once(struct loop *l, uint64_t until_us)
{
	uint64_t now_us = loop_now_us();
	uint64_t wait_ms = until_us > now_us ? (until_us - now_us + 999) / 1000 : 0;

	if (wait_ms > 60000)
		wait_ms = 60000;
	l->n_events = epoll_wait(l->epoll_fd, l->events, MAX_EVENTS, (int)wait_ms);
	now_us = loop_now_us();
	for (l->next_event = 0; l->next_event < l->n_events;) {
		const struct epoll_event *event = &l->events[l->next_event++];
		struct loop_source *source = event->data.ptr;

		if (source != NULL)
			source->fn(source, event->events, now_us);
	}
	l->n_events = 0;
}

uint64_t loop_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}
