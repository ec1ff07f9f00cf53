// 'connections': what TCP knows of each, and whose it is. Workers are asked a slice at a time, so that packets wait for a slice
// and not for all of a hundred thousand.
#include "mgmt/admin.h"
#include "mgmt/connection_filter.h"
#include "mgmt/gateway_state.h"

#include <stdlib.h>

#define SLICE 512u // connections that a worker looks at in one turn

struct search {
	struct connection_filter filter;
	uint64_t mbuf_bytes;
	uint64_t now_us; // the workers'
	// Filled on a worker, which must not allocate: the room is for 'filter.limit'.
	struct connection *found;
	uint64_t n_found;
	uint64_t n_matching;
	bool begun; // on the present worker
	bool goes_on;
};

static bool visit(void *arg, const struct tcp_info *info)
{
	struct connection c = {.tcp = *info};
	struct search *s = arg;

	if (info->stream != NULL)
		router_stream_owner(info->stream, &c.owner);
	c.tcp.stream = NULL;
	if (!connection_filter_matches(&s->filter, &c, s->mbuf_bytes, s->now_us))
		return true;
	if (s->n_matching++ >= s->filter.skip && s->n_found < s->filter.limit)
		s->found[s->n_found++] = c;
	return true;
}

static void visit_slice(void *state, struct worker *w, void *arg, uint64_t now_us)
{
	struct search *s = arg;

	(void)state;
	if (!s->begun)
		tcp_walk_begin(worker_net(w));
	s->begun = true;
	s->now_us = now_us;
	s->goes_on = tcp_walk(worker_net(w), SLICE, visit, s);
}

// --- rows

static json_t *detail_of_path(const struct tcp_info *t)
{
	return json_pack("{s:I, s:I, s:I, s:i, s:i, s:b, s:b, s:s}", "rttvar_us",
		(json_int_t)t->rttvar_us, "min_rtt_us", (json_int_t)t->min_rtt_us, "backoff",
		(json_int_t)t->backoff, "mss", (int)t->mss, "mtu", (int)t->mtu, "timestamps",
		(int)t->timestamps, "sack", (int)t->sack, "congestion_control",
		t->congestion_control);
}

static json_t *detail_of_sending(const struct connection *c, uint64_t now_us)
{
	const struct tcp_info *t = &c->tcp;

	return json_pack("{s:I, s:o, s:I, s:I, s:I, s:i, s:b, s:o}", "bytes",
		(json_int_t)t->bytes_sent, "ssthresh",
		t->ssthresh == UINT32_MAX ? json_null() : json_integer(t->ssthresh), "in_flight",
		(json_int_t)t->in_flight, "unsent", (json_int_t)(t->send_queued - t->in_flight),
		"lost", (json_int_t)t->lost, "window_scale", (int)t->send_scale, "recovering",
		(int)t->recovering, "last_ms_ago",
		t->last_sent_us == 0
			? json_null()
			: json_integer((json_int_t)((now_us - t->last_sent_us) / 1000)));
}

static json_t *detail_of_receiving(const struct connection *c, uint64_t now_us)
{
	const struct tcp_info *t = &c->tcp;

	return json_pack("{s:I, s:I, s:I, s:i, s:I}", "bytes", (json_int_t)t->bytes_received,
		"window", (json_int_t)t->receive_window, "reordered", (json_int_t)t->reordered,
		"window_scale", (int)t->receive_scale, "last_ms_ago",
		(json_int_t)((now_us - t->last_received_us) / 1000));
}

static json_t *row(const struct search *s, const struct connection *c)
{
	const struct tcp_info *t = &c->tcp;
	json_t *o = json_pack(
		"{s:o, s:o, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
		"local", admin_endpoint(&t->local), "remote", admin_endpoint(&t->remote), "state",
		t->state, "direction", connection_is_upstream(c) ? "upstream" : "downstream", "of",
		admin_string(c->owner.name), "age_s",
		(json_int_t)((s->now_us - t->created_us) / 1000000), "idle_s",
		(json_int_t)(connection_idle_us(c, s->now_us) / 1000000), "srtt_us",
		(json_int_t)t->srtt_us, "rto_us", (json_int_t)t->rto_us, "cwnd",
		(json_int_t)t->cwnd, "send_window", (json_int_t)t->send_window, "send_queued",
		(json_int_t)t->send_queued, "receive_queued", (json_int_t)t->receive_queued,
		"memory", (json_int_t)(t->mbufs_held * s->mbuf_bytes), "retransmits",
		(json_int_t)t->n_retransmits, "waits_for", tcp_wait_text(t->waits_for));

	if (o == NULL || !s->filter.detail)
		return o;
	json_object_set_new(o, "protocol",
		json_sprintf("%s%s", c->owner.tls ? "tls " : "",
			c->owner.name != NULL ? c->owner.protocol : ""));
	json_object_set_new(o, "path", detail_of_path(t));
	json_object_set_new(o, "sending", detail_of_sending(c, s->now_us));
	json_object_set_new(o, "receiving", detail_of_receiving(c, s->now_us));
	return o;
}

bool admin_cmd_connections(
	struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	struct memory_status memory;
	struct search s = {0};
	json_t *rows;

	if (!connection_filter_parse(&s.filter, words, a))
		return false;
	s.found = calloc(s.filter.limit + 1, sizeof(*s.found));
	if (s.found == NULL)
		return admin_end(a, ADMIN_CODE_FAILED, "out of memory");
	dataplane_memory_status(gw->dataplane, &memory);
	s.mbuf_bytes = memory.mbuf_bytes;
	for (unsigned w = 0; w < gw->n_workers; w++) {
		s.begun = false;
		do {
			worker_call(gw->workers[w], visit_slice, &s);
		} while (s.goes_on);
	}
	rows = admin_list(a, "connections");
	for (uint64_t i = 0; i < s.n_found; i++)
		json_array_append_new(rows, row(&s, &s.found[i]));
	free(s.found);
	return admin_end(a, ADMIN_CODE_DONE, "%llu of %llu connections shown",
		(unsigned long long)s.n_found, (unsigned long long)s.n_matching);
}
