#include "dataplane/rss.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

// The 32 bits of the key from bit 'at' on.
static uint32_t window(const struct rss *r, unsigned at)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 5; i++)
		bits = bits << 8 | (at / 8 + i < r->key_len ? r->key[at / 8 + i] : 0);
	return (uint32_t)(bits >> (8 - at % 8));
}

void rss_init(
	struct rss *r, const uint8_t *key, uint8_t key_len, uint16_t n_queues, uint16_t table_size)
{
	assert(key_len >= RSS_KEY_MIN && key_len <= RSS_KEY_MAX);
	assert(table_size > 0 && table_size <= RSS_TABLE_MAX
		&& (table_size & (table_size - 1)) == 0);
	*r = (struct rss){.key_len = key_len, .n_queues = n_queues, .table_size = table_size};
	memcpy(r->key, key, key_len);
	for (unsigned i = 0; i < table_size; i++)
		r->table[i] = (uint16_t)(i % n_queues);
	for (unsigned i = 0; i < 2 * RSS_INPUT_MAX; i++) {
		for (unsigned value = 0; value < 16; value++) {
			for (unsigned bit = 0; bit < 4; bit++) {
				if (value & 8u >> bit)
					r->nibbles[i][value] ^= window(r, 4 * i + bit);
			}
		}
	}
}

static uint32_t hash_of(const struct rss *r, const uint8_t *input, unsigned len)
{
	uint32_t hash = 0;

	for (unsigned i = 0; i < len; i++)
		hash ^= r->nibbles[2 * i][input[i] >> 4] ^ r->nibbles[2 * i + 1][input[i] & 15];
	return hash;
}

uint32_t rss_hash(const struct rss *r, const struct ip_endpoint *src, const struct ip_endpoint *dst)
{
	bool is_v4 = ip_addr_is_v4(&src->addr);
	unsigned skip = is_v4 ? 12 : 0, len = 16 - skip; // IPv4 lies at the end of an address
	uint16_t ports[2] = {htons(src->port), htons(dst->port)};
	uint8_t input[RSS_INPUT_MAX];

	memcpy(input, src->addr.b + skip, len);
	memcpy(input + len, dst->addr.b + skip, len);
	memcpy(input + 2 * len, ports, sizeof(ports));
	return hash_of(r, input, 2 * len + (unsigned)sizeof(ports));
}

// Neighbouring bits of the table's index would all be seen with few queues; these are others.
static void note_right(struct rss *r, uint32_t hash)
{
	uint8_t at = (uint8_t)(hash >> 24 ^ hash >> 8);
	uint64_t bit = UINT64_C(1) << at % 64;

	if (atomic_load_explicit(&r->seen[at / 64], memory_order_relaxed) & bit)
		return;
	if (atomic_fetch_or_explicit(&r->seen[at / 64], bit, memory_order_relaxed) & bit)
		return;
	if (atomic_fetch_add_explicit(&r->n_seen, 1, memory_order_relaxed) + 1 == RSS_FLOWS) {
		uint8_t from = RSS_CHECKING;

		atomic_compare_exchange_strong(&r->state, &from, RSS_VERIFIED);
	}
}

bool rss_check(struct rss *r, uint32_t hash, uint16_t queue, const uint32_t *said)
{
	enum rss_state state = rss_state(r);

	if (state == RSS_WRONG)
		return true;
	if (rss_queue(r, hash) != queue || (said != NULL && *said != hash))
		return atomic_exchange(&r->state, RSS_WRONG) == RSS_WRONG;
	if (state == RSS_CHECKING)
		note_right(r, hash);
	return true;
}

void rss_print(const struct rss *r, char text[RSS_TEXT_SIZE])
{
	switch (rss_state(r)) {
	case RSS_CHECKING:
		snprintf(text, RSS_TEXT_SIZE, "rss checking %u/%u",
			atomic_load_explicit(&r->n_seen, memory_order_relaxed), RSS_FLOWS);
		break;
	case RSS_VERIFIED: snprintf(text, RSS_TEXT_SIZE, "rss verified"); break;
	case RSS_WRONG:
		snprintf(text, RSS_TEXT_SIZE, "software: the device's rss was wrong");
		break;
	}
}
