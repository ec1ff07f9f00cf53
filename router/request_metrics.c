// A table per worker: series in the order of their first request, and an index by open addressing. The worker alone
// writes; the number of series is published last, so that a reader sees only whole ones, and never a move: nothing is removed.
//
// Series are found by the content of their labels, not by pointers, because the strings of a configuration go away
// with it while the series stays. So the strings are copied into the series, once.
#include "router/request_metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// All label strings of a series with their zeros. Two names of 253 characters (a ServiceEntry's host is both) and three
// Kubernetes names of 63 fit; what does not counts as overflow.
#define TEXT_SIZE 704u

// Columns: member of struct request_series; in the order of the text.
#define TEXT_LABELS(X)                   \
	X(destination_service)           \
	X(destination_service_name)      \
	X(destination_service_namespace) \
	X(destination_workload)          \
	X(destination_workload_namespace)

enum {
#define X(name) TEXT_##name,
	TEXT_LABELS(X)
#undef X
		N_TEXTS,
};

// What tells series apart; the numbers are compared as bytes, so there is no padding.
struct labels {
	const char *texts[N_TEXTS];
	struct {
		uint32_t status;
		int32_t grpc_status; // -1: none
		struct response_flags flags;
		uint8_t grpc;
	} n;
};

_Static_assert(sizeof(((struct labels *)NULL)->n) == 16, "no padding");

struct series {
	// set at creation
	uint64_t hash;
	struct labels labels; // texts point into 'text'
	// per request
	uint64_t n_requests;
	struct histogram duration_ms;
	struct histogram request_bytes;
	struct histogram response_bytes;
	char text[TEXT_SIZE];
};

struct request_metrics {
	// set at creation
	uint32_t max_series;
	uint32_t index_mask;
	uint32_t *index; // position in 'series' + 1; 0: free
	struct series *series;
	// per new series
	atomic_uint n_series; // the first one is the overflow
};

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		size_t n = len < 8 ? len : 8;
		uint64_t word = 0;

		memcpy(&word, p, n);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 32;
		p += n;
		len -= n;
	}
	return hash;
}

static uint64_t hash_labels(const struct labels *l)
{
	uint64_t hash = mix(0, &l->n, sizeof(l->n));

	for (unsigned i = 0; i < N_TEXTS; i++)
		hash = mix(hash, l->texts[i], strlen(l->texts[i]) + 1);
	return hash;
}

static int compare_labels(const struct labels *a, const struct labels *b)
{
	for (unsigned i = 0; i < N_TEXTS; i++) {
		int order = strcmp(a->texts[i], b->texts[i]);

		if (order != 0)
			return order;
	}
	if (a->n.status != b->n.status)
		return a->n.status < b->n.status ? -1 : 1;
	return memcmp(&a->n, &b->n, sizeof(a->n));
}

static const char *or_unknown(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : "unknown";
}

static void labels_of(const struct exchange_record *r, struct labels *l)
{
	const struct cluster_config *c = r->cluster != NULL ? r->cluster->config : NULL;
	const struct endpoint_config *e = r->endpoint_config;

	memset(l, 0, sizeof(*l));
	l->texts[TEXT_destination_service] = or_unknown(c != NULL ? c->service_host : NULL);
	l->texts[TEXT_destination_service_name] = or_unknown(c != NULL ? c->service_name : NULL);
	l->texts[TEXT_destination_service_namespace] =
		or_unknown(c != NULL ? c->service_namespace : NULL);
	l->texts[TEXT_destination_workload] = or_unknown(e != NULL ? e->workload : NULL);
	l->texts[TEXT_destination_workload_namespace] = or_unknown(e != NULL ? e->namespace : NULL);
	l->n.status = r->status;
	// A number that no gRPC status has is whatever the backend made up: UNKNOWN, as the gRPC specification says.
	l->n.grpc_status = !r->grpc || r->grpc_status < 0 ? -1
		: r->grpc_status <= 16                    ? r->grpc_status
							  : 2;
	memcpy(l->n.flags.at, r->flags.at, r->flags.n);
	l->n.flags.n = r->flags.n;
	l->n.grpc = r->grpc;
}

// Copies the labels into the next series and publishes it. Returns false when the strings do not fit.
static bool append(struct request_metrics *m, uint64_t hash, const struct labels *l)
{
	uint32_t n = atomic_load_explicit(&m->n_series, memory_order_relaxed);
	struct series *s = &m->series[n];
	size_t used = 0;

	for (unsigned i = 0; i < N_TEXTS; i++) {
		size_t size = strlen(l->texts[i]) + 1;

		if (size > TEXT_SIZE - used)
			return false;
		memcpy(s->text + used, l->texts[i], size);
		s->labels.texts[i] = s->text + used;
		used += size;
	}
	s->hash = hash;
	s->labels.n = l->n;
	atomic_store_explicit(&m->n_series, n + 1, memory_order_release);
	return true;
}

struct request_metrics *request_metrics_new(uint32_t max_series)
{
	struct request_metrics *m = calloc(1, sizeof(*m));
	struct labels overflow = {.n.grpc_status = -1};
	uint32_t n_slots = 16;

	if (m == NULL)
		return NULL;
	// The first one is the overflow. At most half of the index is ever in use.
	m->max_series = max_series < (1u << 24) ? max_series + 1 : (1u << 24);
	while (n_slots < m->max_series * 2)
		n_slots *= 2;
	m->index_mask = n_slots - 1;
	m->index = calloc(n_slots, sizeof(*m->index));
	m->series = calloc(m->max_series, sizeof(*m->series));
	if (m->index == NULL || m->series == NULL) {
		request_metrics_free(&m);
		return NULL;
	}
	for (unsigned i = 0; i < N_TEXTS; i++)
		overflow.texts[i] = "unknown";
	overflow.texts[TEXT_destination_service] = "overflow";
	overflow.texts[TEXT_destination_service_name] = "overflow";
	append(m, hash_labels(&overflow), &overflow);
	return m;
}

void request_metrics_free(struct request_metrics **mp)
{
	struct request_metrics *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	free(m->index);
	free(m->series);
	free(m);
}

static struct series *find_or_append(struct request_metrics *m, const struct labels *l)
{
	uint64_t hash = hash_labels(l);
	uint32_t slot = (uint32_t)hash & m->index_mask;

	for (; m->index[slot] != 0; slot = (slot + 1) & m->index_mask) {
		struct series *s = &m->series[m->index[slot] - 1];

		if (s->hash == hash && compare_labels(&s->labels, l) == 0)
			return s;
	}
	if (atomic_load_explicit(&m->n_series, memory_order_relaxed) == m->max_series
		|| !append(m, hash, l))
		return &m->series[0];
	m->index[slot] = atomic_load_explicit(&m->n_series, memory_order_relaxed);
	return &m->series[m->index[slot] - 1];
}

void request_metrics_record(struct request_metrics *m, const struct exchange_record *r)
{
	struct labels l;
	struct series *s;

	labels_of(r, &l);
	s = find_or_append(m, &l);
	stat_inc(&s->n_requests);
	// In milliseconds: thousandths of them are the microseconds that we have.
	histogram_record(&s->duration_ms, r->end_us > r->start_us ? r->end_us - r->start_us : 0);
	histogram_record(&s->request_bytes, r->request_wire_bytes * 1000);
	histogram_record(&s->response_bytes, r->response_wire_bytes * 1000);
}

static int compare_series(const void *a, const void *b)
{
	const struct series *const *sa = a;
	const struct series *const *sb = b;

	return compare_labels(&(*sa)->labels, &(*sb)->labels);
}

static void add(struct request_series *sum, const struct series *s)
{
	sum->n_requests += stat_read(&s->n_requests);
	histogram_merge(&sum->duration_ms, &s->duration_ms);
	histogram_merge(&sum->request_bytes, &s->request_bytes);
	histogram_merge(&sum->response_bytes, &s->response_bytes);
}

static void emit(const struct series *const *equal, size_t n, request_series_fn *fn, void *arg)
{
	const struct labels *l = &equal[0]->labels;
	char flags[RESPONSE_FLAGS_TEXT_SIZE + 1], grpc_status[16] = "";
	struct request_series sum = {
#define X(name) .name = l->texts[TEXT_##name],
		TEXT_LABELS(X)
#undef X
			.request_protocol = l->n.grpc ? "grpc" : "http",
		.response_code = l->n.status,
		.grpc_response_status = grpc_status,
		.response_flags = flags,
	};

	flags[response_flags_print(&l->n.flags, flags)] = '\0';
	if (l->n.grpc_status >= 0)
		snprintf(grpc_status, sizeof(grpc_status), "%d", (int)l->n.grpc_status);
	for (size_t i = 0; i < n; i++)
		add(&sum, equal[i]);
	fn(arg, &sum);
}

void request_metrics_each(
	struct request_metrics *const *tables, unsigned n_tables, request_series_fn *fn, void *arg)
{
	const struct series **all;
	size_t n = 0, cap = 0;

	for (unsigned t = 0; t < n_tables; t++)
		cap += atomic_load_explicit(&tables[t]->n_series, memory_order_acquire);
	all = calloc(cap + 1, sizeof(*all));
	if (all == NULL)
		return;
	for (unsigned t = 0; t < n_tables; t++) {
		uint32_t n_series =
			atomic_load_explicit(&tables[t]->n_series, memory_order_acquire);

		// The overflow only once it was needed. Series that came since they were counted are shown next time.
		for (uint32_t i = 0; i < n_series && n < cap; i++) {
			const struct series *s = &tables[t]->series[i];

			if (i > 0 || stat_read(&s->n_requests) > 0)
				all[n++] = s;
		}
	}
	qsort(all, n, sizeof(*all), compare_series);
	for (size_t first = 0, end; first < n; first = end) {
		for (end = first + 1; end < n && compare_series(&all[first], &all[end]) == 0; end++)
			continue;
		emit(all + first, end - first, fn, arg);
	}
	free(all);
}
