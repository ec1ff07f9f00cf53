// The language of the control socket, its command table, and how answers look to people.
#include "mgmt/admin.h"
#include "mgmt/ctl_top.h"

#include "tests/test_support.h"

#include <stdlib.h>
#include <string.h>

// --- words

static void a_line_is_split_at_blanks_and_quotes_are_undone(void)
{
	char line[] = "  explain --host shop.example -H \"x-user: a \\\"b\\\" \\\\\" \r";
	struct admin_words w;

	assert_null(admin_split(line, &w));
	assert_int_equal(w.n, 5);
	assert_string_equal(w.at[0], "explain");
	assert_string_equal(w.at[2], "shop.example");
	assert_string_equal(w.at[4], "x-user: a \"b\" \\");
	assert_false(w.json);
}

static void json_in_front_is_a_wish_and_no_word(void)
{
	char line[] = "json clusters json";
	struct admin_words w;

	assert_null(admin_split(line, &w));
	assert_true(w.json);
	assert_int_equal(w.n, 2);
	assert_string_equal(w.at[1], "json");
}

static void what_cannot_be_split_is_named(void)
{
	char empty[] = " \t ", open[] = "status \"x", many[ADMIN_MAX_WORDS * 2 + 3] = "";
	struct admin_words w;

	assert_string_equal(admin_split(empty, &w), "no command");
	assert_string_equal(admin_split(open, &w), "a quote is not closed");
	for (unsigned i = 0; i <= ADMIN_MAX_WORDS; i++)
		memcpy(many + i * 2, "a ", 3);
	assert_string_equal(admin_split(many, &w), "too many words");
}

static void a_quoted_word_reads_back_as_it_was(void)
{
	static const char *const words[] = {
		"plain", "", "a b\tc", "say \"hi\"", "back\\slash\\", "\"", "\xc3\xa9"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char line[128] = "";
		FILE *to = fmemopen(line, sizeof(line), "w");
		struct admin_words w;

		fputs("cmd ", to);
		admin_quote(to, words[i]);
		fclose(to);
		assert_null(admin_split(line, &w));
		assert_int_equal(w.n, 2);
		assert_string_equal(w.at[1], words[i]);
	}
}

static void a_line_break_cannot_smuggle_a_second_command(void)
{
	char line[64] = "";
	FILE *to = fmemopen(line, sizeof(line), "w");

	admin_quote(to, "x\ndrain");
	fclose(to);
	assert_null(strchr(line, '\n'));
}

// --- table

static enum admin_code code_of(const char *text)
{
	struct admin_answer a = {.code = ADMIN_CODE_DONE};
	struct admin_words w;
	char line[256];

	snprintf(line, sizeof(line), "%s", text);
	assert_null(admin_split(line, &w));
	return admin_find(&w, &a) != NULL ? ADMIN_CODE_DONE : a.code;
}

static void commands_are_found_and_their_arguments_counted(void)
{
	assert_int_equal(code_of("status"), ADMIN_CODE_DONE);
	assert_int_equal(code_of("clusters checkout"), ADMIN_CODE_DONE);
	assert_int_equal(code_of("clusters checkout payment"), ADMIN_CODE_ARGUMENTS);
	assert_int_equal(code_of("status now"), ADMIN_CODE_ARGUMENTS);
	assert_int_equal(code_of("explain"), ADMIN_CODE_ARGUMENTS);
	assert_int_equal(code_of("statu"), ADMIN_CODE_NO_COMMAND);
	assert_int_equal(code_of("STATUS"), ADMIN_CODE_NO_COMMAND);
}

static void every_command_has_a_help_and_sane_bounds(void)
{
	for (unsigned i = 0; i < ADMIN_N_COMMANDS; i++) {
		const struct admin_command *c = &admin_commands[i];

		assert_true(strlen(c->help) > 0);
		assert_true(c->min_args <= c->max_args);
		assert_true(c->max_args < ADMIN_MAX_WORDS);
		assert_true((c->usage[0] != '\0') == (c->max_args > 0));
	}
}

// --- answers

static char *answer(struct admin_answer *a, bool json)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	admin_write_answer(to, a, json);
	fclose(to);
	return text;
}

static void an_answer_without_data_is_one_line(void)
{
	struct admin_answer a = {.code = ADMIN_CODE_DONE};
	char *text = answer(&a, false);

	assert_string_equal(text, "0000 done\n");
	free(text);
	admin_end(&a, ADMIN_CODE_FAILED, "line one\nline two");
	text = answer(&a, true);
	assert_string_equal(text, "8000 line one line two\n");
	free(text);
}

static void json_and_text_say_the_same(void)
{
	struct admin_answer a = {.body = json_pack("{s:s, s:i, s:b, s:n}", "state", "serving", "n",
					 3, "ready", 1, "x")};
	char *text;

	json_incref(a.body);
	struct admin_answer b = {.body = a.body};

	text = answer(&a, true);
	assert_string_equal(text,
		"1001 {\"state\":\"serving\",\"n\":3,\"ready\":true,\"x\":null}\n0000 done\n");
	free(text);
	text = answer(&b, false);
	assert_string_equal(
		text, "1000 state: serving\n1000 n: 3\n1000 ready: yes\n1000 x: -\n0000 done\n");
	free(text);
}

static void rows_become_a_table_with_aligned_columns(void)
{
	struct admin_answer a = {
		.body = json_pack("[{s:s, s:i, s:[s,s]}, {s:s, s:i, s:[]}]", "name", "long-name",
			"n", 1, "sni", "a", "b", "name", "b", "n", 12345, "sni")};
	char *text = answer(&a, false);

	assert_string_equal(text,
		"1000 NAME       N      SNI\n"
		"1000 long-name  1      a, b\n"
		"1000 b          12345  -\n"
		"0000 done\n");
	free(text);
}

static void deeper_objects_are_blocks_with_indented_tables(void)
{
	struct admin_answer a = {
		.body = json_pack("[{s:s, s:[{s:i}]}, {s:s, s:{s:i}}]", "cluster", "a", "endpoints",
			"w", 1, "cluster", "b", "counters", "x", 2)};
	char *text = answer(&a, false);

	assert_string_equal(text,
		"1000 cluster: a\n"
		"1000 endpoints:\n"
		"1000   W\n"
		"1000   1\n"
		"1000 \n"
		"1000 cluster: b\n"
		"1000 counters:\n"
		"1000   x: 2\n"
		"0000 done\n");
	free(text);
}

static void sentences_stand_on_lines_of_their_own(void)
{
	struct admin_answer a = {.body = json_pack("{s:[s,s], s:[s,s], s:[]}", "warnings",
					 "a is odd", "b", "paths", "x", "y", "errors")};
	char *text = answer(&a, false);

	assert_string_equal(text,
		"1000 warnings:\n"
		"1000   a is odd\n"
		"1000   b\n"
		"1000 paths: x, y\n"
		"1000 errors: -\n"
		"0000 done\n");
	free(text);
}

static void the_only_list_of_an_answer_has_no_heading(void)
{
	struct admin_answer a = {.code = ADMIN_CODE_DONE};
	json_t *list = admin_list(&a, "clusters");
	char *text;

	json_array_append_new(list, json_pack("{s:i}", "x", 1));
	text = answer(&a, false);
	assert_string_equal(text, "1000 X\n1000 1\n0000 done\n");
	free(text);
}

static void control_characters_do_not_reach_a_terminal(void)
{
	struct admin_answer a = {.body = json_pack("{s:o}", "x", admin_string("\x1b[2J\x7f"))};
	char *text = answer(&a, false);

	assert_string_equal(text, "1000 x: ?[2J?\n0000 done\n");
	free(text);
}

static void bytes_that_are_not_utf8_are_shown_all_the_same(void)
{
	json_t *s = admin_string("caf\xe9");

	assert_string_equal(json_string_value(s), "caf?");
	json_decref(s);
	s = admin_string("caf\xc3\xa9");
	assert_string_equal(json_string_value(s), "caf\xc3\xa9");
	json_decref(s);
	assert_true(json_is_null(admin_string(NULL)));
}

static void answer_lines_are_read_strictly(void)
{
	const char *text;
	unsigned code;

	assert_true(admin_parse_line("1000 a  b", &code, &text));
	assert_int_equal(code, 1000);
	assert_string_equal(text, "a  b");
	assert_false(admin_code_ends(code));
	assert_true(admin_parse_line("0000 done", &code, &text));
	assert_true(admin_code_ends(code));
	assert_false(admin_parse_line("100 a", &code, &text));
	assert_false(admin_parse_line("10000 a", &code, &text));
	assert_false(admin_parse_line("", &code, &text));
}

// --- top

static void rates_are_differences_over_time_busiest_first(void)
{
	json_t *before =
		json_loads("{\"time_us\":1000000,\"requests\":100,\"active\":0,"
			   "\"connections\":0,\"workers\":[{\"worker\":0,\"rx_packets\":0,"
			   "\"tx_packets\":0,\"busy_cycles\":0,\"idle_cycles\":0}],"
			   "\"clusters\":[{\"cluster\":\"a\",\"requests\":10,\"healthy\":1},"
			   "{\"cluster\":\"b\",\"requests\":10,\"healthy\":1}]}",
			0, NULL);
	json_t *after = json_loads("{\"time_us\":3000000,\"requests\":300,\"active\":7,"
				   "\"connections\":9,\"workers\":[{\"worker\":0,\"rx_packets\":50,"
				   "\"tx_packets\":20,\"busy_cycles\":25,\"idle_cycles\":75}],"
				   "\"clusters\":[{\"cluster\":\"a\",\"requests\":4,\"active\":0,"
				   "\"healthy\":1,\"endpoints\":3},"
				   "{\"cluster\":\"b\",\"requests\":50,\"active\":0,\"healthy\":2,"
				   "\"endpoints\":3},{\"cluster\":\"new\",\"requests\":50}]}",
		0, NULL);
	json_t *rates = ctl_top_rates(before, after);
	json_t *clusters = json_object_get(rates, "clusters");
	json_t *worker = json_array_get(json_object_get(rates, "workers"), 0);

	assert_true(json_number_value(json_object_get(rates, "requests_per_s")) == 100.0);
	assert_int_equal(json_integer_value(json_object_get(rates, "active")), 7);
	assert_true(json_number_value(json_object_get(worker, "busy_percent")) == 25.0);
	assert_int_equal(json_array_size(clusters), 2);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(clusters, 0), "cluster")), "b");
	assert_true(
		json_number_value(json_object_get(json_array_get(clusters, 0), "requests_per_s"))
		== 20.0);
	// 'a' went back: the gateway was restarted in between.
	assert_true(
		json_number_value(json_object_get(json_array_get(clusters, 1), "requests_per_s"))
		== 0.0);
	assert_null(ctl_top_rates(after, before));
	json_decref(rates);
	json_decref(before);
	json_decref(after);
}

TESTS(TEST(a_line_is_split_at_blanks_and_quotes_are_undone),
	TEST(json_in_front_is_a_wish_and_no_word), TEST(what_cannot_be_split_is_named),
	TEST(a_quoted_word_reads_back_as_it_was),
	TEST(a_line_break_cannot_smuggle_a_second_command),
	TEST(commands_are_found_and_their_arguments_counted),
	TEST(every_command_has_a_help_and_sane_bounds), TEST(an_answer_without_data_is_one_line),
	TEST(json_and_text_say_the_same), TEST(rows_become_a_table_with_aligned_columns),
	TEST(deeper_objects_are_blocks_with_indented_tables),
	TEST(sentences_stand_on_lines_of_their_own),
	TEST(the_only_list_of_an_answer_has_no_heading),
	TEST(control_characters_do_not_reach_a_terminal),
	TEST(bytes_that_are_not_utf8_are_shown_all_the_same), TEST(answer_lines_are_read_strictly),
	TEST(rates_are_differences_over_time_busiest_first))
