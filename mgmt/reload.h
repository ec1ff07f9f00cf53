// Changing the configuration of a running gateway is a transaction: load, check, build, publish. All of it happens, or nothing
// changes and every reason is kept for whoever asks.
//
//     load (files -> checked config) --> publish (snapshot -> listeners -> workers) --> applied
//          |                                  |
//          +-- problems in a diag             +-- one sentence        --> rejected; what ran keeps running
//
// The steps are given as functions, so that this module knows nothing of files and workers. One thread calls it, which is what
// serialises concurrent requests.
#pragma once

#include "mgmt/config.h"
#include "mgmt/diag.h"

#include <stdbool.h>
#include <stdint.h>

#define RELOAD_ERROR_SIZE   512
#define RELOAD_VERSION_SIZE 80
#define RELOAD_MAX_WAITING  16

struct reload_ops {
	// As config_load(). Returns 0 or a negative errno with the problems in 'd'.
	int (*load)(void *arg, struct config **out, struct diag *d);
	// Makes '*router' (taken in any case) what the workers use. Returns 0; or a negative errno and a sentence, with nothing changed.
	int (*publish)(void *arg, struct router_config **router, char error[RELOAD_ERROR_SIZE]);
	void *arg;
};

// A change that waits for a restart.
struct reload_waiting {
	char field[64];
	char now[64];
	char wanted[64];
};

struct reload {
	struct reload_ops ops;
	struct config *started; // what the process was started with: fields that are fixed are its
	struct config *applied; // may be 'started'; its router part is gone to the snapshot
	struct diag *applied_diag;
	struct diag *rejected_diag; // of the last attempt if that was rejected, else NULL
	char version[RELOAD_VERSION_SIZE];
	char rejected_version[RELOAD_VERSION_SIZE]; // "" if it could not be read
	char rejected_reason[RELOAD_ERROR_SIZE]; // one sentence; "" if the last attempt was applied
	uint64_t applied_us;                     // mgmt clock
	uint64_t last_attempt_us;
	uint64_t n_applied; // the first one included
	uint64_t n_rejected;
	struct reload_waiting waiting[RELOAD_MAX_WAITING];
	unsigned n_waiting;
	unsigned n_more_waiting; // that found no place among these
};

// 'ops' is copied.
void reload_init(struct reload *r, const struct reload_ops *ops);
void reload_fini(struct reload *r);

// The configuration to start with: takes '*config' and '*d' in any case and publishes. Returns 0, or a negative errno with the
// reason in rejected_reason.
int reload_start(struct reload *r, struct config **config, struct diag **d, uint64_t now_us);

// The transaction. Returns 0, or a negative errno with the reasons in rejected_reason and rejected_diag.
int reload_run(struct reload *r, uint64_t now_us);

// Appliance settings that apply now: fixed ones from the start, the others from the last reload.
const struct appliance *reload_appliance(const struct reload *r);
