#include "router/router.h"

#include "dataplane/base/log.h"
#include "router/access_log.h"
#include "router/downstream.h"
#include "router/outlier.h"
#include "router/registry.h"
#include "router/router_worker.h"
#include "router/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("router")

// How often retired snapshots are looked at, and the longest time between two looks at ejections.
#define TICK_US 100000u

struct router {
	struct router_options options;
	struct worker_app app;
	struct snapshot *current;
	struct snapshot *retired; // newest first
	struct router_stats *stats;
	struct tls_stats *tls_stats;
	struct http_rule_counts *rules;
	struct request_metrics **metrics;
	struct log_ring **logs;
	struct router_worker *workers[SNAPSHOT_MAX_WORKERS]; // set by each worker's start
};

// --- on the workers

static struct stream *connect_by_net(void *arg, const struct tcp_connect_options *options,
	enum stream_error *error, uint64_t now_us)
{
	return tcp_connect(worker_net(arg), options, error, now_us);
}

static struct tcp_listener *listen_by_net(void *arg, const struct tcp_listen_options *options)
{
	return tcp_listen(worker_net(arg), options);
}

static void unlisten_by_net(void *arg, struct tcp_listener **lp)
{
	tcp_unlisten(worker_net(arg), lp);
}

static uint64_t wall_by_worker(void *arg, uint64_t now_us)
{
	return worker_wall_us(arg, now_us);
}

static struct router_capacity capacity_of(const struct router *r)
{
	struct router_capacity capacity;

	router_capacity_of(r->options.memory_bytes / r->options.n_workers, &capacity);
	return capacity;
}

static int start(void *arg, struct worker *w, void **state, uint64_t now_us)
{
	struct router *r = arg;
	unsigned index = worker_index(w);
	struct router_capacity capacity;
	int error;

	(void)now_us;
	if (index >= r->options.n_workers)
		return -EINVAL;
	capacity = capacity_of(r);
	error = tls_alloc_thread_init(capacity.arena_bytes);
	if (error != 0)
		return error;
	r->workers[index] = router_worker_new(index,
		&(struct router_seams){.connect = connect_by_net,
			.listen = listen_by_net,
			.stop_listening = tcp_stop_listening,
			.unlisten = unlisten_by_net,
			.wall_us = wall_by_worker,
			.arg = w,
			.timers = net_timers(worker_net(w))},
		&(struct router_outputs){.stats = &r->stats[index],
			.rules = &r->rules[index],
			.tls_stats = &r->tls_stats[index],
			.metrics = r->metrics[index],
			.log = r->logs[index]},
		&capacity);
	if (r->workers[index] == NULL)
		return -ENOMEM;
	*state = r->workers[index];
	return 0;
}

static bool turn(void *state, uint64_t now_us)
{
	struct router_worker *w = state;
	bool more = router_worker_sweep(w, now_us);

	// All else happens in the callbacks of streams and timers; what they wrote to TLS leaves here.
	return (w->tls != NULL && tls_worker_turn(w->tls, now_us)) || more;
}

static uint64_t next_deadline(void *state)
{
	(void)state;
	return UINT64_MAX; // the timers are those of the net
}

static void stop(void *state)
{
	struct router_worker *w = state;

	router_worker_free(&w, 0);
	tls_alloc_thread_fini();
}

bool router_stream_owner(const struct stream *s, struct router_stream_owner *out)
{
	const struct stream *tls = tls_above(s);
	const struct stream *own = tls != NULL ? tls : s;
	bool found = downstream_owns(own, out) || upstream_owns(own, out);

	if (found)
		out->tls = tls != NULL;
	return found;
}

// --- on the mgmt thread

struct router_room router_room(const struct router *r)
{
	struct router_capacity c = capacity_of(r);

	return (struct router_room){
		.connections = c.connections,
		.tls_connections = c.tls_connections,
		.tls_http2_connections = c.tls_http2_connections,
		.requests = c.exchanges,
	};
}

static void *per_worker(size_t size, unsigned n)
{
	size_t bytes = (size * n + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void *p = aligned_alloc(CACHE_LINE, bytes);

	if (p != NULL)
		memset(p, 0, bytes);
	return p;
}

struct router *router_new(const struct router_options *options)
{
	struct router *r = calloc(1, sizeof(*r));
	unsigned n = options->n_workers;

	assert(n > 0 && n <= SNAPSHOT_MAX_WORKERS);
	if (r == NULL)
		return NULL;
	r->options = *options;
	r->app = (struct worker_app){.start = start,
		.turn = turn,
		.next_deadline = next_deadline,
		.stop = stop,
		.arg = r};
	r->stats = per_worker(sizeof(*r->stats), n);
	r->tls_stats = per_worker(sizeof(*r->tls_stats), n);
	r->rules = per_worker(sizeof(*r->rules), n);
	r->metrics = calloc(n, sizeof(struct request_metrics *));
	r->logs = calloc(n, sizeof(struct log_ring *));
	if (r->stats == NULL || r->tls_stats == NULL || r->rules == NULL || r->metrics == NULL
		|| r->logs == NULL)
		goto fail;
	for (unsigned i = 0; i < n; i++) {
		r->metrics[i] = request_metrics_new(options->max_series);
		r->logs[i] = log_ring_new(options->log_ring_bytes);
		if (r->metrics[i] == NULL || r->logs[i] == NULL)
			goto fail;
	}
	return r;

fail:
	router_free(&r);
	errno = ENOMEM;
	return NULL;
}

void router_free(struct router **rp)
{
	struct router *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	while (r->retired != NULL) {
		struct snapshot *s = r->retired;

		r->retired = s->next_retired;
		snapshot_free(&s);
	}
	snapshot_free(&r->current);
	for (unsigned i = 0; i < r->options.n_workers; i++) {
		if (r->metrics != NULL)
			request_metrics_free(&r->metrics[i]);
		if (r->logs != NULL)
			log_ring_free(&r->logs[i]);
	}
	free(r->metrics);
	free(r->logs);
	free(r->stats);
	free(r->tls_stats);
	free(r->rules);
	free(r);
}

const struct worker_app *router_app(struct router *r)
{
	return &r->app;
}

// What a call to a worker brings and takes back.
struct call {
	struct snapshot *snapshot;
	const struct listener_config *failed;
	int error;
	uint64_t timeout_us;
	uint64_t n;
};

static void call_prepare(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	struct call *c = arg;

	(void)w;
	(void)now_us;
	c->error = router_worker_prepare(state, c->snapshot, &c->failed);
}

static void call_cancel(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	(void)w;
	(void)arg;
	(void)now_us;
	router_worker_cancel(state);
}

static void call_adopt(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	struct call *c = arg;

	(void)w;
	router_worker_adopt(state, c->snapshot, now_us);
}

static void call_drain(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	struct call *c = arg;

	(void)w;
	router_worker_drain(state, c->timeout_us, now_us);
}

static void call_stop_listening(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	(void)w;
	(void)arg;
	(void)now_us;
	router_worker_stop_listening(state);
}

static void call_abort_all(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	struct call *c = arg;

	(void)w;
	c->n += router_worker_abort_all(state, now_us);
}

int router_publish(struct router *r, struct worker *const *workers, struct snapshot **next,
	char error[SNAPSHOT_ERROR_SIZE])
{
	struct snapshot *s = *next;
	struct call call = {.snapshot = s};

	*next = NULL;
	for (unsigned i = 0; i < r->options.n_workers; i++) {
		worker_call(workers[i], call_prepare, &call);
		if (call.error == 0)
			continue;
		snprintf(error, SNAPSHOT_ERROR_SIZE, "listener %s cannot be opened: %s",
			call.failed->name, strerror(-call.error));
		while (i-- > 0)
			worker_call(workers[i], call_cancel, NULL);
		snapshot_free(&s);
		return call.error;
	}
	// Past this line nothing can fail.
	snapshot_activate(s, r->current);
	for (unsigned i = 0; i < r->options.n_workers; i++)
		worker_call(workers[i], call_adopt, &call);
	if (r->current != NULL) {
		r->current->next_retired = r->retired;
		r->retired = r->current;
	}
	r->current = s;
	log_info("configuration in force generation=%llu version=%s",
		(unsigned long long)s->generation,
		s->config->version != NULL ? s->config->version : "-");
	return 0;
}

const struct snapshot *router_current(const struct router *r)
{
	return r->current;
}

static void free_retired(struct router *r)
{
	struct snapshot **at = &r->retired;

	while (*at != NULL) {
		struct snapshot *s = *at;

		if (!snapshot_is_unused(s)) {
			at = &s->next_retired;
			continue;
		}
		*at = s->next_retired;
		snapshot_free(&s);
	}
}

uint64_t router_tick(struct router *r, uint64_t now_us)
{
	uint64_t next = r->retired != NULL ? now_us + TICK_US : UINT64_MAX;

	free_retired(r);
	for (unsigned i = 0; r->current != NULL && i < r->current->config->n_clusters; i++) {
		uint64_t sweep = outlier_sweep(&r->current->clusters[i], now_us);

		if (sweep < next)
			next = sweep;
	}
	return next;
}

unsigned router_n_retired(const struct router *r)
{
	unsigned n = 0;

	for (const struct snapshot *s = r->retired; s != NULL; s = s->next_retired)
		n++;
	return n;
}

void router_drain(struct router *r, struct worker *const *workers, uint64_t timeout_us)
{
	struct call call = {.timeout_us = timeout_us};

	for (unsigned i = 0; i < r->options.n_workers; i++)
		worker_call(workers[i], call_drain, &call);
}

void router_stop_listening(struct router *r, struct worker *const *workers)
{
	for (unsigned i = 0; i < r->options.n_workers; i++)
		worker_call(workers[i], call_stop_listening, NULL);
}

void router_load(struct router *r, uint64_t *requests, uint64_t *connections)
{
	*requests = *connections = 0;
	for (unsigned i = 0; i < r->options.n_workers; i++) {
		*requests += stat_read(&r->stats[i].exchanges_active);
		*connections += stat_read(&r->stats[i].downstream_connections);
	}
}

uint64_t router_abort_all(struct router *r, struct worker *const *workers)
{
	struct call call = {0};

	for (unsigned i = 0; i < r->options.n_workers; i++)
		worker_call(workers[i], call_abort_all, &call);
	return call.n;
}

const struct router_stats *router_worker_stats(const struct router *r, unsigned index)
{
	return &r->stats[index];
}

const struct tls_stats *router_worker_tls_stats(const struct router *r, unsigned index)
{
	return &r->tls_stats[index];
}

const struct http_rule_counts *router_worker_rules(const struct router *r, unsigned index)
{
	return &r->rules[index];
}

struct request_metrics *const *router_request_metrics(const struct router *r)
{
	return r->metrics;
}

struct log_ring *router_log_ring(const struct router *r, unsigned index)
{
	return r->logs[index];
}

const struct hcm_state *router_first_hcm(const struct router *r)
{
	(void)r;
	return registry_first_hcm();
}

const struct listener_state *router_first_listener(const struct router *r)
{
	(void)r;
	return registry_first_listener();
}
