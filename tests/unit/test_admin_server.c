// The control socket with a real client in the same thread: the test runs the server's loop by hand between its steps.
#include "mgmt/admin_protocol.h"
#include "mgmt/admin_server.h"

#include "tests/test_support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct rig {
	char folder[64];
	char path[96];
	struct loop *loop;
	struct admin_server *server;
	char error[ADMIN_SERVER_ERROR_SIZE];
	unsigned n_executed;
	// of "stream N", which answers with N pieces of 100 KB
	unsigned n_pieces;
	bool finished;
	bool cancelled;
};

static bool more(void *arg, FILE *to, uint64_t now_us)
{
	struct rig *r = arg;

	(void)now_us;
	if (r->n_pieces > 0 && !r->finished) {
		r->n_pieces--;
		fprintf(to, "1002 100000\n%0*d\n", 100000, 7);
		return true;
	}
	fprintf(to, "0000 %u left\n", r->n_pieces);
	return false;
}

static void finish(void *arg)
{
	((struct rig *)arg)->finished = true;
}

static void cancel(void *arg)
{
	((struct rig *)arg)->cancelled = true;
}

static const struct admin_stream_ops pieces = {more, finish, cancel};

// Answers with what it was told; "big N" with N bytes.
static void echo(void *arg, char *line, FILE *to, struct admin_stream *rest)
{
	struct rig *r = arg;
	unsigned size;

	r->n_executed++;
	if (sscanf(line, "stream %u", &r->n_pieces) == 1) {
		*rest = (struct admin_stream){&pieces, r};
		return;
	}
	if (sscanf(line, "big %u", &size) == 1) {
		fprintf(to, "1000 %0*d\n", (int)size, 0);
		fputs("0000 done\n", to);
	} else {
		fprintf(to, "0000 %s\n", line);
	}
}

static void rig_init(struct rig *r)
{
	*r = (struct rig){0};
	strcpy(r->folder, "/tmp/mg-admin-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->path, sizeof(r->path), "%s/mgmt.sock", r->folder);
	r->loop = loop_new();
	assert_non_null(r->loop);
	r->server = admin_server_new(r->loop, r->path, echo, r, r->error);
}

static void rig_fini(struct rig *r)
{
	admin_server_free(&r->server);
	loop_free(&r->loop);
	assert_int_equal(rmdir(r->folder), 0); // the socket's name is gone
}

static void turn(struct rig *r)
{
	for (unsigned i = 0; i < 4; i++)
		loop_run_once(r->loop, 0);
}

static int client(struct rig *r)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, r->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	turn(r);
	return fd;
}

static void say(struct rig *r, int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn(r);
}

static void expect(int fd, const char *text)
{
	char buffer[1024] = "";
	ssize_t n = recv(fd, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);

	assert_int_equal(n, strlen(text));
	assert_string_equal(buffer, text);
}

static void expect_nothing(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void expect_closed(int fd)
{
	char buffer[4096];
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
		;
	assert_true(n == 0 || errno == ECONNRESET);
}

static void a_command_is_answered_however_it_arrives(void)
{
	struct rig r;
	int fd;

	rig_init(&r);
	fd = client(&r);
	say(&r, fd, "sta");
	expect_nothing(fd);
	say(&r, fd, "tus\nsecond\nthi");
	expect(fd, "0000 status\n0000 second\n");
	say(&r, fd, "rd\n");
	expect(fd, "0000 third\n");
	close(fd);
	turn(&r);
	assert_int_equal(admin_server_n_clients(r.server), 0);
	rig_fini(&r);
}

static void a_client_that_ends_its_side_still_gets_its_answer(void)
{
	struct rig r;
	int fd;

	rig_init(&r);
	fd = client(&r);
	assert_int_equal(send(fd, "status\n", 7, MSG_NOSIGNAL), 7);
	shutdown(fd, SHUT_WR);
	turn(&r);
	expect(fd, "0000 status\n");
	expect_closed(fd);
	close(fd);
	rig_fini(&r);
}

static void the_socket_is_for_its_owner_alone(void)
{
	struct stat st;
	struct rig r;

	rig_init(&r);
	assert_int_equal(stat(r.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	rig_fini(&r);
}

static void a_socket_that_nobody_listens_on_is_replaced(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct rig r;
	int fd;

	rig_init(&r);
	admin_server_free(&r.server);
	strcpy(address.sun_path, r.path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	r.server = admin_server_new(r.loop, r.path, echo, &r, r.error);
	assert_non_null(r.server);
	rig_fini(&r);
}

static void a_running_gateway_is_not_robbed_of_its_socket(void)
{
	struct admin_server *second;
	struct rig r;
	int fd;

	rig_init(&r);
	second = admin_server_new(r.loop, r.path, echo, &r, r.error);
	assert_null(second);
	assert_non_null(strstr(r.error, "another gateway listens there"));
	fd = client(&r);
	say(&r, fd, "alive\n");
	expect(fd, "0000 alive\n");
	close(fd);
	rig_fini(&r);
}

static void a_file_that_is_no_socket_is_left_alone(void)
{
	struct rig r;
	FILE *f;

	rig_init(&r);
	admin_server_free(&r.server);
	f = fopen(r.path, "w");
	fputs("precious", f);
	fclose(f);
	assert_null(admin_server_new(r.loop, r.path, echo, &r, r.error));
	assert_int_equal(unlink(r.path), 0);
	rig_fini(&r);
}

static void one_client_too_many_is_told_so(void)
{
	int fds[ADMIN_SERVER_MAX_CLIENTS], fd;
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < ADMIN_SERVER_MAX_CLIENTS; i++)
		fds[i] = client(&r);
	fd = client(&r);
	expect(fd, "8000 too many clients of the control socket\n");
	expect_closed(fd);
	close(fd);
	close(fds[0]);
	turn(&r);
	fd = client(&r);
	say(&r, fd, "room\n");
	expect(fd, "0000 room\n");
	close(fd);
	for (unsigned i = 1; i < ADMIN_SERVER_MAX_CLIENTS; i++)
		close(fds[i]);
	rig_fini(&r);
}

static void a_line_without_end_is_refused(void)
{
	char part[1025];
	struct rig r;
	int fd;

	rig_init(&r);
	fd = client(&r);
	memset(part, 'x', sizeof(part) - 1);
	part[sizeof(part) - 1] = '\0';
	for (unsigned i = 0; i < ADMIN_LINE_MAX / 1024; i++)
		say(&r, fd, part);
	expect(fd, "9001 the line is too long\n");
	expect_closed(fd);
	assert_int_equal(r.n_executed, 0);
	close(fd);
	rig_fini(&r);
}

static void a_client_that_does_not_read_blocks_nobody_and_is_closed_in_time(void)
{
	uint64_t now_us = loop_now_us();
	struct rig r;
	int slow, other;

	rig_init(&r);
	slow = client(&r);
	say(&r, slow, "big 4000000\nnever\n");
	assert_int_equal(r.n_executed, 1); // the second waits for the first answer to be read
	other = client(&r);
	say(&r, other, "hello\n");
	expect(other, "0000 hello\n");
	admin_server_tick(r.server, now_us + 9000000);
	assert_int_equal(admin_server_n_clients(r.server), 2);
	admin_server_tick(r.server, now_us + 60000000);
	assert_int_equal(admin_server_n_clients(r.server), 0);
	expect_closed(slow);
	close(slow);
	close(other);
	rig_fini(&r);
}

static void a_large_answer_arrives_whole(void)
{
	size_t n = 0, want = strlen("1000 \n0000 done\n") + 1000000;
	char buffer[65536];
	struct rig r;
	int fd;

	rig_init(&r);
	fd = client(&r);
	say(&r, fd, "big 1000000\n");
	for (unsigned i = 0; n < want && i < 10000; i++) {
		ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		n += got > 0 ? (size_t)got : 0;
		turn(&r);
	}
	assert_int_equal(n, want);
	say(&r, fd, "next\n");
	expect(fd, "0000 next\n");
	close(fd);
	rig_fini(&r);
}

// --- answers that go on

// Reads what came; returns how many bytes, the last of them in 'tail'.
static size_t take(int fd, char tail[32])
{
	char buffer[65536];
	size_t n = 0, last;
	ssize_t got;

	while ((got = recv(fd, buffer, sizeof(buffer) - 1, MSG_DONTWAIT)) > 0) {
		n += (size_t)got;
		last = got < 31 ? (size_t)got : 31;
		memcpy(tail, buffer + got - last, last);
		tail[last] = '\0';
	}
	return n;
}

static void an_answer_can_go_on_and_the_next_command_waits(void)
{
	const size_t piece = strlen("1002 100000\n") + 100000 + 1;
	char tail[32] = "";
	struct rig r;
	int fd;

	rig_init(&r);
	fd = client(&r);
	say(&r, fd, "stream 1\nnext\n");
	expect_nothing(fd);
	assert_true(admin_server_has_streams(r.server));
	admin_server_tick(r.server, loop_now_us() + 60000000); // a quiet stream has all the time
	admin_server_run(r.server, loop_now_us());
	assert_int_equal(take(fd, tail), piece);
	assert_int_equal(r.n_executed, 1);
	admin_server_run(r.server, loop_now_us());
	assert_int_equal(take(fd, tail), strlen("0000 0 left\n0000 next\n"));
	assert_false(admin_server_has_streams(r.server));
	assert_false(r.cancelled);
	close(fd);
	rig_fini(&r);
}

// A rig with a client that has asked for a thousand lines; returns the client.
static int begin_stream(struct rig *r)
{
	int fd;

	rig_init(r);
	fd = client(r);
	say(r, fd, "stream 1000\n");
	return fd;
}

static void a_client_that_does_not_read_holds_its_stream_back_and_is_closed_in_time(void)
{
	struct rig r;
	unsigned left;
	int fd;

	fd = begin_stream(&r);
	do {
		left = r.n_pieces;
		admin_server_run(r.server, loop_now_us());
		turn(&r);
	} while (r.n_pieces != left);
	assert_true(left > 900);
	admin_server_tick(r.server, loop_now_us() + 60000000);
	assert_true(r.cancelled);
	assert_int_equal(admin_server_n_clients(r.server), 0);
	close(fd);
	rig_fini(&r);
}

static void a_client_that_ends_its_side_ends_its_stream(void)
{
	char tail[32] = "";
	struct rig r;
	int fd;

	fd = begin_stream(&r);
	admin_server_run(r.server, loop_now_us());
	take(fd, tail);
	turn(&r);
	shutdown(fd, SHUT_WR);
	turn(&r);
	assert_true(r.finished);
	admin_server_run(r.server, loop_now_us());
	take(fd, tail);
	assert_string_equal(tail, "0000 999 left\n");
	expect_closed(fd);
	assert_false(r.cancelled);
	close(fd);
	rig_fini(&r);
}

static void a_client_that_is_gone_cancels_its_stream(void)
{
	struct rig r;
	int fd;

	fd = begin_stream(&r);
	admin_server_run(r.server, loop_now_us());
	close(fd); // with bytes unread
	turn(&r);
	admin_server_run(r.server, loop_now_us());
	turn(&r);
	assert_true(r.cancelled || r.finished);
	assert_false(admin_server_has_streams(r.server));
	assert_int_equal(admin_server_n_clients(r.server), 0);
	rig_fini(&r);
}

static void streams_are_completed_before_the_gateway_ends(void)
{
	char tail[32] = "";
	struct rig r;
	int fd;

	fd = begin_stream(&r);
	admin_server_finish_streams(r.server, loop_now_us());
	take(fd, tail);
	assert_string_equal(tail, "0000 1000 left\n");
	assert_false(admin_server_has_streams(r.server));
	close(fd);
	rig_fini(&r);
}

TESTS(TEST(a_command_is_answered_however_it_arrives),
	TEST(a_client_that_ends_its_side_still_gets_its_answer),
	TEST(the_socket_is_for_its_owner_alone), TEST(a_socket_that_nobody_listens_on_is_replaced),
	TEST(a_running_gateway_is_not_robbed_of_its_socket),
	TEST(a_file_that_is_no_socket_is_left_alone), TEST(one_client_too_many_is_told_so),
	TEST(a_line_without_end_is_refused),
	TEST(a_client_that_does_not_read_blocks_nobody_and_is_closed_in_time),
	TEST(a_large_answer_arrives_whole), TEST(an_answer_can_go_on_and_the_next_command_waits),
	TEST(a_client_that_does_not_read_holds_its_stream_back_and_is_closed_in_time),
	TEST(a_client_that_ends_its_side_ends_its_stream),
	TEST(a_client_that_is_gone_cancels_its_stream),
	TEST(streams_are_completed_before_the_gateway_ends))
