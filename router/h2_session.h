// An HTTP/2 connection, towards a client (h2_server.c) or an endpoint (h2_client.c): frames and
// HPACK by nghttp2, over a stream (RFC 9113).
//
//     stream --peek--> nghttp2_session_mem_recv() --callbacks--> h2_stream: head, queue of body bytes --peek_body--> exchange
//     stream <-write-- nghttp2_session_mem_send() <--reads------ h2_stream: queue of body bytes <-------send_body--- exchange
//
// What happens in a callback is only noted; frames leave in the session's turn on the ready list,
// after all that an event brought is dealt with.
//
// Flow control: a stream is given new window only for bytes that the exchange took, that is, the
// other side accepted. A stream whose other side stalls fills its own window (of 64 KiB) and no
// more. The window that all share is given back as bytes arrive, so that stalled streams, however
// many, leave the siblings theirs; once the pool of chunks fills up it too waits for the other side,
// and is the bound of what one connection may hold. DATA of the streams
// that have some is sent in turns of one frame (16 KiB at most); what the peer says of priorities
// is not listened to.
//
// Abuse: everything that costs us more than the peer is counted (h2_limits.def), and past its limit
// the connection ends with ENHANCE_YOUR_CALM and a counter (h2_abuse.def). What one session can
// make nghttp2 hold is bounded (h2_memory.h).
//
// WebSocket (RFC 8441): to an exchange the extended CONNECT of a client is the GET with Upgrade that it would be in HTTP/1.1, and
// its 101 is the 200 of HTTP/2; towards endpoints it is the same the other way round. The stream is a tunnel then.
//
// nghttp2 checks the messages of RFC 9113, section 8: pseudo fields, connection-specific fields,
// lower case, content-length against DATA. h2_fields.c checks the rest, so that no message gets in
// that HTTP/1.1 could not carry.
#pragma once

#include "router/codec.h"
#include "router/config.h"
#include "router/h1.h"
#include "router/h2_memory.h"
#include "router/h2_queue.h"
#include "router/pace.h"
#include "router/router_worker.h"

struct h2_session;
struct h2_stream;

// What a field costs beside its bytes (RFC 9113, 6.5.2); SETTINGS_MAX_HEADER_LIST_SIZE counts it too.
#define H2_FIELD_OVERHEAD 32u
// When bytes that found no memory are offered again.
#define H2_STARVED_US     5000u

enum h2_abuse {
#define H2_ABUSE(name, counter) H2_ABUSE_##name,
#include "router/h2_abuse.def"
	H2_N_ABUSES,
};

// What a role adds. All are called from inside nghttp2 and only note what happened, but for
// on_turn.
struct h2_role {
	bool is_server;
	const struct codec_ops *ops; // of the streams
	// The head of 's' is complete; 'end': nothing follows.
	void (*on_head)(struct h2_stream *s, bool end);
	// nghttp2 has forgotten 's', which an exchange still uses.
	void (*on_closed)(struct h2_stream *s, uint32_t error_code);
	// The peer's SETTINGS are in force, or it said GOAWAY. May be NULL.
	void (*on_peer)(struct h2_session *h);
	// After frames were sent. The session may be freed.
	void (*on_turn)(struct h2_session *h, uint64_t now_us);
};

struct h2_session {
	// set at creation
	nghttp2_session *ng;
	struct router_worker *worker;
	struct stream *io; // borrowed
	const struct h2_role *role;
	void *owner;
	struct http2_config limits; // no member is 0
	uint32_t max_head_bytes;
	uint32_t max_fields;
	struct h2_memory memory;

	// per event
	struct ready ready;
	uint64_t now_us;
	struct bytes out;   // of nghttp2, not yet taken by 'io'
	uint64_t n_written; // bytes that 'io' took
	struct pace pace;   // of the peer, while something is left in 'out'
	struct timer ping_timer;
	uint64_t ping_interval_us; // 0: no PING is sent
	uint64_t ping_timeout_us;
	uint64_t pinged_us;
	uint64_t heard_us; // the last frame began to come
	bool ping_out;     // and is not answered
	struct list streams;
	uint32_t
		n_streams; // nghttp2's and ours: also those that only one of the two knows any more
	uint32_t n_used;   // that an exchange uses
	bool io_closed;    // the stream below reported its end
	bool dead;         // no frame comes or goes any more
	bool punished;
	uint8_t abuse;      // for which: enum h2_abuse
	bool ending;        // ours to end now, whatever is left to be sent
	bool broken;        // the peer's frames are not HTTP/2
	bool stalled;       // given up because the peer does not read
	bool lost;          // likewise because nothing comes from it
	bool goaway;        // the peer said it
	bool peer_known;    // its first SETTINGS came
	bool settings_came; // since frames were last sent
	bool starved;       // a pool was empty as bytes were to be queued; streams are to be woken

	// the field section that is being received; there is one at most
	struct h2_stream *receiving;
	struct http_fields *fields; // of the pool 'trailers'
	uint64_t section_start_us;
	uint32_t section_bytes;

	// of a client's streams: the last one, and those around the ones it left out last
	int32_t last_id;
	int32_t skipped_after;
	int32_t skipped_before;

	// counts for the limits
	uint64_t n_opened;
	uint64_t n_closed;
	uint64_t n_early_resets;
	uint64_t n_priority;
	uint64_t n_window_updates;
	uint64_t n_data_sent;
	uint32_t n_frames; // received in this turn
	uint32_t n_empty;  // in a row
	uint32_t control_credit;
	uint64_t control_since_us;
};

struct h2_stream {
	struct codec_stream stream;
	struct h2_session *session;
	struct list node;
	int32_t id;     // 0: not submitted
	bool known;     // to nghttp2
	bool head_done; // received
	bool head_sent; // the final one
	bool in_ended;  // the peer's message is complete
	bool out_ended; // ours is handed over
	bool out_left;  // and all of it was given to the stream below
	bool connect;   // extended CONNECT (RFC 8441)
	bool tunnel;    // which was answered 2xx: each direction ends by itself
	uint32_t owed;  // of 'in': not given back to the connection's window yet
	bool bad;       // the head breaks a rule of ours: see 'error'
	bool too_large; // the section being received is
	bool reset_sent;
	bool reset_received;
	bool innocent; // the client, of the stream's end: the endpoint failed within its answer, or memory is short
	const struct h1_error *error;
	struct h2_queue in;
	struct h2_queue out;
	const struct http_fields *out_trailers; // borrowed until they have left
	const struct http_head *held;           // to an endpoint whose SETTINGS have to come first
	struct http_fields *trailers_memory;

	// the head that is being received
	struct arena arena;
	uint8_t *large; // of the pool of large heads: what does not fit the arena
	uint32_t large_used;
	struct bytes method;
	struct bytes scheme;
	struct bytes authority;
	struct bytes path;
	struct bytes protocol; // of an extended CONNECT
	uint16_t status;
	uint64_t start_us;
};

// --- per worker

// What all sessions have in common.
struct h2_worker {
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
};

struct h2_worker *h2_worker_new(void); // NULL: out of memory
void h2_worker_free(struct h2_worker **hp);

// --- sessions

// Fills '*out' with the limits of 'http', defaults for what is not set.
void h2_limits_of(const struct http2_config *config, struct http2_config *out);

// Returns NULL if a pool is empty. 'io' is borrowed for the session's life. SETTINGS are queued.
struct h2_session *h2_session_new(struct router_worker *w, const struct h2_role *role, void *owner,
	struct stream *io, const struct http_config *http, uint64_t now_us);
// True if nghttp2 may be given these fields to send without running out of the session's memory; counted if not.
bool h2_session_can_hold(struct h2_session *h, const nghttp2_nv *nv, size_t n);
// GOAWAY, as far as the stream below takes it at once; to be freed then.
void h2_session_say_goodbye(struct h2_session *h);
// No exchange uses a stream of it.
void h2_session_free(struct h2_session **hp);

// Sends a PING after each 'interval_us', 0: never; the peer is lost when nothing comes from it for 'timeout_us' then (h2_ping.c).
// Once, as the session begins.
void h2_session_keep_alive(
	struct h2_session *h, uint64_t interval_us, uint64_t timeout_us, uint64_t now_us);
// A PING was answered.
void h2_session_note_pong(struct h2_session *h);

// Events of the stream below. What comes of them follows on the ready list.
void h2_session_on_event(struct h2_session *h, unsigned events, uint64_t now_us);
// Sends what there is, as far as the stream below takes it at once.
void h2_session_flush(struct h2_session *h);
// Frames are to be sent: puts the session on the ready list.
void h2_session_wake(struct h2_session *h);
// Counts a frame that begins to arrive, towards what a peer may send of its kind.
void h2_session_note_frame(struct h2_session *h, const nghttp2_frame_hd *hd);
// A stream ended before its answer did. Alone that is a client's right; as a habit it is a way to make work for nothing.
void h2_session_note_early_reset(struct h2_session *h);
// Ends the connection with ENHANCE_YOUR_CALM.
void h2_session_punish(struct h2_session *h, enum h2_abuse why);
// Ends the connection without a word: the peer does not read.
void h2_session_give_up(struct h2_session *h);
// The peer is not there any more.
void h2_session_lose(struct h2_session *h);
// Wakes every exchange.
void h2_session_wake_all(struct h2_session *h);

// --- streams

// Returns NULL if the pool is empty.
struct h2_stream *h2_stream_new(struct h2_session *h);
void h2_stream_free(struct h2_stream **sp);
static inline struct h2_stream *h2_stream_of(const struct codec_stream *s)
{
	return (struct h2_stream *)(uintptr_t)s;
}
// True if 's' ended as it should: its answer is whole. A tunnel has two directions to end.
bool h2_stream_is_answered(const struct h2_stream *s);
// Submits RST_STREAM, once.
void h2_stream_reset(struct h2_stream *s, uint32_t error_code);
// Likewise, for want of memory: with what the peer may know of it, and not held against it.
void h2_stream_reset_for_shortage(struct h2_stream *s);
// The exchange has given 's' back; it goes when nghttp2 has let go of it too.
void h2_stream_detach(struct h2_stream *s);

// Members of codec_ops that are the same on both sides.
size_t h2_stream_send_body(struct codec_stream *s, struct bytes b);
void h2_stream_send_end(struct codec_stream *s, const struct http_fields *trailers);
bool h2_stream_send_pending(const struct codec_stream *s);
enum codec_read h2_stream_peek_body(struct codec_stream *s, struct bytes *data);
void h2_stream_consume_body(struct codec_stream *s, size_t n);

// What nghttp2 reads a body from.
nghttp2_data_provider h2_stream_provider(struct h2_stream *s);

// --- heads (h2_fields.c)

// Room for the pseudo fields and all others.
#define H2_MAX_NV (HTTP_MAX_FIELDS + 5)

// What a callback noted of a field of 'section' (a head or trailers of 's'). Returns false if we
// have no memory.
bool h2_fields_add(
	struct h2_stream *s, struct http_fields *section, struct bytes name, struct bytes value);
// Makes what was received of 's' the request 'out', whose bytes live in the stream's arena. NULL,
// or why it is refused.
const struct h1_error *h2_fields_request(
	struct h2_stream *s, struct http_fields *section, bool end, struct http_head *out);
const struct h1_error *h2_fields_response(
	struct h2_stream *s, struct http_fields *section, bool end, struct http_head *out);
// NULL if the trailers may pass.
const struct h1_error *h2_fields_trailers(const struct http_fields *section);

// The fields as nghttp2 wants them; bytes are borrowed. Returns how many, or -1 if one cannot be
// sent.
int h2_fields_of_request(const struct http_head *head, nghttp2_nv to[H2_MAX_NV]);
int h2_fields_of_response(
	const struct http_head *head, uint8_t status_text[3], nghttp2_nv to[H2_MAX_NV]);
int h2_fields_of_trailers(const struct http_fields *trailers, nghttp2_nv to[H2_MAX_NV]);
