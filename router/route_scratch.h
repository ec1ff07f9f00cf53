// What one worker needs while it matches a request, sized for the tables it is prepared for, and
// what it counts. For route.c, route_match.c and their tests.
#pragma once

#include "router/route_index.h"

#include <hs/hs.h>
#include <stdint.h>

// Larger than any head; only pages that are used become resident.
#define ROUTE_SCRATCH_TEXT_SIZE (256u * 1024)

struct route_cursor {
	const uint32_t *at;
	const uint32_t *end;
};

struct route_scratch {
	// set by route_scratch_prepare()
	hs_scratch_t *hs;                // NULL: no table has a regular expression
	struct route_cursor *cursors;    // [max_lists]
	const struct route_list **lists; // [max_lists]
	uint32_t *found;                 // [max_patterns] what the last pass found
	uint64_t *matched_in; // [max_patterns] the last request that the host's pattern matched
	uint64_t *passed_in;  // [max_subjects] the last request for which a subject was passed
	uint8_t *lower;       // [ROUTE_SCRATCH_TEXT_SIZE] the path in lower case
	uint8_t *joined;      // [ROUTE_SCRATCH_TEXT_SIZE] a field's values as one
	uint32_t max_lists;
	uint32_t max_patterns;
	uint32_t max_subjects;
	// per request
	uint32_t n_found;
	uint64_t n_requests;   // also the name of the present one
	uint64_t n_candidates; // routes whose path condition held and whose others were looked at
	uint64_t n_passes;     // of Hyperscan
};
