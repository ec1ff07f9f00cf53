#include "dataplane/gso_socket.h"

#include "dataplane/base/stats.h"
#include "dataplane/tcp/tcp_csum.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define SEND_BUFFER \
	(1 << 20) // bytes on their way through the kernel; behind them frames wait in our backlog
#define MAX_PARTS 65u // the virtio header, and a packet's buffers (port_offload.c)

static int set_up(int fd, unsigned interface_index)
{
	const struct sockaddr_ll there = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)interface_index};
	int on = 1, size = SEND_BUFFER;

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0
		|| bind(fd, (const struct sockaddr *)&there, sizeof(there)) != 0)
		return -errno;
	// Without the right to more it has what the system's limit allows.
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

int gso_socket_open(struct gso_socket *s, unsigned interface_index, int receiver)
{
	int result, on = 1;

	*s = (struct gso_socket){.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
	if (s->fd < 0)
		return -errno;
	result = set_up(s->fd, interface_index);
	if (result == 0 && receiver >= 0
		&& setsockopt(receiver, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0)
		result = -errno;
	if (result != 0)
		gso_socket_close(s);
	return result;
}

void gso_socket_close(struct gso_socket *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static struct virtio_net_hdr describe(const struct rte_mbuf *m)
{
	uint16_t transport = (uint16_t)(m->l2_len + m->l3_len);

	return (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = m->ol_flags & RTE_MBUF_F_TX_IPV4 ? VIRTIO_NET_HDR_GSO_TCPV4
							     : VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)(transport + m->l4_len),
		.gso_size = m->tso_segsz,
		.csum_start = transport,
		.csum_offset = offsetof(struct rte_tcp_hdr, cksum),
	};
}

static ssize_t send_parts(int fd, struct virtio_net_hdr *description, struct rte_mbuf *m)
{
	struct iovec parts[MAX_PARTS] = {
		{description, sizeof(*description)}
        };
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};

	for (; m != NULL && message.msg_iovlen < MAX_PARTS; m = m->next)
		parts[message.msg_iovlen++] =
			(struct iovec){rte_pktmbuf_mtod(m, void *), m->data_len};
	return sendmsg(fd, &message, MSG_DONTWAIT);
}

bool gso_socket_send(struct gso_socket *s, struct rte_mbuf *m)
{
	struct virtio_net_hdr description = describe(m);
	struct rte_tcp_hdr *tcp =
		rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, description.csum_start);
	uint16_t without_length = tcp->cksum;
	uint32_t bytes = m->pkt_len;

	// A device wants the pseudo-header's sum without the length, Linux with that of the whole.
	tcp->cksum = csum_fold(without_length + csum_len(bytes - description.csum_start));
	if (send_parts(s->fd, &description, m) >= 0) {
		stat_inc(&s->packets);
		stat_add(&s->bytes, bytes);
	} else if (errno == EAGAIN || errno == EINTR) {
		tcp->cksum = without_length;
		return false;
	} else {
		stat_inc(&s->errors);
	}
	rte_pktmbuf_free(m);
	return true;
}
