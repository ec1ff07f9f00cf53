#include "router/route_impl.h"
#include "router/route_scratch.h"
#include "router/uri.h"

#include <stdio.h>

#define MAX_HOST_LEN 255

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
