// The states of an exchange and what they share; private to exchange*.c.
#pragma once

#include "router/exchange.h"

enum step {
	STEP_AGAIN, // the state has changed
	STEP_WAIT,  // for an event
	STEP_GONE,  // the exchange does not exist any more
};

typedef enum step exchange_step_fn(struct exchange *x, uint64_t now_us);

exchange_step_fn exchange_step_request;
exchange_step_fn exchange_step_route;
exchange_step_fn exchange_step_pick;
exchange_step_fn exchange_step_connect;
exchange_step_fn exchange_step_forward;
exchange_step_fn exchange_step_backoff;
exchange_step_fn exchange_step_answer;
exchange_step_fn exchange_step_tunnel;
exchange_step_fn exchange_step_reply;
exchange_step_fn exchange_step_end;

// The only place that writes x->state.
void exchange_set_state(struct exchange *x, enum exchange_state to);

// --- attempts (exchange_attempt.c)

// Moves what can be moved of the request's body: to the attempt if there is one, else to the retry buffer.
void exchange_pump_request(struct exchange *x, uint64_t now_us);
// Lets go of the attempt, whatever it is doing.
void exchange_drop_attempt(struct exchange *x, uint64_t now_us);
// Lets go of the place among the cluster's retries.
void exchange_drop_retry_slot(struct exchange *x);
// Lets go of the body kept for retries.
void exchange_drop_kept(struct exchange *x);
// The route's time is up.
enum step exchange_route_timeout(struct exchange *x, uint64_t now_us);
void exchange_on_try_timer(struct timer *t, uint64_t now_us);
void exchange_on_route_timer(struct timer *t, uint64_t now_us);

// --- answers (exchange_answer.c)

// The response head of the endpoint goes down.
enum step exchange_start_answer(struct exchange *x, uint64_t now_us);
// The attempt failed after its response had begun.
enum step exchange_answer_failed(struct exchange *x, uint64_t now_us);
// No whole response can be given any more: the client sees it cut.
enum step exchange_cut(struct exchange *x, enum response_flag flag, const char *details);

// --- upgrades (exchange_tunnel.c)

// True if the request asks for a protocol that may be switched to.
bool exchange_upgrade_is_allowed(const struct http_head *request);
// The endpoint's 101 goes down, and everything behind it on both sides passes as it is.
enum step exchange_start_tunnel(struct exchange *x, uint64_t now_us);

// --- replies of our own (local_reply.c)

struct local_reply {
	uint16_t status;
	const char *body;   // text/plain
	struct bytes bytes; // if not empty, instead of 'body'
	const char *details;
	int flag; // enum response_flag; -1: none
	struct bytes location;
	bool overloaded; // x-envoy-overloaded
	bool close;      // the connection ends with it
};

enum step exchange_reply(struct exchange *x, const struct local_reply *reply, uint64_t now_us);
// The client's message breaks rule 'e': counted, and the connection ends with the answer.
enum step exchange_refuse_rule(struct exchange *x, const struct h1_error *e, uint64_t now_us);
// 503 because a pool of ours is empty.
enum step exchange_reply_no_memory(struct exchange *x, uint64_t now_us);

// What an answer says that it is.
static inline enum http_version exchange_answer_version(const struct exchange *x)
{
	bool is_old = x->request.version == HTTP_1_0 && x->snapshot->config->http.accept_http_10;

	return is_old ? HTTP_1_0 : HTTP_1_1;
}

static inline struct cluster_stats *exchange_cluster_stats(const struct exchange *x)
{
	return &x->cluster->state->stats[x->worker->index];
}
