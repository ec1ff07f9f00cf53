// The control socket: a unix socket of mode 0600 that takes one command a line (admin_protocol.h). It never blocks and holds a
// bounded amount for each client: a client that sends too much, says nothing, or does not read its answer is closed.
//
// Only root and the user the gateway runs as are answered (SO_PEERCRED), whatever the socket's mode has become.
#pragma once

#include "mgmt/admin_stream.h"
#include "mgmt/loop.h"

#include <stdint.h>
#include <stdio.h>

#define ADMIN_SERVER_ERROR_SIZE  256
#define ADMIN_SERVER_MAX_CLIENTS 16

struct admin_server;

// Executes 'line' (without its line break; may be changed) and writes the whole answer to 'to', or its beginning: then '*rest'
// says where the rest comes from. mgmt thread.
typedef void admin_execute_fn(void *arg, char *line, FILE *to, struct admin_stream *rest);

// Opens the socket at 'path' and hangs it on 'loop'. Its folder is made if missing; a socket that nobody listens on is replaced.
// Returns NULL and a sentence in 'error'.
struct admin_server *admin_server_new(struct loop *loop, const char *path,
	admin_execute_fn *execute, void *arg, char error[ADMIN_SERVER_ERROR_SIZE]);

// Sends what can be sent at once, closes all clients, and removes the socket's name if it is still ours.
void admin_server_free(struct admin_server **sp);

// Closes the clients whose time is up. To be called about once a second.
void admin_server_tick(struct admin_server *s, uint64_t now_us);

// Asks the answers that go on for more. To be called often while there are any.
void admin_server_run(struct admin_server *s, uint64_t now_us);
bool admin_server_has_streams(const struct admin_server *s);

// Completes them, and sends what can be sent at once.
void admin_server_finish_streams(struct admin_server *s, uint64_t now_us);

unsigned admin_server_n_clients(const struct admin_server *s);
