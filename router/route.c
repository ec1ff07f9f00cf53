// A request's path leads to lists of routes whose path condition it meets: by hash, by tree, by one pass of Hyperscan.
// The lists are sorted by the routes' order, and merged while the other conditions are tested, until one route has all.

#include "router/route.h"
#include "router/route_regex.h"
#include "router/route_scratch.h"
#include "router/uri.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_HOST_LEN 255

// What a condition looks at.
enum subject_kind {
	SUBJECT_PATH,
	SUBJECT_METHOD,
	SUBJECT_SCHEME,
	SUBJECT_AUTHORITY,
	SUBJECT_HEADER,
	SUBJECT_QUERY,
};

struct subject {
	enum subject_kind kind;
	struct bytes name; // of a header or parameter
	struct route_regex_set regexes;
	uint32_t first_pattern; // of the set, among the host's
};

struct condition {
	enum subject_kind kind;
	enum http_field_id id;
	struct bytes name;
	const struct string_match *match;
	struct bytes text;
	bool invert;
	uint32_t subject; // of a regular expression
	uint32_t pattern; // in the subject's set
};

struct route {
	const struct route_config *config;
	struct condition path;
	struct condition *conditions; // the others, in the order of route_match
	unsigned n_conditions;
	uint8_t *lower; // text of 'path' in lower case, if that is what counts
};

struct virtual_host {
	const struct virtual_host_config *config;
	struct route *routes;
	struct route_list any; // routes whose path condition always holds
	struct route_index exact, exact_lower;
	struct route_tree prefixes, prefixes_lower;
	struct route_list
		*by_pattern; // routes by the pattern of the path's subject; NULL: no pattern
	uint32_t path_subject;
	struct subject *subjects;
	uint32_t n_subjects;
	uint32_t n_patterns;
};

struct route_table {
	const struct route_table_config *config;
	struct virtual_host *hosts;
	unsigned n_hosts; // built so far, while building
	struct route_index exact;
	struct route_index suffixes; // ".example" of "*.example"
	const struct virtual_host *any;
};

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

// Fields of Envoy's matchers that are not fields of a request here. 'host' is what HTTP/1 calls the authority.
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

// Enters route 'i' where its path condition will find it; regular expressions come when they all are known.
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

// --- matching

const struct virtual_host *route_find_host(const struct route_table *t, struct bytes authority)
{
	struct bytes host = uri_host(authority);
	uint8_t lower[MAX_HOST_LEN];
	const struct route_list *found;

	if (host.len > sizeof(lower))
		return t->any;
	for (size_t i = 0; i < host.len; i++)
		lower[i] = byte_lower(host.ptr[i]);
	host.ptr = lower;
	found = route_index_find(&t->exact, host);
	// The longest suffix first; the wildcard stands for at least one byte.
	for (size_t i = 1; found == NULL && i < host.len; i++) {
		if (lower[i] == '.')
			found = route_index_find(&t->suffixes, bytes_skip(host, i));
	}
	return found != NULL ? &t->hosts[found->at[0]] : t->any;
}

const struct virtual_host_config *virtual_host_config(const struct virtual_host *h)
{
	return h->config;
}

// All values of a field as one, joined by commas (reference 2.3). Returns false if it is not there.
static bool header_value(const struct condition *c, struct route_scratch *s,
	const struct http_fields *f, struct bytes *value)
{
	size_t len = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < f->n; i++) {
		const struct http_field *field = &f->at[i];

		if (field->id != c->id
			|| (c->id == HTTP_FIELD_OTHER && !bytes_equal(field->name, c->name)))
			continue;
		if (n++ == 0) {
			*value = field->value;
			continue;
		}
		if (n == 2) {
			len = value->len < ROUTE_SCRATCH_TEXT_SIZE ? value->len
								   : ROUTE_SCRATCH_TEXT_SIZE;
			memcpy(s->joined, value->ptr, len);
		}
		if (field->value.len + 1 > ROUTE_SCRATCH_TEXT_SIZE - len)
			break;
		s->joined[len++] = ',';
		if (field->value.len > 0)
			memcpy(s->joined + len, field->value.ptr, field->value.len);
		len += field->value.len;
		*value = bytes_of(s->joined, len);
	}
	return n > 0;
}

// Returns false if the request does not have what 'c' looks at; '*value' is empty then.
static bool value_of(const struct condition *c, struct route_scratch *s,
	const struct http_head *request, struct bytes *value)
{
	*value = bytes_of("", 0);
	switch (c->kind) {
	case SUBJECT_PATH: *value = uri_path(request->path); return true;
	case SUBJECT_METHOD: *value = request->method; return true;
	case SUBJECT_SCHEME: *value = request->scheme; return true;
	case SUBJECT_AUTHORITY: *value = request->authority; return true;
	case SUBJECT_HEADER: return header_value(c, s, &request->fields, value);
	case SUBJECT_QUERY: return uri_query_param(uri_query(request->path), c->name, value);
	}
	return false;
}

// Finds all patterns of a subject that match 'value', once for each request.
static void pass(
	const struct virtual_host *h, struct route_scratch *s, uint32_t index, struct bytes value)
{
	const struct subject *subject = &h->subjects[index];
	if (s->passed_in[index] == s->n_requests)
		return;
	s->passed_in[index] = s->n_requests;
	s->n_passes++;
	s->n_found = route_regex_scan(&subject->regexes, s->hs, value, s->found);
	for (uint32_t i = 0; i < s->n_found; i++)
		s->matched_in[subject->first_pattern + s->found[i]] = s->n_requests;
}

static bool text_matches(const struct condition *c, struct bytes value)
{
	struct bytes text = c->text;

	if (c->match->kind == STRING_MATCH_PREFIX && value.len > text.len)
		value.len = text.len;
	return c->match->ignore_case ? bytes_equal_nocase(value, text) : bytes_equal(value, text);
}

// A value that is missing is no match; inverted, it counts as empty (reference 2.3).
static bool condition_holds(const struct virtual_host *h, struct route_scratch *s,
	const struct condition *c, const struct http_head *request)
{
	struct bytes value;
	bool there = value_of(c, s, request, &value);
	bool holds = false;

	switch (c->match->kind) {
	case STRING_MATCH_ANY: holds = true; break;
	case STRING_MATCH_PRESENT: holds = there; break;
	case STRING_MATCH_EXACT:
	case STRING_MATCH_PREFIX: holds = (there || c->invert) && text_matches(c, value); break;
	case STRING_MATCH_REGEX:
		if (!there && !c->invert)
			break;
		pass(h, s, c->subject, value);
		holds = s->matched_in[h->subjects[c->subject].first_pattern + c->pattern]
			== s->n_requests;
		break;
	}
	return holds != c->invert;
}

static unsigned add_cursor(struct route_scratch *s, unsigned n, const struct route_list *l)
{
	if (l != NULL && l->n > 0)
		s->cursors[n++] = (struct route_cursor){l->at, l->at + l->n};
	return n;
}

static unsigned add_tree(
	struct route_scratch *s, unsigned n, const struct route_tree *t, struct bytes path)
{
	unsigned n_found = route_tree_find(t, path, s->lists);

	for (unsigned i = 0; i < n_found; i++)
		n = add_cursor(s, n, s->lists[i]);
	return n;
}

static unsigned add_patterns(
	const struct virtual_host *h, struct route_scratch *s, unsigned n, struct bytes path)
{
	if (h->by_pattern == NULL)
		return n;
	pass(h, s, h->path_subject, path);
	for (uint32_t i = 0; i < s->n_found; i++)
		n = add_cursor(s, n, &h->by_pattern[s->found[i]]);
	return n;
}

// The lists of routes whose path condition holds. Returns how many cursors are set.
static unsigned find_candidates(
	const struct virtual_host *h, struct route_scratch *s, struct bytes path)
{
	unsigned n = add_cursor(s, 0, &h->any);

	n = add_cursor(s, n, route_index_find(&h->exact, path));
	n = add_tree(s, n, &h->prefixes, path);
	n = add_patterns(h, s, n, path);
	if ((h->exact_lower.n_used == 0 && h->prefixes_lower.n_nodes == 0)
		|| path.len > ROUTE_SCRATCH_TEXT_SIZE)
		return n;
	for (size_t i = 0; i < path.len; i++)
		s->lower[i] = byte_lower(path.ptr[i]);
	path.ptr = s->lower;
	n = add_cursor(s, n, route_index_find(&h->exact_lower, path));
	return add_tree(s, n, &h->prefixes_lower, path);
}

// Takes the lowest number off the cursors; false if all are at their end.
static bool next_candidate(struct route_cursor *cursors, unsigned n, uint32_t *number)
{
	struct route_cursor *lowest = NULL;

	for (unsigned i = 0; i < n; i++) {
		if (cursors[i].at < cursors[i].end
			&& (lowest == NULL || *cursors[i].at < *lowest->at))
			lowest = &cursors[i];
	}
	if (lowest == NULL)
		return false;
	*number = *lowest->at++;
	return true;
}

// The first condition but the path's that does not hold, or NULL.
static const struct condition *first_failure(const struct virtual_host *h, struct route_scratch *s,
	const struct route *r, const struct http_head *request)
{
	for (unsigned i = 0; i < r->n_conditions; i++) {
		if (!condition_holds(h, s, &r->conditions[i], request))
			return &r->conditions[i];
	}
	return NULL;
}

const struct route_config *route_match(const struct virtual_host *h, struct route_scratch *scratch,
	const struct http_head *request)
{
	unsigned n_cursors;
	uint32_t number;

	scratch->n_requests++;
	n_cursors = find_candidates(h, scratch, uri_path(request->path));
	while (next_candidate(scratch->cursors, n_cursors, &number)) {
		const struct route *r = &h->routes[number];

		scratch->n_candidates++;
		if (first_failure(h, scratch, r, request) == NULL)
			return r->config;
	}
	return NULL;
}

static void print_condition(const struct condition *c, char to[128])
{
	static const char *const kinds[] = {
		[SUBJECT_PATH] = "uri",
		[SUBJECT_METHOD] = "method",
		[SUBJECT_SCHEME] = "scheme",
		[SUBJECT_AUTHORITY] = "authority",
		[SUBJECT_HEADER] = "header",
		[SUBJECT_QUERY] = "query parameter",
	};

	snprintf(to, 128, "%s%s%s%.*s", c->invert ? "without " : "", kinds[c->kind],
		c->name.len > 0 ? " " : "", (int)c->name.len,
		c->name.len > 0 ? (const char *)c->name.ptr : "");
}

void route_explain(const struct virtual_host *h, struct route_scratch *scratch,
	const struct http_head *request, route_explain_fn *fn, void *arg)
{
	char text[128];

	scratch->n_requests++;
	for (uint32_t i = 0; i < h->config->n_routes; i++) {
		const struct route *r = &h->routes[i];
		const struct condition *failed = condition_holds(h, scratch, &r->path, request)
			? first_failure(h, scratch, r, request)
			: &r->path;

		if (failed != NULL)
			print_condition(failed, text);
		fn(arg, r->config, failed != NULL ? text : NULL);
	}
}
