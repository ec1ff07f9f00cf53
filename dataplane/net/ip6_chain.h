// The chain of IPv6 extension headers (RFC 8200, 4) up to the transport header: a pure walk over bytes of
// any content, for input and for steering. Any thread.
#pragma once

#include "dataplane/base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define IP6_HEADER_LEN  40u
#define IP6_MAX_HEADERS 8u // extension headers of one packet that are walked

enum ip6_chain_verdict {
	IP6_CHAIN_OK,
	IP6_CHAIN_SHORT,     // ends inside a header or an option
	IP6_CHAIN_LONG,      // more than IP6_MAX_HEADERS
	IP6_CHAIN_MISPLACED, // hop-by-hop options that are not first
	IP6_CHAIN_ROUTING, // a routing header that wants the packet passed on, of whatever type (RFC 5095)
	IP6_CHAIN_FRAGMENT,
	// An option nobody knows and that must not be skipped, by the two upper bits of its kind:
	IP6_CHAIN_OPTION_SILENT,  // 01: drop
	IP6_CHAIN_OPTION_REPORT,  // 10: drop and report, whoever the packet was for
	IP6_CHAIN_OPTION_UNICAST, // 11: drop and report, unless it was for a group
};

struct ip6_chain {
	uint8_t protocol; // what follows the chain
	uint16_t offset;  // where, from the start of the IPv6 header
	uint16_t fault;   // the byte at fault, or the one that names 'protocol'; same start
};

// 'packet' begins with the fixed header, which has to be whole, and ends where the packet does. '*out' is
// set whatever the verdict; 'protocol' and 'offset' tell how far the walk came.
enum ip6_chain_verdict ip6_chain_walk(struct bytes packet, struct ip6_chain *out);
