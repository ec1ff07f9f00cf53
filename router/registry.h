// What outlives every configuration: counters by HCM stat prefix and by listener, and names that connections
// remember. Found again by name; never freed, because its number is bounded by what operators name. Written by who
// builds a snapshot; readers on other threads walk the lists.
#pragma once

#include "router/hcm_stats.h"

// NULL without memory.
struct hcm_state *registry_hcm(const char *stat_prefix, unsigned n_workers);
struct listener_state *registry_listener(const char *name, unsigned n_workers);

// The one copy of 'name': equal names are equal pointers.
const char *registry_name(const char *name);

const struct hcm_state *registry_first_hcm(void);
const struct listener_state *registry_first_listener(void);
