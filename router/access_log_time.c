// Time as strftime() would print it in the C locale and UTC, without libc: its functions take a lock for the time zone.
#include "router/access_log_format.h"

#include <stdio.h>

static const char *const days[] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January", "February", "March", "April", "May", "June", "July",
	"August", "September", "October", "November", "December"};

struct civil {
	uint64_t wall_us;
	uint64_t epoch_s;
	uint32_t us;
	uint32_t year;
	uint32_t month; // 1..12
	uint32_t day;   // 1..31
	uint32_t day_of_year;
	uint32_t day_of_week;
	uint32_t hour, minute, second;
};

// Days to a date by eras of 400 years that begin in March, so that the leap day comes last (Hinnant, "chrono-compatible
// low-level date algorithms").
static struct civil civil_of(uint64_t wall_us)
{
	struct civil c = {.wall_us = wall_us};
	uint32_t day, era, day_of_era, year_of_era, day_of_year, month;
	bool leap;

	c.epoch_s = wall_us / 1000000;
	c.us = (uint32_t)(wall_us % 1000000);
	// Past the year 9999 there is nothing to print.
	if (c.epoch_s > 253402300799)
		c.epoch_s = 253402300799;
	c.second = (uint32_t)(c.epoch_s % 60);
	c.minute = (uint32_t)(c.epoch_s / 60 % 60);
	c.hour = (uint32_t)(c.epoch_s / 3600 % 24);
	day = (uint32_t)(c.epoch_s / 86400);
	c.day_of_week = (day + 4) % 7;

	day += 719468;
	era = day / 146097;
	day_of_era = day % 146097;
	year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	c.day = day_of_year - (153 * month + 2) / 5 + 1;
	c.month = month < 10 ? month + 3 : month - 9;
	c.year = year_of_era + era * 400 + (c.month <= 2);
	leap = (c.year % 4 == 0 && c.year % 100 != 0) || c.year % 400 == 0;
	// From March 1st to January 1st are 306 days, and back 59 or 60.
	c.day_of_year = day_of_year >= 306 ? day_of_year - 305 : day_of_year + 60 + leap;
	return c;
}

static char *put_digits(char *to, uint32_t value, unsigned n)
{
	for (unsigned i = n; i-- > 0; value /= 10)
		to[i] = (char)('0' + value % 10);
	return to + n;
}

static char *put_text(char *to, const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len > max)
		len = max;
	memcpy(to, text, len);
	return to + len;
}

static char *put_date(char *to, const struct civil *c)
{
	to = put_digits(to, c->year, 4);
	*to++ = '-';
	to = put_digits(to, c->month, 2);
	*to++ = '-';
	return put_digits(to, c->day, 2);
}

static char *put_hour_and_minute(char *to, const struct civil *c)
{
	to = put_digits(to, c->hour, 2);
	*to++ = ':';
	return put_digits(to, c->minute, 2);
}

static char *put_time(char *to, const struct civil *c)
{
	to = put_hour_and_minute(to, c);
	*to++ = ':';
	return put_digits(to, c->second, 2);
}

static char *put_american_date(char *to, const struct civil *c)
{
	to = put_digits(to, c->month, 2);
	*to++ = '/';
	to = put_digits(to, c->day, 2);
	*to++ = '/';
	return put_digits(to, c->year % 100, 2);
}

// Fraction of the second in 'n' digits, cut and not rounded.
static char *put_fraction(char *to, uint32_t us, unsigned n)
{
	char digits[9];

	put_digits(digits, us, 6);
	memset(digits + 6, '0', 3);
	memcpy(to, digits, n);
	return to + n;
}

static char *put_day_without_zero(char *to, const struct civil *c)
{
	put_digits(to, c->day, 2);
	if (*to == '0')
		*to = ' ';
	return to + 2;
}

// Writes what '%' and 'specifier' stand for; returns NULL if there is no such thing. At most 20 bytes.
static char *put_specifier(char *to, char specifier, const struct civil *c)
{
	switch (specifier) {
	case 'Y': return put_digits(to, c->year, 4);
	case 'y': return put_digits(to, c->year % 100, 2);
	case 'm': return put_digits(to, c->month, 2);
	case 'd': return put_digits(to, c->day, 2);
	case 'e': return put_day_without_zero(to, c);
	case 'H': return put_digits(to, c->hour, 2);
	case 'I': return put_digits(to, (c->hour + 11) % 12 + 1, 2);
	case 'M': return put_digits(to, c->minute, 2);
	case 'S': return put_digits(to, c->second, 2);
	case 'j': return put_digits(to, c->day_of_year, 3);
	case 'a': return put_text(to, days[c->day_of_week], 3);
	case 'A': return put_text(to, days[c->day_of_week], 20);
	case 'b':
	case 'h': return put_text(to, months[c->month - 1], 3);
	case 'B': return put_text(to, months[c->month - 1], 20);
	case 'p': return put_text(to, c->hour < 12 ? "AM" : "PM", 2);
	case 'F': return put_date(to, c);
	case 'T': return put_time(to, c);
	case 'R': return put_hour_and_minute(to, c);
	case 'D': return put_american_date(to, c);
	case 'Z': return put_text(to, "UTC", 3);
	case 'z': return put_text(to, "+0000", 5);
	case 's': return to + log_print_number(to, c->epoch_s);
	case 'f': return put_fraction(to, c->us, 9);
	case '%': *to = '%'; return to + 1;
	default: return NULL;
	}
}

#define MAX_SPECIFIER_LEN 20u

// Writes until 'format' ends, or something in it is not known ('*bad', else NULL), or there may be no room for more.
static size_t print(
	struct bytes format, const struct civil *c, char to[LOG_SCRATCH_SIZE], const uint8_t **bad)
{
	const uint8_t *p = format.ptr, *end = format.ptr + format.len;
	char *at = to;

	*bad = NULL;
	while (p < end && at + MAX_SPECIFIER_LEN <= to + LOG_SCRATCH_SIZE) {
		char *after;

		if (*p != '%') {
			*at++ = (char)*p++;
			continue;
		}
		if (end - p >= 3 && p[1] >= '1' && p[1] <= '9' && p[2] == 'f') {
			at = put_fraction(at, c->us, (unsigned)(p[1] - '0'));
			p += 3;
			continue;
		}
		after = end - p >= 2 ? put_specifier(at, (char)p[1], c) : NULL;
		if (after == NULL)
			break;
		at = after;
		p += 2;
	}
	if (p < end)
		*bad = p;
	return (size_t)(at - to);
}

bool log_time_check(struct bytes format, char error[LOG_ERROR_SIZE])
{
	// The longest of names: a Wednesday in September.
	struct civil c = civil_of(1788307199999999);
	char to[LOG_SCRATCH_SIZE];
	const uint8_t *bad;
	size_t len;

	if (format.len == 0)
		return true;
	len = print(format, &c, to, &bad);
	if (bad == NULL)
		return true;
	if (len + MAX_SPECIFIER_LEN > LOG_SCRATCH_SIZE)
		snprintf(error, LOG_ERROR_SIZE,
			"time format is too long; expected one that prints at most %u bytes",
			LOG_SCRATCH_SIZE - MAX_SPECIFIER_LEN);
	else
		snprintf(error, LOG_ERROR_SIZE, "unknown time specifier \"%.*s\"",
			(int)(format.ptr + format.len - bad >= 2 ? 2 : 1), (const char *)bad);
	return false;
}

size_t log_time_print(struct bytes format, uint64_t wall_us, char to[LOG_SCRATCH_SIZE])
{
	struct civil c = civil_of(wall_us);
	const uint8_t *bad;
	char *at = to;

	if (format.len > 0)
		return print(format, &c, to, &bad);
	at = put_date(at, &c);
	*at++ = 'T';
	at = put_time(at, &c);
	*at++ = '.';
	at = put_fraction(at, c.us, 3);
	*at++ = 'Z';
	return (size_t)(at - to);
}
