// The commands of the control socket (admin.def): found by name, their arguments counted, executed on the mgmt thread between two
// rounds of its loop. A command builds a JSON value; admin_protocol.h renders it.
#pragma once

#include "mgmt/admin_protocol.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct gateway;

enum admin_command_id {
#define ADMIN_CMD(name, usage, min, max, help) ADMIN_CMD_##name,
#define ADMIN_CTL(name, usage, min, max, help) ADMIN_CMD_##name,
#include "mgmt/admin.def"
	ADMIN_N_COMMANDS,
};

struct admin_command {
	const char *name;
	const char *usage;
	unsigned min_args;
	unsigned max_args;
	const char *help;
	bool by_ctl; // made by pollgatectl, unknown to the gateway
};

extern const struct admin_command admin_commands[ADMIN_N_COMMANDS];

// The command that 'words' name, its arguments counted; or NULL with '*a' ended by the reason.
const struct admin_command *admin_find(const struct admin_words *words, struct admin_answer *a);

// The reference page of all commands, and the short list.
void admin_print_reference(FILE *to);
void admin_print_help(FILE *to);

// Executes one line for 'gateway' (a struct gateway) and writes the answer; an admin_execute_fn.
void admin_execute(void *gateway, char *line, FILE *to, struct admin_stream *rest);

// What a command is. words->at[0] is its name. Fills 'a'; returns false if 'a' was ended by admin_end(), true for "done".
typedef bool admin_command_fn(
	struct gateway *gw, const struct admin_words *words, struct admin_answer *a);

#define ADMIN_CMD(name, usage, min, max, help) admin_command_fn admin_cmd_##name;
#define ADMIN_CTL(name, usage, min, max, help)
#include "mgmt/admin.def"
