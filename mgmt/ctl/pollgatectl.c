// pollgatectl: asks a running gateway over its control socket (mgmt/admin_protocol.h) and prints the answer.
#include "mgmt/admin.h"
#include "mgmt/ctl_top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/pollgate/mgmt.sock"
#define EXIT_USAGE     2
#define TIMEOUT_S      60

static void print_usage(FILE *to)
{
	fputs("pollgatectl [--socket PATH] [--json] COMMAND [ARGUMENT...]\n\n", to);
	admin_print_help(to);
	fputs("\nThe socket is " DEFAULT_SOCKET " unless given here or in POLLGATE_SOCKET.\n"
	      "Exit status: 0 done, 1 failed, 2 not understood.\n",
		to);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval timeout = {.tv_sec = TIMEOUT_S};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool send_command(int fd, bool json, char *const *words, int n)
{
	char *line = NULL;
	size_t len, sent = 0;
	FILE *to = open_memstream(&line, &len);

	if (to == NULL)
		return false;
	if (json)
		fputs("json ", to);
	for (int i = 0; i < n; i++) {
		admin_quote(to, words[i]);
		fputc(i + 1 < n ? ' ' : '\n', to);
	}
	if (fclose(to) != 0)
		return false;
	while (sent < len) {
		ssize_t done = send(fd, line + sent, len - sent, MSG_NOSIGNAL);

		if (done <= 0)
			break;
		sent += (size_t)done;
	}
	free(line);
	return sent == len;
}

// Prints the data of an answer to 'data' and its last line, if it says more than "done", to standard error. Returns the exit
// status.
static int read_answer(int fd, FILE *data)
{
	FILE *from = fdopen(fd, "r");
	char *line = NULL;
	const char *text;
	size_t cap = 0;
	unsigned code = 0;
	int status = -1;

	while (from != NULL && status < 0 && getline(&line, &cap, from) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!admin_parse_line(line, &code, &text))
			break;
		if (!admin_code_ends(code)) {
			fprintf(data, "%s\n", text);
			continue;
		}
		status = code / 1000 == 0 ? 0 : code / 1000 == 8 ? 1 : EXIT_USAGE;
		if (status != 0 || strcmp(text, "done") != 0)
			fprintf(stderr, "%s%s\n", status != 0 ? "pollgatectl: " : "", text);
	}
	free(line);
	if (from != NULL)
		fclose(from);
	if (status < 0)
		fputs("pollgatectl: the gateway broke off its answer\n", stderr);
	return status < 0 ? 1 : status;
}

static int ask(const char *path, bool json, char *const *words, int n, FILE *data)
{
	int fd = connect_to(path);

	if (fd < 0) {
		fprintf(stderr, "pollgatectl: no gateway answers at %s: %s\n", path,
			strerror(errno));
		return 1;
	}
	// An answer may come although sending failed: too many clients, not allowed.
	send_command(fd, json, words, n);
	return read_answer(fd, data);
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
	double wait_s = seconds != NULL ? strtod(seconds, NULL) : 1;
	json_t *before, *after = NULL, *rates = NULL;

	if (!(wait_s >= 0.1 && wait_s <= 3600)) {
		fputs("pollgatectl: SECONDS is 0.1 to 3600\n", stderr);
		return EXIT_USAGE;
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
			return help ? 0 : EXIT_USAGE;
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
		return words.n == 0 ? EXIT_USAGE : 0;
	}
	if (path == NULL || *path == '\0')
		path = DEFAULT_SOCKET;
	command = admin_find(&words, &answer);
	if (command == NULL) {
		fprintf(stderr, "pollgatectl: %s\n", answer.message);
		return EXIT_USAGE;
	}
	if (command == &admin_commands[ADMIN_CMD_top])
		return top(path, json, words.n > 1 ? words.at[1] : NULL);
	return ask(path, json, words.at, (int)words.n, stdout);
}
