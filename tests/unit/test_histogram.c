// Buckets of a histogram, and the names of response flags.

#include "router/histogram.h"
#include "router/record.h"
#include "tests/test_support.h"

#include <stdlib.h>

static void a_value_counts_below_the_first_bound_that_is_not_smaller(void)
{
	static const struct {
		uint64_t milli;
		const char *bound;
	} cases[] = {
		{0,          "0.5"    },
		{500,        "0.5"    },
		{501,        "1"      },
		{1000,       "1"      },
		{1001,       "5"      },
		{49999,      "50"     },
		{2500000,    "2500"   },
		{3600000000, "3600000"},
		{3600000001, "+Inf"   },
		{UINT64_MAX, "+Inf"   },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct histogram h = {0};

		histogram_record(&h, cases[i].milli);
		for (unsigned b = 0; b < HISTOGRAM_N_BUCKETS; b++) {
			bool expected = strcmp(histogram_bounds[b], cases[i].bound) == 0;

			assert_int_equal(h.buckets[b], expected ? 1 : 0);
		}
		assert_true(h.sum == cases[i].milli);
	}
}

static void bounds_are_printed_as_they_are(void)
{
	for (unsigned b = 0; b + 1 < HISTOGRAM_N_BUCKETS; b++) {
		struct histogram at = {0}, above = {0};
		uint64_t milli = (uint64_t)(strtod(histogram_bounds[b], NULL) * 1000);

		histogram_record(&at, milli);
		histogram_record(&above, milli + 1);
		assert_int_equal(at.buckets[b], 1);
		assert_int_equal(above.buckets[b + 1], 1);
	}
}

static void merging_adds_up(void)
{
	struct histogram a = {0}, b = {0};

	histogram_record(&a, 700);
	histogram_record(&b, 800);
	histogram_record(&b, 90000);
	histogram_merge(&a, &b);
	assert_int_equal(a.buckets[1], 2);
	assert_int_equal(a.buckets[6], 1);
	assert_int_equal(a.sum, 91500);
}

static void flags_print_in_the_order_they_were_set(void)
{
	struct response_flags f = {0};
	char text[RESPONSE_FLAGS_TEXT_SIZE];

	assert_int_equal(response_flags_print(&f, text), 1);
	assert_int_equal(text[0], '-');
	response_flags_add(&f, RESPONSE_FLAG_URX);
	response_flags_add(&f, RESPONSE_FLAG_UF);
	response_flags_add(&f, RESPONSE_FLAG_URX);
	assert_int_equal(response_flags_print(&f, text), 6);
	assert_memory_equal(text, "URX,UF", 6);
	assert_true(response_flags_has(&f, RESPONSE_FLAG_UF));
	assert_false(response_flags_has(&f, RESPONSE_FLAG_NR));
}

static void any_set_of_flags_fits_its_text(void)
{
	struct response_flags f = {0};
	char text[RESPONSE_FLAGS_TEXT_SIZE];

	for (unsigned flag = N_RESPONSE_FLAGS; flag-- > 0;)
		response_flags_add(&f, (enum response_flag)flag);
	assert_int_equal(f.n, sizeof(f.at));
	assert_true(response_flags_print(&f, text) <= sizeof(text));
	assert_string_equal(response_flag_long_name(RESPONSE_FLAG_UO), "UpstreamOverflow");
}

TESTS(TEST(a_value_counts_below_the_first_bound_that_is_not_smaller),
	TEST(bounds_are_printed_as_they_are), TEST(merging_adds_up),
	TEST(flags_print_in_the_order_they_were_set), TEST(any_set_of_flags_fits_its_text))
