#include "mgmt/export_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const metric_kind_names[] = {
	[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_HISTOGRAM] = "histogram",
};

bool stat_is_by_worker(const char *name)
{
	static const char *const names[] = {"busy_cycles", "idle_cycles", "nd_routers",
		"neigh_entries", "tcp_active_opens", "tcp_passive_opens"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

void export_buffer_free(struct export_buffer *b)
{
	free(b->text);
	*b = (struct export_buffer){0};
}

static void put(struct export_buffer *b, const char *text, size_t len)
{
	if (b->failed)
		return;
	if (len > b->cap - b->len) {
		size_t cap = (b->cap + len) * 2 > 16384 ? (b->cap + len) * 2 : 16384;
		char *grown = realloc(b->text, cap);

		if (grown == NULL) {
			b->failed = true;
			return;
		}
		b->text = grown;
		b->cap = cap;
	}
	memcpy(b->text + b->len, text, len);
	b->len += len;
}

static void put_string(struct export_buffer *b, const char *text)
{
	put(b, text, strlen(text));
}

// Backslash, newline and, in a label's value, the quote are escaped.
static void put_escaped(struct export_buffer *b, const char *text, bool quoted)
{
	for (;;) {
		size_t run = strcspn(text, quoted ? "\\\n\"" : "\\\n");

		put(b, text, run);
		text += run;
		if (*text == '\0')
			return;
		put(b, "\\", 1);
		put(b, *text == '\n' ? "n" : text, 1);
		text++;
	}
}

static void put_number(struct export_buffer *b, uint64_t value, enum metric_kind kind)
{
	char digits[24];

	// A gauge may be below zero for the moment between two workers' updates.
	snprintf(digits, sizeof(digits), kind == METRIC_GAUGE ? "%" PRId64 : "%" PRIu64, value);
	put_string(b, digits);
}

// Characters that a metric's name cannot have become '_' (7.1).
static void clean_name(char *name)
{
	for (; *name != '\0'; name++) {
		bool ok = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z')
			|| (*name >= '0' && *name <= '9') || *name == '_';

		if (!ok)
			*name = '_';
	}
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

void metric_init(struct metric *m, struct export_buffer *out, const char *prefix, const char *name,
	enum metric_kind kind, const char *help)
{
	bool total = kind == METRIC_COUNTER && strncmp(prefix, "pollgate_", 9) == 0
		&& !ends_with(name, "_total");

	*m = (struct metric){.out = out, .kind = kind, .help = help};
	snprintf(m->name, sizeof(m->name), "%s%s%s", prefix, name, total ? "_total" : "");
	clean_name(m->name);
}

static void begin(struct metric *m)
{
	if (m->begun)
		return;
	m->begun = true;
	put_string(m->out, "# HELP ");
	put_string(m->out, m->name);
	put_string(m->out, " ");
	put_escaped(m->out, m->help, false);
	put_string(m->out, "\n# TYPE ");
	put_string(m->out, m->name);
	put_string(m->out, " ");
	put_string(m->out, metric_kind_names[m->kind]);
	put_string(m->out, "\n");
}

// "name_suffix{labels,le="bound"} ", without the value.
static void put_series(struct metric *m, const char *suffix, const struct metric_label *labels,
	unsigned n_labels, const char *bound)
{
	struct metric_label le = {"le", bound};

	put_string(m->out, m->name);
	put_string(m->out, suffix);
	put_string(m->out, "{");
	for (unsigned i = 0; i < n_labels + (bound != NULL); i++) {
		const struct metric_label *l = i < n_labels ? &labels[i] : &le;

		put_string(m->out, i > 0 ? "," : "");
		put_string(m->out, l->name);
		put_string(m->out, "=\"");
		put_escaped(m->out, l->value, true);
		put_string(m->out, "\"");
	}
	put_string(m->out, "} ");
}

void metric_sample(
	struct metric *m, const struct metric_label *labels, unsigned n_labels, uint64_t value)
{
	begin(m);
	put_series(m, "", labels, n_labels, NULL);
	put_number(m->out, value, m->kind);
	put_string(m->out, "\n");
}

uint64_t histogram_n_values(const struct histogram *h)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < HISTOGRAM_N_BUCKETS; i++)
		n += h->buckets[i];
	return n;
}

void metric_histogram(struct metric *m, const struct metric_label *labels, unsigned n_labels,
	const struct histogram *h)
{
	uint64_t n = 0;
	char sum[40];

	begin(m);
	for (unsigned i = 0; i < HISTOGRAM_N_BUCKETS; i++) {
		n += h->buckets[i];
		put_series(m, "_bucket", labels, n_labels, histogram_bounds[i]);
		put_number(m->out, n, m->kind);
		put_string(m->out, "\n");
	}
	put_series(m, "_sum", labels, n_labels, NULL);
	snprintf(sum, sizeof(sum), "%" PRIu64 ".%03u\n", h->sum / 1000, (unsigned)(h->sum % 1000));
	put_string(m->out, sum);
	put_series(m, "_count", labels, n_labels, NULL);
	put_number(m->out, n, m->kind);
	put_string(m->out, "\n");
}
