// Access log: any format, any values. The input is one byte ('j': JSON), the format, and the values, each after a zero
// byte. A line never passes its bound, always ends with a newline, has no control bytes but those of the format, and JSON
// is JSON.

#include "router/access_log.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define CAP 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes next_value(struct cursor *c)
{
	const uint8_t *zero = memchr(c->pos, 0, cursor_left(c));
	struct bytes value =
		cursor_take(c, zero != NULL ? (size_t)(zero - c->pos) : cursor_left(c));

	cursor_take(c, zero != NULL ? 1 : 0);
	return value;
}

static void add_field(struct http_fields *f, struct bytes name, struct bytes value)
{
	struct http_field *field = &f->at[f->n++];

	*field = (struct http_field){name, value, (uint8_t)http_field_id(name)};
}

static void fill(struct exchange_record *r, struct http_head *request, struct http_head *response,
	struct cursor *c)
{
	static char details[256];
	struct bytes text;

	memset(request, 0, sizeof(*request));
	memset(response, 0, sizeof(*response));
	*r = (struct exchange_record){.start_us = 1,
		.end_us = 2000,
		.request = request,
		.response = response,
		.response_trailers = &response->fields,
		.details = details,
		.route_name = "",
		.grpc = true};
	request->method = next_value(c);
	request->path = next_value(c);
	add_field(&request->fields, BYTES("user-agent"), next_value(c));
	add_field(&response->fields, BYTES("x"), next_value(c));
	r->sni = next_value(c);
	r->transport_failure = next_value(c);
	r->original_path = next_value(c);
	text = next_value(c);
	if (text.len >= sizeof(details))
		text.len = sizeof(details) - 1;
	memcpy(details, text.ptr, text.len);
	details[text.len] = '\0';
	memcpy(&r->start_wall_us, c->pos, cursor_left(c) < 8 ? cursor_left(c) : 8);
	r->grpc_status = (int)(r->start_wall_us % 20) - 1;
	r->status = (uint16_t)r->start_wall_us;
	for (unsigned i = 0; i < 8; i++)
		response_flags_add(&r->flags,
			(enum response_flag)((r->start_wall_us >> i) % N_RESPONSE_FLAGS));
}

static size_t count_control(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += (uint8_t)text[i] < 0x20 || text[i] == 0x7f;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(bytes_of(data, size));
	bool json = cursor_u8(&c) == 'j';
	struct bytes text = next_value(&c);
	char *format = strndup((const char *)text.ptr, text.len);
	static char line[CAP + 1];
	struct http_head request, response;
	struct access_log_format *f;
	struct exchange_record r;
	char error[256];
	size_t len, cut;

	f = access_log_format_new(format, json, error);
	if (f == NULL) {
		assert(memchr(error, 0, sizeof(error)) != NULL && error[0] != '\0');
		free(format);
		return 0;
	}
	fill(&r, &request, &response, &c);
	line[CAP] = '#';
	len = access_log_render(f, &r, line, CAP);
	assert(len > 0 && len <= CAP && line[len - 1] == '\n' && line[CAP] == '#');
	if (!json)
		assert(count_control(line, len) <= count_control(format, strlen(format)) + 1);
	if (json && len < CAP) {
		json_t *value = json_loadb(line, len,
			JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DISABLE_EOF_CHECK, NULL);

		assert(json_is_object(value) && memchr(line, '\n', len) == line + len - 1);
		json_decref(value);
	}
	// The same line in less room: the same bytes, as far as they go.
	cut = len / 2 + 1;
	line[cut] = '#';
	assert(access_log_render(f, &r, line, cut) <= cut && line[cut] == '#');
	access_log_format_free(&f);
	free(format);
	return 0;
}
