// The XDP program of a port with shared addressing (share.h loads it): of all that arrives it takes what the
// gateway's TCP would want, and leaves the interface to the kernel.
//
//     TCP to one of our addresses and ports                  --> the port's socket
//     ICMP errors that quote a segment sent from those       --> the same
//     everything else: ARP, ND, UDP, ping, other TCP, fragments --> the kernel
//
// What is ours and finds no socket is dropped: the kernel would answer it with a reset. Nothing here has a
// state of its own; the maps are written by share.c while packets flow. Compiled for bpf, not part of the library.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define MAX_QUEUES    64
#define MAX_ADDRESSES 64
#define PORT_WORDS    (65536 / 64)
#define MAX_EXTENSION 4 // headers in front of TCP that are looked through

#define ICMP_HEADER          8 // both families: type, code, checksum, a word
#define ICMP4_UNREACHABLE    3 // RFC 792
#define ICMP6_UNREACHABLE    1 // RFC 4443, 3.1
#define ICMP6_PACKET_TOO_BIG 2

// The poll mode driver looks for this name.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

// One bit for each port: those listened on, and the slice of active opens.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORT_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} our_ports SEC(".maps");

// IPv4 as ::ffff:a.b.c.d, as in ip_addr.h.
struct address {
	__u32 w[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ADDRESSES);
	__type(key, struct address);
	__type(value, __u32);
} our_addresses SEC(".maps");

struct tcp_ports {
	__be16 source;
	__be16 dest;
};

// RFC 8200, 4.3 to 4.6: 'len' in units of 8 bytes, the first not counted.
struct extension {
	__u8 next;
	__u8 len;
};

static __always_inline bool owns_address(const struct address *a)
{
	return bpf_map_lookup_elem(&our_addresses, a) != NULL;
}

static __always_inline bool owns_address4(__be32 be)
{
	struct address a = {
		{0, 0, bpf_htonl(0xffff), be}
        };

	return owns_address(&a);
}

static __always_inline bool owns_address6(const struct in6_addr *at)
{
	struct address a;

	__builtin_memcpy(&a, at, sizeof(a));
	return owns_address(&a);
}

static __always_inline bool owns_port(__be16 be)
{
	__u32 port = bpf_ntohs(be), word = port / 64;
	const __u64 *bits = bpf_map_lookup_elem(&our_ports, &word);

	return bits != NULL && (*bits >> (port % 64) & 1) != 0;
}

// What stands at a place that only the packet tells is copied out: without CAP_PERFMON, which a pod does not have, the
// verifier lets nobody add to a pointer what a packet says.
#define READ(ctx, at, object) (bpf_xdp_load_bytes(ctx, at, &(object), sizeof(object)) == 0)

static __always_inline bool takes_tcp(struct xdp_md *ctx, __u32 at)
{
	struct tcp_ports ports;

	return READ(ctx, at, ports) && owns_port(ports.dest);
}

// The quoted segment is one that we sent.
static __always_inline bool takes_quoted4(struct xdp_md *ctx, __u32 at)
{
	struct tcp_ports ports;
	struct iphdr ip;

	return READ(ctx, at, ip) && ip.protocol == IPPROTO_TCP && owns_address4(ip.saddr)
		&& READ(ctx, at + ip.ihl * 4u, ports) && owns_port(ports.source);
}

static __always_inline bool takes_quoted6(struct xdp_md *ctx, __u32 at)
{
	struct tcp_ports ports;
	struct ipv6hdr ip;

	return READ(ctx, at, ip) && ip.nexthdr == IPPROTO_TCP && owns_address6(&ip.saddr)
		&& READ(ctx, at + sizeof(ip), ports) && owns_port(ports.source);
}

static __always_inline bool takes_ip4(struct xdp_md *ctx, const struct iphdr *ip)
{
	__u32 at = sizeof(struct ethhdr) + ip->ihl * 4u;
	__u8 type;

	// Fragments are the kernel's, the first one too: it has no use for the rest alone.
	if (ip->ihl < 5 || (ip->frag_off & bpf_htons(0x3fff)) != 0 || !owns_address4(ip->daddr))
		return false;
	if (ip->protocol == IPPROTO_TCP)
		return takes_tcp(ctx, at);
	return ip->protocol == IPPROTO_ICMP && READ(ctx, at, type) && type == ICMP4_UNREACHABLE
		&& takes_quoted4(ctx, at + ICMP_HEADER);
}

static __always_inline bool takes_ip6(struct xdp_md *ctx, const struct ipv6hdr *ip)
{
	__u32 at = sizeof(struct ethhdr) + sizeof(*ip);
	__u8 next = ip->nexthdr, type;

	if (!owns_address6(&ip->daddr))
		return false;
	for (int i = 0; i < MAX_EXTENSION; i++) {
		struct extension h;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			break;
		if (!READ(ctx, at, h))
			return false;
		next = h.next;
		at += (h.len + 1u) * 8;
	}
	if (next == IPPROTO_TCP)
		return takes_tcp(ctx, at);
	return next == IPPROTO_ICMPV6 && READ(ctx, at, type)
		&& (type == ICMP6_UNREACHABLE || type == ICMP6_PACKET_TOO_BIG)
		&& takes_quoted6(ctx, at + ICMP_HEADER);
}

SEC("xdp")
int pollgate_share(struct xdp_md *ctx)
{
	const __u8 *at = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;
	const struct ethhdr *eth = (const void *)at;
	const struct iphdr *ip4 = (const void *)(eth + 1);
	const struct ipv6hdr *ip6 = (const void *)(eth + 1);
	bool is_ours = false;

	if ((const __u8 *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP) && (const __u8 *)(ip4 + 1) <= end)
		is_ours = takes_ip4(ctx, ip4);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6) && (const __u8 *)(ip6 + 1) <= end)
		is_ours = takes_ip6(ctx, ip6);
	if (!is_ours)
		return XDP_PASS;
	return (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
}
