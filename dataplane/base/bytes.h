// A run of bytes that somebody else owns, and a cursor that reads from one.
//
// The cursor's error latches: read everything a message should have, then ask cursor_ok() once.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *ptr;
	size_t len;
};

#define BYTES(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
	return (struct bytes){ptr, len};
}

static inline struct bytes bytes_of_str(const char *s)
{
	return (struct bytes){(const uint8_t *)s, s != NULL ? strlen(s) : 0};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool bytes_equal_str(struct bytes a, const char *s)
{
	return bytes_equal(a, bytes_of_str(s));
}

// ASCII only; HTTP tokens and host names are.
static inline uint8_t byte_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static inline bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (byte_lower(a.ptr[i]) != byte_lower(b.ptr[i]))
			return false;
	}
	return true;
}

static inline bool bytes_start_with(struct bytes a, struct bytes prefix)
{
	return a.len >= prefix.len
		&& (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

static inline struct bytes bytes_skip(struct bytes b, size_t n)
{
	if (n > b.len)
		n = b.len;
	if (n == 0) // an empty run may have no pointer to add to
		return b;
	return (struct bytes){b.ptr + n, b.len - n};
}

struct cursor {
	const uint8_t *pos;
	const uint8_t *end;
	bool failed;
};

static inline struct cursor cursor_of(struct bytes b)
{
	return (struct cursor){b.ptr, b.ptr + b.len, false};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->pos);
}

static inline bool cursor_ok(const struct cursor *c)
{
	return !c->failed;
}

// Returns the next 'n' bytes, or an empty run and a latched error.
static inline struct bytes cursor_take(struct cursor *c, size_t n)
{
	struct bytes b = {c->pos, n};

	if (c->failed || cursor_left(c) < n) {
		c->failed = true;
		return (struct bytes){c->pos, 0};
	}
	c->pos += n;
	return b;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	struct bytes b = cursor_take(c, 1);

	return b.len == 1 ? b.ptr[0] : 0;
}

static inline uint16_t cursor_be16(struct cursor *c)
{
	struct bytes b = cursor_take(c, 2);

	return b.len == 2 ? (uint16_t)(b.ptr[0] << 8 | b.ptr[1]) : 0;
}

static inline uint32_t cursor_be32(struct cursor *c)
{
	uint32_t high = cursor_be16(c);

	return high << 16 | cursor_be16(c);
}
