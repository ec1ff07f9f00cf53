#include "mgmt/schema.h"

#include "dataplane/base/ip_addr.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool number_parse(const char *text, uint64_t *out)
{
	uint64_t value = 0;

	if (*text == '\0' || strlen(text) > 18)
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	*out = value;
	return true;
}

static const struct unit {
	const char *name;
	double factor;
} time_units[] =
	{
		{"h",  3600e6},
		{"ms", 1e3   },
		{"m",  60e6  },
		{"s",  1e6   },
		{"us", 1     },
		{"ns", 1e-3  },
},
  size_units[] = {
	  {"Ki", 1024.0},
	  {"Mi", 1024.0 * 1024},
	  {"Gi", 1024.0 * 1024 * 1024},
	  {"Ti", 1024.0 * 1024 * 1024 * 1024},
	  {"k", 1e3},
	  {"M", 1e6},
	  {"G", 1e9},
	  {"T", 1e12},
};

// A decimal number without sign or exponent. Returns where it ends, or NULL.
static const char *decimal_parse(const char *text, double *value)
{
	double scale = 1;
	const char *start = text;

	*value = 0;
	for (; *text >= '0' && *text <= '9'; text++)
		*value = *value * 10 + (*text - '0');
	if (text == start || text - start > 15)
		return NULL;
	if (*text != '.')
		return text;
	for (start = ++text; *text >= '0' && *text <= '9'; text++) {
		scale /= 10;
		*value += (*text - '0') * scale;
	}
	return text == start || text - start > 15 ? NULL : text;
}

static const struct unit *unit_find(const struct unit *units, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(text, units[i].name, strlen(units[i].name)) == 0)
			return &units[i];
	}
	return NULL;
}

// Go's form, which Istio's YAML takes: 1s, 1.5s, 100ms, 1m30s.
const char *duration_parse(const char *text, uint64_t *us)
{
	double total = 0;

	do {
		const struct unit *unit;
		double value;

		if (*text == '-')
			return "is negative";
		text = decimal_parse(text, &value);
		if (text == NULL)
			return "is not a duration";
		if (*text == '\0')
			return "has no unit";
		unit = unit_find(time_units, COUNT_OF(time_units), text);
		if (unit == NULL)
			return "has an unknown unit";
		total += value * unit->factor;
		text += strlen(unit->name);
	} while (*text != '\0');
	if (total > 1e18)
		return "is too long";
	*us = (uint64_t)(total + 0.5);
	return NULL;
}

const char *quantity_parse(const char *text, uint64_t *bytes)
{
	const struct unit *unit;
	double value;

	text = decimal_parse(text, &value);
	if (text == NULL)
		return "is not a quantity";
	if (*text == '\0') {
		*bytes = (uint64_t)value;
		return NULL;
	}
	unit = unit_find(size_units, COUNT_OF(size_units), text);
	if (unit == NULL || text[strlen(unit->name)] != '\0')
		return "has an unknown unit";
	value *= unit->factor;
	if (value > 1e18)
		return "is too large";
	*bytes = (uint64_t)value;
	return NULL;
}

bool is_dns_label(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 63 || text[0] == '-' || text[len - 1] == '-')
		return false;
	for (; *text != '\0'; text++) {
		if (!islower((unsigned char)*text) && !isdigit((unsigned char)*text)
			&& *text != '-')
			return false;
	}
	return true;
}

bool is_host_name(const char *text)
{
	size_t len = strlen(text), label = 0;

	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.') {
			if (label == 0 || text[i - 1] == '-')
				return false;
			label = 0;
		} else if (isalnum((unsigned char)text[i]) || text[i] == '_'
			|| (text[i] == '-' && label > 0)) {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return label > 0 && text[len - 1] != '-';
}

bool is_host_pattern(const char *text)
{
	struct ip_addr address;

	if (strcmp(text, "*") == 0 || ip_addr_parse(text, &address))
		return true;
	return is_host_name(text[0] == '*' && text[1] == '.' ? text + 2 : text);
}

bool is_header_name(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (!isalnum((unsigned char)*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
			return false;
	}
	return true;
}

#define MAX_WORD 64

unsigned edit_distance(const char *a, const char *b, unsigned limit)
{
	size_t len_a = strlen(a), len_b = strlen(b);
	unsigned row[MAX_WORD + 1];

	if (len_a > MAX_WORD || len_b > MAX_WORD)
		return limit + 1;
	for (unsigned j = 0; j <= len_b; j++)
		row[j] = j;
	for (unsigned i = 1; i <= len_a; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= len_b; j++) {
			unsigned best = diagonal
				+ (tolower((unsigned char)a[i - 1])
					!= tolower((unsigned char)b[j - 1]));

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[len_b] > limit ? limit + 1 : row[len_b];
}

void suggest(const char *text, const char *candidate, const char **best, unsigned *distance)
{
	unsigned limit = (unsigned)strlen(text) / 3 + 1;
	unsigned found = edit_distance(text, candidate, limit);

	if (found > limit || found >= strlen(candidate) || (*best != NULL && found >= *distance))
		return;
	*best = candidate;
	*distance = found;
}
