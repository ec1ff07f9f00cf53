// Request targets: the parts, and the normal form of paths.

#include "router/uri.h"
#include "tests/test_support.h"

static struct pool chunks;
static struct arena arena;

static void check_normal(const char *target, enum path_normalization mode, const char *expected)
{
	struct bytes out;

	if (!uri_normalize(bytes_of_str(target), mode, &arena, &out)) {
		if (expected != NULL)
			fail_msg("%s is refused", target);
	} else if (expected == NULL || !bytes_equal_str(out, expected)) {
		fail_msg("%s gives %.*s, want %s", target, (int)out.len, (const char *)out.ptr,
			expected != NULL ? expected : "a refusal");
	}
	arena_reset(&arena);
}

static void paths_get_their_normal_form(void)
{
	static const struct {
		const char *target;
		const char *base;
		const char *merge;
		const char *decode;
	} cases[] = {
		{"/",                  "/",                   "/",                   "/"                  },
		{"/a/b?x=1",           "/a/b?x=1",            "/a/b?x=1",            "/a/b?x=1"           },
		{"/a?b/../c//d",       "/a?b/../c//d",        "/a?b/../c//d",        "/a?b/../c//d"       },
		{"/a#b",               "/a",                  "/a",                  "/a"                 },
		{"/a?b#c",             "/a?b",                "/a?b",                "/a?b"               },
		{"/a?#c",              "/a?",                 "/a?",                 "/a?"                },
		{"/a#b?c",             "/a",                  "/a",                  "/a"                 },
		{"/%61",               "/a",                  "/a",                  "/a"                 },
		{"/%41%7e%2D%5f%30",   "/A~-_0",              "/A~-_0",              "/A~-_0"             },
		{"/x/../a",            "/a",                  "/a",                  "/a"                 },
		{"/x/%2e%2E/a",        "/a",                  "/a",                  "/a"                 },
		{"/x/.%2e/a",          "/a",                  "/a",                  "/a"                 },
		{"/x/./a",             "/x/a",                "/x/a",                "/x/a"               },
		{"/x/%2e/a",           "/x/a",                "/x/a",                "/x/a"               },
		{"/x/..",              "/",                   "/",                   "/"                  },
		{"/x/y/..",            "/x/",                 "/x/",                 "/x/"                },
		{"/x/.",               "/x/",                 "/x/",                 "/x/"                },
		{"/..",                "/",                   "/",                   "/"                  },
		{"/../../a",           "/a",                  "/a",                  "/a"                 },
		{"/a/../../../b",      "/b",                  "/b",                  "/b"                 },
		{"/a/...",             "/a/...",              "/a/...",              "/a/..."             },
		{"/a/..b",             "/a/..b",              "/a/..b",              "/a/..b"             },
		{"/a/b..",             "/a/b..",              "/a/b..",              "/a/b.."             },
		{"/a/.b/",             "/a/.b/",              "/a/.b/",              "/a/.b/"             },
		{"/a\\b",              "/a/b",                "/a/b",                "/a/b"               },
		{"/a\\..\\b",          "/b",                  "/b",                  "/b"                 },
		{"//a",                "//a",                 "/a",                  "/a"                 },
		{"/a//b///c",          "/a//b///c",           "/a/b/c",              "/a/b/c"             },
 // Dots are resolved before slashes are merged.
		{"/a//../b",           "/a/b",                "/a/b",                "/a/b"               },
		{"/a%2Fb",             "/a%2Fb",              "/a%2Fb",              "/a/b"               },
		{"/a%2f..%2Fb",        "/a%2f..%2Fb",         "/a%2f..%2Fb",         "/b"                 },
		{"/a%5cb",             "/a%5cb",              "/a%5cb",              "/a/b"               },
		{"/a%2f%2fb",          "/a%2f%2fb",           "/a%2f%2fb",           "/a/b"               },
		{"/a%252fb",           "/a%252fb",            "/a%252fb",            "/a%252fb"           },
		{"/%25%36%31",         "/%2561",              "/%2561",              "/%2561"             },
		{"/a%20b",             "/a%20b",              "/a%20b",              "/a%20b"             },
		{"/a b",               "/a%20b",              "/a%20b",              "/a%20b"             },
		{"/\303\274",          "/%C3%BC",             "/%C3%BC",             "/%C3%BC"            },
		{"/\"<>`{}",           "/%22%3C%3E%60%7B%7D", "/%22%3C%3E%60%7B%7D", "/%22%3C%3E%60%7B%7D"},
		{"/|[]^!$&'()*+,;=:@", "/|[]^!$&'()*+,;=:@",  "/|[]^!$&'()*+,;=:@",
                 "/|[]^!$&'()*+,;=:@"								     },
		{"/%zz%4",             "/%zz%4",              "/%zz%4",              "/%zz%4"             },
		{"/%",                 "/%",                  "/%",                  "/%"                 },
		{"/a%00b",             NULL,                  NULL,                  NULL                 },
		{"/%00",               NULL,                  NULL,                  NULL                 },
		{"",                   NULL,                  NULL,                  NULL                 },
		{"a",                  NULL,                  NULL,                  NULL                 },
		{"*",                  NULL,                  NULL,                  NULL                 },
		{"?a",                 NULL,                  NULL,                  NULL                 },
		{"\\a",                NULL,                  NULL,                  NULL                 },
		{"/a?%00",             "/a?%00",              "/a?%00",              "/a?%00"             },
	};
	struct bytes out;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_normal(cases[i].target, PATH_NORMALIZE_BASE, cases[i].base);
		check_normal(cases[i].target, PATH_NORMALIZE_MERGE_SLASHES, cases[i].merge);
		check_normal(
			cases[i].target, PATH_NORMALIZE_DECODE_AND_MERGE_SLASHES, cases[i].decode);
		// The normal form is its own normal form.
		if (cases[i].base != NULL)
			check_normal(cases[i].base, PATH_NORMALIZE_BASE, cases[i].base);
		if (cases[i].decode != NULL)
			check_normal(cases[i].merge, PATH_NORMALIZE_MERGE_SLASHES, cases[i].merge);
	}
	assert_false(uri_normalize(BYTES("/a\0b"), PATH_NORMALIZE_BASE, &arena, &out));
	check_normal("/a/../%61//b#c", PATH_NORMALIZE_NONE, "/a/../%61//b");
}

static void a_path_that_stays_is_not_copied(void)
{
	struct bytes target = BYTES("/shop/cart%20x?a=b"), out;

	assert_true(uri_normalize(target, PATH_NORMALIZE_BASE, &arena, &out));
	assert_ptr_equal(out.ptr, target.ptr);
	assert_int_equal(chunks.n_used, 0);
}

static void a_path_that_has_no_room_is_refused(void)
{
	static uint8_t path[2 * ARENA_CHUNK_SIZE];
	struct bytes out;

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	assert_true(uri_normalize(bytes_of(path, sizeof(path)), PATH_NORMALIZE_BASE, &arena, &out));
	path[1] = '\\';
	assert_false(
		uri_normalize(bytes_of(path, sizeof(path)), PATH_NORMALIZE_BASE, &arena, &out));
	arena_reset(&arena);
}

static void a_target_has_path_and_query(void)
{
	assert_true(bytes_equal_str(uri_path(BYTES("/a?b?c#d")), "/a"));
	assert_true(bytes_equal_str(uri_query(BYTES("/a?b?c#d")), "b?c"));
	assert_true(bytes_equal_str(uri_path(BYTES("/a#b?c")), "/a"));
	assert_null(uri_query(BYTES("/a#b?c")).ptr);
	assert_null(uri_query(BYTES("/a")).ptr);
	assert_non_null(uri_query(BYTES("/a?")).ptr);
	assert_int_equal(uri_query(BYTES("/a?")).len, 0);
}

static void check_param(const char *query, const char *key, const char *expected)
{
	struct bytes value;

	if (!uri_query_param(bytes_of_str(query), bytes_of_str(key), &value))
		assert_null(expected);
	else
		assert_true(expected != NULL && bytes_equal_str(value, expected));
}

static void query_parameters_are_raw_and_the_first_counts(void)
{
	check_param("a=1&b=2&a=3", "a", "1");
	check_param("a=1&b=2&a=3", "b", "2");
	check_param("a=1&b=2", "c", NULL);
	check_param("a", "a", "");
	check_param("a=", "a", "");
	check_param("a=b=c", "a", "b=c");
	check_param("A=1", "a", NULL);
	check_param("%61=1&a=%31+2", "a", "%31+2");
	check_param("aa=1&a=2", "a", "2");
	check_param("a=1", "aa", NULL);
	check_param("", "a", NULL);
	check_param("&&a=1&", "a", "1");
	check_param("&&b=1&", "a", NULL);
}

static void an_authority_is_host_and_port(void)
{
	static const char *const valid[] = {"a", "a.b", "A-1.b_c", "a:80", "a:", "a:65535",
		"1.2.3.4:1", "[::1]", "[::1]:80", "[fd00::1:2]", "%41", "a!$&'()*+;=~"};
	static const char *const invalid[] = {"", ":", ":80", "a:65536", "a:x", "a:80:80", "a b",
		"a,b", "u@a", "a/", "a?", "a#", "a\\", "[::1", "[::1]80", "[]", "[a]", "[1.2.3.4]",
		"[v1.x]", "::1", "%", "%4", "%4g", "\303\274", "a\t", "<a>", "\"a\"", "a|b",
		"[::1%25eth0]", "a:99999999999"};

	for (unsigned i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
		if (!uri_authority_is_valid(bytes_of_str(valid[i])))
			fail_msg("%s is refused", valid[i]);
	}
	for (unsigned i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		if (uri_authority_is_valid(bytes_of_str(invalid[i])))
			fail_msg("%s is accepted", invalid[i]);
	}
	assert_false(uri_authority_is_valid(BYTES("a\0b")));
	assert_false(uri_authority_is_valid(BYTES("[::1\0]")));
	assert_true(bytes_equal_str(uri_host(BYTES("a:80")), "a"));
	assert_true(bytes_equal_str(uri_host(BYTES("a")), "a"));
	assert_true(bytes_equal_str(uri_host(BYTES("[::1]:80")), "[::1]"));
	assert_true(bytes_equal_str(uri_host(BYTES("")), ""));
}

static int set_up(void **state)
{
	(void)state;
	if (arena_chunk_pool_init(&chunks, "test", 4) != 0)
		return -1;
	arena_init(&arena, &chunks, 4);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_reset(&arena);
	assert_int_equal(chunks.n_used, 0);
	pool_fini(&chunks);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths_get_their_normal_form),
		TEST(a_path_that_stays_is_not_copied),
		TEST(a_path_that_has_no_room_is_refused),
		TEST(a_target_has_path_and_query),
		TEST(query_parameters_are_raw_and_the_first_counts),
		TEST(an_authority_is_host_and_port),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
