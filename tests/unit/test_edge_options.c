// What the Appliance may ask of clients beyond Istio: HTTP/1.0, a time for whole requests, a number of connections for each address.

#include "tests/h2_peer.h"

#define OK "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

// --- HTTP/1.0

static struct rig *old_rig(void)
{
	struct rig *r = rig_new();

	r->config.http.accept_http_10 = true;
	rig_start(r);
	return r;
}

static void an_old_request_is_answered_in_its_version(void)
{
	struct rig *r = old_rig();
	unsigned c = rig_client(r);

	rig_client_says(r, c, "GET / HTTP/1.0\r\nhost: shop.example\r\n\r\n");
	rig_assert_begins(rig_upstream_got(r, 0), "GET / HTTP/1.1\r\nhost: shop.example\r\n");
	rig_upstream_says(r, 0, OK);
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.0 200 OK\r\n");
	rig_assert_has(r->text, "\r\nconnection: close\r\n");
	rig_assert_has(r->text, "\r\n\r\nok");
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_CLOSED);
	assert_false(rig_upstream_closed(r, 0));
	rig_assert_quiet(r);
	rig_done(&r);
}

static void an_old_connection_is_kept_when_asked_for(void)
{
	struct rig *r = old_rig();
	unsigned c = rig_client(r);

	for (unsigned i = 0; i < 2; i++) {
		rig_client_says(
			r, c, "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
		rig_upstream_got(r, 0);
		rig_upstream_says(r, 0, OK);
		rig_assert_has(rig_client_got(r, c), "\r\nconnection: keep-alive\r\n");
	}
	assert_false(rig_client_closed(r, c));
	// What has no length ends with the connection, whatever was asked for.
	rig_client_says(r, c, "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
	rig_upstream_says(r, 0,
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n");
	rig_client_got(r, c);
	rig_assert_not(r->text, "transfer-encoding");
	rig_assert_has(r->text, "\r\nconnection: close\r\n");
	assert_string_equal(strstr(r->text, "\r\n\r\n"), "\r\n\r\nok");
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_CLOSED);
	rig_assert_quiet(r);
	rig_done(&r);
}

// Whose end would be the answer's, were it not an abort.
static void a_cut_answer_to_an_old_request_is_no_clean_end(void)
{
	struct rig *r = old_rig();
	unsigned c = rig_client(r);

	rig_client_says(r, c, "GET / HTTP/1.0\r\nhost: a\r\n\r\n");
	rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n");
	fake_fail(fake_pair_end(r->upstreams[0], 0), STREAM_ERROR_RESET);
	rig_pump(r);
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_ABORTED);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void old_requests_have_old_rules(void)
{
	static const struct {
		const char *request;
		const char *answer;
	} cases[] = {
		{"GET / HTTP/1.0\r\n\r\n",						    "HTTP/1.0 400 Bad Request\r\n"},
		{"GET / HTTP/0.9\r\n\r\n",						    "HTTP/1.1 505 "               },
		{"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                 "HTTP/1.0 400 Bad Request\r\n"									     },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = old_rig();
		unsigned c = rig_client(r);

		rig_client_says(r, c, cases[i].request);
		rig_assert_begins(rig_client_got(r, c), cases[i].answer);
		rig_assert_has(r->text, "\r\nconnection: close\r\n");
		assert_int_equal(r->n_upstreams, 0);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

static void an_old_client_is_not_told_to_proceed(void)
{
	struct rig *r = old_rig();
	unsigned c = rig_client(r);

	rig_client_says(r, c,
		"POST http://shop.example/ HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: "
		"2\r\n\r\n");
	rig_assert_begins(rig_upstream_got(r, 0), "POST / HTTP/1.1\r\nhost: shop.example\r\n");
	rig_assert_not(r->text, "expect");
	rig_upstream_says(r, 0, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_string_equal(rig_client_got(r, c), "");
	rig_client_says(r, c, "hi");
	assert_string_equal(rig_upstream_got(r, 0), "hi");
	rig_upstream_says(r, 0, OK);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.0 200 OK\r\n");
	rig_assert_quiet(r);
	rig_done(&r);
}

// --- a time for whole requests

static void a_request_has_to_be_whole_in_time(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->config.http.request_timeout_us = 100000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n");
	for (unsigned i = 0; i < 9; i++) {
		rig_pass_ms(r, 10);
		rig_client_says(r, c, "x"); // not stalled, only slow
	}
	rig_assert_no_log(r);
	rig_pass_ms(r, 12);
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 408 Request Timeout\r\n");
	rig_assert_has(r->text, "\r\n\r\nrequest timeout");
	rig_assert_log(r, "408 - request_overall_timeout 9 15");
	assert_true(rig_client_closed(r, c));
	assert_int_equal(rig_hcm(r)->downstream_rq_timeout, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_begun_answer_and_a_whole_request_take_their_time(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->config.http.request_timeout_us = 100000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nx");
	rig_upstream_got(r, 0);
	rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
	rig_pass_ms(r, 500);
	rig_client_says(r, c, "xxx");
	rig_upstream_says(r, 0, "k");
	rig_assert_log(r, "200 - via_upstream 4 2");
	rig_client_says(r, c, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	rig_pass_ms(r, 500);
	rig_assert_no_log(r);
	rig_upstream_says(r, r->n_upstreams - 1, OK);
	rig_assert_log(r, "200 - via_upstream 0 2");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_stream_of_http2_has_its_own_time(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;
	int32_t late;

	r->config.http.request_timeout_us = 100000;
	rig_start(r);
	p = peer_client(r);
	p->upload_open = true;
	late = peer_request(p, "POST", "/", NULL, 0);
	rig_pass_ms(r, 50);
	peer_request(p, "GET", "/", NULL, -1);
	rig_pass_ms(r, 60);
	peer_pump(p);
	rig_assert_begins(peer_find(p, late)->head, ":status: 408\n");
	rig_assert_log(r, "408 - request_overall_timeout 0 15");
	rig_pass_ms(r, 200);
	assert_int_equal(p->n_goaways, 0);
	rig_assert_no_log(r);
	peer_free(&p);
	rig_done(&r);
}

// --- a number for each address

// Returns false if the connection is refused.
static bool connect_from(struct rig *r, const char *address)
{
	struct fake_pair *p = fake_pair_new();
	struct stream *s = fake_pair_end(p, 0);

	assert_true(ip_addr_parse(address, &s->remote.addr));
	r->clients[r->n_clients++] = p;
	if (r->accept(r->accept_arg, s, r->now_us))
		return true;
	stream_abort(&s);
	return false;
}

static void an_address_has_so_many_connections(void)
{
	struct rig *r = rig_new();

	r->config.http.max_connections_per_address = 2;
	rig_start(r);
	assert_true(connect_from(r, "192.0.2.1"));
	assert_true(connect_from(r, "192.0.2.1"));
	assert_false(connect_from(r, "192.0.2.1"));
	assert_true(connect_from(r, "192.0.2.2"));
	// Of IPv6 the /64 counts.
	assert_true(connect_from(r, "2001:db8::1"));
	assert_true(connect_from(r, "2001:db8::2:0:0:1"));
	assert_false(connect_from(r, "2001:db8::3"));
	assert_true(connect_from(r, "2001:db8:0:1::1"));
	assert_int_equal(r->stats.downstream_address_overflow, 2);
	fake_fail(fake_pair_end(r->clients[0], 0), STREAM_ERROR_RESET);
	rig_pump(r);
	assert_true(connect_from(r, "192.0.2.1"));
	assert_false(connect_from(r, "192.0.2.1"));
	// A new limit holds for new connections; those of before are still known.
	r->config.http.max_connections_per_address = 0;
	rig_reload(r);
	assert_true(connect_from(r, "192.0.2.1"));
	r->config.http.max_connections_per_address = 3;
	rig_reload(r);
	assert_true(connect_from(r, "192.0.2.1"));
	assert_false(connect_from(r, "192.0.2.1"));
	for (unsigned i = 0; i < r->n_clients; i++) {
		if (!rig_client_closed(r, i))
			fake_fail(fake_pair_end(r->clients[i], 0), STREAM_ERROR_RESET);
	}
	rig_pump(r);
	assert_int_equal(r->worker->addresses.pool.n_used, 0);
	rig_done(&r);
}

static void whom_a_proxy_header_names_is_counted(void)
{
	struct rig *r = rig_new();

	r->config.http.max_connections_per_address = 1;
	r->listener.proxy_protocol = true;
	rig_start(r);
	for (unsigned i = 0; i < 3; i++)
		assert_true(connect_from(r, "192.0.2.1"));
	rig_client_says(r, 0, "PROXY TCP4 198.51.100.1 192.0.2.8 5000 443\r\n");
	rig_client_says(r, 1, "PROXY TCP4 198.51.100.2 192.0.2.8 5000 443\r\n");
	rig_client_says(r, 2, "PROXY TCP4 198.51.100.1 192.0.2.8 5001 443\r\n");
	assert_false(rig_client_closed(r, 0));
	assert_false(rig_client_closed(r, 1));
	assert_int_equal(fake_pair_fate(r->clients[2], 0), FAKE_ABORTED);
	assert_int_equal(r->stats.downstream_address_overflow, 1);
	rig_done(&r);
}

TESTS(TEST(an_old_request_is_answered_in_its_version),
	TEST(an_old_connection_is_kept_when_asked_for),
	TEST(a_cut_answer_to_an_old_request_is_no_clean_end), TEST(old_requests_have_old_rules),
	TEST(an_old_client_is_not_told_to_proceed), TEST(a_request_has_to_be_whole_in_time),
	TEST(a_begun_answer_and_a_whole_request_take_their_time),
	TEST(a_stream_of_http2_has_its_own_time), TEST(an_address_has_so_many_connections),
	TEST(whom_a_proxy_header_names_is_counted))
