#include "router/route_regex.h"
#include "router/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// Anchored at both ends; the group keeps "a|b" together.
#define ANCHORED_FORMAT "\\A(?:%s)\\z"
#define ANCHORED_SIZE   (ROUTE_REGEX_MAX_LEN + sizeof(ANCHORED_FORMAT))

// Each pattern is reported once; "" is a subject like any other.
#define FLAGS (HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY)

static void say_unusable(char error[ROUTE_REGEX_ERROR_SIZE], const char *regex, const char *why)
{
	snprintf(error, ROUTE_REGEX_ERROR_SIZE, "regular expression \"%.80s\" cannot be used: %s",
		regex, why);
}

// The length, and the syntax of the expression as it stands: "a)(?:b" is balanced only between our
// own parentheses.
static bool is_well_formed(const char *regex, char error[ROUTE_REGEX_ERROR_SIZE])
{
	hs_compile_error_t *failure = NULL;
	hs_expr_info_t *info = NULL;
	size_t len = strlen(regex);

	if (len > ROUTE_REGEX_MAX_LEN) {
		snprintf(error, ROUTE_REGEX_ERROR_SIZE,
			"regular expression has %zu characters; expected at most %d", len,
			ROUTE_REGEX_MAX_LEN);
		return false;
	}
	if (hs_expression_info(regex, FLAGS, &info, &failure) != HS_SUCCESS) {
		say_unusable(error, regex, failure != NULL ? failure->message : "no memory");
		hs_free_compile_error(failure);
		return false;
	}
	free(info);
	return true;
}

bool route_regex_check(const char *regex, char error[256])
{
	struct route_regex_set s = {0};
	uint32_t id;
	bool ok = route_regex_add(&s, regex, &id) == 0 && route_regex_compile(&s, error);

	route_regex_fini(&s);
	return ok;
}

int route_regex_add(struct route_regex_set *s, const char *regex, uint32_t *id)
{
	struct bytes key = bytes_of_str(regex);
	const struct route_list *known = route_index_find(&s->ids, key);

	if (known != NULL) {
		*id = known->at[0];
		return 0;
	}
	if (s->n == s->cap) {
		uint32_t cap = s->cap > 0 ? 2 * s->cap : 4;
		const char **patterns = realloc(s->patterns, cap * sizeof(*patterns));

		if (patterns == NULL)
			return -ENOMEM;
		s->patterns = patterns;
		s->cap = cap;
	}
	s->patterns[s->n] = regex;
	*id = s->n++;
	return route_index_add(&s->ids, key, *id);
}

static void free_all(char **strings, uint32_t n)
{
	for (uint32_t i = 0; strings != NULL && i < n; i++)
		free(strings[i]);
	free(strings);
}

bool route_regex_compile(struct route_regex_set *s, char error[ROUTE_REGEX_ERROR_SIZE])
{
	hs_compile_error_t *failure = NULL;
	char **anchored = calloc(s->n, sizeof(*anchored));
	unsigned *flags = calloc(s->n, sizeof(*flags));
	unsigned *ids = calloc(s->n, sizeof(*ids));
	bool ok = anchored != NULL && flags != NULL && ids != NULL;

	error[0] = '\0';
	for (uint32_t i = 0; ok && i < s->n; i++) {
		ok = is_well_formed(s->patterns[i], error)
			&& asprintf(&anchored[i], ANCHORED_FORMAT, s->patterns[i]) >= 0;
		flags[i] = FLAGS;
		ids[i] = i;
	}
	if (ok
		&& hs_compile_multi((const char *const *)anchored, flags, ids, s->n, HS_MODE_BLOCK,
			   NULL, &s->db, &failure)
			!= HS_SUCCESS) {
		ok = false;
		say_unusable(error, s->patterns[failure->expression >= 0 ? failure->expression : 0],
			failure->message);
		hs_free_compile_error(failure);
	}
	if (!ok && error[0] == '\0')
		snprintf(error, ROUTE_REGEX_ERROR_SIZE, "no memory for regular expressions");
	free_all(anchored, s->n);
	free(flags);
	free(ids);
	return ok;
}

struct found {
	uint32_t *ids;
	uint32_t n;
};

static int on_match(
	unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	struct found *f = context;

	(void)from;
	(void)to;
	(void)flags;
	f->ids[f->n++] = id;
	return 0;
}

uint32_t route_regex_scan(const struct route_regex_set *s, hs_scratch_t *scratch,
	struct bytes subject, uint32_t *found)
{
	struct found f = {found, 0};
	const char *text = subject.len > 0 ? (const char *)subject.ptr : "";

	if (hs_scan(s->db, text, (unsigned)subject.len, 0, scratch, on_match, &f) != HS_SUCCESS)
		return 0;
	return f.n;
}

void route_regex_fini(struct route_regex_set *s)
{
	hs_free_database(s->db);
	route_index_fini(&s->ids);
	free(s->patterns);
	*s = (struct route_regex_set){0};
}
