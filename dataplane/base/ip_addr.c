#include "dataplane/base/ip_addr.h"

#include <arpa/inet.h>
#include <stdio.h>

bool ip_addr_parse(const char *text, struct ip_addr *out)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = ip_addr_of_v4(v4.s_addr);
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		memcpy(out->b, &v6, sizeof(out->b));
		return true;
	}
	return false;
}

// Decimal without the library: access log lines print two addresses a request.
static size_t print_decimal(char *at, unsigned value)
{
	char digits[10];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (size_t i = 0; i < n; i++)
		at[i] = digits[n - 1 - i];
	return n;
}

size_t ip_addr_print(const struct ip_addr *a, char text[IP_ENDPOINT_TEXT_SIZE])
{
	size_t n = 0;

	if (!ip_addr_is_v4(a)) {
		inet_ntop(AF_INET6, a->b, text, IP_ENDPOINT_TEXT_SIZE);
		return strlen(text);
	}
	for (int i = 12; i < 16; i++) {
		if (i > 12)
			text[n++] = '.';
		n += print_decimal(text + n, a->b[i]);
	}
	text[n] = '\0';
	return n;
}

size_t ip_endpoint_print(const struct ip_endpoint *e, char text[IP_ENDPOINT_TEXT_SIZE])
{
	size_t n;

	if (ip_addr_is_v4(&e->addr)) {
		n = ip_addr_print(&e->addr, text);
	} else {
		n = ip_addr_print(&e->addr, text);
		memmove(text + 1, text, n);
		text[0] = '[';
		n++;
		text[n++] = ']';
	}
	text[n++] = ':';
	n += print_decimal(text + n, e->port);
	text[n] = '\0';
	return n;
}
