#include "dataplane/tcp/tcp_conn.h"
#include "dataplane/tcp/tcp_csum.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define MAX_LISTENERS  256u
#define MAX_HANDSHAKES 4096u // in the SYN cache; then cookies

const struct tcp_settings tcp_default_settings = {
	.send_buffer_max = 256 * 1024,
	.receive_buffer_max = 4 * 1024 * 1024,
	.user_timeout_us = 60 * 1000000,
	.time_wait_us = 60 * 1000000,
	.fin_wait_2_us = 60 * 1000000,
	.linger_bytes = 1024 * 1024,
};

#define TO(name) (1u << TCP_##name)

static const struct {
	const char *name;
	size_t gauge;  // in struct dataplane_stats
	uint32_t next; // set of states that may follow
} states[TCP_N_STATES] = {
#define TCP_STATE(state, lower, successors)                                   \
	[TCP_##state] = {                                                     \
		.name = #state,                                               \
		.gauge = offsetof(struct dataplane_stats, tcp_state_##lower), \
		.next = (successors),                                         \
	},
#include "dataplane/tcp/tcp_state.def"
};

static uint64_t *state_gauge(struct tcp *t, enum tcp_state s)
{
	return (uint64_t *)(void *)((char *)t->stats + states[s].gauge);
}

void tcp_set_state(struct tcp_conn *c, enum tcp_state to)
{
	assert(states[c->state].next & 1u << to);
	stat_dec(state_gauge(c->tcp, c->state));
	stat_inc(state_gauge(c->tcp, to));
	c->state = (uint8_t)to;
}

const char *tcp_state_name(enum tcp_state s)
{
	return states[s].name;
}

bool tcp_limit_allows(struct tcp_limit *l, uint32_t per_second, uint64_t now_us)
{
	if (now_us - l->window_us >= 1000000) {
		l->window_us = now_us;
		l->n = 0;
	}
	if (l->n >= per_second)
		return false;
	l->n++;
	return true;
}

struct rte_mbuf *tcp_mbuf_get(struct tcp *t)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(t->mbufs);

	if (m == NULL) {
		stat_inc(&t->stats->tcp_tx_no_buffer);
		return NULL;
	}
	m->data_off = NET_HEADROOM;
	return m;
}

void tcp_queue_drop(struct tcp *t, struct tcp_queue *q)
{
	tcp_unhold(t, q->n);
	while (q->head != NULL)
		rte_pktmbuf_free(tcp_queue_pop(q));
}

// --- the table

static uint64_t hash_pair(
	const struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	struct {
		struct ip_addr local;
		struct ip_addr remote;
		uint16_t ports[4];
	} key = {
		local->addr, remote->addr, {local->port, remote->port, 0, 0}
        };

	return hash_bytes(&t->secret, &key, sizeof(key));
}

uint32_t tcp_hash(
	const struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	return (uint32_t)hash_pair(t, local, remote);
}

uint32_t tcp_ts_offset(
	const struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	return (uint32_t)(hash_pair(t, local, remote) >> 32);
}

static bool endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
	return a->port == b->port && ip_addr_equal(&a->addr, &b->addr);
}

struct tcp_conn *tcp_lookup(
	struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	uint32_t hash = tcp_hash(t, local, remote);
	struct tcp_conn *c = t->buckets[hash & t->bucket_mask];

	for (; c != NULL; c = c->hash_next) {
		if (c->hash == hash && endpoint_equal(&c->stream.remote, remote)
			&& endpoint_equal(&c->stream.local, local))
			return c;
	}
	return NULL;
}

static void table_add(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_conn **bucket;

	c->hash = tcp_hash(t, &c->stream.local, &c->stream.remote);
	bucket = &t->buckets[c->hash & t->bucket_mask];
	c->hash_next = *bucket;
	*bucket = c;
	c->flags |= TCP_F_IN_TABLE;
}

static void table_remove(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_conn **link = &t->buckets[c->hash & t->bucket_mask];

	while (*link != c)
		link = &(*link)->hash_next;
	*link = c->hash_next;
	c->flags &= ~(uint32_t)TCP_F_IN_TABLE;
}

// --- life of a connection

struct tcp_conn *tcp_conn_new(struct tcp *t, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, uint64_t now_us)
{
	struct tcp_conn *c = pool_get_zeroed(&t->conn_pool);

	if (c == NULL)
		return NULL;
	c->stream.ops = &tcp_stream_ops;
	c->stream.local = *local;
	c->stream.remote = *remote;
	c->tcp = t;
	c->state = TCP_CLOSED;
	c->cc = t->settings.cc != NULL ? t->settings.cc : &tcp_cc_cubic;
	c->local_port_be = __builtin_bswap16(local->port);
	c->remote_port_be = __builtin_bswap16(remote->port);
	c->pseudo_sum = csum_pseudo(&local->addr, &remote->addr);
	c->ts_offset = tcp_ts_offset(t, local, remote);
	c->rto_us = TCP_RTO_FIRST_US;
	c->rto_at_us = TCP_NEVER;
	c->ack_at_us = TCP_NEVER;
	c->reorder_at_us = TCP_NEVER;
	c->probe_at_us = TCP_NEVER;
	c->pace_at_us = TCP_NEVER;
	c->keepalive_at_us = TCP_NEVER;
	c->give_up_us = TCP_NEVER;
	c->created_us = now_us;
	c->last_rx_us = now_us;
	c->ssthresh = UINT32_MAX;
	tcp_timer_start(c);
	list_init(&c->out_node);
	list_init(&c->event_node);
	list_init(&c->starved_node);
	list_init(&c->listen_node);
	list_init(&c->free_node);
	list_push(&t->conns, &c->node);
	table_add(t, c);
	stat_inc(state_gauge(t, TCP_CLOSED));
	return c;
}

void tcp_conn_detach(struct tcp_conn *c)
{
	struct tcp *t = c->tcp;

	if (c->flags & TCP_F_IN_TABLE)
		table_remove(t, c);
	timer_cancel(t->timers, &c->timer);
	tcp_queue_drop(t, &c->sending);
	c->unsent = NULL;
	tcp_queue_drop(t, &c->reordered);
	list_remove(&c->out_node);
	list_remove(&c->starved_node);
	tcp_leave_listener(c);
}

void tcp_conn_release(struct tcp_conn *c)
{
	if (c->flags & (TCP_F_OWNED | TCP_F_IN_TABLE) || !list_is_empty(&c->free_node))
		return;
	list_remove(&c->event_node);
	tcp_queue_drop(c->tcp, &c->received);
	list_push(&c->tcp->dead, &c->free_node);
}

void tcp_conn_finish(struct tcp_conn *c)
{
	if (c->state != TCP_CLOSED)
		tcp_set_state(c, TCP_CLOSED);
	tcp_conn_detach(c);
	tcp_conn_release(c);
}

void tcp_conn_fail(struct tcp_conn *c, enum stream_error error)
{
	if (c->flags & TCP_F_OWNED
		&& (c->state == TCP_SYN_SENT
			|| (c->state == TCP_SYN_RECEIVED && !(c->flags & TCP_F_PASSIVE))))
		stat_inc(&c->tcp->stats->tcp_active_open_failures);
	c->stream.error = error;
	tcp_post_event(c, STREAM_CLOSED);
	tcp_conn_finish(c);
}

void tcp_conn_reset(struct tcp_conn *c, enum stream_error error, uint64_t now_us)
{
	// In SYN_SENT the peer knows of nothing that a RST could end.
	if (c->state != TCP_SYN_SENT && c->state != TCP_CLOSED && c->state != TCP_TIME_WAIT)
		tcp_send_control(
			c, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, tcp_control_seq(c), now_us);
	tcp_conn_fail(c, error);
}

static void conn_free(struct tcp *t, struct tcp_conn *c)
{
	tcp_walk_forget(t, c);
	list_remove(&c->node);
	list_remove(&c->event_node);
	list_remove(&c->free_node);
	stat_dec(state_gauge(t, c->state));
	pool_put(&t->conn_pool, c);
}

// --- the stack's part

void tcp_post_event(struct tcp_conn *c, unsigned events)
{
	if (!(c->flags & TCP_F_OWNED))
		return;
	c->events |= events;
	if (list_is_empty(&c->event_node))
		list_push(&c->tcp->events, &c->event_node);
}

void tcp_post_output(struct tcp_conn *c)
{
	if (list_is_empty(&c->out_node) && c->flags & TCP_F_IN_TABLE)
		list_push(&c->tcp->output, &c->out_node);
}

// Only has to make net_next_deadline() end: tcp_run() looks at the starved by itself.
static void on_retry(struct timer *timer, uint64_t now_us)
{
	(void)timer;
	(void)now_us;
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 16;

	while (p < n)
		p *= 2;
	return p;
}

static uint8_t scale_for(uint32_t window)
{
	uint8_t scale = 0;

	while (scale < TCP_MAX_SCALE && window >> scale > UINT16_MAX)
		scale++;
	return scale;
}

static void init_lists(struct tcp *t)
{
	list_init(&t->conns);
	list_init(&t->output);
	list_init(&t->events);
	list_init(&t->starved);
	list_init(&t->dead);
	list_init(&t->listeners);
}

struct tcp *tcp_new(struct net *net, const struct net_config *config, uint64_t now_us)
{
	uint32_t n_buckets = power_of_two(config->max_connections);
	struct tcp *t;

	if (rte_pktmbuf_priv_size(config->mbufs) < sizeof(struct tcp_buf)
		|| rte_pktmbuf_data_room_size(config->mbufs) < NET_HEADROOM + TCP_MIN_MSS) {
		errno = EINVAL;
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->net = net;
	t->now_us = now_us;
	t->stats = config->stats;
	t->timers = net_timers(net);
	t->settings = config->tcp != NULL ? *config->tcp : tcp_default_settings;
	t->secret = config->secret;
	t->mbufs = config->mbufs;
	t->max_mbufs_held =
		config->max_mbufs_held != 0 ? config->max_mbufs_held : config->mbufs->size / 4 * 3;
	t->max_payload = (uint16_t)(rte_pktmbuf_data_room_size(config->mbufs) - NET_HEADROOM);
	t->receive_scale = scale_for(t->settings.receive_buffer_max);
	t->port_first = config->port_first;
	t->port_last = config->port_last;
	t->port_mask = config->port_mask;
	t->port_value = config->port_value;
	t->bucket_mask = n_buckets - 1;
	init_lists(t);
	timer_init(&t->retry_timer, on_retry);
	tcp_memory_init(t);
	t->buckets = calloc(n_buckets, sizeof(struct tcp_conn *));
	if (t->buckets == NULL
		|| pool_init(&t->conn_pool, "tcp connections", sizeof(struct tcp_conn),
			   config->max_connections)
			!= 0
		|| pool_init(&t->listener_pool, "tcp listeners", sizeof(struct tcp_listener),
			   MAX_LISTENERS)
			!= 0
		|| tcp_time_wait_init(t, config->max_time_wait) != 0
		|| tcp_syn_init(t,
			   config->max_connections < MAX_HANDSHAKES ? config->max_connections
								    : MAX_HANDSHAKES)
			!= 0) {
		tcp_free(&t);
		errno = ENOMEM;
	}
	return t;
}

void tcp_free(struct tcp **tp)
{
	struct tcp *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	list_foreach_safe (it, &t->conns) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, node);

		c->flags &= ~(uint32_t)TCP_F_OWNED;
		tcp_conn_detach(c);
		tcp_queue_drop(t, &c->received);
		conn_free(t, c);
	}
	tcp_time_wait_fini(t);
	tcp_syn_fini(t);
	while (!list_is_empty(&t->listeners)) {
		struct list *node = list_pop(&t->listeners);

		pool_put(&t->listener_pool, container_of(node, struct tcp_listener, node));
	}
	timer_cancel(t->timers, &t->retry_timer);
	tcp_memory_fini(t);
	pool_fini(&t->listener_pool);
	pool_fini(&t->conn_pool);
	free(t->buckets);
	free(t);
}

// The handshake is done: asks the listener's owner.
static void accept_conn(struct tcp_conn *c, uint64_t now_us)
{
	struct tcp_listener *l = c->listener;

	c->flags &= ~(uint32_t)TCP_F_ACCEPTING;
	c->flags |= TCP_F_OWNED;
	tcp_leave_listener(c);
	if (!l->options.accept(l->options.arg, &c->stream, now_us)) {
		c->flags &= ~(uint32_t)TCP_F_OWNED;
		stat_inc(&c->tcp->stats->tcp_reset_not_accepted);
		tcp_conn_reset(c, STREAM_ERROR_REFUSED, now_us);
		return;
	}
	stat_inc(&c->tcp->stats->tcp_passive_opens);
	if (c->received.head != NULL || c->flags & TCP_F_FIN_RECEIVED)
		c->events |= STREAM_READABLE;
}

static bool run_events(struct tcp *t, uint64_t now_us)
{
	struct list todo;
	bool any = false;

	// What owners cause from in here waits for the next turn.
	list_init(&todo);
	list_splice(&todo, &t->events);
	while (!list_is_empty(&todo)) {
		struct tcp_conn *c = container_of(list_pop(&todo), struct tcp_conn, event_node);
		unsigned events;

		any = true;
		if (c->flags & TCP_F_ACCEPTING)
			accept_conn(c, now_us);
		events = c->events;
		c->events = 0;
		if (c->flags & TCP_F_OWNED && events != 0 && c->stream.on_event != NULL)
			c->stream.on_event(c->stream.owner, &c->stream, events, now_us);
	}
	return any;
}

// Those that could not write because buffers were short get another chance once some are free.
static void wake_starved(struct tcp *t, uint64_t now_us)
{
	struct list todo;

	if (list_is_empty(&t->starved))
		return;
	if (t->mbufs_held > t->max_mbufs_held - t->max_mbufs_held / 16
		|| timer_is_armed(&t->retry_timer)) {
		if (!timer_is_armed(&t->retry_timer))
			timer_arm(t->timers, &t->retry_timer, now_us + TCP_RETRY_US);
		return;
	}
	list_init(&todo);
	list_splice(&todo, &t->starved);
	while (!list_is_empty(&todo)) {
		struct tcp_conn *c = container_of(list_pop(&todo), struct tcp_conn, starved_node);

		tcp_check_writable(c);
	}
}

bool tcp_run(struct tcp *t, uint64_t now_us)
{
	bool any;

	t->now_us = now_us;
	tcp_memory_run(t, now_us);
	wake_starved(t, now_us);
	any = run_events(t, now_us);
	while (!list_is_empty(&t->output)) {
		struct tcp_conn *c = container_of(list_pop(&t->output), struct tcp_conn, out_node);

		any = true;
		tcp_output(c, now_us);
	}
	while (!list_is_empty(&t->dead))
		conn_free(t, container_of(list_pop(&t->dead), struct tcp_conn, free_node));
	return any;
}

bool tcp_has_work(const struct tcp *t)
{
	return !list_is_empty(&t->events) || !list_is_empty(&t->output) || !list_is_empty(&t->dead);
}

uint32_t tcp_n_connections(const struct net *net)
{
	// net_tcp() has no const variant, and nothing is changed through it here.
	return net_tcp((struct net *)(uintptr_t)net)->conn_pool.n_used;
}

void tcp_reset_all(struct net *net, uint64_t now_us)
{
	struct tcp *t = net_tcp(net);

	t->now_us = now_us;
	list_foreach_safe (it, &t->conns) {
		struct tcp_conn *c = container_of(it, struct tcp_conn, node);

		if (c->state == TCP_CLOSED)
			continue;
		stat_inc(&t->stats->tcp_reset_stop);
		tcp_conn_reset(c, STREAM_ERROR_NONE, now_us);
	}
}
