#include "router/record.h"

static const struct {
	const char *text;
	uint8_t len;
} flag_names[N_RESPONSE_FLAGS] = {
#define X(name, text) [RESPONSE_FLAG_##name] = {#name, sizeof(#name) - 1},
	RESPONSE_FLAGS(X)
#undef X
};

static const char *const flag_long_names[N_RESPONSE_FLAGS] = {
#define X(name, text) [RESPONSE_FLAG_##name] = text,
	RESPONSE_FLAGS(X)
#undef X
};

bool response_flags_has(const struct response_flags *f, enum response_flag flag)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (f->at[i] == flag)
			return true;
	}
	return false;
}

void response_flags_add(struct response_flags *f, enum response_flag flag)
{
	if (f->n < sizeof(f->at) && !response_flags_has(f, flag))
		f->at[f->n++] = (uint8_t)flag;
}

size_t response_flags_print(const struct response_flags *f, char to[RESPONSE_FLAGS_TEXT_SIZE])
{
	size_t len = 0;

	for (unsigned i = 0; i < f->n; i++) {
		if (i > 0)
			to[len++] = ',';
		memcpy(to + len, flag_names[f->at[i]].text, flag_names[f->at[i]].len);
		len += flag_names[f->at[i]].len;
	}
	if (len == 0)
		to[len++] = '-';
	return len;
}

const char *response_flag_long_name(enum response_flag flag)
{
	return flag_long_names[flag];
}
