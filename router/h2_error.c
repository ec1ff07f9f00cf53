#include "router/h2_error.h"

#define H2_ERROR_ROW(name, rule, status, details, text) \
	const struct h1_error H2_ERR_##name = {         \
		rule, text, details, status, H1_N_ERRORS + H2_ERROR_INDEX_##name};
#include "router/h2_error.def"

const struct h1_error *const h2_errors[H2_N_ERRORS] = {
#define H2_ERROR_ROW(name, rule, status, details, text) &H2_ERR_##name,
#include "router/h2_error.def"
};
