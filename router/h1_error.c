#include "router/h1.h"

#define H1_ERROR_ROW(name, rule, status, details, text) \
	const struct h1_error H1_ERR_##name = {rule, text, details, status, H1_ERROR_INDEX_##name};
#include "router/h1_error.def"

const struct h1_error *const h1_errors[H1_N_ERRORS] = {
#define H1_ERROR_ROW(name, rule, status, details, text) &H1_ERR_##name,
#include "router/h1_error.def"
};
