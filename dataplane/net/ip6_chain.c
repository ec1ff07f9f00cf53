#include "dataplane/net/ip6_chain.h"

#include <netinet/in.h>

#define NEXT_HEADER_AT 6u // in the fixed header
#define OPTION_PAD1    0u
#define OPTION_PADN    1u
#define OPTION_ALERT   5u // RFC 2711: a hint for routers

// RFC 8200, 4.2. 'from' and 'end' are offsets in the packet.
static enum ip6_chain_verdict walk_options(
	struct bytes packet, uint16_t from, uint16_t end, uint16_t *fault)
{
	for (uint16_t at = from; at < end;) {
		const uint8_t *option = packet.ptr + at;

		if (option[0] == OPTION_PAD1) {
			at++;
			continue;
		}
		*fault = at;
		if (end - at < 2 || option[1] > end - at - 2)
			return IP6_CHAIN_SHORT;
		if (option[0] != OPTION_PADN && option[0] != OPTION_ALERT) {
			switch (option[0] >> 6) {
			case 0: break;
			case 1: return IP6_CHAIN_OPTION_SILENT;
			case 2: return IP6_CHAIN_OPTION_REPORT;
			case 3: return IP6_CHAIN_OPTION_UNICAST;
			}
		}
		at = (uint16_t)(at + 2 + option[1]);
	}
	return IP6_CHAIN_OK;
}

// One extension header at out->offset, 'len' bytes long.
static enum ip6_chain_verdict check_header(struct bytes packet, uint16_t len, struct ip6_chain *out)
{
	const uint8_t *header = packet.ptr + out->offset;
	uint16_t fault = 0;
	enum ip6_chain_verdict v;

	if (out->protocol == IPPROTO_ROUTING) {
		// With nothing left to visit it is ignored, whatever its type (RFC 8200, 4.4).
		if (header[3] == 0)
			return IP6_CHAIN_OK;
		out->fault = (uint16_t)(out->offset + 2);
		return IP6_CHAIN_ROUTING;
	}
	v = walk_options(
		packet, (uint16_t)(out->offset + 2), (uint16_t)(out->offset + len), &fault);
	if (v != IP6_CHAIN_OK)
		out->fault = fault;
	return v;
}

enum ip6_chain_verdict ip6_chain_walk(struct bytes packet, struct ip6_chain *out)
{
	*out = (struct ip6_chain){.protocol = packet.ptr[NEXT_HEADER_AT],
		.offset = IP6_HEADER_LEN,
		.fault = NEXT_HEADER_AT};
	for (unsigned n = 0;; n++) {
		const uint8_t *header = packet.ptr + out->offset;
		size_t left = packet.len - out->offset;
		enum ip6_chain_verdict v;
		uint16_t len;

		if (out->protocol == IPPROTO_FRAGMENT)
			return IP6_CHAIN_FRAGMENT;
		if (out->protocol != IPPROTO_HOPOPTS && out->protocol != IPPROTO_DSTOPTS
			&& out->protocol != IPPROTO_ROUTING)
			return IP6_CHAIN_OK;
		if (out->protocol == IPPROTO_HOPOPTS && n > 0)
			return IP6_CHAIN_MISPLACED;
		if (n == IP6_MAX_HEADERS)
			return IP6_CHAIN_LONG;
		if (left < 8 || left < (header[1] + 1u) * 8)
			return IP6_CHAIN_SHORT;
		len = (uint16_t)((header[1] + 1) * 8);
		v = check_header(packet, len, out);
		if (v != IP6_CHAIN_OK)
			return v;
		out->fault = out->offset;
		out->protocol = header[0];
		out->offset = (uint16_t)(out->offset + len);
	}
}
