#include "tests/sim/peer.h"

#include "tests/test_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t pattern_at(uint64_t pattern, uint32_t i)
{
	uint64_t x = (pattern + (i >> 3)) * 0x9e3779b97f4a7c15ull;

	return (uint8_t)(x >> (8 * (i & 7)));
}

static void fill(uint64_t pattern, uint32_t at, uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		p[i] = pattern_at(pattern, at + i);
}

static void write_some(struct peer *p)
{
	uint8_t bytes[8192];

	while (p->sent < p->to_send) {
		uint32_t n = p->to_send - p->sent;
		size_t done;

		if (n > sizeof(bytes))
			n = sizeof(bytes);
		if (p->max_write != 0 && n > p->max_write)
			n = p->max_write;
		fill(p->pattern, p->sent, bytes, n);
		done = stream_write(p->stream, bytes_of(bytes, n), false);
		p->sent += (uint32_t)done;
		if (done < n)
			return;          // WRITABLE comes
		if (p->max_write != 0) { // the next one in another turn
			stream_want_write(p->stream, 1);
			return;
		}
	}
	if (p->closes_early) {
		p->closed = true;
		stream_close(&p->stream);
		return;
	}
	if (!p->ended && (!p->waits_for_end || p->read_ended)) {
		p->ended = true;
		stream_shutdown(p->stream);
	}
}

static void read_some(struct peer *p, uint64_t now_us)
{
	uint32_t left = p->max_read != 0 ? 1 + world_random(p->world, p->max_read) : UINT32_MAX;

	if (now_us < p->paused_until_us)
		return;
	while (left > 0) {
		struct bytes b = stream_peek(p->stream);
		uint32_t n = b.len < left ? (uint32_t)b.len : left;

		if (b.len == 0)
			break;
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(b.ptr[i], pattern_at(~p->pattern, p->received + i));
		p->received += n;
		stream_consume(p->stream, n);
		left -= n;
		if (p->pause_in_1000 > 0 && world_random(p->world, 1000) < p->pause_in_1000) {
			p->paused_until_us = now_us + world_random(p->world, 3000000);
			world_wake_at(p->world, p->paused_until_us);
			return;
		}
	}
	if (left == 0)
		stream_want_read(p->stream);
	assert_true(p->received <= p->to_receive);
	if (stream_read_ended(p->stream)) {
		assert_int_equal(p->received, p->to_receive);
		p->read_ended = true;
	}
}

static void on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct peer *p = owner;

	assert_ptr_equal(s, p->stream);
	if (events & STREAM_CLOSED) {
		p->error = stream_error(s);
		stream_abort(&p->stream);
		return;
	}
	read_some(p, now_us);
	write_some(p);
	if (p->stream != NULL && p->ended && p->read_ended) {
		p->closed = true;
		stream_close(&p->stream);
	}
}

static bool on_accept(void *arg, struct stream *s, uint64_t now_us)
{
	struct transfer *t = arg;

	(void)now_us;
	for (unsigned i = 0; i < t->n_pairs; i++) {
		if (t->ports[i] != s->remote.port)
			continue;
		assert_null(t->pairs[i].ends[1].stream);
		t->pairs[i].ends[1].stream = s;
		stream_set_owner(s, on_event, &t->pairs[i].ends[1]);
		stream_want_write(s, 1); // to begin writing, if it has to
		t->n_accepted++;
		return true;
	}
	return false;
}

void transfer_start(struct transfer *t, struct world *w)
{
	t->world = w;
	t->listener = tcp_listen(world_net(w, 1),
		&(struct tcp_listen_options){.local = {.port = PEER_PORT},
			.max_half_open = MAX_PAIRS,
			.accept = on_accept,
			.arg = t});
	assert_non_null(t->listener);
	for (unsigned i = 0; i < t->n_pairs; i++) {
		struct peer *ends = t->pairs[i].ends;
		enum stream_error error;

		for (unsigned side = 0; side < 2; side++) {
			ends[side].world = w;
			ends[side].to_receive = ends[!side].to_send;
		}
		ends[0].pattern = ((uint64_t)world_random(w, UINT32_MAX) << 32) + i;
		ends[1].pattern = ~ends[0].pattern;
		ends[0].stream = tcp_connect(world_net(w, 0),
			&(struct tcp_connect_options){
				.remote = {world_addr(w, 1), PEER_PORT},
				.on_event = on_event,
				.owner = &ends[0],
                },
			&error, world_now(w));
		assert_non_null(ends[0].stream);
		t->ports[i] = ends[0].stream->local.port;
	}
}

static bool is_over(const struct transfer *t)
{
	if (t->n_accepted < t->n_pairs)
		return false;
	for (unsigned i = 0; i < t->n_pairs; i++) {
		if (t->pairs[i].ends[0].stream != NULL || t->pairs[i].ends[1].stream != NULL)
			return false;
	}
	return true;
}

// Those whose pause is over read on.
static void resume(struct transfer *t)
{
	uint64_t now_us = world_now(t->world);

	for (unsigned i = 0; i < 2 * t->n_pairs; i++) {
		struct peer *p = &t->pairs[i / 2].ends[i % 2];

		if (p->stream != NULL && p->paused_until_us != 0 && p->paused_until_us <= now_us) {
			p->paused_until_us = 0;
			stream_want_read(p->stream);
		} else if (p->stream != NULL && p->paused_until_us > now_us) {
			world_wake_at(t->world, p->paused_until_us);
		}
	}
}

bool transfer_run(struct transfer *t, uint64_t limit_us)
{
	struct world *w = t->world;
	uint64_t until = world_now(w) + limit_us;

	while (!is_over(t) && world_step(w, until))
		resume(t);
	tcp_unlisten(world_net(w, 1), &t->listener);
	if (!is_over(t))
		return false;
	for (unsigned i = 0; i < t->n_pairs; i++) {
		if (!t->pairs[i].ends[0].closed || !t->pairs[i].ends[1].closed)
			return false;
	}
	while (!world_is_quiet(w) && world_step(w, world_now(w) + limit_us))
		;
	return world_is_quiet(w);
}

void transfer_print(struct transfer *t)
{
	for (unsigned i = 0; i < 2 * t->n_pairs; i++) {
		const struct peer *p = &t->pairs[i / 2].ends[i % 2];

		print_error("pair %u side %u: sent %u of %u, received %u of %u%s%s%s, %s\n", i / 2,
			i % 2, p->sent, p->to_send, p->received, p->to_receive,
			p->ended ? ", ended" : "", p->read_ended ? ", read to the end" : "",
			p->closed ? ", closed" : "", stream_error_text(p->error));
	}
	world_print(t->world);
}

// --- seeds

static uint64_t running; // 0: none

static void print_replay(void)
{
	if (running != 0)
		fprintf(stderr, "replay with: SEED=%llu %s\n", (unsigned long long)running,
			program_invocation_name);
}

#ifdef __SANITIZE_ADDRESS__
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

uint64_t each_seed(uint64_t n, void (*run)(uint64_t seed))
{
	const char *one = getenv("SEED"), *many = getenv("SIM_SEEDS");
	uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
	static bool registered;

	if (!registered) {
		atexit(print_replay);
#ifdef HAS_ASAN
		__sanitizer_set_death_callback(print_replay);
#endif
		registered = true;
	}
	if (many != NULL)
		n = strtoull(many, NULL, 10);
	if (one != NULL)
		n = first;
	for (running = first; running <= n; running++)
		run(running);
	running = 0;
	return one != NULL ? 1 : n;
}
