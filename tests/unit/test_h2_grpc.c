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
	TEST(deadline_of_the_client_ends_the_call), TEST(unavailable_is_tried_again))
