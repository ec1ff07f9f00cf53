// What the kernel is told of a packet that it shall cut. A pair of local sockets shows it; that real kernels cut so is
// tests/e2e/test_23_offloads.py.

#include "dataplane/gso_socket.h"
#include "dataplane/mbuf.h"
#include "dataplane/tcp/tcp_csum.h"
#include "tests/test_support.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <rte_ip.h>
#include <rte_mempool.h>
#include <rte_tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define L2      14u
#define L4      32u // with timestamps
#define SEGMENT 1000u
#define PSEUDO  0x1234u

static struct rte_mempool *pool;
static struct gso_socket sender;
static int kernel;

static void start(void)
{
	char error[256];
	int pair[2];

	test_eal_init();
	pool = mbuf_pool_new(511, MBUF_PACKED, error, sizeof(error));
	assert_non_null(pool);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	sender = (struct gso_socket){.fd = pair[0]};
	kernel = pair[1];
}

static void stop(void)
{
	gso_socket_close(&sender);
	assert_int_equal(sender.fd, -1);
	close(kernel);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	rte_mempool_free(pool);
}

// Of 'n' segments, each in a buffer of its own behind the one with the headers.
static struct rte_mbuf *packet(bool is_v4, unsigned n)
{
	size_t l3 = is_v4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *part;
	uint8_t *headers = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(L2 + l3 + L4));

	memset(headers, 0xee, L2 + l3 + L4);
	((struct rte_tcp_hdr *)(headers + L2 + l3))->cksum = PSEUDO;
	for (unsigned i = 0; i < n; i++) {
		part = rte_pktmbuf_alloc(pool);
		memset(rte_pktmbuf_append(part, SEGMENT), (int)i, SEGMENT);
		assert_int_equal(rte_pktmbuf_chain(m, part), 0);
	}
	m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM
		| (is_v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
	m->l2_len = L2;
	m->l3_len = l3;
	m->l4_len = L4;
	m->tso_segsz = SEGMENT;
	return m;
}

static void the_kernel_is_told_where_to_cut_and_to_sum(void)
{
	start();
	for (unsigned is_v4 = 0; is_v4 < 2; is_v4++) {
		size_t l3 = is_v4 ? 20 : 40, headers = L2 + l3 + L4;
		static uint8_t got[65536 + sizeof(struct virtio_net_hdr)];
		struct virtio_net_hdr h;
		uint16_t sum;

		assert_true(gso_socket_send(&sender, packet(is_v4, 3)));
		assert_int_equal(recv(kernel, got, sizeof(got), MSG_DONTWAIT),
			sizeof(h) + headers + 3 * SEGMENT);
		memcpy(&h, got, sizeof(h));
		assert_int_equal(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(
			h.gso_type, is_v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6);
		assert_int_equal(h.hdr_len, headers);
		assert_int_equal(h.gso_size, SEGMENT);
		assert_int_equal(h.csum_start, L2 + l3);
		assert_int_equal(h.csum_offset, 16);
		memcpy(&sum, got + sizeof(h) + L2 + l3 + 16, sizeof(sum));
		assert_int_equal(sum, PSEUDO + htons(L4 + 3 * SEGMENT));
		for (unsigned i = 0; i < 3 * SEGMENT; i++)
			assert_int_equal(got[sizeof(h) + headers + i], i / SEGMENT);
	}
	assert_int_equal(sender.packets, 2);
	assert_int_equal(sender.bytes, 2 * (L2 + L4 + 3 * SEGMENT) + 20 + 40);
	assert_int_equal(sender.errors, 0);
	stop();
}

static void the_largest_packet_fits(void)
{
	static uint8_t got[1 << 17];

	start();
	assert_true(gso_socket_send(&sender, packet(true, 63)));
	assert_int_equal(recv(kernel, got, sizeof(got), MSG_DONTWAIT),
		sizeof(struct virtio_net_hdr) + L2 + 20 + L4 + 63 * SEGMENT);
	stop();
}

static void a_packet_that_finds_no_room_is_as_it_was(void)
{
	struct rte_mbuf *m;
	unsigned n = 0;

	start();
	for (m = packet(true, 2); gso_socket_send(&sender, m); m = packet(true, 2))
		assert_true(++n < 10000);
	assert_true(n > 0);
	assert_int_equal(rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, L2 + 20)->cksum, PSEUDO);
	assert_int_equal(m->nb_segs, 3);
	assert_int_equal(sender.packets, n);
	assert_int_equal(sender.errors, 0);
	rte_pktmbuf_free(m);
	stop();
}

static void what_the_kernel_refuses_is_counted_and_gone(void)
{
	start();
	close(kernel);
	assert_true(gso_socket_send(&sender, packet(true, 2)));
	assert_int_equal(sender.packets, 0);
	assert_int_equal(sender.errors, 1);
	kernel = dup(sender.fd);
	stop();
}

static void no_socket_without_an_interface(void)
{
	assert_true(gso_socket_open(&sender, 0x7fffffff, -1) < 0);
	assert_int_equal(sender.fd, -1);
}

TESTS(TEST(the_kernel_is_told_where_to_cut_and_to_sum), TEST(the_largest_packet_fits),
	TEST(a_packet_that_finds_no_room_is_as_it_was),
	TEST(what_the_kernel_refuses_is_counted_and_gone), TEST(no_socket_without_an_interface))
