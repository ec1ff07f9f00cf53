// What costs us more than the peer is counted, and past its limit (h2_limits.def) the connection ends (h2_abuse.def).

#include "router/h2_session.h"

// A burst of control frames is forgiven in so many seconds.
#define CONTROL_REFILL_S 10u

void h2_session_punish(struct h2_session *h, enum h2_abuse why)
{
	struct router_stats *stats = h->worker->stats;

	if (h->punished || h->dead)
		return;
	h->punished = true;
	h->abuse = (uint8_t)why;
	switch (why) {
#define H2_ABUSE(name, counter)                       \
	case H2_ABUSE_##name:                         \
		stat_inc(&stats->h2_flood_##counter); \
		break;
#include "router/h2_abuse.def"
	case H2_N_ABUSES: break;
	}
	nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM);
	h2_session_wake(h);
}

void h2_session_note_early_reset(struct h2_session *h)
{
	h->n_early_resets++;
	if (h->role->is_server && h->n_early_resets > h->limits.max_early_resets
		&& h->n_early_resets * 2 >= h->n_closed)
		h2_session_punish(h, H2_ABUSE_EARLY_RESETS);
}

static void count_control(struct h2_session *h)
{
	uint64_t burst = h->limits.max_control_frames;
	uint64_t refill = (h->now_us - h->control_since_us) * burst / (CONTROL_REFILL_S * 1000000u);

	if (refill > 0) {
		h->control_since_us = h->now_us;
		h->control_credit =
			(uint32_t)(h->control_credit + refill > burst ? burst
								      : h->control_credit + refill);
	}
	if (h->control_credit == 0)
		h2_session_punish(h, H2_ABUSE_CONTROL);
	else
		h->control_credit--;
}

static bool is_empty_frame(const nghttp2_frame_hd *hd)
{
	if (hd->length > 0)
		return false;
	switch (hd->type) {
	case NGHTTP2_DATA: return !(hd->flags & NGHTTP2_FLAG_END_STREAM);
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION: return !(hd->flags & NGHTTP2_FLAG_END_HEADERS);
	default: return false;
	}
}

// Clients number their streams upwards (RFC 9113, 5.1.1). nghttp2 takes a stream that was left out
// for one that is closed, whose frames it ignores; of the last ones left out we know better.
static void check_order(struct h2_session *h, int32_t id)
{
	if (id > h->last_id + 2) {
		h->skipped_after = h->last_id;
		h->skipped_before = id;
	}
	if (id > h->last_id)
		h->last_id = id;
	else if (id > h->skipped_after && id < h->skipped_before)
		nghttp2_session_terminate_session(h->ng, NGHTTP2_PROTOCOL_ERROR);
}

void h2_session_note_frame(struct h2_session *h, const nghttp2_frame_hd *hd)
{
	h->n_frames++;
	if (is_empty_frame(hd)) {
		if (++h->n_empty > h->limits.max_empty_frames)
			h2_session_punish(h, H2_ABUSE_EMPTY_FRAMES);
	} else if (hd->type == NGHTTP2_DATA || hd->type == NGHTTP2_HEADERS) {
		h->n_empty = 0;
	}
	switch (hd->type) {
	case NGHTTP2_PRIORITY:
		// nghttp2 does not look at what it ignores.
		if (hd->stream_id == 0)
			nghttp2_session_terminate_session(h->ng, NGHTTP2_PROTOCOL_ERROR);
		__attribute__((fallthrough));
	case NGHTTP2_PRIORITY_UPDATE:
		if (++h->n_priority > h->limits.max_priority_frames * (1 + h->n_opened))
			h2_session_punish(h, H2_ABUSE_PRIORITY);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		// Envoy's formula.
		if (++h->n_window_updates
			> 5 + 2 * (h->n_opened + h->limits.max_window_updates * h->n_data_sent))
			h2_session_punish(h, H2_ABUSE_WINDOW_UPDATES);
		break;
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PING: count_control(h); break;
	case NGHTTP2_HEADERS:
		if (h->role->is_server)
			check_order(h, hd->stream_id);
		break;
	default: break;
	}
}
