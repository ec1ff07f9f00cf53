#include "dataplane/shared_ports.h"

#include "dataplane/base/log.h"
#include "dataplane/kernel_net.h"
#include "dataplane/net/wire.h"
#include "dataplane/netdev.h"
#include "dataplane/tcp/tcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

LOG_MODULE("shared-ports")

#define MAX_LINGERING 64u // ports not listened on any more whose connections go on

struct shared_ports {
	// set at creation
	struct worker_shared *shared;
	struct port *ports;
	unsigned n_ports;
	int epoll_fd;

	// changes
	struct xdp_ports listening; // with the slice of active opens
	uint16_t lingering[MAX_LINGERING];
	unsigned n_lingering;
	unsigned port; // whose news is being delivered
};

static void call_workers(struct shared_ports *s, worker_call_fn *fn, void *arg)
{
	for (unsigned i = 0; i < s->shared->n_workers; i++)
		worker_call(s->shared->workers[i], fn, arg);
}

// --- from the kernel to the stacks

// What the stacks shall have is in 'paths' afterwards: no more than the device was opened for. Returns true if it is news.
static bool fit_link(struct port *p, struct net_paths *paths)
{
	uint16_t mtu = paths->mtu;

	if (mtu > p->mtu_open)
		paths->mtu = p->mtu_open;
	else if (mtu != 0 && mtu < PORT_MTU_MIN)
		paths->mtu = PORT_MTU_MIN;
	if (mtu != 0 && mtu != p->mtu_kernel && mtu != paths->mtu)
		log_warning("the interface's MTU cannot be used port=%s mtu=%u used=%u", p->name,
			mtu, paths->mtu);
	if (mtu != 0)
		p->mtu_kernel = mtu;
	return (mtu != 0 && paths->mtu != p->mtu)
		|| (!wire_mac_is_zero(paths->mac) && !wire_mac_equal(paths->mac, p->mac));
}

static void note_link(struct port *p, const struct net_paths *paths)
{
	if (paths->mtu != 0)
		p->mtu = paths->mtu;
	if (!wire_mac_is_zero(paths->mac))
		memcpy(p->mac, paths->mac, sizeof(p->mac));
	p->n_link_changes++;
	log_info("the interface changed port=%s mac=%02x:%02x:%02x:%02x:%02x:%02x mtu=%u", p->name,
		p->mac[0], p->mac[1], p->mac[2], p->mac[3], p->mac[4], p->mac[5], p->mtu);
}

struct paths_call {
	unsigned port;
	const struct net_paths *paths;
};

static void take_paths(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	const struct paths_call *c = arg;

	(void)state;
	net_set_paths(worker_net(w), worker_iface(w, c->port), c->paths, now_us);
}

static void set_paths(void *arg, const struct net_paths *paths)
{
	struct shared_ports *s = arg;
	struct port *p = &s->ports[s->port];
	struct net_paths fitting = *paths;
	struct paths_call call = {.port = s->port, .paths = &fitting};
	int result;

	if (fit_link(p, &fitting))
		note_link(p, &fitting);
	// First the stacks: what the program takes has to be known to them.
	call_workers(s, take_paths, &call);
	result = xdp_share_set_addresses(&p->share, paths->addresses, paths->n_addresses);
	if (result != 0)
		log_error("the XDP program does not learn our addresses port=%s: %s", p->name,
			strerror(-result));
}

struct neighbours_call {
	unsigned port;
	const struct kernel_neighbour *list;
	unsigned n;
};

static void take_neighbours(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	const struct neighbours_call *c = arg;

	(void)state;
	for (unsigned i = 0; i < c->n; i++)
		net_set_neighbour(worker_net(w), worker_iface(w, c->port), &c->list[i].addr,
			c->list[i].has_mac ? c->list[i].mac : NULL, c->list[i].confirmed, now_us);
}

static void set_neighbours(void *arg, const struct kernel_neighbour *list, unsigned n)
{
	struct shared_ports *s = arg;
	struct neighbours_call call = {.port = s->port, .list = list, .n = n};

	call_workers(s, take_neighbours, &call);
}

// --- from the listeners to the programs

static int set_ports(struct shared_ports *s)
{
	struct xdp_ports all = s->listening;
	int result = 0;

	for (unsigned i = 0; i < s->n_lingering; i++)
		xdp_ports_add(&all, s->lingering[i]);
	for (unsigned i = 0; i < s->n_ports; i++) {
		int one = s->ports[i].shared ? xdp_share_set_ports(&s->ports[i].share, &all) : 0;

		if (one != 0) {
			log_error("the XDP program does not learn our ports port=%s: %s",
				s->ports[i].name, strerror(-one));
			result = one;
		}
	}
	return result;
}

static void linger(struct shared_ports *s, const struct xdp_ports *before, uint16_t port)
{
	if (!xdp_ports_has(before, port) || xdp_ports_has(&s->listening, port))
		return;
	if (s->n_lingering < MAX_LINGERING)
		s->lingering[s->n_lingering++] = port;
	else
		log_warning("too many ports wait for their last connection port=%u", port);
}

int shared_ports_listen(struct shared_ports *s, const uint16_t *tcp_ports, unsigned n)
{
	const struct steer *steer;
	struct xdp_ports before;
	unsigned n_kept = 0;

	if (s == NULL)
		return 0;
	steer = &s->shared->steer;
	before = s->listening;
	memset(&s->listening, 0, sizeof(s->listening));
	for (uint32_t port = steer->port_first; port <= steer->port_last; port++)
		xdp_ports_add(&s->listening, (uint16_t)port);
	for (unsigned i = 0; i < n; i++)
		xdp_ports_add(&s->listening, tcp_ports[i]);
	for (unsigned i = 0; i < s->n_lingering; i++) {
		if (!xdp_ports_has(&s->listening, s->lingering[i]))
			s->lingering[n_kept++] = s->lingering[i];
	}
	s->n_lingering = n_kept;
	for (uint32_t port = 0; port <= UINT16_MAX; port++)
		linger(s, &before, (uint16_t)port);
	return set_ports(s);
}

struct use_call {
	uint16_t port;
	bool is_used;
};

static bool is_of_port(void *arg, const struct tcp_info *info)
{
	struct use_call *c = arg;

	c->is_used = info->local.port == c->port;
	return !c->is_used;
}

static void ask_use(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	(void)state, (void)now_us;
	tcp_each(worker_net(w), is_of_port, arg);
}

// Looks at the first of the lingering ports only, so that a call costs one walk over the connections at most.
static void end_lingering(struct shared_ports *s)
{
	struct use_call call;

	if (s->n_lingering == 0)
		return;
	call = (struct use_call){.port = s->lingering[0]};
	for (unsigned i = 0; i < s->shared->n_workers && !call.is_used; i++)
		worker_call(s->shared->workers[i], ask_use, &call);
	memmove(s->lingering, s->lingering + 1, (s->n_lingering - 1) * sizeof(s->lingering[0]));
	if (call.is_used) {
		s->lingering[s->n_lingering - 1] = call.port; // last in the row again
		return;
	}
	s->n_lingering--;
	log_info("a port is the kernel's again port=%u", call.port);
	set_ports(s);
}

// --- its life

static void warn_of_overlap(const struct steer *steer)
{
	uint16_t first, last;

	if (!netdev_local_ports_overlap(steer->port_first, steer->port_last, &first, &last))
		return;
	log_warning(
		"the kernel may choose local ports that are ours, and what comes for them would not reach it: "
		"ports=%u-%u; change localPorts, or: sysctl -w "
		"net.ipv4.ip_local_reserved_ports=%u-%u",
		first, last, steer->port_first, steer->port_last);
}

int shared_ports_new(struct shared_ports **out, struct port *ports, unsigned n_ports,
	struct worker_shared *shared, char *error, size_t error_size)
{
	struct shared_ports *s;
	unsigned n_shared = 0;
	int result = 0;

	*out = NULL;
	for (unsigned i = 0; i < n_ports; i++)
		n_shared += ports[i].shared;
	if (n_shared == 0)
		return 0;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	*s = (struct shared_ports){.shared = shared, .ports = ports, .n_ports = n_ports};
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < n_ports && result == 0; i++) {
		struct epoll_event event = {.events = EPOLLIN};

		if (!ports[i].shared)
			continue;
		ports[i].kernel =
			kernel_net_new(ports[i].name, ports[i].interface_index, error, error_size);
		if (ports[i].kernel == NULL)
			result = -EIO;
		else if (epoll_ctl(
				 s->epoll_fd, EPOLL_CTL_ADD, kernel_net_fd(ports[i].kernel), &event)
			!= 0)
			result = -errno;
	}
	if (result == 0) {
		warn_of_overlap(&shared->steer);
		result = shared_ports_listen(s, NULL, 0);
	}
	if (result != 0)
		shared_ports_free(&s);
	*out = s;
	return result;
}

void shared_ports_free(struct shared_ports **sp)
{
	struct shared_ports *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->n_ports; i++)
		kernel_net_free(&s->ports[i].kernel);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	free(s);
}

int shared_ports_fd(const struct shared_ports *s)
{
	return s != NULL ? s->epoll_fd : -1;
}

void shared_ports_run(struct shared_ports *s)
{
	const struct kernel_net_ops ops = {set_paths, set_neighbours, s};

	if (s == NULL)
		return;
	for (s->port = 0; s->port < s->n_ports; s->port++) {
		if (s->ports[s->port].shared)
			kernel_net_run(
				s->ports[s->port].kernel, &ops, worker_shared_now(s->shared));
	}
}

void shared_ports_tick(struct shared_ports *s)
{
	if (s == NULL)
		return;
	shared_ports_run(s);
	end_lingering(s);
}
