// A JSON object as a format (reference 6.2): its strings have operators, its keys are printed in alphabetical order, as Envoy
// does. A string that is one operator and nothing else becomes a value of the operator's own type.
#include "router/access_log_format.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_DEPTH 16

struct compiler {
	struct access_log_format *format;
	char *error; // [LOG_ERROR_SIZE]
};

static bool refuse(struct compiler *c, const char *text)
{
	snprintf(c->error, LOG_ERROR_SIZE, "%s", text);
	return false;
}

static bool add_literal(struct compiler *c, struct bytes text)
{
	return log_format_add_literal(c->format, text) || refuse(c, "out of memory");
}

static bool add_escaped(struct compiler *c, struct bytes text)
{
	char escaped[256];

	while (text.len > 0) {
		// Six bytes for one at most; a UTF-8 sequence is not cut in two.
		size_t n = text.len < 40 ? text.len : 40;
		char *end;

		while (n < text.len && n > 36 && (text.ptr[n] & 0xc0) == 0x80)
			n--;
		end = log_json_escape(escaped, escaped + sizeof(escaped), bytes_of(text.ptr, n));
		if (!add_literal(c, bytes_of(escaped, (size_t)(end - escaped))))
			return false;
		text = bytes_skip(text, n);
	}
	return true;
}

static bool add_quoted(struct compiler *c, const char *text)
{
	return add_literal(c, BYTES("\"")) && add_escaped(c, bytes_of_str(text))
		&& add_literal(c, BYTES("\""));
}

// Is 'text' one operator and nothing else? An error shows again when the text is compiled.
static bool is_one_operator(const char *text)
{
	char error[LOG_ERROR_SIZE];
	struct log_parser p = {.at = text, .error = error};
	struct log_piece piece;

	return log_parse_next(&p, &piece) == 1 && piece.op != LOG_LITERAL && p.at[0] == '\0';
}

static bool add_string(struct compiler *c, const char *text)
{
	struct log_parser p = {.at = text, .error = c->error};
	bool alone = is_one_operator(text);
	struct log_piece piece;
	bool ok = alone || add_literal(c, BYTES("\""));
	int more;

	while (ok && (more = log_parse_next(&p, &piece)) != 0) {
		if (more < 0)
			return false;
		if (piece.op == LOG_LITERAL) {
			ok = add_escaped(c, piece.text);
			continue;
		}
		piece.style = alone ? LOG_STYLE_JSON_VALUE : LOG_STYLE_JSON_PART;
		ok = log_format_add(c->format, &piece) || refuse(c, "out of memory");
	}
	return ok && (alone || add_literal(c, BYTES("\"")));
}

static bool add_value(struct compiler *c, const json_t *value, unsigned depth);

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool add_object(struct compiler *c, const json_t *object, unsigned depth)
{
	size_t n = 0, n_keys = json_object_size(object);
	const char **keys = calloc(n_keys + 1, sizeof(*keys));
	bool ok = keys != NULL || refuse(c, "out of memory");
	const char *key;
	json_t *value;

	if (!ok)
		return false;
	json_object_foreach((json_t *)(uintptr_t)object, key, value) keys[n++] = key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	ok = add_literal(c, BYTES("{"));
	for (size_t i = 0; ok && i < n; i++)
		ok = (i == 0 || add_literal(c, BYTES(","))) && add_quoted(c, keys[i])
			&& add_literal(c, BYTES(":"))
			&& add_value(c, json_object_get(object, keys[i]), depth);
	free(keys);
	return ok && add_literal(c, BYTES("}"));
}

static bool add_array(struct compiler *c, const json_t *array, unsigned depth)
{
	bool ok = add_literal(c, BYTES("["));

	for (size_t i = 0; ok && i < json_array_size(array); i++)
		ok = (i == 0 || add_literal(c, BYTES(",")))
			&& add_value(c, json_array_get(array, i), depth);
	return ok && add_literal(c, BYTES("]"));
}

// A number, true, false or null: printed as it is.
static bool add_plain(struct compiler *c, const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	bool ok = text != NULL ? add_literal(c, bytes_of_str(text)) : refuse(c, "out of memory");

	free(text);
	return ok;
}

static bool add_value(struct compiler *c, const json_t *value, unsigned depth)
{
	if (depth >= MAX_DEPTH)
		return refuse(c, "JSON format is nested too deeply");
	if (json_is_string(value))
		return add_string(c, json_string_value(value));
	if (json_is_object(value))
		return add_object(c, value, depth + 1);
	if (json_is_array(value))
		return add_array(c, value, depth + 1);
	return add_plain(c, value);
}

bool log_json_compile(struct access_log_format *f, const char *text, char error[LOG_ERROR_SIZE])
{
	struct compiler c = {.format = f, .error = error};
	json_error_t where;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &where);
	bool ok;

	if (root == NULL) {
		snprintf(error, LOG_ERROR_SIZE, "JSON format: %.150s (line %d, column %d)",
			where.text, where.line, where.column);
		return false;
	}
	ok = json_is_object(root) ? add_object(&c, root, 0)
				  : refuse(&c, "JSON format is not an object");
	json_decref(root);
	return ok;
}
