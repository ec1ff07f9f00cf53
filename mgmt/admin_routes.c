// Commands about routing: what there is, and why a request goes where it goes (demands.md 25).
#include "dataplane/base/bytes.h"
#include "mgmt/admin.h"
#include "mgmt/gateway_state.h"
#include "router/uri.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

// --- a route in words

static void print_string_match(FILE *to, const char *what, const struct string_match *m)
{
	static const char *const kinds[] = {
		[STRING_MATCH_ANY] = "any",
		[STRING_MATCH_EXACT] = "exact",
		[STRING_MATCH_PREFIX] = "prefix",
		[STRING_MATCH_REGEX] = "regex",
		[STRING_MATCH_PRESENT] = "present",
	};

	if (m->kind == STRING_MATCH_ANY)
		return;
	if (ftell(to) > 0)
		fputs("; ", to);
	fprintf(to, "%s %s", what, kinds[m->kind]);
	if (m->kind != STRING_MATCH_PRESENT)
		fprintf(to, " %s", m->text);
	if (m->ignore_case)
		fputs(" (any case)", to);
}

static void print_field_matches(
	FILE *to, const char *what, const struct field_match *fields, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[128];

		snprintf(name, sizeof(name), "%s%s %s", fields[i].invert ? "not " : "", what,
			fields[i].name);
		print_string_match(to, name, &fields[i].match);
	}
}

static void print_match(FILE *to, const struct route_config *r)
{
	const struct route_match *m = &r->match;

	print_string_match(to, "uri", &m->uri);
	print_string_match(to, "method", &m->method);
	print_string_match(to, "scheme", &m->scheme);
	print_string_match(to, "authority", &m->authority);
	print_field_matches(to, "header", m->headers, m->n_headers);
	print_field_matches(to, "query", m->query, m->n_query);
	if (ftell(to) == 0)
		fputs("everything", to);
}

static void print_action(FILE *to, const struct route_config *r)
{
	switch (r->action) {
	case ROUTE_DIRECT_RESPONSE: fprintf(to, "answer %u", r->direct_status); break;
	case ROUTE_REDIRECT: fprintf(to, "redirect %u", r->redirect.status); break;
	case ROUTE_FORWARD:
		for (unsigned i = 0; i < r->n_clusters; i++) {
			fprintf(to, "%s%s", i > 0 ? ", " : "", r->clusters[i].cluster);
			if (r->n_clusters > 1)
				fprintf(to, " (weight %u)", r->clusters[i].weight);
		}
	}
}

static void print_retries(FILE *to, const struct route_config *r)
{
	if (r->action != ROUTE_FORWARD || r->retry.attempts == 0) {
		fputs("-", to);
		return;
	}
	fprintf(to, "%u", r->retry.attempts);
	if (r->retry.per_try_timeout_us != 0)
		fprintf(to, " x %llums", (unsigned long long)(r->retry.per_try_timeout_us / 1000));
}

static void print_timeout(FILE *to, const struct route_config *r)
{
	if (r->action != ROUTE_FORWARD || r->timeout_us == 0)
		fputs("none", to);
	else
		fprintf(to, "%llums", (unsigned long long)(r->timeout_us / 1000));
}

static json_t *in_words(
	void (*print)(FILE *to, const struct route_config *r), const struct route_config *r)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);
	json_t *string;

	if (to == NULL)
		return json_null();
	print(to, r);
	if (fclose(to) != 0)
		return json_null();
	string = admin_string(text);
	free(text);
	return string;
}

static json_t *route_row(unsigned order, const struct route_config *r)
{
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "order", (int)order, "match",
		in_words(print_match, r), "action", in_words(print_action, r), "timeout",
		in_words(print_timeout, r), "retries", in_words(print_retries, r), "name",
		admin_string(r->name), "origin", admin_string(r->origin));
}

static json_t *routes_of(const struct virtual_host_config *h)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < h->n_routes; i++)
		json_array_append_new(list, route_row(i, &h->routes[i]));
	return list;
}

bool admin_cmd_routes(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	json_t *list = admin_list(a, "routes");
	const struct snapshot *s = router_current(gw->router);
	const char *host = words->n > 1 ? words->at[1] : NULL;

	for (unsigned t = 0; t < s->config->n_route_tables; t++) {
		const struct route_table_config *table = &s->config->route_tables[t];
		const struct virtual_host *found =
			host == NULL ? NULL : route_find_host(s->tables[t], bytes_of_str(host));

		for (unsigned i = 0; i < table->n_hosts; i++) {
			const struct virtual_host_config *h = &table->hosts[i];

			if (host != NULL
				&& (found == NULL
					|| strcmp(virtual_host_config(found)->domain, h->domain)
						!= 0))
				continue;
			json_array_append_new(list,
				json_pack("{s:s, s:o, s:b, s:o}", "table", table->name, "host",
					admin_string(h->domain), "requires_tls",
					(int)h->require_tls, "routes", routes_of(h)));
		}
	}
	if (host != NULL && json_array_size(list) == 0)
		return admin_end(a, ADMIN_CODE_FAILED,
			"no virtual host answers \"%s\": such a request gets 404 (NR)", host);
	return true;
}

// --- explain

struct explain_request {
	const char *host;
	const char *method;
	const char *path;
	const char *listener; // NULL: all
	struct http_head head;
};

static bool add_header(struct http_head *head, char *text)
{
	char *colon = strchr(text, ':');
	char *value;

	if (colon == NULL || colon == text)
		return false;
	*colon = '\0';
	for (char *c = text; *c != '\0'; c++)
		*c = (char)byte_lower((uint8_t)*c);
	value = colon + 1 + strspn(colon + 1, " \t");
	return http_field_add(&head->fields, bytes_of_str(text), bytes_of_str(value));
}

static bool parse_explain(
	const struct admin_words *words, struct explain_request *q, struct admin_answer *a)
{
	for (unsigned i = 1; i < words->n; i += 2) {
		const char *option = words->at[i];
		char *value = i + 1 < words->n ? words->at[i + 1] : NULL;

		if (value == NULL)
			return admin_end(a, ADMIN_CODE_ARGUMENTS, "%s needs a value", option);
		if (strcmp(option, "--host") == 0)
			q->host = value;
		else if (strcmp(option, "--method") == 0)
			q->method = value;
		else if (strcmp(option, "--path") == 0)
			q->path = value;
		else if (strcmp(option, "--listener") == 0)
			q->listener = value;
		else if (strcmp(option, "-H") != 0 && strcmp(option, "--header") != 0)
			return admin_end(a, ADMIN_CODE_ARGUMENTS, "no option \"%s\"", option);
		else if (!add_header(&q->head, value))
			return admin_end(a, ADMIN_CODE_ARGUMENTS,
				"\"%s\" is no header; expected NAME:VALUE", value);
	}
	if (q->host == NULL)
		return admin_end(a, ADMIN_CODE_ARGUMENTS, "--host is needed");
	return true;
}

struct explanation {
	json_t *routes;
	const struct route_config *chosen;
	unsigned order;
};

static void explain_route(void *arg, const struct route_config *route, const char *failed)
{
	struct explanation *e = arg;
	char verdict[128] = "chosen";

	if (failed != NULL)
		snprintf(verdict, sizeof(verdict), "failed: %s", failed);
	else if (e->chosen != NULL)
		snprintf(verdict, sizeof(verdict), "would match, but comes later");
	else
		e->chosen = route;
	json_array_append_new(e->routes,
		json_pack("{s:i, s:s, s:o, s:o, s:o}", "order", (int)e->order++, "verdict", verdict,
			"match", in_words(print_match, route), "action",
			in_words(print_action, route), "origin", admin_string(route->origin)));
}

// What the chosen route comes to: "none of its endpoints is healthy" is an answer to "why 503" too.
static json_t *chosen_clusters(const struct snapshot *s, const struct route_config *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; r->action == ROUTE_FORWARD && i < r->n_clusters; i++) {
		const struct cluster *c = snapshot_cluster(s, bytes_of_str(r->clusters[i].cluster));

		json_array_append_new(list,
			json_pack("{s:s, s:I, s:i, s:i, s:s}", "cluster", r->clusters[i].cluster,
				"weight", (json_int_t)r->clusters[i].weight, "endpoints",
				c != NULL ? (int)c->n_endpoints : 0, "healthy",
				c != NULL ? (int)cluster_n_healthy(c) : 0, "note",
				c == NULL ? "unknown cluster: 503 (NC)"
					: cluster_n_healthy(c) == 0
					? "no healthy endpoint: 503 (UH) unless panic mode"
					: ""));
	}
	return list;
}

static void explain_in_host(const struct snapshot *s, unsigned table, const struct virtual_host *h,
	const struct http_head *head, bool tls, json_t *object)
{
	struct explanation e = {.routes = json_array()};
	struct route_scratch *scratch = NULL;
	const char *result;

	json_object_set_new(object, "virtual_host", admin_string(virtual_host_config(h)->domain));
	if (route_scratch_prepare(&scratch, s->tables[table]) == 0)
		route_explain(h, scratch, head, explain_route, &e);
	route_scratch_free(&scratch);
	if (virtual_host_config(h)->require_tls && !tls)
		result = "301 to https, before any route";
	else
		result = e.chosen != NULL ? "a route was found" : "404 (NR): no route matches";
	json_object_set_new(object, "result", json_string(result));
	if (e.chosen != NULL) {
		json_object_set_new(object, "chosen", admin_string(e.chosen->origin));
		json_object_set_new(object, "timeout", in_words(print_timeout, e.chosen));
		json_object_set_new(object, "retries", in_words(print_retries, e.chosen));
		json_object_set_new(object, "clusters", chosen_clusters(s, e.chosen));
	}
	json_object_set_new(object, "routes", e.routes);
}

static bool name_matches(const char *pattern, const char *host)
{
	size_t host_len = strcspn(host, ":"), len = strlen(pattern);

	if (pattern[0] != '*')
		return len == host_len && strncasecmp(pattern, host, len) == 0;
	len--;
	return host_len > len && strncasecmp(pattern + 1, host + host_len - len, len) == 0;
}

// As tls.h says: exact name, then the longest wildcard, then the chain without names. SNI is the host here.
static const struct filter_chain_config *find_chain(
	const struct listener_config *l, const char *host)
{
	const struct filter_chain_config *best = NULL;
	size_t best_score = 0;

	if (!l->tls)
		return &l->chains[0];
	for (unsigned i = 0; i < l->n_chains; i++) {
		const struct tls_chain_config *tls = &l->chains[i].tls;

		if (tls->n_sni == 0 && best == NULL)
			best = &l->chains[i];
		for (unsigned j = 0; j < tls->n_sni; j++) {
			size_t score = strlen(tls->sni[j]) + (tls->sni[j][0] == '*' ? 0 : 1000);

			if (name_matches(tls->sni[j], host) && score > best_score) {
				best = &l->chains[i];
				best_score = score;
			}
		}
	}
	return best;
}

static json_t *explain_listener(
	const struct snapshot *s, const struct listener_config *l, struct explain_request *q)
{
	const struct filter_chain_config *chain = find_chain(l, q->host);
	json_t *object = json_pack("{s:s}", "listener", l->name);
	const struct virtual_host *h;

	if (chain == NULL) {
		json_object_set_new(object, "result",
			json_string("no filter chain for this SNI: the handshake is closed (NR)"));
		return object;
	}
	json_object_set_new(object, "route_table",
		admin_string(s->config->route_tables[chain->route_table].name));
	q->head.scheme = l->tls ? BYTES("https") : BYTES("http");
	h = route_find_host(s->tables[chain->route_table], q->head.authority);
	if (h == NULL)
		json_object_set_new(object, "result",
			json_string("404 (NR): no virtual host answers this name"));
	else
		explain_in_host(s, chain->route_table, h, &q->head, l->tls, object);
	return object;
}

bool admin_cmd_explain(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	const struct snapshot *s = router_current(gw->router);
	struct explain_request q = {
		.method = "GET", .path = "/", .head = {.version = HTTP_1_1, .content_length = -1}
        };
	struct pool chunks;
	struct arena arena;

	if (!parse_explain(words, &q, a))
		return false;
	if (arena_chunk_pool_init(&chunks, "explain", 4) != 0)
		return admin_end(a, ADMIN_CODE_FAILED, "out of memory");
	arena_init(&arena, &chunks, 4);
	q.head.method = bytes_of_str(q.method);
	q.head.authority = bytes_of_str(q.host);
	if (!uri_normalize(bytes_of_str(q.path), s->config->http.path_normalization, &arena,
		    &q.head.path)) {
		admin_end(a, ADMIN_CODE_DONE, "400: this path cannot be normalised");
	} else {
		json_t *list = admin_list(a, "listeners");

		for (unsigned i = 0; i < s->config->n_listeners; i++) {
			const struct listener_config *l = &s->config->listeners[i];

			if (q.listener == NULL || strcmp(q.listener, l->name) == 0)
				json_array_append_new(list, explain_listener(s, l, &q));
		}
	}
	arena_reset(&arena);
	pool_fini(&chunks);
	return true;
}
