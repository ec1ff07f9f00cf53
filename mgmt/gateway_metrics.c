// What the metrics are made of, gathered from the running gateway.
#include "dataplane/base/log.h"
#include "mgmt/export.h"
#include "mgmt/gateway_state.h"

#include <time.h>

static struct export_config config_of(const struct gateway *gw, uint64_t now_us)
{
	const struct reload *r = &gw->reload;

	return (struct export_config){
		.version = r->n_applied > 0 ? r->version : NULL,
		.age_s = (now_us - r->applied_us) / 1000000,
		.n_loaded = r->n_applied,
		.n_rejected = r->n_rejected,
		.last_load_rejected = r->rejected_reason[0] != '\0',
		.n_retired = router_n_retired(gw->router),
	};
}

static unsigned ports_of(const struct gateway *gw, struct port_status ports[DATAPLANE_MAX_PORTS])
{
	unsigned n = 0;

	while (n < DATAPLANE_MAX_PORTS && dataplane_port_status(gw->dataplane, n, &ports[n]))
		n++;
	return n;
}

void gateway_write_metrics(struct gateway *gw, FILE *to)
{
	struct export_worker workers[DATAPLANE_MAX_WORKERS];
	struct port_status ports[DATAPLANE_MAX_PORTS];
	struct export_buffer text = {0};
	struct memory_status memory;
	uint64_t now_us = loop_now_us();

	for (unsigned i = 0; i < gw->n_workers; i++)
		workers[i] = (struct export_worker){
			.dataplane = worker_stats(gw->workers[i]),
			.tls = router_worker_tls_stats(gw->router, i),
			.router = router_worker_stats(gw->router, i),
			.rules = router_worker_rules(gw->router, i),
		};
	dataplane_memory_status(gw->dataplane, &memory);
	export_prometheus(
		&(struct export_sources){
			.program_version = POLLGATE_VERSION,
			.now_s = (int64_t)time(NULL),
			.uptime_s = (now_us - gw->started_us) / 1000000,
			.workers = workers,
			.n_workers = gw->n_workers,
			.ports = ports,
			.n_ports = ports_of(gw, ports),
			.memory = &memory,
			.snapshot = router_current(gw->router),
			.hcms = router_first_hcm(gw->router),
			.listeners = router_first_listener(gw->router),
			.requests = router_request_metrics(gw->router),
			.config = config_of(gw, now_us),
			.log_lost = log_lost(),
			.draining = gw->drain.phase != DRAIN_SERVING,
		},
		&text);
	fwrite(text.text, 1, text.len, to);
	export_buffer_free(&text);
}
