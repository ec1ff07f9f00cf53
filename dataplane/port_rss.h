// Sets a device's RSS up as struct rss wants it, or finds out that it cannot be had. mgmt thread.
#pragma once

#include "dataplane/rss.h"

#include <rte_ethdev.h>

struct port_rss {
	struct rss *rss;          // owned; NULL: frames are steered in software alone
	const char *why;          // it is NULL
	uint8_t key[RSS_KEY_MAX]; // of the device, which may look at it as long as the port is open
};

// Before rte_eth_dev_configure(): asks for RSS in 'conf', if 'info' offers it and 'n_queues' are as many as there are
// workers.
void port_rss_prepare(struct port_rss *p, const struct rte_eth_dev_info *info, uint16_t n_queues,
	unsigned n_workers, struct rte_eth_conf *conf);

// The device did not take the configuration: without RSS then. Returns false if that was no part of it.
bool port_rss_refused(struct port_rss *p, struct rte_eth_conf *conf);

// After the device has started: writes the key and the table and reads them back.
void port_rss_start(struct port_rss *p, uint16_t port_id);

// Such as "rss verified", "software: the device offers no rss".
void port_rss_print(const struct port_rss *p, char text[RSS_TEXT_SIZE]);

void port_rss_fini(struct port_rss *p);
