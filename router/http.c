#include "router/http.h"

static const struct bytes known_names[HTTP_N_FIELD_IDS] = {
#define X(id, name) [HTTP_FIELD_##id] = {(const uint8_t *)(name), sizeof(name) - 1},
	HTTP_KNOWN_FIELDS(X)
#undef X
};

// Length and first byte tell the known names apart, but for one pair.
#define KEY(len, first) ((len) << 8 | (first))

static enum http_field_id candidate(struct bytes name)
{
	switch (KEY(name.len, name.ptr[0])) {
	case KEY(2, 't'): return HTTP_FIELD_TE;
	case KEY(4, 'd'): return HTTP_FIELD_DATE;
	case KEY(4, 'h'): return HTTP_FIELD_HOST;
	case KEY(6, 'a'): return HTTP_FIELD_ACCEPT;
	case KEY(6, 'c'): return HTTP_FIELD_COOKIE;
	case KEY(6, 'e'): return HTTP_FIELD_EXPECT;
	case KEY(6, 's'): return HTTP_FIELD_SERVER;
	case KEY(7, 'r'): return HTTP_FIELD_REFERER;
	case KEY(7, 't'): return HTTP_FIELD_TRAILER;
	case KEY(7, 'u'): return HTTP_FIELD_UPGRADE;
	case KEY(8, 'l'): return HTTP_FIELD_LOCATION;
	case KEY(10, 'c'): return HTTP_FIELD_CONNECTION;
	case KEY(10, 'k'): return HTTP_FIELD_KEEP_ALIVE;
	case KEY(10, 'u'): return HTTP_FIELD_USER_AGENT;
	case KEY(11, 'g'): return HTTP_FIELD_GRPC_STATUS;
	case KEY(12, 'c'): return HTTP_FIELD_CONTENT_TYPE;
	case KEY(12, 'g'): return HTTP_FIELD_GRPC_TIMEOUT;
	case KEY(12, 'x'): return HTTP_FIELD_X_REQUEST_ID;
	case KEY(14, 'c'): return HTTP_FIELD_CONTENT_LENGTH;
	case KEY(14, 'h'): return HTTP_FIELD_HTTP2_SETTINGS;
	case KEY(15, 'x'): return HTTP_FIELD_X_FORWARDED_FOR;
	case KEY(16, 'p'): return HTTP_FIELD_PROXY_CONNECTION;
	case KEY(16, 'x'): return HTTP_FIELD_X_FORWARDED_HOST;
	case KEY(17, 't'): return HTTP_FIELD_TRANSFER_ENCODING;
	case KEY(17, 'x'): return HTTP_FIELD_X_FORWARDED_PROTO;
	case KEY(18, 'x'): return HTTP_FIELD_X_ENVOY_OVERLOADED;
	case KEY(21, 'x'):
		return name.ptr[8] == 'a' ? HTTP_FIELD_X_ENVOY_ATTEMPT_COUNT
					  : HTTP_FIELD_X_ENVOY_ORIGINAL_PATH;
	case KEY(23, 'x'): return HTTP_FIELD_X_FORWARDED_CLIENT_CERT;
	case KEY(24, 'x'): return HTTP_FIELD_X_ENVOY_EXTERNAL_ADDRESS;
	case KEY(29, 'x'): return HTTP_FIELD_X_ENVOY_UPSTREAM_SERVICE_TIME;
	default: return HTTP_FIELD_OTHER;
	}
}

enum http_field_id http_field_id(struct bytes name)
{
	enum http_field_id id;

	if (name.len == 0)
		return HTTP_FIELD_OTHER;
	id = candidate(name);
	return id != HTTP_FIELD_OTHER && bytes_equal(name, known_names[id]) ? id : HTTP_FIELD_OTHER;
}

const struct http_field *http_field_find(const struct http_fields *f, enum http_field_id id)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (f->at[i].id == id)
			return &f->at[i];
	}
	return NULL;
}

// True if 'field' is named 'name', whose id is 'id'.
static bool is_named(const struct http_field *field, struct bytes name, enum http_field_id id)
{
	return field->id == id && (id != HTTP_FIELD_OTHER || bytes_equal(field->name, name));
}

// The index of the first, or the number of all if there is none.
static unsigned find(const struct http_fields *f, struct bytes name, enum http_field_id id)
{
	unsigned i = 0;

	while (i < f->n && !is_named(&f->at[i], name, id))
		i++;
	return i;
}

const struct http_field *http_field_find_name(const struct http_fields *f, struct bytes name)
{
	unsigned i = find(f, name, http_field_id(name));

	return i < f->n ? &f->at[i] : NULL;
}

bool http_field_add(struct http_fields *f, struct bytes name, struct bytes value)
{
	if (f->n >= HTTP_MAX_FIELDS)
		return false;
	f->at[f->n++] = (struct http_field){name, value, (uint8_t)http_field_id(name)};
	return true;
}

// Removes the fields of that name from index 'from' on, keeping the order of the others.
static unsigned remove_from(
	struct http_fields *f, unsigned from, struct bytes name, enum http_field_id id)
{
	unsigned kept = from;
	unsigned n_removed;

	for (unsigned i = from; i < f->n; i++) {
		if (is_named(&f->at[i], name, id))
			continue;
		if (kept != i)
			f->at[kept] = f->at[i];
		kept++;
	}
	n_removed = f->n - kept;
	f->n = (uint16_t)kept;
	return n_removed;
}

bool http_field_set(struct http_fields *f, struct bytes name, struct bytes value)
{
	enum http_field_id id = http_field_id(name);
	unsigned first = find(f, name, id);

	if (first == f->n)
		return http_field_add(f, name, value);
	f->at[first].value = value;
	remove_from(f, first + 1, name, id);
	return true;
}

unsigned http_field_remove(struct http_fields *f, struct bytes name)
{
	return remove_from(f, 0, name, http_field_id(name));
}

unsigned http_field_remove_id(struct http_fields *f, enum http_field_id id)
{
	if (id == HTTP_FIELD_OTHER)
		return 0;
	return remove_from(f, 0, known_names[id], id);
}

bool http_list_next(struct bytes *list, struct bytes *element)
{
	const uint8_t *p = list->ptr;
	const uint8_t *end;

	if (list->len == 0)
		return false;
	end = p + list->len;
	while (p < end && (*p == ',' || *p == ' ' || *p == '\t'))
		p++;
	if (p == end) {
		*list = bytes_of(end, 0);
		return false;
	}
	element->ptr = p;
	while (p < end && *p != ',')
		p++;
	*list = bytes_of(p, (size_t)(end - p));
	while (p[-1] == ' ' || p[-1] == '\t')
		p--;
	element->len = (size_t)(p - element->ptr);
	return true;
}

// Removes the fields that one Connection field names, but for those that have a rule of their own.
static unsigned remove_nominated(struct http_fields *f, struct bytes connection)
{
	struct bytes token;
	unsigned n_removed = 0;

	while (http_list_next(&connection, &token)) {
		unsigned kept = 0;

		if (bytes_equal_nocase(token, BYTES("te"))
			|| bytes_equal_nocase(token, BYTES("upgrade")))
			continue;
		for (unsigned i = 0; i < f->n; i++) {
			// Connection itself goes last: it is what is being read.
			if (f->at[i].id != HTTP_FIELD_CONNECTION
				&& bytes_equal_nocase(f->at[i].name, token)) {
				n_removed++;
				continue;
			}
			if (kept != i)
				f->at[kept] = f->at[i];
			kept++;
		}
		f->n = (uint16_t)kept;
	}
	return n_removed;
}

// RFC 9110, 10.1.4: of TE only "trailers" can be meant for the next hop too.
static unsigned reduce_te(struct http_fields *f)
{
	uint16_t n = f->n;
	bool trailers = false;

	for (unsigned i = 0; i < n; i++) {
		struct bytes list = f->at[i].value, token;

		if (f->at[i].id != HTTP_FIELD_TE)
			continue;
		while (http_list_next(&list, &token))
			trailers |= bytes_equal_nocase(token, BYTES("trailers"));
	}
	if (trailers)
		http_field_set(f, BYTES("te"), BYTES("trailers"));
	else
		http_field_remove_id(f, HTTP_FIELD_TE);
	return n - f->n;
}

unsigned http_remove_hop_by_hop(struct http_fields *f, bool keep_upgrade)
{
	static const enum http_field_id always[] = {
		HTTP_FIELD_CONNECTION,
		HTTP_FIELD_HTTP2_SETTINGS,
		HTTP_FIELD_KEEP_ALIVE,
		HTTP_FIELD_PROXY_CONNECTION,
		HTTP_FIELD_TRANSFER_ENCODING,
	};
	unsigned n_removed = 0;

	for (unsigned i = 0; i < f->n; i++) {
		struct bytes list = f->at[i].value;
		unsigned n;

		if (f->at[i].id != HTTP_FIELD_CONNECTION)
			continue;
		n = remove_nominated(f, list);
		n_removed += n;
		// Fields before this one may have gone: look at all again. It cannot find them
		// twice.
		if (n > 0)
			i = (unsigned)-1;
	}
	n_removed += reduce_te(f);
	for (unsigned i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		n_removed += http_field_remove_id(f, always[i]);
	if (!keep_upgrade)
		n_removed += http_field_remove_id(f, HTTP_FIELD_UPGRADE);
	return n_removed;
}

// RFC 9110, 15, and the registry for the rest.
#define REASONS(X)                                \
	X(100, "Continue")                        \
	X(101, "Switching Protocols")             \
	X(102, "Processing")                      \
	X(103, "Early Hints")                     \
	X(200, "OK")                              \
	X(201, "Created")                         \
	X(202, "Accepted")                        \
	X(203, "Non-Authoritative Information")   \
	X(204, "No Content")                      \
	X(205, "Reset Content")                   \
	X(206, "Partial Content")                 \
	X(207, "Multi-Status")                    \
	X(208, "Already Reported")                \
	X(226, "IM Used")                         \
	X(300, "Multiple Choices")                \
	X(301, "Moved Permanently")               \
	X(302, "Found")                           \
	X(303, "See Other")                       \
	X(304, "Not Modified")                    \
	X(305, "Use Proxy")                       \
	X(307, "Temporary Redirect")              \
	X(308, "Permanent Redirect")              \
	X(400, "Bad Request")                     \
	X(401, "Unauthorized")                    \
	X(402, "Payment Required")                \
	X(403, "Forbidden")                       \
	X(404, "Not Found")                       \
	X(405, "Method Not Allowed")              \
	X(406, "Not Acceptable")                  \
	X(407, "Proxy Authentication Required")   \
	X(408, "Request Timeout")                 \
	X(409, "Conflict")                        \
	X(410, "Gone")                            \
	X(411, "Length Required")                 \
	X(412, "Precondition Failed")             \
	X(413, "Payload Too Large")               \
	X(414, "URI Too Long")                    \
	X(415, "Unsupported Media Type")          \
	X(416, "Range Not Satisfiable")           \
	X(417, "Expectation Failed")              \
	X(421, "Misdirected Request")             \
	X(422, "Unprocessable Entity")            \
	X(423, "Locked")                          \
	X(424, "Failed Dependency")               \
	X(425, "Too Early")                       \
	X(426, "Upgrade Required")                \
	X(428, "Precondition Required")           \
	X(429, "Too Many Requests")               \
	X(431, "Request Header Fields Too Large") \
	X(451, "Unavailable For Legal Reasons")   \
	X(500, "Internal Server Error")           \
	X(501, "Not Implemented")                 \
	X(502, "Bad Gateway")                     \
	X(503, "Service Unavailable")             \
	X(504, "Gateway Timeout")                 \
	X(505, "HTTP Version Not Supported")      \
	X(506, "Variant Also Negotiates")         \
	X(507, "Insufficient Storage")            \
	X(508, "Loop Detected")                   \
	X(510, "Not Extended")                    \
	X(511, "Network Authentication Required")

const char *http_reason(uint16_t status)
{
	switch (status) {
#define X(code, reason) \
	case code: return reason;
		REASONS(X)
#undef X
	default: return "";
	}
}
