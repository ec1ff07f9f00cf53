#include "router/route.h"
#include "router/route_impl.h"
#include "router/route_scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// --- building

static uint8_t *lower_copy(struct bytes b)
{
	uint8_t *lower = malloc(b.len + 1);

	for (size_t i = 0; lower != NULL && i < b.len; i++)
		lower[i] = byte_lower(b.ptr[i]);
	return lower;
}

// Finds or makes the subject that 'c' looks at.
static int subject_of(struct virtual_host *h, const struct condition *c, uint32_t *index)
{
	struct subject *subjects;

	for (uint32_t i = 0; i < h->n_subjects; i++) {
		if (h->subjects[i].kind == c->kind && bytes_equal(h->subjects[i].name, c->name)) {
			*index = i;
			return 0;
		}
	}
	subjects = realloc(h->subjects, (h->n_subjects + 1) * sizeof(*subjects));
	if (subjects == NULL)
		return -ENOMEM;
	h->subjects = subjects;
	*index = h->n_subjects++;
	subjects[*index] = (struct subject){.kind = c->kind, .name = c->name};
	return 0;
}

static int init_condition(struct virtual_host *h, struct condition *c, enum subject_kind kind,
	struct bytes name, const struct string_match *match, bool invert)
{
	int err;

	*c = (struct condition){.kind = kind,
		.id = http_field_id(name),
		.name = name,
		.match = match,
		.text = bytes_of_str(match->text),
		.invert = invert};
	if (match->kind != STRING_MATCH_REGEX)
		return 0;
	err = subject_of(h, c, &c->subject);
	if (err != 0)
		return err;
	return route_regex_add(&h->subjects[c->subject].regexes, match->text, &c->pattern);
}

// Fields of Envoy's matchers that are not fields of a request here. 'host' is what HTTP/1 calls the
// authority.
static enum subject_kind kind_of_header(const char *name)
{
	static const struct {
		const char *name;
		enum subject_kind kind;
	} pseudo[] = {
		{":method",    SUBJECT_METHOD   },
		{":scheme",    SUBJECT_SCHEME   },
		{":authority", SUBJECT_AUTHORITY},
		{"host",       SUBJECT_AUTHORITY},
	};

	for (unsigned i = 0; i < sizeof(pseudo) / sizeof(pseudo[0]); i++) {
		if (strcmp(name, pseudo[i].name) == 0)
			return pseudo[i].kind;
	}
	return SUBJECT_HEADER;
}

static int add_condition(struct virtual_host *h, struct route *r, enum subject_kind kind,
	struct bytes name, const struct string_match *match, bool invert)
{
	if (match->kind == STRING_MATCH_ANY && !invert)
		return 0;
	return init_condition(h, &r->conditions[r->n_conditions++], kind, name, match, invert);
}

static int add_conditions(struct virtual_host *h, struct route *r)
{
	const struct route_match *m = &r->config->match;
	struct bytes none = bytes_of(NULL, 0);
	int err;

	r->conditions = calloc(3 + m->n_headers + m->n_query, sizeof(*r->conditions));
	if (r->conditions == NULL)
		return -ENOMEM;
	err = add_condition(h, r, SUBJECT_METHOD, none, &m->method, false);
	if (err == 0)
		err = add_condition(h, r, SUBJECT_SCHEME, none, &m->scheme, false);
	if (err == 0)
		err = add_condition(h, r, SUBJECT_AUTHORITY, none, &m->authority, false);
	for (unsigned i = 0; err == 0 && i < m->n_headers; i++) {
		const struct field_match *f = &m->headers[i];
		enum subject_kind kind = kind_of_header(f->name);

		err = add_condition(h, r, kind,
			kind == SUBJECT_HEADER ? bytes_of_str(f->name) : none, &f->match,
			f->invert);
	}
	for (unsigned i = 0; err == 0 && i < m->n_query; i++)
		err = add_condition(h, r, SUBJECT_QUERY, bytes_of_str(m->query[i].name),
			&m->query[i].match, m->query[i].invert);
	return err;
}

// Enters route 'i' where its path condition will find it; regular expressions come when they all
// are known.
static int index_path(struct virtual_host *h, uint32_t i)
{
	struct route *r = &h->routes[i];
	const struct string_match *m = &r->config->match.uri;
	struct bytes text = bytes_of_str(m->text);
	bool lower = m->ignore_case && text.len > 0;

	if (lower) {
		r->lower = lower_copy(text);
		if (r->lower == NULL)
			return -ENOMEM;
		text.ptr = r->lower;
	}
	switch (m->kind) {
	case STRING_MATCH_EXACT:
		return route_index_add(lower ? &h->exact_lower : &h->exact, text, i);
	case STRING_MATCH_PREFIX:
		if (text.len > 0)
			return route_tree_add(lower ? &h->prefixes_lower : &h->prefixes, text, i);
		return route_list_add(&h->any, i);
	case STRING_MATCH_REGEX: return 0;
	case STRING_MATCH_ANY:
	case STRING_MATCH_PRESENT: break;
	}
	return route_list_add(&h->any, i);
}

static int index_patterns(struct virtual_host *h)
{
	uint32_t n_path = 0;
	int err = 0;

	for (uint32_t i = 0; i < h->n_subjects; i++) {
		h->subjects[i].first_pattern = h->n_patterns;
		h->n_patterns += h->subjects[i].regexes.n;
		if (h->subjects[i].kind == SUBJECT_PATH) {
			h->path_subject = i;
			n_path = h->subjects[i].regexes.n;
		}
	}
	if (n_path == 0)
		return 0;
	h->by_pattern = calloc(n_path, sizeof(*h->by_pattern));
	if (h->by_pattern == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; err == 0 && i < h->config->n_routes; i++) {
		const struct condition *path = &h->routes[i].path;

		if (path->match->kind == STRING_MATCH_REGEX)
			err = route_list_add(&h->by_pattern[path->pattern], i);
	}
	return err;
}

// Returns false and a sentence; "" stands for no memory.
static bool host_init(
	struct virtual_host *h, const struct virtual_host_config *config, char error[256])
{
	int err = 0;

	h->config = config;
	h->routes = calloc(config->n_routes + 1, sizeof(*h->routes));
	if (h->routes == NULL)
		return false;
	for (uint32_t i = 0; err == 0 && i < config->n_routes; i++) {
		struct route *r = &h->routes[i];

		r->config = &config->routes[i];
		err = init_condition(
			h, &r->path, SUBJECT_PATH, bytes_of(NULL, 0), &r->config->match.uri, false);
		if (err == 0)
			err = add_conditions(h, r);
		if (err == 0)
			err = index_path(h, i);
	}
	if (err == 0)
		err = index_patterns(h);
	for (uint32_t i = 0; err == 0 && i < h->n_subjects; i++) {
		if (!route_regex_compile(&h->subjects[i].regexes, error))
			return false;
	}
	return err == 0;
}

static void host_fini(struct virtual_host *h)
{
	for (uint32_t i = 0; h->by_pattern != NULL && i < h->subjects[h->path_subject].regexes.n;
		i++)
		route_list_fini(&h->by_pattern[i]);
	for (uint32_t i = 0; i < h->n_subjects; i++)
		route_regex_fini(&h->subjects[i].regexes);
	for (uint32_t i = 0; h->routes != NULL && i < h->config->n_routes; i++) {
		free(h->routes[i].conditions);
		free(h->routes[i].lower);
	}
	route_list_fini(&h->any);
	route_index_fini(&h->exact);
	route_index_fini(&h->exact_lower);
	route_tree_fini(&h->prefixes);
	route_tree_fini(&h->prefixes_lower);
	free(h->by_pattern);
	free(h->subjects);
	free(h->routes);
}

// Enters host 'i' under its domain.
static bool index_domain(struct route_table *t, uint32_t i, char error[256])
{
	const char *domain = t->config->hosts[i].domain;
	bool wildcard = domain[0] == '*' && domain[1] == '.' && domain[2] != '\0';
	struct bytes key = bytes_of_str(wildcard ? domain + 1 : domain);
	struct route_index *x = wildcard ? &t->suffixes : &t->exact;
	bool known;

	if (strcmp(domain, "*") == 0) {
		known = t->any != NULL;
		t->any = &t->hosts[i];
	} else if (!wildcard && strchr(domain, '*') != NULL) {
		snprintf(error, 256, "domain \"%.100s\" is neither a name, \"*.name\" nor \"*\"",
			domain);
		return false;
	} else {
		known = route_index_find(x, key) != NULL;
		if (!known && route_index_add(x, key, i) != 0)
			return false;
	}
	if (known)
		snprintf(error, 256, "domain \"%.100s\" has two virtual hosts in %.60s", domain,
			t->config->name);
	return !known;
}

struct route_table *route_table_new(const struct route_table_config *config, char error[256])
{
	struct route_table *t = calloc(1, sizeof(*t));
	bool ok = t != NULL;

	error[0] = '\0';
	if (ok) {
		t->config = config;
		t->hosts = calloc(config->n_hosts + 1, sizeof(*t->hosts));
		ok = t->hosts != NULL;
	}
	for (uint32_t i = 0; ok && i < config->n_hosts; i++) {
		t->n_hosts++;
		ok = host_init(&t->hosts[i], &config->hosts[i], error) && index_domain(t, i, error);
	}
	if (ok)
		return t;
	if (error[0] == '\0')
		snprintf(error, 256, "no memory for the route table %.100s", config->name);
	route_table_free(&t);
	return NULL;
}

void route_table_free(struct route_table **tp)
{
	struct route_table *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	for (unsigned i = 0; i < t->n_hosts; i++)
		host_fini(&t->hosts[i]);
	route_index_fini(&t->exact);
	route_index_fini(&t->suffixes);
	free(t->hosts);
	free(t);
}

const struct route_table_config *route_table_config(const struct route_table *t)
{
	return t->config;
}

// --- scratch

// Lists that the path of one request can lead to.
static uint32_t max_lists_of(const struct virtual_host *h)
{
	return 3 + h->prefixes.max_depth + h->prefixes_lower.max_depth + h->n_patterns;
}

static int resize(void *array, size_t n, size_t size)
{
	void **p = array;
	void *grown = realloc(*p, n * size);

	if (grown == NULL)
		return -ENOMEM;
	*p = grown;
	return 0;
}

static int grow_arrays(struct route_scratch *s)
{
	if (resize(&s->cursors, s->max_lists + 1, sizeof(*s->cursors)) != 0
		|| resize(&s->lists, s->max_lists + 1, sizeof(*s->lists)) != 0
		|| resize(&s->found, s->max_patterns + 1, sizeof(*s->found)) != 0
		|| resize(&s->matched_in, s->max_patterns + 1, sizeof(*s->matched_in)) != 0
		|| resize(&s->passed_in, s->max_subjects + 1, sizeof(*s->passed_in)) != 0)
		return -ENOMEM;
	// Requests are numbered from 1: nothing is known yet.
	memset(s->matched_in, 0, (s->max_patterns + 1) * sizeof(*s->matched_in));
	memset(s->passed_in, 0, (s->max_subjects + 1) * sizeof(*s->passed_in));
	return 0;
}

static int grow_for_host(struct route_scratch *s, const struct virtual_host *h)
{
	if (max_lists_of(h) > s->max_lists)
		s->max_lists = max_lists_of(h);
	if (h->n_patterns > s->max_patterns)
		s->max_patterns = h->n_patterns;
	if (h->n_subjects > s->max_subjects)
		s->max_subjects = h->n_subjects;
	for (uint32_t i = 0; i < h->n_subjects; i++) {
		if (hs_alloc_scratch(h->subjects[i].regexes.db, &s->hs) != HS_SUCCESS)
			return -ENOMEM;
	}
	return 0;
}

int route_scratch_prepare(struct route_scratch **sp, const struct route_table *table)
{
	struct route_scratch *s = *sp != NULL ? *sp : calloc(1, sizeof(*s));
	int err = 0;

	if (s == NULL)
		return -ENOMEM;
	*sp = s;
	if (s->lower == NULL)
		s->lower = malloc(ROUTE_SCRATCH_TEXT_SIZE);
	if (s->joined == NULL)
		s->joined = malloc(ROUTE_SCRATCH_TEXT_SIZE);
	if (s->lower == NULL || s->joined == NULL)
		return -ENOMEM;
	for (unsigned i = 0; err == 0 && i < table->n_hosts; i++)
		err = grow_for_host(s, &table->hosts[i]);
	return err != 0 ? err : grow_arrays(s);
}

void route_scratch_free(struct route_scratch **sp)
{
	struct route_scratch *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	hs_free_scratch(s->hs);
	free(s->cursors);
	free(s->lists);
	free(s->found);
	free(s->matched_in);
	free(s->passed_in);
	free(s->lower);
	free(s->joined);
	free(s);
}
