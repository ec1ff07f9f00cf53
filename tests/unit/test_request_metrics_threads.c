// Request metrics read while a worker writes them. Run it under ThreadSanitizer: make tsan.

#include "router/request_metrics.h"
#include "tests/test_support.h"

#include <pthread.h>

static struct cluster_config config = {
	.service_host = "shop.example", .service_name = "shop", .service_namespace = "default"};
static struct cluster cluster = {.config = &config};

#define N_RECORDED 30000u

static void *record_many(void *arg)
{
	for (unsigned i = 0; i < N_RECORDED; i++) {
		struct exchange_record r = {
			.cluster = &cluster, .status = (uint16_t)(200 + i % 60), .grpc_status = -1};

		request_metrics_record(arg, &r);
	}
	return NULL;
}

static void sum_requests(void *arg, const struct request_series *s)
{
	assert_true(s->destination_service[0] != '\0');
	*(uint64_t *)arg += s->n_requests;
}

static void a_reader_sees_whole_series_that_only_grow(void)
{
	struct request_metrics *m = request_metrics_new(40);
	uint64_t before = 0, total = 0;
	pthread_t writer;

	assert_int_equal(pthread_create(&writer, NULL, record_many, m), 0);
	while (total < N_RECORDED) {
		total = 0;
		request_metrics_each(&m, 1, sum_requests, &total);
		assert_true(total >= before);
		before = total;
	}
	pthread_join(writer, NULL);
	assert_int_equal(total, N_RECORDED);
	request_metrics_free(&m);
}

TESTS(TEST(a_reader_sees_whole_series_that_only_grow))
