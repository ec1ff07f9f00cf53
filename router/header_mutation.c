#include "router/header_mutation.h"

#include "router/http_chars.h"

#include <stdio.h>
#include <string.h>

#define MAX_NOMINATIONS 9
#define MAX_TE_LEN      255

// Fields by which clients inside a mesh steer Envoy; a client at the edge must not.
static const struct bytes edge_removed[] = {
	BYTES("x-envoy-decorator-operation"),
	BYTES("x-envoy-downstream-service-cluster"),
	BYTES("x-envoy-downstream-service-node"),
	BYTES("x-envoy-original-path"),
	BYTES("x-envoy-original-host"),
	BYTES("x-envoy-retriable-status-codes"),
	BYTES("x-envoy-retriable-header-names"),
	BYTES("x-envoy-retry-on"),
	BYTES("x-envoy-retry-grpc-on"),
	BYTES("x-envoy-max-retries"),
	BYTES("x-envoy-upstream-alt-stat-name"),
	BYTES("x-envoy-upstream-rq-timeout-ms"),
	BYTES("x-envoy-upstream-rq-per-try-timeout-ms"),
	BYTES("x-envoy-upstream-rq-timeout-alt-response"),
	BYTES("x-envoy-expected-rq-timeout-ms"),
	BYTES("x-envoy-force-trace"),
	BYTES("x-envoy-ip-tags"),
	BYTES("x-envoy-original-url"),
	BYTES("x-envoy-hedge-on-per-try-timeout"),
	BYTES("x-envoy-internal"),
	BYTES("x-envoy-external-address"),
	BYTES("x-envoy-attempt-count"),
};

// The tokens of the Connection fields of a request.
struct nominations {
	struct bytes at[MAX_NOMINATIONS];
	unsigned n;
};

static struct bytes trim(struct bytes b)
{
	while (b.len > 0 && (b.ptr[0] == ' ' || b.ptr[0] == '\t'))
		b = bytes_skip(b, 1);
	while (b.len > 0 && (b.ptr[b.len - 1] == ' ' || b.ptr[b.len - 1] == '\t'))
		b.len--;
	return b;
}

// Takes the next element of a comma-separated list off the front of '*list'.
static struct bytes next_element(struct bytes *list)
{
	const uint8_t *comma = memchr(list->ptr, ',', list->len);
	struct bytes element = *list;

	if (comma != NULL)
		element.len = (size_t)(comma - list->ptr);
	*list = bytes_skip(*list, element.len + (comma != NULL));
	return trim(element);
}

static bool list_has(struct bytes list, struct bytes token)
{
	while (list.len > 0) {
		if (bytes_equal_nocase(next_element(&list), token))
			return true;
	}
	return false;
}

// Returns false for what Envoy refuses: too many tokens, or fields that a client must not remove.
static bool read_nominations(struct bytes value, struct nominations *out)
{
	while (value.len > 0) {
		struct bytes token = next_element(&value);

		if (token.len == 0 || bytes_equal_nocase(token, BYTES("close"))
			|| bytes_equal_nocase(token, BYTES("keep-alive"))
			|| bytes_equal_nocase(token, BYTES("te"))
			|| bytes_equal_nocase(token, BYTES("upgrade"))
			|| bytes_equal_nocase(token, BYTES("http2-settings")))
			continue;
		if (token.ptr[0] == ':' || bytes_equal_nocase(token, BYTES("x-forwarded-for"))
			|| bytes_equal_nocase(token, BYTES("x-forwarded-host"))
			|| bytes_equal_nocase(token, BYTES("x-forwarded-proto")))
			return false;
		if (out->n == MAX_NOMINATIONS)
			return false;
		out->at[out->n++] = token;
	}
	return true;
}

static bool is_nominated(const struct nominations *n, struct bytes name)
{
	for (unsigned i = 0; i < n->n; i++) {
		if (bytes_equal_nocase(n->at[i], name))
			return true;
	}
	return false;
}

static bool is_edge_removed(struct bytes name)
{
	if (!bytes_start_with(name, BYTES("x-envoy-")))
		return false;
	for (unsigned i = 0; i < sizeof(edge_removed) / sizeof(edge_removed[0]); i++) {
		if (bytes_equal(edge_removed[i], name))
			return true;
	}
	return false;
}

// What one pass over the received fields finds.
struct received {
	struct nominations nominations;
	unsigned n_forwarded_for;
	unsigned n_referer;
	bool bad_referer;
	bool keep_request_id;
	struct bytes proto; // the last one's
	enum underscores underscores;
	bool upgrade;
};

static bool has_underscore(struct bytes name)
{
	return memchr(name.ptr, '_', name.len) != NULL;
}

static bool is_dropped(const struct http_field *f, const struct received *r)
{
	if (r->underscores == UNDERSCORES_DROP && has_underscore(f->name))
		return true;
	if (r->nominations.n > 0 && is_nominated(&r->nominations, f->name))
		return true;
	switch (f->id) {
	case HTTP_FIELD_UPGRADE: return !r->upgrade;
	case HTTP_FIELD_CONNECTION:
	case HTTP_FIELD_KEEP_ALIVE:
	case HTTP_FIELD_PROXY_CONNECTION:
	case HTTP_FIELD_TRANSFER_ENCODING:
	case HTTP_FIELD_HTTP2_SETTINGS:
	case HTTP_FIELD_X_FORWARDED_CLIENT_CERT:
	case HTTP_FIELD_X_FORWARDED_FOR:
	case HTTP_FIELD_X_FORWARDED_PROTO: return true; // the last three are written anew
	case HTTP_FIELD_X_REQUEST_ID: return !r->keep_request_id;
	case HTTP_FIELD_TE: return !list_has(f->value, BYTES("trailers"));
	case HTTP_FIELD_REFERER: return r->n_referer > 1 || r->bad_referer;
	default: return is_edge_removed(f->name);
	}
}

// scheme "://" and something of an authority; a path alone says nothing of where the client was (RFC 9110, 10.1.3, allows it;
// Envoy does not).
static bool is_absolute_url(struct bytes url)
{
	size_t n = 0;

	while (n < url.len && (http_char_is(url.ptr[n], HTTP_CHAR_UNRESERVED) || url.ptr[n] == '+')
		&& url.ptr[n] != '_' && url.ptr[n] != '~')
		n++;
	url = bytes_skip(url, n);
	return n > 0 && url.len > 3 && memcmp(url.ptr, "://", 3) == 0 && url.ptr[3] != '/'
		&& url.ptr[3] != '?' && url.ptr[3] != '#';
}

static enum edge_verdict read_fields(const struct http_fields *fields, struct received *r)
{
	for (unsigned i = 0; i < fields->n; i++) {
		const struct http_field *f = &fields->at[i];

		if (r->underscores == UNDERSCORES_REJECT && has_underscore(f->name))
			return EDGE_UNDERSCORE;
		switch (f->id) {
		case HTTP_FIELD_CONNECTION:
			if (!read_nominations(f->value, &r->nominations))
				return EDGE_BAD_CONNECTION;
			break;
		case HTTP_FIELD_TE:
			if (f->value.len > MAX_TE_LEN)
				return EDGE_BAD_TE;
			break;
		case HTTP_FIELD_X_FORWARDED_FOR: r->n_forwarded_for++; break;
		case HTTP_FIELD_REFERER:
			r->n_referer++;
			r->bad_referer |= !is_absolute_url(f->value);
			break;
		case HTTP_FIELD_X_FORWARDED_PROTO: r->proto = f->value; break;
		default: break;
		}
	}
	return EDGE_OK;
}

static void add_known(
	struct http_fields *f, enum http_field_id id, struct bytes name, struct bytes value)
{
	if (f->n < HTTP_MAX_FIELDS)
		f->at[f->n++] = (struct http_field){name, value, (uint8_t)id};
}

// All received values and ours behind them, joined by commas.
static bool join_forwarded_for(const struct http_fields *received, const struct received *r,
	struct bytes ours, struct arena *a, struct bytes *out)
{
	size_t len = ours.len;
	uint8_t *to, *at;

	if (r->n_forwarded_for == 0) {
		*out = ours;
		return true;
	}
	for (unsigned i = 0; i < received->n; i++) {
		if (received->at[i].id == HTTP_FIELD_X_FORWARDED_FOR)
			len += received->at[i].value.len + 1;
	}
	at = to = arena_alloc(a, len);
	if (to == NULL)
		return false;
	for (unsigned i = 0; i < received->n; i++) {
		const struct http_field *f = &received->at[i];

		if (f->id != HTTP_FIELD_X_FORWARDED_FOR)
			continue;
		if (f->value.len > 0)
			memcpy(at, f->value.ptr, f->value.len);
		at += f->value.len;
		*at++ = ',';
	}
	memcpy(at, ours.ptr, ours.len);
	*out = bytes_of(to, len);
	return true;
}

// The address that the 'n'-th proxy from the right has seen, if it is one.
static bool trusted_address(struct bytes list, unsigned n, struct ip_addr *out)
{
	char text[IP_ENDPOINT_TEXT_SIZE];
	struct bytes element = list;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *comma = list.len > 0 ? memrchr(list.ptr, ',', list.len) : NULL;

		if (list.len == 0)
			return false;
		element = list;
		if (comma == NULL) {
			list.len = 0;
			continue;
		}
		element = bytes_skip(list, (size_t)(comma - list.ptr) + 1);
		list.len = (size_t)(comma - list.ptr);
	}
	element = trim(element);
	if (element.len == 0 || element.len >= sizeof(text))
		return false;
	memcpy(text, element.ptr, element.len);
	text[element.len] = '\0';
	return ip_addr_parse(text, out);
}

static bool is_loopback(const struct ip_addr *a)
{
	static const struct ip_addr v6 = {.b = {[15] = 1}};

	return ip_addr_equal(a, &v6) || (ip_addr_is_v4(a) && a->b[12] == 127);
}

static bool address_text(const struct ip_addr *addr, struct arena *a, struct bytes *out)
{
	char text[IP_ENDPOINT_TEXT_SIZE];

	return arena_copy(a, bytes_of(text, ip_addr_print(addr, text)), out);
}

// RFC 9562, 5.4: version 4, lower case.
static bool request_id(const uint64_t random[2], struct arena *a, struct bytes *out)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t high = (random[0] & ~(uint64_t)0xf000) | 0x4000;
	uint64_t low = (random[1] & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62;
	uint8_t *to = arena_alloc(a, 36);
	unsigned at = 0;

	if (to == NULL)
		return false;
	for (unsigned i = 0; i < 32; i++) {
		uint64_t half = i < 16 ? high : low;

		if (i == 8 || i == 12 || i == 16 || i == 20)
			to[at++] = '-';
		to[at++] = (uint8_t)digits[half >> (60 - 4 * (i % 16)) & 15];
	}
	*out = bytes_of(to, at);
	return true;
}

enum edge_verdict header_edge_request(
	struct http_head *request, struct edge_context *c, struct arena *a)
{
	struct received r = {.underscores = c->http->underscores,
		.keep_request_id = c->http->keep_request_id,
		.upgrade = request->upgrade};
	struct http_fields *fields = &request->fields;
	struct bytes peer, client, forwarded_for, id;
	unsigned n_trusted = c->http->num_trusted_proxies, kept = 0;
	struct bytes proto = c->tls ? BYTES("https") : BYTES("http");
	enum edge_verdict verdict = read_fields(fields, &r);

	if (verdict != EDGE_OK)
		return verdict;
	if (!address_text(is_loopback(&c->remote.addr) ? &c->local.addr : &c->remote.addr, a, &peer)
		|| !join_forwarded_for(fields, &r, peer, a, &forwarded_for)
		|| !request_id(c->random, a, &id))
		return EDGE_NO_MEMORY;
	c->client = c->remote;
	if (n_trusted > 0 && r.n_forwarded_for > 0) {
		// As it came: without what is ours and the comma before it.
		struct bytes received =
			bytes_of(forwarded_for.ptr, forwarded_for.len - peer.len - 1);
		struct ip_addr seen;

		if (trusted_address(received, n_trusted, &seen))
			c->client = (struct ip_endpoint){.addr = seen};
	}
	// Anything else that a proxy may say is no scheme, and would make checks of it miss.
	if (n_trusted > 0 && bytes_equal_nocase(r.proto, BYTES("https")))
		proto = BYTES("https");
	else if (n_trusted > 0 && bytes_equal_nocase(r.proto, BYTES("http")))
		proto = BYTES("http");
	if (!address_text(&c->client.addr, a, &client))
		return EDGE_NO_MEMORY;
	for (unsigned i = 0; i < fields->n; i++) {
		if (is_dropped(&fields->at[i], &r))
			continue;
		if (kept != i)
			fields->at[kept] = fields->at[i];
		if (fields->at[kept].id == HTTP_FIELD_TE)
			fields->at[kept].value = BYTES("trailers");
		kept++;
	}
	fields->n = (uint16_t)kept;
	add_known(fields, HTTP_FIELD_X_FORWARDED_FOR, BYTES("x-forwarded-for"), forwarded_for);
	add_known(fields, HTTP_FIELD_X_FORWARDED_PROTO, BYTES("x-forwarded-proto"), proto);
	add_known(fields, HTTP_FIELD_X_ENVOY_EXTERNAL_ADDRESS, BYTES("x-envoy-external-address"),
		client);
	if (c->certificate != NULL)
		add_known(fields, HTTP_FIELD_X_FORWARDED_CLIENT_CERT,
			BYTES("x-forwarded-client-cert"), c->certificate->forwarded);
	if (!c->http->keep_request_id)
		add_known(fields, HTTP_FIELD_X_REQUEST_ID, BYTES("x-request-id"), id);
	if (c->http->add_forwarded_port
		&& !header_set_number(fields, BYTES("x-forwarded-port"), c->local.port, a))
		return EDGE_NO_MEMORY;
	request->scheme = proto;
	return EDGE_OK;
}

enum edge_verdict header_edge_response(struct http_head *response, const struct http_config *http,
	struct bytes date, int64_t service_time_ms, struct arena *a)
{
	struct http_fields *fields = &response->fields;
	unsigned kept = 0;
	bool has_date = false, upgrade = response->status == 101;
	struct bytes copy;

	// What Connection names is meant for us alone (RFC 9110, 7.6.1).
	if (http_field_find(fields, HTTP_FIELD_CONNECTION) != NULL)
		http_remove_hop_by_hop(fields, true);
	for (unsigned i = 0; i < fields->n; i++) {
		switch (fields->at[i].id) {
		case HTTP_FIELD_UPGRADE:
			if (!upgrade)
				continue;
			break;
		case HTTP_FIELD_CONNECTION:
		case HTTP_FIELD_KEEP_ALIVE:
		case HTTP_FIELD_PROXY_CONNECTION:
		case HTTP_FIELD_TRANSFER_ENCODING:
		case HTTP_FIELD_X_ENVOY_UPSTREAM_SERVICE_TIME: continue;
		case HTTP_FIELD_SERVER:
			if (http->server_name != NULL)
				continue;
			break;
		case HTTP_FIELD_CONTENT_LENGTH:
			if (response->status == 204) // RFC 9110, 8.6
				continue;
			break;
		case HTTP_FIELD_DATE: has_date = true; break;
		case HTTP_FIELD_OTHER:
			if (bytes_equal(fields->at[i].name, BYTES("x-envoy-decorator-operation")))
				continue;
			break;
		default: break;
		}
		if (kept != i)
			fields->at[kept] = fields->at[i];
		kept++;
	}
	fields->n = (uint16_t)kept;
	if (service_time_ms >= 0) {
		struct bytes ms = header_number((uint64_t)service_time_ms, a);

		if (ms.len == 0)
			return EDGE_NO_MEMORY;
		add_known(fields, HTTP_FIELD_X_ENVOY_UPSTREAM_SERVICE_TIME,
			BYTES("x-envoy-upstream-service-time"), ms);
	}
	if (!has_date) {
		if (!arena_copy(a, date, &copy))
			return EDGE_NO_MEMORY;
		add_known(fields, HTTP_FIELD_DATE, BYTES("date"), copy);
	}
	if (http->server_name != NULL)
		add_known(fields, HTTP_FIELD_SERVER, BYTES("server"),
			bytes_of_str(http->server_name));
	response->upgrade = upgrade;
	return EDGE_OK;
}

static bool is_authority(const char *name)
{
	return strcmp(name, "host") == 0 || strcmp(name, ":authority") == 0;
}

bool header_apply_ops(struct http_head *head, const struct header_ops *ops)
{
	struct http_fields *f = &head->fields;

	for (unsigned i = 0; i < ops->n_remove; i++)
		http_field_remove(f, bytes_of_str(ops->remove[i]));
	for (unsigned i = 0; i < ops->n_set; i++) {
		struct bytes value = bytes_of_str(ops->set[i].value);

		if (is_authority(ops->set[i].name))
			head->authority = value;
		else if (!http_field_set(f, bytes_of_str(ops->set[i].name), value))
			return false;
	}
	for (unsigned i = 0; i < ops->n_add; i++) {
		struct bytes value = bytes_of_str(ops->add[i].value);

		if (is_authority(ops->add[i].name))
			head->authority = value;
		else if (value.len > 0 && !http_field_add(f, bytes_of_str(ops->add[i].name), value))
			return false;
	}
	return true;
}

struct bytes header_number(uint64_t number, struct arena *a)
{
	uint8_t digits[20];
	unsigned at = sizeof(digits);
	struct bytes out = {NULL, 0};

	do {
		digits[--at] = (uint8_t)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	if (!arena_copy(a, bytes_of(digits + at, sizeof(digits) - at), &out))
		return (struct bytes){NULL, 0};
	return out;
}

bool header_set_number(struct http_fields *f, struct bytes name, uint64_t number, struct arena *a)
{
	struct bytes value = header_number(number, a);

	return value.len > 0 && http_field_set(f, name, value);
}
