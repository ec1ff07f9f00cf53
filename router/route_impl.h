// A route table from the inside: built by route.c, read by route_match.c.
//
// A request's path leads to lists of routes whose path condition it meets: by hash, by tree, by one
// pass of Hyperscan. The lists are sorted by the routes' order, and merged while the other
// conditions are tested, until one route has all.
#pragma once

#include "router/route.h"
#include "router/route_index.h"
#include "router/route_regex.h"

// What a condition looks at.
enum subject_kind {
	SUBJECT_PATH,
	SUBJECT_METHOD,
	SUBJECT_SCHEME,
	SUBJECT_AUTHORITY,
	SUBJECT_HEADER,
	SUBJECT_QUERY,
};

struct subject {
	enum subject_kind kind;
	struct bytes name; // of a header or parameter
	struct route_regex_set regexes;
	uint32_t first_pattern; // of the set, among the host's
};

struct condition {
	enum subject_kind kind;
	enum http_field_id id;
	struct bytes name;
	const struct string_match *match;
	struct bytes text;
	bool invert;
	uint32_t subject; // of a regular expression
	uint32_t pattern; // in the subject's set
};

struct route {
	const struct route_config *config;
	struct condition path;
	struct condition *conditions; // the others, in the order of route_match
	unsigned n_conditions;
	uint8_t *lower; // text of 'path' in lower case, if that is what counts
};

struct virtual_host {
	const struct virtual_host_config *config;
	struct route *routes;
	struct route_list any; // routes whose path condition always holds
	struct route_index exact, exact_lower;
	struct route_tree prefixes, prefixes_lower;
	struct route_list
		*by_pattern; // routes by the pattern of the path's subject; NULL: no pattern
	uint32_t path_subject;
	struct subject *subjects;
	uint32_t n_subjects;
	uint32_t n_patterns;
};

struct route_table {
	const struct route_table_config *config;
	struct virtual_host *hosts;
	unsigned n_hosts; // built so far, while building
	struct route_index exact;
	struct route_index suffixes; // ".example" of "*.example"
	const struct virtual_host *any;
};
