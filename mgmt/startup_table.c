#include "mgmt/startup_table.h"

#include "mgmt/gateway_state.h"

#define MIB(bytes) ((unsigned long long)((bytes) >> 20))

static void print_ports(FILE *to, const struct gateway *gw, const struct appliance *a)
{
	struct port_status p;

	for (unsigned i = 0; dataplane_port_status(gw->dataplane, i, &p); i++) {
		fprintf(to,
			"  port       %s: %s, %02x:%02x:%02x:%02x:%02x:%02x, mtu %u, queues %u, "
			"checksums %s, offloads %s, steering %s, link %s\n",
			p.name, p.driver, p.mac[0], p.mac[1], p.mac[2], p.mac[3], p.mac[4],
			p.mac[5], p.mtu, p.n_queues, p.checksum, p.offloads, p.steering,
			p.link_up ? "up" : "down");
		for (unsigned j = 0; i < a->n_ports && j < a->ports[i].n_addresses; j++) {
			char text[IP_ENDPOINT_TEXT_SIZE];

			ip_addr_print(&a->ports[i].addresses[j], text);
			fprintf(to, "             %s/%u\n", text, a->ports[i].prefix_len[j]);
		}
	}
}

static void print_listeners(FILE *to, const struct router_config *c)
{
	for (unsigned i = 0; i < c->n_listeners; i++)
		fprintf(to, "  listener   %s: %s, %u filter chains\n", c->listeners[i].name,
			c->listeners[i].tls ? "https" : "http", c->listeners[i].n_chains);
	fprintf(to, "  clusters   %u\n", c->n_clusters);
}

static void print_endpoint(FILE *to, const char *what, const struct ip_endpoint *e)
{
	char text[IP_ENDPOINT_TEXT_SIZE];

	if (e->port == 0)
		return;
	ip_endpoint_print(e, text);
	fprintf(to, "  %-10s http://%s\n", what, text);
}

void startup_table_print(FILE *to, const struct gateway *gw)
{
	const struct appliance *a = reload_appliance(&gw->reload);
	const struct sizing *s = &gw->sizing;
	struct router_room room = gateway_room(gw);
	struct memory_status m;

	dataplane_memory_status(gw->dataplane, &m);
	fprintf(to, "pollgate %s\n", POLLGATE_VERSION);
	fprintf(to, "  config     version %s\n", gw->reload.version);
	fprintf(to, "  workers    %u on cores %s, %s\n", gw->n_workers,
		a->cores != NULL ? a->cores : "chosen", a->idle_adaptive ? "adaptive" : "polling");
	fprintf(to,
		"  memory     %llu MiB: process %llu, packets and TCP %llu, HTTP and TLS %llu; %s\n",
		MIB(s->limit), MIB(s->process), MIB(s->dataplane), MIB(s->router),
		m.hugepages ? "hugepages" : "no hugepages");
	fprintf(to,
		"  room       %u connections of clients, %u over TLS or %u with HTTP/2, "
		"%u requests at once%s\n",
		room.connections, room.tls_connections, room.tls_http2_connections, room.requests,
		gw->n_workers > 1 ? ", each worker" : "");
	print_ports(to, gw, a);
	print_listeners(to, router_current(gw->router)->config);
	if (a->socket_path != NULL)
		fprintf(to, "  control    %s\n", a->socket_path);
	print_endpoint(to, "metrics", &a->metrics);
	print_endpoint(to, "health", &a->health);
}
