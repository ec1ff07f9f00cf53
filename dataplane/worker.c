#include "dataplane/worker_thread.h"

#include "dataplane/base/log.h"
#include "dataplane/base/tsan.h"
#include "dataplane/kernel_net.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/worker_idle.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

LOG_MODULE("worker")

#define BURST      32u
#define BACKLOG    1024u // frames kept for a port whose transmit queue is full; power of two
#define RING_SIZE  1024u
#define LAST_TURNS 4u // at exit, so that resets go out

// One port as this worker uses it.
struct worker_port {
	// set at creation
	struct worker *worker;
	struct iface *iface;
	struct worker *
		sender; // who has the transmit queue: itself, or the one whose outbox takes the frames
	uint16_t port_id;
	uint16_t queue;  // both directions; UINT16_MAX: none
	struct rss *rss; // of all workers; NULL: the port has none
	bool prepares; // the device does something to frames, and its driver wants to see them before

	// per packet
	uint32_t backlog_head;
	uint32_t backlog_tail;
	struct rte_mbuf *backlog[BACKLOG];
};

struct worker_request {
	worker_call_fn *fn;
	void *arg;
	atomic_bool done;
};

struct worker {
	// set at creation
	struct worker_shared *shared;
	unsigned index;
	struct net *net;
	void *app_state;
	struct rte_ring *inbox;  // received frames that are ours, from workers that polled them
	struct rte_ring *outbox; // frames to send, from workers without a transmit queue
	struct capture_ring captured;

	// per turn
	struct dataplane_stats stats;
	struct worker_idle idle;
	const struct capture_filter *capture; // NULL: nobody looks
	struct worker_port ports[WORKER_MAX_PORTS];

	// written by other threads
	_Atomic(struct worker_request *) request __rte_cache_aligned;
	_Atomic enum worker_state state;
	int error;
	const char *error_what;
	pthread_mutex_t callers; // one worker_call() at a time; the worker never takes it
};

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

// --- capture

void worker_capture(struct worker *w, const struct capture_filter *f)
{
	w->capture = f;
}

struct capture_ring *worker_capture_ring(struct worker *w)
{
	return w->captured.memory != NULL ? &w->captured : NULL;
}

static void capture(const struct worker_port *p, struct rte_mbuf *const *ms, unsigned n,
	enum capture_direction direction)
{
	struct worker *w = p->worker;
	uint64_t wall_us = worker_wall_us(w, worker_shared_now(w->shared));

	capture_write(&w->captured, w->capture, ms, n, (unsigned)(p - w->ports), direction,
		wall_us * 1000, &w->stats);
}

// --- transmit

static void drop_frames(struct worker *w, struct rte_mbuf **ms, unsigned n)
{
	if (n == 0)
		return;
	stat_add(&w->stats.tx_drop_full, n);
	rte_pktmbuf_free_bulk(ms, n);
}

// The driver takes the first frames, as many as it returns.
static unsigned burst_out(const struct worker_port *p, struct rte_mbuf **ms, unsigned n)
{
	uint16_t sent;

	for (unsigned i = 0; i < n; i++)
		tsan_release(&ms[i]->refcnt);
	sent = rte_eth_tx_burst(p->port_id, p->queue, ms, (uint16_t)n);
	stat_add(&p->worker->stats.tx_packets, sent);
	return sent;
}

// Frames leave in the order they came, so while there is a backlog new ones go behind it.
static bool send_backlog(struct worker_port *p)
{
	bool sent_any = false;

	while (p->backlog_head != p->backlog_tail) {
		uint32_t at = p->backlog_head & (BACKLOG - 1);
		uint32_t n = RTE_MIN(p->backlog_tail - p->backlog_head, BACKLOG - at);
		unsigned sent = burst_out(p, p->backlog + at, RTE_MIN(n, BURST));

		if (sent == 0)
			break;
		p->backlog_head += sent;
		sent_any = true;
	}
	return sent_any;
}

// Lets the driver look at what is asked of its device. Returns how many frames are left.
static unsigned prepare_frames(struct worker_port *p, struct rte_mbuf **ms, unsigned n)
{
	unsigned ready = 0;

	for (;;) {
		ready +=
			rte_eth_tx_prepare(p->port_id, p->queue, ms + ready, (uint16_t)(n - ready));
		if (ready == n)
			return n;
		stat_inc(&p->worker->stats.tx_drop_refused);
		rte_pktmbuf_free(ms[ready]);
		n--;
		memmove(&ms[ready], &ms[ready + 1], (n - ready) * sizeof(ms[0]));
	}
}

static void send_frames(struct worker_port *p, struct rte_mbuf **ms, unsigned n)
{
	unsigned sent = 0;

	if (p->prepares)
		n = prepare_frames(p, ms, n);
	if (p->backlog_head == p->backlog_tail)
		sent = burst_out(p, ms, n);
	for (; sent < n && p->backlog_tail - p->backlog_head < BACKLOG; sent++)
		p->backlog[p->backlog_tail++ & (BACKLOG - 1)] = ms[sent];
	drop_frames(p->worker, ms + sent, n - sent);
}

// What the stack calls with its batch.
static void transmit(void *arg, struct rte_mbuf **ms, unsigned n)
{
	struct worker_port *p = arg;
	unsigned taken;

	if (unlikely(p->worker->capture != NULL))
		capture(p, ms, n, CAPTURE_OUT);
	if (p->sender == p->worker) {
		send_frames(p, ms, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		ms[i]->port = p->port_id;
	taken = rte_ring_enqueue_burst(p->sender->outbox, (void **)ms, n, NULL);
	wake_ring(&p->sender->idle.wake);
	drop_frames(p->worker, ms + taken, n - taken);
}

// Every frame on a ring came from one of the ports.
static struct worker_port *port_of(struct worker *w, uint16_t port_id)
{
	unsigned i = 0;

	while (i + 1 < w->shared->n_ports && w->ports[i].port_id != port_id)
		i++;
	return &w->ports[i];
}

static bool send_outbox(struct worker *w)
{
	struct rte_mbuf *ms[BURST];
	unsigned n = rte_ring_dequeue_burst(w->outbox, (void **)ms, BURST, NULL);

	for (unsigned i = 0; i < n; i++)
		send_frames(port_of(w, ms[i]->port), &ms[i], 1);
	return n > 0;
}

// --- receive

static void hand_over(struct worker *w, unsigned owner, struct rte_mbuf *m)
{
	struct worker *to = w->shared->workers[owner];

	if (rte_ring_enqueue(to->inbox, m) == 0) {
		stat_inc(&w->stats.steer_handed_over);
		wake_ring(&to->idle.wake);
		return;
	}
	stat_inc(&w->stats.steer_drop_full);
	rte_pktmbuf_free(m);
}

// Everybody learns from ARP, and worker 0 alone answers (net_config.quiet).
static void copy_to_others(struct worker *w, const struct rte_mbuf *m)
{
	for (unsigned i = 0; i < w->shared->n_workers; i++) {
		struct rte_mbuf *copy;

		if (i == w->index)
			continue;
		copy = rte_pktmbuf_copy(m, w->shared->mbufs, 0, UINT32_MAX);
		if (copy == NULL) {
			stat_inc(&w->stats.steer_no_buffer);
			continue;
		}
		copy->port = m->port;
		hand_over(w, i, copy);
	}
}

// A message for an inbox. Frames there come from a port, this does not.
struct neighbour_news {
	uint32_t iface;
	uint8_t mac[6];
	struct ip_addr addr;
};

// What the stack calls when a neighbour has answered it.
static void tell_others(void *arg, unsigned iface, const struct ip_addr *addr, const uint8_t mac[6])
{
	struct worker *w = arg;
	struct neighbour_news news = {.iface = iface, .addr = *addr};

	memcpy(news.mac, mac, sizeof(news.mac));
	for (unsigned i = 0; i < w->shared->n_workers; i++) {
		struct rte_mbuf *m;

		if (i == w->index)
			continue;
		m = rte_pktmbuf_alloc(w->shared->mbufs);
		if (m == NULL) { // that worker asks by itself when it has to
			stat_inc(&w->stats.steer_no_buffer);
			continue;
		}
		m->port = RTE_MBUF_PORT_INVALID;
		memcpy(rte_pktmbuf_append(m, sizeof(news)), &news, sizeof(news));
		hand_over(w, i, m);
	}
}

static void hear(struct worker *w, struct rte_mbuf *m, uint64_t now_us)
{
	struct neighbour_news news;

	memcpy(&news, rte_pktmbuf_mtod(m, void *), sizeof(news));
	net_hear(w->net, news.iface, &news.addr, news.mac, now_us);
	rte_pktmbuf_free(m);
}

static void check_rss(
	struct worker *w, const struct worker_port *p, const struct rte_mbuf *m, uint32_t hash)
{
	const uint32_t *said = m->ol_flags & RTE_MBUF_F_RX_RSS_HASH ? &m->hash.rss : NULL;

	if (likely(rss_check(p->rss, hash, p->queue, said)))
		return;
	stat_inc(&w->stats.steer_rss_wrong);
	log_warning("the device's rss is wrong, frames are steered without it port=%s queue=%u "
		    "expected=%u hash=%08x device=%08x",
		w->shared->ports[p - w->ports].name, p->queue, rss_queue(p->rss, hash), hash,
		said != NULL ? *said : 0);
}

// Keeps in 'ms' what belongs to this worker and returns how many those are.
static unsigned steer_frames(
	struct worker *w, const struct worker_port *p, struct rte_mbuf **ms, unsigned n)
{
	unsigned n_own = 0;

	for (unsigned i = 0; i < n; i++) {
		struct steer_verdict v;

		// Headers may be in any of several buffers. What is too large for one is dropped later.
		if (unlikely(ms[i]->nb_segs > 1))
			(void)rte_pktmbuf_linearize(ms[i]);
		v = steer_frame(&w->shared->steer, p->rss,
			bytes_of(rte_pktmbuf_mtod(ms[i], void *), rte_pktmbuf_data_len(ms[i])));
		if (v.is_hashed)
			check_rss(w, p, ms[i], v.hash);
		ms[i]->port = p->port_id; // not every driver sets it
		if (v.owner == STEER_EVERYBODY)
			copy_to_others(w, ms[i]);
		if (v.owner == w->index || v.owner == STEER_EVERYBODY)
			ms[n_own++] = ms[i];
		else
			hand_over(w, v.owner, ms[i]);
	}
	return n_own;
}

static bool receive_port(struct worker *w, struct worker_port *p, uint64_t now_us)
{
	struct rte_mbuf *ms[BURST];
	unsigned n = rte_eth_rx_burst(p->port_id, p->queue, ms, BURST);

	if (n == 0)
		return false;
	for (unsigned i = 0; i < n; i++)
		tsan_acquire(&ms[i]->refcnt);
	stat_add(&w->stats.rx_packets, n);
	if (unlikely(w->capture != NULL))
		capture(p, ms, n, CAPTURE_IN);
	if (w->shared->n_workers > 1)
		n = steer_frames(w, p, ms, n);
	net_input(w->net, p->iface, ms, n, now_us);
	return true;
}

static bool receive_inbox(struct worker *w, uint64_t now_us)
{
	struct rte_mbuf *ms[BURST];
	unsigned n = rte_ring_dequeue_burst(w->inbox, (void **)ms, BURST, NULL), first = 0;

	while (first < n) {
		unsigned end = first + 1;

		if (ms[first]->port == RTE_MBUF_PORT_INVALID) {
			hear(w, ms[first++], now_us);
			continue;
		}
		// Runs of frames from the same port go on together.
		while (end < n && ms[end]->port == ms[first]->port)
			end++;
		net_input(w->net, port_of(w, ms[first]->port)->iface, ms + first, end - first,
			now_us);
		first = end;
	}
	return n > 0;
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
			worked |= receive_port(w, &w->ports[i], now_us);
	}
	if (several)
		worked |= receive_inbox(w, now_us);
	worked |= net_run(w->net, now_us);
	worked |= app->turn(w->app_state, now_us);
	if (several)
		worked |= send_outbox(w);
	for (unsigned i = 0; i < n_ports; i++) {
		if (w->ports[i].backlog_head != w->ports[i].backlog_tail)
			worked |= send_backlog(&w->ports[i]);
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
		.tell = s->n_workers > 1 ? tell_others : NULL,
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
			.transmit = transmit,
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
		while (send_outbox(w))
			;
		for (unsigned i = 0; i < w->shared->n_ports; i++)
			send_backlog(&w->ports[i]);
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
			rte_pktmbuf_free(p->backlog[p->backlog_head & (BACKLOG - 1)]);
	}
	worker_idle_fini(&w->idle);
	free_ring(w->inbox);
	free_ring(w->outbox);
	capture_ring_fini(&w->captured);
	pthread_mutex_destroy(&w->callers);
	rte_free(w);
}
