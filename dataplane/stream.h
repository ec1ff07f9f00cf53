// The one interface between layers: an ordered byte stream in both directions with backpressure,
// half-close and a reason for every end. A TCP connection is a stream; a TLS connection is a stream
// over a stream; the HTTP codecs read and write streams and know nothing below.
//
//          owner (HTTP codec, or TLS above TCP)
//      on_event(READABLE|WRITABLE|...)  ^      | peek/consume, write, shutdown, close, abort
//                                       |      v
//          stream (TLS, TCP)
//
// Rules that keep this simple:
//  - Everything happens on the worker that owns the stream.
//  - on_event() is called from the worker loop (TCP) or from inside the lower stream's on_event()
//    (TLS), NEVER from inside a stream_*() call. An owner may call any stream_*() function, on this or
//    any other stream, from inside its on_event().
//  - Events are edges, but a stream never forgets: after on_event(READABLE) the owner reads until it has
//    no more use for bytes. If it stops earlier it looks again by itself when it wants to (peek works at
//    any time), or asks for another event with stream_want_read().
//  - stream_close() and stream_abort() end the owner's part: no event comes afterwards and the pointer is
//    not to be used again. The layer below delivers or discards what is left and frees the object.
//  - After an event with STREAM_CLOSED (the peer reset, a timeout, a failed connect, both directions
//    done after a fatal error) the owner still has to call stream_close() or stream_abort() once.
//  - Not consuming bytes is how an owner pushes back: the window closes by itself.
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_addr.h"

#include <stdbool.h>
#include <stdint.h>

struct stream;

// What on_event() reports, or'ed together.
enum stream_event {
	STREAM_CONNECTED = 1 << 0, // active open or handshake done; writable
	STREAM_READABLE =
		1 << 1, // new bytes, or the peer's end (stream_read_ended() once all is consumed)
	STREAM_WRITABLE =
		1 << 2, // stream_room() grew after a write that was cut short or after want_write
	STREAM_CLOSED = 1 << 3, // over, see stream_error(); bytes received before may still be read
};

// Why a stream ended. The texts are those of Envoy's access log where it has one.
#define STREAM_ERRORS(X)                                                             \
	X(NONE, "none")                                                              \
	X(REFUSED, "connection refused")         /* RST answered our SYN */          \
	X(UNREACHABLE, "host unreachable")       /* ICMP, no route, no ARP answer */ \
	X(CONNECT_TIMEOUT, "connection timeout") /* the owner's or the stack's */    \
	X(RESET, "connection reset by peer")                                         \
	X(TIMEOUT, "retransmission timeout") /* no ACK for the user timeout */       \
	X(KEEPALIVE, "keepalive timeout")                                            \
	X(NO_MEMORY, "out of buffers")                                               \
	X(NO_PORT, "local ports exhausted")                                          \
	X(TLS_HANDSHAKE, "TLS handshake failed")                                     \
	X(TLS_PROTOCOL, "TLS protocol error")                                        \
	X(TLS_TRUNCATED, "TLS connection truncated") /* FIN without close_notify */  \
	X(PROGRESS, "no progress")                   /* slow reader limit */         \
	X(DRAINED, "gateway is draining")

enum stream_error {
#define X(name, text) STREAM_ERROR_##name,
	STREAM_ERRORS(X)
#undef X
		STREAM_N_ERRORS,
};

const char *stream_error_text(enum stream_error e);

typedef void stream_event_fn(void *owner, struct stream *s, unsigned events, uint64_t now_us);

// What a layer implements. Everything but the optional members is required.
struct stream_ops {
	const char *name; // "tcp", "tls"

	// The received bytes at the front that lie together in memory; len 0 if there are none now. Valid until
	// the next call of consume, close or abort, or the return to the worker loop.
	struct bytes (*peek)(struct stream *s);
	// The received bytes 'skip' bytes from the front that lie together; for messages that span buffers.
	struct bytes (*peek_at)(struct stream *s, size_t skip);
	// Frees 'n' bytes at the front; n is at most what peek/peek_at showed in all.
	void (*consume)(struct stream *s, size_t n);
	// All bytes received so far and not consumed.
	size_t (*readable)(struct stream *s);
	// The peer has ended its direction cleanly and every byte was consumed.
	bool (*read_ended)(struct stream *s);
	// The peer has ended its direction cleanly; bytes before it may be left.
	bool (*end_received)(struct stream *s);
	// READABLE comes again soon although nothing new arrived (the owner stopped early for fairness).
	void (*want_read)(struct stream *s);

	// How many bytes write() would take now.
	size_t (*room)(struct stream *s);
	// Queues a copy of the first bytes of 'b' and returns how many; they leave at the end of the loop turn, so
	// small writes of one turn share a segment or record. 'more' promises another write in this turn.
	size_t (*write)(struct stream *s, struct bytes b, bool more);
	// WRITABLE comes when room() is at least 'room' bytes (capped to what can ever be free).
	void (*want_write)(struct stream *s, size_t room);
	// Bytes written and not yet acknowledged by the peer (TLS: of the stream below).
	size_t (*unsent)(struct stream *s);

	// Ends our direction after what was written; reading goes on.
	void (*shutdown)(struct stream *s);
	// Delivers what was written, ends both directions, discards what still arrives (bounded in bytes and
	// time, so that the peer gets our last bytes instead of a RST). Gives the stream back.
	void (*close)(struct stream *s);
	// Ends both directions now (RST). Gives the stream back.
	void (*abort)(struct stream *s);

	// Optional. The stream below, or NULL.
	struct stream *(*lower)(struct stream *s);
};

// First member of every stream.
struct stream {
	const struct stream_ops *ops;
	stream_event_fn *on_event; // set by the owner with stream_set_owner()
	void *owner;
	struct ip_endpoint local;
	struct ip_endpoint remote;
	enum stream_error error; // final once STREAM_CLOSED was reported
	uint64_t bytes_received; // by this layer's owner, in all
	uint64_t bytes_sent;
};

static inline void stream_set_owner(struct stream *s, stream_event_fn *on_event, void *owner)
{
	s->on_event = on_event;
	s->owner = owner;
}

static inline struct bytes stream_peek(struct stream *s)
{
	return s->ops->peek(s);
}

static inline struct bytes stream_peek_at(struct stream *s, size_t skip)
{
	return s->ops->peek_at(s, skip);
}

static inline void stream_consume(struct stream *s, size_t n)
{
	s->ops->consume(s, n);
}

static inline size_t stream_readable(struct stream *s)
{
	return s->ops->readable(s);
}

static inline bool stream_read_ended(struct stream *s)
{
	return s->ops->read_ended(s);
}

static inline bool stream_end_received(struct stream *s)
{
	return s->ops->end_received(s);
}

static inline void stream_want_read(struct stream *s)
{
	s->ops->want_read(s);
}

static inline size_t stream_room(struct stream *s)
{
	return s->ops->room(s);
}

static inline size_t stream_write(struct stream *s, struct bytes b, bool more)
{
	return s->ops->write(s, b, more);
}

static inline void stream_want_write(struct stream *s, size_t room)
{
	s->ops->want_write(s, room);
}

static inline size_t stream_unsent(struct stream *s)
{
	return s->ops->unsent(s);
}

static inline void stream_shutdown(struct stream *s)
{
	s->ops->shutdown(s);
}

// Both take and clear '*sp'.
static inline void stream_close(struct stream **sp)
{
	struct stream *s = *sp;

	*sp = NULL;
	if (s != NULL)
		s->ops->close(s);
}

static inline void stream_abort(struct stream **sp)
{
	struct stream *s = *sp;

	*sp = NULL;
	if (s != NULL)
		s->ops->abort(s);
}

static inline enum stream_error stream_error(const struct stream *s)
{
	return s->error;
}
