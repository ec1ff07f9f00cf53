#include "router/uri.h"
#include "router/http_chars.h"

// Index of the first '?' or '#' at or after 'from', or t.len.
static size_t path_len(struct bytes t)
{
	size_t n = 0;

	while (n < t.len && t.ptr[n] != '?' && t.ptr[n] != '#')
		n++;
	return n;
}

struct bytes uri_path(struct bytes target)
{
	return bytes_of(target.ptr, path_len(target));
}

struct bytes uri_query(struct bytes target)
{
	struct bytes q = bytes_skip(target, path_len(target));
	size_t n = 0;

	if (q.len == 0 || q.ptr[0] != '?')
		return bytes_of(NULL, 0);
	q = bytes_skip(q, 1);
	while (n < q.len && q.ptr[n] != '#')
		n++;
	return bytes_of(q.ptr, n);
}

struct bytes uri_host(struct bytes authority)
{
	size_t n = 0;

	if (authority.len > 0 && authority.ptr[0] == '[') {
		while (n < authority.len && authority.ptr[n] != ']')
			n++;
		return bytes_of(authority.ptr, n < authority.len ? n + 1 : n);
	}
	while (n < authority.len && authority.ptr[n] != ':')
		n++;
	return bytes_of(authority.ptr, n);
}

// Length of the IP-literal at the front of 'b' (RFC 3986, 3.2.2), or 0. IPvFuture is none: nobody
// has one.
static size_t ip_literal_len(struct bytes b)
{
	char text[48];
	size_t n = 1;
	struct ip_addr addr;

	while (n < b.len && b.ptr[n] != ']')
		n++;
	if (n == b.len || n > sizeof(text))
		return 0;
	memcpy(text, b.ptr + 1, n - 1);
	text[n - 1] = '\0';
	return strlen(text) == n - 1 && memchr(text, ':', n - 1) != NULL
			&& ip_addr_parse(text, &addr)
		? n + 1
		: 0;
}

// Length of the reg-name or IPv4 address at the front of 'b', or 0.
static size_t name_len(struct bytes b)
{
	size_t n = 0;

	while (n < b.len) {
		if (http_char_is(b.ptr[n], HTTP_CHAR_REG_NAME))
			n++;
		else if (b.ptr[n] == '%' && b.len - n >= 3
			&& http_char_is(b.ptr[n + 1], HTTP_CHAR_HEX)
			&& http_char_is(b.ptr[n + 2], HTTP_CHAR_HEX))
			n += 3;
		else
			break;
	}
	return n;
}

bool uri_authority_is_valid(struct bytes authority)
{
	size_t n;
	unsigned port = 0;

	if (authority.len == 0)
		return false;
	n = authority.ptr[0] == '[' ? ip_literal_len(authority) : name_len(authority);
	if (n == 0)
		return false;
	if (n == authority.len)
		return true;
	if (authority.ptr[n++] != ':')
		return false;
	for (; n < authority.len; n++) {
		if (!http_char_is(authority.ptr[n], HTTP_CHAR_DIGIT))
			return false;
		port = port * 10 + (unsigned)(authority.ptr[n] - '0');
		if (port > 65535)
			return false;
	}
	return true;
}

// One unit of a path on its way to the normal form.
struct path_unit {
	enum {
		UNIT_SLASH,
		UNIT_BYTE,   // 'byte', as it is
		UNIT_ESCAPE, // 'byte' has to be written as %XX
		UNIT_NUL,
	} kind;
	uint8_t byte;
	uint8_t len; // in the input
};

// Reads the unit at the front of 'b', which is not empty. An escape that stays is its "%" as a
// byte, and the rest later.
static struct path_unit read_unit(struct bytes b, bool decode_slashes)
{
	uint8_t c = b.ptr[0];
	int high, low, value;

	if (c == '/' || c == '\\')
		return (struct path_unit){UNIT_SLASH, c, 1};
	if (c != '%') {
		bool stays = http_char_is(c, HTTP_CHAR_PATH);

		return (struct path_unit){c == 0 ? UNIT_NUL
				: stays          ? UNIT_BYTE
						 : UNIT_ESCAPE,
			c, 1};
	}
	high = b.len >= 3 ? http_hex_value(b.ptr[1]) : -1;
	low = high >= 0 ? http_hex_value(b.ptr[2]) : -1;
	value = high * 16 + low;
	if (low < 0)
		return (struct path_unit){UNIT_BYTE, c, 1};
	if (value == 0)
		return (struct path_unit){UNIT_NUL, 0, 3};
	if (decode_slashes && (value == '/' || value == '\\'))
		return (struct path_unit){UNIT_SLASH, (uint8_t)value, 3};
	if (http_char_is((uint8_t)value, HTTP_CHAR_UNRESERVED))
		return (struct path_unit){UNIT_BYTE, (uint8_t)value, 3};
	return (struct path_unit){UNIT_BYTE, c, 1};
}

// What has to be done with a path. '*growth': bytes that escaping adds.
enum path_work { PATH_STAYS, PATH_CHANGES, PATH_REFUSED };

static enum path_work survey_path(
	struct bytes path, bool decode_slashes, bool merge_slashes, size_t *growth)
{
	enum path_work work = PATH_STAYS;
	bool after_slash = false;

	*growth = 0;
	while (path.len > 0) {
		struct path_unit u = read_unit(path, decode_slashes);
		bool slash = u.kind == UNIT_SLASH;

		if (u.kind == UNIT_NUL)
			return PATH_REFUSED;
		if (u.kind == UNIT_ESCAPE)
			*growth += 2;
		// A segment that begins with a dot is looked at more closely by write_path().
		if (u.kind == UNIT_ESCAPE || u.len > 1 || u.byte == '\\'
			|| (after_slash && (u.byte == '.' || (slash && merge_slashes))))
			work = PATH_CHANGES;
		after_slash = slash;
		path = bytes_skip(path, u.len);
	}
	return work;
}

// Ends the segment [start, end) of 'out', which begins with "/": "." goes, ".." goes with the
// segment before it (RFC 3986, 5.2.4). Returns the new end.
static size_t end_segment(const uint8_t *out, size_t start, size_t end, bool *is_dots)
{
	size_t len = end - start;

	*is_dots = len >= 1 && len <= 2 && out[start] == '.' && out[end - 1] == '.';
	if (!*is_dots)
		return end;
	if (len == 1 || start == 1)
		return start;
	for (start--; out[start - 1] != '/'; start--)
		;
	return start;
}

// Writes the normal form of 'path' and returns its length.
static size_t write_path(struct bytes path, bool decode_slashes, uint8_t *out)
{
	size_t n = 0, start = 1;
	size_t percent = SIZE_MAX; // the last one written
	bool is_dots;

	out[n++] = '/';
	path = bytes_skip(path, 1);
	while (path.len > 0) {
		struct path_unit u = read_unit(path, decode_slashes);

		switch (u.kind) {
		case UNIT_SLASH:
			percent = SIZE_MAX;
			n = end_segment(out, start, n, &is_dots);
			if (!is_dots)
				out[n++] = '/';
			start = n;
			break;
		case UNIT_ESCAPE:
			out[n++] = '%';
			out[n++] = (uint8_t) "0123456789ABCDEF"[u.byte >> 4];
			out[n++] = (uint8_t) "0123456789ABCDEF"[u.byte & 15];
			break;
		case UNIT_BYTE:
		case UNIT_NUL:
			// A digit that would make an escape of a stray "%" stays encoded:
			// "/%%36%31" must not become "/%61", which the next hop would decode once
			// more.
			if (u.len > 1 && percent != SIZE_MAX && n - percent <= 2
				&& http_char_is(u.byte, HTTP_CHAR_HEX)) {
				percent = n;
				memcpy(out + n, path.ptr, u.len);
				n += u.len;
				break;
			}
			if (u.byte == '%')
				percent = n;
			out[n++] = u.byte;
		}
		path = bytes_skip(path, u.len);
	}
	return end_segment(out, start, n, &is_dots);
}

static size_t merge_slashes_in(uint8_t *out, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (i == 0 || out[i] != '/' || out[i - 1] != '/')
			out[n++] = out[i];
	}
	return n;
}

bool uri_normalize(
	struct bytes target, enum path_normalization mode, struct arena *a, struct bytes *out)
{
	bool decode = mode == PATH_NORMALIZE_DECODE_AND_MERGE_SLASHES;
	bool merge = decode || mode == PATH_NORMALIZE_MERGE_SLASHES;
	struct bytes path = uri_path(target);
	struct bytes query = uri_query(target);
	enum path_work work = PATH_STAYS;
	size_t growth, n;
	uint8_t *to;

	if (path.len == 0 || path.ptr[0] != '/')
		return false;
	if (mode != PATH_NORMALIZE_NONE)
		work = survey_path(path, decode, merge, &growth);
	if (work == PATH_REFUSED)
		return false;
	if (work == PATH_STAYS) {
		// What follows path and query is a fragment.
		*out = bytes_of(target.ptr, path.len + (query.ptr != NULL ? 1 + query.len : 0));
		return true;
	}
	to = arena_alloc(a, path.len + growth + 1 + query.len);
	if (to == NULL)
		return false;
	n = write_path(path, decode, to);
	if (merge)
		n = merge_slashes_in(to, n);
	if (query.ptr != NULL) {
		to[n++] = '?';
		memcpy(to + n, query.ptr, query.len);
		n += query.len;
	}
	*out = bytes_of(to, n);
	return true;
}

bool uri_query_param(struct bytes query, struct bytes key, struct bytes *value)
{
	while (query.len > 0) {
		const uint8_t *p = query.ptr;
		const uint8_t *amp = memchr(p, '&', query.len);
		const uint8_t *stop = amp != NULL ? amp : p + query.len;
		const uint8_t *equals = memchr(p, '=', (size_t)(stop - p));
		struct bytes name = bytes_of(p, (size_t)((equals != NULL ? equals : stop) - p));

		if (bytes_equal(name, key)) {
			p = equals != NULL ? equals + 1 : stop;
			*value = bytes_of(p, (size_t)(stop - p));
			return true;
		}
		query = bytes_skip(query, (size_t)(stop - p) + 1);
	}
	return false;
}
