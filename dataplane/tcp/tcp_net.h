// The seam between TCP and the net it is part of. Only net.c, icmp.c and the files of tcp/ include this.
#pragma once

#include "dataplane/net/net.h"
#include "dataplane/tcp/tcp.h"

// Returns the TCP part of 'net', or NULL with errno set. Timers go into net_timers(net).
struct tcp *tcp_new(struct net *net, const struct net_config *config, uint64_t now_us);
void tcp_free(struct tcp **tp);

struct tcp *net_tcp(struct net *net);

// Takes 'm', whose data is exactly one TCP segment (header first, padding trimmed). 'src' and 'dst' were
// checked by IP: dst is ours, src is no broadcast, multicast or own address.
void tcp_input(struct tcp *t, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, enum csum_policy csum, uint64_t now_us);

// Once each loop turn, after timers: calls the owners of streams that have events, then sends what they and the input made
// sendable. Returns true if it did anything.
bool tcp_run(struct tcp *t, uint64_t now_us);

// True if tcp_run() has work that does not wait for a timer or a frame (more events than one turn takes).
bool tcp_has_work(const struct tcp *t);

enum tcp_icmp_kind {
	TCP_ICMP_UNREACHABLE, // host, net, protocol or port; hard only before the handshake (RFC 5927)
	TCP_ICMP_TOO_BIG,     // 'mtu' is the next hop's; 0 if the router did not say
};

// An ICMP error quotes a segment we sent. Ignored (and counted) unless the connection exists and 'seq' is in flight.
void tcp_icmp_error(struct tcp *t, enum tcp_icmp_kind kind, const struct ip_endpoint *local,
	const struct ip_endpoint *remote, uint32_t seq, uint16_t mtu, uint64_t now_us);

// An interface has another MTU: connections that go by it follow.
void tcp_mtu_follow(struct tcp *t, uint64_t now_us);

// The neighbour for 'next_hop' did not answer: connections in SYN_SENT to destinations behind it fail as UNREACHABLE.
void tcp_unreachable(struct tcp *t, const struct ip_addr *dst, uint64_t now_us);
