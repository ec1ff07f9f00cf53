// The PROXY protocol: headers read at once and byte by byte, what is refused, and listeners that ask for it.

#include "router/proxy_protocol.h"
#include "tests/router_rig.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4  "\x0a\x01\x02\x03\x0a\x01\x02\x04\x30\x39\x01\xbb" // 10.1.2.3:12345 -> 10.1.2.4:443
#define V6                                                                     \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0" \
	"\0\0\0\0\0\0\x02\x30\x39\x01\xbb"

struct accepted {
	struct bytes header;
	const char *source; // NULL: the connection's own
	const char *destination;
};

#define LINE(text) BYTES(text "\r\n")

static const struct accepted accepted[] = {
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 12345 443"),                 "10.1.2.3:12345",        "10.1.2.4:443"     },
	{LINE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535"), "255.255.255.255:65535",
         "255.255.255.255:65535"										     },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 0 0"),                       "10.1.2.3:0",            "10.1.2.4:0"       },
	{LINE("PROXY TCP6 2001:db8::1 2001:db8::2 12345 443"),           "[2001:db8::1]:12345",
         "[2001:db8::2]:443"											 },
	{LINE("PROXY UNKNOWN"),					  NULL,                    NULL               },
	{LINE("PROXY UNKNOWN ffff:f...f:ffff anything 65535 65535"),     NULL,                    NULL               },
	{BYTES(SIG "\x21\x11\0\x0c" V4),                                 "10.1.2.3:12345",        "10.1.2.4:443"     },
	{BYTES(SIG "\x21\x11\0\x13" V4 "\x04\0\0\xea\0\x01x"),           "10.1.2.3:12345",        "10.1.2.4:443"     },
	{BYTES(SIG "\x21\x21\0\x24" V6),                                 "[2001:db8::1]:12345",   "[2001:db8::2]:443"},
	{BYTES(SIG "\x20\0\0\0"),					NULL,                    NULL               },
	{BYTES(SIG "\x20\x11\0\x0c" V4),                                 NULL,                    NULL               },
	{BYTES(SIG "\x20\x31\0\x03"
		   "abc"),
         NULL,										    NULL               },
	{BYTES(SIG "\x21\0\0\0"),					NULL,                    NULL               },
	{BYTES(SIG "\x21\0\0\x02"
		   "xy"),
         NULL,										    NULL               },
};

static const struct {
	struct bytes header;
	enum proxy_error error;
} refusals[] = {
	{BYTES("GET / HTTP/1.1\r\n"),                     PROXY_ERROR_SIGNATURE},
	{BYTES("\x16\x03\x01"),                           PROXY_ERROR_SIGNATURE},
	{BYTES("PROXY\t"),				PROXY_ERROR_SIGNATURE},
	{BYTES("proxy TCP4"),                             PROXY_ERROR_SIGNATURE},
	{BYTES("\r\n\r\n\0\r\nQUIT\r"),                   PROXY_ERROR_SIGNATURE},
	{LINE("PROXY TCP5 10.1.2.3 10.1.2.4 1 2"),        PROXY_ERROR_LINE     },
	{LINE("PROXY "),				  PROXY_ERROR_LINE     },
	{LINE("PROXY TCP4"),			      PROXY_ERROR_LINE     },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 1"),          PROXY_ERROR_LINE     },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 1 "),         PROXY_ERROR_LINE     },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 1 2 "),       PROXY_ERROR_LINE     },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 1 2 3"),      PROXY_ERROR_LINE     },
	{LINE("PROXY TCP4  10.1.2.3 10.1.2.4 1 2"),       PROXY_ERROR_LINE     },
	{BYTES("PROXY TCP4 10.1.2.3 10.1.2.4 1 2\n"),     PROXY_ERROR_LINE     },
	{BYTES("PROXY TCP4 10.1.2.3 10.1.2.4 1 2\r\r\n"), PROXY_ERROR_LINE     },
	{BYTES("PROXY TCP4 10.1.2.3\t10.1.2.4 1 2\r\n"),  PROXY_ERROR_LINE     },
	{BYTES("PROXY UNKNOWN \0\r\n"),                   PROXY_ERROR_LINE     },
	{LINE("PROXY UNKNOWN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
         PROXY_ERROR_LINE						      },
	{LINE("PROXY TCP4 10.1.2.3 2001:db8::2 1 2"),     PROXY_ERROR_ADDRESS  },
	{LINE("PROXY TCP6 2001:db8::1 10.1.2.4 1 2"),     PROXY_ERROR_ADDRESS  },
	{LINE("PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2"),
         PROXY_ERROR_ADDRESS						   }, // CVE-2026-26310 (Envoy)
	{LINE("PROXY TCP4 10.1.2.03 10.1.2.4 1 2"),       PROXY_ERROR_ADDRESS  },
	{LINE("PROXY TCP4 10.1.2 10.1.2.4 1 2"),          PROXY_ERROR_ADDRESS  },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 01 2"),       PROXY_ERROR_ADDRESS  },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 65536 2"),    PROXY_ERROR_ADDRESS  },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 1 +2"),       PROXY_ERROR_ADDRESS  },
	{LINE("PROXY TCP4 10.1.2.3 10.1.2.4 1 -2"),       PROXY_ERROR_ADDRESS  },
	{BYTES(SIG "\x11"),			       PROXY_ERROR_COMMAND  },
	{BYTES(SIG "\x22"),			       PROXY_ERROR_COMMAND  },
	{BYTES(SIG "\x21\x12\0\x0c" V4),                  PROXY_ERROR_FAMILY   }, // UDP
	{BYTES(SIG "\x21\x31\0\xd8"),                     PROXY_ERROR_FAMILY   }, // AF_UNIX, CVE-2024-23325 (Envoy)
	{BYTES(SIG "\x21\x41\0\x0c"),                     PROXY_ERROR_FAMILY   },
	{BYTES(SIG "\x21\x01\0\x0c"),                     PROXY_ERROR_FAMILY   },
	{BYTES(SIG "\x21\x11\0\x0b" V4),                  PROXY_ERROR_LENGTH   },
	{BYTES(SIG "\x21\x21\0\x23" V6),                  PROXY_ERROR_LENGTH   },
	{BYTES(SIG "\x21\x11\xff\xff"),                   PROXY_ERROR_LENGTH   }, // CVE-2026-47692 (Envoy)
	{BYTES(SIG "\x20\x11\x10\0"),                     PROXY_ERROR_LENGTH   },
	{BYTES(SIG "\x21\x11\0\x0d" V4 "\x04"),           PROXY_ERROR_TLV      },
	{BYTES(SIG "\x21\x11\0\x0f" V4 "\x04\0\x01"),     PROXY_ERROR_TLV      },
	{BYTES(SIG "\x21\x11\0\x10" V4 "\x04\xff\xff\0"), PROXY_ERROR_TLV      },
};

static void check_endpoint(const struct ip_endpoint *e, const char *expected)
{
	char text[IP_ENDPOINT_TEXT_SIZE];

	ip_endpoint_print(e, text);
	assert_string_equal(text, expected);
}

// What follows the header must not matter, nor in what portions it comes.
static void headers_are_read_to_their_last_byte(void)
{
	for (unsigned i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		const struct accepted *a = &accepted[i];
		uint8_t text[256];
		struct proxy_header h;

		assert_true(a->header.len + 4 <= sizeof(text));
		memset(text, 'G', sizeof(text));
		memcpy(text, a->header.ptr, a->header.len);
		for (size_t n = 0; n < a->header.len; n++)
			assert_int_equal(proxy_protocol_read(bytes_of(text, n), &h), PROXY_MORE);
		for (size_t n = a->header.len; n < a->header.len + 4; n++) {
			assert_int_equal(proxy_protocol_read(bytes_of(text, n), &h), PROXY_DONE);
			assert_int_equal(h.len, a->header.len);
			assert_int_equal(h.has_addresses, a->source != NULL);
			if (a->source == NULL)
				continue;
			check_endpoint(&h.source, a->source);
			check_endpoint(&h.destination, a->destination);
		}
	}
}

static void anything_else_is_refused(void)
{
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct bytes all = refusals[i].header;
		enum proxy_result result = PROXY_MORE;
		struct proxy_header h;

		for (size_t n = 0; n <= all.len && result != PROXY_REFUSED; n++) {
			result = proxy_protocol_read(bytes_of(all.ptr, n), &h);
			assert_int_not_equal(result, PROXY_DONE);
		}
		if (result != PROXY_REFUSED || h.error != refusals[i].error)
			fail_msg("case %u: result %d, error %d", i, result, h.error);
	}
}

// --- a listener that asks for it

#define GET "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

static struct rig *new_rig(void)
{
	struct rig *r = rig_new();

	r->listener.proxy_protocol = true;
	r->config.access_log.format = "%RESPONSE_CODE% %DOWNSTREAM_REMOTE_ADDRESS% "
				      "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% "
				      "%DOWNSTREAM_LOCAL_ADDRESS%\n";
	rig_start(r);
	return r;
}

static void client_puts(struct rig *r, unsigned c, struct bytes header)
{
	fake_put(rig_client_stream(r, c), header);
}

static void the_client_is_who_the_header_says(void)
{
	static const struct {
		struct bytes header;
		const char *forwarded_for;
		const char *log;
	} cases[] = {
		{LINE("PROXY TCP4 192.0.2.7 192.0.2.8 5000 443"), "192.0.2.7",
                 "200 192.0.2.7:5000 10.77.1.1 192.0.2.8:443"         },
		{BYTES(SIG "\x21\x21\0\x24" V6),                  "2001:db8::1",
                 "200 [2001:db8::1]:12345 10.77.1.1 [2001:db8::2]:443"},
	};
	static const size_t pieces[] = {0, 1};

	for (unsigned i = 0; i < 4; i++) {
		struct rig *r = new_rig();
		unsigned c = rig_client(r);
		char field[64];

		fake_set_piece(fake_pair_end(r->clients[c], 0), pieces[i / 2]);
		client_puts(r, c, cases[i % 2].header);
		rig_client_says(r, c, GET);
		snprintf(field, sizeof(field), "\r\nx-forwarded-for: %s\r\n",
			cases[i % 2].forwarded_for);
		rig_assert_has(rig_upstream_got(r, 0), field);
		rig_upstream_says(r, 0, OK);
		rig_assert_has(rig_client_got(r, c), "\r\n\r\nok");
		rig_assert_log(r, cases[i % 2].log);
		// Only the connection has one, not each request.
		rig_client_says(r, c, GET);
		rig_assert_has(rig_upstream_got(r, 0), field);
		rig_upstream_says(r, 0, OK);
		rig_assert_quiet(r);
		rig_done(&r);
	}
}

static void local_connections_are_their_own(void)
{
	struct rig *r = new_rig();
	unsigned c = rig_client(r);

	client_puts(r, c, BYTES(SIG "\x20\0\0\0"));
	rig_client_says(r, c, GET);
	rig_assert_has(rig_upstream_got(r, 0), "\r\nx-forwarded-for: 10.77.1.1\r\n");
	rig_upstream_says(r, 0, OK);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_connection_without_a_header_is_closed_and_counted(void)
{
	struct rig *r = new_rig();
	unsigned c = rig_client(r);

	rig_client_says(r, c, GET);
	assert_int_equal(fake_pair_fate(r->clients[c], 0), FAKE_ABORTED);
	assert_int_equal(r->n_upstreams, 0);
	assert_int_equal(r->stats.proxy_refused_signature, 1);
	assert_int_equal(
		r->snapshot->listeners[0].state->stats[0].downstream_cx_proxy_proto_error, 1);
	rig_assert_no_log(r);
	rig_assert_quiet(r);
	rig_done(&r);
}

static void a_header_has_to_come_in_time_and_whole(void)
{
	struct rig *r = new_rig();
	unsigned slow = rig_client(r), gone, reset;

	rig_client_says(r, slow, "PROXY TCP4 192.0.2.7 ");
	rig_pass_ms(r, 14999);
	assert_false(rig_client_closed(r, slow));
	rig_pass_ms(r, 2);
	assert_int_equal(fake_pair_fate(r->clients[slow], 0), FAKE_ABORTED);
	assert_int_equal(r->snapshot->listeners[0].state->stats[0].downstream_pre_cx_timeout, 1);
	gone = rig_client(r);
	stream_shutdown(rig_client_stream(r, gone));
	rig_pump(r);
	assert_true(rig_client_closed(r, gone));
	gone = rig_client(r);
	rig_client_says(r, gone, "PROXY TCP4 192.0.2.7 ");
	stream_shutdown(rig_client_stream(r, gone));
	rig_pump(r);
	assert_true(rig_client_closed(r, gone));
	reset = rig_client(r);
	fake_fail(fake_pair_end(r->clients[reset], 0), STREAM_ERROR_RESET);
	rig_pump(r);
	assert_true(rig_client_closed(r, reset));
	rig_assert_quiet(r);
	rig_done(&r);
}

TESTS(TEST(headers_are_read_to_their_last_byte), TEST(anything_else_is_refused),
	TEST(the_client_is_who_the_header_says), TEST(local_connections_are_their_own),
	TEST(a_connection_without_a_header_is_closed_and_counted),
	TEST(a_header_has_to_come_in_time_and_whole))
