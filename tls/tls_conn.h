// The inside of a TLS connection, shared by the files that make it up:
//
//     tls_conn.c   life: accept, handshake, events, close          tls_worker.c  pools, the turn
//     tls_in.c     ciphertext of the lower stream -> plaintext     tls_bio.c     OpenSSL <-> lower stream
//     tls_out.c    plaintext -> records -> lower stream
//
// Everything on the worker's thread. Calls to the owner are made by conn_tell() alone, and only below
// conn_enter() .. conn_leave(), so that an owner may give the stream back from inside.
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"
#include "tls/tls.h"
#include "tls/tls_failure.h"
#include "tls/tls_server.h"

#include <openssl/ssl.h>

#define TLS_RECORD_MAX 16384u
#define TLS_IN_BUFFERS \
	5u // an owner that needs to see a whole 64 KB head before it consumes gets it
#define TLS_HELLO_MAX    16384u
#define TLS_HELLO_PREFIX 9u // record header and the handshake header: type and length

struct tls_buffer {
	struct tls_buffer *next;
	uint32_t start;
	uint32_t len;
	uint8_t data[TLS_RECORD_MAX];
};

struct tls_worker {
	struct timer_wheel *timers;
	struct tls_stats *stats;
	uint32_t handshake_timeout_us;
	struct pool conns;
	struct pool buffers;
	BIO_METHOD *bio_method;

	// this turn
	uint64_t now_us;
	unsigned handshakes_left;
	struct list recheck; // connections to look at again in the next turn
	struct list dirty;   // connections with plaintext in 'out'
};

//        state       what it means
#define TLS_STATES(X)                                                         \
	X(HANDSHAKE) /* until CONNECTED was reported                       */ \
	X(OPEN)      /* both directions, or one of them ended cleanly      */ \
	X(OVER)      /* CLOSED was reported, or will be in the next turn   */ \
	X(LINGER)    /* the owner is gone, the lower stream is full        */ \
	X(DONE)      /* the lower stream was given back                    */

enum tls_state {
#define X(name) TLS_##name,
	TLS_STATES(X)
#undef X
};

struct tls_conn {
	struct stream base;
	struct tls_worker *w;
	struct tls_server *server;
	struct stream *lower;
	SSL *ssl; // NULL until the ClientHello has begun to arrive
	struct timer timer;
	struct list recheck_node;
	struct list dirty_node;
	enum tls_state state;
	unsigned depth; // of conn_enter()

	bool given_back;       // by the owner; freed when depth is 0
	bool recheck_readable; // the owner wants READABLE in the next turn
	bool tell_closed;      // CLOSED is still to be reported
	bool told_closed;      // nothing is reported afterwards
	bool lower_closed;     // the lower stream reported CLOSED

	// The first bytes, which OpenSSL gets before those of the lower stream.
	uint8_t prefix[TLS_HELLO_PREFIX];
	uint8_t prefix_len;
	uint8_t prefix_used;

	// tls_in.c
	struct tls_buffer *in_head;
	struct tls_buffer *in_tail;
	uint32_t readable;
	uint16_t n_in;
	bool looked_past; // the owner has seen all there is and waits for more
	bool in_ended;    // close_notify was read

	// tls_out.c
	struct tls_buffer *out; // written, not encrypted
	size_t wanted_room;     // 0: the owner does not wait for WRITABLE
	uint32_t stuck;      // bytes at the front of 'out' that OpenSSL has to be given once more
	uint16_t overhead;   // bytes of a record that are not payload
	bool shut_wanted;    // the owner has ended our direction
	bool shut_done;      // close_notify is out and the lower stream was shut down
	uint64_t burst_sent; // bytes since the last pause
	uint64_t last_sent_us;

	struct tls_hello hello;
	struct tls_client *client;           // what its certificate says; NULL: it has shown none
	enum tls_cause cause;                // of 'failure'
	char failure[TLS_FAILURE_TEXT_SIZE]; // empty: none
};

// tls_conn.c
extern const struct stream_ops tls_ops;

static inline struct tls_conn *conn_of(struct stream *s)
{
	return container_of(s, struct tls_conn, base);
}

void conn_on_turn(struct tls_conn *c);
// Puts 'c' on the list of the next turn.
void conn_recheck_later(struct tls_conn *c);
// The connection is over; CLOSED is reported by whoever calls conn_tell() next, or in the next turn. The
// texts and counters are set here. Takes OpenSSL's error queue if the cause is OTHER.
void conn_fail(struct tls_conn *c, enum stream_error error, enum tls_cause cause);

// tls_in.c
//
// Decrypts until nothing is left below, or a buffer's worth came. Returns true if there is something new:
// bytes, the end, or a failure.
bool conn_fill(struct tls_conn *c);
void conn_drop_input(struct tls_conn *c);
struct bytes conn_peek_at(struct tls_conn *c, size_t skip);
void conn_consume(struct tls_conn *c, size_t n);

// tls_out.c
size_t conn_room(struct tls_conn *c);
size_t conn_write(struct tls_conn *c, struct bytes b, bool more);
void conn_want_write(struct tls_conn *c, size_t room);
// Encrypts what is in 'out', then the end of our direction if wanted. Returns true if all of it is below.
bool conn_flush(struct tls_conn *c);
void conn_drop_output(struct tls_conn *c);

// tls_bio.c
BIO_METHOD *tls_bio_method_new(void);
// Makes 'c->lower' what c->ssl reads and writes. Returns false without memory.
bool tls_bio_attach(struct tls_conn *c);

// tls_worker.c
struct tls_buffer *worker_buffer_get(struct tls_worker *w);
void worker_buffer_put(struct tls_worker *w, struct tls_buffer *b);
