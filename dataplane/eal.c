#include "dataplane/eal.h"

#include "dataplane/base/log.h"
#include "dataplane/cores.h"

#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xdp/libxdp.h>

LOG_MODULE("dpdk")

#define MAX_ARGS  64
#define HUGE_PATH "/sys/kernel/mm/hugepages"

static struct {
	char text[256];
	size_t len;
} words;
static atomic_bool running; // workers run and may log at the same time

// What DPDK's log stream writes to; whole lines, "PREFIX: text\n".
static ssize_t take_line(void *cookie, const char *text, size_t size)
{
	int len = (int)size;

	(void)cookie;
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	if (len == 0)
		return (ssize_t)size;
	if (running)
		log_warning("%.*s", len, text);
	else if (words.len < sizeof(words.text))
		words.len +=
			(size_t)snprintf(words.text + words.len, sizeof(words.text) - words.len,
				"%s%.*s", words.len > 0 ? "; " : "", len, text);
	return (ssize_t)size;
}

const char *eal_take_words(void)
{
	bool any = words.len > 0;

	words.len = 0;
	return any ? words.text : "nothing";
}

void eal_run(void)
{
	running = true;
}

// libbpf and libxdp warn about much that is none of the operator's business, such as a kernel without
// bpffs; it matters only when a port cannot be opened.
static int __attribute__((format(printf, 1, 0))) take_bpf_words(const char *format, va_list ap)
{
	char line[256];
	int len = vsnprintf(line, sizeof(line), format, ap);

	if (!running && len > 0)
		take_line(NULL, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
	return len;
}

static int __attribute__((format(printf, 2, 0)))
take_libbpf_words(enum libbpf_print_level level, const char *format, va_list ap)
{
	return level == LIBBPF_WARN ? take_bpf_words(format, ap) : 0;
}

static int __attribute__((format(printf, 2, 0)))
take_libxdp_words(enum libxdp_print_level level, const char *format, va_list ap)
{
	return level == LIBXDP_WARN ? take_bpf_words(format, ap) : 0;
}

static void send_words_here(void)
{
	static const cookie_io_functions_t io = {.write = take_line};
	FILE *stream = fopencookie(NULL, "w", io);

	libbpf_set_print(take_libbpf_words);
	libxdp_set_print(take_libxdp_words);

	if (stream == NULL)
		return; // then it says it on standard error
	setvbuf(stream, NULL, _IOLBF, 1024);
	rte_openlog_stream(stream);
}

struct args {
	char *argv[MAX_ARGS];  // rte_eal_init() changes it
	char *owned[MAX_ARGS]; // the same, to free
	int argc;
};

static void __attribute__((format(printf, 2, 3))) add_arg(struct args *a, const char *format, ...)
{
	va_list ap;

	if (a->argc == MAX_ARGS)
		return;
	va_start(ap, format);
	if (vasprintf(&a->owned[a->argc], format, ap) >= 0) {
		a->argv[a->argc] = a->owned[a->argc];
		a->argc++;
	}
	va_end(ap);
}

static void add_lcores(struct args *a, const struct eal_config *config)
{
	char allowed[256], text[CORES_MAX * 10 + 300];
	size_t len;

	cores_print(config->allowed, allowed, sizeof(allowed));
	len = (size_t)snprintf(text, sizeof(text), "0@(%s)", allowed);
	for (unsigned i = 0; i < config->n_cores; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, ",%u@%u", i + 1, config->cores[i]);
	add_arg(a, "--lcores=%s", text);
	add_arg(a, "--main-lcore=0");
}

int eal_start(const struct eal_config *config, char *error, size_t error_size)
{
	static const struct rlimit no_limit = {RLIM_INFINITY, RLIM_INFINITY};
	struct args a = {0};
	int result;

	send_words_here();
	// AF_XDP pins the buffers; only kernels before 5.11 count that against the limit of root.
	setrlimit(RLIMIT_MEMLOCK, &no_limit);
	add_arg(&a, "pollgate");
	add_arg(&a, "--no-telemetry");
	add_arg(&a, "--log-level=warning");
	add_arg(&a, "--file-prefix=pollgate-%d", (int)getpid());
	add_arg(&a, "-m");
	add_arg(&a, "%u", config->memory_mb);
	if (config->hugepages) {
		add_arg(&a, "--in-memory");
		// Virtual devices need no physical addresses, and without those the buffers can lie together.
		if (config->n_pci == 0)
			add_arg(&a, "--iova-mode=va");
	} else {
		add_arg(&a,
			"--no-huge"); // excludes --in-memory; without shared config it leaves no
		add_arg(&a, "--no-shconf"); // files either
	}
	add_lcores(&a, config);
	if (config->n_pci == 0)
		add_arg(&a, "--no-pci");
	for (unsigned i = 0; i < config->n_pci; i++) {
		add_arg(&a, "-a");
		add_arg(&a, "%s", config->pci[i]);
	}
	result = rte_eal_init(a.argc, a.argv);
	if (result < 0) {
		result = rte_errno != 0 ? -rte_errno : -EIO;
		snprintf(error, error_size, "DPDK does not start: %s (it said: %s)",
			strerror(-result), eal_take_words());
	} else {
		result = 0;
		rmdir(rte_eal_get_runtime_dir()); // empty, and of no use to one process
		eal_take_words();
	}
	for (int i = 0; i < a.argc; i++)
		free(a.owned[i]);
	return result;
}

void eal_stop(void)
{
	running = false;
	rte_eal_cleanup();
}

size_t eal_free_hugepages(void)
{
	DIR *dir = opendir(HUGE_PATH);
	const struct dirent *entry;
	size_t bytes = 0;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		unsigned long kb, pages;
		char path[512];
		FILE *f;

		if (sscanf(entry->d_name, "hugepages-%lukB", &kb) != 1)
			continue;
		snprintf(path, sizeof(path), HUGE_PATH "/%s/free_hugepages", entry->d_name);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		if (fscanf(f, "%lu", &pages) == 1)
			bytes += kb * 1024 * pages;
		fclose(f);
	}
	closedir(dir);
	return bytes;
}
