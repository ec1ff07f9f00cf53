#include "mgmt/ctl_capture.h"

#include "mgmt/ctl_client.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX 65535

// Its length is bounded by that of a line of the control socket.
#define MAX_INSTRUCTIONS 400u

static const struct {
	const char *option;
	const char *argument; // of 'frames'
} options[] = {
	{"--count",   "count"  },
	{"--seconds", "seconds"},
	{"--snaplen", "snaplen"},
	{"--port",    "port"   },
};

static void add_word(struct ctl_capture *c, const char *name, const char *value)
{
	char *word = NULL;

	if (asprintf(&word, "%s=%s", name, value) >= 0)
		c->words[c->n_words++] = word;
}

static char *hex_of(const struct bpf_program *p)
{
	size_t len = p->bf_len * sizeof(struct bpf_insn);
	const uint8_t *bytes = (const uint8_t *)p->bf_insns;
	char *text = malloc(2 * len + 1);

	for (size_t i = 0; text != NULL && i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return text;
}

static bool compile(struct ctl_capture *c, const char *expression, char *error)
{
	pcap_t *ethernet = pcap_open_dead(DLT_EN10MB, FRAME_MAX);
	struct bpf_program program;
	char *hex = NULL;

	snprintf(error, CTL_CAPTURE_ERROR_SIZE, "out of memory");
	if (ethernet == NULL)
		return false;
	if (pcap_compile(ethernet, &program, expression, 1, PCAP_NETMASK_UNKNOWN) != 0) {
		snprintf(error, CTL_CAPTURE_ERROR_SIZE, "expression \"%s\": %s", expression,
			pcap_geterr(ethernet));
	} else {
		if (program.bf_len > MAX_INSTRUCTIONS)
			snprintf(error, CTL_CAPTURE_ERROR_SIZE,
				"the expression is too long: it comes to %u instructions; expected "
				"at most %u",
				program.bf_len, MAX_INSTRUCTIONS);
		else
			hex = hex_of(&program);
		pcap_freecode(&program);
	}
	pcap_close(ethernet);
	if (hex != NULL)
		add_word(c, "program", hex);
	free(hex);
	return hex != NULL;
}

// The words from 'first' on, as one; to be freed.
static char *join(const struct admin_words *words, unsigned first)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (to == NULL)
		return NULL;
	for (unsigned i = first; i < words->n; i++)
		fprintf(to, "%s%s", i > first ? " " : "", words->at[i]);
	fclose(to);
	return text;
}

static const char *argument_of(const char *option)
{
	for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(options[i].option, option) == 0)
			return options[i].argument;
	}
	return NULL;
}

bool ctl_capture_parse(
	struct ctl_capture *c, const struct admin_words *words, char error[CTL_CAPTURE_ERROR_SIZE])
{
	char *expression;
	bool good = true;
	unsigned i;

	*c = (struct ctl_capture){.words[0] = strdup("frames"), .n_words = 1};
	for (i = 1; i < words->n && words->at[i][0] == '-'; i += 2) {
		const char *argument = argument_of(words->at[i]);
		bool is_file = strcmp(words->at[i], "-w") == 0;

		if ((argument == NULL && !is_file) || i + 1 == words->n
			|| c->n_words == CTL_CAPTURE_MAX_WORDS - 1) {
			snprintf(error, CTL_CAPTURE_ERROR_SIZE,
				"\"%s\": not understood here; see \"pollgatectl help\"",
				words->at[i]);
			return false;
		}
		if (is_file)
			c->file = words->at[i + 1];
		else
			add_word(c, argument, words->at[i + 1]);
	}
	expression = join(words, i);
	if (expression != NULL && *expression != '\0')
		good = compile(c, expression, error);
	free(expression);
	return good;
}

void ctl_capture_free(struct ctl_capture *c)
{
	for (int i = 0; i < c->n_words; i++)
		free(c->words[i]);
	c->n_words = 0;
}

// --- do it

static volatile int socket_of_signals = -1;

// The gateway then completes its answer.
static void on_signal(int number)
{
	(void)number;
	shutdown(socket_of_signals, SHUT_WR);
}

struct output {
	const char *path;
	FILE *file; // opened with the first bytes, so that a refusal leaves no empty file behind
	bool failed;
};

static bool write_bytes(void *arg, const void *bytes, size_t len)
{
	struct output *o = arg;

	if (o->file == NULL)
		o->file =
			o->path == NULL || strcmp(o->path, "-") == 0 ? stdout : fopen(o->path, "w");
	o->failed =
		o->file == NULL || fwrite(bytes, 1, len, o->file) != len || fflush(o->file) != 0;
	if (o->failed)
		fprintf(stderr, "pollgatectl: cannot write %s: %s\n",
			o->path != NULL ? o->path : "standard output", strerror(errno));
	return !o->failed;
}

int ctl_capture_run(const struct ctl_capture *c, const char *socket_path)
{
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct output o = {.path = c->file};
	int fd, status;

	if (c->file == NULL && isatty(STDOUT_FILENO)) {
		fputs("pollgatectl: a capture is no text; say where it goes with -w FILE\n",
			stderr);
		return CTL_EXIT_USAGE;
	}
	fd = ctl_connect(socket_path, 0);
	if (fd < 0)
		return 1;
	socket_of_signals = fd;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ctl_send(fd, false, c->words, c->n_words);
	status = ctl_read(fd, stdout, write_bytes, &o);
	if (o.file != NULL && o.file != stdout && fclose(o.file) != 0)
		status = 1;
	return o.failed ? 1 : status;
}
