// The chunked coding (RFC 9112, 7.1), one byte at a time around the data, which is passed on in
// runs.
//
//     chunk     = 1*HEXDIG *( BWS ";" BWS name [ BWS "=" BWS value ] ) CRLF data CRLF
//     value     = token / quoted-string

#include "router/h1.h"
#include "router/http_chars.h"

#define MAX_DIGITS    16
#define MAX_LINE_SIZE 256 // of size and extensions

enum chunk_state {
	IN_SIZE,
	BEFORE_SEMICOLON, // BWS was read
	BEFORE_NAME,
	IN_NAME,
	AFTER_NAME, // BWS was read
	BEFORE_VALUE,
	IN_TOKEN,
	IN_QUOTES,
	AFTER_BACKSLASH,
	AFTER_QUOTES,
	AT_LINE_LF,
	IN_DATA,
	AT_DATA_CR,
	AT_DATA_LF,
	AT_END,
};

void h1_chunked_init(struct h1_chunked *c)
{
	*c = (struct h1_chunked){.state = IN_SIZE};
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

// What may follow a complete size, name or value. Returns the next state, or -1.
static int after_part(uint8_t c)
{
	switch (c) {
	case '\r': return AT_LINE_LF;
	case ';': return BEFORE_NAME;
	case ' ':
	case '\t': return BEFORE_SEMICOLON;
	default: return -1;
	}
}

static const struct h1_error *size_digit(struct h1_chunked *c, int digit)
{
	// line_len counts the digits here, leading zeros too.
	if (c->line_len >= MAX_DIGITS || c->left > (uint64_t)INT64_MAX >> 4)
		return &H1_ERR_CHUNK_OVERFLOW;
	c->left = c->left << 4 | (uint64_t)digit;
	return NULL;
}

// The state after the byte 'b' in an extension, or -1.
static int extension_byte(enum chunk_state state, uint8_t b)
{
	bool token = http_token_lower[b] != 0;

	switch (state) {
	case BEFORE_SEMICOLON: return is_blank(b) ? (int)state : b == ';' ? BEFORE_NAME : -1;
	case BEFORE_NAME: return is_blank(b) ? (int)state : token ? IN_NAME : -1;
	case IN_NAME:
		if (token)
			return IN_NAME;
		return b == '=' ? BEFORE_VALUE : is_blank(b) ? AFTER_NAME : after_part(b);
	case AFTER_NAME:
		return is_blank(b) ? (int)state
			: b == '=' ? BEFORE_VALUE
			: b == ';' ? BEFORE_NAME
				   : -1;
	case BEFORE_VALUE:
		return is_blank(b) ? (int)state : b == '"' ? IN_QUOTES : token ? IN_TOKEN : -1;
	case IN_TOKEN: return token ? IN_TOKEN : after_part(b);
	case IN_QUOTES:
		if (http_is_control(b))
			return -1;
		return b == '"' ? AFTER_QUOTES : b == '\\' ? AFTER_BACKSLASH : IN_QUOTES;
	case AFTER_BACKSLASH: return http_is_control(b) ? -1 : IN_QUOTES;
	case AFTER_QUOTES: return after_part(b);
	default: return -1;
	}
}

// One byte of a chunk's first line.
static const struct h1_error *line_byte(struct h1_chunked *c, uint8_t b)
{
	int next;

	if (c->line_len >= MAX_LINE_SIZE)
		return &H1_ERR_CHUNK_LINE_TOO_LONG;
	if (c->state == AT_LINE_LF) {
		if (b != '\n')
			return &H1_ERR_CHUNK_LINE_END;
		c->state = c->left > 0 ? IN_DATA : AT_END;
		return NULL;
	}
	if (c->state == IN_SIZE) {
		int digit = http_hex_value(b);
		const struct h1_error *error = digit >= 0 ? size_digit(c, digit) : NULL;

		next = digit >= 0 ? IN_SIZE : c->line_len > 0 ? after_part(b) : -1;
		if (error != NULL || next < 0)
			return error != NULL ? error
				: b == '\n'  ? &H1_ERR_CHUNK_LINE_END
					     : &H1_ERR_CHUNK_SIZE;
	} else {
		next = extension_byte((enum chunk_state)c->state, b);
		if (next < 0)
			return b == '\n' ? &H1_ERR_CHUNK_LINE_END : &H1_ERR_CHUNK_EXTENSION;
	}
	c->line_len++;
	c->state = (uint8_t)next;
	return NULL;
}

// The CRLF after a chunk's data.
static const struct h1_error *data_end_byte(struct h1_chunked *c, uint8_t b)
{
	if (b != (c->state == AT_DATA_CR ? '\r' : '\n'))
		return &H1_ERR_CHUNK_DATA_END;
	if (c->state == AT_DATA_CR)
		c->state = AT_DATA_LF;
	else
		h1_chunked_init(c);
	return NULL;
}

enum h1_result h1_chunked_read(
	struct h1_chunked *c, struct bytes b, size_t *used, struct bytes *data)
{
	size_t i = 0;

	*data = bytes_of(b.ptr, 0);
	while (c->error == NULL && c->state != AT_END && i < b.len) {
		switch ((enum chunk_state)c->state) {
		case IN_DATA:
			// The caller asks again for what follows a run: one run a call.
			if (data->len > 0)
				goto out;
			*data = bytes_of(
				b.ptr + i, b.len - i < c->left ? b.len - i : (size_t)c->left);
			i += data->len;
			c->left -= data->len;
			if (c->left == 0)
				c->state = AT_DATA_CR;
			break;
		case AT_DATA_CR:
		case AT_DATA_LF: c->error = data_end_byte(c, b.ptr[i++]); break;
		default: c->error = line_byte(c, b.ptr[i++]);
		}
	}
out:
	*used = i;
	return c->error != NULL ? H1_ERROR : c->state == AT_END ? H1_DONE : H1_MORE;
}
