// The configuration reference, printed from the tables that read the configuration.
#include "mgmt/manifest.h"

#include <string.h>

static const char *const kind_names[] = {
	[F_STRING] = "text",
	[F_BOOL] = "boolean",
	[F_COUNT] = "number",
	[F_PERCENT] = "percent",
	[F_DURATION] = "duration",
	[F_QUANTITY] = "quantity",
	[F_ENUM] = "name",
	[F_ADDRESS] = "IP address",
	[F_OBJECT] = "object",
	[F_OBJECTS] = "list of objects",
	[F_STRINGS] = "list of texts",
	[F_MAP] = "map of texts",
	[F_OBJECT_MAP] = "map of objects",
	[F_NODE] = "any",
	[F_NOTHING] = "",
};

#define MAX_TYPES 128

// Types are printed once, in the order in which they are met.
struct printer {
	FILE *to;
	const struct object_type *types[MAX_TYPES];
	unsigned n_types;
};

static void meet(struct printer *p, const struct object_type *type)
{
	for (unsigned i = 0; i < p->n_types; i++) {
		if (p->types[i] == type)
			return;
	}
	if (p->n_types < MAX_TYPES)
		p->types[p->n_types++] = type;
}

// Inside a table a bar would end the cell.
static void print_text(FILE *to, const char *text)
{
	for (; *text != '\0'; text++)
		fprintf(to, *text == '|' ? "\\%c" : "%c", *text);
}

static void print_default(FILE *to, const struct field *f)
{
	if (f->required)
		fputs("required", to);
	else if (f->dflt != NULL)
		fprintf(to, "`%s`", f->dflt);
}

static void print_range(FILE *to, const struct field *f)
{
	if (f->kind == F_ENUM) {
		for (const struct enum_value *v = f->values; v->name != NULL; v++)
			fprintf(to, "%s`%s`%s", v == f->values ? "" : ", ", v->name,
				v->not_acted_on != NULL ? " (not acted on)" : "");
	} else if (f->min != NULL || f->max != NULL) {
		fprintf(to, "%s to %s", f->min != NULL ? f->min : "0",
			f->max != NULL ? f->max : "any");
	}
}

static void print_field(struct printer *p, const struct field *f)
{
	fprintf(p->to, "| `%s` | %s | ", f->name, kind_names[f->kind]);
	print_default(p->to, f);
	fputs(" | ", p->to);
	print_range(p->to, f);
	fputs(" | ", p->to);
	if (f->status == FIELD_NOT_ACTED_ON)
		fputs("not acted on, with a warning: ", p->to);
	else if (f->status == FIELD_NOT_FOR_GATEWAY)
		fputs("not for a gateway, with a warning: ", p->to);
	print_text(p->to, f->help != NULL && strcmp(f->help, "see below") != 0 ? f->help : "");
	if (f->object != NULL)
		fprintf(p->to, " (see *%s*)", f->object->name);
	fputs(" |\n", p->to);
}

static void print_type(struct printer *p, const struct object_type *type)
{
	bool has_silent = false;

	fprintf(p->to,
		"\n### %s\n\n| field | kind | default | values | effect |\n|---|---|---|---|---|\n",
		type->name);
	for (unsigned i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];

		if (f->status == FIELD_SILENT) {
			has_silent = true;
			continue;
		}
		print_field(p, f);
		if (f->object != NULL)
			meet(p, f->object);
	}
	if (!has_silent)
		return;
	fputs("\nKnown, without effect:", p->to);
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (type->fields[i].status == FIELD_SILENT)
			fprintf(p->to, " `%s`", type->fields[i].name);
	}
	fputs(".\n", p->to);
}

void config_reference(FILE *to)
{
	struct printer p = {.to = to};
	unsigned printed = 0;

	fputs("# Configuration\n\nPrinted by `pollgate reference config` from the tables that read the "
	      "configuration.\n\nKeys are in camelCase; snake_case is taken too. Durations: `100ms`, `1s`, "
	      "`1m30s`. Quantities: `200Mi`, `1G`. A field that is not in here is a warning.\n",
		to);
	for (unsigned k = 0; k < OBJECT_N_KINDS; k++) {
		const struct kind_info *info = &kinds[k];

		fprintf(to, "\n## %s\n\n`apiVersion:`", info->kind);
		for (unsigned v = 0; v < 4 && info->versions[v] != NULL; v++)
			fprintf(to, "%s `%s%s%s`", v > 0 ? "," : "", info->group,
				info->group[0] != '\0' ? "/" : "", info->versions[v]);
		fputs("\n", to);
		meet(&p, info->type);
		for (; printed < p.n_types; printed++)
			print_type(&p, p.types[printed]);
	}
}
