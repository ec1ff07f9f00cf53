#include "dataplane/port.h"

#include "dataplane/base/log.h"
#include "dataplane/eal.h"
#include "dataplane/mbuf.h"
#include "dataplane/netdev.h"
#include "dataplane/xdp.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

LOG_MODULE("port")

#define RX_DESCRIPTORS 1024u
#define TX_DESCRIPTORS 1024u
#define QUEUE_HOLDS    (2u * 2048) // AF_XDP's rings are the largest: 2048 to fill, 2048 on the way out
#define L2_OVERHEAD    (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)
#define MTU_MAX        (MBUF_ROOM - L2_OVERHEAD)

// It cuts by rte_gso, which leaves IPv6 as large as it is, and refuses what it compares with the MTU, Ethernet header
// included (DPDK 22.11.11; without this: frames of 65 kB, and none at all).
#define TAP_LIMITS (PORT_TSO_IP4_ONLY | PORT_TSO_WITHIN_MTU)

// What dev_info does not tell. The table only takes rights away or adds care; a driver without a row is
// believed. 'csum' is the policy on hardware, 'csum_virtual' on an interface whose peer is this kernel.
static const struct quirk {
	const char *driver;
	bool believe_csum_flags; // else the policy below decides
	enum csum_policy csum;
	enum csum_policy csum_virtual;
	bool own_mac; // the device's address is also that of the kernel's end of the wire
	bool no_rx_interrupts;
	int family;      // of the socket that each queue is, 0: it is none
	unsigned limits; // enum port_offload_limit
} quirks[] = {
	{"net_af_xdp",      false, CSUM_VERIFY,         CSUM_ACCEPT_PARTIAL, false, true,  AF_XDP,    0         },
	{"net_af_packet",   false, CSUM_VERIFY,         CSUM_ACCEPT_PARTIAL, false, true,  AF_PACKET, 0         },
	{"net_tap",         true,  CSUM_VERIFY,         CSUM_VERIFY,         true,  false, 0,         TAP_LIMITS},
	{"net_memif",       false, CSUM_VERIFY,         CSUM_VERIFY,         false, true,  0,         0         },
	{"net_virtio",      false, CSUM_ACCEPT_PARTIAL, CSUM_ACCEPT_PARTIAL, false, false, 0,         0         },
	{"net_virtio_user", false, CSUM_ACCEPT_PARTIAL, CSUM_ACCEPT_PARTIAL, false, false, 0,         0         },
	{"net_null",        false, CSUM_VERIFY,         CSUM_VERIFY,         false, true,  0,         0         },
	{"net_ring",        false, CSUM_VERIFY,         CSUM_VERIFY,         false, true,  0,         0         },
	{"net_pcap",        false, CSUM_VERIFY,         CSUM_VERIFY,         false, true,  0,         0         },
};

static const struct quirk unknown_driver = {
	NULL, true, CSUM_VERIFY, CSUM_VERIFY, false, false, 0, 0};

static const struct quirk *quirk_of(const char *driver)
{
	for (unsigned i = 0; i < sizeof(quirks) / sizeof(quirks[0]); i++) {
		if (strcmp(quirks[i].driver, driver) == 0)
			return &quirks[i];
	}
	return &unknown_driver;
}

static bool claimed[1024]; // sockets that have an owner, by descriptor

static bool can_claim(int fd)
{
	return fd >= 0 && fd < (int)sizeof(claimed);
}

static void set_claimed(int fd, bool on)
{
	if (can_claim(fd))
		claimed[fd] = on;
}

#define fail(result, format, ...) \
	(snprintf(error, error_size, "port \"%s\": " format, config->name, __VA_ARGS__), (result))

const char *port_csum_name(enum csum_policy policy)
{
	switch (policy) {
	case CSUM_VERIFY: return "verify";
	case CSUM_TRUST: return "trust";
	case CSUM_ACCEPT_PARTIAL: return "accept-partial";
	}
	return "?";
}

uint32_t port_mbufs_needed(unsigned n_queues)
{
	return n_queues * QUEUE_HOLDS;
}

static bool sits_on_kernel_interface(const struct port_config *config)
{
	return config->kind == PORT_KIND_AF_XDP || config->kind == PORT_KIND_AF_PACKET;
}

bool port_needs_pages(const struct port_config *config)
{
	struct netdev d;

	return config->kind == PORT_KIND_AF_XDP && netdev_read(config->device, &d) == 0
		&& !netdev_is_virtual(&d);
}

// AF_PACKET leaves the kernel in: it would reset our connections if the address were its own too.
static int check_addresses(const struct port_config *config, char *error, size_t error_size)
{
	for (unsigned i = 0; i < config->n_addresses; i++) {
		const struct ip_addr *a = &config->addresses[i];
		char text[IP_ENDPOINT_TEXT_SIZE];

		ip_addr_print(a, text);
		if (config->kind == PORT_KIND_AF_PACKET && netdev_kernel_owns(a))
			return fail(-EADDRINUSE,
				"the kernel has address %s too and would reset every connection to it; "
				"remove it from the kernel (ip address del), or use driver af_xdp",
				text);
	}
	return 0;
}

static int check_interface(const struct port_config *config, char *error, size_t error_size)
{
	struct netdev d;
	char names[256];
	int result = netdev_read(config->device, &d);

	if (result == -ENODEV) {
		netdev_list(names, sizeof(names));
		return fail(result,
			"there is no interface \"%s\" in this network namespace; expected one of %s",
			config->device, names);
	}
	if (result != 0)
		return fail(result, "interface \"%s\": %s", config->device, strerror(-result));
	if (d.loopback)
		return fail(-EINVAL,
			"interface \"%s\" is the loopback and has no Ethernet; expected another",
			config->device);
	if (config->kind != PORT_KIND_AF_XDP)
		return 0;
	if (d.has_default_route && !config->shared)
		return fail(-EBUSY,
			"interface \"%s\" carries the kernel's default route, and AF_XDP would take all its "
			"traffic; give the gateway an interface of its own, or use addressing: shared",
			config->device);
	if (strcmp(d.driver, "veth") == 0 && d.n_rx_queues > 1)
		return fail(-EINVAL,
			"veth \"%s\" has %u receive queues, and traffic of all but the first would be lost; "
			"set one with: ethtool -L %s rx 1 tx 1",
			config->device, d.n_rx_queues, config->device);
	return 0;
}

int port_check(const struct port_config *config, char *error, size_t error_size)
{
	int result;

	if (config->device == NULL || *config->device == '\0')
		return fail(-EINVAL, "no device is given; expected %s",
			config->kind == PORT_KIND_PCI ? "a PCI address" : "an interface");
	if (config->shared && config->kind != PORT_KIND_AF_XDP)
		return fail(-ENOTSUP,
			"addressing: shared needs driver %s, whose program can leave packets to the kernel",
			"af_xdp");
	if (config->mtu != 0 && (config->mtu < PORT_MTU_MIN || config->mtu > MTU_MAX))
		return fail(-EINVAL, "MTU %u does not fit; expected %u to %u", config->mtu,
			PORT_MTU_MIN, MTU_MAX);
	if (config->kind == PORT_KIND_TAP && strlen(config->device) >= IFNAMSIZ)
		return fail(-EINVAL,
			"interface name \"%s\" is too long; expected at most %d characters",
			config->device, IFNAMSIZ - 1);
	result = check_addresses(config, error, error_size);
	if (result == 0 && sits_on_kernel_interface(config))
		result = check_interface(config, error, error_size);
	return result;
}

// The text that makes DPDK create the device, and the name that it has then.
static void write_devargs(const struct port_config *config, unsigned index, unsigned n_queues,
	bool is_virtual, const char *program, char *devargs, size_t size)
{
	switch (config->kind) {
	case PORT_KIND_AF_XDP:
		// An empty poll of a veth costs a system call unless busy polling is off; a NIC wants it.
		snprintf(devargs, size, "net_af_xdp%u,iface=%s,start_queue=0,queue_count=%u%s%s%s",
			index, config->device, n_queues, is_virtual ? ",busy_budget=0" : "",
			*program != '\0' ? ",xdp_prog=" : "", program);
		break;
	case PORT_KIND_AF_PACKET:
		snprintf(devargs, size, "net_af_packet%u,iface=%s,qpairs=1", index, config->device);
		break;
	case PORT_KIND_TAP:
		snprintf(devargs, size, "net_tap%u,iface=%s", index, config->device);
		break;
	case PORT_KIND_MEMIF:
		snprintf(devargs, size, "net_memif%u,role=client,id=0,socket-abstract=no,socket=%s",
			index, config->device);
		break;
	case PORT_KIND_PCI:
	case PORT_KIND_DEVARGS: snprintf(devargs, size, "%s", config->device); break;
	}
}

// Creates the device (a PCI one exists since the EAL's start) and finds its number.
static int probe(struct port *p, const struct port_config *config, unsigned index,
	unsigned n_queues, bool is_virtual, const char *program, char *error, size_t error_size)
{
	char devargs[512];
	int result = 0;

	write_devargs(config, index, n_queues, is_virtual, program, devargs, sizeof(devargs));
	snprintf(p->device_name, sizeof(p->device_name), "%.*s", (int)strcspn(devargs, ","),
		devargs);
	eal_take_words();
	if (config->kind != PORT_KIND_PCI)
		result = rte_dev_probe(devargs);
	if (result == 0 && rte_eth_dev_get_port_by_name(p->device_name, &p->id) != 0)
		result = -ENODEV;
	if (result != 0)
		return fail(result, "DPDK cannot open \"%s\": %s (it said: %s)", devargs,
			strerror(-result), eal_take_words());
	p->is_open = true;
	return 0;
}

static void choose_mac(struct port *p)
{
	struct rte_ether_addr mac;

	rte_eth_macaddr_get(p->id, &mac);
	if (quirk_of(p->driver)->own_mac) { // locally administered, and different from the kernel's
		mac.addr_bytes[0] |= 2;
		mac.addr_bytes[5] ^= 1;
	}
	memcpy(p->mac, mac.addr_bytes, sizeof(p->mac));
}

// The drivers do not tell their sockets, but a new one of their family is theirs. -1 if there is none.
static int claim_socket(int family)
{
	DIR *all = family != 0 ? opendir("/proc/self/fd") : NULL;
	const struct dirent *entry;
	int found = -1;

	while (all != NULL && found < 0 && (entry = readdir(all)) != NULL) {
		int fd = atoi(entry->d_name), have = 0;
		socklen_t size = sizeof(have);

		if (entry->d_name[0] != '.' && can_claim(fd) && !claimed[fd]
			&& getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &have, &size) == 0
			&& have == family)
			found = fd;
	}
	if (all != NULL)
		closedir(all);
	set_claimed(found, true);
	return found;
}

// AF_XDP counts its buffers as locked memory, which eal_start() has tried to lift the limit of.
static bool memory_is_limited(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

static int setup_queues(struct port *p, const struct port_config *config,
	const struct rte_eth_dev_info *info, struct rte_mempool *pool, char *error,
	size_t error_size)
{
	struct rte_eth_rxconf rx = info->default_rxconf;
	struct rte_eth_txconf tx = info->default_txconf;
	uint16_t n_rx = RX_DESCRIPTORS, n_tx = TX_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(p->id), result;

	result = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &n_rx, &n_tx);
	for (uint16_t q = 0; q < p->n_queues && result == 0; q++) {
		result = rte_eth_rx_queue_setup(p->id, q, n_rx, (unsigned)socket, &rx, pool);
		p->sockets[q] = claim_socket(quirk_of(p->driver)->family);
		if (p->sockets[q] < 0 && quirk_of(p->driver)->family != 0)
			p->wakes = false;
		if (result == 0)
			result = rte_eth_tx_queue_setup(p->id, q, n_tx, (unsigned)socket, &tx);
	}
	if (result != 0)
		return fail(result, "queues of \"%s\" cannot be set up: %s (DPDK said: %s)%s",
			config->device, strerror(-result), eal_take_words(),
			config->kind == PORT_KIND_AF_XDP && memory_is_limited()
				? "; locked memory is limited (ulimit -l): lift that, or add the "
				  "capability IPC_LOCK"
				: "");
	return 0;
}

static int configure(struct port *p, const struct port_config *config, bool is_virtual,
	unsigned n_workers, struct rte_mempool *pool, char *error, size_t error_size)
{
	struct rte_eth_conf conf = {.rxmode.mtu = p->mtu};
	struct rte_eth_dev_info info;
	const struct quirk *quirk;
	int result = rte_eth_dev_info_get(p->id, &info);

	if (result != 0)
		return fail(result, "\"%s\" tells nothing about itself: %s", config->device,
			strerror(-result));
	p->driver = info.driver_name;
	quirk = quirk_of(p->driver);
	if (p->n_queues > info.max_rx_queues)
		p->n_queues = info.max_rx_queues;
	if (p->n_queues > info.max_tx_queues)
		p->n_queues = info.max_tx_queues;
	if (info.max_mtu != 0 && p->mtu > info.max_mtu)
		return fail(-EINVAL, "MTU %u is too large for %s; expected at most %u", p->mtu,
			p->driver, info.max_mtu);

	p->csum = is_virtual ? quirk->csum_virtual : quirk->csum;
	if (config->offloads)
		port_offload_choose(
			&p->offloads, &info, p->mtu, quirk->limits, quirk->believe_csum_flags);
	conf.rxmode.offloads = p->offloads.rx_flags;
	conf.txmode.offloads = p->offloads.tx_flags;
	if (p->offloads.rx_csum)
		p->csum = CSUM_TRUST;
	if (config->checksum >= 0)
		p->csum = (enum csum_policy)config->checksum;
	p->rss.why = "off";
	if (config->offloads)
		port_rss_prepare(&p->rss, &info, p->n_queues, n_workers, &conf);
	p->wakes &= !quirk->no_rx_interrupts || quirk->family != 0;
	conf.intr_conf.rxq = p->wakes && quirk->family == 0;
	result = rte_eth_dev_configure(p->id, p->n_queues, p->n_queues, &conf);
	if (result != 0 && port_rss_refused(&p->rss, &conf))
		result = rte_eth_dev_configure(p->id, p->n_queues, p->n_queues, &conf);
	if (result != 0)
		return fail(result, "\"%s\" refuses %u queues: %s (DPDK said: %s)", config->device,
			p->n_queues, strerror(-result), eal_take_words());
	return setup_queues(p, config, &info, pool, error, error_size);
}

static int configure_and_start(struct port *p, const struct port_config *config, bool is_virtual,
	unsigned n_workers, struct rte_mempool *pool, char *error, size_t error_size)
{
	int result = configure(p, config, is_virtual, n_workers, pool, error, error_size);

	if (result != 0)
		return result;
	if (config->mtu != 0)
		rte_eth_dev_set_mtu(p->id, config->mtu);
	result = rte_eth_dev_start(p->id);
	if (result != 0)
		return fail(result, "\"%s\" does not start: %s (DPDK said: %s)", config->device,
			strerror(-result), eal_take_words());
	port_rss_start(&p->rss, p->id);
	eal_take_words(); // of drivers that have no RSS
	return 0;
}

// Makes sure that nobody else's XDP program is on the interface: another gateway's never is, since we have
// claimed the interface, but for one that was killed.
static int take_interface(struct port *p, const struct port_config *config, const struct netdev *d,
	char *error, size_t error_size)
{
	char program[16] = "unknown";
	int result;

	p->claim_fd = xdp_claim(d->index);
	if (p->claim_fd == -EADDRINUSE)
		return fail(-EADDRINUSE,
			"another gateway that runs has interface \"%s\"; expected one on an interface",
			config->device);
	if (p->claim_fd < 0)
		return fail(p->claim_fd, "interface \"%s\" cannot be claimed: %s", config->device,
			strerror(-p->claim_fd));
	if (d->xdp_program == 0)
		return 0;
	result = xdp_clear(d->index, d->xdp_program, program);
	if (result == -EBUSY)
		return fail(result,
			"XDP program \"%s\" (%u) of somebody else is on interface \"%s\"; remove it "
			"first (ip link set dev %s xdp off)",
			program, d->xdp_program, config->device, config->device);
	if (result != 0)
		return fail(result, "XDP program %u on interface \"%s\" cannot be removed: %s",
			d->xdp_program, config->device, strerror(-result));
	log_warning("replaced the XDP program of a gateway that was killed interface=%s "
		    "program=%s",
		config->device, program);
	return 0;
}

// What is true of the interface below, and makes it ready.
static int prepare_interface(struct port *p, const struct port_config *config, struct netdev *d,
	char *error, size_t error_size)
{
	int result = netdev_read(config->device, d);

	if (result == 0 && !d->up) {
		log_info("interface was down, now up interface=%s", config->device);
		result = netdev_set_up(config->device);
	}
	if (result != 0)
		return fail(result, "interface \"%s\": %s", config->device, strerror(-result));
	return config->kind == PORT_KIND_AF_XDP ? take_interface(p, config, d, error, error_size)
						: 0;
}

// What arrives on a queue without a socket is seen by nobody.
static int check_queues(const struct port_config *config, unsigned n_queues,
	const struct netdev *below, char *error, size_t error_size)
{
	if (config->kind != PORT_KIND_AF_XDP || n_queues >= below->n_rx_queues)
		return 0;
	return fail(-EINVAL,
		"interface \"%s\" has %u receive queues for %u workers, and traffic of the others "
		"would be lost; set as many with: ethtool -L %s combined %u",
		config->device, below->n_rx_queues, n_queues, config->device, n_queues);
}

static int open_program(
	const struct port_config *config, char *path, size_t size, char *error, size_t error_size)
{
	int fd = xdp_share_file(path, size);

	if (fd < 0)
		return fail(fd, "the XDP program cannot be put into a file: %s", strerror(-fd));
	return fd;
}

static bool has_ip6(const struct port_config *config)
{
	for (unsigned i = 0; i < config->n_addresses; i++) {
		if (!ip_addr_is_v4(&config->addresses[i]))
			return true;
	}
	return false;
}

// IPv6 neighbours ask a group, and a NIC's filter may not let it in. Devices without a filter say that they
// cannot switch it off.
static void receive_groups(struct port *p, const struct port_config *config)
{
	int result = rte_eth_allmulticast_enable(p->id);

	if (result == 0 || !sits_on_kernel_interface(config))
		return;
	result = netdev_set_all_groups(p->interface_index, true);
	p->lets_groups_in = result == 1;
	if (result < 0)
		log_warning("multicast may not come in, and IPv6 neighbours not find us port=%s "
			    "error=%s",
			p->name, strerror(-result));
}

// With zero copies frames cost less than the way through the kernel.
static bool is_zero_copy(const struct port *p)
{
	struct xdp_options options = {0};
	socklen_t size = sizeof(options);

	return getsockopt(p->sockets[0], SOL_XDP, XDP_OPTIONS, &options, &size) == 0
		&& options.flags & XDP_OPTIONS_ZEROCOPY;
}

static void close_gso(struct port *p)
{
	for (unsigned q = 0; p->gso != NULL && q < p->n_queues; q++) {
		set_claimed(p->gso[q].fd, false);
		gso_socket_close(&p->gso[q]);
	}
	free(p->gso);
	p->gso = NULL;
}

// Lets the kernel cut packets if the driver hands every frame to it anyway.
static void open_gso(struct port *p, const struct port_config *config)
{
	bool packets = config->kind == PORT_KIND_AF_PACKET;
	int result = 0;

	if (!config->offloads || !sits_on_kernel_interface(config) || is_zero_copy(p))
		return;
	p->gso = calloc(p->n_queues, sizeof(*p->gso));
	for (unsigned q = 0; p->gso != NULL && q < p->n_queues; q++)
		p->gso[q].fd = -1;
	if (p->gso == NULL)
		result = -ENOMEM;
	for (unsigned q = 0; q < p->n_queues && result == 0; q++) {
		result = gso_socket_open(
			&p->gso[q], p->interface_index, packets ? p->sockets[q] : -1);
		set_claimed(p->gso[q].fd, true);
	}
	if (result == 0) {
		port_offload_use_gso(&p->offloads);
		return;
	}
	log_warning("the kernel will not cut packets port=%s error=%s", p->name, strerror(-result));
	close_gso(p);
}

int port_open(struct port *p, const struct port_config *config, unsigned index, unsigned n_workers,
	struct rte_mempool *pool, char *error, size_t error_size)
{
	struct netdev below = {.n_rx_queues = n_workers};
	unsigned n_queues = n_workers;
	bool is_virtual = false;
	char program[64] = "", offloads[PORT_OFFLOADS_TEXT_SIZE], steering[RSS_TEXT_SIZE];
	int result = 0, program_fd = -1;

	*p = (struct port){.name = config->name, .claim_fd = -1, .shared = config->shared};
	if (sits_on_kernel_interface(config)) {
		result = prepare_interface(p, config, &below, error, error_size);
		if (result != 0)
			goto out;
		is_virtual = netdev_is_virtual(&below);
		p->interface_index = below.index;
	}
	if (n_queues > below.n_rx_queues)
		n_queues = below.n_rx_queues;
	result = check_queues(config, n_queues, &below, error, error_size);
	if (result == 0 && config->shared) {
		program_fd = open_program(config, program, sizeof(program), error, error_size);
		result = program_fd < 0 ? program_fd : 0;
	}
	if (result == 0)
		result = probe(p, config, index, n_queues, is_virtual, program, error, error_size);
	if (result != 0)
		goto out;
	p->n_queues = (uint16_t)n_queues;
	p->mtu = config->mtu != 0 ? config->mtu : below.mtu != 0 ? below.mtu : RTE_ETHER_MTU;
	if (p->mtu > MTU_MAX) {
		result = fail(-EINVAL,
			"MTU %u of \"%s\" does not fit a buffer; expected at most %u (ip link set, or mtu)",
			p->mtu, config->device, MTU_MAX);
		goto out;
	}
	p->mtu_open = p->mtu_kernel = p->mtu;
	p->wakes = true;
	memset(p->sockets, 0xff, sizeof(p->sockets));
	result = configure_and_start(p, config, is_virtual, n_workers, pool, error, error_size);
	if (result != 0 && p->wakes) { // what the driver sits on may have none
		p->wakes = false;
		result = configure_and_start(
			p, config, is_virtual, n_workers, pool, error, error_size);
	}
	if (result != 0)
		goto out;
	if (config->shared && xdp_share_find(&p->share) != 0) {
		result = fail(-ENOENT, "\"%s\" has no maps of our XDP program", config->device);
		goto out;
	}
	if (!config->shared && has_ip6(config))
		receive_groups(p, config);
	choose_mac(p);
	open_gso(p, config);
	port_offload_print(&p->offloads, offloads);
	port_rss_print(&p->rss, steering);
	log_info("open port=%s driver=%s device=%s queues=%u mtu=%u checksum=%s offloads=\"%s\" "
		 "steering=\"%s\" addressing=%s",
		p->name, p->driver, config->device, p->n_queues, p->mtu, port_csum_name(p->csum),
		offloads, steering, p->shared ? "shared" : "own");
out:
	if (program_fd >= 0)
		close(program_fd);
	if (result != 0)
		port_close(p);
	return result;
}

void port_close(struct port *p)
{
	struct rte_eth_dev_info info = {0};

	for (uint16_t q = 0; p->is_open && q < p->n_queues; q++)
		set_claimed(p->sockets[q], false);
	close_gso(p);
	if (p->is_open) {
		rte_eth_dev_info_get(p->id, &info);
		rte_eth_dev_stop(p->id);
		rte_eth_dev_close(p->id);
		if (info.device != NULL)
			rte_dev_remove(info.device);
	}
	if (p->lets_groups_in)
		netdev_set_all_groups(p->interface_index, false);
	p->lets_groups_in = false;
	p->is_open = false;
	port_rss_fini(&p->rss);
	xdp_share_fini(&p->share);
	if (p->claim_fd > 0)
		close(p->claim_fd);
	p->claim_fd = -1;
}
