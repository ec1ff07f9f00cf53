// A packet socket by which the kernel cuts (GSO) what TCP hands over in one piece, for ports on one of its interfaces: AF_XDP
// and AF_PACKET take frame by frame, a copy and an skb each, and the kernel's own senders give the device 64 KiB at once.
//
//     worker -> headers + segments, one sendmsg() -> kernel -> device that cuts, or the kernel does
//
// Opened and closed by the mgmt thread; sends are those of the one worker that has the queue.
#pragma once

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

struct gso_socket {
	int fd; // -1: none
	// written by the worker, read by any thread with stat_read()
	uint64_t packets;
	uint64_t bytes;
	uint64_t errors; // packets that the kernel did not take
};

// On that interface. It receives nothing. 'receiver' is the driver's packet socket there, which shall not see what this one sends; -1:
// it has none. Returns 0, or a negative errno.
int gso_socket_open(struct gso_socket *s, unsigned interface_index, int receiver);
void gso_socket_close(struct gso_socket *s);

// Sends a packet with RTE_MBUF_F_TX_TCP_SEG and its header lengths, without waiting, and frees it. False if the socket is full:
// the packet is then as it was, still the caller's. What the kernel refuses is freed and counted.
bool gso_socket_send(struct gso_socket *s, struct rte_mbuf *m);
