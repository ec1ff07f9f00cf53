// The words of the control socket, both directions; pure. One command is one line:
//
//     [json] COMMAND [ARGUMENT...]       words are separated by blanks; "a word" may be quoted, \ escapes in quotes
//
// The answer is lines that start with a number. Lines of class 1 are data; the first line of another class ends the answer:
//
//     1000 text, a line of a table       1001 one JSON document
//     1002 N: N bytes follow this line, then a line break
//     0000 done                          8000 failed: why
//     9000 no such command               9001 arguments not understood
//
// A command fills an admin_answer with a JSON value; that value is the JSON answer, and the text answer is a rendering of it, so
// that the two can never say different things.
#pragma once

#include "mgmt/admin_stream.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define ADMIN_LINE_MAX  8192u
#define ADMIN_MAX_WORDS 64u

enum admin_code {
	ADMIN_CODE_DONE = 0,
	ADMIN_CODE_TEXT = 1000,
	ADMIN_CODE_JSON = 1001,
	ADMIN_CODE_BYTES = 1002,
	ADMIN_CODE_FAILED = 8000,
	ADMIN_CODE_NO_COMMAND = 9000,
	ADMIN_CODE_ARGUMENTS = 9001,
};

struct admin_words {
	char *at[ADMIN_MAX_WORDS];
	unsigned n;
	bool json; // "json" stood in front and is not among the words
};

// Splits 'line' in place. Returns NULL, or what is wrong with it.
const char *admin_split(char *line, struct admin_words *out);

// Writes 'word' so that admin_split() reads it back, whatever it contains except line breaks and NUL (which become blanks).
void admin_quote(FILE *to, const char *word);

struct admin_answer {
	enum admin_code code; // of the last line
	char message[512];    // of the last line
	json_t *body;         // owned; NULL: no data
	char *text;           // owned; instead of 'body' where the data is text in itself (metrics)
	struct admin_stream stream; // instead of all the others: writes the answer as it comes
};

// Sets the last line of the answer; returns false for "return admin_fail(...)".
__attribute__((format(printf, 3, 4))) bool admin_end(
	struct admin_answer *a, enum admin_code code, const char *format, ...);

// A JSON string of 'text', which may come from a file or a client: bytes that are not UTF-8 become "?". NULL: JSON's null.
json_t *admin_string(const char *text);

struct ip_endpoint;
// "10.0.0.1:80"; "*:80" if it is every address.
json_t *admin_endpoint(const struct ip_endpoint *e);

// Writes the numbered lines and frees what 'a' owns.
void admin_write_answer(FILE *to, struct admin_answer *a, bool json);

// Begins the answer of a command that lists things: '{"<name>": [...]}'. Returns the list (borrowed); NULL without memory, which
// json_array_append_new() takes.
json_t *admin_list(struct admin_answer *a, const char *name);

// Renders 'value' for people: objects as "key: value", arrays of flat objects as tables, deeper ones indented. The only list of an
// answer needs no heading.
void admin_render(FILE *to, const json_t *value);

// Reads a line of an answer: its code and where its text begins. Returns false if it has none.
bool admin_parse_line(const char *line, unsigned *code, const char **text);
static inline bool admin_code_ends(unsigned code)
{
	return code / 1000 != 1;
}
