// What has to be true of any bytes on an HTTP/1.1 connection, in either direction:
//  - how they are cut into portions makes no difference;
//  - what is accepted can be encoded again;
//  - what is passed on is accepted by a second gateway, as the same number of messages, and passed on unchanged.
#pragma once

#include "tests/h1_relay.h"

#define FUZZ_H1_MAX_SIZE \
	16384 // what is passed on is at most three times as long, and has to fit a relay

static inline void fuzz_h1_init(struct h1_relay *r, enum h1_kind kind, struct bytes method)
{
	h1_relay_init(r, kind);
	r->request_method = method;
	r->limits.accept_http_10 = true;
}

static inline void fuzz_h1(enum h1_kind kind, struct bytes method, struct bytes in)
{
	static struct h1_relay whole, cut, again;

	if (in.len > FUZZ_H1_MAX_SIZE)
		return;
	fuzz_h1_init(&whole, kind, method);
	h1_relay_read(&whole, in);

	fuzz_h1_init(&cut, kind, method);
	for (size_t i = 0; i < in.len; i++)
		h1_relay_read(&cut, bytes_of(in.ptr + i, 1));
	if (cut.error != whole.error || cut.n_messages != whole.n_messages
		|| cut.unfinished != whole.unfinished || cut.out_len != whole.out_len
		|| memcmp(cut.out, whole.out, whole.out_len) != 0)
		abort();

	fuzz_h1_init(&again, kind, method);
	again.limits = (struct h1_limits){8000, 60, true};
	h1_relay_read(&again, bytes_of(whole.out, whole.out_len));
	if (again.error != NULL || again.unfinished || again.n_messages != whole.n_messages
		|| again.out_len != whole.out_len
		|| memcmp(again.out, whole.out, whole.out_len) != 0)
		abort();
}
