#include "router/retry.h"

#define DEFAULT_BACKOFF_US 25000u
#define MAX_BACKOFF_FACTOR 10u

// gRPC status codes that policies name, in trailers-only responses.
static const struct {
	const char *status;
	uint32_t on;
} grpc_policies[] = {
	{"1",  RETRY_GRPC_CANCELLED         },
	{"4",  RETRY_GRPC_DEADLINE_EXCEEDED },
	{"8",  RETRY_GRPC_RESOURCE_EXHAUSTED},
	{"13", RETRY_GRPC_INTERNAL          },
	{"14", RETRY_GRPC_UNAVAILABLE       },
};

static bool wants_status(const struct retry_config *r, unsigned status)
{
	if (r->on & RETRY_5XX && status >= 500 && status <= 599)
		return true;
	if (r->on & RETRY_GATEWAY_ERROR && status >= 502 && status <= 504)
		return true;
	if (r->on & RETRY_RETRIABLE_4XX && status == 409)
		return true;
	if (!(r->on & RETRY_RETRIABLE_STATUS_CODES))
		return false;
	for (unsigned i = 0; i < r->n_status_codes; i++) {
		if (r->status_codes[i] == status)
			return true;
	}
	return false;
}

bool retry_wants_response(const struct retry_config *r, const struct http_head *response)
{
	const struct http_field *grpc;

	// A rate limiter's answer is final unless the policy says otherwise.
	if (http_field_find_name(&response->fields, BYTES("x-envoy-ratelimited")) != NULL)
		return (r->on & RETRY_ENVOY_RATELIMITED) != 0;
	if (wants_status(r, response->status))
		return true;
	grpc = http_field_find(&response->fields, HTTP_FIELD_GRPC_STATUS);
	for (unsigned i = 0; grpc != NULL && i < sizeof(grpc_policies) / sizeof(grpc_policies[0]);
		i++) {
		if (r->on & grpc_policies[i].on
			&& bytes_equal_str(grpc->value, grpc_policies[i].status))
			return true;
	}
	return false;
}

bool retry_wants_reset(const struct retry_config *r, enum reset_reason reason, bool sent)
{
	if (reason == RESET_OVERFLOW)
		return false;
	if (r->on & (RETRY_5XX | RETRY_GATEWAY_ERROR | RETRY_RESET))
		return true;
	if (r->on & RETRY_RESET_BEFORE_REQUEST && !sent)
		return true;
	if (r->on & RETRY_REFUSED_STREAM && reason == RESET_REMOTE_REFUSED)
		return true;
	return r->on & RETRY_CONNECT_FAILURE && reset_reason_is_connect(reason);
}

bool retry_wants_timeout(const struct retry_config *r)
{
	return (r->on & (RETRY_5XX | RETRY_GATEWAY_ERROR | RETRY_RESET)) != 0;
}

uint64_t retry_backoff_us(const struct retry_config *r, unsigned n, uint64_t random)
{
	uint64_t base = r->backoff_base_us > 0 ? r->backoff_base_us : DEFAULT_BACKOFF_US;
	uint64_t factor = n < 4 ? (1u << n) - 1 : MAX_BACKOFF_FACTOR;

	return random % (factor * base);
}
