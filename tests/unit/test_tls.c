// TLS as a stream: handshakes, data, ends and failures, against an OpenSSL client over a fake stream. Time
// is a variable; every test ends by checking that pools, timers and gauges are back at zero.

#include "dataplane/timer.h"
#include "tests/fake_stream.h"
#include "tests/test_support.h"
#include "tests/tls_peer.h"
#include "tls/tls.h"

#include <stdlib.h>
#include <time.h>

#define BIG ((size_t)300 << 10)

// What an owner heard, and what it does when it hears.
struct owner {
	struct stream *s;
	unsigned events;
	unsigned n_events;
	unsigned n_closed;
	bool reads;        // consumes everything at once
	unsigned close_on; // closes inside the callback of these events
	unsigned abort_on;
	struct bytes answer; // written inside the callback of READABLE
	uint8_t *data;
	size_t len;
};

struct rig {
	uint64_t now;
	struct timer_wheel *timers;
	struct tls_stats stats;
	struct tls_worker *w;
	struct tls_server *server;
	struct fake_pair *pair;
	struct owner owner;
	struct tls_peer peer;
};

static struct tls_pem shop, shop_rsa, wild, fallback;

static void pems_make_once(void)
{
	if (shop.key[0] != 0)
		return;
	tls_pem_make(&shop, TLS_KEY_P256, "shop.example", 0, 86400);
	tls_pem_make(&shop_rsa, TLS_KEY_RSA, "shop.example", 0, 86400);
	tls_pem_make(&wild, TLS_KEY_P256, "wild.example", 0, 86400);
	tls_pem_make(&fallback, TLS_KEY_P256, "fallback.example", 0, 86400);
}

static void read_all(struct owner *o)
{
	struct bytes b;

	while ((b = stream_peek(o->s)).len > 0) {
		assert_true(o->len + b.len <= BIG * 2);
		memcpy(o->data + o->len, b.ptr, b.len);
		o->len += b.len;
		stream_consume(o->s, b.len);
	}
}

static void on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	struct owner *o = owner;

	(void)now_us;
	assert_ptr_equal(o->s, s);
	assert_int_equal(o->n_closed, 0); // nothing comes after CLOSED
	o->events |= events;
	o->n_events++;
	if (events & STREAM_CLOSED)
		o->n_closed++;
	if (o->reads)
		read_all(o);
	if ((events & STREAM_READABLE) && o->answer.len > 0) {
		assert_int_equal(stream_write(s, o->answer, false), o->answer.len);
		o->answer.len = 0;
	}
	if (events & o->close_on)
		stream_close(&o->s);
	else if (events & o->abort_on)
		stream_abort(&o->s);
}

static const char *const shop_names[] = {"shop.example"};
static const char *const wild_names[] = {"*.example"};
static const char *const deep_names[] = {"*.deep.example"};
static const char *const empty_names[] = {"empty.example"};

// index 7: shop.example, h2; 8: *.example, no h2; 9: *.deep.example; 10: no certificate yet.
static struct tls_server *server_new(bool with_nameless, bool rsa)
{
	struct tls_chain_config chains[5] = {
		{.sni = shop_names, .n_sni = 1,    .n_certificates = 1, .alpn_h2 = true, .index = 7},
		{.sni = wild_names,  .n_sni = 1,     .n_certificates = 1, .index = 8},
		{.sni = deep_names, .n_sni = 1,   .n_certificates = 1, .index = 9},
		{.sni = empty_names,       .n_sni = 1,                    .index = 10},
		{.n_certificates = 1,       .index = 11},
	};
	char error[TLS_ERROR_SIZE] = "";
	struct tls_server *s;

	pems_make_once();
	chains[0].certificates[0] = tls_pem_config(&shop, "shop");
	if (rsa)
		chains[0].certificates[chains[0].n_certificates++] =
			tls_pem_config(&shop_rsa, "shop rsa");
	chains[1].certificates[0] = tls_pem_config(&wild, "wild");
	chains[2].certificates[0] = tls_pem_config(&wild, "wild");
	chains[4].certificates[0] = tls_pem_config(&fallback, "fallback");
	s = tls_server_new(&(struct tls_server_config){chains, with_nameless ? 5 : 4}, error);
	assert_string_equal(error, "");
	assert_non_null(s);
	return s;
}

// A connection, accepted, nothing moved yet.
static void rig_connect(struct rig *r, const struct tls_peer_options *options)
{
	struct stream *lower;

	r->pair = fake_pair_new();
	lower = fake_pair_end(r->pair, 0);
	free(r->owner.data);
	r->owner = (struct owner){.reads = true, .data = malloc(BIG * 2)};
	r->owner.s = tls_accept(r->w, r->server, &lower, on_event, &r->owner, r->now);
	assert_non_null(r->owner.s);
	assert_null(lower);
	tls_peer_init(&r->peer, fake_pair_end(r->pair, 1), options);
}

static void rig_disconnect(struct rig *r)
{
	stream_abort(&r->owner.s);
	tls_peer_fini(&r->peer);
	fake_pair_free(&r->pair);
}

static void rig_init(struct rig *r, uint32_t n_buffers)
{
	*r = (struct rig){.now = 5000000};
	r->timers = timer_wheel_new(r->now);
	r->w = tls_worker_new(&(struct tls_worker_config){.max_connections = 4,
		.n_buffers = n_buffers,
		.handshake_timeout_us = 15000000,
		.timers = r->timers,
		.stats = &r->stats});
	assert_non_null(r->w);
	r->server = server_new(true, false);
}

static void rig_fini(struct rig *r)
{
	rig_disconnect(r);
	assert_int_equal(r->stats.tls_connections_active, 0);
	assert_int_equal(r->stats.tls_buffers_in_use, 0);
	assert_int_equal(timer_wheel_n_armed(r->timers), 0);
	tls_server_unref(&r->server);
	tls_worker_free(&r->w);
	timer_wheel_free(&r->timers);
	free(r->owner.data);
}

static void rig_pump(struct rig *r)
{
	bool moved = true;

	for (unsigned i = 0; moved; i++) {
		assert_true(i < 200000);
		moved = tls_worker_turn(r->w, r->now);
		moved |= fake_pair_step(r->pair, r->now);
		if (fake_pair_fate(r->pair, 1) == FAKE_OPEN)
			moved |= tls_peer_step(&r->peer);
	}
}

static void rig_start(struct rig *r, const struct tls_peer_options *options)
{
	rig_init(r, 8);
	rig_connect(r, options);
	rig_pump(r);
}

static void rig_open(struct rig *r)
{
	rig_start(r, &(struct tls_peer_options){.sni = "shop.example"});
	assert_true(r->peer.connected);
	assert_true((r->owner.events & STREAM_CONNECTED) != 0);
	r->owner.events = 0;
}

static void fill_pattern(uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(i * 31 + (i >> 9));
}

static void expect_failure(struct rig *r, uint64_t *counter, const char *text)
{
	struct tls_info info;

	assert_int_equal(r->owner.events, STREAM_CLOSED);
	assert_int_equal(stream_error(r->owner.s), STREAM_ERROR_TLS_HANDSHAKE);
	tls_info_get(r->owner.s, &info);
	assert_non_null(info.failure);
	assert_non_null(strstr(info.failure, text));
	assert_null(strchr(info.failure, ' '));
	assert_int_equal(*counter, 1);
	assert_false(r->peer.connected);
	stream_close(&r->owner.s);
	rig_pump(r);
	rig_fini(r);
}

static void exchange(struct rig *r)
{
	char out[16];

	tls_peer_write(&r->peer, BYTES("ping"));
	r->owner.answer = BYTES("pong");
	rig_pump(r);
	assert_memory_equal(r->owner.data, "ping", 4);
	assert_int_equal(tls_peer_read(&r->peer, out, sizeof(out)), 4);
	assert_memory_equal(out, "pong", 4);
	assert_int_equal(r->owner.s->bytes_received, 4);
	assert_int_equal(r->owner.s->bytes_sent, 4);
}

static void both_versions_shake_hands_and_talk(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	static const char *const names[] = {"TLSv1.2", "TLSv1.3"};

	for (unsigned i = 0; i < 2; i++) {
		struct rig r;
		struct tls_info info;

		rig_start(&r,
			&(struct tls_peer_options){.sni = "Shop.EXAMPLE",
				.version = versions[i],
				.alpn = "\x08http/1.1\x02h2"});
		assert_true(r.peer.connected);
		tls_info_get(r.owner.s, &info);
		assert_string_equal(info.version, names[i]);
		assert_true(bytes_equal(info.sni, BYTES("shop.example")));
		assert_true(bytes_equal(info.alpn, BYTES("h2"))); // our order counts
		assert_int_equal(info.chain_index, 7);
		assert_null(info.failure);
		assert_non_null(strstr(info.cipher, "AES_128_GCM_SHA256") != NULL
				? info.cipher
				: strstr(info.cipher, "AES128-GCM-SHA256"));
		assert_int_equal(r.stats.tls_handshakes, 1);
		assert_ptr_equal(r.owner.s->ops->lower(r.owner.s), fake_pair_end(r.pair, 0));
		exchange(&r);
		rig_fini(&r);
	}
}

static void the_server_name_chooses_the_chain(void)
{
	static const struct {
		const char *sni;
		unsigned chain;
	} cases[] = {
		{"shop.example",   7 },
		{"SHOP.example",   7 },
		{"other.example",  8 },
		{"a.b.example",    8 },
		{"x.deep.example", 9 }, // the longest wildcard
		{"deep.example",   8 },
		{"example",        11}, // a star stands for at least one label
		{"elsewhere.test", 11},
		{NULL,             11},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;
		struct tls_info info;

		rig_start(&r, &(struct tls_peer_options){.sni = cases[i].sni});
		assert_true(r.peer.connected);
		tls_info_get(r.owner.s, &info);
		assert_int_equal(info.chain_index, cases[i].chain);
		rig_fini(&r);
	}
}

static void a_name_without_a_chain_is_refused(void)
{
	struct rig r;

	rig_init(&r, 8);
	tls_server_unref(&r.server);
	r.server = server_new(false, false);
	rig_connect(&r, &(struct tls_peer_options){.sni = "elsewhere.test"});
	rig_pump(&r);
	expect_failure(&r, &r.stats.tls_fail_no_chain, "filter_chain_not_found");
}

static void a_chain_without_its_secret_fails_handshakes(void)
{
	struct rig r;

	rig_start(&r, &(struct tls_peer_options){.sni = "empty.example"});
	expect_failure(&r, &r.stats.tls_fail_no_certificate, "Secret_is_not_supplied_by_SDS");
}

static void a_name_that_is_no_host_name_is_refused(void)
{
	static const char *const names[] = {"a\nb.example", "shop example", "caf\xc3\xa9.example",
		"\"quoted\".example", "[::1]"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct rig r;
		struct tls_info info;

		rig_start(&r, &(struct tls_peer_options){.sni = names[i]});
		tls_info_get(r.owner.s, &info);
		assert_int_equal(info.sni.len, 0);
		expect_failure(&r, &r.stats.tls_fail_bad_sni, "INVALID_SERVER_NAME");
	}
}

static void alpn_falls_back_as_envoy_does(void)
{
	static const struct {
		const char *sni, *offer, *agreed;
	} cases[] = {
		{"shop.example",  "\x02h2",             "h2"      },
		{"shop.example",  "\x08http/1.1",       "http/1.1"},
		{"shop.example",
                 "\x03"
			"foo",			  ""        },
		{"shop.example",  NULL,                 ""        },
		{"other.example", "\x02h2\x08http/1.1", "http/1.1"}, // the chain has no h2
		{"other.example", "\x02h2",             ""        },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;
		struct tls_info info;

		rig_start(&r,
			&(struct tls_peer_options){.sni = cases[i].sni, .alpn = cases[i].offer});
		assert_true(r.peer.connected);
		tls_info_get(r.owner.s, &info);
		assert_true(bytes_equal_str(info.alpn, cases[i].agreed));
		rig_fini(&r);
	}
}

static void a_chain_serves_rsa_and_ecdsa_clients(void)
{
	static const char *const ciphers[] = {
		"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"};

	for (unsigned i = 0; i < 2; i++) {
		struct rig r;
		struct tls_info info;

		rig_init(&r, 8);
		tls_server_unref(&r.server);
		r.server = server_new(true, true);
		rig_connect(&r,
			&(struct tls_peer_options){.sni = "shop.example",
				.version = TLS1_2_VERSION,
				.ciphers = ciphers[i]});
		rig_pump(&r);
		assert_true(r.peer.connected);
		tls_info_get(r.owner.s, &info);
		assert_string_equal(info.cipher, ciphers[i]);
		rig_fini(&r);
	}
}

static void a_client_without_a_common_cipher_is_told_and_counted(void)
{
	struct rig r;

	rig_start(&r,
		&(struct tls_peer_options){.sni = "shop.example",
			.version = TLS1_2_VERSION,
			.ciphers = "ECDHE-RSA-AES256-SHA384"});
	expect_failure(&r, &r.stats.tls_fail_cipher, ":NO_SHARED_CIPHER:TLS_error_end");
}

static void a_client_without_a_common_group_is_counted(void)
{
	struct rig r;

	rig_start(&r,
		&(struct tls_peer_options){
			.sni = "shop.example", .version = TLS1_3_VERSION, .groups = "P-521"});
	expect_failure(&r, &r.stats.tls_fail_parameters, "NO_SUITABLE_KEY_SHARE");
}

static void a_chain_that_wants_1_3_refuses_1_2(void)
{
	struct rig r;
	struct tls_chain_config chain = {.n_certificates = 1, .min_version = TLS_VERSION_1_3};
	char error[TLS_ERROR_SIZE];

	rig_init(&r, 8);
	chain.certificates[0] = tls_pem_config(&shop, "shop");
	tls_server_unref(&r.server);
	r.server = tls_server_new(&(struct tls_server_config){&chain, 1}, error);
	rig_connect(&r, &(struct tls_peer_options){.version = TLS1_2_VERSION});
	rig_pump(&r);
	expect_failure(&r, &r.stats.tls_fail_version, "UNSUPPORTED_PROTOCOL");
}

static void plain_http_on_a_tls_port_is_named(void)
{
	struct rig r;

	rig_init(&r, 8);
	rig_connect(&r, &(struct tls_peer_options){0});
	fake_put(r.peer.end, BYTES("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
	fake_pair_pump(r.pair, r.now);
	expect_failure(&r, &r.stats.tls_fail_plaintext, ":HTTP_REQUEST:");
}

static void garbage_is_no_tls(void)
{
	struct rig r;

	rig_init(&r, 8);
	rig_connect(&r, &(struct tls_peer_options){0});
	fake_put(r.peer.end, BYTES("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"));
	fake_pair_pump(r.pair, r.now);
	expect_failure(&r, &r.stats.tls_fail_not_tls, "WRONG_VERSION_NUMBER");
}

static void a_hello_that_announces_too_much_costs_nothing(void)
{
	struct rig r;

	rig_init(&r, 8);
	rig_connect(&r, &(struct tls_peer_options){0});
	fake_put(r.peer.end, BYTES("\x16\x03\x01\x40\x00\x01\x01\x00\x00"));
	fake_pair_pump(r.pair, r.now);
	expect_failure(&r, &r.stats.tls_fail_hello_too_large, "EXCESSIVE_MESSAGE_SIZE");
}

static void a_client_that_leaves_during_the_handshake_is_counted(void)
{
	static const struct bytes starts[] = {
		{NULL,							    0 },
                {(const uint8_t *)"\x16\x03\x01\x01",                             4 },
		{(const uint8_t *)"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03", 11}
        };

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		for (unsigned reset = 0; reset < 2; reset++) {
			struct rig r;

			rig_init(&r, 8);
			rig_connect(&r, &(struct tls_peer_options){0});
			fake_put(r.peer.end, starts[i]);
			fake_pair_pump(r.pair, r.now);
			assert_int_equal(r.owner.events, 0);
			if (reset)
				stream_abort(&r.peer.end);
			else
				stream_close(&r.peer.end);
			fake_pair_pump(r.pair, r.now);
			expect_failure(&r, &r.stats.tls_fail_closed, "UNEXPECTED_EOF");
		}
	}
}

static void bytes_that_trickle_do_not_extend_the_handshake(void)
{
	struct rig r;

	rig_init(&r, 8);
	rig_connect(&r, &(struct tls_peer_options){0});
	for (unsigned i = 0; i < 14; i++) {
		fake_put(r.peer.end, BYTES("\x16"));
		fake_pair_pump(r.pair, r.now);
		r.now += 1000000;
		timer_wheel_run(r.timers, r.now, 100);
		if (i == 8)
			break; // a ninth byte would be an answerable record
	}
	r.now += 7000000;
	timer_wheel_run(r.timers, r.now, 100);
	assert_int_equal(r.owner.n_closed, 1);
	rig_fini(&r);
}

static void a_silent_client_times_out(void)
{
	struct rig r;

	rig_init(&r, 8);
	rig_connect(&r, &(struct tls_peer_options){0});
	r.now += 14000000;
	timer_wheel_run(r.timers, r.now, 100);
	assert_int_equal(r.owner.events, 0);
	r.now += 2000000;
	timer_wheel_run(r.timers, r.now, 100);
	assert_int_equal(r.owner.events, STREAM_CLOSED);
	assert_int_equal(stream_error(r.owner.s), STREAM_ERROR_CONNECT_TIMEOUT);
	assert_int_equal(r.stats.tls_fail_timeout, 1);
	rig_fini(&r);
}

static void a_client_that_distrusts_us_is_counted(void)
{
	struct rig r;

	rig_init(&r, 8);
	rig_connect(&r, &(struct tls_peer_options){.sni = "shop.example"});
	SSL_set_verify(r.peer.ssl, SSL_VERIFY_PEER, NULL);
	rig_pump(&r);
	assert_int_equal(r.stats.tls_fail_client_alert + r.stats.tls_error_client_alert, 1);
	assert_int_equal(r.owner.n_closed, 1);
	rig_fini(&r);
}

static void bytes_may_be_split_anywhere(void)
{
	for (size_t piece = 1; piece < 40; piece += piece < 12 ? 1 : 9) {
		struct rig r;

		rig_init(&r, 8);
		rig_connect(&r, &(struct tls_peer_options){.sni = "shop.example"});
		fake_set_piece(fake_pair_end(r.pair, 0), piece);
		fake_set_piece(fake_pair_end(r.pair, 1), piece);
		rig_pump(&r);
		assert_true(r.peer.connected);
		exchange(&r);
		rig_fini(&r);
	}
}

// Both directions carry BIG bytes through small rooms below.
static void large_bodies_cross_small_buffers(void)
{
	static const size_t rooms[] = {100, 333, 1500, 5000, 70000};
	uint8_t *sent = malloc(BIG), *got = malloc(BIG);

	fill_pattern(sent, BIG);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		size_t total = rooms[i] < 1000 ? 20000 : BIG, written = 0, received = 0;
		struct rig r;

		rig_init(&r, 8);
		rig_connect(&r, &(struct tls_peer_options){.sni = "shop.example"});
		fake_set_room(fake_pair_end(r.pair, 0), rooms[i]);
		fake_set_room(fake_pair_end(r.pair, 1), rooms[i]);
		rig_pump(&r);
		assert_true(r.peer.connected);
		tls_peer_write(&r.peer, bytes_of(sent, total));
		for (unsigned turn = 0; received < total; turn++) {
			assert_true(turn < 100000);
			written += stream_write(
				r.owner.s, bytes_of(sent + written, total - written), true);
			tls_worker_turn(r.w, r.now);
			fake_pair_step(r.pair, r.now);
			received += tls_peer_read(&r.peer, got + received, total - received);
			tls_peer_step(&r.peer);
		}
		rig_pump(&r);
		assert_memory_equal(got, sent, total);
		assert_int_equal(r.owner.len, total);
		assert_memory_equal(r.owner.data, sent, total);
		assert_int_equal(r.stats.tls_short_writes > 0, rooms[i] < 1000); // only the flight
		rig_fini(&r);
	}
	free(sent);
	free(got);
}

static void what_is_not_consumed_stays_below(void)
{
	struct rig r;
	uint8_t *sent = malloc(BIG);

	fill_pattern(sent, BIG);
	rig_open(&r);
	r.owner.reads = false;
	tls_peer_write(&r.peer, bytes_of(sent, BIG));
	rig_pump(&r);
	assert_true((r.owner.events & STREAM_READABLE) != 0);
	assert_in_range(stream_readable(r.owner.s), 1, 32768);
	assert_int_equal(r.stats.tls_buffers_in_use, 1);
	assert_int_equal(stream_room(r.peer.end), 0); // the client is held back
	r.owner.reads = true;
	stream_want_read(r.owner.s);
	rig_pump(&r);
	assert_int_equal(r.owner.len, BIG);
	assert_memory_equal(r.owner.data, sent, BIG);
	assert_int_equal(r.stats.tls_buffers_in_use, 0);
	free(sent);
	rig_fini(&r);
}

// An HTTP/1 head of 60 KB that is only consumed as a whole.
static void an_owner_that_looks_past_the_end_gets_a_large_head(void)
{
	size_t total = 60000, seen = 0;
	uint8_t *sent = malloc(total);
	struct rig r;

	fill_pattern(sent, total);
	rig_open(&r);
	r.owner.reads = false;
	tls_peer_write(&r.peer, bytes_of(sent, total));
	for (unsigned i = 0; i < 100 && seen < total; i++) {
		struct bytes b;

		rig_pump(&r);
		while ((b = stream_peek_at(r.owner.s, seen)).len > 0) {
			assert_memory_equal(b.ptr, sent + seen, b.len);
			seen += b.len;
		}
	}
	assert_int_equal(seen, total);
	stream_consume(r.owner.s, total);
	assert_int_equal(r.stats.tls_buffers_in_use, 0);
	free(sent);
	rig_fini(&r);
}

static void small_writes_of_a_turn_share_a_record(void)
{
	struct rig r;
	char out[64];

	rig_open(&r);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(stream_write(r.owner.s, BYTES("abcd"), false), 4);
	assert_int_equal(r.stats.tls_records_sent, 0);
	assert_true(stream_unsent(r.owner.s) >= 40);
	rig_pump(&r);
	assert_int_equal(r.stats.tls_records_sent, 1);
	assert_int_equal(tls_peer_read(&r.peer, out, sizeof(out)), 40);
	rig_fini(&r);
}

// RFC 8446 lets us choose; a browser can show the first bytes before 16 KB are there.
static void records_start_small_grow_and_shrink_after_a_pause(void)
{
	uint8_t *sent = malloc(BIG), *got = malloc(BIG);
	struct rig r;

	fill_pattern(sent, BIG);
	rig_open(&r);
	fake_set_room(fake_pair_end(r.pair, 0), BIG * 2);
	assert_int_equal(stream_write(r.owner.s, bytes_of(sent, 13000), false), 13000);
	rig_pump(&r);
	assert_int_equal(r.stats.tls_records_sent, 10);
	assert_int_equal(stream_write(r.owner.s, bytes_of(sent, 130000), false), 130000);
	rig_pump(&r);
	tls_peer_read(&r.peer, got, BIG);
	r.stats.tls_records_sent = 0;
	assert_int_equal(stream_write(r.owner.s, bytes_of(sent, 65536), false), 65536);
	rig_pump(&r);
	assert_int_equal(r.stats.tls_records_sent, 4);
	tls_peer_read(&r.peer, got, BIG);
	r.now += 1500000;
	r.stats.tls_records_sent = 0;
	assert_int_equal(stream_write(r.owner.s, bytes_of(sent, 2600), false), 2600);
	rig_pump(&r);
	assert_int_equal(r.stats.tls_records_sent, 2);
	free(sent);
	free(got);
	rig_fini(&r);
}

static void room_is_kept_and_writable_comes(void)
{
	uint8_t *sent = malloc(BIG), *got = malloc(BIG);
	struct rig r;
	size_t room, n;

	fill_pattern(sent, BIG);
	rig_open(&r);
	fake_set_room(fake_pair_end(r.pair, 0), 10000);
	room = stream_room(r.owner.s);
	assert_in_range(room, 9000, 9999);
	n = stream_write(r.owner.s, bytes_of(sent, BIG), false);
	assert_int_equal(n, room);
	assert_true(stream_room(r.owner.s) < 100);
	r.owner.events = 0;
	for (unsigned i = 0; i < 5; i++) {
		fake_pair_step(r.pair, r.now);
		tls_worker_turn(r.w, r.now);
	}
	assert_int_equal(r.owner.events, 0);
	assert_int_equal(stream_readable(r.peer.end), n + (n + 1299) / 1300 * 22);
	// More than can ever be free: the most there is has to do.
	stream_want_write(r.owner.s, 1 << 20);
	assert_int_equal(tls_peer_read(&r.peer, got, BIG), n);
	assert_memory_equal(got, sent, n);
	rig_pump(&r);
	assert_int_equal(r.owner.events, STREAM_WRITABLE);
	assert_int_equal(stream_room(r.owner.s), room);
	assert_int_equal(r.stats.tls_short_writes, 0);
	free(sent);
	free(got);
	rig_fini(&r);
}

// The lower stream takes less than it had room for: its packet buffers ran out.
static void a_record_that_is_cut_short_below_is_finished_later(void)
{
	uint8_t sent[5000], got[5000];

	fill_pattern(sent, sizeof(sent));
	for (unsigned closing = 0; closing < 2; closing++) {
		struct rig r;
		size_t n = 0;

		rig_open(&r);
		assert_int_equal(
			stream_write(r.owner.s, bytes_of(sent, sizeof(sent)), false), 5000);
		fake_set_room(fake_pair_end(r.pair, 0), 700); // after room() was asked
		if (closing)
			stream_close(&r.owner.s);
		for (unsigned i = 0; i < 100; i++) {
			tls_worker_turn(r.w, r.now);
			fake_pair_step(r.pair, r.now);
			n += tls_peer_read(&r.peer, got + n, sizeof(got) - n);
		}
		assert_int_equal(n, 5000);
		assert_memory_equal(got, sent, n);
		assert_true(r.stats.tls_short_writes > 0);
		assert_int_equal(r.stats.tls_lingers, closing);
		if (closing) {
			tls_peer_read(&r.peer, got, 1);
			assert_true(r.peer.ended);
			assert_int_equal(fake_pair_fate(r.pair, 0), FAKE_CLOSED);
		} else {
			assert_true(stream_room(r.owner.s) > 0);
		}
		rig_fini(&r);
	}
}

static void a_close_that_cannot_finish_is_given_up(void)
{
	uint8_t sent[5000] = {0};
	struct rig r;

	rig_open(&r);
	assert_int_equal(stream_write(r.owner.s, bytes_of(sent, sizeof(sent)), false), 5000);
	fake_set_room(fake_pair_end(r.pair, 0), 700);
	stream_close(&r.owner.s);
	fake_pair_pump(r.pair, r.now);
	assert_int_equal(fake_pair_fate(r.pair, 0), FAKE_OPEN);
	r.now += 16000000;
	timer_wheel_run(r.timers, r.now, 10);
	assert_int_equal(fake_pair_fate(r.pair, 0), FAKE_ABORTED);
	assert_int_equal(r.stats.tls_linger_timeouts, 1);
	rig_fini(&r);
}

static void close_notify_ends_reading_but_not_writing(void)
{
	struct rig r;
	char out[8];

	rig_open(&r);
	tls_peer_write(&r.peer, BYTES("bye"));
	tls_peer_shutdown(&r.peer);
	rig_pump(&r);
	assert_int_equal(r.owner.len, 3);
	assert_true(stream_read_ended(r.owner.s));
	assert_int_equal(r.owner.n_closed, 0);
	assert_int_equal(stream_write(r.owner.s, BYTES("answer"), false), 6);
	rig_pump(&r);
	assert_int_equal(tls_peer_read(&r.peer, out, sizeof(out)), 6);
	stream_close(&r.owner.s);
	rig_pump(&r);
	tls_peer_read(&r.peer, out, sizeof(out));
	assert_true(r.peer.ended);
	assert_int_equal(fake_pair_fate(r.pair, 0), FAKE_CLOSED);
	rig_fini(&r);
}

static void shutdown_ends_writing_but_not_reading(void)
{
	struct rig r;
	char out[8];

	rig_open(&r);
	assert_int_equal(stream_write(r.owner.s, BYTES("last"), true), 4);
	stream_shutdown(r.owner.s);
	assert_int_equal(stream_room(r.owner.s), 0);
	assert_int_equal(stream_write(r.owner.s, BYTES("more"), false), 0);
	rig_pump(&r);
	assert_true(fake_pair_is_shut(r.pair, 0));
	assert_int_equal(tls_peer_read(&r.peer, out, sizeof(out)), 4);
	assert_true(r.peer.ended);
	tls_peer_write(&r.peer, BYTES("still"));
	rig_pump(&r);
	assert_int_equal(r.owner.len, 5);
	rig_fini(&r);
}

static void a_fin_without_close_notify_is_truncation(void)
{
	struct rig r;

	rig_open(&r);
	tls_peer_write(&r.peer, BYTES("half a requ"));
	stream_close(&r.peer.end);
	fake_pair_pump(r.pair, r.now);
	assert_int_equal(r.owner.events, STREAM_READABLE | STREAM_CLOSED);
	assert_int_equal(stream_error(r.owner.s), STREAM_ERROR_TLS_TRUNCATED);
	assert_int_equal(r.owner.len, 11);
	assert_false(stream_read_ended(r.owner.s));
	assert_int_equal(r.stats.tls_truncated, 1);
	rig_fini(&r);
}

static void a_reset_keeps_what_was_received(void)
{
	struct rig r;

	rig_open(&r);
	r.owner.reads = false;
	tls_peer_write(&r.peer, BYTES("request"));
	rig_pump(&r);
	stream_abort(&r.peer.end);
	fake_pair_pump(r.pair, r.now);
	assert_int_equal(r.owner.n_closed, 1);
	assert_int_equal(stream_error(r.owner.s), STREAM_ERROR_RESET);
	assert_true(bytes_equal(stream_peek(r.owner.s), BYTES("request")));
	assert_int_equal(stream_write(r.owner.s, BYTES("x"), false), 0);
	rig_fini(&r);
}

static void a_damaged_record_breaks_the_connection(void)
{
	struct rig r;
	uint8_t record[64];
	size_t n;

	rig_open(&r);
	SSL_write(r.peer.ssl, "secret", 6);
	n = (size_t)BIO_read(r.peer.out, record, sizeof(record));
	record[n - 1] ^= 1;
	fake_put(r.peer.end, bytes_of(record, n));
	fake_pair_pump(r.pair, r.now);
	assert_int_equal(r.owner.n_closed, 1);
	assert_int_equal(stream_error(r.owner.s), STREAM_ERROR_TLS_PROTOCOL);
	assert_int_equal(r.owner.len, 0);
	assert_int_equal(r.stats.tls_error_bad_record, 1);
	rig_fini(&r);
}

static void renegotiation_is_refused(void)
{
	struct rig r;
	char out[8];

	rig_start(&r, &(struct tls_peer_options){.sni = "shop.example", .version = TLS1_2_VERSION});
	assert_true(r.peer.connected);
	assert_int_equal(SSL_renegotiate(r.peer.ssl), 1);
	SSL_do_handshake(r.peer.ssl);
	tls_peer_step(&r.peer);
	rig_pump(&r);
	tls_peer_read(&r.peer, out, sizeof(out));
	assert_int_equal(r.stats.tls_handshakes, 1);
	rig_fini(&r);
}

static void key_updates_go_unnoticed(void)
{
	struct rig r;

	rig_open(&r);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(SSL_key_update(r.peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(r.peer.ssl), 1);
		rig_pump(&r);
	}
	exchange(&r);
	rig_fini(&r);
}

// Both versions: on the same chain a ticket resumes, on another one it does not, and it survives a reload.
static void sessions_resume_on_their_own_chain_only(void)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (unsigned i = 0; i < 2; i++) {
		static const struct {
			const char *sni;
			bool resumes;
		} cases[] = {
			{"shop.example",   true },
                        {"other.example",  false},
			{"elsewhere.test", false}
                };
		struct rig r;
		char out[8];
		SSL_SESSION *session;

		rig_start(&r,
			&(struct tls_peer_options){.sni = "shop.example", .version = versions[i]});
		tls_peer_read(&r.peer, out, sizeof(out));
		session = r.peer.session;
		assert_non_null(session);
		r.peer.session = NULL;
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
			struct tls_info info;

			rig_disconnect(&r);
			tls_server_unref(&r.server);
			r.server = server_new(true, false); // a reload
			// The client would refuse to offer a session under another name of its own accord.
			SSL_SESSION_set1_hostname(session, cases[j].sni);
			rig_connect(&r,
				&(struct tls_peer_options){.sni = cases[j].sni,
					.version = versions[i],
					.session = session});
			rig_pump(&r);
			assert_true(r.peer.connected);
			tls_info_get(r.owner.s, &info);
			assert_int_equal(info.session_reused, cases[j].resumes);
		}
		assert_int_equal(r.stats.tls_handshakes_resumed, 1);
		SSL_SESSION_free(session);
		rig_fini(&r);
	}
}

static void an_empty_pool_of_connections_leaves_the_stream_to_its_owner(void)
{
	struct rig r;
	struct fake_pair *pairs[4];
	struct stream *streams[4] = {NULL}, *lower;

	rig_open(&r);
	for (unsigned i = 0; i < 4; i++) {
		pairs[i] = fake_pair_new();
		lower = fake_pair_end(pairs[i], 0);
		streams[i] = tls_accept(r.w, r.server, &lower, NULL, NULL, r.now);
		assert_int_equal(streams[i] == NULL, i == 3);
		assert_int_equal(lower == NULL, i != 3);
	}
	assert_int_equal(r.stats.tls_refused_full, 1);
	assert_int_equal(r.stats.tls_connections_active, 4);
	for (unsigned i = 0; i < 4; i++) {
		stream_abort(&streams[i]);
		fake_pair_free(&pairs[i]);
	}
	rig_fini(&r);
}

static void a_connection_without_a_buffer_waits_for_one(void)
{
	struct rig r;
	struct owner first;
	struct fake_pair *first_pair;
	struct tls_peer first_peer;
	char out[8];

	rig_init(&r, 1);
	rig_connect(&r, &(struct tls_peer_options){.sni = "shop.example"});
	rig_pump(&r);
	r.owner.reads = false;
	tls_peer_write(&r.peer, BYTES("hoard"));
	rig_pump(&r);
	assert_int_equal(r.stats.tls_buffers_in_use, 1);
	// A second connection, with nothing left to decrypt into or to gather writes in.
	first = r.owner;
	first_pair = r.pair;
	first_peer = r.peer;
	stream_set_owner(first.s, NULL, NULL);
	SSL_set_app_data(first_peer.ssl, &first_peer);
	r.owner.data = NULL;
	rig_connect(&r, &(struct tls_peer_options){.sni = "shop.example"});
	for (unsigned i = 0; i < 10; i++) {
		fake_pair_step(r.pair, r.now);
		tls_worker_turn(r.w, r.now);
		tls_peer_step(&r.peer);
	}
	assert_true(r.peer.connected);
	tls_peer_write(&r.peer, BYTES("hello"));
	assert_int_equal(stream_write(r.owner.s, BYTES("direct"), false), 6);
	for (unsigned i = 0; i < 10; i++) {
		fake_pair_step(r.pair, r.now);
		assert_true(tls_worker_turn(r.w, r.now) || i == 0);
	}
	assert_int_equal(r.owner.len, 0);
	assert_true(r.stats.tls_read_waits > 0);
	assert_int_equal(r.stats.tls_write_direct, 1);
	assert_int_equal(tls_peer_read(&r.peer, out, sizeof(out)), 6);
	stream_consume(first.s, 5);
	rig_pump(&r);
	assert_int_equal(r.owner.len, 5);
	stream_abort(&first.s);
	tls_peer_fini(&first_peer);
	fake_pair_free(&first_pair);
	free(first.data);
	rig_fini(&r);
}

static void an_owner_may_give_the_stream_back_inside_any_event(void)
{
	static const unsigned events[] = {STREAM_CONNECTED, STREAM_READABLE};

	for (unsigned i = 0; i < 4; i++) {
		struct rig r;

		rig_init(&r, 8);
		rig_connect(&r, &(struct tls_peer_options){.sni = "shop.example"});
		if (i & 1)
			r.owner.abort_on = events[i / 2];
		else
			r.owner.close_on = events[i / 2];
		rig_pump(&r);
		tls_peer_write(&r.peer, BYTES("hello"));
		rig_pump(&r);
		assert_null(r.owner.s);
		assert_int_equal(fake_pair_fate(r.pair, 0), i & 1 ? FAKE_ABORTED : FAKE_CLOSED);
		assert_int_equal(r.stats.tls_connections_active, 0);
		rig_fini(&r);
	}
}

static void an_owner_may_close_inside_closed(void)
{
	struct rig r;

	rig_init(&r, 8);
	rig_connect(&r, &(struct tls_peer_options){.sni = "empty.example"});
	r.owner.close_on = STREAM_CLOSED;
	rig_pump(&r);
	assert_null(r.owner.s);
	assert_int_equal(r.peer.error, SSL_ERROR_SSL); // the alert has come
	rig_fini(&r);
}

// One turn has a limited number of signatures; the rest come in the next turns.
static void many_handshakes_are_spread_over_turns(void)
{
	enum { N = 20 };
	struct rig r;
	struct fake_pair *pairs[N];
	struct tls_peer peers[N];
	struct stream *streams[N];
	unsigned answered = 0;

	rig_init(&r, 8);
	tls_worker_free(&r.w);
	r.w = tls_worker_new(&(struct tls_worker_config){.max_connections = N + 1,
		.handshake_timeout_us = 15000000,
		.timers = r.timers,
		.stats = &r.stats});
	for (unsigned i = 0; i < N; i++) {
		struct stream *lower;

		pairs[i] = fake_pair_new();
		lower = fake_pair_end(pairs[i], 0);
		streams[i] = tls_accept(r.w, r.server, &lower, NULL, NULL, r.now);
		tls_peer_init(&peers[i], fake_pair_end(pairs[i], 1),
			&(struct tls_peer_options){.sni = "shop.example"});
		tls_peer_step(&peers[i]);
	}
	for (unsigned i = 0; i < N; i++) {
		fake_pair_pump(pairs[i], r.now);
		answered += stream_readable(peers[i].end) > 0;
	}
	assert_int_equal(answered, 16);
	assert_int_equal(r.stats.tls_handshakes_delayed, 4);
	for (unsigned turn = 0; turn < 5; turn++) {
		tls_worker_turn(r.w, r.now);
		for (unsigned i = 0; i < N; i++) {
			fake_pair_pump(pairs[i], r.now);
			tls_peer_step(&peers[i]);
		}
	}
	assert_int_equal(r.stats.tls_handshakes, N);
	for (unsigned i = 0; i < N; i++) {
		stream_abort(&streams[i]);
		tls_peer_fini(&peers[i]);
		fake_pair_free(&pairs[i]);
	}
	rig_connect(&r, &(struct tls_peer_options){0});
	rig_fini(&r);
}

static void an_old_server_lives_as_long_as_its_connections(void)
{
	struct rig r;

	rig_open(&r);
	tls_server_unref(&r.server);
	r.server = server_new(true, false);
	exchange(&r);
	rig_fini(&r);
}

TESTS(TEST(both_versions_shake_hands_and_talk), TEST(the_server_name_chooses_the_chain),
	TEST(a_name_without_a_chain_is_refused), TEST(a_chain_without_its_secret_fails_handshakes),
	TEST(a_name_that_is_no_host_name_is_refused), TEST(alpn_falls_back_as_envoy_does),
	TEST(a_chain_serves_rsa_and_ecdsa_clients),
	TEST(a_client_without_a_common_cipher_is_told_and_counted),
	TEST(a_client_without_a_common_group_is_counted), TEST(a_chain_that_wants_1_3_refuses_1_2),
	TEST(plain_http_on_a_tls_port_is_named), TEST(garbage_is_no_tls),
	TEST(a_hello_that_announces_too_much_costs_nothing),
	TEST(a_client_that_leaves_during_the_handshake_is_counted),
	TEST(bytes_that_trickle_do_not_extend_the_handshake), TEST(a_silent_client_times_out),
	TEST(a_client_that_distrusts_us_is_counted), TEST(bytes_may_be_split_anywhere),
	TEST(large_bodies_cross_small_buffers), TEST(what_is_not_consumed_stays_below),
	TEST(an_owner_that_looks_past_the_end_gets_a_large_head),
	TEST(small_writes_of_a_turn_share_a_record),
	TEST(records_start_small_grow_and_shrink_after_a_pause),
	TEST(room_is_kept_and_writable_comes),
	TEST(a_record_that_is_cut_short_below_is_finished_later),
	TEST(a_close_that_cannot_finish_is_given_up),
	TEST(close_notify_ends_reading_but_not_writing),
	TEST(shutdown_ends_writing_but_not_reading), TEST(a_fin_without_close_notify_is_truncation),
	TEST(a_reset_keeps_what_was_received), TEST(a_damaged_record_breaks_the_connection),
	TEST(renegotiation_is_refused), TEST(key_updates_go_unnoticed),
	TEST(sessions_resume_on_their_own_chain_only),
	TEST(an_empty_pool_of_connections_leaves_the_stream_to_its_owner),
	TEST(a_connection_without_a_buffer_waits_for_one),
	TEST(an_owner_may_give_the_stream_back_inside_any_event),
	TEST(an_owner_may_close_inside_closed), TEST(many_handshakes_are_spread_over_turns),
	TEST(an_old_server_lives_as_long_as_its_connections))
