// The exchange when something goes wrong: endpoints that fail in every way, clients that leave, time that runs out, pools
// that are empty.

#include "tests/router_rig.h"

#include <limits.h>

#define GET  "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\n\r\n"
#define OK   "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define BUSY "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"

#define RESET_TEXT "upstream connect error or disconnect/reset before headers. "

static struct rig *rig_with_retries(uint32_t attempts, uint32_t on)
{
	struct rig *r = rig_new();

	r->route.retry =
		(struct retry_config){.attempts = attempts, .on = on, .backoff_base_us = 25000};
	return r;
}

// Reference A7: the built-in policy, a service that comes back.
static void refused_connections_are_retried(void)
{
	struct rig *r = rig_with_retries(2, RETRY_CONNECT_FAILURE);
	unsigned c;

	r->refuse_first = 2;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_pass_ms(r, 300);
	assert_int_equal(r->n_upstreams, 3);
	rig_assert_has(rig_upstream_got(r, 2), "\r\nx-envoy-attempt-count: 3\r\n");
	rig_upstream_says(r, 2, OK);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 200 OK\r\n");
	rig_assert_log(r, "200 - via_upstream 0 2");
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_retry, 2);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_retry_success, 1);
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_connect_fail, 2);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_service_that_stays_down_is_503_with_urx_and_uf(void)
{
	struct rig *r = rig_with_retries(2, RETRY_CONNECT_FAILURE);
	unsigned c;

	r->connect = RIG_REFUSES;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_pass_ms(r, 300);
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 503 Service Unavailable\r\n");
	rig_assert_has(r->text,
		"\r\n\r\n" RESET_TEXT
		"retried and the latest reset reason: remote connection failure");
	rig_assert_log(r,
		"503 URX,UF upstream_reset_before_response_started{remote_connection_failure} 0 "
		"121");
	assert_int_equal(r->n_upstreams, 3);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_retry_limit_exceeded, 1);
	assert_false(rig_client_closed(r, c));
	rig_assert_quiet(r);
	rig_done(&r);
}

static void statuses_are_retried_as_the_policy_says(void)
{
	static const struct {
		uint32_t on;
		const char *status;
		bool retried;
	} cases[] = {
		{RETRY_CONNECT_FAILURE,        "503 x", false},
		{RETRY_5XX,                    "500 x", true },
		{RETRY_5XX,                    "404 x", false},
		{RETRY_GATEWAY_ERROR,          "500 x", false},
		{RETRY_GATEWAY_ERROR,          "504 x", true },
		{RETRY_RETRIABLE_4XX,          "409 x", true },
		{RETRY_RETRIABLE_4XX,          "400 x", false},
		{RETRY_RETRIABLE_STATUS_CODES, "418 x", true },
		{RETRY_RETRIABLE_STATUS_CODES, "419 x", false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_with_retries(1, cases[i].on);
		char answer[80];
		unsigned c;

		r->route.retry.status_codes[0] = 418;
		r->route.retry.n_status_codes = 1;
		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, GET);
		rig_upstream_got(r, 0);
		snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\ncontent-length: 4\r\n\r\nbusy",
			cases[i].status);
		rig_upstream_says(r, 0, answer);
		rig_pass_ms(r, 100);
		if (cases[i].retried) {
			// The small answer was read and thrown away, so its connection serves the retry.
			assert_int_equal(r->n_upstreams, 1);
			rig_assert_has(rig_upstream_got(r, 0), "\r\nx-envoy-attempt-count: 2\r\n");
			rig_upstream_says(r, 0, OK);
			rig_assert_log(r, "200 - via_upstream 0 2");
		}
		rig_assert_begins(
			rig_client_got(r, c), cases[i].retried ? "HTTP/1.1 200" : "HTTP/1.1 ");
		assert_int_equal(rig_cluster_stats(r)->upstream_rq_retry, cases[i].retried);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

static void the_last_bad_answer_is_passed_through_with_urx(void)
{
	struct rig *r = rig_with_retries(1, RETRY_5XX);
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_upstream_says(r, 0, BUSY);
	rig_pass_ms(r, 100);
	rig_upstream_says(r, 0, BUSY);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nbusy");
	rig_assert_log(r, "503 URX via_upstream 0 4");
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_code[503], 2);
	rig_done(&r);
}

static void the_body_is_sent_again_with_the_retry(void)
{
	struct rig *r = rig_with_retries(2, RETRY_5XX);
	static char body[20000];
	static char head[100];
	unsigned c;

	memset(body, 'b', sizeof(body) - 1);
	snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %zu\r\n\r\n",
		sizeof(body) - 1);
	r->cluster.n_endpoints = 2;
	r->route.retry.ignore_previous_hosts = true;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, head);
	rig_client_says(r, c, body);
	rig_assert_has(rig_upstream_got(r, 0), body);
	rig_upstream_says(r, 0, BUSY);
	rig_pass_ms(r, 100);
	assert_int_equal(r->n_upstreams, 2);
	// Not the host that has just failed.
	assert_true(!ip_addr_equal(&r->upstream_remote[0].addr, &r->upstream_remote[1].addr));
	rig_assert_has(rig_upstream_got(r, 1), body);
	rig_upstream_says(r, 1, OK);
	rig_assert_log(r, "200 - via_upstream 19999 2");
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 200 OK\r\n");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_body_too_large_for_the_buffer_gives_up_retries(void)
{
	struct rig *r = rig_with_retries(2, RETRY_5XX);
	static char body[60000];
	unsigned c;

	memset(body, 'b', sizeof(body));
	r->capacity.chunks = 12; // three quarters of them hold 36 KB
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n");
	fake_put(rig_client_stream(r, c), bytes_of(body, sizeof(body)));
	rig_pump(r);
	assert_true(strlen(rig_upstream_got(r, 0)) > 60000);
	assert_int_equal(rig_cluster_stats(r)->retry_or_shadow_abandoned, 1);
	rig_upstream_says(r, 0, BUSY);
	rig_assert_log(r, "503 - via_upstream 60000 4");
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 503 ");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void retries_of_a_cluster_are_limited(void)
{
	struct rig *r = rig_with_retries(2, RETRY_5XX);
	unsigned c[2];

	r->cluster.max_retries = 1;
	rig_start(r);
	for (unsigned i = 0; i < 2; i++) {
		c[i] = rig_client(r);
		rig_client_says(r, c[i], GET);
	}
	rig_upstream_says(r, 0, BUSY);
	rig_upstream_says(r, 1, BUSY); // while the first one waits or is under way
	rig_assert_log(r, "503 UO via_upstream 0 4");
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_retry_overflow, 1);
	rig_pass_ms(r, 100);
	for (unsigned i = 0; i < r->n_upstreams; i++) {
		if (strlen(rig_upstream_got(r, i)) > 0 && strstr(r->text, "count: 2") != NULL)
			rig_upstream_says(r, i, OK);
	}
	rig_assert_log(r, "200 - via_upstream 0 2");
	rig_assert_quiet(r);
	rig_done(&r);
}

// An answer that has begun ends all thought of another attempt: what was kept for one goes.
static void a_begun_answer_lets_go_of_the_kept_body(void)
{
	struct rig *r = rig_with_retries(2, RETRY_5XX);
	static char body[40001];
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 80003\r\n\r\nabc");
	memset(body, 'b', sizeof(body) - 1);
	rig_client_says(r, c, body);
	rig_upstream_got(r, 0);
	rig_pump(r);
	assert_true(r->worker->chunks.n_used >= 10);
	rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
	assert_in_range(r->worker->chunks.n_used, 0, 3);
	rig_client_says(r, c, body);
	assert_in_range(r->worker->chunks.n_used, 0, 3);
	rig_upstream_got(r, 0);
	rig_upstream_says(r, 0, "ok");
	rig_assert_log(r, "200 - via_upstream 80003 2");
	assert_int_equal(rig_cluster_stats(r)->retry_or_shadow_abandoned, 0);
	rig_assert_quiet(r);
	rig_done(&r);
}

// The slot is another attempt's, whoever reads the answer how slowly.
static void a_reply_holds_no_slot_of_the_retries(void)
{
	struct rig *r = rig_with_retries(1, RETRY_CONNECT_FAILURE);
	unsigned c;

	r->route.timeout_us = 1000000;
	r->refuse_first = 1;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_pass_ms(r, 100);
	assert_int_equal(r->n_upstreams, 2);
	assert_int_equal(atomic_load(&rig_cluster_state(r)->retries), 1);
	fake_set_room(fake_pair_end(r->clients[c], 0), 10);
	rig_pass_ms(r, 1000);
	assert_int_equal(r->worker->exchanges.n_used, 1); // the client does not read
	assert_int_equal(atomic_load(&rig_cluster_state(r)->retries), 0);
	while (strlen(rig_client_got(r, c)) > 0)
		;
	rig_assert_log(r, "504 UT response_timeout 0 24");
	rig_assert_quiet(r);
	rig_done(&r);
}

// Reference A8.
static void every_try_has_its_own_time(void)
{
	struct rig *r = rig_with_retries(2, RETRY_5XX);
	unsigned c;

	r->route.retry.per_try_timeout_us = 1000000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_assert_has(rig_upstream_got(r, 0), "\r\nx-envoy-expected-rq-timeout-ms: 1000\r\n");
	rig_pass_ms(r, 2990);
	assert_string_equal(rig_client_got(r, c), "");
	rig_pass_ms(r, 250);
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 504 Gateway Timeout\r\n");
	rig_assert_has(r->text, "\r\n\r\nupstream request timeout");
	rig_assert_log(r, "504 URX,UT upstream_per_try_timeout 0 24");
	assert_int_equal(r->n_upstreams, 3);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_per_try_timeout, 3);
	rig_assert_quiet(r);
	rig_done(&r);
}

// Reference A9.
static void the_route_has_its_time_over_all_tries(void)
{
	struct rig *r = rig_with_retries(2, RETRY_5XX);
	unsigned c;

	r->route.retry.per_try_timeout_us = 1000000;
	r->route.timeout_us = 2000000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_pass_ms(r, 1999);
	assert_string_equal(rig_client_got(r, c), "");
	rig_pass_ms(r, 2);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 504 Gateway Timeout\r\n");
	rig_assert_log(r, "504 UT response_timeout 0 24");
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_timeout, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void the_time_counts_from_the_end_of_the_request(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->route.timeout_us = 1000000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, POST);
	rig_pass_ms(r, 3000);
	assert_string_equal(rig_client_got(r, c), "");
	rig_client_says(r, c, "abc");
	rig_pass_ms(r, 999);
	assert_string_equal(rig_client_got(r, c), "");
	rig_pass_ms(r, 2);
	rig_assert_log(r, "504 UT response_timeout 3 24");
	rig_done(&r);
}

static void time_that_runs_out_within_an_answer_cuts_it(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->route.timeout_us = 1000000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_upstream_says(r, 0, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nhalf");
	rig_pass_ms(r, 1001);
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_ABORTED);
	rig_assert_log(r, "200 UT response_timeout 0 4");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void connecting_has_its_time(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->connect = RIG_HANGS;
	r->cluster.connect_timeout_us = 500000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_pass_ms(r, 502);
	rig_assert_has(rig_client_got(r, c), RESET_TEXT "reset reason: connection timeout");
	rig_assert_log(r, "503 UF upstream_reset_before_response_started{connection_timeout} 0 91");
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_connect_timeout, 1);
	rig_assert_quiet(r);
	rig_done(&r);
}

// What an endpoint may do instead of answering, and what the client then sees.
static const struct death {
	const char *says;
	enum { DIES_BY_FIN, DIES_BY_RST, LIVES } how;
	const char *client_sees;
	bool client_cut;
	const char *log;
} deaths[] = {
	{"",									      DIES_BY_FIN, "HTTP/1.1 503 ", false,
         "503 UC upstream_reset_before_response_started{connection_termination} 0 95"													     },
	{"",									      DIES_BY_RST, "HTTP/1.1 503 ", false,
         "503 UC upstream_reset_before_response_started{connection_termination} 0 95"													     },
	{"HTTP/1.1 200 O",								DIES_BY_FIN, "HTTP/1.1 503 ", false,
         "503 UC upstream_reset_before_response_started{connection_termination} 0 95"													     },
	{"SSH-2.0-x\r\n\r\n",							     LIVES,       "HTTP/1.1 502 ", false,
         "502 UPE upstream_reset_before_response_started{protocol_error} 0 87"														    },
	{"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", LIVES,
         "HTTP/1.1 502 ",											       false,
         "502 UPE upstream_reset_before_response_started{protocol_error} 0 87"														    },
	{"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",                              DIES_BY_FIN, "HTTP/1.1 200 ", true,
         "200 UC upstream_reset_after_response_started{connection_termination} 0 4"													       },
	{"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",                              DIES_BY_RST, "HTTP/1.1 200 ", true,
         "200 UC upstream_reset_after_response_started{connection_termination} 0 4"													       },
	{"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",            DIES_BY_FIN,
         "HTTP/1.1 200 ",											       true,
         "200 UC upstream_reset_after_response_started{connection_termination} 0 4"													       },
	{"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",                  LIVES,       "HTTP/1.1 200 ",
         true,														 "200 UPE upstream_reset_after_response_started{protocol_error} 0 0"},
	{"HTTP/1.1 200 OK\r\n\r\nhalf",						   DIES_BY_RST, "HTTP/1.1 200 ", true,
         "200 UC upstream_reset_after_response_started{connection_termination} 0 4"													       },
};

static void run_death(const struct death *d, size_t piece)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	fake_set_piece(fake_pair_end(r->upstreams[0], 0), piece);
	rig_upstream_got(r, 0);
	rig_upstream_says(r, 0, d->says);
	if (d->how == DIES_BY_FIN && !rig_upstream_closed(r, 0))
		stream_shutdown(rig_upstream_stream(r, 0));
	if (d->how == DIES_BY_RST)
		stream_abort(&(struct stream *){rig_upstream_stream(r, 0)});
	rig_pump(r);
	rig_client_got(r, c);
	// A RST may overtake what was written in the same turn.
	if (!d->client_cut || r->text[0] != '\0')
		rig_assert_begins(r->text, d->client_sees);
	assert_int_equal(
		fake_pair_fate(r->clients[c], 0), d->client_cut ? FAKE_ABORTED : FAKE_OPEN);
	if (d->client_cut)
		rig_assert_not(r->text, "\r\n0\r\n\r\n");
	rig_assert_log(r, d->log);
	assert_true(rig_upstream_closed(r, 0));
	rig_assert_quiet(r);
	rig_done(&r);
}

static void endpoints_that_die_are_never_a_clean_end(void)
{
	for (unsigned i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		run_death(&deaths[i], 0);
		run_death(&deaths[i], 1);
	}
}

// The client leaves after so many of these bytes were exchanged.
static void clients_that_leave_take_everything_with_them(void)
{
	static const char request[] = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked"
				      "\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n";
	static const char response[] = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
				       "4\r\nwxyz\r\n0\r\nt: 2\r\n\r\n";
	size_t n_request = sizeof(request) - 1, n_response = sizeof(response) - 1;

	for (unsigned hang = 0; hang < 2; hang++) {
		for (size_t n = 0; n < n_request + n_response; n++) {
			struct rig *r = rig_with_retries(2, RETRY_5XX);
			struct stream *client;
			unsigned c;

			r->connect = hang ? RIG_HANGS : RIG_ACCEPTS;
			rig_start(r);
			c = rig_client(r);
			client = rig_client_stream(r, c);
			fake_put(client, bytes_of(request, n < n_request ? n : n_request));
			rig_pump(r);
			if (n > n_request && !hang) {
				fake_put(rig_upstream_stream(r, 0),
					bytes_of(response, n - n_request));
				rig_pump(r);
			}
			stream_abort(&client);
			rig_pump(r);
			assert_true(rig_client_closed(r, c));
			rig_assert_quiet(r);
			assert_int_equal(r->stats.exchanges_active, 0);
			rig_done(&r);
		}
	}
}

static void a_client_that_leaves_is_logged_as_dc(void)
{
	struct rig *r = rig_new();
	struct stream *client;

	rig_start(r);
	client = rig_client_stream(r, rig_client(r));
	rig_put(client, GET);
	rig_pump(r);
	stream_abort(&client);
	rig_pump(r);
	rig_assert_log(r, "0 DC downstream_remote_disconnect 0 0");
	assert_int_equal(fake_pair_fate(r->upstreams[0], 0), FAKE_ABORTED);
	assert_int_equal(rig_hcm(r)->downstream_rq_rx_reset, 1);
	rig_done(&r);
}

static void a_request_that_breaks_within_its_body_is_400(void)
{
	struct rig *r = rig_new();
	unsigned c;

	rig_start(r);
	c = rig_client(r);
	rig_client_says(
		r, c, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc");
	rig_client_got(r, c);
	rig_assert_begins(r->text, "HTTP/1.1 400 Bad Request\r\n");
	rig_assert_has(r->text, "\r\nconnection: close\r\n");
	assert_true(rig_client_closed(r, c));
	rig_assert_log(r, "400 DPE http1.codec_error{chunk_size} 0 11");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_head_that_takes_too_long_is_408(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->config.http.head_timeout_us = 1000000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, "GET / HTTP/1.1\r\n");
	for (unsigned i = 0; i < 10; i++) {
		rig_pass_ms(r, 99);
		assert_false(rig_client_closed(r, c));
		rig_client_says(r, c, "x: y\r\n"); // more bytes are no more time
	}
	rig_pass_ms(r, 12);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 408 Request Timeout\r\n");
	assert_true(rig_client_closed(r, c));
	rig_assert_log(r, "408 - request_header_timeout 0 22");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_body_that_stops_is_408(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->config.http.body_timeout_us = 1000000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, POST "a");
	rig_pass_ms(r, 600);
	rig_client_says(r, c, "b"); // progress
	rig_pass_ms(r, 990);
	assert_false(rig_client_closed(r, c));
	rig_pass_ms(r, 20);
	rig_assert_begins(rig_client_got(r, c), "HTTP/1.1 408 Request Timeout\r\n");
	rig_assert_log(r, "408 SI stream_idle_timeout 2 14");
	assert_true(rig_client_closed(r, c));
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_reader_that_stops_is_cut(void)
{
	struct rig *r = rig_new();
	static char body[60000];
	unsigned c;

	r->config.http.body_timeout_us = 1000000;
	rig_start(r);
	c = rig_client(r);
	fake_set_room(fake_pair_end(r->clients[c], 0), 2000);
	rig_client_says(r, c, GET);
	rig_put(rig_upstream_stream(r, 0), "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n");
	fake_put(rig_upstream_stream(r, 0), bytes_of(body, sizeof(body)));
	rig_pump(r);
	rig_pass_ms(r, 990);
	assert_false(rig_client_closed(r, c));
	rig_pass_ms(r, 1020);
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_ABORTED);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void waiting_for_a_slow_endpoint_is_not_the_clients_fault(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->config.http.body_timeout_us = 1000000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_pass_ms(r, 5000);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
	rig_done(&r);
}

static void idle_connections_are_closed(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->config.http.idle_timeout_us = 1000000;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_upstream_says(r, 0, OK);
	rig_pass_ms(r, 600);
	rig_client_says(r, c, GET);
	rig_upstream_says(r, 0, OK);
	rig_pass_ms(r, 990);
	assert_false(rig_client_closed(r, c));
	rig_pass_ms(r, 20);
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_CLOSED);
	assert_int_equal(rig_hcm(r)->downstream_cx_idle_timeout, 1);
	rig_done(&r);
}

// Each would wake a worker that sleeps by itself.
static void idle_connections_are_looked_at_together(void)
{
	enum { N = 100, MS = 20 };
	struct rig *r = rig_new();
	unsigned n_wakes = 0;

	r->config.http.min_body_rate = 100;
	r->config.http.body_rate_window_us = 30000000;
	rig_start(r);
	for (unsigned i = 0; i < N; i++) {
		rig_client_says(r, rig_client(r), GET);
		rig_upstream_says(r, 0, OK);
		rig_pass_ms(r, MS);
	}
	for (unsigned i = 0; i < 60000; i++) {
		r->now_us += 1000;
		n_wakes += timer_wheel_run(r->timers, r->now_us, UINT_MAX) > 0;
	}
	// They came within two seconds; a look in each thirty.
	assert_in_range(n_wakes, 1, 2 * 4);
	for (unsigned i = 0; i < N; i++)
		assert_false(rig_client_closed(r, i));
	rig_done(&r);
}

static void no_healthy_endpoint_is_503_uh(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->endpoints[0].healthy = false;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nno healthy upstream");
	rig_assert_log(r, "503 UH no_healthy_upstream 0 19");
	assert_int_equal(rig_cluster_stats(r)->upstream_cx_none_healthy, 1);
	assert_int_equal(rig_cluster_stats(r)->upstream_rq_code[503], 1);
	rig_done(&r);
}

static void connections_beyond_the_limit_are_refused(void)
{
	struct rig *r = rig_new();

	r->config.http.max_connections = 2;
	rig_start(r);
	for (unsigned i = 0; i < 4; i++) {
		rig_client(r);
		if (i < 2)
			rig_client_says(r, i, GET);
	}
	assert_false(rig_client_closed(r, 1));
	assert_int_equal(fake_pair_fate(r->clients[2], 0), FAKE_ABORTED);
	assert_int_equal(r->snapshot->listeners[0].state->stats[0].downstream_cx_overflow, 2);
	rig_done(&r);
}

static void an_empty_pool_of_connections_refuses(void)
{
	struct rig *r = rig_new();

	r->capacity.connections = 1;
	rig_start(r);
	rig_client_says(r, rig_client(r), GET);
	rig_client(r);
	assert_int_equal(fake_pair_fate(r->clients[1], 0), FAKE_ABORTED);
	assert_int_equal(r->stats.downstream_pool_empty, 1);
	rig_done(&r);
}

static void an_empty_pool_of_exchanges_answers_503_om(void)
{
	struct rig *r = rig_new();
	unsigned a, b;

	r->capacity.exchanges = 1;
	rig_start(r);
	a = rig_client(r);
	b = rig_client(r);
	rig_client_says(r, a, GET);
	rig_client_says(r, b, GET);
	rig_client_got(r, b);
	rig_assert_begins(r->text, "HTTP/1.1 503 Service Unavailable\r\n");
	rig_assert_has(r->text, "\r\n\r\nenvoy overloaded");
	assert_true(rig_client_closed(r, b));
	rig_assert_log(r, "503 OM overload 0 0");
	assert_int_equal(r->stats.exchange_pool_empty, 1);
	rig_upstream_says(r, 0, OK);
	rig_assert_has(rig_client_got(r, a), "\r\n\r\nok");
	rig_assert_quiet(r);
	rig_done(&r);
}

static void an_empty_pool_of_upstream_connections_answers_503_om(void)
{
	struct rig *r = rig_new();
	unsigned c;

	r->capacity.upstream_connections = 0;
	rig_start(r);
	c = rig_client(r);
	rig_client_says(r, c, GET);
	rig_assert_has(rig_client_got(r, c), "\r\n\r\nenvoy overloaded");
	rig_assert_log(r, "503 OM overload 0 16");
	rig_assert_quiet(r);
	rig_done(&r);
}

// With each number of chunks: an answer or an orderly refusal, and everything back.
static void every_shortage_of_chunks_is_answered(void)
{
	for (uint32_t n = 0; n < 6; n++) {
		struct rig *r = rig_with_retries(1, RETRY_5XX);
		unsigned c;

		r->capacity.chunks = n;
		rig_start(r);
		c = rig_client(r);
		rig_client_says(r, c, POST "abc");
		if (r->n_upstreams > 0)
			rig_upstream_says(r, 0, OK);
		rig_client_got(r, c);
		if (strstr(r->text, "HTTP/1.1 200") == NULL)
			rig_assert_begins(r->text, "HTTP/1.1 503");
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

TESTS(TEST(refused_connections_are_retried), TEST(a_service_that_stays_down_is_503_with_urx_and_uf),
	TEST(statuses_are_retried_as_the_policy_says),
	TEST(the_last_bad_answer_is_passed_through_with_urx),
	TEST(the_body_is_sent_again_with_the_retry),
	TEST(a_body_too_large_for_the_buffer_gives_up_retries),
	TEST(a_begun_answer_lets_go_of_the_kept_body), TEST(a_reply_holds_no_slot_of_the_retries),
	TEST(retries_of_a_cluster_are_limited), TEST(every_try_has_its_own_time),
	TEST(the_route_has_its_time_over_all_tries),
	TEST(the_time_counts_from_the_end_of_the_request),
	TEST(time_that_runs_out_within_an_answer_cuts_it), TEST(connecting_has_its_time),
	TEST(endpoints_that_die_are_never_a_clean_end),
	TEST(clients_that_leave_take_everything_with_them),
	TEST(a_client_that_leaves_is_logged_as_dc),
	TEST(a_request_that_breaks_within_its_body_is_400), TEST(a_head_that_takes_too_long_is_408),
	TEST(a_body_that_stops_is_408), TEST(a_reader_that_stops_is_cut),
	TEST(waiting_for_a_slow_endpoint_is_not_the_clients_fault),
	TEST(idle_connections_are_closed), TEST(idle_connections_are_looked_at_together),
	TEST(no_healthy_endpoint_is_503_uh), TEST(connections_beyond_the_limit_are_refused),
	TEST(an_empty_pool_of_connections_refuses), TEST(an_empty_pool_of_exchanges_answers_503_om),
	TEST(an_empty_pool_of_upstream_connections_answers_503_om),
	TEST(every_shortage_of_chunks_is_answered))
