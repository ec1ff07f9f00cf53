// PROXY headers towards endpoints: what is written, and that a connection which begins with one carries the requests of nobody
// else.

#include "router/proxy_protocol.h"
#include "tests/h2_peer.h"

#define GET "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

static void what_is_written_can_be_read(void)
{
	static const struct {
		const char *source;
		const char *destination;
		const char *line;
		size_t v2_len;
	} cases[] = {
		{"10.1.2.3",				"10.1.2.4",    "PROXY TCP4 10.1.2.3 10.1.2.4 65535 443\r\n",                    28},
		{"2001:db8::1",                             "2001:db8::2", "PROXY TCP6 2001:db8::1 2001:db8::2 65535 443\r\n",
                 52															   },
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
                 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe "
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 443\r\n", 52},
		{"10.1.2.3",				"2001:db8::2", "PROXY UNKNOWN\r\n",                                             16},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_endpoint from = {.port = 65535}, to = {.port = 443};
		bool mixed = cases[i].v2_len == 16;
		uint8_t text[PROXY_WRITE_MAX];
		struct proxy_header h;

		assert_true(ip_addr_parse(cases[i].source, &from.addr));
		assert_true(ip_addr_parse(cases[i].destination, &to.addr));
		for (uint8_t version = 1; version <= 2; version++) {
			size_t len = proxy_protocol_write(version, &from, &to, text);

			assert_int_equal(
				len, version == 1 ? strlen(cases[i].line) : cases[i].v2_len);
			if (version == 1)
				assert_memory_equal(text, cases[i].line, len);
			assert_int_equal(proxy_protocol_read(bytes_of(text, len), &h), PROXY_DONE);
			assert_int_equal(h.len, len);
			assert_int_equal(h.version, version);
			assert_int_equal(h.has_addresses, !mixed);
			if (mixed)
				continue;
			assert_true(ip_addr_equal(&h.source.addr, &from.addr));
			assert_true(ip_addr_equal(&h.destination.addr, &to.addr));
			assert_int_equal(h.source.port, 65535);
			assert_int_equal(h.destination.port, 443);
		}
	}
}

static struct rig *new_rig(uint8_t version)
{
	struct rig *r = rig_new();

	r->cluster.proxy_version = version;
	rig_start(r);
	return r;
}

// The header that a connection to an endpoint is to begin with for client 'c'.
static struct bytes header_of(struct rig *r, unsigned c)
{
	static uint8_t text[PROXY_WRITE_MAX];
	struct stream *s = fake_pair_end(r->clients[c], 0);

	return bytes_of(
		text, proxy_protocol_write(r->cluster.proxy_version, &s->remote, &s->local, text));
}

// Takes the header that 's' begins with.
static void take_header(struct rig *r, unsigned c, struct stream *s)
{
	struct bytes expected = header_of(r, c);
	uint8_t got[PROXY_WRITE_MAX];

	assert_int_equal(fake_take(s, got, expected.len), expected.len);
	assert_memory_equal(got, expected.ptr, expected.len);
}

static void answer(struct rig *r, unsigned u, unsigned c)
{
	rig_assert_begins(rig_upstream_got(r, u), "GET / HTTP/1.1\r\n");
	rig_upstream_says(r, u, OK);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 200 OK\r\n");
}

static void a_connection_is_of_one_client(void)
{
	for (uint8_t version = 1; version <= 2; version++) {
		struct rig *r = new_rig(version);
		unsigned a = rig_client(r), b = rig_client(r);

		rig_client_says(r, a, GET);
		take_header(r, a, rig_upstream_stream(r, 0));
		answer(r, 0, a);
		// The same client: the connection it has, and no second header.
		rig_client_says(r, a, GET);
		assert_int_equal(r->n_upstreams, 1);
		answer(r, 0, a);
		// Another one: a connection of its own, although there is an idle one.
		rig_client_says(r, b, GET);
		assert_int_equal(r->n_upstreams, 2);
		take_header(r, b, rig_upstream_stream(r, 1));
		answer(r, 1, b);
		rig_client_says(r, a, GET);
		assert_int_equal(r->n_upstreams, 2);
		answer(r, 0, a);
		assert_int_equal(r->stats.proxy_headers_sent, 2);
		// With the client's connection its own end.
		stream_shutdown(rig_client_stream(r, a));
		rig_pump(r);
		assert_true(rig_client_closed(r, a));
		assert_int_equal(fake_pair_fate(r->upstreams[0], 0), FAKE_CLOSED);
		assert_false(rig_upstream_closed(r, 1));
		fake_fail(fake_pair_end(r->clients[b], 0), STREAM_ERROR_RESET);
		rig_pump(r);
		assert_true(rig_upstream_closed(r, 1));
		assert_int_equal(rig_cluster_state(r)->connections, 0);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

// The address is the one that a header from outside has told.
static void what_a_header_said_is_passed_on(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->listener.proxy_protocol = true;
	r->cluster.proxy_version = 1;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "PROXY TCP4 192.0.2.7 192.0.2.8 5000 443\r\n" GET);
	rig_assert_begins(rig_upstream_got(r, 0),
		"PROXY TCP4 192.0.2.7 192.0.2.8 5000 443\r\nGET / HTTP/1.1\r\n");
	rig_upstream_says(r, 0, OK);
	rig_assert_quiet(r);
	rig_done(&r);
}

// maxConnections is what one client's idle or ended connection may not keep from another client for ever.
static void connections_of_others_make_room(void)
{
	struct rig *r = rig_new();
	unsigned a, b;

	r->cluster.proxy_version = 1;
	r->cluster.max_connections = 1;
	rig_start(r);
	a = rig_client(r);
	b = rig_client(r);
	rig_client_says(r, a, GET);
	take_header(r, a, rig_upstream_stream(r, 0));
	// In the way while it is at work, so 'b' waits.
	rig_client_says(r, b, GET);
	assert_int_equal(r->n_upstreams, 1);
	answer(r, 0, a);
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(r->n_upstreams, 2);
	take_header(r, b, rig_upstream_stream(r, 1));
	answer(r, 1, b);
	assert_false(rig_upstream_closed(r, 1));
	// Idle now, and in the way again.
	rig_client_says(r, a, GET);
	assert_true(rig_upstream_closed(r, 1));
	assert_int_equal(r->n_upstreams, 3);
	take_header(r, a, rig_upstream_stream(r, 2));
	answer(r, 2, a);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void the_header_precedes_http2(void)
{
	struct rig *r = rig_new();
	struct h2_peer *e[2];
	unsigned a, b;

	r->cluster.proxy_version = 2;
	r->cluster.protocol = CLUSTER_HTTP_2;
	rig_start(r);
	a = rig_client(r);
	b = rig_client(r);
	rig_client_says(r, a, GET);
	rig_client_says(r, b, GET);
	assert_int_equal(r->n_upstreams, 2);
	for (unsigned i = 0; i < 2; i++) {
		take_header(r, i == 0 ? a : b, rig_upstream_stream(r, i));
		e[i] = peer_new(r, rig_upstream_stream(r, i), true, 100, 65535);
		assert_int_equal(e[i]->n_streams, 1);
		peer_respond(e[i], e[i]->streams[0].id, "200", NULL, 2);
		rig_assert_begins(rig_client_got(r, i == 0 ? a : b), "HTTP/1.1 200 OK\r\n");
	}
	rig_client_says(r, a, GET);
	peer_pump(e[0]);
	assert_int_equal(r->n_upstreams, 2);
	assert_int_equal(e[0]->n_streams, 2);
	peer_respond(e[0], e[0]->streams[1].id, "200", NULL, 2);
	stream_shutdown(rig_client_stream(r, a));
	rig_pump(r);
	peer_pump(e[0]);
	assert_int_equal(e[0]->n_goaways, 1);
	assert_true(rig_upstream_closed(r, 0));
	assert_false(rig_upstream_closed(r, 1));
	rig_assert_quiet(r);
	peer_free(&e[0]);
	peer_free(&e[1]);
	rig_done(&r);
}

// Many requests of a client of HTTP/2: each stream's connection is told, and reused by the others.
static void streams_of_a_client_share_its_connections(void)
{
	struct rig *r = new_rig(1);
	struct h2_peer *p = peer_client(r);
	unsigned n;

	for (unsigned i = 0; i < 3; i++)
		peer_request(p, "GET", "/", NULL, -1);
	n = r->n_upstreams;
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < n; i++) {
		take_header(r, 0, rig_upstream_stream(r, i));
		rig_upstream_got(r, i);
		rig_upstream_says(r, i, OK);
	}
	peer_request(p, "GET", "/", NULL, -1);
	assert_int_equal(r->n_upstreams, 3);
	nghttp2_session_terminate_session(p->ng, NGHTTP2_NO_ERROR);
	peer_pump(p);
	stream_shutdown(rig_client_stream(r, 0));
	rig_pump(r);
	assert_int_equal(rig_cluster_state(r)->connections, 0);
	assert_int_equal(r->stats.proxy_headers_sent, 3);
	peer_free(&p);
	rig_assert_quiet(r);
	rig_done(&r);
}

// Nothing was said on it yet, and whose it would be is not known: no use.
static void a_connection_that_nobody_waits_for_is_closed(void)
{
	for (unsigned h2 = 0; h2 < 2; h2++) {
		struct rig *r = rig_new();
		unsigned c;

		r->cluster.proxy_version = 1;
		r->cluster.protocol = h2 ? CLUSTER_HTTP_2 : CLUSTER_HTTP_1;
		r->connect = RIG_HANGS;
		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, GET);
		fake_fail(fake_pair_end(r->clients[c], 0), STREAM_ERROR_RESET);
		rig_pump(r);
		fake_connected(fake_pair_end(r->upstreams[0], 0));
		rig_pump(r);
		assert_true(rig_upstream_closed(r, 0));
		assert_int_equal(r->stats.proxy_headers_sent, 0);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

static void without_room_for_it_nothing_is_said(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->cluster.proxy_version = 1;
	r->upstream_room = 20;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 503 Service Unavailable\r\n");
	assert_string_equal(rig_upstream_got(r, 0), "");
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_quiet(r);
	rig_done(&r);
}

// What a new configuration says of headers holds for new connections; those of before are used no more.
static void a_reload_changes_the_header(void)
{
	struct rig *r = new_rig(0);
	unsigned c = rig_client(r);

	rig_client_says(r, c, GET);
	answer(r, 0, c);
	r->cluster.proxy_version = 1;
	rig_reload(r);
	rig_client_says(r, c, GET);
	assert_int_equal(r->n_upstreams, 2);
	take_header(r, c, rig_upstream_stream(r, 1));
	answer(r, 1, c);
	r->cluster.proxy_version = 2;
	rig_reload(r);
	rig_client_says(r, c, GET);
	assert_int_equal(r->n_upstreams, 3);
	take_header(r, c, rig_upstream_stream(r, 2));
	answer(r, 2, c);
	rig_assert_quiet(r);
	rig_done(&r);
}

// Whatever it is that keeps a new connection from being opened.
static void all_connections_of_others_that_have_to_make_room(void)
{
	for (unsigned scarce = 0; scarce < 2; scarce++) {
		struct rig *r = rig_new();
		unsigned c[3];

		r->cluster.proxy_version = 1;
		r->capacity.upstream_connections = scarce ? 2 : 256;
		rig_start(r);
		for (unsigned i = 0; i < 3; i++)
			c[i] = rig_client(r);
		rig_client_says(r, c[0], GET);
		rig_client_says(r, c[1], GET);
		for (unsigned i = 0; i < 2; i++) {
			take_header(r, c[i], rig_upstream_stream(r, i));
			answer(r, i, c[i]);
			assert_false(rig_upstream_closed(r, i));
		}
		r->cluster.max_connections = scarce ? UINT32_MAX : 1;
		rig_reload(r);
		rig_client_says(r, c[2], GET);
		assert_int_equal(r->n_upstreams, 3);
		take_header(r, c[2], rig_upstream_stream(r, 2));
		answer(r, 2, c[2]);
		assert_true(rig_upstream_closed(r, 0));
		assert_int_equal(rig_upstream_closed(r, 1), !scarce);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

// A connection that becomes idle is in the way of those that wait, if there is no memory for another.
static void a_connection_of_another_client_gives_its_place(void)
{
	struct rig *r = rig_new();
	unsigned c[2];

	r->cluster.proxy_version = 1;
	r->capacity.upstream_connections = 1;
	rig_start(r);
	for (unsigned i = 0; i < 2; i++) {
		c[i] = rig_client(r);
		rig_client_says(r, c[i], GET);
	}
	assert_int_equal(r->n_upstreams, 1);
	take_header(r, c[0], rig_upstream_stream(r, 0));
	answer(r, 0, c[0]);
	assert_int_equal(r->n_upstreams, 2);
	take_header(r, c[1], rig_upstream_stream(r, 1));
	answer(r, 1, c[1]);
	rig_assert_quiet(r);
	rig_done(&r);
}

// With a client its connections to endpoints end, and their place is another client's.
static void a_client_that_leaves_makes_room(void)
{
	struct rig *r = rig_new();
	struct h2_peer *p;

	r->cluster.protocol = CLUSTER_HTTP_2;
	r->cluster.proxy_version = 1;
	r->cluster.max_connections = 1;
	r->cluster.max_concurrent_streams = 1;
	rig_start(r);
	p = peer_client(r);
	peer_request(p, "GET", "/", NULL, -1);
	peer_request(p, "GET", "/", NULL, -1);
	rig_client_says(r, rig_client(r), GET);
	assert_int_equal(r->n_upstreams, 1);
	stream_abort(&(struct stream *){p->io});
	rig_pump(r);
	assert_true(rig_upstream_closed(r, 0));
	assert_int_equal(r->n_upstreams, 2);
	take_header(r, 1, rig_upstream_stream(r, 1));
	peer_free(&p);
	rig_done(&r);
}

// A connection in the making is of the configuration it was begun for; a request of another one does not wait for it alone.
static void a_reload_while_connecting_loses_no_request(void)
{
	for (unsigned limited = 0; limited < 2; limited++) {
		for (uint8_t version = 0; version < 2; version++) {
			struct rig *r = new_rig(version);
			unsigned c[2];

			r->cluster.max_connections = limited ? 1 : UINT32_MAX;
			r->connect = RIG_HANGS;
			rig_reload(r);
			c[0] = rig_client(r);
			rig_client_says(r, c[0], GET);
			stream_abort(&(struct stream *){rig_client_stream(r, c[0])});
			rig_pump(r);
			r->cluster.proxy_version = !version;
			r->connect = RIG_ACCEPTS;
			rig_reload(r);
			c[1] = rig_client(r);
			rig_client_says(r, c[1], GET);
			fake_connected(fake_pair_end(r->upstreams[0], 0));
			rig_pump(r);
			assert_int_equal(r->n_upstreams, 2);
			if (version == 0)
				take_header(r, c[1], rig_upstream_stream(r, 1));
			answer(r, 1, c[1]);
			rig_assert_quiet(r);
			rig_done(&r);
		}
	}
}

TESTS(TEST(what_is_written_can_be_read), TEST(a_connection_is_of_one_client),
	TEST(what_a_header_said_is_passed_on), TEST(connections_of_others_make_room),
	TEST(the_header_precedes_http2), TEST(streams_of_a_client_share_its_connections),
	TEST(a_connection_that_nobody_waits_for_is_closed),
	TEST(without_room_for_it_nothing_is_said), TEST(a_reload_changes_the_header),
	TEST(all_connections_of_others_that_have_to_make_room),
	TEST(a_connection_of_another_client_gives_its_place), TEST(a_client_that_leaves_makes_room),
	TEST(a_reload_while_connecting_loses_no_request))
