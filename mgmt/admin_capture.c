// 'frames': what the workers keep of their traffic, as a capture file that grows until enough is there, the time is over, or the
// client wants no more. pollgatectl makes its 'capture' of it.
//
// The filter arrives compiled: a name in an expression would be looked up by the compiler, and the mgmt thread must not wait.
#include "dataplane/base/log.h"
#include "mgmt/admin.h"
#include "mgmt/gateway_state.h"
#include "mgmt/pcapng.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("capture")

#define MAX_SECONDS 86400
#define CHUNK_BYTES (256u * 1024) // of one turn of the loop

struct capture {
	struct gateway *gw;
	struct capture_filter filter;
	struct bpf_insn *program; // owned; NULL: none
	uint64_t count;           // of frames that end it; 0: no end
	uint64_t duration_us;     // 0: no end
	uint64_t end_us;
	uint64_t n_written;
	uint64_t dropped_before;
	bool began; // the file's beginning is written
	bool finishing;
};

// --- the workers

static void set_filter(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	(void)state, (void)now_us;
	worker_capture(w, arg);
}

static void tell_workers(const struct capture *c, bool on)
{
	for (unsigned i = 0; i < c->gw->n_workers; i++) {
		if (on)
			capture_clear(worker_capture_ring(c->gw->workers[i]));
		worker_call(
			c->gw->workers[i], set_filter, on ? (void *)(uintptr_t)&c->filter : NULL);
	}
}

static uint64_t n_dropped(const struct gateway *gw)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < gw->n_workers; i++)
		n += stat_read(&worker_stats(gw->workers[i])->capture_drop_full);
	return n;
}

static struct capture_ring *oldest_now(const struct gateway *gw, const struct capture_record **out)
{
	struct capture_ring *found = NULL;

	for (unsigned i = 0; i < gw->n_workers; i++) {
		struct capture_ring *ring = worker_capture_ring(gw->workers[i]);
		const struct capture_record *r = capture_peek(ring);

		if (r == NULL || (found != NULL && r->wall_ns >= (*out)->wall_ns))
			continue;
		found = ring;
		*out = r;
	}
	return found;
}

// The ring whose first record is the oldest; NULL if all are empty.
//
// One worker's frame may be the answer to another's, which was written before it, but perhaps after its ring was looked at: so
// all are looked at again until nothing older turns up.
static struct capture_ring *oldest(const struct gateway *gw, const struct capture_record **out)
{
	struct capture_ring *found, *again = oldest_now(gw, out);

	do {
		found = again;
		again = oldest_now(gw, out);
	} while (again != found);
	return found;
}

// --- the file

static bool has_port(const struct capture *c, unsigned port)
{
	return c->filter.ports >> port & 1;
}

static void write_begin(const struct capture *c, FILE *to)
{
	struct port_status p;

	pcapng_write_begin(to, "pollgate " POLLGATE_VERSION);
	for (unsigned i = 0; dataplane_port_status(c->gw->dataplane, i, &p); i++) {
		if (has_port(c, i))
			pcapng_write_port(to, p.name, c->filter.snaplen);
	}
}

// The number of a port among those that the file has.
static uint32_t number_in_file(const struct capture *c, unsigned port)
{
	return (uint32_t)__builtin_popcount(c->filter.ports & ((1u << port) - 1));
}

// What there is by now, oldest first, up to a limit.
static void write_file(struct capture *c, FILE *to)
{
	const struct capture_record *r;
	struct capture_ring *ring;

	if (!c->began)
		write_begin(c, to);
	c->began = true;
	while ((c->count == 0 || c->n_written < c->count) && ftell(to) < (long)CHUNK_BYTES
		&& (ring = oldest(c->gw, &r)) != NULL) {
		pcapng_write_frame(to, r, number_in_file(c, r->port));
		capture_consume(ring, r);
		c->n_written++;
	}
}

// --- the stream

static void capture_free(struct capture *c)
{
	tell_workers(c, false);
	c->gw->capture = NULL;
	log_info("ended (frames=%llu dropped=%llu)", (unsigned long long)c->n_written,
		(unsigned long long)(n_dropped(c->gw) - c->dropped_before));
	free(c->program);
	free(c);
}

static bool is_over(const struct capture *c, uint64_t now_us)
{
	return c->finishing || (c->count > 0 && c->n_written == c->count)
		|| (c->duration_us > 0 && now_us >= c->end_us);
}

// False if there was no memory.
static bool write_chunk(struct capture *c, FILE *to)
{
	char *bytes = NULL;
	size_t len = 0;
	FILE *chunk = open_memstream(&bytes, &len);

	if (chunk == NULL)
		return false;
	write_file(c, chunk);
	if (fclose(chunk) != 0)
		len = 0;
	if (len > 0) {
		fprintf(to, "%04u %zu\n", (unsigned)ADMIN_CODE_BYTES, len);
		fwrite(bytes, 1, len, to);
		fputc('\n', to);
	}
	free(bytes);
	return true;
}

static bool more(void *arg, FILE *to, uint64_t now_us)
{
	struct admin_answer last = {.code = ADMIN_CODE_DONE};
	struct capture *c = arg;
	bool written = write_chunk(c, to);
	const struct capture_record *r;

	if (written && !is_over(c, now_us))
		return true;
	// What the workers kept before the end belongs to it.
	if (written && (c->count == 0 || c->n_written < c->count) && oldest(c->gw, &r) != NULL) {
		tell_workers(c, false);
		c->finishing = true;
		return true;
	}
	if (written)
		admin_end(&last, ADMIN_CODE_DONE, "%llu frames captured, %llu dropped",
			(unsigned long long)c->n_written,
			(unsigned long long)(n_dropped(c->gw) - c->dropped_before));
	else
		admin_end(&last, ADMIN_CODE_FAILED, "out of memory");
	admin_write_answer(to, &last, false);
	capture_free(c);
	return false;
}

static void finish(void *arg)
{
	struct capture *c = arg;

	c->finishing = true;
}

static void cancel(void *arg)
{
	capture_free(arg);
}

static const struct admin_stream_ops stream_ops = {more, finish, cancel};

// --- the command

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

// A program as pollgatectl compiled it, in this machine's byte order. Returns false if it is none, or not a safe one.
static bool parse_program(struct capture *c, const char *hex)
{
	size_t n = strlen(hex) / 2, size = sizeof(struct bpf_insn);
	uint8_t *bytes;

	if (n == 0 || strlen(hex) % 2 != 0 || n % size != 0 || c->program != NULL)
		return false;
	bytes = malloc(n);
	c->program = (struct bpf_insn *)(void *)bytes;
	for (size_t i = 0; bytes != NULL && i < n; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	c->filter.program = c->program;
	return bytes != NULL && bpf_validate(c->program, (int)(n / size)) != 0;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most)
		return false;
	*out = value;
	return true;
}

static bool parse_port(struct capture *c, const char *name)
{
	struct port_status p;

	for (unsigned i = 0; dataplane_port_status(c->gw->dataplane, i, &p); i++) {
		if (strcmp(p.name, name) != 0)
			continue;
		c->filter.ports = 1u << i;
		return true;
	}
	return false;
}

static bool parse_word(struct capture *c, char *word, struct admin_answer *a)
{
	char *value = strchr(word, '=');
	uint64_t number;

	if (value == NULL)
		return admin_end(a, ADMIN_CODE_ARGUMENTS, "\"%s\" is not NAME=VALUE", word);
	*value++ = '\0';
	if (strcmp(word, "count") == 0)
		return parse_number(value, 1, UINT32_MAX, &c->count)
			|| admin_end(a, ADMIN_CODE_ARGUMENTS, "count is 1 to 4294967295");
	if (strcmp(word, "seconds") == 0 && parse_number(value, 1, MAX_SECONDS, &number)) {
		c->duration_us = number * 1000000;
		return true;
	}
	if (strcmp(word, "seconds") == 0)
		return admin_end(a, ADMIN_CODE_ARGUMENTS, "seconds is 1 to %d", MAX_SECONDS);
	if (strcmp(word, "snaplen") == 0 && parse_number(value, 1, CAPTURE_MAX_SNAPLEN, &number)) {
		c->filter.snaplen = (uint32_t)number;
		return true;
	}
	if (strcmp(word, "snaplen") == 0)
		return admin_end(
			a, ADMIN_CODE_ARGUMENTS, "snaplen is 1 to %u", CAPTURE_MAX_SNAPLEN);
	if (strcmp(word, "port") == 0)
		return parse_port(c, value)
			|| admin_end(a, ADMIN_CODE_ARGUMENTS, "no port \"%s\"", value);
	if (strcmp(word, "program") == 0)
		return parse_program(c, value)
			|| admin_end(a, ADMIN_CODE_ARGUMENTS, "program is not one of BPF");
	return admin_end(a, ADMIN_CODE_ARGUMENTS,
		"no argument \"%s\"; expected count, seconds, snaplen, port or program", word);
}

bool admin_cmd_frames(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	struct capture *c;

	if (gw->capture != NULL)
		return admin_end(a, ADMIN_CODE_FAILED,
			"another capture is under way; there is one at a time");
	if (worker_capture_ring(gw->workers[0]) == NULL)
		return admin_end(a, ADMIN_CODE_FAILED, "there is no memory for captures");
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return admin_end(a, ADMIN_CODE_FAILED, "out of memory");
	c->gw = gw;
	c->filter = (struct capture_filter){.snaplen = CAPTURE_MAX_SNAPLEN, .ports = UINT32_MAX};
	for (unsigned i = 1; i < words->n; i++) {
		if (!parse_word(c, words->at[i], a)) {
			free(c->program);
			free(c);
			return false;
		}
	}
	c->end_us = loop_now_us() + c->duration_us;
	c->dropped_before = n_dropped(gw);
	gw->capture = c;
	log_info("began (filter=%s)", c->program != NULL ? "yes" : "no");
	tell_workers(c, true);
	a->stream = (struct admin_stream){&stream_ops, c};
	return true;
}
