// Lists of small numbers found by bytes: two ways to look them up, both built on the mgmt thread
// and constant afterwards.
//
//     route_index   key -> list, by hash: the key is the whole of the bytes
//     route_tree    prefixes -> lists, by a radix tree: all keys that the bytes begin with, in one walk
//
// Numbers are positions of routes in their virtual host, added in rising order. Keys are borrowed.
#pragma once

#include "dataplane/base/bytes.h"

#include <stdint.h>

struct route_list {
	uint32_t *at;
	uint32_t n;
	uint32_t cap;
};

// Returns 0 or -ENOMEM, as all that adds.
int route_list_add(struct route_list *l, uint32_t number);
void route_list_fini(struct route_list *l);

struct route_index {
	struct route_index_slot {
		struct bytes key; // ptr NULL: empty slot
		struct route_list list;
	} * slots;
	uint32_t n_slots; // a power of two, or 0
	uint32_t n_used;
};

int route_index_add(struct route_index *x, struct bytes key, uint32_t number);
// NULL if the key is not there.
const struct route_list *route_index_find(const struct route_index *x, struct bytes key);
void route_index_fini(struct route_index *x);

struct route_tree {
	struct route_tree_node *nodes; // [0] is the root
	uint32_t n_nodes;
	uint32_t cap;
	uint32_t n_lists;
	uint32_t longest;   // prefix, in bytes
	uint32_t max_depth; // lists that one walk can find
};

int route_tree_add(struct route_tree *t, struct bytes prefix, uint32_t number);
// Writes the lists of all prefixes of 'key' to 'lists', which has room for t->max_depth. Returns
// how many.
unsigned route_tree_find(
	const struct route_tree *t, struct bytes key, const struct route_list **lists);
void route_tree_fini(struct route_tree *t);
