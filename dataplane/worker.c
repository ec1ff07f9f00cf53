#include "dataplane/worker_instance.h"

#include "dataplane/base/log.h"
#include "dataplane/kernel_net.h"
#include "dataplane/tcp/tcp.h"

#include <assert.h>
#include <errno.h>
#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

LOG_MODULE("worker")

#define RING_SIZE  1024u
#define LAST_TURNS 4u // at exit, so that resets go out

uint64_t worker_shared_now(const struct worker_shared *s)
{
	uint64_t cycles = rte_rdtsc() - s->tsc_start;

	return (uint64_t)((unsigned __int128)cycles * s->us_per_cycle >> WORKER_US_SHIFT);
}

unsigned worker_index(const struct worker *w)
{
	return w->index;
}

struct net *worker_net(struct worker *w)
{
	return w->net;
}

struct iface *worker_iface(struct worker *w, unsigned port)
{
	return w->ports[port].iface;
}

struct dataplane_stats *worker_stats(struct worker *w)
{
	return &w->stats;
}

uint64_t worker_wall_us(const struct worker *w, uint64_t now_us)
{
	return now_us + atomic_load_explicit(&w->shared->wall_offset_us, memory_order_relaxed);
}

enum worker_state worker_state(const struct worker *w)
{
	return w->state;
}

int worker_error(const struct worker *w, const char **what)
{
	*what = w->error_what;
	return w->error;
}

void worker_capture(struct worker *w, const struct capture_filter *f)
{
	w->capture = f;
}

struct capture_ring *worker_capture_ring(struct worker *w)
{
	return w->captured.memory != NULL ? &w->captured : NULL;
}

// --- the mailbox

static bool answer_request(struct worker *w, uint64_t now_us)
{
	struct worker_request *r = atomic_load_explicit(&w->request, memory_order_acquire);

	if (likely(r == NULL))
		return false;
	atomic_store_explicit(&w->request, NULL, memory_order_relaxed);
	r->fn(w->app_state, w, r->arg, now_us);
	atomic_store_explicit(&r->done, true, memory_order_release); // 'r' is the caller's again
	return true;
}

void worker_call(struct worker *w, worker_call_fn *fn, void *arg)
{
	const struct timespec pause = {.tv_nsec = 50000};
	struct worker_request r = {.fn = fn, .arg = arg};
	uint64_t posted_us = worker_shared_now(w->shared);
	bool logged = false;

	pthread_mutex_lock(&w->callers);
	atomic_store_explicit(&w->request, &r, memory_order_release);
	wake_ring(&w->idle.wake);
	while (!atomic_load_explicit(&r.done, memory_order_acquire)) {
		nanosleep(&pause, NULL);
		if (!logged && worker_shared_now(w->shared) - posted_us > 1000000) {
			log_error("a worker does not answer worker=%u waited=1s", w->index);
			logged = true;
		}
	}
	pthread_mutex_unlock(&w->callers);
}

// --- the loop

static bool turn(struct worker *w, uint64_t now_us)
{
	const struct worker_app *app = w->shared->app;
	unsigned n_ports = w->shared->n_ports;
	bool several = w->shared->n_workers > 1;
	bool worked = false;

	for (unsigned i = 0; i < n_ports; i++) {
		if (w->ports[i].queue != UINT16_MAX)
			worked |= worker_receive_port(w, &w->ports[i], now_us);
	}
	if (several)
		worked |= worker_receive_inbox(w, now_us);
	worked |= net_run(w->net, now_us);
	worked |= app->turn(w->app_state, now_us);
	if (several)
		worked |= worker_send_outbox(w);
	for (unsigned i = 0; i < n_ports; i++) {
		if (w->ports[i].backlog_head != w->ports[i].backlog_tail)
			worked |= worker_send_backlog(&w->ports[i]);
	}
	worked |= answer_request(w, now_us);
	return worked;
}

static bool has_backlog(const struct worker *w)
{
	for (unsigned i = 0; i < w->shared->n_ports; i++) {
		if (w->ports[i].backlog_head != w->ports[i].backlog_tail)
			return true;
	}
	return false;
}

static void prepare_to_wait(struct worker *w)
{
	worker_idle_prepare(&w->idle, w->shared->config->adaptive);
	for (unsigned i = 0; i < w->shared->n_ports; i++) {
		const struct worker_port *p = &w->ports[i];
		const struct port *port = &w->shared->ports[i];

		if (p->queue != UINT16_MAX)
			worker_idle_add_queue(&w->idle, p->port_id, p->queue, port->wakes,
				port->sockets[p->queue]);
	}
}

// After a turn without work.
static void idle(struct worker *w, uint64_t now_us)
{
	if (worker_idle_wants_sleep(&w->idle, now_us) && !has_backlog(w))
		worker_idle_sleep(&w->idle, now_us,
			RTE_MIN(net_next_deadline(w->net),
				w->shared->app->next_deadline(w->app_state)));
}

static void loop(struct worker *w)
{
	uint64_t last_tsc = rte_rdtsc();

	while (!atomic_load_explicit(&w->shared->stop, memory_order_relaxed)) {
		uint64_t now_us = worker_shared_now(w->shared), tsc;
		bool worked = turn(w, now_us);

		tsc = rte_rdtsc();
		stat_add(worked ? &w->stats.busy_cycles : &w->stats.idle_cycles, tsc - last_tsc);
		last_tsc = tsc;
		if (worked) {
			worker_idle_end(&w->idle);
		} else if (w->shared->config->adaptive) {
			idle(w, now_us);
			last_tsc = rte_rdtsc(); // time asleep is nobody's cycles
		}
	}
}

// What the stack calls to choose a local port: with RSS the answers come in by the queue that the hash names.
static bool arrives_here(
	void *arg, unsigned port, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	const struct worker *w = arg;
	const struct rss *rss = w->ports[port].rss;

	return rss == NULL || rss_state(rss) == RSS_WRONG
		|| rss_queue(rss, rss_hash(rss, remote, local)) == w->index;
}

// --- its life

static int start_net(struct worker *w, uint64_t now_us)
{
	const struct worker_shared *s = w->shared;
	const struct net_config config = {
		.mbufs = s->mbufs,
		.secret = s->secret,
		.max_connections = s->max_connections,
		.max_time_wait = s->max_time_wait,
		.port_first = s->steer.port_first,
		.port_last = s->steer.port_last,
		.port_mask = s->steer.port_mask,
		.port_value = (uint16_t)w->index,
		.max_mbufs_held = s->max_mbufs_held,
		.stats = &w->stats,
		.tell = s->n_workers > 1 ? worker_tell_others : NULL,
		.tell_arg = w,
		.arrives = s->n_workers > 1 ? arrives_here : NULL,
		.arrives_arg = w,
		.quiet = w->index != 0,
	};

	w->net = net_new(&config, now_us);
	if (w->net == NULL)
		return -errno;
	for (unsigned i = 0; i < s->n_ports; i++) {
		const struct port_config *pc = &s->config->ports[i];
		struct iface_config ic = {
			.name = pc->name,
			.mtu = s->ports[i].mtu,
			.vlan = pc->vlan,
			.rx_csum = s->ports[i].csum,
			.offloads = s->ports[i].offloads.net,
			.n_addresses = pc->n_addresses,
			.gateway = pc->gateway,
			.gateway6 = pc->gateway6,
			.transmit = worker_transmit,
			.transmit_arg = &w->ports[i],
		};

		memcpy(ic.mac, s->ports[i].mac, sizeof(ic.mac));
		memcpy(ic.addresses, pc->addresses, sizeof(ic.addresses));
		memcpy(ic.prefix_len, pc->prefix_len, sizeof(ic.prefix_len));
		w->ports[i].iface = net_add_iface(w->net, &ic);
		if (w->ports[i].iface == NULL)
			return -errno;
		if (s->ports[i].shared)
			net_keep(w->ports[i].iface, kernel_net_want, s->ports[i].kernel);
	}
	return 0;
}

static void attach_ports(struct worker *w)
{
	const struct worker_shared *s = w->shared;

	for (unsigned i = 0; i < s->n_ports; i++) {
		struct worker_port *p = &w->ports[i];
		uint16_t n = s->ports[i].n_queues;

		p->worker = w;
		p->port_id = s->ports[i].id;
		p->rss = s->ports[i].rss.rss;
		p->prepares = s->ports[i].offloads.tx_flags != 0;
		p->queue = w->index < n ? (uint16_t)w->index : UINT16_MAX;
		p->sender = s->workers[w->index % n];
		if (p->queue != UINT16_MAX && s->ports[i].gso != NULL)
			p->gso = &s->ports[i].gso[p->queue];
	}
}

static bool all_are_quiet(const struct worker_shared *s)
{
	for (unsigned i = 0; i < s->n_workers; i++) {
		if (worker_state(s->workers[i]) < WORKER_QUIET)
			return false;
	}
	return true;
}

// The last frames. Others may want to send theirs through our queue until they are quiet too.
static void finish_sending(struct worker *w)
{
	const struct timespec pause = {.tv_nsec = 50000};
	bool all_quiet;

	tcp_reset_all(w->net, worker_shared_now(w->shared));
	for (unsigned i = 0; i < LAST_TURNS; i++)
		net_run(w->net, worker_shared_now(w->shared));
	atomic_store_explicit(&w->state, WORKER_QUIET, memory_order_release);
	do {
		all_quiet = all_are_quiet(w->shared);
		while (worker_send_outbox(w))
			;
		for (unsigned i = 0; i < w->shared->n_ports; i++)
			worker_send_backlog(&w->ports[i]);
		if (!all_quiet)
			nanosleep(&pause, NULL);
	} while (!all_quiet);
}

static int start(struct worker *w)
{
	const struct worker_app *app = w->shared->app;
	uint64_t now_us = worker_shared_now(w->shared);
	int error;

	attach_ports(w);
	error = start_net(w, now_us);
	if (error != 0) {
		w->error_what = "the stack";
		return error;
	}
	error = app->start(app->arg, w, &w->app_state, now_us);
	if (error != 0)
		w->error_what = "the application";
	return error;
}

int worker_run(void *arg)
{
	struct worker *w = arg;

	log_use_ring();
	prctl(PR_SET_TIMERSLACK, 1000ul); // nanoseconds; the default adds 50 us to every sleep
	w->error = start(w);
	if (w->error == 0) {
		prepare_to_wait(w);
		atomic_store_explicit(&w->state, WORKER_RUNNING, memory_order_release);
		loop(w);
		w->shared->app->stop(w->app_state);
		finish_sending(w);
	}
	net_free(&w->net);
	atomic_store_explicit(
		&w->state, w->error == 0 ? WORKER_ENDED : WORKER_FAILED, memory_order_release);
	return 0;
}

struct worker *worker_new(struct worker_shared *shared, unsigned index)
{
	struct worker *w = rte_zmalloc("worker", sizeof(*w), RTE_CACHE_LINE_SIZE);
	char name[RTE_RING_NAMESIZE];

	if (w == NULL)
		return NULL;
	w->shared = shared;
	w->index = index;
	w->state = WORKER_STARTING;
	worker_idle_init(&w->idle, &w->stats);
	pthread_mutex_init(&w->callers, NULL);
	snprintf(name, sizeof(name), "inbox%u", index);
	w->inbox = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "outbox%u", index);
	w->outbox = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (w->inbox == NULL || w->outbox == NULL
		|| (shared->config->capture_bytes > 0
			&& capture_ring_init(&w->captured, shared->config->capture_bytes) != 0))
		worker_free(&w);
	return w;
}

static void free_ring(struct rte_ring *ring)
{
	struct rte_mbuf *m;

	while (ring != NULL && rte_ring_dequeue(ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void worker_free(struct worker **wp)
{
	struct worker *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	for (unsigned i = 0; i < w->shared->n_ports; i++) {
		struct worker_port *p = &w->ports[i];

		for (; p->backlog_head != p->backlog_tail; p->backlog_head++)
			rte_pktmbuf_free(p->backlog[p->backlog_head & (WORKER_BACKLOG - 1)]);
	}
	worker_idle_fini(&w->idle);
	free_ring(w->inbox);
	free_ring(w->outbox);
	capture_ring_fini(&w->captured);
	pthread_mutex_destroy(&w->callers);
	rte_free(w);
}
