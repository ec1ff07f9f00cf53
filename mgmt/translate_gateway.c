// Gateways to listeners, filter chains and hosts (reference/istio-gateway.md, 1.5 to 1.9), and
// the VirtualServices of the mesh, which the Appliance's meshRoutes adds.
#include "mgmt/translate.h"

#include <stdlib.h>
#include <string.h>

// A host of a route table under construction.
struct host_builder {
	const char *domain;
	bool require_tls;
	struct route_config *routes;
	unsigned n_routes;
};

struct table_builder {
	const char *name;
	uint16_t server_port;
	struct host_builder *hosts;
	unsigned n_hosts;
	// By domain, plus 1; 0 is free. Its size is a power of two.
	unsigned *index;
	unsigned index_size;
};

// One bound address and port.
struct listener_builder {
	const char *name;
	const char *bind;
	uint16_t port;
	bool tls;
	const struct server *first;    // decides what the port speaks
	struct table_builder **tables; // one for each chain
	struct tls_chain_config *chains;
	unsigned n_chains;
	const char **hosts; // taken by TLS servers so far
	unsigned n_hosts;
};

struct gateway_builder {
	struct translation *t;
	struct listener_builder *listeners;
	unsigned n_listeners;
	unsigned n_tables;
};

// --- hosts of a table

static unsigned *host_slot(struct table_builder *table, const char *domain)
{
	unsigned mask = table->index_size - 1, i = 5381;

	for (const char *c = domain; *c != '\0'; c++)
		i = i * 33 + (unsigned char)*c;
	i &= mask;
	while (table->index[i] != 0
		&& strcmp(table->hosts[table->index[i] - 1].domain, domain) != 0)
		i = (i + 1) & mask;
	return &table->index[i];
}

static struct host_builder *find_host(struct table_builder *table, const char *domain)
{
	unsigned *slot = table->index_size > 0 ? host_slot(table, domain) : NULL;

	return slot != NULL && *slot != 0 ? &table->hosts[*slot - 1] : NULL;
}

static struct host_builder *take_host(
	struct translation *t, struct table_builder *table, const char *domain)
{
	struct host_builder *h = find_host(table, domain);

	if (h != NULL)
		return h;
	if (table->n_hosts * 2 >= table->index_size) {
		table->index_size = table->index_size > 0 ? table->index_size * 4 : 16;
		table->index = region_alloc(t->work, table->index_size * sizeof(*table->index));
		for (unsigned i = 0; i < table->n_hosts; i++)
			*host_slot(table, table->hosts[i].domain) = i + 1;
	}
	table->hosts = region_grow(t->work, table->hosts, table->n_hosts, sizeof(*table->hosts));
	h = &table->hosts[table->n_hosts++];
	*h = (struct host_builder){.domain = region_strdup(t->out, domain)};
	*host_slot(table, domain) = table->n_hosts;
	return h;
}

static void add_routes(struct translation *t, struct host_builder *h, const struct routes *routes)
{
	for (unsigned i = 0; i < routes->n; i++) {
		h->routes = region_grow(t->work, h->routes, h->n_routes, sizeof(*h->routes));
		h->routes[h->n_routes++] = routes->at[i];
	}
}

// --- binding (1.7)

struct binding {
	const struct gateway *gateway;
	const char *name; // "namespace/name" of the Gateway
	const struct server *server;
	const char **hosts; // of the server: lower case, without namespace
	struct table_builder *table;
	bool redirect;
};

// Without its namespace.
static const char *server_host_name(const char *host)
{
	const char *slash = strchr(host, '/');

	return slash != NULL ? slash + 1 : host;
}

// True if the host "[namespace/]name" of a server takes VirtualServices of 'namespace'.
static bool server_host_takes(
	const char *host, const char *gateway_namespace, const char *namespace)
{
	const char *slash = strchr(host, '/');
	size_t len;

	if (slash == NULL)
		return true;
	len = (size_t)(slash - host);
	if (len == 1 && host[0] == '*')
		return true;
	if (len == 1 && host[0] == '.')
		return strcmp(gateway_namespace, namespace) == 0;
	return strlen(namespace) == len && strncmp(host, namespace, len) == 0;
}

static bool names_gateway(
	struct translation *t, const struct virtual_service *vs, const struct binding *b)
{
	for (unsigned i = 0; i < vs->spec->n_gateways; i++) {
		const char *text = vs->spec->gateways[i];

		// Every form of a reference has the name in it; few have to be completed.
		if (strcmp(text, "mesh") == 0 || strstr(text, b->gateway->document.name) == NULL)
			continue;
		if (strcmp(gateway_reference(t->work, text, vs->document.namespace), b->name) == 0)
			return true;
	}
	return false;
}

static bool is_visible(const struct translation *t, const struct virtual_service *vs)
{
	return is_exported(vs->spec->export_to, vs->spec->n_export_to, vs->document.namespace,
		t->appliance->namespace);
}

// For each pair in which one host covers the other, the more specific one gets the routes.
static void bind_virtual_service(
	struct translation *t, const struct binding *b, const struct virtual_service *vs)
{
	struct route_place place = {
		.gateway = b->name,
		.server_port = b->server->port->number,
	};
	const char **bound = NULL;
	unsigned n_bound = 0;
	struct routes routes = {0};

	for (unsigned v = 0; v < vs->spec->n_hosts; v++) {
		const char *own =
			host_complete(t->work, vs->spec->hosts[v], vs->document.namespace);

		for (unsigned s = 0; s < b->server->n_hosts; s++) {
			struct host_builder *h;
			const char *name = b->hosts[s], *domain;
			bool again = false;

			if (!server_host_takes(b->server->hosts[s], b->gateway->document.namespace,
				    vs->document.namespace))
				continue;
			domain = host_covers(name, own)  ? own
				: host_covers(own, name) ? name
							 : NULL;
			for (unsigned i = 0; domain != NULL && i < n_bound; i++)
				again |= strcmp(bound[i], domain) == 0;
			if (domain == NULL || again)
				continue;
			if (n_bound == 0)
				routes = translate_routes(t, vs, &place);
			bound = region_grow(t->work, bound, n_bound, sizeof(*bound));
			bound[n_bound++] = domain;
			h = take_host(t, b->table, domain);
			h->require_tls |= b->redirect;
			add_routes(t, h, &routes);
		}
	}
}

static void bind_server(struct translation *t, const struct binding *b)
{
	const struct manifest *m = t->m;

	for (unsigned i = 0; i < m->of[KIND_VIRTUAL_SERVICE].n; i++) {
		const struct virtual_service *vs =
			(struct virtual_service *)m->of[KIND_VIRTUAL_SERVICE].at[i];

		if (vs->spec != NULL && is_visible(t, vs) && names_gateway(t, vs, b))
			bind_virtual_service(t, b, vs);
	}
	// 1.9: hosts without a VirtualService are redirected too.
	for (unsigned s = 0; b->redirect && s < b->server->n_hosts; s++)
		take_host(t, b->table, region_lower(t->work, b->server->hosts[s]))->require_tls =
			true;
}

// --- the mesh's routes

// Every name by which something in the mesh calls the host of a Service.
static unsigned mesh_names(struct translation *t, const struct virtual_service *vs,
	const char *host, const char *to[4])
{
	static const char suffix[] = ".svc." CLUSTER_DOMAIN;
	const char *full = host_complete(t->work, host, vs->document.namespace);
	size_t len = strlen(full), suffix_len = sizeof(suffix) - 1;
	const char *dot;
	unsigned n = 0;

	to[n++] = full;
	if (full[0] == '*' || len <= suffix_len || strcmp(full + len - suffix_len, suffix) != 0)
		return n;
	to[n++] = region_copy(t->work, full, len - sizeof("." CLUSTER_DOMAIN) + 1);
	to[n++] = region_copy(t->work, full, len - suffix_len);
	dot = strchr(full, '.');
	to[n++] = region_copy(t->work, full, (size_t)(dot - full));
	return n;
}

static bool is_for_mesh(const struct virtual_service *vs)
{
	for (unsigned i = 0; i < vs->spec->n_gateways; i++) {
		if (strcmp(vs->spec->gateways[i], "mesh") == 0)
			return true;
	}
	return vs->spec->n_gateways == 0;
}

// Only the first VirtualService of a host counts in the mesh (2.2); what a Gateway binds goes
// before it.
static void add_mesh_routes(struct translation *t, struct table_builder *table)
{
	const struct manifest *m = t->m;
	struct route_place place = {.gateway = "mesh", .server_port = table->server_port};

	for (unsigned i = 0; i < m->of[KIND_VIRTUAL_SERVICE].n; i++) {
		const struct virtual_service *vs =
			(struct virtual_service *)m->of[KIND_VIRTUAL_SERVICE].at[i];
		struct routes routes;

		if (vs->spec == NULL || !is_for_mesh(vs) || !is_visible(t, vs))
			continue;
		routes = translate_routes(t, vs, &place);
		for (unsigned h = 0; h < vs->spec->n_hosts; h++) {
			const char *names[4];
			unsigned n = mesh_names(t, vs, vs->spec->hosts[h], names);

			for (unsigned k = 0; k < n; k++) {
				if (find_host(table, names[k]) == NULL)
					add_routes(t, take_host(t, table, names[k]), &routes);
			}
		}
	}
}

// --- listeners

static uint16_t target_port(const struct translation *t, const struct node *target, uint32_t port)
{
	uint64_t number;

	if (target == NULL)
		return (uint16_t)port;
	if (target->kind == NODE_SCALAR && number_parse(target->text, &number) && number > 0
		&& number <= 65535)
		return (uint16_t)number;
	if (target->kind == NODE_SCALAR && !number_parse(target->text, &number))
		tree_warning(t->d, target,
			"\"%s\" names a port of a container, which is not known here; %u is bound",
			target->text, port);
	else
		tree_error(t->d, target, "is not a port; expected 1 to 65535");
	return (uint16_t)port;
}

uint16_t bound_port(const struct translation *t, uint32_t server_number)
{
	const struct manifest *m = t->m;

	for (unsigned i = 0; i < m->of[KIND_ISTIO_OPERATOR].n; i++) {
		const struct istio_operator *o =
			(struct istio_operator *)m->of[KIND_ISTIO_OPERATOR].at[i];
		const struct operator_components *c = o->spec != NULL ? o->spec->components : NULL;

		for (unsigned g = 0; c != NULL && g < c->n_ingress; g++) {
			const struct operator_gateway *og = &c->ingress[g];
			const char *namespace =
				og->namespace[0] != '\0' ? og->namespace : t->mesh->root_namespace;

			if (!og->enabled || strcmp(og->name, t->appliance->name) != 0
				|| strcmp(namespace, t->appliance->namespace) != 0)
				continue;
			// Istio's own list, which an explicit one replaces.
			if (og->k8s == NULL || og->k8s->service == NULL
				|| og->k8s->service->n_ports == 0)
				return server_number == 80     ? 8080
					: server_number == 443 ? 8443
							       : (uint16_t)server_number;
			for (unsigned p = 0; p < og->k8s->service->n_ports; p++) {
				const struct operator_port *port = &og->k8s->service->ports[p];

				if (port->port == server_number)
					return target_port(t, port->target_port, port->port);
			}
		}
	}
	// A Service in front of us, found by its selector.
	for (unsigned i = 0; i < m->of[KIND_SERVICE].n; i++) {
		const struct service *s = (struct service *)m->of[KIND_SERVICE].at[i];

		if (s->spec == NULL || s->spec->n_selector == 0
			|| strcmp(s->document.namespace, t->appliance->namespace) != 0
			|| !key_values_include(
				t->labels, t->n_labels, s->spec->selector, s->spec->n_selector))
			continue;
		for (unsigned p = 0; p < s->spec->n_ports; p++) {
			const struct service_port *port = &s->spec->ports[p];

			if (port->port == server_number)
				return target_port(t, port->target_port, port->port);
		}
	}
	return (uint16_t)server_number;
}

// What the gateway can serve: HTTP, and HTTPS that ends here. The rest was warned about when it
// was read.
static bool is_served(const struct server *s)
{
	if (s->port == NULL || s->port->number == 0)
		return false;
	if (s->port->protocol == PROTOCOL_HTTP)
		return true;
	return s->port->protocol == PROTOCOL_HTTPS && s->tls != NULL && tls_mode_ends(s->tls->mode);
}

// The address in the one spelling that is compared; "" for that of every address of ours.
static const char *bind_of(struct translation *t, const struct server *s)
{
	char text[IP_ENDPOINT_TEXT_SIZE] = "";
	struct ip_addr address;

	if (!ip_addr_parse(s->bind, &address))
		return "";
	ip_addr_print(&address, text);
	return strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0
		? ""
		: region_strdup(t->out, text);
}

static struct listener_builder *take_listener(
	struct gateway_builder *b, const struct server *s, uint16_t port)
{
	struct translation *t = b->t;
	const char *bind = bind_of(t, s);
	struct listener_builder *l;

	for (unsigned i = 0; i < b->n_listeners; i++) {
		l = &b->listeners[i];
		if (l->port == port && strcmp(l->bind, bind) == 0)
			return l;
	}
	b->listeners = region_grow(t->work, b->listeners, b->n_listeners, sizeof(*b->listeners));
	l = &b->listeners[b->n_listeners++];
	*l = (struct listener_builder){
		.name = region_printf(t->out, "%s_%u", bind[0] != '\0' ? bind : "0.0.0.0", port),
		.bind = bind,
		.port = port,
		.tls = s->port->protocol == PROTOCOL_HTTPS,
		.first = s};
	return l;
}

static struct table_builder *add_chain(struct gateway_builder *b, struct listener_builder *l,
	const struct server *s, const char *name)
{
	struct translation *t = b->t;
	struct table_builder *table = region_alloc(t->work, sizeof(*table));

	table->name = name;
	table->server_port = (uint16_t)s->port->number;
	l->tables = region_grow(t->work, l->tables, l->n_chains, sizeof(*l->tables));
	l->chains = region_grow(t->work, l->chains, l->n_chains, sizeof(*l->chains));
	l->tables[l->n_chains] = table;
	l->chains[l->n_chains] = (struct tls_chain_config){0};
	l->n_chains++;
	b->n_tables++;
	return table;
}

// 1.6: a name belongs to the first server that has it.
static bool take_tls_hosts(
	struct translation *t, struct listener_builder *l, const struct server *s)
{
	for (unsigned i = 0; i < s->n_hosts; i++) {
		const char *slash = strchr(s->hosts[i], '/');
		const char *host = region_lower(t->work, slash != NULL ? slash + 1 : s->hosts[i]);

		for (unsigned k = 0; k < l->n_hosts; k++) {
			if (strcmp(l->hosts[k], host) == 0)
				return tree_field_warning(t->d, s->node, "hosts",
					"\"%s\" is already served on port %u; the server is left out",
					host, l->port);
		}
	}
	for (unsigned i = 0; i < s->n_hosts; i++) {
		const char *slash = strchr(s->hosts[i], '/');

		l->hosts = region_grow(t->work, l->hosts, l->n_hosts, sizeof(*l->hosts));
		l->hosts[l->n_hosts++] =
			region_lower(t->work, slash != NULL ? slash + 1 : s->hosts[i]);
	}
	return true;
}

static void add_server(struct gateway_builder *b, const struct gateway *g, const struct server *s)
{
	struct translation *t = b->t;
	uint16_t port = bound_port(t, s->port->number);
	struct listener_builder *l = take_listener(b, s, port);
	struct binding binding = {.gateway = g,
		.name = region_printf(t->work, "%s/%s", g->document.namespace, g->document.name),
		.server = s,
		.hosts = region_alloc(t->work, s->n_hosts * sizeof(*binding.hosts))};

	for (unsigned i = 0; i < s->n_hosts; i++)
		binding.hosts[i] = region_lower(t->work, server_host_name(s->hosts[i]));
	if (l->tls != (s->port->protocol == PROTOCOL_HTTPS)) {
		tree_field_warning(t->d, s->node, "port",
			"port %u already speaks %s (%s:%u); the server is left out", port,
			l->tls ? "HTTPS" : "HTTP", l->first->node->file, l->first->node->line);
		return;
	}
	if (l->tls) {
		if (!take_tls_hosts(t, l, s))
			return;
		binding.table = add_chain(b, l, s,
			region_printf(t->out, "https.%u.%s.%s.%s", s->port->number, s->port->name,
				g->document.name, g->document.namespace));
		translate_tls(t, s, &l->chains[l->n_chains - 1]);
	} else {
		binding.table = l->n_chains > 0
			? l->tables[0]
			: add_chain(b, l, s,
				region_printf(t->out, "http.%u%s%s", port,
					l->bind[0] != '\0' ? "." : "", l->bind));
		binding.redirect = s->tls != NULL && s->tls->https_redirect;
	}
	bind_server(t, &binding);
}

// --- the result

// Catch-alls go to the end, the order kept else (2.2).
static void finish_host(
	struct translation *t, const struct host_builder *h, struct virtual_host_config *to)
{
	struct route_config *routes = region_alloc(t->out, h->n_routes * sizeof(*routes));
	unsigned n = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < h->n_routes; i++) {
			if (route_is_catch_all(&h->routes[i]) == (pass == 1))
				routes[n++] = h->routes[i];
		}
	}
	to->domain = h->domain;
	to->require_tls = h->require_tls;
	to->routes = routes;
	to->n_routes = n;
}

static void finish_table(
	struct translation *t, struct table_builder *table, struct route_table_config *to)
{
	struct virtual_host_config *hosts = region_alloc(t->out, table->n_hosts * sizeof(*hosts));

	for (unsigned i = 0; i < table->n_hosts; i++)
		finish_host(t, &table->hosts[i], &hosts[i]);
	to->name = table->name;
	to->server_port = table->server_port;
	to->hosts = hosts;
	to->n_hosts = table->n_hosts;
}

static void finish(struct gateway_builder *b)
{
	struct translation *t = b->t;
	const struct gateway_topology *topology =
		t->mesh->proxy != NULL ? t->mesh->proxy->topology : NULL;
	struct listener_config *listeners =
		region_alloc(t->out, b->n_listeners * sizeof(*listeners));
	struct route_table_config *tables = region_alloc(t->out, b->n_tables * sizeof(*tables));
	unsigned n_tables = 0;

	for (unsigned i = 0; i < b->n_listeners; i++) {
		const struct listener_builder *l = &b->listeners[i];
		struct filter_chain_config *chains =
			region_alloc(t->out, l->n_chains * sizeof(*chains));
		const char *prefix = region_printf(t->out, "outbound_%s", l->name);

		for (unsigned c = 0; c < l->n_chains; c++) {
			if (t->appliance->mesh_routes)
				add_mesh_routes(t, l->tables[c]);
			finish_table(t, l->tables[c], &tables[n_tables]);
			chains[c].tls = l->chains[c];
			chains[c].tls.index = c;
			chains[c].route_table = n_tables++;
			chains[c].stat_prefix = prefix;
		}
		listeners[i].name = l->name;
		if (l->bind[0] != '\0')
			ip_addr_parse(l->bind, &listeners[i].local.addr);
		listeners[i].local.port = l->port;
		listeners[i].tls = l->tls;
		listeners[i].proxy_protocol = topology != NULL && topology->proxy_protocol != NULL;
		listeners[i].chains = chains;
		listeners[i].n_chains = l->n_chains;
	}
	t->router->listeners = listeners;
	t->router->n_listeners = b->n_listeners;
	t->router->route_tables = tables;
	t->router->n_route_tables = n_tables;
}

void translate_gateways(struct translation *t)
{
	const struct manifest *m = t->m;
	struct gateway_builder b = {.t = t};

	for (unsigned i = 0; i < m->of[KIND_GATEWAY].n; i++) {
		const struct gateway *g = (struct gateway *)m->of[KIND_GATEWAY].at[i];

		if (g->spec == NULL
			|| !key_values_include(
				t->labels, t->n_labels, g->spec->selector, g->spec->n_selector))
			continue;
		for (unsigned s = 0; s < g->spec->n_servers; s++) {
			if (is_served(&g->spec->servers[s]))
				add_server(&b, g, &g->spec->servers[s]);
		}
	}
	finish(&b);
}
