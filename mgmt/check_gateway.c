// Gateway (reference/istio-gateway.md, 1.1, 1.3).
#include "mgmt/check.h"

#include <string.h>

// Istio's own names, and those of the list that Envoy takes for TLS 1.2.
static const char *const cipher_names[] = {
	"ECDHE-ECDSA-AES128-GCM-SHA256",
	"ECDHE-RSA-AES128-GCM-SHA256",
	"ECDHE-ECDSA-AES256-GCM-SHA384",
	"ECDHE-RSA-AES256-GCM-SHA384",
	"ECDHE-ECDSA-CHACHA20-POLY1305",
	"ECDHE-RSA-CHACHA20-POLY1305",
	"ECDHE-ECDSA-AES128-SHA",
	"ECDHE-RSA-AES128-SHA",
	"ECDHE-ECDSA-AES256-SHA",
	"ECDHE-RSA-AES256-SHA",
	"AES128-GCM-SHA256",
	"AES256-GCM-SHA384",
	"AES128-SHA",
	"AES256-SHA",
};

static void check_host(struct diag *d, const struct node *n)
{
	const char *slash = strchr(n->text, '/');
	const char *host = slash != NULL ? slash + 1 : n->text;

	if (slash != NULL && (slash == n->text || strchr(host, '/') != NULL))
		tree_error(d, n, "\"%s\" is not a host; expected [namespace/]host", n->text);
	else if (!is_host_pattern(host))
		tree_error(d, n, "\"%s\" is not a host; expected a name, *.suffix or *", host);
}

static void check_ciphers(struct diag *d, const struct server_tls *tls)
{
	const struct node *list = object_get(tls, "cipherSuites");
	const struct node *n = list != NULL ? list->first : NULL;

	for (unsigned i = 0; i < tls->n_ciphers; i++, n = n->next) {
		const char *best = NULL;
		unsigned distance = 1;

		for (size_t k = 0; k < COUNT_OF(cipher_names); k++)
			suggest(tls->ciphers[i], cipher_names[k], &best, &distance);
		if (best == NULL)
			tree_error(d, n, "unknown cipher suite \"%s\"; expected such as %s",
				tls->ciphers[i], cipher_names[0]);
		else if (strcmp(best, tls->ciphers[i]) != 0)
			tree_error(d, n, "unknown cipher suite \"%s\"; did you mean \"%s\"?",
				tls->ciphers[i], best);
	}
}

// What only makes sense where clients are asked for certificates.
static void check_mutual(struct diag *d, const struct server_tls *tls, bool from_files)
{
	static const char *const fields[] = {"caCertificates", "caCertCredentialName",
		"subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash", "caCrl",
		"insecureSkipVerify"};

	if (tls->mode == TLS_MODE_SIMPLE) {
		for (size_t i = 0; i < COUNT_OF(fields); i++) {
			if (object_has(tls, fields[i]))
				tree_field_warning(d, tls->node, fields[i],
					"has no effect with mode SIMPLE, which asks clients for nothing");
		}
		return;
	}
	if (tls->skip_verify && tls->mode != TLS_MODE_MUTUAL)
		tree_field_error(d, tls->node, "insecureSkipVerify",
			"stands beside mode OPTIONAL_MUTUAL; expected mode MUTUAL");
	if (tls->crl[0] != '\0' && !from_files)
		tree_field_error(d, tls->node, "caCrl",
			"stands beside a credential; expected ca.crl or crl in its Secret");
	if (from_files && tls->ca[0] == '\0' && tls->ca_credential[0] == '\0' && !tls->skip_verify
		&& (tls->n_files == 0 || tls->files[0].ca[0] == '\0'))
		tree_field_error(d, tls->node, "caCertificates",
			"is missing; expected it with mode MUTUAL or OPTIONAL_MUTUAL");
}

static void check_https(struct diag *d, const struct server *s)
{
	const struct server_tls *tls = s->tls;
	unsigned n_sources;

	if (tls == NULL) {
		tree_field_error(d, s->node, "tls", "is missing; expected it with protocol %s",
			object_get(s->port, "protocol")->text);
		return;
	}
	if (!object_has(tls, "mode")) {
		tree_field_warning(d, tls->node, "mode",
			"is missing, which means PASSTHROUGH; the server is not served");
		return;
	}
	if (tls->https_redirect)
		tree_field_warning(d, tls->node, "httpsRedirect",
			"has no effect with protocol %s; expected it on the server with protocol HTTP",
			object_get(s->port, "protocol")->text);
	if (!tls_mode_ends(tls->mode))
		return;
	n_sources = (tls->credential[0] != '\0') + (tls->n_credentials > 0)
		+ (tls->certificate[0] != '\0' || tls->key[0] != '\0') + (tls->n_files > 0);
	if (n_sources == 0)
		tree_field_error(d, tls->node, "credentialName",
			"is missing; expected it, or serverCertificate and privateKey");
	else if (n_sources > 1)
		tree_error(d, tls->node,
			"more than one source of certificates; expected one of credentialName, "
			"credentialNames, serverCertificate, tlsCertificates");
	else if (tls->certificate[0] != '\0' && tls->key[0] == '\0')
		tree_field_error(d, tls->node, "privateKey",
			"is missing; expected it with serverCertificate");
	else if (tls->key[0] != '\0' && tls->certificate[0] == '\0')
		tree_field_error(d, tls->node, "serverCertificate",
			"is missing; expected it with privateKey");
	if (tls->min_version != 0 && tls->max_version != 0 && tls->min_version > tls->max_version)
		tree_field_error(d, tls->node, "minProtocolVersion",
			"%s is above maxProtocolVersion; expected it below",
			object_get(tls, "minProtocolVersion")->text);
	check_mutual(d, tls, tls->credential[0] == '\0' && tls->n_credentials == 0);
	check_ciphers(d, tls);
}

static bool has_certificates(const struct server_tls *tls)
{
	static const char *const fields[] = {"mode", "credentialName", "credentialNames",
		"serverCertificate", "privateKey", "caCertificates", "tlsCertificates"};
	bool has = false;

	for (size_t i = 0; i < COUNT_OF(fields); i++)
		has |= object_has(tls, fields[i]);
	return has;
}

static void check_server(struct diag *d, const struct server *s)
{
	const struct node *hosts = object_get(s, "hosts");
	struct ip_addr address;

	if (hosts != NULL && hosts->kind == NODE_SEQUENCE) {
		if (hosts->n_children == 0)
			tree_error(d, hosts, "is empty; expected at least one host");
		for (const struct node *n = hosts->first; n != NULL; n = n->next) {
			if (n->kind == NODE_SCALAR)
				check_host(d, n);
		}
	}
	if (s->bind[0] != '\0' && !ip_addr_parse(s->bind, &address))
		tree_field_error(d, s->node, "bind",
			"\"%s\" is not an IP address; expected such as 10.0.0.1", s->bind);
	if (s->port == NULL || !object_has(s->port, "protocol"))
		return;
	switch (s->port->protocol) {
	case PROTOCOL_HTTPS: check_https(d, s); break;
	case PROTOCOL_HTTP:
		if (has_certificates(s->tls))
			tree_field_error(d, s->node, "tls",
				"has certificates with protocol %s; expected only httpsRedirect, or protocol HTTPS",
				object_get(s->port, "protocol")->text);
		break;
	default: break;
	}
}

void check_gateway(const struct manifest *m, const struct gateway *g)
{
	const struct gateway_spec *spec = g->spec;

	if (spec == NULL)
		return;
	if (object_has(spec, "servers") && spec->n_servers == 0)
		tree_field_error(
			m->d, spec->node, "servers", "is empty; expected at least one server");
	for (unsigned i = 0; i < spec->n_servers; i++) {
		const struct server_port *p = spec->servers[i].port;

		check_server(m->d, &spec->servers[i]);
		for (unsigned k = 0; p != NULL && p->name[0] != '\0' && k < i; k++) {
			const struct server_port *other = spec->servers[k].port;

			if (other != NULL && strcmp(other->name, p->name) == 0)
				tree_field_error(m->d, p->node, "name",
					"\"%s\" is already used at line %u; expected another name",
					p->name, other->node->line);
		}
	}
}
