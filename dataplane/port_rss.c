#include "dataplane/port_rss.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define HASHES (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)
#define GROUPS (RSS_TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE)

static void give_up(struct port_rss *p, const char *why)
{
	free(p->rss);
	p->rss = NULL;
	p->why = why;
}

static const char *check_offer(
	const struct rte_eth_dev_info *info, uint16_t n_queues, unsigned n_workers)
{
	if (n_workers == 1)
		return "one worker";
	if (n_queues != n_workers)
		return "fewer queues than workers";
	if ((info->flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_TCP) == 0)
		return "the device offers no rss";
	if (info->hash_key_size != 0
		&& (info->hash_key_size < RSS_KEY_MIN || info->hash_key_size > RSS_KEY_MAX))
		return "the device's rss key has an unknown size";
	if (info->reta_size == 0 || info->reta_size > RSS_TABLE_MAX
		|| (info->reta_size & (info->reta_size - 1)) != 0 || info->reta_size < n_queues)
		return "the device has no rss table of a known size";
	return NULL;
}

void port_rss_prepare(struct port_rss *p, const struct rte_eth_dev_info *info, uint16_t n_queues,
	unsigned n_workers, struct rte_eth_conf *conf)
{
	uint8_t key_len = info->hash_key_size != 0 ? info->hash_key_size : RSS_KEY_MIN;
	uint64_t hashes = HASHES & info->flow_type_rss_offloads;
	struct rss *r;

	if (n_queues > 1 && hashes != 0) { // whatever it does, it spreads the work of receiving
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = hashes;
	}
	give_up(p, check_offer(info, n_queues, n_workers));
	if (p->why != NULL)
		return;
	r = malloc(sizeof(*r));
	if (r == NULL || getrandom(p->key, key_len, 0) != key_len) {
		free(r);
		give_up(p, "no memory or no random key");
		return;
	}
	rss_init(r, p->key, key_len, n_queues, info->reta_size);
	p->rss = r;
	r->has_ip6 = (hashes & RTE_ETH_RSS_NONFRAG_IPV6_TCP) != 0;
	conf->rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
	conf->rx_adv_conf.rss_conf.rss_key = p->key;
	conf->rx_adv_conf.rss_conf.rss_key_len = key_len;
}

bool port_rss_refused(struct port_rss *p, struct rte_eth_conf *conf)
{
	if (conf->rxmode.mq_mode != RTE_ETH_MQ_RX_RSS)
		return false;
	if (p->rss != NULL)
		give_up(p, "the device refuses rss");
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
	conf->rxmode.offloads &= ~RTE_ETH_RX_OFFLOAD_RSS_HASH;
	memset(&conf->rx_adv_conf.rss_conf, 0, sizeof(conf->rx_adv_conf.rss_conf));
	return true;
}

static uint64_t hashes_of(const struct rss *r)
{
	return r->has_ip6 ? HASHES : RTE_ETH_RSS_NONFRAG_IPV4_TCP;
}

static bool has_key(const struct rss *r, uint16_t port_id)
{
	uint8_t key[RSS_KEY_MAX] = {0};
	struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = r->key_len};

	return rte_eth_dev_rss_hash_conf_get(port_id, &conf) == 0
		&& (conf.rss_hf & hashes_of(r)) == hashes_of(r)
		&& memcmp(key, r->key, r->key_len) == 0;
}

static bool write_key(struct rss *r, uint16_t port_id)
{
	struct rte_eth_rss_conf conf = {
		.rss_key = r->key,
		.rss_key_len = r->key_len,
		.rss_hf = hashes_of(r),
	};

	return rte_eth_dev_rss_hash_update(port_id, &conf) == 0 && has_key(r, port_id);
}

static bool write_table(const struct rss *r, uint16_t port_id)
{
	struct rte_eth_rss_reta_entry64 table[GROUPS];

	memset(table, 0, sizeof(table));
	for (unsigned i = 0; i < r->table_size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &table[i / RTE_ETH_RETA_GROUP_SIZE];

		group->mask |= UINT64_C(1) << i % RTE_ETH_RETA_GROUP_SIZE;
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = r->table[i];
	}
	if (rte_eth_dev_rss_reta_update(port_id, table, r->table_size) != 0)
		return false;
	for (unsigned i = 0; i < GROUPS; i++)
		memset(table[i].reta, 0xff, sizeof(table[i].reta));
	if (rte_eth_dev_rss_reta_query(port_id, table, r->table_size) != 0)
		return false;
	for (unsigned i = 0; i < r->table_size; i++) {
		if (table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE]
			!= r->table[i])
			return false;
	}
	return true;
}

void port_rss_start(struct port_rss *p, uint16_t port_id)
{
	if (p->rss == NULL)
		return;
	if (!has_key(p->rss, port_id) && !write_key(p->rss, port_id))
		give_up(p, "the device does not keep the rss key");
	else if (!write_table(p->rss, port_id))
		give_up(p, "the device does not keep the rss table");
}

void port_rss_print(const struct port_rss *p, char text[RSS_TEXT_SIZE])
{
	if (p->rss != NULL)
		rss_print(p->rss, text);
	else
		snprintf(text, RSS_TEXT_SIZE, "software: %s", p->why);
}

void port_rss_fini(struct port_rss *p)
{
	free(p->rss);
	p->rss = NULL;
}
