// The two fields by which the ends of a WebSocket handshake over HTTP/1.1 recognise each other (RFC 6455, 4.1). HTTP/2 has
// neither (RFC 8441, 5): where one side is HTTP/2 and the other is not, the gateway makes them, and checks what comes back.
#pragma once

#include "dataplane/base/arena.h"
#include "router/http.h"

// Base64 of 16 bytes, and of SHA-1.
#define WEBSOCKET_KEY_LEN    24u
#define WEBSOCKET_ACCEPT_LEN 28u

// A key of sixteen random bytes.
void websocket_key(const uint64_t random[2], uint8_t to[WEBSOCKET_KEY_LEN]);

// Sets Sec-WebSocket-Accept of 'response' to what the key among the fields of 'request' asks for; no key, no field. Returns false
// if there is no room.
bool websocket_set_accept(
	struct http_fields *response, const struct http_fields *request, struct arena *a);

// True if 'response' has, once, the Sec-WebSocket-Accept that the key among the fields of 'request' asks for.
bool websocket_is_accepted(const struct http_fields *response, const struct http_fields *request);
