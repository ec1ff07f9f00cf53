// All regular expressions that one virtual host has for one subject (its uri, its method, one
// header ...), compiled into one Hyperscan database: one pass over the value says which of them
// match it in full.
//
// The syntax is what RE2 (Envoy's and Istio's) and Hyperscan have in common: no back references, no
// look-around, no captures that matter. A value is bytes; "." is any byte but LF.
#pragma once

#include "dataplane/base/bytes.h"
#include "router/route_index.h"

#include <hs/hs.h>
#include <stdbool.h>
#include <stdint.h>

#define ROUTE_REGEX_MAX_LEN    1024 // Istio's limit
#define ROUTE_REGEX_ERROR_SIZE 256

struct route_regex_set {
	const char **patterns; // as configured; borrowed
	uint32_t n;
	uint32_t cap;
	struct route_index ids; // pattern -> its number in the set, so that equal ones are one
	hs_database_t *db;
};

// '*id' is the pattern's number in the set. Returns 0 or -ENOMEM.
int route_regex_add(struct route_regex_set *s, const char *regex, uint32_t *id);

// To be called when all patterns are added. Returns false and a sentence in 'error' that names the
// pattern.
bool route_regex_compile(struct route_regex_set *s, char error[ROUTE_REGEX_ERROR_SIZE]);

// Writes the numbers of the patterns that match 'subject' in full to 'found', which has room for
// s->n, in no order. Returns how many.
uint32_t route_regex_scan(const struct route_regex_set *s, hs_scratch_t *scratch,
	struct bytes subject, uint32_t *found);

void route_regex_fini(struct route_regex_set *s);
