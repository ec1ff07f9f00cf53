// Prometheus text: valid whatever is in it, complete for the dashboards and alerts we are given, and documented.

#include "mgmt/export.h"
#include "router/http_rules.h"
#include "tests/test_support.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define N_WORKERS 2

static struct dataplane_stats dataplane[N_WORKERS];
static struct tls_stats tls[N_WORKERS];
static struct router_stats router[N_WORKERS];
static struct http_rule_counts rule_counts;
static struct cluster_stats stats[2][N_WORKERS];
static struct cluster_state states[2];
static struct endpoint endpoint = {.text = "10.0.0.1:80"};
static struct endpoint *endpoints[] = {&endpoint};
static struct cluster_config cluster_configs[2];
static struct cluster clusters[2];
static struct router_config config;
static struct snapshot snapshot;
static struct hcm_stats hcm_stats[N_WORKERS];
static char hcm_name[] = "outbound_0.0.0.0_8080";
static struct hcm_state hcm = {.stat_prefix = hcm_name, .stats = hcm_stats};
static struct listener_stats listener_stats[N_WORKERS];
static char listener_name[] = "0.0.0.0_8080";
static struct listener_state listener = {.name = listener_name, .stats = listener_stats};
static struct request_metrics *requests[N_WORKERS];
static struct port_status port = {.name = "external", .rx_packets = 7};
static struct memory_status memory = {.mbufs_total = 100};
static struct export_worker workers[N_WORKERS];
static struct export_sources sources;
static struct export_buffer out;

static void setup(void)
{
	memset(dataplane, 0, sizeof(dataplane));
	memset(stats, 0, sizeof(stats));
	memset(states, 0, sizeof(states));
	endpoint.health = 0;
	for (unsigned i = 0; i < 2; i++) {
		cluster_configs[i] = (struct cluster_config){.name = i == 0
				? "outbound|80||checkout.default.svc.cluster.local"
				: "other",
			.service_host = "checkout.default.svc.cluster.local",
			.service_name = "checkout",
			.service_namespace = "default",
			.max_connections = i == 0 ? 10 : UINT32_MAX,
			.max_pending_requests = UINT32_MAX,
			.max_requests = UINT32_MAX,
			.max_retries = 3,
			.outlier.enabled = i == 0};
		states[i].stats = stats[i];
		states[i].n_workers = N_WORKERS;
		clusters[i] = (struct cluster){.config = &cluster_configs[i],
			.state = &states[i],
			.endpoints = endpoints,
			.n_endpoints = i == 0 ? 1 : 0};
	}
	config = (struct router_config){
		.clusters = cluster_configs,
		.n_clusters = 2,
		.identity = {.workload = "istio-ingressgateway",
			     .namespace = "istio-system",
			     .app = "istio-ingressgateway",
			     .version = "",
			     .canonical_service = "istio-ingressgateway",
			     .canonical_revision = "latest",
			     .cluster = "Kubernetes"}
        };
	snapshot.config = &config;
	snapshot.clusters = clusters;
	for (unsigned w = 0; w < N_WORKERS; w++) {
		workers[w] = (struct export_worker){.dataplane = &dataplane[w],
			.tls = &tls[w],
			.router = &router[w],
			.rules = &rule_counts};
		requests[w] = request_metrics_new(20);
	}
	sources = (struct export_sources){
		.program_version = "1.0",
		.workers = workers,
		.n_workers = N_WORKERS,
		.ports = &port,
		.n_ports = 1,
		.memory = &memory,
		.snapshot = &snapshot,
		.hcms = &hcm,
		.listeners = &listener,
		.requests = requests,
		.config = {.version = "abc123", .n_loaded = 1}
        };
}

static void teardown(void)
{
	for (unsigned w = 0; w < N_WORKERS; w++)
		request_metrics_free(&requests[w]);
	export_buffer_free(&out);
}

static void record_request(unsigned worker, const struct cluster *c, unsigned status)
{
	static struct endpoint_config workload = {
		.workload = "checkout-v1", .namespace = "default"};
	struct exchange_record r = {.cluster = c,
		.endpoint_config = c != NULL ? &workload : NULL,
		.status = (uint16_t)status,
		.start_us = 1,
		.end_us = 7001,
		.request_wire_bytes = 100,
		.response_wire_bytes = 200,
		.grpc_status = -1};

	if (c == NULL)
		response_flags_add(&r.flags, RESPONSE_FLAG_NR);
	request_metrics_record(requests[worker], &r);
}

static const char *print(void)
{
	out.len = 0;
	export_prometheus(&sources, &out);
	assert_false(out.failed);
	out.text = realloc(out.text, out.len + 1);
	out.cap = out.len + 1;
	out.text[out.len] = '\0';
	return out.text;
}

static void assert_line(const char *text, const char *line)
{
	char with_newlines[1200];

	snprintf(with_newlines, sizeof(with_newlines), "\n%s\n", line);
	if (strstr(text, with_newlines) == NULL)
		fail_msg("no line \"%s\"", line);
}

// --- a reader of the format, strict enough for Prometheus (exposition format 0.0.4)

struct reader {
	const char *at;
	char metric[200]; // of the TYPE line above
	char type[20];
	char seen[800][200]; // every metric that had one
	unsigned n_seen;
	uint64_t last_bucket;
	unsigned n_samples;
};

static size_t name_len(const char *p)
{
	size_t n = 0;

	while (isalpha((unsigned char)p[n]) || p[n] == '_' || p[n] == ':'
		|| (n > 0 && isdigit((unsigned char)p[n])))
		n++;
	return n;
}

static void read_comment(struct reader *r, const char *end)
{
	bool is_type = strncmp(r->at, "# TYPE ", 7) == 0;
	const char *name = r->at + 7;
	size_t len = name_len(name);

	assert_true(is_type || strncmp(r->at, "# HELP ", 7) == 0);
	assert_true(len > 0 && len < sizeof(r->metric) && name[len] == ' ');
	assert_true(end > name + len + 1);
	if (!is_type)
		return;
	snprintf(r->metric, sizeof(r->metric), "%.*s", (int)len, name);
	snprintf(r->type, sizeof(r->type), "%.*s", (int)(end - name - len - 1), name + len + 1);
	assert_true(strcmp(r->type, "counter") == 0 || strcmp(r->type, "gauge") == 0
		|| strcmp(r->type, "histogram") == 0);
	for (unsigned i = 0; i < r->n_seen; i++) {
		if (strcmp(r->seen[i], r->metric) == 0)
			fail_msg("%s has two TYPE lines", r->metric);
	}
	assert_true(r->n_seen < 800);
	memcpy(r->seen[r->n_seen++], r->metric, sizeof(r->metric));
}

// Reads labels up to the closing brace; returns what is behind it.
static const char *read_labels(const char *p)
{
	while (*p != '}') {
		size_t len = name_len(p);

		assert_true(len > 0 && p[len] == '=' && p[len + 1] == '"');
		for (p += len + 2; *p != '"'; p++) {
			assert_true(*p != '\n' && *p != '\0');
			if (*p == '\\') {
				p++;
				assert_true(*p == '\\' || *p == 'n' || *p == '"');
			}
		}
		p++;
		assert_true(*p == ',' || *p == '}');
		if (*p == ',')
			p++;
	}
	return p + 1;
}

static void read_sample(struct reader *r, const char *end)
{
	size_t len = name_len(r->at), metric_len = strlen(r->metric);
	const char *suffix = r->at + metric_len;
	bool bucket;
	char *after;
	const char *p;

	assert_true(len >= metric_len && strncmp(r->at, r->metric, metric_len) == 0);
	bucket = strncmp(suffix, "_bucket{", 8) == 0;
	if (strcmp(r->type, "histogram") == 0)
		assert_true(bucket || strncmp(suffix, "_sum{", 5) == 0
			|| strncmp(suffix, "_count{", 7) == 0);
	else
		assert_true(len == metric_len);
	assert_true(r->at[len] == '{');
	p = read_labels(r->at + len + 1);
	assert_true(*p == ' ');
	strtod(p + 1, &after);
	assert_ptr_equal(after, end);
	if (strcmp(r->type, "counter") == 0)
		assert_true(p[1] != '-');
	if (bucket) {
		uint64_t n = strtoull(p + 1, NULL, 10);

		if (strstr(r->at, "le=\"0.5\"") != NULL && strstr(r->at, "le=\"0.5\"") < end)
			r->last_bucket = 0;
		assert_true(n >= r->last_bucket); // cumulative
		r->last_bucket = n;
	}
	if (strncmp(suffix, "_count{", 7) == 0 && strcmp(r->type, "histogram") == 0)
		assert_int_equal(strtoull(p + 1, NULL, 10), r->last_bucket);
	r->n_samples++;
}

static unsigned read_all(const char *text)
{
	static struct reader r;

	memset(&r, 0, sizeof(r));
	for (r.at = text; *r.at != '\0';) {
		const char *end = strchr(r.at, '\n');

		assert_non_null(end); // the last line ends too
		if (*r.at == '#')
			read_comment(&r, end);
		else
			read_sample(&r, end);
		r.at = end + 1;
	}
	return r.n_samples;
}

// --- tests

static void what_is_printed_is_valid(void)
{
	setup();
	record_request(0, &clusters[0], 200);
	record_request(1, NULL, 404);
	histogram_record(&stats[0][1].upstream_rq_time, 1500);
	config.identity.destination_reporter = true;
	endpoint.health = ENDPOINT_FAILED_OUTLIER;
	assert_true(read_all(print()) > 300);
	teardown();
}

static void a_process_that_just_started_prints_too(void)
{
	struct export_sources nothing = {.program_version = "1.0"};

	setup();
	sources = nothing;
	assert_true(read_all(print()) > 5);
	assert_line(out.text, "istio_build{component=\"proxy\",tag=\"1.0\"} 1");
	assert_null(strstr(out.text, "config_info"));
	teardown();
}

static void the_first_certificate_to_expire_counts(void)
{
	struct filter_chain_config chains[2] = {
		{.tls = {.certificates = {{.not_after_s = 1000 + 9 * 86400}}, .n_certificates = 1}},
		{.tls = {.certificates = {{.not_after_s = 1000 + 7 * 86400},
				 {.not_after_s = 1000 + 4 * 86400 - 1}},
			 .n_certificates = 2}},
	};
	struct listener_config l = {.chains = chains, .n_chains = 2};

	setup();
	config.listeners = &l;
	config.n_listeners = 1;
	sources.now_s = 1000;
	print();
	assert_null(strstr(out.text, "\nenvoy_server_days_until_first_cert_expiring"));
	l.tls = true;
	print();
	assert_line(out.text, "envoy_server_days_until_first_cert_expiring{} 3");
	sources.now_s += 5 * 86400;
	print();
	assert_line(out.text, "envoy_server_days_until_first_cert_expiring{} 0");
	teardown();
}

static void names_that_need_it_are_escaped(void)
{
	setup();
	cluster_configs[0].name = "we\\ird\"na\nme";
	record_request(0, &clusters[0], 200);
	read_all(print());
	assert_line(out.text,
		"envoy_cluster_membership_total{cluster_name=\"we\\\\ird\\\"na\\nme\"} 1");
	teardown();
}

static void workers_are_summed(void)
{
	setup();
	stats[0][0].upstream_rq_total = 3;
	stats[0][1].upstream_rq_total = 4;
	stats[0][0].upstream_rq_code[503] = 1;
	stats[0][1].upstream_rq_code[503] = 1;
	stats[0][1].upstream_rq_xx[5] = 2;
	dataplane[0].rx_packets = 10;
	dataplane[1].rx_packets = 20;
	dataplane[1].busy_cycles = 99;
	hcm_stats[1].downstream_rq_total = 8;
	listener_stats[0].downstream_cx_total = 6;
	print();
	assert_line(out.text, "pollgate_rx_packets_total{} 30");
	assert_line(out.text, "pollgate_busy_cycles_total{worker=\"1\"} 99");
	assert_null(strstr(out.text, "pollgate_busy_cycles_total{} "));
	assert_line(out.text,
		"envoy_cluster_upstream_rq_total{cluster_name=\"outbound|80||checkout.default.svc.cluster.local\"} 7");
	assert_line(out.text,
		"envoy_cluster_upstream_rq{response_code=\"503\",cluster_name=\"outbound|80||checkout.default.svc.cluster.local\"} 2");
	assert_line(out.text,
		"envoy_cluster_upstream_rq_xx{response_code_class=\"5xx\",cluster_name=\"outbound|80||checkout.default.svc.cluster.local\"} 2");
	assert_null(strstr(out.text, "response_code=\"404\""));
	assert_line(out.text,
		"envoy_http_downstream_rq_total{http_conn_manager_prefix=\"outbound_0.0.0.0_8080\"} 8");
	assert_line(out.text,
		"envoy_listener_downstream_cx_total{listener_address=\"0.0.0.0_8080\"} 6");
	assert_line(out.text, "pollgate_port_rx_packets_total{port=\"external\"} 7");
	assert_line(out.text, "pollgate_config_info{version=\"abc123\"} 1");
	teardown();
}

static void breakers_and_ejections_show(void)
{
	setup();
	cluster_configs[0].name = "shop";
	states[0].connections = 10;
	states[1].connections = 10;
	states[0].n_ejected = 1;
	states[0].n_ejections_overflow = 5;
	endpoint.health = ENDPOINT_FAILED_OUTLIER;
	read_all(print());
	assert_line(out.text,
		"envoy_cluster_circuit_breakers_default_cx_open{cluster_name=\"shop\"} 1");
	assert_line(out.text,
		"envoy_cluster_circuit_breakers_default_cx_open{cluster_name=\"other\"} 0");
	assert_line(out.text, "pollgate_cluster_breaker_connections{cluster_name=\"shop\"} 10");
	assert_line(
		out.text, "pollgate_cluster_breaker_connections_limit{cluster_name=\"shop\"} 10");
	assert_null(
		strstr(out.text, "pollgate_cluster_breaker_connections{cluster_name=\"other\"}"));
	assert_line(out.text,
		"envoy_cluster_outlier_detection_ejections_active{cluster_name=\"shop\"} 1");
	assert_line(out.text,
		"envoy_cluster_outlier_detection_ejections_overflow{cluster_name=\"shop\"} 5");
	assert_null(
		strstr(out.text, "ejections_active{cluster_name=\"other\"}")); // detection is off
	assert_line(out.text, "envoy_cluster_membership_healthy{cluster_name=\"shop\"} 0");
	assert_line(out.text,
		"pollgate_endpoint_unhealthy{cluster_name=\"shop\",endpoint=\"10.0.0.1:80\",reason=\"outlier\"} 1");
	teardown();
}

#define SOURCE                                                                                        \
	"source_workload=\"istio-ingressgateway\",source_canonical_service=\"istio-ingressgateway\"," \
	"source_canonical_revision=\"latest\",source_workload_namespace=\"istio-system\","            \
	"source_principal=\"unknown\",source_app=\"istio-ingressgateway\","                           \
	"source_version=\"unknown\",source_cluster=\"Kubernetes\","
#define CHECKOUT                                                                                   \
	"destination_workload=\"checkout-v1\",destination_workload_namespace=\"default\","         \
	"destination_principal=\"unknown\",destination_app=\"unknown\","                           \
	"destination_version=\"unknown\","                                                         \
	"destination_service=\"checkout.default.svc.cluster.local\","                              \
	"destination_canonical_service=\"checkout-v1\",destination_canonical_revision=\"latest\"," \
	"destination_service_name=\"checkout\",destination_service_namespace=\"default\","         \
	"destination_cluster=\"Kubernetes\",request_protocol=\"http\",response_code=\"503\","      \
	"grpc_response_status=\"\",response_flags=\"-\","

static void istios_labels_come_in_istios_order(void)
{
	setup();
	record_request(0, &clusters[0], 503);
	record_request(1, &clusters[0], 503);
	print();
	assert_line(out.text,
		"istio_requests_total{reporter=\"source\"," SOURCE CHECKOUT
		"connection_security_policy=\"unknown\"} 2");
	assert_line(out.text,
		"istio_request_duration_milliseconds_bucket{reporter=\"source\"," SOURCE CHECKOUT
		"connection_security_policy=\"unknown\",le=\"10\"} 2");
	assert_line(out.text,
		"istio_request_duration_milliseconds_sum{reporter=\"source\"," SOURCE CHECKOUT
		"connection_security_policy=\"unknown\"} 14.000");
	assert_line(out.text,
		"istio_response_bytes_count{reporter=\"source\"," SOURCE CHECKOUT
		"connection_security_policy=\"unknown\"} 2");
	assert_null(strstr(out.text, "reporter=\"destination\""));
	teardown();
}

static void the_gateway_reports_for_backends_without_sidecars(void)
{
	setup();
	config.identity.destination_reporter = true;
	record_request(0, &clusters[0], 503);
	record_request(0, NULL, 404);
	read_all(print());
	assert_line(out.text,
		"istio_requests_total{reporter=\"destination\"," SOURCE CHECKOUT
		"connection_security_policy=\"none\"} 1");
	// Nobody's request is reported by no destination.
	for (const char *p = out.text; (p = strstr(p, "reporter=\"destination\"")) != NULL; p++)
		assert_null(memmem(p, (size_t)(strchr(p, '\n') - p), "\"404\"", 5));
	assert_non_null(strstr(out.text, "destination_service=\"unknown\""));
	teardown();
}

// Every metric of the dashboards, the alerts, and the labels they select by.
static void the_dashboards_and_alerts_we_are_given_find_their_metrics(void)
{
	static const char *const names[] = {
		"istio_requests_total{reporter=\"destination\",",
		"istio_request_duration_milliseconds_bucket{reporter=\"destination\",",
		"envoy_cluster_outlier_detection_ejections_active{cluster_name=",
		"envoy_cluster_upstream_cx_overflow{cluster_name=",
		"envoy_cluster_upstream_rq_pending_overflow{cluster_name=",
		"response_code=\"503\"",
		"destination_service_name=\"checkout\"",
		"destination_service_namespace=\"default\"",
		"connection_security_policy=\"none\"",
		"le=\"+Inf\"",
	};

	setup();
	config.identity.destination_reporter = true;
	record_request(0, &clusters[0], 503);
	print();
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strstr(out.text, names[i]) == NULL)
			fail_msg("%s is not printed", names[i]);
	}
	teardown();
}

static void every_metric_is_in_the_reference(void)
{
	char *reference;
	size_t len;
	FILE *to = open_memstream(&reference, &len);

	export_reference(to);
	fclose(to);
	setup();
	config.identity.destination_reporter = true;
	endpoint.health = ENDPOINT_FAILED_EDS;
	stats[0][0].upstream_rq_code[200] = 1;
	record_request(0, &clusters[0], 200);
	histogram_record(&stats[0][1].upstream_rq_time, 1500);
	print();
	for (const char *p = out.text; (p = strstr(p, "# TYPE ")) != NULL;) {
		char cell[220];

		p += 7;
		snprintf(cell, sizeof(cell), "| `%.*s` |", (int)name_len(p), p);
		if (strstr(reference, cell) == NULL)
			fail_msg("the reference has no %s", cell);
	}
	free(reference);
	teardown();
}

TESTS(TEST(what_is_printed_is_valid), TEST(a_process_that_just_started_prints_too),
	TEST(the_first_certificate_to_expire_counts), TEST(names_that_need_it_are_escaped),
	TEST(workers_are_summed), TEST(breakers_and_ejections_show),
	TEST(istios_labels_come_in_istios_order),
	TEST(the_gateway_reports_for_backends_without_sidecars),
	TEST(the_dashboards_and_alerts_we_are_given_find_their_metrics),
	TEST(every_metric_is_in_the_reference))
