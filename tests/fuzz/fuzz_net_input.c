// Frames of any content and any order through a net, time passing between them. The input is a series of
// records: two bytes (big endian; 4 bits move the clock, one asks for right checksums, 11 are the length) and
// the frame. Nothing may leak, and what the stack sends has to be well-formed itself.

#include "dataplane/steer.h"
#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <netinet/in.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void repair_sums6(struct rig_frame *f)
{
	struct rte_ipv6_hdr *ip = rig_ip6_of(f);

	if (f->len >= RTE_ETHER_HDR_LEN + sizeof(*ip) + sizeof(struct wire_icmp6)
		&& ip->proto == IPPROTO_ICMPV6
		&& rte_be_to_cpu_16(ip->payload_len) >= sizeof(struct wire_icmp6)
		&& rte_be_to_cpu_16(ip->payload_len) <= f->len - RTE_ETHER_HDR_LEN - sizeof(*ip))
		rig_fix_icmp6_sum(f);
}

// Checksums a mutation would never hit.
static void repair_sums(struct rig_frame *f)
{
	struct rte_ipv4_hdr *ip = rig_ip4_of(f);
	size_t hdr_len, at = RTE_ETHER_HDR_LEN;
	uint16_t sum;

	if (f->len > 14 && f->data[12] == 0x86 && f->data[13] == 0xdd) {
		repair_sums6(f);
		return;
	}
	if (f->len < at + sizeof(*ip) || (hdr_len = rte_ipv4_hdr_len(ip)) > f->len - at)
		return;
	rig_fix_ip4_sum(f);
	at += hdr_len;
	if (ip->next_proto_id != IPPROTO_ICMP || f->len < at + 4)
		return;
	memset(f->data + at + 2, 0, 2);
	sum = (uint16_t)~rte_raw_cksum(f->data + at, f->len - at);
	memcpy(f->data + at + 2, &sum, sizeof(sum));
}

// An IPv6 packet of ours: whole, from an address of ours or, in a check of one, from none, and right.
static void check_sent6(struct rig_frame *f)
{
	const struct rte_ipv6_hdr *ip = rig_ip6_of(f);
	struct ip_addr src = wire_ip6(ip->src_addr), dst = wire_ip6(ip->dst_addr);
	uint16_t payload;

	if (f->len < RTE_ETHER_HDR_LEN + sizeof(*ip) + sizeof(struct wire_icmp6))
		abort();
	payload = rte_be_to_cpu_16(ip->payload_len);
	if (payload != f->len - RTE_ETHER_HDR_LEN - sizeof(*ip) || ip->proto != IPPROTO_ICMPV6
		|| wire_icmp6_sum(&src, &dst, ip + 1, payload) != 0xffff)
		abort();
	if (iface_address_of(rig.iface, &src) == NULL && !wire_ip6_is_unspecified(&src))
		abort();
	if ((dst.b[0] == 0xff) != (f->data[0] == 0x33) || ip_addr_is_v4(&dst))
		abort();
}

static void check_sent(void)
{
	for (unsigned i = 0; i < rig.n_sent && i < RIG_MAX_SENT; i++) {
		struct rig_frame *f = &rig.sent[i];
		const struct rte_ipv4_hdr *ip = rig_ip4_of(f);

		if (f->len < RTE_ETHER_HDR_LEN + 20 || memcmp(f->data + 6, rig_own_mac, 6) != 0)
			abort();
		if (f->data[12] == 0x08 && f->data[13] == 0x00
			&& (rte_raw_cksum(ip, sizeof(*ip)) != 0xffff
				|| ip->src_addr != rig_ip("10.0.0.1")))
			abort();
		if (f->data[12] == 0x86 && f->data[13] == 0xdd)
			check_sent6(f);
	}
	rig.n_sent = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rss rss;
	struct cursor c = cursor_of(bytes_of(data, size));
	struct steer steer;

	test_eal_init();
	rig_start6_routers();
	if (rss.n_queues == 0) {
		static const uint8_t key[RSS_KEY_MIN] = {1, 2, 3};

		rss_init(&rss, key, sizeof(key), 3, 128);
	}
	steer_init(&steer, &(struct hash_key){1, 2}, 3, 16384, 65535);
	while (cursor_left(&c) > 2) {
		uint16_t head = cursor_be16(&c);
		size_t len = head & 0x7ff;
		struct bytes b = cursor_take(&c, len < cursor_left(&c) ? len : cursor_left(&c));
		struct rig_frame f = {.len = 0};

		steer_frame(&steer, NULL, b);
		steer_frame(&steer, &rss, b);
		rig_append(&f, b.ptr, b.len);
		if ((head & 0x800) != 0)
			repair_sums(&f);
		rig.now_us += (uint64_t)(head >> 12) * 600000;
		rig_receive(&f);
		check_sent();
	}
	if (rig_stop() != 0)
		abort();
	return 0;
}
