// TLS connections. The first byte of the input chooses:
//
//   even: the rest are a client's bytes, in pieces
//   odd:  a real client shakes hands, then each byte is one thing that client, owner, network or clock does
//
// Whatever happens, events keep their rules and everything is given back.

#include "dataplane/timer.h"
#include "tests/fake_stream.h"
#include "tests/tls_peer.h"
#include "tls/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>

#define MAX_STEPS 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rig {
	uint64_t now;
	struct tls_stats stats;
	struct timer_wheel *timers;
	struct tls_worker *w;
	struct fake_pair *pair;
	struct tls_peer peer;
	struct stream *s;
	bool closed;
	bool reads;
	bool closes; // inside the next event
};

static struct tls_server *server;

static void server_make_once(void)
{
	static const char *const names[] = {"shop.example", "*.example"};
	static struct tls_pem pem;
	struct tls_chain_config chain = {
		.sni = names, .n_sni = 2, .n_certificates = 1, .alpn_h2 = true};
	char error[TLS_ERROR_SIZE];

	if (server != NULL)
		return;
	tls_pem_make(&pem, TLS_KEY_P256, "shop.example", 0, 86400);
	chain.certificates[0] = tls_pem_config(&pem, "shop");
	server = tls_server_new(&(struct tls_server_config){&chain, 1}, error);
	assert(server != NULL);
}

static void read_all(struct stream *s)
{
	struct bytes b;

	while ((b = stream_peek(s)).len > 0)
		stream_consume(s, b.len);
}

static void on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct rig *r = owner;

	(void)now_us;
	assert(r->s == s && events != 0 && !r->closed);
	if (events & STREAM_CLOSED) {
		struct tls_info info;

		r->closed = true;
		assert(stream_error(s) != STREAM_ERROR_NONE);
		tls_info_get(s, &info);
		assert(info.failure == NULL || strchr(info.failure, ' ') == NULL);
	}
	if (r->reads)
		read_all(s);
	if (r->closes)
		stream_close(&r->s);
}

static void rig_step(struct rig *r)
{
	r->now += 100;
	tls_worker_turn(r->w, r->now);
	fake_pair_step(r->pair, r->now);
	if (fake_pair_fate(r->pair, 1) == FAKE_OPEN)
		tls_peer_step(&r->peer);
}

static void owner_writes(struct rig *r, size_t n)
{
	static const uint8_t zeros[40000];

	if (r->s == NULL)
		return;
	size_t room = stream_room(r->s);
	size_t taken = stream_write(r->s, bytes_of(zeros, n), (n & 1) != 0);

	assert(taken <= n && taken <= room);
}

static void act(struct rig *r, uint8_t what)
{
	static const size_t sizes[] = {1, 100, 1300, 1301, 5000, 16384, 16385, 40000};
	static const uint8_t zeros[16384];
	size_t n = sizes[what >> 4 & 7];
	bool peer_open = fake_pair_fate(r->pair, 1) == FAKE_OPEN;
	bool lower_open = fake_pair_fate(r->pair, 0) == FAKE_OPEN;

	switch (what & 15) {
	case 0: owner_writes(r, n); break;
	case 1:
		if (peer_open && r->peer.connected && r->peer.error == 0
			&& (SSL_get_shutdown(r->peer.ssl) & SSL_SENT_SHUTDOWN) == 0)
			tls_peer_write(&r->peer, bytes_of(zeros, n % sizeof(zeros)));
		break;
	case 2:
		if (peer_open)
			tls_peer_read(&r->peer, (uint8_t[4096]){0}, 4096);
		break;
	case 3:
		if (peer_open && r->peer.connected)
			tls_peer_shutdown(&r->peer);
		break;
	case 4:
		if (peer_open)
			stream_write(r->peer.end, bytes_of(zeros, n % 50), false);
		break;
	case 5:
		if (lower_open)
			fake_set_room(fake_pair_end(r->pair, 0), n);
		break;
	case 6:
		if (lower_open)
			fake_set_piece(fake_pair_end(r->pair, 0), n % 3000);
		break;
	case 7: r->reads = !r->reads; break;
	case 8:
		if (r->s != NULL)
			stream_want_read(r->s);
		break;
	case 9:
		if (r->s != NULL)
			stream_want_write(r->s, n);
		break;
	case 10:
		if (r->s != NULL)
			stream_shutdown(r->s);
		break;
	case 11:
		if (what & 128)
			stream_close(&r->s);
		else if (what & 64)
			r->closes = true;
		break;
	case 12:
		if (peer_open && (what & 128))
			what & 64 ? stream_abort(&r->peer.end) : stream_close(&r->peer.end);
		break;
	case 13:
		if (lower_open && (what & 128))
			fake_fail(fake_pair_end(r->pair, 0), STREAM_ERROR_TIMEOUT);
		break;
	case 14:
		r->now += 400000 * (uint64_t)(what >> 4);
		timer_wheel_run(r->timers, r->now, 10);
		break;
	default: rig_step(r); break;
	}
}

static void feed(struct rig *r, const uint8_t *data, size_t size)
{
	size_t piece = 1 + (size > 0 ? data[0] * 4u : 0);

	while (size > 0 && fake_pair_fate(r->pair, 0) == FAKE_OPEN) {
		size_t n = size < piece ? size : piece;

		n = stream_write(r->peer.end, bytes_of(data, n), false);
		if (n == 0)
			break;
		data += n;
		size -= n;
		tls_worker_turn(r->w, r->now);
		fake_pair_step(r->pair, r->now);
	}
	stream_close(&r->peer.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r = {.now = 2000000, .reads = true};
	struct stream *lower;

	if (size < 2)
		return 0;
	server_make_once();
	r.timers = timer_wheel_new(r.now);
	r.w = tls_worker_new(&(struct tls_worker_config){.max_connections = 1,
		.n_buffers = 2,
		.handshake_timeout_us = 15000000,
		.timers = r.timers,
		.stats = &r.stats});
	r.pair = fake_pair_new();
	lower = fake_pair_end(r.pair, 0);
	r.s = tls_accept(r.w, server, &lower, on_event, &r, r.now);
	tls_peer_init(&r.peer, fake_pair_end(r.pair, 1),
		&(struct tls_peer_options){
			.sni = "shop.example", .version = data[0] & 2 ? TLS1_2_VERSION : 0});
	if (data[0] & 1) {
		for (unsigned i = 0; i < 6; i++)
			rig_step(&r);
		for (size_t i = 1; i < size && i < 300; i++)
			act(&r, data[i]);
	} else {
		feed(&r, data + 1, size - 1);
	}
	for (unsigned i = 0; i < MAX_STEPS; i++)
		rig_step(&r);
	stream_abort(&r.s);
	// A close that waits ends by its timer.
	timer_wheel_run(r.timers, r.now + 20000000, 10);
	assert(r.stats.tls_connections_active == 0 && r.stats.tls_buffers_in_use == 0);
	assert(timer_wheel_n_armed(r.timers) == 0);
	tls_worker_free(&r.w); // asserts too
	tls_peer_fini(&r.peer);
	fake_pair_free(&r.pair);
	timer_wheel_free(&r.timers);
	return 0;
}
