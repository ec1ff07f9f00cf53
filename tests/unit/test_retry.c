// Retry policies, reference 2.10, as pure functions.

#include "router/retry.h"
#include "tests/test_support.h"

static void resets_are_retried_by_reason(void)
{
	static const struct {
		uint32_t on;
		enum reset_reason reason;
		bool sent;
		bool wanted;
	} cases[] = {
		{RETRY_5XX,                  RESET_CONNECTION_TERMINATION,    true,  true },
		{RETRY_5XX,                  RESET_OVERFLOW,                  false, false},
		{RETRY_GATEWAY_ERROR,        RESET_REMOTE_CONNECTION_FAILURE, false, true },
		{RETRY_RESET,                RESET_CONNECTION_TERMINATION,    true,  true },
		{RETRY_RESET,                RESET_OVERFLOW,                  false, false},
		{RETRY_RESET_BEFORE_REQUEST, RESET_CONNECTION_TERMINATION,    true,  false},
		{RETRY_RESET_BEFORE_REQUEST, RESET_CONNECTION_TERMINATION,    false, true },
		{RETRY_CONNECT_FAILURE,      RESET_LOCAL_CONNECTION_FAILURE,  false, true },
		{RETRY_CONNECT_FAILURE,      RESET_CONNECTION_TIMEOUT,        false, true },
		{RETRY_CONNECT_FAILURE,      RESET_CONNECTION_TERMINATION,    true,  false},
		{RETRY_REFUSED_STREAM,       RESET_REMOTE_REFUSED,            true,  true },
		{RETRY_REFUSED_STREAM,       RESET_REMOTE_RESET,              true,  false},
		{RETRY_RETRIABLE_4XX,        RESET_CONNECTION_TERMINATION,    true,  false},
		{0,			  RESET_REMOTE_CONNECTION_FAILURE, false, false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct retry_config r = {.on = cases[i].on, .attempts = 1};

		assert_int_equal(
			retry_wants_reset(&r, cases[i].reason, cases[i].sent), cases[i].wanted);
	}
}

static void rate_limited_answers_are_final_unless_the_policy_names_them(void)
{
	struct retry_config r = {.on = RETRY_5XX, .attempts = 1};
	static struct http_head h;

	h.status = 503;
	assert_true(retry_wants_response(&r, &h));
	http_field_add(&h.fields, BYTES("x-envoy-ratelimited"), BYTES("true"));
	assert_false(retry_wants_response(&r, &h));
	r.on |= RETRY_ENVOY_RATELIMITED;
	assert_true(retry_wants_response(&r, &h));
}

static void grpc_statuses_are_read_from_the_head(void)
{
	static const struct {
		uint32_t on;
		const char *status;
		bool wanted;
	} cases[] = {
		{RETRY_GRPC_UNAVAILABLE,        "14", true },
		{RETRY_GRPC_UNAVAILABLE,        "13", false},
		{RETRY_GRPC_CANCELLED,          "1",  true },
		{RETRY_GRPC_CANCELLED,          "14", false},
		{RETRY_GRPC_RESOURCE_EXHAUSTED, "8",  true },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct retry_config r = {.on = cases[i].on, .attempts = 1};
		static struct http_head h;

		h.status = 200;
		h.fields.n = 0;
		http_field_add(&h.fields, BYTES("grpc-status"), bytes_of_str(cases[i].status));
		assert_int_equal(retry_wants_response(&r, &h), cases[i].wanted);
	}
}

static void backoff_is_jittered_and_capped_at_ten_times_the_base(void)
{
	struct retry_config r = {.backoff_base_us = 1000};
	static const uint64_t bounds[] = {1000, 3000, 7000, 10000, 10000};

	for (unsigned n = 1; n <= 5; n++) {
		assert_int_equal(retry_backoff_us(&r, n, bounds[n - 1] - 1), bounds[n - 1] - 1);
		assert_int_equal(retry_backoff_us(&r, n, bounds[n - 1]), 0);
	}
	assert_int_equal(retry_backoff_us(&r, UINT32_MAX, 9999), 9999);
	r.backoff_base_us = 0; // the default is 25 ms
	assert_int_equal(retry_backoff_us(&r, 1, 24999), 24999);
	assert_int_equal(retry_backoff_us(&r, 1, 25000), 0);
}

TESTS(TEST(resets_are_retried_by_reason),
	TEST(rate_limited_answers_are_final_unless_the_policy_names_them),
	TEST(grpc_statuses_are_read_from_the_head),
	TEST(backoff_is_jittered_and_capped_at_ten_times_the_base))
