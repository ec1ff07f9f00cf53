#include "mgmt/tree.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <yaml.h>

#define PATH_SIZE 512
#define MAX_PATH  (2 * TREE_MAX_DEPTH + 2) // of the text of a scalar, too

struct builder {
	struct region *memory;
	struct diag *d;
	const char *file;
	const struct node *within; // the scalar that holds the text; NULL: it is the file's
	struct bytes text;
	size_t byte, index; // one place in 'text', in bytes and in characters
	tree_document_fn *fn;
	void *arg;

	struct node *root; // of the document being read
	struct node *open; // innermost sequence or mapping
	const char *key;   // read, its value is next
	yaml_mark_t key_mark;
	unsigned depth;
	unsigned n_nodes;
	bool failed;
};

static void place(const struct builder *b, yaml_mark_t at, unsigned *line, unsigned *column)
{
	*line = (unsigned)at.line + 1;
	*column = (unsigned)at.column + 1;
	if (b->within == NULL)
		return;
	// A block scalar's text begins on the line after its mark.
	*line = b->within->indent > 0 ? b->within->line + *line : b->within->line;
	*column = b->within->indent > 0 ? b->within->indent + *column : b->within->column;
}

static bool refuse(struct builder *b, yaml_mark_t at, const char *what)
{
	char path[PATH_SIZE] = "";
	unsigned line, column;

	b->failed = true;
	place(b, at, &line, &column);
	if (b->within != NULL)
		tree_path(b->within, NULL, path, sizeof(path));
	return diag_add(
		b->d, DIAG_ERROR, b->file, line, column, path[0] != '\0' ? path : NULL, "%s", what);
}

// Makes the node that 'at' begins and hangs it into what is open.
static struct node *add(struct builder *b, enum node_kind kind, yaml_mark_t at)
{
	struct node *n, *parent = b->open;

	if (++b->n_nodes > TREE_MAX_NODES) {
		refuse(b, at, "too many values in one file; expected at most 1000000");
		return NULL;
	}
	n = region_alloc(b->memory, sizeof(*n));
	n->kind = kind;
	n->text = "";
	n->file = b->file;
	place(b, at, &n->line, &n->column);
	n->parent = parent;
	if (parent == NULL) {
		b->root = n;
		n->within = b->within;
		return n;
	}
	if (parent->kind == NODE_MAPPING) {
		n->key = b->key;
		place(b, b->key_mark, &n->key_line, &n->key_column);
		b->key = NULL;
	}
	n->index = parent->n_children++;
	if (parent->last != NULL)
		parent->last->next = n;
	else
		parent->first = n;
	parent->last = n;
	return n;
}

static bool open_collection(struct builder *b, enum node_kind kind, yaml_mark_t at)
{
	struct node *n;

	if (b->open != NULL && b->open->kind == NODE_MAPPING && b->key == NULL)
		return refuse(b, at, "a key is not a plain word; expected a field name");
	if (++b->depth > TREE_MAX_DEPTH)
		return refuse(b, at, "nested too deep; expected at most 64 levels");
	n = add(b, kind, at);
	if (n == NULL)
		return false;
	b->open = n;
	return true;
}

static int compare_keys(const void *va, const void *vb)
{
	const struct node *const *a = va, *const *b = vb;
	int by_key = strcmp((*a)->key, (*b)->key);

	return by_key != 0 ? by_key : (*a)->index < (*b)->index ? -1 : 1;
}

static void check_duplicate_keys(struct builder *b, const struct node *mapping)
{
	const struct node **sorted;
	unsigned n = 0;

	if (mapping->n_children < 2)
		return;
	sorted = malloc(mapping->n_children * sizeof(const struct node *));
	if (sorted == NULL)
		return;
	for (const struct node *c = mapping->first; c != NULL; c = c->next)
		sorted[n++] = c;
	qsort(sorted, n, sizeof(sorted[0]), compare_keys);
	for (unsigned i = 1; i < n; i++) {
		const struct node *c = sorted[i];
		char path[PATH_SIZE];

		if (strcmp(c->key, sorted[i - 1]->key) != 0)
			continue;
		tree_path(c, NULL, path, sizeof(path));
		diag_add(b->d, DIAG_ERROR, c->file, c->key_line, c->key_column, path,
			"the same key is already at line %u; expected it once",
			sorted[i - 1]->key_line);
	}
	free(sorted);
}

static bool close_collection(struct builder *b)
{
	struct node *n = b->open;

	b->depth--;
	if (n->kind == NODE_MAPPING)
		check_duplicate_keys(b, n);
	// The tree is const for its readers only.
	memcpy(&b->open, &n->parent, sizeof(b->open));
	return true;
}

// libyaml counts characters. Places only grow, so all of them together cost one walk.
static size_t byte_of(struct builder *b, size_t index)
{
	for (; b->index < index && b->byte < b->text.len; b->index++) {
		do
			b->byte++;
		while (b->byte < b->text.len && (b->text.ptr[b->byte] & 0xc0) == 0x80);
	}
	return b->byte;
}

// Of the first line that is not blank after that of 'at'.
static unsigned block_indent(struct builder *b, yaml_mark_t at)
{
	size_t i = byte_of(b, at.index), start;

	for (;;) {
		while (i < b->text.len && b->text.ptr[i] != '\n')
			i++;
		if (i == b->text.len)
			return 0;
		start = ++i;
		while (i < b->text.len && b->text.ptr[i] == ' ')
			i++;
		if (i < b->text.len && b->text.ptr[i] != '\n' && b->text.ptr[i] != '\r')
			return (unsigned)(i - start);
	}
}

static bool add_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	const char *tag = (const char *)event->data.scalar.tag;
	struct node *n;

	if (memchr(text, '\0', len) != NULL)
		return refuse(b, event->start_mark, "a value holds a NUL character");
	if (b->open != NULL && b->open->kind == NODE_MAPPING && b->key == NULL) {
		b->key = region_copy(b->memory, text, len);
		b->key_mark = event->start_mark;
		return true;
	}
	n = add(b, NODE_SCALAR, event->start_mark);
	if (n == NULL)
		return false;
	n->text = region_copy(b->memory, text, len);
	n->len = len;
	if (event->data.scalar.style == YAML_LITERAL_SCALAR_STYLE)
		n->indent = block_indent(b, event->start_mark);
	n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE
		|| (tag != NULL && strcmp(tag, YAML_STR_TAG) == 0);
	return true;
}

static bool tag_is_known(const yaml_char_t *tag)
{
	return tag == NULL || strncmp((const char *)tag, "tag:yaml.org,2002:", 18) == 0
		|| strcmp((const char *)tag, "!") == 0;
}

static bool on_event(struct builder *b, const yaml_event_t *event)
{
	const yaml_char_t *tag = event->type == YAML_SCALAR_EVENT ? event->data.scalar.tag
		: event->type == YAML_SEQUENCE_START_EVENT        ? event->data.sequence_start.tag
		: event->type == YAML_MAPPING_START_EVENT         ? event->data.mapping_start.tag
								  : NULL;

	if (!tag_is_known(tag))
		return refuse(b, event->start_mark, "a tag of one's own; expected plain YAML");
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		b->root = NULL;
		b->open = NULL;
		b->key = NULL;
		b->depth = 0;
		return true;
	case YAML_DOCUMENT_END_EVENT:
		if (b->root != NULL && !tree_is_null(b->root))
			b->fn(b->arg, b->root);
		return true;
	case YAML_ALIAS_EVENT:
		return refuse(b, event->start_mark,
			"an alias is not accepted; expected the value written out");
	case YAML_SCALAR_EVENT: return add_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT: return open_collection(b, NODE_SEQUENCE, event->start_mark);
	case YAML_MAPPING_START_EVENT: return open_collection(b, NODE_MAPPING, event->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: return close_collection(b);
	default: return true;
	}
}

static void syntax_error(struct builder *b, const yaml_parser_t *parser)
{
	yaml_mark_t at = parser->problem_mark;
	char what[256];

	if (parser->error == YAML_READER_ERROR)
		at = parser->mark;
	snprintf(what, sizeof(what),
		"not YAML: %s%s%s; expected spaces, \"key: value\" and \"- item\"",
		parser->problem != NULL ? parser->problem : "unreadable",
		parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
	refuse(b, at, what);
}

static bool parse(struct builder *b)
{
	unsigned errors_before = diag_n_errors(b->d);
	yaml_parser_t parser;
	bool ended = false;

	if (!yaml_parser_initialize(&parser))
		return diag_add(b->d, DIAG_ERROR, b->file, 0, 0, NULL, "out of memory");
	yaml_parser_set_input_string(
		&parser, b->text.len > 0 ? b->text.ptr : (const uint8_t *)"", b->text.len);
	while (!ended && !b->failed) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			syntax_error(b, &parser);
			break;
		}
		ended = event.type == YAML_STREAM_END_EVENT;
		on_event(b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return diag_n_errors(b->d) == errors_before;
}

bool tree_parse(struct region *memory, const char *file, struct bytes text, struct diag *d,
	tree_document_fn *fn, void *arg)
{
	struct builder b = {
		.memory = memory, .d = d, .file = file, .text = text, .fn = fn, .arg = arg};

	if (text.len > TREE_MAX_BYTES)
		return diag_add(d, DIAG_ERROR, file, 0, 0, NULL,
			"the file is too large; expected at most 16 MiB");
	return parse(&b);
}

bool tree_parse_scalar(struct region *memory, const struct node *n, struct diag *d,
	tree_document_fn *fn, void *arg)
{
	struct builder b = {.memory = memory,
		.d = d,
		.file = n->file,
		.within = n,
		.text = bytes_of(n->text, n->len),
		.fn = fn,
		.arg = arg};

	return parse(&b);
}

bool tree_key_is(const char *key, const char *name)
{
	for (; *key != '\0' && *name != '\0'; key++, name++) {
		if (*key == *name)
			continue;
		if (*key != '_' || key[1] == '\0' || toupper((unsigned char)key[1]) != *name)
			return false;
		key++;
	}
	return *key == *name;
}

const struct node *tree_get(const struct node *n, const char *name)
{
	if (n == NULL || n->kind != NODE_MAPPING)
		return NULL;
	for (const struct node *c = n->first; c != NULL; c = c->next) {
		if (tree_key_is(c->key, name) && !tree_is_null(c))
			return c;
	}
	return NULL;
}

bool tree_is_null(const struct node *n)
{
	return n->kind == NODE_SCALAR && !n->quoted
		&& (n->len == 0 || strcmp(n->text, "~") == 0 || strcasecmp(n->text, "null") == 0);
}

void tree_path(const struct node *n, const char *field, char *to, size_t size)
{
	const struct node *up[MAX_PATH];
	unsigned depth = 0;
	size_t at = 0;

	to[0] = '\0';
	for (; n != NULL && depth < MAX_PATH; n = n->parent != NULL ? n->parent : n->within) {
		if (n->parent != NULL)
			up[depth++] = n;
	}
	while (depth-- > 0 && at < size) {
		n = up[depth];
		if (n->key != NULL)
			at += (size_t)snprintf(
				to + at, size - at, "%s%s", at > 0 ? "." : "", n->key);
		else
			at += (size_t)snprintf(to + at, size - at, "[%u]", n->index);
	}
	if (field != NULL && at < size)
		snprintf(to + at, size - at, "%s%s", at > 0 ? "." : "", field);
}

__attribute__((format(printf, 6, 0))) static bool say(struct diag *d, enum diag_severity severity,
	const struct node *n, const char *field, bool at_key, const char *format, va_list args)
{
	const struct node *value = field != NULL ? tree_get(n, field) : NULL;
	char path[PATH_SIZE], text[1024];

	vsnprintf(text, sizeof(text), format, args);
	if (value != NULL) {
		n = value;
		field = NULL;
	}
	tree_path(n, field, path, sizeof(path));
	return diag_add(d, severity, n->file, at_key ? n->key_line : n->line,
		at_key ? n->key_column : n->column, path[0] != '\0' ? path : NULL, "%s", text);
}

#define SAY(severity, field, at_key)                              \
	do {                                                      \
		va_list args;                                     \
                                                                  \
		va_start(args, format);                           \
		say(d, severity, n, field, at_key, format, args); \
		va_end(args);                                     \
		return false;                                     \
	} while (0)

bool tree_error(struct diag *d, const struct node *n, const char *format, ...)
{
	SAY(DIAG_ERROR, NULL, false);
}

bool tree_warning(struct diag *d, const struct node *n, const char *format, ...)
{
	SAY(DIAG_WARNING, NULL, false);
}

bool tree_field_error(
	struct diag *d, const struct node *n, const char *field, const char *format, ...)
{
	SAY(DIAG_ERROR, field, false);
}

bool tree_field_warning(
	struct diag *d, const struct node *n, const char *field, const char *format, ...)
{
	SAY(DIAG_WARNING, field, false);
}

bool tree_key_warning(struct diag *d, const struct node *n, const char *format, ...)
{
	SAY(DIAG_WARNING, NULL, true);
}
