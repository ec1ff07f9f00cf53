// Segments come in here: checked, parsed, given to the connection they belong to, and handled in the
// order of RFC 9293, 3.10.7, with the stricter rules of RFC 5961.

#include "dataplane/tcp/tcp_conn.h"
#include "dataplane/tcp/tcp_csum.h"

#define CHALLENGES_S 1000u // challenge ACKs a second, of the whole stack, on average (RFC 5961, 7)
#define PAWS_IDLE_US (24ull * 24 * 3600 * 1000000)

// Half as many up to half as many more, and in each second another number that nobody can foretell: of a fixed one a
// stranger could count on a connection of his own whether a segment that he forged was challenged (CVE-2016-5696).
static uint32_t most_challenges(const struct tcp *t)
{
	uint64_t second = t->challenge_limit.window_us;

	return CHALLENGES_S / 2
		+ (uint32_t)(hash_bytes(&t->secret, &second, sizeof(second)) % CHALLENGES_S);
}

bool tcp_challenge_allowed(struct tcp *t, uint64_t now_us)
{
	bool allowed = tcp_limit_allows(&t->challenge_limit, most_challenges(t), now_us);

	stat_inc(allowed ? &t->stats->tcp_challenge_acks : &t->stats->tcp_challenge_limited);
	return allowed;
}

void tcp_challenge(struct tcp_conn *c, uint64_t now_us)
{
	if (!tcp_challenge_allowed(c->tcp, now_us))
		return;
	c->flags |= TCP_F_ACK_NOW;
	tcp_post_output(c);
}

void tcp_learn_options(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	const struct tcp_options *o = &seg->opt;
	uint32_t mss = o->mss, promised;

	if (mss == 0)
		mss = ip_addr_is_v4(&c->stream.remote.addr) ? TCP_DEFAULT_MSS_V4
							    : TCP_DEFAULT_MSS_V6;
	c->peer_mss = (uint16_t)(mss > TCP_MIN_MSS ? mss : TCP_MIN_MSS);
	c->flags &= ~(uint32_t)(TCP_F_TIMESTAMP | TCP_F_SACK | TCP_F_SCALE);
	if (o->has_timestamp) {
		c->flags |= TCP_F_TIMESTAMP;
		c->ts_recent = o->ts_value;
		c->ts_recent_us = now_us;
	}
	if (o->has_sack_ok)
		c->flags |= TCP_F_SACK;
	if (o->has_scale) {
		c->flags |= TCP_F_SCALE;
		c->send_scale = o->scale;
		c->receive_scale = c->tcp->receive_scale;
	}
	c->irs = seg->seq;
	promised = c->rcv_adv - c->rcv_nxt; // by our SYN, if there was one
	c->rcv_nxt = seg->seq + 1;
	c->rcv_acked = c->rcv_nxt;
	c->rcv_adv = c->rcv_nxt + promised;
	tcp_update_mss(c);
	// RFC 6928; a SYN that had to be sent again says the path is lossy (RFC 5681, 3.1).
	c->cwnd = (c->backoff > 0 ? 1 : TCP_INITIAL_MSS_N) * (uint32_t)c->mss;
	c->cc->init(c);
	c->window_size = tcp_window_first(c);
	c->taken_us = now_us;
}

void tcp_establish(struct tcp_conn *c, uint64_t now_us)
{
	uint8_t backoff = c->backoff;

	c->snd_una = c->iss + 1;
	c->backoff = 0;
	c->rto_at_us = TCP_NEVER;
	c->give_up_us = TCP_NEVER;
	c->progress_us = now_us;
	if (backoff == 0 && c->last_tx_us != 0)
		tcp_rtt_sample(c, now_us - c->last_tx_us, now_us);
	if (c->keepalive.time_s > 0)
		c->keepalive_at_us = now_us + c->keepalive.time_s * 1000000ull;
	tcp_set_state(c, TCP_ESTABLISHED);
	if (c->flags & TCP_F_FIN_QUEUED)
		tcp_set_state(c, TCP_FIN_WAIT_1);
	if (c->flags & TCP_F_PASSIVE) {
		c->flags |= TCP_F_ACCEPTING;
		list_push(&c->tcp->events, &c->event_node);
	} else {
		tcp_post_event(c, STREAM_CONNECTED | STREAM_WRITABLE);
	}
	tcp_post_output(c);
}

void tcp_enter_time_wait(struct tcp_conn *c, uint64_t now_us)
{
	tcp_set_state(c, TCP_TIME_WAIT);
	// The ACK of the peer's FIN must not wait for tcp_run(): the connection leaves the table now.
	if (c->flags & TCP_F_ACK_NOW)
		tcp_send_control(c, RTE_TCP_ACK_FLAG, c->snd_nxt, now_us);
	tcp_time_wait_add(c, now_us);
	tcp_conn_detach(c);
	tcp_conn_release(c);
}

// RFC 9293, 3.10.7.3.
static void syn_sent_input(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	struct tcp *t = c->tcp;
	bool has_ack = seg->flags & RTE_TCP_ACK_FLAG;

	if (has_ack && seg->ack != c->snd_nxt) {
		stat_inc(&t->stats->tcp_drop_ack_range);
		tcp_send_reset(t, &c->stream.local, &c->stream.remote, seg, now_us);
		return;
	}
	if (seg->flags & RTE_TCP_RST_FLAG) {
		if (has_ack) {
			stat_inc(&t->stats->tcp_refused_by_peer);
			tcp_conn_fail(c, STREAM_ERROR_REFUSED);
		} else {
			stat_inc(&t->stats->tcp_drop_reset);
		}
		return;
	}
	if (!(seg->flags & RTE_TCP_SYN_FLAG)) {
		stat_inc(&t->stats->tcp_drop_no_syn);
		return;
	}
	tcp_learn_options(c, seg, now_us);
	if (has_ack) {
		c->snd_wnd = seg->window; // not scaled in a SYN
		c->snd_wnd_max = c->snd_wnd;
		c->snd_wl1 = seg->seq;
		c->snd_wl2 = seg->ack;
		c->flags |= TCP_F_ACK_NOW;
		tcp_establish(c, now_us);
	} else { // both sides opened at once
		tcp_set_state(c, TCP_SYN_RECEIVED);
		c->snd_wnd = seg->window;
		c->give_up_us = now_us + TCP_HALF_OPEN_US;
		c->flags |= TCP_F_SYN_DUE;
		tcp_post_output(c);
	}
}

// RFC 7323, 5.3, R1. True if the segment is from the past.
static bool is_old_timestamp(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	struct tcp *t = c->tcp;

	if (!(c->flags & TCP_F_TIMESTAMP))
		return false;
	if (!seg->opt.has_timestamp) {
		// RFC 7323, 3.2 wants such a segment dropped; peers that omit it now and then exist.
		if (!(seg->flags & RTE_TCP_RST_FLAG))
			stat_inc(&t->stats->tcp_no_timestamp);
		return false;
	}
	if (!seq_lt(seg->opt.ts_value, c->ts_recent) || seg->flags & RTE_TCP_RST_FLAG)
		return false;
	return now_us - c->ts_recent_us < PAWS_IDLE_US;
}

// RFC 9293, 3.10.7.4, first: table 6.
bool tcp_is_acceptable(uint32_t rcv_nxt, uint32_t window, const struct tcp_segment *seg)
{
	uint32_t seq_len = tcp_seq_len(seg), offset = seg->seq - rcv_nxt;

	// A peer that has filled the window sends its ACKs from the right edge; with a hole in the data that is not rcv_nxt.
	if (seq_len == 0)
		return offset < window
			|| (offset == window && (window == 0 || !(seg->flags & RTE_TCP_RST_FLAG)));
	if (window == 0)
		return offset == 0; // its data is cut away, but ACK and RST count
	return offset < window || offset + seq_len - 1 < window
		|| (seq_lt(seg->seq, rcv_nxt) && seq_lt(rcv_nxt, seg->seq + seq_len));
}

static void unacceptable(
	struct tcp_conn *c, const struct tcp_segment *seg, uint32_t seq_len, uint64_t now_us)
{
	if (seg->flags & RTE_TCP_RST_FLAG)
		return;
	if (c->state == TCP_SYN_RECEIVED && seg->flags & RTE_TCP_SYN_FLAG && seg->seq == c->irs) {
		c->flags |= TCP_F_SYN_DUE; // the peer did not get our SYN-ACK
		stat_inc(&c->tcp->stats->tcp_retransmit_syn);
		tcp_post_output(c);
		return;
	}
	if (seq_len == 0) { // two ends that do not agree could answer each other for ever
		tcp_challenge(c, now_us);
		return;
	}
	if (seg->len > 0 && seq_le(seg->seq + seg->len, c->rcv_nxt)) {
		c->dsack = (struct tcp_range){seg->seq, seg->seq + seg->len};
		c->has_dsack = true;
		stat_inc(&c->tcp->stats->tcp_drop_duplicate);
	}
	c->flags |= TCP_F_ACK_NOW;
	tcp_post_output(c);
}

// RFC 5961, 3.2.
static void reset_input(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	if (seg->seq != c->rcv_nxt) {
		stat_inc(&c->tcp->stats->tcp_drop_reset);
		tcp_challenge(c, now_us);
		return;
	}
	stat_inc(&c->tcp->stats->tcp_reset_by_peer);
	tcp_conn_fail(c, c->state == TCP_SYN_RECEIVED ? STREAM_ERROR_REFUSED : STREAM_ERROR_RESET);
}

// True if the ACK number can be from this peer (RFC 5961, 5.2).
static bool is_ack_possible(struct tcp_conn *c, const struct tcp_segment *seg)
{
	if (c->state == TCP_SYN_RECEIVED)
		return seg->ack == c->snd_nxt;
	return seq_le(seg->ack, c->snd_nxt) && seq_le(c->snd_una - c->snd_wnd_max, seg->ack);
}

// Our FIN was acknowledged. Returns false if the connection is over.
static bool fin_acked(struct tcp_conn *c, uint64_t now_us)
{
	switch ((enum tcp_state)c->state) {
	case TCP_FIN_WAIT_1:
		tcp_set_state(c, TCP_FIN_WAIT_2);
		if (!(c->flags & TCP_F_OWNED))
			c->give_up_us = now_us + c->tcp->settings.fin_wait_2_us;
		return true;
	case TCP_CLOSING: tcp_enter_time_wait(c, now_us); return false;
	case TCP_LAST_ACK: tcp_conn_finish(c); return false;
	default: return true;
	}
}

// The peer's FIN is in order.
static void fin_received(struct tcp_conn *c, uint64_t now_us)
{
	tcp_post_event(c, STREAM_READABLE);
	switch ((enum tcp_state)c->state) {
	case TCP_ESTABLISHED: tcp_set_state(c, TCP_CLOSE_WAIT); break;
	case TCP_FIN_WAIT_1: tcp_set_state(c, TCP_CLOSING); break;
	case TCP_FIN_WAIT_2: tcp_enter_time_wait(c, now_us); break;
	default: break;
	}
}

// What tells the time for the next PAWS check (RFC 7323, 4.3).
static void update_ts_recent(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	if (!seg->opt.has_timestamp || !(c->flags & TCP_F_TIMESTAMP))
		return;
	if (seq_le(c->ts_recent, seg->opt.ts_value) && seq_le(seg->seq, c->rcv_acked)) {
		c->ts_recent = seg->opt.ts_value;
		c->ts_recent_us = now_us;
	} else if (now_us - c->ts_recent_us >= PAWS_IDLE_US) {
		c->ts_recent = seg->opt.ts_value;
		c->ts_recent_us = now_us;
	}
}

// Takes 'm', the payload of a segment that passed every check.
static void data_input(
	struct tcp_conn *c, struct rte_mbuf *m, const struct tcp_segment *seg, uint64_t now_us)
{
	bool had_fin = c->flags & TCP_F_FIN_RECEIVED;

	if (seg->len == 0 && !(seg->flags & RTE_TCP_FIN_FLAG)) {
		rte_pktmbuf_free(m);
		return;
	}
	tcp_post_output(c);
	if (had_fin) {
		stat_inc(&c->tcp->stats->tcp_drop_after_fin);
		c->flags |= TCP_F_ACK_NOW;
		rte_pktmbuf_free(m);
		return;
	}
	tcp_receive(c, m, seg, now_us);
	if (c->flags & TCP_F_FIN_RECEIVED)
		fin_received(c, now_us);
	else if (!(c->flags & (TCP_F_OWNED | TCP_F_ACCEPTING))
		&& c->discarded > c->tcp->settings.linger_bytes) {
		stat_inc(&c->tcp->stats->tcp_reset_linger);
		tcp_conn_reset(c, STREAM_ERROR_NONE, now_us);
	}
}

// The checks of RFC 9293, 3.10.7.4 up to the ACK. Returns false if nothing more is to be done.
static bool check_segment(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
	struct dataplane_stats *stats = c->tcp->stats;
	uint32_t seq_len = tcp_seq_len(seg);

	if (is_old_timestamp(c, seg, now_us)) {
		stat_inc(&stats->tcp_drop_paws);
		unacceptable(c, seg, seq_len, now_us);
		return false;
	}
	if (!tcp_is_acceptable(c->rcv_nxt, c->rcv_adv - c->rcv_nxt, seg)) {
		stat_inc(&stats->tcp_drop_window);
		unacceptable(c, seg, seq_len, now_us);
		return false;
	}
	if (seg->flags & RTE_TCP_RST_FLAG) {
		reset_input(c, seg, now_us);
		return false;
	}
	if (seg->flags & RTE_TCP_SYN_FLAG) {
		// In a simultaneous open the peer's SYN-ACK repeats its SYN.
		stat_inc(&stats->tcp_drop_syn);
		tcp_challenge(c, now_us);
		return false;
	}
	if (!(seg->flags & RTE_TCP_ACK_FLAG)) {
		stat_inc(&stats->tcp_drop_no_ack);
		return false;
	}
	if (!is_ack_possible(c, seg)) {
		stat_inc(&stats->tcp_drop_ack_range);
		if (c->state == TCP_SYN_RECEIVED)
			tcp_send_reset(c->tcp, &c->stream.local, &c->stream.remote, seg, now_us);
		else
			tcp_challenge(c, now_us);
		return false;
	}
	return true;
}

// A simultaneous open's SYN-ACK starts one below rcv_nxt: what is left of it is a plain ACK.
static void strip_repeated_syn(const struct tcp_conn *c, struct tcp_segment *seg)
{
	if (c->state == TCP_SYN_RECEIVED && !(c->flags & TCP_F_PASSIVE) && seg->seq == c->irs
		&& (seg->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG))
			== (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) {
		seg->flags &= (uint8_t)~RTE_TCP_SYN_FLAG;
		seg->seq++;
		seg->window >>= c->send_scale; // not scaled in a SYN
	}
}

// Takes 'm'.
static void conn_input(
	struct tcp_conn *c, struct rte_mbuf *m, struct tcp_segment *seg, uint64_t now_us)
{
	c->last_rx_us = now_us;
	if (c->state == TCP_SYN_SENT) {
		syn_sent_input(c, seg, now_us);
		rte_pktmbuf_free(m);
		return;
	}
	strip_repeated_syn(c, seg);
	if (!check_segment(c, seg, now_us)) {
		rte_pktmbuf_free(m);
		return;
	}
	if (c->state == TCP_SYN_RECEIVED) {
		c->snd_wnd = seg->window << c->send_scale;
		c->snd_wnd_max = c->snd_wnd;
		c->snd_wl1 = seg->seq;
		c->snd_wl2 = seg->ack;
		tcp_establish(c, now_us);
	}
	c->keepalive_sent = 0;
	update_ts_recent(c, seg, now_us);
	tcp_ack(c, seg, now_us);
	if (c->flags & TCP_F_FIN_MADE && c->snd_una == c->snd_end && !fin_acked(c, now_us)) {
		rte_pktmbuf_free(m);
		return;
	}
	data_input(c, m, seg, now_us);
}

// True if the checksum may pass under 'policy'.
static bool is_checksum_good(struct tcp *t, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, enum csum_policy policy)
{
	const struct rte_tcp_hdr *h = rte_pktmbuf_mtod(m, const struct rte_tcp_hdr *);
	uint64_t pseudo;

	if (policy == CSUM_TRUST) {
		switch (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
		case RTE_MBUF_F_RX_L4_CKSUM_BAD: return false;
		case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
		case RTE_MBUF_F_RX_L4_CKSUM_NONE: // not finished, but from where nothing gets lost
			stat_inc(&t->stats->tcp_rx_csum_offloaded);
			return true;
		default: break; // the NIC did not look
		}
	}
	pseudo = csum_pseudo(src, dst) + csum_len(m->data_len);
	// A sender on the same host leaves the sum to hardware that is not there (tcp-stack 5.3); its
	// packets never left memory. Looked at first: on such a port it is every packet.
	if (policy == CSUM_ACCEPT_PARTIAL && h->cksum == csum_fold(pseudo)) {
		stat_inc(&t->stats->tcp_rx_csum_partial);
		return true;
	}
	return csum_fold(csum_add(h, m->data_len, pseudo)) == 0xffff;
}

// Reads the header and leaves the payload in 'm'. Returns false if it is no TCP header.
static bool parse(struct rte_mbuf *m, struct tcp_segment *seg)
{
	const struct rte_tcp_hdr *h = rte_pktmbuf_mtod(m, const struct rte_tcp_hdr *);
	uint16_t header_len = (uint16_t)((h->data_off >> 4) * 4);

	if (header_len < TCP_HEADER_LEN || header_len > m->data_len)
		return false;
	seg->seq = rte_be_to_cpu_32(h->sent_seq);
	seg->ack = rte_be_to_cpu_32(h->recv_ack);
	seg->window = rte_be_to_cpu_16(h->rx_win);
	seg->flags = h->tcp_flags;
	seg->len = m->data_len - header_len;
	tcp_options_parse(bytes_of(h + 1, header_len - TCP_HEADER_LEN), &seg->opt);
	rte_pktmbuf_adj(m, header_len);
	return true;
}

// Returns the connection that the segment completes a handshake to, and is meant for; NULL if it does not.
static struct tcp_conn *no_conn_input(struct tcp *t, const struct tcp_segment *seg,
	const struct ip_endpoint *local, const struct ip_endpoint *remote, uint64_t now_us)
{
	struct tcp_time_wait *tw = tcp_time_wait_lookup(t, local, remote);
	struct tcp_listener *l;
	struct tcp_syn *s;

	if (tw != NULL) {
		tcp_time_wait_input(t, tw, seg, now_us);
		return NULL;
	}
	s = tcp_syn_lookup(t, local, remote);
	if (s != NULL)
		return tcp_syn_input(t, s, seg, now_us);
	l = tcp_find_listener(t, local);
	if (l != NULL)
		return tcp_listen_input(t, l, seg, local, remote, NULL, now_us);
	stat_inc(&t->stats->tcp_drop_closed_port);
	tcp_send_reset(t, local, remote, seg, now_us);
	return NULL;
}

void tcp_input(struct tcp *t, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, enum csum_policy csum, uint64_t now_us)
{
	struct ip_endpoint local = {.addr = *dst}, remote = {.addr = *src};
	const struct rte_tcp_hdr *h = rte_pktmbuf_mtod(m, const struct rte_tcp_hdr *);
	struct tcp_segment seg;
	struct tcp_conn *c;

	t->now_us = now_us;
	stat_inc(&t->stats->tcp_rx_segments);
	if (m->data_len < TCP_HEADER_LEN) {
		stat_inc(&t->stats->tcp_drop_short);
		rte_pktmbuf_free(m);
		return;
	}
	if (!is_checksum_good(t, m, src, dst, csum)) {
		stat_inc(&t->stats->tcp_drop_checksum);
		rte_pktmbuf_free(m);
		return;
	}
	local.port = rte_be_to_cpu_16(h->dst_port);
	remote.port = rte_be_to_cpu_16(h->src_port);
	if (!parse(m, &seg)) {
		stat_inc(&t->stats->tcp_drop_short);
		rte_pktmbuf_free(m);
		return;
	}
	c = tcp_lookup(t, &local, &remote);
	if (c == NULL)
		c = no_conn_input(t, &seg, &local, &remote, now_us);
	if (c != NULL)
		conn_input(c, m, &seg, now_us);
	else
		rte_pktmbuf_free(m);
}
