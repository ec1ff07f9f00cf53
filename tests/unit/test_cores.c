// The list of cores in the configuration.

#include "dataplane/cores.h"
#include "tests/test_support.h"

#include <string.h>

static cpu_set_t allowed(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int c = 2; c <= 5; c++)
		CPU_SET(c, &set);
	CPU_SET(8, &set);
	return set;
}

static void lists_and_ranges_keep_their_order(void)
{
	unsigned cores[CORES_MAX];
	cpu_set_t set = allowed();
	char error[128], text[64];

	assert_int_equal(cores_parse("8,2-4", &set, cores, error, sizeof(error)), 4);
	assert_int_equal(cores[0], 8);
	assert_int_equal(cores[1], 2);
	assert_int_equal(cores[3], 4);
	assert_int_equal(cores_parse(NULL, &set, cores, error, sizeof(error)), 1);
	assert_int_equal(cores[0], 8);
	cores_print(&set, text, sizeof(text));
	assert_string_equal(text, "2-5,8");
}

static void mistakes_are_answered_with_a_sentence(void)
{
	static const struct {
		const char *text;
		const char *error;
	} cases[] = {
		{"1",     "core 1 is not available to this process; expected cores among 2-5,8"             },
		{"3-6",   "core 6 is not available to this process; expected cores among 2-5,8"             },
		{"2,3,2", "core 2 is listed twice in \"2,3,2\""                                             },
		{"4-2",   "\"4-2\" is not a list of cores; expected such as \"1\" or \"1-3,5\", among 2-5,8"},
		{"2,",    "\"2,\" is not a list of cores; expected such as \"1\" or \"1-3,5\", among 2-5,8" },
		{"two",   "\"two\" is not a list of cores; expected such as \"1\" or \"1-3,5\", among 2-5,8"},
		{"-3",    "\"-3\" is not a list of cores; expected such as \"1\" or \"1-3,5\", among 2-5,8" },
		{"99999",
                 "\"99999\" is not a list of cores; expected such as \"1\" or \"1-3,5\", among 2-5,8"       },
	};
	cpu_set_t set = allowed();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned cores[CORES_MAX];
		char error[128];

		assert_int_equal(cores_parse(cases[i].text, &set, cores, error, sizeof(error)), 0);
		assert_string_equal(error, cases[i].error);
	}
}

TESTS(TEST(lists_and_ranges_keep_their_order), TEST(mistakes_are_answered_with_a_sentence))
