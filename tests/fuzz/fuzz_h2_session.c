// Frames of a client through the router to endpoints that answer, and to ones whose answers are the input's: whatever comes,
// everything is given back at the end.
//
// The first byte: bit 0, the endpoints speak HTTP/2 and the input is theirs instead of the client's; bit 1, small pieces; bit
// 2, little room towards the client; bit 3, time passes; bit 4, with bit 0: the client speaks HTTP/2 too and uploads, others
// share the endpoint's connection, and refused requests are sent again; bit 5, with bit 0: the first request is for WebSocket.

#include "tests/h2_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct rig *r, unsigned i)
{
	struct stream *s = rig_upstream_stream(r, i);

	if (fake_pair_fate(r->upstreams[i], 0) == FAKE_OPEN)
		rig_put(s, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
}

// A POST with a body and trailers to come, and a GET.
static void ask_in_h2(struct rig *r)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const uint8_t zeros[30000];
	uint8_t block[200], out[1024];
	size_t len = peer_pseudo(block), n = 0;
	struct stream *s = rig_client_stream(r, rig_client(r));

	fake_put(s, bytes_of(preface, sizeof(preface) - 1));
	n += peer_frame(out + n, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	n += peer_frame(out + n, NGHTTP2_HEADERS, 5, 3, block, len);
	block[0] = 0x83; // POST
	n += peer_frame(out + n, NGHTTP2_HEADERS, 4, 5, block, len);
	fake_put(s, bytes_of(out, n));
	for (size_t left = sizeof(zeros); left > 0; left -= 10000) {
		uint8_t frame[10009];

		fake_put(s, bytes_of(frame, peer_frame(frame, NGHTTP2_DATA, 0, 5, zeros, 10000)));
	}
	rig_pump(r);
	rig_client_says(r, rig_client(r), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
}

static void put_portions(struct rig *r, struct stream *s, struct bytes b)
{
	while (b.len > 0) {
		size_t n = stream_room(s) < b.len ? stream_room(s) : b.len;

		if (n == 0)
			return;
		fake_put(s, bytes_of(b.ptr, n));
		b = bytes_skip(b, n);
		rig_pump(r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct rig *r;
	uint8_t flags;

	if (size < 1 || size > 65536)
		return 0;
	flags = data[0];
	r = rig_new();
	r->config.http.extended_connect = true;
	r->config.access_log.enabled = false;
	r->config.http.body_timeout_us = 1000000;
	r->cluster.protocol = flags & 1 ? CLUSTER_HTTP_2 : CLUSTER_HTTP_1;
	if (flags & 16)
		r->route.retry = (struct retry_config){
			.attempts = 1, .on = RETRY_REFUSED_STREAM, .backoff_base_us = 1000};
	rig_start(r);
	rig_client(r);
	if (flags & 2)
		fake_set_piece(fake_pair_end(r->clients[0], 0), 7);
	if (flags & 4)
		fake_set_room(fake_pair_end(r->clients[0], 0), 100);
	if (flags & 1) {
		rig_client_says(r, 0,
			flags & 32 ? "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n"
				     "upgrade: websocket\r\n\r\n"
				   : "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
		if (flags & 16)
			ask_in_h2(r);
		put_portions(r, rig_upstream_stream(r, 0), bytes_of(data + 1, size - 1));
	} else {
		rig_client_says(r, 0, preface);
		put_portions(r, rig_client_stream(r, 0), bytes_of(data + 1, size - 1));
		for (unsigned i = 0; i < r->n_upstreams && i < 20; i++)
			answer(r, i);
	}
	rig_pump(r);
	if (flags & 8) {
		for (unsigned i = 0; i < 3; i++) {
			r->now_us += 500000;
			while (timer_wheel_run(r->timers, r->now_us, 64) == 64)
				;
			rig_pump(r);
		}
	}
	rig_done(&r);
	return 0;
}
