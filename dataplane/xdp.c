#include "dataplane/xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SHARE_PROGRAM "pollgate_share"

static const uint8_t share_object[] = {
#include "dataplane/net/xdp_share.inc"
};

// A name without a file: it belongs to the network namespace, and goes when the process does. An interface may have
// several names, and get others, but one index.
int xdp_claim(unsigned interface_index)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int len = snprintf(
		name.sun_path + 1, sizeof(name.sun_path) - 1, "pollgate/%u", interface_index);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&name,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len))
		!= 0)
		result = -errno;
	if (result != 0) {
		close(fd);
		return result;
	}
	return fd;
}

// False if we may not know.
static bool read_name(uint32_t id, char name[16])
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	bool known;

	if (fd < 0)
		return false;
	known = bpf_obj_get_info_by_fd(fd, &info, &size) == 0;
	close(fd);
	if (known)
		snprintf(name, 16, "%s", info.name);
	return known;
}

int xdp_clear(unsigned interface_index, uint32_t id, char name[16])
{
	// Ours, and what libxdp attaches for a driver without a program of its own.
	static const char *const ours[] = {SHARE_PROGRAM, "xsk_def_prog", "xdp_dispatcher"};
	bool known = read_name(id, name), is_ours = !known;

	for (unsigned i = 0; known && i < sizeof(ours) / sizeof(ours[0]); i++)
		is_ours |= strcmp(name, ours[i]) == 0;
	if (!is_ours)
		return -EBUSY;
	return bpf_xdp_detach((int)interface_index, 0, NULL);
}

int xdp_share_file(char *path, size_t size)
{
	int fd = memfd_create(SHARE_PROGRAM, MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, share_object, sizeof(share_object)) != (ssize_t)sizeof(share_object)) {
		close(fd);
		return -EIO;
	}
	snprintf(path, size, "/proc/self/fd/%d", fd);
	return fd;
}

// If 'fd' is a map of that name, its id; else 0.
static uint32_t map_id(int fd, const char *name)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0 || strcmp(info.name, name) != 0)
		return 0;
	return info.id;
}

// The driver keeps what it loaded to itself, and asking the kernel for a map by its number needs a right that a pod
// does not have; but the file descriptors are our process's. The highest number is the latest.
static int find_map(const char *name)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint32_t best_id = 0;
	int best = -1;

	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL) {
		char path[64], target[64];
		ssize_t len;
		uint32_t id;
		int fd = atoi(entry->d_name);

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		if (strstr(target, "bpf-map") == NULL)
			continue;
		id = map_id(fd, name);
		if (id > best_id) {
			best_id = id;
			best = fd;
		}
	}
	closedir(dir);
	return best < 0 ? -ENOENT : fcntl(best, F_DUPFD_CLOEXEC, 3);
}

int xdp_share_find(struct xdp_share *s)
{
	*s = (struct xdp_share){
		.ports_fd = find_map("our_ports"), .addresses_fd = find_map("our_addresses")};
	if (s->ports_fd > 0 && s->addresses_fd > 0)
		return 0;
	xdp_share_fini(s);
	return -ENOENT;
}

void xdp_share_fini(struct xdp_share *s)
{
	if (s->ports_fd > 0)
		close(s->ports_fd);
	if (s->addresses_fd > 0)
		close(s->addresses_fd);
	s->ports_fd = s->addresses_fd = -1;
}

int xdp_share_set_ports(struct xdp_share *s, const struct xdp_ports *ports)
{
	for (uint32_t i = 0; i < sizeof(ports->words) / sizeof(ports->words[0]); i++) {
		if (s->ports.words[i] == ports->words[i])
			continue;
		if (bpf_map_update_elem(s->ports_fd, &i, &ports->words[i], BPF_ANY) != 0)
			return -errno;
		s->ports.words[i] = ports->words[i];
	}
	return 0;
}

static bool contains(const struct ip_addr *list, unsigned n, const struct ip_addr *a)
{
	for (unsigned i = 0; i < n; i++) {
		if (ip_addr_equal(&list[i], a))
			return true;
	}
	return false;
}

int xdp_share_set_addresses(struct xdp_share *s, const struct ip_addr *addresses, unsigned n)
{
	const uint32_t yes = 1;
	int result = 0;

	if (n > XDP_MAX_ADDRESSES)
		return -ENOSPC;
	for (unsigned i = 0; i < s->n_addresses; i++) {
		if (!contains(addresses, n, &s->addresses[i]))
			bpf_map_delete_elem(s->addresses_fd, &s->addresses[i]);
	}
	for (unsigned i = 0; i < n && result == 0; i++) {
		if (bpf_map_update_elem(s->addresses_fd, &addresses[i], &yes, BPF_ANY) != 0)
			result = -errno;
	}
	if (result == 0) {
		memcpy(s->addresses, addresses, n * sizeof(*addresses));
		s->n_addresses = n;
	}
	return result;
}
