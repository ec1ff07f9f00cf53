#include "dataplane/netdev.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ask(int fd, const char *name, unsigned long request, struct ifreq *r)
{
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	return ioctl(fd, request, r) == 0 ? 0 : -errno;
}

static int ask_ethtool(int fd, const char *name, void *command)
{
	struct ifreq r = {.ifr_data = command};

	return ask(fd, name, SIOCETHTOOL, &r);
}

// Is the line of a route file a default route? Its interface is then in 'iface'.
typedef bool (*route_line_fn)(const char *line, char iface[64]);

static bool is_default_route4(const char *line, char iface[64])
{
	unsigned long dst, mask;

	// Iface Destination Gateway Flags RefCnt Use Metric Mask ...
	return sscanf(line, "%63s %lx %*x %*x %*d %*d %*d %lx", iface, &dst, &mask) == 3 && dst == 0
		&& mask == 0;
}

static bool is_default_route6(const char *line, char iface[64])
{
	unsigned len;

	// Destination length source length next-hop metric references use flags interface
	return sscanf(line, "%*32s %x %*32s %*x %*32s %*x %*x %*x %*x %63s", &len, iface) == 2
		&& len == 0;
}

static bool carries_default_route(const char *name, const char *path, route_line_fn is_default)
{
	FILE *f = fopen(path, "r");
	char line[256], iface[64];
	bool found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = is_default(line, iface) && strcmp(iface, name) == 0;
	fclose(f);
	return found;
}

int netdev_read(const char *name, struct netdev *out)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq r = {0}, mtu = {0};
	char first_name[IF_NAMESIZE]; // 'name' may be another one
	int fd, result;

	*out = (struct netdev){.index = if_nametoindex(name), .n_rx_queues = 1};
	if (out->index == 0 || if_indextoname(out->index, first_name) == NULL)
		return -ENODEV;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	result = ask(fd, name, SIOCGIFFLAGS, &r);
	out->up = (r.ifr_flags & IFF_UP) != 0;
	out->loopback = (r.ifr_flags & IFF_LOOPBACK) != 0;
	if (ask(fd, name, SIOCGIFMTU, &mtu) == 0)
		out->mtu = (uint16_t)mtu.ifr_mtu;
	if (ask_ethtool(fd, name, &driver) == 0)
		snprintf(out->driver, sizeof(out->driver), "%s", driver.driver);
	// NICs count pairs as "combined", veth counts directions apart.
	if (ask_ethtool(fd, name, &channels) == 0
		&& channels.combined_count + channels.rx_count > 0)
		out->n_rx_queues = channels.combined_count + channels.rx_count;
	close(fd);
	out->has_default_route =
		carries_default_route(first_name, "/proc/self/net/route", is_default_route4)
		|| carries_default_route(
			first_name, "/proc/self/net/ipv6_route", is_default_route6);
	if (bpf_xdp_query_id((int)out->index, 0, &out->xdp_program) != 0)
		out->xdp_program = 0;
	return result;
}

bool netdev_has_link(unsigned index)
{
	const short both = IFF_UP | IFF_RUNNING;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};
	char name[IF_NAMESIZE];
	bool has_link;

	if (fd < 0)
		return false;
	has_link = if_indextoname(index, name) != NULL && ask(fd, name, SIOCGIFFLAGS, &r) == 0
		&& (r.ifr_flags & both) == both;
	close(fd);
	return has_link;
}

// Returns 1 if that changed it, 0, or a negative errno.
static int set_flag(const char *name, short flag, bool on)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};
	int result;

	if (fd < 0)
		return -errno;
	result = ask(fd, name, SIOCGIFFLAGS, &r);
	if (result == 0 && ((r.ifr_flags & flag) != 0) != on) {
		r.ifr_flags = (short)(r.ifr_flags ^ flag);
		result = ask(fd, name, SIOCSIFFLAGS, &r) == 0 ? 1 : -errno;
	}
	close(fd);
	return result;
}

int netdev_set_up(const char *name)
{
	int result = set_flag(name, IFF_UP, true);

	return result < 0 ? result : 0;
}

int netdev_set_all_groups(unsigned index, bool on)
{
	char name[IF_NAMESIZE];

	if (if_indextoname(index, name) == NULL)
		return -ENODEV;
	return set_flag(name, IFF_ALLMULTI, on);
}

// The address of 'sa', if it is an IP address.
static bool read_address(const struct sockaddr *sa, struct ip_addr *out)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		*out = ip_addr_of_v4(in.sin_addr.s_addr);
		return true;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(&in6, sa, sizeof(in6));
	memcpy(out->b, &in6.sin6_addr, sizeof(out->b));
	return true;
}

bool netdev_kernel_owns(const struct ip_addr *address)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
		struct ip_addr have;

		found |= read_address(a->ifa_addr, &have) && ip_addr_equal(&have, address);
	}
	freeifaddrs(all);
	return found;
}

// "8080,61000-65535": true if 'port' is in the list.
static bool is_in_list(const char *list, unsigned port)
{
	unsigned first, last;
	int len;

	while (sscanf(list, "%u%n", &first, &len) == 1) {
		list += len;
		last = first;
		if (sscanf(list, "-%u%n", &last, &len) == 1)
			list += len;
		if (port >= first && port <= last)
			return true;
		list += *list == ',';
	}
	return false;
}

static bool read_setting(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "r");
	bool read = f != NULL && fgets(out, (int)size, f) != NULL;

	if (f != NULL)
		fclose(f);
	return read;
}

bool netdev_local_ports_overlap(uint16_t first, uint16_t last, uint16_t *from, uint16_t *to)
{
	char range[64] = "", reserved[4096] = "";
	unsigned low, high;
	bool any = false;

	if (!read_setting("/proc/sys/net/ipv4/ip_local_port_range", range, sizeof(range))
		|| sscanf(range, "%u %u", &low, &high) != 2)
		return false;
	read_setting("/proc/sys/net/ipv4/ip_local_reserved_ports", reserved, sizeof(reserved));
	for (unsigned port = first; port <= last; port++) {
		if (port < low || port > high || is_in_list(reserved, port))
			continue;
		*from = any ? *from : (uint16_t)port;
		*to = (uint16_t)port;
		any = true;
	}
	return any;
}

bool netdev_is_virtual(const struct netdev *d)
{
	static const char *const drivers[] = {
		"veth", "tun", "macvlan", "ipvlan", "bridge", "bonding", "dummy", "virtio_net"};

	for (unsigned i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		if (strcmp(d->driver, drivers[i]) == 0)
			return true;
	}
	return false;
}

void netdev_list(char *out, size_t size)
{
	struct if_nameindex *all = if_nameindex();
	size_t len = 0;

	out[0] = '\0';
	for (const struct if_nameindex *i = all; i != NULL && i->if_index != 0; i++) {
		if (len < size)
			len += (size_t)snprintf(
				out + len, size - len, "%s%s", len > 0 ? ", " : "", i->if_name);
	}
	if_freenameindex(all);
}
