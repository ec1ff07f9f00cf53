// What others may know of a connection.
#include "dataplane/tcp/tcp_conn.h"

static const char *const wait_names[TCP_N_WAITS] = {
#define X(name, text, help) [TCP_WAIT_##name] = (text),
	TCP_WAITS(X)
#undef X
};

const char *tcp_wait_text(enum tcp_wait w)
{
	return wait_names[w];
}

// In the order in which tcp_output() asks.
static enum tcp_wait wait_of(const struct tcp_conn *c)
{
	uint32_t len = c->unsent != NULL ? tcp_buf(c->unsent)->len : 0;
	bool lost = c->again_bytes < c->lost_bytes;

	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED)
		return TCP_WAIT_HANDSHAKE;
	if (c->unsent != NULL || lost) {
		if (tcp_pipe(c) > 0 && tcp_pipe(c) + RTE_MIN(len, c->mss) > c->cwnd)
			return TCP_WAIT_CONGESTION;
		if (!lost)
			return TCP_WAIT_PEER_WINDOW;
	}
	if (!list_is_empty(&c->starved_node))
		return TCP_WAIT_BUFFERS;
	if (tcp_in_flight(c) > 0)
		return TCP_WAIT_ACK;
	return TCP_WAIT_APPLICATION;
}

static struct tcp_info info_of(struct tcp_conn *c)
{
	return (struct tcp_info){
		.stream = c->flags & TCP_F_OWNED ? &c->stream : NULL,
		.local = c->stream.local,
		.remote = c->stream.remote,
		.state = tcp_state_name(c->state),
		.waits_for = wait_of(c),
		.passive = c->flags & TCP_F_PASSIVE,
		.timestamps = c->flags & TCP_F_TIMESTAMP,
		.sack = c->flags & TCP_F_SACK,
		.recovering = c->flags & (TCP_F_RECOVERY | TCP_F_LOSS),
		.congestion_control = c->cc->name,
		.srtt_us = c->srtt_us,
		.rttvar_us = c->rttvar_us,
		.min_rtt_us = c->min_rtt_us,
		.rto_us = (uint32_t)tcp_rto(c),
		.backoff = c->backoff,
		.cwnd = c->cwnd,
		.ssthresh = c->ssthresh,
		.send_queued = c->sending.bytes,
		.in_flight = tcp_in_flight(c),
		.lost = c->lost_bytes,
		.receive_queued = c->received.bytes,
		.reordered = c->reordered.bytes,
		.send_window = c->snd_wnd,
		.receive_window = c->rcv_adv - c->rcv_nxt,
		.send_scale = c->send_scale,
		.receive_scale = c->receive_scale,
		.mbufs_held = c->sending.n + c->received.n + c->reordered.n,
		.n_retransmits = c->n_retransmits,
		.mss = c->mss,
		.mtu = c->mtu,
		.bytes_sent = c->stream.bytes_sent,
		.bytes_received = c->stream.bytes_received,
		.created_us = c->created_us,
		.last_received_us = c->last_rx_us,
		.last_sent_us = c->last_tx_us,
	};
}

static bool is_unsent(const struct tcp_conn *c)
{
	return c->flags & TCP_F_PASSIVE
		&& (c->state == TCP_FIN_WAIT_1 || c->state == TCP_CLOSING
			|| c->state == TCP_LAST_ACK);
}

struct tcp_unowned tcp_count_unowned(struct net *net)
{
	struct tcp *t = net_tcp(net);
	struct tcp_unowned n = {0};

	list_foreach (it, &t->listeners)
		n.n_half_open += container_of(it, struct tcp_listener, node)->n_half_open;
	list_foreach (it, &t->conns)
		n.n_unsent += is_unsent(container_of(it, struct tcp_conn, node));
	return n;
}

void tcp_each(struct net *net, tcp_info_fn *fn, void *arg)
{
	list_foreach (it, &net_tcp(net)->conns) {
		struct tcp_info info = info_of(container_of(it, struct tcp_conn, node));

		if (!fn(arg, &info))
			return;
	}
}

// --- a slice at a time

void tcp_walk_begin(struct net *net)
{
	struct tcp *t = net_tcp(net);

	t->walk = t->conns.next;
	t->walk_us = t->now_us;
}

bool tcp_walk(struct net *net, unsigned n, tcp_info_fn *fn, void *arg)
{
	struct tcp *t = net_tcp(net);

	for (; n > 0 && t->walk != NULL && t->walk != &t->conns; n--) {
		struct tcp_conn *c = container_of(t->walk, struct tcp_conn, node);
		struct tcp_info info = info_of(c);

		// Those that came meanwhile are at the end.
		t->walk = c->created_us > t->walk_us ? NULL : t->walk->next;
		if (t->walk == NULL || !fn(arg, &info))
			break;
	}
	if (t->walk == NULL || t->walk == &t->conns)
		t->walk = NULL;
	return t->walk != NULL;
}

void tcp_walk_forget(struct tcp *t, const struct tcp_conn *c)
{
	if (t->walk == &c->node)
		t->walk = c->node.next;
}
