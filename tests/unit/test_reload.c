// Reload as a transaction: what the steps do is the test's, configurations are made up.
#include "mgmt/reload.h"

#include "tests/test_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// --- a configuration that counts itself

static int n_configs;
static int n_router_configs;

static void free_router_memory(void *memory)
{
	free(memory);
	n_router_configs--;
}

// The loader's own functions, for what this test makes.
void config_free(struct config **cp)
{
	struct config *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	router_config_free(&c->router);
	free(c->appliance);
	free(c);
	n_configs--;
}

static unsigned n_more_changes;

void config_each_fixed_change(const struct appliance *running, const struct appliance *wanted,
	config_fixed_fn *fn, void *arg)
{
	if (running->memory_limit != wanted->memory_limit) {
		char now[32], then[32];

		snprintf(now, sizeof(now), "%llu", (unsigned long long)running->memory_limit);
		snprintf(then, sizeof(then), "%llu", (unsigned long long)wanted->memory_limit);
		fn(arg, "spec.memory.limit", now, then);
		for (unsigned i = 0; i < n_more_changes; i++)
			fn(arg, "spec.other", now, then);
	}
}

static struct config *make_config(const char *version, uint64_t memory_limit)
{
	struct config *c = calloc(1, sizeof(*c));

	c->appliance = calloc(1, sizeof(*c->appliance));
	c->appliance->memory_limit = memory_limit;
	c->appliance->n_ports = memory_limit > 0;
	c->router = calloc(1, sizeof(*c->router));
	c->router->memory = c->router;
	c->router->free_memory = free_router_memory;
	c->router->version = version;
	n_configs++;
	n_router_configs++;
	return c;
}

// --- what the steps do next

struct script {
	const char *version;
	uint64_t memory_limit;
	const char *load_error; // NULL: loads
	unsigned n_more_errors;
	const char *load_warning;  // NULL: none
	const char *publish_error; // NULL: publishes
	unsigned n_published;
	struct router_config *current; // what the workers use
};

static int load(void *arg, struct config **out, struct diag *d)
{
	struct script *s = arg;

	if (s->load_warning != NULL)
		diag_add(d, DIAG_WARNING, "a.yaml", 1, 1, "kind", "%s", s->load_warning);
	if (s->load_error != NULL) {
		diag_add(d, DIAG_ERROR, "a.yaml", 3, 5, "spec.x", "%s", s->load_error);
		for (unsigned i = 0; i < s->n_more_errors; i++)
			diag_add(d, DIAG_ERROR, "b.yaml", i + 1, 1, "spec.y", "unknown");
		return -EINVAL;
	}
	*out = make_config(s->version, s->memory_limit);
	return 0;
}

static int publish(void *arg, struct router_config **router, char error[RELOAD_ERROR_SIZE])
{
	struct script *s = arg;

	if (s->publish_error != NULL) {
		snprintf(error, RELOAD_ERROR_SIZE, "%s", s->publish_error);
		router_config_free(router);
		return -EADDRINUSE;
	}
	router_config_free(&s->current);
	s->current = *router;
	*router = NULL;
	s->n_published++;
	return 0;
}

static void start(struct reload *r, struct script *s)
{
	const struct reload_ops ops = {load, publish, s};
	struct config *config = make_config("v1", 200);
	struct diag *d = diag_new();

	*s = (struct script){.version = "v2", .memory_limit = 200};
	reload_init(r, &ops);
	assert_int_equal(reload_start(r, &config, &d, 10), 0);
	assert_null(config);
	assert_null(d);
}

static void finish(struct reload *r, struct script *s)
{
	reload_fini(r);
	router_config_free(&s->current);
	assert_int_equal(n_configs, 0);
	assert_int_equal(n_router_configs, 0);
}

// --- tests

static void a_good_configuration_replaces_the_running_one(void)
{
	struct script s;
	struct reload r;

	start(&r, &s);
	assert_string_equal(r.version, "v1");
	assert_int_equal(reload_run(&r, 500), 0);
	assert_string_equal(r.version, "v2");
	assert_string_equal(s.current->version, "v2");
	assert_int_equal(r.applied_us, 500);
	assert_int_equal(r.n_applied, 2);
	assert_int_equal(r.n_rejected, 0);
	assert_string_equal(r.rejected_reason, "");
	finish(&r, &s);
}

static void errors_in_the_files_change_nothing_and_are_kept(void)
{
	struct script s;
	struct reload r;

	start(&r, &s);
	s.load_error = "out of range; expected 1 to 9";
	assert_int_equal(reload_run(&r, 500), -EINVAL);
	assert_string_equal(r.version, "v1");
	assert_string_equal(s.current->version, "v1");
	assert_int_equal(r.applied_us, 10);
	assert_int_equal(r.n_rejected, 1);
	assert_int_equal(diag_n_errors(r.rejected_diag), 1);
	assert_string_equal(diag_message(r.rejected_diag, 0)->text,
		"a.yaml:3:5: spec.x: out of range; expected 1 to 9");
	finish(&r, &s);
}

static void every_error_is_in_the_log(void)
{
	struct script s;
	struct reload r;
	FILE *log = tmpfile();
	int own = dup(STDERR_FILENO);
	unsigned n = 0;
	char line[512];

	assert_non_null(log);
	start(&r, &s);
	s.load_error = "out of range";
	s.n_more_errors = 40;
	dup2(fileno(log), STDERR_FILENO);
	assert_int_equal(reload_run(&r, 500), -EINVAL);
	dup2(own, STDERR_FILENO);
	close(own);
	rewind(log);
	while (fgets(line, sizeof(line), log) != NULL)
		n += strstr(line, ".yaml:") != NULL;
	assert_int_equal(n, 41);
	fclose(log);
	finish(&r, &s);
}

static void a_snapshot_that_cannot_be_published_changes_nothing(void)
{
	struct script s;
	struct reload r;

	start(&r, &s);
	s.publish_error = "listener 0.0.0.0_8443 cannot be opened";
	assert_int_equal(reload_run(&r, 500), -EADDRINUSE);
	assert_string_equal(r.version, "v1");
	assert_string_equal(s.current->version, "v1");
	assert_string_equal(r.rejected_version, "v2");
	assert_string_equal(r.rejected_reason, "listener 0.0.0.0_8443 cannot be opened");
	finish(&r, &s);
}

static void the_next_good_one_ends_the_rejection(void)
{
	struct script s;
	struct reload r;

	start(&r, &s);
	s.load_error = "bad";
	assert_int_equal(reload_run(&r, 500), -EINVAL);
	s.load_error = NULL;
	assert_int_equal(reload_run(&r, 600), 0);
	assert_null(r.rejected_diag);
	assert_string_equal(r.rejected_reason, "");
	assert_int_equal(r.n_rejected, 1);
	finish(&r, &s);
}

static void warnings_of_what_runs_are_kept(void)
{
	struct script s;
	struct reload r;

	start(&r, &s);
	s.load_warning = "Deployment is not read";
	assert_int_equal(reload_run(&r, 500), 0);
	assert_int_equal(diag_n_warnings(r.applied_diag), 1);
	// A rejected one does not replace them.
	s.load_warning = NULL;
	s.load_error = "bad";
	assert_int_equal(reload_run(&r, 600), -EINVAL);
	assert_int_equal(diag_n_warnings(r.applied_diag), 1);
	finish(&r, &s);
}

static void what_is_fixed_is_compared_with_the_start_and_waits(void)
{
	struct script s;
	struct reload r;

	start(&r, &s);
	s.memory_limit = 400;
	assert_int_equal(reload_run(&r, 500), 0);
	assert_int_equal(r.n_waiting, 1);
	assert_string_equal(r.waiting[0].field, "spec.memory.limit");
	assert_string_equal(r.waiting[0].now, "200");
	assert_string_equal(r.waiting[0].wanted, "400");
	// Still: the process has what it started with.
	assert_int_equal(reload_run(&r, 600), 0);
	assert_int_equal(r.n_waiting, 1);
	s.memory_limit = 200;
	assert_int_equal(reload_run(&r, 700), 0);
	assert_int_equal(r.n_waiting, 0);
	assert_int_equal(r.n_applied, 4);
	finish(&r, &s);
}

// As an empty folder is: a volume that is not mounted.
static void a_configuration_without_ports_changes_nothing(void)
{
	struct script s;
	struct reload r;

	start(&r, &s);
	s.memory_limit = 0;
	assert_int_equal(reload_run(&r, 500), -EINVAL);
	assert_string_equal(r.version, "v1");
	assert_string_equal(s.current->version, "v1");
	assert_int_equal(s.n_published, 1);
	assert_int_equal(r.n_rejected, 1);
	assert_string_equal(r.rejected_reason, "no Appliance with a port in the configuration");
	finish(&r, &s);
}

static void a_first_configuration_that_cannot_be_published_is_freed(void)
{
	struct script s = {.publish_error = "no room"};
	const struct reload_ops ops = {load, publish, &s};
	struct config *config = make_config("v1", 200);
	struct diag *d = diag_new();
	struct reload r;

	reload_init(&r, &ops);
	assert_int_equal(reload_start(&r, &config, &d, 10), -EADDRINUSE);
	assert_string_equal(r.rejected_reason, "no room");
	assert_int_equal(r.n_applied, 0);
	finish(&r, &s);
}

static void changes_beyond_those_that_are_kept_are_counted(void)
{
	struct script s;
	struct reload r;

	start(&r, &s);
	s.memory_limit = 400;
	n_more_changes = RELOAD_MAX_WAITING + 1;
	assert_int_equal(reload_run(&r, 500), 0);
	assert_int_equal(r.n_waiting, RELOAD_MAX_WAITING);
	assert_int_equal(r.n_more_waiting, 2);
	n_more_changes = 0;
	assert_int_equal(reload_run(&r, 600), 0);
	assert_int_equal(r.n_waiting, 1);
	assert_int_equal(r.n_more_waiting, 0);
	finish(&r, &s);
}

TESTS(TEST(a_good_configuration_replaces_the_running_one),
	TEST(errors_in_the_files_change_nothing_and_are_kept),
	TEST(a_snapshot_that_cannot_be_published_changes_nothing),
	TEST(the_next_good_one_ends_the_rejection), TEST(warnings_of_what_runs_are_kept),
	TEST(what_is_fixed_is_compared_with_the_start_and_waits), TEST(every_error_is_in_the_log),
	TEST(a_configuration_without_ports_changes_nothing),
	TEST(a_first_configuration_that_cannot_be_published_is_freed),
	TEST(changes_beyond_those_that_are_kept_are_counted))
