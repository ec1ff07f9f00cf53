#include "mgmt/connection_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const states[] = {
#define TCP_STATE(state, lower, next) #state,
#include "dataplane/tcp/tcp_state.def"
};

#define N_STATES (sizeof(states) / sizeof(states[0]))

// --- values

static bool set_number(void *field, const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || value > UINT32_MAX)
		return false;
	*(uint64_t *)field = value;
	return true;
}

static bool set_seconds(void *field, const char *text)
{
	uint64_t seconds;

	if (!set_number(&seconds, text))
		return false;
	*(uint64_t *)field = seconds * 1000000;
	return true;
}

static bool set_limit(void *field, const char *text)
{
	uint64_t n;

	if (!set_number(&n, text) || n > CONNECTIONS_SHOWN_MAX)
		return false;
	*(uint64_t *)field = n;
	return true;
}

static bool set_text(void *field, const char *text)
{
	*(const char **)field = text;
	return *text != '\0';
}

static bool set_state(void *field, const char *text)
{
	for (unsigned i = 0; i < N_STATES; i++) {
		if (strcasecmp(states[i], text) == 0) {
			*(const char **)field = states[i];
			return true;
		}
	}
	return false;
}

static bool set_wait(void *field, const char *text)
{
	for (unsigned i = 0; i < TCP_N_WAITS; i++) {
		if (strcmp(tcp_wait_text(i), text) == 0) {
			*(const char **)field = tcp_wait_text(i);
			return true;
		}
	}
	return false;
}

static bool set_direction(void *field, const char *text)
{
	enum connection_direction *d = field;

	*d = strcmp(text, "downstream") == 0    ? CONNECTION_DOWNSTREAM
		: strcmp(text, "upstream") == 0 ? CONNECTION_UPSTREAM
						: CONNECTION_ANY;
	return *d != CONNECTION_ANY;
}

static bool parse_port(const char *text, uint16_t *out)
{
	uint64_t value;

	if (!set_number(&value, text) || value > UINT16_MAX)
		return false;
	*out = (uint16_t)value;
	return true;
}

// ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT or :PORT.
static bool set_side(void *field, const char *text)
{
	struct connection_side *s = field;
	const char *colon = strrchr(text, ':');
	char address[64];
	size_t len;

	s->has_address = ip_addr_parse(text, &s->address);
	if (s->has_address)
		return true;
	if (colon == NULL || !parse_port(colon + 1, &s->port))
		return false;
	s->has_port = true;
	if (colon == text)
		return true;
	len = (size_t)(colon - text);
	if (text[0] == '[' && len > 2 && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	snprintf(address, sizeof(address), "%.*s", (int)len, text);
	s->has_address = ip_addr_parse(address, &s->address);
	return s->has_address;
}

// --- words

typedef bool set_fn(void *field, const char *text);

static const struct condition {
	const char *name;
	set_fn *set;
	size_t offset;
	const char *expected;
} conditions[] = {
#define CONDITION(name, set, field, expected)                                  \
	{                                                                      \
		name, set, offsetof(struct connection_filter, field), expected \
	}
	CONDITION("state", set_state, state, "a state of TCP such as established"),
	CONDITION("direction", set_direction, direction, "downstream or upstream"),
	CONDITION("name", set_text, name, "a part of a listener's or cluster's name"),
	CONDITION("local", set_side, local, "ADDRESS, ADDRESS:PORT or :PORT"),
	CONDITION("remote", set_side, remote, "ADDRESS, ADDRESS:PORT or :PORT"),
	CONDITION("queued", set_number, min_queued, "a number of bytes"),
	CONDITION("memory", set_number, min_memory, "a number of bytes"),
	CONDITION("idle", set_seconds, idle_us, "a number of seconds"),
	CONDITION("waits", set_wait, waits_for,
		"application, ack, congestion-window, peer-window, buffers or handshake"),
	CONDITION("limit", set_limit, limit, "0 to 5000"),
	CONDITION("skip", set_number, skip, "a number of connections"),
#undef CONDITION
};

#define N_CONDITIONS (sizeof(conditions) / sizeof(conditions[0]))

static const struct condition *condition_named(const char *name, size_t len)
{
	for (unsigned i = 0; i < N_CONDITIONS; i++) {
		if (strlen(conditions[i].name) == len && memcmp(conditions[i].name, name, len) == 0)
			return &conditions[i];
	}
	return NULL;
}

static bool parse_word(struct connection_filter *f, const char *word, struct admin_answer *a)
{
	const char *value = strchr(word, '=');
	const struct condition *c;

	if (value == NULL) {
		if (strcmp(word, "detail") == 0)
			f->detail = true;
		else if (!set_state(&f->state, word) && !set_side(&f->either, word))
			return admin_end(a, ADMIN_CODE_ARGUMENTS,
				"\"%s\" is no condition; expected a state, ADDRESS, ADDRESS:PORT, "
				":PORT or NAME=VALUE",
				word);
		return true;
	}
	c = condition_named(word, (size_t)(value - word));
	if (c == NULL)
		return admin_end(a, ADMIN_CODE_ARGUMENTS, "no condition \"%.*s\"",
			(int)(value - word), word);
	return c->set((char *)f + c->offset, value + 1)
		|| admin_end(a, ADMIN_CODE_ARGUMENTS, "%s: \"%s\"; expected %s", c->name, value + 1,
			c->expected);
}

bool connection_filter_parse(
	struct connection_filter *f, const struct admin_words *words, struct admin_answer *a)
{
	*f = (struct connection_filter){.limit = CONNECTIONS_SHOWN};
	for (unsigned i = 1; i < words->n; i++) {
		if (!parse_word(f, words->at[i], a))
			return false;
	}
	return true;
}

// --- match

static bool side_matches(const struct connection_side *s, const struct ip_endpoint *e)
{
	return (!s->has_address || ip_addr_equal(&s->address, &e->addr))
		&& (!s->has_port || s->port == e->port);
}

static bool direction_matches(enum connection_direction d, const struct connection *c)
{
	return d == CONNECTION_ANY || (d == CONNECTION_UPSTREAM) == connection_is_upstream(c);
}

uint64_t connection_idle_us(const struct connection *c, uint64_t now_us)
{
	uint64_t last = c->tcp.last_received_us > c->tcp.last_sent_us ? c->tcp.last_received_us
								      : c->tcp.last_sent_us;

	return now_us > last ? now_us - last : 0;
}

bool connection_filter_matches(const struct connection_filter *f, const struct connection *c,
	uint64_t mbuf_bytes, uint64_t now_us)
{
	const struct tcp_info *t = &c->tcp;

	return (f->state == NULL || strcmp(f->state, t->state) == 0)
		&& direction_matches(f->direction, c)
		&& (side_matches(&f->either, &t->local) || side_matches(&f->either, &t->remote))
		&& side_matches(&f->local, &t->local) && side_matches(&f->remote, &t->remote)
		&& (f->name == NULL
			|| (c->owner.name != NULL && strstr(c->owner.name, f->name) != NULL))
		&& (f->waits_for == NULL || f->waits_for == tcp_wait_text(t->waits_for))
		&& (uint64_t)t->send_queued + t->receive_queued + t->reordered >= f->min_queued
		&& t->mbufs_held * mbuf_bytes >= f->min_memory
		&& connection_idle_us(c, now_us) >= f->idle_us;
}
