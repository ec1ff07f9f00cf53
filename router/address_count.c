#include "router/address_count.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

struct address {
	struct list node;
	struct ip_addr prefix;
	uint32_t n;
};

static_assert(sizeof(struct address) == ADDRESS_SIZE, "see address_count.h");

int address_counts_init(struct address_counts *t, uint32_t cap)
{
	for (unsigned i = 0; i < ADDRESS_BUCKETS; i++)
		list_init(&t->buckets[i]);
	if (getrandom(&t->key, sizeof(t->key), 0) != (ssize_t)sizeof(t->key))
		return -EIO;
	return pool_init(&t->pool, "addresses", sizeof(struct address), cap);
}

void address_counts_fini(struct address_counts *t)
{
	pool_fini(&t->pool);
}

static struct ip_addr prefix_of(const struct ip_addr *client)
{
	struct ip_addr prefix = *client;

	if (!ip_addr_is_v4(client))
		prefix.q[1] = 0;
	return prefix;
}

static struct list *bucket_of(struct address_counts *t, const struct ip_addr *prefix)
{
	return &t->buckets[hash_bytes(&t->key, prefix, sizeof(*prefix)) % ADDRESS_BUCKETS];
}

static struct address *find(struct list *bucket, const struct ip_addr *prefix)
{
	list_foreach (node, bucket) {
		struct address *a = container_of(node, struct address, node);

		if (ip_addr_equal(&a->prefix, prefix))
			return a;
	}
	return NULL;
}

bool address_counts_add(struct address_counts *t, const struct ip_addr *client, uint32_t max)
{
	struct ip_addr prefix = prefix_of(client);
	struct list *bucket = bucket_of(t, &prefix);
	struct address *a = find(bucket, &prefix);

	if (a != NULL && a->n >= max)
		return false;
	if (a == NULL) {
		a = pool_get_zeroed(&t->pool);
		if (a == NULL)
			return false;
		a->prefix = prefix;
		list_push_front(bucket, &a->node);
	}
	a->n++;
	return true;
}

void address_counts_remove(struct address_counts *t, const struct ip_addr *client)
{
	struct ip_addr prefix = prefix_of(client);
	struct address *a = find(bucket_of(t, &prefix), &prefix);

	assert(a != NULL);
	if (--a->n > 0)
		return;
	list_remove(&a->node);
	pool_put(&t->pool, a);
}
