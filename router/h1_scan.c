// Finding the end of a head. One state for each place in a line where the next byte means something
// else; inside a line 16 bytes are looked at together, since only control bytes matter there.

#include "router/h1.h"
#include "router/http_chars.h"

enum scan_state {
	AT_START,
	AT_EMPTY_LINE_CR, // CR of an empty line before a request line
	AT_SECOND_START,  // after that line
	IN_LINE,
	AT_LINE_CR,
	AT_LINE_START,
	AT_LAST_CR, // CR of the line that ends the head
};

void h1_scan_init(struct h1_scan *s, enum h1_kind kind)
{
	*s = (struct h1_scan){.kind = (uint8_t)kind, .state = AT_START};
}

static const struct h1_error *bad_byte(uint8_t c)
{
	return c == '\n' ? &H1_ERR_BARE_LF : &H1_ERR_CONTROL_BYTE;
}

// What the first byte of a line says. Returns NULL and the next state, or the error.
static const struct h1_error *begin_line(
	const struct h1_scan *s, uint8_t c, const struct h1_limits *limits, uint8_t *next)
{
	bool start_line_due = s->kind != H1_TRAILERS && s->n_lines == 0;
	unsigned n_fields = s->kind == H1_TRAILERS ? s->n_lines : s->n_lines - 1u;

	if (c == '\r' && start_line_due) {
		bool first = s->kind == H1_REQUEST && s->state == AT_START;

		*next = AT_EMPTY_LINE_CR;
		return first ? NULL : &H1_ERR_EMPTY_START_LINE;
	}
	if (c == '\r') {
		*next = AT_LAST_CR;
		return NULL;
	}
	if (c == ' ' || c == '\t')
		return &H1_ERR_OBS_FOLD;
	if (!start_line_due && n_fields >= limits->max_fields)
		return &H1_ERR_TOO_MANY_FIELDS;
	*next = IN_LINE;
	return NULL;
}

enum h1_result h1_scan(
	struct h1_scan *s, struct bytes b, const struct h1_limits *limits, size_t *used)
{
	size_t room = s->len < limits->max_head_bytes ? limits->max_head_bytes - s->len : 0;
	const uint8_t *p = b.ptr;
	const uint8_t *end = p + (b.len < room ? b.len : room);

	while (p < end && s->error == NULL) {
		switch ((enum scan_state)s->state) {
		case AT_START:
		case AT_SECOND_START:
		case AT_LINE_START:
			s->error = begin_line(s, *p, limits, &s->state);
			if (s->state != IN_LINE)
				p++;
			break;
		case AT_EMPTY_LINE_CR:
			s->error = *p == '\n' ? NULL : &H1_ERR_BARE_CR;
			s->state = AT_SECOND_START;
			p++;
			break;
		case IN_LINE:
			p = http_find_control(p, end);
			if (p == end)
				break;
			s->error = *p == '\r' ? NULL : bad_byte(*p);
			s->state = AT_LINE_CR;
			p++;
			break;
		case AT_LINE_CR:
			s->error = *p == '\n' ? NULL : &H1_ERR_BARE_CR;
			s->state = AT_LINE_START;
			s->n_lines++;
			p++;
			break;
		case AT_LAST_CR:
			if (*p != '\n') {
				s->error = &H1_ERR_BARE_CR;
				break;
			}
			p++;
			*used = (size_t)(p - b.ptr);
			s->len += (uint32_t)*used;
			return H1_DONE;
		}
	}
	*used = (size_t)(p - b.ptr);
	s->len += (uint32_t)*used;
	if (s->error == NULL && s->len >= limits->max_head_bytes)
		s->error = &H1_ERR_HEAD_TOO_LARGE;
	return s->error != NULL ? H1_ERROR : H1_MORE;
}
