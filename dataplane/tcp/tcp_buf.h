// The mbufs that TCP holds: queues of them, and what TCP writes into their private area.
//
// A segment to send is one contiguous mbuf, because the weakest driver (AF_XDP) takes nothing else. Its
// payload lies at 'off' from buf_addr and never changes once sent; headers are written in front of it
// for each transmission. The queue's reference keeps it until it is acknowledged; while the driver
// still has one (refcnt above 1) the headers may not be touched, and a retransmission sends a copy.
//
// Received mbufs are queued as they came, data trimmed to the payload. They may come from a pool
// without private area: then this struct lies in the headroom, which nobody else uses.
#pragma once

#include <rte_mbuf.h>
#include <stdint.h>

enum tcp_buf_flag {
	TCP_BUF_FIN = 1 << 0,    // takes one more sequence number
	TCP_BUF_SACKED = 1 << 1, // the peer has it (RFC 2018)
	TCP_BUF_LOST = 1 << 2,   // believed lost
	TCP_BUF_AGAIN = 1 << 3,  // sent again since it was marked lost
};

struct tcp_buf {
	struct rte_mbuf *next; // in the queue
	uint64_t tx_us;        // last sent
	uint32_t seq;          // of the first byte
	uint16_t len;          // payload bytes
	uint16_t off;          // where the payload starts, from buf_addr; of sent ones
	uint8_t flags;
	uint8_t n_tx; // times sent, stays at 255
};

_Static_assert(sizeof(struct tcp_buf) <= 32, "pools are made with 32 bytes of private area");

static inline struct tcp_buf *tcp_buf(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

// Sequence numbers that 'm' takes.
static inline uint32_t tcp_buf_seq_len(struct rte_mbuf *m)
{
	const struct tcp_buf *b = tcp_buf(m);

	return b->len + (uint32_t)(b->flags & TCP_BUF_FIN);
}

static inline uint32_t tcp_buf_end(struct rte_mbuf *m)
{
	return tcp_buf(m)->seq + tcp_buf_seq_len(m);
}

struct tcp_queue {
	struct rte_mbuf *head;
	struct rte_mbuf *tail;
	uint32_t bytes; // payload
	uint32_t n;
};

static inline void tcp_queue_push(struct tcp_queue *q, struct rte_mbuf *m)
{
	tcp_buf(m)->next = NULL;
	if (q->head == NULL)
		q->head = m;
	else
		tcp_buf(q->tail)->next = m;
	q->tail = m;
	q->bytes += tcp_buf(m)->len;
	q->n++;
}

// The queue has at least one.
static inline struct rte_mbuf *tcp_queue_pop(struct tcp_queue *q)
{
	struct rte_mbuf *m = q->head;

	q->head = tcp_buf(m)->next;
	if (q->head == NULL)
		q->tail = NULL;
	q->bytes -= tcp_buf(m)->len;
	q->n--;
	return m;
}

// Puts 'm' behind 'at', or at the front if 'at' is NULL.
static inline void tcp_queue_insert(struct tcp_queue *q, struct rte_mbuf *at, struct rte_mbuf *m)
{
	struct rte_mbuf **link = at != NULL ? &tcp_buf(at)->next : &q->head;

	tcp_buf(m)->next = *link;
	*link = m;
	if (tcp_buf(m)->next == NULL)
		q->tail = m;
	q->bytes += tcp_buf(m)->len;
	q->n++;
}
