#include "dataplane/cores.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cores_print(const cpu_set_t *set, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (int first = 0; first < CPU_SETSIZE; first++) {
		int last = first;

		if (!CPU_ISSET(first, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		if (len < size)
			len += (size_t)snprintf(out + len, size - len,
				last > first ? "%s%d-%d" : "%s%d", len > 0 ? "," : "", first, last);
		first = last;
	}
}

static bool read_number(const char **text, unsigned *out)
{
	char *end;
	unsigned long value;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	value = strtoul(*text, &end, 10);
	if (errno != 0 || value >= CPU_SETSIZE)
		return false;
	*text = end;
	*out = (unsigned)value;
	return true;
}

static unsigned last_of(const cpu_set_t *allowed)
{
	unsigned last = 0;

	for (unsigned c = 0; c < CPU_SETSIZE; c++) {
		if (CPU_ISSET(c, allowed))
			last = c;
	}
	return last;
}

unsigned cores_parse(const char *text, const cpu_set_t *allowed, unsigned cores[CORES_MAX],
	char *error, size_t error_size)
{
	char allowed_text[256];
	const char *p = text;
	cpu_set_t seen;
	unsigned n = 0;

	cores_print(allowed, allowed_text, sizeof(allowed_text));
	if (text == NULL || *text == '\0') {
		cores[0] = last_of(allowed);
		return 1;
	}
	CPU_ZERO(&seen);
	for (;;) {
		unsigned first, last;

		if (!read_number(&p, &first))
			goto malformed;
		last = first;
		if (*p == '-') {
			p++;
			if (!read_number(&p, &last) || last < first)
				goto malformed;
		}
		for (unsigned c = first; c <= last; c++) {
			if (!CPU_ISSET(c, allowed)) {
				snprintf(error, error_size,
					"core %u is not available to this process; expected cores among %s",
					c, allowed_text);
				return 0;
			}
			if (CPU_ISSET(c, &seen)) {
				snprintf(error, error_size, "core %u is listed twice in \"%s\"", c,
					text);
				return 0;
			}
			if (n == CORES_MAX) {
				snprintf(error, error_size, "\"%s\" has more than %u cores", text,
					CORES_MAX);
				return 0;
			}
			CPU_SET(c, &seen);
			cores[n++] = c;
		}
		if (*p == '\0')
			return n;
		if (*p++ != ',')
			goto malformed;
	}
malformed:
	snprintf(error, error_size,
		"\"%s\" is not a list of cores; expected such as \"1\" or \"1-3,5\", among %s",
		text, allowed_text);
	return 0;
}
