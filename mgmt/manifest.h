// All documents of a configuration, by kind, each kind in the order that decides where "the first
// wins": by name, then namespace (reference/istio-gateway.md, 0.2; files have no creation time).
#pragma once

#include "mgmt/objects.h"

struct manifest {
	struct region *objects; // of documents, nodes, structs
	struct region *strings;
	struct diag *d;
	struct {
		struct document **at;
		unsigned n;
	} of[OBJECT_N_KINDS];
	const char **folders; // where certificates are looked for, in order
	unsigned n_folders;
	struct mesh_config *mesh; // of IstioOperator or ConfigMap; NULL: defaults
	uint64_t hash;            // of what was read
};

// Reads every file of 'paths' (a folder: its *.yaml and *.yml, sorted). Mistakes go to 'd'.
void manifest_load(struct manifest *m, const char *const *paths, unsigned n_paths,
	struct region *objects, struct region *strings, struct diag *d);

// Adds the documents of 'text' as if it were the file 'file'.
void manifest_add(struct manifest *m, const char *file, struct bytes text);

// Sorts, finds what is defined twice, and the mesh configuration. After the last manifest_add().
void manifest_finish(struct manifest *m);

// The document of that name, or NULL.
struct document *manifest_find(
	const struct manifest *m, enum object_kind kind, const char *namespace, const char *name);

// "apiVersion" and "kind" of a document as the reference prints them.
struct kind_info {
	const char *kind;
	const char *group;       // "" for Kubernetes' core
	const char *versions[4]; // NULL ends
	const struct object_type *type;
};
extern const struct kind_info kinds[OBJECT_N_KINDS];
