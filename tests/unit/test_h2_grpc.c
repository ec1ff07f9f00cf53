// gRPC through the gateway: trailers in both directions, answers that are trailers only, replies of our own as a gRPC status,
// deadlines, and retries by status.

#include "tests/h2_peer.h"

#define GRPC "content-type", "application/grpc"

static const char *const call[] = {GRPC, "te", "trailers", NULL};

struct pair {
	struct rig *r;
	struct h2_peer *client;
	struct h2_peer *endpoint;
};

static void start(struct pair *p)
{
	rig_start(p->r);
	p->client = peer_client(p->r);
}

static struct pair new_pair(void)
{
	struct pair p = {.r = rig_new()};

	p.r->cluster.protocol = CLUSTER_HTTP_2;
	return p;
}

static int32_t call_with(struct pair *p, const char *const *fields)
{
	int32_t id = peer_request(p->client, "POST", "/pkg.Service/Method", fields, 5);

	if (p->r->n_upstreams > 0 && p->endpoint == NULL)
		p->endpoint = peer_new(p->r, rig_upstream_stream(p->r, 0), true, 100, 65535);
	else if (p->endpoint != NULL)
		peer_pump(p->endpoint);
	return id;
}

static void done(struct pair *p)
{
	rig_assert_quiet(p->r);
	if (p->endpoint != NULL)
		peer_free(&p->endpoint);
	peer_free(&p->client);
	rig_done(&p->r);
}

static void status_comes_in_trailers(void)
{
	struct pair p = new_pair();
	const char *fields[] = {GRPC, NULL};
	struct peer_stream *s;

	start(&p);
	s = peer_find(p.client, call_with(&p, call));
	rig_assert_has(peer_find(p.endpoint, 1)->head, "te: trailers\n");
	assert_int_equal(peer_find(p.endpoint, 1)->body_len, 5);
	p.endpoint->upload_trailers = true;
	peer_respond(p.endpoint, 1, "200", fields, 7);
	peer_pump(p.client);
	assert_int_equal(s->body_len, 7);
	assert_string_equal(s->trailers, "grpc-status: 0\n");
	assert_true(s->ended && !s->reset);
	done(&p);
}

// Messages go each way while the other way is open.
static void messages_stream_both_ways_at_once(void)
{
	struct pair p = new_pair();
	const char *fields[] = {GRPC, NULL};
	uint8_t block[300];
	size_t n = peer_pseudo(block);

	start(&p);
	block[0] = 0x83;
	n += peer_literal(block + n, BYTES("content-type"), BYTES("application/grpc"));
	peer_raw(p.client, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
	peer_pump(p.client);
	p.endpoint = peer_new(p.r, rig_upstream_stream(p.r, 0), true, 100, 65535);
	p.endpoint->upload = "answer";
	p.endpoint->upload_trailers = true;
	peer_raw(p.client, NGHTTP2_DATA, 0, 1, "first", 5);
	peer_pump(p.client);
	peer_pump(p.endpoint);
	assert_string_equal(peer_find(p.endpoint, 1)->body, "first");
	assert_false(peer_find(p.endpoint, 1)->ended);
	peer_respond(p.endpoint, 1, "200", fields, 6);
	peer_pump(p.client);
	assert_string_equal(peer_find(p.client, 1)->body, "answer");
	assert_string_equal(peer_find(p.client, 1)->trailers, "grpc-status: 0\n");
	done(&p);
}

static void trailers_only_stays_so(void)
{
	struct pair p = new_pair();
	const char *fields[] = {GRPC, "grpc-status", "5", "grpc-message", "no such thing", NULL};
	struct peer_stream *s;

	start(&p);
	s = peer_find(p.client, call_with(&p, call));
	peer_respond(p.endpoint, 1, "200", fields, -1);
	peer_pump(p.client);
	rig_assert_has(s->head, "grpc-status: 5\n");
	assert_true(s->ended);
	assert_int_equal(p.client->n_frames[NGHTTP2_DATA], 0);
	done(&p);
}

static void replies_of_our_own_are_a_grpc_status(void)
{
	struct pair p = new_pair();
	struct peer_stream *s;

	p.r->endpoints[0].healthy = false;
	start(&p);
	s = peer_find(p.client, call_with(&p, call));
	rig_assert_begins(s->head, ":status: 200\n");
	rig_assert_has(s->head, "content-type: application/grpc\n");
	rig_assert_has(s->head, "grpc-status: 14\n");
	rig_assert_has(s->head, "grpc-message: no healthy upstream\n");
	assert_true(s->ended);
	assert_int_equal(p.client->n_frames[NGHTTP2_DATA], 0);
	rig_assert_log(p.r, "200 UH no_healthy_upstream 0 0");
	done(&p);
}

static void deadline_of_the_client_ends_the_call(void)
{
	struct pair p = new_pair();
	const char *fields[] = {GRPC, "grpc-timeout", "50m", NULL};
	struct peer_stream *s;

	start(&p);
	s = peer_find(p.client, call_with(&p, fields));
	rig_pass_ms(p.r, 60);
	peer_pump(p.endpoint);
	assert_true(peer_find(p.endpoint, 1)->reset);
	peer_pump(p.client);
	rig_assert_has(s->head, "grpc-status: 14\n");
	rig_assert_log(p.r, "200 UT response_timeout 5 0");
	done(&p);
}

// Reference 8.9, and what a direct response says.
static void each_status_has_its_grpc_status(void)
{
	static const struct {
		uint16_t status;
		const char *grpc;
	} statuses[] = {
		{400, "13"},
                {401, "16"},
                {403, "7" },
                {404, "12"},
                {429, "14"},
                {502, "14"},
		{503, "14"},
                {504, "14"},
                {301, "2" },
                {408, "2" },
                {500, "2" },
                {413, "2" }
        };

	for (unsigned i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct pair p = new_pair();
		struct peer_stream *s;
		char expected[40];

		p.r->route.action = ROUTE_DIRECT_RESPONSE;
		p.r->route.direct_status = statuses[i].status;
		p.r->route.direct_body = BYTES(" 100% of \xc3\xa4\r\n ");
		start(&p);
		s = peer_find(p.client, call_with(&p, call));
		snprintf(expected, sizeof(expected), "grpc-status: %s\n", statuses[i].grpc);
		rig_assert_begins(s->head, ":status: 200\n");
		rig_assert_has(s->head, expected);
		rig_assert_has(s->head, "grpc-message: %20100%25 of %C3%A4%0D%0A\n");
		assert_true(s->ended);
		assert_int_equal(p.client->n_frames[NGHTTP2_DATA], 0);
		done(&p);
	}
}

// A deadline is a number of at most eight digits and a unit; the route's timeout caps it (CVE-2021-28682).
static void deadlines_are_read_strictly_and_capped(void)
{
	static const struct {
		const char *deadline;
		const char *expected; // milliseconds, as the endpoint is told; NULL: none
		uint64_t route_us;
	} deadlines[] = {
		{"250m",       "250",             0      },
		{"3S",         "3000",            0      },
		{"2M",         "120000",          0      },
		{"1H",         "3600000",         0      },
		{"99999999H",  "359999996400000", 0      },
		{"5000u",      "5",               0      },
		{"9000000n",   "9",               0      },
		{"0S",         NULL,              0      },
		{"100000000S", NULL,              0      },
		{"5",          NULL,              0      },
		{"S",          NULL,              0      },
		{"-1S",        NULL,              0      },
		{"1.5S",       NULL,              0      },
		{"1s",         NULL,              0      },
		{"1 S",        NULL,              0      },
		{"+1S",        NULL,              0      },
		{"10S",        "2000",            2000000},
		{"1S",         "1000",            2000000},
		{"nonsense",   "2000",            2000000},
	};

	for (unsigned i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
		const char *fields[] = {GRPC, "grpc-timeout", deadlines[i].deadline, NULL};
		struct pair p = new_pair();
		char expected[80];
		const char *head;

		p.r->route.timeout_us = deadlines[i].route_us;
		start(&p);
		call_with(&p, fields);
		head = peer_find(p.endpoint, 1)->head;
		snprintf(expected, sizeof(expected), "x-envoy-expected-rq-timeout-ms: %s\n",
			deadlines[i].expected != NULL ? deadlines[i].expected : "");
		if (deadlines[i].expected == NULL)
			rig_assert_not(head, "x-envoy-expected-rq-timeout-ms");
		else
			rig_assert_has(head, expected);
		rig_assert_has(head, deadlines[i].deadline);
		peer_respond(p.endpoint, 1, "200", call, -1);
		done(&p);
	}
}

// Each policy stands for one status, and for that in the head only.
static void policies_name_a_status_of_the_head(void)
{
	static const struct {
		uint32_t on;
		const char *status;
	} policies[] = {
		{RETRY_GRPC_CANCELLED,          "1" },
		{RETRY_GRPC_DEADLINE_EXCEEDED,  "4" },
		{RETRY_GRPC_RESOURCE_EXHAUSTED, "8" },
		{RETRY_GRPC_INTERNAL,           "13"},
		{RETRY_GRPC_UNAVAILABLE,        "14"},
	};
	const unsigned n = sizeof(policies) / sizeof(policies[0]);

	for (unsigned i = 0; i < n * n; i++) {
		const char *fields[] = {GRPC, "grpc-status", policies[i % n].status, NULL};
		struct pair p = new_pair();
		struct peer_stream *s;

		p.r->route.retry = (struct retry_config){
			.attempts = 1, .on = policies[i / n].on, .backoff_base_us = 25000};
		start(&p);
		s = peer_find(p.client, call_with(&p, call));
		peer_respond(p.endpoint, 1, "200", fields, -1);
		rig_pass_ms(p.r, 30);
		peer_pump(p.endpoint);
		assert_int_equal(p.endpoint->n_streams, i % n == i / n ? 2 : 1);
		if (p.endpoint->n_streams == 2)
			peer_respond(p.endpoint, 3, "200", fields, -1);
		peer_pump(p.client);
		assert_true(s->ended);
		rig_assert_has(s->head, "grpc-status: ");
		done(&p);
	}
}

static void status_in_trailers_is_final(void)
{
	struct pair p = new_pair();
	nghttp2_nv status = peer_nv("grpc-status", "14");
	nghttp2_nv head[] = {
		peer_nv(":status", "200"), peer_nv("content-type", "application/grpc")};

	p.r->route.retry = (struct retry_config){
		.attempts = 2, .on = RETRY_GRPC_UNAVAILABLE, .backoff_base_us = 25000};
	start(&p);
	call_with(&p, call);
	nghttp2_submit_headers(p.endpoint->ng, NGHTTP2_FLAG_NONE, 1, NULL, head, 2, NULL);
	peer_pump(p.endpoint);
	nghttp2_submit_trailer(p.endpoint->ng, 1, &status, 1);
	peer_pump(p.endpoint);
	peer_pump(p.client);
	assert_string_equal(peer_find(p.client, 1)->trailers, "grpc-status: 14\n");
	assert_int_equal(p.endpoint->n_streams, 1);
	done(&p);
}

// A client of HTTP/1.1 has to find the end of it.
static void reply_over_http1_has_a_length(void)
{
	struct rig *r = rig_new();

	r->endpoints[0].healthy = false;
	rig_start(r);
	rig_client_says(r, rig_client(r),
		"POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
		"content-length: 0\r\n\r\n");
	rig_assert_begins(rig_client_got(r, 0), "HTTP/1.1 200 OK\r\n");
	rig_assert_has(r->text, "grpc-status: 14\r\n");
	rig_assert_has(r->text, "content-length: 0\r\n");
	assert_false(rig_client_closed(r, 0));
	rig_done(&r);
}

static void unavailable_is_tried_again(void)
{
	struct pair p = new_pair();
	const char *unavailable[] = {GRPC, "grpc-status", "14", NULL};
	const char *fine[] = {GRPC, "grpc-status", "0", NULL};
	struct peer_stream *s;

	p.r->route.retry = (struct retry_config){
		.attempts = 2, .on = RETRY_GRPC_UNAVAILABLE, .backoff_base_us = 25000};
	start(&p);
	s = peer_find(p.client, call_with(&p, call));
	peer_respond(p.endpoint, 1, "200", unavailable, -1);
	rig_pass_ms(p.r, 100);
	peer_pump(p.endpoint);
	assert_int_equal(peer_find(p.endpoint, 3)->body_len, 5);
	peer_respond(p.endpoint, 3, "200", fine, -1);
	peer_pump(p.client);
	rig_assert_has(s->head, "grpc-status: 0\n");
	assert_true(s->ended);
	done(&p);
}

TESTS(TEST(status_comes_in_trailers), TEST(messages_stream_both_ways_at_once),
	TEST(trailers_only_stays_so), TEST(replies_of_our_own_are_a_grpc_status),
	TEST(deadline_of_the_client_ends_the_call), TEST(each_status_has_its_grpc_status),
	TEST(deadlines_are_read_strictly_and_capped), TEST(policies_name_a_status_of_the_head),
	TEST(status_in_trailers_is_final), TEST(reply_over_http1_has_a_length),
	TEST(unavailable_is_tried_again))
