// Commands that show backends: clusters, and the plain numbers that rates are made of.
#include "mgmt/admin.h"
#include "mgmt/gateway_state.h"

#include <string.h>

static uint64_t sum_of(const struct cluster_state *s, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < s->n_workers; w++)
		sum += stat_read(
			(const uint64_t *)(const void *)((const char *)&s->stats[w] + offset));
	return sum;
}

#define SUM(state, member) sum_of(state, offsetof(struct cluster_stats, member))

static const char *lb_name(enum lb_policy policy)
{
	switch (policy) {
	case LB_ROUND_ROBIN: return "ROUND_ROBIN";
	case LB_LEAST_REQUEST: return "LEAST_REQUEST";
	case LB_RANDOM: return "RANDOM";
	}
	return "?";
}

static void add_breaker(
	json_t *list, const char *name, const atomic_uint *now, uint32_t limit, uint64_t overflows)
{
	json_array_append_new(list,
		json_pack("{s:s, s:I, s:o, s:I}", "breaker", name, "now",
			(json_int_t)atomic_load_explicit(now, memory_order_relaxed), "limit",
			limit == UINT32_MAX ? json_string("none") : json_integer(limit),
			"overflows", (json_int_t)overflows));
}

static json_t *breakers(const struct cluster *c)
{
	const struct cluster_state *s = c->state;
	json_t *list = json_array();

	add_breaker(list, "connections", &s->connections, c->config->max_connections,
		SUM(s, upstream_cx_overflow));
	add_breaker(list, "pending", &s->pending, c->config->max_pending_requests,
		SUM(s, upstream_rq_pending_overflow));
	// Both are counted as upstream_rq_pending_overflow (Envoy); shown once.
	add_breaker(list, "requests", &s->requests, c->config->max_requests, 0);
	add_breaker(list, "retries", &s->retries, c->config->max_retries,
		SUM(s, upstream_rq_retry_overflow));
	return list;
}

static const char *health_name(unsigned health)
{
	switch (health) {
	case 0: return "healthy";
	case ENDPOINT_FAILED_OUTLIER: return "ejected";
	case ENDPOINT_FAILED_EDS: return "not ready";
	default: return "not ready, ejected";
	}
}

static json_t *endpoint_row(const struct cluster *c, unsigned i, uint64_t worker_us)
{
	struct endpoint *e = c->endpoints[i];
	unsigned health = atomic_load(&e->health);
	uint64_t ejected_us = atomic_load(&e->outlier.ejected_at_us);
	bool ejected = (health & ENDPOINT_FAILED_OUTLIER) != 0 && worker_us > ejected_us;

	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "endpoint", e->text,
		"health", health_name(health), "weight", (json_int_t)c->config->endpoints[i].weight,
		"requests", (json_int_t)atomic_load(&e->n_requests), "errors",
		(json_int_t)atomic_load(&e->n_errors), "connect_failures",
		(json_int_t)atomic_load(&e->n_connect_failures), "active",
		(json_int_t)atomic_load(&e->active_requests), "connections",
		(json_int_t)atomic_load(&e->active_connections), "failures_in_a_row",
		(json_int_t)atomic_load(&e->outlier.consecutive_5xx), "ejected_for_s",
		ejected ? json_integer((json_int_t)((worker_us - ejected_us) / 1000000))
			: json_null());
}

static json_t *outlier(const struct cluster *c)
{
	struct cluster_state *s = c->state;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "ejected",
		(json_int_t)atomic_load(&s->n_ejected), "ejections",
		(json_int_t)atomic_load(&s->n_ejections), "suppressed",
		(json_int_t)atomic_load(&s->n_ejections_overflow), "max_ejection_percent",
		(json_int_t)c->config->outlier.max_ejection_percent, "base_ejection_ms",
		(json_int_t)(c->config->outlier.base_ejection_us / 1000), "consecutive_5xx",
		(json_int_t)c->config->outlier.consecutive_5xx);
}

// Counters that are not zero: a healthy cluster is shown in a few lines.
static json_t *counters(const struct cluster_state *s)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < cluster_n_stats; i++) {
		uint64_t value = sum_of(s, i * sizeof(uint64_t));

		if (value != 0)
			json_object_set_new(object, cluster_stat_descs[i].name,
				json_integer((json_int_t)value));
	}
	for (unsigned class = 1; class < 6; class ++) {
		uint64_t value = sum_of(s,
			offsetof(struct cluster_stats, upstream_rq_xx) + class * sizeof(uint64_t));
		char name[] = "upstream_rq_0xx";

		name[12] = (char)('0' + class);
		if (value != 0)
			json_object_set_new(object, name, json_integer((json_int_t)value));
	}
	return object;
}

static json_t *cluster_object(const struct cluster *c, uint64_t worker_us)
{
	json_t *endpoints = json_array();
	json_t *object;

	for (unsigned i = 0; i < c->n_endpoints; i++)
		json_array_append_new(endpoints, endpoint_row(c, i, worker_us));
	object = json_pack("{s:s, s:s, s:i, s:i, s:I, s:o, s:o}", "cluster", c->config->name, "lb",
		lb_name(c->config->lb), "n_endpoints", (int)c->n_endpoints, "n_healthy",
		(int)cluster_n_healthy(c), "connect_timeout_ms",
		(json_int_t)(c->config->connect_timeout_us / 1000), "endpoints", endpoints,
		"breakers", breakers(c));
	if (object == NULL)
		return NULL;
	if (c->config->outlier.enabled)
		json_object_set_new(object, "outlier", outlier(c));
	json_object_set_new(object, "counters", counters(c->state));
	return object;
}

bool admin_cmd_clusters(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	json_t *list = admin_list(a, "clusters");
	const struct snapshot *s = router_current(gw->router);
	const char *name = words->n > 1 ? words->at[1] : "";
	uint64_t worker_us = gateway_worker_time(gw, loop_now_us());

	for (unsigned i = 0; i < s->config->n_clusters; i++) {
		if (strstr(s->clusters[i].config->name, name) != NULL)
			json_array_append_new(list, cluster_object(&s->clusters[i], worker_us));
	}
	if (json_array_size(list) == 0 && *name != '\0')
		return admin_end(a, ADMIN_CODE_FAILED, "no cluster has \"%s\" in its name", name);
	return true;
}

static json_t *cluster_numbers(const struct cluster *c)
{
	const struct cluster_state *s = c->state;

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i}", "cluster",
		c->config->name, "requests", (json_int_t)SUM(s, upstream_rq_total), "errors",
		(json_int_t)SUM(s, upstream_rq_xx[5]), "retries",
		(json_int_t)SUM(s, upstream_rq_retry), "rx_bytes",
		(json_int_t)SUM(s, upstream_cx_rx_bytes_total), "tx_bytes",
		(json_int_t)SUM(s, upstream_cx_tx_bytes_total), "active",
		(json_int_t)SUM(s, upstream_rq_active), "healthy", (int)cluster_n_healthy(c),
		"endpoints", (int)c->n_endpoints);
}

static json_t *worker_numbers(const struct gateway *gw, unsigned i)
{
	const struct dataplane_stats *s = worker_stats(gw->workers[i]);

	return json_pack("{s:i, s:I, s:I, s:I, s:I}", "worker", (int)i, "rx_packets",
		(json_int_t)stat_read(&s->rx_packets), "tx_packets",
		(json_int_t)stat_read(&s->tx_packets), "busy_cycles",
		(json_int_t)stat_read(&s->busy_cycles), "idle_cycles",
		(json_int_t)stat_read(&s->idle_cycles));
}

bool admin_cmd_counters(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	const struct snapshot *s = router_current(gw->router);
	json_t *clusters = json_array(), *workers = json_array();
	uint64_t requests = 0, completed = 0, n_requests, n_connections;

	(void)words;
	for (const struct hcm_state *h = router_first_hcm(gw->router); h != NULL; h = h->next) {
		for (unsigned w = 0; w < gw->n_workers; w++) {
			requests += stat_read(&h->stats[w].downstream_rq_total);
			completed += stat_read(&h->stats[w].downstream_rq_completed);
		}
	}
	for (unsigned i = 0; i < s->config->n_clusters; i++)
		json_array_append_new(clusters, cluster_numbers(&s->clusters[i]));
	for (unsigned i = 0; i < gw->n_workers; i++)
		json_array_append_new(workers, worker_numbers(gw, i));
	router_load(gw->router, &n_requests, &n_connections);
	a->body = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "time_us",
		(json_int_t)loop_now_us(), "requests", (json_int_t)requests, "completed",
		(json_int_t)completed, "active", (json_int_t)n_requests, "connections",
		(json_int_t)n_connections, "workers", workers, "clusters", clusters);
	return true;
}
