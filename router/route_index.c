#include "router/route_index.h"
#include "dataplane/base/hash.h"

#include <errno.h>
#include <stdlib.h>

int route_list_add(struct route_list *l, uint32_t number)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap > 0 ? 2 * l->cap : 2;
		uint32_t *at = realloc(l->at, cap * sizeof(*at));

		if (at == NULL)
			return -ENOMEM;
		l->at = at;
		l->cap = cap;
	}
	l->at[l->n++] = number;
	return 0;
}

void route_list_fini(struct route_list *l)
{
	free(l->at);
	*l = (struct route_list){0};
}

// The keys come from the configuration, so a stranger cannot choose which of them collide.
static uint32_t slot_of(const struct route_index *x, struct bytes key)
{
	static const struct hash_key hash_key = {0x706f6c6c67617465, 1};

	return (uint32_t)hash_bytes(&hash_key, key.ptr, key.len) & (x->n_slots - 1);
}

static struct route_index_slot *find_slot(const struct route_index *x, struct bytes key)
{
	uint32_t i = slot_of(x, key);

	while (x->slots[i].key.ptr != NULL && !bytes_equal(x->slots[i].key, key))
		i = (i + 1) & (x->n_slots - 1);
	return &x->slots[i];
}

// At most half of the slots are used, so that a search ends soon.
static int grow(struct route_index *x)
{
	struct route_index old = *x;

	if (2 * x->n_used < x->n_slots)
		return 0;
	x->n_slots = old.n_slots > 0 ? 2 * old.n_slots : 8;
	x->slots = calloc(x->n_slots, sizeof(*x->slots));
	if (x->slots == NULL) {
		*x = old;
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < old.n_slots; i++) {
		if (old.slots[i].key.ptr != NULL)
			*find_slot(x, old.slots[i].key) = old.slots[i];
	}
	free(old.slots);
	return 0;
}

int route_index_add(struct route_index *x, struct bytes key, uint32_t number)
{
	struct route_index_slot *slot;
	int err = grow(x);

	if (err != 0)
		return err;
	slot = find_slot(x, key);
	if (slot->key.ptr == NULL) {
		slot->key = key;
		x->n_used++;
	}
	return route_list_add(&slot->list, number);
}

const struct route_list *route_index_find(const struct route_index *x, struct bytes key)
{
	const struct route_index_slot *slot;

	if (x->n_slots == 0)
		return NULL;
	slot = find_slot(x, key);
	return slot->key.ptr != NULL ? &slot->list : NULL;
}

void route_index_fini(struct route_index *x)
{
	for (uint32_t i = 0; i < x->n_slots; i++)
		route_list_fini(&x->slots[i].list);
	free(x->slots);
	*x = (struct route_index){0};
}

// A node stands for the bytes from the root to it; 'label' is the part since its parent. Children
// begin with different bytes and are sorted by them.
struct route_tree_node {
	struct bytes label;
	struct route_list list;
	uint32_t *children;
	uint8_t *firsts; // children's first bytes
	uint32_t n_children;
};

static int new_node(struct route_tree *t, struct bytes label, uint32_t *index)
{
	if (t->n_nodes == t->cap) {
		uint32_t cap = t->cap > 0 ? 2 * t->cap : 8;
		struct route_tree_node *nodes = realloc(t->nodes, cap * sizeof(*nodes));

		if (nodes == NULL)
			return -ENOMEM;
		t->nodes = nodes;
		t->cap = cap;
	}
	*index = t->n_nodes++;
	t->nodes[*index] = (struct route_tree_node){.label = label};
	return 0;
}

// The position of the child that begins with 'first', or where it would be.
static uint32_t child_position(const struct route_tree_node *n, uint8_t first)
{
	uint32_t low = 0, high = n->n_children;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (n->firsts[middle] < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int add_child(struct route_tree_node *n, uint32_t at, uint8_t first, uint32_t child)
{
	uint32_t *children = realloc(n->children, (n->n_children + 1) * sizeof(*children));
	uint8_t *firsts;

	if (children == NULL)
		return -ENOMEM;
	n->children = children;
	firsts = realloc(n->firsts, n->n_children + 1);
	if (firsts == NULL)
		return -ENOMEM;
	n->firsts = firsts;
	memmove(children + at + 1, children + at, (n->n_children - at) * sizeof(*children));
	memmove(firsts + at + 1, firsts + at, n->n_children - at);
	children[at] = child;
	firsts[at] = first;
	n->n_children++;
	return 0;
}

static size_t common_len(struct bytes a, struct bytes b)
{
	size_t n = 0;

	while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n])
		n++;
	return n;
}

// Puts a node between 'parent' and its child at position 'at', after 'len' bytes of the child's
// label.
static int split_child(struct route_tree *t, uint32_t parent, uint32_t at, size_t len)
{
	uint32_t lower = t->nodes[parent].children[at];
	struct bytes label = t->nodes[lower].label;
	uint32_t middle;
	int err = new_node(t, bytes_of(label.ptr, len), &middle);

	if (err != 0)
		return err;
	err = add_child(&t->nodes[middle], 0, label.ptr[len], lower);
	if (err != 0)
		return err;
	t->nodes[lower].label = bytes_skip(label, len);
	t->nodes[parent].children[at] = middle;
	return 0;
}

// Finds or makes the node of 'prefix'.
static int make_path(struct route_tree *t, struct bytes prefix, uint32_t *index)
{
	uint32_t at = 0;
	int err = t->n_nodes == 0 ? new_node(t, bytes_of(NULL, 0), &at) : 0;

	while (err == 0 && prefix.len > 0) {
		const struct route_tree_node *n = &t->nodes[at];
		uint32_t i = child_position(n, prefix.ptr[0]);
		uint32_t child;
		size_t common;

		if (i == n->n_children || n->firsts[i] != prefix.ptr[0]) {
			err = new_node(t, prefix, &child);
			if (err == 0)
				err = add_child(&t->nodes[at], i, prefix.ptr[0], child);
			at = child;
			break;
		}
		common = common_len(t->nodes[n->children[i]].label, prefix);
		if (common < t->nodes[n->children[i]].label.len)
			err = split_child(t, at, i, common);
		at = t->nodes[at].children[i];
		prefix = bytes_skip(prefix, common);
	}
	*index = at;
	return err;
}

int route_tree_add(struct route_tree *t, struct bytes prefix, uint32_t number)
{
	uint32_t index, longest;
	int err = make_path(t, prefix, &index);

	if (err != 0)
		return err;
	if (t->nodes[index].list.n == 0)
		t->n_lists++;
	if (prefix.len > t->longest)
		t->longest = (uint32_t)prefix.len;
	longest = t->longest + 1;
	t->max_depth = t->n_lists < longest ? t->n_lists : longest;
	return route_list_add(&t->nodes[index].list, number);
}

unsigned route_tree_find(
	const struct route_tree *t, struct bytes key, const struct route_list **lists)
{
	const struct route_tree_node *n = t->nodes;
	unsigned n_found = 0;

	while (n != NULL) {
		uint32_t i;

		if (n->list.n > 0)
			lists[n_found++] = &n->list;
		if (key.len == 0)
			break;
		i = child_position(n, key.ptr[0]);
		if (i == n->n_children)
			break;
		n = &t->nodes[n->children[i]];
		if (!bytes_start_with(key, n->label))
			break;
		key = bytes_skip(key, n->label.len);
	}
	return n_found;
}

void route_tree_fini(struct route_tree *t)
{
	for (uint32_t i = 0; i < t->n_nodes; i++) {
		route_list_fini(&t->nodes[i].list);
		free(t->nodes[i].children);
		free(t->nodes[i].firsts);
	}
	free(t->nodes);
	*t = (struct route_tree){0};
}
