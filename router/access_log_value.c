#include "router/access_log_format.h"

typedef void value_fn(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v);

static const struct {
	const char *camel, *snake;
} grpc_names[] = {
	{"OK",		 "OK"                 },
	{"Canceled",           "CANCELLED"          },
	{"Unknown",            "UNKNOWN"            },
	{"InvalidArgument",    "INVALID_ARGUMENT"   },
	{"DeadlineExceeded",   "DEADLINE_EXCEEDED"  },
	{"NotFound",           "NOT_FOUND"          },
	{"AlreadyExists",      "ALREADY_EXISTS"     },
	{"PermissionDenied",   "PERMISSION_DENIED"  },
	{"ResourceExhausted",  "RESOURCE_EXHAUSTED" },
	{"FailedPrecondition", "FAILED_PRECONDITION"},
	{"Aborted",            "ABORTED"            },
	{"OutOfRange",         "OUT_OF_RANGE"       },
	{"Unimplemented",      "UNIMPLEMENTED"      },
	{"Internal",           "INTERNAL"           },
	{"Unavailable",        "UNAVAILABLE"        },
	{"DataLoss",           "DATA_LOSS"          },
	{"Unauthenticated",    "UNAUTHENTICATED"    },
};

static const void *member(const struct exchange_record *r, uint16_t offset)
{
	return (const char *)r + offset;
}

static void set_number(struct log_value *v, uint64_t number)
{
	v->kind = LOG_VALUE_NUMBER;
	v->number = number;
}

static void set_text(struct log_value *v, struct bytes text)
{
	v->kind = LOG_VALUE_TEXT;
	v->text = text;
}

static void set_string(struct log_value *v, const char *text)
{
	if (text != NULL && text[0] != '\0')
		set_text(v, bytes_of_str(text));
}

static void set_scratch(struct log_value *v, size_t len)
{
	set_text(v, bytes_of(v->scratch, len));
}

static void value_missing(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	(void)piece;
	(void)r;
	v->kind = LOG_VALUE_MISSING;
}

static void value_constant(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	(void)r;
	if (piece->text.len > 0)
		set_text(v, piece->text);
}

static void value_number(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	set_number(v, *(const uint64_t *)member(r, piece->a));
}

static void value_string(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	set_string(v, *(const char *const *)member(r, piece->a));
}

static void value_details(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	value_string(piece, r, v);
	v->blanks_as_underscores = true;
}

static void value_transport_failure(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	(void)piece;
	if (r->transport_failure.len > 0)
		set_text(v, r->transport_failure);
	v->blanks_as_underscores = true;
}

static void value_start_time(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	set_scratch(v, log_time_print(piece->text, r->start_wall_us, v->scratch));
}

static void value_emit_time(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	uint64_t passed_us = r->end_us > r->start_us ? r->end_us - r->start_us : 0;

	set_scratch(v, log_time_print(piece->text, r->start_wall_us + passed_us, v->scratch));
}

static void value_duration(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	uint64_t from = *(const uint64_t *)member(r, piece->a);
	uint64_t to = *(const uint64_t *)member(r, piece->b);

	if (from != 0 && to >= from)
		set_number(v, (to - from) * piece->per_us_multiply / piece->per_us_divide);
}

static void value_protocol(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	static const char *const names[] = {
		[HTTP_1_0] = "HTTP/1.0", [HTTP_1_1] = "HTTP/1.1", [HTTP_2] = "HTTP/2"};

	(void)piece;
	set_string(v, names[r->protocol]);
}

static void value_response_code(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	(void)piece;
	set_number(v, r->status);
}

static void value_attempts(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	(void)piece;
	set_number(v, r->attempts);
}

static void value_flags(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	(void)piece;
	set_scratch(v, response_flags_print(&r->flags, v->scratch));
}

// As many of the names as fit, each whole.
static void value_flags_long(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	size_t len = 0;

	(void)piece;
	if (r->flags.n == 0)
		v->scratch[len++] = '-';
	for (unsigned i = 0; i < r->flags.n; i++) {
		const char *name = response_flag_long_name((enum response_flag)r->flags.at[i]);
		size_t name_len = strlen(name);

		if (len + 1 + name_len > sizeof(v->scratch))
			break;
		if (i > 0)
			v->scratch[len++] = ',';
		memcpy(v->scratch + len, name, name_len);
		len += name_len;
	}
	set_scratch(v, len);
}

static void value_grpc_status(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	if (!r->grpc || r->grpc_status < 0)
		return;
	if (piece->a == LOG_GRPC_NUMBER
		|| (unsigned)r->grpc_status >= sizeof(grpc_names) / sizeof(grpc_names[0]))
		set_number(v, (uint64_t)r->grpc_status);
	else
		set_string(v,
			piece->a == LOG_GRPC_SNAKE ? grpc_names[r->grpc_status].snake
						   : grpc_names[r->grpc_status].camel);
}

static void set_address(struct log_value *v, const struct ip_endpoint *e, uint16_t what)
{
	static const struct ip_addr none;

	if (ip_addr_equal(&e->addr, &none))
		return;
	switch (what) {
	case LOG_PORT: set_number(v, e->port); break;
	case LOG_ADDRESS: set_scratch(v, ip_endpoint_print(e, v->scratch)); break;
	default: set_scratch(v, ip_addr_print(&e->addr, v->scratch));
	}
}

static void value_address(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	set_address(v, member(r, piece->a), piece->b);
}

static void value_upstream(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	if (r->endpoint == NULL)
		return;
	if (piece->b == LOG_ADDRESS)
		set_text(v, bytes_of(r->endpoint->text, r->endpoint->text_len));
	else
		set_address(v, &r->endpoint->address, piece->b);
}

static void value_upstream_cluster(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	(void)piece;
	if (r->cluster != NULL)
		set_string(v, r->cluster->config->name);
}

static void value_server_name(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	(void)piece;
	if (r->sni.len > 0)
		set_text(v, r->sni);
}

static void value_client(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	const struct bytes *text;

	if (r->client == NULL)
		return;
	text = (const void *)((const char *)r->client + piece->a);
	if (text->len > 0)
		set_text(v, *text);
}

static void value_client_time(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	uint64_t wall_us;

	if (r->client == NULL)
		return;
	memcpy(&wall_us, (const char *)r->client + piece->a, sizeof(wall_us));
	set_scratch(v, log_time_print(piece->text, wall_us, v->scratch));
}

static bool find_field(
	const struct http_fields *fields, const struct log_name *name, struct bytes *value)
{
	const struct http_field *f = name->id != HTTP_FIELD_OTHER
		? http_field_find(fields, name->id)
		: http_field_find_name(fields, name->text);

	if (f != NULL)
		*value = f->value;
	return f != NULL;
}

// Control data is there if it has bytes; a field is there even when it is empty.
static bool find_in_request(
	const struct exchange_record *r, const struct log_name *name, struct bytes *value)
{
	switch (name->source) {
	case LOG_SOURCE_NONE:
	case LOG_SOURCE_STATUS: return false;
	case LOG_SOURCE_FIELD: return find_field(&r->request->fields, name, value);
	case LOG_SOURCE_ORIGINAL_PATH:
		if (find_field(&r->request->fields, name, value))
			return true;
		*value = r->original_path;
		break;
	case LOG_SOURCE_METHOD: *value = r->request->method; break;
	case LOG_SOURCE_SCHEME: *value = r->request->scheme; break;
	case LOG_SOURCE_AUTHORITY: *value = r->request->authority; break;
	case LOG_SOURCE_PATH: *value = r->request->path; break;
	}
	return value->len > 0;
}

static void value_request_field(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	struct bytes value;

	if (r->request == NULL)
		return;
	if (find_in_request(r, &piece->names[0], &value)
		|| find_in_request(r, &piece->names[1], &value))
		set_text(v, value);
}

static void value_from(
	const struct log_piece *piece, const struct http_fields *fields, struct log_value *v)
{
	for (unsigned i = 0; i < 2; i++) {
		struct bytes value;

		if (piece->names[i].source != LOG_SOURCE_NONE
			&& find_field(fields, &piece->names[i], &value)) {
			set_text(v, value);
			return;
		}
	}
}

static void value_response_field(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	if (piece->names[0].source == LOG_SOURCE_STATUS && r->status != 0)
		set_number(v, r->status);
	else if (r->response != NULL)
		value_from(piece, &r->response->fields, v);
}

static void value_response_trailer(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	if (r->response_trailers != NULL)
		value_from(piece, r->response_trailers, v);
}

static void value_path(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	struct bytes path = {NULL, 0};

	if (piece->a != LOG_PATH_AS_SENT)
		path = r->original_path;
	if (path.len == 0 && piece->a != LOG_PATH_AS_RECEIVED && r->request != NULL)
		path = r->request->path;
	for (size_t i = 0; piece->without_query && i < path.len; i++) {
		if (path.ptr[i] == '?')
			path.len = i;
	}
	if (path.len > 0)
		set_text(v, path);
}

// The value as it stands in the path, percent-encoding and all.
static void value_query_parameter(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	const uint8_t *p, *end, *query;

	if (r->request == NULL || r->request->path.len == 0)
		return;
	end = r->request->path.ptr + r->request->path.len;
	query = memchr(r->request->path.ptr, '?', r->request->path.len);
	for (p = query; p != NULL && p < end;) {
		struct bytes parameter, value = {NULL, 0};
		const uint8_t *next, *equals;

		p++;
		next = memchr(p, '&', (size_t)(end - p));
		if (next == NULL)
			next = end;
		parameter = bytes_of(p, (size_t)(next - p));
		equals = memchr(p, '=', parameter.len);
		if (equals != NULL) {
			value = bytes_of(equals + 1, (size_t)(next - equals - 1));
			parameter.len = (size_t)(equals - p);
		}
		if (bytes_equal(parameter, piece->names[0].text)) {
			set_text(v, value);
			return;
		}
		p = next;
	}
}

static value_fn *const functions[] = {
	[LOG_LITERAL] = value_constant,
#define LOG_OP(name, args, function, a, b) [LOG_OP_##name] = value_##function,
#include "router/access_log_ops.def"
};

void log_value_fetch(
	const struct log_piece *piece, const struct exchange_record *r, struct log_value *v)
{
	v->kind = LOG_VALUE_MISSING;
	v->blanks_as_underscores = false;
	functions[piece->op](piece, r, v);
}
