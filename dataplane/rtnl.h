// Messages of rtnetlink (RFC 3549) that a port with shared addressing needs: one interface, its addresses, routes and
// neighbours. Pure: bytes to a struct and back; kernel_net.c has the sockets.
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rtnl_kind {
	RTNL_OTHER, // of another interface, table or type, or nothing we use
	RTNL_ADDRESS,
	RTNL_ROUTE,
	RTNL_CHANGE, // a route took the place of one that may have been ours: routes are others now
	RTNL_LINK, // the interface: with it IPv4 routes go and come, or are of use again, without a word of their own
	RTNL_NEIGHBOUR,
	RTNL_DONE,  // a dump is complete
	RTNL_ERROR, // 'error'; 0 is an acknowledgement
};

struct rtnl_message {
	enum rtnl_kind kind;
	bool gone; // was removed
	int error; // negative errno
	// address: ours; route: the prefix; neighbour: whose
	struct ip_addr addr;
	uint8_t prefix_len; // address: of its own family; route: of 128, IPv4 mapped
	bool deprecated;    // address: nothing of our own begins there (RFC 4862, 5.5.4)
	// route
	struct ip_addr gateway; // all zero: none, the destination is the neighbour
	struct ip_addr source;  // to be preferred; all zero: none
	uint32_t metric;        // the lowest of equal prefixes is used
	// neighbour: whose; link: ours
	bool has_mac;
	uint8_t mac[6];
	uint16_t state; // neighbour: NUD_*
	uint32_t mtu;   // link; 0: not said
};

// Takes the next message off the front of '*rest', as it is seen from interface 'index'. Returns false at the end, and at a
// message that says it is longer than what is there.
bool rtnl_next(struct bytes *rest, unsigned index, struct rtnl_message *out);

#define RTNL_REQUEST_SIZE 128u

// All write one request to 'buf' and return its length.

// Asks for all addresses, routes or neighbours.
enum rtnl_table { RTNL_ADDRESSES, RTNL_ROUTES, RTNL_NEIGHBOURS };
size_t rtnl_write_dump(uint8_t buf[RTNL_REQUEST_SIZE], enum rtnl_table what, uint32_t seq);
// Asks for the interface; behind the answer comes an acknowledgement.
size_t rtnl_write_get_link(uint8_t buf[RTNL_REQUEST_SIZE], unsigned index, uint32_t seq);
// Tells the kernel that we want to talk to a neighbour: it asks for it, or probes it if it has not lately.
size_t rtnl_write_use(uint8_t buf[RTNL_REQUEST_SIZE], unsigned index, const struct ip_addr *a);
// Asks for what the kernel knows of a neighbour now.
size_t rtnl_write_get(uint8_t buf[RTNL_REQUEST_SIZE], unsigned index, const struct ip_addr *a);
