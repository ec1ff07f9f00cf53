// TIME_WAIT (RFC 9293, 3.10.7.4; RFC 6191; RFC 1337): what is left of a connection whose both FINs are
// through is a small object that answers a repeated FIN, ignores RSTs, and steps aside for a new SYN
// that is certainly newer. All live equally long, so their timeouts are a FIFO with one timer.

#include "dataplane/tcp/tcp_conn.h"

#include <errno.h>
#include <stdlib.h>

#define REUSE_AFTER_US 1000000u // an active open may take the pair that long after, with timestamps
#define SEQ_GAP        65537u   // beyond any window a stale segment could lie in without scaling

struct tcp_time_wait {
	struct list node; // in tcp.tw_fifo
	struct tcp_time_wait *hash_next;
	struct ip_endpoint local;
	struct ip_endpoint remote;
	uint64_t since_us;
	uint32_t snd_nxt;
	uint32_t rcv_nxt;
	uint32_t ts_recent;
	uint32_t ts_offset;
	uint32_t hash;
	uint16_t window; // as last announced
	bool has_timestamp;
};

static void tw_remove(struct tcp *t, struct tcp_time_wait *tw)
{
	struct tcp_time_wait **link = &t->tw_buckets[tw->hash & t->tw_mask];

	while (*link != tw)
		link = &(*link)->hash_next;
	*link = tw->hash_next;
	list_remove(&tw->node);
	pool_put(&t->tw_pool, tw);
	stat_dec(&t->stats->tcp_time_wait);
}

static struct tcp_time_wait *oldest(struct tcp *t)
{
	return list_is_empty(&t->tw_fifo)
		? NULL
		: container_of(t->tw_fifo.next, struct tcp_time_wait, node);
}

static void on_timer(struct timer *timer, uint64_t now_us)
{
	struct tcp *t = container_of(timer, struct tcp, tw_timer);
	struct tcp_time_wait *tw;

	while ((tw = oldest(t)) != NULL && tw->since_us + t->settings.time_wait_us <= now_us)
		tw_remove(t, tw);
	if (tw != NULL)
		timer_arm(t->timers, timer, tw->since_us + t->settings.time_wait_us);
}

int tcp_time_wait_init(struct tcp *t, uint32_t cap)
{
	uint32_t n_buckets = 16;

	while (n_buckets < cap)
		n_buckets *= 2;
	t->tw_mask = n_buckets - 1;
	list_init(&t->tw_fifo);
	timer_init(&t->tw_timer, on_timer);
	t->tw_buckets = calloc(n_buckets, sizeof(struct tcp_time_wait *));
	if (t->tw_buckets == NULL)
		return -ENOMEM;
	return pool_init(&t->tw_pool, "tcp time wait", sizeof(struct tcp_time_wait), cap);
}

void tcp_time_wait_fini(struct tcp *t)
{
	while (oldest(t) != NULL)
		tw_remove(t, oldest(t));
	timer_cancel(t->timers, &t->tw_timer);
	pool_fini(&t->tw_pool);
	free(t->tw_buckets);
}

struct tcp_time_wait *tcp_time_wait_lookup(
	struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	uint32_t hash = tcp_hash(t, local, remote);
	struct tcp_time_wait *tw = t->tw_buckets[hash & t->tw_mask];

	for (; tw != NULL; tw = tw->hash_next) {
		if (tw->hash == hash && tw->local.port == local->port
			&& tw->remote.port == remote->port
			&& ip_addr_equal(&tw->remote.addr, &remote->addr)
			&& ip_addr_equal(&tw->local.addr, &local->addr))
			return tw;
	}
	return NULL;
}

void tcp_time_wait_add(struct tcp_conn *c, uint64_t now_us)
{
	struct tcp *t = c->tcp;
	struct tcp_time_wait *tw;

	if (t->settings.time_wait_us == 0 || t->tw_pool.cap == 0)
		return;
	if (t->tw_pool.n_used == t->tw_pool.cap) {
		stat_inc(&t->stats->tcp_time_wait_evicted);
		tw_remove(t, oldest(t));
	}
	tw = pool_get_zeroed(&t->tw_pool);
	tw->local = c->stream.local;
	tw->remote = c->stream.remote;
	tw->since_us = now_us;
	tw->snd_nxt = c->snd_nxt;
	tw->rcv_nxt = c->rcv_nxt;
	tw->ts_recent = c->ts_recent;
	tw->ts_offset = c->ts_offset;
	tw->has_timestamp = c->flags & TCP_F_TIMESTAMP;
	tw->window = (uint16_t)((c->rcv_adv - c->rcv_nxt) >> c->receive_scale);
	tw->hash = c->hash;
	tw->hash_next = t->tw_buckets[tw->hash & t->tw_mask];
	t->tw_buckets[tw->hash & t->tw_mask] = tw;
	list_push(&t->tw_fifo, &tw->node);
	stat_inc(&t->stats->tcp_time_wait);
	if (!timer_is_armed(&t->tw_timer))
		timer_arm(t->timers, &t->tw_timer, now_us + t->settings.time_wait_us);
}

static void answer(struct tcp *t, struct tcp_time_wait *tw, uint64_t now_us)
{
	uint8_t options[TCP_TIMESTAMP_LEN];

	tcp_put_timestamp(options, (uint32_t)(now_us / 1000) + tw->ts_offset, tw->ts_recent);
	tcp_send_bare(t, &tw->local, &tw->remote, RTE_TCP_ACK_FLAG, tw->snd_nxt, tw->rcv_nxt,
		tw->window, bytes_of(options, tw->has_timestamp ? sizeof(options) : 0), now_us);
}

// RFC 6191, 2: a SYN that cannot be an old one opens a new connection.
static bool is_new_syn(const struct tcp_time_wait *tw, const struct tcp_segment *seg)
{
	if ((seg->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG))
		!= RTE_TCP_SYN_FLAG)
		return false;
	if (tw->has_timestamp && seg->opt.has_timestamp && seg->opt.ts_value != tw->ts_recent)
		return seq_lt(tw->ts_recent, seg->opt.ts_value);
	return seq_lt(tw->rcv_nxt, seg->seq);
}

void tcp_time_wait_input(
	struct tcp *t, struct tcp_time_wait *tw, const struct tcp_segment *seg, uint64_t now_us)
{
	struct tcp_listener *l;

	if (is_new_syn(tw, seg) && (l = tcp_find_listener(t, &tw->local)) != NULL) {
		struct ip_endpoint local = tw->local, remote = tw->remote;
		uint32_t floor = tw->snd_nxt + SEQ_GAP;

		stat_inc(&t->stats->tcp_time_wait_reused);
		tw_remove(t, tw);
		tcp_listen_input(t, l, seg, &local, &remote, &floor, now_us);
		return;
	}
	// RFC 1337: a RST does not end TIME_WAIT. A bare ACK needs no answer, or two ends could go on for
	// ever.
	if (seg->flags & RTE_TCP_RST_FLAG
		|| (seg->len == 0 && !(seg->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG)))) {
		stat_inc(&t->stats->tcp_drop_time_wait);
		return;
	}
	if (seg->flags & RTE_TCP_FIN_FLAG && seg->seq + seg->len + 1 == tw->rcv_nxt) {
		tw->since_us = now_us; // our ACK was lost: 2MSL begin anew
		list_remove(&tw->node);
		list_push(&t->tw_fifo, &tw->node);
	}
	if (tcp_challenge_allowed(t, now_us))
		answer(t, tw, now_us);
}

bool tcp_time_wait_reuse(struct tcp *t, struct tcp_time_wait *tw, uint32_t *iss, uint64_t now_us)
{
	if (!tw->has_timestamp || now_us - tw->since_us < REUSE_AFTER_US)
		return false;
	*iss = tw->snd_nxt + SEQ_GAP;
	if (*iss == 0)
		*iss = 1;
	stat_inc(&t->stats->tcp_time_wait_reused);
	tw_remove(t, tw);
	return true;
}
