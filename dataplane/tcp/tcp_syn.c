// The SYN cache: handshakes of listeners as entries far smaller than a connection.

#include "dataplane/tcp/tcp_conn.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_TRY_US 1000000u // then doubled (RFC 6298, 2.1 and 5.5)

enum syn_flag {
	SYN_TIMESTAMP = 1 << 0,
	SYN_SACK = 1 << 1,
	SYN_SCALE = 1 << 2,
	SYN_AMBIGUOUS = 1 << 3, // answered twice to two SYNs: which one an ACK is for is not known
};

struct tcp_syn {
	struct list node; // in one of the FIFOs
	struct tcp_syn *hash_next;
	struct tcp_listener *listener;
	uint64_t sent_us; // the last answer by timer, or the first
	struct ip_addr local;
	struct ip_addr remote;
	uint16_t local_port;
	uint16_t remote_port;
	uint32_t iss;
	uint32_t irs;
	uint32_t ts_recent;
	uint16_t mss; // as the peer said it; 0: it did not
	uint16_t mtu;
	uint16_t window; // promised
	uint8_t scale : 4;
	uint8_t flags : 4;
	uint8_t n_repeated;
};

_Static_assert(sizeof(struct tcp_syn) <= 96, "a handshake is small");

static struct ip_endpoint local_of(const struct tcp_syn *s)
{
	return (struct ip_endpoint){.addr = s->local, .port = s->local_port};
}

static struct ip_endpoint remote_of(const struct tcp_syn *s)
{
	return (struct ip_endpoint){.addr = s->remote, .port = s->remote_port};
}

static struct tcp_handshake handshake_of(const struct tcp_syn *s)
{
	return (struct tcp_handshake){
		.local = local_of(s),
		.remote = remote_of(s),
		.iss = s->iss,
		.irs = s->irs,
		.opt = {.mss = s->mss,
			.scale = s->scale,
			.has_scale = s->flags & SYN_SCALE,
			.has_sack_ok = s->flags & SYN_SACK,
			.has_timestamp = s->flags & SYN_TIMESTAMP,
			.ts_value = s->ts_recent},
		.mtu = s->mtu,
		.window = s->window,
		.n_repeated = s->n_repeated,
		.sent_us = s->flags & SYN_AMBIGUOUS ? 0 : s->sent_us,
	};
}

// --- the table

static struct tcp_syn **bucket_of(
	struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	return &t->syn.buckets[tcp_hash(t, local, remote) & t->syn.mask];
}

struct tcp_syn *tcp_syn_lookup(
	struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	struct tcp_syn *s;

	if (t->syn.pool.n_used == 0)
		return NULL;
	for (s = *bucket_of(t, local, remote); s != NULL; s = s->hash_next) {
		if (s->remote_port == remote->port && s->local_port == local->port
			&& ip_addr_equal(&s->remote, &remote->addr)
			&& ip_addr_equal(&s->local, &local->addr))
			return s;
	}
	return NULL;
}

static void remove_entry(struct tcp *t, struct tcp_syn *s)
{
	struct ip_endpoint local = local_of(s), remote = remote_of(s);
	struct tcp_syn **link = bucket_of(t, &local, &remote);

	while (*link != s)
		link = &(*link)->hash_next;
	*link = s->hash_next;
	list_remove(&s->node);
	s->listener->n_half_open--;
	stat_dec(&t->stats->tcp_state_syn_received);
	pool_put(&t->syn.pool, s);
}

static struct tcp_syn *first_of(struct list *fifo)
{
	return list_is_empty(fifo) ? NULL : container_of(fifo->next, struct tcp_syn, node);
}

static void arm(struct tcp *t)
{
	uint64_t at = TCP_NEVER;

	for (unsigned i = 0; i < TCP_SYN_TRIES; i++) {
		const struct tcp_syn *s = first_of(&t->syn.fifos[i]);

		if (s != NULL && s->sent_us + ((uint64_t)FIRST_TRY_US << i) < at)
			at = s->sent_us + ((uint64_t)FIRST_TRY_US << i);
	}
	timer_arm(t->timers, &t->syn.timer, at);
}

static void answer(struct tcp *t, const struct tcp_syn *s, uint64_t now_us)
{
	struct tcp_handshake h = handshake_of(s);
	uint32_t ts = (uint32_t)(now_us / 1000) + tcp_ts_offset(t, &h.local, &h.remote);

	tcp_send_syn_ack(t, &h, ts, now_us);
}

static void on_timer(struct timer *timer, uint64_t now_us)
{
	struct tcp *t = container_of(timer, struct tcp, syn.timer);
	struct tcp_syn *s;

	// From the last to the first, so that no entry moves on twice.
	for (unsigned i = TCP_SYN_TRIES; i-- > 0;) {
		while ((s = first_of(&t->syn.fifos[i])) != NULL
			&& s->sent_us + ((uint64_t)FIRST_TRY_US << i) <= now_us) {
			if (i + 1 == TCP_SYN_TRIES) { // no RST: the address may be forged
				stat_inc(&t->stats->tcp_timeout_half_open);
				remove_entry(t, s);
				continue;
			}
			s->n_repeated++;
			s->sent_us = now_us;
			list_remove(&s->node);
			list_push(&t->syn.fifos[i + 1], &s->node);
			stat_inc(&t->stats->tcp_retransmit_syn);
			answer(t, s, now_us);
		}
	}
	arm(t);
}

int tcp_syn_init(struct tcp *t, uint32_t cap)
{
	uint32_t n_buckets = 16;

	while (n_buckets < cap)
		n_buckets *= 2;
	t->syn.mask = n_buckets - 1;
	for (unsigned i = 0; i < TCP_SYN_TRIES; i++)
		list_init(&t->syn.fifos[i]);
	timer_init(&t->syn.timer, on_timer);
	t->syn.buckets = calloc(n_buckets, sizeof(struct tcp_syn *));
	if (t->syn.buckets == NULL)
		return -ENOMEM;
	return pool_init(&t->syn.pool, "tcp handshakes", sizeof(struct tcp_syn), cap);
}

void tcp_syn_fini(struct tcp *t)
{
	for (unsigned i = 0; i < TCP_SYN_TRIES; i++) {
		while (first_of(&t->syn.fifos[i]) != NULL)
			remove_entry(t, first_of(&t->syn.fifos[i]));
	}
	timer_cancel(t->timers, &t->syn.timer);
	pool_fini(&t->syn.pool);
	free(t->syn.buckets);
}

// --- opening

void tcp_syn_open(
	struct tcp *t, struct tcp_listener *l, const struct tcp_handshake *h, uint64_t now_us)
{
	struct tcp_syn *s = NULL, **bucket;

	if (l->n_half_open < l->options.max_half_open && !tcp_memory_wants_cookies(t))
		s = pool_get_zeroed(&t->syn.pool);
	if (s == NULL) {
		struct tcp_handshake copy = *h;

		tcp_cookie_send(t, &copy, now_us);
		return;
	}
	s->listener = l;
	s->sent_us = now_us;
	s->local = h->local.addr;
	s->remote = h->remote.addr;
	s->local_port = h->local.port;
	s->remote_port = h->remote.port;
	s->iss = h->iss;
	s->irs = h->irs;
	s->ts_recent = h->opt.ts_value;
	s->mss = h->opt.mss;
	s->mtu = h->mtu;
	s->window = tcp_syn_window(t);
	s->scale = h->opt.scale & 15;
	s->flags = (h->opt.has_timestamp ? SYN_TIMESTAMP : 0) | (h->opt.has_sack_ok ? SYN_SACK : 0)
		| (h->opt.has_scale ? SYN_SCALE : 0);
	bucket = bucket_of(t, &h->local, &h->remote);
	s->hash_next = *bucket;
	*bucket = s;
	list_push(&t->syn.fifos[0], &s->node);
	l->n_half_open++;
	stat_inc(&t->stats->tcp_state_syn_received);
	if (!timer_is_armed(&t->syn.timer) || t->syn.timer.expires_us > now_us + FIRST_TRY_US)
		arm(t);
	answer(t, s, now_us);
}

// --- segments

static void challenge(struct tcp *t, const struct tcp_syn *s, uint64_t now_us)
{
	struct ip_endpoint local = local_of(s), remote = remote_of(s);
	uint8_t options[TCP_TIMESTAMP_LEN], *end = options;
	uint8_t scale = s->flags & SYN_SCALE ? t->receive_scale : 0;
	uint16_t window = tcp_window_field(s->window, scale);

	if (!tcp_challenge_allowed(t, now_us))
		return;
	if (s->flags & SYN_TIMESTAMP)
		end = tcp_put_timestamp(options,
			(uint32_t)(now_us / 1000) + tcp_ts_offset(t, &local, &remote),
			s->ts_recent);
	tcp_send_bare(t, &local, &remote, RTE_TCP_ACK_FLAG, s->iss + 1, s->irs + 1, window,
		bytes_of(options, (size_t)(end - options)), now_us);
}

// The peer did not get our answer, or not yet.
static void syn_again(
	struct tcp *t, struct tcp_syn *s, const struct tcp_segment *seg, uint64_t now_us)
{
	if (s->flags & SYN_TIMESTAMP && seg->opt.has_timestamp
		&& seq_lt(s->ts_recent, seg->opt.ts_value))
		s->ts_recent = seg->opt.ts_value;
	s->flags |= SYN_AMBIGUOUS;
	stat_inc(&t->stats->tcp_retransmit_syn);
	answer(t, s, now_us);
}

static struct tcp_conn *complete(struct tcp *t, struct tcp_syn *s, uint64_t now_us)
{
	struct tcp_handshake h = handshake_of(s);
	struct tcp_conn *c = tcp_conn_of_handshake(t, s->listener, &h, now_us);

	// Without a connection to be had the peer is left to try again, and so is our answer.
	if (c != NULL)
		remove_entry(t, s);
	return c;
}

struct tcp_conn *tcp_syn_input(
	struct tcp *t, struct tcp_syn *s, const struct tcp_segment *seg, uint64_t now_us)
{
	struct ip_endpoint local = local_of(s), remote = remote_of(s);

	if ((seg->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG))
			== RTE_TCP_SYN_FLAG
		&& seg->seq == s->irs) {
		syn_again(t, s, seg, now_us);
	} else if (s->flags & SYN_TIMESTAMP && seg->opt.has_timestamp
		&& !(seg->flags & RTE_TCP_RST_FLAG) && seq_lt(seg->opt.ts_value, s->ts_recent)) {
		stat_inc(&t->stats->tcp_drop_paws);
		challenge(t, s, now_us);
	} else if (!tcp_is_acceptable(s->irs + 1, s->window, seg)) {
		stat_inc(&t->stats->tcp_drop_window);
		if (!(seg->flags & RTE_TCP_RST_FLAG))
			challenge(t, s, now_us);
	} else if (seg->flags & RTE_TCP_RST_FLAG) {
		if (seg->seq == s->irs + 1) {
			stat_inc(&t->stats->tcp_reset_by_peer);
			remove_entry(t, s);
		} else { // RFC 5961, 3.2
			stat_inc(&t->stats->tcp_drop_reset);
			challenge(t, s, now_us);
		}
	} else if (seg->flags
		& RTE_TCP_SYN_FLAG) { // RFC 5961, 4.2: stricter than going back to LISTEN
		stat_inc(&t->stats->tcp_drop_syn);
		challenge(t, s, now_us);
	} else if (!(seg->flags & RTE_TCP_ACK_FLAG)) {
		stat_inc(&t->stats->tcp_drop_no_ack);
	} else if (seg->ack != s->iss + 1) {
		stat_inc(&t->stats->tcp_drop_ack_range);
		tcp_send_reset(t, &local, &remote, seg, now_us);
	} else {
		return complete(t, s, now_us);
	}
	return NULL;
}

void tcp_syn_unlisten(struct tcp *t, struct tcp_listener *l, uint64_t now_us)
{
	for (unsigned i = 0; i < TCP_SYN_TRIES; i++) {
		list_foreach_safe (it, &t->syn.fifos[i]) {
			struct tcp_syn *s = container_of(it, struct tcp_syn, node);
			struct ip_endpoint local = local_of(s), remote = remote_of(s);

			if (s->listener != l)
				continue;
			stat_inc(&t->stats->tcp_reset_unlisten);
			tcp_send_bare(t, &local, &remote, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG,
				s->iss + 1, s->irs + 1, 0, bytes_of(NULL, 0), now_us);
			remove_entry(t, s);
		}
	}
}
