// The exchange with HTTP/1.1 on both sides: requests that go through, and how they are framed.

#include "tests/router_rig.h"

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

TESTS(TEST(get_goes_through_and_both_connections_stay))
