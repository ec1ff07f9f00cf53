// HTTP/2 from clients: what goes through to an HTTP/1.1 endpoint, and what of RFC 9113 is refused how.

#include "tests/h2_peer.h"

#define OK "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

static struct rig *new_rig(void)
{
	struct rig *r = rig_new();

	rig_start(r);
	return r;
}

static void done(struct h2_peer **p, struct rig **r)
{
	peer_free(p);
	rig_done(r);
}

static void get_goes_through(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	const char *fields[] = {
		"cookie", "a=1", "cookie", "b=2", "te", "trailers", "x-y", "z", NULL};
	int32_t id = peer_request(p, "GET", "/a?b=c", fields, -1);
	struct peer_stream *s = peer_find(p, id);

	rig_upstream_got(r, 0);
	rig_assert_begins(r->text, "GET /a?b=c HTTP/1.1\r\nhost: shop.example\r\n");
	rig_assert_has(r->text, "\r\ncookie: a=1; b=2\r\n");
	rig_assert_has(r->text, "\r\nx-y: z\r\n");
	rig_assert_not(r->text, "transfer-encoding");
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	rig_assert_begins(s->head, ":status: 200\n");
	rig_assert_has(s->head, "\nserver: istio-envoy\n");
	assert_string_equal(s->body, "ok");
	assert_true(s->ended && !s->reset);
	rig_assert_log(r, "200 - via_upstream 0 2");
	assert_int_equal(rig_hcm(r)->downstream_rq_http2_total, 1);
	assert_int_equal(rig_hcm(r)->downstream_cx_http2_total, 1);
	assert_int_equal(r->stats.h2_streams_active, 0);
	rig_assert_quiet(r);
	done(&p, &r);
}

static void bodies_and_trailers_go_both_ways(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	int32_t id;

	p->upload = "hello";
	p->upload_trailers = true;
	id = peer_request(p, "POST", "/", NULL, 5);
	rig_upstream_got(r, 0);
	rig_assert_has(r->text, "transfer-encoding: chunked\r\n");
	rig_assert_has(r->text, "hello\r\n0\r\ngrpc-status: 0\r\n\r\n");
	rig_upstream_says(r, 0,
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nsum: 7\r\n\r\n");
	peer_pump(p);
	assert_string_equal(peer_find(p, id)->body, "abc");
	assert_string_equal(peer_find(p, id)->trailers, "sum: 7\n");
	assert_true(peer_find(p, id)->ended);
	rig_assert_log(r, "200 - via_upstream 5 3");
	rig_assert_quiet(r);
	done(&p, &r);
}

static void head_and_continue_are_understood(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	uint8_t block[200];
	size_t n = peer_pseudo(block);
	int32_t id = peer_request(p, "HEAD", "/", NULL, -1);

	rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n");
	peer_pump(p);
	rig_assert_has(peer_find(p, id)->head, "content-length: 400\n");
	assert_true(peer_find(p, id)->ended);
	block[0] = 0x83; // POST
	n += peer_literal(block + n, BYTES("expect"), BYTES("100-continue"));
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, block, n);
	peer_pump(p);
	rig_upstream_says(r, 0, "HTTP/1.1 100 Continue\r\n\r\n");
	peer_pump(p);
	rig_assert_begins(peer_find(p, 3)->head, ":status: 100\n");
	peer_raw(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 3, "x", 1);
	peer_pump(p);
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	assert_true(peer_find(p, 3)->ended);
	rig_assert_quiet(r);
	done(&p, &r);
}

static void unfinished_request_is_reset_after_its_answer(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	uint8_t head[200];
	size_t n = peer_pseudo(head);

	head[0] = 0x83; // POST
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, head, n);
	peer_pump(p);
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	assert_string_equal(peer_find(p, 1)->body, "ok");
	assert_true(peer_find(p, 1)->ended);
	assert_true(peer_find(p, 1)->reset);
	assert_int_equal(peer_find(p, 1)->error_code, NGHTTP2_NO_ERROR);
	rig_assert_log(r, "200 - via_upstream 0 2");
	rig_assert_quiet(r);
	done(&p, &r);
}

static void client_reset_ends_the_attempt(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	int32_t id = peer_request(p, "GET", "/", NULL, -1);

	nghttp2_submit_rst_stream(p->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	peer_pump(p);
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_log(r, "0 DR http2.remote_reset 0 0");
	assert_false(rig_client_closed(r, 0));
	rig_assert_quiet(r);
	done(&p, &r);
}

static void lost_endpoint_resets_a_begun_answer(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	int32_t id = peer_request(p, "GET", "/", NULL, -1);

	rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
	stream_abort(&(struct stream *){rig_upstream_stream(r, 0)});
	peer_pump(p);
	assert_true(peer_find(p, id)->reset);
	assert_int_equal(peer_find(p, id)->error_code, NGHTTP2_INTERNAL_ERROR);
	assert_false(rig_client_closed(r, 0));
	rig_assert_quiet(r);
	done(&p, &r);
}

// What endpoints do to their answers is no fault of the client that asks for them.
static void clients_of_broken_endpoints_are_not_calmed_down(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;

	r->config.http.http2.max_early_resets = 5;
	rig_start(r);
	p = peer_client(r);
	for (unsigned i = 0; i < 20; i++) {
		int32_t id = peer_request(p, "GET", "/", NULL, -1);

		rig_upstream_says(r, i, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
		stream_abort(&(struct stream *){rig_upstream_stream(r, i)});
		peer_pump(p);
		assert_true(peer_find(p, id)->reset);
	}
	assert_int_equal(r->stats.h2_flood_early_resets, 0);
	rig_assert_quiet(r);
	done(&p, &r);
}

// Nor is it that our memory is short.
static void refusals_for_want_of_memory_calm_nobody_down(void)
{
	static const size_t pools[] = {
		offsetof(struct router_worker, h2_streams),
		offsetof(struct router_worker, trailers),
		offsetof(struct router_worker, exchanges),
		offsetof(struct router_worker, chunks),
	};

	for (unsigned i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
		struct rig *r = rig_new();
		struct h2_peer *p;
		struct pool *pool;
		void *taken[4096];
		unsigned n = 0;

		r->config.http.http2.max_early_resets = 5;
		r->capacity.large_heads = 0;
		rig_start(r);
		p = peer_client(r);
		pool = (struct pool *)(void *)((char *)r->worker + pools[i]);
		while (n < 4096 && (taken[n] = pool_get(pool)) != NULL)
			n++;
		assert_int_equal(pool->n_used, pool->cap);
		for (unsigned k = 0; k < 20; k++) {
			int32_t id = peer_request(p, "GET", "/", NULL, -1);

			assert_true(peer_find(p, id)->reset);
			assert_int_equal(peer_find(p, id)->error_code, NGHTTP2_REFUSED_STREAM);
		}
		assert_int_equal(r->stats.h2_flood_early_resets, 0);
		while (n > 0)
			pool_put(pool, taken[--n]);
		peer_request(p, "GET", "/", NULL, -1);
		rig_upstream_says(r, 0, "HTTP/1.1 204 x\r\n\r\n");
		peer_pump(p);
		rig_assert_has(peer_find(p, 41)->head, ":status: 204\n");
		rig_assert_quiet(r);
		done(&p, &r);
	}
}

static void a_refused_stream_is_logged_as_what_it_was(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	void *taken;

	r->capacity.exchanges = 1;
	r->config.access_log.format = "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS%\n";
	rig_start(r);
	p = peer_client(r);
	taken = pool_get(&r->worker->exchanges);
	peer_request(p, "GET", "/", NULL, -1);
	pool_put(&r->worker->exchanges, taken);
	assert_int_equal(peer_find(p, 1)->error_code, NGHTTP2_REFUSED_STREAM);
	rig_assert_log(r, "HTTP/2 503 OM");
	assert_int_equal(rig_hcm(r)->downstream_rq_total, 1);
	assert_int_equal(rig_hcm(r)->downstream_rq_http2_total, 1);
	rig_assert_quiet(r);
	done(&p, &r);
}

static void head_is_seen_though_the_endpoint_leaves_with_it(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	int32_t id = peer_request(p, "GET", "/", NULL, -1);

	rig_put(rig_upstream_stream(r, 0), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
	stream_close(&(struct stream *){rig_upstream_stream(r, 0)});
	peer_pump(p);
	rig_assert_begins(peer_find(p, id)->head, ":status: 200\n");
	assert_true(peer_find(p, id)->reset);
	rig_assert_quiet(r);
	done(&p, &r);
}

static void stalled_stream_stalls_no_sibling(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);

	// The endpoint of the first request takes nothing.
	r->upstream_room = 4096;
	peer_request(p, "POST", "/slow", NULL, 1 << 20);
	assert_true(p->window_updates[0] >= 400000); // the connection's, at the start
	r->upstream_room = 0;
	peer_request(p, "GET", "/fast", NULL, -1);
	rig_upstream_says(r, 1, OK);
	peer_pump(p);
	assert_string_equal(peer_find(p, 3)->body, "ok");
	// What waits here is bounded by the window of one stream.
	assert_true(p->upload_left >= (1 << 20) - 65536 - 8192);
	assert_true(r->worker->chunks.n_used <= 65536 / 4080 + 4);
	rig_upstream_got(r, 0);
	done(&p, &r);
}

static void window_opens_for_delivered_bytes_only(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	uint64_t before;

	r->upstream_room = 4096;
	peer_request(p, "POST", "/", NULL, 1 << 20);
	before = p->window_updates[1];
	assert_true(before <= 8192);
	for (unsigned i = 0; i < 200; i++) {
		rig_upstream_got(r, 0);
		peer_pump(p);
	}
	assert_true(p->window_updates[1] > before + 100000);
	done(&p, &r);
}

static void data_of_many_streams_takes_turns(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	static char big[120000];
	unsigned changes = 0;

	memset(big, 'x', sizeof(big) - 1);
	p->reading = true;
	for (unsigned i = 0; i < 2; i++)
		peer_request(p, "GET", "/", NULL, -1);
	fake_set_room(fake_pair_end(r->clients[0], 0), 1);
	for (unsigned i = 0; i < 2; i++) {
		char head[100];

		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n\r\n");
		fake_put(rig_upstream_stream(r, i), bytes_of_str(head));
		fake_put(rig_upstream_stream(r, i), bytes_of(big, 30000));
	}
	rig_pump(r);
	fake_set_room(fake_pair_end(r->clients[0], 0), 1 << 20);
	peer_pump(p);
	assert_int_equal(p->body_bytes, 60000);
	for (unsigned i = 1; i < p->n_data; i++)
		changes += p->data_order[i] != p->data_order[i - 1];
	assert_true(changes >= 2);
	done(&p, &r);
}

// One request each on a connection of its own: fields made by hand, and what comes of them.
enum verdict {
	RESET,    // RST_STREAM PROTOCOL_ERROR
	REFUSED,  // 400
	TOO_MUCH, // 431
	PASSES,
};

static const struct message {
	const char *what;
	const char *fields[24]; // name, value; in place of the usual ones if the first is ":..."
	enum verdict verdict;
} messages[] = {
	{"usual",		       {NULL},								   PASSES },
	{"upper case",                  {"X-Y", "z"},							     RESET  },
	{"empty name",                  {"", "z"},								RESET  },
	{"space in a name",             {"x y", "z"},							     RESET  },
	{"colon in a name",             {"x:y", "z"},							     RESET  },
	{"connection",                  {"connection", "close"},						  RESET  },
	{"keep-alive",                  {"keep-alive", "1"},						      RESET  },
	{"proxy-connection",            {"proxy-connection", "close"},                                            RESET  },
	{"transfer-encoding",           {"transfer-encoding", "chunked"},                                         RESET  },
	{"upgrade",		     {"upgrade", "websocket"},						 RESET  },
	{"te other than trailers",      {"te", "gzip"},							   RESET  },
	{"CR in a value",               {"x", "a\rb"},							    RESET  },
	{"LF in a value",               {"x", "a\nb"},							    RESET  },
	{"leading space",               {"x", " a"},							      RESET  },
	{"trailing tab",                {"x", "a\t"},							     RESET  },
	{"DEL in a value",              {"x", "a\x7f"},							   RESET  },
	{"pseudo field after others",   {"x", "y", ":path", "/"},                                                 RESET  },
	{"unknown pseudo field",        {":x", "y"},							      RESET  },
	{"two content-lengths",         {"content-length", "0", "content-length", "0"},                           RESET  },
	{"content-length without body", {"content-length", "3"},                                                  RESET  },
	{"signed content-length",       {"content-length", "+0"},                                                 RESET  },
	{"host that agrees",            {"host", "shop.example"},                                                 PASSES },
	{"host that differs",           {"host", "other.example"},                                                REFUSED},
	{"http2-settings",              {"http2-settings", "AAMAAABk"},                                           REFUSED},
	{"no path",		     {":method", "GET", ":scheme", "http", ":authority", "a"},                 RESET  },
	{"empty path",                  {":method", "GET", ":scheme", "http", ":authority", "a", ":path", ""},
         RESET													   },
	{"two paths",                   {":method", "GET", ":scheme", "http", ":path", "/", ":path", "/"},        RESET  },
	{"no method",                   {":scheme", "http", ":authority", "a", ":path", "/"},                     RESET  },
	{"no scheme",                   {":method", "GET", ":authority", "a", ":path", "/"},                      RESET  },
	{"status in a request",         {":status", "200"},						       RESET  },
	{"space in the path",
         {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/ b"},                                RESET  },
	{"fragment",                    {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/#b"},
         REFUSED													 },
	{"request line in the path",
         {":method", "GET", ":scheme", "http", ":authority", "a", ":path",
			"/ HTTP/1.1\r\nx: y"},
         RESET													   },
	{"request line in the method",
         {":method", "GET / HTTP/1.1", ":scheme", "http", ":authority", "a", ":path", "/"},
         RESET													   },
	{"user in the authority",
         {":method", "GET", ":scheme", "http", ":authority", "u@a", ":path", "/"},                                REFUSED},
	{"comma in the authority",
         {":method", "GET", ":scheme", "http", ":authority", "a,b", ":path", "/"},                                REFUSED},
	{"space in the authority",
         {":method", "GET", ":scheme", "http", ":authority", "a b", ":path", "/"},                                RESET  },
	{"odd scheme",                  {":method", "GET", ":scheme", "ftp", ":authority", "a", ":path", "/"},
         REFUSED													 },
	{"no authority",                {":method", "GET", ":scheme", "http", ":path", "/"},                      RESET  },
};

static void test_message(const struct message *m)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	uint8_t block[1024];
	bool whole = m->fields[0] != NULL && m->fields[0][0] == ':' && m->fields[2] != NULL;
	size_t n = whole ? 0 : peer_pseudo(block);
	struct peer_stream *s = peer_find(p, 1);

	for (unsigned i = 0; i < 24 && m->fields[i] != NULL; i += 2)
		n += peer_literal(
			block + n, bytes_of_str(m->fields[i]), bytes_of_str(m->fields[i + 1]));
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		n);
	peer_pump(p);
	if (m->verdict == PASSES) {
		assert_int_equal(r->n_upstreams, 1);
	} else if (r->n_upstreams != 0) {
		fail_msg("%s: forwarded", m->what);
	} else if (m->verdict == RESET) {
		if (!s->reset || s->error_code != NGHTTP2_PROTOCOL_ERROR)
			fail_msg("%s: no reset; %s", m->what, s->head);
		assert_int_equal(r->stats.h2_messaging_errors, 1);
	} else {
		if (strncmp(s->head, ":status: 400\n", 13) != 0)
			fail_msg("%s: \"%s\" reset %d", m->what, s->head, s->reset);
	}
	// The connection goes on.
	n = peer_pseudo(block);
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, block,
		n);
	peer_pump(p);
	rig_upstream_says(r, m->verdict == PASSES ? 1 : 0, OK);
	peer_pump(p);
	if (!peer_find(p, 3)->ended)
		fail_msg("%s: the connection does not go on", m->what);
	done(&p, &r);
}

static void malformed_requests_are_refused_alone(void)
{
	for (unsigned i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		test_message(&messages[i]);
}

static void bodies_that_differ_from_content_length_are_reset(void)
{
	for (unsigned longer = 0; longer < 2; longer++) {
		struct rig *r = new_rig();
		struct h2_peer *p = peer_client(r);
		uint8_t block[200];
		size_t n = peer_pseudo(block);

		block[0] = 0x83;
		n += peer_literal(block + n, BYTES("content-length"), BYTES("4"));
		peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
		peer_pump(p);
		peer_raw(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "abcdef", longer ? 6 : 3);
		peer_pump(p);
		assert_true(peer_find(p, 1)->reset);
		assert_int_equal(peer_find(p, 1)->error_code, NGHTTP2_PROTOCOL_ERROR);
		rig_assert_log(r,
			longer ? "0 DPE http2.violation.of.messaging.rule{reset} 0 0"
			       : "0 DPE http2.violation.of.messaging.rule{reset} 3 0");
		assert_true(rig_upstream_closed(r, 0));
		rig_assert_quiet(r);
		done(&p, &r);
	}
}

static void trailers_that_concern_framing_are_reset(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	uint8_t block[200];
	size_t n = peer_pseudo(block);

	block[0] = 0x83;
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
	peer_pump(p);
	n = peer_literal(block, BYTES("host"), BYTES("other.example"));
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		n);
	peer_pump(p);
	assert_true(peer_find(p, 1)->reset);
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_quiet(r);
	done(&p, &r);
}

// REFUSED_STREAM would ask the client to send the request again, which an endpoint may be working on.
static void no_memory_for_trailers_is_no_refusal_of_the_request(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	void *taken[8];
	unsigned n_taken = 0;
	uint8_t block[200];
	size_t n = peer_pseudo(block);

	block[0] = 0x83;
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
	peer_pump(p);
	assert_int_equal(r->n_upstreams, 1);
	while (n_taken < 8 && (taken[n_taken] = pool_get(&r->worker->trailers)) != NULL)
		n_taken++;
	n = peer_literal(block, BYTES("x-trailer"), BYTES("a"));
	peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		n);
	peer_pump(p);
	while (n_taken > 0)
		pool_put(&r->worker->trailers, taken[--n_taken]);
	assert_true(peer_find(p, 1)->reset);
	assert_int_equal(peer_find(p, 1)->error_code, NGHTTP2_INTERNAL_ERROR);
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_quiet(r);
	done(&p, &r);
}

static void large_heads_go_through_and_larger_ones_are_431(void)
{
	static char value[62000];
	const char *fields[] = {"x", value, NULL};
	const char *many[2 * 101 + 1] = {NULL};
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	int32_t id;

	memset(value, 'v', 50000);
	id = peer_request(p, "GET", "/", fields, -1);
	rig_assert_has(rig_upstream_got(r, 0), "\r\nx: vvvvvvvvvvvvv");
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	assert_true(peer_find(p, id)->ended);
	memset(value, 'v', sizeof(value) - 1);
	id = peer_request(p, "GET", "/", fields, -1);
	rig_assert_begins(peer_find(p, id)->head, ":status: 431\n");
	for (unsigned i = 0; i < 101; i++) {
		many[2 * i] = "x";
		many[2 * i + 1] = "y";
	}
	id = peer_request(p, "GET", "/", many, -1);
	rig_assert_begins(peer_find(p, id)->head, ":status: 431\n");
	assert_int_equal(r->stats.h2_header_overflow, 2);
	assert_int_equal(r->n_upstreams, 1);
	rig_assert_log(r, "200 - via_upstream 0 2");
	rig_assert_log(r, "431 DPE http2.header_list_size_exceeded{head_too_large} 0 31");
	rig_assert_log(r, "431 DPE http2.too_many_headers{too_many_fields} 0 31");
	rig_assert_quiet(r);
	done(&p, &r);
}

static void drain_says_goaway_twice_and_loses_no_request(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);

	peer_request(p, "GET", "/", NULL, -1);
	router_worker_drain(r->worker, 6000000, r->now_us);
	for (unsigned i = 0; i < 6000 && p->n_goaways == 0; i++) {
		rig_pass_ms(r, 1);
		peer_pump(p);
	}
	peer_pump(p);
	assert_int_equal(p->n_goaways, 1);
	assert_int_equal(p->goaway_last, INT32_MAX);
	// One that was on the way.
	{
		uint8_t block[200];
		size_t n = peer_pseudo(block);

		peer_raw(p, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3,
			block, n);
	}
	rig_pass_ms(r, 4990);
	peer_pump(p);
	assert_int_equal(p->n_goaways, 1);
	rig_pass_ms(r, 20);
	peer_pump(p);
	assert_int_equal(p->n_goaways, 2);
	assert_int_equal(p->goaway_last, 3);
	assert_false(rig_client_closed(r, 0));
	rig_upstream_says(r, 0, OK);
	rig_upstream_says(r, 1, OK);
	peer_pump(p);
	assert_true(peer_find(p, 1)->ended && peer_find(p, 3)->ended);
	assert_true(rig_client_closed(r, 0));
	assert_int_equal(rig_hcm(r)->downstream_cx_drain_close, 1);
	done(&p, &r);
}

// As for HTTP/1.1: an endpoint that reads them as octal must not see another length than we do.
static void leading_zeros_of_a_length_go_no_further(void)
{
	struct rig *r = new_rig();
	struct h2_peer *p = peer_client(r);
	const char *fields[] = {"content-length", "010", NULL};

	p->upload = "0123456789";
	peer_request(p, "POST", "/", fields, 10);
	peer_pump(p);
	rig_assert_has(rig_upstream_got(r, 0), "\r\ncontent-length: 10\r\n");
	rig_upstream_says(r, 0, OK);
	peer_pump(p);
	rig_assert_quiet(r);
	done(&p, &r);
}

// A stream that was refused and of which more comes before the client can know.
static void trailers_of_a_refused_stream_are_nothing(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	void *taken;

	r->capacity.exchanges = 1;
	rig_start(r);
	p = peer_client(r);
	p->upload_trailers = true;
	taken = pool_get(&r->worker->exchanges);
	peer_request(p, "POST", "/", NULL, 3);
	pool_put(&r->worker->exchanges, taken);
	assert_int_equal(peer_find(p, 1)->error_code, NGHTTP2_REFUSED_STREAM);
	rig_assert_log(r, "503 OM overload 0 0");
	rig_assert_no_log(r);
	assert_int_equal(r->stats.exchange_pool_empty, 1);
	rig_assert_quiet(r);
	done(&p, &r);
}

TESTS(TEST(get_goes_through), TEST(bodies_and_trailers_go_both_ways),
	TEST(head_and_continue_are_understood), TEST(unfinished_request_is_reset_after_its_answer),
	TEST(client_reset_ends_the_attempt), TEST(lost_endpoint_resets_a_begun_answer),
	TEST(clients_of_broken_endpoints_are_not_calmed_down),
	TEST(refusals_for_want_of_memory_calm_nobody_down),
	TEST(a_refused_stream_is_logged_as_what_it_was),
	TEST(head_is_seen_though_the_endpoint_leaves_with_it),
	TEST(stalled_stream_stalls_no_sibling), TEST(window_opens_for_delivered_bytes_only),
	TEST(data_of_many_streams_takes_turns), TEST(malformed_requests_are_refused_alone),
	TEST(bodies_that_differ_from_content_length_are_reset),
	TEST(trailers_that_concern_framing_are_reset),
	TEST(no_memory_for_trailers_is_no_refusal_of_the_request),
	TEST(large_heads_go_through_and_larger_ones_are_431),
	TEST(drain_says_goaway_twice_and_loses_no_request),
	TEST(leading_zeros_of_a_length_go_no_further),
	TEST(trailers_of_a_refused_stream_are_nothing))
