// Frames on their way out of a worker, in their order: small ones by the driver's queue, those that the kernel cuts by a socket.
//
//     worker_transmit() --> ring        the driver's, small enough to be full
//                       --> socket      of a pair, as small as they get
//                       --> backlog     behind what found no room

#include "dataplane/base/list.h"
#include "dataplane/mbuf.h"
#include "dataplane/worker_instance.h"
#include "tests/test_support.h"

#include <linux/virtio_net.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM    15u // frames in the ring
#define HEADERS (14u + 20u + 20u)

static struct rte_mempool *pool;
static struct rte_ring *ring;
static struct worker *worker;
static struct worker_port *port;
static struct gso_socket gso;
static int kernel, port_id;

static void start(void)
{
	char error[256];
	int pair[2], size = 1;

	if (pool == NULL) {
		test_eal_init();
		pool = mbuf_pool_new(8191, MBUF_PACKED, error, sizeof(error));
		ring = rte_ring_create("sent", ROOM + 1, SOCKET_ID_ANY, 0);
		port_id = rte_eth_from_ring(ring);
		assert_true(port_id >= 0);
		assert_int_equal(
			rte_eth_dev_configure((uint16_t)port_id, 1, 1, &(struct rte_eth_conf){0}),
			0);
		assert_int_equal(
			rte_eth_rx_queue_setup((uint16_t)port_id, 0, 64, 0, NULL, pool), 0);
		assert_int_equal(rte_eth_tx_queue_setup((uint16_t)port_id, 0, 64, 0, NULL), 0);
		assert_int_equal(rte_eth_dev_start((uint16_t)port_id), 0);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	gso = (struct gso_socket){.fd = pair[0]};
	kernel = pair[1];
	worker = rte_zmalloc("worker", sizeof(*worker), RTE_CACHE_LINE_SIZE);
	port = &worker->ports[0];
	port->worker = worker;
	port->sender = worker;
	port->port_id = (uint16_t)port_id;
	port->gso = &gso;
}

static void stop(void)
{
	gso_socket_close(&gso);
	close(kernel);
	rte_free(worker);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static struct rte_mbuf *frame(uint8_t number, bool cut)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	memset(rte_pktmbuf_append(m, HEADERS + 100), number, HEADERS + 100);
	if (cut) {
		m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
		m->l2_len = 14;
		m->l3_len = 20;
		m->l4_len = 20;
		m->tso_segsz = 50;
	}
	return m;
}

// Large frames have an upper-case letter.
static void send_all(const char *text)
{
	struct rte_mbuf *ms[64];
	unsigned n = (unsigned)strlen(text);

	for (unsigned i = 0; i < n; i++)
		ms[i] = frame((uint8_t)text[i], text[i] < 'a');
	worker_transmit(port, ms, n);
}

// The next frame out of the ring, and out of the socket; 0: none.
static char from_ring(void)
{
	struct rte_mbuf *m;
	char c;

	if (rte_ring_dequeue(ring, (void **)&m) != 0)
		return 0;
	c = *rte_pktmbuf_mtod(m, char *);
	rte_pktmbuf_free(m);
	return c;
}

static char from_socket(void)
{
	char got[1024];
	ssize_t n = recv(kernel, got, sizeof(got), MSG_DONTWAIT);

	if (n < 0)
		return 0;
	assert_int_equal(n, sizeof(struct virtio_net_hdr) + HEADERS + 100);
	return got[sizeof(struct virtio_net_hdr)];
}

static void each_frame_takes_its_way(void)
{
	start();
	send_all("aAbcBC");
	assert_int_equal(from_ring(), 'a');
	assert_int_equal(from_ring(), 'b');
	assert_int_equal(from_ring(), 'c');
	assert_int_equal(from_ring(), 0);
	assert_int_equal(from_socket(), 'A');
	assert_int_equal(from_socket(), 'B');
	assert_int_equal(from_socket(), 'C');
	assert_int_equal(from_socket(), 0);
	assert_int_equal(worker->stats.tx_packets, 6);
	assert_int_equal(gso.packets, 3);
	stop();
}

static void nothing_overtakes_a_large_frame_that_waits(void)
{
	unsigned n = 0;

	start();
	do
		send_all("A"), n++;
	while (port->backlog_head == port->backlog_tail);
	send_all("bcD");
	assert_int_equal(from_ring(), 0);
	assert_int_equal(port->backlog_tail - port->backlog_head, 4);
	assert_false(worker_send_backlog(port));
	while (--n > 0)
		assert_int_equal(from_socket(), 'A');
	assert_true(worker_send_backlog(port));
	assert_int_equal(port->backlog_tail, port->backlog_head);
	assert_int_equal(from_ring(), 'b');
	assert_int_equal(from_ring(), 'c');
	assert_int_equal(from_socket(), 'A');
	assert_int_equal(from_socket(), 'D');
	stop();
}

static void no_large_frame_overtakes_one_that_waits_for_the_driver(void)
{
	start();
	for (unsigned i = 0; i < ROOM; i++)
		send_all("a");
	send_all("bAc");
	assert_int_equal(from_socket(), 0);
	assert_int_equal(port->backlog_tail - port->backlog_head, 3);
	for (unsigned i = 0; i < ROOM; i++)
		assert_int_equal(from_ring(), 'a');
	assert_true(worker_send_backlog(port));
	assert_int_equal(from_ring(), 'b');
	assert_int_equal(from_ring(), 'c');
	assert_int_equal(from_socket(), 'A');
	stop();
}

static void what_the_kernel_refuses_stops_nobody(void)
{
	start();
	close(kernel);
	send_all("AbC");
	assert_int_equal(port->backlog_tail, port->backlog_head);
	assert_int_equal(from_ring(), 'b');
	assert_int_equal(gso.errors, 2);
	kernel = dup(gso.fd);
	stop();
}

static void a_full_backlog_is_counted(void)
{
	start();
	for (unsigned i = 0; i < ROOM + WORKER_BACKLOG; i++)
		send_all("a");
	assert_int_equal(worker->stats.tx_drop_full, 0);
	send_all("bA");
	assert_int_equal(worker->stats.tx_drop_full, 2);
	for (unsigned i = 0; i < ROOM + WORKER_BACKLOG; i++) {
		if (from_ring() == 0) {
			assert_true(worker_send_backlog(port));
			assert_int_equal(from_ring(), 'a');
		}
	}
	assert_int_equal(from_ring(), 0);
	assert_int_equal(port->backlog_tail, port->backlog_head);
	stop();
}

// The driver may have refused all of them.
static void nothing_to_send_is_nothing(void)
{
	start();
	send_all("");
	port->gso = NULL;
	send_all("");
	assert_int_equal(worker->stats.tx_packets, 0);
	stop();
}

TESTS(TEST(each_frame_takes_its_way), TEST(nothing_overtakes_a_large_frame_that_waits),
	TEST(no_large_frame_overtakes_one_that_waits_for_the_driver),
	TEST(what_the_kernel_refuses_stops_nobody), TEST(a_full_backlog_is_counted),
	TEST(nothing_to_send_is_nothing))
