#include "mgmt/admin.h"

#include "dataplane/base/log.h"
#include "mgmt/gateway_state.h"

#include <stdlib.h>
#include <string.h>

LOG_MODULE("admin")

static admin_command_fn *const handlers[ADMIN_N_COMMANDS] = {
#define ADMIN_CMD(name, usage, min, max, help) [ADMIN_CMD_##name] = admin_cmd_##name,
#define ADMIN_CTL(name, usage, min, max, help)
#include "mgmt/admin.def"
};

static void run_command(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	const struct admin_command *c = admin_find(words, a);

	if (c == NULL)
		return;
	if (c->by_ctl) {
		admin_end(a, ADMIN_CODE_NO_COMMAND, "\"%s\" is made by pollgatectl", c->name);
		return;
	}
	log_debug("command (name=%s)", c->name);
	handlers[c - admin_commands](gw, words, a);
}

void admin_execute(void *gateway, char *line, FILE *to, struct admin_stream *rest)
{
	struct admin_answer a = {.code = ADMIN_CODE_DONE};
	struct admin_words words;
	const char *wrong = admin_split(line, &words);

	if (wrong != NULL)
		admin_end(&a, ADMIN_CODE_ARGUMENTS, "%s", wrong);
	else
		run_command(gateway, &words, &a);
	if (a.stream.ops != NULL)
		*rest = a.stream;
	else
		admin_write_answer(to, &a, words.json);
}

static json_t *messages(const struct diag *d, enum diag_severity severity)
{
	json_t *list = json_array();

	for (size_t i = 0; d != NULL && i < diag_n_messages(d); i++) {
		if (diag_message(d, i)->severity == severity)
			json_array_append_new(list, admin_string(diag_message(d, i)->text));
	}
	return list;
}

static json_t *waiting(const struct reload *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < r->n_waiting; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:o, s:o}", "field", r->waiting[i].field, "now",
				admin_string(r->waiting[i].now), "wanted",
				admin_string(r->waiting[i].wanted)));
	if (r->n_more_waiting > 0) {
		char more[32];

		snprintf(more, sizeof(more), "and %u more", r->n_more_waiting);
		json_array_append_new(list, json_pack("{s:s}", "field", more));
	}
	return list;
}

bool admin_cmd_config(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	const struct reload *r = &gw->reload;
	uint64_t now_us = loop_now_us();
	json_t *paths = json_array();

	(void)words;
	for (unsigned i = 0; i < gw->options.n_paths; i++)
		json_array_append_new(paths, admin_string(gw->options.paths[i]));
	a->body = json_pack("{s:s, s:I, s:o, s:I, s:I, s:o, s:o}", "version", r->version,
		"age_seconds", (json_int_t)((now_us - r->applied_us) / 1000000), "paths", paths,
		"applied", (json_int_t)r->n_applied, "rejected", (json_int_t)r->n_rejected,
		"warnings", messages(r->applied_diag, DIAG_WARNING), "waits_for_restart",
		waiting(r));
	if (a->body != NULL && r->rejected_reason[0] != '\0')
		json_object_set_new(a->body, "last_rejection",
			json_pack("{s:o, s:s, s:I, s:o}", "reason",
				admin_string(r->rejected_reason), "version", r->rejected_version,
				"age_seconds",
				(json_int_t)((now_us - r->last_attempt_us) / 1000000), "errors",
				messages(r->rejected_diag, DIAG_ERROR)));
	return true;
}

bool admin_cmd_reload(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	const struct reload *r = &gw->reload;
	int err = reload_run(&gw->reload, loop_now_us());
	bool applied = err == 0;
	const struct diag *d = applied ? r->applied_diag : r->rejected_diag;

	(void)words;
	a->body = json_pack("{s:b, s:s, s:o, s:o, s:o}", "applied", applied, "version", r->version,
		"errors", messages(d, DIAG_ERROR), "warnings", messages(d, DIAG_WARNING),
		"waits_for_restart", waiting(r));
	if (applied)
		return true;
	return admin_end(a, ADMIN_CODE_FAILED,
		"%s; the configuration that runs was kept (version %s)",
		r->rejected_reason[0] != '\0' ? r->rejected_reason : strerror(-err), r->version);
}

bool admin_cmd_drain(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	(void)words;
	gateway_drain(gw, loop_now_us());
	a->body = json_pack("{s:s, s:I}", "state", gateway_state_name(gw), "timeout_seconds",
		(json_int_t)(gw->drain.timeout_us / 1000000));
	return true;
}

bool admin_cmd_loglevel(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	(void)gw;
	if (words->n == 2 && !log_level_parse(words->at[1], &log_threshold))
		return admin_end(a, ADMIN_CODE_ARGUMENTS,
			"no level \"%s\"; expected error, warning, info or debug", words->at[1]);
	a->body = json_pack("{s:s}", "level", log_level_name(log_threshold));
	return true;
}

bool admin_cmd_reopen(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	(void)words, (void)a;
	log_writer_reopen(gw->log_writer);
	return true;
}

bool admin_cmd_metrics(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	size_t len;
	FILE *to = open_memstream(&a->text, &len);

	(void)words;
	if (to == NULL)
		return admin_end(a, ADMIN_CODE_FAILED, "out of memory");
	gateway_write_metrics(gw, to);
	fclose(to);
	return true;
}

bool admin_cmd_help(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	json_t *list = admin_list(a, "commands");

	(void)gw, (void)words;
	for (unsigned i = 0; i < ADMIN_N_COMMANDS; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s}", "command", admin_commands[i].name, "arguments",
				admin_commands[i].usage, "help", admin_commands[i].help));
	return true;
}
