// The format language of reference 6.3:  %NAME%  %NAME(args)%  %NAME(args):LENGTH%  %%
#include "router/access_log_format.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum args {
	ARGS_NONE,
	ARGS_IGNORED,
	ARGS_FIELD,
	ARGS_NAME,
	ARGS_TIME,
	ARGS_GRPC,
	ARGS_PATH,
	ARGS_POINTS,
};

#define AT(member)     offsetof(struct exchange_record, member)
#define CLIENT(member) offsetof(struct tls_client, member)

struct op {
	const char *name; // NULL for LOG_LITERAL
	enum args args;
	uint16_t a, b;
};

#define LOG_OP(name, args, function, a, b) [LOG_OP_##name] = {#name, ARGS_##args, a, b},

static const struct op ops[] = {
#include "router/access_log_ops.def"
};

#define N_OPS (sizeof(ops) / sizeof(ops[0]))

// Points of COMMON_DURATION that an exchange notes.
static const struct {
	const char *name;
	uint16_t at;
} points[] = {
	{"DS_RX_BEG", AT(start_us)         },
	{"DS_RX_END", AT(request_end_us)   },
	{"US_TX_BEG", AT(upstream_start_us)},
	{"US_TX_END", AT(upstream_end_us)  },
	{"US_RX_BEG", AT(response_start_us)},
	{"US_RX_END", AT(response_end_us)  },
	{"DS_TX_END", AT(end_us)           },
};

static const struct {
	const char *name;
	enum log_source source;
} pseudo_fields[] = {
	{":method",               LOG_SOURCE_METHOD       },
	{":scheme",               LOG_SOURCE_SCHEME       },
	{":authority",            LOG_SOURCE_AUTHORITY    },
	{"host",		  LOG_SOURCE_AUTHORITY    },
	{":path",                 LOG_SOURCE_PATH         },
	{":status",               LOG_SOURCE_STATUS       },
	{"x-envoy-original-path", LOG_SOURCE_ORIGINAL_PATH},
};

__attribute__((format(printf, 2, 3))) static int refuse(
	struct log_parser *p, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(p->error, LOG_ERROR_SIZE, format, ap);
	va_end(ap);
	return -1;
}

static bool is_name_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// One operator as it stands in the text.
struct operator_text {
	struct bytes name;
	struct bytes args;
	bool has_args;
	uint32_t max_len;
};

// Reads from behind the first '%' to behind the last.
static int read_operator(struct log_parser *p, struct operator_text *o)
{
	const char *start = p->at, *at = start;

	*o = (struct operator_text){.max_len = UINT32_MAX};
	while (is_name_byte(*at))
		at++;
	o->name = bytes_of(start, (size_t)(at - start));
	if (*at == '(') {
		const char *close = strchr(at, ')');

		if (close == NULL)
			return refuse(p, "operator %%%.40s has no closing parenthesis", start);
		o->has_args = true;
		o->args = bytes_of(at + 1, (size_t)(close - at - 1));
		at = close + 1;
	}
	if (*at == ':') {
		uint64_t len = 0;
		const char *digits = ++at;

		for (; *at >= '0' && *at <= '9' && len < UINT32_MAX; at++)
			len = len * 10 + (uint64_t)(*at - '0');
		if (at == digits || len == 0 || len >= UINT32_MAX)
			return refuse(p,
				"operator %%%.40s has no valid length; expected a number of bytes",
				start);
		o->max_len = (uint32_t)len;
	}
	if (*at != '%' || o->name.len == 0)
		return refuse(p,
			"no operator at \"%%%.40s\"; expected %%NAME%%, %%NAME(ARGUMENTS)%%, "
			"%%NAME(ARGUMENTS):LENGTH%% or %%%%",
			start);
	p->at = at + 1;
	return 1;
}

// Lower case, in the parser's scratch; '*used' bytes of it are taken.
static bool read_name(struct log_parser *p, struct bytes text, size_t *used, struct log_name *name)
{
	char *to = p->scratch + *used;

	if (text.len == 0 || text.len >= sizeof(p->scratch) - *used)
		return false;
	for (size_t i = 0; i < text.len; i++)
		to[i] = (char)byte_lower(text.ptr[i]);
	*used += text.len;
	name->text = bytes_of(to, text.len);
	name->id = http_field_id(name->text);
	name->source = LOG_SOURCE_FIELD;
	for (size_t i = 0; i < sizeof(pseudo_fields) / sizeof(pseudo_fields[0]); i++) {
		if (bytes_equal_str(name->text, pseudo_fields[i].name))
			name->source = pseudo_fields[i].source;
	}
	return name->source != LOG_SOURCE_FIELD || to[0] != ':';
}

static bool read_field(struct log_parser *p, struct bytes args, struct log_piece *piece)
{
	const uint8_t *question = args.len > 0 ? memchr(args.ptr, '?', args.len) : NULL;
	size_t used = 0;
	struct bytes second;

	if (question == NULL)
		return read_name(p, args, &used, &piece->names[0]);
	second = bytes_skip(args, (size_t)(question - args.ptr) + 1);
	if (second.len > 0 && memchr(second.ptr, '?', second.len) != NULL)
		return false;
	args.len = (size_t)(question - args.ptr);
	return read_name(p, args, &used, &piece->names[0])
		&& read_name(p, second, &used, &piece->names[1]);
}

static bool read_grpc(struct bytes args, struct log_piece *piece)
{
	if (args.len == 0 || bytes_equal_str(args, "CAMEL_STRING"))
		piece->a = LOG_GRPC_CAMEL;
	else if (bytes_equal_str(args, "SNAKE_STRING"))
		piece->a = LOG_GRPC_SNAKE;
	else if (bytes_equal_str(args, "NUMBER"))
		piece->a = LOG_GRPC_NUMBER;
	else
		return false;
	return true;
}

// Takes the part before the next ':' off 'args'.
static struct bytes next_part(struct bytes *args)
{
	const uint8_t *colon = args->len > 0 ? memchr(args->ptr, ':', args->len) : NULL;
	struct bytes part = *args;

	if (colon != NULL)
		part.len = (size_t)(colon - args->ptr);
	*args = bytes_skip(*args, part.len + (colon != NULL));
	return part;
}

static bool read_path(struct bytes args, struct log_piece *piece)
{
	struct bytes query = next_part(&args), which = next_part(&args);

	piece->without_query = bytes_equal_str(query, "NQ");
	if (!piece->without_query && query.len > 0 && !bytes_equal_str(query, "WQ"))
		return false;
	if (which.len == 0 || bytes_equal_str(which, "ORIG_OR_PATH"))
		piece->a = LOG_PATH_AS_RECEIVED_OR_SENT;
	else if (bytes_equal_str(which, "ORIG"))
		piece->a = LOG_PATH_AS_RECEIVED;
	else if (bytes_equal_str(which, "PATH"))
		piece->a = LOG_PATH_AS_SENT;
	else
		return false;
	return args.len == 0;
}

static bool read_point(struct bytes text, uint16_t *at)
{
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		if (bytes_equal_str(text, points[i].name)) {
			*at = points[i].at;
			return true;
		}
	}
	return false;
}

static bool read_points(struct bytes args, struct log_piece *piece)
{
	struct bytes from = next_part(&args), to = next_part(&args), unit = args;

	if (bytes_equal_str(unit, "us"))
		piece->per_us_divide = 1;
	else if (bytes_equal_str(unit, "ns"))
		piece->per_us_multiply = 1000, piece->per_us_divide = 1;
	else if (!bytes_equal_str(unit, "ms"))
		return false;
	return read_point(from, &piece->a) && read_point(to, &piece->b);
}

// The value of ENVIRONMENT(name) and HOSTNAME does not change while the process runs. It is kept in the scratch until the
// piece is added, and cut there.
static void read_constant(struct log_parser *p, struct bytes name, struct log_piece *piece)
{
	char variable[128];
	const char *value = NULL;

	p->scratch[0] = '\0';
	if (piece->op == LOG_OP_HOSTNAME) {
		gethostname(p->scratch, sizeof(p->scratch) - 1);
		p->scratch[sizeof(p->scratch) - 1] = '\0';
	} else {
		snprintf(variable, sizeof(variable), "%.*s", (int)name.len, (const char *)name.ptr);
		value = getenv(variable);
		snprintf(p->scratch, sizeof(p->scratch), "%s", value != NULL ? value : "");
	}
	piece->text = bytes_of_str(p->scratch);
}

static int read_args(struct log_parser *p, const struct operator_text *o, struct log_piece *piece)
{
	char reason[LOG_ERROR_SIZE] = "arguments are not valid";
	bool ok = true;
	size_t used = 0;

	switch (ops[piece->op].args) {
	case ARGS_NONE: ok = !o->has_args; break;
	case ARGS_IGNORED: break;
	case ARGS_FIELD: ok = read_field(p, o->args, piece); break;
	case ARGS_NAME:
		ok = o->args.len > 0 && o->args.len < 128;
		if (piece->op == LOG_OP_QUERY_PARAM) {
			ok = ok && read_name(p, o->args, &used, &piece->names[0]);
			piece->names[0].text = o->args; // the case of a parameter matters
		}
		break;
	case ARGS_TIME:
		piece->text = o->args;
		ok = log_time_check(o->args, reason);
		break;
	case ARGS_GRPC: ok = read_grpc(o->args, piece); break;
	case ARGS_PATH: ok = read_path(o->args, piece); break;
	case ARGS_POINTS: ok = read_points(o->args, piece); break;
	}
	if (!ok)
		return refuse(p, "operator %%%.*s(%.*s)%%: %.120s", (int)o->name.len,
			(const char *)o->name.ptr, (int)(o->args.len < 60 ? o->args.len : 60),
			o->args.len > 0 ? (const char *)o->args.ptr : "", reason);
	if (piece->op == LOG_OP_HOSTNAME || piece->op == LOG_OP_ENVIRONMENT)
		read_constant(p, o->args, piece);
	return 1;
}

int log_parse_next(struct log_parser *p, struct log_piece *piece)
{
	struct operator_text o;

	*piece = (struct log_piece){
		.max_len = UINT32_MAX, .per_us_multiply = 1, .per_us_divide = 1000};
	if (p->at[0] == '\0')
		return 0;
	if (p->at[0] != '%' || p->at[1] == '%') {
		const char *end = p->at[0] == '%' ? p->at + 1 : strchrnul(p->at, '%');

		piece->text = bytes_of(p->at, (size_t)(end - p->at));
		p->at = p->at[0] == '%' ? end + 1 : end;
		return 1;
	}
	p->at++;
	if (read_operator(p, &o) < 0)
		return -1;
	for (size_t i = LOG_LITERAL + 1; i < N_OPS; i++) {
		if (bytes_equal_str(o.name, ops[i].name)) {
			piece->op = (enum log_op_id)i;
			piece->a = ops[i].a;
			piece->b = ops[i].b;
			piece->max_len = o.max_len;
			return read_args(p, &o, piece);
		}
	}
	return refuse(p, "unknown operator %%%.*s%%", (int)(o.name.len < 60 ? o.name.len : 60),
		(const char *)o.name.ptr);
}
