// Outlier detection (reference 3.6): takes endpoints that keep failing out of the choice for a while.
//
//     an attempt ends --> outlier_record() [any worker]      --> failures in a row --> eject
//     mgmt tick       --> outlier_sweep()  [mgmt thread]     --> time served       --> return
//
// Detection and ejection happen on the worker that saw the failure, at once, with atomics: the next pick on any
// worker already avoids the endpoint. Every ejection, every suppressed one and every return is logged with its numbers.
//
// The share of a cluster that may be out is a hard limit: a place among the ejected is taken before the endpoint is
// marked, so that workers which detect at the same moment cannot exceed it together. One difference to Envoy is meant:
// with 'always_eject_one', the first of two or more endpoints may go whatever the percentage says (design 7).
//
// While an endpoint is out, its results do not count: Envoy counts them and forgets them at its return.
#pragma once

#include "router/cluster.h"

#include <stdbool.h>
#include <stdint.h>

// Notes how an attempt on 'e' ended: an HTTP status, or what the failure maps to (504 timeout, 503 connect failure or
// reset). May eject 'e'. Any worker.
void outlier_record(const struct cluster *c, struct endpoint *e, unsigned status, uint64_t now_us);

// Returns endpoints that have served their time, steps multipliers down. mgmt thread only; does nothing before the
// interval is over. Returns when to call again (now_us scale), UINT64_MAX if detection is off.
uint64_t outlier_sweep(const struct cluster *c, uint64_t now_us);

// Forgets the ejection of 'e', if any: it left the configuration, or detection was switched off (outlier_sweep() then does it by
// itself). Exchanges that began under an older configuration may eject an endpoint that has left, so its owner calls this again
// before it frees the endpoint. mgmt thread.
void outlier_forget(struct cluster_state *state, struct endpoint *e);
