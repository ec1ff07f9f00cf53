// The exchange with HTTP/1.1 on both sides: requests that go through, how they are framed, and answers of our own.

#include "tests/router_rig.h"

#define GET "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

static void get_goes_through_and_both_connections_stay(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\n\r\n");
	assert_int_equal(r->n_upstreams, 1);
	rig_upstream_got(r, 0);
	rig_assert_begins(r->text, "GET /a?b=c HTTP/1.1\r\nhost: shop.example\r\n");
	rig_assert_has(r->text, "\r\nx-forwarded-for: 10.77.1.1\r\n");
	rig_assert_has(r->text, "\r\nx-forwarded-proto: http\r\n");
	rig_assert_has(r->text, "\r\nx-envoy-attempt-count: 1\r\n");
	rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello");
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n");
	rig_assert_has(r->text, "\r\nserver: istio-envoy\r\n");
	rig_assert_has(r->text, "\r\ndate: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
	rig_assert_has(r->text, "\r\n\r\nhello");
	rig_assert_log(r, "200 - via_upstream 0 5");
	rig_assert_quiet(r);
	rig_client_says(r, c, "GET /again HTTP/1.1\r\nHost: shop.example\r\n\r\n");
	assert_int_equal(r->n_upstreams, 1);
	rig_upstream_says(r, 0, "HTTP/1.1 204 No Content\r\n\r\n");
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 204 No Content\r\n");
	rig_assert_log(r, "204 - via_upstream 0 0");
	rig_done(&r);
}

// A request body and a response body in each framing, with trailers where there can be some.
static const struct framing {
	const char *request;
	const char *upstream_sees;
	const char *response;
	bool upstream_ends; // after its response
	const char *client_sees;
	const char *log;
} framings[] = {
	{"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",                            "\r\n\r\nabc",
         "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwxyz",																		  false, "\r\n\r\nwxyz",
         "200 - via_upstream 3 4"																													      },
	{"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
         "\r\n0\r\n\r\n",												  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nwxyz\r\n0\r\n\r\n",
         false,																								      "transfer-encoding: chunked\r\n", "200 - via_upstream 3 4"},
	{"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nsum: "
	 "1\r\n\r\n",								    "0\r\nsum: 1\r\n\r\n",
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\nSum: "
		"2\r\n\r\n",																						  false, "\r\n0\r\nsum: 2\r\n\r\n",        "200 - via_upstream 3 4"},
	{"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",                               "content-length: 0\r\n",
         "HTTP/1.1 200 OK\r\n\r\nwxyz",																				       true,  "\r\n0\r\n\r\n",                  "200 - via_upstream 0 4"},
	{"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",						    "HEAD / HTTP/1.1\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n",																		    false, "content-length: 400\r\n",
         "200 - via_upstream 0 0"																													      },
	{"GET / HTTP/1.1\r\nhost: a\r\n\r\n",						     "GET / HTTP/1.1\r\n",
         "HTTP/1.1 304 Not Modified\r\ncontent-length: 400\r\netag: \"x\"\r\n\r\n",															   false,
         "etag: \"x\"\r\n",																											    "304 - via_upstream 0 0"},
	{"GET / HTTP/1.1\r\nhost: a\r\n\r\n",						     "GET / HTTP/1.1\r\n",
         "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: "
		"0\r\n\r\n",																						  false, "HTTP/1.1 200 OK\r\n",            "200 - via_upstream 0 0"},
};

// Everything again with portions of 'piece' bytes in every direction.
static void run_framing(const struct framing *f, size_t piece)
{
	struct rig *r = rig_new();
	unsigned c;
	rig_start(r);
	c = rig_client(r);
	fake_set_piece(fake_pair_end(r->clients[c], 0), piece);
	for (unsigned round = 0; round < 2; round++) {
		unsigned u;

		rig_client_says(r, c, f->request);
		u = r->n_upstreams - 1;
		fake_set_piece(fake_pair_end(r->upstreams[u], 0), piece);
		rig_assert_has(rig_upstream_got(r, u), f->upstream_sees);
		rig_upstream_says(r, u, f->response);
		if (f->upstream_ends) {
			stream_shutdown(rig_upstream_stream(r, u));
			rig_pump(r);
		}
		rig_client_got(r, c);
		rig_assert_begins(r->text, "HTTP/1.1 ");
		rig_assert_has(r->text, f->client_sees);
		rig_assert_not(r->text, "103");
		rig_assert_log(r, f->log);
		assert_false(rig_client_closed(r, c));
		assert_int_equal(rig_upstream_closed(r, u), f->upstream_ends);
	}
	rig_assert_quiet(r);
	rig_done(&r);
}

static void every_framing_passes_whole_and_byte_by_byte(void)
{
	static const size_t pieces[] = {0, 1, 2, 3, 7};

	for (unsigned i = 0; i < sizeof(framings) / sizeof(framings[0]); i++) {
		for (unsigned k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++)
			run_framing(&framings[i], pieces[k]);
	}
}

static void pipelined_requests_are_answered_in_order(void)
{
	struct rig *r = rig_new();
	unsigned c;
	const char *two;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c,
		"GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n"
		"GET /3 HTTP/1.1\r\nhost: a\r\n\r\n");
	for (unsigned i = 1; i <= 3; i++) {
		char line[32], answer[64];

		snprintf(line, sizeof(line), "GET /%u HTTP/1.1\r\n", i);
		snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%u",
			i);
		assert_int_equal(r->n_upstreams, 1);
		rig_assert_begins(rig_upstream_got(r, 0), line);
		rig_upstream_says(r, 0, answer);
	}
	rig_client_got(r, c);
	two = strstr(r->text, "\r\n\r\n2");
	assert_non_null(two);
	assert_true(strstr(r->text, "\r\n\r\n1") < two);
	assert_true(strstr(r->text, "\r\n\r\n3") > two);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_thousand_pipelined_local_answers_are_no_recursion(void)
{
	struct rig *r = rig_new();
	static char text[64 * 1024];
	size_t len = 0;
	unsigned c, n = 0;

	r->route.action = ROUTE_DIRECT_RESPONSE;
	r->route.direct_status = 200;
	rig_start(r);
	c = rig_client(r);
	while (len + 40 < sizeof(text)) {
		len += (size_t)sprintf(text + len, "GET /%u HTTP/1.1\r\nhost: a\r\n\r\n", n++);
	}
	fake_put(rig_client_stream(r, c), bytes_of(text, len));
	rig_pump(r);
	while (rig_client_got(r, c)[0] != '\0')
		;
	assert_int_equal(rig_hcm(r)->downstream_rq_completed, n);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void half_closing_client_still_gets_its_answer(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_put(rig_client_stream(r, c), GET);
	stream_shutdown(rig_client_stream(r, c));
	rig_pump(r);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
	rig_assert_log(r, "200 - via_upstream 0 2");
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_CLOSED);
	rig_done(&r);
}

static void connection_close_is_honoured_and_what_follows_ignored(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c,
		"GET /1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
		"GET /2 HTTP/1.1\r\nhost: a\r\n\r\n");
	rig_assert_not(rig_upstream_got(r, 0), "connection:");
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c), "\r\nconnection: close\r\n");
	assert_true(rig_client_closed(r, c));
	assert_false(rig_upstream_closed(r, 0));
	assert_string_equal(rig_upstream_got(r, 0), "");
	rig_done(&r);
}

// One connection's small chunks are not read in one turn, whoever sends them; and all of them arrive.
static void small_chunks_share_the_worker(void)
{
	struct rig *r = rig_new();
	unsigned c, turns = 0;
	size_t left, n = 1000;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
	rig_upstream_got(r, 0);
	for (size_t i = 0; i < n; i++)
		rig_put(rig_client_stream(r, c), "1\r\nx\r\n");
	rig_put(rig_client_stream(r, c), "0\r\n\r\n");
	fake_pair_step(r->clients[c], r->now_us);
	left = stream_readable(fake_pair_end(r->clients[c], 0));
	assert_in_range(left, 6 * (n - 70), 6 * (n - 1));
	while (stream_readable(fake_pair_end(r->clients[c], 0)) > 0 && turns++ < n)
		fake_pair_step(r->clients[c], r->now_us);
	assert_in_range(turns, n / 64 - 1, n / 32);
	rig_pump(r);
	assert_int_equal(strlen(rig_upstream_got(r, 0)), 6 * n + 5);

	for (size_t i = 0; i < n; i++)
		rig_put(rig_upstream_stream(r, 0),
			i > 0 ? "1\r\ny\r\n"
			      : "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\ny\r\n");
	rig_upstream_says(r, 0, "0\r\n\r\n");
	rig_assert_has(rig_client_got(r, c), "1\r\ny\r\n0\r\n\r\n");
	rig_assert_log(r, "200 - via_upstream 1000 1000");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void expect_is_forwarded_and_100_relayed(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c,
		"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
	rig_assert_has(rig_upstream_got(r, 0), "\r\nexpect: 100-continue\r\n");
	rig_upstream_says(r, 0, "HTTP/1.1 100 Continue\r\n\r\n");
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 100 Continue\r\n\r\n");
	rig_client_says(r, c, "abc");
	assert_string_equal(rig_upstream_got(r, 0), "abc");
	rig_upstream_says(r, 0, OK);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 200 OK\r\n");
	assert_false(rig_client_closed(r, c));
	rig_assert_quiet(r);
	rig_done(&r);
}

static void final_answer_instead_of_100_closes_the_connection(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c,
		"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
	rig_upstream_says(r, 0, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 401 Unauthorized\r\n");
	rig_assert_has(r->text, "\r\nconnection: close\r\n");
	assert_true(rig_client_closed(r, c));
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_log(r, "401 - via_upstream 0 2");
	assert_int_equal(rig_hcm(r)->downstream_rq_response_before_rq_complete, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void early_answer_is_delivered_while_the_upload_is_blocked(void)
{
	struct rig *r = rig_new();
	static char body[200000];
	unsigned c;

	memset(body, 'x', sizeof(body));
	r->upstream_room = 1000;
	rig_start(r);
	c = rig_client(r);
	fake_set_room(rig_client_stream(r, c), 300000);
	rig_put(rig_client_stream(r, c),
		"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n");
	fake_put(rig_client_stream(r, c), bytes_of(body, 100000));
	rig_pump(r);
	// The endpoint reads nothing: what it cannot take stays with the client.
	assert_true(stream_unsent(rig_client_stream(r, c)) > 95000);
	rig_upstream_says(r, 0, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nno");
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_CLOSED);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void slow_reader_stalls_only_itself(void)
{
	struct rig *r = rig_new();
	static char body[60000];
	unsigned slow, quick;

	memset(body, 'x', sizeof(body));
	rig_start(r);
	slow = rig_client(r);
	fake_set_room(fake_pair_end(r->clients[slow], 0), 2000);
	rig_client_says(r, slow, GET);
	rig_put(rig_upstream_stream(r, 0), "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n");
	fake_put(rig_upstream_stream(r, 0), bytes_of(body, sizeof(body)));
	rig_pump(r);
	assert_true(stream_unsent(rig_upstream_stream(r, 0)) > 57000);
	quick = rig_client(r);
	rig_client_says(r, quick, GET);
	assert_int_equal(r->n_upstreams, 2);
	rig_upstream_says(r, 1, OK);
	rig_assert_has(rig_client_got(r, quick), "\r\n\r\nok");
	rig_assert_log(r, "200 - via_upstream 0 2");
	while (rig_client_got(r, slow)[0] != '\0')
		;
	rig_assert_log(r, "200 - via_upstream 0 60000");
	assert_false(rig_upstream_closed(r, 0));
	rig_assert_quiet(r);
	rig_done(&r);
}

static void heads_larger_than_a_chunk_pass(void)
{
	struct rig *r = rig_new();
	static char head[50000];
	size_t len;
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	len = (size_t)sprintf(head, "GET / HTTP/1.1\r\nhost: a\r\nx-big: ");
	memset(head + len, 'y', 40000);
	strcpy(head + len + 40000, "\r\n\r\n");
	fake_set_piece(fake_pair_end(r->clients[c], 0), 1400);
	// Less room than the head is long: it leaves in portions.
	r->upstream_room = 10000;
	rig_client_says(r, c, head);
	len = 0;
	for (size_t n; (n = strlen(rig_upstream_got(r, 0))) > 0;)
		len += n;
	assert_true(len > 40000);
	assert_int_equal(r->worker->large_heads.n_used, 1);
	fake_set_room(rig_upstream_stream(r, 0), 100000);
	len = (size_t)sprintf(head, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-big: ");
	memset(head + len, 'z', 40000);
	strcpy(head + len + 40000, "\r\n\r\n");
	fake_set_piece(fake_pair_end(r->upstreams[0], 0), 1400);
	rig_upstream_says(r, 0, head);
	assert_true(strlen(rig_client_got(r, c)) > 40000);
	rig_assert_log(r, "200 - via_upstream 0 0");
	rig_assert_quiet(r);
	rig_done(&r);
}

// What is not HTTP, and what we do not serve.
static const struct refusal {
	const char *request;
	const char *status_line;
	const char *log;
	bool closes;
} refusals[] = {
	{"GET / HTTP/1.1\r\n\r\n",					   "HTTP/1.1 400 Bad Request\r\n",      NULL,                                                                   true },
	{"GET / HTTP/1.1\r\nhost : a\r\n\r\n",                               "HTTP/1.1 400 Bad Request\r\n",
         "400 DPE http1.codec_error{space_before_colon} 0 11",															    true },
	{"nonsense\r\n\r\n",						 "HTTP/1.1 400 Bad Request\r\n",      NULL,								   true },
	{"GET / HTTP/1.0\r\nhost: a\r\n\r\n",                                "HTTP/1.1 426 Upgrade Required\r\n",
         "426 - low_version 0 16",																			true },
	{"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
         "HTTP/1.1 501 Not Implemented\r\n",								      NULL,								   true },
	{"GET / HTTP/1.1\r\nhost: a\r\nconnection: x-forwarded-for\r\n\r\n",
         "HTTP/1.1 400 Bad Request\r\n",									  "400 DPE http1.connection_header_rejected{connection_nomination} 0 11", true },
	{"GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n",                             "HTTP/1.1 400 Bad Request\r\n",
         "400 - path_normalization_failed 0 0",																	   false},
	{"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",                            "HTTP/1.1 404 Not Found\r\n",
         "404 - absolute_path_rejected 0 0",																	      false},
};

static void what_cannot_be_served_is_told_so(void)
{
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct rig *r = rig_new();
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, refusals[i].request);
		rig_client_got(r, c);
		rig_assert_begins(r->text, refusals[i].status_line);
		assert_int_equal(rig_client_closed(r, c), refusals[i].closes);
		assert_int_equal(strstr(r->text, "connection: close") != NULL, refusals[i].closes);
		if (refusals[i].log != NULL)
			rig_assert_log(r, refusals[i].log);
		assert_int_equal(r->n_upstreams, 0);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

static void no_route_and_no_cluster_differ(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->host.domain = "shop.example";
	r->weighted.cluster = "outbound|80||gone.default.svc.cluster.local";
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "GET / HTTP/1.1\r\nhost: other.example\r\n\r\n");
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 404 Not Found\r\n");
	rig_assert_log(r, "404 NR route_not_found 0 0");
	rig_client_says(r, c, GET);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 503 Service Unavailable\r\n");
	rig_assert_log(r, "503 NC cluster_not_found 0 0");
	assert_false(rig_client_closed(r, c));
	assert_int_equal(rig_hcm(r)->no_route, 1);
	assert_int_equal(rig_hcm(r)->no_cluster, 1);
	rig_done(&r);
}

static void redirects_say_where_to(void)
{
	static const struct {
		struct redirect_config redirect;
		const char *request;
		const char *location;
	} cases[] = {
  // reference A5
		{{.status = 301, .path = "/z"},         "GET /a?b=c HTTP/1.1\r\nhost: h:8080\r\n\r\n",
                 "\r\nlocation: http://h:8080/z?b=c\r\n"},
		{{.status = 302, .scheme = "https"},    "GET /a HTTP/1.1\r\nhost: h:80\r\n\r\n",
                 "\r\nlocation: https://h/a\r\n"        },
		{{.status = 301, .scheme = "https"},    "GET /a HTTP/1.1\r\nhost: h:8080\r\n\r\n",
                 "\r\nlocation: https://h:8080/a\r\n"   },
		{{.status = 301, .port = 8443},         "GET /a HTTP/1.1\r\nhost: h\r\n\r\n",
                 "\r\nlocation: http://h:8443/a\r\n"    },
		{{.status = 307, .authority = "other"}, "GET /a HTTP/1.1\r\nhost: h:1\r\n\r\n",
                 "\r\nlocation: http://other/a\r\n"     },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_new();
		unsigned c;

		r->route.action = ROUTE_REDIRECT;
		r->route.redirect = cases[i].redirect;
		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, cases[i].request);
		rig_assert_has(rig_client_got(r, c), cases[i].location);
		rig_done(&r);
	}
}

static void https_redirect_comes_before_any_route(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->host.require_tls = true;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "GET /a?b HTTP/1.1\r\nhost: h:80\r\n\r\n");
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 301 Moved Permanently\r\n");
	rig_assert_has(r->text, "\r\nlocation: https://h:80/a?b\r\n");
	rig_assert_log(r, "301 - direct_response 0 0");
	rig_done(&r);
}

static void rewrite_keeps_the_query_and_tells_the_old_path(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->route.match.uri = (struct string_match){.kind = STRING_MATCH_PREFIX, .text = "/api/"};
	r->route.rewrite = (struct rewrite_config){.path = "/", .authority = "inner"};
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "GET /api/v1?q HTTP/1.1\r\nhost: a\r\n\r\n");
	rig_upstream_got(r, 0);
	rig_assert_begins(r->text, "GET /v1?q HTTP/1.1\r\nhost: inner\r\n");
	rig_assert_has(r->text, "\r\nx-envoy-original-path: /api/v1?q\r\n");
	rig_upstream_says(r, 0, OK);
	rig_done(&r);
}

// What cannot be written as HTTP/1.1 is not sent, and above all not its body alone: the endpoint would take that for a request.
static void a_head_that_cannot_be_written_takes_its_body_with_it(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->route.rewrite = (struct rewrite_config){.path = "/a b"};
	rig_eject_at_once(r);
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c,
		"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 34\r\n\r\n"
		"GET /admin HTTP/1.1\r\nhost: inner\r\n\r\n");
	assert_string_equal(rig_upstream_got(r, 0), "");
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 503 Service Unavailable\r\n");
	rig_assert_log(r, "503 LR upstream_reset_before_response_started{local_reset} 0 84");
	// The endpoint is not to blame.
	assert_int_equal(atomic_load(&r->snapshot->clusters[0].endpoints[0]->health), 0);
	assert_int_equal(r->stats.h1_heads_refused, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

// Likewise of an answer: its body alone would be the client's next answer.
static void an_answer_that_cannot_be_written_is_cut(void)
{
	struct rig *r = rig_new();
	struct header_value ops[] = {
		{"x-note", "a\nb"}
        };
	unsigned c;

	r->route.response_headers = (struct header_ops){.set = ops, .n_set = 1};
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_upstream_says(r, 0,
		"HTTP/1.1 200 OK\r\ncontent-length: 38\r\n\r\n"
		"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	assert_string_equal(rig_client_got(r, c), "");
	assert_true(rig_client_closed(r, c));
	assert_int_equal(r->stats.h1_heads_refused, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void claims_of_the_client_are_replaced(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c,
		"GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n"
		"keep-alive: 5\r\nte: gzip\r\nx-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: "
		"https\r\n"
		"x-envoy-retry-on: 5xx\r\nx-envoy-external-address: 9.9.9.9\r\nx-request-id: mine\r\n"
		"x-forwarded-client-cert: forged\r\nx-keep: 1\r\n\r\n");
	rig_upstream_got(r, 0);
	rig_assert_has(r->text, "\r\nx-keep: 1\r\n");
	rig_assert_has(r->text, "\r\nx-forwarded-for: 1.2.3.4,10.77.1.1\r\n");
	rig_assert_has(r->text, "\r\nx-forwarded-proto: http\r\n");
	rig_assert_has(r->text, "\r\nx-envoy-external-address: 10.77.1.1\r\n");
	rig_assert_not(r->text, "x-hop");
	rig_assert_not(r->text, "keep-alive");
	rig_assert_not(r->text, "te: ");
	rig_assert_not(r->text, "retry-on");
	rig_assert_not(r->text, "9.9.9.9");
	rig_assert_not(r->text, "mine");
	rig_assert_not(r->text, "forged");
	rig_upstream_says(r, 0, OK);
	rig_done(&r);
}

// A body behind a status that has none would be the beginning of the next answer.
static void statuses_without_a_body_have_none(void)
{
	static const uint16_t statuses[] = {204, 304};

	for (unsigned i = 0; i < 2; i++) {
		struct rig *r = rig_new();
		unsigned c;

		r->route.action = ROUTE_DIRECT_RESPONSE;
		r->route.direct_status = statuses[i];
		r->route.direct_body = BYTES("HTTP/1.1 200 OK");
		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, GET);
		rig_client_got(r, c);
		rig_assert_begins(r->text, "HTTP/1.1 ");
		rig_assert_not(r->text, "200 OK");
		assert_string_equal(r->text + strlen(r->text) - 4, "\r\n\r\n");
		assert_false(rig_client_closed(r, c));
		rig_done(&r);
	}
}

static void grpc_clients_are_told_in_grpc(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->endpoints[0].healthy = false;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c,
		"POST /s/m HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
		"content-length: 0\r\n\r\n");
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 200 OK\r\n");
	rig_assert_has(r->text, "\r\ngrpc-status: 14\r\n");
	rig_assert_has(r->text, "\r\ngrpc-message: no healthy upstream\r\n");
	rig_assert_log(r, "200 UH no_healthy_upstream 0 0");
	rig_done(&r);
}

TESTS(TEST(get_goes_through_and_both_connections_stay),
	TEST(every_framing_passes_whole_and_byte_by_byte),
	TEST(pipelined_requests_are_answered_in_order),
	TEST(a_thousand_pipelined_local_answers_are_no_recursion),
	TEST(half_closing_client_still_gets_its_answer),
	TEST(connection_close_is_honoured_and_what_follows_ignored),
	TEST(small_chunks_share_the_worker), TEST(expect_is_forwarded_and_100_relayed),
	TEST(final_answer_instead_of_100_closes_the_connection),
	TEST(early_answer_is_delivered_while_the_upload_is_blocked),
	TEST(slow_reader_stalls_only_itself), TEST(heads_larger_than_a_chunk_pass),
	TEST(what_cannot_be_served_is_told_so), TEST(no_route_and_no_cluster_differ),
	TEST(redirects_say_where_to), TEST(https_redirect_comes_before_any_route),
	TEST(rewrite_keeps_the_query_and_tells_the_old_path),
	TEST(a_head_that_cannot_be_written_takes_its_body_with_it),
	TEST(an_answer_that_cannot_be_written_is_cut), TEST(claims_of_the_client_are_replaced),
	TEST(statuses_without_a_body_have_none), TEST(grpc_clients_are_told_in_grpc))
