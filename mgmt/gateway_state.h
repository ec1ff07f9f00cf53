// What the running gateway consists of, for the commands of the control socket and the metrics. mgmt thread only.
#pragma once

#include "dataplane/dataplane.h"
#include "mgmt/admin_server.h"
#include "mgmt/drain.h"
#include "mgmt/gateway.h"
#include "mgmt/health.h"
#include "mgmt/log_writer.h"
#include "mgmt/loop.h"
#include "mgmt/reload.h"
#include "mgmt/sizing.h"
#include "router/router.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct capture; // admin_capture.c

struct gateway {
	// set at start
	struct gateway_options options;
	struct sizing sizing;
	struct loop *loop;
	struct loop_source signals;
	struct loop_source kernel; // news about shared interfaces
	struct router *router;
	struct dataplane *dataplane;
	struct worker *const *workers;
	unsigned n_workers;
	struct log_writer *log_writer;
	struct log_ring *log_rings[DATAPLANE_MAX_WORKERS];
	struct http_endpoint *health;
	struct http_endpoint *metrics;
	struct admin_server *admin;
	uint64_t started_us; // mgmt clock
	// changes
	struct reload reload;
	struct drain drain;
	struct capture *capture; // NULL: nobody looks at the frames
	bool serving;            // the first configuration is published
	bool ended;
	uint64_t n_cut;           // requests that the drain's end cut
	uint64_t next_second_us;  // of what is done once a second
	uint64_t next_router_us;  // of router_tick(), mgmt clock
	int64_t worker_offset_us; // workers' clock minus mgmt clock
};

// True while load balancers should send here.
bool gateway_is_ready(const struct gateway *gw);

// What each worker has room for, as far as memory and configuration allow.
struct router_room gateway_room(const struct gateway *gw);

// "starting", "serving", "draining", ...
const char *gateway_state_name(const struct gateway *gw);

// The mgmt clock's time as the workers' clock shows it.
uint64_t gateway_worker_time(const struct gateway *gw, uint64_t now_us);

// Starts a drain with the Appliance's timeout.
void gateway_drain(struct gateway *gw, uint64_t now_us);

// Writes the metrics text.
void gateway_write_metrics(struct gateway *gw, FILE *to);
