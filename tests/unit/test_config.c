// Loading whole configurations: those that must load, and for each mistake of configs/bad the exact messages.

#include "mgmt/config.h"
#include "tests/test_support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *printed(const struct diag *d)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	diag_print(d, to);
	fclose(to);
	return text;
}

static struct config *load(const char *const *paths, unsigned n, struct diag **d)
{
	struct config *c = NULL;
	char *text;

	*d = diag_new();
	if (config_load(&c, paths, n, *d) != 0) {
		text = printed(*d);
		print_error("%s", text);
		free(text);
	}
	return c;
}

static void assert_loads(const char *path)
{
	struct diag *d;
	struct config *c = load(&path, 1, &d);

	assert_non_null(c);
	assert_int_equal(diag_n_errors(d), 0);
	config_free(&c);
	assert_null(c);
	diag_free(&d);
}

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 65536);

	if (f == NULL)
		fail_msg("%s is missing", path);
	if (f != NULL) {
		assert_true(fread(text, 1, 65535, f) < 65535);
		fclose(f);
	}
	return text;
}

static const struct cluster_config *cluster(const struct router_config *r, const char *name)
{
	for (unsigned i = 0; i < r->n_clusters; i++) {
		if (strcmp(r->clusters[i].name, name) == 0)
			return &r->clusters[i];
	}
	fail_msg("no cluster %s", name);
	return NULL;
}

static const struct virtual_host_config *host(
	const struct route_table_config *t, const char *domain)
{
	for (unsigned i = 0; i < t->n_hosts; i++) {
		if (strcmp(t->hosts[i].domain, domain) == 0)
			return &t->hosts[i];
	}
	return NULL;
}

static void demo_listens_where_the_operator_maps_its_ports(void)
{
	const char *path = "configs/demo";
	struct diag *d;
	struct config *c = load(&path, 1, &d);
	const struct router_config *r;

	assert_non_null(c);
	r = c->router;
	assert_int_equal(r->n_listeners, 2);
	assert_string_equal(r->listeners[0].name, "0.0.0.0_8080");
	assert_false(r->listeners[0].tls);
	assert_string_equal(r->listeners[1].name, "0.0.0.0_8443");
	assert_true(r->listeners[1].tls);
	assert_int_equal(r->listeners[1].chains[0].tls.n_sni, 2);
	assert_string_equal(r->listeners[1].chains[0].stat_prefix, "outbound_0.0.0.0_8443");
	assert_string_equal(r->route_tables[0].name, "http.8080");
	assert_int_equal(r->route_tables[0].server_port, 80);
	assert_string_equal(r->route_tables[1].name, "https.443.https.shop.default");
	assert_int_equal(c->appliance->n_ports, 2);
	assert_string_equal(c->appliance->ports[1].interface, "gb");
	assert_int_equal(c->appliance->ports[1].prefix_len[0], 24);
	assert_null(c->appliance->cores);
	assert_int_equal(c->appliance->memory_limit, 200u << 20);
	assert_int_equal(c->appliance->metrics.port, 15090);
	assert_true(r->access_log.enabled);
	assert_string_equal(r->access_log.path, "/dev/stdout");
	config_free(&c);
	diag_free(&d);
}

static void demo_has_the_seeds_limits_and_ejections(void)
{
	const char *path = "configs/demo";
	struct diag *d;
	struct config *c = load(&path, 1, &d);
	const struct cluster_config *checkout, *inventory;

	assert_non_null(c);
	checkout = cluster(c->router, "outbound|80||checkout-service.default.svc.cluster.local");
	assert_int_equal(checkout->n_endpoints, 3);
	assert_int_equal(checkout->endpoints[0].address.port, 8080);
	assert_int_equal(checkout->lb, LB_LEAST_REQUEST);
	assert_int_equal(checkout->max_connections, 100);
	assert_int_equal(checkout->max_pending_requests, 50);
	assert_int_equal(checkout->max_requests_per_connection, 10);
	assert_int_equal(checkout->connect_timeout_us, 5000000);
	assert_int_equal(checkout->panic_threshold_percent, 30);
	assert_true(checkout->outlier.enabled);
	assert_int_equal(checkout->outlier.consecutive_5xx, 3);
	assert_int_equal(checkout->outlier.max_ejection_percent, 50);
	inventory = cluster(c->router, "outbound|80||inventory-service.default.svc.cluster.local");
	assert_int_equal(inventory->lb, LB_ROUND_ROBIN);
	assert_int_equal(inventory->outlier.base_ejection_us, 60000000);
	assert_int_equal(inventory->max_retries, 2);
	assert_int_equal(inventory->max_requests_per_connection, 0);
	config_free(&c);
	diag_free(&d);
}

static void mesh_routes_serve_every_name_of_the_service(void)
{
	static const char *const names[] = {"payment-service", "payment-service.default",
		"payment-service.default.svc", "payment-service.default.svc.cluster.local"};
	const char *path = "configs/demo";
	struct diag *d;
	struct config *c = load(&path, 1, &d);

	assert_non_null(c);
	for (unsigned t = 0; t < c->router->n_route_tables; t++) {
		for (size_t i = 0; i < 4; i++) {
			const struct virtual_host_config *h =
				host(&c->router->route_tables[t], names[i]);

			if (h == NULL) {
				fail_msg("no host %s", names[i]);
				break;
			}
			assert_int_equal(h->n_routes, 1);
			assert_int_equal(h->routes[0].retry.attempts, 3);
			assert_int_equal(h->routes[0].retry.per_try_timeout_us, 2000000);
			assert_int_equal(h->routes[0].retry.on,
				RETRY_5XX | RETRY_RESET | RETRY_CONNECT_FAILURE
					| RETRY_RETRIABLE_4XX);
			assert_int_equal(h->routes[0].timeout_us, 10000000);
		}
	}
	config_free(&c);
	diag_free(&d);
}

static void examples_load_without_an_error(void)
{
	assert_loads("configs/demo");
	assert_loads("configs/minimal.yaml");
	assert_loads("configs/pod");
}

static void seed_loads_unchanged(void)
{
	char *ours, *theirs;

	if (access("../shared/seed", R_OK) != 0)
		skip();
	assert_loads("../shared/seed");
	ours = read_text("configs/demo/seed-istio-operator.yaml");
	theirs = read_text("../shared/seed/istio-operator.yaml");
	assert_string_equal(ours, theirs);
	free(ours);
	free(theirs);
	ours = read_text("configs/demo/seed-destination-rules.yaml");
	theirs = read_text("../shared/seed/destination-rules.yaml");
	assert_string_equal(ours, theirs);
	free(ours);
	free(theirs);
}

static int is_bad_file(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return dot != NULL && strcmp(dot, ".yaml") == 0;
}

static void every_mistake_has_its_exact_messages(void)
{
	struct dirent **files;
	int n = scandir("configs/bad", &files, is_bad_file, alphasort), wrong = 0;

	assert_true(n >= 25);
	for (int i = 0; i < n; i++) {
		char path[512], expected_path[512], *expected, *got;
		struct diag *d = diag_new();
		const char *paths[] = {path};
		struct config *c;

		snprintf(path, sizeof(path), "configs/bad/%s", files[i]->d_name);
		snprintf(expected_path, sizeof(expected_path), "configs/bad/%.*s.err",
			(int)strlen(files[i]->d_name) - 5, files[i]->d_name);
		assert_int_not_equal(config_load(&c, paths, 1, d), 0);
		assert_null(c);
		got = printed(d);
		expected = read_text(expected_path);
		if (strcmp(got, expected) != 0) {
			print_error("%s\n--- expected\n%s--- got\n%s", path, expected, got);
			wrong++;
		}
		free(got);
		free(expected);
		diag_free(&d);
		free(files[i]);
	}
	free(files);
	assert_int_equal(wrong, 0);
}

static void warnings_crowd_no_error_out(void)
{
	struct diag *d = diag_new();

	for (unsigned i = 0; i < 10000; i++)
		diag_add(d, DIAG_WARNING, "a.yaml", i + 1, 1, "spec", "is odd");
	diag_add(d, DIAG_ERROR, "b.yaml", 1, 1, "spec", "is wrong");
	assert_int_equal(diag_n_errors(d), 1);
	assert_int_equal(diag_n_warnings(d), 10000);
	assert_string_equal(
		diag_message(d, diag_n_messages(d) - 1)->text, "b.yaml:1:1: spec: is wrong");
	diag_free(&d);
}

static void missing_paths_are_named(void)
{
	const char *paths[] = {"configs/nothing-here.yaml", "configs/demo"};
	struct diag *d = diag_new();
	struct config *c;

	assert_int_not_equal(config_load(&c, paths, 2, d), 0);
	assert_int_equal(diag_n_errors(d), 1);
	diag_free(&d);
}

// A thread that opened it would wait for a writer.
static void a_pipe_in_the_folder_is_not_waited_for(void)
{
	char folder[] = "/tmp/test-config-XXXXXX", pipe_path[64];
	const char *paths[] = {folder};
	struct diag *d = diag_new();
	struct config *c;

	assert_non_null(mkdtemp(folder));
	snprintf(pipe_path, sizeof(pipe_path), "%s/a.yaml", folder);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	assert_int_not_equal(config_load(&c, paths, 1, d), 0);
	assert_int_equal(diag_n_errors(d), 1);
	unlink(pipe_path);
	rmdir(folder);
	diag_free(&d);
}

// The CAs beyond a limit must not be left out in silence.
static void a_large_file_of_certificates_is_not_cut(void)
{
	char folder[] = "/tmp/test-config-XXXXXX", yaml[64], pem[64];
	const char *paths[] = {folder};
	struct diag *d = diag_new();
	struct config *c;
	FILE *f;

	assert_non_null(mkdtemp(folder));
	snprintf(yaml, sizeof(yaml), "%s/a.yaml", folder);
	snprintf(pem, sizeof(pem), "%s/ca.pem", folder);
	f = fopen(pem, "w");
	assert_non_null(f);
	for (unsigned i = 0; i <= 1u << 20; i++)
		fputc('\n', f);
	fclose(f);
	f = fopen(yaml, "w");
	assert_non_null(f);
	fprintf(f,
		"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: web}\n"
		"spec:\n  servers:\n    - port: {number: 443, name: https, protocol: HTTPS}\n"
		"      hosts: [a.example]\n"
		"      tls: {mode: MUTUAL, serverCertificate: none, privateKey: none, caCertificates: %s}\n",
		pem);
	fclose(f);
	assert_int_not_equal(config_load(&c, paths, 1, d), 0);
	assert_int_equal(diag_n_errors(d), 2);
	assert_non_null(strstr(diag_message(d, diag_n_messages(d) - 1)->text, "File too large"));
	unlink(yaml);
	unlink(pem);
	rmdir(folder);
	diag_free(&d);
}

static unsigned n_fixed;

static void count_fixed(void *arg, const char *field, const char *now, const char *wanted)
{
	assert_string_equal(field, arg);
	assert_string_not_equal(now, wanted);
	n_fixed++;
}

static void what_cannot_change_while_running_is_named(void)
{
	struct appliance a = {.cores = "1",
		.memory_limit = 1,
		.n_ports = 1,
		.ports = {{.name = "x", .interface = "ga", .driver = PORT_TAP}}};
	struct appliance b = a;
	char interface_field[] = "ports[0].interface", cores_field[] = "workers.cores";
	char offloads_field[] = "ports[0].offloads";
	char vlan_field[] = "ports[0].vlan", gateway6_field[] = "ports[0].gateway6";

	n_fixed = 0;
	config_each_fixed_change(&a, &b, count_fixed, cores_field);
	assert_int_equal(n_fixed, 0);
	b.ports[0].interface = "gb";
	config_each_fixed_change(&a, &b, count_fixed, interface_field);
	assert_int_equal(n_fixed, 1);
	b.ports[0].interface = "ga";
	b.cores = NULL;
	config_each_fixed_change(&a, &b, count_fixed, cores_field);
	assert_int_equal(n_fixed, 2);
	b.cores = a.cores;
	b.ports[0].offloads = true;
	config_each_fixed_change(&a, &b, count_fixed, offloads_field);
	assert_int_equal(n_fixed, 3);
	b.ports[0].offloads = false;
	b.ports[0].vlan = 7;
	config_each_fixed_change(&a, &b, count_fixed, vlan_field);
	assert_int_equal(n_fixed, 4);
	b.ports[0].vlan = 0;
	assert_true(ip_addr_parse("fe80::1", &b.ports[0].gateway6));
	config_each_fixed_change(&a, &b, count_fixed, gateway6_field);
	assert_int_equal(n_fixed, 5);
	// Memory is divided without it: it is in force at once.
	b = a;
	b.http.max_connections = 7;
	config_each_fixed_change(&a, &b, count_fixed, cores_field);
	assert_int_equal(n_fixed, 5);
}

TESTS(TEST(demo_listens_where_the_operator_maps_its_ports),
	TEST(demo_has_the_seeds_limits_and_ejections),
	TEST(mesh_routes_serve_every_name_of_the_service), TEST(examples_load_without_an_error),
	TEST(seed_loads_unchanged), TEST(every_mistake_has_its_exact_messages),
	TEST(warnings_crowd_no_error_out), TEST(missing_paths_are_named),
	TEST(a_pipe_in_the_folder_is_not_waited_for), TEST(a_large_file_of_certificates_is_not_cut),
	TEST(what_cannot_change_while_running_is_named))
