#include "mgmt/translate.h"

#include <string.h>

const char *host_complete(struct region *r, const char *host, const char *namespace)
{
	struct ip_addr address;

	if (strchr(host, '.') != NULL || strcmp(host, "*") == 0 || ip_addr_parse(host, &address))
		return region_lower(r, host);
	return region_lower(r, region_printf(r, "%s.%s.svc." CLUSTER_DOMAIN, host, namespace));
}

bool host_covers(const char *pattern, const char *host)
{
	size_t pattern_len, host_len;

	if (strcmp(pattern, "*") == 0)
		return true;
	if (pattern[0] != '*')
		return strcmp(pattern, host) == 0;
	pattern_len = strlen(++pattern);
	host_len = strlen(host);
	// The star stands for at least one character. "*.a.b" is covered by "*.b".
	return host_len > pattern_len && strcmp(host + host_len - pattern_len, pattern) == 0;
}

bool is_exported(const char *const *to, unsigned n, const char *own, const char *namespace)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(to[i], "*") == 0 || strcmp(to[i], namespace) == 0)
			return true;
		if (strcmp(to[i], ".") == 0 && strcmp(own, namespace) == 0)
			return true;
	}
	return n == 0;
}

const char *gateway_reference(struct region *r, const char *text, const char *own)
{
	const char *slash = strchr(text, '/');
	const char *dot = strchr(text, '.');

	if (slash != NULL)
		return strncmp(text, "./", 2) == 0 ? region_printf(r, "%s/%s", own, text + 2)
						   : text;
	// The old form of a host name: name.namespace.svc.cluster.local.
	if (dot != NULL) {
		size_t len = strcspn(dot + 1, ".");

		return region_printf(r, "%.*s/%.*s", (int)len, dot + 1, (int)(dot - text), text);
	}
	return region_printf(r, "%s/%s", own, text);
}

static int base64_value(char c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = c != '\0' ? strchr(alphabet, c) : NULL;

	return found != NULL ? (int)(found - alphabet) : -1;
}

char *base64_decode(struct region *r, const char *text, size_t *len)
{
	size_t n = strlen(text), out = 0, digits = 0, padding = 0;
	char *to = region_alloc(r, n / 4 * 3 + 4);
	uint32_t group = 0;

	for (size_t i = 0; i < n; i++) {
		int value;

		// Long values are folded over lines.
		if (text[i] == ' ' || text[i] == '\n' || text[i] == '\r')
			continue;
		if (text[i] == '=') {
			padding++;
			continue;
		}
		value = base64_value(text[i]);
		if (value < 0 || padding > 0)
			return NULL;
		group = group << 6 | (uint32_t)value;
		if (++digits % 4 == 0) {
			to[out++] = (char)(group >> 16);
			to[out++] = (char)(group >> 8);
			to[out++] = (char)group;
			group = 0;
		}
	}
	if (digits % 4 == 1 || (digits + padding) % 4 != 0 || padding > 2)
		return NULL;
	if (digits % 4 == 2)
		to[out++] = (char)(group >> 4);
	if (digits % 4 == 3) {
		to[out++] = (char)(group >> 10);
		to[out++] = (char)(group >> 2);
	}
	to[out] = '\0';
	*len = out;
	return to;
}
