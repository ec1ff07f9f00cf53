// VirtualService (reference/istio-gateway.md, 2.1 and 2.16).
#include "mgmt/check.h"
#include "router/http_chars.h"
#include "router/route.h"

#include <string.h>
#include <strings.h>

#define MAX_REGEX 1024

// --- conditions

// 'may_be_empty': an empty prefix matches everything, which only a path may.
static void check_text_match(struct diag *d, const struct text_match *t, bool is_uri)
{
	static const char *const kinds_of_match[] = {"exact", "prefix", "regex"};
	unsigned n = 0;
	char error[256];

	if (t == NULL || t->node == NULL || t->node->kind != NODE_MAPPING)
		return;
	for (size_t i = 0; i < COUNT_OF(kinds_of_match); i++)
		n += object_has(t, kinds_of_match[i]);
	if (n > 1)
		tree_error(d, t->node, "has %u of exact, prefix, regex; expected one", n);
	if (object_has(t, "prefix") && t->prefix[0] == '\0' && !is_uri)
		tree_field_error(d, t->node, "prefix", "is empty; expected a text");
	if (!object_has(t, "regex"))
		return;
	if (t->regex[0] == '\0')
		tree_field_error(d, t->node, "regex", "is empty; expected a text");
	else if (strlen(t->regex) > MAX_REGEX)
		tree_field_error(d, t->node, "regex", "is %zu bytes long; expected at most 1024",
			strlen(t->regex));
	else if (!route_regex_check(t->regex, error)) {
		// The library ends its sentences.
		error[strcspn(error, "\n")] = '\0';
		if (error[0] != '\0' && error[strlen(error) - 1] == '.')
			error[strlen(error) - 1] = '\0';
		tree_field_error(d, t->node, "regex", "%s; expected RE2 syntax", error);
	}
}

static void check_single(struct diag *d, const struct text_match *t)
{
	if (t == NULL)
		return;
	if (t->node->kind == NODE_MAPPING && t->node->n_children == 0)
		tree_error(d, t->node, "is empty; expected exact, prefix or regex");
	check_text_match(d, t, t->node->key != NULL && strcmp(t->node->key, "uri") == 0);
}

static void check_header_match(struct diag *d, const struct text_match *t, bool null_is_absent)
{
	if (t->key[0] == '@')
		tree_warning(
			d, t->node, "claims are read but not acted on; the condition is never met");
	else if (!is_header_name(t->key))
		tree_error(
			d, t->node, "\"%s\" is not a header name; expected such as x-user", t->key);
	if (!null_is_absent && tree_is_null(t->node))
		tree_error(d, t->node,
			"is empty; expected exact, prefix or regex, or {} for any value");
	// Istio's spelling of "is there", which is no regular expression.
	if (null_is_absent && object_has(t, "regex") && strcmp(t->regex, "*") == 0)
		return;
	check_text_match(d, t, false);
}

static void check_match(const struct manifest *m, const struct http_match *match)
{
	struct diag *d = m->d;

	check_single(d, match->uri);
	check_single(d, match->scheme);
	check_single(d, match->method);
	check_single(d, match->authority);
	for (unsigned i = 0; i < match->n_headers; i++)
		check_header_match(d, &match->headers[i], false);
	for (unsigned i = 0; i < match->n_without_headers; i++)
		check_header_match(d, &match->without_headers[i], true);
	for (unsigned i = 0; i < match->n_query; i++) {
		const struct text_match *t = &match->query[i];

		if (!(object_has(t, "regex") && strcmp(t->regex, "*") == 0))
			check_text_match(d, t, false);
	}
}

// --- headers

static void check_pairs(struct diag *d, const struct key_value *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (list[i].key[0] != ':' && !is_header_name(list[i].key))
			tree_error(d, list[i].node,
				"\"%s\" is not a header name; expected such as x-user",
				list[i].key);
		if (strpbrk(list[i].value, "\r\n") != NULL)
			tree_error(d, list[i].node, "has a line break; expected one line");
	}
}

static void check_operations(struct diag *d, const struct header_operations *o, bool request)
{
	const struct node *list = object_get(o, "remove");
	const struct node *n = list != NULL ? list->first : NULL;

	if (o == NULL)
		return;
	check_pairs(d, o->set, o->n_set);
	check_pairs(d, o->add, o->n_add);
	for (unsigned i = 0; i < o->n_remove; i++, n = n->next) {
		if (request && (o->remove[i][0] == ':' || strcasecmp(o->remove[i], "host") == 0))
			tree_error(d, n, "\"%s\" cannot be removed; expected another header",
				o->remove[i]);
		else if (o->remove[i][0] != ':' && !is_header_name(o->remove[i]))
			tree_error(d, n, "\"%s\" is not a header name; expected such as x-user",
				o->remove[i]);
	}
}

static void check_headers(struct diag *d, const struct headers *h)
{
	if (h == NULL)
		return;
	check_operations(d, h->request, true);
	check_operations(d, h->response, false);
}

// --- actions

struct retry_check {
	struct diag *d;
	const struct http_retry *r;
};

static void say_unknown_word(void *arg, const char *word)
{
	static const char *const names[] = {
#define RETRY(text, bit, help) text,
#include "mgmt/retry_on.def"
	};
	const struct retry_check *c = arg;
	const char *best = NULL;
	unsigned distance = 0;

	for (size_t i = 0; i < COUNT_OF(names); i++)
		suggest(word, names[i], &best, &distance);
	if (best != NULL)
		tree_field_error(c->d, c->r->node, "retryOn",
			"unknown condition \"%s\"; did you mean \"%s\"?", word, best);
	else
		tree_field_error(c->d, c->r->node, "retryOn",
			"unknown condition \"%s\"; expected such as 5xx,reset,connect-failure",
			word);
}

void check_retry(const struct manifest *m, const struct http_retry *r)
{
	struct retry_check c = {m->d, r};
	struct retry_config unused = {0};

	if (r == NULL)
		return;
	if (r->attempts == 0 && (object_has(r, "perTryTimeout") || object_has(r, "retryOn")))
		tree_field_error(m->d, r->node, "attempts",
			"is 0 beside other settings; expected at least 1, or only attempts: 0");
	if (r->retry_on[0] != '\0')
		retry_on_parse(r->retry_on, &unused, say_unknown_word, &c);
}

// Paths and hosts that go into a head as they are.
static void check_words(
	struct diag *d, const void *object, const char *const *fields, unsigned n_fields)
{
	for (unsigned i = 0; i < n_fields; i++) {
		const struct node *n = object_get(object, fields[i]);
		bool good = true;

		for (const char *c = n != NULL ? n->text : ""; *c != '\0'; c++)
			good &= (unsigned char)*c > 0x20 && *c != 0x7f;
		if (!good)
			tree_error(d, n, "has a space or a line break; expected one word");
	}
}

static void check_redirect(struct diag *d, const struct http_route *h)
{
	static const char *const words[] = {"uri", "prefixRewrite", "authority"};
	const struct http_redirect *r = h->redirect;
	static const uint32_t codes[] = {301, 302, 303, 307, 308};
	bool known = false;

	if (r == NULL)
		return;
	check_words(d, r, words, COUNT_OF(words));
	for (size_t i = 0; i < COUNT_OF(codes); i++)
		known |= r->code == codes[i];
	if (object_has(r, "redirectCode") && !known)
		tree_field_error(d, r->node, "redirectCode",
			"%s cannot be used; expected one of 301, 302, 303, 307, 308",
			object_get(r, "redirectCode")->text);
	if (r->scheme[0] != '\0' && strcmp(r->scheme, "http") != 0
		&& strcmp(r->scheme, "https") != 0)
		tree_field_error(d, r->node, "scheme",
			"unknown scheme \"%s\"; expected http or https", r->scheme);
	if (!object_has(r, "uri") && !object_has(r, "prefixRewrite") && !object_has(r, "authority")
		&& r->port == 0 && !object_has(r, "scheme"))
		tree_error(d, r->node, "changes nothing; expected uri, authority, scheme or port");
	for (unsigned i = 0; r->prefix_rewrite[0] != '\0' && i < h->n_matches; i++) {
		if (!object_has(h->matches[i].uri, "prefix"))
			tree_field_error(d, r->node, "prefixRewrite",
				"needs a prefix to replace; expected uri.prefix in every match");
	}
}

static void check_direct(const struct manifest *m, const struct direct_response *r)
{
	size_t len;

	if (r == NULL || r->body == NULL)
		return;
	if (object_has(r->body, "string") && object_has(r->body, "bytes"))
		tree_error(m->d, r->body->node, "has string and bytes; expected one");
	if (object_has(r->body, "bytes")
		&& base64_decode(m->objects, r->body->base64, &len) == NULL)
		tree_field_error(m->d, r->body->node, "bytes", "is not base64; expected it");
	if (strlen(r->body->text) > 1u << 20)
		tree_field_error(
			m->d, r->body->node, "string", "is too long; expected at most 1 MiB");
}

static void check_destinations(struct diag *d, const struct http_route *h)
{
	uint64_t sum = 0, given;
	bool readable = true;

	for (unsigned i = 0; i < h->n_destinations; i++) {
		const struct http_destination *to = &h->destinations[i];
		const struct node *weight = object_get(to, "weight");

		sum += to->weight;
		readable &= weight == NULL || number_parse(weight->text, &given);
		check_headers(d, to->headers);
		if (to->destination != NULL && to->destination->host[0] != '\0'
			&& !is_host_pattern(to->destination->host))
			tree_field_error(d, to->destination->node, "host",
				"\"%s\" is not a host; expected the name of a service",
				to->destination->host);
	}
	if (h->n_destinations > 1 && sum == 0 && readable)
		tree_field_error(d, h->node, "route",
			"the weights add up to 0; expected a weight for each of several destinations");
}

// It becomes a part of a request line. What is no word is told so by check_words().
static void check_rewritten_path(struct diag *d, const struct http_rewrite *r)
{
	const uint8_t *p = (const uint8_t *)r->uri;

	while (http_is_target(*p) || (*p > 0 && *p <= 0x20))
		p++;
	if (*p != '\0')
		tree_field_error(d, r->node, "uri",
			"\"%s\" has a byte that a path cannot have; expected it as %%%02X", r->uri,
			*p);
}

static void check_route(const struct manifest *m, const struct http_route *h)
{
	static const char *const rewritten[] = {"uri", "authority"};
	struct diag *d = m->d;
	unsigned n_actions = object_has(h, "route") + (h->redirect != NULL) + (h->direct != NULL)
		+ object_has(h, "delegate");

	if (n_actions == 0)
		tree_error(
			d, h->node, "no action; expected one of route, redirect, directResponse");
	else if (n_actions > 1)
		tree_error(d, h->node,
			"more than one action; expected one of route, redirect, directResponse");
	if (object_has(h, "route") && h->n_destinations == 0)
		tree_field_error(
			d, h->node, "route", "is empty; expected at least one destination");
	if (h->rewrite != NULL && (h->redirect != NULL || h->direct != NULL))
		tree_field_error(d, h->node, "rewrite",
			"stands beside redirect or directResponse; expected it with route");
	if (h->rewrite != NULL && !object_has(h->rewrite, "uri")
		&& !object_has(h->rewrite, "authority")
		&& !object_has(h->rewrite, "uriRegexRewrite"))
		tree_field_error(d, h->node, "rewrite", "is empty; expected uri or authority");
	check_words(d, h->rewrite, rewritten, COUNT_OF(rewritten));
	if (h->rewrite != NULL)
		check_rewritten_path(d, h->rewrite);
	for (unsigned i = 0; i < h->n_matches; i++)
		check_match(m, &h->matches[i]);
	check_destinations(d, h);
	check_redirect(d, h);
	check_direct(m, h->direct);
	check_headers(d, h->headers);
	check_retry(m, h->retries);
}

// --- the whole

static void check_hosts(const struct manifest *m, const struct virtual_service *vs)
{
	const struct node *list = object_get(vs->spec, "hosts");

	if (list == NULL || list->kind != NODE_SEQUENCE)
		return;
	for (const struct node *n = list->first; n != NULL; n = n->next) {
		const char *host = region_lower(m->objects, n->text);

		if (n->kind != NODE_SCALAR)
			continue;
		if (!is_host_pattern(n->text)) {
			tree_error(m->d, n, "\"%s\" is not a host; expected a name, *.suffix or *",
				n->text);
			continue;
		}
		for (const struct node *o = list->first; o != n; o = o->next) {
			const char *other = region_lower(m->objects, o->text);

			if (!host_covers(other, host) && !host_covers(host, other))
				continue;
			tree_error(m->d, n, "\"%s\" overlaps with \"%s\"; expected each host once",
				n->text, o->text);
			break;
		}
	}
}

static void check_gateways(const struct manifest *m, const struct virtual_service *vs)
{
	const struct node *list = object_get(vs->spec, "gateways");

	if (list == NULL || list->kind != NODE_SEQUENCE)
		return;
	for (const struct node *n = list->first; n != NULL; n = n->next) {
		const char *name, *slash, *best = NULL;
		unsigned distance = 0;

		if (n->kind != NODE_SCALAR || strcmp(n->text, "mesh") == 0)
			continue;
		name = gateway_reference(m->objects, n->text, vs->document.namespace);
		slash = strchr(name, '/');
		if (manifest_find(m, KIND_GATEWAY,
			    region_copy(m->objects, name, (size_t)(slash - name)), slash + 1)
			!= NULL)
			continue;
		for (unsigned i = 0; i < m->of[KIND_GATEWAY].n; i++) {
			const struct document *g = m->of[KIND_GATEWAY].at[i];

			suggest(name, region_printf(m->objects, "%s/%s", g->namespace, g->name),
				&best, &distance);
			if (strcmp(g->name, slash + 1) == 0)
				best = region_printf(m->objects, "%s/%s", g->namespace, g->name);
		}
		if (best != NULL)
			tree_warning(m->d, n, "there is no Gateway %s; did you mean \"%s\"?", name,
				best);
		else
			tree_warning(m->d, n,
				"there is no Gateway %s; the routes are not served there", name);
	}
}

void check_virtual_service(const struct manifest *m, const struct virtual_service *vs)
{
	const struct virtual_service_spec *spec = vs->spec;
	const struct node *hosts = object_get(spec, "hosts");

	if (spec == NULL)
		return;
	if (hosts != NULL && hosts->kind == NODE_SEQUENCE && hosts->n_children == 0)
		tree_error(m->d, hosts, "is empty; expected at least one host");
	else if (hosts == NULL && spec->n_gateways > 0)
		tree_field_error(
			m->d, spec->node, "hosts", "is missing; expected at least one host");
	else if (hosts == NULL)
		tree_field_warning(m->d, spec->node, "hosts",
			"is missing: a delegate, which is read but not acted on");
	if (!object_has(spec, "http") && !object_has(spec, "tls") && !object_has(spec, "tcp"))
		tree_field_error(
			m->d, spec->node, "http", "is missing; expected at least one route");
	check_hosts(m, vs);
	check_gateways(m, vs);
	for (unsigned i = 0; i < spec->n_http; i++)
		check_route(m, &spec->http[i]);
}
