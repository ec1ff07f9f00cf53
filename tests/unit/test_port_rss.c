// Setting RSS up, and finding out that it cannot be had.

#include "dataplane/port_rss.h"
#include "tests/test_support.h"

#include <rte_dev.h>
#include <string.h>

#define TCP4 RTE_ETH_RSS_NONFRAG_IPV4_TCP
#define TCP6 RTE_ETH_RSS_NONFRAG_IPV6_TCP

static void what_is_offered_decides(void)
{
	static const struct {
		uint16_t n_queues;
		unsigned n_workers;
		uint64_t hashes;
		uint16_t table;
		uint8_t key;
		bool spreads;
		const char *text;
	} cases[] = {
		{1, 1, TCP4, 128,  40, false, "software: one worker"                                 },
		{1, 2, TCP4, 128,  40, false, "software: fewer queues than workers"                  },
		{2, 4, TCP4, 128,  40, true,  "software: fewer queues than workers"                  },
		{2, 2, 0,    128,  40, false, "software: the device offers no rss"                   },
		{2, 2, TCP6, 128,  40, true,  "software: the device offers no rss"                   },
		{2, 2, TCP4, 0,    40, true,  "software: the device has no rss table of a known size"},
		{2, 2, TCP4, 100,  40, true,
                 "software: the device has no rss table of a known size"                             },
		{2, 2, TCP4, 1024, 40, true,
                 "software: the device has no rss table of a known size"                             },
		{2, 2, TCP4, 128,  16, true,  "software: the device's rss key has an unknown size"   },
		{2, 2, TCP4, 128,  0,  true,  "rss checking 0/64"                                    },
		{2, 2, TCP4, 512,  52, true,  "rss checking 0/64"                                    },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rte_eth_dev_info info = {.flow_type_rss_offloads = cases[i].hashes,
			.reta_size = cases[i].table,
			.hash_key_size = cases[i].key};
		struct rte_eth_conf conf = {0};
		struct port_rss p = {0};
		char text[RSS_TEXT_SIZE];

		port_rss_prepare(&p, &info, cases[i].n_queues, cases[i].n_workers, &conf);
		port_rss_print(&p, text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS, cases[i].spreads);
		assert_int_equal(conf.rx_adv_conf.rss_conf.rss_key != NULL, p.rss != NULL);

		// A device that does not take it gets a configuration without.
		assert_int_equal(port_rss_refused(&p, &conf), cases[i].spreads);
		assert_int_equal(conf.rxmode.mq_mode, RTE_ETH_MQ_RX_NONE);
		assert_null(p.rss);
		assert_false(port_rss_refused(&p, &conf));
		port_rss_fini(&p);
	}
}

// The null driver keeps a key and a table, and does nothing with them.
static void key_and_table_are_written_and_read_back(void)
{
	const uint16_t n_queues = 4;
	struct rte_eth_rss_reta_entry64 table[8];
	struct rte_eth_rss_conf back = {0};
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	struct port_rss p = {0};
	uint8_t key[RSS_KEY_MAX];
	uint16_t id;

	test_eal_init();
	assert_int_equal(rte_dev_probe("net_null0"), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_null0", &id), 0);
	assert_int_equal(rte_eth_dev_info_get(id, &info), 0);
	port_rss_prepare(&p, &info, n_queues, n_queues, &conf);
	assert_non_null(p.rss);
	assert_int_equal(rte_eth_dev_configure(id, n_queues, n_queues, &conf), 0);
	port_rss_start(&p, id);
	assert_non_null(p.rss);

	back.rss_key = key;
	back.rss_key_len = p.rss->key_len;
	assert_int_equal(rte_eth_dev_rss_hash_conf_get(id, &back), 0);
	assert_memory_equal(key, p.rss->key, p.rss->key_len);
	memset(table, 0xff, sizeof(table));
	assert_int_equal(rte_eth_dev_rss_reta_query(id, table, p.rss->table_size), 0);
	for (unsigned i = 0; i < p.rss->table_size; i++)
		assert_int_equal(table[i / 64].reta[i % 64], i % n_queues);
	port_rss_fini(&p);
	rte_eth_dev_close(id);
}

TESTS(TEST(what_is_offered_decides), TEST(key_and_table_are_written_and_read_back))
