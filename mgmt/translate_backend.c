// Services and ServiceEntries as one list of backends, and their endpoints
// (reference/istio-gateway.md, 4).
#include "mgmt/translate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SERVICE_NAME_LABEL "kubernetes.io/service-name"

// --- backends

static struct backend *add_backend(struct translation *t)
{
	t->backends = region_grow(t->work, t->backends, t->n_backends, sizeof(*t->backends));
	t->backends[t->n_backends] = (struct backend){0};
	return &t->backends[t->n_backends++];
}

// True for the protocols that are HTTP/2 (reference 3.3): alone, or as what a port's name begins with.
static bool is_http2(const char *protocol)
{
	static const char *const names[] = {"http2", "grpc", "grpc-web", "kubernetes.io/h2c"};

	for (unsigned i = 0; i < COUNT_OF(names); i++) {
		size_t len = strlen(names[i]);

		if (strncasecmp(protocol, names[i], len) == 0
			&& (protocol[len] == '\0' || protocol[len] == '-'))
			return true;
	}
	return false;
}

static void add_service(struct translation *t, const struct service *s)
{
	struct backend *b = add_backend(t);

	b->name = s->document.name;
	b->namespace = s->document.namespace;
	b->host = host_complete(t->out, b->name, b->namespace);
	b->service = s;
	b->ports = region_alloc(t->work, s->spec->n_ports * sizeof(*b->ports));
	for (unsigned i = 0; i < s->spec->n_ports; i++) {
		const struct service_port *p = &s->spec->ports[i];

		if (strcmp(p->protocol, "UDP") != 0)
			b->ports[b->n_ports++] = (struct backend_port){.number = p->port,
				.name = p->name,
				.http2 = is_http2(
					p->app_protocol[0] != '\0' ? p->app_protocol : p->name)};
	}
}

static void add_service_entry(struct translation *t, const struct service_entry *e)
{
	for (unsigned h = 0; h < e->spec->n_hosts; h++) {
		struct backend *b = add_backend(t);

		b->name = e->spec->hosts[h];
		b->namespace = e->document.namespace;
		b->host = region_lower(t->out, e->spec->hosts[h]);
		b->entry = e;
		b->ports = region_alloc(t->work, e->spec->n_ports * sizeof(*b->ports));
		for (unsigned i = 0; i < e->spec->n_ports; i++) {
			const struct service_entry_port *p = &e->spec->ports[i];

			b->ports[b->n_ports++] = (struct backend_port){.number = p->number,
				.target = p->target_port,
				.name = p->name,
				.http2 = is_http2(p->protocol)};
		}
	}
}

// A Service before a ServiceEntry of the same host: it is the one that counts.
static int compare_backends(const void *va, const void *vb)
{
	const struct backend *a = va, *b = vb;
	int order = strcmp(a->host, b->host);

	if (order == 0)
		order = (a->service == NULL) - (b->service == NULL);
	if (order == 0)
		order = strcmp(a->namespace, b->namespace);
	return order;
}

static const char *slice_service(const struct endpoint_slice *s)
{
	const struct metadata *m = s->document.metadata;
	const char *name =
		m != NULL ? key_value_get(m->labels, m->n_labels, SERVICE_NAME_LABEL) : NULL;

	return name != NULL ? name : "";
}

static int compare_slice_key(
	const struct endpoint_slice *s, const char *namespace, const char *service)
{
	int order = strcmp(s->document.namespace, namespace);

	return order != 0 ? order : strcmp(slice_service(s), service);
}

static int compare_slices(const void *va, const void *vb)
{
	const struct endpoint_slice *a = *(struct endpoint_slice *const *)va;
	const struct endpoint_slice *b = *(struct endpoint_slice *const *)vb;
	int order = compare_slice_key(a, b->document.namespace, slice_service(b));

	return order != 0 ? order : strcmp(a->document.name, b->document.name);
}

// The metadata's labels are merged over those of the spec (reference 4.2): the first of a key counts.
static void merge_labels(struct translation *t, struct workload_entry *e)
{
	const struct metadata *m = e->document.metadata;
	unsigned n = 0;
	struct key_value *all;

	if (e->spec == NULL || m == NULL || m->n_labels == 0)
		return;
	all = region_alloc(t->work, (m->n_labels + e->spec->n_labels) * sizeof(*all));
	for (unsigned i = 0; i < m->n_labels; i++)
		all[n++] = m->labels[i];
	for (unsigned i = 0; i < e->spec->n_labels; i++)
		all[n++] = e->spec->labels[i];
	e->spec->labels = all;
	e->spec->n_labels = n;
}

void translate_backends(struct translation *t)
{
	const struct manifest *m = t->m;

	for (unsigned i = 0; i < m->of[KIND_WORKLOAD_ENTRY].n; i++)
		merge_labels(t, (struct workload_entry *)m->of[KIND_WORKLOAD_ENTRY].at[i]);

	for (unsigned i = 0; i < m->of[KIND_SERVICE].n; i++) {
		const struct service *s = (struct service *)m->of[KIND_SERVICE].at[i];

		if (s->spec != NULL)
			add_service(t, s);
	}
	for (unsigned i = 0; i < m->of[KIND_SERVICE_ENTRY].n; i++) {
		const struct service_entry *e =
			(struct service_entry *)m->of[KIND_SERVICE_ENTRY].at[i];

		if (e->spec != NULL
			&& is_exported(e->spec->export_to, e->spec->n_export_to,
				e->document.namespace, t->appliance->namespace))
			add_service_entry(t, e);
	}
	if (t->n_backends > 1)
		qsort(t->backends, t->n_backends, sizeof(*t->backends), compare_backends);

	t->slices = region_alloc(t->work, m->of[KIND_ENDPOINT_SLICE].n * sizeof(*t->slices));
	for (unsigned i = 0; i < m->of[KIND_ENDPOINT_SLICE].n; i++)
		t->slices[t->n_slices++] =
			(struct endpoint_slice *)m->of[KIND_ENDPOINT_SLICE].at[i];
	if (t->n_slices > 1)
		qsort(t->slices, t->n_slices, sizeof(*t->slices), compare_slices);
}

const struct backend *backend_find(const struct translation *t, const char *host)
{
	unsigned low = 0, high = t->n_backends;

	// The first of its host.
	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (strcmp(t->backends[middle].host, host) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < t->n_backends && strcmp(t->backends[low].host, host) == 0)
		return &t->backends[low];
	return NULL;
}

// --- endpoints

struct endpoint_list {
	struct translation *t;
	struct endpoint_config *at;
	unsigned n;
};

struct labels {
	const struct key_value *at;
	unsigned n;
};

// What Istio's metrics call the workload behind an endpoint.
static const char *workload_name(struct labels labels)
{
	static const char *const keys[] = {
		"service.istio.io/workload-name", "app.kubernetes.io/name", "app"};

	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		const char *name = key_value_get(labels.at, labels.n, keys[i]);

		if (name != NULL)
			return name;
	}
	return "";
}

static void add_endpoint(struct endpoint_list *list, const char *address, uint32_t port,
	uint32_t weight, bool healthy, struct labels labels, const char *namespace)
{
	struct endpoint_config e = {.weight = weight > 0 ? weight : 1, .healthy = healthy};

	if (!ip_addr_parse(address, &e.address.addr))
		return;
	e.address.port = (uint16_t)port;
	e.workload = workload_name(labels);
	e.namespace = region_strdup(list->t->out, namespace);
	list->at = region_grow(list->t->out, list->at, list->n, sizeof(*list->at));
	list->at[list->n++] = e;
}

static struct labels document_labels(const struct document *o)
{
	if (o == NULL || o->metadata == NULL)
		return (struct labels){0};
	return (struct labels){o->metadata->labels, o->metadata->n_labels};
}

// An endpoint's labels are its Pod's; without the Pod in the files, its slice's.
static struct labels endpoint_labels(
	const struct translation *t, const struct endpoint_slice *s, const struct slice_endpoint *e)
{
	const struct document *pod = NULL;

	if (e->target != NULL && strcmp(e->target->kind, "Pod") == 0)
		pod = manifest_find(t->m, KIND_POD,
			e->target->namespace[0] != '\0' ? e->target->namespace
							: s->document.namespace,
			e->target->name);
	return document_labels(pod != NULL ? pod : &s->document);
}

static const struct slice_port *slice_port(const struct endpoint_slice *s, const char *name)
{
	for (unsigned i = 0; i < s->n_ports; i++) {
		if (strcmp(s->ports[i].name, name) == 0 && strcmp(s->ports[i].protocol, "UDP") != 0)
			return &s->ports[i];
	}
	return NULL;
}

// In a cluster of both families each Service has slices of either, and Istio leaves out what a proxy cannot reach. What
// addresses the kernel has on a shared port is not known here.
static bool is_reachable(const struct translation *t, const struct endpoint_slice *s)
{
	const struct appliance *a = t->appliance;
	bool is_v6 = strcmp(s->address_type, "IPv6") == 0, found = a->n_ports == 0;

	for (unsigned i = 0; i < a->n_ports; i++) {
		found |= a->ports[i].shared;
		for (unsigned k = 0; k < a->ports[i].n_addresses; k++)
			found |= ip_addr_is_v4(&a->ports[i].addresses[k]) != is_v6;
	}
	if (!found)
		tree_field_warning(t->d, s->document.node, "addressType",
			"no port has an %s address; these endpoints are left out", s->address_type);
	return found;
}

static void add_slice(struct endpoint_list *list, const struct endpoint_slice *s,
	const struct backend *b, const struct backend_port *port, struct labels subset)
{
	const struct slice_port *p = slice_port(s, port->name);

	if (p == NULL || !is_reachable(list->t, s))
		return;
	for (unsigned i = 0; i < s->n_endpoints; i++) {
		const struct slice_endpoint *e = &s->endpoints[i];
		struct labels labels = endpoint_labels(list->t, s, e);
		bool ready = e->conditions == NULL || e->conditions->ready
			|| b->service->spec->publish_not_ready;

		if (e->conditions != NULL && e->conditions->terminating)
			continue;
		if (e->n_addresses > 0
			&& key_values_include(labels.at, labels.n, subset.at, subset.n))
			add_endpoint(list, e->addresses[0], p->port, 1, ready, labels,
				s->document.namespace);
	}
}

static void add_workload(struct endpoint_list *list, const struct workload *w, struct labels labels,
	const struct backend_port *port, struct labels subset, const char *namespace)
{
	const struct node *own = tree_get(w->ports, port->name);
	uint64_t number = port->target != 0 ? port->target : port->number;

	if (own != NULL && (!number_parse(own->text, &number) || number == 0 || number > 65535))
		return;
	if (key_values_include(labels.at, labels.n, subset.at, subset.n))
		add_endpoint(
			list, w->address, (uint32_t)number, w->weight, true, labels, namespace);
}

// WorkloadEntries of the namespace that a selector picks.
static void add_selected(struct endpoint_list *list, const struct backend *b,
	const struct key_value *selector, unsigned n_selector, const struct backend_port *port,
	struct labels subset)
{
	const struct manifest *m = list->t->m;

	for (unsigned i = 0; n_selector > 0 && i < m->of[KIND_WORKLOAD_ENTRY].n; i++) {
		const struct workload_entry *e =
			(struct workload_entry *)m->of[KIND_WORKLOAD_ENTRY].at[i];
		struct labels labels;

		if (e->spec == NULL || strcmp(e->document.namespace, b->namespace) != 0)
			continue;
		labels = (struct labels){e->spec->labels, e->spec->n_labels};
		if (key_values_include(labels.at, labels.n, selector, n_selector))
			add_workload(list, e->spec, labels, port, subset, b->namespace);
	}
}

static int compare_endpoints(const void *va, const void *vb)
{
	const struct endpoint_config *a = va, *b = vb;
	int order = memcmp(a->address.addr.b, b->address.addr.b, sizeof(a->address.addr.b));

	if (order == 0)
		order = (int)a->address.port - (int)b->address.port;
	// Of two slices that name an address, the one that says it is ready.
	return order != 0 ? order : (int)b->healthy - (int)a->healthy;
}

static void drop_duplicates(struct endpoint_list *list)
{
	unsigned kept = 0;

	if (list->n > 1)
		qsort(list->at, list->n, sizeof(*list->at), compare_endpoints);
	for (unsigned i = 0; i < list->n; i++) {
		const struct ip_endpoint *a = &list->at[i].address;
		const struct ip_endpoint *last = kept > 0 ? &list->at[kept - 1].address : NULL;

		if (last == NULL || !ip_addr_equal(&a->addr, &last->addr) || a->port != last->port)
			list->at[kept++] = list->at[i];
	}
	list->n = kept;
}

void backend_endpoints(struct translation *t, const struct wanted_cluster *c,
	const struct key_value *labels, unsigned n_labels, struct cluster_config *to)
{
	struct endpoint_list list = {.t = t};
	struct labels subset = {labels, n_labels};
	const struct backend *b = c->backend;

	if (b->service != NULL) {
		unsigned low = 0, high = t->n_slices;

		while (low < high) {
			unsigned middle = low + (high - low) / 2;

			if (compare_slice_key(t->slices[middle], b->namespace, b->name) < 0)
				low = middle + 1;
			else
				high = middle;
		}
		for (; low < t->n_slices
			&& compare_slice_key(t->slices[low], b->namespace, b->name) == 0;
			low++)
			add_slice(&list, t->slices[low], b, c->port, subset);
		add_selected(&list, b, b->service->spec->selector, b->service->spec->n_selector,
			c->port, subset);
	} else {
		const struct service_entry_spec *spec = b->entry->spec;

		for (unsigned i = 0; i < spec->n_endpoints; i++)
			add_workload(&list, &spec->endpoints[i],
				(struct labels){
					spec->endpoints[i].labels, spec->endpoints[i].n_labels},
				c->port, subset, b->namespace);
		if (spec->selector != NULL)
			add_selected(&list, b, spec->selector->labels, spec->selector->n_labels,
				c->port, subset);
	}
	drop_duplicates(&list);
	to->endpoints = list.at;
	to->n_endpoints = list.n;
}
