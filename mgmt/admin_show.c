// Commands that show the process and what it listens on.
#include "dataplane/base/log.h"
#include "mgmt/admin.h"
#include "mgmt/gateway_state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static json_t *mac_text(const uint8_t mac[6])
{
	return json_sprintf(
		"%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static json_t *ports(const struct gateway *gw)
{
	json_t *list = json_array();
	struct port_status p;

	for (unsigned i = 0; dataplane_port_status(gw->dataplane, i, &p); i++)
		json_array_append_new(list,
			json_pack(
				"{s:s, s:s, s:o, s:i, s:i, s:b, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
				"port", p.name, "driver", p.driver, "mac", mac_text(p.mac), "mtu",
				(int)p.mtu, "queues", (int)p.n_queues, "link", (int)p.link_up,
				"checksum", p.checksum, "offloads", p.offloads, "steering",
				p.steering, "rx_packets", (json_int_t)p.rx_packets, "rx_missed",
				(json_int_t)p.rx_missed, "rx_errors", (json_int_t)p.rx_errors,
				"rx_nombuf", (json_int_t)p.rx_nombuf, "tx_packets",
				(json_int_t)p.tx_packets, "tx_errors", (json_int_t)p.tx_errors,
				"rx_bytes", (json_int_t)p.rx_bytes));
	return list;
}

static json_t *memory(const struct gateway *gw)
{
	struct memory_status m;

	dataplane_memory_status(gw->dataplane, &m);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "limit_bytes",
		(json_int_t)gw->sizing.limit, "dataplane_bytes", (json_int_t)gw->sizing.dataplane,
		"router_bytes", (json_int_t)gw->sizing.router, "packet_buffers",
		(json_int_t)m.mbufs_total, "packet_buffers_used", (json_int_t)m.mbufs_in_use,
		"eal_bytes", (json_int_t)m.eal_bytes, "hugepages", (int)m.hugepages);
}

static json_t *room_of_a_worker(const struct gateway *gw)
{
	struct router_room room = gateway_room(gw);

	return json_pack("{s:I, s:I, s:I, s:I}", "connections", (json_int_t)room.connections,
		"tls_connections", (json_int_t)room.tls_connections, "tls_http2_connections",
		(json_int_t)room.tls_http2_connections, "requests", (json_int_t)room.requests);
}

static json_t *logs(const struct gateway *gw)
{
	struct log_writer_stats s;
	uint64_t refused = 0;

	log_writer_stats(gw->log_writer, &s);
	for (unsigned i = 0; i < gw->n_workers; i++)
		refused += stat_read(&router_worker_stats(gw->router, i)->access_log_lost);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "access_log_bytes", (json_int_t)s.bytes,
		"access_log_write_errors", (json_int_t)s.write_errors, "access_log_lost_writing",
		(json_int_t)s.lost_lines, "access_log_lost_ring_full", (json_int_t)refused,
		"process_log_lost", (json_int_t)log_lost());
}

bool admin_cmd_status(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	uint64_t now_us = loop_now_us(), n_requests, n_connections;
	const struct snapshot *s = router_current(gw->router);

	(void)words;
	router_load(gw->router, &n_requests, &n_connections);
	a->body = json_pack("{s:s, s:b, s:s, s:I, s:I, s:i, s:s, s:I, s:I, s:I, s:I, s:I}", "state",
		gateway_state_name(gw), "ready", (int)gateway_is_ready(gw), "version",
		POLLGATE_VERSION, "pid", (json_int_t)getpid(), "uptime_seconds",
		(json_int_t)((now_us - gw->started_us) / 1000000), "workers", (int)gw->n_workers,
		"config_version", gw->reload.version, "config_generation",
		(json_int_t)(s != NULL ? s->generation : 0), "config_age_seconds",
		(json_int_t)((now_us - gw->reload.applied_us) / 1000000), "retired_configs",
		(json_int_t)router_n_retired(gw->router), "requests", (json_int_t)n_requests,
		"connections", (json_int_t)n_connections);
	if (a->body == NULL)
		return admin_end(a, ADMIN_CODE_FAILED, "out of memory");
	if (gw->reload.rejected_reason[0] != '\0')
		json_object_set_new(
			a->body, "last_rejection", admin_string(gw->reload.rejected_reason));
	json_object_set_new(a->body, "memory", memory(gw));
	json_object_set_new(a->body, "room_of_a_worker", room_of_a_worker(gw));
	json_object_set_new(a->body, "logs", logs(gw));
	json_object_set_new(a->body, "ports", ports(gw));
	return true;
}

// --- listeners and certificates

static json_t *names_of(const struct tls_chain_config *tls)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < tls->n_sni; i++)
		json_array_append_new(list, admin_string(tls->sni[i]));
	return list;
}

static const char *client_certificates(const struct tls_chain_config *tls)
{
	static const char *const texts[] = {
		[TLS_CLIENT_NOT_ASKED] = "not asked for",
		[TLS_CLIENT_OPTIONAL] = "optional",
		[TLS_CLIENT_REQUIRED] = "required",
	};

	return texts[tls->client.auth];
}

static json_t *chains_of(const struct snapshot *s, const struct listener_config *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < l->n_chains; i++) {
		const struct filter_chain_config *c = &l->chains[i];

		json_array_append_new(list,
			json_pack("{s:o, s:s, s:i, s:s, s:s}", "sni", names_of(&c->tls), "routes",
				s->config->route_tables[c->route_table].name, "certificates",
				(int)c->tls.n_certificates, "client_certificates",
				client_certificates(&c->tls), "stat_prefix", c->stat_prefix));
	}
	return list;
}

static struct listener_stats listener_sum(const struct gateway *gw, const struct listener_state *s)
{
	struct listener_stats sum = {0};

	for (unsigned w = 0; s != NULL && w < gw->n_workers; w++) {
		const struct listener_stats *one = &s->stats[w];

		sum.downstream_cx_total += stat_read(&one->downstream_cx_total);
		sum.downstream_cx_active += stat_read(&one->downstream_cx_active);
		sum.downstream_cx_overflow += stat_read(&one->downstream_cx_overflow);
		sum.no_filter_chain_match += stat_read(&one->no_filter_chain_match);
		sum.ssl_handshake += stat_read(&one->ssl_handshake);
		sum.ssl_connection_error += stat_read(&one->ssl_connection_error)
			+ stat_read(&one->ssl_fail_verify_no_cert)
			+ stat_read(&one->ssl_fail_verify_error)
			+ stat_read(&one->ssl_fail_verify_san)
			+ stat_read(&one->ssl_fail_verify_cert_hash);
	}
	return sum;
}

bool admin_cmd_listeners(
	struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	json_t *list = admin_list(a, "listeners");
	const struct snapshot *s = router_current(gw->router);

	(void)words;
	for (unsigned i = 0; i < s->config->n_listeners; i++) {
		const struct listener_config *l = &s->config->listeners[i];
		struct listener_stats sum = listener_sum(gw, s->listeners[i].state);

		json_array_append_new(list,
			json_pack("{s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "listener",
				l->name, "address", admin_endpoint(&l->local), "tls", (int)l->tls,
				"connections", (json_int_t)sum.downstream_cx_active,
				"connections_total", (json_int_t)sum.downstream_cx_total,
				"refused_by_limit", (json_int_t)sum.downstream_cx_overflow,
				"no_filter_chain", (json_int_t)sum.no_filter_chain_match,
				"handshakes", (json_int_t)sum.ssl_handshake, "handshakes_failed",
				(json_int_t)sum.ssl_connection_error, "chains", chains_of(s, l)));
	}
	return true;
}

static json_t *expiry_text(int64_t not_after_s)
{
	time_t t = (time_t)not_after_s;
	char text[32];
	struct tm tm;

	if (not_after_s == 0 || gmtime_r(&t, &tm) == NULL)
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

// Who signs for clients; when the first of them expires.
static void add_authorities(json_t *list, const struct listener_config *l,
	const struct tls_chain_config *tls, int64_t now_s)
{
	char error[TLS_ERROR_SIZE] = "CA of clients";
	int64_t not_after_s;

	if (tls->client.ca_pem.len == 0)
		return;
	tls_client_check(&tls->client, &not_after_s, error);
	json_array_append_new(list,
		json_pack("{s:o, s:s, s:o, s:o, s:I, s:s}", "certificate",
			admin_string(tls->client.ca_name), "listener", l->name, "sni",
			names_of(tls), "not_after", expiry_text(not_after_s), "days_left",
			(json_int_t)((not_after_s - now_s) / 86400), "state",
			not_after_s < now_s ? "CA of clients or its revocation list: expired"
					    : error));
}

static void add_certificates(json_t *list, const struct listener_config *l, int64_t now_s)
{
	for (unsigned i = 0; i < l->n_chains; i++) {
		const struct tls_chain_config *tls = &l->chains[i].tls;

		if (tls->n_certificates == 0)
			json_array_append_new(list,
				json_pack("{s:n, s:s, s:o, s:n, s:n, s:s}", "certificate",
					"listener", l->name, "sni", names_of(tls), "not_after",
					"days_left", "state", "missing: handshakes fail"));
		for (unsigned j = 0; j < tls->n_certificates; j++) {
			int64_t not_after_s = tls->certificates[j].not_after_s;

			json_array_append_new(list,
				json_pack("{s:o, s:s, s:o, s:o, s:I, s:s}", "certificate",
					admin_string(tls->certificates[j].name), "listener",
					l->name, "sni", names_of(tls), "not_after",
					expiry_text(not_after_s), "days_left",
					(json_int_t)((not_after_s - now_s) / 86400), "state",
					not_after_s < now_s ? "expired" : "valid"));
		}
		add_authorities(list, l, tls, now_s);
	}
}

bool admin_cmd_certs(struct gateway *gw, const struct admin_words *words, struct admin_answer *a)
{
	json_t *list = admin_list(a, "certificates");
	const struct snapshot *s = router_current(gw->router);

	(void)words;
	for (unsigned i = 0; i < s->config->n_listeners; i++) {
		if (s->config->listeners[i].tls)
			add_certificates(list, &s->config->listeners[i], (int64_t)time(NULL));
	}
	return true;
}
