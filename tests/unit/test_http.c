// Fields of a message.

#include "router/http.h"
#include "tests/test_support.h"

#include <stdio.h>

static void known_names_are_found_and_their_neighbours_not(void)
{
#define X(id, name) {HTTP_FIELD_##id, name},
	static const struct {
		enum http_field_id id;
		const char *name;
	} known[] = {HTTP_KNOWN_FIELDS(X)};
#undef X
	char other[64];

	for (unsigned i = 0; i < HTTP_N_FIELD_IDS; i++) {
		size_t len = strlen(known[i].name);

		assert_int_equal(http_field_id(bytes_of_str(known[i].name)), known[i].id);
		for (size_t at = 0; at < len; at++) {
			memcpy(other, known[i].name, len);
			other[at] = '~';
			assert_int_equal(http_field_id(bytes_of(other, len)), HTTP_FIELD_OTHER);
		}
		if (len > 0)
			assert_int_not_equal(
				http_field_id(bytes_of(known[i].name, len - 1)), known[i].id);
	}
}

static void check_fields(const struct http_fields *f, const char *expected)
{
	char text[512];
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < f->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s=%.*s;",
			(int)f->at[i].name.len, (const char *)f->at[i].name.ptr,
			(int)f->at[i].value.len, (const char *)f->at[i].value.ptr);
	assert_string_equal(text, expected);
}

static void add(struct http_fields *f, const char *name, const char *value)
{
	assert_true(http_field_add(f, bytes_of_str(name), bytes_of_str(value)));
}

static void set_replaces_the_first_and_drops_the_rest(void)
{
	struct http_fields f = {.n = 0};

	add(&f, "x", "1");
	add(&f, "date", "2");
	add(&f, "x", "3");
	add(&f, "date", "4");
	assert_true(http_field_set(&f, BYTES("x"), BYTES("5")));
	check_fields(&f, "x=5;date=2;date=4;");
	assert_true(http_field_set(&f, BYTES("date"), BYTES("6")));
	check_fields(&f, "x=5;date=6;");
	assert_true(http_field_set(&f, BYTES("y"), BYTES("7")));
	check_fields(&f, "x=5;date=6;y=7;");
	assert_int_equal(http_field_remove(&f, BYTES("x")), 1);
	assert_int_equal(http_field_remove(&f, BYTES("x")), 0);
	assert_int_equal(http_field_remove_id(&f, HTTP_FIELD_DATE), 1);
	assert_int_equal(http_field_remove_id(&f, HTTP_FIELD_OTHER), 0);
	check_fields(&f, "y=7;");
	assert_non_null(http_field_find_name(&f, BYTES("y")));
	assert_null(http_field_find_name(&f, BYTES("Y")));
	assert_null(http_field_find(&f, HTTP_FIELD_DATE));
}

static void a_full_list_takes_no_more(void)
{
	struct http_fields f = {.n = 0};

	for (unsigned i = 0; i < HTTP_MAX_FIELDS; i++)
		add(&f, "x", "1");
	assert_false(http_field_add(&f, BYTES("y"), BYTES("1")));
	assert_false(http_field_set(&f, BYTES("y"), BYTES("1")));
	assert_true(http_field_set(&f, BYTES("x"), BYTES("2")));
	check_fields(&f, "x=2;");
}

static void lists_are_split_at_commas(void)
{
	struct bytes list = BYTES(" ,a, b c\t,,  ,d"), e;

	assert_true(http_list_next(&list, &e));
	assert_true(bytes_equal(e, BYTES("a")));
	assert_true(http_list_next(&list, &e));
	assert_true(bytes_equal(e, BYTES("b c")));
	assert_true(http_list_next(&list, &e));
	assert_true(bytes_equal(e, BYTES("d")));
	assert_false(http_list_next(&list, &e));
	assert_false(http_list_next(&list, &e));
}

static void hop_by_hop_fields_go_and_the_others_stay_in_order(void)
{
	struct http_fields f = {.n = 0};

	add(&f, "b", "1");
	add(&f, "connection", "close, A, X-Y");
	add(&f, "a", "2");
	add(&f, "c", "3");
	add(&f, "connection", "b");
	add(&f, "a", "4");
	add(&f, "keep-alive", "5");
	add(&f, "te", "gzip;q=1, trailers");
	add(&f, "upgrade", "h2c");
	add(&f, "d", "6");
	add(&f, "x-y", "7");
	http_remove_hop_by_hop(&f, false);
	check_fields(&f, "c=3;te=trailers;d=6;");
	add(&f, "upgrade", "websocket");
	add(&f, "connection", "upgrade");
	http_remove_hop_by_hop(&f, true);
	check_fields(&f, "c=3;te=trailers;d=6;upgrade=websocket;");
}

TESTS(TEST(known_names_are_found_and_their_neighbours_not),
	TEST(set_replaces_the_first_and_drops_the_rest), TEST(a_full_list_takes_no_more),
	TEST(lists_are_split_at_commas), TEST(hop_by_hop_fields_go_and_the_others_stay_in_order))
