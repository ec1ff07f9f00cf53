#include "dataplane/timer.h"

#include <assert.h>
#include <stdlib.h>

// Level l has 64 slots of 64^l ticks each; the six levels together span two years.
#define LEVEL_BITS 6u
#define N_SLOTS    (1u << LEVEL_BITS)
#define N_LEVELS   6u
#define TICK_US    1000u

struct timer_wheel {
	uint64_t tick; // everything before it was moved to 'due'
	uint32_t n_armed;
	uint64_t occupied[N_LEVELS]; // one bit for each slot that is not empty
	struct list due;             // expired, waiting for timer_wheel_run() to call them
	struct list moving; // of a slot that begins at 'tick', on their way to lower levels
	struct list slots[N_LEVELS][N_SLOTS];
};

struct timer_wheel *timer_wheel_new(uint64_t now_us)
{
	struct timer_wheel *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->tick = now_us / TICK_US;
	list_init(&w->due);
	list_init(&w->moving);
	for (unsigned level = 0; level < N_LEVELS; level++) {
		for (unsigned i = 0; i < N_SLOTS; i++)
			list_init(&w->slots[level][i]);
	}
	return w;
}

void timer_wheel_free(struct timer_wheel **wp)
{
	free(*wp);
	*wp = NULL;
}

void timer_init(struct timer *t, timer_fn *fn)
{
	list_init(&t->node);
	t->expires_us = UINT64_MAX;
	t->slot_us = UINT64_MAX;
	t->fn = fn;
}

bool timer_is_armed(const struct timer *t)
{
	return t->expires_us != UINT64_MAX;
}

// The tick that does not come before 'us'.
static uint64_t tick_of(uint64_t us)
{
	return us / TICK_US + (us % TICK_US != 0);
}

// Puts 't' into the lowest level that can tell its tick from the present one.
static void insert(struct timer_wheel *w, struct timer *t)
{
	uint64_t tick = tick_of(t->expires_us);
	unsigned level = 0, slot;

	if (tick < w->tick)
		tick = w->tick;
	if ((tick ^ w->tick) >> (LEVEL_BITS * N_LEVELS) != 0) // comes up early and is put back
		tick = w->tick | ((1ull << (LEVEL_BITS * N_LEVELS)) - 1);
	if (tick != w->tick)
		level = (63u - (unsigned)__builtin_clzll(tick ^ w->tick)) / LEVEL_BITS;
	slot = tick >> (LEVEL_BITS * level) & (N_SLOTS - 1);
	t->slot_us = t->expires_us;
	w->occupied[level] |= 1ull << slot;
	list_push(&w->slots[level][slot], &t->node);
}

// Takes 't' out of its slot, of 'due' or of 'moving'. The last one to leave clears the slot's bit: then both its
// neighbours are the head, whose place says which slot it is.
static void unlink_timer(struct timer_wheel *w, struct timer *t)
{
	struct list *head = t->node.next;
	bool last = head == t->node.prev && head != &w->due && head != &w->moving;

	list_remove(&t->node);
	if (last && list_is_empty(head)) {
		size_t i = (size_t)(head - &w->slots[0][0]);

		w->occupied[i / N_SLOTS] &= ~(1ull << (i % N_SLOTS));
	}
}

void timer_arm(struct timer_wheel *w, struct timer *t, uint64_t expires_us)
{
	bool armed = timer_is_armed(t);

	if (expires_us == UINT64_MAX) {
		timer_cancel(w, t);
		return;
	}
	t->expires_us = expires_us;
	if (armed && expires_us >= t->slot_us)
		return;
	if (armed)
		unlink_timer(w, t);
	else
		w->n_armed++;
	insert(w, t);
}

void timer_cancel(struct timer_wheel *w, struct timer *t)
{
	if (!timer_is_armed(t))
		return;
	unlink_timer(w, t);
	t->expires_us = UINT64_MAX;
	w->n_armed--;
}

// The first tick at which a slot has to be looked at, and the slot. A slot of level 0 holds one tick;
// all of a higher level lie behind all of the lower ones.
static bool next_slot(const struct timer_wheel *w, uint64_t *tick, unsigned *level, unsigned *slot)
{
	for (unsigned l = 0; l < N_LEVELS; l++) {
		unsigned shift = LEVEL_BITS * l;
		uint64_t ahead = w->occupied[l] & (~0ull << (w->tick >> shift & (N_SLOTS - 1)));

		if (ahead == 0)
			continue;
		*level = l;
		*slot = (unsigned)__builtin_ctzll(ahead);
		*tick = (w->tick >> (shift + LEVEL_BITS) << (shift + LEVEL_BITS))
			| (uint64_t)*slot << shift;
		return true;
	}
	return false;
}

// Puts timers of 'moving' into their slots while '*moves' lasts. Returns false if some are left.
static bool move(struct timer_wheel *w, unsigned *moves)
{
	for (; *moves > 0 && !list_is_empty(&w->moving); --*moves)
		insert(w, container_of(list_pop(&w->moving), struct timer, node));
	return list_is_empty(&w->moving);
}

// Moves what expired until 'now_tick' to 'due', in order; only a part of it if '*moves' is used up.
static void advance(struct timer_wheel *w, uint64_t now_tick, unsigned *moves)
{
	uint64_t tick;
	unsigned level, slot;

	while (move(w, moves)) {
		if (!next_slot(w, &tick, &level, &slot) || tick > now_tick) {
			if (w->tick < now_tick)
				w->tick = now_tick;
			return;
		}
		w->occupied[level] &= ~(1ull << slot);
		w->tick = tick;
		list_splice(level == 0 ? &w->due : &w->moving, &w->slots[level][slot]);
	}
}

unsigned timer_wheel_run(struct timer_wheel *w, uint64_t now_us, unsigned max)
{
	unsigned n = 0, moves = TIMER_MOVES_A_RUN;

	// What the callbacks arm in the past goes into a slot, not to 'due': it waits for the next run.
	advance(w, now_us / TICK_US, &moves);
	while (n < max && !list_is_empty(&w->due)) {
		struct timer *t = container_of(w->due.next, struct timer, node);

		if (t->expires_us > now_us) { // was moved later since it got its slot
			if (moves == 0)
				break;
			moves--;
			list_remove(&t->node);
			insert(w, t);
			continue;
		}
		list_remove(&t->node);
		t->expires_us = UINT64_MAX;
		w->n_armed--;
		n++;
		t->fn(t, now_us);
	}
	return n;
}

uint64_t timer_wheel_next(const struct timer_wheel *w)
{
	uint64_t tick;
	unsigned level, slot;

	if (!list_is_empty(&w->due) || !list_is_empty(&w->moving))
		return w->tick * TICK_US;
	return next_slot(w, &tick, &level, &slot) ? tick * TICK_US : UINT64_MAX;
}

uint32_t timer_wheel_n_armed(const struct timer_wheel *w)
{
	return w->n_armed;
}
