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

// Length of the IP-literal at the front of 'b' (RFC 3986, 3.2.2), or 0. IPvFuture is none: nobody has one.
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

bool uri_query_param(struct bytes query, struct bytes key, struct bytes *value)
{
	const uint8_t *p = query.ptr;
	const uint8_t *end = p + query.len;

	while (p < end) {
		const uint8_t *amp = memchr(p, '&', (size_t)(end - p));
		const uint8_t *stop = amp != NULL ? amp : end;
		const uint8_t *equals = memchr(p, '=', (size_t)(stop - p));
		struct bytes name = bytes_of(p, (size_t)((equals != NULL ? equals : stop) - p));

		if (bytes_equal(name, key)) {
			p = equals != NULL ? equals + 1 : stop;
			*value = bytes_of(p, (size_t)(stop - p));
			return true;
		}
		if (amp == NULL)
			return false;
		p = amp + 1;
	}
	return false;
}
