// The inside of TCP: the connection, the stack's TCP part, and what its files offer each other. Nobody
// outside dataplane/tcp includes this.
//
//     tcp_input (tcp_in.c)  parse, find the connection, RFC 9293 3.10.7
//         tcp_ack.c         what an ACK frees, marks lost, opens
//         tcp_rack.c        what is lost, by time; the probe for a lost tail
//         tcp_recovery.c    the window while a loss is repaired, and when there was none
//         cc_*.c            the window otherwise
//         tcp_pace.c        when large packets leave
//         tcp_mtu.c         how large segments may be
//         tcp_receive.c     data in order and out of order, SACK blocks, FIN
//         tcp_listen.c      SYNs to listeners, active opens, local ports
//         tcp_syn.c         handshakes of listeners; tcp_cookie.c those that nothing is kept of
//         tcp_time_wait.c   what is left of a closed connection
//     tcp_tso.c         segments that leave together
//     tcp_info.c            what others may know of a connection
//     tcp_timeout (tcp_timer.c)
//     tcp_run (tcp.c)       owners' callbacks, then tcp_output (tcp_out.c), then frees
//     tcp_stream.c          what owners call
//
// Input and owners decide, tcp_output() does: both only change the connection and put it on the output
// list; segments leave once each loop turn, so that a burst gets one ACK. Owners are called from
// tcp_run() alone. A connection is freed at the end of tcp_run(), when it is out of the table and its
// owner has given it back.
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"
#include "dataplane/tcp/seq.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_buf.h"
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_memory.h"
#include "dataplane/tcp/tcp_net.h"
#include "dataplane/tcp/tcp_syn.h"
#include "dataplane/tcp/tcp_wire.h"
#include "dataplane/timer.h"

enum tcp_state {
#define TCP_STATE(name, gauge, next) TCP_##name,
#include "dataplane/tcp/tcp_state.def"
	TCP_N_STATES,
};

#define TCP_NEVER UINT64_MAX

#define TCP_MIN_MSS       64u // a peer that says less gets this: headers must not outweigh all
#define TCP_RTO_MIN_US    200000u
#define TCP_RTO_FIRST_US  1000000u
#define TCP_RTO_MAX_US    60000000u
#define TCP_RETRY_US      10000u // after an empty buffer pool
#define TCP_HALF_OPEN_US  32000000u
#define TCP_INITIAL_MSS_N 10u  // RFC 6928
#define TCP_MAX_LOCALS    128u // addresses of ours; NET_MAX_IFACES times what one has, and some
#define TCP_MAX_OOO       256u // mbufs out of order a connection may hold
#define TCP_MIN_BUF_BYTES 512u // the average fill that queues are sized for, in mbufs

// How long an ACK waits for data to ride on. A peer with Nagle on sends the second small write of an answer
// (headers, then body) only after our ACK of the first, so all of the wait is added to the answer; 40 ms
// as elsewhere cost a Python backend 42 ms a request. Our own answers leave within a turn of the loop or
// two, which this still covers; the timer wheel makes it 1 to 2 ms.
#define TCP_ACK_DELAY_US 1000u

enum tcp_flag {
	TCP_F_OWNED = 1 << 0,     // an owner holds the stream
	TCP_F_IN_TABLE = 1 << 1,  // segments find it
	TCP_F_PASSIVE = 1 << 2,   // a listener's
	TCP_F_TIMESTAMP = 1 << 3, // negotiated
	TCP_F_SACK = 1 << 4,      // negotiated
	TCP_F_ACK_NOW = 1 << 5,   // an ACK is due this turn
	TCP_F_FIN_QUEUED = 1 << 6,
	TCP_F_FIN_RECEIVED = 1 << 7,
	TCP_F_RECOVERY = 1 << 8, // fast recovery until una reaches 'recover'
	TCP_F_LOSS = 1 << 9,     // after a timeout, until una reaches 'recover'
	TCP_F_WANT_WRITE = 1 << 10,
	TCP_F_SYN_DUE = 1 << 11,      // SYN or SYN-ACK has to be sent
	TCP_F_ACCEPTING = 1 << 13,    // handshake done, owner not yet asked
	TCP_F_CWND_FULL = 1 << 14,    // the congestion window was the limit
	TCP_F_FIRST_AGAIN = 1 << 17,  // recovery began: one goes out whatever the window says
	TCP_F_FIN_MADE = 1 << 15,     // the FIN is part of the send queue
	TCP_F_SCALE = 1 << 16,        // negotiated
	TCP_F_DSACK_ROUND = 1 << 18,  // a D-SACK came; the next counts from 'dsack_round' on
	TCP_F_PROBED = 1 << 19,       // a tail probe is out, up to 'probe_end'
	TCP_F_PROBED_AGAIN = 1 << 20, // and was nothing new
	TCP_F_PACED = 1 << 22,        // a packet left that the NIC cuts
	TCP_F_RESCUED = 1 << 21,      // the end of the flight went again in this recovery
};

struct tcp_listener {
	struct list node; // in tcp.listeners
	struct tcp_listen_options options;
	struct list accepting; // tcp_conn.listen_node: handshake done, owner not yet asked
	uint32_t n_half_open;  // these, and its entries in the SYN cache
	bool is_stopped;       // takes no new SYN
};

// How things stood before the window was last reduced (tcp_recovery.c).
struct tcp_undo {
	uint32_t cwnd; // 0: nothing to take back
	uint32_t ssthresh;
	uint32_t una;
	uint32_t ts;     // of the first segment sent again
	uint32_t n_sent; // again, and no D-SACK says in vain
	bool timeout;
	bool answered; // an ACK has told whether what was sent again arrived, or what was sent first
	struct tcp_cc cc;
};

struct tcp_conn {
	struct stream stream; // first: owners hold this

	// found by each segment
	struct tcp_conn *hash_next;
	uint32_t hash;
	uint8_t state; // enum tcp_state, written by tcp_set_state() alone
	uint8_t send_scale;
	uint8_t receive_scale;
	uint8_t backoff; // of the retransmission timer, doublings
	uint32_t flags;  // enum tcp_flag
	uint32_t events; // enum stream_event that the owner has to hear
	struct tcp *tcp;

	// receive, per segment
	uint32_t rcv_nxt;
	uint32_t rcv_adv;      // right edge of the window as announced; never moves left
	uint32_t rcv_acked;    // rcv_nxt as of the last ACK sent
	uint32_t ts_recent;    // RFC 7323
	uint64_t ts_recent_us; // when it was set
	uint64_t last_rx_us;
	struct tcp_queue received; // in order, waiting for the owner
	uint32_t window_size;      // bytes we let the peer be ahead of the owner
	uint32_t taken_before;     // bytes_received as of 'taken_us'
	uint64_t taken_us;

	// send, per segment
	uint32_t snd_una;
	uint32_t snd_nxt; // highest number sent + 1
	uint32_t snd_end; // number after all that is queued
	uint32_t snd_wnd;
	uint32_t snd_wl1;
	uint32_t snd_wl2;
	uint32_t snd_wnd_max; // largest the peer ever offered
	uint16_t mss;         // payload bytes of a full segment, options already taken off
	uint16_t dup_acks;
	uint32_t cwnd; // bytes
	uint32_t ssthresh;
	uint32_t sacked_bytes; // sequence numbers of segments in flight with each mark
	uint32_t lost_bytes;
	uint32_t again_bytes;
	struct tcp_queue sending; // in flight, then unsent
	struct rte_mbuf *unsent;  // the first that was never sent
	uint64_t rto_at_us;
	uint64_t ack_at_us;   // delayed ACK
	uint64_t progress_us; // when the peer last moved us on, or sending began
	uint32_t srtt_us;     // 0: no sample yet
	uint32_t rttvar_us;
	uint32_t rto_us;         // before backoff
	uint64_t reorder_at_us;  // when what is overdue is lost
	uint64_t probe_at_us;    // for the tail
	uint64_t pace_at_us;     // when more may leave
	uint64_t paced_until_us; // what has left was due until then
	uint64_t rack_tx_us;     // of what was sent last among what arrived (RFC 8985, 5.2)
	uint32_t rack_end;
	uint32_t rack_rtt_us;
	uint32_t min_rtt_us;
	uint32_t probe_end;
	uint32_t ts_offset;
	uint64_t pseudo_sum; // of the checksum
	uint32_t recover;    // end of the loss being repaired
	uint32_t prr_flight; // RFC 6937: outstanding when the loss was found
	uint32_t prr_delivered;
	uint32_t prr_out; // sent since the first sign of the loss
	const struct tcp_cc_ops *cc;
	struct tcp_cc cc_state;
	struct tcp_slow_start slow_start;
	struct tcp_undo undo;

	struct list out_node;   // in tcp.output
	struct list event_node; // in tcp.events

	// loss and reordering
	struct tcp_queue reordered;          // by sequence number, no overlaps
	struct tcp_range sack[TCP_MAX_SACK]; // to report; the latest first
	uint8_t n_sack;
	bool has_dsack;
	struct tcp_range dsack;   // RFC 2883
	uint8_t reorder_steps;    // by which D-SACKs widened the reorder window
	uint8_t reorder_persists; // recoveries until it shrinks
	uint32_t dsack_round;
	uint64_t min_rtt_at_us;

	// seldom
	struct timer timer; // for the earliest of the deadlines
	uint64_t keepalive_at_us;
	uint64_t give_up_us; // half open, or closed by its owner and waiting for the peer
	uint32_t looked_una; // as of 'looked_us' (tcp_memory.c)
	uint32_t looked_received;
	uint64_t looked_us;
	uint32_t want_room;
	uint32_t discarded; // bytes that came after the owner's close
	uint32_t iss;
	uint32_t irs;
	uint32_t n_retransmits;
	uint16_t mtu;
	uint16_t peer_mss;
	uint16_t local_port_be;
	uint16_t remote_port_be;
	uint8_t keepalive_sent;
	struct tcp_keepalive keepalive;
	uint64_t last_tx_us; // data, for the restart after idle
	uint64_t created_us;
	uint64_t mtu_at_us;            // when 'mtu' became smaller; 0: it is the route's
	struct tcp_listener *listener; // until accepted
	struct list listen_node;
	struct list node;         // in tcp.conns
	struct list starved_node; // in tcp.starved
	struct list free_node;    // in tcp.dead
};

// So many a second, no more.
struct tcp_limit {
	uint64_t window_us;
	uint32_t n;
};

struct tcp_time_wait; // tcp_time_wait.c

struct tcp {
	struct net *net;
	struct dataplane_stats *stats;
	struct timer_wheel *timers;
	struct tcp_settings settings;
	struct hash_key secret;
	uint64_t now_us; // of this loop turn: stream calls have no time of their own
	struct rte_mempool *mbufs;
	uint32_t max_mbufs_held;
	uint32_t mbufs_held;
	uint16_t max_payload; // that an mbuf of the pool takes
	uint8_t receive_scale;

	uint32_t bucket_mask;
	struct tcp_conn **buckets;
	struct pool conn_pool;
	struct pool listener_pool;
	struct list conns; // oldest first
	struct list *walk; // the next of them that tcp_walk() visits; NULL: none
	uint64_t walk_us;
	struct list output;
	struct list events;
	struct list starved; // wait for buffers to write
	struct list dead;    // freed at the end of tcp_run()
	struct list listeners;
	struct timer retry_timer; // wakes tcp_run() for the starved
	struct tcp_limit rst_limit;
	struct tcp_limit challenge_limit;
	struct tcp_syn_cache syn;
	struct tcp_cookies cookies;
	struct tcp_pressure pressure;

	uint16_t port_first;
	uint16_t port_last;
	uint16_t port_mask;
	uint16_t port_value;
	uint32_t port_rover;

	uint32_t tw_mask;
	uint32_t *tw_buckets; // places in the pool, plus one
	struct ip_addr tw_locals[TCP_MAX_LOCALS];
	uint32_t n_tw_locals;
	struct pool tw_pool;
	struct list tw_fifo; // oldest first
	struct timer tw_timer;
};

// --- tcp.c

// The only place that writes c->state: gauges and the check of the successor cannot be forgotten.
void tcp_set_state(struct tcp_conn *c, enum tcp_state to);
const char *tcp_state_name(enum tcp_state s);

// Returns a new connection in the table, in state CLOSED, or NULL if there is no object.
struct tcp_conn *tcp_conn_new(struct tcp *t, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, uint64_t now_us);

// Takes 'c' out of the table, cancels its timer, and frees what it would still send.
void tcp_conn_detach(struct tcp_conn *c);

// The connection is over because of 'error': CLOSED is reported if there is an owner, else it dies.
void tcp_conn_fail(struct tcp_conn *c, enum stream_error error);

// CLOSED without an error: both FINs are through.
void tcp_conn_finish(struct tcp_conn *c);

// Sends a RST and forgets the connection.
void tcp_conn_reset(struct tcp_conn *c, enum stream_error error, uint64_t now_us);

// To be freed if nobody holds it any more.
void tcp_conn_release(struct tcp_conn *c);

void tcp_post_event(struct tcp_conn *c, unsigned events);
void tcp_post_output(struct tcp_conn *c);

struct tcp_conn *tcp_lookup(
	struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote);
uint32_t tcp_hash(
	const struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote);

// Where the timestamps of a pair of endpoints begin (RFC 7323, 7.1): the same for each connection
// between the two, so that they only grow.
uint32_t tcp_ts_offset(
	const struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote);

// False once more than 'per_second' calls came in the same second.
bool tcp_limit_allows(struct tcp_limit *l, uint32_t per_second, uint64_t now_us);

// An mbuf of the pool, or NULL; counted.
struct rte_mbuf *tcp_mbuf_get(struct tcp *t);

static inline void tcp_hold(struct tcp *t, uint32_t n)
{
	t->mbufs_held += n;
	stat_set(&t->stats->tcp_mbufs_held, t->mbufs_held);
}

static inline void tcp_unhold(struct tcp *t, uint32_t n)
{
	t->mbufs_held -= n;
	stat_set(&t->stats->tcp_mbufs_held, t->mbufs_held);
}

// Frees and uncharges every mbuf of 'q'.
void tcp_queue_drop(struct tcp *t, struct tcp_queue *q);

// The window field for 'bytes' (RFC 7323, 2.3). Rounded up: down would take back some of what was promised.
static inline uint16_t tcp_window_field(uint32_t bytes, uint8_t scale)
{
	uint32_t field = (bytes + (1u << scale) - 1) >> scale;

	return (uint16_t)(field < UINT16_MAX ? field : UINT16_MAX);
}

// The window that a SYN announces, never scaled; and with a cookie, of which nothing is kept: as little as any
// connection is granted at any time.
uint16_t tcp_syn_window(const struct tcp *t);
uint16_t tcp_cookie_window(const struct tcp *t);

// --- tcp_info.c

// 'c' is about to leave the list.
void tcp_walk_forget(struct tcp *t, const struct tcp_conn *c);

// --- tcp_in.c

// RFC 9293, 3.10.7.4 and the states after it: the handshake of 'c' is done.
void tcp_establish(struct tcp_conn *c, uint64_t now_us);

// Takes over what the peer's SYN says.
void tcp_learn_options(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us);

// An ACK that asks the peer what it meant; rate limited.
void tcp_challenge(struct tcp_conn *c, uint64_t now_us);

// Whether another one may be sent in this second; counts the answer.
bool tcp_challenge_allowed(struct tcp *t, uint64_t now_us);

// RFC 9293, 3.10.7.4, first: table 6.
bool tcp_is_acceptable(uint32_t rcv_nxt, uint32_t window, const struct tcp_segment *seg);

// Sequence numbers that 'seg' takes.
static inline uint32_t tcp_seq_len(const struct tcp_segment *seg)
{
	return seg->len + !!(seg->flags & RTE_TCP_SYN_FLAG) + !!(seg->flags & RTE_TCP_FIN_FLAG);
}

// Goes to TIME_WAIT.
void tcp_enter_time_wait(struct tcp_conn *c, uint64_t now_us);

// --- tcp_ack.c

// The ACK, window and SACK part of a segment whose ACK number is acceptable.
void tcp_ack(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us);

// Without SACK: what duplicate ACKs said of the flight does not hold any more.
void tcp_forget_duplicates(struct tcp_conn *c);

// The retransmission timer fired with data in flight.
void tcp_mark_all_lost(struct tcp_conn *c, uint64_t now_us);

static inline void tcp_unmark(struct tcp_conn *c, const struct tcp_buf *b, uint32_t seq_len)
{
	if (b->flags & TCP_BUF_SACKED)
		c->sacked_bytes -= seq_len;
	if (b->flags & TCP_BUF_LOST)
		c->lost_bytes -= seq_len;
	if (b->flags & TCP_BUF_AGAIN)
		c->again_bytes -= seq_len;
}

// 'm' is in flight and not SACKED. What was lost and sent again is lost again.
static inline void tcp_mark_lost(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct tcp_buf *b = tcp_buf(m);

	tcp_unmark(c, b, tcp_buf_seq_len(m));
	b->flags = (uint8_t)((b->flags & TCP_BUF_FIN) | TCP_BUF_LOST);
	c->lost_bytes += tcp_buf_seq_len(m);
}

// The reorder timer ran out.
void tcp_reorder_timeout(struct tcp_conn *c, uint64_t now_us);

// Bytes believed to be in the network (RFC 6675, 'pipe').
static inline uint32_t tcp_pipe(const struct tcp_conn *c)
{
	return c->snd_nxt - c->snd_una - c->sacked_bytes - c->lost_bytes + c->again_bytes;
}

static inline uint32_t tcp_in_flight(const struct tcp_conn *c)
{
	return c->snd_nxt - c->snd_una;
}

// The number of a segment without data. What lies beyond the peer's window it refuses as a whole, ACK included: while a
// window probe is out, or after the window has shrunk, it is the window's end. Less than a unit of the scale is only
// rounded away.
static inline uint32_t tcp_control_seq(const struct tcp_conn *c)
{
	uint32_t edge = c->snd_una + c->snd_wnd;

	if (c->state == TCP_SYN_RECEIVED || seq_le(c->snd_nxt, edge)
		|| (c->snd_wnd != 0 && c->snd_nxt - edge < 1u << c->send_scale))
		return c->snd_nxt;
	return edge;
}

// --- tcp_rack.c

// A new sample of the round trip.
void tcp_rack_rtt(struct tcp_conn *c, uint32_t rtt_us, uint64_t now_us);

// The segment 'b', up to 'end', was acknowledged, selectively or not, for the first time.
void tcp_rack_delivered(struct tcp_conn *c, const struct tcp_buf *b, uint32_t end,
	const struct tcp_options *opt, uint64_t now_us);

// The peer got something twice.
void tcp_rack_dsack(struct tcp_conn *c);
void tcp_rack_recovered(struct tcp_conn *c);

// Marks what is overdue, and sets the reorder timer for what is not yet.
void tcp_rack_find_lost(struct tcp_conn *c, uint64_t now_us);

// After new data was sent or acknowledged.
void tcp_probe_arm(struct tcp_conn *c, uint64_t now_us);
void tcp_probe_timeout(struct tcp_conn *c, uint64_t now_us);

// Returns true if 'seg' says that the probe repaired a loss, which is to be answered as one.
bool tcp_probe_acked(struct tcp_conn *c, const struct tcp_segment *seg, bool dsack, bool duplicate);

// --- tcp_recovery.c

// Recovery begins; ssthresh is set.
void tcp_prr_begin(struct tcp_conn *c);
// In recovery: 'delivered' bytes arrived, 'advanced' if in order; 0 if only time passed. Sets the window.
void tcp_prr_ack(struct tcp_conn *c, uint32_t delivered, bool advanced);

// The window is about to be reduced.
void tcp_undo_save(struct tcp_conn *c);
void tcp_undo_forget(struct tcp_conn *c);
// A segment went out again.
void tcp_undo_sent_again(struct tcp_conn *c, uint64_t now_us);
// Return true if the reduction was taken back: 'seg' acknowledged something new, or told that 'r' arrived
// twice.
bool tcp_undo_ack(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us);
bool tcp_undo_dsack(struct tcp_conn *c, struct tcp_range r);

// --- tcp_pace.c

// Whether new data may leave now; else the timer is to fire when it may.
bool tcp_pace_allows(struct tcp_conn *c, uint64_t now_us);
// How many of 'most' segments may leave as one packet.
unsigned tcp_pace_run(const struct tcp_conn *c, unsigned most);
void tcp_pace_sent(struct tcp_conn *c, uint32_t bytes, uint64_t now_us);

// --- tcp_mtu.c

// A router says that what is larger than 'mtu' does not fit.
void tcp_mtu_learn(struct tcp_conn *c, uint16_t mtu, uint64_t now_us);
// The retransmission timer fired with data in flight; 'c->backoff' counts it already.
void tcp_mtu_timeout(struct tcp_conn *c, uint64_t now_us);
// Nothing is in flight and something is to be sent.
void tcp_mtu_raise(struct tcp_conn *c, uint64_t now_us);

// --- tcp_receive.c

// Takes 'm', the payload of 'seg'; FIN included. The segment is acceptable.
void tcp_receive(
	struct tcp_conn *c, struct rte_mbuf *m, const struct tcp_segment *seg, uint64_t now_us);

// --- tcp_out.c

// Sends what may be sent, and an ACK if one is due.
void tcp_output(struct tcp_conn *c, uint64_t now_us);

void tcp_send_syn(struct tcp_conn *c, uint64_t now_us);

// A segment without payload. 'flags' besides ACK.
void tcp_send_control(struct tcp_conn *c, uint8_t flags, uint32_t seq, uint64_t now_us);

// The answer to a segment that belongs to nothing (RFC 9293, 3.10.7.1).
void tcp_send_reset(struct tcp *t, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, const struct tcp_segment *seg, uint64_t now_us);

// A segment without payload for what is no connection. 'options' come in whole words.
void tcp_send_bare(struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote,
	uint8_t flags, uint32_t seq, uint32_t ack, uint16_t window, struct bytes options,
	uint64_t now_us);

// Puts the window probe out (RFC 9293, 3.8.6.1).
void tcp_send_probe(struct tcp_conn *c, uint64_t now_us);

// The tail probe (RFC 8985, 7.3): new data if the peer's window takes it, else the last segment again.
// Returns false if nothing could be sent.
bool tcp_send_tail(struct tcp_conn *c, uint64_t now_us);

// Cuts the queued segment 'm' in two, 'at' bytes in. Returns false without a buffer.
bool tcp_split(struct tcp_conn *c, struct rte_mbuf *m, uint16_t at);

// Segments have become smaller: 'c->mtu' or the peer's MSS changed.
void tcp_update_mss(struct tcp_conn *c);

static inline uint32_t tcp_ts_now(const struct tcp_conn *c, uint64_t now_us)
{
	return (uint32_t)(now_us / 1000) + c->ts_offset;
}

// --- tcp_tso.c

// The first unsent segment, which fits, and as many behind it as go out now, as one packet that the device
// below cuts: '*n' segments, at least two. Its headers are not written. NULL: one by one, because the device
// does not, there is but one, or no buffer is left.
struct rte_mbuf *tcp_tso_packet(struct tcp_conn *c, unsigned *n, uint64_t now_us);

// --- tcp_timer.c

void tcp_timer_start(struct tcp_conn *c);

// The timeout after which unacknowledged data is sent again, backoff included.
uint64_t tcp_rto(const struct tcp_conn *c);
void tcp_rtt_sample(struct tcp_conn *c, uint64_t rtt_us, uint64_t now_us);

// Puts the timer where the earliest deadline is.
void tcp_timer_update(struct tcp_conn *c);

// --- tcp_listen.c

struct tcp_listener *tcp_find_listener(struct tcp *t, const struct ip_endpoint *local);
// 'iss_floor', if not NULL, is a sequence number that ours has to lie behind (RFC 6191).
// Returns the connection that the segment completes a handshake to, and is meant for; else NULL.
struct tcp_conn *tcp_listen_input(struct tcp *t, struct tcp_listener *l,
	const struct tcp_segment *seg, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, const uint32_t *iss_floor, uint64_t now_us);
// The connection of 'h', which is done but for the segment that says so; NULL, counted, if there is none.
struct tcp_conn *tcp_conn_of_handshake(
	struct tcp *t, struct tcp_listener *l, const struct tcp_handshake *h, uint64_t now_us);
// The connection leaves its listener's care.
void tcp_leave_listener(struct tcp_conn *c);
uint32_t tcp_initial_seq(const struct tcp *t, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, uint64_t now_us);

// --- tcp_stream.c

extern const struct stream_ops tcp_stream_ops;
// An ACK is due if the window has opened by so much that the peer has to be told.
void tcp_announce_if_opened(struct tcp_conn *c);
// WRITABLE if the owner waits for it and there is room enough.
void tcp_check_writable(struct tcp_conn *c);

// --- tcp_time_wait.c

int tcp_time_wait_init(struct tcp *t, uint32_t cap);
void tcp_time_wait_fini(struct tcp *t);
void tcp_time_wait_add(struct tcp_conn *c, uint64_t now_us);
struct tcp_time_wait *tcp_time_wait_lookup(
	struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote);
// Handles a segment to a connection in TIME_WAIT.
void tcp_time_wait_input(
	struct tcp *t, struct tcp_time_wait *tw, const struct tcp_segment *seg, uint64_t now_us);
// For an active open: true if the port pair may be used again, and from which sequence number on.
bool tcp_time_wait_reuse(struct tcp *t, struct tcp_time_wait *tw, uint32_t *iss, uint64_t now_us);
