// Whether a failed attempt is made again, and when (reference 2.10). Pure functions of the route's policy and of what
// happened.
#pragma once

#include "router/config.h"
#include "router/http.h"
#include "router/reset_reason.h"

// A response head: true if the policy wants another attempt instead.
bool retry_wants_response(const struct retry_config *r, const struct http_head *response);

// An attempt that ended without a response. 'sent': bytes of the request had been sent.
bool retry_wants_reset(const struct retry_config *r, enum reset_reason reason, bool sent);

// The try's timeout has expired.
bool retry_wants_timeout(const struct retry_config *r);

// How long the n-th retry (1, 2, ...) waits: uniform in [0, min((2^n - 1) * base, 10 * base)), drawn by 'random'.
uint64_t retry_backoff_us(const struct retry_config *r, unsigned n, uint64_t random);
