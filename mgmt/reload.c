#include "mgmt/reload.h"

#include "dataplane/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

LOG_MODULE("reload")

void reload_init(struct reload *r, const struct reload_ops *ops)
{
	*r = (struct reload){.ops = *ops};
}

void reload_fini(struct reload *r)
{
	if (r->applied != r->started)
		config_free(&r->applied);
	config_free(&r->started);
	diag_free(&r->applied_diag);
	diag_free(&r->rejected_diag);
}

const struct appliance *reload_appliance(const struct reload *r)
{
	return r->applied->appliance;
}

static void note_waiting(void *arg, const char *field, const char *now, const char *wanted)
{
	struct reload *r = arg;
	struct reload_waiting *w;

	if (r->n_waiting == RELOAD_MAX_WAITING) {
		r->n_more_waiting++;
		return;
	}
	w = &r->waiting[r->n_waiting++];
	snprintf(w->field, sizeof(w->field), "%s", field);
	snprintf(w->now, sizeof(w->now), "%s", now);
	snprintf(w->wanted, sizeof(w->wanted), "%s", wanted);
	log_warning("waits for a restart (field=%s now=%s wanted=%s)", w->field, w->now, w->wanted);
}

// Warnings are for whoever asks ("config"); here they would come again with every reload. Each error is a site of its own: all of
// them are told, not as many as the log lets through of one.
static void log_errors(const struct diag *d)
{
	for (size_t i = 0; i < diag_n_messages(d); i++) {
		struct log_site site = {0};

		if (diag_message(d, i)->severity == DIAG_ERROR)
			log_write(&site, LOG_ERROR, log_module, "%s", diag_message(d, i)->text);
	}
}

static int reject(struct reload *r, int err, struct diag **d, const char *reason)
{
	r->n_rejected++;
	snprintf(r->rejected_reason, sizeof(r->rejected_reason), "%s", reason);
	r->rejected_diag = *d;
	*d = NULL;
	log_errors(r->rejected_diag);
	log_error("configuration rejected: %s (running=%s)", r->rejected_reason,
		r->version[0] != '\0' ? r->version : "none");
	return err;
}

static int publish(struct reload *r, struct config *next, char reason[RELOAD_ERROR_SIZE])
{
	struct router_config *router = next->router;

	next->router = NULL;
	return r->ops.publish(r->ops.arg, &router, reason);
}

static void apply(
	struct reload *r, struct config *next, struct diag *d, const char *version, uint64_t now_us)
{
	r->n_waiting = r->n_more_waiting = 0;
	if (r->started == NULL)
		r->started = next;
	else
		config_each_fixed_change(r->started->appliance, next->appliance, note_waiting, r);
	if (r->n_more_waiting > 0)
		log_warning("more settings wait for a restart (n=%u)", r->n_more_waiting);
	if (r->applied != r->started)
		config_free(&r->applied);
	diag_free(&r->applied_diag);
	r->applied = next;
	r->applied_diag = d;
	snprintf(r->version, sizeof(r->version), "%s", version);
	r->applied_us = now_us;
	r->n_applied++;
	log_info("configuration applied (version=%s warnings=%u)", r->version,
		diag_n_warnings(r->applied_diag));
}

// Takes '*next' and '*d'.
static int adopt(struct reload *r, struct config **next, struct diag **d, uint64_t now_us)
{
	char reason[RELOAD_ERROR_SIZE] = "";
	char version[RELOAD_VERSION_SIZE];
	int err;

	snprintf(version, sizeof(version), "%s", (*next)->router->version);
	err = publish(r, *next, reason);
	if (err != 0) {
		config_free(next);
		snprintf(r->rejected_version, sizeof(r->rejected_version), "%s", version);
		return reject(r, err, d, reason);
	}
	apply(r, *next, *d, version, now_us);
	*next = NULL;
	*d = NULL;
	return 0;
}

static void begin_attempt(struct reload *r, uint64_t now_us)
{
	r->last_attempt_us = now_us;
	r->rejected_reason[0] = '\0';
	r->rejected_version[0] = '\0';
	diag_free(&r->rejected_diag);
}

int reload_start(struct reload *r, struct config **config, struct diag **d, uint64_t now_us)
{
	begin_attempt(r, now_us);
	return adopt(r, config, d, now_us);
}

int reload_run(struct reload *r, uint64_t now_us)
{
	struct config *next = NULL;
	struct diag *d = diag_new();
	char reason[RELOAD_ERROR_SIZE];
	int err;

	if (d == NULL)
		return -ENOMEM;
	begin_attempt(r, now_us);
	err = r->ops.load(r->ops.arg, &next, d);
	if (err != 0) {
		if (diag_n_errors(d) > 0)
			snprintf(
				reason, sizeof(reason), "%u errors in the files", diag_n_errors(d));
		else
			snprintf(reason, sizeof(reason), "cannot read the files: %s",
				strerror(-err));
		return reject(r, err, &d, reason);
	}
	// An empty folder, most likely: nobody wants all listeners closed by that.
	if (next->appliance->n_ports == 0) {
		config_free(&next);
		return reject(r, -EINVAL, &d, "no Appliance with a port in the configuration");
	}
	return adopt(r, &next, &d, now_us);
}
