// The end of an exchange: what is known of it goes into the counters, the metrics and the log, then everything goes back.

#include "router/access_log.h"
#include "router/exchange_steps.h"
#include "router/upstream.h"

static int number_of(const struct http_field *f)
{
	int n = 0;

	if (f == NULL || f->value.len == 0 || f->value.len > 3)
		return -1;
	for (size_t i = 0; i < f->value.len; i++) {
		if (f->value.ptr[i] < '0' || f->value.ptr[i] > '9')
			return -1;
		n = n * 10 + f->value.ptr[i] - '0';
	}
	return n;
}

static void fill_record(const struct exchange *x, struct exchange_record *r, uint64_t now_us)
{
	const struct http_fields *trailers = x->upstream != NULL ? x->upstream->trailers : NULL;

	*r = (struct exchange_record){
		.start_us = x->start_us,
		.request_end_us = x->request_end_us,
		.upstream_start_us = x->upstream_start_us,
		.upstream_end_us = x->upstream_end_us,
		.response_start_us = x->response_start_us,
		.response_end_us = x->response_end_us,
		.end_us = now_us,
		.start_wall_us = x->start_wall_us,
		.request = x->has_request ? &x->request : NULL,
		.response = x->has_response ? &x->response : NULL,
		.response_trailers = trailers,
		.original_path = x->original_path,
		.status = x->response_started ? x->response.status : 0,
		.flags = x->flags,
		.details = x->details,
		.transport_failure = bytes_of_str(x->transport_failure),
		.request_body_bytes = x->request_body_bytes,
		.response_body_bytes = x->response_body_bytes,
		.request_wire_bytes = x->downstream->wire_received,
		.response_wire_bytes = x->downstream->wire_sent,
		.cluster = x->cluster,
		.endpoint = x->endpoint,
		.upstream_local = x->upstream_local,
		.attempts = x->attempts,
		.downstream_local = x->peer->local,
		.downstream_remote = x->client,
		.downstream_direct_remote = x->peer->direct_remote,
		.sni = x->peer->sni,
		.tls_version = x->peer->tls_version,
		.tls_cipher = x->peer->tls_cipher,
		.client = x->peer->client,
		.route_name = x->route != NULL ? x->route->name : "",
		.protocol = x->request.version,
		.connection_id = x->peer->connection_id,
		.grpc = x->grpc,
		.grpc_status = -1,
	};
	if (x->endpoint != NULL)
		r->endpoint_config = cluster_endpoint_config(x->cluster, x->endpoint);
	if (x->grpc && x->has_response) {
		r->grpc_status =
			number_of(http_field_find(&x->response.fields, HTTP_FIELD_GRPC_STATUS));
		if (r->grpc_status < 0 && trailers != NULL)
			r->grpc_status =
				number_of(http_field_find(trailers, HTTP_FIELD_GRPC_STATUS));
	}
}

static void count(const struct exchange *x, const struct exchange_record *r)
{
	struct hcm_stats *hcm = x->peer->hcm;

	stat_dec(&hcm->downstream_rq_active);
	if (x->is_upgrade_counted)
		stat_dec(&hcm->downstream_cx_upgrades_active);
	if (r->status != 0) {
		stat_inc(&hcm->downstream_rq_completed);
		stat_inc(&hcm->downstream_rq_xx[r->status / 100 <= 5 ? r->status / 100 : 0]);
		histogram_record(&hcm->downstream_rq_time, r->end_us - r->start_us);
	}
	if (r->status == 413 || r->status == 431)
		stat_inc(&hcm->downstream_rq_too_large);
	if (x->has_request && x->response_started && !x->request_ended)
		stat_inc(&hcm->downstream_rq_response_before_rq_complete);
}

static void write_record(
	struct router_worker *w, const struct snapshot *s, const struct exchange_record *r)
{
	if (w->out.metrics != NULL)
		request_metrics_record(w->out.metrics, r);
	if (s->log_format == NULL || w->out.log == NULL)
		return;
	if (access_log_write(s->log_format, r, w->out.log))
		stat_inc(&w->stats->access_log_lines);
	else
		stat_inc(&w->stats->access_log_lost);
}

void exchange_log_refused(struct router_worker *w, const struct exchange_peer *peer,
	enum http_version version, uint64_t start_us, uint64_t now_us)
{
	struct exchange_record r = {
		.start_us = start_us,
		.end_us = now_us,
		.start_wall_us = w->seams.wall_us(w->seams.arg, start_us),
		.status = 503,
		.details = "overload",
		.downstream_local = peer->local,
		.downstream_remote = peer->remote,
		.downstream_direct_remote = peer->direct_remote,
		.sni = peer->sni,
		.tls_version = peer->tls_version,
		.tls_cipher = peer->tls_cipher,
		.client = peer->client,
		.route_name = "",
		.protocol = version,
		.connection_id = peer->connection_id,
		.grpc_status = -1,
	};

	response_flags_add(&r.flags, RESPONSE_FLAG_OM);
	stat_inc(&peer->hcm->downstream_rq_total);
	stat_inc(version == HTTP_2 ? &peer->hcm->downstream_rq_http2_total
				   : &peer->hcm->downstream_rq_http1_total);
	stat_inc(&peer->hcm->downstream_rq_completed);
	stat_inc(&peer->hcm->downstream_rq_xx[5]);
	write_record(w, w->snapshot, &r);
}

enum step exchange_step_end(struct exchange *x, uint64_t now_us)
{
	struct router_worker *w = x->worker;
	bool whole = x->has_response && x->downstream_end == 0;
	struct exchange_record r;

	fill_record(x, &r, now_us);
	count(x, &r);
	write_record(w, x->snapshot, &r);
	exchange_drop_attempt(x, now_us);
	exchange_drop_retry_slot(x);
	if (whole)
		x->downstream->ops->release(&x->downstream, now_us);
	else
		x->downstream->ops->reset(&x->downstream, now_us);
	timer_cancel(w->timers, &x->timer);
	timer_cancel(w->timers, &x->try_timer);
	list_remove(&x->ready.node);
	exchange_drop_kept(x);
	pool_put(&w->large_heads, x->large_request);
	pool_put(&w->large_heads, x->large_response);
	arena_reset(&x->arena);
	atomic_fetch_sub_explicit(&x->snapshot->pins[w->index].n, 1, memory_order_release);
	stat_dec(&w->stats->exchanges_active);
	pool_put(&w->exchanges, x);
	return STEP_GONE;
}
