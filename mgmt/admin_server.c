#include "mgmt/admin_server.h"

#include "dataplane/base/log.h"
#include "mgmt/admin_protocol.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

LOG_MODULE("admin")

// Since the last command was complete, or since the client last took bytes of its answer.
#define CLIENT_TIMEOUT_US 10000000u
#define BACKLOG           16

struct admin_client {
	struct loop_source source; // fd -1: free
	struct admin_server *server;
	uint64_t deadline_us;
	bool closing; // end of input was seen: close when the answers are out
	size_t n_in;
	char *out; // malloc'ed; NULL: nothing to send
	size_t out_len;
	size_t out_sent;
	struct admin_stream stream; // the rest of the answer
	char in[ADMIN_LINE_MAX];
};

struct admin_server {
	struct loop *loop;
	struct loop_source source;
	admin_execute_fn *execute;
	void *arg;
	char *path;
	dev_t device; // of the socket's name
	ino_t inode;
	struct admin_client clients[ADMIN_SERVER_MAX_CLIENTS];
};

// A last line that nobody waits for: what does not fit is lost with the connection.
static void refuse(int fd, enum admin_code code, const char *why)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "%04u %s\n", (unsigned)code, why);

	(void)!send(fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void client_close(struct admin_client *c)
{
	if (c->stream.ops != NULL)
		c->stream.ops->cancel(c->stream.arg);
	c->stream.ops = NULL;
	loop_remove(c->server->loop, &c->source);
	close(c->source.fd);
	free(c->out);
	c->out = NULL;
	c->source.fd = -1;
}

// Returns false if the client is gone.
static bool client_send(struct admin_client *c, uint64_t now_us)
{
	while (c->out != NULL) {
		ssize_t n = send(c->source.fd, c->out + c->out_sent, c->out_len - c->out_sent,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			client_close(c);
			return false;
		}
		c->deadline_us = now_us + CLIENT_TIMEOUT_US;
		c->out_sent += (size_t)n;
		if (c->out_sent == c->out_len) {
			free(c->out);
			c->out = NULL;
		}
	}
	return true;
}

// What is written to the file becomes the client's output.
static FILE *output_begin(struct admin_client *c)
{
	FILE *to = open_memstream(&c->out, &c->out_len);

	c->out_sent = 0;
	if (to == NULL)
		c->out = NULL;
	return to;
}

static void output_end(struct admin_client *c, FILE *to)
{
	if (fclose(to) != 0 || c->out_len == 0) {
		free(c->out);
		c->out = NULL;
	}
}

static void client_execute(struct admin_client *c, char *line)
{
	FILE *to = output_begin(c);

	if (to == NULL)
		return;
	c->server->execute(c->server->arg, line, to, &c->stream);
	output_end(c, to);
}

// What the client's source has to wait for.
static uint32_t events_for(const struct admin_client *c)
{
	if (c->out != NULL)
		return EPOLLOUT;
	// While an answer goes on there may be no room for what a client says in advance, or nothing more to come.
	return c->closing || c->n_in == sizeof(c->in) ? 0 : EPOLLIN;
}

// Runs the commands that are complete, one answer at a time: the next begins when the previous answer is sent. Returns false if
// the client is gone.
static bool client_run(struct admin_client *c, uint64_t now_us)
{
	while (c->out == NULL && c->stream.ops == NULL) {
		char *end = memchr(c->in, '\n', c->n_in);
		size_t used;

		if (end == NULL)
			break;
		*end = '\0';
		used = (size_t)(end - c->in) + 1;
		client_execute(c, c->in);
		c->n_in -= used;
		memmove(c->in, c->in + used, c->n_in);
		if (!client_send(c, now_us))
			return false;
	}
	if (c->stream.ops != NULL) {
		if (c->closing)
			c->stream.ops->finish(c->stream.arg);
		loop_modify(c->server->loop, &c->source, events_for(c));
		return true;
	}
	if (c->out == NULL && c->n_in == sizeof(c->in)) {
		refuse(c->source.fd, ADMIN_CODE_ARGUMENTS, "the line is too long");
		c->closing = true;
	}
	if (c->out == NULL && c->closing) {
		client_close(c);
		return false;
	}
	loop_modify(c->server->loop, &c->source, events_for(c));
	return true;
}

static void on_client(struct loop_source *source, uint32_t events, uint64_t now_us)
{
	struct admin_client *c = source->arg;

	if (c->out != NULL) {
		if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLOUT) == 0) {
			client_close(c);
			return;
		}
		if (!client_send(c, now_us))
			return;
	} else {
		ssize_t n =
			recv(source->fd, c->in + c->n_in, sizeof(c->in) - c->n_in, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			client_close(c);
			return;
		}
		c->closing = n == 0;
		c->n_in += (size_t)n;
		if (memchr(c->in, '\n', c->n_in) != NULL)
			c->deadline_us = now_us + CLIENT_TIMEOUT_US;
	}
	client_run(c, now_us);
}

static bool peer_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	log_warning("control socket refused a peer (uid=%u pid=%d)", peer.uid, peer.pid);
	return false;
}

static struct admin_client *free_client(struct admin_server *s)
{
	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++) {
		if (s->clients[i].source.fd < 0)
			return &s->clients[i];
	}
	return NULL;
}

static void on_connection(struct loop_source *source, uint32_t events, uint64_t now_us)
{
	struct admin_server *s = source->arg;
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct admin_client *c = free_client(s);

	(void)events;
	if (fd < 0)
		return;
	if (!peer_is_allowed(fd)) {
		refuse(fd, ADMIN_CODE_FAILED, "only root and the gateway's own user may");
		close(fd);
		return;
	}
	if (c == NULL) {
		refuse(fd, ADMIN_CODE_FAILED, "too many clients of the control socket");
		close(fd);
		return;
	}
	c->source = (struct loop_source){fd, on_client, c};
	c->server = s;
	c->closing = false;
	c->stream.ops = NULL;
	c->n_in = 0;
	c->deadline_us = now_us + CLIENT_TIMEOUT_US;
	if (loop_add(s->loop, &c->source, EPOLLIN) != 0) {
		close(fd);
		c->source.fd = -1;
	}
}

// True if somebody answers at 'address': then the name is not ours to take.
static bool somebody_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes;

	if (fd < 0)
		return true;
	yes = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0
		|| errno == EAGAIN;
	close(fd);
	return yes;
}

static void make_folder(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	(void)!mkdir(dirname(copy), 0755);
}

// Binds 'fd'; the socket never exists with a wider mode than 0600.
static int bind_socket(int fd, const struct sockaddr_un *address)
{
	struct stat st;
	mode_t mask = umask(0177);
	int err = 0;

	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
		err = -errno;
	if (err == -EADDRINUSE && !somebody_listens(address) && lstat(address->sun_path, &st) == 0
		&& S_ISSOCK(st.st_mode)) {
		unlink(address->sun_path);
		err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0
											: -errno;
	}
	umask(mask);
	return err;
}

static int open_socket(struct admin_server *s, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	int err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	make_folder(path);
	s->source.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->source.fd < 0)
		return -errno;
	err = bind_socket(s->source.fd, &address);
	if (err != 0)
		return err;
	s->path = strdup(path);
	if (s->path == NULL)
		return -ENOMEM;
	if (lstat(path, &st) != 0 || listen(s->source.fd, BACKLOG) != 0)
		return -errno;
	s->device = st.st_dev;
	s->inode = st.st_ino;
	return loop_add(s->loop, &s->source, EPOLLIN);
}

struct admin_server *admin_server_new(struct loop *loop, const char *path,
	admin_execute_fn *execute, void *arg, char error[ADMIN_SERVER_ERROR_SIZE])
{
	struct admin_server *s = calloc(1, sizeof(*s));
	int err;

	if (s == NULL) {
		snprintf(error, ADMIN_SERVER_ERROR_SIZE, "out of memory");
		return NULL;
	}
	s->loop = loop;
	s->execute = execute;
	s->arg = arg;
	s->source = (struct loop_source){-1, on_connection, s};
	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++)
		s->clients[i].source.fd = -1;
	err = open_socket(s, path);
	if (err != 0) {
		snprintf(error, ADMIN_SERVER_ERROR_SIZE, "cannot open the control socket %s: %s",
			path,
			err == -EADDRINUSE ? "another gateway listens there" : strerror(-err));
		admin_server_free(&s);
	}
	return s;
}

void admin_server_free(struct admin_server **sp)
{
	struct admin_server *s = *sp;
	struct stat st;

	*sp = NULL;
	if (s == NULL)
		return;
	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++) {
		struct admin_client *c = &s->clients[i];

		if (c->source.fd >= 0 && client_send(c, 0))
			client_close(c);
	}
	if (s->path != NULL && s->inode != 0 && lstat(s->path, &st) == 0 && st.st_dev == s->device
		&& st.st_ino == s->inode)
		unlink(s->path);
	if (s->source.fd >= 0) {
		loop_remove(s->loop, &s->source);
		close(s->source.fd);
	}
	free(s->path);
	free(s);
}

void admin_server_tick(struct admin_server *s, uint64_t now_us)
{
	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++) {
		struct admin_client *c = &s->clients[i];
		bool waits_for_us = c->stream.ops != NULL && c->out == NULL;

		if (c->source.fd >= 0 && now_us >= c->deadline_us && !waits_for_us)
			client_close(c);
	}
}

static bool is_streaming(const struct admin_client *c)
{
	return c->source.fd >= 0 && c->stream.ops != NULL;
}

static void client_more(struct admin_client *c, uint64_t now_us)
{
	FILE *to = output_begin(c);

	if (to == NULL)
		return;
	if (!c->stream.ops->more(c->stream.arg, to, now_us))
		c->stream.ops = NULL;
	output_end(c, to);
	c->deadline_us = now_us + CLIENT_TIMEOUT_US;
	if (client_send(c, now_us))
		client_run(c, now_us);
}

void admin_server_run(struct admin_server *s, uint64_t now_us)
{
	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++) {
		if (is_streaming(&s->clients[i]) && s->clients[i].out == NULL)
			client_more(&s->clients[i], now_us);
	}
}

bool admin_server_has_streams(const struct admin_server *s)
{
	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++) {
		if (is_streaming(&s->clients[i]))
			return true;
	}
	return false;
}

void admin_server_finish_streams(struct admin_server *s, uint64_t now_us)
{
	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++) {
		struct admin_client *c = &s->clients[i];

		if (!is_streaming(c))
			continue;
		c->stream.ops->finish(c->stream.arg);
		while (is_streaming(c) && c->out == NULL)
			client_more(c, now_us);
		if (is_streaming(c))
			client_close(c); // it is too slow to be told
	}
}

unsigned admin_server_n_clients(const struct admin_server *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++)
		n += s->clients[i].source.fd >= 0;
	return n;
}
