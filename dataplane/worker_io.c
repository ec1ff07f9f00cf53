// What comes in and goes out: port queues, the rings between workers, and whose a frame is.
#include "dataplane/worker_instance.h"

#include "dataplane/base/log.h"
#include "dataplane/base/tsan.h"

#include <rte_ethdev.h>
#include <string.h>

LOG_MODULE("worker")

#define BURST 32u

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

// How many frames from the first one on go to the driver: those in front of one that the kernel cuts.
static unsigned count_driver_frames(
	const struct worker_port *p, struct rte_mbuf *const *ms, unsigned n)
{
	unsigned i = 0;

	if (p->gso == NULL)
		return n;
	while (i < n && !(ms[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		i++;
	return i;
}

// The driver, or the kernel that cuts, takes the first frames, as many as it returns.
static unsigned burst_out(const struct worker_port *p, struct rte_mbuf **ms, unsigned n)
{
	unsigned sent = 0, run = 0, taken = 0;

	while (sent < n && taken == run) {
		run = count_driver_frames(p, ms + sent, n - sent);
		if (run > 0) {
			for (unsigned i = sent; i < sent + run; i++)
				tsan_release(&ms[i]->refcnt);
			taken = rte_eth_tx_burst(p->port_id, p->queue, ms + sent, (uint16_t)run);
		} else {
			run = 1;
			taken = gso_socket_send(p->gso, ms[sent]);
		}
		sent += taken;
	}
	stat_add(&p->worker->stats.tx_packets, sent);
	return sent;
}

// Frames leave in the order they came, so while there is a backlog new ones go behind it.
bool worker_send_backlog(struct worker_port *p)
{
	bool sent_any = false;

	while (p->backlog_head != p->backlog_tail) {
		uint32_t at = p->backlog_head & (WORKER_BACKLOG - 1);
		uint32_t n = RTE_MIN(p->backlog_tail - p->backlog_head, WORKER_BACKLOG - at);
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
	for (; sent < n && p->backlog_tail - p->backlog_head < WORKER_BACKLOG; sent++)
		p->backlog[p->backlog_tail++ & (WORKER_BACKLOG - 1)] = ms[sent];
	drop_frames(p->worker, ms + sent, n - sent);
}

// What the stack calls with its batch.
void worker_transmit(void *arg, struct rte_mbuf **ms, unsigned n)
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

bool worker_send_outbox(struct worker *w)
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
void worker_tell_others(void *arg, unsigned iface, const struct ip_addr *addr, const uint8_t mac[6])
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

bool worker_receive_port(struct worker *w, struct worker_port *p, uint64_t now_us)
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

bool worker_receive_inbox(struct worker *w, uint64_t now_us)
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
