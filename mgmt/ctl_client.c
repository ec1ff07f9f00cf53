#include "mgmt/ctl_client.h"

#include "mgmt/admin_protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE_MAX (16u << 20)

static int open_socket(const char *path, unsigned timeout_s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval timeout = {.tv_sec = timeout_s};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int ctl_connect(const char *path, unsigned timeout_s)
{
	int fd = open_socket(path, timeout_s);

	if (fd < 0)
		fprintf(stderr, "pollgatectl: no gateway answers at %s: %s\n", path,
			strerror(errno));
	return fd;
}

bool ctl_send(int fd, bool json, char *const *words, int n)
{
	char *line = NULL;
	size_t len, sent = 0;
	FILE *to = open_memstream(&line, &len);

	if (to == NULL)
		return false;
	if (json)
		fputs("json ", to);
	for (int i = 0; i < n; i++) {
		admin_quote(to, words[i]);
		fputc(i + 1 < n ? ' ' : '\n', to);
	}
	if (fclose(to) != 0)
		return false;
	while (sent < len) {
		ssize_t done = send(fd, line + sent, len - sent, MSG_NOSIGNAL);

		if (done <= 0)
			break;
		sent += (size_t)done;
	}
	free(line);
	return sent == len;
}

// The piece that 'size' announces, and the line break behind it.
static bool read_piece(FILE *from, const char *size, ctl_bytes_fn *fn, void *arg)
{
	size_t len = strtoul(size, NULL, 10);
	char *bytes = len <= PIECE_MAX ? malloc(len + 1) : NULL;
	bool good = bytes != NULL && fn != NULL && fread(bytes, 1, len + 1, from) == len + 1
		&& fn(arg, bytes, len);

	free(bytes);
	return good;
}

int ctl_read(int fd, FILE *data, ctl_bytes_fn *bytes, void *arg)
{
	FILE *from = fdopen(fd, "r");
	char *line = NULL;
	const char *text;
	size_t cap = 0;
	unsigned code = 0;
	int status = -1;

	while (from != NULL && status < 0 && getline(&line, &cap, from) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!admin_parse_line(line, &code, &text))
			break;
		if (code == ADMIN_CODE_BYTES && !read_piece(from, text, bytes, arg))
			break;
		if (code == ADMIN_CODE_BYTES)
			continue;
		if (!admin_code_ends(code)) {
			fprintf(data, "%s\n", text);
			continue;
		}
		status = code / 1000 == 0 ? 0 : code / 1000 == 8 ? 1 : CTL_EXIT_USAGE;
		if (status != 0 || strcmp(text, "done") != 0)
			fprintf(stderr, "%s%s\n", status != 0 ? "pollgatectl: " : "", text);
	}
	free(line);
	if (from != NULL)
		fclose(from);
	if (status < 0)
		fputs("pollgatectl: the gateway broke off its answer\n", stderr);
	return status < 0 ? 1 : status;
}
