// The seam between an exchange and the HTTP versions: one stream, on which one message goes out and one comes in.
//
//     downstream codec (h1_server, later HTTP/2)  <--->  exchange  <--->  upstream codec (h1_client, later HTTP/2)
//          source of the request, sink of the response          sink of the request, source of the response
//
// Both sides have the same operations, because a response is sent down as a request is sent up. An exchange moves
// bytes by looking at what one side has (peek_body), offering it to the other (send_body), and taking away what was
// accepted (consume_body): what cannot be delivered is not consumed, and so pushes back on its own sender only.
//
// A codec tells its exchange that something happened with the functions exchange_on_*() (exchange.h); they only note it
// and never call back. The exchange gives each stream back exactly once, by release() or reset(), also after the codec
// has reported its end; until then the codec keeps the stream.
//
// Everything happens on one worker.
#pragma once

#include "dataplane/base/bytes.h"
#include "router/http.h"

#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct codec_stream;

enum codec_read {
	CODEC_WAIT, // nothing now; the exchange is woken when there is
	CODEC_DATA,
	CODEC_END, // the message is complete; 'trailers' are final
};

struct codec_ops {
	const char *name;
	enum http_version version; // HTTP_1_1 for all of HTTP/1

	// Sends a head. 'head' is borrowed until it has left (send_pending() is false). 'end': no body follows. Interim (1xx)
	// heads may come before the final one.
	void (*send_head)(struct codec_stream *s, const struct http_head *head, bool end);
	// Takes the first bytes of a body and returns how many; fewer than offered means that the exchange is woken when
	// there is room again.
	size_t (*send_body)(struct codec_stream *s, struct bytes b);
	// Ends the message. 'trailers' may be NULL, else they are borrowed until they have left.
	void (*send_end)(struct codec_stream *s, const struct http_fields *trailers);
	// True while something handed over has not been taken by the layer below.
	bool (*send_pending)(const struct codec_stream *s);

	// The next run of body bytes of the incoming message.
	enum codec_read (*peek_body)(struct codec_stream *s, struct bytes *data);
	void (*consume_body)(struct codec_stream *s, size_t n);

	// Gives the stream back: the exchange needs it no longer. What was handed over is still delivered. The connection is used
	// again if both messages are complete and it may be.
	void (*release)(struct codec_stream **sp, uint64_t now_us);
	// Gives the stream back and makes its peer see that the message is cut.
	void (*reset)(struct codec_stream **sp, uint64_t now_us);
};

// First member of every codec's stream.
struct codec_stream {
	const struct codec_ops *ops;
	struct exchange *exchange;          // NULL: nobody uses the stream
	const struct http_fields *trailers; // received; NULL: none
	uint64_t wire_received;             // bytes of this message: head, framing and body
	uint64_t wire_sent;
};
