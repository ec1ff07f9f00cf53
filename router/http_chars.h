// Which bytes may stand where in HTTP (RFC 9110, 5.6.2 and 5.5; RFC 3986, 2 and 3.2.2), and how to
// find quickly the first one that may not. Pure; for the codecs and uri.c.
#pragma once

#include <emmintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_char {
	HTTP_CHAR_TOKEN = 1 << 0,
	HTTP_CHAR_DIGIT = 1 << 1,
	HTTP_CHAR_HEX = 1 << 2,
	HTTP_CHAR_UNRESERVED = 1 << 3, // RFC 3986, 2.3
	HTTP_CHAR_REG_NAME = 1 << 4,   // unreserved and sub-delims without the comma (see uri.c)
	HTTP_CHAR_PATH =
		1 << 5, // normalisation leaves it as it is (WHATWG URL's path set): not "%", "\\"
};

extern const uint8_t http_chars[256];

// The lower-case form of a token byte; 0 for a byte that a token cannot have.
extern const uint8_t http_token_lower[256];

static inline bool http_char_is(uint8_t c, enum http_char set)
{
	return (http_chars[c] & set) != 0;
}

static inline bool http_is_token(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (http_token_lower[p[i]] == 0)
			return false;
	}
	return len > 0;
}

// Value of a hexadecimal digit, or -1.
static inline int http_hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// A field value is made of HTAB, SP, VCHAR and obs-text (RFC 9110, 5.5); everything else is a
// control byte.
static inline bool http_is_control(uint8_t c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

// A request target is made of VCHAR here, but for "#". That is wider than RFC 3986 in characters
// such as "|" or "[", which browsers send unescaped (WHATWG URL) and no parser takes for something
// else.
static inline bool http_is_target(uint8_t c)
{
	return c > 0x20 && c < 0x7f && c != '#';
}

// Bit i of the result: byte i of the 16 at 'p' is a control byte.
static inline unsigned http_controls_16(const uint8_t *p)
{
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(b, _mm_set1_epi8(0x1f)), b);
	__m128i tab = _mm_cmpeq_epi8(b, _mm_set1_epi8('\t'));
	__m128i del = _mm_cmpeq_epi8(b, _mm_set1_epi8(0x7f));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

// Bit i of the result: byte i of the 16 at 'p' cannot be in a request target.
static inline unsigned http_not_target_16(const uint8_t *p)
{
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)p);
	// Signed: 0x80 and above are negative, hence "not above the space" too.
	__m128i above = _mm_cmpgt_epi8(b, _mm_set1_epi8(0x20));
	__m128i del = _mm_cmpeq_epi8(b, _mm_set1_epi8(0x7f));
	__m128i hash = _mm_cmpeq_epi8(b, _mm_set1_epi8('#'));
	unsigned bad = (unsigned)_mm_movemask_epi8(_mm_or_si128(del, hash));

	return bad | (~(unsigned)_mm_movemask_epi8(above) & 0xffff);
}

// The first control byte in [p, end), or 'end'. Never reads past 'end'.
static inline const uint8_t *http_find_control(const uint8_t *p, const uint8_t *end)
{
	for (; end - p >= 16; p += 16) {
		unsigned found = http_controls_16(p);

		if (found != 0)
			return p + __builtin_ctz(found);
	}
	while (p < end && !http_is_control(*p))
		p++;
	return p;
}

// The first byte in [p, end) that cannot be in a request target, or 'end'. Never reads past 'end'.
static inline const uint8_t *http_find_not_target(const uint8_t *p, const uint8_t *end)
{
	for (; end - p >= 16; p += 16) {
		unsigned found = http_not_target_16(p);

		if (found != 0)
			return p + __builtin_ctz(found);
	}
	while (p < end && http_is_target(*p))
		p++;
	return p;
}
