#include "router/snapshot.h"

#include "dataplane/base/hash.h"
#include "router/registry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Cluster names come from the operator, not from strangers: any key will do.
static const struct hash_key name_key = {0x706f6c6c67617465, 0x636c757374657273};

static bool fail(char error[SNAPSHOT_ERROR_SIZE], const char *what, const char *why)
{
	snprintf(error, SNAPSHOT_ERROR_SIZE, "%s: %s", what, why);
	return false;
}

static bool build_tables(struct snapshot *s, char error[SNAPSHOT_ERROR_SIZE])
{
	const struct router_config *config = s->config;
	char why[256] = "";

	s->tables = calloc(config->n_route_tables + 1, sizeof(struct route_table *));
	if (s->tables == NULL)
		return fail(error, "routes", "out of memory");
	for (unsigned i = 0; i < config->n_route_tables; i++) {
		s->tables[i] = route_table_new(&config->route_tables[i], why);
		if (s->tables[i] == NULL)
			return fail(error, config->route_tables[i].name, why);
		for (unsigned w = 0; w < s->n_workers; w++) {
			if (route_scratch_prepare(&s->scratch[w], s->tables[i]) != 0)
				return fail(error, config->route_tables[i].name, "out of memory");
		}
	}
	return true;
}

static bool build_clusters(
	struct snapshot *s, const struct snapshot *previous, char error[SNAPSHOT_ERROR_SIZE])
{
	const struct router_config *config = s->config;
	uint32_t size = 2;

	while (size < 2 * config->n_clusters)
		size *= 2;
	s->cluster_mask = size - 1;
	s->cluster_index = calloc(size, sizeof(*s->cluster_index));
	s->clusters = calloc(config->n_clusters + 1, sizeof(*s->clusters));
	if (s->cluster_index == NULL || s->clusters == NULL)
		return fail(error, "clusters", "out of memory");
	for (unsigned i = 0; i < config->n_clusters; i++) {
		struct bytes name = bytes_of_str(config->clusters[i].name);
		uint32_t at = (uint32_t)hash_bytes(&name_key, name.ptr, name.len);

		if (cluster_init(&s->clusters[i], &config->clusters[i], i,
			    previous != NULL ? snapshot_cluster(previous, name) : NULL,
			    s->n_workers)
			!= 0)
			return fail(error, config->clusters[i].name, "out of memory");
		while (s->cluster_index[at & s->cluster_mask] != 0)
			at++;
		s->cluster_index[at & s->cluster_mask] = i + 1;
	}
	return true;
}

static bool build_tls(
	struct listener_view *v, const struct listener_config *l, char error[SNAPSHOT_ERROR_SIZE])
{
	struct tls_chain_config *chains = calloc(l->n_chains + 1, sizeof(*chains));
	char why[TLS_ERROR_SIZE] = "out of memory";

	if (chains != NULL) {
		for (unsigned i = 0; i < l->n_chains; i++) {
			chains[i] = l->chains[i].tls;
			chains[i].index = i;
		}
		v->tls = tls_server_new(
			&(struct tls_server_config){.chains = chains, .n_chains = l->n_chains},
			why);
		free(chains);
	}
	return v->tls != NULL || fail(error, l->name, why);
}

static bool build_listeners(struct snapshot *s, char error[SNAPSHOT_ERROR_SIZE])
{
	const struct router_config *config = s->config;

	s->listeners = calloc(config->n_listeners + 1, sizeof(*s->listeners));
	if (s->listeners == NULL)
		return fail(error, "listeners", "out of memory");
	for (unsigned i = 0; i < config->n_listeners; i++) {
		const struct listener_config *l = &config->listeners[i];
		struct listener_view *v = &s->listeners[i];

		v->config = l;
		v->state = registry_listener(l->name, s->n_workers);
		v->hcm = calloc(l->n_chains + 1, sizeof(struct hcm_state *));
		v->table_names = calloc(l->n_chains + 1, sizeof(const char *));
		if (v->state == NULL || v->hcm == NULL || v->table_names == NULL)
			return fail(error, l->name, "out of memory");
		for (unsigned k = 0; k < l->n_chains; k++) {
			const struct route_table_config *t =
				&config->route_tables[l->chains[k].route_table];

			v->hcm[k] = registry_hcm(l->chains[k].stat_prefix, s->n_workers);
			v->table_names[k] = registry_name(t->name);
			if (v->hcm[k] == NULL || v->table_names[k] == NULL)
				return fail(error, l->name, "out of memory");
		}
		if (l->tls && !build_tls(v, l, error))
			return false;
	}
	return true;
}

static bool build_log_format(struct snapshot *s, char error[SNAPSHOT_ERROR_SIZE])
{
	const struct access_log_config *config = &s->config->access_log;
	char why[256] = "";

	if (!config->enabled)
		return true;
	s->log_format = access_log_format_new(config->format, config->json, why);
	return s->log_format != NULL || fail(error, "access log format", why);
}

struct snapshot *snapshot_new(struct router_config **config, const struct snapshot *previous,
	unsigned n_workers, char error[SNAPSHOT_ERROR_SIZE])
{
	struct snapshot *s = aligned_alloc(CACHE_LINE, sizeof(*s));

	assert(n_workers > 0 && n_workers <= SNAPSHOT_MAX_WORKERS);
	error[0] = '\0';
	if (s == NULL) {
		fail(error, "snapshot", "out of memory");
		router_config_free(config);
		return NULL;
	}
	memset(s, 0, sizeof(*s));
	s->config = *config;
	*config = NULL;
	s->n_workers = n_workers;
	s->generation = previous != NULL ? previous->generation + 1 : 1;
	if (!build_tables(s, error) || !build_clusters(s, previous, error)
		|| !build_listeners(s, error) || !build_log_format(s, error))
		snapshot_free(&s);
	return s;
}

void snapshot_free(struct snapshot **sp)
{
	struct snapshot *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (unsigned i = 0; s->listeners != NULL && i < s->config->n_listeners; i++) {
		tls_server_unref(&s->listeners[i].tls);
		free(s->listeners[i].hcm);
		free(s->listeners[i].table_names);
	}
	for (unsigned i = 0; s->clusters != NULL && i < s->config->n_clusters; i++)
		cluster_fini(&s->clusters[i]);
	for (unsigned i = 0; s->tables != NULL && i < s->config->n_route_tables; i++)
		route_table_free(&s->tables[i]);
	for (unsigned w = 0; w < s->n_workers; w++)
		route_scratch_free(&s->scratch[w]);
	access_log_format_free(&s->log_format);
	free(s->listeners);
	free(s->clusters);
	free(s->cluster_index);
	free(s->tables);
	router_config_free(&s->config);
	free(s);
}

void snapshot_activate(struct snapshot *s, const struct snapshot *previous)
{
	for (unsigned i = 0; i < s->config->n_clusters; i++) {
		struct cluster *c = &s->clusters[i];

		cluster_activate(c,
			previous != NULL ? snapshot_cluster(previous, bytes_of_str(c->config->name))
					 : NULL,
			s->generation);
	}
}

const struct cluster *snapshot_cluster(const struct snapshot *s, struct bytes name)
{
	uint32_t at = (uint32_t)hash_bytes(&name_key, name.ptr, name.len);

	for (;; at++) {
		uint32_t i = s->cluster_index[at & s->cluster_mask];

		if (i == 0)
			return NULL;
		if (bytes_equal_str(name, s->clusters[i - 1].config->name))
			return &s->clusters[i - 1];
	}
}

bool snapshot_is_unused(const struct snapshot *s)
{
	for (unsigned w = 0; w < s->n_workers; w++) {
		if (atomic_load_explicit(&s->pins[w].n, memory_order_acquire) != 0)
			return false;
	}
	return true;
}
