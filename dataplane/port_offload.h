// Which of a device's offers a port uses: checksums, cutting (TSO). Nothing depends on any of them.
//
// Pure; the mgmt thread.
#pragma once

#include "dataplane/net/net.h"

#include <rte_ethdev.h>
#include <stddef.h>

// What a driver cannot do although it says so.
enum port_offload_limit {
	PORT_TSO_IP4_ONLY = 1 << 0,
	PORT_TSO_WITHIN_MTU = 1 << 1, // what is cut off has to fit the MTU with its Ethernet header
};

#define PORT_OFFLOADS_TEXT_SIZE 64

struct port_offloads {
	uint64_t rx_flags; // for rte_eth_conf
	uint64_t tx_flags;
	bool rx_csum; // of TCP and IPv4: the flags of mbufs say what the device found
	bool gso;     // the kernel cuts, see gso_socket.h
	struct net_offloads net;
};

// 'limits' are of enum port_offload_limit; 'rx_csum' tells whether the driver's receive flags can be believed.
void port_offload_choose(struct port_offloads *out, const struct rte_eth_dev_info *info,
	uint16_t mtu, unsigned limits, bool rx_csum);

// The kernel below cuts what the device does not.
void port_offload_use_gso(struct port_offloads *o);

// Such as "rx-checksum tx-checksum tso"; "none".
void port_offload_print(const struct port_offloads *o, char text[PORT_OFFLOADS_TEXT_SIZE]);
