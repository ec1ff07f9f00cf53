#include "tls/tls_conn.h"

#include <assert.h>
#include <stdlib.h>

// A handshake signs: some 0.1 to 1 ms. More of them in a turn would hold up everybody's packets.
#define HANDSHAKES_PER_TURN 16u
#define MIN_BUFFERS         64u
#define MAX_BUFFERS         4096u

static uint32_t default_n_buffers(uint32_t max_connections)
{
	uint32_t n = max_connections / 4;

	if (n < MIN_BUFFERS)
		return MIN_BUFFERS;
	return n > MAX_BUFFERS ? MAX_BUFFERS : n;
}

struct tls_worker *tls_worker_new(const struct tls_worker_config *config)
{
	struct tls_worker *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->timers = config->timers;
	w->stats = config->stats;
	w->handshake_timeout_us = config->handshake_timeout_us;
	w->handshakes_left = HANDSHAKES_PER_TURN;
	list_init(&w->recheck);
	list_init(&w->dirty);
	w->bio_method = tls_bio_method_new();
	if (w->bio_method != NULL
		&& pool_init(&w->conns, "tls connections", sizeof(struct tls_conn),
			   config->max_connections)
			== 0
		&& pool_init(&w->buffers, "tls buffers", sizeof(struct tls_buffer),
			   config->n_buffers != 0 ? config->n_buffers
						  : default_n_buffers(config->max_connections))
			== 0)
		return w;
	tls_worker_free(&w);
	return NULL;
}

void tls_worker_free(struct tls_worker **wp)
{
	struct tls_worker *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	pool_fini(&w->conns);
	pool_fini(&w->buffers);
	BIO_meth_free(w->bio_method);
	free(w);
}

struct tls_buffer *worker_buffer_get(struct tls_worker *w)
{
	struct tls_buffer *b = pool_get(&w->buffers);

	stat_set(&w->stats->tls_buffers_in_use, w->buffers.n_used);
	return b;
}

void worker_buffer_put(struct tls_worker *w, struct tls_buffer *b)
{
	pool_put(&w->buffers, b);
	stat_set(&w->stats->tls_buffers_in_use, w->buffers.n_used);
}

static void show_memory(struct tls_worker *w)
{
	struct tls_alloc_usage usage;

	tls_alloc_usage(&usage);
	stat_set(&w->stats->tls_memory_used, usage.carved_bytes);
	stat_set(&w->stats->tls_memory_fallbacks, usage.n_fallbacks);
}

bool tls_worker_turn(struct tls_worker *w, uint64_t now_us)
{
	struct list recheck, *node;

	w->now_us = now_us;
	w->handshakes_left = HANDSHAKES_PER_TURN;
	// Those that have to wait again are for the next turn.
	list_init(&recheck);
	list_splice(&recheck, &w->recheck);
	while ((node = list_pop(&recheck)) != NULL)
		conn_on_turn(container_of(node, struct tls_conn, recheck_node));
	// Last, so that what the owners have just written leaves in this turn. Nobody is called from here.
	while ((node = list_pop(&w->dirty)) != NULL)
		conn_flush(container_of(node, struct tls_conn, dirty_node));
	show_memory(w);
	return !list_is_empty(&w->recheck);
}
