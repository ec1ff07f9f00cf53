// DestinationRule (reference/istio-gateway.md, 3.9).
#include "mgmt/check.h"

#include <string.h>

static void check_pool(struct diag *d, const struct connection_pool *p)
{
	if (p != NULL && p->tcp == NULL && p->http == NULL && p->node->kind == NODE_MAPPING)
		tree_error(d, p->node, "is empty; expected tcp or http");
	if (p != NULL && p->http != NULL && p->http->use_client_protocol
		&& p->http->h2_upgrade == H2_UPGRADE_YES)
		tree_field_error(d, p->http->node, "useClientProtocol",
			"stands beside h2UpgradePolicy UPGRADE; expected one of the two");
}

static void check_policy(struct diag *d, const struct traffic_policy *p)
{
	if (p == NULL || p->node->kind != NODE_MAPPING)
		return;
	if (p->node->n_children == 0)
		tree_error(d, p->node,
			"is empty; expected connectionPool, loadBalancer or outlierDetection");
	check_pool(d, p->connection_pool);
	for (unsigned i = 0; i < p->n_ports; i++) {
		check_pool(d, p->ports[i].connection_pool);
		for (unsigned k = 0; k < i; k++) {
			if (p->ports[i].port != NULL && p->ports[k].port != NULL
				&& p->ports[i].port->number == p->ports[k].port->number)
				tree_field_error(d, p->ports[i].node, "port",
					"port %u is already at line %u; expected each port once",
					p->ports[i].port->number, p->ports[k].node->line);
		}
	}
}

void check_destination_rule(const struct manifest *m, const struct destination_rule *r)
{
	const struct destination_rule_spec *spec = r->spec;

	if (spec == NULL)
		return;
	if (spec->host[0] != '\0' && !is_host_pattern(spec->host))
		tree_field_error(m->d, spec->node, "host",
			"\"%s\" is not a host; expected the name of a service", spec->host);
	check_policy(m->d, spec->policy);
	for (unsigned i = 0; i < spec->n_subsets; i++) {
		const struct subset *s = &spec->subsets[i];

		if (s->name[0] != '\0' && !is_dns_label(s->name))
			tree_field_error(m->d, s->node, "name",
				"\"%s\" is not a subset's name; expected lower-case letters, digits and -",
				s->name);
		for (unsigned k = 0; k < i; k++) {
			if (s->name[0] != '\0' && strcmp(spec->subsets[k].name, s->name) == 0)
				tree_field_error(m->d, s->node, "name",
					"\"%s\" is already used at line %u; expected another name",
					s->name, spec->subsets[k].node->line);
		}
		check_policy(m->d, s->policy);
	}
}
