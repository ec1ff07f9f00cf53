// TIME_WAIT (RFC 9293, 3.10.7.4; RFC 6191; RFC 1337): what is left of a connection whose both FINs are
// through is a small object that answers a repeated FIN, ignores RSTs, and steps aside for a new SYN
// that is certainly newer. All live equally long, so their timeouts are a FIFO with one timer.

#include "dataplane/tcp/tcp_conn.h"

#include <errno.h>
#include <stdlib.h>

#define REUSE_AFTER_MS 1000u  // an active open may take the pair that long after, with timestamps
#define SEQ_GAP        65537u // beyond any window a stale segment could lie in without scaling

// There are twice as many as connections: one cache line each. What the addresses give (hash, offset of
// the timestamps) is computed again when it is wanted. Of the clock the low 32 bits of the milliseconds
// do: nothing stays for 49 days.
struct tcp_time_wait {
	struct list node; // in tcp.tw_fifo
	uint32_t next;    // in the bucket: its place in the pool plus one, 0 at the end
	uint32_t since_ms;
	struct ip_addr remote;
	uint32_t snd_nxt;
	uint32_t rcv_nxt;
	uint32_t ts_recent;
	uint16_t local_port;
	uint16_t remote_port;
	uint16_t window; // as last announced
	uint8_t local;   // which of tcp.tw_locals
	bool has_timestamp;
};

_Static_assert(sizeof(struct tcp_time_wait) <= 64, "a cache line");

static struct ip_endpoint local_of(const struct tcp *t, const struct tcp_time_wait *tw)
{
	return (struct ip_endpoint){.addr = t->tw_locals[tw->local], .port = tw->local_port};
}

static struct ip_endpoint remote_of(const struct tcp_time_wait *tw)
{
	return (struct ip_endpoint){.addr = tw->remote, .port = tw->remote_port};
}

static uint32_t place_of(const struct tcp *t, const struct tcp_time_wait *tw)
{
	return (uint32_t)(((const uint8_t *)tw - t->tw_pool.memory) / t->tw_pool.object_size) + 1;
}

static struct tcp_time_wait *at_place(const struct tcp *t, uint32_t place)
{
	return place == 0 ? NULL
			  : (struct tcp_time_wait *)(void *)(t->tw_pool.memory
				  + (size_t)(place - 1) * t->tw_pool.object_size);
}

static uint32_t *bucket_of(
	struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	return &t->tw_buckets[tcp_hash(t, local, remote) & t->tw_mask];
}

// Milliseconds that 'tw' has been here.
static uint32_t age_ms(const struct tcp_time_wait *tw, uint64_t now_us)
{
	return (uint32_t)(now_us / 1000) - tw->since_ms;
}

static uint32_t lifetime_ms(const struct tcp *t)
{
	return (t->settings.time_wait_us + 999) / 1000;
}

// Which of the table of our addresses 'a' is, entered if it is new; -1 if the table is full.
static int local_index(struct tcp *t, const struct ip_addr *a)
{
	for (unsigned i = 0; i < t->n_tw_locals; i++) {
		if (ip_addr_equal(&t->tw_locals[i], a))
			return (int)i;
	}
	if (t->n_tw_locals == TCP_MAX_LOCALS)
		return -1;
	t->tw_locals[t->n_tw_locals] = *a;
	return (int)t->n_tw_locals++;
}

static void tw_remove(struct tcp *t, struct tcp_time_wait *tw)
{
	struct ip_endpoint local = local_of(t, tw), remote = remote_of(tw);
	uint32_t *link = bucket_of(t, &local, &remote), place = place_of(t, tw);

	while (*link != place)
		link = &at_place(t, *link)->next;
	*link = tw->next;
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

	while ((tw = oldest(t)) != NULL && age_ms(tw, now_us) >= lifetime_ms(t))
		tw_remove(t, tw);
	if (tw != NULL)
		timer_arm(t->timers, timer,
			now_us + (lifetime_ms(t) - age_ms(tw, now_us)) * UINT64_C(1000));
}

int tcp_time_wait_init(struct tcp *t, uint32_t cap)
{
	uint32_t n_buckets = 16;

	while (n_buckets < cap)
		n_buckets *= 2;
	t->tw_mask = n_buckets - 1;
	list_init(&t->tw_fifo);
	timer_init(&t->tw_timer, on_timer);
	t->tw_buckets = calloc(n_buckets, sizeof(uint32_t));
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
	struct tcp_time_wait *tw;

	if (t->tw_pool.n_used == 0)
		return NULL;
	for (tw = at_place(t, *bucket_of(t, local, remote)); tw != NULL;
		tw = at_place(t, tw->next)) {
		if (tw->remote_port == remote->port && tw->local_port == local->port
			&& ip_addr_equal(&tw->remote, &remote->addr)
			&& ip_addr_equal(&t->tw_locals[tw->local], &local->addr))
			return tw;
	}
	return NULL;
}

void tcp_time_wait_add(struct tcp_conn *c, uint64_t now_us)
{
	struct tcp *t = c->tcp;
	int local = local_index(t, &c->stream.local.addr);
	struct tcp_time_wait *tw;
	uint32_t *bucket;

	if (t->settings.time_wait_us == 0 || t->tw_pool.cap == 0)
		return;
	if (local < 0) {
		stat_inc(&t->stats->tcp_time_wait_evicted);
		return;
	}
	if (t->tw_pool.n_used == t->tw_pool.cap) {
		stat_inc(&t->stats->tcp_time_wait_evicted);
		tw_remove(t, oldest(t));
	}
	tw = pool_get_zeroed(&t->tw_pool);
	tw->local = (uint8_t)local;
	tw->local_port = c->stream.local.port;
	tw->remote = c->stream.remote.addr;
	tw->remote_port = c->stream.remote.port;
	tw->since_ms = (uint32_t)(now_us / 1000);
	tw->snd_nxt = c->snd_nxt;
	tw->rcv_nxt = c->rcv_nxt;
	tw->ts_recent = c->ts_recent;
	tw->has_timestamp = c->flags & TCP_F_TIMESTAMP;
	tw->window = tcp_window_field(c->rcv_adv - c->rcv_nxt, c->receive_scale);
	bucket = bucket_of(t, &c->stream.local, &c->stream.remote);
	tw->next = *bucket;
	*bucket = place_of(t, tw);
	list_push(&t->tw_fifo, &tw->node);
	stat_inc(&t->stats->tcp_time_wait);
	if (!timer_is_armed(&t->tw_timer))
		timer_arm(t->timers, &t->tw_timer, now_us + t->settings.time_wait_us);
}

static void answer(struct tcp *t, struct tcp_time_wait *tw, uint64_t now_us)
{
	struct ip_endpoint local = local_of(t, tw), remote = remote_of(tw);
	uint8_t options[TCP_TIMESTAMP_LEN];

	tcp_put_timestamp(options, (uint32_t)(now_us / 1000) + tcp_ts_offset(t, &local, &remote),
		tw->ts_recent);
	tcp_send_bare(t, &local, &remote, RTE_TCP_ACK_FLAG, tw->snd_nxt, tw->rcv_nxt, tw->window,
		bytes_of(options, tw->has_timestamp ? sizeof(options) : 0), now_us);
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
	struct ip_endpoint local = local_of(t, tw), remote = remote_of(tw);
	struct tcp_listener *l;

	if (is_new_syn(tw, seg) && (l = tcp_find_listener(t, &local)) != NULL) {
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
		tw->since_ms = (uint32_t)(now_us / 1000); // our ACK was lost: 2MSL begin anew
		list_remove(&tw->node);
		list_push(&t->tw_fifo, &tw->node);
	}
	if (tcp_challenge_allowed(t, now_us))
		answer(t, tw, now_us);
}

bool tcp_time_wait_reuse(struct tcp *t, struct tcp_time_wait *tw, uint32_t *iss, uint64_t now_us)
{
	if (!tw->has_timestamp || age_ms(tw, now_us) < REUSE_AFTER_MS)
		return false;
	*iss = tw->snd_nxt + SEQ_GAP;
	if (*iss == 0)
		*iss = 1;
	stat_inc(&t->stats->tcp_time_wait_reused);
	tw_remove(t, tw);
	return true;
}
