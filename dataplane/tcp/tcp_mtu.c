// How large a segment may be on this path. ICMP says so (RFC 1191, 8201; whether it is believed, tcp_listen.c),
// or, where ICMP is filtered, full-sized segments that vanish time and again (RFC 2923, 4821): then the next
// smaller common size is tried. After some minutes the full size is tried once more.

#include "dataplane/tcp/tcp_conn.h"

#define RAISE_US     (600ull * 1000000) // RFC 1191, 6.3
#define HOLE_RTOS    2u                 // timeouts without an answer before each step
#define MIN_MTU_V4   552u               // nothing asks for less but an attack, RFC 5927, 7
#define MIN_MTU_V6   1280u
#define LEAST_MTU_V4 576u // of the search, so that it stays above the floor

// Sizes to try, from RFC 1191, 7.1 and RFC 8200, 5.
static const uint16_t steps[] = {1500, 1280, LEAST_MTU_V4};

static bool is_v4(const struct tcp_conn *c)
{
	return ip_addr_is_v4(&c->stream.remote.addr);
}

static void set_mtu(struct tcp_conn *c, uint16_t mtu, uint64_t now_us)
{
	c->mtu = mtu;
	c->mtu_at_us = now_us;
	tcp_update_mss(c);
}

// What is too large did not arrive; that says nothing about congestion.
static void mark_too_large(struct tcp_conn *c)
{
	tcp_forget_duplicates(c);
	for (struct rte_mbuf *m = c->sending.head; m != c->unsent; m = tcp_buf(m)->next) {
		if (tcp_buf(m)->len > c->mss && !(tcp_buf(m)->flags & TCP_BUF_SACKED))
			tcp_mark_lost(c, m);
	}
}

void tcp_mtu_learn(struct tcp_conn *c, uint16_t mtu, uint64_t now_us)
{
	uint16_t least = is_v4(c) ? MIN_MTU_V4 : MIN_MTU_V6;

	if (mtu < least)
		mtu = least;
	if (mtu >= c->mtu)
		return;
	set_mtu(c, mtu, now_us);
	stat_inc(&c->tcp->stats->tcp_mtu_reduced);
	mark_too_large(c);
	tcp_post_output(c);
}

void tcp_mtu_timeout(struct tcp_conn *c, uint64_t now_us)
{
	struct rte_mbuf *head = c->sending.head;
	uint16_t least = is_v4(c) ? LEAST_MTU_V4 : MIN_MTU_V6, old = c->mtu, old_mss = c->mss;
	uint64_t old_at_us = c->mtu_at_us;

	if (c->backoff < HOLE_RTOS || c->backoff % HOLE_RTOS != 0
		|| seq_lt(c->snd_una + c->snd_wnd, tcp_buf_end(head)))
		return;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i] >= c->mtu || steps[i] < least)
			continue;
		set_mtu(c, steps[i], now_us);
		if (tcp_buf(head)->len > c->mss) {
			stat_inc(&c->tcp->stats->tcp_mtu_black_holes);
			return;
		}
	}
	c->mtu = old; // small ones vanish too: it is not their size
	c->mss = old_mss;
	c->mtu_at_us = old_at_us;
}

void tcp_mtu_raise(struct tcp_conn *c, uint64_t now_us)
{
	struct ip_addr src;
	uint16_t mtu;

	if (c->mtu_at_us == 0 || now_us - c->mtu_at_us < RAISE_US)
		return;
	c->mtu_at_us = 0;
	if (!net_route(c->tcp->net, &c->stream.remote.addr, &src, &mtu) || mtu <= c->mtu)
		return;
	c->mtu = mtu;
	tcp_update_mss(c);
}

static void follow(struct tcp_conn *c, uint64_t now_us)
{
	struct ip_addr src;
	uint16_t mtu;

	if (!net_route(c->tcp->net, &c->stream.remote.addr, &src, &mtu))
		return;
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED) {
		c->mtu = mtu; // nothing is cut yet
	} else if (mtu < c->mtu) {
		tcp_mtu_learn(c, mtu, now_us);
		c->mtu_at_us = 0;
	} else if (mtu > c->mtu && c->mtu_at_us == 0) {
		c->mtu = mtu;
		tcp_update_mss(c);
	}
}

void tcp_mtu_follow(struct tcp *t, uint64_t now_us)
{
	list_foreach (it, &t->conns)
		follow(container_of(it, struct tcp_conn, node), now_us);
}
