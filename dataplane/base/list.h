// Intrusive doubly linked list with a head that is itself a node. An unlinked node points to
// itself, so list_remove() of one that is in no list is harmless.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev;
	struct list *next;
};

// The object that 'node' is the member 'member' of. Keeps no const.
#define container_of(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#define list_foreach(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

// 'it' may be removed (and freed) inside the loop; its successor may not.
#define list_foreach_safe(it, head)                                               \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
		it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
	l->prev = l;
	l->next = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_after(struct list *at, struct list *node)
{
	node->prev = at;
	node->next = at->next;
	at->next->prev = node;
	at->next = node;
}

static inline void list_push(struct list *head, struct list *node)
{
	list_insert_after(head->prev, node);
}

static inline void list_push_front(struct list *head, struct list *node)
{
	list_insert_after(head, node);
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

// Takes the first node out, or returns NULL.
static inline struct list *list_pop(struct list *head)
{
	struct list *first = head->next;

	if (first == head)
		return NULL;
	list_remove(first);
	return first;
}

// Moves all of 'from' to the end of 'to'; 'from' is empty afterwards.
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	from->prev->next = to;
	to->prev->next = from->next;
	to->prev = from->prev;
	list_init(from);
}
