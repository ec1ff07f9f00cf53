// What the edge makes of requests and answers (reference 8.2 to 8.6): claims of clients, lists of proxies, what is removed and
// what is added.

#include "router/downstream.h"
#include "tests/router_rig.h"
#include "tls/tls.h"

#define OK "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

// What arrives at the endpoint of 'head' (which ends without its empty line).
static const char *forwarded(struct rig *r, const char *head)
{
	unsigned c = rig_client(r);

	rig_client_says(r, c, head);
	rig_client_says(r, c, "\r\n");
	return rig_upstream_got(r, r->n_upstreams - 1);
}

// A target may not claim the TLS that a redirect to https is there to enforce.
static void https_target_without_tls_is_403(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->host.require_tls = true;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "GET https://shop.example/ HTTP/1.1\r\nhost: shop.example\r\n\r\n");
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 403 Forbidden\r\n");
	assert_true(rig_client_closed(r, c));
	rig_assert_log(r, "403 DPE http1.invalid_scheme{target_https} 0 9");
	assert_int_equal(r->rules.clients[H1_ERROR_INDEX_TARGET_HTTPS], 1);
	c = rig_client(r);
	rig_client_says(r, c, "GET http://shop.example/x HTTP/1.1\r\nhost: shop.example\r\n\r\n");
	rig_assert_has(rig_client_got(r, c), "\r\nlocation: https://shop.example/x\r\n");
	assert_int_equal(r->n_upstreams, 0);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void trusted_proxies_are_counted_from_the_right(void)
{
	static const struct {
		unsigned n;
		const char *fields;
		const char *client;
	} cases[] = {
		{0, "x-forwarded-for: 1.1.1.1\r\n",                             "10.77.1.1"},
		{1, "x-forwarded-for: 1.1.1.1, 2.2.2.2\r\n",                    "2.2.2.2"  },
		{2, "x-forwarded-for: 1.1.1.1, 2.2.2.2\r\n",                    "1.1.1.1"  },
		{2, "x-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n", "1.1.1.1"  },
		{3, "x-forwarded-for: 1.1.1.1, 2.2.2.2\r\n",                    "10.77.1.1"},
		{1, "x-forwarded-for: 1.1.1.1, unknown\r\n",                    "10.77.1.1"},
		{1, "x-forwarded-for: \r\n",                                    "10.77.1.1"},
		{1, "",							 "10.77.1.1"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_new();
		char head[200], field[80];

		r->config.http.num_trusted_proxies = cases[i].n;
		rig_start(r);
		snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nhost: a\r\n%s", cases[i].fields);
		snprintf(field, sizeof(field), "\r\nx-envoy-external-address: %s\r\n",
			cases[i].client);
		rig_assert_has(forwarded(r, head), field);
		rig_done(&r);
	}
}

static void scheme_is_the_connections_or_a_trusted_proxys(void)
{
	static const struct {
		unsigned n;
		const char *said;
		const char *proto;
	} cases[] = {
		{0, "x-forwarded-proto: https\r\n", "http" },
		{1, "x-forwarded-proto: https\r\n", "https"},
		{1, "x-forwarded-proto: HTTPS\r\n", "https"}, // CVE-2023-35944
		{1, "x-forwarded-proto: ftp\r\n",   "http" },
		{1, "x-forwarded-proto: \r\n",      "http" },
		{1, "",			     "http" },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_new();
		char head[200], field[80];

		r->config.http.num_trusted_proxies = cases[i].n;
		rig_start(r);
		snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nhost: a\r\n%s", cases[i].said);
		snprintf(field, sizeof(field), "\r\nx-forwarded-proto: %s\r\n", cases[i].proto);
		rig_assert_has(forwarded(r, head), field);
		rig_done(&r);
	}
}

static void referers_that_are_no_url_go(void)
{
	static const struct {
		const char *fields;
		bool stays;
	} cases[] = {
		{"referer: https://a.example/x?y\r\n",           true },
		{"referer: android-app://com.example/\r\n",      true },
		{"referer: /x\r\n",                              false},
		{"referer: https:///x\r\n",                      false},
		{"referer: ://a\r\n",                            false},
		{"referer: \r\n",                                false},
		{"referer: https://a\r\nreferer: https://b\r\n", false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_new();
		char head[200];

		rig_start(r);
		snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nhost: a\r\n%s", cases[i].fields);
		assert_int_equal(strstr(forwarded(r, head), "referer") != NULL, cases[i].stays);
		rig_done(&r);
	}
}

// What only proxies say to one another (8.3), and what ends at this hop.
static void fields_that_are_not_a_clients_to_send_go(void)
{
	static const char *const names[] = {"x-envoy-decorator-operation",
		"x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node",
		"x-envoy-original-path", "x-envoy-original-host", "x-envoy-retriable-status-codes",
		"x-envoy-retriable-header-names", "x-envoy-retry-on", "x-envoy-retry-grpc-on",
		"x-envoy-max-retries", "x-envoy-upstream-alt-stat-name",
		"x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms",
		"x-envoy-upstream-rq-timeout-alt-response", "x-envoy-expected-rq-timeout-ms",
		"x-envoy-force-trace", "x-envoy-ip-tags", "x-envoy-original-url",
		"x-envoy-hedge-on-per-try-timeout", "x-envoy-internal", "keep-alive",
		"proxy-connection", "x-forwarded-client-cert"};
	struct rig *r = rig_new();
	char head[2000] = "GET / HTTP/1.1\r\nhost: a\r\nx-envoy-other: forged\r\n", field[80];

	rig_start(r);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(field, sizeof(field), "%s: forged\r\n", names[i]);
		strcat(head, field);
	}
	forwarded(r, head);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		rig_assert_not(r->text, names[i]);
	rig_assert_has(r->text, "\r\nx-envoy-other: forged\r\n");
	rig_done(&r);
}

// As TLS has read it. Whatever the client says of itself, in one field or several, or has Connection name, is not believed.
static void a_certificate_is_told_to_the_endpoint(void)
{
	static const struct tls_client certificate = {.forwarded = BYTES("Hash=12;URI=spiffe://a")};
	static const char head[] =
		"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-client-cert: forged\r\n"
		"X-Forwarded-Client-Cert: Hash=forged\r\n"
		"connection: x-forwarded-client-cert\r\n\r\n";

	for (unsigned shown = 0; shown < 2; shown++) {
		struct rig *r = rig_new();
		unsigned c;

		rig_start(r);
		c = rig_client(r);
		if (shown)
			container_of(r->worker->downstreams.next, struct downstream, node)
				->peer.client = &certificate;
		rig_client_says(r, c, head);
		rig_upstream_got(r, r->n_upstreams - 1);
		rig_assert_not(r->text, "forged");
		if (shown)
			rig_assert_has(
				r->text, "\r\nx-forwarded-client-cert: Hash=12;URI=spiffe://a\r\n");
		else
			rig_assert_not(r->text, "x-forwarded-client-cert");
		rig_done(&r);
	}
}

static void underscores_are_what_the_appliance_says(void)
{
	static const char head[] = "GET / HTTP/1.1\r\nhost: a\r\nx_a: b\r\nx-c: d\r\n";
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	rig_assert_has(forwarded(r, head), "\r\nx_a: b\r\n");
	rig_done(&r);

	r = rig_new();
	r->config.http.underscores = UNDERSCORES_DROP;
	rig_start(r);
	forwarded(r, head);
	rig_assert_not(r->text, "x_a");
	rig_assert_has(r->text, "\r\nx-c: d\r\n");
	rig_done(&r);

	r = rig_new();
	r->config.http.underscores = UNDERSCORES_REJECT;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, head);
	rig_client_says(r, c, "\r\n");
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 400 Bad Request\r\n");
	rig_assert_log(r, "400 DPE http1.unexpected_underscore 0 11");
	rig_assert_quiet(r);
	rig_done(&r);
}

// A target longer than a chunk of the arena is changed like any other.
static void long_targets_are_normalised_rewritten_and_redirected(void)
{
	static char head[30000];
	struct rig *r = rig_new();
	size_t n = (size_t)sprintf(head, "GET /a/%%62/../c?q=");
	unsigned c;

	memset(head + n, 'q', 20000);
	strcpy(head + n + 20000, " HTTP/1.1\r\nhost: a\r\n");
	r->route.rewrite.path = "/new";
	r->route.match.uri = (struct string_match){.kind = STRING_MATCH_PREFIX, .text = "/a"};
	rig_start(r);
	rig_assert_begins(forwarded(r, head), "GET /new/c?q=qqqq");
	assert_true(strlen(r->text) > 40000); // x-envoy-original-path has it too
	rig_upstream_says(r, 0, OK);
	assert_int_equal(r->worker->large_heads.n_used, 0);
	rig_done(&r);

	r = rig_new();
	r->route.action = ROUTE_REDIRECT;
	r->route.redirect = (struct redirect_config){.scheme = "https", .status = 301};
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, head);
	rig_client_says(r, c, "\r\n");
	rig_assert_has(rig_client_got(r, c), "\r\nlocation: https://a/a/c?q=qqqq");
	assert_true(strlen(r->text) > 20000);
	rig_assert_quiet(r);
	rig_done(&r);
}

// meshConfig.defaultConfig.proxyHeaders.
static void headers_of_our_own_can_be_turned_off(void)
{
	static const char head[] = "GET / HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n";
	struct rig *r = rig_new();

	r->config.http.keep_request_id = true;
	r->config.http.no_debug_headers = true;
	r->config.http.add_forwarded_host = true;
	r->config.http.add_forwarded_port = true;
	r->config.http.server_name = NULL;
	r->route.timeout_us = 1000000;
	r->route.rewrite.path = "/new";
	r->route.rewrite.authority = "other.example";
	rig_start(r);
	forwarded(r, head);
	rig_assert_has(r->text, "\r\nx-request-id: mine\r\n");
	rig_assert_has(r->text, "\r\nhost: other.example\r\n");
	rig_assert_has(r->text, "\r\nx-forwarded-host: a\r\n");
	rig_assert_has(r->text, "\r\nx-forwarded-port: ");
	rig_assert_not(r->text, "attempt-count");
	rig_assert_not(r->text, "expected-rq");
	rig_assert_not(r->text, "original-path");
	rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\nserver: its own\r\ncontent-length: 0\r\n\r\n");
	rig_client_got(r, 0);
	rig_assert_has(r->text, "\r\nserver: its own\r\n");
	rig_assert_not(r->text, "service-time");
	rig_assert_quiet(r);
	rig_done(&r);

	r = rig_new();
	r->config.http.no_attempt_count = true;
	r->route.timeout_us = 1000000;
	rig_start(r);
	forwarded(r, head);
	rig_assert_not(r->text, "attempt-count");
	rig_assert_not(r->text, "mine");
	rig_assert_has(r->text, "\r\nx-envoy-expected-rq-timeout-ms: ");
	rig_done(&r);
}

// One rule, one name: in the log's details, in the counter.
static void broken_rules_are_named(void)
{
	struct rig *r = rig_new();
	char head[400];
	unsigned c;

	r->config.access_log.format =
		"%RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n";
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "GET / HTTP/1.1\r\nhost : a\r\n\r\n");
	rig_client_got(r, c);
	rig_assert_log(r, "http1.codec_error{space_before_colon} -");
	c = rig_client(r);
	rig_client_says(r, c, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	rig_upstream_says(
		r, 0, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx");
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 502 Bad Gateway\r\n");
	rig_assert_not(r->text, "length_duplicate"); // for us, not for the client
	rig_assert_log(
		r, "upstream_reset_before_response_started{protocol_error} length_duplicate");
	c = rig_client(r);
	rig_client_says(r, c, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	rig_upstream_says(r, r->n_upstreams - 1,
		"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 502 Bad Gateway\r\n");
	rig_assert_log(r, "upstream_reset_before_response_started{protocol_error} status_upgrade");
	c = rig_client(r);
	snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nhost: a\r\nte: trailers;q=%0300u\r\n\r\n",
		1);
	rig_client_says(r, c, head);
	rig_client_got(r, c);
	rig_assert_log(r, "http1.connection_header_rejected{te_length} -");
	assert_int_equal(r->rules.clients[H1_ERROR_INDEX_SPACE_BEFORE_COLON], 1);
	assert_int_equal(r->rules.endpoints[H1_ERROR_INDEX_LENGTH_DUPLICATE], 1);
	rig_done(&r);
}

// RFC 9110, 7.6.1: also of those that are looked at for another reason.
static void fields_that_connection_names_go(void)
{
	struct rig *r = rig_new();

	r->config.http.keep_request_id = true;
	rig_start(r);
	forwarded(r,
		"GET / HTTP/1.1\r\nhost: a\r\nreferer: https://a.example/\r\nx-request-id: mine\r\n"
		"x-other: 1\r\nconnection: Referer, x-request-id\r\n");
	rig_assert_not(r->text, "referer");
	rig_assert_not(r->text, "mine");
	rig_assert_has(r->text, "\r\nx-other: 1\r\n");
	rig_done(&r);
}

TESTS(TEST(https_target_without_tls_is_403), TEST(trusted_proxies_are_counted_from_the_right),
	TEST(scheme_is_the_connections_or_a_trusted_proxys), TEST(referers_that_are_no_url_go),
	TEST(fields_that_are_not_a_clients_to_send_go), TEST(a_certificate_is_told_to_the_endpoint),
	TEST(underscores_are_what_the_appliance_says),
	TEST(long_targets_are_normalised_rewritten_and_redirected), TEST(broken_rules_are_named),
	TEST(headers_of_our_own_can_be_turned_off), TEST(fields_that_connection_names_go))
