#include "mgmt/diag.h"

#include "mgmt/region.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// A file of nothing but mistakes must not take all memory; what is beyond is counted but has no
// text. Of each severity: warnings crowd no error out.
#define MAX_MESSAGES 2000

struct entry {
	struct diag_message message; // first: diag_message() hands it out
	const char *file;
	unsigned line;
	unsigned column;
	unsigned order; // of arrival
};

struct diag {
	struct region *memory;
	struct entry *entries;
	unsigned n;
	unsigned n_arrived;
	unsigned n_of[2];   // by severity
	unsigned n_kept[2]; // likewise; of those that have a text
	bool left_out;
	bool sorted;
};

struct diag *diag_new(void)
{
	struct region *memory = region_new();
	struct diag *d = region_alloc(memory, sizeof(*d));

	d->memory = memory;
	d->sorted = true;
	return d;
}

void diag_free(struct diag **dp)
{
	struct diag *d = *dp;
	struct region *memory;

	*dp = NULL;
	if (d == NULL)
		return;
	memory = d->memory;
	region_free(&memory);
}

static int entry_compare(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;
	int by_file = strcmp(a->file, b->file);

	if (by_file != 0)
		return by_file;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

// Sorts, and drops what was said twice about the same place.
static void diag_sort(struct diag *d)
{
	unsigned kept = 0;

	if (d->sorted)
		return;
	d->sorted = true;
	qsort(d->entries, d->n, sizeof(d->entries[0]), entry_compare);
	for (unsigned i = 0; i < d->n; i++) {
		struct entry *e = &d->entries[i];
		bool again = false;

		for (unsigned k = kept; k-- > 0 && !again;) {
			const struct entry *other = &d->entries[k];

			if (other->line != e->line || other->column != e->column
				|| strcmp(other->file, e->file) != 0)
				break;
			again = strcmp(other->message.text, e->message.text) == 0;
		}
		if (!again) {
			d->entries[kept++] = *e;
			continue;
		}
		d->n_of[e->message.severity]--;
		d->n_kept[e->message.severity]--;
	}
	d->n = kept;
}

bool diag_add(struct diag *d, enum diag_severity severity, const char *file, unsigned line,
	unsigned column, const char *path, const char *format, ...)
{
	const char *what, *mark = severity == DIAG_WARNING ? "warning: " : "";
	char place[32] = "", text[1024];
	struct entry *e;
	va_list args;

	d->n_of[severity]++;
	if (d->n_kept[severity] == MAX_MESSAGES) {
		d->left_out = true;
		return false;
	}
	d->n_kept[severity]++;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	// The user's text is in here; a message is one line whatever that holds.
	for (char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	}
	what = text;

	if (line != 0)
		snprintf(place, sizeof(place), ":%u:%u", line, column);
	d->entries = region_grow(d->memory, d->entries, d->n, sizeof(d->entries[0]));
	e = &d->entries[d->n];
	e->file = region_strdup(d->memory, file != NULL ? file : "");
	e->line = line;
	e->column = column;
	e->order = d->n_arrived++;
	d->n++;
	e->message.severity = severity;
	e->message.text =
		region_printf(d->memory, "%s%s%s%s%s%s%s", e->file, place, file != NULL ? ": " : "",
			mark, path != NULL ? path : "", path != NULL ? ": " : "", what);
	d->sorted = false;
	return false;
}

// The counts and the messages are read after all is said; sorting then does not change what was
// promised.
static struct diag *sorted(const struct diag *d)
{
	struct diag *self;

	memcpy(&self, &d, sizeof(self));
	diag_sort(self);
	return self;
}

unsigned diag_n_errors(const struct diag *d)
{
	return sorted(d)->n_of[DIAG_ERROR];
}

unsigned diag_n_warnings(const struct diag *d)
{
	return sorted(d)->n_of[DIAG_WARNING];
}

size_t diag_n_messages(const struct diag *d)
{
	return sorted(d)->n;
}

const struct diag_message *diag_message(const struct diag *d, size_t i)
{
	return &sorted(d)->entries[i].message;
}

void diag_print(const struct diag *d, FILE *to)
{
	size_t n = diag_n_messages(d);

	for (size_t i = 0; i < n; i++)
		fprintf(to, "%s\n", d->entries[i].message.text);
	if (d->left_out)
		fprintf(to, "(more messages were left out)\n");
}
