// Which virtual host and which route answer a request; cost by count, not by time.

#include "router/route.h"
#include "router/route_scratch.h"
#include "tests/test_support.h"

#include <stdio.h>
#include <stdlib.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

#define ANY                                          \
	{                                            \
		.kind = STRING_MATCH_ANY, .text = "" \
	}
#define EXACT(t)                                        \
	{                                               \
		.kind = STRING_MATCH_EXACT, .text = (t) \
	}
#define PREFIX(t)                                        \
	{                                                \
		.kind = STRING_MATCH_PREFIX, .text = (t) \
	}
#define REGEX(t)                                        \
	{                                               \
		.kind = STRING_MATCH_REGEX, .text = (t) \
	}
#define PRESENT                                          \
	{                                                \
		.kind = STRING_MATCH_PRESENT, .text = "" \
	}

static struct route_scratch *scratch;
static struct http_head request;

static struct route_table *new_table(const struct route_table_config *config)
{
	char error[256];
	struct route_table *t = route_table_new(config, error);

	if (t == NULL)
		fail_msg("%s", error);
	assert_int_equal(route_scratch_prepare(&scratch, t), 0);
	return t;
}

static void begin_request(const char *path)
{
	request.method = BYTES("GET");
	request.scheme = BYTES("https");
	request.authority = BYTES("a.example");
	request.path = bytes_of_str(path);
	request.fields.n = 0;
}

static void add_header(const char *name, const char *value)
{
	assert_true(http_field_add(&request.fields, bytes_of_str(name), bytes_of_str(value)));
}

// Makes a table of one host for these routes, and says which route the request meets.
static const char *matched_route(const struct route_config *routes, unsigned n_routes)
{
	struct virtual_host_config host = {.domain = "*", .routes = routes, .n_routes = n_routes};
	struct route_table_config config = {.name = "test", .hosts = &host, .n_hosts = 1};
	struct route_table *t = new_table(&config);
	const struct route_config *r =
		route_match(route_find_host(t, request.authority), scratch, &request);

	route_table_free(&t);
	return r != NULL ? r->name : "none";
}

static void check_path(
	const struct route_config *routes, unsigned n, const char *path, const char *expected)
{
	const char *name;

	begin_request(path);
	name = matched_route(routes, n);
	if (strcmp(name, expected) != 0)
		fail_msg("%s meets %s, want %s", path, name, expected);
}

// Worked expectations of the reference, appendix A1; the paths are normalised already.
static void the_first_route_in_order_wins(void)
{
	static const struct route_config routes[] = {
		{.name = "A",
                 .match = {.uri = PREFIX("/a"),
				.method = ANY,
				.scheme = ANY,
				.authority = ANY}},
		{.name = "B",
                 .match = {.uri = EXACT("/a/b"),
				.method = ANY,
				.scheme = ANY,
				.authority = ANY}},
		{.name = "C",
                 .match = {.uri = PREFIX("/"),
				.method = ANY,
				.scheme = ANY,
				.authority = ANY}},
	};
	static const struct route_config reversed[] = {
		{.name = "B", .match = {.uri = EXACT("/a/b")}},
		{.name = "A", .match = {.uri = PREFIX("/a")} },
		{.name = "C", .match = {.uri = PREFIX("/")}  },
	};

	check_path(routes, 3, "/a/b", "A");
	check_path(routes, 3, "/ab", "A");
	check_path(routes, 3, "/A", "C");
	check_path(routes, 3, "/a/b?x=1", "A");
	check_path(routes, 3, "/a", "A");
	check_path(routes, 3, "//a", "C");
	check_path(routes, 3, "/a%2Fb", "A");
	check_path(routes, 3, "/", "C");
	check_path(reversed, 3, "/a/b", "B");
	check_path(reversed, 3, "/a/b?x", "B");
	check_path(reversed, 3, "/a/b/", "A");
	check_path(reversed, 2, "/b", "none");
}

static void path_conditions_mean_what_istio_says(void)
{
	static const struct {
		struct string_match uri;
		const char *path;
		bool holds;
	} cases[] = {
		{EXACT("/foo"),						      "/foo",      true },
		{EXACT("/foo"),						      "/foo?a",    true },
		{EXACT("/foo"),						      "/foo/",     false},
		{EXACT("/foo"),						      "/Foo",      false},
		{EXACT("/foo"),						      "/fo",       false},
		{PREFIX("/foo"),						     "/foobar",   true },
		{PREFIX("/foo"),						     "/foo/",     true },
		{PREFIX("/foo"),						     "/foo?x",    true },
		{PREFIX("/foo"),						     "/fo",       false},
		{PREFIX("/foo"),						     "/FOO",      false},
		{PREFIX(""),							 "/x",        true },
		{PREFIX("/"),							"*",         false},
		{ANY,								"*",         true },
		{{.kind = STRING_MATCH_EXACT, .text = "/Foo", .ignore_case = true},  "/fOO",      true },
		{{.kind = STRING_MATCH_EXACT, .text = "/Foo", .ignore_case = true},  "/fOOx",     false},
		{{.kind = STRING_MATCH_PREFIX, .text = "/Foo", .ignore_case = true}, "/fOOx?Y",
                 true										  },
		{{.kind = STRING_MATCH_PREFIX, .text = "/Foo", .ignore_case = true}, "/fx",       false},
		{{.kind = STRING_MATCH_REGEX, .text = "/Foo", .ignore_case = true},  "/foo",      false},
		{REGEX("/v[0-9]+/.*"),					       "/v12/x",    true },
		{REGEX("/v[0-9]+/.*"),					       "/v12/",     true },
		{REGEX("/v[0-9]+/.*"),					       "/v/",       false},
		{REGEX("/v[0-9]+"),						  "/v1?x=1",   true },
		{REGEX("/v[0-9]+"),						  "/v1/x",     false},
		{REGEX("/v[0-9]+"),						  "/x/v1",     false},
		{REGEX("/a|/b"),						     "/b",        true },
		{REGEX("/a|/b"),						     "/bc",       false},
		{REGEX("/a|/b"),						     "x/b",       false},
		{REGEX("(?i)/foo"),						  "/FOO",      true },
		{REGEX(".*"),							"/",         true },
		{REGEX("/.*\\.(png|jpg)"),					   "/i/a.jpg",  true },
		{REGEX("/.*\\.(png|jpg)"),					   "/i/a.jpgx", false},
		{REGEX("^/a$"),						      "/a",        true },
		{REGEX("^/a$"),						      "/ab",       false},
		{REGEX("/[^/]+/b"),						  "/a/b",      true },
		{REGEX("/[^/]+/b"),						  "/a/c/b",    false},
		{REGEX("/\303\274"),						 "/\303\274", true },
		{REGEX("/x{2,3}"),						   "/xxx",      true },
		{REGEX("/x{2,3}"),						   "/xxxx",     false},
	};

	for (unsigned i = 0; i < N_OF(cases); i++) {
		struct route_config route = {.name = "R", .match = {.uri = cases[i].uri}};
		const char *name;

		begin_request(cases[i].path);
		name = matched_route(&route, 1);
		if ((strcmp(name, "R") == 0) != cases[i].holds)
			fail_msg("\"%s\" on %s: want %d", cases[i].uri.text, cases[i].path,
				cases[i].holds);
	}
}

static void method_scheme_and_authority_are_compared_as_they_stand(void)
{
	struct route_config route = {.name = "R"};

	begin_request("/");
	route.match.method = (struct string_match)EXACT("GET");
	assert_string_equal(matched_route(&route, 1), "R");
	request.method = BYTES("get");
	assert_string_equal(matched_route(&route, 1), "none");
	route.match.method = (struct string_match)REGEX("GET|POST");
	request.method = BYTES("POST");
	assert_string_equal(matched_route(&route, 1), "R");
	request.method = BYTES("POSTX");
	assert_string_equal(matched_route(&route, 1), "none");
	route.match.method = (struct string_match)ANY;
	route.match.scheme = (struct string_match)EXACT("http");
	assert_string_equal(matched_route(&route, 1), "none");
	request.scheme = BYTES("http");
	assert_string_equal(matched_route(&route, 1), "R");
	route.match.scheme = (struct string_match)ANY;
	route.match.authority = (struct string_match)EXACT("a.example:8443");
	assert_string_equal(matched_route(&route, 1), "none");
	request.authority = BYTES("a.example:8443");
	assert_string_equal(matched_route(&route, 1), "R");
	request.authority = BYTES("A.example:8443");
	assert_string_equal(matched_route(&route, 1), "none");
	route.match.authority = (struct string_match)PREFIX("A.");
	assert_string_equal(matched_route(&route, 1), "R");
}

// 'values': of the header x, separated by '|'; NULL: it is not there.
static void header_conditions_mean_what_istio_says(void)
{
	static const struct {
		struct string_match match;
		bool invert;
		const char *values;
		bool holds;
	} cases[] = {
		{EXACT("a"),      false, "a",    true },
		{EXACT("a"),      false, "A",    false},
		{EXACT("a"),      false, "ab",   false},
		{EXACT("a"),      false, NULL,   false},
		{EXACT(""),       false, "",     true },
		{EXACT(""),       false, NULL,   false},
		{EXACT("a"),      false, "a|b",  false},
		{EXACT("a,b"),    false, "a|b",  true },
		{EXACT("a,,b"),   false, "a||b", true },
		{PREFIX("a"),     false, "abc",  true },
		{PREFIX("a"),     false, "ba",   false},
		{PREFIX("a,b"),   false, "a|bc", true },
		{REGEX("[0-9]+"), false, "42",   true },
		{REGEX("[0-9]+"), false, "42x",  false},
		{REGEX("[0-9]+"), false, NULL,   false},
		{REGEX(".*"),     false, "",     true },
		{REGEX(".*"),     false, NULL,   false},
		{REGEX("a,b"),    false, "a|b",  true },
		{REGEX("a"),      false, "a|b",  false},
		{PRESENT,         false, "x",    true },
		{PRESENT,         false, "",     true },
		{PRESENT,         false, NULL,   false},
		{EXACT("a"),      true,  "a",    false},
		{EXACT("a"),      true,  "b",    true },
		{EXACT("a"),      true,  NULL,   true },
		{PREFIX("a"),     true,  "ab",   false},
		{PREFIX("a"),     true,  NULL,   true },
		{REGEX(".*"),     true,  NULL,   false},
		{REGEX(".+"),     true,  NULL,   true },
		{REGEX(".+"),     true,  "x",    false},
		{PRESENT,         true,  NULL,   true },
		{PRESENT,         true,  "",     false},
	};

	for (unsigned i = 0; i < N_OF(cases); i++) {
		struct field_match header = {"x", cases[i].match, cases[i].invert};
		struct route_config route = {
			.name = "R", .match = {.headers = &header, .n_headers = 1}
                };
		char values[32], *rest = values, *value;

		begin_request("/");
		add_header("y", "a");
		if (cases[i].values != NULL) {
			strcpy(values, cases[i].values);
			while ((value = strsep(&rest, "|")) != NULL)
				add_header("x", value);
		}
		if ((strcmp(matched_route(&route, 1), "R") == 0) != cases[i].holds)
			fail_msg("case %u: want %d", i, cases[i].holds);
	}
}

static void host_as_a_header_is_the_authority(void)
{
	struct field_match header = {"host", EXACT("a.example"), false};
	struct route_config route = {
		.name = "R", .match = {.headers = &header, .n_headers = 1}
        };

	begin_request("/");
	assert_string_equal(matched_route(&route, 1), "R");
	request.authority = BYTES("b.example");
	assert_string_equal(matched_route(&route, 1), "none");
}

static void query_conditions_see_the_first_raw_value(void)
{
	static const struct {
		struct string_match match;
		const char *path;
		bool holds;
	} cases[] = {
		{EXACT("1"),      "/?x=1",     true },
		{EXACT("1"),      "/?x=2&x=1", false},
		{EXACT("1"),      "/?x=%31",   false},
		{EXACT("1"),      "/?X=1",     false},
		{EXACT("1"),      "/",         false},
		{EXACT(""),       "/?x",       true },
		{PREFIX("a"),     "/?y&x=abc", true },
		{REGEX("[0-9]+"), "/?x=12",    true },
		{REGEX("[0-9]+"), "/?x=12a",   false},
		{REGEX(".*"),     "/?x",       true },
		{REGEX(".*"),     "/",         false},
		{PRESENT,         "/?x=",      true },
		{PRESENT,         "/?x",       true },
		{PRESENT,         "/?xx",      false},
	};

	for (unsigned i = 0; i < N_OF(cases); i++) {
		struct field_match query = {"x", cases[i].match, false};
		struct route_config route = {
			.name = "R", .match = {.query = &query, .n_query = 1}
                };

		begin_request(cases[i].path);
		if ((strcmp(matched_route(&route, 1), "R") == 0) != cases[i].holds)
			fail_msg("%s: want %d", cases[i].path, cases[i].holds);
	}
}

static void all_conditions_of_a_route_have_to_hold(void)
{
	static const struct field_match headers[] = {
		{"x", REGEX("a+"),   false},
                {"x", REGEX("a{2}"), false},
                {"y", PRESENT,       true }
        };
	static const struct field_match query = {"q", REGEX("a+"), false};
	static const struct route_config routes[] = {
		{.name = "both",
                 .match = {.uri = REGEX("/a+"),
				.method = REGEX("GET"),
				.headers = headers,
				.n_headers = 3,
				.query = &query,
				.n_query = 1}						      },
		{.name = "one",  .match = {.uri = REGEX("/a+"), .headers = headers, .n_headers = 1}},
		{.name = "rest", .match = {.uri = PREFIX("/")}                                     },
	};

	begin_request("/aaa?q=a");
	add_header("x", "aa");
	assert_string_equal(matched_route(routes, 3), "both");
	add_header("y", "");
	assert_string_equal(matched_route(routes, 3), "one");
	begin_request("/aaa?q=b");
	add_header("x", "aa");
	assert_string_equal(matched_route(routes, 3), "one");
	begin_request("/aaa?q=a");
	add_header("x", "aaa");
	assert_string_equal(matched_route(routes, 3), "one");
	begin_request("/aaa?q=a");
	assert_string_equal(matched_route(routes, 3), "rest");
}

// Appendix A2, and the rules of 1.8.
static void the_most_specific_host_answers_alone(void)
{
	static const struct virtual_host_config hosts[] = {
		{.domain = "*"},
		{.domain = "*.example.com"},
		{.domain = "a.example.com"},
		{.domain = "*.b.example.com"},
		{.domain = "[::1]"},
	};
	static const struct route_table_config config = {
		.name = "t", .hosts = hosts, .n_hosts = N_OF(hosts)};
	static const struct {
		const char *authority;
		const char *domain;
	} cases[] = {
		{"a.example.com",      "a.example.com"  },
		{"a.example.com:8443", "a.example.com"  },
		{"A.Example.COM",      "a.example.com"  },
		{"x.y.example.com",    "*.example.com"  },
		{"b.example.com",      "*.example.com"  },
		{"x.b.example.com:1",  "*.b.example.com"},
		{"x.B.example.com",    "*.b.example.com"},
		{"example.com",        "*"              },
		{".example.com",       "*"              },
		{"xexample.com",       "*"              },
		{"example.com.",       "*"              },
		{"[::1]:8080",         "[::1]"          },
		{"",                   "*"              },
		{":80",                "*"              },
	};
	struct route_table *t = new_table(&config);
	char longest[400];

	for (unsigned i = 0; i < N_OF(cases); i++) {
		const char *domain =
			virtual_host_config(route_find_host(t, bytes_of_str(cases[i].authority)))
				->domain;

		if (strcmp(domain, cases[i].domain) != 0)
			fail_msg("%s: %s, want %s", cases[i].authority, domain, cases[i].domain);
	}
	memset(longest, 'a', sizeof(longest));
	assert_string_equal(
		virtual_host_config(route_find_host(t, bytes_of(longest, sizeof(longest))))->domain,
		"*");
	// A host without a route for the path is the end of it: no other host is asked.
	begin_request("/");
	assert_null(route_match(route_find_host(t, BYTES("a.example.com")), scratch, &request));
	route_table_free(&t);
}

static void a_host_that_is_not_there_is_null(void)
{
	static const struct virtual_host_config host = {.domain = "a"};
	static const struct route_table_config config = {.name = "t", .hosts = &host, .n_hosts = 1};
	static const struct route_table_config empty = {.name = "t"};
	struct route_table *t = new_table(&config);

	assert_null(route_find_host(t, BYTES("b")));
	route_table_free(&t);
	t = new_table(&empty);
	assert_null(route_find_host(t, BYTES("b")));
	assert_ptr_equal(route_table_config(t), &empty);
	route_table_free(&t);
}

static void check_refused(const struct route_table_config *config, const char *words)
{
	char error[256];

	assert_null(route_table_new(config, error));
	if (strstr(error, words) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", error, words);
}

static void a_table_that_cannot_be_built_says_why(void)
{
	static const struct virtual_host_config twice[] = {{.domain = "a"}, {.domain = "a"}};
	static const struct virtual_host_config star = {.domain = "a.*"};
	static const struct route_config routes[] = {
		{.name = "1", .match = {.uri = REGEX("/a")} },
		{.name = "2", .match = {.uri = REGEX("/(b")}}
        };
	static const struct virtual_host_config broken = {
		.domain = "a", .routes = routes, .n_routes = 2};

	check_refused(&(struct route_table_config){.name = "t", .hosts = twice, .n_hosts = 2},
		"\"a\" has two virtual hosts in t");
	check_refused(&(struct route_table_config){.name = "t", .hosts = &star, .n_hosts = 1},
		"\"a.*\" is neither");
	check_refused(&(struct route_table_config){.name = "t", .hosts = &broken, .n_hosts = 1},
		"\"/(b\" cannot be used");
}

static void regular_expressions_are_checked(void)
{
	static const char *const bad[] = {"(", ")", "a)(b", "a)|(?:b", "[a", "*", "a**", "\\",
		"(?=a)", "(?!a)", "(a)\\1", "(?<n"};
	static const char *const good[] = {"", "a", ".*", "(a|b)*", "[[:alpha:]]+", "\\d+", "(?i)a",
		"(?P<n>a)", "a{2,}", "\\Qa.b\\E", "^a$"};
	char error[256], text[2000];

	for (unsigned i = 0; i < N_OF(bad); i++) {
		error[0] = '\0';
		if (route_regex_check(bad[i], error))
			fail_msg("%s is accepted", bad[i]);
		assert_true(strlen(error) > 10);
	}
	for (unsigned i = 0; i < N_OF(good); i++) {
		if (!route_regex_check(good[i], error))
			fail_msg("%s: %s", good[i], error);
	}
	memset(text, 'a', sizeof(text));
	text[1024] = '\0';
	assert_true(route_regex_check(text, error));
	text[1024] = 'a';
	text[1025] = '\0';
	assert_false(route_regex_check(text, error));
	assert_non_null(strstr(error, "1025 characters; expected at most 1024"));
}

struct big_table {
	struct route_config *routes;
	char (*texts)[32];
	struct virtual_host_config host;
	struct route_table_config config;
	struct route_table *table;
};

// Routes of all kinds of path condition in turn, all of them different.
static void build_big(struct big_table *b, unsigned n)
{
	static const struct {
		const char *before;
		const char *after; // the number
		enum string_match_kind kind;
		bool ignore_case;
	} kinds[] = {
		{"/exact/",  "",        STRING_MATCH_EXACT,  false},
		{"/prefix/", "/",       STRING_MATCH_PREFIX, false},
		{"/Lower/",  "/",       STRING_MATCH_PREFIX, true },
		{"/regex/",  "/[0-9]+", STRING_MATCH_REGEX,  false},
	};

	b->routes = calloc(n, sizeof(*b->routes));
	b->texts = calloc(n, sizeof(*b->texts));
	assert_non_null(b->routes);
	assert_non_null(b->texts);
	for (unsigned i = 0; i < n; i++) {
		unsigned k = i % N_OF(kinds);

		snprintf(b->texts[i], sizeof(b->texts[i]), "%s%u%s", kinds[k].before, i,
			kinds[k].after);
		b->routes[i].name = b->texts[i];
		b->routes[i].match.uri =
			(struct string_match){kinds[k].kind, b->texts[i], kinds[k].ignore_case};
	}
	b->host = (struct virtual_host_config){"*", false, b->routes, n};
	b->config = (struct route_table_config){"big", 80, &b->host, 1};
	b->table = new_table(&b->config);
}

static void free_big(struct big_table *b)
{
	route_table_free(&b->table);
	free(b->routes);
	free(b->texts);
}

// What a request costs: routes looked at, and passes of Hyperscan.
static void check_cost(struct big_table *b, const char *path, const char *expected)
{
	uint64_t candidates = scratch->n_candidates, passes = scratch->n_passes;
	const struct route_config *r;

	begin_request(path);
	r = route_match(route_find_host(b->table, request.authority), scratch, &request);
	assert_string_equal(r != NULL ? r->name : "none", expected);
	assert_int_equal(scratch->n_candidates - candidates, r != NULL ? 1 : 0);
	assert_int_equal(scratch->n_passes - passes, 1);
}

static void cost_does_not_grow_with_the_number_of_routes(void)
{
	static const unsigned sizes[] = {8, 200, 2000};

	for (unsigned i = 0; i < N_OF(sizes); i++) {
		unsigned last = sizes[i] - 4;
		struct big_table b;
		char path[64], expected[64];

		build_big(&b, sizes[i]);
		snprintf(path, sizeof(path), "/exact/%u?x", last);
		snprintf(expected, sizeof(expected), "/exact/%u", last);
		check_cost(&b, path, expected);
		snprintf(path, sizeof(path), "/prefix/%u/x", last + 1);
		snprintf(expected, sizeof(expected), "/prefix/%u/", last + 1);
		check_cost(&b, path, expected);
		snprintf(path, sizeof(path), "/lOWER/%u/x", last + 2);
		snprintf(expected, sizeof(expected), "/Lower/%u/", last + 2);
		check_cost(&b, path, expected);
		snprintf(path, sizeof(path), "/regex/%u/77", last + 3);
		snprintf(expected, sizeof(expected), "/regex/%u/[0-9]+", last + 3);
		check_cost(&b, path, expected);
		check_cost(&b, "/nothing", "none");
		free_big(&b);
	}
}

// Against the obvious way of doing it: try every route in order.
static void a_random_table_agrees_with_trying_every_route(void)
{
	static const char *const parts[] = {
		"/", "/a", "/ab", "/a/b", "/a/b/c", "/b", "/A", "/aB", "/abc"};
	static const char *const patterns[] = {"/a.*", "/[ab]+", "/.*b", "/a/(b|c)", ".*"};
	unsigned seed = 1;

	for (unsigned round = 0; round < 300; round++) {
		struct route_config routes[12];
		char names[12][4];
		unsigned n = 1 + (unsigned)rand_r(&seed) % N_OF(routes);
		struct virtual_host_config host = {"*", false, routes, n};
		struct route_table_config config = {"random", 80, &host, 1};
		struct route_table *t;

		memset(routes, 0, sizeof(routes));
		for (unsigned i = 0; i < n; i++) {
			unsigned kind = (unsigned)rand_r(&seed) % 3;
			struct string_match *m = &routes[i].match.uri;

			snprintf(names[i], sizeof(names[i]), "%u", i);
			routes[i].name = names[i];
			m->kind = kind == 0 ? STRING_MATCH_EXACT
				: kind == 1 ? STRING_MATCH_PREFIX
					    : STRING_MATCH_REGEX;
			m->text = kind < 2 ? parts[(unsigned)rand_r(&seed) % N_OF(parts)]
					   : patterns[(unsigned)rand_r(&seed) % N_OF(patterns)];
			m->ignore_case = rand_r(&seed) % 3 == 0;
		}
		t = new_table(&config);
		for (unsigned p = 0; p < N_OF(parts); p++) {
			const char *expected = "none";
			const struct route_config *r;

			begin_request(parts[p]);
			for (unsigned i = 0; i < n && strcmp(expected, "none") == 0; i++)
				expected = matched_route(&routes[i], 1);
			r = route_match(route_find_host(t, request.authority), scratch, &request);
			assert_string_equal(r != NULL ? r->name : "none", expected);
		}
		route_table_free(&t);
	}
}

static void write_line(void *arg, const struct route_config *route, const char *failed)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s:%s;", route->name, failed != NULL ? failed : "yes");
}

static void explain_names_the_first_condition_that_failed(void)
{
	static const struct field_match headers[] = {
		{"x-user", EXACT("a"), false}
        };
	static const struct field_match without[] = {
		{"x-user", EXACT("b"), true}
        };
	static const struct field_match query = {"q", PRESENT, false};
	static const struct route_config routes[] = {
		{.name = "1", .match = {.uri = REGEX("/x.*"), .method = EXACT("POST")}},
		{.name = "2", .match = {.uri = PREFIX("/"), .method = EXACT("POST")}  },
		{.name = "3", .match = {.headers = headers, .n_headers = 1}           },
		{.name = "4", .match = {.headers = without, .n_headers = 1}           },
		{.name = "5", .match = {.query = &query, .n_query = 1}                },
		{.name = "6", .match = {.uri = REGEX("/a|/b")}                        },
		{.name = "7", .match = {.scheme = EXACT("http")}                      },
		{.name = "8", .match = {.authority = EXACT("x")}                      },
	};
	static const struct virtual_host_config host = {
		.domain = "*", .routes = routes, .n_routes = N_OF(routes)};
	static const struct route_table_config config = {.name = "t", .hosts = &host, .n_hosts = 1};
	struct route_table *t = new_table(&config);
	char text[512] = "";

	begin_request("/b");
	add_header("x-user", "b");
	route_explain(route_find_host(t, BYTES("a")), scratch, &request, write_line, text);
	assert_string_equal(text,
		"1:uri;2:method;3:header x-user;4:without header x-user;5:query parameter q;6:yes;"
		"7:scheme;8:authority;");
	route_table_free(&t);
}

static int tear_down(void **state)
{
	(void)state;
	route_scratch_free(&scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_route_in_order_wins),
		TEST(path_conditions_mean_what_istio_says),
		TEST(method_scheme_and_authority_are_compared_as_they_stand),
		TEST(header_conditions_mean_what_istio_says),
		TEST(host_as_a_header_is_the_authority),
		TEST(query_conditions_see_the_first_raw_value),
		TEST(all_conditions_of_a_route_have_to_hold),
		TEST(the_most_specific_host_answers_alone),
		TEST(a_host_that_is_not_there_is_null),
		TEST(a_table_that_cannot_be_built_says_why),
		TEST(regular_expressions_are_checked),
		TEST(cost_does_not_grow_with_the_number_of_routes),
		TEST(a_random_table_agrees_with_trying_every_route),
		TEST(explain_names_the_first_condition_that_failed),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
