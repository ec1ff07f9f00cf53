#include "mgmt/export_text.h"

#include "router/http_rules.h"

#include <stddef.h>
#include <string.h>

// A stats struct is an array of uint64_t in the order of its descriptors, as far as those go.
static const uint64_t *stat_at(const void *stats, unsigned i)
{
	return (const uint64_t *)stats + i;
}

static enum metric_kind kind_of(const struct stat_desc *d)
{
	return d->kind == STAT_COUNTER ? METRIC_COUNTER : METRIC_GAUGE;
}

// A metric that is computed from one object: the sources, a port, a cluster or a listener.
struct row {
	const char *name;
	enum metric_kind kind;
	const char *help;
	uint64_t (*value)(const void *object);
};

#define N_ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

// --- the rows of export_metrics.def: first a function for each, then the tables of them

static unsigned count_healthy(const struct cluster *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_endpoints; i++)
		n += endpoint_is_healthy(c->endpoints[i]);
	return n;
}

#define EXPORT_PROCESS(name, kind, help, expression)       \
	static uint64_t process_##name(const void *object) \
	{                                                  \
		const struct export_sources *s = object;   \
                                                           \
		return (expression);                       \
	}
#define EXPORT_MEMORY(name, kind, help, expression)       \
	static uint64_t memory_##name(const void *object) \
	{                                                 \
		const struct memory_status *m = object;   \
                                                          \
		return (expression);                      \
	}
#define EXPORT_PORT(metric, kind, help, expression)     \
	static uint64_t metric##_of(const void *object) \
	{                                               \
		const struct port_status *p = object;   \
                                                        \
		return (expression);                    \
	}
#define EXPORT_MEMBERSHIP(name, kind, help, expression) \
	static uint64_t name##_of(const void *object)   \
	{                                               \
		const struct cluster *c = object;       \
                                                        \
		return (expression);                    \
	}
#define EXPORT_OUTLIER(name, kind, help, counter)                                      \
	static uint64_t outlier_##name(const void *object)                             \
	{                                                                              \
		const struct cluster *c = object;                                      \
                                                                                       \
		return atomic_load_explicit(&c->state->counter, memory_order_relaxed); \
	}
#include "mgmt/export_metrics.def"

static const struct row process_rows[] = {
#define EXPORT_PROCESS(name, kind, help, expression) {#name, METRIC_##kind, help, process_##name},
#include "mgmt/export_metrics.def"
};

static const struct row memory_rows[] = {
#define EXPORT_MEMORY(name, kind, help, expression) {#name, METRIC_##kind, help, memory_##name},
#include "mgmt/export_metrics.def"
};

static const struct row port_rows[] = {
#define EXPORT_PORT(name, kind, help, expression) {#name, METRIC_##kind, help, name##_of},
#include "mgmt/export_metrics.def"
};

static const struct row membership_rows[] = {
#define EXPORT_MEMBERSHIP(name, kind, help, expression) {#name, METRIC_##kind, help, name##_of},
#include "mgmt/export_metrics.def"
};

static const struct row outlier_rows[] = {
#define EXPORT_OUTLIER(name, kind, help, counter) {#name, METRIC_##kind, help, outlier_##name},
#include "mgmt/export_metrics.def"
};

static const struct {
	const char *open_name, *used_name, *limit_name;
	const char *help;
	size_t used;  // atomic_uint in struct cluster_state
	size_t limit; // uint32_t in struct cluster_config
} breakers[] = {
#define EXPORT_BREAKER(envoy, help, counter, maximum)                             \
	{"circuit_breakers_default_" #envoy "_open", "cluster_breaker_" #counter, \
		"cluster_breaker_" #counter "_limit", help,                       \
		offsetof(struct cluster_state, counter),                          \
		offsetof(struct cluster_config, maximum)},
#include "mgmt/export_metrics.def"
};

static const struct {
	const char *name;
	enum metric_kind kind;
	const char *help;
	size_t at; // uint64_t in struct listener_stats
} listener_rows[] = {
#define EXPORT_LISTENER(name, kind, help) \
	{#name, METRIC_##kind, help, offsetof(struct listener_stats, name)},
#include "mgmt/export_metrics.def"
};

static const struct {
	const char *name;
	const char *help;
	size_t at; // struct histogram in struct cluster_stats
} cluster_histograms[] = {
#define EXPORT_CLUSTER_HISTOGRAM(name, help) {#name, help, offsetof(struct cluster_stats, name)},
#include "mgmt/export_metrics.def"
};

static const void *member(const void *object, size_t at)
{
	return (const char *)object + at;
}

// --- pollgate_*: the process, its ports, its workers

static void export_process(const struct export_sources *s, struct export_buffer *out)
{
	struct metric_label version = {"version", s->config.version};
	struct metric m;

	for (unsigned i = 0; i < N_ROWS(process_rows); i++) {
		const struct row *row = &process_rows[i];

		metric_init(&m, out, "pollgate_", row->name, row->kind, row->help);
		metric_sample(&m, NULL, 0, row->value(s));
	}
	for (unsigned i = 0; s->memory != NULL && i < N_ROWS(memory_rows); i++) {
		const struct row *row = &memory_rows[i];

		metric_init(&m, out, "pollgate_", row->name, row->kind, row->help);
		metric_sample(&m, NULL, 0, row->value(s->memory));
	}
	metric_init(&m, out, "pollgate_", "config_info", METRIC_GAUGE, EXPORT_CONFIG_INFO_HELP);
	if (s->config.version != NULL)
		metric_sample(&m, &version, 1, 1);
}

// INT64_MAX: there is no certificate.
static int64_t first_expiry_s(const struct router_config *config)
{
	int64_t first = INT64_MAX;

	for (unsigned i = 0; i < config->n_listeners; i++) {
		const struct listener_config *l = &config->listeners[i];

		for (unsigned j = 0; l->tls && j < l->n_chains; j++) {
			const struct tls_chain_config *c = &l->chains[j].tls;

			for (unsigned k = 0; k < c->n_certificates; k++)
				if (c->certificates[k].not_after_s < first)
					first = c->certificates[k].not_after_s;
		}
	}
	return first;
}

static void export_certificates(const struct export_sources *s, struct export_buffer *out)
{
	int64_t first = s->snapshot != NULL ? first_expiry_s(s->snapshot->config) : INT64_MAX;
	struct metric m;

	metric_init(&m, out, "envoy_server_", "days_until_first_cert_expiring", METRIC_GAUGE,
		EXPORT_FIRST_EXPIRY_HELP);
	if (first != INT64_MAX)
		metric_sample(
			&m, NULL, 0, first > s->now_s ? (uint64_t)((first - s->now_s) / 86400) : 0);
}

static void export_ports(const struct export_sources *s, struct export_buffer *out)
{
	for (unsigned i = 0; i < N_ROWS(port_rows); i++) {
		const struct row *row = &port_rows[i];
		struct metric m;

		metric_init(&m, out, "pollgate_", row->name, row->kind, row->help);
		for (unsigned p = 0; p < s->n_ports; p++) {
			struct metric_label label = {"port", s->ports[p].name};

			metric_sample(&m, &label, 1, row->value(&s->ports[p]));
		}
	}
}

typedef const void *worker_stats_fn(const struct export_worker *w);

static const void *dataplane_of(const struct export_worker *w)
{
	return w->dataplane;
}

static const void *tls_of(const struct export_worker *w)
{
	return w->tls;
}

static const void *router_of(const struct export_worker *w)
{
	return w->router;
}

static void export_worker_stats(const struct export_sources *s, struct export_buffer *out,
	const struct stat_desc *descs, unsigned n_descs, worker_stats_fn *stats_of)
{
	for (unsigned i = 0; i < n_descs; i++) {
		uint64_t sum = 0;
		bool any = false;
		struct metric m;

		metric_init(&m, out, "pollgate_", descs[i].name, kind_of(&descs[i]), descs[i].help);
		for (unsigned w = 0; w < s->n_workers; w++) {
			const void *stats = stats_of(&s->workers[w]);
			char index[16];
			struct metric_label worker = {"worker", index};

			if (stats == NULL)
				continue;
			any = true;
			sum += stat_read(stat_at(stats, i));
			if (!stat_is_by_worker(descs[i].name))
				continue;
			snprintf(index, sizeof(index), "%u", w);
			metric_sample(&m, &worker, 1, stat_read(stat_at(stats, i)));
		}
		if (any && !stat_is_by_worker(descs[i].name))
			metric_sample(&m, NULL, 0, sum);
	}
}

// 'offset': of one of the arrays of struct http_rule_counts.
static void export_rules_of(
	const struct export_sources *s, struct metric *m, const char *from, size_t offset)
{
	for (unsigned i = 0; i < HTTP_N_RULES; i++) {
		const struct metric_label labels[] = {
			{"from", from              },
                        {"rule", http_rule(i)->rule}
                };
		uint64_t sum = 0;
		bool any = false;

		for (unsigned w = 0; w < s->n_workers; w++) {
			const struct http_rule_counts *counts = s->workers[w].rules;

			if (counts == NULL)
				continue;
			sum += stat_read(
				(const uint64_t *)(const void *)((const char *)counts + offset)
				+ i);
			any = true;
		}
		if (any)
			metric_sample(m, labels, 2, sum);
	}
}

static void export_rules(const struct export_sources *s, struct export_buffer *out)
{
	struct metric m;

	metric_init(&m, out, "pollgate_", "http_errors", METRIC_COUNTER, EXPORT_RULES_HELP);
	export_rules_of(s, &m, "client", offsetof(struct http_rule_counts, clients));
	export_rules_of(s, &m, "endpoint", offsetof(struct http_rule_counts, endpoints));
}

// --- envoy_cluster_*

static const char *class_names[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};

// Sum over workers of the counter 'offset' bytes into struct cluster_stats.
static uint64_t cluster_sum(const struct cluster_state *st, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < st->n_workers; w++)
		sum += stat_read(member(&st->stats[w], offset));
	return sum;
}

#define FOR_EACH_CLUSTER(s, c)                                                   \
	for (const struct cluster *c = (s)->snapshot->clusters,                  \
				  *end_ = c + (s)->snapshot->config->n_clusters; \
		c < end_; c++)

static struct metric_label name_label(const struct cluster *c)
{
	return (struct metric_label){"cluster_name", c->config->name};
}

static void export_cluster_counters(const struct export_sources *s, struct export_buffer *out)
{
	for (unsigned i = 0; i < cluster_n_stats; i++) {
		const struct stat_desc *d = &cluster_stat_descs[i];
		struct metric m;

		metric_init(&m, out, "envoy_cluster_", d->name, kind_of(d), d->help);
		FOR_EACH_CLUSTER(s, c)
		{
			struct metric_label label = name_label(c);

			metric_sample(&m, &label, 1, cluster_sum(c->state, i * sizeof(uint64_t)));
		}
	}
}

// Answers by class and by status. Only what has happened: there are 600 possible codes.
static void export_cluster_codes(const struct export_sources *s, struct export_buffer *out)
{
	struct metric m;

	metric_init(&m, out, "envoy_cluster_", "upstream_rq_xx", METRIC_COUNTER,
		EXPORT_CLUSTER_CLASS_HELP);
	FOR_EACH_CLUSTER(s, c)
	{
		for (unsigned class = 1; class <= 5; class ++) {
			struct metric_label labels[] = {
				{"response_code_class", class_names[class]},
                                name_label(c)
                        };

			metric_sample(&m, labels, 2,
				cluster_sum(c->state,
					offsetof(struct cluster_stats, upstream_rq_xx)
						+ class * sizeof(uint64_t)));
		}
	}
	metric_init(
		&m, out, "envoy_cluster_", "upstream_rq", METRIC_COUNTER, EXPORT_CLUSTER_CODE_HELP);
	FOR_EACH_CLUSTER(s, c)
	{
		for (unsigned code = 100; code < 600; code++) {
			uint64_t n = cluster_sum(c->state,
				offsetof(struct cluster_stats, upstream_rq_code)
					+ code * sizeof(uint64_t));
			char text[16];
			struct metric_label labels[] = {
				{"response_code", text},
                                name_label(c)
                        };

			if (n == 0)
				continue;
			snprintf(text, sizeof(text), "%u", code);
			metric_sample(&m, labels, 2, n);
		}
	}
}

static void export_membership(const struct export_sources *s, struct export_buffer *out)
{
	for (unsigned i = 0; i < N_ROWS(membership_rows); i++) {
		const struct row *row = &membership_rows[i];
		struct metric m;

		metric_init(&m, out, "envoy_cluster_", row->name, row->kind, row->help);
		FOR_EACH_CLUSTER(s, c)
		{
			struct metric_label label = name_label(c);

			metric_sample(&m, &label, 1, row->value(c));
		}
	}
}

static void export_outlier(const struct export_sources *s, struct export_buffer *out)
{
	for (unsigned i = 0; i < N_ROWS(outlier_rows); i++) {
		const struct row *row = &outlier_rows[i];
		struct metric m;

		metric_init(&m, out, "envoy_cluster_outlier_detection_", row->name, row->kind,
			row->help);
		FOR_EACH_CLUSTER(s, c)
		{
			struct metric_label label = name_label(c);

			if (c->config->outlier.enabled)
				metric_sample(&m, &label, 1, row->value(c));
		}
	}
}

// Few at any time, so that naming them does not cost a series for each endpoint.
static void export_unhealthy(const struct export_sources *s, struct export_buffer *out)
{
	struct metric m;

	metric_init(
		&m, out, "pollgate_", "endpoint_unhealthy", METRIC_GAUGE, EXPORT_UNHEALTHY_HELP);
	FOR_EACH_CLUSTER(s, c)
	{
		for (unsigned i = 0; i < c->n_endpoints; i++) {
			const struct endpoint *e = c->endpoints[i];
			unsigned health = atomic_load_explicit(&e->health, memory_order_relaxed);
			bool ejected = (health & ENDPOINT_FAILED_OUTLIER) != 0;
			struct metric_label labels[] = {
				name_label(c), {"endpoint", e->text                          },
				{"reason",   ejected ? "outlier" : "not_ready"}
                        };

			if (health != 0)
				metric_sample(&m, labels, 3, 1);
		}
	}
}

// Whether a limit is reached, and what counts against it where there is one.
static void export_breaker(
	const struct export_sources *s, struct export_buffer *out, unsigned breaker)
{
	struct metric open, used, limit;
	char help[128];

	snprintf(help, sizeof(help), "1 while %s", breakers[breaker].help);
	metric_init(&open, out, "envoy_cluster_", breakers[breaker].open_name, METRIC_GAUGE, help);
	metric_init(&used, out, "pollgate_", breakers[breaker].used_name, METRIC_GAUGE,
		EXPORT_BREAKER_HELP);
	metric_init(&limit, out, "pollgate_", breakers[breaker].limit_name, METRIC_GAUGE,
		EXPORT_BREAKER_LIMIT_HELP);
	for (unsigned pass = 0; pass < 3; pass++) {
		FOR_EACH_CLUSTER(s, c)
		{
			const atomic_uint *counter = member(c->state, breakers[breaker].used);
			uint32_t n = atomic_load_explicit(counter, memory_order_relaxed);
			uint32_t max =
				*(const uint32_t *)member(c->config, breakers[breaker].limit);
			struct metric_label label = name_label(c);

			if (pass == 0)
				metric_sample(&open, &label, 1, n >= max);
			else if (max != UINT32_MAX)
				metric_sample(
					pass == 1 ? &used : &limit, &label, 1, pass == 1 ? n : max);
		}
	}
}

static void export_cluster_histograms(const struct export_sources *s, struct export_buffer *out)
{
	for (unsigned i = 0; i < N_ROWS(cluster_histograms); i++) {
		struct metric m;

		metric_init(&m, out, "envoy_cluster_", cluster_histograms[i].name, METRIC_HISTOGRAM,
			cluster_histograms[i].help);
		FOR_EACH_CLUSTER(s, c)
		{
			struct metric_label label = name_label(c);
			struct histogram sum = {0};

			for (unsigned w = 0; w < c->state->n_workers; w++)
				histogram_merge(&sum,
					member(&c->state->stats[w], cluster_histograms[i].at));
			if (histogram_n_values(&sum) > 0)
				metric_histogram(&m, &label, 1, &sum);
		}
	}
}

// --- envoy_http_*, envoy_listener_*

static void export_hcms(const struct export_sources *s, struct export_buffer *out)
{
	struct metric m;

	for (unsigned i = 0; i < hcm_n_stats; i++) {
		const struct stat_desc *d = &hcm_stat_descs[i];

		metric_init(&m, out, "envoy_http_", d->name, kind_of(d), d->help);
		for (const struct hcm_state *h = s->hcms; h != NULL; h = h->next) {
			struct metric_label label = {"http_conn_manager_prefix", h->stat_prefix};
			uint64_t sum = 0;

			for (unsigned w = 0; w < s->n_workers; w++)
				sum += stat_read(stat_at(&h->stats[w], i));
			metric_sample(&m, &label, 1, sum);
		}
	}
	metric_init(
		&m, out, "envoy_http_", "downstream_rq_xx", METRIC_COUNTER, EXPORT_HTTP_CLASS_HELP);
	for (const struct hcm_state *h = s->hcms; h != NULL; h = h->next) {
		for (unsigned class = 1; class <= 5; class ++) {
			struct metric_label labels[] = {
				{"response_code_class",      class_names[class]},
				{"http_conn_manager_prefix", h->stat_prefix    }
                        };
			uint64_t sum = 0;

			for (unsigned w = 0; w < s->n_workers; w++)
				sum += stat_read(&h->stats[w].downstream_rq_xx[class]);
			metric_sample(&m, labels, 2, sum);
		}
	}
	metric_init(&m, out, "envoy_http_", "downstream_rq_time", METRIC_HISTOGRAM,
		EXPORT_HTTP_TIME_HELP);
	for (const struct hcm_state *h = s->hcms; h != NULL; h = h->next) {
		struct metric_label label = {"http_conn_manager_prefix", h->stat_prefix};
		struct histogram sum = {0};

		for (unsigned w = 0; w < s->n_workers; w++)
			histogram_merge(&sum, &h->stats[w].downstream_rq_time);
		metric_histogram(&m, &label, 1, &sum);
	}
}

static void export_listeners(const struct export_sources *s, struct export_buffer *out)
{
	for (unsigned i = 0; i < N_ROWS(listener_rows); i++) {
		struct metric m;

		metric_init(&m, out, "envoy_listener_", listener_rows[i].name,
			listener_rows[i].kind, listener_rows[i].help);
		for (const struct listener_state *l = s->listeners; l != NULL; l = l->next) {
			struct metric_label label = {"listener_address", l->name};
			uint64_t sum = 0;

			for (unsigned w = 0; w < s->n_workers; w++)
				sum += stat_read(member(&l->stats[w], listener_rows[i].at));
			metric_sample(&m, &label, 1, sum);
		}
	}
}

void export_prometheus(const struct export_sources *s, struct export_buffer *out)
{
	export_process(s, out);
	export_certificates(s, out);
	export_ports(s, out);
	export_worker_stats(s, out, dataplane_stat_descs, dataplane_n_stats, dataplane_of);
	export_worker_stats(s, out, tls_stat_descs, tls_n_stats, tls_of);
	export_worker_stats(s, out, router_stat_descs, router_n_stats, router_of);
	export_rules(s, out);
	export_listeners(s, out);
	export_hcms(s, out);
	if (s->snapshot != NULL) {
		export_cluster_counters(s, out);
		export_cluster_codes(s, out);
		export_membership(s, out);
		export_outlier(s, out);
		export_unhealthy(s, out);
		for (unsigned i = 0; i < N_ROWS(breakers); i++)
			export_breaker(s, out, i);
		export_cluster_histograms(s, out);
	}
	export_istio(s, out);
}
