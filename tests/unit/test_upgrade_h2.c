// WebSocket where one side or both speak HTTP/2 (RFC 8441): the same tunnel in every pairing, and what is not let through.

#include "router/websocket.h"
#include "tests/h2_peer.h"

#define ASK                                                                            \
	"GET /chat HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: " \
	"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "                \
	"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

// A tunnel between a client and an endpoint, each of either version. NULL: HTTP/1.1.
struct tunnel {
	struct rig *r;
	unsigned client;
	unsigned endpoint;
	struct h2_peer *down;
	struct h2_peer *up;
	int32_t down_id;
	int32_t up_id;
	size_t down_taken; // of what the peer noted
	size_t up_taken;
	char text[2048];
};

enum pairing {
	H2_TO_H1,
	H1_TO_H2,
	H2_TO_H2,
	N_PAIRINGS,
};

static bool is_h2_down(enum pairing p)
{
	return p != H1_TO_H2;
}

static bool is_h2_up(enum pairing p)
{
	return p != H2_TO_H1;
}

static struct h2_peer *endpoint_new(struct rig *r, unsigned u, bool takes_connect)
{
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,  100          },
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, takes_connect},
	};

	return peer_new_with(r, rig_upstream_stream(r, u), true, settings, takes_connect ? 2 : 1);
}

static int32_t connect_as(struct h2_peer *p, const char *protocol, const char *const *fields)
{
	nghttp2_nv nv[16] = {peer_nv(":method", "CONNECT"), peer_nv(":protocol", protocol),
		peer_nv(":scheme", "http"), peer_nv(":authority", "shop.example"),
		peer_nv(":path", "/chat")};
	nghttp2_data_provider provider = {.read_callback = peer_read};
	size_t n = 5;
	int32_t id;

	for (; fields != NULL && *fields != NULL; fields += 2)
		nv[n++] = peer_nv(fields[0], fields[1]);
	p->upload_open = true;
	p->upload_left = 0;
	id = nghttp2_submit_request(p->ng, NULL, nv, n, &provider, NULL);
	assert_true(id > 0);
	peer_pump(p);
	return id;
}

static struct tunnel *tunnel_new(enum pairing pairing)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->r = rig_new();
	t->r->config.http.extended_connect = true;
	t->r->cluster.protocol = is_h2_up(pairing) ? CLUSTER_HTTP_2 : CLUSTER_HTTP_1;
	return t;
}

// Everything that waits moves.
static void pump(struct tunnel *t)
{
	for (unsigned i = 0; i < 3; i++) {
		rig_pump(t->r);
		if (t->down != NULL)
			peer_pump(t->down);
		if (t->up != NULL)
			peer_pump(t->up);
	}
}

static void ask(struct tunnel *t, enum pairing pairing)
{
	static const char *const fields[] = {"sec-websocket-version", "13", "origin", "me", NULL};

	rig_start(t->r);
	if (is_h2_down(pairing)) {
		t->down = peer_client(t->r);
		t->client = t->r->n_clients - 1;
		assert_int_equal(nghttp2_session_get_remote_settings(
					 t->down->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL),
			1);
		t->down_id = connect_as(t->down, "websocket", fields);
	} else {
		t->client = rig_client(t->r);
		rig_client_says(t->r, t->client, ASK);
	}
	if (is_h2_up(pairing) && t->r->connect == RIG_ACCEPTS) {
		t->up = endpoint_new(t->r, 0, true);
		pump(t);
		t->up_id = t->up->streams[0].id;
	}
}

// Switches as the key in the request, which is in 'text', asks for.
static void switch_protocols(struct tunnel *t, const char *text, const char *behind)
{
	const char *key = strstr(text, "sec-websocket-key: ");
	struct http_fields request = {.n = 0}, response = {.n = 0};
	struct arena arena;
	struct pool chunks;
	char answer[512];

	assert_non_null(key);
	key += strlen("sec-websocket-key: ");
	assert_int_equal(strcspn(key, "\r"), WEBSOCKET_KEY_LEN);
	assert_true(http_field_add(
		&request, BYTES("sec-websocket-key"), bytes_of(key, WEBSOCKET_KEY_LEN)));
	assert_int_equal(arena_chunk_pool_init(&chunks, "test", 1), 0);
	arena_init(&arena, &chunks, 1);
	assert_true(websocket_set_accept(&response, &request, &arena));
	snprintf(answer, sizeof(answer), SWITCH "Sec-WebSocket-Accept: %.*s\r\n\r\n%s",
		(int)WEBSOCKET_ACCEPT_LEN, (const char *)response.at[0].value.ptr, behind);
	arena_reset(&arena);
	pool_fini(&chunks);
	rig_upstream_says(t->r, t->endpoint, answer);
}

static void switch_up(struct tunnel *t)
{
	if (t->up == NULL) {
		switch_protocols(t, rig_upstream_got(t->r, 0), "");
	} else {
		t->up->upload_open = true;
		peer_respond(t->up, t->up_id, "200", NULL, 0);
	}
	pump(t);
}

// Nothing is said in it yet.
static struct tunnel *tunnel_open(enum pairing pairing)
{
	struct tunnel *t = tunnel_new(pairing);

	ask(t, pairing);
	switch_up(t);
	if (t->down == NULL)
		rig_assert_begins(
			rig_client_got(t->r, t->client), "HTTP/1.1 101 Switching Protocols\r\n");
	else
		rig_assert_begins(peer_find(t->down, t->down_id)->head, ":status: 200\n");
	assert_int_equal(rig_hcm(t->r)->downstream_cx_upgrades_active, 1);
	return t;
}

static void tunnel_free(struct tunnel **tp)
{
	struct tunnel *t = *tp;

	*tp = NULL;
	assert_int_equal(rig_hcm(t->r)->downstream_cx_upgrades_active, 0);
	rig_assert_quiet(t->r);
	if (t->down != NULL)
		peer_free(&t->down);
	if (t->up != NULL)
		peer_free(&t->up);
	rig_done(&t->r);
	free(t);
}

static void peer_says(struct h2_peer *p, int32_t id, const char *text, bool end)
{
	p->upload = text;
	p->upload_left = strlen(text);
	p->upload_open = !end;
	nghttp2_session_resume_data(p->ng, id);
	peer_pump(p);
}

static void down_says(struct tunnel *t, const char *text)
{
	if (t->down != NULL)
		peer_says(t->down, t->down_id, text, false);
	else
		rig_client_says(t->r, t->client, text);
	pump(t);
}

static void up_says(struct tunnel *t, const char *text)
{
	if (t->up != NULL)
		peer_says(t->up, t->up_id, text, false);
	else
		rig_upstream_says(t->r, 0, text);
	pump(t);
}

static void down_ends(struct tunnel *t)
{
	if (t->down != NULL)
		peer_says(t->down, t->down_id, "", true);
	else
		stream_shutdown(rig_client_stream(t->r, t->client));
	pump(t);
}

static void up_ends(struct tunnel *t)
{
	if (t->up != NULL)
		peer_says(t->up, t->up_id, "", true);
	else
		stream_shutdown(rig_upstream_stream(t->r, 0));
	pump(t);
}

// What was noted since the last call.
static const char *peer_got(struct tunnel *t, struct peer_stream *s, size_t *taken)
{
	snprintf(t->text, sizeof(t->text), "%.*s", (int)(s->body_len - *taken), s->body + *taken);
	*taken = s->body_len;
	return t->text;
}

static const char *down_got(struct tunnel *t)
{
	return t->down != NULL ? peer_got(t, peer_find(t->down, t->down_id), &t->down_taken)
			       : rig_client_got(t->r, t->client);
}

static const char *up_got(struct tunnel *t)
{
	return t->up != NULL ? peer_got(t, peer_find(t->up, t->up_id), &t->up_taken)
			     : rig_upstream_got(t->r, 0);
}

static bool down_sees_end(struct tunnel *t)
{
	return t->down != NULL ? peer_find(t->down, t->down_id)->ended
			       : stream_read_ended(rig_client_stream(t->r, t->client));
}

static bool up_sees_end(struct tunnel *t)
{
	return t->up != NULL ? peer_find(t->up, t->up_id)->ended
			     : stream_read_ended(rig_upstream_stream(t->r, 0));
}

static void down_resets(struct tunnel *t)
{
	if (t->down != NULL)
		nghttp2_submit_rst_stream(
			t->down->ng, NGHTTP2_FLAG_NONE, t->down_id, NGHTTP2_CANCEL);
	else
		fake_fail(fake_pair_end(t->r->clients[t->client], 0), STREAM_ERROR_RESET);
	pump(t);
}

static void up_resets(struct tunnel *t)
{
	if (t->up != NULL)
		nghttp2_submit_rst_stream(t->up->ng, NGHTTP2_FLAG_NONE, t->up_id, NGHTTP2_CANCEL);
	else
		fake_fail(fake_pair_end(t->r->upstreams[0], 0), STREAM_ERROR_RESET);
	pump(t);
}

static void assert_down_reset(struct tunnel *t)
{
	struct peer_stream *s;

	if (t->down == NULL) {
		assert_int_equal(fake_pair_fate(t->r->clients[t->client], 0), FAKE_ABORTED);
		return;
	}
	s = peer_find(t->down, t->down_id);
	assert_true(s->reset);
	assert_int_equal(s->error_code, NGHTTP2_CANCEL);
	assert_int_equal(t->down->n_goaways, 0);
}

static void assert_up_reset(struct tunnel *t)
{
	struct peer_stream *s;

	if (t->up == NULL) {
		assert_int_equal(fake_pair_fate(t->r->upstreams[0], 0), FAKE_ABORTED);
		return;
	}
	s = peer_find(t->up, t->up_id);
	assert_true(s->reset);
	assert_int_equal(s->error_code, NGHTTP2_CANCEL);
	assert_int_equal(t->up->n_goaways, 0);
}

// --- the handshake

static void accept_is_that_of_the_rfc(void)
{
	struct http_fields request = {.n = 0}, response = {.n = 0};
	struct arena arena;
	struct pool chunks;
	uint8_t key[WEBSOCKET_KEY_LEN];

	assert_int_equal(arena_chunk_pool_init(&chunks, "test", 1), 0);
	arena_init(&arena, &chunks, 1);
	assert_true(http_field_add(&response, BYTES("sec-websocket-accept"), BYTES("else")));
	assert_true(websocket_set_accept(&response, &request, &arena));
	assert_int_equal(response.n, 0);
	assert_false(websocket_is_accepted(&response, &request));
	http_field_add(&request, BYTES("sec-websocket-key"), BYTES("dGhlIHNhbXBsZSBub25jZQ=="));
	assert_false(websocket_is_accepted(&response, &request));
	assert_true(websocket_set_accept(&response, &request, &arena));
	assert_true(bytes_equal(response.at[0].value, BYTES("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
	assert_true(websocket_is_accepted(&response, &request));
	http_field_add(&response, BYTES("sec-websocket-accept"), response.at[0].value);
	assert_false(websocket_is_accepted(&response, &request));
	websocket_key((const uint64_t[2]){0, 0}, key);
	assert_memory_equal(key, "AAAAAAAAAAAAAAAAAAAAAA==", sizeof(key));
	arena_reset(&arena);
	pool_fini(&chunks);
}

static void connect_becomes_an_upgrade(void)
{
	static const char *const fields[] = {
		"sec-websocket-key", "bXkgb3duIGJhZCBrZXkgISE=", "content-length", "0", NULL};
	struct tunnel *t = tunnel_new(H2_TO_H1);
	struct peer_stream *s;

	rig_start(t->r);
	t->down = peer_client(t->r);
	t->down_id = connect_as(t->down, "WebSocket", fields);
	rig_upstream_got(t->r, 0);
	rig_assert_begins(t->r->text, "GET /chat HTTP/1.1\r\nhost: shop.example\r\n");
	rig_assert_has(t->r->text, "\r\nupgrade: WebSocket\r\n");
	rig_assert_has(t->r->text, "\r\nconnection: upgrade\r\n");
	rig_assert_not(t->r->text, "bXkgb3duIGJhZCBrZXkgISE=");
	rig_assert_not(t->r->text, "content-length");
	rig_assert_not(t->r->text, "transfer-encoding");
	switch_protocols(t, t->r->text, "hi");
	peer_pump(t->down);
	s = peer_find(t->down, t->down_id);
	rig_assert_begins(s->head, ":status: 200\n");
	rig_assert_has(s->head, "server: istio-envoy\n");
	rig_assert_not(s->head, "upgrade");
	rig_assert_not(s->head, "connection");
	rig_assert_not(s->head, "accept");
	assert_string_equal(s->body, "hi");
	assert_false(s->ended);
	up_ends(t);
	down_ends(t);
	rig_assert_log(t->r, "101 - via_upstream 0 2");
	tunnel_free(&t);
}

static void upgrade_becomes_a_connect(void)
{
	struct tunnel *t = tunnel_new(H1_TO_H2);
	static const char *const fields[] = {"sec-websocket-protocol", "chat",
		"sec-websocket-accept", "wrong", "content-length", "0", NULL};
	const char *head;

	ask(t, H1_TO_H2);
	head = peer_find(t->up, t->up_id)->head;
	rig_assert_has(head, ":method: CONNECT\n");
	rig_assert_has(head, ":protocol: websocket\n");
	rig_assert_has(head, ":path: /chat\n");
	rig_assert_has(head, ":scheme: http\n");
	rig_assert_has(head, ":authority: shop.example\n");
	rig_assert_has(head, "sec-websocket-version: 13\n");
	rig_assert_not(head, "sec-websocket-key");
	rig_assert_not(head, "upgrade");
	assert_false(peer_find(t->up, t->up_id)->ended);
	t->up->upload_open = true;
	peer_respond(t->up, t->up_id, "200", fields, 0);
	rig_client_got(t->r, t->client);
	rig_assert_begins(t->r->text, "HTTP/1.1 101 Switching Protocols\r\n");
	rig_assert_has(t->r->text, "\r\nupgrade: websocket\r\n");
	rig_assert_has(t->r->text, "\r\nconnection: upgrade\r\n");
	rig_assert_has(t->r->text, "\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
	rig_assert_has(t->r->text, "\r\nsec-websocket-protocol: chat\r\n");
	rig_assert_not(t->r->text, "wrong");
	rig_assert_not(t->r->text, "content-length");
	up_ends(t);
	down_ends(t);
	rig_assert_log(t->r, "101 - via_upstream 0 0");
	tunnel_free(&t);
}

// --- the tunnel

static void bytes_pass_both_ways_and_each_side_ends_by_itself(void)
{
	for (enum pairing p = 0; p < N_PAIRINGS; p++) {
		struct tunnel *t = tunnel_open(p);

		rig_assert_no_log(t->r);
		down_says(t, "hello");
		assert_string_equal(up_got(t), "hello");
		up_says(t, "welcome");
		assert_string_equal(down_got(t), "welcome");
		down_ends(t);
		assert_true(up_sees_end(t));
		assert_false(down_sees_end(t));
		up_says(t, "bye");
		assert_string_equal(down_got(t), "bye");
		rig_assert_no_log(t->r);
		up_ends(t);
		assert_true(down_sees_end(t));
		rig_assert_log(t->r, "101 - via_upstream 5 10");
		tunnel_free(&t);
		t = tunnel_open(p);
		up_says(t, "last words");
		up_ends(t);
		assert_string_equal(down_got(t), "last words");
		assert_true(down_sees_end(t));
		down_says(t, "still here");
		assert_string_equal(up_got(t), "still here");
		down_ends(t);
		assert_true(up_sees_end(t));
		rig_assert_log(t->r, "101 - via_upstream 10 10");
		tunnel_free(&t);
	}
}

// CVE-2026-2833, CVE-2025-64763: what comes before the switch waits for it, or goes nowhere.
static void early_bytes_are_held_until_the_switch(void)
{
	for (enum pairing p = 0; p < N_PAIRINGS; p++) {
		for (unsigned switches = 0; switches < 2; switches++) {
			struct tunnel *t = tunnel_new(p);

			ask(t, p);
			down_says(t, "early");
			down_ends(t);
			rig_assert_no_log(t->r);
			if (t->up != NULL)
				assert_int_equal(peer_find(t->up, t->up_id)->body_len, 0);
			if (switches) {
				switch_up(t);
				assert_string_equal(up_got(t), "early");
				assert_true(up_sees_end(t));
				up_ends(t);
				rig_assert_log(t->r, "101 - via_upstream 5 0");
			} else if (t->up != NULL) {
				peer_respond(t->up, t->up_id, "403", NULL, 2);
				pump(t);
				assert_string_equal(up_got(t), "");
				rig_assert_log(t->r, "403 - via_upstream 0 2");
			} else {
				rig_assert_not(up_got(t), "early");
				up_says(t, "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
				assert_string_equal(up_got(t), "");
				rig_assert_log(t->r, "403 - via_upstream 0 2");
			}
			tunnel_free(&t);
		}
	}
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 9));
}

// A way through the tunnel, of bytes as byte_at() says, that is read in small portions.
struct way {
	struct stream *from; // HTTP/1.1 if not NULL
	struct stream *to;   // likewise
	size_t sent;
	size_t got;
};

static uint8_t block[1 << 20];

static void way_move(struct way *w, struct rig *r)
{
	static uint8_t got[4000];
	size_t n;

	if (w->from != NULL)
		w->sent += stream_write(
			w->from, bytes_of(block + w->sent, sizeof(block) - w->sent), false);
	rig_pump(r);
	if (w->to == NULL)
		return;
	n = fake_take(w->to, got, sizeof(got));
	assert_memory_equal(got, block + w->got, n);
	w->got += n;
}

static void upload_block(struct h2_peer *p, int32_t id)
{
	p->upload = (const char *)block;
	p->upload_left = sizeof(block);
	p->upload_open = false;
	nghttp2_session_resume_data(p->ng, id);
}

// A megabyte each way at the same time, through windows of 64 KiB and streams that take a little.
static void a_megabyte_each_way_passes_slow_readers(void)
{
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = byte_at(i);
	for (enum pairing p = 0; p < N_PAIRINGS; p++) {
		struct tunnel *t = tunnel_new(p);
		struct way up = {0}, down = {0};

		t->r->upstream_room = is_h2_up(p) ? 0 : 3000;
		ask(t, p);
		switch_up(t);
		down_got(t);
		if (t->down == NULL)
			up.from = down.to = rig_client_stream(t->r, t->client);
		else
			upload_block(t->down, t->down_id);
		if (t->up == NULL)
			up.to = down.from = rig_upstream_stream(t->r, 0);
		else
			upload_block(t->up, t->up_id);
		for (;;) {
			way_move(&up, t->r);
			way_move(&down, t->r);
			pump(t);
			if (t->up != NULL)
				up.got = peer_find(t->up, t->up_id)->body_len;
			if (t->down != NULL)
				down.got = peer_find(t->down, t->down_id)->body_len;
			if (up.got == sizeof(block) && down.got == sizeof(block))
				break;
			rig_assert_no_log(t->r);
		}
		if (t->down == NULL)
			down_ends(t);
		if (t->up == NULL)
			up_ends(t);
		pump(t);
		rig_assert_log(t->r, "101 - via_upstream 1048576 1048576");
		tunnel_free(&t);
	}
}

// One side stalls: the other is pushed back after what fits in between, and its opposite direction goes on.
static void a_stalled_direction_pushes_back_alone(void)
{
	for (enum pairing p = 0; p < N_PAIRINGS; p++) {
		struct tunnel *t = tunnel_new(p);
		size_t left;

		t->r->upstream_room = 3000;
		ask(t, p);
		switch_up(t);
		down_got(t);
		if (t->up != NULL)
			t->up->reading = false; // no window is given back
		if (t->down != NULL) {
			upload_block(t->down, t->down_id);
			pump(t);
			left = t->down->upload_left;
		} else {
			size_t sent = 0, n;

			do {
				n = stream_write(rig_client_stream(t->r, t->client),
					bytes_of(block, sizeof(block)), false);
				sent += n;
				pump(t);
			} while (n > 0);
			left = sizeof(block) - sent;
		}
		assert_true(left > sizeof(block) / 2);
		up_says(t, "go on");
		assert_string_equal(down_got(t), "go on");
		down_resets(t);
		assert_up_reset(t);
		tunnel_free(&t);
	}
}

enum stage {
	ASKED,
	OPEN,
	DOWN_ENDED,
	UP_ENDED,
	N_STAGES,
};

static struct tunnel *reach(enum pairing p, enum stage stage)
{
	struct tunnel *t;

	if (stage == ASKED) {
		t = tunnel_new(p);
		ask(t, p);
		return t;
	}
	t = tunnel_open(p);
	if (stage == DOWN_ENDED)
		down_ends(t);
	if (stage == UP_ENDED)
		up_ends(t);
	return t;
}

static void client_resets_at_every_stage(void)
{
	for (enum pairing p = 0; p < N_PAIRINGS; p++) {
		for (enum stage s = 0; s < N_STAGES; s++) {
			struct tunnel *t = reach(p, s);
			char log[80];

			down_resets(t);
			snprintf(log, sizeof(log), "%s %s 0 0", s == ASKED ? "0" : "101",
				is_h2_down(p) ? "DR http2.remote_reset"
					      : "DC downstream_remote_disconnect");
			rig_assert_log(t->r, log);
			assert_up_reset(t);
			if (is_h2_down(p))
				assert_false(rig_client_closed(t->r, t->client));
			tunnel_free(&t);
		}
	}
}

static void endpoint_resets_at_every_stage(void)
{
	for (enum pairing p = 0; p < N_PAIRINGS; p++) {
		for (enum stage s = OPEN; s < N_STAGES; s++) {
			struct tunnel *t = reach(p, s);

			up_resets(t);
			rig_assert_log(t->r,
				is_h2_up(p)
					? "101 UR "
					  "upstream_reset_after_response_started{remote_reset} 0 0"
					: "101 UC "
					  "upstream_reset_after_response_started{connection_"
					  "termination} 0 0");
			assert_down_reset(t);
			if (is_h2_up(p))
				assert_false(rig_upstream_closed(t->r, 0));
			tunnel_free(&t);
		}
	}
}

// Tunnels of a connection that is gone, either way.
static void a_lost_connection_ends_its_tunnels(void)
{
	for (enum pairing p = 0; p < N_PAIRINGS; p++) {
		for (enum stage s = OPEN; s < N_STAGES; s++) {
			struct tunnel *t = reach(p, s);

			fake_fail(fake_pair_end(t->r->clients[t->client], 0), STREAM_ERROR_RESET);
			pump(t);
			rig_assert_log(t->r, "101 DC downstream_remote_disconnect 0 0");
			assert_up_reset(t);
			tunnel_free(&t);
			t = reach(p, s);
			fake_fail(fake_pair_end(t->r->upstreams[0], 0), STREAM_ERROR_RESET);
			pump(t);
			rig_assert_log(t->r,
				"101 UC "
				"upstream_reset_after_response_started{connection_termination} 0 "
				"0");
			assert_down_reset(t);
			tunnel_free(&t);
		}
	}
}

// RFC 9113, 8.5: nothing but DATA belongs into a tunnel.
static void trailers_break_a_tunnel(void)
{
	struct tunnel *t = tunnel_open(H2_TO_H2);
	nghttp2_nv nv = peer_nv("x", "y");

	nghttp2_submit_trailer(t->down->ng, t->down_id, &nv, 1);
	nghttp2_session_resume_data(t->down->ng, t->down_id);
	t->down->upload_trailers = true;
	peer_says(t->down, t->down_id, "", true);
	pump(t);
	assert_true(peer_find(t->down, t->down_id)->reset);
	assert_int_equal(peer_find(t->down, t->down_id)->error_code, NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(t->down->n_goaways, 0);
	assert_up_reset(t);
	assert_int_equal(t->r->stats.h2_messaging_errors, 1);
	tunnel_free(&t);
	t = tunnel_open(H2_TO_H2);
	t->up->upload_trailers = true;
	peer_says(t->up, t->up_id, "", true);
	pump(t);
	assert_int_equal(peer_find(t->up, t->up_id)->error_code, NGHTTP2_PROTOCOL_ERROR);
	assert_down_reset(t);
	tunnel_free(&t);
}

// --- what is refused

static void other_protocols_are_refused(void)
{
	static const char *const protocols[] = {"connect-udp", "websocket, x", "HTTP/2.0"};
	struct tunnel *t = tunnel_new(H2_TO_H1);

	rig_start(t->r);
	t->down = peer_client(t->r);
	for (unsigned i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		int32_t id = connect_as(t->down, protocols[i], NULL);
		struct peer_stream *s = peer_find(t->down, id);

		rig_assert_begins(s->head, ":status: 403\n");
		assert_true(s->ended);
		assert_int_equal(t->down->n_goaways, 0);
		rig_assert_log(t->r, "403 - upgrade_failed 0 0");
		assert_int_equal(rig_hcm(t->r)->downstream_rq_ws_on_non_ws_route, i + 1);
	}
	assert_int_equal(t->r->n_upstreams, 0);
	assert_int_equal(rig_hcm(t->r)->downstream_cx_upgrades_total, 0);
	tunnel_free(&t);
}

static void a_body_of_the_handshake_is_refused(void)
{
	static const char *const fields[] = {"content-length", "3", NULL};
	struct tunnel *t = tunnel_new(H2_TO_H1);

	rig_start(t->r);
	t->down = peer_client(t->r);
	t->down_id = connect_as(t->down, "websocket", fields);
	rig_assert_begins(peer_find(t->down, t->down_id)->head, ":status: 400\n");
	assert_int_equal(t->r->n_upstreams, 0);
	rig_assert_log(t->r, "400 DPE http2.violation.of.messaging.rule{length} 0 11");
	tunnel_free(&t);
}

static void it_is_not_offered_where_it_is_off(void)
{
	struct tunnel *t = tunnel_new(H2_TO_H1);

	t->r->config.http.extended_connect = false;
	rig_start(t->r);
	t->down = peer_client(t->r);
	assert_int_equal(nghttp2_session_get_remote_settings(
				 t->down->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL),
		0);
	t->down_id = connect_as(t->down, "websocket", NULL);
	assert_true(peer_find(t->down, t->down_id)->reset);
	assert_int_equal(peer_find(t->down, t->down_id)->error_code, NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(t->r->n_upstreams, 0);
	tunnel_free(&t);
}

// RFC 6455, 4.1: an endpoint that does not know our key does not speak WebSocket.
static void a_wrong_accept_is_no_switch(void)
{
	static const char *const accepts[] = {"", "Sec-WebSocket-Accept: \r\n",
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"};

	for (unsigned i = 0; i < sizeof(accepts) / sizeof(accepts[0]); i++) {
		struct tunnel *t = tunnel_new(H2_TO_H1);
		char answer[256];

		ask(t, H2_TO_H1);
		snprintf(answer, sizeof(answer), SWITCH "%s\r\n", accepts[i]);
		up_says(t, answer);
		rig_assert_begins(peer_find(t->down, t->down_id)->head, ":status: 502\n");
		assert_true(rig_upstream_closed(t->r, 0));
		assert_int_equal(rig_cluster_stats(t->r)->upstream_cx_protocol_error, 1);
		tunnel_free(&t);
	}
}

static void other_answers_pass_as_they_are(void)
{
	for (enum pairing p = H1_TO_H2; p < N_PAIRINGS; p++) {
		struct tunnel *t = tunnel_new(p);

		ask(t, p);
		peer_respond(t->up, t->up_id, "404", NULL, 2);
		pump(t);
		if (t->down == NULL) {
			rig_client_got(t->r, t->client);
			rig_assert_begins(t->r->text, "HTTP/1.1 404 Not Found\r\n");
			rig_assert_has(t->r->text, "\r\nconnection: close\r\n");
		} else {
			rig_assert_begins(peer_find(t->down, t->down_id)->head, ":status: 404\n");
			assert_int_equal(peer_find(t->down, t->down_id)->body_len, 2);
		}
		rig_assert_log(t->r, "404 - via_upstream 0 2");
		tunnel_free(&t);
	}
}

// RFC 8441, 3: an endpoint that did not say that it takes the method is not asked, and before it has said anything neither.
static void an_endpoint_without_it_is_not_asked(void)
{
	for (enum pairing p = H1_TO_H2; p < N_PAIRINGS; p++) {
		struct tunnel *t = tunnel_new(p);

		t->r->connect = RIG_HANGS;
		ask(t, p);
		fake_connected(fake_pair_end(t->r->upstreams[0], 0));
		pump(t);
		rig_assert_no_log(t->r);
		t->up = endpoint_new(t->r, 0, false);
		pump(t);
		assert_int_equal(t->up->n_frames[NGHTTP2_HEADERS], 0);
		rig_assert_log(t->r,
			"502 UPE upstream_reset_before_response_started{no_connect_protocol} 0 107");
		assert_int_equal(rig_cluster_stats(t->r)->upstream_cx_protocol_error, 0);
		assert_false(rig_upstream_closed(t->r, 0));
		tunnel_free(&t);
	}
}

// Where the client's version decides, the endpoint is asked in HTTP/1.1 then.
static void an_endpoint_of_both_versions_is_asked_by_http_1(void)
{
	struct tunnel *t = tunnel_new(H2_TO_H2);

	t->r->connect = RIG_HANGS;
	t->r->cluster.protocol = CLUSTER_PROTOCOL_CLIENTS;
	ask(t, H2_TO_H2);
	t->r->connect = RIG_ACCEPTS;
	fake_connected(fake_pair_end(t->r->upstreams[0], 0));
	pump(t);
	t->up = endpoint_new(t->r, 0, false);
	pump(t);
	assert_int_equal(t->r->n_upstreams, 2);
	t->endpoint = 1;
	switch_protocols(t, rig_upstream_got(t->r, 1), "");
	peer_pump(t->down);
	rig_assert_begins(peer_find(t->down, t->down_id)->head, ":status: 200\n");
	rig_upstream_says(t->r, 1, "hi");
	peer_pump(t->down);
	assert_string_equal(peer_find(t->down, t->down_id)->body, "hi");
	stream_shutdown(rig_upstream_stream(t->r, 1));
	down_ends(t);
	rig_assert_log(t->r, "101 - via_upstream 0 2");
	tunnel_free(&t);
}

static void a_lost_connection_fails_what_waits_for_its_settings(void)
{
	struct tunnel *t = tunnel_new(H1_TO_H2);

	t->r->connect = RIG_HANGS;
	ask(t, H1_TO_H2);
	t->r->connect = RIG_ACCEPTS;
	fake_connected(fake_pair_end(t->r->upstreams[0], 0));
	rig_pump(t->r);
	fake_fail(fake_pair_end(t->r->upstreams[0], 0), STREAM_ERROR_RESET);
	pump(t);
	rig_assert_log(
		t->r, "503 UC upstream_reset_before_response_started{connection_termination} 0 95");
	tunnel_free(&t);
}

// Clients that end their tunnels by a reset, as browsers do when a page goes, are no rapid resetters.
static void resets_of_tunnels_are_no_flood(void)
{
	struct tunnel *t = tunnel_new(H2_TO_H2);

	t->r->config.http.http2.max_early_resets = 3;
	ask(t, H2_TO_H2);
	for (unsigned i = 0; i < 10; i++) {
		t->up_id = t->up->streams[i].id;
		switch_up(t);
		down_resets(t);
		rig_assert_log(t->r, "101 DR http2.remote_reset 0 0");
		if (i < 9)
			t->down_id = connect_as(t->down, "websocket", NULL);
		pump(t);
	}
	assert_int_equal(t->down->n_goaways, 0);
	tunnel_free(&t);
}

static void a_drain_lets_tunnels_be_until_its_end(void)
{
	for (enum pairing p = 0; p < N_PAIRINGS; p++) {
		struct tunnel *t = tunnel_open(p);

		router_worker_drain(t->r->worker, 100000, t->r->now_us);
		rig_pass_ms(t->r, 200);
		pump(t);
		down_says(t, "still");
		assert_string_equal(up_got(t), "still");
		assert_int_equal(router_worker_abort_all(t->r->worker, t->r->now_us), 1);
		pump(t);
		rig_assert_log(t->r, "101 DC downstream_local_disconnect(drained) 5 0");
		tunnel_free(&t);
	}
}

TESTS(TEST(accept_is_that_of_the_rfc), TEST(connect_becomes_an_upgrade),
	TEST(upgrade_becomes_a_connect), TEST(bytes_pass_both_ways_and_each_side_ends_by_itself),
	TEST(early_bytes_are_held_until_the_switch), TEST(a_megabyte_each_way_passes_slow_readers),
	TEST(a_stalled_direction_pushes_back_alone), TEST(client_resets_at_every_stage),
	TEST(endpoint_resets_at_every_stage), TEST(a_lost_connection_ends_its_tunnels),
	TEST(trailers_break_a_tunnel), TEST(other_protocols_are_refused),
	TEST(a_body_of_the_handshake_is_refused), TEST(it_is_not_offered_where_it_is_off),
	TEST(a_wrong_accept_is_no_switch), TEST(other_answers_pass_as_they_are),
	TEST(an_endpoint_without_it_is_not_asked),
	TEST(an_endpoint_of_both_versions_is_asked_by_http_1),
	TEST(a_lost_connection_fails_what_waits_for_its_settings),
	TEST(resets_of_tunnels_are_no_flood), TEST(a_drain_lets_tunnels_be_until_its_end))
