// What broke the peers since 2019: one row for each CVE, with the input that did it and what becomes of it here, or the test
// that has it elsewhere, or why it does not apply. Behaviour that is more than one input has a function below.

#include "tests/h2_peer.h"

#define H    "host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" H "\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define OK   "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

// --- one input of HTTP/1.1

// The answer begins so, and the connection ends with it; the endpoint sees nothing.
struct refused {
	const char *cve;
	const char *sent;
	const char *status;
};

static const struct refused refused[] = {
	{"Envoy CVE-2019-9900",
         "GET / HTTP/1.1\r\n" H "x: a\x01"
		"b\r\n\r\n",										   "400"},
	{"Envoy CVE-2019-18802",      "GET / HTTP/1.1\r\n" H "content-length : 5\r\n\r\n",                     "400"},
	{"Envoy CVE-2019-18838",      "GET / HTTP/1.1\r\n\r\n",                                                "400"},
	{"Envoy CVE-2021-32779",      "GET /a#/../b HTTP/1.1\r\n" H "\r\n",                                    "400"},
	{"Envoy CVE-2023-35944",      "GET HTTPS://a/ HTTP/1.1\r\n" H "\r\n",                                  "403"},
	{"haproxy CVE-2019-18277",
         POST "transfer-encoding: \x0b"
		     "chunked\r\n\r\n",									"400"},
	{"haproxy CVE-2023-25725",    "GET / HTTP/1.1\r\n" H ": x\r\n\r\n",                                    "400"},
	{"haproxy CVE-2023-40225",    POST "content-length:\r\n\r\n",                                          "400"},
	{"haproxy CVE-2023-45539",    "GET /a#b HTTP/1.1\r\n" H "\r\n",                                        "400"},
	{"haproxy CVE-2024-53008",    POST "transfer-encoding: ,chunked\r\n\r\n",                              "501"},
	{"haproxy 2026, authority",   "GET / HTTP/1.1\r\nhost: a,b\r\n\r\n",                                   "400"},
	{"Pingora CVE-2026-2833, TE", POST "transfer-encoding: identity, chunked\r\n\r\n",                     "501"},
	{"Pingora CVE-2026-2833, TE",
         POST "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",                              "400"},
	{"CL.TE",		     POST "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
	{"CL.CL",		     POST "content-length: 5\r\ncontent-length: 6\r\n\r\nhello",              "400"},
	{"CL list",                   POST "content-length: 5, 5\r\n\r\nhello",                                "400"},
	{"CL with a sign",            POST "content-length: +5\r\n\r\nhello",                                  "400"},
	{"CL in hexadecimal",         POST "content-length: 0x5\r\n\r\nhello",                                 "400"},
	{"bare LF",                   "GET / HTTP/1.1\n" H "\r\n",                                             "400"},
	{"bare CR",                   "GET / HTTP/1.1\r\n" H "x: a\rb\r\n\r\n",                                "400"},
	{"obs-fold",                  "GET / HTTP/1.1\r\n" H "x: a\r\n b\r\n\r\n",                             "400"},
	{"duplicate Host",            "GET / HTTP/1.1\r\n" H H "\r\n",                                         "400"},
	{"Host against the target",   "GET http://b/ HTTP/1.1\r\n" H "\r\n",                                   "400"},
};

static void inputs_are_refused(void)
{
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct rig *r = rig_new();
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, refused[i].sent);
		rig_client_got(r, c);
		if (strncmp(r->text, "HTTP/1.1 ", 9) != 0
			|| strncmp(r->text + 9, refused[i].status, 3) != 0)
			fail_msg("%s: %.100s", refused[i].cve, r->text);
		if (!rig_client_closed(r, c) || r->n_upstreams != 0)
			fail_msg("%s: passed on, or the connection goes on", refused[i].cve);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

// What the endpoint is sent has the first text and has not the second.
static const struct passed {
	const char *cve;
	const char *sent;
	const char *has;
	const char *has_not;
} passed[] = {
	{"Envoy CVE-2019-9901",  "GET /a/../admin HTTP/1.1\r\n" H "\r\n",                           "GET /admin HTTP/1.1\r\n",
         ".."																    },
	{"Envoy CVE-2021-29492", "GET /a%2Fb/%2e%2e/c HTTP/1.1\r\n" H "\r\n",                       "GET /c HTTP/1.1\r\n",
         "%2e"																   },
	{"Envoy CVE-2023-27487", "GET / HTTP/1.1\r\n" H "x-envoy-original-path: /forged\r\n\r\n",
         "GET / HTTP/1.1\r\n",												 "forged"          },
 // The rig's clients have a private address.
	{"Envoy CVE-2024-45806", "GET / HTTP/1.1\r\n" H "x-envoy-retry-on: 5xx\r\n\r\n",
         "x-envoy-external-address",											   "x-envoy-retry-on"},
	{"hop-by-hop removal",   "GET / HTTP/1.1\r\n" H "connection: x-a, close\r\nx-a: b\r\n\r\n",
         "x-forwarded-for: 10.77",											     "x-a"             },
};

static void inputs_are_passed_on_defused(void)
{
	for (unsigned i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
		struct rig *r = rig_new();
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, passed[i].sent);
		if (r->n_upstreams == 0)
			fail_msg("%s: not passed on", passed[i].cve);
		rig_upstream_got(r, 0);
		if (strstr(r->text, passed[i].has) == NULL
			|| strstr(r->text, passed[i].has_not) != NULL)
			fail_msg("%s: %s", passed[i].cve, r->text);
		rig_upstream_says(r, 0, OK);
		rig_done(&r);
	}
}

// --- HTTP/2 from clients

static void done(struct h2_peer **p, struct rig **r)
{
	rig_assert_quiet(*r);
	peer_free(p);
	rig_done(r);
}

static size_t fields(uint8_t *to, const char *name, const char *value, unsigned n)
{
	size_t len = peer_pseudo(to);

	for (unsigned i = 0; i < n; i++)
		len += peer_literal(to + len, bytes_of_str(name), bytes_of_str(value));
	return len;
}

// CVE-2019-9516: fields without name or value are held for the connection's life.
static void empty_fields_leave_nothing_behind(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	static uint8_t block[4096];
	size_t n;

	rig_start(r);
	p = peer_client(r);
	for (uint32_t id = 1; id < 200; id += 2) {
		n = fields(block, "", "", 20);
		peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
			block, n);
		peer_pump(p);
	}
	assert_int_equal(r->n_upstreams, 0);
	assert_int_equal(r->worker->chunks.n_used, 0);
	done(&p, &r);
}

// CVE-2026-49975: crumbs of a cookie count as the fields that they are.
static void cookie_crumbs_are_counted(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	static uint8_t block[16000];

	rig_start(r);
	p = peer_client(r);
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		fields(block, "cookie", "a", 1000));
	peer_pump(p);
	rig_assert_begins(peer_find(p, 1)->head, ":status: 431\n");
	assert_int_equal(r->stats.h2_header_overflow, 1);
	assert_int_equal(r->n_upstreams, 0);
	done(&p, &r);
}

// CVE-2020-11080: SETTINGS with thousands of entries.
static void huge_settings_end_the_connection(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	static uint8_t entries[2400 * 6];

	for (unsigned i = 0; i < 2400; i++)
		entries[6 * i + 1] = NGHTTP2_SETTINGS_HEADER_TABLE_SIZE;
	rig_start(r);
	p = peer_client(r);
	peer_raw(p, NGHTTP2_SETTINGS, 0, 0, entries, sizeof(entries));
	peer_pump(p);
	assert_int_equal(p->n_goaways, 1);
	assert_true(rig_client_closed(r, 0));
	done(&p, &r);
}

// CVE-2020-12603: DATA of one byte each. They lie in one piece of memory, not in one each.
static void one_byte_data_frames_are_put_together(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	uint8_t block[200];
	size_t n = peer_pseudo(block);

	r->connect = RIG_HANGS;
	rig_start(r);
	p = peer_client(r);
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
	for (unsigned i = 0; i < 1000; i++)
		peer_raw(p, NGHTTP2_DATA, 0, 1, "x", 1);
	peer_pump(p);
	assert_true(r->worker->chunks.n_used_max < 8);
	assert_false(rig_client_closed(r, 0));
	peer_free(&p);
	rig_done(&r);
}

// CVE-2020-12605: the path counts into the size of a head.
static void long_paths_are_431(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	static char path[62000];

	memset(path, '/', sizeof(path) - 1);
	rig_start(r);
	p = peer_client(r);
	peer_request(p, "GET", path, NULL, -1);
	rig_assert_begins(peer_find(p, 1)->head, ":status: 431\n");
	assert_int_equal(r->n_upstreams, 0);
	done(&p, &r);
}

// haproxy CVE-2018-20615: HEADERS with priority that end before it does; frames that are longer than they may be.
static void frames_of_impossible_length_end_the_connection(void)
{
	static const uint8_t long_frame[] = {0x00, 0x40, 0x01, NGHTTP2_DATA, 0, 0, 0, 0, 1};
	struct rig *r;
	struct h2_peer *p;

	for (unsigned len = 0; len < 5; len++) {
		r = rig_new();
		rig_start(r);
		p = peer_client(r);
		peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_PRIORITY, 1,
			"\0\0\0\0", len);
		peer_pump(p);
		assert_int_equal(p->n_goaways, 1);
		assert_true(rig_client_closed(r, 0));
		done(&p, &r);
	}
	r = rig_new();
	rig_start(r);
	p = peer_client(r);
	p->raw = true;
	fake_put(p->io, bytes_of(long_frame, sizeof(long_frame)));
	peer_pump(p);
	assert_int_equal(p->goaway_code, NGHTTP2_FRAME_SIZE_ERROR);
	assert_true(rig_client_closed(r, 0));
	done(&p, &r);
}

// haproxy CVE-2020-11100: a table of size zero, filled and wrapped.
static void entries_of_a_table_without_room_are_dropped(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	static uint8_t block[8000];
	size_t n = 0;

	rig_start(r);
	p = peer_client(r);
	block[n++] = 0x20; // size 0
	n += peer_pseudo(block + n);
	for (unsigned i = 0; i < 50; i++) {
		block[n++] = 0x40; // into the table
		block[n++] = 1;
		block[n++] = 'x';
		block[n++] = 1;
		block[n++] = 'y';
	}
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		n);
	peer_pump(p);
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	rig_assert_begins(peer_find(p, 1)->head, ":status: 200\n");
	n = peer_pseudo(block);
	block[n++] = 0x80 | 62; // its first entry, which is not there
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, block,
		n);
	peer_pump(p);
	assert_int_equal(p->goaway_code, NGHTTP2_COMPRESSION_ERROR);
	done(&p, &r);
}

// haproxy, 2026: content-length is not looked at when the body ends with trailers.
static void content_length_holds_up_to_the_trailers(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	uint8_t block[300];
	size_t n;

	rig_start(r);
	p = peer_client(r);
	n = fields(block, "content-length", "5", 1);
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
	peer_raw(p, NGHTTP2_DATA, 0, 1, "abc", 3);
	n = peer_literal(block, BYTES("x"), BYTES("y"));
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		n);
	peer_pump(p);
	assert_true(peer_find(p, 1)->reset);
	assert_string_equal(rig_upstream_got(r, 0), "");
	done(&p, &r);
}

// --- the endpoint is hostile

// haproxy CVE-2023-0056: an interim response that ends the stream.
static void interim_answer_that_ends_the_stream_is_502(void)
{
	struct rig *r = rig_new();
	struct h2_peer *e;
	uint8_t block[100];
	size_t n = 0;

	r->cluster.protocol = CLUSTER_HTTP_2;
	rig_start(r);
	rig_client_says(r, rig_client(r), GET);
	e = peer_new(r, rig_upstream_stream(r, 0), true, 100, 65535);
	n += peer_literal(block, BYTES(":status"), BYTES("103"));
	peer_raw(e, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		n);
	peer_pump(e);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 502 ");
	done(&e, &r);
}

// Envoy CVE-2021-32780: GOAWAY, then SETTINGS that allow no stream.
static void goaway_and_no_streams_allowed_are_survived(void)
{
	static const uint8_t goaway[8] = {0, 0, 0, 1, 0, 0, 0, 0};
	static const uint8_t none[6] = {0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0, 0, 0, 0};
	struct rig *r = rig_new();
	struct h2_peer *e;

	r->cluster.protocol = CLUSTER_HTTP_2;
	rig_start(r);
	rig_client_says(r, rig_client(r), GET);
	e = peer_new(r, rig_upstream_stream(r, 0), true, 100, 65535);
	peer_respond(e, 1, "200", NULL, -1);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 200 ");
	peer_raw(e, NGHTTP2_GOAWAY, 0, 0, goaway, 8);
	peer_raw(e, NGHTTP2_SETTINGS, 0, 0, none, 6);
	peer_pump(e);
	rig_client_says(r, 0, GET); // on another connection
	assert_int_equal(r->n_upstreams, 2);
	peer_free(&e);
	rig_done(&r);
}

// Envoy CVE-2022-23606: a cluster with many idle connections is removed.
static void cluster_with_many_connections_is_removed(void)
{
	struct rig *r = rig_new();

	rig_start(r);
	for (unsigned i = 0; i < 200; i++)
		rig_client_says(r, rig_client(r), GET);
	for (unsigned i = 0; i < 200; i++)
		rig_upstream_says(r, i, OK);
	assert_int_equal(r->worker->upstreams.n_used, 200);
	r->config.n_clusters = 0;
	r->route.action = ROUTE_DIRECT_RESPONSE;
	r->route.direct_status = 200;
	rig_reload(r);
	rig_pump(r);
	assert_int_equal(r->worker->upstreams.n_used, 0);
	rig_client_says(r, 0, GET);
	rig_done(&r);
}

// An endpoint that says 103 for ever.
static void endless_interim_answers_are_502(void)
{
	struct rig *r = rig_new();

	rig_start(r);
	rig_client_says(r, rig_client(r), GET);
	for (unsigned i = 0; i < 20000 && !rig_upstream_closed(r, 0); i++)
		rig_upstream_says(r, 0, "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 502 ");
	rig_assert_quiet(r);
	rig_done(&r);
}

// --- others

// Envoy CVE-2019-18801: a field that is longer than buffers of the other version.
static void large_fields_go_from_http2_to_http1(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	static char value[50001];
	const char *const field[] = {"x-large", value, NULL};

	memset(value, 'v', sizeof(value) - 1);
	rig_start(r);
	p = peer_client(r);
	peer_request(p, "GET", "/", field, -1);
	rig_assert_has(rig_upstream_got(r, 0), value);
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	done(&p, &r);
}

// haproxy CVE-2021-40346: a name so long that its length runs into the value's.
static void long_names_stay_names(void)
{
	static char head[1200];
	struct rig *r = rig_new();

	rig_start(r);
	for (size_t len = 250; len < 300; len++) {
		char name[320], sent[400];

		memset(name, 'n', len);
		name[len] = '\0';
		snprintf(head, sizeof(head), "GET / HTTP/1.1\r\n" H "%s: content-length\r\n\r\n",
			name);
		snprintf(sent, sizeof(sent), "\r\n%s: content-length\r\n", name);
		rig_client_says(r, rig_client(r), head);
		rig_assert_has(rig_upstream_got(r, r->n_upstreams - 1), sent);
	}
	rig_done(&r);
}

// Envoy CVE-2021-28682: a timeout near the end of numbers.
static void huge_grpc_timeouts_are_no_timeouts(void)
{
	static const char *const timeouts[] = {
		"99999999H", "99999999M", "18446744073709551615n", "-1S"};

	for (unsigned i = 0; i < 4; i++) {
		struct rig *r = rig_new();
		char head[300];

		rig_start(r);
		snprintf(head, sizeof(head),
			POST "content-type: application/grpc\r\ncontent-length: 0\r\n"
			     "grpc-timeout: %s\r\n\r\n",
			timeouts[i]);
		rig_client_says(r, rig_client(r), head);
		rig_pass_ms(r, 1000);
		rig_upstream_says(r, 0, OK);
		rig_assert_has(rig_client_got(r, 0), "\r\n\r\nok");
		rig_done(&r);
	}
}

// Envoy CVE-2021-43824: a route by regular expression and a CONNECT, which has no path.
static void connect_matches_no_path(void)
{
	struct rig *r = rig_new();

	r->route.match.uri = (struct string_match){.kind = STRING_MATCH_REGEX, .text = ".*"};
	rig_start(r);
	rig_client_says(r, rig_client(r), "CONNECT a:80 HTTP/1.1\r\n" H ":80\r\n\r\n");
	rig_client_got(r, 0);
	rig_assert_begins(r->text, "HTTP/1.1 4");
	assert_int_equal(r->n_upstreams, 0);
	rig_done(&r);
}

// Envoy CVE-2024-23322: the route's time is up while the next try waits for its turn.
static void time_is_up_between_tries(void)
{
	struct rig *r = rig_new();

	r->route.timeout_us = 50000;
	r->route.retry = (struct retry_config){.attempts = 5,
		.on = RETRY_5XX,
		.per_try_timeout_us = 40000,
		.backoff_base_us = 1000000};
	rig_start(r);
	rig_client_says(r, rig_client(r), GET);
	rig_pass_ms(r, 2000);
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 504 ");
	rig_assert_quiet(r);
	rig_done(&r);
}

// nginx CVE-2026-42926: what a client of HTTP/1.1 sends as a body gets into frames of its own, whatever it looks like, and what
// follows the body is the next request.
static void bodies_that_look_like_frames_stay_bodies(void)
{
	uint8_t block[200], frames[256];
	size_t n = peer_pseudo(block), len;

	n += peer_literal(block + n, BYTES("x-smuggled"), BYTES("1"));
	len = peer_frame(frames, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, NULL, 0);
	len += peer_frame(frames + len, NGHTTP2_HEADERS, 5, 3, block, n);
	for (unsigned chunked = 0; chunked < 2; chunked++) {
		struct rig *r = rig_new();
		struct h2_peer *e;
		char head[256];
		unsigned c;

		r->cluster.protocol = CLUSTER_HTTP_2;
		rig_start(r);
		c = rig_client(r);
		fake_set_piece(fake_pair_end(r->clients[c], 0), 5);
		if (chunked)
			snprintf(head, sizeof(head),
				POST "transfer-encoding: chunked\r\n\r\n%zx\r\n", len);
		else
			snprintf(head, sizeof(head), POST "content-length: %zu\r\n\r\n", len);
		rig_client_says(r, c, head);
		fake_put(rig_client_stream(r, c), bytes_of(frames, len));
		rig_client_says(r, c, chunked ? "\r\n0\r\n\r\n" : "");
		rig_client_says(r, c, "GET /next HTTP/1.1\r\n" H "\r\n");
		e = peer_new(r, rig_upstream_stream(r, 0), true, 100, 65535);
		assert_int_equal(e->n_streams, 1);
		assert_int_equal(e->streams[0].body_len, len);
		assert_memory_equal(e->streams[0].body, frames, len);
		assert_true(e->streams[0].ended);
		peer_respond(e, 1, "200", NULL, 2);
		assert_int_equal(e->n_streams, 2);
		rig_assert_has(peer_find(e, 3)->head, ":path: /next\n");
		rig_assert_not(peer_find(e, 3)->head, "x-smuggled");
		peer_respond(e, 3, "200", NULL, 2);
		assert_int_equal(e->n_goaways, 0);
		assert_int_equal(r->n_upstreams, 1);
		rig_assert_quiet(r);
		peer_free(&e);
		rig_done(&r);
	}
}

// nginx CVE-2026-1642: bytes that were on a connection before the request are not its answer.
static void what_an_endpoint_says_unasked_answers_nobody(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_upstream_got(r, 0);
	rig_upstream_says(r, 0, OK "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ninjected");
	rig_assert_not(rig_client_got(r, c), "injected");
	assert_true(rig_upstream_closed(r, 0));
	rig_client_says(r, c, GET);
	assert_int_equal(r->n_upstreams, 2);
	rig_upstream_says(r, 1, OK);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
	// While nobody asks.
	rig_upstream_says(r, 1, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ninjected");
	assert_true(rig_upstream_closed(r, 1));
	rig_client_says(r, c, GET);
	assert_int_equal(r->n_upstreams, 3);
	rig_upstream_says(r, 2, OK);
	rig_assert_not(rig_client_got(r, c), "injected");
	rig_assert_quiet(r);
	rig_done(&r);
}

// --- the list

// 'where': file and name of a test, or why there is none.
static const struct cve {
	const char *id;
	const char *where;
} cves[] = {
#define CVE(id, where) {id, where},
#include "tests/unit/cves.def"
};

// The table does not claim tests that are not there.
static void every_row_names_a_test_or_a_reason(void)
{
	static char text[1 << 20];

	for (unsigned i = 0; i < sizeof(cves) / sizeof(cves[0]); i++) {
		const char *where = cves[i].where;
		const char *colon = strchr(where, ':');
		char path[200];
		FILE *f;
		size_t n;

		if (strncmp(where, "not here: ", 10) == 0)
			continue;
		if (colon == NULL)
			fail_msg("%s: %s", cves[i].id, where);
		snprintf(path, sizeof(path), "tests/%.*s", (int)(colon - where), where);
		f = fopen(path, "r");
		if (f == NULL)
			fail_msg("%s: no file %s", cves[i].id, path);
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
		text[n] = '\0';
		if (strstr(text, colon + 1) == NULL)
			fail_msg("%s: no test %s", cves[i].id, where);
	}
}

TESTS(TEST(inputs_are_refused), TEST(inputs_are_passed_on_defused),
	TEST(empty_fields_leave_nothing_behind), TEST(cookie_crumbs_are_counted),
	TEST(huge_settings_end_the_connection), TEST(one_byte_data_frames_are_put_together),
	TEST(long_paths_are_431), TEST(frames_of_impossible_length_end_the_connection),
	TEST(entries_of_a_table_without_room_are_dropped),
	TEST(content_length_holds_up_to_the_trailers),
	TEST(interim_answer_that_ends_the_stream_is_502),
	TEST(goaway_and_no_streams_allowed_are_survived),
	TEST(cluster_with_many_connections_is_removed), TEST(endless_interim_answers_are_502),
	TEST(large_fields_go_from_http2_to_http1), TEST(long_names_stay_names),
	TEST(huge_grpc_timeouts_are_no_timeouts), TEST(connect_matches_no_path),
	TEST(time_is_up_between_tries), TEST(every_row_names_a_test_or_a_reason),
	TEST(bodies_that_look_like_frames_stay_bodies),
	TEST(what_an_endpoint_says_unasked_answers_nobody))
