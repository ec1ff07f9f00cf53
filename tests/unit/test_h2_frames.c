// RFC 9113, sections 3 to 8, frame by frame: each way to break a rule, from a client and from an endpoint, and what comes of it:
// which error, of the stream or of the connection, and that the connection goes on where it has to.

#include "tests/h2_peer.h"

#define FRAMES 6
#define N_MANY 20

// GET / and POST / of http://shop.example
#define GET "\x82\x86\x84\x01\x0cshop.example"
#define CONNECT             \
	"\0\x07:method\x07" \
	"CONNECT"
#define PROTOCOL  "\0\x09:protocol\x09websocket"
#define POST_HEAD "\x83\x86\x84\x01\x0cshop.example"

struct frame {
	int type; // -1: text, as it is
	uint8_t flags;
	uint32_t id;
	const char *payload; // NULL: zeros
	size_t len;
	unsigned times; // 0: once
};

enum outcome {
	GOES_ON_,
	CLOSES_,
	RESETS_,
	ENDS_,
};

struct frame_case {
	const char *section;
	const char *what;
	struct frame frames[FRAMES];
	struct {
		enum outcome what;
		uint32_t id;
		uint32_t code;
	} outcome;
	int status;
};

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION,
};

#define UNPACK(...)         \
	{                   \
		__VA_ARGS__ \
	}
#define F(type, flags, id, text)                           \
	{                                                  \
		type, flags, id, text, sizeof(text) - 1, 1 \
	}
#define Z(type, flags, id, n)               \
	{                                   \
		type, flags, id, NULL, n, 1 \
	}
#define T(text)                                     \
	{                                           \
		-1, 0, 0, text, sizeof(text) - 1, 1 \
	}
#define MANY(type, flags, id, text)                             \
	{                                                       \
		type, flags, id, text, sizeof(text) - 1, N_MANY \
	}
#define REQUEST  F(HEADERS, 5, 1, GET)
#define POST     F(HEADERS, 4, 1, POST_HEAD)
#define RESPONSE F(HEADERS, 4, 1, "\x88")
#define OK       F(HEADERS, 5, 1, "\x88")
#define GOES_ON                \
	{                      \
		GOES_ON_, 0, 0 \
	}
#define CLOSES                \
	{                     \
		CLOSES_, 0, 0 \
	}
#define RESETS(id, code)                    \
	{                                   \
		RESETS_, id, NGHTTP2_##code \
	}
#define ENDS(code)                       \
	{                                \
		ENDS_, 0, NGHTTP2_##code \
	}

// clang-format off
static const struct frame_case from_clients[] = {
#define CLIENT_CASE(section, what, frames, outcome) {section, what, UNPACK frames, outcome, 0},
#include "tests/unit/h2_frame_cases.def"
};

static const struct frame_case from_endpoints[] = {
#define ENDPOINT_CASE(section, what, frames, outcome, status) {section, what, UNPACK frames, outcome, status},
#include "tests/unit/h2_frame_cases.def"
};
// clang-format on

static unsigned n_wrong;

// All of them are wanted, not the first.
#define WRONG(...) (print_error(__VA_ARGS__), print_error("\n"), n_wrong++)

static void say(struct h2_peer *p, const struct frame_case *c)
{
	static const char zeros[1 << 15];

	for (unsigned i = 0; i < FRAMES && c->frames[i].times > 0; i++) {
		const struct frame *f = &c->frames[i];

		for (unsigned k = 0; k < f->times; k++) {
			if (f->type >= 0)
				peer_raw(p, (uint8_t)f->type, f->flags, f->id,
					f->payload != NULL ? f->payload : zeros, f->len);
			else
				fake_put(p->io, bytes_of(f->payload, f->len));
		}
		p->raw = true;
		peer_pump(p);
	}
}

static void judge(struct h2_peer *p, const struct frame_case *c, bool closed)
{
	const struct peer_stream *s;

	if (c->outcome.what == ENDS_) {
		if (p->n_goaways == 0 || p->goaway_code != c->outcome.code || !closed)
			WRONG("%s, %s: %u GOAWAYs with %u, not %u; closed: %d", c->section, c->what,
				p->n_goaways, p->goaway_code, c->outcome.code, closed);
		return;
	}
	if (p->n_goaways != 0 || closed != (c->outcome.what == CLOSES_))
		WRONG("%s, %s: GOAWAY with %u; closed: %d", c->section, c->what, p->goaway_code,
			closed);
	if (c->outcome.what == RESETS_) {
		s = peer_find(p, (int32_t)c->outcome.id);
		if (!s->reset || s->error_code != c->outcome.code)
			WRONG("%s, %s: reset %d with %u, not %u", c->section, c->what, s->reset,
				s->error_code, c->outcome.code);
	} else if (p->n_frames[NGHTTP2_RST_STREAM] != 0) {
		WRONG("%s, %s: a stream is reset", c->section, c->what);
	}
}

static void test_client(const struct frame_case *c)
{
	struct rig *r = rig_new();
	struct h2_peer *p;

	// So that the third stream is one too many.
	r->config.http.http2.max_concurrent_streams = 2;
	r->config.http.http2.max_early_resets = 1000;
	r->config.http.extended_connect = true;
	rig_start(r);
	p = peer_client(r);
	say(p, c);
	judge(p, c, rig_client_closed(r, 0));
	if (c->outcome.what != ENDS_ && c->outcome.what != CLOSES_) {
		struct peer_stream *s = peer_find(p, 101);
		unsigned n = r->n_upstreams;

		// The connection goes on. What is under way gets its answer.
		for (unsigned i = 0; i < n; i++) {
			if (!rig_upstream_closed(r, i))
				rig_upstream_says(r, i, "HTTP/1.1 204 No Content\r\n\r\n");
		}
		peer_raw(p, NGHTTP2_HEADERS, 5, 101, GET, sizeof(GET) - 1);
		peer_pump(p);
		for (unsigned i = 0; i < r->n_upstreams && !s->ended; i++) {
			if (!rig_upstream_closed(r, i))
				rig_upstream_says(r, i, "HTTP/1.1 204 No Content\r\n\r\n");
			peer_pump(p);
		}
		if (!s->ended)
			WRONG("%s, %s: the connection does not go on", c->section, c->what);
	} else {
		rig_assert_quiet(r);
	}
	peer_free(&p);
	rig_done(&r);
}

static void clients_break_rules(void)
{
	n_wrong = 0;
	for (unsigned i = 0; i < sizeof(from_clients) / sizeof(from_clients[0]); i++)
		test_client(&from_clients[i]);
	assert_int_equal(n_wrong, 0);
}

static void test_endpoint(const struct frame_case *c)
{
	struct rig *r = rig_new();
	struct h2_peer *e;
	char begin[16];

	r->cluster.protocol = CLUSTER_HTTP_2;
	rig_start(r);
	rig_client_says(r, rig_client(r), "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
	e = peer_new(r, rig_upstream_stream(r, 0), true, 100, 65535);
	say(e, c);
	judge(e, c, rig_upstream_closed(r, 0));
	snprintf(begin, sizeof(begin), "HTTP/1.1 %d ", c->status);
	rig_client_got(r, 0);
	if (strncmp(r->text, begin, strlen(begin)) != 0)
		WRONG("%s, %s: the client got: %s", c->section, c->what, r->text);
	if (c->outcome.what == RESETS_ && c->status == 200 && !rig_client_closed(r, 0))
		WRONG("%s, %s: the answer is not cut", c->section, c->what);
	if (c->outcome.what != ENDS_) {
		unsigned other = rig_client(r);

		rig_client_says(r, other, "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
		peer_pump(e);
		peer_raw(e, NGHTTP2_HEADERS, 5, 3, "\x88", 1);
		peer_pump(e);
		rig_assert_begins(rig_client_got(r, other), "HTTP/1.1 200 ");
		assert_int_equal(r->n_upstreams, 1);
	}
	rig_assert_quiet(r);
	peer_free(&e);
	rig_done(&r);
}

static void endpoints_break_rules(void)
{
	n_wrong = 0;
	for (unsigned i = 0; i < sizeof(from_endpoints) / sizeof(from_endpoints[0]); i++)
		test_endpoint(&from_endpoints[i]);
	assert_int_equal(n_wrong, 0);
}

TESTS(TEST(clients_break_rules), TEST(endpoints_break_rules))
