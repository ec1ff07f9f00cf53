// How connections begin: listeners and their handshakes, active opens and their local ports.

#include "dataplane/tcp/tcp_conn.h"

#include <errno.h>

#define BETTER_PORTS 64u // that are looked at for straight ways

static bool is_any(const struct ip_addr *a)
{
	return (a->q[0] == 0 && a->q[1] == 0) || (ip_addr_is_v4(a) && ip_addr_v4(a) == 0);
}

// RFC 6528: a keyed hash of the four-tuple and a clock of 4 us.
uint32_t tcp_initial_seq(const struct tcp *t, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, uint64_t now_us)
{
	struct {
		struct hash_key secret; // makes it another function than the table's
		uint32_t hash;
		uint32_t pad;
	} key = {t->secret, tcp_hash(t, local, remote), 0};

	return (uint32_t)hash_bytes(&t->secret, &key, sizeof(key)) + (uint32_t)(now_us / 4);
}

static void set_initial_seq(struct tcp_conn *c, uint32_t iss)
{
	c->iss = iss;
	c->snd_una = iss;
	c->snd_nxt = iss + 1;
	c->snd_end = iss + 1;
}

// --- listeners

struct tcp_listener *tcp_find_listener(struct tcp *t, const struct ip_endpoint *local)
{
	struct tcp_listener *any = NULL;

	list_foreach (it, &t->listeners) {
		struct tcp_listener *l = container_of(it, struct tcp_listener, node);

		if (l->options.local.port != local->port)
			continue;
		if (ip_addr_equal(&l->options.local.addr, &local->addr))
			return l;
		if (is_any(&l->options.local.addr))
			any = l;
	}
	return any;
}

struct tcp_listener *tcp_listen(struct net *net, const struct tcp_listen_options *options)
{
	struct tcp *t = net_tcp(net);
	struct tcp_listener *l;

	list_foreach (it, &t->listeners) {
		l = container_of(it, struct tcp_listener, node);
		if (l->options.local.port == options->local.port
			&& ip_addr_equal(&l->options.local.addr, &options->local.addr)) {
			errno = EADDRINUSE;
			return NULL;
		}
	}
	l = pool_get_zeroed(&t->listener_pool);
	if (l == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	l->options = *options;
	list_init(&l->accepting);
	list_push(&t->listeners, &l->node);
	return l;
}

void tcp_leave_listener(struct tcp_conn *c)
{
	if (c->listener == NULL)
		return;
	list_remove(&c->listen_node);
	c->listener->n_half_open--;
	c->listener = NULL;
}

void tcp_stop_listening(struct tcp_listener *l)
{
	l->is_stopped = true;
}

void tcp_unlisten(struct net *net, struct tcp_listener **lp)
{
	struct tcp_listener *l = *lp;
	struct tcp *t = net_tcp(net);

	*lp = NULL;
	if (l == NULL)
		return;
	list_remove(&l->node);
	tcp_syn_unlisten(t, l, t->now_us);
	list_foreach_safe (it, &l->accepting) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, listen_node);

		stat_inc(&t->stats->tcp_reset_unlisten);
		c->flags &= ~(uint32_t)TCP_F_ACCEPTING;
		tcp_conn_reset(c, STREAM_ERROR_NONE, t->now_us);
	}
	pool_put(&t->listener_pool, l);
}

struct tcp_conn *tcp_conn_of_handshake(
	struct tcp *t, struct tcp_listener *l, const struct tcp_handshake *h, uint64_t now_us)
{
	const struct tcp_segment syn = {.seq = h->irs, .flags = RTE_TCP_SYN_FLAG, .opt = h->opt};
	struct tcp_conn *c = tcp_conn_new(t, &h->local, &h->remote, now_us);

	if (c == NULL) {
		stat_inc(&t->stats->tcp_drop_no_connection);
		return NULL;
	}
	c->listener = l;
	l->n_half_open++;
	list_push(&l->accepting, &c->listen_node);
	c->keepalive = l->options.keepalive;
	c->mtu = h->mtu;
	c->flags |= TCP_F_PASSIVE;
	c->backoff = h->n_repeated;
	c->last_tx_us = h->sent_us;
	set_initial_seq(c, h->iss);
	tcp_learn_options(c, &syn, now_us);
	c->rcv_adv = c->rcv_nxt + h->window;
	c->progress_us = now_us;
	tcp_set_state(c, TCP_SYN_RECEIVED);
	return c;
}

// Whether a SYN may be answered at all. If not, the peer will try again; a RST would tell it that nobody
// listens.
static bool is_syn_welcome(struct tcp *t)
{
	if (t->conn_pool.n_used == t->conn_pool.cap) {
		stat_inc(&t->stats->tcp_drop_no_connection);
		return false;
	}
	if (tcp_memory_rung(t) >= TCP_RUNG_ABORT) {
		stat_inc(&t->stats->tcp_drop_syn_memory);
		return false;
	}
	return true;
}

// RFC 9293, 3.10.7.2.
struct tcp_conn *tcp_listen_input(struct tcp *t, struct tcp_listener *l,
	const struct tcp_segment *seg, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, const uint32_t *iss_floor, uint64_t now_us)
{
	struct tcp_handshake h = {.local = *local, .remote = *remote};
	struct ip_addr source;

	if (seg->flags & RTE_TCP_RST_FLAG) {
		stat_inc(&t->stats->tcp_drop_listen);
		return NULL;
	}
	if (!net_route(t->net, &remote->addr, &source, &h.mtu)) {
		stat_inc(&t->stats->tcp_drop_listen);
		return NULL;
	}
	if (seg->flags & RTE_TCP_ACK_FLAG) {
		if (!(seg->flags & RTE_TCP_SYN_FLAG) && tcp_cookie_accept(t, seg, &h, now_us))
			return tcp_conn_of_handshake(t, l, &h, now_us);
		stat_inc(&t->stats->tcp_drop_listen);
		tcp_send_reset(t, local, remote, seg, now_us);
		return NULL;
	}
	if (!(seg->flags & RTE_TCP_SYN_FLAG)) {
		stat_inc(&t->stats->tcp_drop_listen);
		return NULL;
	}
	if (l->is_stopped) { // as if nobody listened
		stat_inc(&t->stats->tcp_drop_closed_port);
		tcp_send_reset(t, local, remote, seg, now_us);
		return NULL;
	}
	if (!is_syn_welcome(t))
		return NULL;
	h.irs = seg->seq;
	h.opt = seg->opt;
	h.iss = tcp_initial_seq(t, local, remote, now_us);
	if (iss_floor != NULL && seq_lt(h.iss, *iss_floor))
		h.iss = *iss_floor;
	tcp_syn_open(t, l, &h, now_us);
	return NULL;
}

// --- active opens

// Whether the pair may be used; if it is in TIME_WAIT, where the sequence numbers have to begin.
static bool is_free_pair(struct tcp *t, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, uint32_t *iss, uint64_t now_us)
{
	struct tcp_time_wait *tw;

	if (tcp_find_listener(t, local) != NULL || tcp_lookup(t, local, remote) != NULL)
		return false;
	tw = tcp_time_wait_lookup(t, local, remote);
	return tw == NULL || tcp_time_wait_reuse(t, tw, iss, now_us);
}

// RFC 6056, algorithm 3: a start that depends on the destination, then one after the other, within the
// slice that belongs to this stack.
static bool choose_port(struct tcp *t, struct ip_endpoint *local, const struct ip_endpoint *remote,
	uint32_t *iss, uint64_t now_us)
{
	uint32_t step = (uint32_t)t->port_mask + 1, first, n, start, n_better;

	first = t->port_first + ((t->port_value - (uint32_t)t->port_first) & t->port_mask);
	if (first > t->port_last)
		return false;
	n = (t->port_last - first) / step + 1;
	local->port = 0;
	start = tcp_hash(t, local, remote) + t->port_rover;
	// First some of those whose answers come straight here; then any.
	n_better = n < BETTER_PORTS ? n : BETTER_PORTS;
	for (uint32_t i = 0; i < n_better + n; i++) {
		uint32_t at = i < n_better ? i : i - n_better;

		local->port = (uint16_t)(first + (start + at) % n * step);
		if (i < n_better && !net_arrives_here(t->net, local, remote))
			continue;
		if (is_free_pair(t, local, remote, iss, now_us)) {
			t->port_rover += at + 1;
			return true;
		}
	}
	return false;
}

struct stream *tcp_connect(struct net *net, const struct tcp_connect_options *options,
	enum stream_error *error, uint64_t now_us)
{
	struct tcp *t = net_tcp(net);
	struct ip_endpoint local = {.addr = options->local};
	struct ip_addr source;
	struct tcp_conn *c;
	uint32_t iss;
	uint16_t mtu;

	t->now_us = now_us;
	if (!net_route(net, &options->remote.addr, &source, &mtu)) {
		stat_inc(&t->stats->tcp_unreachable);
		*error = STREAM_ERROR_UNREACHABLE;
		return NULL;
	}
	if (is_any(&local.addr))
		local.addr = source;
	local.port = 0;
	iss = 0;
	if (!choose_port(t, &local, &options->remote, &iss, now_us)) {
		stat_inc(&t->stats->tcp_no_port);
		*error = STREAM_ERROR_NO_PORT;
		return NULL;
	}
	c = tcp_conn_new(t, &local, &options->remote, now_us);
	if (c == NULL) {
		stat_inc(&t->stats->tcp_no_connection);
		*error = STREAM_ERROR_NO_MEMORY;
		return NULL;
	}
	if (iss == 0)
		iss = tcp_initial_seq(t, &local, &options->remote, now_us);
	set_initial_seq(c, iss);
	c->mtu = mtu;
	c->keepalive = options->keepalive;
	c->peer_mss =
		ip_addr_is_v4(&options->remote.addr) ? TCP_DEFAULT_MSS_V4 : TCP_DEFAULT_MSS_V6;
	tcp_update_mss(c); // what is written before the answer comes is cut for the worst case
	stream_set_owner(&c->stream, options->on_event, options->owner);
	c->flags |= TCP_F_OWNED | TCP_F_SYN_DUE;
	c->progress_us = now_us;
	tcp_set_state(c, TCP_SYN_SENT);
	stat_inc(&t->stats->tcp_active_opens);
	tcp_post_output(c);
	return &c->stream;
}

// --- what ICMP and ARP say

void tcp_icmp_error(struct tcp *t, enum tcp_icmp_kind kind, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, uint32_t seq, uint16_t mtu, uint64_t now_us)
{
	struct tcp_conn *c = tcp_lookup(t, local, remote);

	// RFC 5927, 4.1: who forges this has to know what is in flight.
	if (c == NULL || seq_lt(seq, c->snd_una) || !seq_lt(seq, c->snd_nxt)) {
		stat_inc(&t->stats->tcp_icmp_ignored);
		return;
	}
	if (kind == TCP_ICMP_TOO_BIG) {
		if (c->state != TCP_SYN_SENT && c->state != TCP_SYN_RECEIVED)
			tcp_mtu_learn(c, mtu != 0 ? mtu : 576, now_us);
	} else if (c->state == TCP_SYN_SENT) {
		stat_inc(&t->stats->tcp_unreachable);
		tcp_conn_fail(c, STREAM_ERROR_UNREACHABLE);
	}
}

void tcp_unreachable(struct tcp *t, const struct ip_addr *dst, uint64_t now_us)
{
	(void)now_us;
	list_foreach (it, &t->conns) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, node);

		if (c->state != TCP_SYN_SENT || !ip_addr_equal(&c->stream.remote.addr, dst))
			continue;
		stat_inc(&t->stats->tcp_unreachable);
		tcp_conn_fail(c, STREAM_ERROR_UNREACHABLE);
	}
}
