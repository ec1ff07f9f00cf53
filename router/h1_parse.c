// Heads of requests and responses, and trailer sections: from bytes to http_head, in place. Every
// byte is judged here again, though h1_scan() has seen it: the two do not depend on each other for
// safety.

#include "router/h1.h"
#include "router/http_chars.h"
#include "router/uri.h"

#define MAX_CONNECTION_OPTIONS 9 // Envoy refuses ten

// What the field lines of a section say about the message as a whole.
struct section {
	enum h1_kind kind;
	struct http_fields *fields;
	uint32_t max_fields;
	uint32_t n_lines;
	struct bytes host;
	int64_t content_length; // -1: none
	unsigned n_connection_options;
	bool has_host;
	bool chunked;
	bool close;
	bool keep_alive;
	bool connection_upgrade;
	bool has_upgrade;
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

// 1*DIGIT up to 2^63-1; '*value' becomes its canonical form, without leading zeros, since that is
// what is forwarded.
static const struct h1_error *read_length(struct bytes *value, int64_t *length)
{
	uint64_t n = 0;

	if (value->len == 0)
		return &H1_ERR_LENGTH_SYNTAX;
	for (size_t i = 0; i < value->len; i++) {
		if (!http_char_is(value->ptr[i], HTTP_CHAR_DIGIT))
			return &H1_ERR_LENGTH_SYNTAX;
	}
	while (value->len > 1 && value->ptr[0] == '0')
		*value = bytes_skip(*value, 1);
	if (value->len > 19) // 2^63-1 has 19 digits
		return &H1_ERR_LENGTH_OVERFLOW;
	for (size_t i = 0; i < value->len; i++)
		n = n * 10 + (uint64_t)(value->ptr[i] - '0');
	if (n > INT64_MAX)
		return &H1_ERR_LENGTH_OVERFLOW;
	*length = (int64_t)n;
	return NULL;
}

// Fields that a client must not be able to take out of a request by naming them in Connection.
// Transfer-Encoding is not among them: it never goes further, and some servers do name it.
static bool is_nomination_refused(struct bytes token)
{
	static const struct bytes refused[] = {
		BYTES("host"),
		BYTES("content-length"),
		BYTES("x-forwarded-for"),
		BYTES("x-forwarded-host"),
		BYTES("x-forwarded-proto"),
	};

	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (bytes_equal_nocase(token, refused[i]))
			return true;
	}
	return false;
}

static const struct h1_error *read_connection(struct section *s, struct bytes list)
{
	struct bytes token;

	while (http_list_next(&list, &token)) {
		if (!http_is_token(token.ptr, token.len))
			return &H1_ERR_CONNECTION_SYNTAX;
		if (++s->n_connection_options > MAX_CONNECTION_OPTIONS)
			return &H1_ERR_CONNECTION_LENGTH;
		if (bytes_equal_nocase(token, BYTES("close")))
			s->close = true;
		else if (bytes_equal_nocase(token, BYTES("keep-alive")))
			s->keep_alive = true;
		else if (bytes_equal_nocase(token, BYTES("upgrade")))
			s->connection_upgrade = true;
		else if (is_nomination_refused(token))
			return &H1_ERR_CONNECTION_NOMINATION;
	}
	return NULL;
}

// Trailers are merged by nobody here, but the next hop might (RFC 9110, 6.5.1): nothing that
// concerns framing, routing, authentication, request modifiers or the meaning of the content can
// come in one.
bool h1_is_trailer_refused(const struct http_field *f)
{
	static const struct bytes refused[] = {
		BYTES("age"),
		BYTES("authorization"),
		BYTES("cache-control"),
		BYTES("content-encoding"),
		BYTES("content-range"),
		BYTES("if-match"),
		BYTES("if-modified-since"),
		BYTES("if-none-match"),
		BYTES("if-range"),
		BYTES("if-unmodified-since"),
		BYTES("max-forwards"),
		BYTES("proxy-authenticate"),
		BYTES("proxy-authorization"),
		BYTES("range"),
		BYTES("set-cookie"),
		BYTES("vary"),
		BYTES("www-authenticate"),
	};

	switch ((enum http_field_id)f->id) {
	case HTTP_FIELD_CONNECTION:
	case HTTP_FIELD_CONTENT_LENGTH:
	case HTTP_FIELD_CONTENT_TYPE:
	case HTTP_FIELD_COOKIE:
	case HTTP_FIELD_EXPECT:
	case HTTP_FIELD_HOST:
	case HTTP_FIELD_HTTP2_SETTINGS:
	case HTTP_FIELD_KEEP_ALIVE:
	case HTTP_FIELD_LOCATION:
	case HTTP_FIELD_PROXY_CONNECTION:
	case HTTP_FIELD_TE:
	case HTTP_FIELD_TRAILER:
	case HTTP_FIELD_TRANSFER_ENCODING:
	case HTTP_FIELD_UPGRADE:
	case HTTP_FIELD_X_FORWARDED_CLIENT_CERT:
	case HTTP_FIELD_X_FORWARDED_FOR:
	case HTTP_FIELD_X_FORWARDED_HOST:
	case HTTP_FIELD_X_FORWARDED_PROTO: return true;
	case HTTP_FIELD_OTHER: break;
	default: return false;
	}
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (bytes_equal(f->name, refused[i]))
			return true;
	}
	return false;
}

// Judges one field and stores it, unless the head has a place of its own for it.
static const struct h1_error *take_field(struct section *s, struct http_field *f)
{
	const struct h1_error *error = NULL;

	if (s->kind == H1_TRAILERS)
		error = h1_is_trailer_refused(f) ? &H1_ERR_TRAILER_FORBIDDEN : NULL;
	else
		switch ((enum http_field_id)f->id) {
		case HTTP_FIELD_HOST:
			if (s->kind == H1_RESPONSE)
				break;
			if (s->has_host)
				return &H1_ERR_HOST_DUPLICATE;
			s->has_host = true;
			s->host = f->value;
			return NULL;
		case HTTP_FIELD_TRANSFER_ENCODING:
			if (s->chunked)
				return &H1_ERR_CODING_DUPLICATE;
			s->chunked = true;
			return bytes_equal_nocase(f->value, BYTES("chunked"))
				? NULL
				: &H1_ERR_CODING_UNKNOWN;
		case HTTP_FIELD_CONTENT_LENGTH:
			if (s->content_length >= 0)
				return &H1_ERR_LENGTH_DUPLICATE;
			error = read_length(&f->value, &s->content_length);
			break;
		case HTTP_FIELD_CONNECTION: error = read_connection(s, f->value); break;
		case HTTP_FIELD_UPGRADE: s->has_upgrade = f->value.len > 0; break;
		default: break;
		}
	if (error == NULL)
		s->fields->at[s->fields->n++] = *f;
	return error;
}

// Why the byte 'c' cannot follow 'n' bytes of a field name.
static const struct h1_error *name_error(size_t n, uint8_t c)
{
	if (n == 0)
		return c == ':'       ? &H1_ERR_FIELD_NAME_EMPTY
			: is_blank(c) ? &H1_ERR_OBS_FOLD
				      : &H1_ERR_FIELD_NAME;
	if (c == '\r')
		return &H1_ERR_FIELD_COLON;
	return is_blank(c) ? &H1_ERR_SPACE_BEFORE_COLON : &H1_ERR_FIELD_NAME;
}

// Reads the CRLF at '*pp', where the first control byte of a line stands.
static const struct h1_error *end_line(uint8_t **pp, const uint8_t *end)
{
	uint8_t *p = *pp;

	if (end - p < 2)
		return &H1_ERR_HEAD_END;
	if (p[0] != '\r')
		return p[0] == '\n' ? &H1_ERR_BARE_LF : &H1_ERR_CONTROL_BYTE;
	if (p[1] != '\n')
		return &H1_ERR_BARE_CR;
	*pp = p + 2;
	return NULL;
}

static uint8_t *find_control(uint8_t *p, const uint8_t *end)
{
	return p + (http_find_control(p, end) - p);
}

// One field line (RFC 9112, 5): name ":" OWS value OWS CRLF. The CR before 'end' stops every loop.
static const struct h1_error *parse_field(struct section *s, uint8_t **pp, const uint8_t *end)
{
	uint8_t *p = *pp;
	uint8_t *name = p;
	uint8_t *value;
	struct http_field f;
	const struct h1_error *error;
	uint8_t lower;

	if (++s->n_lines > s->max_fields)
		return &H1_ERR_TOO_MANY_FIELDS;
	while ((lower = http_token_lower[*p]) != 0)
		*p++ = lower;
	f.name = bytes_of(name, (size_t)(p - name));
	if (*p != ':' || f.name.len == 0)
		return name_error(f.name.len, *p);
	do
		p++;
	while (is_blank(*p));
	value = p;
	*pp = find_control(p, end);
	p = *pp;
	error = end_line(pp, end);
	if (error != NULL)
		return error;
	while (p > value && is_blank(p[-1]))
		p--;
	f.value = bytes_of(value, (size_t)(p - value));
	f.id = (uint8_t)http_field_id(f.name);
	return take_field(s, &f);
}

// The field lines and the empty line after them, which has to end at 'end'.
static const struct h1_error *parse_fields(struct section *s, uint8_t *p, const uint8_t *end)
{
	const struct h1_error *error = NULL;

	s->fields->n = 0;
	s->content_length = -1;
	if (s->max_fields > HTTP_MAX_FIELDS)
		s->max_fields = HTTP_MAX_FIELDS;
	while (error == NULL && p < end && *p != '\r')
		error = parse_field(s, &p, end);
	if (error != NULL)
		return error;
	error = end_line(&p, end);
	return error != NULL ? error : p == end ? NULL : &H1_ERR_HEAD_END;
}

// True if the bytes end with an empty line, on which the loops of this file rely.
static bool has_end(const uint8_t *p, size_t len)
{
	return len >= 4 && memcmp(p + len - 4, "\r\n\r\n", 4) == 0;
}

// Sets what head and section have in common, and judges the framing (RFC 9112, 6.1 and 6.3).
static const struct h1_error *finish_head(const struct section *s, struct http_head *head)
{
	head->content_length = s->content_length;
	head->chunked = s->chunked;
	head->upgrade = s->connection_upgrade && s->has_upgrade && head->version == HTTP_1_1;
	head->keep_alive = !s->close && (head->version == HTTP_1_1 || s->keep_alive);
	if (s->chunked && s->content_length >= 0)
		return &H1_ERR_LENGTH_AND_CHUNKED;
	return s->chunked && head->version == HTTP_1_0 ? &H1_ERR_CODING_1_0 : NULL;
}

// HTTP-version (RFC 9112, 2.3): eight bytes.
static const struct h1_error *parse_version(
	const uint8_t *p, bool accept_http_10, enum http_version *version)
{
	if (memcmp(p, "HTTP/", 5) != 0 || !http_char_is(p[5], HTTP_CHAR_DIGIT) || p[6] != '.'
		|| !http_char_is(p[7], HTTP_CHAR_DIGIT))
		return &H1_ERR_VERSION_SYNTAX;
	if (p[5] != '1' || p[7] > '1')
		return &H1_ERR_VERSION_UNSUPPORTED;
	*version = p[7] == '1' ? HTTP_1_1 : HTTP_1_0;
	return *version == HTTP_1_1 || accept_http_10 ? NULL : &H1_ERR_VERSION_1_0;
}

// absolute-form (RFC 9112, 3.2.2). 'target' is the caller's memory: an authority may be moved there.
static const struct h1_error *split_absolute(
	uint8_t *target, size_t len, struct bytes method, struct http_head *out)
{
	struct bytes t = bytes_of(target, len);
	uint8_t *authority;
	size_t n = 0, left;

	if (len >= 7 && bytes_equal_nocase(bytes_of(target, 7), BYTES("http://")))
		out->scheme = BYTES("http");
	else if (len >= 8 && bytes_equal_nocase(bytes_of(target, 8), BYTES("https://")))
		out->scheme = BYTES("https");
	else
		return memmem(t.ptr, t.len, "://", 3) != NULL ? &H1_ERR_TARGET_SCHEME
							      : &H1_ERR_TARGET_FORM;
	authority = target + out->scheme.len + 3;
	left = len - out->scheme.len - 3;
	while (n < left && authority[n] != '/' && authority[n] != '?')
		n++;
	out->authority = bytes_of(authority, n);
	out->path = bytes_of(authority + n, left - n);
	if (!uri_authority_is_valid(out->authority))
		return &H1_ERR_TARGET_AUTHORITY;
	if (out->path.len == 0) {
		out->path = bytes_equal(method, BYTES("OPTIONS")) ? BYTES("*") : BYTES("/");
	} else if (out->path.ptr[0] == '?') {
		// An empty path is "/" (RFC 9110, 4.2.3); the "//" before the authority makes room
		// for it.
		memmove(authority - 1, authority, n);
		authority[n - 1] = '/';
		out->authority.ptr--;
		out->path = bytes_of(authority + n - 1, left - n + 1);
	}
	return NULL;
}

// The four forms of RFC 9112, 3.2.
static const struct h1_error *parse_target(uint8_t *target, size_t len, struct http_head *out)
{
	struct bytes t = bytes_of(target, len);

	if (bytes_equal(out->method, BYTES("CONNECT"))) {
		out->authority = t;
		return uri_authority_is_valid(t) && uri_host(t).len + 1 < len ? NULL
									      : &H1_ERR_TARGET_FORM;
	}
	if (target[0] == '/') {
		out->path = t;
		return NULL;
	}
	if (len == 1 && target[0] == '*') {
		out->path = t;
		return bytes_equal(out->method, BYTES("OPTIONS")) ? NULL : &H1_ERR_TARGET_FORM;
	}
	return split_absolute(target, len, out->method, out);
}

// method SP request-target SP HTTP-version CRLF (RFC 9112, 3). The line's CR stops every loop.
static const struct h1_error *parse_request_line(
	uint8_t **pp, const uint8_t *end, const struct h1_limits *limits, struct http_head *out)
{
	uint8_t *method = *pp;
	uint8_t *eol = find_control(method, end);
	uint8_t *target, *p = method;
	const struct h1_error *error;

	*pp = eol;
	error = end_line(pp, end);
	if (error != NULL)
		return error;
	while (http_token_lower[*p] != 0)
		p++;
	if (p == method || *p != ' ')
		return p == eol ? &H1_ERR_REQUEST_LINE : &H1_ERR_METHOD;
	out->method = bytes_of(method, (size_t)(p - method));
	target = p + 1;
	p = target + (http_find_not_target(target, eol) - target);
	if (p < eol && *p != ' ')
		return *p == '#' ? &H1_ERR_TARGET_FRAGMENT : &H1_ERR_TARGET_BYTE;
	if (p == target || eol - p != 9)
		return &H1_ERR_REQUEST_LINE;
	error = parse_version(p + 1, limits->accept_http_10, &out->version);
	return error != NULL ? error : parse_target(target, (size_t)(p - target), out);
}

// Host against the version and the target (RFC 9112, 3.2). An empty Host is allowed in origin form:
// it names no authority. RFC 9112, 3.2.2 lets a proxy replace a Host that differs from the target;
// two different names in one request are refused here, since whoever comes next may read the other
// one.
static const struct h1_error *judge_host(const struct section *s, struct http_head *head)
{
	if (!s->has_host)
		return head->version == HTTP_1_1 ? &H1_ERR_HOST_MISSING : NULL;
	if (s->host.len > 0 && !uri_authority_is_valid(s->host))
		return &H1_ERR_HOST_SYNTAX;
	if (head->authority.len > 0)
		return bytes_equal_nocase(s->host, head->authority) ? NULL : &H1_ERR_HOST_MISMATCH;
	head->authority = s->host;
	return NULL;
}

static void init_head(struct http_head *head)
{
	static const struct bytes none;

	head->version = HTTP_1_1;
	head->method = none;
	head->scheme = none;
	head->authority = none;
	head->path = none;
	head->status = 0;
	head->fields.n = 0;
	head->content_length = -1;
	head->chunked = false;
	head->keep_alive = false;
	head->upgrade = false;
}

const struct h1_error *h1_parse_request(
	uint8_t *head, size_t len, const struct h1_limits *limits, struct http_head *out)
{
	struct section s = {H1_REQUEST, &out->fields, .max_fields = limits->max_fields};
	const uint8_t *end = head + len;
	const struct h1_error *error;
	uint8_t *p = head;

	init_head(out);
	if (!has_end(head, len))
		return &H1_ERR_HEAD_END;
	if (p[0] == '\r' && p[1] == '\n')
		p += 2;
	if (*p == '\r')
		return &H1_ERR_EMPTY_START_LINE;
	error = parse_request_line(&p, end, limits, out);
	if (error == NULL)
		error = parse_fields(&s, p, end);
	if (error == NULL)
		error = judge_host(&s, out);
	if (error == NULL)
		error = finish_head(&s, out);
	if (error == NULL && (out->chunked || out->content_length >= 0)
		&& bytes_equal(out->method, BYTES("CONNECT")))
		error = &H1_ERR_BODY_FORBIDDEN;
	return error;
}

// version SP 3DIGIT SP [ reason ] CRLF (RFC 9112, 4). The reason is dropped; what is forwarded has
// our own.
static const struct h1_error *parse_status_line(
	uint8_t **pp, const uint8_t *end, struct http_head *out)
{
	uint8_t *p = *pp;
	const uint8_t *eol = find_control(p, end);
	const struct h1_error *error;

	*pp += eol - p;
	error = end_line(pp, end);
	if (error != NULL)
		return error;
	if (eol - p < 13 || p[8] != ' ' || p[12] != ' ')
		return &H1_ERR_STATUS_LINE;
	error = parse_version(p, true, &out->version);
	if (error != NULL)
		return error;
	for (unsigned i = 9; i < 12; i++) {
		if (!http_char_is(p[i], HTTP_CHAR_DIGIT))
			return &H1_ERR_STATUS_LINE;
	}
	out->status = (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
	return out->status >= 100 && out->status <= 599 ? NULL : &H1_ERR_STATUS_RANGE;
}

const struct h1_error *h1_parse_response(
	uint8_t *head, size_t len, const struct h1_limits *limits, struct http_head *out)
{
	struct section s = {H1_RESPONSE, &out->fields, .max_fields = limits->max_fields};
	const uint8_t *end = head + len;
	const struct h1_error *error;
	uint8_t *p = head;

	init_head(out);
	if (!has_end(head, len))
		return &H1_ERR_HEAD_END;
	if (*p == '\r')
		return &H1_ERR_EMPTY_START_LINE;
	error = parse_status_line(&p, end, out);
	if (error == NULL)
		error = parse_fields(&s, p, end);
	if (error == NULL)
		error = finish_head(&s, out);
	if (error != NULL || (out->status >= 200 && out->status != 204))
		return error;
	// RFC 9110, 8.6, and RFC 9112, 6.1: no framing in 1xx and 204. Servers that say "0" mean
	// well; the field goes.
	if (out->chunked || out->content_length > 0)
		return &H1_ERR_BODY_FORBIDDEN;
	http_field_remove_id(&out->fields, HTTP_FIELD_CONTENT_LENGTH);
	out->content_length = -1;
	return NULL;
}

const struct h1_error *h1_parse_trailers(
	uint8_t *section, size_t len, const struct h1_limits *limits, struct http_fields *out)
{
	struct section s = {H1_TRAILERS, out, .max_fields = limits->max_fields};

	out->n = 0;
	if (len != 2 && !has_end(section, len))
		return &H1_ERR_HEAD_END;
	return parse_fields(&s, section, section + len);
}

enum h1_body h1_request_body(const struct http_head *request)
{
	if (request->chunked)
		return H1_BODY_CHUNKED;
	return request->content_length > 0 ? H1_BODY_LENGTH : H1_BODY_NONE;
}

enum h1_body h1_response_body(const struct http_head *response, struct bytes request_method)
{
	bool successful = response->status >= 200 && response->status <= 299;

	if (http_status_is_bodyless(response->status) || bytes_equal(request_method, BYTES("HEAD"))
		|| (successful && bytes_equal(request_method, BYTES("CONNECT"))))
		return H1_BODY_NONE;
	if (response->chunked)
		return H1_BODY_CHUNKED;
	if (response->content_length < 0)
		return H1_BODY_CLOSE;
	return response->content_length > 0 ? H1_BODY_LENGTH : H1_BODY_NONE;
}
