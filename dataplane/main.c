// pollgate: arguments, and then one of the things it can do. See mgmt/gateway.h for what "run" is.
#include "mgmt/gateway.h"
#include "mgmt/reference.h"
#include "tls/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

static const char usage[] =
	"pollgate: an ingress gateway on its own TCP/IP stack\n"
	"\n"
	"  pollgate run --config PATH...           serve; PATH is a file, or a folder with *.yaml\n"
	"  pollgate check --config PATH...         read and check as 'run' does; print every problem\n"
	"  pollgate reference config|metrics|commands\n"
	"                                          print a reference page\n"
	"  pollgate version\n"
	"\n"
	"--config may be given more than once. Exit status: 0 done, 1 failed, 2 wrong usage.\n"
	"A running gateway is asked with pollgatectl; SIGHUP reloads, SIGTERM drains and ends it.\n";

static int wrong_usage(const char *what, const char *word)
{
	fprintf(stderr, "pollgate: %s%s%s%s; see pollgate --help\n", what,
		word != NULL ? " \"" : "", word != NULL ? word : "", word != NULL ? "\"" : "");
	return EXIT_USAGE;
}

// Reads "--config PATH [PATH...]", repeatable, into 'paths', which has room for all of argv.
static int read_paths(int argc, char **argv, const char **paths, unsigned *n)
{
	bool expect_path = false;

	*n = 0;
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];

		if (strcmp(word, "--config") == 0 || strcmp(word, "-c") == 0) {
			expect_path = true;
		} else if (strncmp(word, "--config=", 9) == 0) {
			paths[(*n)++] = word + 9;
		} else if (word[0] == '-' || !expect_path) {
			return wrong_usage("unknown argument", word);
		} else {
			paths[(*n)++] = word;
		}
	}
	return *n > 0 ? 0 : wrong_usage("--config PATH is needed", NULL);
}

static int with_config(int argc, char **argv, int (*what)(const struct gateway_options *options))
{
	const char **paths = calloc((size_t)argc + 1, sizeof(*paths));
	struct gateway_options options = {.paths = paths};
	int status;

	if (paths == NULL)
		return EXIT_FAILURE;
	status = read_paths(argc, argv, paths, &options.n_paths);
	if (status == 0)
		status = what(&options);
	free(paths);
	return status;
}

static int print_reference(int argc, char **argv)
{
	if (argc != 1)
		return wrong_usage("reference takes one of config, metrics, commands", NULL);
	return reference_print(stdout, argv[0]) ? 0 : wrong_usage("no reference page", argv[0]);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : NULL;

	if (command == NULL) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0
		|| strcmp(command, "help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
		printf("pollgate %s\n", POLLGATE_VERSION);
		return 0;
	}
	if (strcmp(command, "reference") == 0)
		return print_reference(argc - 2, argv + 2);
	// Before anything else of OpenSSL; the checks of certificates use it.
	if (tls_alloc_install() != 0) {
		fputs("pollgate: not started: OpenSSL refused the allocator\n", stderr);
		return EXIT_FAILURE;
	}
	if (strcmp(command, "run") == 0)
		return with_config(argc - 2, argv + 2, gateway_run);
	if (strcmp(command, "check") == 0)
		return with_config(argc - 2, argv + 2, gateway_check);
	return wrong_usage("no command", command);
}
