#include "router/reset_reason.h"

const struct reset_reason_info reset_reasons[N_RESET_REASONS] = {
#define RESET_REASON(name, reason_text, detail, response_flag, reply_status)                  \
	[RESET_##name] = {                                                                    \
		.text = reason_text,                                                          \
		.before = "upstream_reset_before_response_started{" detail "}",               \
		.after = "upstream_reset_after_response_started{" detail "}",                 \
		.body = "upstream connect error or disconnect/reset before headers. "         \
			"reset reason: " reason_text,                                         \
		.body_retried = "upstream connect error or disconnect/reset before headers. " \
				"retried and the latest reset reason: " reason_text,          \
		.flag = RESPONSE_FLAG_##response_flag,                                        \
		.status = reply_status,                                                       \
	},
#include "router/reset_reason.def"
};
