#include "mgmt/translate.h"

#include <string.h>

static const char *label_or(const struct translation *t, const char *key, const char *otherwise)
{
	const char *value = key_value_get(t->labels, t->n_labels, key);

	return region_strdup(t->out, value != NULL ? value : otherwise);
}

// The gateway's own labels in Istio's metrics, by the conventions of Istio's canonical names.
static void translate_identity(struct translation *t)
{
	struct gateway_identity *to = &t->router->identity;
	const char *name = t->appliance->name;

	to->workload = region_strdup(t->out, name);
	to->namespace = region_strdup(t->out, t->appliance->namespace);
	to->app = label_or(t, "app", name);
	to->version = label_or(t, "version", "unknown");
	to->canonical_service = label_or(t, "service.istio.io/canonical-name", to->app);
	to->canonical_revision = label_or(
		t, "service.istio.io/canonical-revision", label_or(t, "version", "latest"));
	to->cluster = "Kubernetes";
	to->destination_reporter = t->appliance->destination_reporter;
}

static void translate_headers(
	struct translation *t, const struct proxy_headers *from, struct http_config *to)
{
	if (from == NULL)
		return;
	if (from->server != NULL && from->server->value[0] != '\0')
		to->server_name = region_strdup(t->out, from->server->value);
	if (from->server != NULL && from->server->disabled)
		to->server_name = NULL;
	to->keep_request_id = from->request_id != NULL && from->request_id->disabled;
	to->no_attempt_count = from->attempt_count != NULL && from->attempt_count->disabled;
	to->no_debug_headers = from->debug != NULL && from->debug->disabled;
	to->add_forwarded_host = from->forwarded_host != NULL && from->forwarded_host->enabled;
	to->add_forwarded_port = from->forwarded_port != NULL && from->forwarded_port->enabled;
}

void translate_http_and_log(struct translation *t)
{
	struct router_config *r = t->router;
	const struct mesh_config *mesh = t->mesh;

	r->http = t->appliance->http;
	r->http.server_name = region_strdup(t->out, r->http.server_name);
	if (mesh->normalization != NULL)
		r->http.path_normalization = (enum path_normalization)mesh->normalization->mode;
	if (mesh->proxy != NULL && mesh->proxy->topology != NULL)
		r->http.num_trusted_proxies = mesh->proxy->topology->num_trusted_proxies;
	if (mesh->proxy != NULL)
		translate_headers(t, mesh->proxy->headers, &r->http);
	r->access_log = (struct access_log_config){
		.enabled = mesh->access_log_file[0] != '\0',
		.format = mesh->access_log_format,
		.json = mesh->access_log_json != 0,
		.path = mesh->access_log_file,
	};
	translate_identity(t);
	r->version = region_printf(t->out, "%016llx", (unsigned long long)t->m->hash);
}
