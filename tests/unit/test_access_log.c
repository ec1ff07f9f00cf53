// Access log lines: the format language, Istio's default formats, and values that try to break out.

#include "router/access_log.h"
#include "tests/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cluster_config config = {.name = "outbound|8000||httpbin.default.svc.cluster.local"};
static struct cluster cluster = {.config = &config};
static struct endpoint endpoint = {.text = "10.1.2.3:8080", .text_len = 13};
static struct http_head request;
static struct http_head response;
static struct http_fields trailers;
static struct exchange_record record;
static char line[LOG_RING_LINE_MAX];
static size_t line_len;

static struct ip_endpoint address(const char *text, uint16_t port)
{
	struct ip_endpoint e = {.port = port};

	assert_true(ip_addr_parse(text, &e.addr));
	return e;
}

static void add_field(struct http_fields *f, const char *name, const char *value)
{
	struct http_field *field = &f->at[f->n++];

	field->name = bytes_of_str(name);
	field->value = bytes_of_str(value);
	field->id = (uint8_t)http_field_id(field->name);
}

// The request of the reference's A16.
static void setup(void)
{
	memset(&request, 0, sizeof(request));
	memset(&response, 0, sizeof(response));
	memset(&trailers, 0, sizeof(trailers));
	request.method = BYTES("GET");
	request.scheme = BYTES("http");
	request.authority = BYTES("h");
	request.path = BYTES("/status/200");
	add_field(&request.fields, "x-forwarded-for", "10.0.0.5");
	add_field(&request.fields, "user-agent", "curl/8");
	add_field(&request.fields, "x-request-id", "1b4e28ba");
	response.status = 200;
	add_field(&response.fields, "x-envoy-upstream-service-time", "2");
	endpoint.address = address("10.1.2.3", 8080);
	record = (struct exchange_record){
		.start_us = 1000000,
		.request_end_us = 1000100,
		.upstream_start_us = 1001000,
		.upstream_end_us = 1001500,
		.response_start_us = 1003000,
		.response_end_us = 1003400,
		.end_us = 1003900,
		.start_wall_us = 1769850487123456, // 2026-01-31T09:08:07.123456Z
		.request = &request,
		.response = &response,
		.status = 200,
		.details = "via_upstream",
		.cluster = &cluster,
		.endpoint = &endpoint,
		.upstream_local = address("10.1.1.2", 41234),
		.attempts = 1,
		.downstream_local = address("10.1.1.2", 8080),
		.downstream_remote = address("10.0.0.5", 51522),
		.downstream_direct_remote = address("fd00::7", 51522),
		.route_name = "",
		.protocol = HTTP_1_1,
		.connection_id = 77,
		.grpc_status = -1,
	};
}

static const char *render_as(const char *format, bool json)
{
	char error[256] = "";
	struct access_log_format *f = access_log_format_new(format, json, error);

	if (f == NULL)
		fail_msg("%s: %s", format, error);
	memset(line, '#', sizeof(line));
	line_len = access_log_render(f, &record, line, sizeof(line) - 1);
	assert_int_equal(line[line_len - 1], '\n');
	line[line_len - 1] = '\0';
	access_log_format_free(&f);
	assert_null(f);
	return line;
}

static const char *render(const char *format)
{
	return render_as(format, false);
}

static const char *refusal(const char *format, bool json)
{
	static char error[256];
	struct access_log_format *f = access_log_format_new(format, json, error);

	if (f != NULL)
		fail_msg("\"%s\" was taken", format);
	return error;
}

static void istios_default_line_of_a_success(void)
{
	setup();
	assert_string_equal(render(NULL),
		"[2026-01-31T09:08:07.123Z] \"GET /status/200 HTTP/1.1\" 200 - via_upstream - \"-\" 0 0 3 "
		"2 \"10.0.0.5\" \"curl/8\" \"1b4e28ba\" \"h\" \"10.1.2.3:8080\" "
		"outbound|8000||httpbin.default.svc.cluster.local 10.1.1.2:41234 10.1.1.2:8080 "
		"10.0.0.5:51522 - -");
}

static void istios_default_line_of_a_request_without_a_route(void)
{
	setup();
	request.path = BYTES("/x");
	response.fields.n = 0;
	record.status = 404;
	record.details = "route_not_found";
	response_flags_add(&record.flags, RESPONSE_FLAG_NR);
	record.cluster = NULL;
	record.endpoint = NULL;
	record.upstream_local = (struct ip_endpoint){0};
	record.end_us = record.start_us + 10;
	assert_string_equal(render(""),
		"[2026-01-31T09:08:07.123Z] \"GET /x HTTP/1.1\" 404 NR route_not_found - \"-\" 0 0 0 - "
		"\"10.0.0.5\" \"curl/8\" \"1b4e28ba\" \"h\" \"-\" - - 10.1.1.2:8080 10.0.0.5:51522 - -");
}

static void a_request_that_never_was_complete_has_dashes(void)
{
	setup();
	record.request = NULL;
	record.response = NULL;
	record.status = 400;
	assert_string_equal(render("%REQ(:METHOD)% %REQ(:PATH)% %REQ(X)% %RESP(X)% %TRAILER(X)% "
				   "%QUERY_PARAM(x)% %PATH(WQ)% %RESPONSE_CODE%"),
		"- - - - - - - 400");
}

// The seed's format is text that looks like JSON, with a newline at its end.
static void the_seeds_format_works(void)
{
	setup();
	assert_string_equal(
		render("{\"timestamp\":\"%START_TIME%\",\"method\":\"%REQ(:METHOD)%\",\"path\":\"%REQ(X-ENVOY-ORIGINAL-"
		       "PATH?:PATH)%\",\"protocol\":\"%PROTOCOL%\",\"response_code\":\"%RESPONSE_CODE%\",\"response_flags\":\""
		       "%RESPONSE_FLAGS%\",\"upstream_service\":\"%UPSTREAM_CLUSTER%\",\"duration_ms\":\"%DURATION%\","
		       "\"request_id\":\"%REQ(X-REQUEST-ID)%\",\"upstream_host\":\"%UPSTREAM_HOST%\"}\n"),
		"{\"timestamp\":\"2026-01-31T09:08:07.123Z\",\"method\":\"GET\",\"path\":\"/status/200\","
		"\"protocol\":\"HTTP/1.1\",\"response_code\":\"200\",\"response_flags\":\"-\",\"upstream_service\":"
		"\"outbound|8000||httpbin.default.svc.cluster.local\",\"duration_ms\":\"3\",\"request_id\":"
		"\"1b4e28ba\",\"upstream_host\":\"10.1.2.3:8080\"}");
}

static void each_operator_prints_its_value(void)
{
	static const struct {
		const char *format, *text;
	} cases[] = {
		{"plain 100%%",											      "plain 100%"                           },
		{"%START_TIME(%Y/%m/%d %H:%M:%S.%6f %s)%",								   "2026/01/31 09:08:07.123456 1769850487"},
		{"%START_TIME(%a %A %b %B %d %e %I %p %j %y)%",
                 "Sat Saturday Jan January 31 31 09 AM 031 26"												      },
		{"%START_TIME(%F|%T|%R|%D|%Z|%z|%3f|%f|%%)%",
                 "2026-01-31|09:08:07|09:08|01/31/26|UTC|+0000|123|123456000|%"                                                                                     },
		{"%EMIT_TIME%",											      "2026-01-31T09:08:07.127Z"             },
		{"%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION%",                                                      "3 0 1"                                },
		{"%RESPONSE_DURATION% %RESPONSE_TX_DURATION%",							       "3 0"                                  },
		{"%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%",								"1000"                                 },
		{"%COMMON_DURATION(US_RX_BEG:DS_TX_END:ns)%",								"900000"                               },
		{"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)%",								"3"                                    },
		{"%REQ(User-Agent)% %REQUEST_HEADER(USER-AGENT):3%",                                                         "curl/8 cur"                           },
		{"%REQ(NOPE)% %REQ(NOPE?USER-AGENT)% %REQ(USER-AGENT?NOPE)%",                                                "- curl/8 curl/8"                      },
		{"%REQ(:SCHEME)% %REQ(:AUTHORITY)% %REQ(HOST)%",                                                             "http h h"                             },
		{"%RESP(:STATUS)% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",                                                    "200 2"                                },
		{"%TRAILER(GRPC-STATUS)% %RESPONSE_TRAILER(x?grpc-status)%",                                                 "14 14"                                },
		{"%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%",								  "200 via_upstream"                     },
		{"%CONNECTION_TERMINATION_DETAILS%",									 "-"                                    },
		{"%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%",
                 "URX,UF UpstreamRetryLimitExceeded,UpstreamConnectionFailure"										      },
		{"%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)%",								"Unavailable UNAVAILABLE"              },
		{"%GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%",
                 "Unavailable 14 14"																},
		{"%BYTES_RECEIVED% %BYTES_SENT%",									    "12 34567"                             },
		{"%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT%",
                 "112 18446744073709551615"															 },
		{"%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%",
                 "10.1.2.3:8080 10.1.2.3 8080"														      },
		{"%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%",                                              "10.1.1.2 41234"                       },
		{"%UPSTREAM_CLUSTER_RAW% %UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                 "outbound|8000||httpbin.default.svc.cluster.local 1"											       },
		{"%UPSTREAM_TRANSPORT_FAILURE_REASON%",								      "TLS_error:_no_cipher"                 },
		{"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%",
                 "10.0.0.5 51522"																   },
		{"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
                 "[fd00::7]:51522 fd00::7"															  },
		{"%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER%",                                                         "TLSv1.3 -"                            },
		{"%REQUESTED_SERVER_NAME% %ROUTE_NAME% %CONNECTION_ID%",                                                     "shop.example main 77"                 },
		{"%PATH% %PATH(NQ)% %PATH(NQ:PATH)% %PATH(WQ:ORIG)%",
                 "/o?a=1 /o /status/200 /o?a=1"														     },
		{"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",								       "/o?a=1"                               },
		{"%ENVIRONMENT(POLLGATE_TEST)% %ENVIRONMENT(POLLGATE_NO)%",                                                  "here -"                               },
		{"%DYNAMIC_METADATA(a:b)% %FILTER_STATE(x:PLAIN):9% %VIRTUAL_CLUSTER_NAME%",
                 "- - -"																	    },
		{"%DOWNSTREAM_PEER_SUBJECT%|%DOWNSTREAM_PEER_ISSUER%|%DOWNSTREAM_PEER_SERIAL%",
                 "CN=a|-|0a1b"																      },
		{"%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_EMAIL_SAN% %DOWNSTREAM_PEER_IP_SAN%",
                 "spiffe://a a,b - -"															       },
		{"%DOWNSTREAM_PEER_FINGERPRINT_256:4% %DOWNSTREAM_PEER_FINGERPRINT_1% %DOWNSTREAM_PEER_CERT:5%",
                 "1234 - -----"																     },
		{"%DOWNSTREAM_PEER_CERT_V_START% %DOWNSTREAM_PEER_CERT_V_END(%Y-%m)%",
                 "2000-02-29T00:00:00.000Z 2024-12"														 },
	};
	static const struct tls_client client = {
		.subject = BYTES("CN=a"),
		.serial = BYTES("0a1b"),
		.uri_sans = BYTES("spiffe://a"),
		.dns_sans = BYTES("a,b"),
		.fingerprint_256 = BYTES("12345678"),
		.certificate = BYTES("-----BEGIN%20"),
		.valid_from_us = UINT64_C(951782400000000),
		.valid_until_us = UINT64_C(1735689599000000),
	};

	setup();
	setenv("POLLGATE_TEST", "here", 1);
	add_field(&trailers, "grpc-status", "14");
	record.response_trailers = &trailers;
	record.grpc = true;
	record.grpc_status = 14;
	response_flags_add(&record.flags, RESPONSE_FLAG_URX);
	response_flags_add(&record.flags, RESPONSE_FLAG_UF);
	record.request_body_bytes = 12;
	record.response_body_bytes = 34567;
	record.request_wire_bytes = 112;
	record.response_wire_bytes = UINT64_MAX;
	record.transport_failure = BYTES("TLS error:\tno cipher");
	record.tls_version = "TLSv1.3";
	record.client = &client;
	record.sni = BYTES("shop.example");
	record.route_name = "main";
	record.original_path = BYTES("/o?a=1");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(render(cases[i].format), cases[i].text);
}

static void a_query_parameter_is_found_by_its_whole_name(void)
{
	setup();
	request.path = BYTES("/s?xq=0&q=a%20b&Q=2&empty=&bare&q=3");
	assert_string_equal(render("%QUERY_PARAM(q)% %QUERY_PARAM(Q)% %QUERY_PARAM(q):1% "
				   "<%QUERY_PARAM(empty)%> <%QUERY_PARAM(bare)%> %QUERY_PARAM(x)%"),
		"a%20b 2 a <> <> -");
	request.path = BYTES("/s?");
	assert_string_equal(render("%QUERY_PARAM(q)%"), "-");
}

static void dates_are_right_around_the_odd_ones(void)
{
	static const struct {
		uint64_t s;
		const char *text;
	} cases[] = {
		{0,		    "1970-01-01 001 Thu 12 AM"},
		{951782400,            "2000-02-29 060 Tue 12 AM"},
		{951868800,            "2000-03-01 061 Wed 12 AM"},
		{978264000,            "2000-12-31 366 Sun 12 PM"},
		{1709164800,           "2024-02-29 060 Thu 12 AM"},
		{1735689599,           "2024-12-31 366 Tue 11 PM"},
		{1740787200,           "2025-03-01 060 Sat 12 AM"},
		{4107542400,           "2100-03-01 060 Mon 12 AM"}, // 2100 is no leap year
		{UINT64_MAX / 1000000, "9999-12-31 365 Fri 11 PM"},
	};

	setup();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		record.start_wall_us = cases[i].s * 1000000;
		assert_string_equal(render("%START_TIME(%F %j %a %I %p)%"), cases[i].text);
	}
}

static void text_without_a_newline_gets_one_and_with_one_no_second(void)
{
	setup();
	render("x");
	assert_int_equal(line_len, 2);
	render("x\n");
	assert_int_equal(line_len, 2);
	render("%%\n\n");
	assert_int_equal(line_len, 3);
}

static void nobody_can_add_lines_to_the_log(void)
{
	setup();
	record.sni = BYTES("a\r\n[fake] \"GET / HTTP/1.1\" 200\0\x1b[2J\x7f");
	assert_string_equal(render("%REQUESTED_SERVER_NAME%"),
		"a\\x0d\\x0a[fake] \"GET / HTTP/1.1\" 200\\x00\\x1b[2J\\x7f");
	record.details = "a\nb";
	assert_string_equal(render("%RESPONSE_CODE_DETAILS%"), "a_b");
}

static void json_has_istios_keys_in_order_and_types(void)
{
	setup();
	assert_string_equal(render_as(NULL, true),
		"{\"authority\":\"h\",\"bytes_received\":0,\"bytes_sent\":0,"
		"\"connection_termination_details\":null,\"downstream_local_address\":\"10.1.1.2:8080\","
		"\"downstream_remote_address\":\"10.0.0.5:51522\",\"duration\":3,\"method\":\"GET\","
		"\"path\":\"/status/200\",\"protocol\":\"HTTP/1.1\",\"request_id\":\"1b4e28ba\","
		"\"requested_server_name\":null,\"response_code\":200,"
		"\"response_code_details\":\"via_upstream\",\"response_flags\":\"-\",\"route_name\":null,"
		"\"start_time\":\"2026-01-31T09:08:07.123Z\","
		"\"upstream_cluster\":\"outbound|8000||httpbin.default.svc.cluster.local\","
		"\"upstream_host\":\"10.1.2.3:8080\",\"upstream_local_address\":\"10.1.1.2:41234\","
		"\"upstream_service_time\":\"2\",\"upstream_transport_failure_reason\":null,"
		"\"user_agent\":\"curl/8\",\"x_forwarded_for\":\"10.0.0.5\"}");
}

static void json_may_nest_and_mix(void)
{
	setup();
	assert_string_equal(
		render_as("{\"z\":[1,true,null,\"%RESPONSE_CODE%\",1.5],\"a\":{\"n\":-3,"
			  "\"mix\":\"<%RESPONSE_CODE%|%ROUTE_NAME%>\",\"e\":\"\"},"
			  "\"q\\\"k\":\"100%% \\u00fc\\n\"}",
			true),
		"{\"a\":{\"e\":\"\",\"mix\":\"<200|->\",\"n\":-3},"
		"\"q\\\"k\":\"100% \xc3\xbc\\n\",\"z\":[1,true,null,200,1.5]}");
}

static void json_is_always_json(void)
{
	static const struct {
		struct bytes value;
		const char *json;
	} cases[] = {
		{{(const uint8_t *)"a\"b\\c", 5},                                 "\"a\\\"b\\\\c\""                 },
		{{(const uint8_t *)"\b\f\n\r\t\0\x1f\x7f", 8},
                 "\"\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\""                                                         },
		{{(const uint8_t *)"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", 11},
                 "\"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80\""                                                       },
		{{(const uint8_t *)"\xff\x80x", 3},                               "\"\\ufffd\\ufffdx\""             },
		{{(const uint8_t *)"\xc0\xaf", 2},                                "\"\\ufffd\\ufffd\""              }, // overlong
		{{(const uint8_t *)"\xed\xa0\x80", 3},                            "\"\\ufffd\\ufffd\\ufffd\""       }, // surrogate
		{{(const uint8_t *)"\xf4\x90\x80\x80", 4},                        "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
		{{(const uint8_t *)"x\xe2\x82", 3},                               "\"x\\ufffd\\ufffd\""             }, // ends too early
	};

	setup();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expected[128];

		snprintf(expected, sizeof(expected), "{\"k\":%s}", cases[i].json);
		record.sni = cases[i].value;
		assert_string_equal(
			render_as("{\"k\":\"%REQUESTED_SERVER_NAME%\"}", true), expected);
	}
}

static void a_bad_format_is_refused_with_the_operators_name(void)
{
	static const struct {
		const char *format, *part;
	} cases[] = {
		{"%NOPE%",						     "unknown operator %NOPE%"          },
		{"a %REQ(X)",						  "no operator at \"%REQ(X)\""       },
		{"50% off",						    "no operator at \"% off\""         },
		{"%",							  "no operator"                      },
		{"%REQ(X",						     "%REQ(X has no closing parenthesis"},
		{"%REQ()%",						    "%REQ()%: arguments are not valid" },
		{"%REQ%",						      "%REQ()%: arguments are not valid" },
		{"%REQ(A?B?C)%",					       "%REQ(A?B?C)%"                     },
		{"%REQ(A?)%",						  "%REQ(A?)%"                        },
		{"%REQ(:NOPE)%",					       "%REQ(:NOPE)%"                     },
		{"%REQ(X):%",						  "no valid length"                  },
		{"%REQ(X):0%",						 "no valid length"                  },
		{"%REQ(X):99999999999999999999%",                              "no valid length"                  },
		{"%DURATION(x)%",					      "%DURATION(x)%"                    },
		{"%START_TIME(%Q)%",					   "unknown time specifier \"%Q\""    },
		{"%START_TIME(%)%",					    "unknown time specifier \"%\""     },
		{"%START_TIME(%B%B%B%B%B%B%B%B%B%B%B%B%B%B%B%B%B%B%B%B%B%B)%", "too long"                         },
		{"%GRPC_STATUS(LOUD)%",					"%GRPC_STATUS(LOUD)%"              },
		{"%COMMON_DURATION(DS_RX_BEG:X:ms)%",                          "%COMMON_DURATION(DS_RX_BEG:X:ms)%"},
		{"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:h)%",                   "%COMMON_DURATION("                },
		{"%PATH(XX)%",						 "%PATH(XX)%"                       },
		{"%QUERY_PARAM()%",					    "%QUERY_PARAM()%"                  },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char json[256];
		const char *error = refusal(cases[i].format, false);

		if (strstr(error, cases[i].part) == NULL)
			fail_msg("%s: says \"%s\"", cases[i].format, error);
		snprintf(json, sizeof(json), "{\"k\":\"%s\"}", cases[i].format);
		if (strstr(refusal(json, true), cases[i].part) == NULL)
			fail_msg("%s: says \"%s\"", json, refusal(json, true));
	}
}

static void json_that_is_none_is_refused(void)
{
	assert_non_null(strstr(refusal("{\"a\":", true), "JSON format: "));
	assert_non_null(strstr(refusal("[\"%DURATION%\"]", true), "not an object"));
	assert_non_null(strstr(refusal("{\"a\":1,\"a\":2}", true), "duplicate"));
	assert_non_null(strstr(refusal("{\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", true),
		"nested too deeply"));
}

static void a_line_too_long_is_cut_and_still_a_line(void)
{
	char error[256], small[64];
	struct access_log_format *f = access_log_format_new("%REQ(X)% %REQ(X)%", false, error);
	static char value[100];

	setup();
	memset(value, '\n', sizeof(value) - 1);
	add_field(&request.fields, "x", value);
	assert_non_null(f);
	for (size_t cap = 0; cap <= sizeof(small); cap++) {
		memset(small, '#', sizeof(small));
		assert_int_equal(access_log_render(f, &record, small, cap), cap);
		if (cap > 0)
			assert_int_equal(small[cap - 1], '\n');
		if (cap < sizeof(small))
			assert_int_equal(small[cap], '#');
	}
	access_log_format_free(&f);
}

static void lines_go_into_the_ring_until_it_is_full(void)
{
	char error[256];
	struct access_log_format *f = access_log_format_new(NULL, false, error);
	struct log_ring *ring = log_ring_new(0);
	const char *run;
	size_t n_lines = 0, n_read = 0;

	setup();
	while (access_log_write(f, &record, ring))
		n_lines++;
	assert_true(n_lines > 100);
	for (size_t n; (n = log_ring_peek(ring, &run)) > 0; log_ring_consume(ring, n)) {
		for (size_t i = 0; i < n; i++)
			n_read += run[i] == '\n';
	}
	assert_int_equal(n_read, n_lines);
	log_ring_free(&ring);
	access_log_format_free(&f);
}

TESTS(TEST(istios_default_line_of_a_success),
	TEST(istios_default_line_of_a_request_without_a_route),
	TEST(a_request_that_never_was_complete_has_dashes), TEST(the_seeds_format_works),
	TEST(each_operator_prints_its_value), TEST(a_query_parameter_is_found_by_its_whole_name),
	TEST(dates_are_right_around_the_odd_ones),
	TEST(text_without_a_newline_gets_one_and_with_one_no_second),
	TEST(nobody_can_add_lines_to_the_log), TEST(json_has_istios_keys_in_order_and_types),
	TEST(json_may_nest_and_mix), TEST(json_is_always_json),
	TEST(a_bad_format_is_refused_with_the_operators_name), TEST(json_that_is_none_is_refused),
	TEST(a_line_too_long_is_cut_and_still_a_line),
	TEST(lines_go_into_the_ring_until_it_is_full))
