// Istio's semantics, from YAML to what the router is told (reference/istio-gateway.md).

#include "mgmt/config.h"
#include "tests/test_support.h"
#include "tests/tls_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// --- a rig: documents as text, the configuration they come to

struct rig {
	struct diag *d;
	struct config *config;
	const struct router_config *router;
};

#define APPLIANCE                                                   \
	"---\napiVersion: pollgate.dev/v1alpha1\nkind: Appliance\n" \
	"metadata: {name: edge, namespace: istio-system, labels: {istio: ingressgateway}}\n"
#define GATEWAY(name, servers)                                                                 \
	"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " name "}\n" \
	"spec:\n  selector: {istio: ingressgateway}\n  servers:\n" servers
#define HTTP_SERVER(hosts) \
	"    - {port: {number: 80, name: http, protocol: HTTP}, hosts: " hosts "}\n"
#define ROUTES(name, hosts, gateways, http)                                                     \
	"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " name \
	"}\nspec:\n  hosts: " hosts "\n  gateways: " gateways "\n  http:\n" http
#define SERVICE(name, ports) \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {ports: " ports "}\n"
#define RULE(name, spec)                                                                         \
	"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " name \
	"}\nspec:\n" spec
#define TO(host) "      route: [{destination: {host: " host "}}]\n"

#define BASE                                                          \
	APPLIANCE "spec: {}\n" GATEWAY("web", HTTP_SERVER("[\"*\"]")) \
		SERVICE("api", "[{name: http, port: 80}]")

static struct rig rig_load(const char *text)
{
	char path[] = "/tmp/test-translate-XXXXXX.yaml";
	const char *paths[] = {path};
	struct rig r = {.d = diag_new()};
	int fd = mkstemps(path, 5);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	if (config_load(&r.config, paths, 1, r.d) != 0) {
		diag_print(r.d, stderr);
		fail_msg("the configuration has errors");
	}
	r.router = r.config->router;
	unlink(path);
	return r;
}

static void rig_done(struct rig *r)
{
	config_free(&r->config);
	diag_free(&r->d);
}

static bool was_warned(const struct rig *r, const char *words)
{
	for (size_t i = 0; i < diag_n_messages(r->d); i++) {
		if (strstr(diag_message(r->d, i)->text, words) != NULL)
			return true;
	}
	return false;
}

static const struct virtual_host_config *find_host(
	const struct rig *r, unsigned table, const char *domain)
{
	const struct route_table_config *t = &r->router->route_tables[table];

	for (unsigned i = 0; i < t->n_hosts; i++) {
		if (strcmp(t->hosts[i].domain, domain) == 0)
			return &t->hosts[i];
	}
	return NULL;
}

// The same; the test fails if it is not there.
static const struct virtual_host_config *the_host(
	const struct rig *r, unsigned table, const char *domain)
{
	static const struct virtual_host_config none;
	const struct virtual_host_config *h = find_host(r, table, domain);

	if (h == NULL)
		fail_msg("no host %s", domain);
	return h != NULL ? h : &none;
}

// The n-th route of a host; the test fails if it is not there.
static const struct route_config *route(
	const struct rig *r, unsigned table, const char *domain, unsigned n)
{
	static const struct route_config none;
	const struct virtual_host_config *h = find_host(r, table, domain);

	if (h == NULL || n >= h->n_routes) {
		fail_msg("no route %u of host %s", n, domain);
		return &none;
	}
	return &h->routes[n];
}

static const struct cluster_config *cluster(const struct rig *r, const char *name)
{
	static const struct cluster_config none;

	for (unsigned i = 0; i < r->router->n_clusters; i++) {
		if (strcmp(r->router->clusters[i].name, name) == 0)
			return &r->router->clusters[i];
	}
	fail_msg("no cluster %s", name);
	return &none;
}

#define API "outbound|80||api.default.svc.cluster.local"

// --- Gateways

static void gateway_of_another_workload_is_not_ours(void)
{
	struct rig r = rig_load(APPLIANCE
		"spec: {}\n"
		"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: other}\n"
		"spec:\n  selector: {istio: egressgateway}\n  servers:\n" HTTP_SERVER("[\"*\"]"));

	assert_int_equal(r.router->n_listeners, 0);
	rig_done(&r);
}

static void service_in_front_maps_the_ports(void)
{
	struct rig r = rig_load(BASE
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: edge, namespace: istio-system}\n"
		"spec:\n  selector: {istio: ingressgateway}\n"
		"  ports: [{name: http, port: 80, targetPort: 8088}]\n");

	assert_int_equal(r.router->n_listeners, 1);
	assert_int_equal(r.router->listeners[0].local.port, 8088);
	assert_string_equal(r.router->route_tables[0].name, "http.8088");
	assert_int_equal(r.router->route_tables[0].server_port, 80);
	rig_done(&r);
}

static void tls_servers_share_a_port_by_name(void)
{
	struct rig r = rig_load(APPLIANCE "spec: {}\n" GATEWAY("web",
		"    - port: {number: 443, name: a, protocol: HTTPS}\n"
		"      hosts: [\"default/B.example\", a.example]\n"
		"      tls: {mode: SIMPLE, credentialName: a}\n"
		"    - port: {number: 443, name: b, protocol: HTTPS}\n"
		"      hosts: [\"*\"]\n"
		"      tls: {mode: SIMPLE, credentialName: b}\n"
		"    - port: {number: 443, name: c, protocol: HTTPS}\n"
		"      hosts: [a.example, c.example]\n"
		"      tls: {mode: SIMPLE, credentialName: c}\n"));
	const struct listener_config *l = &r.router->listeners[0];

	assert_int_equal(r.router->n_listeners, 1);
	assert_int_equal(l->n_chains, 2);
	assert_int_equal(l->chains[0].tls.n_sni, 2);
	assert_string_equal(l->chains[0].tls.sni[0], "a.example");
	assert_string_equal(l->chains[0].tls.sni[1], "b.example");
	assert_int_equal(l->chains[1].tls.n_sni, 0);
	assert_int_equal(l->chains[1].tls.index, 1);
	assert_string_equal(
		r.router->route_tables[l->chains[1].route_table].name, "https.443.b.web.default");
	// No Secret: the chain is there, and its handshakes fail.
	assert_int_equal(l->chains[0].tls.n_certificates, 0);
	assert_true(was_warned(&r, "\"a.example\" is already served on port 443"));
	assert_true(was_warned(&r, "handshakes will fail"));
	rig_done(&r);
}

// Reference 1.6: one route table for all of them, also where a Service makes one port of two numbers.
static void plain_servers_of_several_gateways_share_a_table(void)
{
	struct rig r = rig_load(APPLIANCE "spec: {}\n" GATEWAY(
		"one", HTTP_SERVER("[a.example]")) GATEWAY("two",
		HTTP_SERVER(
			"[b.example]") "    - port: {number: 8080, name: more, protocol: HTTP}\n"
				       "      hosts: [c.example]\n") SERVICE("api",
		"[{port: 80}]") ROUTES("a", "[a.example, b.example]", "[one]",
		"    - route: [{destination: {host: api}}]\n") ROUTES("b", "[b.example, c.example]",
		"[two]",
		"    - match: [{port: 8080}]\n"
		"      route: [{destination: {host: api}}]\n"
		"    - match: [{port: 80, uri: {prefix: /b}}]\n"
		"      route: [{destination: {host: api}}]\n") "---\napiVersion: v1\nkind: Service\nmetadata: {name: edge, namespace: istio-system}\n"
							       "spec:\n  selector: {istio: ingressgateway}\n"
							       "  ports: [{name: http, port: 80, targetPort: 8080}]\n");

	assert_int_equal(r.router->n_listeners, 1);
	assert_int_equal(r.router->listeners[0].local.port, 8080);
	assert_int_equal(r.router->listeners[0].n_chains, 1);
	assert_int_equal(r.router->n_route_tables, 1);
	assert_string_equal(r.router->route_tables[0].name, "http.8080");
	assert_int_equal(the_host(&r, 0, "a.example")->n_routes, 1);
	// Of Gateway one's server b.example is none; match.port is a server's number, never the port bound.
	assert_int_equal(the_host(&r, 0, "b.example")->n_routes, 1);
	assert_string_equal(route(&r, 0, "b.example", 0)->match.uri.text, "/b");
	assert_int_equal(the_host(&r, 0, "c.example")->n_routes, 1);
	assert_string_equal(route(&r, 0, "c.example", 0)->match.uri.text, "/");
	rig_done(&r);
}

// Reference 1.6: what one HTTPS server answers another one on the same port does not know.
static void servers_bound_to_every_address_share_a_listener(void)
{
	struct rig r = rig_load(APPLIANCE "spec: {}\n" GATEWAY("web",
		HTTP_SERVER(
			"[a.example]") "    - {port: {number: 80, name: v4, protocol: HTTP}, bind: 0.0.0.0, hosts: [b.example]}\n"
				       "    - {port: {number: 80, name: v6, protocol: HTTP}, bind: \"::\", hosts: [c.example]}\n"
				       "    - {port: {number: 80, name: one, protocol: HTTP}, bind: 192.0.2.1, hosts: [d.example]}\n"));

	assert_int_equal(r.router->n_listeners, 2);
	assert_string_equal(r.router->listeners[0].name, "0.0.0.0_80");
	assert_string_equal(r.router->listeners[1].name, "192.0.2.1_80");
	assert_string_equal(r.router->route_tables[0].name, "http.80");
	assert_string_equal(r.router->route_tables[1].name, "http.80.192.0.2.1");
	rig_done(&r);
}

static void tls_servers_have_their_own_tables(void)
{
	struct rig r = rig_load(APPLIANCE "spec: {}\n" GATEWAY("web",
		"    - port: {number: 443, name: a, protocol: HTTPS}\n"
		"      hosts: [a.example]\n"
		"      tls: {mode: SIMPLE, credentialName: a}\n") GATEWAY("more",
		"    - port: {number: 443, name: b, protocol: HTTPS}\n"
		"      hosts: [b.example]\n"
		"      tls: {mode: SIMPLE, credentialName: b}\n") SERVICE("api", "[{port: 80}]")
			ROUTES("all", "[\"*\"]", "[web, more]",
				"    - route: [{destination: {host: api}}]\n"));

	assert_int_equal(r.router->n_listeners, 1);
	assert_int_equal(r.router->listeners[0].n_chains, 2);
	assert_int_equal(r.router->n_route_tables, 2);
	for (unsigned i = 0; i < 2; i++) {
		const struct filter_chain_config *chain = &r.router->listeners[0].chains[i];
		const char *own = chain->tls.sni[0];
		const char *other = own[0] == 'a' ? "b.example" : "a.example";

		assert_non_null(find_host(&r, chain->route_table, own));
		assert_null(find_host(&r, chain->route_table, other));
	}
	rig_done(&r);
}

static void plain_and_tls_on_one_port_keep_the_first(void)
{
	struct rig r = rig_load(APPLIANCE "spec: {}\n" GATEWAY("web",
		HTTP_SERVER("[\"*\"]") "    - port: {number: 80, name: https, protocol: HTTPS}\n"
				       "      hosts: [\"*\"]\n"
				       "      tls: {mode: SIMPLE, credentialName: a}\n"));

	assert_int_equal(r.router->n_listeners, 1);
	assert_false(r.router->listeners[0].tls);
	assert_true(was_warned(&r, "port 80 already speaks HTTP"));
	rig_done(&r);
}

static void every_listener_takes_a_proxy_header_if_the_mesh_says_so(void)
{
	static const char *const texts[] = {
		APPLIANCE "spec: {}\n" GATEWAY("web", HTTP_SERVER("[\"*\"]")),
		APPLIANCE "spec: {}\n" GATEWAY("web",
			HTTP_SERVER(
				"[\"*\"]")) "---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n"
					    "metadata: {name: mesh, namespace: istio-system}\n"
					    "spec: {meshConfig: {defaultConfig: {gatewayTopology: {proxyProtocol: {}}}}}\n",
	};

	for (unsigned on = 0; on < 2; on++) {
		struct rig r = rig_load(on ? texts[1] : texts[0]);

		assert_int_equal(r.router->listeners[0].proxy_protocol, on);
		rig_done(&r);
	}
}

static void servers_that_pass_tls_on_are_not_served(void)
{
	struct rig r = rig_load(APPLIANCE "spec: {}\n" GATEWAY("web",
		"    - port: {number: 443, name: a, protocol: HTTPS}\n"
		"      hosts: [a.example]\n"
		"      tls: {mode: PASSTHROUGH, credentialName: a}\n"));

	assert_int_equal(r.router->n_listeners, 0);
	assert_true(was_warned(&r, "PASSTHROUGH is read but not acted on"));
	rig_done(&r);
}

// --- certificates of clients

static char documents[65536];

static void add_secret(const char *name, const char *data)
{
	sprintf(documents + strlen(documents),
		"---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: istio-system}\n"
		"stringData:\n%s",
		name, data);
}

// As a block of YAML below 'key'.
static const char *block(const char *key, const char *pem)
{
	static char out[8][8192];
	static unsigned n;
	char *to = out[n++ % 8];

	sprintf(to, "  %s: |\n    ", key);
	for (; *pem != '\0'; pem++) {
		strncat(to, pem, 1);
		if (*pem == '\n' && pem[1] != '\0')
			strcat(to, "    ");
	}
	return to;
}

static void add_server(const char *name, const char *tls)
{
	sprintf(documents + strlen(documents),
		"    - port: {number: 443, name: %s, protocol: HTTPS}\n"
		"      hosts: [%s.example]\n      tls: %s\n",
		name, name, tls);
}

static const struct tls_client_config *client_of(const struct rig *r, unsigned chain)
{
	return &r->router->listeners[0].chains[chain].tls.client;
}

static void servers_ask_for_certificates_as_they_say(void)
{
	static struct tls_pem server, ca, other_ca, old_ca;
	static char crl[TLS_PEM_SIZE], old_crl[TLS_PEM_SIZE];
	char pair[20000], stale[20000];
	struct rig r;

	tls_pem_make(&server, TLS_KEY_P256, "a.example", 0, 86400);
	tls_pem_make_as(
		&ca, &(struct tls_pem_options){.name = "ca", .is_ca = true, .not_after_s = 86400});
	tls_pem_make_as(&other_ca,
		&(struct tls_pem_options){.name = "other", .is_ca = true, .not_after_s = 86400});
	tls_pem_make_as(&old_ca,
		&(struct tls_pem_options){
			.name = "old", .is_ca = true, .not_before_s = -86400, .not_after_s = -60});
	tls_crl_make(crl, &ca, 1, 1);
	tls_crl_make(old_crl, &ca, 1, -1);
	strcpy(documents, APPLIANCE "spec: {}\n" GATEWAY("web", ""));
	add_server("simple", "{mode: SIMPLE, credentialName: own}");
	add_server("own",
		"{mode: MUTUAL, credentialName: own, subjectAltNames: [\"spiffe://a/b\", c.example]}");
	add_server("beside", "{mode: OPTIONAL_MUTUAL, credentialName: beside}");
	add_server("named",
		"{mode: MUTUAL, credentialName: own, caCertCredentialName: beside-cacert}");
	add_server("any", "{mode: MUTUAL, credentialName: beside, insecureSkipVerify: true}");
	add_server("none", "{mode: MUTUAL, credentialName: bare}");
	add_server("pinned",
		"{mode: MUTUAL, credentialName: own, verifyCertificateHash: "
		"[\"000102030405060708090a0b0c0d0e0f:101112131415161718191A1B1C1D1E:1F\"], "
		"verifyCertificateSpki: [AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=]}");
	add_server("old", "{mode: MUTUAL, credentialName: own, caCertCredentialName: old}");
	add_server("stale", "{mode: MUTUAL, credentialName: own, caCertCredentialName: stale}");
	snprintf(pair, sizeof(pair), "%s%s", block("tls.crt", server.certificate),
		block("tls.key", server.key));
	add_secret("beside", pair);
	add_secret("bare", pair);
	add_secret("old", block("ca.crt", old_ca.certificate));
	snprintf(stale, sizeof(stale), "%s%s", block("ca.crt", ca.certificate),
		block("ca.crl", old_crl));
	add_secret("stale", stale);
	add_secret("beside-cacert", block("cacert", other_ca.certificate));
	strcat(pair, block("ca.crt", ca.certificate));
	strcat(pair, block("ca.crl", crl));
	add_secret("own", pair);
	r = rig_load(documents);

	assert_int_equal(client_of(&r, 0)->auth, TLS_CLIENT_NOT_ASKED);
	assert_int_equal(client_of(&r, 1)->auth, TLS_CLIENT_REQUIRED);
	assert_true(bytes_equal(client_of(&r, 1)->ca_pem, bytes_of_str(ca.certificate)));
	assert_true(bytes_equal(client_of(&r, 1)->crl_pem, bytes_of_str(crl)));
	assert_string_equal(client_of(&r, 1)->ca_name, "Secret istio-system/own");
	assert_int_equal(client_of(&r, 1)->n_names, 2);
	assert_string_equal(client_of(&r, 1)->names[0], "spiffe://a/b");
	assert_int_equal(client_of(&r, 2)->auth, TLS_CLIENT_OPTIONAL);
	assert_true(bytes_equal(client_of(&r, 2)->ca_pem, bytes_of_str(other_ca.certificate)));
	assert_int_equal(client_of(&r, 2)->crl_pem.len, 0);
	assert_true(bytes_equal(client_of(&r, 3)->ca_pem, bytes_of_str(other_ca.certificate)));
	assert_true(client_of(&r, 4)->any);
	assert_int_equal(r.router->listeners[0].chains[4].tls.n_certificates, 1);
	// Istio waits for the secret; meanwhile nobody gets in.
	assert_int_equal(r.router->listeners[0].chains[5].tls.n_certificates, 0);
	assert_true(was_warned(&r, "has no CA for clients"));
	assert_true(was_warned(&r,
		"a CA for clients or its revocation list has expired; those that it signed for are refused (Secret istio-system/old)"));
	assert_true(was_warned(&r,
		"a CA for clients or its revocation list has expired; those that it signed for are refused (Secret istio-system/stale)"));
	assert_int_equal(client_of(&r, 6)->n_certificates, 1);
	assert_int_equal(client_of(&r, 6)->n_keys, 1);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(client_of(&r, 6)->certificates[0].b[i], i);
		assert_int_equal(client_of(&r, 6)->keys[0].b[i], i);
	}
	rig_done(&r);
}

static void two_certificates_of_one_type_are_an_error_that_has_a_place(void)
{
	static struct tls_pem a, b;
	char path[] = "/tmp/test-translate-XXXXXX.yaml";
	const char *paths[] = {path};
	struct diag *d = diag_new();
	struct config *c;
	char pair[20000];
	int fd = mkstemps(path, 5);

	tls_pem_make(&a, TLS_KEY_P256, "a.example", 0, 86400);
	tls_pem_make(&b, TLS_KEY_P256, "a.example", 0, 86400);
	strcpy(documents, APPLIANCE "spec: {}\n" GATEWAY("web", ""));
	add_server("a", "{mode: SIMPLE, credentialNames: [a, b]}");
	snprintf(pair, sizeof(pair), "%s%s", block("cert", a.certificate), block("key", a.key));
	add_secret("a", pair);
	snprintf(pair, sizeof(pair), "%s%s", block("cert", b.certificate), block("key", b.key));
	add_secret("b", pair);
	assert_int_equal(write(fd, documents, strlen(documents)), strlen(documents));
	close(fd);
	assert_int_not_equal(config_load(&c, paths, 1, d), 0);
	assert_int_equal(diag_n_errors(d), 1);
	assert_non_null(strstr(diag_message(d, 0)->text,
		"credentialNames[1]: unusable certificate: Secret istio-system/b: "
		"the chain has a certificate with this type of key already"));
	unlink(path);
	diag_free(&d);
}

// Everybody else would go down with it at a restart, and nothing could be reloaded any more.
static void an_expired_certificate_is_warned_of_and_used(void)
{
	static struct tls_pem old;
	char pair[20000];
	struct rig r;

	tls_pem_make(&old, TLS_KEY_P256, "a.example", -2 * 86400, -86400);
	strcpy(documents, APPLIANCE "spec: {}\n" GATEWAY("web", ""));
	add_server("a", "{mode: SIMPLE, credentialName: a}");
	snprintf(pair, sizeof(pair), "%s%s", block("cert", old.certificate), block("key", old.key));
	add_secret("a", pair);
	r = rig_load(documents);
	assert_true(was_warned(
		&r, "Secret istio-system/a: the certificate has expired; clients refuse it"));
	assert_int_equal(r.router->listeners[0].chains[0].tls.n_certificates, 1);
	assert_in_range(
		time(NULL) - r.router->listeners[0].chains[0].tls.certificates[0].not_after_s,
		86400, 86400 + 600);
	rig_done(&r);
}

static void redirecting_server_redirects_hosts_without_routes_too(void)
{
	struct rig r = rig_load(APPLIANCE "spec: {}\n" GATEWAY("web",
		"    - port: {number: 80, name: http, protocol: HTTP}\n"
		"      hosts: [\"A.example\", b.example]\n"
		"      tls: {httpsRedirect: true}\n") ROUTES("b", "[b.example]", "[web]",
		"    - directResponse: {status: 200}\n"));

	assert_true(the_host(&r, 0, "a.example")->require_tls);
	assert_int_equal(the_host(&r, 0, "a.example")->n_routes, 0);
	assert_true(the_host(&r, 0, "b.example")->require_tls);
	assert_int_equal(the_host(&r, 0, "b.example")->n_routes, 1);
	rig_done(&r);
}

// --- binding

static void the_more_specific_host_of_server_and_routes_is_bound(void)
{
	struct rig r = rig_load(APPLIANCE "spec: {}\n" GATEWAY(
		"web", HTTP_SERVER("[\"*.example.com\", only.example.org, \"other/x.example\"]"))
			ROUTES("a", "[A.example.com]", "[web]",
				"    - directResponse: {status: 200}\n") ROUTES("b", "[\"*.org\"]",
				"[web]", "    - directResponse: {status: 201}\n")
				ROUTES("c", "[x.example, elsewhere.example]", "[web]",
					"    - directResponse: {status: 202}\n"));

	assert_int_equal(r.router->route_tables[0].n_hosts, 2);
	assert_int_equal(route(&r, 0, "a.example.com", 0)->direct_status, 200);
	assert_int_equal(route(&r, 0, "only.example.org", 0)->direct_status, 201);
	rig_done(&r);
}

static void routes_kept_to_their_namespace_are_not_served(void)
{
	struct rig r = rig_load(BASE ROUTES("a", "[a.example]", "[web]",
		"    - directResponse: {status: 200}\n") "  exportTo: [\".\"]\n");

	assert_null(find_host(&r, 0, "a.example"));
	rig_done(&r);
}

static void mesh_routes_are_served_only_when_asked_for(void)
{
	struct rig r = rig_load(BASE ROUTES("a", "[api]", "[mesh]", "    -\n" TO("api")));

	assert_int_equal(r.router->route_tables[0].n_hosts, 0);
	assert_int_equal(r.router->n_clusters, 0);
	rig_done(&r);
}

// --- routes

static void catch_alls_of_older_services_do_not_hide_newer_routes(void)
{
	struct rig r = rig_load(BASE ROUTES("a-old", "[\"*\"]", "[web]",
		"    - {name: all, directResponse: {status: 200}}\n"
		"    - {name: never, directResponse: {status: 201}}\n") ROUTES("b-new", "[\"*\"]",
		"[web]",
		"    - {name: n, match: [{uri: {prefix: /n}, name: x}], directResponse: {status: 202}}\n"));

	assert_int_equal(the_host(&r, 0, "*")->n_routes, 2);
	assert_string_equal(route(&r, 0, "*", 0)->name, "n.x");
	assert_string_equal(route(&r, 0, "*", 1)->name, "all");
	assert_string_equal(route(&r, 0, "*", 1)->origin, "VirtualService default/a-old http[0]");
	rig_done(&r);
}

static void each_match_is_a_route_unless_it_cannot_hold_here(void)
{
	struct rig r = rig_load(BASE ROUTES("a", "[\"*\"]", "[web]",
		"    - match:\n"
		"        - {uri: {prefix: /a}, ignoreUriCase: true}\n"
		"        - {uri: {exact: /b}, port: 443}\n"
		"        - {uri: {exact: /c}, gateways: [other]}\n"
		"        - {uri: {regex: \"/d/.*\"}, sourceLabels: {istio: ingressgateway}}\n"
		"        - {uri: {exact: /e}, sourceNamespace: default}\n"
		"        - headers: {X-User: {exact: joe}, x-any: {}}\n"
		"          without_headers: {x-bad: {prefix: b}}\n"
		"          queryParams: {Page: {exact: \"1\"}}\n"
		"          method: {exact: GET}\n" TO("api")));
	const struct route_match *last = &route(&r, 0, "*", 2)->match;

	assert_int_equal(the_host(&r, 0, "*")->n_routes, 3);
	assert_true(route(&r, 0, "*", 0)->match.uri.ignore_case);
	assert_int_equal(route(&r, 0, "*", 1)->match.uri.kind, STRING_MATCH_REGEX);
	assert_int_equal(last->uri.kind, STRING_MATCH_PREFIX);
	assert_string_equal(last->uri.text, "/");
	assert_int_equal(last->n_headers, 3);
	assert_string_equal(last->headers[0].name, "x-user");
	assert_int_equal(last->headers[1].match.kind, STRING_MATCH_PRESENT);
	assert_true(last->headers[2].invert);
	assert_string_equal(last->query[0].name, "Page");
	assert_int_equal(last->method.kind, STRING_MATCH_EXACT);
	rig_done(&r);
}

static void weights_of_zero_are_dropped_and_ports_chosen(void)
{
	struct rig r = rig_load(BASE SERVICE("two",
		"[{name: a, port: 8000}, {name: b, port: 80}]") ROUTES("a", "[\"*\"]", "[web]",
		"    - route:\n"
		"        - {destination: {host: api}, weight: 0}\n"
		"        - {destination: {host: two, port: {number: 8000}}, weight: 3}\n"
		"        - {destination: {host: two}, weight: 1}\n"));
	const struct route_config *rc = route(&r, 0, "*", 0);

	assert_int_equal(rc->n_clusters, 2);
	assert_string_equal(
		rc->clusters[0].cluster, "outbound|8000||two.default.svc.cluster.local");
	assert_int_equal(rc->clusters[0].weight, 3);
	assert_string_equal(rc->clusters[1].cluster, "outbound|80||two.default.svc.cluster.local");
	rig_done(&r);
}

static void retries_come_from_route_then_mesh_then_istio(void)
{
	static const char mesh[] =
		"---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n"
		"metadata: {name: mesh, namespace: istio-system}\n"
		"spec: {meshConfig: {defaultHttpRetryPolicy: {attempts: 5, retryOn: \"503,reset\"}}}\n";
	static const char routes[] = BASE ROUTES("a", "[\"*\"]", "[web]",
		"    - match: [{uri: {prefix: /a}}]\n"
		"      retries: {attempts: 0}\n" TO(
			"api") "    - match: [{uri: {prefix: /b}}]\n"
			       "      retries: {attempts: 1}\n" TO(
				       "api") "    - match: [{uri: {prefix: /c}}]\n" TO("api"));
	const uint32_t built_in = RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM
		| RETRY_GRPC_UNAVAILABLE | RETRY_GRPC_CANCELLED | RETRY_RETRIABLE_STATUS_CODES;
	char both[sizeof(mesh) + sizeof(routes)];
	struct rig r = rig_load(routes);
	const struct retry_config *retry;

	assert_int_equal(route(&r, 0, "*", 0)->retry.attempts, 0);
	retry = &route(&r, 0, "*", 1)->retry;
	assert_int_equal(retry->attempts, 1);
	assert_int_equal(retry->on, built_in);
	retry = &route(&r, 0, "*", 2)->retry;
	assert_int_equal(retry->attempts, 2);
	assert_int_equal(retry->on, built_in);
	assert_int_equal(retry->backoff_base_us, 25000);
	assert_true(retry->ignore_previous_hosts);
	rig_done(&r);

	snprintf(both, sizeof(both), "%s%s", routes, mesh);
	r = rig_load(both);
	retry = &route(&r, 0, "*", 2)->retry;
	assert_int_equal(retry->attempts, 5);
	assert_int_equal(retry->on, RETRY_RESET | RETRY_RETRIABLE_STATUS_CODES);
	assert_int_equal(retry->status_codes[0], 503);
	rig_done(&r);
}

static void operations_of_an_only_destination_join_the_routes(void)
{
	struct rig r = rig_load(BASE ROUTES("a", "[\"*\"]", "[web]",
		"    - route:\n"
		"        - destination: {host: api}\n"
		"          headers: {request: {set: {x-b: dest, host: inner}, remove: [X-Old]}}\n"
		"      headers: {request: {set: {x-b: route, X-A: \"50%%\"}, add: {x-c: c}}}\n"
		"      rewrite: {uri: /v2}\n"));
	const struct route_config *rc = route(&r, 0, "*", 0);

	assert_int_equal(rc->request_headers.n_remove, 1);
	assert_string_equal(rc->request_headers.remove[0], "x-old");
	assert_int_equal(rc->request_headers.n_set, 3);
	assert_string_equal(rc->request_headers.set[0].name, "x-a");
	assert_string_equal(rc->request_headers.set[0].value, "50%");
	assert_string_equal(rc->request_headers.set[1].value, "route");
	assert_string_equal(rc->request_headers.set[2].value, "dest");
	assert_int_equal(rc->request_headers.n_add, 1);
	assert_string_equal(rc->rewrite.authority, "inner");
	assert_string_equal(rc->rewrite.path, "/v2");
	assert_int_equal(rc->clusters[0].request_headers.n_set, 0);
	rig_done(&r);
}

// --- clusters

#define ALL_TO_API ROUTES("a", "[\"*\"]", "[web]", "    -\n" TO("api"))

static void cluster_without_a_rule_has_istios_defaults(void)
{
	struct rig r = rig_load(BASE ALL_TO_API);
	const struct cluster_config *c = cluster(&r, API);

	assert_int_equal(c->lb, LB_LEAST_REQUEST);
	assert_int_equal(c->connect_timeout_us, 10000000);
	assert_int_equal(c->idle_timeout_us, 3600000000ull);
	assert_int_equal(c->max_connections, UINT32_MAX);
	assert_int_equal(c->max_retries, UINT32_MAX);
	assert_false(c->outlier.enabled);
	assert_int_equal(c->n_endpoints, 0);
	assert_string_equal(c->service_name, "api");
	rig_done(&r);
}

static void empty_outlier_detection_ejects_after_five_failures(void)
{
	struct rig r = rig_load(BASE ALL_TO_API RULE(
		"api", "  host: api\n  trafficPolicy: {outlierDetection: {}}\n"));
	const struct cluster_config *c = cluster(&r, API);

	assert_true(c->outlier.enabled);
	assert_int_equal(c->outlier.consecutive_5xx, 5);
	assert_int_equal(c->outlier.consecutive_gateway, 0);
	assert_int_equal(c->outlier.interval_us, 10000000);
	assert_int_equal(c->outlier.base_ejection_us, 30000000);
	assert_int_equal(c->outlier.max_ejection_us, 300000000);
	assert_int_equal(c->outlier.max_ejection_percent, 10);
	assert_true(c->outlier.always_eject_one);
	assert_int_equal(c->panic_threshold_percent, 0);
	rig_done(&r);
}

// Reference 3.3: the policy's, else the mesh's; an object that says nothing turns it on.
static void keepalive_is_the_policys_or_the_meshs(void)
{
	static const struct {
		const char *policy;
		const char *mesh;
		struct tcp_keepalive keepalive;
	} cases[] = {
		{"{}",						   "",                          {0, 0, 0}    },
		{"{tcpKeepalive: {}}",                                   "",                          {7200, 75, 9}},
		{"{tcpKeepalive: {time: 20s, interval: 3s, probes: 4}}", "",                          {20, 3, 4}   },
		{"{connectTimeout: 1s}",                                 "tcpKeepalive: {time: 60s}", {60, 75, 9}  },
		{"{tcpKeepalive: {interval: 5s}}",                       "tcpKeepalive: {time: 60s}", {7200, 5, 9} },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[4096];
		const struct tcp_keepalive *want = &cases[i].keepalive, *k;
		struct rig r;

		snprintf(text, sizeof(text),
			BASE ALL_TO_API RULE("api",
				"  host: api\n  trafficPolicy: {connectionPool: {tcp: %s}}\n") "---\napiVersion: v1\nkind: ConfigMap\n"
											       "metadata: {name: istio, namespace: istio-system}\n"
											       "data:\n  mesh: |\n    accessLogFile: /dev/stdout\n    %s\n",
			cases[i].policy, cases[i].mesh);
		r = rig_load(text);
		k = &cluster(&r, API)->keepalive;
		print_message("%s %s\n", cases[i].policy, cases[i].mesh);
		assert_int_equal(k->time_s, want->time_s);
		assert_int_equal(k->interval_s, want->interval_s);
		assert_int_equal(k->probes, want->probes);
		rig_done(&r);
	}
}

static void port_settings_replace_all_blocks_and_subsets_single_ones(void)
{
	struct rig r = rig_load(BASE SERVICE(
		"two", "[{name: a, port: 80}, {name: b, port: 81}]") RULE("two",
		"  host: two\n"
		"  trafficPolicy:\n"
		"    loadBalancer: {simple: RANDOM}\n"
		"    connectionPool: {tcp: {maxConnections: 7}}\n"
		"    proxyProtocol: {version: V2}\n"
		"    portLevelSettings:\n"
		"      - port: {number: 81}\n"
		"        loadBalancer: {simple: ROUND_ROBIN}\n"
		"  subsets:\n"
		"    - name: v1\n"
		"      labels: {version: v1}\n"
		"      trafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}, proxyProtocol: "
		"{}}\n") ROUTES("a", "[\"*\"]", "[web]",
		"    - match: [{uri: {prefix: /a}}]\n"
		"      route: [{destination: {host: two, port: {number: 80}}}]\n"
		"    - match: [{uri: {prefix: /b}}]\n"
		"      route: [{destination: {host: two, port: {number: 81}}}]\n"
		"    - route: [{destination: {host: two, port: {number: 80}, subset: v1}}]\n"));
	const struct cluster_config *c = cluster(&r, "outbound|80||two.default.svc.cluster.local");

	assert_int_equal(c->lb, LB_RANDOM);
	assert_int_equal(c->max_connections, 7);
	assert_int_equal(c->proxy_version, 2);
	c = cluster(&r, "outbound|81||two.default.svc.cluster.local");
	assert_int_equal(c->lb, LB_ROUND_ROBIN);
	assert_int_equal(c->max_connections, UINT32_MAX);
	assert_int_equal(c->proxy_version, 2); // no setting of ports
	c = cluster(&r, "outbound|80|v1|two.default.svc.cluster.local");
	assert_int_equal(c->lb, LB_RANDOM);
	assert_int_equal(c->max_connections, 9);
	assert_int_equal(c->proxy_version, 1);
	rig_done(&r);
}

static void rule_of_the_services_namespace_goes_before_the_root_namespaces(void)
{
	static const char root[] =
		"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
		"metadata: {name: all, namespace: istio-system}\n"
		"spec: {host: \"*.cluster.local\", trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n";
	static const char base[] = BASE ALL_TO_API;
	static const char own[] = RULE(
		"api", "  host: api\n  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}\n");
	char text[sizeof(root) + sizeof(base) + sizeof(own)];
	struct rig r;

	snprintf(text, sizeof(text), "%s%s", base, root);
	r = rig_load(text);
	assert_int_equal(cluster(&r, API)->lb, LB_RANDOM);
	rig_done(&r);
	snprintf(text, sizeof(text), "%s%s%s", base, root, own);
	r = rig_load(text);
	assert_int_equal(cluster(&r, API)->lb, LB_ROUND_ROBIN);
	rig_done(&r);
}

// However many rules a host has, each may add subsets.
static void rules_of_one_host_are_without_number(void)
{
	enum { N_RULES = 40 };
	char text[16384];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s",
		BASE ROUTES("a", "[\"*\"]", "[web]",
			"    - route: [{destination: {host: api, subset: s39}}]\n"));
	struct rig r;

	for (unsigned i = 0; i < N_RULES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
			"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
			"metadata: {name: r%02u}\nspec: {host: api, subsets: [{name: s%u, trafficPolicy: "
			"{loadBalancer: {simple: RANDOM}}}]}\n",
			i, i);
	assert_true(n < sizeof(text));
	r = rig_load(text);
	assert_int_equal(diag_n_warnings(r.d), 0);
	assert_int_equal(
		cluster(&r, "outbound|80|s39|api.default.svc.cluster.local")->lb, LB_RANDOM);
	rig_done(&r);
}

// As Kubernetes reads it into a map or a list of texts. Fields without a value are not set.
static void null_is_an_empty_text(void)
{
	struct rig r = rig_load(BASE ROUTES("a", "[\"*\"]", "[web]",
		"    - headers: {request: {set: {x-null: ~, x-word: null, x-text: \"null\"}}}\n" TO(
			"api")));
	const struct route_config *rc = &r.router->route_tables[0].hosts[0].routes[0];

	assert_int_equal(rc->request_headers.n_set, 1);
	assert_string_equal(rc->request_headers.set[0].value, "null");
	rig_done(&r);
}

// --- endpoints

static void endpoints_are_joined_by_port_name_and_counted_once(void)
{
	struct rig r = rig_load(BASE ALL_TO_API
		"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
		"metadata: {name: s1, labels: {kubernetes.io/service-name: api}}\n"
		"addressType: IPv4\n"
		"ports: [{name: other, port: 9090}, {name: http, port: 8080}]\n"
		"endpoints:\n"
		"  - {addresses: [10.0.0.1]}\n"
		"  - {addresses: [10.0.0.2], conditions: {ready: false}}\n"
		"  - {addresses: [10.0.0.3], conditions: {ready: false, terminating: true}}\n"
		"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
		"metadata: {name: s2, labels: {kubernetes.io/service-name: api}}\n"
		"addressType: IPv4\n"
		"ports: [{name: http, port: 8080}]\n"
		"endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.4]}]\n");
	const struct cluster_config *c = cluster(&r, API);
	char text[IP_ENDPOINT_TEXT_SIZE];

	assert_int_equal(c->n_endpoints, 3);
	ip_endpoint_print(&c->endpoints[0].address, text);
	assert_string_equal(text, "10.0.0.1:8080");
	assert_true(c->endpoints[0].healthy);
	assert_false(c->endpoints[1].healthy);
	assert_int_equal(c->endpoints[2].weight, 1);
	rig_done(&r);
}

#define SLICE(name, type, address)                                                          \
	"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " name \
	", labels: {kubernetes.io/service-name: api}}\naddressType: " type                  \
	"\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [\"" address "\"]}]\n"
#define BOTH_FAMILIES                              \
	GATEWAY("web", HTTP_SERVER("[\"*\"]"))     \
	SERVICE("api", "[{name: http, port: 80}]") \
	SLICE("v4", "IPv4", "10.0.0.1") SLICE("v6", "IPv6", "2001:db8::1") ALL_TO_API
#define PORT_OF(addresses) \
	"spec: {ports: [{name: a, driver: tap, interface: t0, addresses: " addresses "}]}\n"

static void endpoints_of_a_family_that_no_port_has_are_left_out(void)
{
	struct rig r = rig_load(APPLIANCE PORT_OF("[192.0.2.1/24]") BOTH_FAMILIES);

	assert_int_equal(cluster(&r, API)->n_endpoints, 1);
	assert_true(ip_addr_is_v4(&cluster(&r, API)->endpoints[0].address.addr));
	assert_true(was_warned(&r, "no port has an IPv6 address; these endpoints are left out"));
	rig_done(&r);
	r = rig_load(APPLIANCE PORT_OF("[192.0.2.1/24, \"2001:db8::2/64\"]") BOTH_FAMILIES);
	assert_int_equal(cluster(&r, API)->n_endpoints, 2);
	rig_done(&r);
}

static void subsets_take_endpoints_by_their_pods_labels(void)
{
	struct rig r = rig_load(BASE RULE(
		"api", "  host: api\n  subsets: [{name: v2, labels: {version: v2}}]\n") ROUTES("a",
		"[\"*\"]", "[web]",
		"    - route: [{destination: {host: api, subset: v2}}]\n") "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
									   "metadata: {name: s1, labels: {kubernetes.io/service-name: api}}\n"
									   "addressType: IPv4\n"
									   "ports: [{name: http, port: 8080}]\n"
									   "endpoints:\n"
									   "  - {addresses: [10.0.0.1], targetRef: {kind: Pod, name: p1}}\n"
									   "  - {addresses: [10.0.0.2], targetRef: {kind: Pod, name: p2}}\n"
									   "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p1, labels: {version: v1}}\n"
									   "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p2, labels: {version: v2, app: api}}\n");
	const struct cluster_config *c =
		cluster(&r, "outbound|80|v2|api.default.svc.cluster.local");
	char text[IP_ENDPOINT_TEXT_SIZE];

	assert_int_equal(c->n_endpoints, 1);
	ip_endpoint_print(&c->endpoints[0].address, text);
	assert_string_equal(text, "10.0.0.2:8080");
	assert_string_equal(c->endpoints[0].workload, "api");
	rig_done(&r);
}

static void service_entry_ports_go_from_endpoint_to_target_to_number(void)
{
	struct rig r = rig_load(BASE
		"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: ext}\n"
		"spec:\n"
		"  hosts: [ext.example]\n"
		"  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]\n"
		"  resolution: STATIC\n"
		"  endpoints:\n"
		"    - {address: 192.0.2.1}\n"
		"    - {address: 192.0.2.2, ports: {http: 9090}, weight: 5}\n"
		"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: vms}\n"
		"spec:\n"
		"  hosts: [vms.example]\n"
		"  ports: [{number: 80, name: http, protocol: HTTP}]\n"
		"  resolution: STATIC\n"
		"  workloadSelector: {labels: {app: vm}}\n"
		"---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm1}\n"
		"spec: {address: 192.0.2.3, labels: {app: vm}}\n"
		"---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
		"metadata: {name: vm2, labels: {version: v2, app: vm}}\n"
		"spec: {address: 192.0.2.4, labels: {zone: a, version: v1}}\n"
		"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: vms}\n"
		"spec: {host: vms.example, subsets: [{name: two, labels: {version: v2, zone: a}}]}\n" ROUTES(
			"a", "[\"*\"]", "[web]",
			"    - match: [{uri: {prefix: /a}}]\n" TO(
				"ext.example") "    - match: [{uri: {prefix: /b}}]\n"
					       "      route: [{destination: {host: vms.example, subset: two}}]\n"
					       "    -\n" TO("vms.example")));
	const struct cluster_config *c = cluster(&r, "outbound|80||ext.example");

	assert_int_equal(c->n_endpoints, 2);
	assert_int_equal(c->endpoints[0].address.port, 8080);
	assert_int_equal(c->endpoints[1].address.port, 9090);
	assert_int_equal(c->endpoints[1].weight, 5);
	c = cluster(&r, "outbound|80||vms.example");
	assert_int_equal(c->n_endpoints, 2);
	assert_int_equal(c->endpoints[0].address.port, 80);
	// The metadata's labels are merged over those of the spec.
	c = cluster(&r, "outbound|80|two|vms.example");
	assert_int_equal(c->n_endpoints, 1);
	rig_done(&r);
}

// --- many objects

static char *print_many(unsigned n)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	fputs(APPLIANCE "spec: {}\n" GATEWAY("web", ""), to);
	fputs("    - port: {number: 80, name: http, protocol: HTTP}\n      hosts:\n", to);
	for (unsigned i = 0; i < n; i++)
		fprintf(to, "        - shop-%u.example\n", i);
	for (unsigned i = 0; i < n; i++)
		fprintf(to,
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: api-%u}\n"
			"spec: {ports: [{name: http, port: 80}]}\n"
			"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
			"metadata: {name: api-%u}\nspec: {host: api-%u, subsets: [{name: v1}]}\n"
			"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: own-%u}\n"
			"spec: {servers: [{port: {number: 81, name: http, protocol: HTTP}, hosts: [\"*\"]}]}\n"
			"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
			"metadata: {name: shop-%u}\nspec:\n  hosts: [shop-%u.example]\n"
			"  gateways: [web, own-%u]\n"
			"  http: [{route: [{destination: {host: api-%u, subset: v1}}]}]\n",
			i, i, i, i, i, i, i, i);
	fclose(to);
	return text;
}

static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

// What is kept for each pair of objects would be some 300 MiB here.
static void memory_grows_with_the_objects_not_with_their_pairs(void)
{
	char *text = print_many(1500);
	long before = peak_kib();
	struct rig r = rig_load(text);

	assert_int_equal(r.router->n_clusters, 1500);
	assert_int_equal(r.router->route_tables[0].n_hosts, 1500);
	assert_int_equal(r.router->route_tables[1].n_hosts, 1500);
	assert_true(peak_kib() - before < 96 * 1024);
	rig_done(&r);
	free(text);
}

// --- mesh

static void mesh_config_of_a_config_map_counts(void)
{
	struct rig r = rig_load(BASE ALL_TO_API
		"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
		"data:\n  mesh: |\n"
		"    accessLogFile: /dev/stdout\n"
		"    connectTimeout: 3s\n"
		"    pathNormalization: {normalization: MERGE_SLASHES}\n"
		"    acessLogEncoding: JSON\n");

	assert_true(r.router->access_log.enabled);
	assert_int_equal(r.router->http.path_normalization, PATH_NORMALIZE_MERGE_SLASHES);
	assert_int_equal(cluster(&r, API)->connect_timeout_us, 3000000);
	assert_true(was_warned(&r, "did you mean \"accessLogEncoding\""));
	rig_done(&r);
}

// Reference 3.3: the policy, else the mesh's, else what the port is called.
static void endpoints_speak_what_policy_or_port_says(void)
{
	static const struct {
		const char *port;
		const char *http;
		const char *mesh;
		enum cluster_protocol protocol;
	} cases[] = {
		{"name: http",				"",                                "",        CLUSTER_HTTP_1          },
		{"name: http2",                               "",                                "",        CLUSTER_HTTP_2          },
		{"name: http2-web",                           "",                                "",        CLUSTER_HTTP_2          },
		{"name: grpc",				"",                                "",        CLUSTER_HTTP_2          },
		{"name: grpc-orders",                         "",                                "",        CLUSTER_HTTP_2          },
		{"name: grpc-web",                            "",                                "",        CLUSTER_HTTP_2          },
		{"name: GRPC-web-x",                          "",                                "",        CLUSTER_HTTP_2          },
		{"name: http2x",                              "",                                "",        CLUSTER_HTTP_1          },
		{"name: my-grpc",                             "",                                "",        CLUSTER_HTTP_1          },
		{"name: web, appProtocol: grpc",              "",                                "",        CLUSTER_HTTP_2          },
		{"name: web, appProtocol: http2",             "",                                "",        CLUSTER_HTTP_2          },
		{"name: web, appProtocol: kubernetes.io/h2c", "",                                "",        CLUSTER_HTTP_2          },
		{"name: grpc, appProtocol: http",             "",                                "",        CLUSTER_HTTP_1          },
		{"name: http",				"h2UpgradePolicy: UPGRADE",        "",        CLUSTER_HTTP_2          },
		{"name: http",				"h2UpgradePolicy: DO_NOT_UPGRADE", "UPGRADE", CLUSTER_HTTP_1          },
		{"name: http",				"h2UpgradePolicy: DEFAULT",        "UPGRADE", CLUSTER_HTTP_2          },
		{"name: http",				"maxRetries: 3",                   "UPGRADE", CLUSTER_HTTP_2          },
		{"name: grpc",				"h2UpgradePolicy: DO_NOT_UPGRADE", "",        CLUSTER_HTTP_2          },
		{"name: http",				"useClientProtocol: true",         "",        CLUSTER_PROTOCOL_CLIENTS},
		{"name: http",				"useClientProtocol: true",         "UPGRADE", CLUSTER_PROTOCOL_CLIENTS},
		{"name: grpc",				"useClientProtocol: true",         "",        CLUSTER_PROTOCOL_CLIENTS},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[4096];
		struct rig r;

		snprintf(text, sizeof(text),
			APPLIANCE "spec: {}\n" GATEWAY("web", HTTP_SERVER("[\"*\"]")) SERVICE(
				"api", "[{port: 80, %s}]") ALL_TO_API RULE("r",
				"  host: api\n  trafficPolicy: "
				"{connectionPool: {http: {%s}}}\n") "---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n"
								    "metadata: {name: m}\n"
								    "spec: {meshConfig: {h2UpgradePolicy: %s}}\n",
			cases[i].port, cases[i].http,
			cases[i].mesh[0] != '\0' ? cases[i].mesh : "DO_NOT_UPGRADE");
		r = rig_load(text);
		if (cluster(&r, API)->protocol != cases[i].protocol)
			fail_msg("{%s}, {%s}, mesh \"%s\": %d", cases[i].port, cases[i].http,
				cases[i].mesh, cluster(&r, API)->protocol);
		rig_done(&r);
	}
}

static void pings_are_sent_as_rule_and_appliance_say(void)
{
	struct rig r = rig_load(APPLIANCE
		"spec: {http: {http2KeepAlive: {interval: 10s, timeout: 3s}}}\n" GATEWAY("web",
			HTTP_SERVER("[\"*\"]")) SERVICE("api", "[{port: 80}]") ALL_TO_API RULE("r",
			"  host: api\n  trafficPolicy: {connectionPool: {http: "
			"{http2KeepAlive: {interval: 1s, timeout: 500ms}}}}\n"));

	assert_int_equal(r.router->http.ping_interval_us, 10000000);
	assert_int_equal(r.router->http.ping_timeout_us, 3000000);
	assert_int_equal(cluster(&r, API)->ping_interval_us, 1000000);
	assert_int_equal(cluster(&r, API)->ping_timeout_us, 500000);
	rig_done(&r);
	r = rig_load(BASE ALL_TO_API);
	assert_int_equal(r.router->http.ping_interval_us, 0);
	assert_int_equal(cluster(&r, API)->ping_interval_us, 0);
	assert_true(r.router->http.extended_connect);
	rig_done(&r);
}

static void same_input_has_the_same_version(void)
{
	struct rig a = rig_load(BASE), b = rig_load(BASE), c = rig_load(BASE ALL_TO_API);

	assert_string_equal(a.router->version, b.router->version);
	assert_string_not_equal(a.router->version, c.router->version);
	rig_done(&a);
	rig_done(&b);
	rig_done(&c);
}

TESTS(TEST(gateway_of_another_workload_is_not_ours), TEST(service_in_front_maps_the_ports),
	TEST(tls_servers_share_a_port_by_name), TEST(plain_and_tls_on_one_port_keep_the_first),
	TEST(plain_servers_of_several_gateways_share_a_table),
	TEST(servers_bound_to_every_address_share_a_listener),
	TEST(tls_servers_have_their_own_tables),
	TEST(every_listener_takes_a_proxy_header_if_the_mesh_says_so),
	TEST(servers_that_pass_tls_on_are_not_served),
	TEST(servers_ask_for_certificates_as_they_say),
	TEST(two_certificates_of_one_type_are_an_error_that_has_a_place),
	TEST(an_expired_certificate_is_warned_of_and_used),
	TEST(redirecting_server_redirects_hosts_without_routes_too),
	TEST(the_more_specific_host_of_server_and_routes_is_bound),
	TEST(routes_kept_to_their_namespace_are_not_served),
	TEST(mesh_routes_are_served_only_when_asked_for),
	TEST(catch_alls_of_older_services_do_not_hide_newer_routes),
	TEST(each_match_is_a_route_unless_it_cannot_hold_here),
	TEST(weights_of_zero_are_dropped_and_ports_chosen),
	TEST(retries_come_from_route_then_mesh_then_istio),
	TEST(operations_of_an_only_destination_join_the_routes),
	TEST(cluster_without_a_rule_has_istios_defaults),
	TEST(empty_outlier_detection_ejects_after_five_failures),
	TEST(port_settings_replace_all_blocks_and_subsets_single_ones),
	TEST(rule_of_the_services_namespace_goes_before_the_root_namespaces),
	TEST(endpoints_are_joined_by_port_name_and_counted_once),
	TEST(endpoints_of_a_family_that_no_port_has_are_left_out),
	TEST(subsets_take_endpoints_by_their_pods_labels),
	TEST(service_entry_ports_go_from_endpoint_to_target_to_number),
	TEST(keepalive_is_the_policys_or_the_meshs),
	TEST(memory_grows_with_the_objects_not_with_their_pairs),
	TEST(mesh_config_of_a_config_map_counts), TEST(pings_are_sent_as_rule_and_appliance_say),
	TEST(endpoints_speak_what_policy_or_port_says), TEST(same_input_has_the_same_version),
	TEST(rules_of_one_host_are_without_number), TEST(null_is_an_empty_text))
