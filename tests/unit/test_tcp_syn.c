// Handshakes of listeners: the SYN cache, and cookies when it is full.

#include "tests/unit/tcp_rig.h"

// The options of the SYN-ACK that was sent last; the rig takes its number and timestamp over.
static struct tcp_options take_syn_ack(struct rig *r)
{
	const struct rte_tcp_hdr *h = r->net.sent[r->net.n_taken]->buf_addr;
	struct tcp_options opt;

	tcp_options_parse(bytes_of(h + 1, (size_t)(h->data_off >> 4) * 4 - 20), &opt);
	tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0));
	return opt;
}

// 'n' SYNs of others, from ports that nobody else uses.
static void flood(struct rig *r, unsigned n)
{
	struct ip_endpoint client = r->peer;
	uint32_t iss = r->iss;

	for (unsigned i = 0; i < n; i++) {
		r->peer.port = (uint16_t)(50000 + i);
		rx(r, SEG(.flags = F_SYN, .seq = 0));
		tx_skip(r);
	}
	r->peer = client;
	r->iss = iss;
}

// A client that comes when the listener's two places are taken, and gets through by a cookie.
static void connect_by_cookie(struct rig *r, struct rig_options options)
{
	options.max_half_open = 2;
	rig_init(r, &options);
	flood(r, 2);
	rx(r, SEG(.flags = F_SYN, .seq = 0));
	take_syn_ack(r);
	assert_int_equal(r->stats.tcp_syn_cookies_sent, 1);
	rx(r, SEG(.seq = 1, .ack = 1));
	assert_int_equal(r->stats.tcp_syn_cookies_accepted, 1);
	assert_int_equal(r->n_accepted, 1);
	rig_find_conn(r);
	assert_int_equal(r->conn->state, TCP_ESTABLISHED);
}

static void a_syn_makes_no_connection(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1, .mss = 1460));
	assert_int_equal(tcp_n_connections(&r.net), 0);
	assert_int_equal(r.stats.tcp_state_syn_received, 1);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "early"));
	assert_int_equal(tcp_n_connections(&r.net), 1);
	assert_int_equal(r.stats.tcp_state_syn_received, 0);
	assert_int_equal(r.stats.tcp_state_established, 1);
	rig_read(&r, "early"); // the last ACK brought data
	rig_fini(&r);
}

static void the_answer_is_repeated_and_then_given_up(void)
{
	static const double at[] = {1000, 3000, 7000, 15000};
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	for (unsigned i = 0; i < 4; i++) {
		rig_at(&r, at[i] - 1);
		tx_none(&r);
		rig_at(&r, at[i] + 1);
		tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	}
	assert_int_equal(r.stats.tcp_retransmit_syn, 4);
	rig_at(&r, 31100);
	assert_int_equal(r.stats.tcp_timeout_half_open, 1);
	assert_int_equal(r.stats.tcp_state_syn_received, 0);
	rx(&r, SEG(.seq = 1, .ack = 1)); // far too late
	tx(&r, SEG(.flags = F_RST, .seq = 1));
	rig_done(&r);
}

// RFC 6298, 3 (Karn): an answer that was sent twice tells nothing of the round trip.
static void the_round_trip_of_a_repeated_answer_is_not_measured(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	rig_at(&r, 300);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	rig_at(&r, 310);
	rx(&r, SEG(.seq = 1, .ack = 1));
	rig_find_conn(&r);
	assert_int_equal(r.conn->srtt_us, 0);
	assert_int_equal(r.conn->cwnd, 14600); // it was the peer that was impatient, not the timer
	rig_fini(&r);

	rig_init(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	rig_at(&r, 1100);
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	rx(&r, SEG(.seq = 1, .ack = 1));
	rig_find_conn(&r);
	assert_int_equal(r.conn->srtt_us, 0);
	assert_int_equal(r.conn->cwnd, 1460); // RFC 5681, 3.1: the path loses packets
	rig_fini(&r);
}

static void a_stopped_listener_ends_the_handshakes_it_has_begun(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
	assert_int_equal(tcp_count_unowned(&r.net).n_half_open, 1);
	tcp_stop_listening(r.listener);
	rx(&r, SEG(.seq = 1, .ack = 1, .len = 10));
	rig_find_conn(&r);
	assert_int_equal(r.conn->state, TCP_ESTABLISHED);
	assert_non_null(r.stream);
	assert_int_equal(tcp_count_unowned(&r.net).n_half_open, 0);
	rig_fini(&r);

	rig_init(&r, &(struct rig_options){0});
	tcp_stop_listening(r.listener);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_RST | F_ACK, .ack = 1));
	assert_int_equal(r.stats.tcp_drop_closed_port, 1);
	rig_done(&r);
}

static void handshakes_end_with_their_listener(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_half_open = 2});
	flood(&r, 2);
	tcp_unlisten(&r.net, &r.listener);
	tx(&r, SEG(.flags = F_RST | F_ACK));
	tx(&r, SEG(.flags = F_RST | F_ACK));
	assert_int_equal(r.stats.tcp_reset_unlisten, 2);
	rx(&r, SEG(.flags = F_SYN, .seq = 0)); // nobody listens any more
	tx(&r, SEG(.flags = F_RST | F_ACK, .ack = 1));
	rig_done(&r);
}

static void beyond_the_limit_cookies_are_sent_and_nothing_kept(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_half_open = 2, .max_connections = 16});
	flood(&r, 100);
	assert_int_equal(r.stats.tcp_syn_cookies_sent, 98);
	assert_int_equal(r.stats.tcp_state_syn_received, 2);
	assert_int_equal(tcp_n_connections(&r.net), 0);
	rig_after(&r, 40000);
	tx_skip(&r);
	rig_done(&r);
}

// The same when many listeners share the cache.
static void a_full_cache_sends_cookies(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_half_open = 1000, .max_connections = 16});
	flood(&r, 20);
	assert_int_equal(r.stats.tcp_syn_cookies_sent, 4);
	rig_after(&r, 40000);
	tx_skip(&r);
	rig_done(&r);
}

static void a_client_gets_through_a_flood_with_all_its_options(void)
{
	struct rig r;

	connect_by_cookie(&r,
		(struct rig_options){.timestamps = true, .sack = true, .scale = 7, .mss = 1440});
	assert_int_equal(r.conn->peer_mss, 1440);
	assert_int_equal(r.conn->mss, 1440 - 12);
	assert_true(r.conn->flags & TCP_F_TIMESTAMP);
	assert_true(r.conn->flags & TCP_F_SACK);
	assert_true(r.conn->flags & TCP_F_SCALE);
	assert_int_equal(r.conn->send_scale, 7);
	assert_int_equal(r.conn->snd_wnd, 65535u << 7);
	assert_int_equal(r.conn->srtt_us, 0);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "GET"));
	rig_read(&r, "GET");
	tx(&r, SEG(.seq = 1, .ack = 4)); // a cookie promises little: the window opens now
	assert_int_equal(rig_write(&r, 5), 5);
	tx(&r, SEG(.seq = 1, .ack = 4, .len = 5));
	rig_fini(&r);
}

static void without_timestamps_a_cookie_keeps_the_mss(void)
{
	struct rig r;

	rig_init(&r,
		&(struct rig_options){.max_half_open = 1, .sack = true, .scale = 7, .mss = 1400});
	flood(&r, 1);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	struct tcp_options opt = take_syn_ack(&r);

	assert_false(opt.has_scale); // what cannot be kept is not offered
	assert_false(opt.has_sack_ok);
	assert_false(opt.has_timestamp);
	rx(&r, SEG(.seq = 1, .ack = 1, .data = "x"));
	rig_find_conn(&r);
	assert_int_equal(r.conn->mss, 1360); // the table's next lower
	assert_int_equal(r.conn->snd_wnd, 65535);
	assert_false(r.conn->flags & (TCP_F_SCALE | TCP_F_SACK | TCP_F_TIMESTAMP));
	rig_fini(&r);
}

static void every_mss_is_rounded_down(void)
{
	static const struct {
		uint16_t said, kept;
	} cases[] = {
		{0,     536 }, // RFC 9293, MUST-15
		{64,    64  },
		{500,   64  },
		{536,   536 },
		{1023,  536 },
		{1220,  1220},
		{1439,  1360},
		{1440,  1440},
		{1460,  1460},
		{8959,  1460},
		{65535, 8960},
	};
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tcp_handshake h = {.local = r.here,
			.remote = r.peer,
			.irs = 77 + i,
			.mtu = 1500,
			.opt = {.mss = cases[i].said}};
		struct tcp_segment ack = {.flags = F_ACK};

		tcp_cookie_send(r.net.tcp, &h, r.now_us);
		ack.seq = h.irs + 1;
		ack.ack = h.iss + 1;
		assert_true(tcp_cookie_accept(r.net.tcp, &ack, &h, r.now_us));
		assert_int_equal(h.opt.mss, cases[i].kept);
	}
	tx_skip(&r);
	rig_done(&r);
}

// Every scale and SACK come back from the timestamp, which never runs ahead of the clock.
static void options_come_back_from_the_timestamp(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){0});
	for (unsigned i = 0; i < 16 * 2 * 3; i++) {
		struct tcp_handshake h = {
			.local = r.here,
			.remote = r.peer,
			.irs = i,
			.mtu = 1500,
			.opt = {.mss = 1460, .has_timestamp = true, .ts_value = 9}
                };
		struct tcp_segment ack = {.flags = F_ACK, .seq = i + 1};
		uint32_t now;

		r.now_us += 7000;
		h.opt.has_scale = i % 16 < 15;
		h.opt.scale = h.opt.has_scale ? i % 16 : 0;
		h.opt.has_sack_ok = i / 16 % 2;
		tcp_cookie_send(r.net.tcp, &h, r.now_us);
		now = (uint32_t)(r.now_us / 1000) + tcp_ts_offset(r.net.tcp, &r.here, &r.peer);
		ack.opt = (struct tcp_options){.has_timestamp = true, .ts_value = 10};
		ack.ack = h.iss + 1;
		take_syn_ack(&r);
		ack.opt.ts_echo = r.our_ts;
		assert_in_range(now - r.our_ts, 0, 31);
		assert_true(tcp_cookie_accept(r.net.tcp, &ack, &h, r.now_us));
		assert_int_equal(h.opt.has_scale, i % 16 < 15);
		assert_int_equal(h.opt.has_scale ? h.opt.scale : 0, i % 16 < 15 ? i % 16 : 0);
		assert_int_equal(h.opt.has_sack_ok, i / 16 % 2);
		assert_int_equal(h.opt.ts_value, 10);
	}
	rig_done(&r);
}

static void a_cookie_is_good_for_one_to_two_minutes(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_half_open = 1});
	rig_at(&r, 200000); // RIG_START_US lies 40 s into a period, so this is where one begins
	flood(&r, 1);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	take_syn_ack(&r);
	rig_after(&r, 119000);
	tx_skip(&r);
	rx(&r, SEG(.seq = 1, .ack = 1)); // the secret is the one before
	assert_int_equal(r.stats.tcp_syn_cookies_accepted, 1);
	rig_fini(&r);

	rig_init(&r, &(struct rig_options){.max_half_open = 1});
	rig_at(&r, 259000);
	flood(&r, 1);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	take_syn_ack(&r);
	rig_after(&r, 62000);
	tx_skip(&r);
	rx(&r, SEG(.seq = 1, .ack = 1));
	tx(&r, SEG(.flags = F_RST, .seq = 1));
	assert_int_equal(r.stats.tcp_syn_cookies_bad, 1);
	assert_int_equal(r.n_accepted, 0);
	rig_done(&r);
}

static void a_guessed_cookie_is_reset_and_counted(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_half_open = 1});
	rx(&r, SEG(.seq = 1, .ack = 1)); // none is out: not even looked at
	tx(&r, SEG(.flags = F_RST, .seq = 1));
	assert_int_equal(r.stats.tcp_drop_listen, 1);
	assert_int_equal(r.stats.tcp_syn_cookies_bad, 0);
	flood(&r, 1);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	take_syn_ack(&r);
	rx(&r, SEG(.seq = 1, .ack = 2)); // another MSS
	tx(&r, SEG(.flags = F_RST, .seq = 2));
	rx(&r, SEG(.seq = 2, .ack = 1)); // another initial number
	tx(&r, SEG(.flags = F_RST, .seq = 1));
	r.peer.port++; // another client
	rx(&r, SEG(.seq = 1, .ack = 1));
	tx(&r, SEG(.flags = F_RST, .seq = 1));
	r.peer.port--;
	r.options.timestamps = true; // never agreed on
	rx(&r, SEG(.seq = 1, .ack = 1));
	tx(&r, SEG(.flags = F_RST, .seq = 1));
	assert_int_equal(r.stats.tcp_syn_cookies_bad, 4);
	assert_int_equal(r.n_accepted, 0);
	rig_after(&r, 40000);
	tx_skip(&r);
	rig_done(&r);
}

static void limits_and_refusals_hold_for_cookies_too(void)
{
	struct rig r;

	rig_init(&r, &(struct rig_options){.max_half_open = 1, .refuse = true});
	flood(&r, 1);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	take_syn_ack(&r);
	rx(&r, SEG(.seq = 1, .ack = 1));
	tx(&r, SEG(.flags = F_RST | F_ACK, .seq = 1));
	assert_int_equal(r.stats.tcp_reset_not_accepted, 1);
	rig_after(&r, 40000);
	tx_skip(&r);
	rig_done(&r);

	rig_init(&r, &(struct rig_options){.max_half_open = 1, .max_connections = 1});
	flood(&r, 1);
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	take_syn_ack(&r);
	rx(&r, SEG(.seq = 1, .ack = 1));
	assert_int_equal(r.n_accepted, 1);
	r.peer.port++;
	rx(&r, SEG(.flags = F_SYN, .seq = 0)); // not even a cookie: it could not be honoured
	tx_none(&r);
	assert_int_equal(r.stats.tcp_drop_no_connection, 1);
	rig_fini(&r);
}

// The table filled up between SYN and ACK: the handshake waits for a place.
static void a_handshake_survives_a_full_table(void)
{
	struct rig r;
	enum stream_error error;
	struct stream *other;

	rig_init(&r, &(struct rig_options){.max_connections = 1});
	rx(&r, SEG(.flags = F_SYN, .seq = 0));
	tx(&r, SEG(.flags = F_SYN | F_ACK, .seq = 0));
	other = tcp_connect(
		&r.net, &(struct tcp_connect_options){.remote = r.peer}, &error, r.now_us);
	assert_non_null(other);
	rx(&r, SEG(.seq = 1, .ack = 1));
	assert_int_equal(r.n_accepted, 0);
	assert_int_equal(r.stats.tcp_drop_no_connection, 1);
	stream_abort(&other);
	rig_run(&r);
	tx_skip(&r);
	rx(&r, SEG(.seq = 1, .ack = 1));
	assert_int_equal(r.n_accepted, 1);
	rig_fini(&r);
}

TESTS(TEST(a_syn_makes_no_connection), TEST(the_answer_is_repeated_and_then_given_up),
	TEST(the_round_trip_of_a_repeated_answer_is_not_measured),
	TEST(a_stopped_listener_ends_the_handshakes_it_has_begun),
	TEST(handshakes_end_with_their_listener),
	TEST(beyond_the_limit_cookies_are_sent_and_nothing_kept), TEST(a_full_cache_sends_cookies),
	TEST(a_client_gets_through_a_flood_with_all_its_options),
	TEST(without_timestamps_a_cookie_keeps_the_mss), TEST(every_mss_is_rounded_down),
	TEST(options_come_back_from_the_timestamp), TEST(a_cookie_is_good_for_one_to_two_minutes),
	TEST(a_guessed_cookie_is_reset_and_counted), TEST(limits_and_refusals_hold_for_cookies_too),
	TEST(a_handshake_survives_a_full_table))
