#include "router/access_log_format.h"

#include <stdio.h>
#include <stdlib.h>

static const char default_text[] =
	"[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
	"%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
	"%CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" "
	"%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
	"\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" "
	"\"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% "
	"%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
	"%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

static const char default_json[] =
	"{\"start_time\":\"%START_TIME%\",\"route_name\":\"%ROUTE_NAME%\","
	"\"method\":\"%REQ(:METHOD)%\",\"path\":\"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%\","
	"\"protocol\":\"%PROTOCOL%\",\"response_code\":\"%RESPONSE_CODE%\","
	"\"response_flags\":\"%RESPONSE_FLAGS%\","
	"\"response_code_details\":\"%RESPONSE_CODE_DETAILS%\","
	"\"connection_termination_details\":\"%CONNECTION_TERMINATION_DETAILS%\","
	"\"bytes_received\":\"%BYTES_RECEIVED%\",\"bytes_sent\":\"%BYTES_SENT%\","
	"\"duration\":\"%DURATION%\","
	"\"upstream_service_time\":\"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%\","
	"\"x_forwarded_for\":\"%REQ(X-FORWARDED-FOR)%\",\"user_agent\":\"%REQ(USER-AGENT)%\","
	"\"request_id\":\"%REQ(X-REQUEST-ID)%\",\"authority\":\"%REQ(:AUTHORITY)%\","
	"\"upstream_host\":\"%UPSTREAM_HOST%\",\"upstream_cluster\":\"%UPSTREAM_CLUSTER_RAW%\","
	"\"upstream_local_address\":\"%UPSTREAM_LOCAL_ADDRESS%\","
	"\"downstream_local_address\":\"%DOWNSTREAM_LOCAL_ADDRESS%\","
	"\"downstream_remote_address\":\"%DOWNSTREAM_REMOTE_ADDRESS%\","
	"\"requested_server_name\":\"%REQUESTED_SERVER_NAME%\","
	"\"upstream_transport_failure_reason\":\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\"}";

static const char hex[] = "0123456789abcdef";

// --- building

static bool copy(struct bytes *b)
{
	uint8_t *own;

	if (b->len == 0) {
		b->ptr = NULL;
		return true;
	}
	own = malloc(b->len);
	if (own == NULL)
		return false;
	memcpy(own, b->ptr, b->len);
	b->ptr = own;
	return true;
}

static void release(struct bytes *b)
{
	free((void *)(uintptr_t)b->ptr);
	*b = (struct bytes){NULL, 0};
}

static void release_piece(struct log_piece *piece)
{
	release(&piece->text);
	release(&piece->names[0].text);
	release(&piece->names[1].text);
}

bool log_format_add(struct access_log_format *f, const struct log_piece *piece)
{
	struct log_piece own = *piece;

	if (f->n_pieces == f->cap) {
		unsigned cap = f->cap > 0 ? f->cap * 2 : 32;
		struct log_piece *pieces = realloc(f->pieces, cap * sizeof(*pieces));

		if (pieces == NULL)
			return false;
		f->pieces = pieces;
		f->cap = cap;
	}
	own.text = own.names[0].text = own.names[1].text = (struct bytes){NULL, 0};
	f->pieces[f->n_pieces] = own;
	own = *piece;
	if (!copy(&own.text))
		return false;
	f->pieces[f->n_pieces].text = own.text;
	for (unsigned i = 0; i < 2; i++) {
		if (!copy(&own.names[i].text)) {
			release_piece(&f->pieces[f->n_pieces]);
			return false;
		}
		f->pieces[f->n_pieces].names[i].text = own.names[i].text;
	}
	f->n_pieces++;
	return true;
}

bool log_format_add_literal(struct access_log_format *f, struct bytes text)
{
	struct log_piece *last = f->n_pieces > 0 ? &f->pieces[f->n_pieces - 1] : NULL;
	struct log_piece piece = {.op = LOG_LITERAL, .text = text};
	uint8_t *joined;

	if (last == NULL || last->op != LOG_LITERAL)
		return log_format_add(f, &piece);
	joined = malloc(last->text.len + text.len + 1);
	if (joined == NULL)
		return false;
	if (last->text.len > 0)
		memcpy(joined, last->text.ptr, last->text.len);
	if (text.len > 0)
		memcpy(joined + last->text.len, text.ptr, text.len);
	text.len += last->text.len;
	release(&last->text);
	last->text = bytes_of(joined, text.len);
	return true;
}

static bool compile_text(struct access_log_format *f, const char *text, char error[LOG_ERROR_SIZE])
{
	struct log_parser p = {.at = text, .error = error};
	struct log_piece piece;
	int more;

	while ((more = log_parse_next(&p, &piece)) != 0) {
		if (more < 0)
			return false;
		piece.style = LOG_STYLE_TEXT;
		if (piece.op == LOG_LITERAL ? !log_format_add_literal(f, piece.text)
					    : !log_format_add(f, &piece)) {
			snprintf(error, LOG_ERROR_SIZE, "out of memory");
			return false;
		}
	}
	return true;
}

struct access_log_format *access_log_format_new(
	const char *text, bool json, char error[LOG_ERROR_SIZE])
{
	struct access_log_format *f = calloc(1, sizeof(*f));
	bool ok;

	if (f == NULL) {
		snprintf(error, LOG_ERROR_SIZE, "out of memory");
		return NULL;
	}
	if (text == NULL || text[0] == '\0')
		text = json ? default_json : default_text;
	ok = json ? log_json_compile(f, text, error) : compile_text(f, text, error);
	if (!ok)
		access_log_format_free(&f);
	return f;
}

void access_log_format_free(struct access_log_format **fp)
{
	struct access_log_format *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	for (unsigned i = 0; i < f->n_pieces; i++)
		release_piece(&f->pieces[i]);
	free(f->pieces);
	free(f);
}

// --- rendering

size_t log_print_number(char to[20], uint64_t value)
{
	char digits[20];
	size_t n = sizeof(digits);
	size_t len;

	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	len = sizeof(digits) - n;
	memcpy(to, digits + n, len);
	return len;
}

static char *put(char *to, const char *end, const void *bytes, size_t len)
{
	size_t room = (size_t)(end - to);

	if (len > room)
		len = room;
	if (len > 0)
		memcpy(to, bytes, len);
	return to + len;
}

static bool is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

// Runs of ordinary bytes are copied in one piece.
static char *put_text(char *to, const char *end, struct bytes text)
{
	const uint8_t *p = text.ptr, *run = p, *last = p + text.len;

	for (; p < last; p++) {
		char escape[4];

		if (!is_control(*p))
			continue;
		to = put(to, end, run, (size_t)(p - run));
		run = p + 1;
		memcpy(escape, "\\x", 2);
		escape[2] = hex[*p >> 4];
		escape[3] = hex[*p & 15];
		to = put(to, end, escape, sizeof(escape));
	}
	return put(to, end, run, (size_t)(last - run));
}

// Length of the UTF-8 sequence at 'p' (RFC 3629, 4: no surrogates, nothing overlong, up to U+10FFFF), 0 if it is none.
static size_t utf8_len(const uint8_t *p, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t len;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (left < len)
		return 0;
	switch (p[0]) {
	case 0xe0: low = 0xa0; break;
	case 0xed: high = 0x9f; break;
	case 0xf0: low = 0x90; break;
	case 0xf4: high = 0x8f; break;
	default: break;
	}
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

// The escape of one byte that cannot stand in a JSON string as it is.
static size_t json_escape_of(uint8_t c, char escape[6])
{
	static const char *const named = "\bb\ff\nn\rr\tt\"\"\\\\";

	for (const char *n = named; *n != '\0'; n += 2) {
		if ((uint8_t)*n == c) {
			escape[0] = '\\';
			escape[1] = n[1];
			return 2;
		}
	}
	if (c >= 0x80) {
		memcpy(escape, "\\ufffd", 6);
		return 6;
	}
	memcpy(escape, "\\u00", 4);
	escape[4] = hex[c >> 4];
	escape[5] = hex[c & 15];
	return 6;
}

char *log_json_escape(char *to, const char *end, struct bytes text)
{
	const uint8_t *p = text.ptr, *run = p, *last = p + text.len;

	while (p < last) {
		size_t ordinary = 0;
		char escape[6];

		if (*p >= 0x80)
			ordinary = utf8_len(p, (size_t)(last - p));
		else if (!is_control(*p) && *p != '"' && *p != '\\')
			ordinary = 1;
		if (ordinary > 0) {
			p += ordinary;
			continue;
		}
		to = put(to, end, run, (size_t)(p - run));
		to = put(to, end, escape, json_escape_of(*p, escape));
		run = ++p;
	}
	return put(to, end, run, (size_t)(last - run));
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

// Details are words to Envoy's readers: "a b" becomes "a_b". What does not fit the copy is cut.
static void join_blanks(struct log_value *v)
{
	size_t len = v->text.len < sizeof(v->scratch) ? v->text.len : sizeof(v->scratch);

	for (size_t i = 0; i < len; i++)
		v->scratch[i] = is_blank(v->text.ptr[i]) ? '_' : (char)v->text.ptr[i];
	v->text = bytes_of(v->scratch, len);
}

static char *put_value(
	char *to, const char *end, const struct log_piece *piece, struct log_value *v)
{
	bool quoted = piece->style == LOG_STYLE_JSON_VALUE;
	char digits[20];

	switch (v->kind) {
	case LOG_VALUE_MISSING: return quoted ? put(to, end, "null", 4) : put(to, end, "-", 1);
	case LOG_VALUE_NUMBER: return put(to, end, digits, log_print_number(digits, v->number));
	case LOG_VALUE_TEXT: break;
	}
	if (v->text.len == 0)
		v->text.ptr = (const uint8_t *)"";
	if (v->blanks_as_underscores)
		join_blanks(v);
	if (v->text.len > piece->max_len)
		v->text.len = piece->max_len;
	if (piece->style == LOG_STYLE_TEXT)
		return put_text(to, end, v->text);
	if (quoted)
		to = put(to, end, "\"", 1);
	to = log_json_escape(to, end, v->text);
	return quoted ? put(to, end, "\"", 1) : to;
}

size_t access_log_render(
	const struct access_log_format *f, const struct exchange_record *r, char *to, size_t cap)
{
	const char *end = to + cap - 1; // the newline always has its place
	struct log_value v;
	char *at = to;

	if (cap == 0)
		return 0;
	for (unsigned i = 0; i < f->n_pieces; i++) {
		const struct log_piece *piece = &f->pieces[i];

		if (piece->op == LOG_LITERAL) {
			at = put(at, end, piece->text.ptr, piece->text.len);
			continue;
		}
		log_value_fetch(piece, r, &v);
		at = put_value(at, end, piece, &v);
	}
	if (at == to || at[-1] != '\n')
		*at++ = '\n';
	return (size_t)(at - to);
}

bool access_log_write(
	const struct access_log_format *f, const struct exchange_record *r, struct log_ring *ring)
{
	char *line = log_ring_reserve(ring);

	if (line == NULL)
		return false;
	log_ring_commit(ring, access_log_render(f, r, line, LOG_RING_LINE_MAX));
	return true;
}
