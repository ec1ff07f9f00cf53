// What Ethernet and IPv4 let through, and for which reason they drop the rest.

#include "tests/net_rig.c"
#include "tests/test_support.h"

#include <netinet/in.h>

static struct rig_frame frame;

static void start(void)
{
	test_eal_init();
	rig_start();
	net_run(rig.net, rig.now_us);
}

// A TCP segment from the peer to us, with 'len' bytes.
static struct rig_frame *segment(size_t len)
{
	static uint8_t bytes[1480];

	return rig_ip4(&frame, "10.0.0.2", "10.0.0.1", IPPROTO_TCP, bytes, len);
}

static void a_segment_reaches_tcp_without_headers_and_padding(void)
{
	static const uint8_t padding[26];

	start();
	segment(20);
	rig_append(&frame, padding, sizeof(padding));
	rig_receive(&frame);
	assert_int_equal(rig.tcp.n_segments, 1);
	assert_int_equal(rig.tcp.segment.len, 20);
	assert_int_equal(ip_addr_v4(&rig.tcp.src), rig_ip("10.0.0.2"));
	assert_int_equal(ip_addr_v4(&rig.tcp.dst), rig_ip("10.0.0.1"));
	assert_int_equal(rig_stop(), 0);
}

static void options_are_skipped_and_priority_tags_ignored(void)
{
	static const uint8_t tag[4] = {0xe0, 0x00, 0x08, 0x00}, nops[4] = {1, 1, 1, 0};
	struct rig_frame tagged;

	start();
	segment(20);
	memmove(frame.data + 38, frame.data + 34, 20);
	memcpy(frame.data + 34, nops, sizeof(nops));
	frame.len += 4;
	rig_ip4_of(&frame)->version_ihl = 0x46;
	rig_ip4_of(&frame)->total_length = rte_cpu_to_be_16(44);
	rig_fix_ip4_sum(&frame);
	rig_receive(&frame);
	assert_int_equal(rig.tcp.n_segments, 1);
	assert_int_equal(rig.tcp.segment.len, 20);

	segment(20);
	rig_eth(&tagged, rig_own_mac, rig_peer_mac, RTE_ETHER_TYPE_VLAN);
	rig_append(&tagged, tag, sizeof(tag));
	rig_append(&tagged, frame.data + 14, frame.len - 14);
	rig_receive(&tagged);
	assert_int_equal(rig.tcp.n_segments, 2);
	assert_int_equal(rig_stop(), 0);
}

static void tag_frame(uint16_t type, uint16_t vlan)
{
	const uint8_t tag[4] = {
		(uint8_t)(type >> 8), (uint8_t)type, (uint8_t)(vlan >> 8), (uint8_t)vlan};

	memmove(frame.data + 16, frame.data + 12, frame.len - 12);
	memcpy(frame.data + 12, tag, sizeof(tag));
	frame.len += 4;
}

static void a_port_in_a_vlan_takes_and_sends_that_tag_only(void)
{
	static const struct {
		uint16_t type, vlan;
		bool taken;
	} cases[] = {
		{RTE_ETHER_TYPE_VLAN, 100,          true },
		{RTE_ETHER_TYPE_VLAN, 0xe000 | 100, true }, // whatever its priority
		{RTE_ETHER_TYPE_VLAN, 101,          false},
		{RTE_ETHER_TYPE_VLAN, 0xe000,       false},
		{RTE_ETHER_TYPE_QINQ, 100,          false},
		{0,                   0,            false},
	};

	start();
	rig.iface->vlan = 100;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned before = rig.tcp.n_segments;
		uint64_t dropped = rig.stats.eth_drop_vlan;

		segment(20);
		if (cases[i].type != 0)
			tag_frame(cases[i].type, cases[i].vlan);
		rig_receive(&frame);
		assert_int_equal(rig.tcp.n_segments - before, cases[i].taken);
		assert_int_equal(rig.stats.eth_drop_vlan - dropped, !cases[i].taken);
	}
	rig.n_sent = 0;
	rig_arp(&frame, rig_broadcast_mac, RTE_ARP_OP_REQUEST, rig_peer_mac, "10.0.0.2",
		"10.0.0.1");
	tag_frame(RTE_ETHER_TYPE_VLAN, 100);
	rig_receive(&frame);
	assert_int_equal(rig.n_sent, 1);
	assert_memory_equal(rig.sent[0].data + 12, "\x81\x00\x00\x64\x08\x06", 6);
	assert_int_equal(rig_stop(), 0);
}

static void many_frames_of_one_burst_all_arrive(void)
{
	struct rte_mbuf *ms[80];

	start();
	segment(20);
	for (unsigned i = 0; i < 80; i++) {
		ms[i] = rte_pktmbuf_alloc(rig.pool);
		memcpy(rte_pktmbuf_append(ms[i], (uint16_t)frame.len), frame.data, frame.len);
	}
	net_input(rig.net, rig.iface, ms, 80, rig.now_us);
	assert_int_equal(rig.tcp.n_segments, 80);
	assert_int_equal(rig_stop(), 0);
}

// Each makes one thing wrong with a good segment.
static void cut_ethernet(void)
{
	frame.len = 13;
}
static void from_group(void)
{
	frame.data[6] |= 1;
}
static void from_ourselves(void)
{
	memcpy(frame.data + 6, rig_own_mac, 6);
}
static void to_another_mac(void)
{
	frame.data[5] ^= 1;
}
static void to_everybody(void)
{
	memset(frame.data, 0xff, 6);
}
static void in_a_vlan(void)
{
	memmove(frame.data + 18, frame.data + 14, frame.len - 14);
	frame.len += 4;
	memcpy(frame.data + 12, "\x81\x00\x00\x05\x08\x00", 6);
}
static void cut_in_the_tag(void)
{
	memcpy(frame.data + 12, "\x81\x00\x00\x00", 4);
	frame.len = 16;
}
static void to_a_group(void)
{
	memcpy(frame.data, "\x01\x00\x5e\x00\x00\x01", 6);
}
static void of_llc(void)
{
	memcpy(frame.data + 12, "\x00\x26", 2);
}
static void cut_ip(void)
{
	frame.len = 14 + 19;
}
static void version_6(void)
{
	rig_ip4_of(&frame)->version_ihl = 0x65;
}
static void header_of_16(void)
{
	rig_ip4_of(&frame)->version_ihl = 0x44;
}
static void header_beyond_the_frame(void)
{
	rig_ip4_of(&frame)->version_ihl = 0x4f;
}
static void total_below_header(void)
{
	rig_ip4_of(&frame)->total_length = rte_cpu_to_be_16(19);
}
static void total_beyond_the_frame(void)
{
	rig_ip4_of(&frame)->total_length = rte_cpu_to_be_16(41);
	rig_fix_ip4_sum(&frame);
}
static void wrong_sum(void)
{
	rig_ip4_of(&frame)->hdr_checksum ^= 1;
}
static void first_fragment(void)
{
	rig_ip4_of(&frame)->fragment_offset = RTE_BE16(0x2000);
	rig_fix_ip4_sum(&frame);
}
static void last_fragment(void)
{
	rig_ip4_of(&frame)->fragment_offset = RTE_BE16(1);
	rig_fix_ip4_sum(&frame);
}
static void set_source(const char *text)
{
	rig_ip4_of(&frame)->src_addr = rig_ip(text);
	rig_fix_ip4_sum(&frame);
}
static void from_nowhere(void)
{
	set_source("0.0.0.0");
}
static void from_loopback(void)
{
	set_source("127.0.0.1");
}
static void from_multicast(void)
{
	set_source("224.0.0.1");
}
static void from_broadcast(void)
{
	set_source("255.255.255.255");
}
static void from_the_networks_broadcast(void)
{
	set_source("10.0.0.255");
}
static void from_our_own_address(void)
{
	set_source("10.0.0.1");
}
static void set_destination(const char *text)
{
	rig_ip4_of(&frame)->dst_addr = rig_ip(text);
	rig_fix_ip4_sum(&frame);
}
static void to_another_host(void)
{
	set_destination("10.0.0.3");
}
static void to_the_networks_broadcast(void)
{
	set_destination("10.0.0.255");
}
static void of_udp(void)
{
	rig_ip4_of(&frame)->next_proto_id = IPPROTO_UDP;
	rig_fix_ip4_sum(&frame);
}

static void each_fault_is_dropped_with_its_reason(void)
{
#define COUNTER(name) offsetof(struct dataplane_stats, name)
	static const struct {
		void (*spoil)(void);
		size_t counter;
	} cases[] = {
		{cut_ethernet,                COUNTER(eth_drop_short)    },
		{from_group,                  COUNTER(eth_drop_source)   },
		{from_ourselves,              COUNTER(eth_drop_source)   },
		{to_another_mac,              COUNTER(eth_drop_not_ours) },
		{to_everybody,                COUNTER(eth_drop_not_ours) },
		{in_a_vlan,                   COUNTER(eth_drop_vlan)     },
		{cut_in_the_tag,              COUNTER(eth_drop_short)    },
		{to_a_group,                  COUNTER(eth_drop_not_ours) },
		{of_llc,                      COUNTER(eth_drop_type)     },
		{cut_ip,                      COUNTER(ip4_drop_short)    },
		{version_6,                   COUNTER(ip4_drop_version)  },
		{header_of_16,                COUNTER(ip4_drop_version)  },
		{header_beyond_the_frame,     COUNTER(ip4_drop_short)    },
		{total_below_header,          COUNTER(ip4_drop_length)   },
		{total_beyond_the_frame,      COUNTER(ip4_drop_truncated)},
		{wrong_sum,                   COUNTER(ip4_drop_checksum) },
		{first_fragment,              COUNTER(ip4_drop_fragment) },
		{last_fragment,               COUNTER(ip4_drop_fragment) },
		{from_nowhere,                COUNTER(ip4_drop_source)   },
		{from_loopback,               COUNTER(ip4_drop_source)   },
		{from_multicast,              COUNTER(ip4_drop_source)   },
		{from_broadcast,              COUNTER(ip4_drop_source)   },
		{from_the_networks_broadcast, COUNTER(ip4_drop_source)   },
		{from_our_own_address,        COUNTER(ip4_drop_source)   },
		{to_another_host,             COUNTER(ip4_drop_not_ours) },
		{to_the_networks_broadcast,   COUNTER(ip4_drop_not_ours) },
		{of_udp,                      COUNTER(ip4_drop_protocol) },
	};

	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t *counter =
			(const uint64_t *)(const void *)((const uint8_t *)&rig.stats
				+ cases[i].counter);
		uint64_t before = *counter;

		segment(20);
		cases[i].spoil();
		rig_receive(&frame);
		if (*counter != before + 1 || rig.tcp.n_segments != 0)
			fail_msg("case %zu was not dropped for its reason", i);
	}
	assert_int_equal(rig_stop(), 0);
}

// The frame in buffers of 'size' bytes each.
static struct rte_mbuf *in_pieces(uint16_t size)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig.pool), *part = m;

	for (size_t done = 0, n; done < frame.len; done += n) {
		n = RTE_MIN(frame.len - done, (size_t)size);
		if (done > 0) {
			part = rte_pktmbuf_alloc(rig.pool);
			rte_pktmbuf_chain(m, part);
			m->pkt_len -= part->pkt_len;
		}
		memcpy(rte_pktmbuf_append(part, (uint16_t)n), frame.data + done, n);
		if (part != m)
			m->pkt_len += (uint32_t)n;
	}
	return m;
}

static void a_frame_in_pieces_is_brought_together(void)
{
	for (uint16_t size = 1; size < 60; size += 11) { // through all headers
		struct rte_mbuf *m;

		start();
		segment(100);
		m = in_pieces(size);
		assert_true(m->nb_segs > 1);
		net_input(rig.net, rig.iface, &m, 1, rig.now_us);
		assert_int_equal(rig.tcp.n_segments, 1);
		assert_int_equal(rig.tcp.segment.len, 100);
		assert_memory_equal(rig.tcp.segment.data, frame.data + 34, 100);
		assert_int_equal(rig.stats.eth_drop_segments, 0);
		assert_int_equal(rig_stop(), 0);
	}
}

static void a_frame_too_large_for_a_buffer_is_dropped(void)
{
	struct rte_mbuf *m, *part;

	start();
	segment(100);
	m = in_pieces(50);
	part = rte_pktmbuf_alloc(rig.pool);
	rte_pktmbuf_append(part, 2048);
	rte_pktmbuf_chain(m, part);
	net_input(rig.net, rig.iface, &m, 1, rig.now_us);
	assert_int_equal(rig.tcp.n_segments, 0);
	assert_int_equal(rig.stats.eth_drop_segments, 1);
	assert_int_equal(rig_stop(), 0);
}

TESTS(TEST(a_segment_reaches_tcp_without_headers_and_padding),
	TEST(options_are_skipped_and_priority_tags_ignored),
	TEST(a_port_in_a_vlan_takes_and_sends_that_tag_only),
	TEST(many_frames_of_one_burst_all_arrive), TEST(each_fault_is_dropped_with_its_reason),
	TEST(a_frame_in_pieces_is_brought_together),
	TEST(a_frame_too_large_for_a_buffer_is_dropped))
