// The PROXY protocol, versions 1 and 2: what a load balancer in front of us says of the connection it relays, before the
// connection's own first byte. Pure: bytes in, addresses out.
//
// The header is the only thing between a stranger and the address that everything else goes by, so lengths are exact, and
// what is not understood is refused, never skipped: a byte too many or too few would be read as the request.
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_addr.h"

#include <stdbool.h>
#include <stdint.h>

// Longest header that is read; senders stay below 536 (section 2).
#define PROXY_HEADER_MAX 4096u

enum proxy_error {
#define PROXY_ERROR(name, counter, rule) PROXY_ERROR_##name,
#include "router/proxy_protocol.def"
	PROXY_N_ERRORS,
};

enum proxy_result {
	PROXY_MORE, // all of it may be the start of a header
	PROXY_DONE,
	PROXY_REFUSED, // see 'error'
};

struct proxy_header {
	size_t len; // of the header
	uint8_t version;
	bool has_addresses; // else LOCAL or UNKNOWN: the connection's own hold
	struct ip_endpoint source;
	struct ip_endpoint destination;
	enum proxy_error error;
};

// Looks at the first bytes of a connection; 'b' begins with them and need not be more than PROXY_HEADER_MAX. May be asked
// again with more.
enum proxy_result proxy_protocol_read(struct bytes b, struct proxy_header *out);

// Longest header that is written.
#define PROXY_WRITE_MAX 108u

// Writes a header of that version; returns its length.
size_t proxy_protocol_write(uint8_t version, const struct ip_endpoint *source,
	const struct ip_endpoint *destination, uint8_t to[PROXY_WRITE_MAX]);
