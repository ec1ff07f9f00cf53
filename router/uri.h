// Request targets: path normalisation as Envoy and Istio do it (reference 8.6), and the parts of a
// path.
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "router/config.h"

#include <stdbool.h>

// The path without query and fragment.
struct bytes uri_path(struct bytes target);

// The query without its "?"; len 0 and ptr NULL if there is none.
struct bytes uri_query(struct bytes target);

// Drops the fragment and normalises the path of 'target' by 'mode'. '*out' is 'target' itself if
// nothing changes, else memory of 'a'. Returns false if the path cannot be accepted (no leading
// "/"; NUL or %00 unless 'mode' is NONE), or when it has to be changed and does not fit an
// allocation of the arena.
bool uri_normalize(
	struct bytes target, enum path_normalization mode, struct arena *a, struct bytes *out);

// The host of an authority without its port, as it stands. "[::1]:80" gives "[::1]".
struct bytes uri_host(struct bytes authority);

// True if 'authority' is a host (not empty) and an optional port in RFC 3986's alphabet, without
// user information. A comma is refused, though a reg-name may have one: "a,b" is what a proxy makes
// of two Host fields.
bool uri_authority_is_valid(struct bytes authority);

// The first value of 'key' in the query (raw, no decoding). Returns false if the key is not there.
bool uri_query_param(struct bytes query, struct bytes key, struct bytes *value);
