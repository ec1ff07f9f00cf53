// YAML as a tree in which every node knows where it stands, so that whoever finds a mistake later
// can say
//
//     edge.yaml:12:20: spec.http[0].timeout: "5" has no unit; expected a duration such as 1s
//
// A file may hold many documents. What a configuration does not need is refused rather than
// bounded: aliases (their expansion grows without limit), tags of one's own, the same key twice
// in a mapping. Depth, size and number of nodes are bounded. libyaml reads the syntax.
#pragma once

#include "dataplane/base/bytes.h"
#include "mgmt/diag.h"
#include "mgmt/region.h"

#include <stdbool.h>

#define TREE_MAX_BYTES (16u << 20) // of one file
#define TREE_MAX_DEPTH 64
#define TREE_MAX_NODES 1000000 // of one file

enum node_kind {
	NODE_SCALAR,
	NODE_SEQUENCE,
	NODE_MAPPING,
};

struct node {
	enum node_kind kind;
	bool quoted;      // a scalar that is text whatever it looks like
	const char *text; // of a scalar; "" for the others
	size_t len;
	const char *file;
	unsigned line; // of the value; counts from 1
	unsigned column;
	unsigned indent; // of the lines of a literal block scalar (|), else 0
	const char *key; // in a mapping, else NULL
	unsigned key_line;
	unsigned key_column;
	unsigned index; // in the parent
	const struct node *parent;
	const struct node *within; // of a root: the scalar whose text this is, or NULL
	struct node *first;        // children in the order of the file
	struct node *last;
	struct node *next; // sibling
	unsigned n_children;
};

// Called for each document that is not empty.
typedef void tree_document_fn(void *arg, const struct node *root);

// Parses 'text'; nodes are in 'memory' and borrow 'file'. Returns false if something was added to 'd'; the
// documents before that place were still handed out.
bool tree_parse(struct region *memory, const char *file, struct bytes text, struct diag *d,
	tree_document_fn *fn, void *arg);

// Parses the text of the scalar 'n' as YAML of its own. Places are those in the file as far as they can be told:
// in a literal block scalar; in another one they are that of 'n'.
bool tree_parse_scalar(struct region *memory, const struct node *n, struct diag *d,
	tree_document_fn *fn, void *arg);

// True if 'key' is the field 'name': the same, or its snake_case ("max_retries" for "maxRetries").
bool tree_key_is(const char *key, const char *name);

// The child of a mapping by field name, or NULL. 'n' may be NULL.
const struct node *tree_get(const struct node *n, const char *name);

// A plain scalar that YAML reads as null (also nothing at all).
bool tree_is_null(const struct node *n);

// "spec.http[0].timeout"; with 'field', that field of it. Cut at 'size'.
void tree_path(const struct node *n, const char *field, char *to, size_t size);

// Adds a message about the value 'n'. Return false, as diag_add().
__attribute__((format(printf, 3, 4))) bool tree_error(
	struct diag *d, const struct node *n, const char *format, ...);
__attribute__((format(printf, 3, 4))) bool tree_warning(
	struct diag *d, const struct node *n, const char *format, ...);

// The same about the field 'field' of the mapping 'n': at its value if it is there, else at the
// mapping.
__attribute__((format(printf, 4, 5))) bool tree_field_error(
	struct diag *d, const struct node *n, const char *field, const char *format, ...);
__attribute__((format(printf, 4, 5))) bool tree_field_warning(
	struct diag *d, const struct node *n, const char *field, const char *format, ...);

// About the key of 'n' (an unknown field).
__attribute__((format(printf, 3, 4))) bool tree_key_warning(
	struct diag *d, const struct node *n, const char *format, ...);
