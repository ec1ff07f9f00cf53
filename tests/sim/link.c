#include "tests/sim/link.h"

#include "dataplane/net/wire.h"
#include "dataplane/tcp/tcp_csum.h"
#include "tests/nic.h"
#include "tests/test_support.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_FLYING 8192u
#define BATCH      32u
#define FRAME_SIZE 2048u
#define N_MBUFS    4096u
#define START_US   5000000u
#define FIRST_FRAME \
	(14u + 20u) // corruption starts behind Ethernet, so that the frame still arrives

// A frame under way, or (to < 0) a sender's buffer that the driver still holds.
struct flying {
	uint64_t at_us;
	uint64_t order; // of equal times
	int to;
	struct rte_mbuf *held;
	uint16_t len;
	uint8_t *bytes;
};

struct side {
	struct world *world;
	struct net *net;
	struct iface *iface;
	struct rte_mempool *pool;
	struct dataplane_stats stats;
	uint64_t link_free_us; // when the link can take the next frame
	unsigned n_queued;
};

struct world {
	struct link_config config;
	struct side sides[2];
	uint64_t now_us;
	uint64_t rng;
	uint64_t order;
	uint64_t wake_us;
	uint64_t start_us;
	uint64_t dead_until_us;
	unsigned n_frames;
	unsigned n_too_big;
	unsigned n_flying;
	struct flying heap[MAX_FLYING]; // by time
};

static uint64_t next_random(struct world *w)
{
	// xorshift64*, Vigna 2016.
	w->rng ^= w->rng >> 12;
	w->rng ^= w->rng << 25;
	w->rng ^= w->rng >> 27;
	return w->rng * 0x2545f4914f6cdd1dull;
}

uint32_t world_random(struct world *w, uint32_t n)
{
	return n == 0 ? 0 : (uint32_t)((next_random(w) >> 33) % n);
}

static bool chance(struct world *w, unsigned in_1000)
{
	return in_1000 > 0 && world_random(w, 1000) < in_1000;
}

// --- what is under way: a binary heap

static bool is_before(const struct flying *a, const struct flying *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_push(struct world *w, struct flying f)
{
	unsigned i = w->n_flying++;

	assert_true(w->n_flying < MAX_FLYING);
	f.order = w->order++;
	w->heap[i] = f;
	while (i > 0 && is_before(&w->heap[i], &w->heap[(i - 1) / 2])) {
		struct flying swap = w->heap[i];

		w->heap[i] = w->heap[(i - 1) / 2];
		w->heap[(i - 1) / 2] = swap;
		i = (i - 1) / 2;
	}
}

static struct flying heap_pop(struct world *w)
{
	struct flying first = w->heap[0];
	unsigned i = 0;

	w->heap[0] = w->heap[--w->n_flying];
	for (;;) {
		unsigned least = i, left = 2 * i + 1, right = 2 * i + 2;
		struct flying swap;

		if (left < w->n_flying && is_before(&w->heap[left], &w->heap[least]))
			least = left;
		if (right < w->n_flying && is_before(&w->heap[right], &w->heap[least]))
			least = right;
		if (least == i)
			return first;
		swap = w->heap[i];
		w->heap[i] = w->heap[least];
		w->heap[least] = swap;
		i = least;
	}
}

// --- the link

static uint64_t departure(struct world *w, struct side *s, uint16_t len)
{
	uint64_t start = s->link_free_us > w->now_us ? s->link_free_us : w->now_us;

	if (w->config.rate_mbit == 0)
		return w->now_us;
	s->link_free_us = start + (uint64_t)len * 8 / w->config.rate_mbit;
	return start;
}

static bool is_ip6(const uint8_t *bytes)
{
	return bytes[12] == 0x86 && bytes[13] == 0xdd;
}

// ARP or ND, router solicitations included.
static bool is_of_neighbours(const uint8_t *bytes)
{
	const uint8_t *ip = bytes + 14;

	if (is_ip6(bytes))
		return ip[6] == IPPROTO_ICMPV6 && ip[40] >= 133 && ip[40] <= 137;
	return bytes[12] == 0x08 && bytes[13] == 0x06;
}

static void fly(
	struct world *w, struct side *from, const uint8_t *bytes, uint16_t len, bool untouched)
{
	struct flying f = {.to = from == &w->sides[0] ? 1 : 0, .len = len};

	f.at_us = departure(w, from, len) + w->config.delay_us;
	if (!untouched && chance(w, w->config.reorder))
		f.at_us += world_random(w, w->config.reorder_us);
	f.bytes = malloc(len);
	memcpy(f.bytes, bytes, len);
	if (!untouched && chance(w, w->config.corrupt))
		f.bytes[14 + world_random(w, len - 14u)] ^= (uint8_t)(1u << world_random(w, 8));
	heap_push(w, f);
}

// RFC 8201, 4 and 4443, 3.2.
static void send_too_big6(struct world *w, struct side *to, const uint8_t *bytes)
{
	enum { ETH = 14, IP = 40, ICMP = 8, QUOTE = 60, LEN = IP + ICMP + QUOTE };
	struct side *other = to == &w->sides[0] ? &w->sides[1] : &w->sides[0];
	uint8_t f[ETH + LEN] = {0}, *ip = f + ETH, *icmp = ip + IP;
	struct ip_addr src, dst;
	uint16_t sum;

	memcpy(f, bytes + 6, 6);
	memcpy(f + 6, bytes, 6);
	memcpy(f + 12, bytes + 12, 2);
	ip[0] = 0x60;
	ip[5] = ICMP + QUOTE;
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 64;
	memcpy(src.b, bytes + ETH + 24, 16);
	memcpy(dst.b, bytes + ETH + 8, 16);
	memcpy(ip + 8, src.b, 16);
	memcpy(ip + 24, dst.b, 16);
	icmp[0] = 2;
	icmp[6] = (uint8_t)(w->config.path_mtu >> 8);
	icmp[7] = (uint8_t)w->config.path_mtu;
	memcpy(icmp + ICMP, bytes + ETH, QUOTE);
	sum = (uint16_t)~wire_icmp6_sum(&src, &dst, icmp, ICMP + QUOTE);
	memcpy(icmp + 2, &sum, 2);
	fly(w, other, f, sizeof(f), false);
}

// RFC 1191, 4: the router's answer to 'bytes', a frame that it does not forward.
static void send_too_big(struct world *w, struct side *to, const uint8_t *bytes)
{
	enum { ETH = 14, IP = 20, ICMP = 8, QUOTE = 28, LEN = IP + ICMP + QUOTE };
	struct side *other = to == &w->sides[0] ? &w->sides[1] : &w->sides[0];
	uint8_t f[ETH + LEN] = {0}, *ip = f + ETH, *icmp = ip + IP;
	uint16_t sum;

	memcpy(f, bytes + 6, 6);
	memcpy(f + 6, bytes, 6);
	f[12] = 0x08;
	ip[0] = 0x45;
	ip[3] = LEN;
	ip[8] = 64;
	ip[9] = 1; // ICMP
	memcpy(ip + 12, bytes + ETH + 16, 4);
	memcpy(ip + 16, bytes + ETH + 12, 4);
	sum = (uint16_t)~csum_fold(csum_add(ip, IP, 0));
	memcpy(ip + 10, &sum, 2);
	icmp[0] = 3;
	icmp[1] = 4;
	icmp[6] = (uint8_t)(w->config.path_mtu >> 8);
	icmp[7] = (uint8_t)w->config.path_mtu;
	memcpy(icmp + ICMP, bytes + ETH, QUOTE);
	sum = (uint16_t)~csum_fold(csum_add(icmp, ICMP + QUOTE, 0));
	memcpy(icmp + 2, &sum, 2);
	fly(w, other, f, sizeof(f), false);
}

static bool is_too_big(struct world *w, struct side *from, const uint8_t *bytes, uint16_t len)
{
	const struct link_config *c = &w->config;

	if (c->path_mtu == 0 || len <= c->path_mtu + 14u
		|| w->now_us - w->start_us < c->path_mtu_us)
		return false;
	w->n_too_big++;
	if (c->path_mtu_icmp && is_ip6(bytes))
		send_too_big6(w, from, bytes);
	else if (c->path_mtu_icmp)
		send_too_big(w, from, bytes);
	return true;
}

static bool is_dropped(struct world *w, struct side *from)
{
	const struct link_config *c = &w->config;
	int nth = (int)w->n_frames++;

	if (w->dead_until_us <= w->now_us && chance(w, c->burst))
		w->dead_until_us = w->now_us + 1 + world_random(w, c->burst_us);
	if (w->dead_until_us > w->now_us)
		return true;
	if (nth == c->drop_nth || nth == c->drop_nth_2)
		return true;
	if (c->queue_len > 0 && c->rate_mbit > 0 && from->link_free_us > w->now_us
		&& (from->link_free_us - w->now_us) * c->rate_mbit / 12000 > c->queue_len)
		return true;
	return chance(w, c->drop);
}

// A frame leaves the NIC.
static void frame_out(void *arg, uint8_t *bytes, uint32_t len)
{
	struct side *from = arg;
	struct world *w = from->world;
	bool untouched = is_of_neighbours(bytes);

	assert_true(len <= (w->config.mtu != 0 ? w->config.mtu : 1500) + 14u);
	if (!untouched && (is_dropped(w, from) || is_too_big(w, from, bytes, (uint16_t)len)))
		return;
	fly(w, from, bytes, (uint16_t)len, untouched);
	if (!untouched && chance(w, w->config.duplicate))
		fly(w, from, bytes, (uint16_t)len, false);
}

static void transmit(void *arg, struct rte_mbuf **ms, unsigned n)
{
	struct side *from = arg;
	struct world *w = from->world;

	for (unsigned i = 0; i < n; i++) {
		nic_send(ms[i], frame_out, from);
		if (w->config.hold_us > 0) {
			uint64_t at = w->now_us + world_random(w, w->config.hold_us);

			heap_push(w, (struct flying){.at_us = at, .to = -1, .held = ms[i]});
		} else {
			rte_pktmbuf_free(ms[i]);
		}
	}
}

// What a NIC says of the checksum of a TCP frame; nothing of what it does not understand.
static uint64_t rx_flags(struct world *w, const struct flying *f)
{
	const struct rte_ipv4_hdr *ip4 = (const void *)(f->bytes + 14);
	const struct rte_ipv6_hdr *ip6 = (const void *)(f->bytes + 14);
	struct ip_addr src, dst;
	uint32_t tcp_len;
	const void *tcp;

	if (!w->config.rx_offload || f->order % 8 == 0)
		return 0;
	if (f->bytes[12] == 0x08 && f->bytes[13] == 0x00 && ip4->version_ihl == 0x45
		&& ip4->next_proto_id == 6 && rte_be_to_cpu_16(ip4->total_length) == f->len - 14u) {
		src = ip_addr_of_v4(ip4->src_addr);
		dst = ip_addr_of_v4(ip4->dst_addr);
		tcp = ip4 + 1;
		tcp_len = f->len - 14u - sizeof(*ip4);
	} else if (is_ip6(f->bytes) && f->bytes[14] >> 4 == 6 && ip6->proto == 6
		&& rte_be_to_cpu_16(ip6->payload_len) == f->len - 14u - sizeof(*ip6)) {
		src = wire_ip6(ip6->src_addr);
		dst = wire_ip6(ip6->dst_addr);
		tcp = ip6 + 1;
		tcp_len = f->len - 14u - sizeof(*ip6);
	} else {
		return 0;
	}
	return csum_fold(csum_add(tcp, tcp_len, csum_pseudo(&src, &dst) + csum_len(tcp_len)))
			== 0xffff
		? RTE_MBUF_F_RX_L4_CKSUM_GOOD
		: RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

// What arrives now, as one burst for each side.
static void deliver(struct world *w)
{
	struct rte_mbuf *bursts[2][BATCH];
	unsigned n[2] = {0, 0};

	while (w->n_flying > 0 && w->heap[0].at_us <= w->now_us) {
		struct flying f = heap_pop(w);
		struct rte_mbuf *m;

		if (f.to < 0) {
			rte_pktmbuf_free(f.held);
			continue;
		}
		m = rte_pktmbuf_alloc(w->sides[f.to].pool);
		if (m != NULL) {
			memcpy(rte_pktmbuf_append(m, f.len), f.bytes, f.len);
			m->ol_flags = rx_flags(w, &f);
			bursts[f.to][n[f.to]++] = m;
		}
		free(f.bytes);
		if (n[f.to] == BATCH)
			break;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (n[i] > 0)
			net_input(w->sides[i].net, w->sides[i].iface, bursts[i], n[i], w->now_us);
	}
}

bool world_step(struct world *w, uint64_t until_us)
{
	uint64_t next = w->wake_us;

	if (w->n_flying > 0 && w->heap[0].at_us < next)
		next = w->heap[0].at_us;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = net_next_deadline(w->sides[i].net);

		if (at < next)
			next = at;
	}
	if (next == UINT64_MAX || next > until_us)
		return false;
	if (next > w->now_us)
		w->now_us = next;
	if (w->wake_us <= w->now_us)
		w->wake_us = UINT64_MAX;
	deliver(w);
	net_run(w->sides[0].net, w->now_us);
	net_run(w->sides[1].net, w->now_us);
	return true;
}

void world_wake_at(struct world *w, uint64_t at_us)
{
	if (at_us < w->wake_us)
		w->wake_us = at_us;
}

// --- both sides

// Pools are made once and used by one world after the other: all have to be full in between.
static struct rte_mempool *pool_of(unsigned side, uint32_t n_mbufs)
{
	static struct {
		uint32_t n;
		struct rte_mempool *pool;
	} pools[2][16];
	char name[32];

	for (unsigned i = 0; i < 16; i++) {
		if (pools[side][i].n == n_mbufs)
			return pools[side][i].pool;
		if (pools[side][i].n != 0)
			continue;
		snprintf(name, sizeof(name), "sim%u-%u", side, n_mbufs);
		pools[side][i].n = n_mbufs;
		pools[side][i].pool =
			rte_pktmbuf_pool_create(name, n_mbufs, 0, 32, FRAME_SIZE + NET_HEADROOM, 0);
		assert_non_null(pools[side][i].pool);
		return pools[side][i].pool;
	}
	fail_msg("too many sizes of pools");
	return NULL;
}

struct ip_addr world_addr(const struct world *w, unsigned side)
{
	static const char *const texts[2][2] = {
		{"10.0.0.1", "10.0.0.2"},
                {"fd00::1",  "fd00::2" }
        };
	struct ip_addr a;

	assert_true(ip_addr_parse(texts[w->config.ip6][side], &a));
	return a;
}

static void side_init(struct world *w, unsigned i, const struct tcp_settings *tcp)
{
	const struct link_config *c = &w->config;
	struct side *s = &w->sides[i];
	struct iface_config iface = {
		.name = i == 0 ? "left" : "right",
		.mac = {2,  0, 0, 0, 0, (uint8_t)(i + 1)},
		.mtu = c->mtu != 0 ? c->mtu : 1500,
		.rx_csum = c->rx_offload ? CSUM_TRUST : CSUM_VERIFY,
		.offloads = c->offloads,
		.addresses = {world_addr(w, i)},
		.prefix_len = {c->ip6 ? 64 : 24},
		.n_addresses = 1,
		.transmit = transmit,
		.transmit_arg = s,
	};
	struct net_config net = {
		.secret = {next_random(w), next_random(w)},
		.max_connections = c->max_connections != 0 ? c->max_connections : 64,
		.max_time_wait = 64,
		.port_first = 20000,
		.port_last = 29999,
		.max_mbufs_held = c->max_mbufs_held[i],
		.stats = &s->stats,
		.tcp = tcp,
	};

	s->world = w;
	s->pool = pool_of(i, c->n_mbufs[i] != 0 ? c->n_mbufs[i] : N_MBUFS);
	assert_int_equal(rte_mempool_in_use_count(s->pool), 0);
	net.mbufs = s->pool;
	s->net = net_new(&net, w->now_us);
	assert_non_null(s->net);
	s->iface = net_add_iface(s->net, &iface);
	assert_non_null(s->iface);
}

// IPv6 addresses are used once nobody was found to have them too (RFC 4862, 5.4).
static void wait_for_addresses(struct world *w)
{
	uint64_t end = w->now_us + 10000000;

	while (world_step(w, end))
		;
	w->now_us = end;
	w->start_us = end;
	assert_int_equal(w->n_frames, 0);
}

struct world *world_new(const struct link_config *config)
{
	struct world *w = calloc(1, sizeof(*w));
	struct tcp_settings tcp = config->tcp != NULL ? *config->tcp : tcp_default_settings;

	test_eal_init();
	assert_non_null(w);
	if (config->tcp == NULL)
		tcp.time_wait_us = 1000000;
	w->config = *config;
	if (config->ip6 && w->config.mtu != 0 && w->config.mtu < 1280)
		w->config.mtu = 1280;
	if (config->ip6 && w->config.path_mtu != 0 && w->config.path_mtu < 1280)
		w->config.path_mtu = 1280;
	w->rng = config->seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	w->now_us = START_US + next_random(w) % 0xffffffffull;
	w->start_us = w->now_us;
	w->wake_us = UINT64_MAX;
	side_init(w, 0, &tcp);
	side_init(w, 1, &tcp);
	if (config->ip6)
		wait_for_addresses(w);
	return w;
}

void world_free(struct world **wp)
{
	struct world *w = *wp;

	*wp = NULL;
	while (w->n_flying > 0) {
		struct flying f = heap_pop(w);

		rte_pktmbuf_free(f.held);
		free(f.bytes);
	}
	for (unsigned i = 0; i < 2; i++) {
		net_free(&w->sides[i].net);
		assert_int_equal(rte_mempool_in_use_count(w->sides[i].pool), 0);
	}
	free(w);
}

struct net *world_net(struct world *w, unsigned side)
{
	return w->sides[side].net;
}

struct dataplane_stats *world_stats(struct world *w, unsigned side)
{
	return &w->sides[side].stats;
}

uint64_t world_now(const struct world *w)
{
	return w->now_us;
}

unsigned world_n_frames(const struct world *w)
{
	return w->n_frames;
}

unsigned world_n_too_big(const struct world *w)
{
	return w->n_too_big;
}

bool world_is_quiet(struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &w->sides[i];

		if (tcp_n_connections(s->net) != 0 || s->stats.tcp_time_wait != 0
			|| s->stats.tcp_mbufs_held != 0
			|| timer_wheel_n_armed(net_timers(s->net)) != 0)
			return false;
	}
	return w->n_flying == 0;
}

static bool print_conn(void *arg, const struct tcp_info *info)
{
	char local[IP_ENDPOINT_TEXT_SIZE], remote[IP_ENDPOINT_TEXT_SIZE];

	(void)arg;
	ip_endpoint_print(&info->local, local);
	ip_endpoint_print(&info->remote, remote);
	print_error(
		"  %s %s %s: to send %u, received %u, cwnd %u, windows %u/%u, rto %u us, mbufs %u\n",
		local, remote, info->state, info->send_queued, info->receive_queued, info->cwnd,
		info->send_window, info->receive_window, info->rto_us, info->mbufs_held);
	return true;
}

void world_print(struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &w->sides[i];

		print_error(
			"side %u at %llu us: %u connections, %llu in TIME_WAIT, %u timers, %u mbufs\n",
			i, (unsigned long long)w->now_us, tcp_n_connections(s->net),
			(unsigned long long)s->stats.tcp_time_wait,
			timer_wheel_n_armed(net_timers(s->net)), rte_mempool_in_use_count(s->pool));
		tcp_each(s->net, print_conn, NULL);
	}
	print_error("%u frames under way, %u sent\n", w->n_flying, w->n_frames);
}
