#include "mgmt/health.h"

#include "dataplane/base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

LOG_MODULE("health")

// Whoever holds connections open keeps no probe of somebody else's away.
#define MAX_CONNECTIONS 256
#define MAX_OF_ADDRESS  32
#define HEAD_BYTES      8192 // of a connection
#define IDLE_TIMEOUT_S  10
#define BACKLOG         64

struct http_endpoint {
	struct loop *loop;
	struct loop_source source;
	struct MHD_Daemon *daemon;
	struct http_endpoint_ops ops;
};

struct answer {
	unsigned status;
	const char *type;
	char *body; // malloc'ed, becomes the response's
	size_t len;
};

static struct answer text_answer(unsigned status, const char *text)
{
	char *body = strdup(text);

	return (struct answer){
		status, "text/plain; charset=UTF-8", body, body != NULL ? strlen(body) : 0};
}

static struct answer metrics_answer(const struct http_endpoint *e)
{
	struct answer a = {MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", NULL, 0};
	FILE *to = open_memstream(&a.body, &a.len);

	if (to == NULL)
		return text_answer(MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
	e->ops.metrics(e->ops.arg, to);
	if (fclose(to) != 0) {
		free(a.body);
		return text_answer(MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
	}
	return a;
}

static struct answer ready_answer(const struct http_endpoint *e)
{
	return e->ops.is_ready(e->ops.arg)
		? text_answer(MHD_HTTP_OK, "ready\n")
		: text_answer(MHD_HTTP_SERVICE_UNAVAILABLE, "not ready\n");
}

static struct answer live_answer(const struct http_endpoint *e)
{
	(void)e;
	return text_answer(MHD_HTTP_OK, "live\n");
}

static const struct {
	const char *path;
	bool metrics;
	struct answer (*answer)(const struct http_endpoint *e);
} pages[] = {
	{"/healthz/ready",    false, ready_answer  },
	{"/healthz/live",     false, live_answer   },
	{"/stats/prometheus", true,  metrics_answer},
	{"/metrics",          true,  metrics_answer},
};

static struct answer answer_for(const struct http_endpoint *e, const char *method, const char *path)
{
	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		bool offered = pages[i].metrics ? e->ops.metrics != NULL : e->ops.health;

		if (!offered || strcmp(pages[i].path, path) != 0)
			continue;
		if (strcmp(method, MHD_HTTP_METHOD_GET) != 0
			&& strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
			return text_answer(MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed\n");
		return pages[i].answer(e);
	}
	return text_answer(MHD_HTTP_NOT_FOUND, "not found\n");
}

// libmicrohttpd calls this once for the head, once for each piece of a body, and once for the end. We answer at the head;
// a body would be refused by closing, which is what it does then.
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **request)
{
	struct answer a = answer_for(arg, method, path);
	struct MHD_Response *response;
	enum MHD_Result result;

	(void)version, (void)upload, (void)upload_size, (void)request;
	if (a.body == NULL)
		return MHD_NO;
	response = MHD_create_response_from_buffer(a.len, a.body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(a.body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a.type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (a.status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, a.status, response);
	MHD_destroy_response(response);
	return result;
}

static void on_ready(struct loop_source *source, uint32_t events, uint64_t now_us)
{
	(void)events, (void)now_us;
	http_endpoint_run(source->arg);
}

static int open_listener(const struct ip_endpoint *local)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET,
		.sin_port = htons(local->port),
		.sin_addr.s_addr = ip_addr_v4(&local->addr),
	};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(local->port)};
	bool is_v4 = ip_addr_is_v4(&local->addr);
	const int on = 1;
	int fd, err;

	memcpy(&v6.sin6_addr, local->addr.b, sizeof(v6.sin6_addr));
	fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if ((is_v4 ? bind(fd, (const struct sockaddr *)&v4, sizeof(v4))
		   : bind(fd, (const struct sockaddr *)&v6, sizeof(v6)))
			!= 0
		|| listen(fd, BACKLOG) != 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

struct http_endpoint *http_endpoint_new(struct loop *loop, const struct ip_endpoint *local,
	const struct http_endpoint_ops *ops, char error[HTTP_ENDPOINT_ERROR_SIZE])
{
	struct http_endpoint *e = calloc(1, sizeof(*e));
	char address[IP_ENDPOINT_TEXT_SIZE];
	const union MHD_DaemonInfo *info;
	int fd = open_listener(local);
	int err = fd < 0 ? -fd : ENOMEM;

	ip_endpoint_print(local, address);
	if (e == NULL || fd < 0)
		goto failed;
	e->loop = loop;
	e->ops = *ops;
	// The daemon owns the socket from here on.
	e->daemon = MHD_start_daemon(MHD_USE_EPOLL, local->port, NULL, NULL, on_request, e,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)MAX_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)MAX_OF_ADDRESS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
	if (e->daemon == NULL)
		goto failed;
	fd = -1;
	info = MHD_get_daemon_info(e->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (info == NULL)
		goto failed;
	e->source = (struct loop_source){info->epoll_fd, on_ready, e};
	err = -loop_add(loop, &e->source, EPOLLIN);
	if (err != 0)
		goto failed;
	return e;
failed:
	snprintf(
		error, HTTP_ENDPOINT_ERROR_SIZE, "cannot listen on %s: %s", address, strerror(err));
	if (e != NULL && e->daemon != NULL)
		MHD_stop_daemon(e->daemon);
	if (fd >= 0)
		close(fd);
	free(e);
	return NULL;
}

void http_endpoint_free(struct http_endpoint **ep)
{
	struct http_endpoint *e = *ep;

	*ep = NULL;
	if (e == NULL)
		return;
	loop_remove(e->loop, &e->source);
	MHD_stop_daemon(e->daemon);
	free(e);
}

uint16_t http_endpoint_port(const struct http_endpoint *e)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(e->daemon, MHD_DAEMON_INFO_LISTEN_FD);
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t len = sizeof(address);

	if (info == NULL || getsockname(info->listen_fd, &address.any, &len) != 0)
		return 0;
	return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

int http_endpoint_fd(const struct http_endpoint *e)
{
	return e->source.fd;
}

uint64_t http_endpoint_deadline(const struct http_endpoint *e, uint64_t now_us)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(e->daemon, &ms) != MHD_YES)
		return UINT64_MAX;
	return now_us + (uint64_t)ms * 1000;
}

void http_endpoint_run(struct http_endpoint *e)
{
	if (MHD_run(e->daemon) != MHD_YES)
		log_warning("libmicrohttpd refused to run");
}
