// The route table of one server: which virtual host, and in it which route, answers a request
// (reference 1.8, 2.2, 2.3). Built on the mgmt thread, immutable, shared by all workers.
//
// Cost does not grow with the number of routes: hosts are found by hash (exact, then each suffix
// for wildcards); within a host, exact paths by hash, prefixes by a tree, and all regular
// expressions of all its matchers by one Hyperscan database in one pass. The candidates' other
// conditions are then tested in order, first match wins.
#pragma once

#include "dataplane/base/bytes.h"
#include "router/config.h"
#include "router/http.h"

#include <stdbool.h>
#include <stdint.h>

struct route_table;
struct virtual_host;
struct route_scratch; // per worker: Hyperscan scratch and the bitmaps of a match

// 'config' is borrowed and has to outlive the table. Returns NULL and a sentence in 'error' (a
// regular expression that does not compile, memory).
struct route_table *route_table_new(const struct route_table_config *config, char error[256]);
void route_table_free(struct route_table **tp);
const struct route_table_config *route_table_config(const struct route_table *t);

// True if 'regex' can be used in a match; else a sentence in 'error'. For mgmt's checks.
bool route_regex_check(const char *regex, char error[256]);

// mgmt thread: grows or makes '*sp' so that it serves 'table' too. A worker's scratch is made for a
// snapshot's tables before the worker sees the snapshot. Returns 0 or -ENOMEM.
int route_scratch_prepare(struct route_scratch **sp, const struct route_table *table);
void route_scratch_free(struct route_scratch **sp);

// The virtual host for 'authority' (port ignored, any case), or NULL.
const struct virtual_host *route_find_host(const struct route_table *t, struct bytes authority);
const struct virtual_host_config *virtual_host_config(const struct virtual_host *h);

// The first route of 'h' whose conditions 'request' meets, or NULL. 'request' is normalised; its
// path has the query.
const struct route_config *route_match(const struct virtual_host *h, struct route_scratch *scratch,
	const struct http_head *request);

// For "explain": calls 'fn' for each route of 'h' in order with NULL if it matches, else the name
// of the first condition that failed ("uri", "method", "header x-user"). Slow; mgmt thread with its
// own scratch.
typedef void route_explain_fn(void *arg, const struct route_config *route, const char *failed);
void route_explain(const struct virtual_host *h, struct route_scratch *scratch,
	const struct http_head *request, route_explain_fn *fn, void *arg);
