#include "dataplane/tcp/tcp_csum.h"

#include <assert.h>
#include <netinet/in.h>
#include <rte_tcp.h>

static uint64_t add_carry(uint64_t a, uint64_t b)
{
	uint64_t sum = a + b;

	return sum + (sum < a);
}

uint64_t csum_add(const void *data, size_t len, uint64_t sum)
{
	const uint8_t *p = data;
	uint64_t a = sum, b = 0, c = 0, d = 0;

	// Each addition of 32 bits leaves room for 2^32 of them: no carry to look after.
	a = (a & 0xffffffff) + (a >> 32);
	for (; len >= 32; len -= 32, p += 32) {
		uint64_t w[4];

		memcpy(w, p, sizeof(w));
		a += (w[0] & 0xffffffff) + (w[0] >> 32);
		b += (w[1] & 0xffffffff) + (w[1] >> 32);
		c += (w[2] & 0xffffffff) + (w[2] >> 32);
		d += (w[3] & 0xffffffff) + (w[3] >> 32);
	}
	for (; len >= 4; len -= 4, p += 4) {
		uint32_t w;

		memcpy(&w, p, sizeof(w));
		b += w;
	}
	if (len > 0) {
		uint32_t w = 0;

		memcpy(&w, p, len);
		c += w;
	}
	return add_carry(add_carry(a, b), add_carry(c, d));
}

uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst)
{
	uint64_t sum = __builtin_bswap32(IPPROTO_TCP);

	if (ip_addr_is_v4(src))
		return sum + ip_addr_v4(src) + ip_addr_v4(dst);
	return csum_add(dst, sizeof(*dst), csum_add(src, sizeof(*src), sum));
}

void csum_finish(struct rte_mbuf *m)
{
	struct rte_tcp_hdr *h = rte_pktmbuf_mtod(m, struct rte_tcp_hdr *);

	assert(m->nb_segs == 1);
	h->cksum = (uint16_t)~csum_fold(csum_add(h, m->data_len, 0));
}
