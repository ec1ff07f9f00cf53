// The objects of h2_error.def; of h1.h's type, so that an exchange treats them alike.
#pragma once

#include "router/h1.h"

#define H2_ERROR_ROW(name, rule, status, details, text) extern const struct h1_error H2_ERR_##name;
#include "router/h2_error.def"

enum h2_error_index {
#define H2_ERROR_ROW(name, rule, status, details, text) H2_ERROR_INDEX_##name,
#include "router/h2_error.def"
	H2_N_ERRORS,
};

// Their 'index' follows those of h1_errors.
extern const struct h1_error *const h2_errors[H2_N_ERRORS];
