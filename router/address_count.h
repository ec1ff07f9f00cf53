// How many connections the clients of each address have on one worker, so that one address cannot have them all. A client of
// IPv6 has as many addresses as it likes: there its /64 counts.
#pragma once

#include "dataplane/base/hash.h"
#include "dataplane/base/ip_addr.h"
#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_BUCKETS 1024u
// What an address costs.
#define ADDRESS_SIZE    40u

struct address_counts {
	struct list buckets[ADDRESS_BUCKETS];
	struct pool pool;
	struct hash_key key;
};

// Room for 'cap' addresses. Returns 0 or a negative errno.
int address_counts_init(struct address_counts *t, uint32_t cap);
void address_counts_fini(struct address_counts *t);

// One connection more; false if the address has 'max' already, or there is no room for it.
bool address_counts_add(struct address_counts *t, const struct ip_addr *client, uint32_t max);
// One that was added is over.
void address_counts_remove(struct address_counts *t, const struct ip_addr *client);
