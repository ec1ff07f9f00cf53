// A compiled access log format, for the access_log*.c files alone: a list of pieces, each literal bytes or an operator.
//
//     access_log_parse.c   text -> pieces            access_log_json.c    JSON object -> pieces
//     access_log_value.c   operator, record -> value access_log_time.c    time and its format -> text
//     access_log.c         pieces, record -> line
//
// Parsing happens on the mgmt thread and may allocate; the rest is called by workers and does not.
#pragma once

#include "router/access_log.h"

#define LOG_ERROR_SIZE   256
// Longest value that is put together rather than borrowed from the record: a time, an address, flags.
#define LOG_SCRATCH_SIZE 160u

enum log_op_id {
	LOG_LITERAL,
#define LOG_OP(name, args, function, a, b) LOG_OP_##name,
#include "router/access_log_ops.def"
};

// How a piece is written.
enum log_style {
	LOG_STYLE_TEXT,       // control bytes as \xNN; missing: -
	LOG_STYLE_JSON_PART,  // inside a JSON string; missing: -
	LOG_STYLE_JSON_VALUE, // a JSON value of its own; missing: null
};

// Parameters of operators.
enum { LOG_ADDRESS, LOG_ADDRESS_WITHOUT_PORT, LOG_PORT };
enum { LOG_GRPC_CAMEL, LOG_GRPC_SNAKE, LOG_GRPC_NUMBER };
enum { LOG_PATH_AS_SENT, LOG_PATH_AS_RECEIVED, LOG_PATH_AS_RECEIVED_OR_SENT };

// Where REQ() and the like find a value.
enum log_source {
	LOG_SOURCE_NONE,
	LOG_SOURCE_FIELD,
	LOG_SOURCE_METHOD,
	LOG_SOURCE_SCHEME,
	LOG_SOURCE_AUTHORITY,
	LOG_SOURCE_PATH,
	LOG_SOURCE_STATUS,
	LOG_SOURCE_ORIGINAL_PATH,
};

struct log_name {
	enum log_source source;
	enum http_field_id id; // OTHER: by text
	struct bytes text;     // lower case
};

struct log_piece {
	enum log_op_id op;
	enum log_style style;
	uint32_t max_len; // of the value, in bytes; UINT32_MAX: all
	uint16_t a, b;    // parameters, as in the table
	uint32_t per_us_multiply,
		per_us_divide; // durations: from microseconds to the unit asked for
	bool without_query;
	struct log_name names[2];
	struct bytes text; // literal; constant; format of a time. Owned by the format once added
};

struct access_log_format {
	struct log_piece *pieces;
	unsigned n_pieces;
	unsigned cap;
};

// Reads the next piece of a format. Returns 1, 0 at the end, or -1 and a sentence in 'error'. What the piece refers to lies in the
// format's text, or is made lower case in 'scratch'.
struct log_parser {
	const char *at;
	char scratch[512];
	char *error; // [LOG_ERROR_SIZE]
};

int log_parse_next(struct log_parser *p, struct log_piece *piece);

// Appends copies. Literals that follow each other become one. Returns false without memory.
bool log_format_add(struct access_log_format *f, const struct log_piece *piece);
bool log_format_add_literal(struct access_log_format *f, struct bytes text);

// Compiles the text of a JSON object into 'f'. Returns false and a sentence in 'error'.
bool log_json_compile(struct access_log_format *f, const char *text, char error[LOG_ERROR_SIZE]);

struct log_value {
	enum { LOG_VALUE_MISSING, LOG_VALUE_TEXT, LOG_VALUE_NUMBER } kind;
	bool blanks_as_underscores;
	struct bytes text; // borrowed from the record, or in 'scratch'
	uint64_t number;
	char scratch[LOG_SCRATCH_SIZE];
};

// Fetches what 'piece', an operator, stands for.
void log_value_fetch(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v);

// Bytes of 'text' as they stand inside a JSON string: escaped, with U+FFFD for bytes that are not UTF-8. Never writes past
// 'end'; returns the end of what was written.
char *log_json_escape(char *to, const char *end, struct bytes text);

// True if 'format' is one that log_time_print() knows and that fits LOG_SCRATCH_SIZE; else a sentence in 'error'.
bool log_time_check(struct bytes format, char error[LOG_ERROR_SIZE]);
// Writes 'wall_us' (since 1970, UTC) as 'format' says; empty: 2026-01-31T09:08:07.123Z. Returns the length.
size_t log_time_print(struct bytes format, uint64_t wall_us, char to[LOG_SCRATCH_SIZE]);

// Decimal without the library. Returns the length.
size_t log_print_number(char to[20], uint64_t value);
