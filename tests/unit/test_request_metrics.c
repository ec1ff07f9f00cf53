// Series of Istio's request metrics: labels, overflow, and the sum over workers.

#include "router/request_metrics.h"
#include "tests/test_support.h"

#include <stdio.h>
#include <string.h>

static struct cluster_config config = {.service_host = "checkout.default.svc.cluster.local",
	.service_name = "checkout",
	.service_namespace = "default"};
static struct cluster cluster = {.config = &config};
static struct endpoint_config endpoint = {.workload = "checkout-v1", .namespace = "default"};

static struct exchange_record a_record(unsigned status)
{
	return (struct exchange_record){.cluster = &cluster,
		.endpoint_config = &endpoint,
		.status = (uint16_t)status,
		.start_us = 1000,
		.end_us = 8000,
		.request_wire_bytes = 300,
		.response_wire_bytes = 1200,
		.grpc_status = -1};
}

static struct request_series seen[64];
static char seen_text[64][512];
static unsigned n_seen;

static void see(void *arg, const struct request_series *s)
{
	(void)arg;
	assert_true(n_seen < 64);
	seen[n_seen] = *s;
	snprintf(seen_text[n_seen], sizeof(seen_text[0]), "%s|%s|%s|%s|%s|%s|%u|%s|%s",
		s->destination_service, s->destination_service_name,
		s->destination_service_namespace, s->destination_workload,
		s->destination_workload_namespace, s->request_protocol, s->response_code,
		s->grpc_response_status, s->response_flags);
	n_seen++;
}

static void see_all(struct request_metrics *const *tables, unsigned n)
{
	n_seen = 0;
	request_metrics_each(tables, n, see, NULL);
}

static bool saw(const char *end_of_labels)
{
	for (unsigned i = 0; i < n_seen; i++) {
		if (strstr(seen_text[i], end_of_labels) != NULL)
			return true;
	}
	return false;
}

static void a_request_counts_under_its_labels(void)
{
	struct request_metrics *m = request_metrics_new(10);
	struct exchange_record r = a_record(200);

	see_all(&m, 1);
	assert_int_equal(n_seen, 0);
	request_metrics_record(m, &r);
	request_metrics_record(m, &r);
	see_all(&m, 1);
	assert_int_equal(n_seen, 1);
	assert_string_equal(seen_text[0],
		"checkout.default.svc.cluster.local|checkout|default|checkout-v1|default|http|200||-");
	assert_int_equal(seen[0].n_requests, 2);
	assert_int_equal(seen[0].duration_ms.sum, 14000);
	assert_int_equal(seen[0].duration_ms.buckets[3], 2); // 7 ms: above 5, up to 10
	assert_int_equal(seen[0].request_bytes.sum, 600000);
	assert_int_equal(seen[0].response_bytes.buckets[10], 2); // 1200: above 1000, up to 2500
	request_metrics_free(&m);
	assert_null(m);
}

static void a_request_without_a_cluster_is_unknown(void)
{
	struct request_metrics *m = request_metrics_new(10);
	struct exchange_record r = a_record(404);

	r.cluster = NULL;
	r.endpoint_config = NULL;
	response_flags_add(&r.flags, RESPONSE_FLAG_NR);
	request_metrics_record(m, &r);
	see_all(&m, 1);
	assert_string_equal(seen_text[0], "unknown|unknown|unknown|unknown|unknown|http|404||NR");
	request_metrics_free(&m);
}

static void each_label_makes_its_own_series(void)
{
	struct request_metrics *m = request_metrics_new(20);
	struct exchange_record r = a_record(200);

	request_metrics_record(m, &r);
	r.status = 503;
	request_metrics_record(m, &r);
	response_flags_add(&r.flags, RESPONSE_FLAG_URX);
	response_flags_add(&r.flags, RESPONSE_FLAG_UF);
	request_metrics_record(m, &r);
	r = a_record(200);
	r.grpc = true;
	request_metrics_record(m, &r);
	r.grpc_status = 14;
	request_metrics_record(m, &r);
	r.grpc_status = 4711; // made up by the backend
	request_metrics_record(m, &r);
	see_all(&m, 1);
	assert_int_equal(n_seen, 6);
	assert_true(saw("|http|200||-"));
	assert_true(saw("|http|503||-"));
	assert_true(saw("|http|503||URX,UF"));
	assert_true(saw("|grpc|200||-"));
	assert_true(saw("|grpc|200|14|-"));
	assert_true(saw("|grpc|200|2|-"));
	request_metrics_free(&m);
}

static void a_full_table_counts_into_the_overflow_series(void)
{
	struct request_metrics *m = request_metrics_new(3);

	for (unsigned status = 200; status < 220; status++) {
		struct exchange_record r = a_record(status);

		request_metrics_record(m, &r);
	}
	see_all(&m, 1);
	assert_int_equal(n_seen, 4);
	assert_string_equal(seen_text[3], "overflow|overflow|unknown|unknown|unknown|http|0||-");
	assert_int_equal(seen[3].n_requests, 17);
	request_metrics_free(&m);
}

static void strings_too_long_for_a_series_count_as_overflow(void)
{
	static char long_name[800];
	struct request_metrics *m = request_metrics_new(3);
	struct cluster_config long_config = config;
	struct cluster long_cluster = {.config = &long_config};
	struct exchange_record r = a_record(200);

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_config.service_host = long_name;
	r.cluster = &long_cluster;
	request_metrics_record(m, &r);
	see_all(&m, 1);
	assert_int_equal(n_seen, 1);
	assert_string_equal(seen[0].destination_service, "overflow");
	request_metrics_free(&m);
}

static void a_series_outlives_the_strings_it_was_made_from(void)
{
	struct request_metrics *m = request_metrics_new(3);
	char host[] = "a.example";
	struct cluster_config short_lived = {
		.service_host = host, .service_name = "a", .service_namespace = "ns"};
	struct cluster short_cluster = {.config = &short_lived};
	struct exchange_record r = a_record(200);

	r.cluster = &short_cluster;
	request_metrics_record(m, &r);
	memset(host, 'b', 1); // the next configuration at the same address
	request_metrics_record(m, &r);
	see_all(&m, 1);
	assert_int_equal(n_seen, 2);
	assert_string_equal(seen[0].destination_service, "a.example");
	assert_string_equal(seen[1].destination_service, "b.example");
	request_metrics_free(&m);
}

static void tables_of_workers_are_added_up(void)
{
	struct request_metrics *tables[3];
	struct exchange_record ok = a_record(200), failed = a_record(503);

	for (unsigned t = 0; t < 3; t++)
		tables[t] = request_metrics_new(5);
	request_metrics_record(tables[0], &failed);
	request_metrics_record(tables[0], &ok);
	request_metrics_record(tables[2], &ok);
	request_metrics_record(tables[2], &ok);
	see_all(tables, 3);
	assert_int_equal(n_seen, 2);
	assert_int_equal(seen[0].response_code, 200);
	assert_int_equal(seen[0].n_requests, 3);
	assert_int_equal(seen[0].duration_ms.sum, 21000);
	assert_int_equal(seen[1].n_requests, 1);
	for (unsigned t = 0; t < 3; t++)
		request_metrics_free(&tables[t]);
}

TESTS(TEST(a_request_counts_under_its_labels), TEST(a_request_without_a_cluster_is_unknown),
	TEST(each_label_makes_its_own_series), TEST(a_full_table_counts_into_the_overflow_series),
	TEST(strings_too_long_for_a_series_count_as_overflow),
	TEST(a_series_outlives_the_strings_it_was_made_from), TEST(tables_of_workers_are_added_up))
