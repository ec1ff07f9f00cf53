// Header operations (reference/istio-gateway.md, 2.5).
#include "mgmt/translate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_pseudo(const char *name)
{
	return name[0] == ':' || strcasecmp(name, "host") == 0;
}

// "%%" is a percent sign; anything else after a percent sign would be one of Envoy's commands.
static const char *literal(struct translation *t, const struct key_value *kv)
{
	char *text = region_strdup(t->out, kv->value), *to = text;

	for (const char *c = kv->value; *c != '\0'; c++) {
		if (*c == '%' && *++c != '%') {
			tree_error(t->d, kv->node,
				"\"%s\" has a command; expected a literal text, with %%%% for a percent sign",
				kv->value);
			return "";
		}
		*to++ = *c;
	}
	*to = '\0';
	return text;
}

static int compare_values(const void *va, const void *vb)
{
	return strcmp(
		((const struct header_value *)va)->name, ((const struct header_value *)vb)->name);
}

// Appends the pairs of one map, sorted by name.
static unsigned append(struct translation *t, struct header_value *to, unsigned n,
	const struct key_value *list, unsigned n_list)
{
	unsigned start = n;

	for (unsigned i = 0; i < n_list; i++) {
		if (is_pseudo(list[i].key) || list[i].value[0] == '\0')
			continue;
		to[n].name = region_lower(t->out, list[i].key);
		to[n++].value = literal(t, &list[i]);
	}
	if (n - start > 1)
		qsort(to + start, n - start, sizeof(*to), compare_values);
	return n;
}

struct header_ops translate_header_ops(struct translation *t, const struct header_operations *first,
	const struct header_operations *second)
{
	static const struct header_operations none;
	const struct header_operations *each[2] = {
		first != NULL ? first : &none, second != NULL ? second : &none};
	unsigned n_remove = each[0]->n_remove + each[1]->n_remove;
	const char **remove = region_alloc(t->out, (n_remove + 1) * sizeof(*remove));
	struct header_value *set, *add;
	struct header_ops ops = {0};

	set = region_alloc(t->out, (each[0]->n_set + each[1]->n_set + 1) * sizeof(*set));
	add = region_alloc(t->out, (each[0]->n_add + each[1]->n_add + 1) * sizeof(*add));
	for (unsigned e = 0; e < 2; e++) {
		for (unsigned i = 0; i < each[e]->n_remove; i++) {
			if (!is_pseudo(each[e]->remove[i]))
				remove[ops.n_remove++] = region_lower(t->out, each[e]->remove[i]);
		}
		ops.n_set = append(t, set, ops.n_set, each[e]->set, each[e]->n_set);
		ops.n_add = append(t, add, ops.n_add, each[e]->add, each[e]->n_add);
	}
	ops.remove = remove;
	ops.set = set;
	ops.add = add;
	return ops;
}

static const char *host_value(const struct key_value *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcasecmp(list[i].key, "host") == 0
			|| strcasecmp(list[i].key, ":authority") == 0)
			return list[i].value;
	}
	return NULL;
}

const char *translate_host_header(struct translation *t, const struct header_operations *o)
{
	const char *host;

	if (o == NULL)
		return NULL;
	host = host_value(o->set, o->n_set);
	if (host == NULL)
		host = host_value(o->add, o->n_add);
	return host != NULL ? region_strdup(t->out, host) : NULL;
}
