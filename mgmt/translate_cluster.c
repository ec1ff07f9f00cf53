// Clusters: what routes name, with the DestinationRule that holds for it
// (reference/istio-gateway.md, 3).
#include "mgmt/translate.h"

#include "dataplane/base/hash.h"

#include <string.h>

#define SECOND 1000000ull

// --- which clusters

static unsigned *index_slot(struct translation *t, const char *name)
{
	static const struct hash_key key = {1, 2};
	unsigned mask = t->cluster_index_size - 1;
	unsigned i = (unsigned)hash_bytes(&key, name, strlen(name)) & mask;

	while (t->cluster_index[i] != 0
		&& strcmp(t->clusters[t->cluster_index[i] - 1].name, name) != 0)
		i = (i + 1) & mask;
	return &t->cluster_index[i];
}

static void index_grow(struct translation *t)
{
	if (t->n_clusters * 2 < t->cluster_index_size)
		return;
	t->cluster_index_size = t->cluster_index_size > 0 ? t->cluster_index_size * 4 : 64;
	t->cluster_index = region_alloc(t->work, t->cluster_index_size * sizeof(*t->cluster_index));
	for (unsigned i = 0; i < t->n_clusters; i++)
		*index_slot(t, t->clusters[i].name) = i + 1;
}

const char *cluster_want(struct translation *t, const struct backend *b,
	const struct backend_port *port, const char *subset)
{
	const char *name =
		region_printf(t->out, "outbound|%u|%s|%s", port->number, subset, b->host);
	unsigned *slot;

	index_grow(t);
	slot = index_slot(t, name);
	if (*slot == 0) {
		t->clusters =
			region_grow(t->work, t->clusters, t->n_clusters, sizeof(*t->clusters));
		t->clusters[t->n_clusters] = (struct wanted_cluster){
			.name = name, .backend = b, .port = port, .subset = subset};
		*slot = ++t->n_clusters;
	}
	return t->clusters[*slot - 1].name;
}

// --- the rule (3.1)

// The rules of one level that hold for a host; they all have the same 'host' field. Good until the next ones are looked for.
struct rule_set {
	const struct destination_rule **at;
	unsigned n;
	const char *host; // complete
};

enum rule_level {
	RULE_OF_GATEWAY,
	RULE_OF_SERVICE,
	RULE_OF_ROOT,
	RULE_N_LEVELS,
};

static bool rule_is_in_level(const struct translation *t, const struct destination_rule *r,
	const struct backend *b, enum rule_level level)
{
	const char *own = r->document.namespace, *gateway = t->appliance->namespace;
	const char *root = t->mesh->root_namespace;
	const struct destination_rule_spec *spec = r->spec;
	bool private = spec->n_export_to == 1 && strcmp(spec->export_to[0], ".") == 0;

	if (!is_exported(spec->export_to, spec->n_export_to, own, gateway))
		return false;
	switch (level) {
	case RULE_OF_GATEWAY:
		return strcmp(own, gateway) == 0 && (strcmp(gateway, root) != 0 || private);
	case RULE_OF_SERVICE: return strcmp(own, b->namespace) == 0;
	case RULE_OF_ROOT: return strcmp(own, root) == 0;
	case RULE_N_LEVELS: break;
	}
	return false;
}

// An exact host before any wildcard, a longer wildcard before a shorter one.
static bool is_more_specific(const char *host, const char *than)
{
	if (than == NULL || (host[0] == '*') != (than[0] == '*'))
		return than == NULL || host[0] != '*';
	return strlen(host) > strlen(than);
}

// Completed once: for each cluster anew they would take more memory than all else.
static void complete_rule_hosts(struct translation *t)
{
	const struct manifest *m = t->m;
	unsigned n = m->of[KIND_DESTINATION_RULE].n;

	t->rule_hosts = region_alloc(t->work, (n + 1) * sizeof(*t->rule_hosts));
	t->rules_found = region_alloc(t->work, (n + 1) * sizeof(*t->rules_found));
	for (unsigned i = 0; i < n; i++) {
		const struct destination_rule *r =
			(struct destination_rule *)m->of[KIND_DESTINATION_RULE].at[i];

		if (r->spec != NULL)
			t->rule_hosts[i] =
				host_complete(t->work, r->spec->host, r->document.namespace);
	}
}

static void find_rules(struct translation *t, const struct backend *b, struct rule_set *set)
{
	const struct manifest *m = t->m;

	if (t->rule_hosts == NULL)
		complete_rule_hosts(t);

	*set = (struct rule_set){.at = t->rules_found};
	for (unsigned level = 0; level < RULE_N_LEVELS && set->n == 0; level++) {
		for (unsigned i = 0; i < m->of[KIND_DESTINATION_RULE].n; i++) {
			const struct destination_rule *r =
				(struct destination_rule *)m->of[KIND_DESTINATION_RULE].at[i];
			const char *host = t->rule_hosts[i];

			if (r->spec == NULL || !host_covers(host, b->host)
				|| !rule_is_in_level(t, r, b, (enum rule_level)level))
				continue;
			if (is_more_specific(host, set->host)) {
				set->n = 0;
				set->host = host;
			}
			if (strcmp(host, set->host) == 0)
				set->at[set->n++] = r;
		}
	}
}

static const struct subset *find_subset(const struct rule_set *set, const char *name)
{
	for (unsigned r = 0; r < set->n; r++) {
		const struct destination_rule_spec *spec = set->at[r]->spec;

		for (unsigned i = 0; i < spec->n_subsets; i++) {
			if (strcmp(spec->subsets[i].name, name) == 0)
				return &spec->subsets[i];
		}
	}
	return NULL;
}

bool cluster_has_subset(struct translation *t, const struct backend *b, const char *subset)
{
	struct rule_set set;

	find_rules(t, b, &set);
	return find_subset(&set, subset) != NULL;
}

// --- the policy (3.2)

struct blocks {
	const struct load_balancer *load_balancer;
	const struct connection_pool *pool;
	const struct outlier_detection *outlier;
	const struct proxy_header_spec *proxy_protocol;
};

// The blocks 'p' has replace those of 'to'; its settings for the port replace all that ports have, absent ones too.
static void apply_policy(const struct traffic_policy *p, uint32_t port, struct blocks *to)
{
	if (p == NULL)
		return;
	if (p->load_balancer != NULL)
		to->load_balancer = p->load_balancer;
	if (p->connection_pool != NULL)
		to->pool = p->connection_pool;
	if (p->outlier != NULL)
		to->outlier = p->outlier;
	if (p->proxy_protocol != NULL)
		to->proxy_protocol = p->proxy_protocol;
	for (unsigned i = 0; i < p->n_ports; i++) {
		const struct port_policy *pp = &p->ports[i];

		if (pp->port == NULL || pp->port->number != port)
			continue;
		to->load_balancer = pp->load_balancer;
		to->pool = pp->connection_pool;
		to->outlier = pp->outlier;
		break;
	}
}

static uint32_t or_no_limit(uint32_t limit)
{
	return limit > 0 ? limit : UINT32_MAX;
}

static struct tcp_keepalive translate_keepalive(const struct keepalive *k)
{
	if (k == NULL)
		return (struct tcp_keepalive){0};
	return (struct tcp_keepalive){.time_s = (uint32_t)(k->time_us / SECOND),
		.interval_s = (uint32_t)(k->interval_us / SECOND),
		.probes = k->probes};
}

static void translate_pool(
	const struct translation *t, const struct connection_pool *pool, struct cluster_config *to)
{
	const struct pool_tcp *tcp = pool != NULL ? pool->tcp : NULL;
	const struct pool_http *http = pool != NULL ? pool->http : NULL;

	to->connect_timeout_us = tcp != NULL && tcp->connect_timeout_us > 0
		? tcp->connect_timeout_us
		: t->mesh->connect_timeout_us;
	to->keepalive = translate_keepalive(
		tcp != NULL && tcp->keepalive != NULL ? tcp->keepalive : t->mesh->keepalive);
	to->idle_timeout_us = object_has(http, "idleTimeout") ? http->idle_timeout_us
		: object_has(tcp, "idleTimeout")              ? tcp->idle_timeout_us
							      : 3600 * SECOND;
	to->max_connections = or_no_limit(tcp != NULL ? tcp->max_connections : 0);
	to->max_pending_requests = or_no_limit(http != NULL ? http->max_pending_requests : 0);
	to->max_requests = or_no_limit(http != NULL ? http->max_requests : 0);
	to->max_retries = or_no_limit(http != NULL ? http->max_retries : 0);
	to->max_requests_per_connection = http != NULL ? http->max_requests_per_connection : 0;
	if (http != NULL && http->keepalive != NULL) {
		to->ping_interval_us = http->keepalive->interval_us;
		to->ping_timeout_us = http->keepalive->timeout_us;
	}
}

// Reference 3.3: useClientProtocol wins over the port's protocol, which needs no upgrade.
static void translate_protocol(const struct translation *t, const struct wanted_cluster *c,
	const struct pool_http *http, struct cluster_config *to)
{
	int upgrade = http != NULL ? http->h2_upgrade : H2_UPGRADE_DEFAULT;

	if (upgrade == H2_UPGRADE_DEFAULT)
		upgrade = t->mesh->h2_upgrade;
	if (http != NULL && http->use_client_protocol)
		to->protocol = CLUSTER_PROTOCOL_CLIENTS;
	else if (c->port->http2 || upgrade == H2_UPGRADE_YES)
		to->protocol = CLUSTER_HTTP_2;
	to->max_concurrent_streams = http != NULL ? http->max_concurrent_streams : 0;
}

// Reference 3.6, "Translation".
static void translate_outlier(
	const struct translation *t, const struct outlier_detection *o, struct cluster_config *to)
{
	if (o == NULL)
		return;
	to->panic_threshold_percent = o->min_health_percent;
	to->outlier = (struct outlier_config){
		.enabled = true,
		.consecutive_5xx = o->consecutive_5xx,
		.consecutive_gateway = o->consecutive_gateway,
		.interval_us = o->interval_us,
		.base_ejection_us = o->base_ejection_us,
		.max_ejection_us =
			o->base_ejection_us > 300 * SECOND ? o->base_ejection_us : 300 * SECOND,
		.max_ejection_percent = o->max_ejection_percent > 0 ? o->max_ejection_percent : 10,
		.always_eject_one = t->appliance->always_eject_one,
	};
}

static void translate_cluster(
	struct translation *t, const struct wanted_cluster *c, struct cluster_config *to)
{
	struct rule_set set;
	struct blocks blocks = {0};
	const struct subset *subset;

	find_rules(t, c->backend, &set);
	for (unsigned i = 0; i < set.n; i++) {
		if (set.at[i]->spec->policy == NULL)
			continue;
		apply_policy(set.at[i]->spec->policy, c->port->number, &blocks);
		break;
	}
	subset = c->subset[0] != '\0' ? find_subset(&set, c->subset) : NULL;
	if (subset != NULL)
		apply_policy(subset->policy, c->port->number, &blocks);

	to->name = c->name;
	to->service_host = c->backend->host;
	to->service_name = c->backend->name;
	to->service_namespace = region_strdup(t->out, c->backend->namespace);
	to->lb = blocks.load_balancer != NULL ? (enum lb_policy)blocks.load_balancer->simple
					      : LB_LEAST_REQUEST;
	translate_pool(t, blocks.pool, to);
	translate_protocol(t, c, blocks.pool != NULL ? blocks.pool->http : NULL, to);
	translate_outlier(t, blocks.outlier, to);
	if (blocks.proxy_protocol != NULL)
		to->proxy_version = (uint8_t)blocks.proxy_protocol->version;
	backend_endpoints(t, c, subset != NULL ? subset->labels : NULL,
		subset != NULL ? subset->n_labels : 0, to);
}

void translate_clusters(struct translation *t)
{
	struct cluster_config *at = region_alloc(t->out, t->n_clusters * sizeof(*at));

	for (unsigned i = 0; i < t->n_clusters; i++)
		translate_cluster(t, &t->clusters[i], &at[i]);
	t->router->clusters = at;
	t->router->n_clusters = t->n_clusters;
}
