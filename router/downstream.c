#include "router/downstream.h"

#include "router/h2_server.h"
#include "router/h2_session.h"
#include "router/proxy_protocol.h"
#include "router/upstream.h"

#include <string.h>

// Envoy's, of what comes before TLS or HTTP.
#define PROXY_TIMEOUT_US 15000000u
// An eighth of the connections may be waiting for their first request.
#define FRESH_SHARE      8u
// Looks that find nothing come together, so that idle connections by the hundred thousand wake a worker that sleeps so
// often in the time from one look to the next, and not once for each of them.
#define LOOKS_APART      32u

static void on_timer(struct timer *t, uint64_t now_us);
static void on_ready(struct ready *r, uint64_t now_us);

static const struct http_config *http_of(const struct downstream *c)
{
	return &c->worker->snapshot->config->http;
}

static struct listener_stats *listener_stats_of(const struct downstream *c)
{
	return &c->listener->state->stats[c->worker->index];
}

static void unpin_handshake(struct downstream *c)
{
	if (c->handshake != NULL)
		atomic_fetch_sub_explicit(
			&c->handshake->pins[c->worker->index].n, 1, memory_order_release);
	c->handshake = NULL;
	c->handshake_view = NULL;
}

static void join_group(struct downstream *c, struct downstream_group *g)
{
	c->group = g;
	g->n++;
	g->n_fresh++;
	list_push(&g->fresh, &c->idle_node);
}

static void leave_group(struct downstream *c)
{
	c->group->n--;
	if (!c->has_asked)
		c->group->n_fresh--;
	list_remove(&c->idle_node);
}

void downstream_end(struct downstream *c, bool abort, uint64_t now_us)
{
	struct router_worker *w = c->worker;

	upstream_forget_client(&c->peer, now_us);
	if (c->table_name != NULL) {
		struct hcm_stats *hcm = c->peer.hcm;

		stat_dec(&hcm->downstream_cx_active);
		stat_inc(&hcm->downstream_cx_destroy);
		stat_inc(c->io_closed ? &hcm->downstream_cx_destroy_remote
				      : &hcm->downstream_cx_destroy_local);
	}
	stat_dec(&listener_stats_of(c)->downstream_cx_active);
	stat_inc(&listener_stats_of(c)->downstream_cx_destroy);
	stat_dec(&w->stats->downstream_connections);
	unpin_handshake(c);
	c->listener->n_connections--;
	w->n_downstreams--;
	w->n_over_tls -= c->over_tls;
	w->n_over_h2 -= c->h2 != NULL;
	if (c->counted)
		address_counts_remove(&w->addresses, &c->peer.remote.addr);
	router_worker_forget(w, &c->node);
	list_remove(&c->node);
	leave_group(c);
	list_remove(&c->ready.node);
	timer_cancel(w->timers, &c->timer);
	if (c->h2 != NULL)
		h2_session_free(&c->h2);
	h1_reader_drop(&c->reader, w);
	arena_reset(&c->arena);
	if (abort)
		stream_abort(&c->io);
	else
		stream_close(&c->io);
	pool_put(&w->connections, c);
}

void downstream_bind_table(struct downstream *c)
{
	const struct snapshot *s = c->worker->snapshot;
	const struct listener_view *v = c->listener->view;

	if (c->generation == s->generation)
		return;
	c->generation = s->generation;
	c->peer.table = NULL;
	for (unsigned i = 0; v != NULL && i < v->config->n_chains; i++) {
		if (v->table_names[i] == c->table_name)
			c->peer.table = s->tables[v->config->chains[i].route_table];
	}
}

bool downstream_is_busy(const struct downstream *c)
{
	return c->h2 != NULL ? h2_server_n_requests(c) > 0 : c->stream.exchange != NULL;
}

// --- room for one more

static bool has_room(const struct router_worker *w)
{
	uint32_t max = w->snapshot->config->http.max_connections;

	return max == 0 || w->n_downstreams < max;
}

static struct downstream *first_of(const struct list *l)
{
	return list_is_empty(l) ? NULL : container_of(l->next, struct downstream, idle_node);
}

static struct downstream *idle_longer(struct downstream *a, struct downstream *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	return a->idle_since_us <= b->idle_since_us ? a : b;
}

// Of the first of those that have not asked anything yet, 'n_fresh' of 'n' in all, and of those between requests, the one
// that is missed least: the one idle longest. A fresh one may be about to ask, but goes first when they are too many: then
// they are not clients. NULL: all are at work.
static struct downstream *missed_least(
	struct downstream *fresh, struct downstream *idle, uint32_t n_fresh, uint32_t n)
{
	return fresh != NULL && n_fresh > n / FRESH_SHARE ? fresh : idle_longer(fresh, idle);
}

// Returns false if there is none to close.
static bool make_room(struct router_worker *w, struct downstream *c, uint64_t now_us)
{
	if (c == NULL)
		return false;
	stat_inc(&w->stats->downstream_evicted);
	// Not by a FIN: that would keep TCP's part for a while.
	downstream_end(c, true, now_us);
	return true;
}

static bool make_room_for_any(struct router_worker *w, uint64_t now_us)
{
	const struct downstream_group *a = &w->light, *b = &w->heavy;

	return make_room(w,
		missed_least(idle_longer(first_of(&a->fresh), first_of(&b->fresh)),
			idle_longer(first_of(&a->idle), first_of(&b->idle)),
			a->n_fresh + b->n_fresh, a->n + b->n),
		now_us);
}

static bool make_room_in_arena(struct router_worker *w, uint64_t now_us)
{
	const struct downstream_group *g = &w->heavy;

	return make_room(
		w, missed_least(first_of(&g->fresh), first_of(&g->idle), g->n_fresh, g->n), now_us);
}

// What connections hold in the arena when they are idle. That they need more meanwhile is what others leave.
static size_t arena_used(const struct router_worker *w)
{
	return w->n_over_tls * (size_t)TLS_IDLE_BYTES + w->n_over_h2 * (size_t)H2_IDLE_BYTES;
}

// Makes room in the arena for 'bytes' more. Returns false if there is none, and all that have a part of it are at work.
static bool make_bytes(struct router_worker *w, size_t bytes, uint64_t now_us)
{
	while (w->idle_bytes > 0 && arena_used(w) + bytes > w->idle_bytes) {
		if (!make_room_in_arena(w, now_us))
			return false;
	}
	return true;
}

static bool begin_h2(struct downstream *c, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	bool begun;

	// Not the one to make room.
	leave_group(c);
	begun = make_bytes(w, H2_IDLE_BYTES, now_us) && h2_server_start(c, now_us);
	w->n_over_h2 += begun;
	join_group(c, &w->heavy);
	return begun;
}

// Returns false if the connection is gone.
static bool begin_version(struct downstream *c, bool h2, uint64_t now_us)
{
	c->sniffing = false;
	stat_inc(h2 ? &c->peer.hcm->downstream_cx_http2_total
		    : &c->peer.hcm->downstream_cx_http1_total);
	if (h2 && !begin_h2(c, now_us)) {
		stat_inc(&listener_stats_of(c)->downstream_cx_overflow);
		downstream_end(c, true, now_us);
		return false;
	}
	c->head_start_us = 0;
	return true;
}

// The connection is ready to speak HTTP as the filter chain 'chain' of 'v' says.
static void begin_http(
	struct downstream *c, const struct listener_view *v, unsigned chain, uint64_t now_us)
{
	struct hcm_stats *hcm = &v->hcm[chain]->stats[c->worker->index];

	c->table_name = v->table_names[chain];
	c->peer.hcm = hcm;
	c->generation = 0;
	stat_inc(&hcm->downstream_cx_total);
	stat_inc(&hcm->downstream_cx_active);
	if (c->peer.tls_version != NULL)
		stat_inc(&hcm->downstream_cx_ssl_total);
	h1_server_start(c, now_us);
	c->sniffing = true;
}

// The first bytes: HTTP/2 with prior knowledge, or HTTP/1. Returns false if that is not known yet,
// or the connection is gone.
static bool sniff(struct downstream *c, uint64_t now_us)
{
	enum h2_preface p = h2_server_sniff(c->io);
	uint64_t timeout_us = http_of(c)->head_timeout_us;

	if (p == H2_PREFACE_MAYBE && stream_readable(c->io) > 0 && !stream_read_ended(c->io)) {
		if (c->head_start_us == 0)
			c->head_start_us = now_us;
		if (timeout_us > 0)
			timer_arm(c->worker->timers, &c->timer, c->head_start_us + timeout_us);
		return false;
	}
	if (p == H2_PREFACE_MAYBE && !stream_read_ended(c->io))
		return false;
	return begin_version(c, p == H2_PREFACE_YES, now_us);
}

// READABLE or WRITABLE after the handshake.
static void on_http_event(struct downstream *c, unsigned events, uint64_t now_us)
{
	if (c->sniffing && !sniff(c, now_us))
		return;
	if (c->h2 != NULL)
		h2_session_on_event(c->h2, events, now_us);
	else if (c->stream.exchange != NULL)
		h1_server_on_event(c, events);
	else if (events & STREAM_READABLE)
		h1_server_read(c, now_us);
}

// As Envoy sorts them.
static void count_failure(struct listener_stats *s, enum tls_cause cause)
{
	switch (cause) {
	case TLS_CAUSE_NO_CHAIN: stat_inc(&s->no_filter_chain_match); break;
	case TLS_CAUSE_CLIENT_NONE: stat_inc(&s->ssl_fail_verify_no_cert); break;
	case TLS_CAUSE_CLIENT_NAME: stat_inc(&s->ssl_fail_verify_san); break;
	case TLS_CAUSE_CLIENT_PIN: stat_inc(&s->ssl_fail_verify_cert_hash); break;
	case TLS_CAUSE_CLIENT_UNTRUSTED:
	case TLS_CAUSE_CLIENT_EXPIRED:
	case TLS_CAUSE_CLIENT_REVOKED:
	case TLS_CAUSE_CLIENT_PURPOSE: stat_inc(&s->ssl_fail_verify_error); break;
	default: stat_inc(&s->ssl_connection_error); break;
	}
}

// A client that speaks TLS is to read the alert that says why it was refused; to others, and to those that went away, a
// RST costs least.
static bool is_told_why(enum tls_cause cause)
{
	switch (cause) {
	case TLS_CAUSE_HELLO_TOO_LARGE:
	case TLS_CAUSE_PLAINTEXT:
	case TLS_CAUSE_NOT_TLS:
	case TLS_CAUSE_BAD_RECORD:
	case TLS_CAUSE_CLIENT_ALERT:
	case TLS_CAUSE_CLOSED:
	case TLS_CAUSE_TIMEOUT:
	case TLS_CAUSE_NO_MEMORY:
	case TLS_CAUSE_OTHER: return false;
	default: return true;
	}
}

static void on_handshake_event(struct downstream *c, unsigned events, uint64_t now_us)
{
	const struct listener_view *v = c->handshake_view;
	struct tls_info info;

	tls_info_get(c->io, &info);
	if (events & STREAM_CLOSED) {
		enum tls_cause cause = info.failure != NULL ? info.cause : TLS_CAUSE_OTHER;

		c->io_closed = true;
		count_failure(listener_stats_of(c), cause);
		downstream_end(c, !is_told_why(cause), now_us);
		return;
	}
	if (!(events & STREAM_CONNECTED))
		return;
	stat_inc(&listener_stats_of(c)->ssl_handshake);
	if (info.client == NULL)
		stat_inc(&listener_stats_of(c)->ssl_no_certificate);
	if (c->listener->view == NULL) {
		downstream_end(c, false, now_us);
		return;
	}
	c->peer.sni = info.sni;
	c->peer.tls_version = info.version;
	c->peer.tls_cipher = info.cipher;
	c->peer.client = info.client;
	begin_http(c, v, info.chain_index < v->config->n_chains ? info.chain_index : 0, now_us);
	unpin_handshake(c);
	if (info.alpn.len > 0 && !begin_version(c, bytes_equal(info.alpn, BYTES("h2")), now_us))
		return;
	on_http_event(c, STREAM_READABLE, now_us);
}

static void on_proxy_event(struct downstream *c, unsigned events, uint64_t now_us);

static void on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct downstream *c = owner;
	struct router_worker *w = c->worker;

	(void)s;
	if (c->awaits_proxy) {
		on_proxy_event(c, events, now_us);
	} else if (c->table_name == NULL) {
		on_handshake_event(c, events, now_us);
	} else if (events & STREAM_CLOSED) {
		c->io_closed = true;
		if (c->h2 != NULL)
			h2_session_on_event(c->h2, events, now_us);
		else if (c->stream.exchange != NULL)
			exchange_on_downstream_end(c->stream.exchange, DOWNSTREAM_GONE, NULL);
		else
			downstream_end(c, true, now_us);
	} else {
		on_http_event(c, events, now_us);
	}
	router_worker_leave(w, now_us);
}

void downstream_note_busy(struct downstream *c)
{
	if (!c->has_asked)
		c->group->n_fresh--;
	c->has_asked = true;
	list_remove(&c->idle_node);
}

void downstream_note_idle(struct downstream *c)
{
	if (c->has_asked && list_is_empty(&c->idle_node))
		list_push(&c->group->idle, &c->idle_node);
}

// The TLS stream over 's', or NULL if there is no place for one.
static struct stream *accept_tls(
	struct downstream *c, struct listener *l, struct stream *s, uint64_t now_us)
{
	struct router_worker *w = l->worker;
	struct stream *io;

	if (!make_bytes(w, TLS_IDLE_BYTES, now_us))
		return NULL;
	io = tls_accept(w->tls, l->view->tls, &s, on_event, c, now_us);
	if (io == NULL && s != NULL && make_room_in_arena(w, now_us))
		io = tls_accept(w->tls, l->view->tls, &s, on_event, c, now_us);
	return io;
}

static bool begin_tls(struct downstream *c, struct stream *s, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct stream *io = accept_tls(c, c->listener, s, now_us);

	if (io == NULL)
		return false;
	c->io = io;
	c->over_tls = true;
	w->n_over_tls++;
	c->handshake = w->snapshot;
	c->handshake_view = c->listener->view;
	atomic_fetch_add_explicit(&w->snapshot->pins[w->index].n, 1, memory_order_relaxed);
	return true;
}

// --- the PROXY header

static void count_proxy_error(struct router_stats *stats, enum proxy_error error)
{
	uint64_t *const counters[PROXY_N_ERRORS] = {
#define PROXY_ERROR(name, counter, rule) &stats->counter,
#include "router/proxy_protocol.def"
	};

	stat_inc(counters[error]);
}

static enum proxy_result read_proxy_header(struct downstream *c, struct proxy_header *out)
{
	enum proxy_result result = proxy_protocol_read(stream_peek(c->io), out);
	uint8_t *all = c->worker->scratch;
	size_t len = 0;

	// Seldom: it came in pieces.
	while (result == PROXY_MORE && len < PROXY_HEADER_MAX) {
		struct bytes b = stream_peek_at(c->io, len);

		if (b.len == 0)
			break;
		if (b.len > PROXY_HEADER_MAX - len)
			b.len = PROXY_HEADER_MAX - len;
		memcpy(all + len, b.ptr, b.len);
		len += b.len;
		result = proxy_protocol_read(bytes_of(all, len), out);
	}
	return result;
}

// One more of that address, where they are counted. Returns false if it may not have more.
static bool take_place(struct router_worker *w, const struct ip_addr *client, bool *counted)
{
	uint32_t max = w->snapshot->config->http.max_connections_per_address;

	*counted = max > 0 && address_counts_add(&w->addresses, client, max);
	if (max == 0 || *counted)
		return true;
	stat_inc(&w->stats->downstream_address_overflow);
	return false;
}

static void take_proxy_header(struct downstream *c, const struct proxy_header *h, uint64_t now_us)
{
	struct router_worker *w = c->worker;
	struct stream *s = c->io;
	bool begun;

	c->awaits_proxy = false;
	timer_cancel(w->timers, &c->timer);
	stream_consume(s, h->len);
	stat_inc(h->version == 1 ? &w->stats->proxy_headers_v1 : &w->stats->proxy_headers_v2);
	if (h->has_addresses) {
		c->peer.remote = h->source;
		c->peer.local = h->destination;
	}
	if (c->listener->view == NULL) {
		downstream_end(c, false, now_us);
		return;
	}
	if (!take_place(w, &c->peer.remote.addr, &c->counted)) {
		downstream_end(c, true, now_us);
		return;
	}
	if (c->listener->view->tls == NULL) {
		begin_http(c, c->listener->view, 0, now_us);
		on_http_event(c, STREAM_READABLE, now_us);
		return;
	}
	// Not the one to make room when there is no place for TLS.
	leave_group(c);
	begun = begin_tls(c, s, now_us);
	join_group(c, begun ? &w->heavy : &w->light);
	if (!begun) {
		stat_inc(&listener_stats_of(c)->downstream_cx_overflow);
		downstream_end(c, true, now_us);
		return;
	}
	// The ClientHello may be here already, of which TLS has not been told.
	stream_want_read(s);
}

// READABLE or CLOSED before the PROXY header is complete.
static void on_proxy_event(struct downstream *c, unsigned events, uint64_t now_us)
{
	struct proxy_header h;

	if (events & STREAM_CLOSED) {
		c->io_closed = true;
		downstream_end(c, true, now_us);
		return;
	}
	switch (read_proxy_header(c, &h)) {
	case PROXY_MORE:
		// The rest of it will not come.
		if (stream_end_received(c->io)) {
			stat_inc(&c->worker->stats->proxy_headers_unfinished);
			c->io_closed = true;
			downstream_end(c, true, now_us);
		}
		break;
	case PROXY_DONE: take_proxy_header(c, &h, now_us); break;
	case PROXY_REFUSED:
		stat_inc(&listener_stats_of(c)->downstream_cx_proxy_proto_error);
		count_proxy_error(c->worker->stats, h.error);
		downstream_end(c, true, now_us);
		break;
	}
}

static bool accept_counted(struct listener *l, struct stream *s, bool counted, uint64_t now_us)
{
	struct router_worker *w = l->worker;
	struct listener_stats *stats = &l->state->stats[w->index];
	struct downstream *c;

	if (!has_room(w) && !make_room_for_any(w, now_us)) {
		stat_inc(&stats->downstream_cx_overflow);
		return false;
	}
	c = pool_get_zeroed(&w->connections);
	if (c == NULL && make_room_for_any(w, now_us))
		c = pool_get_zeroed(&w->connections);
	if (c == NULL) {
		stat_inc(&stats->downstream_cx_overflow);
		stat_inc(&w->stats->downstream_pool_empty);
		return false;
	}
	c->worker = w;
	c->listener = l;
	c->stream.ops = &h1_server_ops;
	c->peer.local = s->local;
	c->peer.remote = c->peer.direct_remote = s->remote;
	c->peer.connection_id = w->next_connection_id++;
	c->counted = counted;
	c->idle_since_us = now_us;
	list_init(&c->peer.announced);
	timer_init(&c->timer, on_timer);
	ready_init(&c->ready, on_ready);
	arena_init(&c->arena, &w->chunks, 1);
	if (l->view->config->proxy_protocol) {
		c->awaits_proxy = true;
		c->io = s;
		stream_set_owner(s, on_event, c);
		timer_arm(w->timers, &c->timer, now_us + PROXY_TIMEOUT_US);
	} else if (l->view->tls != NULL) {
		if (!begin_tls(c, s, now_us)) {
			stat_inc(&stats->downstream_cx_overflow);
			pool_put(&w->connections, c);
			return false;
		}
	} else {
		c->io = s;
		stream_set_owner(s, on_event, c);
	}
	list_push(&w->downstreams, &c->node);
	join_group(c, c->handshake != NULL ? &w->heavy : &w->light);
	w->n_downstreams++;
	l->n_connections++;
	stat_inc(&stats->downstream_cx_total);
	stat_inc(&stats->downstream_cx_active);
	stat_inc(&w->stats->downstream_connections);
	if (c->handshake == NULL && !c->awaits_proxy)
		begin_http(c, l->view, 0, now_us);
	return true;
}

bool downstream_accept(void *arg, struct stream *s, uint64_t now_us)
{
	struct listener *l = arg;
	struct router_worker *w = l->worker;
	bool counted = false;

	// Opened for a configuration that is not in force yet, or kept open by nobody's.
	if (l->view == NULL)
		return false;
	// Before others make room. Whom a PROXY header names is counted when it is here.
	if (!l->view->config->proxy_protocol && !take_place(w, &s->remote.addr, &counted))
		return false;
	if (accept_counted(l, s, counted, now_us))
		return true;
	if (counted)
		address_counts_remove(&w->addresses, &s->remote.addr);
	return false;
}

// --- time

// How long a connection may go without its timer looking at it; UINT64_MAX: for ever.
static uint64_t look_us(const struct http_config *http)
{
	uint64_t us = http->idle_timeout_us > 0 ? http->idle_timeout_us : UINT64_MAX;

	if (http->body_timeout_us > 0 && http->body_timeout_us < us)
		us = http->body_timeout_us;
	if (http->request_timeout_us > 0 && http->request_timeout_us < us)
		us = http->request_timeout_us;
	if (http->min_body_rate > 0 && http->body_rate_window_us > 0
		&& http->body_rate_window_us < us)
		us = http->body_rate_window_us;
	return us;
}

uint64_t downstream_look_at(const struct http_config *http, uint64_t now_us)
{
	uint64_t us = look_us(http), together = us / LOOKS_APART + 1;

	if (us == UINT64_MAX)
		return UINT64_MAX;
	return (now_us + us + together - 1) / together * together;
}

// When the connection is to be looked at again. The timer is never moved by a request that comes
// and goes; it looks at the time stamps when it fires.
uint64_t downstream_next_check(const struct downstream *c, uint64_t now_us)
{
	const struct http_config *http = http_of(c);
	uint64_t idle = downstream_deadline(c->idle_since_us, http->idle_timeout_us);
	uint64_t look = downstream_look_at(http, now_us);

	if (c->head_start_us != 0)
		return downstream_deadline(c->head_start_us, http->head_timeout_us);
	if (c->stream.exchange != NULL)
		return look;
	// It came when the others had been told: it may ask once, but not hold the drain up to its end.
	if (c->worker->draining)
		idle = c->idle_since_us + c->worker->goaway_us;
	return idle < look ? idle : look;
}

static void on_timer(struct timer *t, uint64_t now_us)
{
	struct downstream *c = container_of(t, struct downstream, timer);
	struct router_worker *w = c->worker;
	const struct http_config *http = http_of(c);
	struct exchange *x = c->stream.exchange;
	uint64_t due = UINT64_MAX, next;

	if (c->awaits_proxy) {
		stat_inc(&listener_stats_of(c)->downstream_pre_cx_timeout);
		downstream_end(c, true, now_us);
		router_worker_leave(w, now_us);
		return;
	}
	if (c->h2 != NULL) {
		bool gone;

		next = h2_server_check(c, &gone, now_us);
		if (!gone && next != UINT64_MAX)
			timer_arm(w->timers, &c->timer, next > now_us ? next : now_us + 1000);
		router_worker_leave(w, now_us);
		return;
	}
	if (x != NULL) {
		due = exchange_check_time(x, now_us);
	} else if (c->head_start_us != 0
		&& now_us >= downstream_deadline(c->head_start_us, http->head_timeout_us)) {
		h1_server_head_timeout(c, now_us);
	} else if (c->head_start_us == 0 && w->draining) {
		stat_inc(&c->peer.hcm->downstream_cx_drain_close);
		downstream_end(c, false, now_us);
		c = NULL;
	} else if (c->head_start_us == 0
		&& now_us >= downstream_deadline(c->idle_since_us, http->idle_timeout_us)) {
		stat_inc(&c->peer.hcm->downstream_cx_idle_timeout);
		downstream_end(c, false, now_us);
		c = NULL;
	}
	if (c != NULL) {
		next = downstream_next_check(c, now_us);
		next = due < next ? due : next;
		if (next != UINT64_MAX)
			timer_arm(w->timers, &c->timer, next > now_us ? next : now_us + 1000);
	}
	router_worker_leave(w, now_us);
}

// An exchange has given the connection back and more has arrived meanwhile.
static void on_ready(struct ready *r, uint64_t now_us)
{
	struct downstream *c = container_of(r, struct downstream, ready);

	if (c->stream.exchange == NULL)
		h1_server_read(c, now_us);
}

bool downstream_owns(const struct stream *s, struct router_stream_owner *out)
{
	const struct downstream *c = s->owner;

	if (s->on_event != on_event)
		return false;
	*out = (struct router_stream_owner){.name = c->listener->state->name, .protocol = ""};
	if (c->table_name != NULL && !c->sniffing)
		out->protocol = c->h2 != NULL ? "h2" : "http/1.1";
	return true;
}
