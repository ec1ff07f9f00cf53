#include "dataplane/wake.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_EVENTS (WAKE_MAX_PORTS + 2)

int wake_init(struct wake *w)
{
	int error;

	*w = (struct wake){
		.doorbell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
	};
	if (w->doorbell >= 0 && w->clock >= 0)
		return 0;
	error = -errno;
	wake_fini(w);
	return error;
}

void wake_fini(struct wake *w)
{
	if (w->doorbell >= 0)
		close(w->doorbell);
	if (w->clock >= 0)
		close(w->clock);
	w->doorbell = w->clock = -1;
}

// DPDK keeps the event by reference, so it lives as long as the thread.
static bool add_descriptor(int fd)
{
	static _Thread_local struct rte_epoll_event events[MAX_EVENTS];
	static _Thread_local unsigned n;
	struct rte_epoll_event *e;

	if (n == MAX_EVENTS)
		return false;
	e = &events[n];
	*e = (struct rte_epoll_event){.epdata.event = EPOLLIN};
	if (rte_epoll_ctl(RTE_EPOLL_PER_THREAD, EPOLL_CTL_ADD, fd, e) != 0)
		return false;
	n++;
	return true;
}

bool wake_add_doorbell(struct wake *w)
{
	return add_descriptor(w->doorbell) && add_descriptor(w->clock);
}

bool wake_add_queue(struct wake *w, uint16_t port_id, uint16_t queue, int fd)
{
	bool done = fd >= 0 ? add_descriptor(fd)
			    : rte_eth_dev_rx_intr_ctl_q(port_id, queue, RTE_EPOLL_PER_THREAD,
				      RTE_INTR_EVENT_ADD, NULL)
			== 0;

	if (!done || w->n_queues == WAKE_MAX_PORTS)
		return false;
	w->queues[w->n_queues++] =
		(struct wake_queue){.port_id = port_id, .queue = queue, .fd = fd};
	return true;
}

// A driver without a switch (TAP) has them on always.
static void switch_interrupts(struct wake *w, bool on)
{
	for (unsigned i = 0; i < w->n_queues; i++) {
		const struct wake_queue *q = &w->queues[i];

		if (q->fd >= 0)
			continue;
		if (on)
			rte_eth_dev_rx_intr_enable(q->port_id, q->queue);
		else
			rte_eth_dev_rx_intr_disable(q->port_id, q->queue);
	}
}

// An error of a socket, as an interface that was down leaves it, would end each wait from now on: the drivers do not ask
// for it.
static void take_errors(const struct rte_epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		int error;
		socklen_t size = sizeof(error);

		if ((events[i].epdata.event & EPOLLERR) != 0)
			getsockopt(events[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
	}
}

void wake_arm(struct wake *w)
{
	w->armed = true;
	switch_interrupts(w, true);
	// Before the turn that looks once more, as others ring after they have put something there.
	atomic_store(&w->asleep, true);
	atomic_thread_fence(memory_order_seq_cst);
}

void wake_disarm(struct wake *w)
{
	w->armed = false;
	atomic_store_explicit(&w->asleep, false, memory_order_relaxed);
	switch_interrupts(w, false);
}

// So that it does not end the next wait.
static void empty(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0)
		return; // there is nothing in it
}

void wake_wait(struct wake *w, uint64_t most_us)
{
	struct rte_epoll_event events[MAX_EVENTS];
	const struct itimerspec at = {.it_value.tv_nsec = (long)(most_us * 1000)};
	int n;

	// epoll counts in milliseconds.
	if (most_us < WAKE_CLOCK_US)
		timerfd_settime(w->clock, 0, &at, NULL);
	n = rte_epoll_wait(RTE_EPOLL_PER_THREAD, events, MAX_EVENTS, (int)((most_us + 999) / 1000));
	wake_disarm(w);
	take_errors(events, n);
	empty(w->doorbell);
	empty(w->clock);
}

void wake_ring(struct wake *w)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&w->asleep, memory_order_relaxed)
		|| !atomic_exchange(&w->asleep, false))
		return;
	if (write(w->doorbell, &one, sizeof(one)) < 0)
		return; // it is full: rung already
}
