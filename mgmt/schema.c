#include "mgmt/schema.h"

#include "dataplane/base/ip_addr.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void *at(void *out, uint16_t where)
{
	return (char *)out + where;
}

// A pointer member whose exact type only the row's author knows.
static void put_pointer(void *out, uint16_t where, const void *value)
{
	memcpy(at(out, where), &value, sizeof(value));
}

static void put_count(void *out, uint16_t where, unsigned n)
{
	memcpy(at(out, where), &n, sizeof(n));
}

static const char *kind_name(const struct node *n)
{
	switch (n->kind) {
	case NODE_SEQUENCE: return "a list";
	case NODE_MAPPING: return "a mapping";
	case NODE_SCALAR: break;
	}
	return "a single value";
}

// What a field wants, for messages.
static const char *wanted(const struct field *f)
{
	switch (f->kind) {
	case F_STRING: return "a text";
	case F_BOOL: return "true or false";
	case F_COUNT: return "a whole number";
	case F_PERCENT: return "a number";
	case F_DURATION: return "a duration such as 1s";
	case F_QUANTITY: return "a quantity such as 200Mi";
	case F_ENUM: return "one of the names of the reference";
	case F_ADDRESS: return "an IP address";
	case F_OBJECT: return "a mapping";
	case F_OBJECTS:
	case F_STRINGS: return "a list";
	case F_MAP:
	case F_OBJECT_MAP: return "a mapping";
	case F_NODE:
	case F_NOTHING: break;
	}
	return "a value";
}

// YAML reads these as something else than text; Kubernetes then refuses them where text is wanted.
static bool looks_like_no_string(const struct node *n)
{
	char *end;

	if (n->quoted)
		return false;
	if (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0)
		return true;
	if (strchr("0123456789+-.", n->text[0]) == NULL
		|| n->text[strspn(n->text, "0123456789+-.eE")] != '\0')
		return false;
	strtod(n->text, &end);
	return end != n->text && *end == '\0';
}

static bool read_string(
	struct reader *r, const struct field *f, const struct node *n, const char **out)
{
	// In a list or a map, where it is not the same as nothing at all.
	if (f == NULL && tree_is_null(n)) {
		*out = "";
		return true;
	}
	if (looks_like_no_string(n))
		return tree_error(
			r->d, n, "%s is not a text; expected \"%s\" in quotes", n->text, n->text);
	if (f != NULL && f->required && n->len == 0)
		return tree_error(r->d, n, "is empty; expected a text");
	*out = region_copy(r->strings, n->text, n->len);
	return true;
}

static bool read_bool(struct reader *r, const struct node *n, bool *out)
{
	bool yes = strcmp(n->text, "true") == 0;

	if (!yes && strcmp(n->text, "false") != 0)
		return tree_error(
			r->d, n, "\"%s\" is not a boolean; expected true or false", n->text);
	*out = yes;
	return true;
}

static const char *limits(const struct field *f, char text[64])
{
	snprintf(text, 64, "%s to %s", f->min != NULL ? f->min : "0",
		f->max != NULL ? f->max : "4294967295");
	return text;
}

static bool read_count(struct reader *r, const struct field *f, const struct node *n, uint32_t *out)
{
	uint64_t value, min = 0, max = UINT32_MAX;
	char text[64];

	if (f->min != NULL)
		number_parse(f->min, &min);
	if (f->max != NULL)
		number_parse(f->max, &max);
	if (n->text[0] == '-' && number_parse(n->text + 1, &value))
		return tree_error(r->d, n, "%s is negative; expected %s", n->text, limits(f, text));
	if (!number_parse(n->text, &value))
		return tree_error(r->d, n, "\"%s\" is not a whole number; expected %s", n->text,
			limits(f, text));
	if (value < min || value > max)
		return tree_error(r->d, n, "%s is too %s; expected %s", n->text,
			value < min ? "small" : "large", limits(f, text));
	*out = (uint32_t)value;
	return true;
}

static bool read_percent(struct reader *r, const struct node *n, double *out)
{
	char *end;
	double value = strtod(n->text, &end);

	if (end == n->text || *end != '\0')
		return tree_error(r->d, n, "\"%s\" is not a number; expected 0 to 100", n->text);
	if (!(value >= 0 && value <= 100))
		return tree_error(r->d, n, "%s is out of range; expected 0 to 100", n->text);
	*out = value;
	return true;
}

static uint64_t duration_of(const char *text)
{
	uint64_t us = 0;

	duration_parse(text, &us);
	return us;
}

static bool read_duration(
	struct reader *r, const struct field *f, const struct node *n, uint64_t *out)
{
	uint64_t us = 0;
	const char *wrong = duration_parse(n->text, &us);
	bool too_long;

	if (wrong != NULL)
		return tree_error(r->d, n, "\"%s\" %s; expected a duration such as %s", n->text,
			wrong, f->dflt != NULL && strcmp(f->dflt, "0s") != 0 ? f->dflt : "1s");
	too_long = f->max != NULL && us > duration_of(f->max);
	if (too_long || (f->min != NULL && us < duration_of(f->min)))
		return tree_error(r->d, n, "%s is too %s; expected %s%s%s", n->text,
			too_long ? "long" : "short", f->max != NULL ? "" : "at least ",
			f->min != NULL ? f->min : "0s to ",
			f->max == NULL           ? ""
				: f->min != NULL ? region_printf(r->objects, " to %s", f->max)
						 : f->max);
	if (us % 1000 != 0)
		return tree_error(
			r->d, n, "%s is not whole milliseconds; expected such as 100ms", n->text);
	*out = us;
	return true;
}

static bool read_quantity(
	struct reader *r, const struct field *f, const struct node *n, uint64_t *out)
{
	uint64_t bytes = 0, min = 0, max = UINT64_MAX;
	const char *wrong = quantity_parse(n->text, &bytes);

	if (wrong != NULL)
		return tree_error(
			r->d, n, "\"%s\" %s; expected a quantity such as 200Mi", n->text, wrong);
	if (f->min != NULL)
		quantity_parse(f->min, &min);
	if (f->max != NULL)
		quantity_parse(f->max, &max);
	if (bytes < min || bytes > max)
		return tree_error(r->d, n, "%s is too %s; expected %s to %s", n->text,
			bytes < min ? "small" : "large", f->min != NULL ? f->min : "0",
			f->max != NULL ? f->max : "16Ei");
	*out = bytes;
	return true;
}

static bool read_enum(struct reader *r, const struct field *f, const struct node *n, int *out)
{
	char all[512] = "";
	const char *best = NULL;
	unsigned distance = 0;
	size_t len = 0;

	for (const struct enum_value *v = f->values; v->name != NULL; v++) {
		if (strcmp(n->text, v->name) == 0) {
			*out = v->value;
			if (v->not_acted_on != NULL)
				tree_warning(r->d, n, "%s is read but not acted on; %s", v->name,
					v->not_acted_on);
			return true;
		}
		suggest(n->text, v->name, &best, &distance);
		if (len < sizeof(all))
			len += (size_t)snprintf(
				all + len, sizeof(all) - len, "%s%s", len > 0 ? ", " : "", v->name);
	}
	if (best != NULL)
		return tree_error(
			r->d, n, "unknown value \"%s\"; did you mean \"%s\"?", n->text, best);
	return tree_error(r->d, n, "unknown value \"%s\"; expected one of %s", n->text, all);
}

static bool read_address(struct reader *r, const struct node *n, struct ip_addr *out)
{
	if (!ip_addr_parse(n->text, out))
		return tree_error(
			r->d, n, "\"%s\" is not an IP address; expected such as 10.0.0.1", n->text);
	return true;
}

static bool read_objects(struct reader *r, const struct field *f, const struct node *n, void *out)
{
	char *items = region_alloc(r->objects, n->n_children * f->object->size);
	bool ok = true;
	unsigned i = 0;

	for (const struct node *c = n->first; c != NULL; c = c->next, i++) {
		void *item = items + i * f->object->size;

		if (f->kind == F_OBJECT_MAP)
			((struct keyed *)item)->key = region_strdup(r->strings, c->key);
		if (tree_is_null(c) && f->kind == F_OBJECT_MAP)
			((struct keyed *)item)->node = c;
		else
			ok &= object_read(r, f->object, c, item);
	}
	put_pointer(out, f->where, items);
	put_count(out, f->n_where, i);
	return ok;
}

static bool read_strings(struct reader *r, const struct field *f, const struct node *n, void *out)
{
	const char **items = region_alloc(r->objects, (n->n_children + 1) * sizeof(*items));
	bool ok = true;
	unsigned i = 0;

	for (const struct node *c = n->first; c != NULL; c = c->next, i++) {
		items[i] = "";
		if (c->kind != NODE_SCALAR)
			ok = tree_error(r->d, c, "is %s; expected a text", kind_name(c));
		else
			ok &= read_string(r, NULL, c, &items[i]);
	}
	put_pointer(out, f->where, items);
	put_count(out, f->n_where, i);
	return ok;
}

static bool read_map(struct reader *r, const struct field *f, const struct node *n, void *out)
{
	struct key_value *items = region_alloc(r->objects, (n->n_children + 1) * sizeof(*items));
	bool ok = true;
	unsigned i = 0;

	for (const struct node *c = n->first; c != NULL; c = c->next, i++) {
		items[i].node = c;
		items[i].key = region_strdup(r->strings, c->key);
		items[i].value = "";
		if (c->kind != NODE_SCALAR)
			ok = tree_error(r->d, c, "is %s; expected a text", kind_name(c));
		else
			ok &= read_string(r, NULL, c, &items[i].value);
	}
	put_pointer(out, f->where, items);
	put_count(out, f->n_where, i);
	return ok;
}

static bool read_object(struct reader *r, const struct field *f, const struct node *n, void *out)
{
	void *object = region_alloc(r->objects, f->object->size);

	put_pointer(out, f->where, object);
	return object_read(r, f->object, n, object);
}

static bool shape_is_right(const struct field *f, const struct node *n)
{
	switch (f->kind) {
	case F_OBJECT:
	case F_MAP:
	case F_OBJECT_MAP: return n->kind == NODE_MAPPING;
	case F_OBJECTS:
	case F_STRINGS: return n->kind == NODE_SEQUENCE;
	case F_NODE:
	case F_NOTHING: return true;
	default: return n->kind == NODE_SCALAR;
	}
}

static bool read_value(struct reader *r, const struct field *f, const struct node *n, void *out)
{
	void *to = at(out, f->where);

	if (!shape_is_right(f, n))
		return tree_error(r->d, n, "is %s; expected %s", kind_name(n), wanted(f));
	switch (f->kind) {
	case F_STRING: return read_string(r, f, n, to);
	case F_BOOL: return read_bool(r, n, to);
	case F_COUNT: return read_count(r, f, n, to);
	case F_PERCENT: return read_percent(r, n, to);
	case F_DURATION: return read_duration(r, f, n, to);
	case F_QUANTITY: return read_quantity(r, f, n, to);
	case F_ENUM: return read_enum(r, f, n, to);
	case F_ADDRESS: return read_address(r, n, to);
	case F_OBJECT: return read_object(r, f, n, out);
	case F_OBJECTS:
	case F_OBJECT_MAP: return read_objects(r, f, n, out);
	case F_STRINGS: return read_strings(r, f, n, out);
	case F_MAP: return read_map(r, f, n, out);
	case F_NODE: put_pointer(out, f->where, n); return true;
	case F_NOTHING: break;
	}
	return true;
}

// The default is in the row's own syntax, so it goes the way of any value.
static void put_default(struct reader *r, const struct field *f, void *out)
{
	struct node n = {.kind = NODE_SCALAR, .quoted = true, .file = "default"};

	if (f->kind == F_ENUM) {
		for (const struct enum_value *v = f->values; f->dflt != NULL && v->name != NULL;
			v++) {
			if (strcmp(v->name, f->dflt) == 0)
				memcpy(at(out, f->where), &v->value, sizeof(v->value));
		}
	} else if (f->kind == F_OBJECT && f->always)
		put_pointer(out, f->where, object_defaults(r, f->object));
	else if (f->kind == F_STRING)
		put_pointer(out, f->where, f->dflt != NULL ? f->dflt : "");
	else if (f->dflt != NULL && f->kind < F_OBJECT) {
		bool ok;

		n.text = f->dflt;
		n.len = strlen(f->dflt);
		ok = read_value(r, f, &n, out);
		assert(ok);
		(void)ok;
	}
}

static void say_status(struct reader *r, const struct field *f, const struct node *n)
{
	const char *mark = f->help != NULL ? "; " : "", *help = f->help != NULL ? f->help : "";

	if (f->status == FIELD_NOT_ACTED_ON)
		tree_key_warning(r->d, n, "is read but not acted on%s%s", mark, help);
	else if (f->status == FIELD_NOT_FOR_GATEWAY)
		tree_key_warning(r->d, n, "does not concern a gateway%s%s", mark, help);
}

static void say_unknown(struct reader *r, const struct object_type *type, const struct node *n)
{
	const char *best = NULL;
	unsigned distance = 0;

	for (unsigned i = 0; i < type->n_fields; i++)
		suggest(n->key, type->fields[i].name, &best, &distance);
	if (best != NULL)
		tree_key_warning(r->d, n, "unknown field; did you mean \"%s\"?", best);
	else
		tree_key_warning(r->d, n, "unknown field; it is skipped");
}

bool object_read(struct reader *r, const struct object_type *type, const struct node *n, void *out)
{
	bool ok = true;

	((struct object *)out)->node = n;
	for (unsigned i = 0; i < type->n_fields; i++)
		put_default(r, &type->fields[i], out);
	if (n->kind != NODE_MAPPING)
		return tree_error(r->d, n, "is %s; expected a mapping",
			tree_is_null(n) ? "empty" : kind_name(n));
	for (const struct node *c = n->first; c != NULL; c = c->next) {
		const struct field *f = NULL;
		const struct node *first;

		for (unsigned i = 0; i < type->n_fields && f == NULL; i++) {
			if (tree_key_is(c->key, type->fields[i].name))
				f = &type->fields[i];
		}
		if (f == NULL) {
			say_unknown(r, type, c);
			continue;
		}
		if (tree_is_null(c))
			continue; // as if it were not there
		// Whoever looks for the field later finds the first. The same spelling twice was told by the tree.
		first = tree_get(n, f->name);
		if (first != c) {
			if (strcmp(first->key, c->key) != 0)
				tree_error(r->d, c,
					"is the same field as %s at line %u; expected it once",
					first->key, first->key_line);
			ok = false;
			continue;
		}
		say_status(r, f, c);
		ok &= read_value(r, f, c, out);
	}
	for (unsigned i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];

		if (f->required && tree_get(n, f->name) == NULL)
			ok = tree_field_error(
				r->d, n, f->name, "is missing; expected %s", wanted(f));
	}
	return ok;
}

void *object_defaults(struct reader *r, const struct object_type *type)
{
	static const struct node nothing = {.kind = NODE_MAPPING, .text = "", .file = ""};
	void *object = region_alloc(r->objects, type->size);

	((struct object *)object)->node = &nothing;
	for (unsigned i = 0; i < type->n_fields; i++)
		put_default(r, &type->fields[i], object);
	return object;
}

const struct node *object_get(const void *object, const char *field)
{
	return object != NULL ? tree_get(((const struct object *)object)->node, field) : NULL;
}

bool object_has(const void *object, const char *field)
{
	return object_get(object, field) != NULL;
}

const char *key_value_get(const struct key_value *list, unsigned n, const char *key)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(list[i].key, key) == 0)
			return list[i].value;
	}
	return NULL;
}

bool key_values_include(const struct key_value *whole, unsigned n_whole,
	const struct key_value *part, unsigned n_part)
{
	for (unsigned i = 0; i < n_part; i++) {
		const char *value = key_value_get(whole, n_whole, part[i].key);

		if (value == NULL || strcmp(value, part[i].value) != 0)
			return false;
	}
	return true;
}
