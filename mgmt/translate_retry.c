// Retry policies (reference/istio-gateway.md, 2.10).
#include "mgmt/translate.h"

#include <string.h>

#define BUILT_IN_ATTEMPTS 2
#define BUILT_IN_RETRY_ON \
	"connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
#define BUILT_IN_BACKOFF_US 25000

static const struct retry_word {
	const char *text;
	uint32_t bit;
} words[] = {
#define RETRY(text, bit, help) {text, bit},
#include "mgmt/retry_on.def"
};

static void parse_word(const char *word, struct retry_config *to, retry_word_fn *fn, void *arg)
{
	uint64_t status;

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (strcmp(word, words[i].text) == 0) {
			to->on |= words[i].bit;
			return;
		}
	}
	if (number_parse(word, &status) && status >= 100 && status <= 599
		&& to->n_status_codes < RETRY_MAX_STATUS_CODES) {
		to->status_codes[to->n_status_codes++] = (uint16_t)status;
		to->on |= RETRY_RETRIABLE_STATUS_CODES;
		return;
	}
	if (fn != NULL)
		fn(arg, word);
}

void retry_on_parse(const char *text, struct retry_config *to, retry_word_fn *fn, void *arg)
{
	for (;;) {
		size_t len = strcspn(text, ",");
		char word[64] = "";

		if (len < sizeof(word))
			memcpy(word, text, len);
		else
			memcpy(word, text, sizeof(word) - 1);
		parse_word(word, to, fn, arg);
		if (text[len] == '\0')
			return;
		text += len + 1;
	}
}

void translate_retry(struct translation *t, const struct http_retry *own, struct retry_config *to)
{
	const struct http_retry *policy = own != NULL ? own : t->mesh->retry;

	*to = (struct retry_config){.attempts = BUILT_IN_ATTEMPTS,
		.backoff_base_us = BUILT_IN_BACKOFF_US,
		.ignore_previous_hosts = true};
	if (policy == NULL) {
		retry_on_parse(BUILT_IN_RETRY_ON, to, NULL, NULL);
		return;
	}
	to->attempts = policy->attempts;
	to->per_try_timeout_us = policy->per_try_timeout_us;
	to->backoff_base_us = policy->backoff_us;
	to->ignore_previous_hosts = policy->ignore_previous_hosts;
	retry_on_parse(
		policy->retry_on[0] != '\0' ? policy->retry_on : BUILT_IN_RETRY_ON, to, NULL, NULL);
}
