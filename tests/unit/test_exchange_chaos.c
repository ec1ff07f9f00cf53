// Clients and endpoints that do anything at any time, from seeds: requests in portions, answers of every kind, resets, ends, time,
// pools that run dry. In the end the endpoints behave, and every request comes to its end without the help of a timeout; every
// place, slot and timer is given back.

#include "tests/h2_peer.h"

#include <rte_random.h>

#define N_SEEDS   400
#define N_STEPS   150
#define N_CLIENTS 5

#define HEAD "POST / HTTP/1.1\r\nhost: a\r\n"

struct chaos {
	struct rig *r;
	uint64_t random;
	bool h2_endpoints;
	struct h2_peer *clients[N_CLIENTS]; // NULL: speaks HTTP/1.1
	bool gone[N_CLIENTS];
	unsigned left[N_CLIENTS]; // of a body of HTTP/1.1, in portions of two bytes
	struct h2_peer *endpoints[RIG_MAX_PAIRS];
	bool answered[RIG_MAX_PAIRS][64]; // by number of the stream
	void *taken[64];
	unsigned n_taken;
};

static unsigned below(struct chaos *k, unsigned n)
{
	k->random = k->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((k->random >> 33) % n);
}

static void configure(struct chaos *k)
{
	static const uint32_t limits[] = {1, 2, UINT32_MAX, UINT32_MAX};
	struct rig *r = k->r;

	r->cluster.max_connections = limits[below(k, 4)];
	r->cluster.max_pending_requests = limits[below(k, 4)];
	r->cluster.max_requests = limits[below(k, 4)];
	r->cluster.max_retries = limits[below(k, 4)];
	r->cluster.max_requests_per_connection = below(k, 3);
	r->cluster.max_concurrent_streams = below(k, 3);
	r->cluster.proxy_version = below(k, 4) == 0;
	r->route.timeout_us = below(k, 4) == 0 ? 100000 : 0;
	r->route.retry = (struct retry_config){.attempts = below(k, 3),
		.on = RETRY_5XX | RETRY_RESET | RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM,
		.backoff_base_us = 5000,
		.per_try_timeout_us = below(k, 2) * 60000};
}

// What older requests began with is kept, up to one configuration.
static void reload(struct chaos *k)
{
	if (k->r->previous != NULL && !snapshot_is_unused(k->r->previous))
		return;
	configure(k);
	rig_reload(k->r);
	rig_pump(k->r);
}

static struct chaos *chaos_new(uint64_t seed)
{
	static const enum cluster_protocol protocols[] = {CLUSTER_HTTP_1, CLUSTER_HTTP_2};
	struct chaos *k = calloc(1, sizeof(*k));
	struct rig *r = rig_new();

	k->r = r;
	k->random = seed * 0x9e3779b97f4a7c15;
	below(k, 2);
	k->h2_endpoints = below(k, 2);
	r->cluster.protocol = protocols[k->h2_endpoints];
	r->cluster.n_endpoints = 1 + below(k, 2);
	configure(k);
	r->capacity.exchanges = 4 + below(k, 8);
	r->capacity.upstream_connections = 3 + below(k, 8);
	r->capacity.chunks = 128;
	r->config.http.body_timeout_us = below(k, 2) * 50000;
	r->config.access_log.enabled = false;
	rig_start(r);
	rte_srand(seed);
	r->worker->random[0] = seed;
	r->worker->random[1] = ~seed;
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		rig_client(r);
		if (below(k, 2))
			k->clients[i] = peer_new(r, rig_client_stream(r, i), false, 100, 65535);
	}
	return k;
}

static bool client_is_there(const struct chaos *k, unsigned i)
{
	return !k->gone[i] && !rig_client_closed(k->r, i);
}

static void client_leaves(struct chaos *k, unsigned i)
{
	if (!k->gone[i])
		stream_abort(&(struct stream *){rig_client_stream(k->r, i)});
	k->gone[i] = true;
	rig_pump(k->r);
}

static void h1_client_acts(struct chaos *k, unsigned i)
{
	static const char *const requests[] = {"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
		HEAD "content-length: 10\r\n\r\n", HEAD "transfer-encoding: chunked\r\n\r\n",
		HEAD "expect: 100-continue\r\ncontent-length: 10\r\n\r\n"};
	unsigned what;

	if (stream_room(rig_client_stream(k->r, i)) < 1000)
		return;
	if (k->left[i] > 0) {
		k->left[i]--;
		rig_client_says(k->r, i, "ab");
		return;
	}
	what = below(k, 4);
	if (what != 2)
		k->left[i] = what != 0 ? 5 : 0;
	rig_client_says(k->r, i, requests[what]);
	if (what == 2 && !rig_client_closed(k->r, i))
		rig_client_says(k->r, i, "3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n");
}

static void h2_client_acts(struct chaos *k, unsigned i)
{
	struct h2_peer *p = k->clients[i];
	bool post;
	long body;

	if (p->n_streams > 100)
		return;
	if (below(k, 4) == 0 && p->n_streams > 0) {
		nghttp2_submit_rst_stream(p->ng, NGHTTP2_FLAG_NONE,
			p->streams[below(k, p->n_streams)].id, NGHTTP2_CANCEL);
		peer_pump(p);
		return;
	}
	p->upload_trailers = below(k, 2);
	post = below(k, 2);
	body = below(k, 2) ? -1 : (long)below(k, 30000);
	peer_request(p, post ? "POST" : "GET", "/", NULL, body);
}

static void client_acts(struct chaos *k)
{
	unsigned i = below(k, N_CLIENTS);

	if (!client_is_there(k, i))
		return;
	switch (below(k, 12)) {
	case 0: client_leaves(k, i); break;
	case 1: fake_set_room(fake_pair_end(k->r->clients[i], 0), below(k, 2) ? 100 : 65536); break;
	case 2:
	case 3:
		if (k->clients[i] == NULL)
			rig_client_got(k->r, i);
		else
			peer_pump(k->clients[i]);
		break;
	default:
		if (k->clients[i] == NULL)
			h1_client_acts(k, i);
		else
			h2_client_acts(k, i);
	}
}

static void h1_endpoint_acts(struct chaos *k, unsigned i, bool well)
{
	static const char *const says[] = {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
		"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nabc", "x", "\r\n",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
		"0\r\nx-t: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"};

	rig_upstream_got(k->r, i);
	if (well && strstr(k->r->text, " HTTP/1.1\r\n") == NULL)
		return;
	if (!rig_upstream_closed(k->r, i) && stream_room(rig_upstream_stream(k->r, i)) > 200)
		rig_upstream_says(k->r, i, says[well ? 0 : below(k, 9)]);
}

// Returns false if nothing has come yet.
static bool take_proxy_header(struct stream *s)
{
	static uint8_t line[200];
	struct bytes b = stream_peek(s);
	const uint8_t *end;

	if (b.len == 0 || !bytes_start_with(b, BYTES("PROXY ")))
		return b.len > 0;
	end = memchr(b.ptr, '\n', b.len);
	assert_non_null(end);
	fake_take(s, line, (size_t)(end - b.ptr) + 1);
	return true;
}

static void h2_endpoint_acts(struct chaos *k, unsigned i, bool well)
{
	struct h2_peer *p = k->endpoints[i];

	if (p == NULL && !take_proxy_header(rig_upstream_stream(k->r, i)))
		return;
	if (p == NULL)
		p = k->endpoints[i] =
			peer_new(k->r, rig_upstream_stream(k->r, i), true, 1 + below(k, 4), 65535);
	peer_pump(p);
	for (unsigned n = 0; n < p->n_streams && n < 64; n++) {
		struct peer_stream *s = &p->streams[n];

		if (rig_upstream_closed(k->r, i))
			return;
		if (s->head[0] == '\0' || s->reset || k->answered[i][n] || (!well && below(k, 2)))
			continue;
		k->answered[i][n] = true;
		switch (well ? 0 : below(k, 6)) {
		case 0:
		case 1:
			p->upload_trailers = below(k, 2);
			peer_respond(p, s->id, "200", NULL, (long)below(k, 3));
			break;
		case 2: peer_respond(p, s->id, "503", NULL, -1); break;
		case 3:
			nghttp2_submit_rst_stream(
				p->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_REFUSED_STREAM);
			break;
		case 4:
			nghttp2_submit_goaway(p->ng, NGHTTP2_FLAG_NONE, s->id > 2 ? s->id - 2 : 0,
				NGHTTP2_NO_ERROR, NULL, 0);
			break;
		default: nghttp2_submit_rst_stream(p->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
		}
		peer_pump(p);
	}
}

static bool endpoint_is_there(const struct chaos *k, unsigned i)
{
	return fake_pair_fate(k->r->upstreams[i], 1) == FAKE_OPEN && !rig_upstream_closed(k->r, i);
}

static void endpoint_leaves(struct chaos *k, unsigned i)
{
	if (fake_pair_fate(k->r->upstreams[i], 1) == FAKE_OPEN)
		stream_abort(&(struct stream *){rig_upstream_stream(k->r, i)});
	rig_pump(k->r);
}

static void endpoint_acts(struct chaos *k, unsigned i, bool well)
{
	if (!endpoint_is_there(k, i))
		return;
	if (!well && below(k, 12) == 0)
		endpoint_leaves(k, i);
	else if (!well && below(k, 20) == 0)
		stream_shutdown(rig_upstream_stream(k->r, i));
	else if (k->h2_endpoints)
		h2_endpoint_acts(k, i, well);
	else if (!fake_pair_is_shut(k->r->upstreams[i], 1))
		h1_endpoint_acts(k, i, well);
}

static void give_back(struct chaos *k)
{
	while (k->n_taken > 0)
		pool_put(&k->r->worker->chunks, k->taken[--k->n_taken]);
}

static void step(struct chaos *k)
{
	struct rig *r = k->r;

	switch (below(k, 10)) {
	case 0:
		if (below(k, 5) == 0)
			reload(k);
		rig_pass_ms(r, 1 + below(k, 40));
		break;
	case 1: r->connect = below(k, 4) == 0 ? RIG_REFUSES : RIG_ACCEPTS; break;
	case 2:
		if (below(k, 2))
			give_back(k);
		while (k->n_taken < 64 && below(k, 20) > 0) {
			void *c = pool_get(&r->worker->chunks);

			if (c == NULL)
				break;
			k->taken[k->n_taken++] = c;
		}
		break;
	case 3:
	case 4:
	case 5:
		if (r->n_upstreams > 0)
			endpoint_acts(k,
				r->n_upstreams - 1
					- below(k, r->n_upstreams < 4 ? r->n_upstreams : 4),
				false);
		break;
	default: client_acts(k);
	}
}

// What is under way now comes to its end, if nobody stands in its way.
static void settle(struct chaos *k)
{
	struct rig *r = k->r;

	give_back(k);
	r->connect = RIG_ACCEPTS;
	for (unsigned i = 0; i < r->n_upstreams; i++)
		endpoint_leaves(k, i);
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		if (client_is_there(k, i) && k->left[i] > 0)
			client_leaves(k, i);
		if (client_is_there(k, i))
			fake_set_room(fake_pair_end(r->clients[i], 0), 65536);
	}
	for (unsigned n = 0; n < 60 && r->worker->exchanges.n_used > 0; n++) {
		rig_pass_ms(r, 5);
		for (unsigned i = 0; i < r->n_upstreams; i++)
			endpoint_acts(k, i, true);
		for (unsigned i = 0; i < N_CLIENTS; i++) {
			if (!k->gone[i] && k->clients[i] != NULL)
				peer_pump(k->clients[i]);
			else if (!k->gone[i])
				rig_client_got(r, i);
		}
	}
}

static void run(uint64_t seed)
{
	struct chaos *k = chaos_new(seed);
	struct rig *r = k->r;

	for (unsigned i = 0; i < N_STEPS; i++)
		step(k);
	settle(k);
	if (r->worker->exchanges.n_used > 0)
		fail_msg("SEED=%llu: %u requests do not end", (unsigned long long)seed,
			r->worker->exchanges.n_used);
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		if (k->clients[i] != NULL)
			peer_free(&k->clients[i]);
	}
	for (unsigned i = 0; i < r->n_upstreams; i++) {
		if (k->endpoints[i] != NULL)
			peer_free(&k->endpoints[i]);
	}
	assert_int_equal(atomic_load(&rig_cluster_state(r)->retries), 0);
	assert_int_equal(atomic_load(&rig_cluster_state(r)->requests), 0);
	assert_int_equal(atomic_load(&rig_cluster_state(r)->pending), 0);
	rig_done(&r);
	free(k);
}

// SEED=n runs one, SEEDS=n so many.
static void every_request_comes_to_its_end(void)
{
	const char *one = getenv("SEED"), *many = getenv("SEEDS");
	uint64_t n = many != NULL ? strtoull(many, NULL, 10) : N_SEEDS;

	for (uint64_t seed = 1; one == NULL && seed <= n; seed++)
		run(seed);
	if (one != NULL)
		run(strtoull(one, NULL, 10));
}

TESTS(TEST(every_request_comes_to_its_end))
