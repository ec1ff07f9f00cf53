// How the memory of the Appliance is divided, and what the dataplane is started with.
#include "mgmt/sizing.h"

#include "tests/test_support.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

static void the_parts_come_to_the_limit(void)
{
	static const struct {
		uint64_t limit;
		unsigned n_workers;
	} cases[] = {
		{200 * MIB,   1 },
                {256 * MIB,   2 },
                {1024 * MIB,  4 },
                {16384 * MIB, 32}
        };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char error[SIZING_ERROR_SIZE] = "";
		struct sizing s;

		assert_true(sizing_divide(&s, cases[i].limit, cases[i].n_workers, error));
		assert_string_equal(error, "");
		assert_int_equal(s.limit, cases[i].limit);
		assert_int_equal(s.process + s.dataplane + s.router
				+ cases[i].n_workers * (uint64_t)(s.log_ring + s.capture),
			s.limit);
		assert_true(s.dataplane > 0 && s.router > 0);
	}
}

static void the_pod_of_200_mib_leaves_room_for_packets_and_requests(void)
{
	char error[SIZING_ERROR_SIZE];
	struct sizing s;

	assert_true(sizing_divide(&s, 200 * MIB, 1, error));
	assert_true(s.process >= 48 * MIB);
	assert_true(s.dataplane >= 48 * MIB);
	assert_true(s.router >= 48 * MIB);
	assert_true(s.log_ring >= MIB);
}

static void too_little_is_refused_with_the_number_that_is_needed(void)
{
	char error[SIZING_ERROR_SIZE];
	struct sizing s;

	assert_false(sizing_divide(&s, 128 * MIB, 2, error));
	assert_string_equal(error, "memory.limit is 128 MiB; 2 workers need at least 144 MiB");
	assert_true(sizing_divide(&s, 144 * MIB, 2, error));
}

static void ports_are_handed_over_by_driver(void)
{
	static const struct {
		struct appliance_port port;
		enum port_kind kind;
		const char *device;
		int checksum;
	} cases[] = {
		{{.driver = PORT_AF_XDP, .interface = "ga"},                                     PORT_KIND_AF_XDP,  "ga",           -1                 },
		{{.driver = PORT_TAP, .interface = "ta", .checksum = "trust"},                   PORT_KIND_TAP,     "ta",
                 CSUM_TRUST															    },
		{{.driver = PORT_PCI, .pci_address = "0000:01:00.0", .checksum = "verify"},
                 PORT_KIND_PCI,										     "0000:01:00.0", CSUM_VERIFY        },
		{{.driver = PORT_MEMIF, .memif_socket = "/run/m", .checksum = "accept-partial"},
                 PORT_KIND_MEMIF,										   "/run/m",       CSUM_ACCEPT_PARTIAL},
		{{.driver = PORT_DEVARGS, .devargs = "net_null0"},                               PORT_KIND_DEVARGS, "net_null0",
                 -1																    },
	};
	const struct sizing s = {.dataplane = 64 * MIB};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct appliance a = {
			.n_ports = 1, .hugepages = HUGEPAGES_OFF, .idle_adaptive = true};
		struct dataplane_config c;

		a.ports[0] = cases[i].port;
		a.ports[0].name = "external";
		a.ports[0].offloads = i % 2 == 0;
		a.ports[0].n_addresses = 1;
		a.ports[0].addresses[0] = ip_addr_of_v4(0x0100000a);
		a.ports[0].prefix_len[0] = 24;
		sizing_dataplane_config(&c, &a, &s);
		assert_int_equal(c.n_ports, 1);
		assert_int_equal(c.ports[0].kind, cases[i].kind);
		assert_string_equal(c.ports[0].device, cases[i].device);
		assert_int_equal(c.ports[0].checksum, cases[i].checksum);
		assert_int_equal(c.ports[0].offloads, i % 2 == 0);
		assert_int_equal(c.ports[0].prefix_len[0], 24);
		assert_true(ip_addr_equal(&c.ports[0].addresses[0], &a.ports[0].addresses[0]));
		assert_int_equal(c.memory_bytes, 64 * MIB);
		assert_int_equal(c.hugepages, DATAPLANE_HUGEPAGES_OFF);
		assert_true(c.adaptive);
	}
}

TESTS(TEST(the_parts_come_to_the_limit),
	TEST(the_pod_of_200_mib_leaves_room_for_packets_and_requests),
	TEST(too_little_is_refused_with_the_number_that_is_needed),
	TEST(ports_are_handed_over_by_driver))
