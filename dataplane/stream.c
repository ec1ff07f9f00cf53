#include "dataplane/stream.h"

static const char *const error_texts[STREAM_N_ERRORS] = {
#define X(name, text) [STREAM_ERROR_##name] = text,
	STREAM_ERRORS(X)
#undef X
};

const char *stream_error_text(enum stream_error e)
{
	return error_texts[e];
}
