// Istio's standard metrics of requests (reference 7.2): istio_requests_total, istio_request_duration_milliseconds,
// istio_request_bytes, istio_response_bytes, by destination, status, flags and protocol.
//
// Each worker has a table with a fixed number of series, allocated at start; when it is full, further label sets count
// into one overflow series (destination_service="overflow"), so that nothing is lost and nothing grows, whatever
// clients and backends send. Labels are copied when a series is made: it outlives the configuration that named them.
// The mgmt thread reads the tables while the workers write.
#pragma once

#include "router/histogram.h"
#include "router/record.h"

struct request_metrics;

struct request_metrics *request_metrics_new(uint32_t max_series); // NULL without memory
void request_metrics_free(struct request_metrics **mp);

// Counts one finished exchange. Worker.
void request_metrics_record(struct request_metrics *m, const struct exchange_record *r);

// One series. Strings are borrowed for the call.
struct request_series {
	const char *destination_service; // FQDN or "unknown"
	const char *destination_service_name;
	const char *destination_service_namespace;
	const char *destination_workload;
	const char *destination_workload_namespace;
	const char *request_protocol; // "http" or "grpc"
	unsigned response_code;
	const char *grpc_response_status; // "" if none
	const char *response_flags;
	uint64_t n_requests;
	struct histogram duration_ms;
	struct histogram request_bytes;
	struct histogram response_bytes;
};

typedef void request_series_fn(void *arg, const struct request_series *s);

// Calls 'fn' for each series of the sum of 'tables' (equal label sets merged), in the order of their labels. Any thread but a
// worker: it allocates.
void request_metrics_each(
	struct request_metrics *const *tables, unsigned n_tables, request_series_fn *fn, void *arg);
