// The line of the control socket: any bytes. It is split or refused, words lie within the line, and what was split reads back
// the same after quoting; pollgatectl's reader of answers takes any line too.
#include "mgmt/admin.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *quoted(const struct admin_words *w)
{
	char *line = NULL;
	size_t len;
	FILE *to = open_memstream(&line, &len);

	for (unsigned i = 0; i < w->n; i++) {
		admin_quote(to, w->at[i]);
		fputc(' ', to);
	}
	fclose(to);
	return line;
}

// Line breaks are what admin_quote() may change; the server splits lines before it calls admin_split().
static void check_round_trip(const struct admin_words *w)
{
	char *line = quoted(w);
	struct admin_words again;

	assert(admin_split(line, &again) == NULL);
	assert(again.n == w->n);
	for (unsigned i = 0; i < w->n; i++)
		assert(strcmp(again.at[i], w->at[i]) == 0);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct admin_answer a = {.code = ADMIN_CODE_DONE};
	struct admin_words w;
	const char *text;
	unsigned code;
	char *line;

	if (size >= ADMIN_LINE_MAX)
		return 0;
	line = calloc(1, size + 1);
	if (line == NULL)
		return 0;
	for (size_t i = 0; i < size; i++)
		line[i] = data[i] == '\n' || data[i] == '\r' ? ' ' : (char)data[i];
	if (admin_parse_line(line, &code, &text))
		assert(code <= 9999 && text == line + 5);
	if (admin_split(line, &w) == NULL) {
		assert(w.n > 0 && w.n <= ADMIN_MAX_WORDS);
		for (unsigned i = 0; i < w.n; i++)
			assert(w.at[i] >= line && w.at[i] + strlen(w.at[i]) <= line + size);
		if (admin_find(&w, &a) == NULL)
			assert(a.code != ADMIN_CODE_DONE && a.message[0] != '\0');
		// A first word "json" would be a wish when it is read again.
		if (strcmp(w.at[0], "json") != 0)
			check_round_trip(&w);
	}
	free(line);
	return 0;
}
