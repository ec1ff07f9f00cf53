// pollgatectl: asks a running gateway over its control socket (mgmt/admin_protocol.h) and prints the answer.
#include "mgmt/admin.h"
#include "mgmt/ctl_capture.h"
#include "mgmt/ctl_client.h"
#include "mgmt/ctl_top.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/pollgate/mgmt.sock"
#define TIMEOUT_S      60

static void print_usage(FILE *to)
{
	fputs("pollgatectl [--socket PATH] [--json] COMMAND [ARGUMENT...]\n\n", to);
	admin_print_help(to);
	fputs("\nThe socket is " DEFAULT_SOCKET " unless given here or in POLLGATE_SOCKET.\n"
	      "Exit status: 0 done, 1 failed, 2 not understood.\n",
		to);
}

static int ask(const char *path, bool json, char *const *words, int n, FILE *data)
{
	int fd = ctl_connect(path, TIMEOUT_S);

	if (fd < 0)
		return 1;
	// An answer may come although sending failed: too many clients, not allowed.
	ctl_send(fd, json, words, n);
	return ctl_read(fd, data, NULL, NULL);
}

// One reading of the counters, or NULL after a message.
static json_t *read_counters(const char *path)
{
	static char command[] = "counters";
	char *words[] = {command};
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);
	json_t *counters = NULL;
	int status;

	if (to == NULL)
		return NULL;
	status = ask(path, true, words, 1, to);
	fclose(to);
	if (status == 0)
		counters = json_loads(text, 0, NULL);
	free(text);
	return counters;
}

static int top(const char *path, bool json, const char *seconds)
{
	char *end = NULL;
	double wait_s = seconds != NULL ? strtod(seconds, &end) : 1;
	json_t *before, *after = NULL, *rates = NULL;

	if (!(wait_s >= 0.1 && wait_s <= 3600) || (end != NULL && *end != '\0')) {
		fputs("pollgatectl: SECONDS is 0.1 to 3600\n", stderr);
		return CTL_EXIT_USAGE;
	}
	before = read_counters(path);
	if (before != NULL) {
		usleep((useconds_t)(wait_s * 1e6));
		after = read_counters(path);
	}
	if (after != NULL)
		rates = ctl_top_rates(before, after);
	if (rates != NULL && json) {
		json_dumpf(rates, stdout, JSON_COMPACT);
		fputc('\n', stdout);
	} else if (rates != NULL) {
		admin_render(stdout, rates);
	}
	json_decref(before);
	json_decref(after);
	json_decref(rates);
	return rates != NULL ? 0 : 1;
}

static int capture(const char *path, const struct admin_words *words)
{
	char error[CTL_CAPTURE_ERROR_SIZE];
	struct ctl_capture c;
	int status = CTL_EXIT_USAGE;

	if (ctl_capture_parse(&c, words, error))
		status = ctl_capture_run(&c, path);
	else
		fprintf(stderr, "pollgatectl: %s\n", error);
	ctl_capture_free(&c);
	return status;
}

// A full disk must not look like an answer that was short.
static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fputs("pollgatectl: cannot write to standard output\n", stderr);
	return status != 0 ? status : 1;
}

int main(int argc, char **argv)
{
	const char *path = getenv("POLLGATE_SOCKET");
	struct admin_words words = {.n = 0};
	struct admin_answer answer = {.code = ADMIN_CODE_DONE};
	const struct admin_command *command;
	bool json = false;
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			json = true;
		} else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
			path = argv[++i];
		} else {
			bool help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;

			print_usage(help ? stdout : stderr);
			return help ? 0 : CTL_EXIT_USAGE;
		}
	}
	for (; i < argc && words.n < ADMIN_MAX_WORDS; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else
			words.at[words.n++] = argv[i];
	}
	if (words.n == 0 || strcmp(words.at[0], "help") == 0) {
		print_usage(words.n == 0 ? stderr : stdout);
		return finish(words.n == 0 ? CTL_EXIT_USAGE : 0);
	}
	if (path == NULL || *path == '\0')
		path = DEFAULT_SOCKET;
	command = admin_find(&words, &answer);
	if (command == NULL) {
		fprintf(stderr, "pollgatectl: %s\n", answer.message);
		return CTL_EXIT_USAGE;
	}
	if (command == &admin_commands[ADMIN_CMD_top])
		return finish(top(path, json, words.n > 1 ? words.at[1] : NULL));
	if (command == &admin_commands[ADMIN_CMD_capture])
		return capture(path, &words);
	return finish(ask(path, json, words.at, (int)words.n, stdout));
}
