#include "router/proxy_protocol.h"

#include <stdio.h>
#include <string.h>

#define V1_MAX          107u // with CRLF (section 2.1)
#define V2_HEAD_LEN     16u
#define V2_ADDRESSES_V4 12u
#define V2_ADDRESSES_V6 36u

static const uint8_t v1_start[6] = "PROXY ";
static const uint8_t v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static enum proxy_result refuse(struct proxy_header *out, enum proxy_error error)
{
	out->error = error;
	return PROXY_REFUSED;
}

// --- version 1

// The next word of the line; words are separated by one space. Empty: there is none.
static struct bytes next_word(struct bytes *line)
{
	const uint8_t *space = line->len > 0 ? memchr(line->ptr, ' ', line->len) : NULL;
	struct bytes word = *line;

	if (space == NULL) {
		line->len = 0;
		return word;
	}
	word.len = (size_t)(space - line->ptr);
	*line = bytes_skip(*line, word.len + 1);
	// A space at the end announces a word that is not there.
	return line->len > 0 ? word : (struct bytes){NULL, 0};
}

static bool read_address(struct bytes word, bool v6, struct ip_addr *out)
{
	char text[40]; // the longest IPv6 address and its 0
	bool has_colon;

	if (word.len == 0 || word.len >= sizeof(text))
		return false;
	memcpy(text, word.ptr, word.len);
	text[word.len] = '\0';
	has_colon = memchr(word.ptr, ':', word.len) != NULL;
	return strlen(text) == word.len && has_colon == v6 && ip_addr_parse(text, out);
}

static bool read_port(struct bytes word, uint16_t *out)
{
	uint32_t port = 0;

	if (word.len == 0 || word.len > 5 || (word.len > 1 && word.ptr[0] == '0'))
		return false;
	for (size_t i = 0; i < word.len; i++) {
		if (word.ptr[i] < '0' || word.ptr[i] > '9')
			return false;
		port = port * 10 + word.ptr[i] - '0';
	}
	*out = (uint16_t)port;
	return port <= UINT16_MAX;
}

static enum proxy_result read_line(struct bytes line, struct proxy_header *out)
{
	struct bytes family = next_word(&line), at[4];
	bool v6 = bytes_equal(family, BYTES("TCP6"));

	if (bytes_equal(family, BYTES("UNKNOWN")))
		return PROXY_DONE; // the rest is to be ignored
	if (!v6 && !bytes_equal(family, BYTES("TCP4")))
		return refuse(out, PROXY_ERROR_LINE);
	for (unsigned i = 0; i < 4; i++) {
		bool last = i == 3;

		at[i] = next_word(&line);
		if (at[i].len == 0 || (line.len == 0) != last)
			return refuse(out, PROXY_ERROR_LINE);
	}
	if (!read_address(at[0], v6, &out->source.addr)
		|| !read_address(at[1], v6, &out->destination.addr)
		|| !read_port(at[2], &out->source.port)
		|| !read_port(at[3], &out->destination.port))
		return refuse(out, PROXY_ERROR_ADDRESS);
	out->has_addresses = true;
	return PROXY_DONE;
}

static enum proxy_result read_v1(struct bytes b, struct proxy_header *out)
{
	size_t n = sizeof(v1_start);

	out->version = 1;
	while (n < b.len && n < V1_MAX - 1 && b.ptr[n] >= ' ' && b.ptr[n] < 0x7f)
		n++;
	if (n == b.len)
		return PROXY_MORE;
	if (n == V1_MAX - 1 || b.ptr[n] != '\r')
		return refuse(out, PROXY_ERROR_LINE);
	if (n + 1 == b.len)
		return PROXY_MORE;
	if (b.ptr[n + 1] != '\n')
		return refuse(out, PROXY_ERROR_LINE);
	out->len = n + 2;
	return read_line(bytes_of(b.ptr + sizeof(v1_start), n - sizeof(v1_start)), out);
}

// --- version 2

static void take_endpoint_addr(struct cursor *c, bool v6, struct ip_addr *out)
{
	struct bytes b = cursor_take(c, v6 ? 16 : 4);
	uint32_t v4 = 0;

	if (v6 && b.len == 16) {
		memcpy(out->b, b.ptr, 16);
	} else if (b.len == 4) {
		memcpy(&v4, b.ptr, 4);
		*out = ip_addr_of_v4(v4);
	}
}

static bool tlvs_are_exact(struct cursor *c)
{
	while (cursor_ok(c) && cursor_left(c) > 0) {
		cursor_u8(c);
		cursor_take(c, cursor_be16(c));
	}
	return cursor_ok(c);
}

// 'family' is the 14th byte: address family and transport (section 2.2).
static enum proxy_result read_v2_addresses(struct bytes b, uint8_t family, struct proxy_header *out)
{
	struct cursor c = cursor_of(b);
	bool v6 = family == 0x21;

	if (b.len < (v6 ? V2_ADDRESSES_V6 : V2_ADDRESSES_V4))
		return refuse(out, PROXY_ERROR_LENGTH);
	take_endpoint_addr(&c, v6, &out->source.addr);
	take_endpoint_addr(&c, v6, &out->destination.addr);
	out->source.port = cursor_be16(&c);
	out->destination.port = cursor_be16(&c);
	if (!tlvs_are_exact(&c))
		return refuse(out, PROXY_ERROR_TLV);
	out->has_addresses = true;
	return PROXY_DONE;
}

static enum proxy_result read_v2(struct bytes b, struct proxy_header *out)
{
	uint8_t family;
	bool local;
	size_t len;

	out->version = 2;
	if (b.len > 12 && b.ptr[12] != 0x20 && b.ptr[12] != 0x21)
		return refuse(out, PROXY_ERROR_COMMAND);
	if (b.len > 13 && b.ptr[13] != 0x00 && b.ptr[13] != 0x11 && b.ptr[13] != 0x21
		&& b.ptr[12] != 0x20)
		return refuse(out, PROXY_ERROR_FAMILY);
	if (b.len < V2_HEAD_LEN)
		return PROXY_MORE;
	local = b.ptr[12] == 0x20;
	family = b.ptr[13];
	len = (size_t)(b.ptr[14] << 8 | b.ptr[15]);
	if (len > PROXY_HEADER_MAX - V2_HEAD_LEN)
		return refuse(out, PROXY_ERROR_LENGTH);
	if (b.len < V2_HEAD_LEN + len)
		return PROXY_MORE;
	out->len = V2_HEAD_LEN + len;
	// LOCAL, and what has no address: all that the length covers is skipped, whatever it is.
	if (local || family == 0x00)
		return PROXY_DONE;
	return read_v2_addresses(bytes_of(b.ptr + V2_HEAD_LEN, len), family, out);
}

// As far as there is something to compare.
static bool may_start_with(struct bytes b, const uint8_t *start, size_t len)
{
	return memcmp(b.ptr, start, b.len < len ? b.len : len) == 0;
}

enum proxy_result proxy_protocol_read(struct bytes b, struct proxy_header *out)
{
	*out = (struct proxy_header){0};
	if (b.len == 0)
		return PROXY_MORE;
	if (may_start_with(b, v1_start, sizeof(v1_start)))
		return b.len < sizeof(v1_start) ? PROXY_MORE : read_v1(b, out);
	if (may_start_with(b, v2_signature, sizeof(v2_signature)))
		return b.len < sizeof(v2_signature) ? PROXY_MORE : read_v2(b, out);
	return refuse(out, PROXY_ERROR_SIGNATURE);
}

// --- writing

static size_t write_v1(const struct ip_endpoint *source, const struct ip_endpoint *destination,
	bool same_family, bool v6, uint8_t *to)
{
	char from[IP_ENDPOINT_TEXT_SIZE], at[IP_ENDPOINT_TEXT_SIZE];
	int n;

	if (!same_family)
		return (size_t)snprintf((char *)to, PROXY_WRITE_MAX, "PROXY UNKNOWN\r\n");
	ip_addr_print(&source->addr, from);
	ip_addr_print(&destination->addr, at);
	n = snprintf((char *)to, PROXY_WRITE_MAX, "PROXY TCP%d %s %s %u %u\r\n", v6 ? 6 : 4, from,
		at, source->port, destination->port);
	return (size_t)n;
}

static uint8_t *put_address(uint8_t *to, const struct ip_addr *a, bool v6)
{
	size_t len = v6 ? 16 : 4;

	memcpy(to, a->b + 16 - len, len);
	return to + len;
}

static uint8_t *put_port(uint8_t *to, uint16_t port)
{
	to[0] = (uint8_t)(port >> 8);
	to[1] = (uint8_t)port;
	return to + 2;
}

static size_t write_v2(const struct ip_endpoint *source, const struct ip_endpoint *destination,
	bool same_family, bool v6, uint8_t *to)
{
	uint8_t *at = to + V2_HEAD_LEN;

	memcpy(to, v2_signature, sizeof(v2_signature));
	to[12] = 0x21;
	to[13] = !same_family ? 0x00 : v6 ? 0x21 : 0x11;
	if (same_family) {
		at = put_address(at, &source->addr, v6);
		at = put_address(at, &destination->addr, v6);
		at = put_port(at, source->port);
		at = put_port(at, destination->port);
	}
	to[14] = 0;
	to[15] = (uint8_t)(at - to - V2_HEAD_LEN);
	return (size_t)(at - to);
}

size_t proxy_protocol_write(uint8_t version, const struct ip_endpoint *source,
	const struct ip_endpoint *destination, uint8_t to[PROXY_WRITE_MAX])
{
	bool v6 = !ip_addr_is_v4(&source->addr);
	bool same_family = v6 == !ip_addr_is_v4(&destination->addr);

	return version == 1 ? write_v1(source, destination, same_family, v6, to)
			    : write_v2(source, destination, same_family, v6, to);
}
