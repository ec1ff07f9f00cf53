// The arguments of 'pollgatectl connections', and which connection they are true of.
#include "mgmt/connection_filter.h"

#include "tests/test_support.h"

#include <stdio.h>
#include <string.h>

#define NOW_US     UINT64_C(100000000)
#define MBUF_BYTES 2048u

static bool parse(struct connection_filter *f, const char *text, struct admin_answer *a)
{
	static char line[512];
	struct admin_words words;

	*a = (struct admin_answer){.code = ADMIN_CODE_DONE};
	snprintf(line, sizeof(line), "connections %s", text);
	assert_null(admin_split(line, &words));
	return connection_filter_parse(f, &words, a);
}

static struct ip_endpoint endpoint(const char *addr, uint16_t port)
{
	struct ip_endpoint e = {.port = port};

	assert_true(ip_addr_parse(addr, &e.addr));
	return e;
}

static struct connection connection(void)
{
	return (struct connection){
		.tcp = {.local = endpoint("10.0.0.1", 8443),
			.remote = endpoint("fd00::2", 40000),
			.state = "ESTABLISHED",
			.waits_for = TCP_WAIT_PEER_WINDOW,
			.passive = true,
			.send_queued = 1000,
			.receive_queued = 200,
			.reordered = 30,
			.mbufs_held = 4,
			.last_received_us = NOW_US - 5000000,
			.last_sent_us = NOW_US - 3000000},
		.owner = {.name = "0.0.0.0_8443",       .protocol = "h2",   .tls = true             },
	};
}

static void conditions_hold_or_do_not(void)
{
	static const struct {
		const char *words;
		bool holds;
	} cases[] = {
		{"",				       true },
		{"established",                            true },
		{"state=Established",                      true },
		{"close_wait",                             false},
		{"10.0.0.1",			       true },
		{"fd00::2",				true },
		{"[fd00::2]:40000",                        true },
		{"[fd00::2]:40001",                        false},
		{":8443",				  true },
		{":40000",				 true },
		{":443",				   false},
		{"local=10.0.0.1:8443",                    true },
		{"local=:40000",                           false},
		{"remote=:40000",                          true },
		{"remote=10.0.0.1",                        false},
		{"direction=downstream",                   true },
		{"direction=upstream",                     false},
		{"name=8443",			      true },
		{"name=checkout",                          false},
		{"queued=1230",                            true },
		{"queued=1231",                            false},
		{"memory=8192",                            true },
		{"memory=8193",                            false},
		{"idle=3",				 true },
		{"idle=4",				 false},
		{"waits=peer-window",                      true },
		{"waits=ack",			      false},
		{"established direction=downstream :8443", true },
		{"established direction=upstream :8443",   false},
	};
	struct connection c = connection();

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct connection_filter f;
		struct admin_answer a;

		assert_true(parse(&f, cases[i].words, &a));
		if (connection_filter_matches(&f, &c, MBUF_BYTES, NOW_US) != cases[i].holds)
			fail_msg("%s", cases[i].words);
	}
}

static void a_connection_without_an_owner_has_the_direction_of_its_opening(void)
{
	struct connection_filter f;
	struct connection c = connection();
	struct admin_answer a;

	c.owner = (struct router_stream_owner){0};
	assert_true(parse(&f, "direction=downstream", &a));
	assert_true(connection_filter_matches(&f, &c, MBUF_BYTES, NOW_US));
	c.tcp.passive = false;
	assert_false(connection_filter_matches(&f, &c, MBUF_BYTES, NOW_US));
	assert_true(parse(&f, "name=x", &a));
	assert_false(connection_filter_matches(&f, &c, MBUF_BYTES, NOW_US));
}

static void how_the_answer_looks_is_said_beside_them(void)
{
	struct connection_filter f;
	struct admin_answer a;

	assert_true(parse(&f, "", &a));
	assert_int_equal(f.limit, CONNECTIONS_SHOWN);
	assert_false(f.detail);
	assert_true(parse(&f, "limit=5000 skip=10000 detail", &a));
	assert_int_equal(f.limit, 5000);
	assert_int_equal(f.skip, 10000);
	assert_true(f.detail);
}

static void what_is_not_understood_is_named(void)
{
	static const char *const cases[][2] = {
		{"estblished",
                 "\"estblished\" is no condition; expected a state, ADDRESS, ADDRESS:PORT, :PORT or NAME=VALUE"    },
		{"sate=established",     "no condition \"sate\""                                                   },
		{"state=open",           "state: \"open\"; expected a state of TCP such as established"            },
		{"queued=-1",            "queued: \"-1\"; expected a number of bytes"                              },
		{"queued=5x",            "queued: \"5x\"; expected a number of bytes"                              },
		{"local=10.0.0.1:99999",
                 "local: \"10.0.0.1:99999\"; expected ADDRESS, ADDRESS:PORT or :PORT"                              },
		{"remote=host:80",       "remote: \"host:80\"; expected ADDRESS, ADDRESS:PORT or :PORT"            },
		{"direction=sideways",   "direction: \"sideways\"; expected downstream or upstream"                },
		{"limit=5001",           "limit: \"5001\"; expected 0 to 5000"                                     },
		{"waits=long",
                 "waits: \"long\"; expected application, ack, congestion-window, peer-window, buffers or handshake"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct connection_filter f;
		struct admin_answer a;

		assert_false(parse(&f, cases[i][0], &a));
		assert_int_equal(a.code, ADMIN_CODE_ARGUMENTS);
		assert_string_equal(a.message, cases[i][1]);
	}
}

TESTS(TEST(conditions_hold_or_do_not),
	TEST(a_connection_without_an_owner_has_the_direction_of_its_opening),
	TEST(how_the_answer_looks_is_said_beside_them), TEST(what_is_not_understood_is_named))
