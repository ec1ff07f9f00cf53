#include "router/h2_queue.h"

#include "router/exchange.h"

#include <string.h>

size_t h2_queue_append(struct h2_queue *q, struct pool *chunks, struct bytes b)
{
	size_t done = 0;

	while (done < b.len) {
		struct body_chunk *c = q->last;
		size_t n;

		if (c == NULL || c->len == sizeof(c->bytes)) {
			c = pool_get(chunks);
			if (c == NULL)
				break;
			c->next = NULL;
			c->len = 0;
			if (q->last != NULL)
				q->last->next = c;
			else
				q->first = c;
			q->last = c;
		}
		n = sizeof(c->bytes) - c->len;
		if (n > b.len - done)
			n = b.len - done;
		memcpy(c->bytes + c->len, b.ptr + done, n);
		c->len += (uint32_t)n;
		done += n;
	}
	q->len += (uint32_t)done;
	return done;
}

struct bytes h2_queue_peek(const struct h2_queue *q)
{
	if (q->first == NULL)
		return (struct bytes){NULL, 0};
	return bytes_of(q->first->bytes + q->offset, q->first->len - q->offset);
}

void h2_queue_drop(struct h2_queue *q, struct pool *chunks, size_t n)
{
	q->len -= (uint32_t)n;
	q->offset += (uint32_t)n;
	while (q->first != NULL && q->offset >= q->first->len) {
		struct body_chunk *c = q->first;

		q->offset -= c->len;
		q->first = c->next;
		if (q->first == NULL)
			q->last = NULL;
		pool_put(chunks, c);
	}
}

size_t h2_queue_take(struct h2_queue *q, struct pool *chunks, uint8_t *to, size_t cap)
{
	size_t done = 0;

	while (done < cap && q->len > 0) {
		struct bytes b = h2_queue_peek(q);
		size_t n = b.len < cap - done ? b.len : cap - done;

		memcpy(to + done, b.ptr, n);
		h2_queue_drop(q, chunks, n);
		done += n;
	}
	return done;
}
