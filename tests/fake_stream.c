#include "tests/fake_stream.h"

#include "dataplane/base/list.h"

#include <assert.h>
#include <stdlib.h>

#define DEFAULT_ROOM   (64u << 10)
#define PUMP_MAX_STEPS 1000000u

struct byte_queue {
	uint8_t *memory;
	size_t start;
	size_t len;
	size_t cap;
};

struct fake_end {
	struct stream base;
	struct fake_end *peer;
	enum fake_fate fate;

	struct byte_queue out; // written, has not travelled
	struct byte_queue in;  // arrived, not consumed
	bool shut;             // our direction ends after 'out'
	bool fin_arrived;      // the peer's direction has ended
	bool over;             // failed or reset, the owner knows or will

	size_t room_max;
	size_t piece; // 0: no limit
	bool held;

	unsigned events;    // for the next step
	size_t wanted_room; // 0: not waiting for WRITABLE
};

struct fake_pair {
	struct fake_end ends[2];
};

static void queue_append(struct byte_queue *q, const uint8_t *bytes, size_t n)
{
	if (n == 0)
		return;
	if (q->start + q->len + n > q->cap) {
		// A new block each time, so that ASan sees who kept a pointer from peek().
		size_t cap = (q->len + n) * 2;
		uint8_t *memory = malloc(cap);

		assert(memory != NULL);
		if (q->len > 0)
			memcpy(memory, q->memory + q->start, q->len);
		free(q->memory);
		q->memory = memory;
		q->cap = cap;
		q->start = 0;
	}
	memcpy(q->memory + q->start + q->len, bytes, n);
	q->len += n;
}

static void queue_drop(struct byte_queue *q, size_t n)
{
	assert(n <= q->len);
	q->start += n;
	q->len -= n;
	if (q->len == 0)
		q->start = 0;
}

static struct fake_end *end_of(struct stream *s)
{
	struct fake_end *e = container_of(s, struct fake_end, base);

	assert(e->fate == FAKE_OPEN);
	return e;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static struct bytes fake_peek_at(struct stream *s, size_t skip)
{
	struct fake_end *e = end_of(s);
	size_t left;

	if (skip >= e->in.len)
		return (struct bytes){NULL, 0};
	left = e->in.len - skip;
	return bytes_of(
		e->in.memory + e->in.start + skip, e->piece != 0 ? min_size(left, e->piece) : left);
}

static struct bytes fake_peek(struct stream *s)
{
	return fake_peek_at(s, 0);
}

static void fake_consume(struct stream *s, size_t n)
{
	queue_drop(&end_of(s)->in, n);
}

static size_t fake_readable(struct stream *s)
{
	return end_of(s)->in.len;
}

static bool fake_read_ended(struct stream *s)
{
	struct fake_end *e = end_of(s);

	return e->fin_arrived && e->in.len == 0;
}

static bool fake_end_received(struct stream *s)
{
	return end_of(s)->fin_arrived;
}

static void fake_want_read(struct stream *s)
{
	end_of(s)->events |= STREAM_READABLE;
}

static size_t end_unsent(const struct fake_end *e)
{
	return e->out.len + e->peer->in.len;
}

static size_t end_room(const struct fake_end *e)
{
	size_t used = end_unsent(e);

	return e->shut || e->over || used >= e->room_max ? 0 : e->room_max - used;
}

static size_t fake_room(struct stream *s)
{
	return end_room(end_of(s));
}

static size_t fake_write(struct stream *s, struct bytes b, bool more)
{
	struct fake_end *e = end_of(s);
	size_t n = min_size(b.len, end_room(e));

	(void)more;
	queue_append(&e->out, b.ptr, n);
	e->base.bytes_sent += n;
	if (n < b.len && e->wanted_room == 0)
		e->wanted_room = 1;
	return n;
}

static void fake_want_write(struct stream *s, size_t room)
{
	struct fake_end *e = end_of(s);

	e->wanted_room = room > 0 ? min_size(room, e->room_max) : 1;
}

static size_t fake_unsent(struct stream *s)
{
	return end_unsent(end_of(s));
}

static void fake_shutdown(struct stream *s)
{
	end_of(s)->shut = true;
}

static void end_give_back(struct fake_end *e, enum fake_fate fate)
{
	e->fate = fate;
	e->shut = true;
	e->events = 0;
	queue_drop(&e->in, e->in.len);
}

static void fake_close(struct stream *s)
{
	end_give_back(end_of(s), FAKE_CLOSED);
}

static void end_fail(struct fake_end *e, enum stream_error error)
{
	if (e->over)
		return;
	e->over = true;
	e->base.error = error;
	e->events |= STREAM_CLOSED;
}

static void fake_abort(struct stream *s)
{
	struct fake_end *e = end_of(s);

	end_give_back(e, FAKE_ABORTED);
	queue_drop(&e->out, e->out.len);
	if (!e->over)
		end_fail(e->peer, STREAM_ERROR_RESET);
	e->over = true;
}

static const struct stream_ops fake_ops = {
	.name = "fake",
	.peek = fake_peek,
	.peek_at = fake_peek_at,
	.consume = fake_consume,
	.readable = fake_readable,
	.read_ended = fake_read_ended,
	.end_received = fake_end_received,
	.want_read = fake_want_read,
	.room = fake_room,
	.write = fake_write,
	.want_write = fake_want_write,
	.unsent = fake_unsent,
	.shutdown = fake_shutdown,
	.close = fake_close,
	.abort = fake_abort,
};

struct fake_pair *fake_pair_new(void)
{
	struct fake_pair *p = calloc(1, sizeof(*p));

	assert(p != NULL);
	for (unsigned i = 0; i < 2; i++) {
		p->ends[i].base.ops = &fake_ops;
		p->ends[i].peer = &p->ends[1 - i];
		p->ends[i].room_max = DEFAULT_ROOM;
		ip_addr_parse(i == 0 ? "10.77.1.254" : "10.77.1.1", &p->ends[i].base.local.addr);
		p->ends[i].base.local.port = i == 0 ? 443 : 40000;
	}
	p->ends[0].base.remote = p->ends[1].base.local;
	p->ends[1].base.remote = p->ends[0].base.local;
	return p;
}

void fake_pair_free(struct fake_pair **pp)
{
	struct fake_pair *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	for (unsigned i = 0; i < 2; i++) {
		free(p->ends[i].in.memory);
		free(p->ends[i].out.memory);
	}
	free(p);
}

struct stream *fake_pair_end(struct fake_pair *p, unsigned side)
{
	assert(side < 2);
	return &p->ends[side].base;
}

// Bytes and the end of 'from' travel to its peer.
static bool end_travel(struct fake_end *from)
{
	struct fake_end *to = from->peer;
	size_t n = from->out.len;

	if (from->held || to->over)
		return false;
	if (to->piece != 0)
		n = min_size(n, to->piece);
	if (n > 0) {
		if (to->fate == FAKE_OPEN) {
			queue_append(&to->in, from->out.memory + from->out.start, n);
			to->base.bytes_received += n;
			to->events |= STREAM_READABLE;
		}
		queue_drop(&from->out, n);
		return true;
	}
	if (from->shut && !to->fin_arrived) {
		to->fin_arrived = true;
		to->events |= STREAM_READABLE;
		return true;
	}
	return false;
}

static bool end_deliver(struct fake_end *e, uint64_t now_us)
{
	unsigned events = e->events;

	if (e->fate != FAKE_OPEN)
		return false;
	if (e->wanted_room != 0 && end_room(e) >= e->wanted_room) {
		e->wanted_room = 0;
		events |= STREAM_WRITABLE;
	}
	if (events == 0)
		return false;
	e->events = 0;
	if (e->base.on_event != NULL)
		e->base.on_event(e->base.owner, &e->base, events, now_us);
	return true;
}

bool fake_pair_step(struct fake_pair *p, uint64_t now_us)
{
	bool moved = false;

	for (unsigned i = 0; i < 2; i++)
		moved |= end_travel(&p->ends[i]);
	for (unsigned i = 0; i < 2; i++)
		moved |= end_deliver(&p->ends[i], now_us);
	return moved;
}

void fake_pair_pump(struct fake_pair *p, uint64_t now_us)
{
	unsigned steps = 0;

	while (fake_pair_step(p, now_us))
		assert(++steps < PUMP_MAX_STEPS);
}

enum fake_fate fake_pair_fate(const struct fake_pair *p, unsigned side)
{
	return p->ends[side].fate;
}

bool fake_pair_is_shut(const struct fake_pair *p, unsigned side)
{
	return p->ends[side].shut;
}

void fake_set_room(struct stream *s, size_t bytes)
{
	end_of(s)->room_max = bytes;
}

void fake_set_piece(struct stream *s, size_t n)
{
	end_of(s)->piece = n;
}

void fake_set_held(struct stream *s, bool held)
{
	end_of(s)->held = held;
}

void fake_arrive(struct stream *s)
{
	while (end_travel(end_of(s)->peer))
		;
}

void fake_connected(struct stream *s)
{
	end_of(s)->events |= STREAM_CONNECTED | STREAM_WRITABLE;
}

void fake_fail(struct stream *s, enum stream_error error)
{
	struct fake_end *e = end_of(s);

	end_fail(e, error);
	e->peer->over = true;
	queue_drop(&e->out, e->out.len);
}

size_t fake_take(struct stream *s, void *out, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		struct bytes b = stream_peek(s);
		size_t part = min_size(b.len, cap - n);

		if (part == 0)
			break;
		memcpy((uint8_t *)out + n, b.ptr, part);
		stream_consume(s, part);
		n += part;
	}
	return n;
}

void fake_put(struct stream *s, struct bytes b)
{
	assert(stream_write(s, b, false) == b.len);
}
