// Which of a device's offers are used.

#include "dataplane/port_offload.h"
#include "tests/test_support.h"

#define RX     (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define IP     RTE_ETH_TX_OFFLOAD_IPV4_CKSUM
#define TCP    RTE_ETH_TX_OFFLOAD_TCP_CKSUM
#define SEGS   RTE_ETH_TX_OFFLOAD_MULTI_SEGS
#define CUT    RTE_ETH_TX_OFFLOAD_TCP_TSO
#define ANY    (~UINT64_C(0))
#define TAP    (PORT_TSO_IP4_ONLY | PORT_TSO_WITHIN_MTU)
#define SUMS   "ip4-checksum tcp-checksum"
#define ALL_TX (IP | TCP | SEGS | CUT)

static void an_offer_is_used_if_all_that_it_needs_is_offered(void)
{
	static const struct {
		uint64_t rx, tx;
		uint16_t nb_seg_max, nb_mtu_seg_max;
		unsigned limits;
		bool believes;
		uint16_t mbufs, frame;
		uint64_t rx_flags, tx_flags;
		const char *text;
	} cases[] = {
		// clang-format off
		{0, 0, 0, 0, 0, false, 0, 0, 0, 0, "none"},
		{RX, 0, 0, 0, 0, false, 0, 0, 0, 0, "none"},
		{RX, 0, 0, 0, 0, true, 0, 0, RX, 0, "rx-checksum"},
		{RTE_ETH_RX_OFFLOAD_TCP_CKSUM, 0, 0, 0, 0, true, 0, 0, 0, 0, "none"},
		{ANY, 0, 0, 0, 0, true, 0, 0, RX, 0, "rx-checksum"},
		{0, TCP, 0, 0, 0, false, 0, 0, 0, TCP, "tcp-checksum"},
		{0, IP, 0, 0, 0, false, 0, 0, 0, IP, "ip4-checksum"},
		{0, SEGS, 0, 0, 0, false, 0, 0, 0, 0, "none"}, // of no use by itself
		{0, CUT | SEGS | TCP, 0, 0, 0, false, 0, 0, 0, TCP, "tcp-checksum"},
		{0, CUT | IP | TCP, 0, 0, 0, false, 0, 0, 0, IP | TCP, SUMS},
		{0, ALL_TX, 0, 0, 0, false, 64, 0, 0, ALL_TX, SUMS " tso"},
		{0, ANY, UINT16_MAX, 0, 0, false, 64, 0, 0, ALL_TX, SUMS " tso"},
		{0, ALL_TX, 17, 8, 0, false, 17, 0, 0, ALL_TX, SUMS " tso"},
		{0, ALL_TX, 2, 0, 0, false, 0, 0, 0, IP | TCP, SUMS},
		{0, ALL_TX, 0, 2, 0, false, 0, 0, 0, IP | TCP, SUMS},
		{RX, ALL_TX, 0, 0, TAP, true, 64, 1500, RX, ALL_TX, "rx-checksum " SUMS " tso4"},
	}; // clang-format on

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rte_eth_dev_info info = {
			.rx_offload_capa = cases[i].rx,
			.tx_offload_capa = cases[i].tx,
			.tx_desc_lim = {.nb_seg_max = cases[i].nb_seg_max,
				.nb_mtu_seg_max = cases[i].nb_mtu_seg_max}};
		char text[PORT_OFFLOADS_TEXT_SIZE];
		struct port_offloads o;

		port_offload_choose(&o, &info, 1500, cases[i].limits, cases[i].believes);
		port_offload_print(&o, text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(o.rx_flags, cases[i].rx_flags);
		assert_int_equal(o.tx_flags, cases[i].tx_flags);
		assert_int_equal(o.net.tso_mbufs, cases[i].mbufs);
		assert_int_equal(o.net.tso_frame, cases[i].frame);
		assert_int_equal(o.net.tso4, cases[i].mbufs != 0);
		assert_int_equal(
			o.net.tso6, cases[i].mbufs != 0 && !(cases[i].limits & PORT_TSO_IP4_ONLY));
	}
}

static void the_kernel_cuts_whatever_the_device_offers(void)
{
	static const struct {
		uint64_t tx;
		const char *text;
	} cases[] = {
		{0, "gso"},
		{TCP, "tcp-checksum gso"},
		{ALL_TX, SUMS " gso"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rte_eth_dev_info info = {.tx_offload_capa = cases[i].tx};
		char text[PORT_OFFLOADS_TEXT_SIZE];
		struct port_offloads o;

		port_offload_choose(&o, &info, 1500, TAP, false);
		port_offload_use_gso(&o);
		port_offload_print(&o, text);
		assert_string_equal(text, cases[i].text);
		assert_true(o.net.tso4 && o.net.tso6);
		assert_int_equal(o.net.tso_mbufs, 64);
		assert_int_equal(o.net.tso_frame, 0);
	}
}

TESTS(TEST(an_offer_is_used_if_all_that_it_needs_is_offered),
	TEST(the_kernel_cuts_whatever_the_device_offers))
