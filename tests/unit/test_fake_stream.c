// The fake stream is what other tests trust: its own contract.

#include "tests/fake_stream.h"
#include "tests/test_support.h"

struct watcher {
	unsigned events;
	unsigned n;
};

static void watch(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct watcher *w = owner;

	(void)s;
	(void)now_us;
	w->events |= events;
	w->n++;
}

static void bytes_travel_only_in_a_step_and_in_pieces(void)
{
	struct fake_pair *p = fake_pair_new();
	struct stream *a = fake_pair_end(p, 0), *b = fake_pair_end(p, 1);
	struct watcher w = {0};
	char out[8];

	stream_set_owner(b, watch, &w);
	fake_set_piece(b, 2);
	fake_put(a, BYTES("hello"));
	assert_int_equal(stream_readable(b), 0);
	assert_true(fake_pair_step(p, 0));
	assert_int_equal(stream_readable(b), 2);
	fake_pair_pump(p, 0);
	assert_int_equal(w.n, 3);
	assert_int_equal(stream_peek(b).len, 2);
	assert_int_equal(stream_peek_at(b, 4).len, 1);
	assert_int_equal(fake_take(b, out, sizeof(out)), 5);
	assert_memory_equal(out, "hello", 5);
	assert_false(stream_read_ended(b));
	stream_close(&a);
	fake_pair_pump(p, 0);
	assert_true(stream_read_ended(b));
	fake_pair_free(&p);
}

static void room_returns_when_the_peer_consumes(void)
{
	struct fake_pair *p = fake_pair_new();
	struct stream *a = fake_pair_end(p, 0), *b = fake_pair_end(p, 1);
	struct watcher w = {0};
	char out[8];

	stream_set_owner(a, watch, &w);
	fake_set_room(a, 4);
	assert_int_equal(stream_write(a, BYTES("hello"), false), 4);
	fake_pair_pump(p, 0);
	assert_int_equal(w.events, 0);
	assert_int_equal(stream_unsent(a), 4);
	assert_int_equal(fake_take(b, out, 3), 3);
	fake_pair_pump(p, 0);
	assert_int_equal(w.events, STREAM_WRITABLE);
	assert_int_equal(stream_room(a), 3);
	fake_pair_free(&p);
}

static void an_abort_resets_the_peer_once(void)
{
	struct fake_pair *p = fake_pair_new();
	struct stream *a = fake_pair_end(p, 0), *b = fake_pair_end(p, 1);
	struct watcher w = {0};

	stream_set_owner(b, watch, &w);
	stream_abort(&a);
	assert_null(a);
	fake_pair_pump(p, 0);
	assert_int_equal(w.events, STREAM_CLOSED);
	assert_int_equal(w.n, 1);
	assert_int_equal(stream_error(b), STREAM_ERROR_RESET);
	assert_int_equal(fake_pair_fate(p, 0), FAKE_ABORTED);
	fake_pair_free(&p);
}

TESTS(TEST(bytes_travel_only_in_a_step_and_in_pieces), TEST(room_returns_when_the_peer_consumes),
	TEST(an_abort_resets_the_peer_once))
