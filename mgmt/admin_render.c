// How an answer looks to people. What decides is the shape of the value alone:
//
//     object                    key: value, one a line; what is not flat goes below its key, indented
//     array of flat objects     a table with the keys of the first one as columns
//     array of deeper objects   one block each, with an empty line between
//     array of scalars          one a line; in an object or a table separated by commas, unless they are sentences
#include "mgmt/admin_protocol.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 32
#define INDENT      2

static bool is_scalar(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

static bool is_list_of_scalars(const json_t *v)
{
	size_t i;
	json_t *item;

	if (!json_is_array(v))
		return false;
	json_array_foreach(v, i, item)
	{
		if (!is_scalar(item))
			return false;
	}
	return true;
}

// Fits into a table cell: a scalar, or a list of them.
static bool is_cell(const json_t *v)
{
	return is_scalar(v) || is_list_of_scalars(v);
}

// Sentences; in one line nobody could read them.
static bool is_list_of_sentences(const json_t *v)
{
	size_t i;
	json_t *item;

	if (!is_list_of_scalars(v))
		return false;
	json_array_foreach(v, i, item)
	{
		if (json_is_string(item) && strchr(json_string_value(item), ' ') != NULL)
			return true;
	}
	return false;
}

static bool is_flat_object(json_t *v)
{
	const char *key;
	json_t *item;

	if (!json_is_object(v))
		return false;
	json_object_foreach(v, key, item)
	{
		if (!is_cell(item))
			return false;
	}
	return true;
}

static bool is_table(const json_t *v)
{
	size_t i;
	json_t *item;

	if (!json_is_array(v) || json_array_size(v) == 0)
		return false;
	json_array_foreach(v, i, item)
	{
		if (!is_flat_object(item))
			return false;
	}
	return json_object_size(json_array_get(v, 0)) <= MAX_COLUMNS;
}

static void print_scalar(FILE *to, const json_t *v)
{
	if (json_is_string(v))
		fputs(json_string_value(v), to);
	else if (json_is_integer(v))
		fprintf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_real(v))
		fprintf(to, "%.3f", json_real_value(v));
	else if (json_is_boolean(v))
		fputs(json_is_true(v) ? "yes" : "no", to);
	else
		fputs("-", to);
}

static void print_cell(FILE *to, const json_t *v)
{
	size_t i;
	json_t *item;

	if (!json_is_array(v)) {
		print_scalar(to, v);
		return;
	}
	if (json_array_size(v) == 0)
		fputc('-', to);
	json_array_foreach(v, i, item)
	{
		if (i > 0)
			fputs(", ", to);
		print_scalar(to, item);
	}
}

// The text of a cell, to be freed; NULL without memory.
static char *cell_text(const json_t *v)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (to == NULL)
		return NULL;
	if (v != NULL)
		print_cell(to, v);
	else
		fputc('-', to);
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void print_indent(FILE *to, unsigned indent)
{
	fprintf(to, "%*s", (int)indent, "");
}

struct table {
	const char *columns[MAX_COLUMNS];
	size_t widths[MAX_COLUMNS];
	unsigned n_columns;
};

static void print_row(FILE *to, const struct table *t, char *const *cells, unsigned indent)
{
	print_indent(to, indent);
	for (unsigned i = 0; i < t->n_columns; i++) {
		const char *text = cells[i] != NULL ? cells[i] : "?";

		if (i + 1 == t->n_columns)
			fprintf(to, "%s\n", text);
		else
			fprintf(to, "%-*s  ", (int)t->widths[i], text);
	}
}

static void print_table_header(FILE *to, const struct table *t, unsigned indent)
{
	char names[MAX_COLUMNS][64];
	char *cells[MAX_COLUMNS];

	for (unsigned i = 0; i < t->n_columns; i++) {
		snprintf(names[i], sizeof(names[i]), "%s", t->columns[i]);
		for (char *c = names[i]; *c != '\0'; c++)
			*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 0x20) : *c;
		cells[i] = names[i];
	}
	print_row(to, t, cells, indent);
}

static void print_table(FILE *to, json_t *rows, unsigned indent)
{
	struct table t = {.n_columns = 0};
	size_t n_rows = json_array_size(rows), r;
	char **cells;
	const char *key;
	json_t *row, *first = json_array_get(rows, 0), *value;

	json_object_foreach(first, key, value)
	{
		t.widths[t.n_columns] = strlen(key);
		t.columns[t.n_columns++] = key;
	}
	if (t.n_columns == 0)
		return;
	cells = calloc(n_rows * t.n_columns, sizeof(*cells));
	if (cells == NULL)
		return;
	json_array_foreach(rows, r, row)
	{
		for (unsigned i = 0; i < t.n_columns; i++) {
			char *text = cell_text(json_object_get(row, t.columns[i]));
			size_t width = text != NULL ? strlen(text) : 0;

			cells[r * t.n_columns + i] = text;
			t.widths[i] = width > t.widths[i] ? width : t.widths[i];
		}
	}
	print_table_header(to, &t, indent);
	for (r = 0; r < n_rows; r++)
		print_row(to, &t, &cells[r * t.n_columns], indent);
	for (r = 0; r < n_rows * t.n_columns; r++)
		free(cells[r]);
	free(cells);
}

static void print_value(FILE *to, json_t *v, unsigned indent);

static void print_object(FILE *to, json_t *object, unsigned indent)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		print_indent(to, indent);
		fprintf(to, "%s:", key);
		if (is_cell(value) && !is_list_of_sentences(value)) {
			fputc(' ', to);
			print_cell(to, value);
			fputc('\n', to);
		} else {
			fputc('\n', to);
			print_value(to, value, indent + INDENT);
		}
	}
}

static void print_value(FILE *to, json_t *v, unsigned indent)
{
	size_t i;
	json_t *item;

	if (json_is_object(v)) {
		print_object(to, v, indent);
	} else if (is_table(v)) {
		print_table(to, v, indent);
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, item)
		{
			if (i > 0 && !is_scalar(item))
				fputc('\n', to);
			print_value(to, item, indent);
		}
	} else {
		print_indent(to, indent);
		print_scalar(to, v);
		fputc('\n', to);
	}
}

void admin_render(FILE *to, const json_t *value)
{
	// jansson's iterators take a value they could change; nothing here does.
	json_t *v = (json_t *)(uintptr_t)value;
	json_t *only =
		json_object_size(v) == 1 ? json_object_iter_value(json_object_iter(v)) : NULL;

	print_value(to, json_is_array(only) ? only : v, 0);
}
