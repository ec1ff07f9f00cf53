#include "mgmt/check.h"

#include "router/access_log.h"

#include <string.h>

// Regular expressions and formats, and the documents that have few rules. The large kinds have
// files of their own.

void check_one_line(const struct manifest *m, const void *object, const char *field)
{
	const struct node *n = object_get(object, field);

	if (n != NULL && strpbrk(n->text, "\r\n") != NULL)
		tree_error(m->d, n, "has a line break; expected one line");
}

void check_mesh(const struct manifest *m)
{
	const struct mesh_config *mesh = m->mesh;
	struct access_log_format *format;
	char error[256];

	if (mesh == NULL)
		return;
	if (mesh->proxy != NULL && mesh->proxy->headers != NULL)
		check_one_line(m, mesh->proxy->headers->server, "value");
	check_retry(m, mesh->retry);
	format = access_log_format_new(mesh->access_log_format, mesh->access_log_json != 0, error);
	if (format == NULL)
		tree_field_error(m->d, mesh->node, "accessLogFormat",
			"%s; expected operators of Envoy's access log", error);
	access_log_format_free(&format);
}

static void check_service(const struct manifest *m, const struct service *s)
{
	for (unsigned i = 0; s->spec != NULL && i < s->spec->n_ports; i++) {
		const struct service_port *p = &s->spec->ports[i];

		for (unsigned k = 0; k < i; k++) {
			if (p->port != 0 && s->spec->ports[k].port == p->port
				&& strcmp(s->spec->ports[k].protocol, p->protocol) == 0)
				tree_field_error(m->d, p->node, "port",
					"%u is already used at line %u; expected another port",
					p->port, s->spec->ports[k].node->line);
			if (strcmp(s->spec->ports[k].name, p->name) == 0)
				tree_field_error(m->d, p->node, "name",
					"\"%s\" is already used at line %u; expected a name of its own for each of several ports",
					p->name, s->spec->ports[k].node->line);
		}
	}
}

static void check_slice(const struct manifest *m, const struct endpoint_slice *s)
{
	const struct metadata *meta = s->document.metadata;
	const char *service = meta != NULL
		? key_value_get(meta->labels, meta->n_labels, "kubernetes.io/service-name")
		: NULL;

	if (meta != NULL && service == NULL)
		tree_field_error(m->d, meta->node, "labels",
			"no kubernetes.io/service-name; expected the name of a Service");
	else if (meta != NULL
		&& manifest_find(m, KIND_SERVICE, s->document.namespace, service) == NULL)
		tree_field_warning(m->d, meta->node, "labels",
			"there is no Service \"%s\" in namespace %s; its endpoints are not used",
			service, s->document.namespace);
	if (strcmp(s->address_type, "FQDN") == 0) {
		tree_field_warning(m->d, s->document.node, "addressType",
			"FQDN is read but not acted on; names are not resolved");
		return;
	}
	for (unsigned i = 0; i < s->n_endpoints; i++) {
		const struct slice_endpoint *e = &s->endpoints[i];
		struct ip_addr address;

		if (e->n_addresses > 0 && !ip_addr_parse(e->addresses[0], &address))
			tree_field_error(m->d, e->node, "addresses",
				"\"%s\" is not an IP address; expected such as 10.0.0.1",
				e->addresses[0]);
	}
}

static void check_workload(const struct manifest *m, const struct workload *w, bool by_name)
{
	const struct node *ports = w->ports;
	struct ip_addr address;

	if (!object_has(w, "address"))
		tree_field_error(m->d, w->node, "address", "is missing; expected an IP address");
	else if (!by_name && !ip_addr_parse(w->address, &address))
		tree_field_error(m->d, w->node, "address",
			"\"%s\" is not an IP address; expected such as 10.0.0.1", w->address);
	if (ports != NULL && ports->kind != NODE_MAPPING) {
		tree_error(m->d, ports, "is not a mapping; expected numbers by port name");
		return;
	}
	for (const struct node *n = ports != NULL ? ports->first : NULL; n != NULL; n = n->next) {
		uint64_t number;

		if (!number_parse(n->text, &number) || number == 0 || number > 65535)
			tree_error(m->d, n, "\"%s\" is not a port; expected 1 to 65535", n->text);
	}
}

static void check_service_entry(const struct manifest *m, const struct service_entry *e)
{
	const struct service_entry_spec *spec = e->spec;
	const struct node *list = object_get(spec, "hosts");
	const struct node *n = list != NULL ? list->first : NULL;

	if (spec == NULL)
		return;
	for (unsigned i = 0; i < spec->n_hosts; i++, n = n->next) {
		if (strcmp(spec->hosts[i], "*") == 0 || !is_host_pattern(spec->hosts[i]))
			tree_error(m->d, n, "\"%s\" is not a host; expected a name or *.suffix",
				spec->hosts[i]);
	}
	for (unsigned i = 0; i < spec->n_ports; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (spec->ports[i].name[0] != '\0'
				&& strcmp(spec->ports[k].name, spec->ports[i].name) == 0)
				tree_field_error(m->d, spec->ports[i].node, "name",
					"\"%s\" is already used at line %u; expected another name",
					spec->ports[i].name, spec->ports[k].node->line);
		}
	}
	for (unsigned i = 0; i < spec->n_endpoints; i++)
		check_workload(m, &spec->endpoints[i], spec->resolution == RESOLUTION_DNS);
	if (spec->n_endpoints > 0 && spec->selector != NULL)
		tree_field_error(m->d, spec->node, "workloadSelector",
			"stands beside endpoints; expected one of the two");
	if (spec->resolution == RESOLUTION_NONE && spec->n_endpoints > 0)
		tree_field_error(m->d, spec->node, "endpoints",
			"stand beside resolution NONE; expected resolution STATIC");
}

static void check_secret(const struct manifest *m, const struct secret *s)
{
	for (unsigned i = 0; i < s->n_data; i++) {
		size_t len;

		if (base64_decode(m->objects, s->data[i].value, &len) == NULL)
			tree_error(m->d, s->data[i].node,
				"is not base64; expected what \"base64 -w0\" prints");
	}
}

void check_backends(const struct manifest *m)
{
	for (unsigned i = 0; i < m->of[KIND_SERVICE].n; i++)
		check_service(m, (struct service *)m->of[KIND_SERVICE].at[i]);
	for (unsigned i = 0; i < m->of[KIND_ENDPOINT_SLICE].n; i++)
		check_slice(m, (struct endpoint_slice *)m->of[KIND_ENDPOINT_SLICE].at[i]);
	for (unsigned i = 0; i < m->of[KIND_SERVICE_ENTRY].n; i++)
		check_service_entry(m, (struct service_entry *)m->of[KIND_SERVICE_ENTRY].at[i]);
	for (unsigned i = 0; i < m->of[KIND_WORKLOAD_ENTRY].n; i++) {
		const struct workload_entry *e =
			(struct workload_entry *)m->of[KIND_WORKLOAD_ENTRY].at[i];

		if (e->spec != NULL)
			check_workload(m, e->spec, false);
	}
}

void check_objects(const struct manifest *m)
{
	for (unsigned i = 0; i < m->of[KIND_GATEWAY].n; i++)
		check_gateway(m, (struct gateway *)m->of[KIND_GATEWAY].at[i]);
	for (unsigned i = 0; i < m->of[KIND_VIRTUAL_SERVICE].n; i++)
		check_virtual_service(
			m, (struct virtual_service *)m->of[KIND_VIRTUAL_SERVICE].at[i]);
	for (unsigned i = 0; i < m->of[KIND_DESTINATION_RULE].n; i++)
		check_destination_rule(
			m, (struct destination_rule *)m->of[KIND_DESTINATION_RULE].at[i]);
	for (unsigned i = 0; i < m->of[KIND_SECRET].n; i++)
		check_secret(m, (struct secret *)m->of[KIND_SECRET].at[i]);
	check_backends(m);
	check_mesh(m);
}
