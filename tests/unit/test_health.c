// The endpoints for machines, asked over loopback by a raw client in the same thread.
#include "mgmt/health.h"

#include "tests/test_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define METRICS_LINES 20000

struct rig {
	struct loop *loop;
	struct http_endpoint *endpoint;
	bool ready;
	char answer[1 << 20];
};

static bool is_ready(void *arg)
{
	return ((const struct rig *)arg)->ready;
}

static void metrics(void *arg, FILE *to)
{
	(void)arg;
	for (unsigned i = 0; i < METRICS_LINES; i++)
		fprintf(to, "pollgate_test{i=\"%05u\"} 1\n", i);
}

static struct rig rig; // large

static void rig_init(bool with_health, bool with_metrics)
{
	const struct http_endpoint_ops ops = {
		is_ready, with_metrics ? metrics : NULL, with_health, &rig};
	struct ip_endpoint local = {.addr = ip_addr_of_v4(htonl(INADDR_LOOPBACK))};
	char error[HTTP_ENDPOINT_ERROR_SIZE] = "";

	rig = (struct rig){.loop = loop_new()};
	rig.endpoint = http_endpoint_new(rig.loop, &local, &ops, error);
	assert_string_equal(error, "");
	assert_non_null(rig.endpoint);
}

static void rig_fini(void)
{
	http_endpoint_free(&rig.endpoint);
	loop_free(&rig.loop);
}

// 'from': the address of the client, 127.0.0.0 and so many.
static int connect_from(unsigned from)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(http_endpoint_port(rig.endpoint)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct sockaddr_in own = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + from),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

// Sends 'request' on a connection of its own and reads until the server closes. Returns the status.
static unsigned ask(const char *request)
{
	int fd = connect_from(1);
	unsigned status = 0;
	size_t len = 0;

	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	for (unsigned i = 0; i < 10000; i++) {
		ssize_t n;

		loop_run_once(rig.loop, loop_now_us() + 1000);
		http_endpoint_run(rig.endpoint);
		n = recv(fd, rig.answer + len, sizeof(rig.answer) - 1 - len, MSG_DONTWAIT);
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	rig.answer[len] = '\0';
	sscanf(rig.answer, "HTTP/1.1 %u", &status);
	return status;
}

#define ASK(method, path) ask(method " " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

static void readiness_follows_the_state(void)
{
	rig_init(true, false);
	assert_int_equal(ASK("GET", "/healthz/ready"), 503);
	rig.ready = true;
	assert_int_equal(ASK("GET", "/healthz/ready"), 200);
	assert_non_null(strstr(rig.answer, "\r\n\r\nready\n"));
	rig.ready = false;
	assert_int_equal(ASK("GET", "/healthz/ready"), 503);
	assert_int_equal(ASK("GET", "/healthz/live"), 200);
	rig_fini();
}

static void only_get_and_head_are_taken(void)
{
	rig_init(true, false);
	rig.ready = true;
	assert_int_equal(ASK("HEAD", "/healthz/ready"), 200);
	assert_null(strstr(rig.answer, "ready\n"));
	assert_int_equal(ASK("DELETE", "/healthz/ready"), 405);
	assert_non_null(strstr(rig.answer, "Allow: GET, HEAD"));
	assert_int_equal(ask("POST /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			     "Content-Length: 2\r\n\r\nhi"),
		405);
	rig_fini();
}

static void each_endpoint_has_its_own_pages_only(void)
{
	rig_init(true, false);
	assert_int_equal(ASK("GET", "/metrics"), 404);
	assert_int_equal(ASK("GET", "/"), 404);
	assert_int_equal(ASK("GET", "/healthz/ready/"), 404);
	rig_fini();
	rig_init(false, true);
	assert_int_equal(ASK("GET", "/healthz/ready"), 404);
	assert_int_equal(ASK("GET", "/stats/prometheus"), 200);
	rig_fini();
}

static void metrics_arrive_whole_with_their_type(void)
{
	rig_init(false, true);
	assert_int_equal(ASK("GET", "/metrics"), 200);
	assert_non_null(strstr(rig.answer, "Content-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(rig.answer, "\r\n\r\npollgate_test{i=\"00000\"} 1\n"));
	assert_string_equal(rig.answer + strlen(rig.answer) - 27, "pollgate_test{i=\"19999\"} 1\n");
	rig_fini();
}

static void a_client_that_holds_connections_keeps_no_probe_away(void)
{
	int held[60];

	rig_init(true, false);
	rig.ready = true;
	for (unsigned i = 0; i < 60; i++) {
		held[i] = connect_from(2);
		http_endpoint_run(rig.endpoint);
	}
	assert_int_equal(ASK("GET", "/healthz/ready"), 200);
	// And not because the first of them had been idle for too long.
	assert_int_equal(recv(held[0], rig.answer, 1, MSG_DONTWAIT), -1);
	for (unsigned i = 0; i < 60; i++)
		close(held[i]);
	rig_fini();
}

static void a_port_that_is_taken_is_a_sentence(void)
{
	const struct http_endpoint_ops ops = {is_ready, NULL, true, &rig};
	struct ip_endpoint local = {.addr = ip_addr_of_v4(htonl(INADDR_LOOPBACK))};
	char error[HTTP_ENDPOINT_ERROR_SIZE] = "";

	rig_init(true, false);
	local.port = http_endpoint_port(rig.endpoint);
	assert_null(http_endpoint_new(rig.loop, &local, &ops, error));
	assert_non_null(strstr(error, "cannot listen on 127.0.0.1:"));
	assert_non_null(strstr(error, "Address already in use"));
	rig_fini();
}

TESTS(TEST(readiness_follows_the_state), TEST(only_get_and_head_are_taken),
	TEST(each_endpoint_has_its_own_pages_only), TEST(metrics_arrive_whole_with_their_type),
	TEST(a_client_that_holds_connections_keeps_no_probe_away),
	TEST(a_port_that_is_taken_is_a_sentence))
