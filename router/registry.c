#include "router/registry.h"

#include <stdlib.h>
#include <string.h>

struct name {
	struct name *next;
	char text[];
};

static struct hcm_state *first_hcm;
static struct listener_state *first_listener;
static struct name *first_name;

// The counters of each worker start on a cache line of their own.
static void *per_worker(size_t size, unsigned n_workers)
{
	size_t bytes = (size * n_workers + 63) / 64 * 64;
	void *memory = aligned_alloc(64, bytes);

	if (memory != NULL)
		memset(memory, 0, bytes);
	return memory;
}

struct hcm_state *registry_hcm(const char *stat_prefix, unsigned n_workers)
{
	struct hcm_state *h;

	for (h = first_hcm; h != NULL; h = h->next) {
		if (strcmp(h->stat_prefix, stat_prefix) == 0)
			return h;
	}
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return NULL;
	h->stat_prefix = strdup(stat_prefix);
	h->stats = per_worker(sizeof(*h->stats), n_workers);
	if (h->stat_prefix == NULL || h->stats == NULL) {
		free(h->stat_prefix);
		free(h->stats);
		free(h);
		return NULL;
	}
	h->next = first_hcm;
	__atomic_store_n(&first_hcm, h, __ATOMIC_RELEASE);
	return h;
}

struct listener_state *registry_listener(const char *name, unsigned n_workers)
{
	struct listener_state *l;

	for (l = first_listener; l != NULL; l = l->next) {
		if (strcmp(l->name, name) == 0)
			return l;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->name = strdup(name);
	l->stats = per_worker(sizeof(*l->stats), n_workers);
	if (l->name == NULL || l->stats == NULL) {
		free(l->name);
		free(l->stats);
		free(l);
		return NULL;
	}
	l->next = first_listener;
	__atomic_store_n(&first_listener, l, __ATOMIC_RELEASE);
	return l;
}

const char *registry_name(const char *name)
{
	struct name *n;

	for (n = first_name; n != NULL; n = n->next) {
		if (strcmp(n->text, name) == 0)
			return n->text;
	}
	n = malloc(sizeof(*n) + strlen(name) + 1);
	if (n == NULL)
		return NULL;
	memcpy(n->text, name, strlen(name) + 1);
	n->next = first_name;
	first_name = n;
	return n->text;
}

const struct hcm_state *registry_first_hcm(void)
{
	return __atomic_load_n(&first_hcm, __ATOMIC_ACQUIRE);
}

const struct listener_state *registry_first_listener(void)
{
	return __atomic_load_n(&first_listener, __ATOMIC_ACQUIRE);
}
