#include "dataplane/kernel_net.h"

#include "dataplane/base/log.h"
#include "dataplane/rtnl.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

LOG_MODULE("kernel-net")

#define WANTED        256u       // neighbours asked for at once
#define NEIGHBOURS    64u        // handed to the workers together
#define READ_SIZE     (32 << 10) // what the kernel puts into one datagram at most
#define EVENTS_A_RUN  64u        // datagrams, so that a storm of events leaves time for the rest
#define ASK_TIMEOUT_S 1

struct kernel_net {
	// set at creation
	const char *interface;
	unsigned index;
	int epoll_fd;
	int events_fd; // netlink: what changes, and answers about neighbours
	int wanted_fd; // eventfd
	struct rte_ring *wanted;

	// mgmt thread
	bool paths_changed;
	bool events_lost; // news of neighbours may be among them
	uint64_t read_us; // when the paths were read last
	struct net_paths paths;
	uint8_t buffer[READ_SIZE];

	// workers and mgmt
	atomic_bool signalled; // wanted_fd is readable already
};

static int open_netlink(uint32_t groups)
{
	const struct sockaddr_nl local = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int result = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&local, sizeof(local)) != 0)
		result = -errno;
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

// One datagram of the kernel's. Returns its bytes, none if there is nothing to read, or a negative errno.
static ssize_t read_datagram(int fd, uint8_t *buffer, int flags)
{
	struct sockaddr_nl from;
	socklen_t size = sizeof(from);
	ssize_t n;

	do {
		size = sizeof(from);
		n = recvfrom(fd, buffer, READ_SIZE, flags, (struct sockaddr *)&from, &size);
	} while (n >= 0 && from.nl_pid != 0); // any process may write to us
	if (n >= 0)
		return n;
	return errno == EAGAIN && (flags & MSG_DONTWAIT) != 0 ? 0 : -errno;
}

// --- the interface, addresses and routes

struct reading {
	struct net_paths paths;
	unsigned
		n_preferred; // addresses, which go first: the stack looks for a source in their order
	uint32_t metrics[NET_MAX_PATHS];
	unsigned n_left_out;
};

static void add_address(struct reading *r, const struct rtnl_message *m)
{
	struct net_paths *paths = &r->paths;
	unsigned at = paths->n_addresses;

	// A link-local address says nothing to anybody beyond the link, and the peers we serve are.
	if (!ip_addr_is_v4(&m->addr) && m->addr.b[0] == 0xfe && (m->addr.b[1] & 0xc0) == 0x80)
		return;
	if (paths->n_addresses == sizeof(paths->addresses) / sizeof(paths->addresses[0])) {
		log_warning("more addresses than can be used on one interface");
		return;
	}
	if (!m->deprecated) {
		at = r->n_preferred++;
		memmove(&paths->addresses[at + 1], &paths->addresses[at],
			(paths->n_addresses - at) * sizeof(paths->addresses[0]));
		memmove(&paths->prefix_len[at + 1], &paths->prefix_len[at],
			paths->n_addresses - at);
	}
	paths->addresses[at] = m->addr;
	paths->prefix_len[at] = m->prefix_len;
	paths->n_addresses++;
}

static bool is_link_local_prefix(const struct rtnl_message *m)
{
	return m->prefix_len >= 10 && !ip_addr_is_v4(&m->addr) && m->addr.b[0] == 0xfe
		&& (m->addr.b[1] & 0xc0) == 0x80;
}

// Of routes to the same prefix the one with the lowest metric is the kernel's choice.
static void add_route(struct reading *r, const struct rtnl_message *m)
{
	unsigned at = 0;

	if (is_link_local_prefix(m))
		return;
	while (at < r->paths.n_paths
		&& (r->paths.paths[at].prefix_len != m->prefix_len
			|| !ip_addr_equal(&r->paths.paths[at].prefix, &m->addr)))
		at++;
	if (at < r->paths.n_paths && r->metrics[at] <= m->metric)
		return;
	if (at == NET_MAX_PATHS) {
		r->n_left_out++;
		return;
	}
	if (at == r->paths.n_paths)
		r->paths.n_paths++;
	r->metrics[at] = m->metric;
	// Field by field: two readings are compared as bytes, padding among them.
	r->paths.paths[at].prefix = m->addr;
	r->paths.paths[at].prefix_len = m->prefix_len;
	r->paths.paths[at].gateway = m->gateway;
	r->paths.paths[at].source = m->source;
}

static void add_link(struct reading *r, const struct rtnl_message *m)
{
	if (m->has_mac)
		memcpy(r->paths.mac, m->mac, sizeof(r->paths.mac));
	r->paths.mtu = m->mtu < UINT16_MAX ? (uint16_t)m->mtu : UINT16_MAX;
}

static void add_path(void *arg, const struct rtnl_message *m)
{
	struct reading *r = arg;

	if (m->kind == RTNL_LINK)
		add_link(r, m);
	else if (m->kind == RTNL_ADDRESS)
		add_address(r, m);
	else if (m->kind == RTNL_ROUTE)
		add_route(r, m);
}

// Calls 'take' with all that the kernel answers.
typedef void take_fn(void *arg, const struct rtnl_message *m);

static int ask(struct kernel_net *k, const uint8_t *request, size_t len, take_fn *take, void *arg)
{
	const struct timeval bound = {.tv_sec = ASK_TIMEOUT_S};
	int fd = open_netlink(0), result = 0;
	bool complete = false;

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
	if (send(fd, request, len, 0) != (ssize_t)len)
		result = -errno;
	while (result == 0 && !complete) {
		ssize_t n = read_datagram(fd, k->buffer, 0);
		struct bytes rest = bytes_of(k->buffer, n > 0 ? (size_t)n : 0);
		struct rtnl_message m;

		if (n <= 0)
			result = n < 0 ? (int)n : -EPIPE;
		while (rtnl_next(&rest, k->index, &m)) {
			if (m.kind != RTNL_DONE && m.kind != RTNL_ERROR) {
				take(arg, &m);
				continue;
			}
			complete = true;
			result = m.error;
		}
	}
	close(fd);
	return result;
}

static int dump(struct kernel_net *k, enum rtnl_table what, take_fn *take, void *arg)
{
	uint8_t request[RTNL_REQUEST_SIZE];

	return ask(k, request, rtnl_write_dump(request, what, 1), take, arg);
}

static int read_link(struct kernel_net *k, struct reading *r)
{
	uint8_t request[RTNL_REQUEST_SIZE];

	return ask(k, request, rtnl_write_get_link(request, k->index, 1), add_path, r);
}

static void read_paths(struct kernel_net *k, const struct kernel_net_ops *ops)
{
	static struct reading r; // mgmt thread only; too large for a stack
	int result;

	memset(&r, 0, sizeof(r));
	result = read_link(k, &r);
	// Of an interface that is gone, nor do the others have anything.
	if (result == 0 || result == -ENODEV)
		result = dump(k, RTNL_ADDRESSES, add_path, &r);
	if (result == 0)
		result = dump(k, RTNL_ROUTES, add_path, &r);
	if (result != 0) {
		log_error("the kernel's addresses and routes cannot be read interface=%s: %s",
			k->interface, strerror(-result));
		k->paths_changed = true; // and try again
		return;
	}
	if (r.n_left_out > 0)
		log_warning("more routes than can be used interface=%s left_out=%u", k->interface,
			r.n_left_out);
	if (memcmp(&k->paths, &r.paths, sizeof(r.paths)) == 0)
		return;
	k->paths = r.paths;
	log_info("following the kernel interface=%s addresses=%u routes=%u", k->interface,
		r.paths.n_addresses, r.paths.n_paths);
	ops->set_paths(ops->arg, &r.paths);
}

// --- neighbours

static void ask_for(struct kernel_net *k, const struct ip_addr *neighbour)
{
	uint8_t request[RTNL_REQUEST_SIZE];
	size_t len = rtnl_write_use(request, k->index, neighbour);

	if (send(k->events_fd, request, len, 0) != (ssize_t)len)
		log_warning("the kernel does not look for a neighbour interface=%s: %s",
			k->interface, strerror(errno));
	// The answer comes as an event does; one that was known all along would bring none.
	len = rtnl_write_get(request, k->index, neighbour);
	if (send(k->events_fd, request, len, 0) != (ssize_t)len)
		log_debug("no answer about a neighbour interface=%s", k->interface);
}

static void ask_for_wanted(struct kernel_net *k)
{
	struct ip_addr neighbour;
	uint64_t count;

	if (read(k->wanted_fd, &count, sizeof(count)) != sizeof(count))
		return;
	// Before the ring is read: who comes now makes the descriptor readable again.
	atomic_store(&k->signalled, false);
	while (rte_ring_dequeue_elem(k->wanted, &neighbour, sizeof(neighbour)) == 0)
		ask_for(k, &neighbour);
}

void kernel_net_want(void *arg, const struct ip_addr *neighbour)
{
	struct kernel_net *k = arg;
	struct ip_addr copy = *neighbour;
	const uint64_t one = 1;

	if (rte_ring_enqueue_elem(k->wanted, &copy, sizeof(copy)) != 0)
		return; // it is asked for again in a second
	// A system call on a worker, but one that cannot wait, and at most one for each turn of the mgmt loop.
	if (!atomic_exchange(&k->signalled, true) && write(k->wanted_fd, &one, sizeof(one)) < 0)
		atomic_store(&k->signalled, false);
}

static bool note_neighbour(const struct rtnl_message *m, struct kernel_neighbour *out)
{
	bool valid = !m->gone && m->has_mac
		&& (m->state
			   & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE
				   | NUD_DELAY))
			!= 0;

	if (!valid && !m->gone && (m->state & NUD_FAILED) == 0)
		return false; // being asked for
	*out = (struct kernel_neighbour){
		.addr = m->addr,
		.has_mac = valid,
		.confirmed = valid && (m->state & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE)) != 0,
	};
	memcpy(out->mac, m->mac, sizeof(out->mac));
	return true;
}

// Neighbours on their way to the workers.
struct batch {
	const struct kernel_net_ops *ops;
	struct kernel_neighbour list[NEIGHBOURS];
	unsigned n;
};

static void deliver(struct batch *b)
{
	if (b->n > 0)
		b->ops->set_neighbours(b->ops->arg, b->list, b->n);
	b->n = 0;
}

static void add_neighbour(void *arg, const struct rtnl_message *m)
{
	struct batch *b = arg;

	if (m->kind == RTNL_NEIGHBOUR && note_neighbour(m, &b->list[b->n]))
		b->n++;
	if (b->n == NEIGHBOURS)
		deliver(b);
}

static void read_neighbours(struct kernel_net *k, const struct kernel_net_ops *ops)
{
	struct batch batch = {.ops = ops};
	int result = dump(k, RTNL_NEIGHBOURS, add_neighbour, &batch);

	deliver(&batch);
	if (result == 0)
		return;
	log_error("the kernel's neighbours cannot be read interface=%s: %s", k->interface,
		strerror(-result));
	k->events_lost = true; // and try again
}

// --- events

static void read_events(struct kernel_net *k, const struct kernel_net_ops *ops)
{
	struct batch batch = {.ops = ops};

	for (unsigned i = 0; i < EVENTS_A_RUN; i++) {
		ssize_t n = read_datagram(k->events_fd, k->buffer, MSG_DONTWAIT);
		struct bytes rest = bytes_of(k->buffer, n > 0 ? (size_t)n : 0);
		struct rtnl_message m;

		if (n == 0)
			break;
		// Events were lost (ENOBUFS), and may have said anything.
		k->events_lost |= n < 0;
		k->paths_changed |= n < 0;
		while (rtnl_next(&rest, k->index, &m)) {
			k->paths_changed |= m.kind == RTNL_ADDRESS || m.kind == RTNL_ROUTE
				|| m.kind == RTNL_CHANGE || m.kind == RTNL_LINK;
			add_neighbour(&batch, &m);
		}
	}
	deliver(&batch);
}

void kernel_net_run(struct kernel_net *k, const struct kernel_net_ops *ops, uint64_t now_us)
{
	read_events(k, ops);
	ask_for_wanted(k);
	if (k->paths_changed && (k->read_us == 0 || now_us - k->read_us >= KERNEL_NET_PAUSE_US)) {
		k->paths_changed = false;
		k->read_us = now_us;
		read_paths(k, ops);
		if (k->events_lost) {
			k->events_lost = false;
			read_neighbours(k, ops);
		}
	}
}

// --- its life

static int watch(struct kernel_net *k, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int open_all(struct kernel_net *k)
{
	char name[RTE_RING_NAMESIZE];
	int result;

	k->events_fd = open_netlink(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR
		| RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_NEIGH);
	if (k->events_fd < 0)
		return k->events_fd;
	k->wanted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (k->wanted_fd < 0 || k->epoll_fd < 0)
		return -errno;
	snprintf(name, sizeof(name), "wanted%u", k->index);
	k->wanted = rte_ring_create_elem(
		name, sizeof(struct ip_addr), WANTED, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (k->wanted == NULL)
		return -ENOMEM;
	result = watch(k, k->events_fd);
	return result == 0 ? watch(k, k->wanted_fd) : result;
}

struct kernel_net *kernel_net_new(
	const char *interface, unsigned index, char *error, size_t error_size)
{
	struct kernel_net *k = calloc(1, sizeof(*k));
	int result = -ENOMEM;

	if (k != NULL) {
		k->interface = interface;
		k->index = index;
		k->epoll_fd = k->events_fd = k->wanted_fd = -1;
		k->paths_changed = true;
		result = open_all(k);
	}
	if (result != 0) {
		snprintf(error, error_size, "cannot follow the kernel's network on \"%s\": %s",
			interface, strerror(-result));
		kernel_net_free(&k);
	}
	return k;
}

void kernel_net_free(struct kernel_net **kp)
{
	struct kernel_net *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	if (k->events_fd >= 0)
		close(k->events_fd);
	if (k->wanted_fd >= 0)
		close(k->wanted_fd);
	if (k->epoll_fd >= 0)
		close(k->epoll_fd);
	rte_ring_free(k->wanted);
	free(k);
}

int kernel_net_fd(const struct kernel_net *k)
{
	return k->epoll_fd;
}
