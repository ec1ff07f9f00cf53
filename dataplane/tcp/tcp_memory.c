#include "dataplane/tcp/tcp_memory.h"

#include "dataplane/tcp/tcp_conn.h"

enum tcp_rung tcp_memory_rung(const struct tcp *t)
{
	uint32_t held = t->mbufs_held, most = t->max_mbufs_held;

	if (held < most / 2)
		return TCP_RUNG_FREE;
	if (held < most / 4 * 3)
		return TCP_RUNG_STEADY;
	if (held < most / 8 * 7)
		return TCP_RUNG_SMALL;
	return held < most - most / 16 ? TCP_RUNG_COOKIES : TCP_RUNG_ABORT;
}
