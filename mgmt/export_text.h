// Lines of the Prometheus text format (version 0.0.4), for the export_*.c files.
#pragma once

#include "mgmt/export.h"

// Help of metrics that are not rows of a table, for the metrics and the reference page alike.
#define EXPORT_CONFIG_INFO_HELP "1; the label says which configuration runs"
#define EXPORT_FIRST_EXPIRY_HELP \
	"days until the first certificate of a listener expires; 0: one has expired, or does so within a day"
#define EXPORT_RULES_HELP "messages refused, by whose they were and the rule of HTTP they broke"
#define EXPORT_UNHEALTHY_HELP \
	"1 for an endpoint that is not healthy; the reason is outlier or not_ready"
#define EXPORT_BREAKER_HELP       "what counts against the limit; absent without one"
#define EXPORT_BREAKER_LIMIT_HELP "the limit; absent without one"
#define EXPORT_CLUSTER_CLASS_HELP \
	"answers by class of their status, those of failed attempts included"
#define EXPORT_CLUSTER_CODE_HELP "answers by status, those of failed attempts included"
#define EXPORT_HTTP_CLASS_HELP   "answers by class of their status"
#define EXPORT_HTTP_TIME_HELP    "milliseconds from a request's first byte to the end of its answer"
#define EXPORT_ISTIO_BUILD_HELP  "1; the label says which version of the gateway runs"
#define EXPORT_ISTIO_TOTAL_HELP  "requests that ended"

enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM,
};

extern const char *const metric_kind_names[];

struct metric_label {
	const char *name;
	const char *value;
};

// One metric while its samples are printed. HELP and TYPE come with the first sample: a metric without any is not printed.
struct metric {
	struct export_buffer *out;
	char name[160];
	enum metric_kind kind;
	const char *help;
	bool begun;
};

// The name is 'prefix' and 'name'; of our own counters (pollgate_) with "_total", once.
void metric_init(struct metric *m, struct export_buffer *out, const char *prefix, const char *name,
	enum metric_kind kind, const char *help);

void metric_sample(
	struct metric *m, const struct metric_label *labels, unsigned n_labels, uint64_t value);
void metric_histogram(struct metric *m, const struct metric_label *labels, unsigned n_labels,
	const struct histogram *h);

// Is that statistic of a worker worth seeing worker by worker? The rest is summed, or its number would grow with the cores.
bool stat_is_by_worker(const char *name);

// Number of values in 'h'.
uint64_t histogram_n_values(const struct histogram *h);

// istio_*, in export_istio.c.
void export_istio(const struct export_sources *s, struct export_buffer *out);
// The names of its labels, for the reference page.
void export_istio_labels(FILE *to);
