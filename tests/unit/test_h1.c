// HTTP/1.1 on the wire. The cases are tables of bytes in and bytes out, h1_request_cases.def and
// h1_response_cases.def.

#include "tests/h1_relay.h"
#include "tests/test_support.h"

#include <ctype.h>

struct h1_case {
	const char *file;
	unsigned line;
	enum h1_kind kind;
	struct bytes request_method;
	struct bytes in;
	struct bytes out;
	const struct h1_error *error;
	bool unfinished;
};

static const struct h1_case requests[] = {
#define CASE(in, out, error, unfinished)                                                        \
	{"h1_request_cases.def", __LINE__, H1_REQUEST, BYTES(""), BYTES(in), BYTES(out), error, \
		unfinished},
#define REFUSED(rule, in)    CASE(in, "", &H1_ERR_##rule, false)
#define PASSED(in, out)      CASE(in, out, NULL, false)
#define AFTER(rule, in, out) CASE(in, out, &H1_ERR_##rule, false)
#define WAITS(in)            CASE(in, "", NULL, true)
#include "tests/unit/h1_request_cases.def"
#undef CASE
};

static const struct h1_case responses[] = {
#define CASE(method, in, out, error, unfinished)                                               \
	{"h1_response_cases.def", __LINE__, H1_RESPONSE, BYTES(method), BYTES(in), BYTES(out), \
		error, unfinished},
#define REFUSED(method, rule, in)    CASE(method, in, "", &H1_ERR_##rule, false)
#define PASSED(method, in, out)      CASE(method, in, out, NULL, false)
#define AFTER(method, rule, in, out) CASE(method, in, out, &H1_ERR_##rule, false)
#define WAITS(method, in)            CASE(method, in, "", NULL, true)
#include "tests/unit/h1_response_cases.def"
#undef CASE
};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct h1_relay relay;

static void print_bytes(const char *what, struct bytes b)
{
	print_error("  %s: ", what);
	for (size_t i = 0; i < b.len && i < 300; i++) {
		if (b.ptr[i] == '\r')
			print_error("\\r");
		else if (b.ptr[i] == '\n')
			print_error("\\n");
		else if (isprint(b.ptr[i]))
			print_error("%c", b.ptr[i]);
		else
			print_error("\\%03o", b.ptr[i]);
	}
	print_error("\n");
}

static const char *rule_of(const struct h1_error *e)
{
	return e != NULL ? e->rule : "none";
}

static void check_outcome(const struct h1_case *c, const char *how, size_t where)
{
	struct bytes out = bytes_of(relay.out, relay.out_len);

	if (bytes_equal(out, c->out) && relay.error == c->error
		&& relay.unfinished == c->unfinished)
		return;
	print_error("%s:%u, %s %zu:\n", c->file, c->line, how, where);
	print_bytes("in  ", c->in);
	print_bytes("out ", out);
	print_bytes("want", c->out);
	fail_msg("refused by %s, want %s; unfinished %d, want %d", rule_of(relay.error),
		rule_of(c->error), relay.unfinished, c->unfinished);
}

static void begin(const struct h1_case *c)
{
	h1_relay_init(&relay, c->kind);
	if (c->kind == H1_RESPONSE)
		relay.request_method = c->request_method;
}

static void check_case(const struct h1_case *c)
{
	begin(c);
	h1_relay_read(&relay, c->in);
	check_outcome(c, "whole", 0);
	for (size_t at = 1; at < c->in.len; at++) {
		begin(c);
		h1_relay_read(&relay, bytes_of(c->in.ptr, at));
		h1_relay_read(&relay, bytes_skip(c->in, at));
		check_outcome(c, "in two, split at", at);
	}
	begin(c);
	for (size_t i = 0; i < c->in.len; i++)
		h1_relay_read(&relay, bytes_of(c->in.ptr + i, 1));
	check_outcome(c, "in portions of", 1);
}

static void requests_are_refused_or_passed_on_as_the_table_says(void)
{
	for (unsigned i = 0; i < N_OF(requests); i++)
		check_case(&requests[i]);
}

static void responses_are_refused_or_passed_on_as_the_table_says(void)
{
	for (unsigned i = 0; i < N_OF(responses); i++)
		check_case(&responses[i]);
}

// What we write, we read; and what we write of that is the same again.
static void what_is_passed_on_is_passed_on_unchanged_by_a_second_gateway(void)
{
	static uint8_t first[H1_RELAY_OUT_SIZE];

	for (unsigned i = 0; i < N_OF(requests) + N_OF(responses); i++) {
		const struct h1_case *c =
			i < N_OF(requests) ? &requests[i] : &responses[i - N_OF(requests)];
		size_t len;
		unsigned n;

		begin(c);
		h1_relay_read(&relay, c->in);
		len = relay.out_len;
		n = relay.n_messages;
		memcpy(first, relay.out, len);
		begin(c);
		relay.limits = (struct h1_limits){8000, 30, true};
		h1_relay_read(&relay, bytes_of(first, len));
		if (relay.error != NULL || relay.n_messages != n || relay.out_len != len
			|| memcmp(first, relay.out, len) != 0) {
			print_bytes("first ", bytes_of(first, len));
			print_bytes("second", bytes_of(relay.out, relay.out_len));
			fail_msg("%s:%u: refused by %s", c->file, c->line, rule_of(relay.error));
		}
	}
}

static void every_rule_has_a_case(void)
{
	bool seen[H1_N_ERRORS] = {false};

	// What h1_scan() delimited always ends as it should; see
	// what_the_scanner_did_not_see_is_judged_again.
	seen[H1_ERROR_INDEX_HEAD_END] = true;
	// Judged by what the codec does not know; see test_edge.
	seen[H1_ERROR_INDEX_TARGET_HTTPS] = true;
	seen[H1_ERROR_INDEX_STATUS_UPGRADE] = true;
	seen[H1_ERROR_INDEX_TE_LENGTH] = true;
	seen[H1_ERROR_INDEX_UNDERSCORE] = true;
	for (unsigned i = 0; i < N_OF(requests); i++) {
		if (requests[i].error != NULL)
			seen[requests[i].error->index] = true;
	}
	for (unsigned i = 0; i < N_OF(responses); i++) {
		if (responses[i].error != NULL)
			seen[responses[i].error->index] = true;
	}
	for (unsigned i = 0; i < H1_N_ERRORS; i++) {
		assert_int_equal(h1_errors[i]->index, i);
		assert_true(strlen(h1_errors[i]->text) > 10);
		assert_true(h1_errors[i]->status >= 400);
		if (!seen[i])
			fail_msg("no case breaks the rule %s", h1_errors[i]->rule);
	}
}

// Every byte value in every place of a message where one byte class is due.
static void each_byte_is_allowed_where_the_grammar_says(void)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (unsigned c = 0; c < 256; c++) {
		bool token = isalnum((int)c) || (c != 0 && strchr(marks, (int)c) != NULL);
		bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
		bool target = c > 0x20 && c < 0x7f && c != '#';
		char text[64];
		struct h1_case k = {"byte", c, H1_REQUEST, BYTES(""), {0}, {0}, NULL, false};

		k.in = bytes_of(
			text, (size_t)sprintf(text, "G%cT / HTTP/1.1\r\nHost: a\r\n\r\n", (int)c));
		begin(&k);
		h1_relay_read(&relay, k.in);
		assert_int_equal(relay.n_messages, token && c < 0x80);
		k.in = bytes_of(
			text, (size_t)sprintf(text, "GET /%c HTTP/1.1\r\nHost: a\r\n\r\n", (int)c));
		begin(&k);
		h1_relay_read(&relay, k.in);
		assert_int_equal(relay.n_messages, target);
		k.in = bytes_of(text,
			(size_t)sprintf(
				text, "GET / HTTP/1.1\r\nHost: a\r\nx%c: y\r\n\r\n", (int)c));
		begin(&k);
		h1_relay_read(&relay, k.in);
		// A colon ends the name: "x:: y" is the field x with the value ": y".
		assert_int_equal(relay.n_messages, (token && c < 0x80) || c == ':');
		k.in = bytes_of(text,
			(size_t)sprintf(
				text, "GET / HTTP/1.1\r\nHost: a\r\nx: y%cz\r\n\r\n", (int)c));
		begin(&k);
		h1_relay_read(&relay, k.in);
		assert_int_equal(relay.n_messages, value);
	}
}

static void http_1_0_is_accepted_only_when_enabled(void)
{
	static const char in[] = "GET / HTTP/1.0\r\n\r\n";
	struct h1_limits limits = {4096, 20, true};
	struct http_head head;
	uint8_t bytes[sizeof(in)];

	memcpy(bytes, in, sizeof(in));
	assert_null(h1_parse_request(bytes, sizeof(in) - 1, &limits, &head));
	assert_int_equal(head.version, HTTP_1_0);
	assert_false(head.keep_alive);
	assert_int_equal(head.authority.len, 0);
	limits.accept_http_10 = false;
	memcpy(bytes, in, sizeof(in));
	assert_ptr_equal(
		h1_parse_request(bytes, sizeof(in) - 1, &limits, &head), &H1_ERR_VERSION_1_0);
	assert_int_equal(H1_ERR_VERSION_1_0.status, 426);
}

static const struct h1_error *parse(const char *text, size_t len)
{
	struct h1_limits limits = {4096, 20, false};
	static uint8_t bytes[4096];
	static struct http_head head;

	memcpy(bytes, text, len);
	return h1_parse_request(bytes, len, &limits, &head);
}

#define PARSE(literal) parse(literal, sizeof(literal) - 1)

static void what_the_scanner_did_not_see_is_judged_again(void)
{
	assert_ptr_equal(PARSE("GET / HTTP/1.1\r\n"), &H1_ERR_HEAD_END);
	assert_ptr_equal(PARSE(""), &H1_ERR_HEAD_END);
	assert_ptr_equal(PARSE("\r\n\r\n"), &H1_ERR_EMPTY_START_LINE);
	assert_ptr_equal(PARSE("GET / HTTP/1.1\r\nHost: a\r\n\r\nX: y\r\n\r\n"), &H1_ERR_HEAD_END);
	assert_ptr_equal(PARSE("GET / HTTP/1.1\r\nHost: a\r\nX: y\nY: z\r\n\r\n"), &H1_ERR_BARE_LF);
	assert_ptr_equal(PARSE("GET / HTTP/1.1\r\nHost: a\r\nX: y\rY: z\r\n\r\n"), &H1_ERR_BARE_CR);
	assert_ptr_equal(PARSE("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"), &H1_ERR_CONTROL_BYTE);
}

static void encoders_refuse_what_would_split_a_message(void)
{
	struct http_head head = {.method = BYTES("GET"),
		.path = BYTES("/"),
		.authority = BYTES("a"),
		.version = HTTP_1_1,
		.keep_alive = true};
	uint8_t out[256];
	const char *expected = "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
	size_t len = strlen(expected);

	http_field_add(&head.fields, BYTES("x"), BYTES("y"));
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), len);
	assert_memory_equal(out, expected, len);
	assert_int_equal(h1_encode_request(&head, out, len), len);
	for (size_t cap = 0; cap < len; cap++)
		assert_int_equal(h1_encode_request(&head, out, cap), 0);
	head.fields.at[0].value = BYTES("y\r\nz: 1");
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), 0);
	head.fields.at[0].value = BYTES("\0");
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), 0);
	head.fields.at[0].value = BYTES("y");
	head.fields.at[0].name = BYTES("x: z");
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), 0);
	head.fields.at[0].name = BYTES("");
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), 0);
	head.fields.n = 0;
	head.path = BYTES("/ HTTP/1.1\r\n");
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), 0);
	head.path = BYTES("");
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), 0);
	head.path = BYTES("/");
	head.method = BYTES("GET /x");
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), 0);
	head.method = BYTES("GET");
	head.authority = BYTES("a\r\nx: y");
	assert_int_equal(h1_encode_request(&head, out, sizeof(out)), 0);
	head.status = 99;
	assert_int_equal(h1_encode_response(&head, out, sizeof(out)), 0);
}

static void encoders_make_the_framing_fields_themselves(void)
{
	struct http_head head = {
		.version = HTTP_1_1, .status = 200, .chunked = true, .keep_alive = false};
	const char *expected =
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
	uint8_t out[256];

	http_field_add(&head.fields, BYTES("content-length"), BYTES("5"));
	http_field_add(&head.fields, BYTES("transfer-encoding"), BYTES("gzip"));
	http_field_add(&head.fields, BYTES("connection"), BYTES("keep-alive"));
	http_field_add(&head.fields, BYTES("upgrade"), BYTES("x"));
	assert_int_equal(h1_encode_response(&head, out, sizeof(out)), strlen(expected));
	assert_memory_equal(out, expected, strlen(expected));
	head.version = HTTP_1_0;
	assert_int_equal(h1_encode_response(&head, out, sizeof(out)), 0);
}

static void chunk_heads_are_hexadecimal(void)
{
	static const uint64_t sizes[] = {0, 1, 9, 10, 15, 16, 255, 256, 4095, 4096, 65535, 65536,
		0x123456789abcdefu, INT64_MAX, UINT64_MAX};
	uint8_t out[H1_CHUNK_HEAD_MAX];
	char expected[32];

	for (unsigned i = 0; i < N_OF(sizes); i++) {
		int len = sprintf(expected, "%llx\r\n", (unsigned long long)sizes[i]);

		assert_int_equal(h1_encode_chunk_head(sizes[i], out), len);
		assert_memory_equal(out, expected, (size_t)len);
	}
}

TESTS(TEST(requests_are_refused_or_passed_on_as_the_table_says),
	TEST(responses_are_refused_or_passed_on_as_the_table_says),
	TEST(what_is_passed_on_is_passed_on_unchanged_by_a_second_gateway),
	TEST(every_rule_has_a_case), TEST(each_byte_is_allowed_where_the_grammar_says),
	TEST(http_1_0_is_accepted_only_when_enabled),
	TEST(what_the_scanner_did_not_see_is_judged_again),
	TEST(encoders_refuse_what_would_split_a_message),
	TEST(encoders_make_the_framing_fields_themselves), TEST(chunk_heads_are_hexadecimal))
