// istio_*: what Istio's standard dashboards and alerts read (reference 7.2).
//
// A gateway reports as reporter="source". Istio's dashboards mostly look at reporter="destination", which the sidecar of the
// backend would report; for backends without sidecars the gateway can stand in (Appliance: destinationReporter). It then
// reports every request it had for a service, those it answered itself (503 no healthy upstream) included: that a service
// cannot be reached is what an alert on it is for.
#include "mgmt/export_text.h"

#include <string.h>

#define N_LABELS 25

struct istio {
	const struct export_sources *sources;
	const struct gateway_identity *identity;
	const char *reporter;
	struct metric *metric;
	const struct histogram *(*histogram)(const struct request_series *r); // NULL: the count
};

static const char *or_unknown(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : "unknown";
}

// In Istio's order. The gateway is the source.
static unsigned fill_labels(struct metric_label labels[N_LABELS], const struct istio *i,
	const struct request_series *r, const char *code)
{
	const struct gateway_identity *g = i->identity;
	bool known = strcmp(r->destination_workload, "unknown") != 0;
	bool destination = strcmp(i->reporter, "destination") == 0;
	const struct metric_label all[] = {
		{"reporter",                       i->reporter                               },
		{"source_workload",                or_unknown(g->workload)                   },
		{"source_canonical_service",       or_unknown(g->canonical_service)          },
		{"source_canonical_revision",      or_unknown(g->canonical_revision)         },
		{"source_workload_namespace",      or_unknown(g->namespace)                  },
		{"source_principal",               "unknown"                                 },
		{"source_app",                     or_unknown(g->app)                        },
		{"source_version",                 or_unknown(g->version)                    },
		{"source_cluster",                 or_unknown(g->cluster)                    },
		{"destination_workload",           r->destination_workload                   },
		{"destination_workload_namespace", r->destination_workload_namespace         },
		{"destination_principal",          "unknown"                                 },
		{"destination_app",                "unknown"                                 },
		{"destination_version",            "unknown"                                 },
		{"destination_service",            r->destination_service                    },
		{"destination_canonical_service",  r->destination_workload                   },
		{"destination_canonical_revision", known ? "latest" : "unknown"              },
		{"destination_service_name",       r->destination_service_name               },
		{"destination_service_namespace",  r->destination_service_namespace          },
		{"destination_cluster",            known ? or_unknown(g->cluster) : "unknown"},
		{"request_protocol",               r->request_protocol                       },
		{"response_code",                  code				      },
		{"grpc_response_status",           r->grpc_response_status                   },
		{"response_flags",                 r->response_flags                         },
		{"connection_security_policy",     destination ? "none" : "unknown"          },
	};

	_Static_assert(sizeof(all) / sizeof(all[0]) == N_LABELS, "all of them");
	memcpy(labels, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

void export_istio_labels(FILE *to)
{
	static const struct gateway_identity nobody;
	const struct istio i = {.identity = &nobody, .reporter = "source"};
	const struct request_series r = {.destination_workload = "unknown"};
	struct metric_label labels[N_LABELS];
	unsigned n = fill_labels(labels, &i, &r, "");

	for (unsigned l = 0; l < n; l++)
		fprintf(to, "%s`%s`", l > 0 ? ", " : "", labels[l].name);
}

static void print_series(void *arg, const struct request_series *r)
{
	const struct istio *i = arg;
	struct metric_label labels[N_LABELS];
	char code[16];
	unsigned n;

	// A request that was for nobody has no destination that could report it.
	if (strcmp(i->reporter, "destination") == 0
		&& strcmp(r->destination_service, "unknown") == 0)
		return;
	snprintf(code, sizeof(code), "%u", r->response_code);
	n = fill_labels(labels, i, r, code);
	if (i->histogram == NULL)
		metric_sample(i->metric, labels, n, r->n_requests);
	else
		metric_histogram(i->metric, labels, n, i->histogram(r));
}

static void print_metric(struct istio *i, struct metric *m)
{
	const struct export_sources *s = i->sources;

	i->metric = m;
	i->reporter = "source";
	request_metrics_each(s->requests, s->n_workers, print_series, i);
	if (!i->identity->destination_reporter)
		return;
	i->reporter = "destination";
	request_metrics_each(s->requests, s->n_workers, print_series, i);
}

#define EXPORT_ISTIO_HISTOGRAM(name, help, member)                               \
	static const struct histogram *name##_of(const struct request_series *r) \
	{                                                                        \
		return &r->member;                                               \
	}
#include "mgmt/export_metrics.def"

void export_istio(const struct export_sources *s, struct export_buffer *out)
{
	const struct metric_label build[] = {
		{"component", "proxy"                       },
		{"tag",       or_unknown(s->program_version)},
	};
	struct istio i = {.sources = s};
	struct metric m;

	metric_init(&m, out, "istio_", "build", METRIC_GAUGE, EXPORT_ISTIO_BUILD_HELP);
	metric_sample(&m, build, 2, 1);
	if (s->requests == NULL || s->snapshot == NULL)
		return;
	i.identity = &s->snapshot->config->identity;
	metric_init(&m, out, "istio_", "requests_total", METRIC_COUNTER, EXPORT_ISTIO_TOTAL_HELP);
	print_metric(&i, &m);
#define EXPORT_ISTIO_HISTOGRAM(name, help, member)                     \
	metric_init(&m, out, "istio_", #name, METRIC_HISTOGRAM, help); \
	i.histogram = name##_of;                                       \
	print_metric(&i, &m);
#include "mgmt/export_metrics.def"
}
