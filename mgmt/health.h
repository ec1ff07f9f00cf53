// The HTTP endpoints for machines: health (Istio's 15021) and metrics (15090), on kernel sockets, by libmicrohttpd without
// threads of its own: the loop of the mgmt thread runs it.
//
//     GET /healthz/ready          200 while serving, 503 while starting and draining
//     GET /healthz/live           200 as long as the mgmt thread runs
//     GET /stats/prometheus, /metrics
//
// Only GET and HEAD; anything else is 405, an unknown path 404. Connections are few and short-lived (limits below), because a
// probe has to get through while somebody else keeps connections open.
#pragma once

#include "dataplane/base/ip_addr.h"
#include "mgmt/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HTTP_ENDPOINT_ERROR_SIZE 256

struct http_endpoint;

struct http_endpoint_ops {
	bool (*is_ready)(void *arg);
	// Writes the metrics text; NULL: this endpoint has no metrics.
	void (*metrics)(void *arg, FILE *to);
	bool health; // serves /healthz
	void *arg;
};

// Opens the endpoint and hangs it on 'loop'. 'ops' is copied. Returns NULL and a sentence in 'error'.
struct http_endpoint *http_endpoint_new(struct loop *loop, const struct ip_endpoint *local,
	const struct http_endpoint_ops *ops, char error[HTTP_ENDPOINT_ERROR_SIZE]);
void http_endpoint_free(struct http_endpoint **ep);

// The port it listens on: the configured one, or the one that was given out for 0.
uint16_t http_endpoint_port(const struct http_endpoint *e);

// Readable when http_endpoint_run() has something to do, for those who wait elsewhere than in the loop.
int http_endpoint_fd(const struct http_endpoint *e);

// When http_endpoint_run() has to be called although nothing came; UINT64_MAX if never.
uint64_t http_endpoint_deadline(const struct http_endpoint *e, uint64_t now_us);
void http_endpoint_run(struct http_endpoint *e);
