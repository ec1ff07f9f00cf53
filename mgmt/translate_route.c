// VirtualService to an ordered list of routes (reference/istio-gateway.md, 2.2 to 2.10).
#include "mgmt/translate.h"

#include <string.h>
#include <strings.h>

struct route_builder {
	struct translation *t;
	const struct virtual_service *vs;
	const struct route_place *place;
	struct routes routes;
};

// --- conditions

static struct string_match text_match(const struct text_match *m)
{
	if (m == NULL)
		return (struct string_match){.kind = STRING_MATCH_ANY, .text = ""};
	if (object_has(m, "exact"))
		return (struct string_match){STRING_MATCH_EXACT, m->exact, false};
	if (object_has(m, "prefix"))
		return (struct string_match){STRING_MATCH_PREFIX, m->prefix, false};
	// Istio takes a lone star for "is there".
	if (object_has(m, "regex") && strcmp(m->regex, "*") != 0)
		return (struct string_match){STRING_MATCH_REGEX, m->regex, false};
	return (struct string_match){STRING_MATCH_PRESENT, "", false};
}

static struct string_match uri_match(const struct http_match *m)
{
	struct string_match match;

	// What is not said matches every path, as Envoy's prefix "/" does.
	if (m == NULL || m->uri == NULL)
		return (struct string_match){STRING_MATCH_PREFIX, "/", false};
	match = text_match(m->uri);
	match.ignore_case = m->ignore_uri_case && match.kind != STRING_MATCH_REGEX;
	return match;
}

// In Envoy these four are matched by the fields; Istio drops such keys.
static bool is_field_of_its_own(const char *key)
{
	static const char *const names[] = {"uri", "scheme", "method", "authority"};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (strcmp(key, names[i]) == 0)
			return true;
	}
	return false;
}

static unsigned add_fields(struct translation *t, struct field_match *to, unsigned n,
	const struct text_match *list, unsigned n_list, bool lower, bool invert)
{
	for (unsigned i = 0; i < n_list; i++) {
		if (lower && is_field_of_its_own(list[i].key))
			continue;
		to[n++] = (struct field_match){
			.name = lower ? region_lower(t->out, list[i].key) : list[i].key,
			.match = text_match(&list[i]),
			.invert = invert};
	}
	return n;
}

static void translate_match(
	struct translation *t, const struct http_match *m, struct route_match *to)
{
	struct field_match *headers, *query;

	to->uri = uri_match(m);
	to->method = text_match(m != NULL ? m->method : NULL);
	to->scheme = text_match(m != NULL ? m->scheme : NULL);
	to->authority = text_match(m != NULL ? m->authority : NULL);
	if (m == NULL)
		return;
	headers =
		region_alloc(t->out, (m->n_headers + m->n_without_headers + 1) * sizeof(*headers));
	to->n_headers = add_fields(t, headers, 0, m->headers, m->n_headers, true, false);
	to->n_headers = add_fields(
		t, headers, to->n_headers, m->without_headers, m->n_without_headers, true, true);
	to->headers = headers;
	query = region_alloc(t->out, (m->n_query + 1) * sizeof(*query));
	to->n_query = add_fields(t, query, 0, m->query, m->n_query, false, false);
	to->query = query;
}

// Conditions that are known when the table is built (2.3, "STATIC").
static bool holds_here(const struct route_builder *b, const struct http_match *m)
{
	const struct translation *t = b->t;
	bool named = m->n_gateways == 0;

	for (unsigned i = 0; i < m->n_gateways && !named; i++) {
		const char *name = strcmp(m->gateways[i], "mesh") == 0
			? "mesh"
			: gateway_reference(t->work, m->gateways[i], b->vs->document.namespace);

		named = strcmp(name, b->place->gateway) == 0;
	}
	if (!named || (m->port != 0 && m->port != b->place->server_port))
		return false;
	if (!key_values_include(t->labels, t->n_labels, m->source_labels, m->n_source_labels))
		return false;
	return m->source_namespace[0] == '\0'
		|| strcmp(m->source_namespace, t->appliance->namespace) == 0;
}

bool route_is_catch_all(const struct route_config *r)
{
	const struct route_match *m = &r->match;
	bool any_path = (m->uri.kind == STRING_MATCH_PREFIX
				&& (strcmp(m->uri.text, "/") == 0 || m->uri.text[0] == '\0'))
		|| (m->uri.kind == STRING_MATCH_REGEX && strcmp(m->uri.text, ".*") == 0);

	return any_path && m->n_headers == 0 && m->n_query == 0
		&& m->method.kind == STRING_MATCH_ANY && m->scheme.kind == STRING_MATCH_ANY
		&& m->authority.kind == STRING_MATCH_ANY;
}

// --- where to

// Reference 2.4: the port that is named, the service's only one, or the server's number.
static const struct backend_port *choose_port(
	const struct backend *b, const struct destination *d, uint32_t server_port)
{
	uint32_t number = d->port != NULL ? d->port->number : server_port;

	if (d->port == NULL && b->n_ports == 1)
		return &b->ports[0];
	for (unsigned i = 0; i < b->n_ports; i++) {
		if (b->ports[i].number == number)
			return &b->ports[i];
	}
	return NULL;
}

static const char *suggest_backend(const struct translation *t, const char *host, const char *text)
{
	const char *best = NULL;
	unsigned distance = 0;

	for (unsigned i = 0; i < t->n_backends; i++) {
		suggest(text, t->backends[i].name, &best, &distance);
		suggest(host, t->backends[i].host, &best, &distance);
	}
	return best;
}

// A ServiceEntry of the host that other namespaces see.
static const struct service_entry *find_hidden(const struct translation *t, const char *host)
{
	for (unsigned i = 0; i < t->m->of[KIND_SERVICE_ENTRY].n; i++) {
		const struct service_entry *e =
			(struct service_entry *)t->m->of[KIND_SERVICE_ENTRY].at[i];

		for (unsigned k = 0; e->spec != NULL && k < e->spec->n_hosts; k++) {
			if (strcasecmp(e->spec->hosts[k], host) == 0)
				return e;
		}
	}
	return NULL;
}

static void say_unknown_host(struct translation *t, const struct destination *d, const char *host)
{
	const struct service_entry *hidden = find_hidden(t, host);
	const char *best;

	if (hidden != NULL) {
		tree_field_error(t->d, d->node, "host",
			"ServiceEntry %s/%s is not exported to namespace %s; expected it, or *, in its exportTo",
			hidden->document.namespace, hidden->document.name, t->appliance->namespace);
		return;
	}
	best = suggest_backend(t, host, d->host);
	// The likely mistake: a dot makes a name complete, so it is never looked up in a namespace.
	if (strchr(d->host, '.') != NULL
		&& backend_find(t, region_printf(t->work, "%s.svc." CLUSTER_DOMAIN, host)) != NULL)
		best = region_printf(t->work, "%s.svc." CLUSTER_DOMAIN, host);
	if (best != NULL && strcmp(best, d->host) != 0)
		tree_field_error(t->d, d->node, "host",
			"unknown service \"%s\"; did you mean \"%s\"?", d->host, best);
	else
		tree_field_error(t->d, d->node, "host",
			"unknown service \"%s\"; expected a Service or ServiceEntry of host %s",
			d->host, host);
}

static const char *port_list(struct translation *t, const struct backend *b)
{
	const char *text = "none";

	for (unsigned i = 0; i < b->n_ports; i++)
		text = region_printf(t->work, "%s%s%u", i > 0 ? text : "", i > 0 ? ", " : "",
			b->ports[i].number);
	return text;
}

// Returns the cluster's name; one that does not exist if the destination is wrong, which is said.
static const char *destination_cluster(struct route_builder *b, const struct destination *d)
{
	struct translation *t = b->t;
	const char *host = host_complete(t->work, d->host, b->vs->document.namespace);
	const struct backend *backend = backend_find(t, host);
	const struct backend_port *port;

	if (backend == NULL) {
		say_unknown_host(t, d, host);
		return "UnknownService";
	}
	port = choose_port(backend, d, b->place->server_port);
	if (port == NULL) {
		tree_field_error(t->d, d->node, d->port != NULL ? "port" : "host",
			d->port != NULL
				? "%s has no port %u; expected one of %s"
				: "%s does not have one port, nor port %u; expected port.number as one of %s",
			host, d->port != NULL ? d->port->number : b->place->server_port,
			port_list(t, backend));
		return "UnknownService";
	}
	if (d->subset[0] != '\0' && !cluster_has_subset(t, backend, d->subset)) {
		tree_field_error(t->d, d->node, "subset",
			"unknown subset \"%s\"; expected one of a DestinationRule of host %s",
			d->subset, host);
		return "UnknownSubset";
	}
	return cluster_want(t, backend, port, d->subset);
}

static void translate_forward(
	struct route_builder *b, const struct http_route *h, struct route_config *to)
{
	struct translation *t = b->t;
	struct weighted_cluster *clusters =
		region_alloc(t->out, h->n_destinations * sizeof(*clusters));
	const struct headers *own = NULL; // of the only destination
	const char *host = NULL;

	for (unsigned i = 0; i < h->n_destinations; i++) {
		const struct http_destination *d = &h->destinations[i];
		struct weighted_cluster *c = &clusters[to->n_clusters];

		if (d->destination == NULL || (h->n_destinations > 1 && d->weight == 0))
			continue;
		to->n_clusters++;
		c->cluster = destination_cluster(b, d->destination);
		c->weight = h->n_destinations > 1 ? d->weight : 1;
		if (h->n_destinations == 1) {
			own = d->headers;
			continue;
		}
		c->request_headers = translate_header_ops(
			t, d->headers != NULL ? d->headers->request : NULL, NULL);
		c->response_headers = translate_header_ops(
			t, d->headers != NULL ? d->headers->response : NULL, NULL);
		if (d->headers != NULL && translate_host_header(t, d->headers->request) != NULL)
			tree_field_warning(t->d, d->headers->node, "request",
				"Host is read but not acted on; expected it in the route's headers");
	}
	to->clusters = clusters;
	// With one destination its operations join the route's in one pass (2.5).
	to->request_headers = translate_header_ops(t,
		h->headers != NULL ? h->headers->request : NULL, own != NULL ? own->request : NULL);
	to->response_headers =
		translate_header_ops(t, h->headers != NULL ? h->headers->response : NULL,
			own != NULL ? own->response : NULL);

	to->timeout_us = h->timeout_us;
	translate_retry(t, h->retries, &to->retry);
	if (own != NULL)
		host = translate_host_header(t, own->request);
	if (h->headers != NULL && translate_host_header(t, h->headers->request) != NULL)
		host = translate_host_header(t, h->headers->request);
	to->rewrite.authority = host;
	if (h->rewrite != NULL) {
		if (h->rewrite->uri[0] != '\0')
			to->rewrite.path = h->rewrite->uri;
		if (h->rewrite->authority[0] != '\0')
			to->rewrite.authority = h->rewrite->authority;
	}
}

// --- other actions

static const char *or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void translate_redirect(const struct http_redirect *r, struct route_config *to)
{
	to->action = ROUTE_REDIRECT;
	to->redirect = (struct redirect_config){
		.status = (uint16_t)r->code,
		.scheme = or_null(r->scheme),
		.authority = or_null(r->authority),
		.path = or_null(r->uri),
		.prefix_rewrite = or_null(r->prefix_rewrite),
		.port = (uint16_t)r->port,
		.port_from_request = r->from_request_port != 0,
	};
}

static void translate_direct(
	struct translation *t, const struct direct_response *d, struct route_config *to)
{
	to->action = ROUTE_DIRECT_RESPONSE;
	to->direct_status = (uint16_t)d->status;
	to->direct_body = bytes_of_str("");
	if (d->body == NULL)
		return;
	if (object_has(d->body, "bytes")) {
		size_t len = 0;
		const char *body = base64_decode(t->out, d->body->base64, &len);

		if (body != NULL)
			to->direct_body = bytes_of(body, len);
	} else {
		to->direct_body = bytes_of_str(d->body->text);
	}
}

static void translate_action(
	struct route_builder *b, const struct http_route *h, struct route_config *to)
{
	struct translation *t = b->t;

	if (h->redirect == NULL && h->direct == NULL) {
		translate_forward(b, h, to);
		return;
	}
	if (h->redirect != NULL)
		translate_redirect(h->redirect, to);
	else
		translate_direct(t, h->direct, to);
	to->request_headers =
		translate_header_ops(t, h->headers != NULL ? h->headers->request : NULL, NULL);
	to->response_headers =
		translate_header_ops(t, h->headers != NULL ? h->headers->response : NULL, NULL);
}

// --- the list

static void add_route(struct route_builder *b, const struct route_config *shared,
	const struct http_route *h, const struct http_match *m)
{
	struct translation *t = b->t;
	struct route_config *r;

	b->routes.at = region_grow(t->work, b->routes.at, b->routes.n, sizeof(*b->routes.at));
	r = &b->routes.at[b->routes.n++];
	*r = *shared;
	r->name = m != NULL && m->name[0] != '\0' ? region_printf(t->out, "%s.%s", h->name, m->name)
						  : h->name;
	translate_match(t, m, &r->match);
}

static bool last_is_catch_all(const struct route_builder *b)
{
	return b->routes.n > 0 && route_is_catch_all(&b->routes.at[b->routes.n - 1]);
}

struct routes translate_routes(
	struct translation *t, const struct virtual_service *vs, const struct route_place *place)
{
	struct route_builder b = {.t = t, .vs = vs, .place = place};

	for (unsigned i = 0; i < vs->spec->n_http && !last_is_catch_all(&b); i++) {
		const struct http_route *h = &vs->spec->http[i];
		struct route_config shared = {
			.origin = region_printf(t->out, "VirtualService %s/%s http[%u]",
				vs->document.namespace, vs->document.name, i)};

		if (h->n_destinations == 0 && h->redirect == NULL && h->direct == NULL)
			continue; // a delegate
		translate_action(&b, h, &shared);
		if (h->n_matches == 0)
			add_route(&b, &shared, h, NULL);
		for (unsigned m = 0; m < h->n_matches && !last_is_catch_all(&b); m++) {
			if (holds_here(&b, &h->matches[m]))
				add_route(&b, &shared, h, &h->matches[m]);
		}
	}
	return b.routes;
}
