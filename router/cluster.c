#include "router/cluster.h"

#include "router/lb.h"
#include "router/outlier.h"
#include "router/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *aligned_zeroed(size_t size)
{
	void *p = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

static void state_unref(struct cluster_state *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	assert(atomic_load(&s->connections) == 0 && atomic_load(&s->pending) == 0);
	assert(atomic_load(&s->requests) == 0 && atomic_load(&s->retries) == 0);
	free(s->name);
	free(s->stats);
	free(s);
}

static struct cluster_state *state_new(const char *name, unsigned n_workers)
{
	struct cluster_state *s = aligned_zeroed(sizeof(*s));

	if (s == NULL)
		return NULL;
	s->refs = 1;
	s->n_workers = n_workers;
	s->name = strdup(name);
	s->stats = aligned_zeroed(sizeof(*s->stats) * n_workers);
	if (s->name == NULL || s->stats == NULL) {
		state_unref(s);
		return NULL;
	}
	return s;
}

static void endpoint_unref(struct endpoint *e, unsigned n_workers)
{
	if (e == NULL || --e->refs > 0)
		return;
	// A request of an older configuration may have ejected it after it left.
	outlier_forget(e->cluster, e);
	upstream_pools_free(&e->pools, n_workers);
	free(e);
}

static struct endpoint *endpoint_new(
	const struct ip_endpoint *address, struct cluster_state *state, unsigned n_workers)
{
	struct endpoint *e = aligned_zeroed(sizeof(*e));

	if (e == NULL)
		return NULL;
	e->refs = 1;
	e->address = *address;
	e->cluster = state;
	e->text_len = (uint32_t)ip_endpoint_print(address, e->text);
	e->pools = upstream_pools_new(e, n_workers);
	if (e->pools == NULL) {
		free(e);
		return NULL;
	}
	return e;
}

// Most reloads change nothing in a cluster, so the same position is tried first.
static struct endpoint *find_endpoint(
	const struct cluster *c, const struct ip_endpoint *address, unsigned guess)
{
	if (c == NULL)
		return NULL;
	for (unsigned i = 0; i < c->n_endpoints; i++) {
		struct endpoint *e = c->endpoints[(guess + i) % c->n_endpoints];

		if (e != NULL && e->address.port == address->port
			&& ip_addr_equal(&e->address.addr, &address->addr))
			return e;
	}
	return NULL;
}

// One generator state for each worker, on a cache line of its own, with the credits of weighted round robin behind it.
static struct lb_state *lb_state_new(unsigned n_endpoints, bool equal_weights)
{
	size_t n_credits = equal_weights ? 0 : n_endpoints;
	struct lb_state *lb = aligned_zeroed(CACHE_LINE + n_credits * sizeof(uint32_t));

	_Static_assert(sizeof(struct lb_state) <= CACHE_LINE, "credits follow the state");
	if (lb != NULL && n_credits > 0) {
		lb->credits = (uint32_t *)(void *)((char *)lb + CACHE_LINE);
		lb->n_credits = (uint32_t)n_credits;
	}
	return lb;
}

int cluster_init(struct cluster *c, const struct cluster_config *config, unsigned index,
	const struct cluster *previous, unsigned n_workers)
{
	unsigned n = config->n_endpoints;

	*c = (struct cluster){
		.config = config, .index = index, .n_workers = n_workers, .equal_weights = true};
	if (previous != NULL) {
		c->state = previous->state;
		c->state->refs++;
	} else {
		c->state = state_new(config->name, n_workers);
	}
	c->endpoints = calloc(n + 1, sizeof(*c->endpoints));
	c->weights = calloc(n + 1, sizeof(*c->weights));
	c->lb = calloc(n_workers, sizeof(struct lb_state *));
	if (c->state == NULL || c->endpoints == NULL || c->weights == NULL || c->lb == NULL)
		return -ENOMEM;
	c->n_endpoints = n;
	for (unsigned i = 0; i < n; i++) {
		const struct endpoint_config *e = &config->endpoints[i];

		c->weights[i] = e->weight;
		c->equal_weights &= e->weight == config->endpoints[0].weight;
		c->endpoints[i] = find_endpoint(previous, &e->address, i);
		if (c->endpoints[i] != NULL)
			c->endpoints[i]->refs++;
		else
			c->endpoints[i] = endpoint_new(&e->address, c->state, n_workers);
		if (c->endpoints[i] == NULL)
			return -ENOMEM;
	}
	for (unsigned w = 0; w < n_workers; w++) {
		c->lb[w] = lb_state_new(n, c->equal_weights);
		if (c->lb[w] == NULL)
			return -ENOMEM;
	}
	return 0;
}

void cluster_activate(struct cluster *c, const struct cluster *previous, uint64_t generation)
{
	for (unsigned i = 0; i < c->n_endpoints; i++) {
		struct endpoint *e = c->endpoints[i];

		atomic_store_explicit(&e->generation, generation, memory_order_relaxed);
		atomic_store_explicit(&e->position, i, memory_order_relaxed);
		if (c->config->endpoints[i].healthy)
			atomic_fetch_and(&e->health, ~(unsigned)ENDPOINT_FAILED_EDS);
		else
			atomic_fetch_or(&e->health, ENDPOINT_FAILED_EDS);
	}
	if (previous == NULL)
		return;
	for (unsigned i = 0; i < previous->n_endpoints; i++) {
		struct endpoint *e = previous->endpoints[i];

		if (e->generation != generation || !c->config->outlier.enabled)
			outlier_forget(c->state, e);
	}
}

void cluster_fini(struct cluster *c)
{
	for (unsigned i = 0; i < c->n_endpoints; i++)
		endpoint_unref(c->endpoints[i], c->n_workers);
	for (unsigned w = 0; c->lb != NULL && w < c->n_workers; w++)
		free(c->lb[w]);
	state_unref(c->state);
	free(c->lb);
	free(c->endpoints);
	free(c->weights);
	*c = (struct cluster){0};
}

unsigned cluster_n_healthy(const struct cluster *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_endpoints; i++)
		n += endpoint_is_healthy(c->endpoints[i]);
	return n;
}

const struct endpoint_config *cluster_endpoint_config(
	const struct cluster *c, const struct endpoint *e)
{
	unsigned guess = atomic_load_explicit(&e->position, memory_order_relaxed);

	if (guess < c->n_endpoints && c->endpoints[guess] == e)
		return &c->config->endpoints[guess];
	for (unsigned i = 0; i < c->n_endpoints; i++) {
		if (c->endpoints[i] == e)
			return &c->config->endpoints[i];
	}
	return NULL;
}
