#include "mgmt/gateway_state.h"

#include "dataplane/base/log.h"
#include "mgmt/admin.h"
#include "mgmt/background.h"
#include "mgmt/startup_table.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

LOG_MODULE("gateway")

#define LOG_PERIOD_US    100000u
#define SECOND_US        1000000u
#define STREAM_PERIOD_US 5000u // between two looks at what an answer goes on with
#define MAX_SERIES       4096u // of istio_requests_total and its like, for each worker
#define START_ERROR_SIZE 640

bool gateway_is_ready(const struct gateway *gw)
{
	return gw->serving && gw->drain.phase == DRAIN_SERVING;
}

struct router_room gateway_room(const struct gateway *gw)
{
	struct router_room room = router_room(gw->router);
	uint32_t most = router_current(gw->router)->config->http.max_connections;
	struct memory_status m;

	dataplane_memory_status(gw->dataplane, &m);
	if (room.connections > m.connections)
		room.connections = m.connections;
	if (most > 0 && room.connections > most)
		room.connections = most;
	if (room.tls_connections > room.connections)
		room.tls_connections = room.connections;
	if (room.tls_http2_connections > room.connections)
		room.tls_http2_connections = room.connections;
	return room;
}

const char *gateway_state_name(const struct gateway *gw)
{
	return gw->serving ? drain_phase_name(gw->drain.phase) : "starting";
}

uint64_t gateway_worker_time(const struct gateway *gw, uint64_t now_us)
{
	return (uint64_t)((int64_t)now_us + gw->worker_offset_us);
}

void gateway_drain(struct gateway *gw, uint64_t now_us)
{
	if (gw->drain.phase == DRAIN_SERVING)
		log_info("draining (timeout=%llus)",
			(unsigned long long)(reload_appliance(&gw->reload)->drain_timeout_us
				/ SECOND_US));
	drain_start(&gw->drain, reload_appliance(&gw->reload)->drain_timeout_us, now_us);
}

// --- timers of the data plane

static void read_clock(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	(void)state, (void)w;
	*(uint64_t *)arg = now_us;
}

static void tick_dataplane(struct gateway *gw, uint64_t now_us)
{
	uint64_t worker_us = now_us;

	worker_call(gw->workers[0], read_clock, &worker_us);
	gw->worker_offset_us = (int64_t)worker_us - (int64_t)loop_now_us();
	dataplane_tick(gw->dataplane);
}

// --- configuration

// While a configuration is read and built, which may take many seconds (regular expressions are compiled then): probes are
// answered, lest a gateway that serves be killed, and what the kernel says of its interfaces goes to the workers. All else
// waits: it may look at what is being built.
static void serve_meanwhile(void *arg)
{
	struct gateway *gw = arg;
	uint64_t now_us = loop_now_us();

	log_drain();
	if (gw->health != NULL)
		http_endpoint_run(gw->health);
	if (gw->kernel.fd >= 0)
		dataplane_follow(gw->dataplane);
	if (now_us >= gw->next_second_us) {
		tick_dataplane(gw, now_us);
		gw->next_second_us = now_us + SECOND_US;
	}
}

static void do_beside(struct gateway *gw, background_fn *work, void *arg)
{
	struct background_meanwhile meanwhile = {.fn = serve_meanwhile, .arg = gw, .n_fds = 2};

	meanwhile.fds[0] = gw->health != NULL ? http_endpoint_fd(gw->health) : -1;
	meanwhile.fds[1] = gw->kernel.fd;
	background_run(work, arg, &meanwhile);
}

struct load_job {
	const struct gateway_options *options;
	struct config **out;
	struct diag *d;
	int result;
};

static void do_load(void *arg)
{
	struct load_job *j = arg;

	j->result = config_load(j->out, j->options->paths, j->options->n_paths, j->d);
}

static int load(void *arg, struct config **out, struct diag *d)
{
	struct gateway *gw = arg;
	struct load_job job = {&gw->options, out, d, 0};

	do_beside(gw, do_load, &job);
	return job.result;
}

// Which ports of a shared interface are ours. What is logged is all that can be done about a failure.
static void take_ports(struct gateway *gw)
{
	const struct router_config *c = router_current(gw->router)->config;
	uint16_t *ports = calloc(c->n_listeners + 1, sizeof(*ports));

	for (unsigned i = 0; ports != NULL && i < c->n_listeners; i++)
		ports[i] = c->listeners[i].local.port;
	if (ports != NULL)
		dataplane_listen(gw->dataplane, ports, c->n_listeners);
	free(ports);
}

struct build_job {
	struct router_config **router;
	const struct snapshot *previous;
	unsigned n_workers;
	char *error;
	struct snapshot *result;
};

static void do_build(void *arg)
{
	struct build_job *j = arg;

	j->result = snapshot_new(j->router, j->previous, j->n_workers, j->error);
}

static int publish(void *arg, struct router_config **router, char error[RELOAD_ERROR_SIZE])
{
	struct gateway *gw = arg;
	struct build_job job = {router, router_current(gw->router), gw->n_workers, error, NULL};
	int err;

	do_beside(gw, do_build, &job);
	if (job.result == NULL)
		return -EINVAL;
	err = router_publish(gw->router, gw->workers, &job.result, error);
	if (err != 0) {
		snapshot_free(&job.result);
		return err;
	}
	take_ports(gw);
	if (gw->log_writer != NULL && router_current(gw->router)->config->access_log.enabled)
		log_writer_set_path(
			gw->log_writer, router_current(gw->router)->config->access_log.path);
	return 0;
}

static int load_first(const struct gateway *gw, struct config **config, struct diag *d)
{
	int err = config_load(config, gw->options.paths, gw->options.n_paths, d);

	diag_print(d, stderr);
	if (err != 0)
		fprintf(stderr, "pollgate: not started: %u errors in the configuration\n",
			diag_n_errors(d));
	return err;
}

int gateway_check(const struct gateway_options *options)
{
	struct config *config = NULL;
	struct diag *d = diag_new();
	int err = d == NULL ? -ENOMEM : config_load(&config, options->paths, options->n_paths, d);

	if (d != NULL) {
		diag_print(d, stdout);
		printf("%u errors, %u warnings\n", diag_n_errors(d), diag_n_warnings(d));
	}
	config_free(&config);
	diag_free(&d);
	return err == 0 ? 0 : 1;
}

// --- signals

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigprocmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void on_signal(struct loop_source *source, uint32_t events, uint64_t now_us)
{
	struct gateway *gw = source->arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGHUP: reload_run(&gw->reload, now_us); break;
	case SIGUSR1: log_writer_reopen(gw->log_writer); break;
	default:
		if (gw->drain.phase == DRAIN_SERVING)
			gateway_drain(gw, now_us);
		else
			drain_hurry(&gw->drain, now_us);
	}
}

static int watch_signals(struct gateway *gw, const sigset_t *set)
{
	gw->signals =
		(struct loop_source){signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC), on_signal, gw};
	if (gw->signals.fd < 0)
		return -errno;
	return loop_add(gw->loop, &gw->signals, EPOLLIN);
}

// --- start

static bool is_ready(void *arg)
{
	return gateway_is_ready(arg);
}

static void metrics(void *arg, FILE *to)
{
	gateway_write_metrics(arg, to);
}

static bool open_endpoints(struct gateway *gw, const struct appliance *a, char *error)
{
	const struct http_endpoint_ops health_ops = {is_ready, NULL, true, gw};
	const struct http_endpoint_ops metrics_ops = {is_ready, metrics, false, gw};

	if (a->socket_path != NULL) {
		gw->admin = admin_server_new(gw->loop, a->socket_path, admin_execute, gw, error);
		if (gw->admin == NULL)
			return false;
	}
	if (a->health.port != 0) {
		gw->health = http_endpoint_new(gw->loop, &a->health, &health_ops, error);
		if (gw->health == NULL)
			return false;
	}
	if (a->metrics.port != 0) {
		gw->metrics = http_endpoint_new(gw->loop, &a->metrics, &metrics_ops, error);
		if (gw->metrics == NULL)
			return false;
	}
	return true;
}

static bool start_workers(struct gateway *gw, const struct appliance *a, char *error)
{
	struct dataplane_config config;
	struct router_options options;

	gw->n_workers = dataplane_count_workers(a->cores, error);
	if (gw->n_workers == 0)
		return false;
	if (!sizing_divide(&gw->sizing, a->memory_limit, gw->n_workers, error))
		return false;
	options = (struct router_options){
		.n_workers = gw->n_workers,
		.memory_bytes = gw->sizing.router,
		.log_ring_bytes = gw->sizing.log_ring,
		.max_series = MAX_SERIES,
	};
	gw->router = router_new(&options);
	if (gw->router == NULL) {
		snprintf(error, START_ERROR_SIZE, "no memory for the router: %s", strerror(errno));
		return false;
	}
	sizing_dataplane_config(&config, a, &gw->sizing);
	if (dataplane_start(&gw->dataplane, &config, router_app(gw->router), error) != 0)
		return false;
	gw->workers = dataplane_workers(gw->dataplane, &gw->n_workers);
	return true;
}

static bool start_log_writer(struct gateway *gw, char *error)
{
	const struct access_log_config *c = &router_current(gw->router)->config->access_log;
	int err;

	for (unsigned i = 0; i < gw->n_workers; i++)
		gw->log_rings[i] = router_log_ring(gw->router, i);
	err = log_writer_start(
		&gw->log_writer, gw->log_rings, gw->n_workers, c->enabled ? c->path : NULL);
	if (err != 0)
		snprintf(
			error, START_ERROR_SIZE, "cannot start the log writer: %s", strerror(-err));
	return err == 0;
}

static void on_kernel_news(struct loop_source *source, uint32_t events, uint64_t now_us)
{
	const struct gateway *gw = source->arg;

	(void)events, (void)now_us;
	dataplane_follow(gw->dataplane);
}

static bool watch_kernel(struct gateway *gw, char *error)
{
	int err = 0;

	gw->kernel = (struct loop_source){dataplane_kernel_fd(gw->dataplane), on_kernel_news, gw};
	if (gw->kernel.fd >= 0)
		err = loop_add(gw->loop, &gw->kernel, EPOLLIN);
	if (err != 0)
		snprintf(error, START_ERROR_SIZE, "cannot follow the kernel: %s", strerror(-err));
	return err == 0;
}

// Everything after the configuration is read. Takes '*config' and '*d'. Returns false and a sentence in 'error'.
static bool start(struct gateway *gw, struct config **config, struct diag **d, char *error)
{
	const struct reload_ops ops = {load, publish, gw};
	const struct appliance *a = (*config)->appliance;

	reload_init(&gw->reload, &ops);
	if (a->n_ports == 0) {
		snprintf(error, START_ERROR_SIZE, "no Appliance with a port in the configuration");
		return false;
	}
	if (!open_endpoints(gw, a, error) || !start_workers(gw, a, error))
		return false;
	if (reload_start(&gw->reload, config, d, loop_now_us()) != 0) {
		snprintf(error, START_ERROR_SIZE, "%s", gw->reload.rejected_reason);
		return false;
	}
	return watch_kernel(gw, error) && start_log_writer(gw, error);
}

static void stop(struct gateway *gw)
{
	// What goes on with what the workers have ends before them.
	if (gw->admin != NULL)
		admin_server_finish_streams(gw->admin, loop_now_us());
	// Then the workers: their last log lines are in the rings when the writer empties them.
	dataplane_stop(&gw->dataplane);
	log_writer_stop(&gw->log_writer);
	router_free(&gw->router);
	http_endpoint_free(&gw->health);
	http_endpoint_free(&gw->metrics);
	admin_server_free(&gw->admin);
	reload_fini(&gw->reload);
	if (gw->signals.fd >= 0)
		close(gw->signals.fd);
	loop_free(&gw->loop);
	log_drain();
}

// --- run

static void each_second(struct gateway *gw, uint64_t now_us)
{
	tick_dataplane(gw, now_us);
	if (gw->admin != NULL)
		admin_server_tick(gw->admin, now_us);
}

static void load_of(struct gateway *gw, struct drain_load *load)
{
	// A handshake becomes a connection of the router, and that one of nobody, so their order is before and after.
	if (gw->drain.phase == DRAIN_CLOSING)
		load->n_half_open = dataplane_count_unowned(gw->dataplane).n_half_open;
	router_load(gw->router, &load->n_requests, &load->n_connections);
	if (gw->drain.phase == DRAIN_CLOSING)
		load->n_unsent = dataplane_count_unowned(gw->dataplane).n_unsent;
}

static void run_drain(struct gateway *gw, uint64_t now_us)
{
	struct drain_load load = {0};
	enum drain_action action;

	do {
		load_of(gw, &load);
		action = drain_step(&gw->drain, &load, now_us);
		switch (action) {
		case DRAIN_DO_NOTHING: break;
		case DRAIN_DO_END_KEEPALIVE:
			router_drain(gw->router, gw->workers, drain_spread_us(&gw->drain));
			break;
		case DRAIN_DO_STOP_LISTENING: router_stop_listening(gw->router, gw->workers); break;
		case DRAIN_DO_ABORT: gw->n_cut = router_abort_all(gw->router, gw->workers); break;
		case DRAIN_DO_EXIT: gw->ended = true; break;
		}
	} while (action != DRAIN_DO_NOTHING && action != DRAIN_DO_EXIT);
	if (gw->ended)
		log_info("drained (seconds=%.1f requests_cut=%llu connections_cut=%llu)",
			(double)(now_us - gw->drain.started_us) / SECOND_US,
			(unsigned long long)gw->n_cut,
			(unsigned long long)(gw->drain.aborted ? load.n_connections : 0));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

// When the loop has to wake although nothing comes.
static uint64_t next_wake(const struct gateway *gw, uint64_t now_us)
{
	uint64_t next = now_us + LOG_PERIOD_US;

	next = earlier(next, gw->next_router_us);
	next = earlier(next, drain_next_us(&gw->drain, now_us));
	if (gw->admin != NULL && admin_server_has_streams(gw->admin))
		next = earlier(next, now_us + STREAM_PERIOD_US);
	if (gw->health != NULL)
		next = earlier(next, http_endpoint_deadline(gw->health, now_us));
	if (gw->metrics != NULL)
		next = earlier(next, http_endpoint_deadline(gw->metrics, now_us));
	return next;
}

static void run_timers(struct gateway *gw, uint64_t now_us)
{
	log_drain();
	if (now_us >= gw->next_second_us) {
		each_second(gw, now_us);
		gw->next_second_us = now_us + SECOND_US;
	}
	if (now_us >= gw->next_router_us) {
		uint64_t next = router_tick(gw->router, gateway_worker_time(gw, now_us));

		gw->next_router_us = next == UINT64_MAX
			? UINT64_MAX
			: (uint64_t)((int64_t)next - gw->worker_offset_us);
	}
	// A new cluster, or a snapshot that just retired, may want a tick earlier than the last one said.
	gw->next_router_us = earlier(gw->next_router_us, now_us + SECOND_US);
	if (gw->admin != NULL)
		admin_server_run(gw->admin, now_us);
	if (gw->health != NULL)
		http_endpoint_run(gw->health);
	if (gw->metrics != NULL)
		http_endpoint_run(gw->metrics);
	run_drain(gw, now_us);
}

static void run(struct gateway *gw)
{
	gw->serving = true;
	log_info("serving (version=%s config=%s)", POLLGATE_VERSION, gw->reload.version);
	while (!gw->ended) {
		loop_run_once(gw->loop, next_wake(gw, loop_now_us()));
		run_timers(gw, loop_now_us());
	}
}

int gateway_run(const struct gateway_options *options)
{
	struct gateway gw = {.options = *options,
		.signals.fd = -1,
		.kernel.fd = -1,
		.started_us = loop_now_us()};
	char error[START_ERROR_SIZE] = "out of memory";
	struct config *config = NULL;
	struct diag *d = diag_new();
	bool started = false;
	sigset_t signals;

	block_signals(&signals);
	gw.loop = loop_new();
	if (gw.loop != NULL && d != NULL && watch_signals(&gw, &signals) == 0) {
		if (load_first(&gw, &config, d) != 0)
			error[0] = '\0';
		else
			started = start(&gw, &config, &d, error);
	}
	if (started) {
		startup_table_print(stderr, &gw);
		run(&gw);
	} else if (error[0] != '\0') {
		fprintf(stderr, "pollgate: not started: %s\n", error);
	}
	stop(&gw);
	config_free(&config);
	diag_free(&d);
	return started ? 0 : 1;
}
