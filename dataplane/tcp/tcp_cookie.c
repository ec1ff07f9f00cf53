// SYN cookies (RFC 4987, 3.6): the answer to a SYN that nothing is remembered of.

#include "dataplane/tcp/tcp_conn.h"

#define PERIOD_US  60000000u
#define MSS_BITS   3u
#define TS_BITS    5u // of the timestamp: SACK, and four of the window scale
#define TS_SACK    16u
#define NO_SCALE   15u
#define LIFETIME_N 2u // periods for which a cookie is good, at most

// What peers say: the least we take, the defaults of both families, tunnels, PPPoE, Ethernet, jumbo frames.
static const uint16_t mss_table[1u << MSS_BITS] = {
	TCP_MIN_MSS, TCP_DEFAULT_MSS_V4, 1024, TCP_DEFAULT_MSS_V6, 1360, 1440, 1460, 8960};

static struct hash_key period_key(const struct tcp *t, uint64_t period)
{
	const uint64_t first[2] = {period, 0x636f6f6b69653100},
		       second[2] = {period, 0x636f6f6b69653200};

	return (struct hash_key){hash_bytes(&t->secret, first, sizeof(first)),
		hash_bytes(&t->secret, second, sizeof(second))};
}

static void rotate(struct tcp *t, uint64_t now_us)
{
	struct tcp_cookies *k = &t->cookies;
	uint64_t period = now_us / PERIOD_US;

	if (k->last_sent_us != 0 && period == k->period)
		return;
	k->period = period;
	k->key[0] = period_key(t, period);
	k->key[1] = period_key(t, period - 1);
}

// 29 bits that only we can compute.
static uint32_t mac(const struct hash_key *key, const struct tcp_handshake *h, uint32_t mss_index)
{
	struct {
		struct ip_addr local;
		struct ip_addr remote;
		uint16_t ports[2];
		uint32_t irs;
		uint32_t mss_index;
		uint32_t has_timestamp;
	} in = {
		h->local.addr, h->remote.addr, {h->local.port, h->remote.port},
                  h->irs, mss_index,
		h->opt.has_timestamp
        };

	return (uint32_t)hash_bytes(key, &in, sizeof(in)) >> MSS_BITS;
}

// The largest entry that does not exceed what the peer takes.
static uint32_t mss_index_of(const struct tcp_handshake *h)
{
	uint32_t mss = h->opt.mss, i = (1u << MSS_BITS) - 1;

	if (mss == 0)
		mss = ip_addr_is_v4(&h->remote.addr) ? TCP_DEFAULT_MSS_V4 : TCP_DEFAULT_MSS_V6;
	while (i > 0 && mss_table[i] > mss)
		i--;
	return i;
}

// The present time with the options in its low bits; never ahead of the clock, so that what is sent
// later is not older (RFC 7323, 5).
static uint32_t timestamp(const struct tcp *t, const struct tcp_handshake *h, uint64_t now_us)
{
	uint32_t now = (uint32_t)(now_us / 1000) + tcp_ts_offset(t, &h->local, &h->remote), ts;

	ts = (now & ~((1u << TS_BITS) - 1)) | (h->opt.has_scale ? h->opt.scale : NO_SCALE)
		| (h->opt.has_sack_ok ? TS_SACK : 0);
	return seq_lt(now, ts) ? ts - (1u << TS_BITS) : ts;
}

void tcp_cookie_send(struct tcp *t, struct tcp_handshake *h, uint64_t now_us)
{
	uint32_t index = mss_index_of(h);

	rotate(t, now_us);
	t->cookies.last_sent_us = now_us;
	if (!h->opt.has_timestamp) { // nowhere to keep them
		h->opt.has_scale = false;
		h->opt.has_sack_ok = false;
	}
	h->window = tcp_cookie_window(t);
	h->iss = mac(&t->cookies.key[0], h, index) << MSS_BITS | index;
	stat_inc(&t->stats->tcp_syn_cookies_sent);
	tcp_send_syn_ack(t, h, timestamp(t, h, now_us), now_us);
}

bool tcp_cookie_accept(
	struct tcp *t, const struct tcp_segment *seg, struct tcp_handshake *h, uint64_t now_us)
{
	uint32_t cookie = seg->ack - 1, index = cookie & ((1u << MSS_BITS) - 1), bits;

	// Nobody can guess his way in while none are out.
	if (t->cookies.last_sent_us == 0
		|| now_us - t->cookies.last_sent_us > (uint64_t)LIFETIME_N * PERIOD_US)
		return false;
	rotate(t, now_us);
	h->iss = cookie;
	h->irs = seg->seq - 1;
	h->window = tcp_cookie_window(t);
	h->opt = (struct tcp_options){.mss = mss_table[index],
		.has_timestamp = seg->opt.has_timestamp,
		.ts_value = seg->opt.ts_value};
	if (cookie >> MSS_BITS != mac(&t->cookies.key[0], h, index)
		&& cookie >> MSS_BITS != mac(&t->cookies.key[1], h, index)) {
		stat_inc(&t->stats->tcp_syn_cookies_bad);
		return false;
	}
	if (h->opt.has_timestamp) {
		bits = seg->opt.ts_echo & ((1u << TS_BITS) - 1);
		h->opt.has_sack_ok = bits & TS_SACK;
		h->opt.scale = bits & (TS_SACK - 1);
		h->opt.has_scale = h->opt.scale <= TCP_MAX_SCALE;
	}
	stat_inc(&t->stats->tcp_syn_cookies_accepted);
	return true;
}
