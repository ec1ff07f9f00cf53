// HTTP/2 towards a client: each of its streams is an exchange. What a downstream (downstream.h) has
// instead of an HTTP/1.1 reader and writer.
#pragma once

#include "router/codec.h"

struct downstream;
struct stream;
struct h2_session;

extern const struct codec_ops h2_server_ops;

enum h2_preface {
	H2_PREFACE_NO,    // HTTP/1
	H2_PREFACE_YES,   // the client's preface (RFC 9113, 3.4) is there
	H2_PREFACE_MAYBE, // what is there could become one
};

// Looks at the first bytes of a connection.
enum h2_preface h2_server_sniff(struct stream *io);

// Returns false if there is no memory.
bool h2_server_start(struct downstream *c, uint64_t now_us);
// Requests that are under way.
uint32_t h2_server_n_requests(const struct downstream *c);
// Says GOAWAY, first without a last stream so that requests that are on the way still come in, then
// with one. The connection ends when its requests have.
void h2_server_drain(struct downstream *c, uint64_t now_us);
// Cuts every request and then the connection; returns how many requests there were.
uint32_t h2_server_cut(struct downstream *c);
// The timer: what took too long is ended. Returns when to look again. The connection may be gone if
// it has no requests: '*gone'.
uint64_t h2_server_check(struct downstream *c, bool *gone, uint64_t now_us);
