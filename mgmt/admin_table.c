#include "mgmt/admin.h"

#include <string.h>

const struct admin_command admin_commands[ADMIN_N_COMMANDS] = {
#define ADMIN_CMD(name, usage, min, max, help) {#name, usage, min, max, help, false},
#define ADMIN_CTL(name, usage, min, max, help) {#name, usage, min, max, help, true},
#include "mgmt/admin.def"
};

const struct admin_command *admin_find(const struct admin_words *words, struct admin_answer *a)
{
	unsigned n_args = words->n - 1;

	for (unsigned i = 0; i < ADMIN_N_COMMANDS; i++) {
		const struct admin_command *c = &admin_commands[i];

		if (strcmp(c->name, words->at[0]) != 0)
			continue;
		if (n_args >= c->min_args && n_args <= c->max_args)
			return c;
		admin_end(a, ADMIN_CODE_ARGUMENTS, "usage: %s %s", c->name, c->usage);
		return NULL;
	}
	admin_end(a, ADMIN_CODE_NO_COMMAND, "no command \"%s\"; \"help\" lists them", words->at[0]);
	return NULL;
}

void admin_print_help(FILE *to)
{
	for (unsigned i = 0; i < ADMIN_N_COMMANDS; i++)
		fprintf(to, "%-12s %s\n", admin_commands[i].name, admin_commands[i].help);
}

void admin_print_reference(FILE *to)
{
	fputs("# Commands of pollgatectl\n\n"
	      "`pollgatectl [--socket PATH] [--json] COMMAND [ARGUMENT...]` asks a running gateway. It exits\n"
	      "with 0 if the command was done, 1 if it failed, 2 if it was not understood. With `--json` the\n"
	      "answer is one JSON document.\n",
		to);
	for (unsigned i = 0; i < ADMIN_N_COMMANDS; i++) {
		const struct admin_command *c = &admin_commands[i];

		fprintf(to, "\n## %s\n\n    pollgatectl %s%s%s\n\n%c%s.\n", c->name, c->name,
			c->usage[0] != '\0' ? " " : "", c->usage,
			c->help[0] >= 'a' && c->help[0] <= 'z' ? c->help[0] - 0x20 : c->help[0],
			c->help + 1);
	}
}
