// Segments that leave together: one packet that the NIC cuts, where it can (TSO).
//
//     send queue    [ seg 1 ][ seg 2 ][ seg 3 ]...      one mbuf each, as ever
//                       ^        ^        ^
//     packet  [ headers ][  .  ][  .   ][  .  ]         indirect mbufs: references, no copies
//
// Only what was never sent goes out like this, and only the packet is special: in the queue each segment stays
// for itself, so that an ACK, a SACK block or a retransmission of a part is nothing new. The cuts are where
// the segments end, since all but the last are full.

#include "dataplane/tcp/tcp_conn.h"

#define TCP_TSO_SHARE \
	4u // of the buffers that may be held: with as many references there are some left

// Whether 'm', an unsent segment with 'before' bytes of unsent ones in front of it, goes out now. Stricter than
// the test of a segment alone: what has to be cut or thought about goes by itself.
static bool fits_behind(const struct tcp_conn *c, struct rte_mbuf *m, uint32_t before)
{
	const struct tcp_buf *b = tcp_buf(m);

	if (b->len == 0 || b->len > c->mss)
		return false;
	if (c->tcp->settings.nagle && b->len < c->mss && !(b->flags & TCP_BUF_FIN))
		return false;
	return tcp_pipe(c) + before + b->len <= c->cwnd
		&& seq_le(tcp_buf_end(m), c->snd_una + c->snd_wnd);
}

// How many segments from the first unsent one on, which fits, make the packet.
static unsigned count_run(const struct tcp_conn *c, unsigned most)
{
	struct rte_mbuf *m = c->unsent;
	uint32_t bytes = 0;
	unsigned n = 0;

	do {
		bytes += tcp_buf(m)->len;
		n++;
		if (tcp_buf(m)->len < c->mss || n == most)
			break;
		m = tcp_buf(m)->next;
	} while (m != NULL && fits_behind(c, m, bytes));
	return n;
}

static struct rte_mbuf *refer_to(struct tcp *t, struct rte_mbuf *m)
{
	const struct tcp_buf *b = tcp_buf(m);
	struct rte_mbuf *part = tcp_mbuf_get(t);

	if (part == NULL)
		return NULL;
	rte_pktmbuf_attach(part, m);
	part->data_off = b->off;
	part->data_len = b->len;
	part->pkt_len = b->len;
	return part;
}

struct rte_mbuf *tcp_tso_packet(struct tcp_conn *c, unsigned *n, uint64_t now_us)
{
	struct tcp *t = c->tcp;
	struct rte_mbuf *m = c->unsent, *packet, *tail;
	unsigned most;

	// References are not charged to anybody, but together they may not be more than what is.
	if (t->mbufs_held > t->max_mbufs_held / TCP_TSO_SHARE)
		return NULL;
	// Most are alone: they cost no look at the way.
	if (tcp_buf(m)->next == NULL || tcp_buf(m)->len < c->mss || count_run(c, 2) < 2)
		return NULL;
	most = net_segments_at_once(
		t->net, &c->stream.remote.addr, TCP_HEADER_LEN + TCP_TIMESTAMP_LEN, c->mss, now_us);
	most = tcp_pace_run(c, most);
	*n = most > 1 ? count_run(c, most) : 1;
	if (*n == 1)
		return NULL;
	packet = tcp_mbuf_get(t);
	tail = packet;
	for (unsigned i = 0; i < *n && tail != NULL; i++, m = tcp_buf(m)->next) {
		tail->next = refer_to(t, m);
		tail = tail->next;
		if (tail == NULL)
			break;
		packet->pkt_len += tail->data_len;
		packet->nb_segs++;
	}
	if (tail == NULL) { // no buffers: one by one they need none
		rte_pktmbuf_free(packet);
		return NULL;
	}
	packet->ol_flags = RTE_MBUF_F_TX_TCP_SEG;
	packet->tso_segsz = c->mss;
	c->flags |= TCP_F_PACED;
	stat_inc(&t->stats->tcp_tso_packets);
	stat_add(&t->stats->tcp_tso_segments, *n);
	return packet;
}
