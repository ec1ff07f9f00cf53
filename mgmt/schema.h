// What a document may hold, as tables: one row a field, one file a kind (schema_*.c). The same
// rows read the YAML into plain structs, make every message about a value, and print the
// reference (config_reference()).
//
// The structs are Istio's and Kubernetes' objects in C (objects.h). Each begins with the node it
// was read from, so that later checks can name the place. Whether a field was given at all is
// asked of the node: object_has().
//
// Defaults and limits stand in a row as an operator would write them, and messages print them so.
#pragma once

#include "mgmt/diag.h"
#include "mgmt/region.h"
#include "mgmt/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum field_kind {
	F_STRING,     // const char *; "" if absent and without default
	F_BOOL,       // bool
	F_COUNT,      // uint32_t
	F_PERCENT,    // double
	F_DURATION,   // uint64_t, microseconds
	F_QUANTITY,   // uint64_t, bytes: 200Mi, 1G
	F_ENUM,       // int
	F_ADDRESS,    // struct ip_addr
	F_OBJECT,     // pointer to struct; NULL if absent
	F_OBJECTS,    // list: pointer to array, and a count
	F_STRINGS,    // list: const char **, and a count
	F_MAP,        // of strings: struct key_value *, and a count
	F_OBJECT_MAP, // the element struct has the key after its node: struct keyed
	F_NODE,       // const struct node *: read by code
	F_NOTHING,    // not stored: see status
};

enum field_status {
	FIELD_ACTED_ON,
	FIELD_NOT_ACTED_ON,    // a warning
	FIELD_NOT_FOR_GATEWAY, // part of the object that concerns other programs: a warning
	FIELD_SILENT,          // has no effect by its nature (annotations, status): nothing is said
};

struct enum_value {
	const char *name; // NULL ends the table
	int value;
	const char *not_acted_on; // NULL, or what is done instead: a warning
};

struct object_type;

struct field {
	const char *name;
	enum field_kind kind;
	uint16_t where;   // offset of the value
	uint16_t n_where; // offset of the count of a list or map
	bool required;
	bool always; // F_OBJECT: absent, it is there with its defaults
	enum field_status status;
	const char *dflt;
	const char *min;
	const char *max;
	const struct enum_value *values;
	const struct object_type *object;
	const char *help; // for the reference, and what a warning of the status adds
};

struct object_type {
	const char *name; // "Gateway server": heading of the reference
	size_t size;
	const struct field *fields;
	unsigned n_fields;
};

// What every struct that a table fills begins with.
struct object {
	const struct node *node;
};

struct keyed {
	const struct node *node;
	const char *key;
};

struct key_value {
	const struct node *node;
	const char *key;
	const char *value;
};

struct reader {
	struct region *objects; // of structs and lists
	struct region *strings; // of texts: they outlive the structs
	struct diag *d;
};

// Fills 'out' (zeroed, of type->size) from the mapping 'n': every field gets its value or its
// default. All mistakes go to r->d. Returns false if there was an error; the struct is then
// filled as far as possible.
bool object_read(struct reader *r, const struct object_type *type, const struct node *n, void *out);

// An object of which nothing was given: all defaults.
void *object_defaults(struct reader *r, const struct object_type *type);

// The field's value as given, or NULL. 'object' is any struct that a table filled; may be NULL.
const struct node *object_get(const void *object, const char *field);
bool object_has(const void *object, const char *field);

// The value of 'key' in a map, or NULL.
const char *key_value_get(const struct key_value *list, unsigned n, const char *key);
// True if every pair of 'part' is in 'whole'.
bool key_values_include(const struct key_value *whole, unsigned n_whole,
	const struct key_value *part, unsigned n_part);

// --- the values' syntax (schema_text.c)

// Return NULL, or why not: "has no unit", "is not a number", ...
const char *duration_parse(const char *text, uint64_t *us);
const char *quantity_parse(const char *text, uint64_t *bytes);
bool number_parse(const char *text, uint64_t *out);

bool is_host_name(const char *text);    // RFC 1123, with dots; lower or upper case
bool is_dns_label(const char *text);    // RFC 1123, 63 characters, lower case
bool is_header_name(const char *text);  // RFC 9110 token
bool is_host_pattern(const char *text); // a host name, an IP address, "*" or "*.suffix"

// Edits between two words, no more than 'limit' + 1.
unsigned edit_distance(const char *a, const char *b, unsigned limit);

// The candidate nearest to 'text', near enough to be meant; start with *best NULL and *distance 0.
void suggest(const char *text, const char *candidate, const char **best, unsigned *distance);

// Prints the reference of all kinds as Markdown.
void config_reference(FILE *to);

// --- rows. OBJECT has to be the struct's name.

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

// FIELD("maxRetries", F_COUNT, max_retries, "at the same time", .dflt = "3")
#define FIELD(field, how, member, text, ...)                                              \
	{                                                                                 \
		.name = (field), .kind = (how), .where = offsetof(struct OBJECT, member), \
		.help = (text), __VA_ARGS__                                               \
	}
// A list or map: 'member' and 'n_member'.
#define LIST_FIELD(field, how, member, text, ...)                                           \
	{                                                                                   \
		.name = (field), .kind = (how), .where = offsetof(struct OBJECT, member),   \
		.n_where = offsetof(struct OBJECT, n_##member), .help = (text), __VA_ARGS__ \
	}
#define NOTHING(field, why, text)                                                         \
	{                                                                                 \
		.name = (field), .kind = F_NOTHING, .status = FIELD_##why, .help = (text) \
	}
#define TYPE(title, table)                                                         \
	{                                                                          \
		.name = (title), .size = sizeof(struct OBJECT), .fields = (table), \
		.n_fields = COUNT_OF(table)                                        \
	}
