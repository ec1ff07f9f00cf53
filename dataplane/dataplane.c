#include "dataplane/dataplane.h"

#include "dataplane/base/log.h"
#include "dataplane/cores.h"
#include "dataplane/eal.h"
#include "dataplane/mbuf.h"
#include "dataplane/netdev.h"
#include "dataplane/port.h"
#include "dataplane/shared_ports.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/worker_thread.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

LOG_MODULE("dataplane")

#define MEBIBYTE ((uint64_t)1 << 20)

// How memory_bytes is divided. The stacks' part is the C library's, the rest DPDK's.
#define EAL_OVERHEAD      (12 * MEBIBYTE) // drivers, rings and workers
#define MBUF_PERCENT      70u             // of what is left after it
#define CONNECTION_BYTES  1536u // what one connection costs outside of mbufs, all included
#define TIME_WAIT_BYTES   64u
#define MBUFS_OF_A_WORKER 2048u // below this a worker cannot even be in trouble politely

struct dataplane {
	struct dataplane_config config;
	struct worker_app app;
	struct worker_shared shared;
	struct port ports[DATAPLANE_MAX_PORTS];
	struct shared_ports *shared_ports;
	struct worker *workers[DATAPLANE_MAX_WORKERS];
	bool eal_is_up;
	enum mbuf_layout mbuf_layout;
	uint64_t eal_bytes;
	uint64_t truncated_seen;
};

unsigned dataplane_count_workers(const char *cores, char error[DATAPLANE_ERROR_SIZE])
{
	unsigned list[CORES_MAX];
	cpu_set_t allowed;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	return cores_parse(cores, &allowed, list, error, DATAPLANE_ERROR_SIZE);
}

// --- memory

struct memory_plan {
	uint32_t n_mbufs;
	uint32_t n_mbufs_reserved; // the ports' rings and the workers' reserve
	uint32_t max_connections;  // of one worker
	uint32_t max_time_wait;
	uint64_t eal_bytes;
	enum mbuf_layout layout;
};

// Before ports are open nobody knows their queues, so each is taken to have as many as there are workers.
static int plan_memory(const struct dataplane_config *config, unsigned n_workers,
	enum mbuf_layout layout, struct memory_plan *plan, char *error)
{
	uint64_t left =
		config->memory_bytes > EAL_OVERHEAD ? config->memory_bytes - EAL_OVERHEAD : 0;
	uint64_t mbuf_bytes = left * MBUF_PERCENT / 100, stack_bytes = left - mbuf_bytes;
	uint32_t n_queues = 0;
	uint64_t needed;

	for (unsigned i = 0; i < config->n_ports; i++) {
		n_queues += config->ports[i].kind == PORT_KIND_AF_XDP ? 1 : n_workers;
	}
	*plan = (struct memory_plan){
		.layout = layout,
		.n_mbufs = (uint32_t)(mbuf_bytes / mbuf_size(layout)),
		.n_mbufs_reserved = port_mbufs_needed(n_queues) + 512 * n_workers,
	};
	needed = plan->n_mbufs_reserved + (uint64_t)MBUFS_OF_A_WORKER * n_workers;
	if (plan->n_mbufs < needed) {
		uint64_t bytes = needed * mbuf_size(layout) * 100 / MBUF_PERCENT + EAL_OVERHEAD;

		snprintf(error, DATAPLANE_ERROR_SIZE,
			"%llu MiB for packets and connections gives %u buffers, and %u ports with %u workers "
			"need %llu; expected at least %llu MiB",
			(unsigned long long)(config->memory_bytes / MEBIBYTE), plan->n_mbufs,
			config->n_ports, n_workers, (unsigned long long)needed,
			(unsigned long long)(bytes / MEBIBYTE + 1));
		return -ENOMEM;
	}
	plan->max_connections =
		(uint32_t)(stack_bytes / n_workers / (CONNECTION_BYTES + 2 * TIME_WAIT_BYTES));
	plan->max_time_wait = 2 * plan->max_connections;
	plan->eal_bytes = plan->n_mbufs * mbuf_size(layout) + EAL_OVERHEAD;
	return 0;
}

static enum mbuf_layout small_page_layout(const struct dataplane_config *config)
{
	for (unsigned i = 0; i < config->n_ports; i++) {
		if (port_needs_pages(&config->ports[i]))
			return MBUF_PAGED;
	}
	return MBUF_PACKED;
}

static int choose_memory(const struct dataplane_config *config, unsigned n_workers,
	struct memory_plan *plan, char *error)
{
	uint64_t free_bytes = eal_free_hugepages();
	int result = plan_memory(config, n_workers, MBUF_HUGE, plan, error);

	if (result != 0)
		return result;
	if (config->hugepages != DATAPLANE_HUGEPAGES_OFF && free_bytes >= plan->eal_bytes)
		return 0;
	if (config->hugepages == DATAPLANE_HUGEPAGES_REQUIRE) {
		snprintf(error, DATAPLANE_ERROR_SIZE,
			"hugepages are required and %llu MiB of them are free; expected at least %llu MiB, or "
			"hugepages: prefer",
			(unsigned long long)(free_bytes / MEBIBYTE),
			(unsigned long long)(plan->eal_bytes / MEBIBYTE + 1));
		return -ENOMEM;
	}
	return plan_memory(config, n_workers, small_page_layout(config), plan, error);
}

// --- start

static char *copy_text(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

static void copy_config(struct dataplane *d, const struct dataplane_config *config)
{
	d->config = *config;
	d->config.cores = copy_text(config->cores);
	for (unsigned i = 0; i < config->n_ports; i++) {
		d->config.ports[i].name = copy_text(config->ports[i].name);
		d->config.ports[i].device = copy_text(config->ports[i].device);
	}
}

static int start_eal(
	struct dataplane *d, const unsigned *cores, const cpu_set_t *allowed, char *error)
{
	const char *pci[DATAPLANE_MAX_PORTS];
	struct eal_config config = {.allowed = allowed,
		.cores = cores,
		.n_cores = d->shared.n_workers,
		.hugepages = d->mbuf_layout == MBUF_HUGE,
		.memory_mb = (unsigned)(d->eal_bytes / MEBIBYTE + 1),
		.pci = pci};
	int result;

	for (unsigned i = 0; i < d->config.n_ports; i++) {
		if (d->config.ports[i].kind == PORT_KIND_PCI)
			pci[config.n_pci++] = d->config.ports[i].device;
	}
	result = eal_start(&config, error, DATAPLANE_ERROR_SIZE);
	d->eal_is_up = result == 0;
	return result;
}

static int open_ports(struct dataplane *d, char *error)
{
	for (unsigned i = 0; i < d->config.n_ports; i++) {
		int result = port_open(&d->ports[i], &d->config.ports[i], i, d->shared.n_workers,
			d->shared.mbufs, error, DATAPLANE_ERROR_SIZE);

		if (result != 0)
			return result;
	}
	return 0;
}

static int make_workers(struct dataplane *d, char *error)
{
	for (unsigned i = 0; i < d->shared.n_workers; i++) {
		d->workers[i] = worker_new(&d->shared, i);
		if (d->workers[i] == NULL) {
			snprintf(error, DATAPLANE_ERROR_SIZE, "no memory for worker %u", i);
			return -ENOMEM;
		}
	}
	return 0;
}

// Waits until every worker runs or one has failed.
static int launch_workers(struct dataplane *d, char *error)
{
	const struct timespec pause = {.tv_nsec = 200000};
	int result = 0;

	eal_run();
	for (unsigned i = 0; i < d->shared.n_workers; i++)
		rte_eal_remote_launch(worker_run, d->workers[i], i + 1);
	for (unsigned i = 0; i < d->shared.n_workers; i++) {
		const char *what;

		while (worker_state(d->workers[i]) == WORKER_STARTING)
			nanosleep(&pause, NULL);
		if (worker_state(d->workers[i]) != WORKER_FAILED || result != 0)
			continue;
		result = worker_error(d->workers[i], &what);
		snprintf(error, DATAPLANE_ERROR_SIZE, "worker %u cannot start %s: %s", i, what,
			strerror(-result));
	}
	return result;
}

static void choose_local_ports(struct dataplane_config *config)
{
	bool any_shared = false;

	if (config->local_port_first != 0)
		return;
	for (unsigned i = 0; i < config->n_ports; i++)
		any_shared |= config->ports[i].shared;
	config->local_port_first =
		any_shared ? DATAPLANE_LOCAL_PORT_FIRST_SHARED : DATAPLANE_LOCAL_PORT_FIRST;
	config->local_port_last = DATAPLANE_LOCAL_PORT_LAST;
}

static int start(struct dataplane *d, char *error)
{
	unsigned cores[CORES_MAX];
	struct memory_plan plan;
	cpu_set_t allowed;
	int result;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	d->shared.n_workers =
		cores_parse(d->config.cores, &allowed, cores, error, DATAPLANE_ERROR_SIZE);
	if (d->shared.n_workers == 0)
		return -EINVAL;
	for (unsigned i = 0; i < d->config.n_ports; i++) {
		result = port_check(&d->config.ports[i], error, DATAPLANE_ERROR_SIZE);
		if (result != 0)
			return result;
	}
	result = choose_memory(&d->config, d->shared.n_workers, &plan, error);
	if (result != 0)
		return result;
	d->eal_bytes = plan.eal_bytes;
	d->mbuf_layout = plan.layout;

	result = start_eal(d, cores, &allowed, error);
	if (result != 0)
		return result;
	d->shared.mbufs = mbuf_pool_new(plan.n_mbufs, plan.layout, error, DATAPLANE_ERROR_SIZE);
	if (d->shared.mbufs == NULL)
		return -ENOMEM;
	result = open_ports(d, error);
	if (result != 0)
		return result;

	d->shared.max_connections = plan.max_connections;
	d->shared.max_time_wait = plan.max_time_wait;
	d->shared.max_mbufs_held =
		(plan.n_mbufs - plan.n_mbufs_reserved) / d->shared.n_workers / 4 * 3;
	if (getrandom(&d->shared.secret, sizeof(d->shared.secret), 0)
		!= (ssize_t)sizeof(d->shared.secret)) {
		snprintf(error, DATAPLANE_ERROR_SIZE, "the kernel gives no random numbers: %s",
			strerror(errno));
		return -EIO;
	}
	choose_local_ports(&d->config);
	steer_init(&d->shared.steer, &d->shared.secret, d->shared.n_workers,
		d->config.local_port_first, d->config.local_port_last);
	d->shared.tsc_start = rte_rdtsc();
	d->shared.us_per_cycle = (UINT64_C(1000000) << WORKER_US_SHIFT) / rte_get_tsc_hz();
	dataplane_tick(d);
	result = shared_ports_new(&d->shared_ports, d->ports, d->config.n_ports, &d->shared, error,
		DATAPLANE_ERROR_SIZE);
	if (result != 0)
		return result;
	result = make_workers(d, error);
	if (result != 0)
		return result;
	result = launch_workers(d, error);
	if (result == 0)
		shared_ports_run(d->shared_ports);
	return result;
}

int dataplane_start(struct dataplane **out, const struct dataplane_config *config,
	const struct worker_app *app, char error[DATAPLANE_ERROR_SIZE])
{
	struct dataplane *d = calloc(1, sizeof(*d));
	int result;

	*out = NULL;
	if (d == NULL) {
		snprintf(error, DATAPLANE_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	copy_config(d, config);
	d->app = *app;
	d->shared.app = &d->app;
	d->shared.config = &d->config;
	d->shared.ports = d->ports;
	d->shared.n_ports = config->n_ports;
	d->shared.workers = d->workers;
	result = start(d, error);
	if (result != 0) {
		dataplane_stop(&d);
		return result;
	}
	log_info("running workers=%u ports=%u buffers=%u hugepages=%s", d->shared.n_workers,
		config->n_ports, d->shared.mbufs->size, d->mbuf_layout == MBUF_HUGE ? "yes" : "no");
	*out = d;
	return 0;
}

static void wait_for_workers(struct dataplane *d)
{
	rte_eal_mp_wait_lcore();
	// TSan does not see into the line above. What no worker touches any more it knows from their states.
	for (unsigned i = 0; i < d->shared.n_workers; i++) {
		if (d->workers[i] != NULL)
			assert(worker_state(d->workers[i]) != WORKER_RUNNING);
	}
}

void dataplane_stop(struct dataplane **dp)
{
	struct dataplane *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	d->shared.stop = true;
	if (d->eal_is_up) {
		wait_for_workers(d);
		for (unsigned i = 0; i < d->shared.n_workers; i++)
			worker_free(&d->workers[i]);
		shared_ports_free(&d->shared_ports);
		for (unsigned i = 0; i < d->config.n_ports; i++)
			port_close(&d->ports[i]);
		if (d->shared.mbufs != NULL && rte_mempool_in_use_count(d->shared.mbufs) != 0)
			log_debug("buffers are still held by drivers n=%u",
				rte_mempool_in_use_count(d->shared.mbufs));
		rte_mempool_free(d->shared.mbufs);
		eal_stop();
	}
	free((void *)(uintptr_t)d->config.cores);
	for (unsigned i = 0; i < d->config.n_ports; i++) {
		free((void *)(uintptr_t)d->config.ports[i].name);
		free((void *)(uintptr_t)d->config.ports[i].device);
	}
	free(d);
}

// --- what others ask

struct worker *const *dataplane_workers(const struct dataplane *d, unsigned *n)
{
	*n = d->shared.n_workers;
	return d->workers;
}

static void add_unowned(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	struct tcp_unowned *sum = arg, n = tcp_count_unowned(worker_net(w));

	(void)state, (void)now_us;
	sum->n_half_open += n.n_half_open;
	sum->n_unsent += n.n_unsent;
}

struct tcp_unowned dataplane_count_unowned(struct dataplane *d)
{
	struct tcp_unowned sum = {0};

	for (unsigned i = 0; i < d->shared.n_workers; i++)
		worker_call(d->workers[i], add_unowned, &sum);
	return sum;
}

bool dataplane_port_status(const struct dataplane *d, unsigned index, struct port_status *out)
{
	const struct port *p = &d->ports[index];
	struct rte_eth_stats stats = {0};
	struct rte_eth_link link = {0};

	if (index >= d->config.n_ports)
		return false;
	rte_eth_stats_get(p->id, &stats);
	rte_eth_link_get_nowait(p->id, &link);
	*out = (struct port_status){
		.name = p->name,
		.driver = p->driver,
		.mtu = p->mtu,
		.n_queues = p->n_queues,
		// These drivers say that the link is up, whatever the interface has.
		.link_up = p->interface_index != 0 ? netdev_has_link(p->interface_index)
						   : link.link_status == RTE_ETH_LINK_UP,
		.n_link_changes = p->n_link_changes,
		.checksum = port_csum_name(p->csum),
		.rx_packets = stats.ipackets,
		.rx_bytes = stats.ibytes,
		.rx_missed = stats.imissed,
		.rx_errors = stats.ierrors,
		.rx_nombuf = stats.rx_nombuf,
		.tx_packets = stats.opackets,
		.tx_bytes = stats.obytes,
		.tx_errors = stats.oerrors,
	};
	for (unsigned q = 0; p->gso != NULL && q < p->n_queues; q++) {
		out->tx_packets += stat_read(&p->gso[q].packets);
		out->tx_bytes += stat_read(&p->gso[q].bytes);
		out->tx_errors += stat_read(&p->gso[q].errors);
	}
	memcpy(out->mac, p->mac, sizeof(out->mac));
	port_offload_print(&p->offloads, out->offloads);
	port_rss_print(&p->rss, out->steering);
	return true;
}

void dataplane_memory_status(const struct dataplane *d, struct memory_status *out)
{
	*out = (struct memory_status){
		.mbufs_total = d->shared.mbufs->size,
		.mbufs_in_use = rte_mempool_in_use_count(d->shared.mbufs),
		.mbuf_bytes = mbuf_size(d->mbuf_layout),
		.eal_bytes = d->eal_bytes,
		.hugepages = d->mbuf_layout == MBUF_HUGE,
		.connections = d->shared.max_connections,
	};
}

// AF_PACKET hands over a local sender's segments before the kernel has cut them, and cuts their end off.
static void warn_of_truncation(struct dataplane *d)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < d->shared.n_workers; i++) {
		struct dataplane_stats *stats;

		if (d->workers[i] == NULL)
			continue;
		stats = worker_stats(d->workers[i]);
		n += stat_read(&stats->ip4_drop_truncated) + stat_read(&stats->ip6_drop_truncated);
	}
	if (n > d->truncated_seen)
		log_warning(
			"packets arrive cut short; on AF_PACKET turn off segmentation at the sender "
			"(ethtool -K IFACE tso off gso off) or use af_xdp n=%llu",
			(unsigned long long)n);
	d->truncated_seen = n;
}

void dataplane_tick(struct dataplane *d)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	atomic_store_explicit(&d->shared.wall_offset_us,
		(uint64_t)wall.tv_sec * 1000000 + (uint64_t)wall.tv_nsec / 1000
			- worker_shared_now(&d->shared),
		memory_order_relaxed);
	warn_of_truncation(d);
	shared_ports_tick(d->shared_ports);
}

int dataplane_kernel_fd(const struct dataplane *d)
{
	return shared_ports_fd(d->shared_ports);
}

void dataplane_follow(struct dataplane *d)
{
	shared_ports_run(d->shared_ports);
}

int dataplane_listen(struct dataplane *d, const uint16_t *tcp_ports, unsigned n)
{
	return shared_ports_listen(d->shared_ports, tcp_ports, n);
}
