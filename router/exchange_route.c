// From a received head to a decision: is it acceptable (reference 8.2), which route answers it, what is changed in it.

#include "router/exchange_steps.h"
#include "router/h2_error.h"
#include "router/header_mutation.h"
#include "router/route.h"
#include "router/uri.h"

#include <string.h>

static enum step refuse(
	struct exchange *x, uint16_t status, const char *body, const char *details, uint64_t now_us)
{
	return exchange_reply(x,
		&(struct local_reply){
			.status = status, .body = body, .details = details, .flag = -1},
		now_us);
}

static enum step refuse_upgrade(struct exchange *x, uint64_t now_us)
{
	stat_inc(&x->peer->hcm->downstream_rq_ws_on_non_ws_route);
	return refuse(x, 403, "", "upgrade_failed", now_us);
}

// The codec could not make a request of what came.
static enum step refuse_codec(struct exchange *x, uint64_t now_us)
{
	const struct h1_error *e = x->codec_error;
	struct hcm_stats *hcm = x->peer->hcm;

	if (strcmp(x->codec_details, "request_header_timeout") == 0) {
		stat_inc(&hcm->downstream_rq_timeout);
		stat_inc(&hcm->downstream_rq_header_timeout);
		return exchange_reply(x,
			&(struct local_reply){.status = 408,
				.body = "request header timeout",
				.details = x->codec_details,
				.flag = -1,
				.close = true},
			now_us);
	}
	return e != NULL ? exchange_refuse_rule(x, e, now_us) : exchange_reply_no_memory(x, now_us);
}

static bool is_grpc(const struct http_head *h)
{
	const struct http_field *type = http_field_find(&h->fields, HTTP_FIELD_CONTENT_TYPE);
	struct bytes rest;

	if (type == NULL || !bytes_start_with(type->value, BYTES("application/grpc")))
		return false;
	rest = bytes_skip(type->value, sizeof("application/grpc") - 1);
	return rest.len == 0 || rest.ptr[0] == '+' || rest.ptr[0] == ';';
}

enum step exchange_step_request(struct exchange *x, uint64_t now_us)
{
	struct http_head *h = &x->request;
	const struct http_config *http = &x->snapshot->config->http;
	struct edge_context edge = {.http = http,
		.remote = x->peer->remote,
		.local = x->peer->local,
		.tls = x->peer->tls_version != NULL,
		.certificate = x->peer->client};
	bool h2 = x->downstream->ops->version == HTTP_2;

	if (x->codec_details != NULL)
		return refuse_codec(x, now_us);
	x->is_head = bytes_equal(h->method, BYTES("HEAD"));
	x->grpc = is_grpc(h);
	x->client_keep_alive = h->keep_alive;
	if (h->version == HTTP_1_0) // RFC 9110, 10.1.1
		http_field_remove_id(&h->fields, HTTP_FIELD_EXPECT);
	x->expects_continue = http_field_find(&h->fields, HTTP_FIELD_EXPECT) != NULL;
	// Whatever becomes of it, the connection carries no request after this one.
	x->upgrade = h->upgrade;
	x->client_keep_alive &= !h->upgrade;
	// A request without a body is complete now; the others say so later.
	exchange_pump_request(x, now_us);
	if (!h2 && !edge.tls && bytes_equal(h->scheme, BYTES("https")))
		return exchange_refuse_rule(x, &H1_ERR_TARGET_HTTPS, now_us);
	if (h->version == HTTP_1_0 && h->authority.ptr == NULL)
		return refuse(x, 400, "", "missing_host_header", now_us);
	if (h->path.len == 0)
		return refuse(x, 404, "", "missing_path_rejected", now_us);
	if (h->path.ptr[0] != '/')
		return refuse(x, 404, "", "absolute_path_rejected", now_us);
	if (!uri_normalize(h->path, http->path_normalization, &x->arena, &h->path)) {
		stat_inc(&x->peer->hcm->downstream_rq_failed_path_normalization);
		return refuse(x, 400, "", "path_normalization_failed", now_us);
	}
	if (h->upgrade && !exchange_upgrade_is_allowed(h))
		return refuse_upgrade(x, now_us);
	edge.random[0] = router_random(x->worker);
	edge.random[1] = router_random(x->worker);
	switch (header_edge_request(h, &edge, &x->arena)) {
	case EDGE_OK: break;
	case EDGE_BAD_CONNECTION:
		return exchange_refuse_rule(x, &H1_ERR_CONNECTION_NOMINATION, now_us);
	case EDGE_BAD_TE: return exchange_refuse_rule(x, &H1_ERR_TE_LENGTH, now_us);
	case EDGE_UNDERSCORE:
		return exchange_refuse_rule(
			x, h2 ? &H2_ERR_UNDERSCORE : &H1_ERR_UNDERSCORE, now_us);
	case EDGE_NO_MEMORY: return exchange_reply_no_memory(x, now_us);
	}
	x->client = edge.client;
	exchange_set_state(x, EXCHANGE_ROUTE);
	return STEP_AGAIN;
}

// Pieces put together in the arena.
struct text {
	struct bytes at[10];
	unsigned n;
};

static void text_add(struct text *t, struct bytes b)
{
	t->at[t->n++] = b;
}

static bool text_join(const struct text *t, struct arena *a, struct bytes *out)
{
	size_t len = 0;
	uint8_t *to;

	for (unsigned i = 0; i < t->n; i++)
		len += t->at[i].len;
	to = arena_alloc(a, len);
	if (to == NULL)
		return false;
	*out = bytes_of(to, len);
	for (unsigned i = 0; i < t->n; i++) {
		if (t->at[i].len > 0)
			memcpy(to, t->at[i].ptr, t->at[i].len);
		to += t->at[i].len;
	}
	return true;
}

// How much of the path the rewrite of a route replaces (reference 2.6).
static size_t matched_len(const struct route_config *r, struct bytes path)
{
	switch (r->match.uri.kind) {
	case STRING_MATCH_PREFIX: return strlen(r->match.uri.text);
	case STRING_MATCH_EXACT:
	case STRING_MATCH_REGEX: return uri_path(path).len;
	default: return 1; // the catch-all stands for the prefix "/"
	}
}

static enum step reply_location(
	struct exchange *x, const struct text *location, uint16_t status, uint64_t now_us)
{
	struct bytes value;

	if (!text_join(location, &x->arena, &value))
		return exchange_reply_no_memory(x, now_us);
	stat_inc(&x->peer->hcm->rq_redirect);
	return exchange_reply(x,
		&(struct local_reply){.status = status,
			.body = "",
			.details = "direct_response",
			.flag = -1,
			.location = value},
		now_us);
}

static enum step redirect_to_https(struct exchange *x, uint64_t now_us)
{
	struct text t = {0};

	text_add(&t, BYTES("https://"));
	text_add(&t, x->request.authority);
	text_add(&t, x->request.path);
	return reply_location(x, &t, 301, now_us);
}

// The authority's port with its colon, unless the new scheme or the configuration says otherwise (reference 2.7).
static struct bytes redirect_port(
	const struct exchange *x, const struct redirect_config *r, struct bytes scheme, char to[8])
{
	struct bytes authority = x->request.authority, host = uri_host(authority), own;
	unsigned port = r->port;

	own = bytes_skip(authority, host.len);
	if (r->port_from_request && x->table != NULL)
		port = route_table_config(x->table)->server_port;
	if (port != 0) {
		unsigned n = 0, left = port;
		char digits[5];

		if (port == (bytes_equal(scheme, BYTES("https")) ? 443u : 80u))
			return (struct bytes){NULL, 0};
		do {
			digits[n++] = (char)('0' + left % 10);
			left /= 10;
		} while (left > 0);
		to[0] = ':';
		for (unsigned i = 0; i < n; i++)
			to[1 + i] = digits[n - 1 - i];
		return bytes_of(to, n + 1);
	}
	if (r->authority != NULL)
		return (struct bytes){NULL, 0};
	if (r->scheme != NULL && !bytes_equal(scheme, x->request.scheme)
		&& (bytes_equal(own, BYTES(":80")) || bytes_equal(own, BYTES(":443"))))
		return (struct bytes){NULL, 0};
	return own;
}

static enum step redirect(struct exchange *x, uint64_t now_us)
{
	const struct redirect_config *r = &x->route->redirect;
	struct bytes path = x->request.path, scheme = x->request.scheme;
	struct text t = {0};
	char port[8];

	if (r->scheme != NULL)
		scheme = bytes_of_str(r->scheme);
	text_add(&t, scheme);
	text_add(&t, BYTES("://"));
	text_add(&t,
		r->authority != NULL ? bytes_of_str(r->authority) : uri_host(x->request.authority));
	text_add(&t, redirect_port(x, r, scheme, port));
	if (r->path != NULL && r->path[0] != '\0') {
		text_add(&t, bytes_of_str(r->path));
		if (strchr(r->path, '?') == NULL)
			text_add(&t, bytes_skip(path, uri_path(path).len));
	} else if (r->prefix_rewrite != NULL) {
		text_add(&t, bytes_of_str(r->prefix_rewrite));
		text_add(&t, bytes_skip(path, matched_len(x->route, path)));
	} else {
		text_add(&t, path);
	}
	return reply_location(x, &t, r->status, now_us);
}

static enum step direct_response(struct exchange *x, uint64_t now_us)
{
	stat_inc(&x->peer->hcm->rq_direct_response);
	return exchange_reply(x,
		&(struct local_reply){.status = x->route->direct_status,
			.body = "",
			.bytes = x->route->direct_body,
			.details = "direct_response",
			.flag = -1},
		now_us);
}

static bool apply_rewrite(struct exchange *x)
{
	const struct rewrite_config *r = &x->route->rewrite;
	struct http_head *h = &x->request;

	if (r->path != NULL) {
		struct text t = {0};

		x->original_path = h->path;
		text_add(&t, bytes_of_str(r->path));
		text_add(&t, bytes_skip(h->path, matched_len(x->route, h->path)));
		if (!text_join(&t, &x->arena, &h->path))
			return false;
		if (!x->snapshot->config->http.no_debug_headers
			&& !http_field_set(
				&h->fields, BYTES("x-envoy-original-path"), x->original_path))
			return false;
	}
	if (r->authority != NULL)
		h->authority = bytes_of_str(r->authority);
	return true;
}

// What the client asked for, where the authority is another one now.
static bool tell_forwarded_host(struct exchange *x, struct bytes received)
{
	struct http_head *h = &x->request;

	if (!x->snapshot->config->http.add_forwarded_host || bytes_equal(received, h->authority))
		return true;
	return http_field_set(&h->fields, BYTES("x-forwarded-host"), received);
}

static const struct weighted_cluster *choose_cluster(struct exchange *x)
{
	const struct route_config *r = x->route;
	uint64_t total = 0, at;

	if (r->n_clusters <= 1)
		return r->n_clusters == 1 ? &r->clusters[0] : NULL;
	for (unsigned i = 0; i < r->n_clusters; i++)
		total += r->clusters[i].weight;
	at = total > 0 ? router_random(x->worker) % total : 0;
	for (unsigned i = 0; i < r->n_clusters; i++) {
		if (at < r->clusters[i].weight)
			return &r->clusters[i];
		at -= r->clusters[i].weight;
	}
	return &r->clusters[r->n_clusters - 1];
}

// "15S", "250m": at most eight digits and a unit (gRPC over HTTP/2). 0: not a timeout.
static uint64_t grpc_timeout_us(const struct http_head *h)
{
	const struct http_field *f = http_field_find(&h->fields, HTTP_FIELD_GRPC_TIMEOUT);
	uint64_t n = 0;

	if (f == NULL || f->value.len < 2 || f->value.len > 9)
		return 0;
	for (size_t i = 0; i < f->value.len - 1; i++) {
		if (f->value.ptr[i] < '0' || f->value.ptr[i] > '9')
			return 0;
		n = n * 10 + f->value.ptr[i] - '0';
	}
	switch (f->value.ptr[f->value.len - 1]) {
	case 'H': return n * 3600000000u;
	case 'M': return n * 60000000u;
	case 'S': return n * 1000000u;
	case 'm': return n * 1000u;
	case 'u': return n;
	case 'n': return n / 1000u + 1;
	default: return 0;
	}
}

static enum step forward(struct exchange *x, uint64_t now_us)
{
	struct http_head *h = &x->request;
	struct bytes received = h->authority;

	x->choice = choose_cluster(x);
	if (x->choice != NULL)
		x->cluster = snapshot_cluster(x->snapshot, bytes_of_str(x->choice->cluster));
	if (x->cluster == NULL) {
		stat_inc(&x->peer->hcm->no_cluster);
		return exchange_reply(x,
			&(struct local_reply){.status = 503,
				.body = "",
				.details = "cluster_not_found",
				.flag = RESPONSE_FLAG_NC},
			now_us);
	}
	if (x->upgrade) {
		x->is_upgrade_counted = true;
		stat_inc(&x->peer->hcm->downstream_cx_upgrades_total);
		stat_inc(&x->peer->hcm->downstream_cx_upgrades_active);
	}
	x->timeout_us = x->route->timeout_us;
	if (x->grpc) {
		uint64_t asked = grpc_timeout_us(h);

		if (asked > 0 && (x->timeout_us == 0 || asked < x->timeout_us))
			x->timeout_us = asked;
	}
	// The destination's operations first, so that the route's win (reference 2.5).
	if (!header_apply_ops(h, &x->choice->request_headers)
		|| !header_apply_ops(h, &x->route->request_headers) || !apply_rewrite(x)
		|| !tell_forwarded_host(x, received))
		return exchange_reply_no_memory(x, now_us);
	if (x->timeout_us > 0 && (x->request_ended || x->upgrade))
		timer_arm(x->worker->timers, &x->timer, now_us + x->timeout_us);
	exchange_set_state(x, EXCHANGE_PICK);
	return STEP_AGAIN;
}

enum step exchange_step_route(struct exchange *x, uint64_t now_us)
{
	const struct virtual_host *host = NULL;
	struct hcm_stats *hcm = x->peer->hcm;

	stat_inc(&hcm->rq_total);
	if (x->table != NULL)
		host = route_find_host(x->table, x->request.authority);
	if (host != NULL && virtual_host_config(host)->require_tls
		&& !bytes_equal(x->request.scheme, BYTES("https")))
		return redirect_to_https(x, now_us);
	if (host != NULL)
		x->route = route_match(host, x->snapshot->scratch[x->worker->index], &x->request);
	if (x->route == NULL) {
		stat_inc(&hcm->no_route);
		return exchange_reply(x,
			&(struct local_reply){.status = 404,
				.body = "",
				.details = "route_not_found",
				.flag = RESPONSE_FLAG_NR},
			now_us);
	}
	switch (x->route->action) {
	case ROUTE_REDIRECT: return redirect(x, now_us);
	case ROUTE_DIRECT_RESPONSE: return direct_response(x, now_us);
	case ROUTE_FORWARD: break;
	}
	return forward(x, now_us);
}
