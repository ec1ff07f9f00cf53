#include "mgmt/admin_protocol.h"

#include "dataplane/base/ip_addr.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Unquotes in place: the word never grows. Returns where the word ended, or NULL if a quote is not closed.
static char *read_word(char *at)
{
	char *to = at;
	bool quoted = false;

	for (; *at != '\0' && (quoted || !is_blank(*at)); at++) {
		if (*at == '"') {
			quoted = !quoted;
		} else if (quoted && *at == '\\' && at[1] != '\0') {
			*to++ = *++at;
		} else {
			*to++ = *at;
		}
	}
	if (quoted)
		return NULL;
	if (*at != '\0')
		at++;
	*to = '\0';
	return at;
}

const char *admin_split(char *line, struct admin_words *out)
{
	*out = (struct admin_words){0};
	for (;;) {
		while (is_blank(*line))
			line++;
		if (*line == '\0')
			break;
		if (out->n == ADMIN_MAX_WORDS)
			return "too many words";
		out->at[out->n++] = line;
		line = read_word(line);
		if (line == NULL)
			return "a quote is not closed";
	}
	if (out->n > 0 && strcmp(out->at[0], "json") == 0) {
		out->json = true;
		out->n--;
		memmove(out->at, out->at + 1, out->n * sizeof(out->at[0]));
	}
	return out->n == 0 ? "no command" : NULL;
}

void admin_quote(FILE *to, const char *word)
{
	fputc('"', to);
	for (; *word != '\0'; word++) {
		if (*word == '"' || *word == '\\')
			fputc('\\', to);
		fputc(*word == '\n' || *word == '\r' ? ' ' : *word, to);
	}
	fputc('"', to);
}

bool admin_end(struct admin_answer *a, enum admin_code code, const char *format, ...)
{
	va_list args;

	a->code = code;
	va_start(args, format);
	vsnprintf(a->message, sizeof(a->message), format, args);
	va_end(args);
	return false;
}

json_t *admin_endpoint(const struct ip_endpoint *e)
{
	static const struct ip_addr any;
	char text[IP_ENDPOINT_TEXT_SIZE];

	if (ip_addr_equal(&e->addr, &any))
		return json_sprintf("*:%u", e->port);
	ip_endpoint_print(e, text);
	return json_string(text);
}

json_t *admin_string(const char *text)
{
	json_t *string;
	char *copy;

	if (text == NULL)
		return json_null();
	string = json_string(text);
	if (string != NULL)
		return string;
	copy = strdup(text);
	if (copy == NULL)
		return json_null();
	for (char *c = copy; *c != '\0'; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	string = json_string(copy);
	free(copy);
	return string;
}

json_t *admin_list(struct admin_answer *a, const char *name)
{
	json_t *list = json_array();

	a->body = json_pack("{s:o}", name, list);
	return list;
}

// One line of data for each line of 'text'. Control characters could act on the reader's terminal.
static void write_text(FILE *to, const char *text)
{
	while (*text != '\0') {
		fprintf(to, "%04u ", (unsigned)ADMIN_CODE_TEXT);
		for (; *text != '\0' && *text != '\n'; text++)
			fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, to);
		fputc('\n', to);
		if (*text == '\n')
			text++;
	}
}

static void write_rendered(FILE *to, const json_t *body)
{
	char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);

	if (memory == NULL)
		return;
	admin_render(memory, body);
	if (fclose(memory) == 0)
		write_text(to, text);
	free(text);
}

void admin_write_answer(FILE *to, struct admin_answer *a, bool json)
{
	if (json && (a->body != NULL || a->text != NULL)) {
		json_t *body = a->body != NULL ? json_incref(a->body) : json_string(a->text);

		fprintf(to, "%04u ", (unsigned)ADMIN_CODE_JSON);
		json_dumpf(body, to, JSON_COMPACT | JSON_ENCODE_ANY);
		fputc('\n', to);
		json_decref(body);
	} else if (a->text != NULL) {
		write_text(to, a->text);
	} else if (a->body != NULL) {
		write_rendered(to, a->body);
	}
	for (char *c = a->message; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	}
	fprintf(to, "%04u %s\n", (unsigned)a->code, a->message[0] != '\0' ? a->message : "done");
	json_decref(a->body);
	free(a->text);
	*a = (struct admin_answer){0};
}

bool admin_parse_line(const char *line, unsigned *code, const char **text)
{
	unsigned value = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (line[i] < '0' || line[i] > '9')
			return false;
		value = value * 10 + (unsigned)(line[i] - '0');
	}
	if (line[4] != ' ')
		return false;
	*code = value;
	*text = line + 5;
	return true;
}
