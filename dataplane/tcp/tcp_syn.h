// Handshakes of listeners under way. A SYN makes no connection: it gets an entry of 96 bytes that can
// answer, repeat the answer and be reset (the cache), and when there is no room for one, an answer that
// has all we need to know in it (a cookie, RFC 4987, 3.6). The connection comes with the last ACK.
//
//     SYN --> tcp_listen_input() --> room? --> entry, SYN-ACK;  timer: again after 1, 2, 4, 8 s, gone after 31 s
//                                        \---> cookie SYN-ACK;  nothing is kept
//     ACK --> entry, or a cookie that is ours --> tcp_conn --> tcp_establish()
//
// A cookie is an initial sequence number: 29 bits of a keyed hash over addresses, ports, the peer's
// number and the options, then 3 bits that choose an MSS. The key changes each minute, the one before
// is still good. Window scale and SACK ride in the low bits of our timestamp, which the peer echoes;
// a peer without timestamps does without them.
#pragma once

#include "dataplane/base/hash.h"
#include "dataplane/base/ip_addr.h"
#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"
#include "dataplane/tcp/tcp_wire.h"
#include "dataplane/timer.h"

struct tcp;
struct tcp_conn;
struct tcp_listener;
struct tcp_syn; // tcp_syn.c

#define TCP_SYN_TRIES 5u

struct tcp_syn_cache {
	uint32_t mask;
	struct tcp_syn **buckets;
	struct pool pool;
	struct list fifos[TCP_SYN_TRIES]; // by number of answers sent; each in order of time
	struct timer timer;
};

struct tcp_cookies {
	uint64_t period; // of key[0]; key[1] is the one before
	struct hash_key key[2];
	uint64_t last_sent_us; // 0: never
};

// What a handshake agreed on.
struct tcp_handshake {
	struct ip_endpoint local;
	struct ip_endpoint remote;
	uint32_t iss;
	uint32_t irs;
	struct tcp_options opt; // the peer's, as its SYN had them
	uint16_t mtu;
	uint16_t window;    // that the SYN-ACK promises for good (RFC 9293, 3.8.6)
	uint8_t n_repeated; // SYN-ACKs besides the first
	uint64_t sent_us;   // of the SYN-ACK, for the round trip; 0: not known
};

// --- tcp_syn.c

// Returns 0 or -ENOMEM.
int tcp_syn_init(struct tcp *t, uint32_t cap);
void tcp_syn_fini(struct tcp *t);

struct tcp_syn *tcp_syn_lookup(
	struct tcp *t, const struct ip_endpoint *local, const struct ip_endpoint *remote);

// Answers the SYN of 'h' for 'l' and keeps an entry, or answers with a cookie, whose number is then not
// 'h->iss'.
void tcp_syn_open(
	struct tcp *t, struct tcp_listener *l, const struct tcp_handshake *h, uint64_t now_us);

// RFC 9293, 3.10.7.4 for SYN-RECEIVED. Returns the connection if the handshake is done, which is to be
// given the segment; else NULL.
struct tcp_conn *tcp_syn_input(
	struct tcp *t, struct tcp_syn *s, const struct tcp_segment *seg, uint64_t now_us);

// Resets every handshake of 'l'.
void tcp_syn_unlisten(struct tcp *t, struct tcp_listener *l, uint64_t now_us);

// Sends the SYN-ACK of 'h' with the timestamp 'ts'.
void tcp_send_syn_ack(struct tcp *t, const struct tcp_handshake *h, uint32_t ts, uint64_t now_us);

// --- tcp_cookie.c

void tcp_cookie_send(struct tcp *t, struct tcp_handshake *h, uint64_t now_us);

// True if 'seg' acknowledges a cookie of ours; then 'h' is what the handshake had agreed on. 'h' has the
// addresses and the MTU already.
bool tcp_cookie_accept(
	struct tcp *t, const struct tcp_segment *seg, struct tcp_handshake *h, uint64_t now_us);
