// An IPv4 or IPv6 address in 16 bytes; IPv4 is held as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so that
// comparing and hashing need not know the family.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
	union {
		uint8_t b[16];
		uint32_t w[4]; // as on the wire
		uint64_t q[2];
	};
};

// An address and a port in host byte order.
struct ip_endpoint {
	struct ip_addr addr;
	uint16_t port;
};

#define IP_ENDPOINT_TEXT_SIZE 64 // "[" 45 "]:65535" and the 0 fit

static inline bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

static inline bool ip_addr_is_v4(const struct ip_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

// 'be' is the address as it stands on the wire.
static inline struct ip_addr ip_addr_of_v4(uint32_t be)
{
	struct ip_addr a = {0};

	a.b[10] = 0xff;
	a.b[11] = 0xff;
	a.w[3] = be;
	return a;
}

static inline uint32_t ip_addr_v4(const struct ip_addr *a)
{
	return a->w[3];
}

// Reads "10.0.0.1" or "fd00::1". Returns false on anything else, without a guess.
bool ip_addr_parse(const char *text, struct ip_addr *out);

// Writes the address alone ("10.0.0.1", "fd00::1") to 'text' and returns its length.
size_t ip_addr_print(const struct ip_addr *a, char text[IP_ENDPOINT_TEXT_SIZE]);

// Writes "10.0.0.1:80" or "[fd00::1]:80" to 'text' and returns its length.
size_t ip_endpoint_print(const struct ip_endpoint *e, char text[IP_ENDPOINT_TEXT_SIZE]);
