// TCP headers as they stand on the wire: what a received one says, and how options are written.
#pragma once

#include "dataplane/base/bytes.h"

#include <rte_tcp.h>
#include <stdbool.h>
#include <stdint.h>

#define TCP_HEADER_LEN     20u // without options
#define TCP_MAX_SACK       4u
#define TCP_MAX_OPTIONS    40u
#define TCP_TIMESTAMP_LEN  12u // with its padding
#define TCP_MAX_SCALE      14u // RFC 7323, 2.3
#define TCP_DEFAULT_MSS_V4 536u
#define TCP_DEFAULT_MSS_V6 1220u

// Kinds of options.
enum tcp_opt {
	TCP_OPT_END = 0,
	TCP_OPT_NOP = 1,
	TCP_OPT_MSS = 2,
	TCP_OPT_SCALE = 3,
	TCP_OPT_SACK_OK = 4,
	TCP_OPT_SACK = 5,
	TCP_OPT_TIMESTAMP = 8,
};

struct tcp_range {
	uint32_t left;
	uint32_t right; // the number after the last byte
};

struct tcp_options {
	uint16_t mss; // 0: not there
	uint8_t scale;
	bool has_scale;
	bool has_sack_ok;
	bool has_timestamp;
	uint8_t n_sack;
	uint32_t ts_value;
	uint32_t ts_echo;
	struct tcp_range sack[TCP_MAX_SACK];
};

// What arrived, in host order. 'len' is the payload's.
struct tcp_segment {
	uint32_t seq;
	uint32_t ack;
	uint32_t window; // not scaled
	uint32_t len;
	uint8_t flags; // RTE_TCP_*_FLAG
	struct tcp_options opt;
};

// Reads any bytes: what follows a malformed option is ignored, of an option that comes twice the first
// counts. Flags that only a SYN may carry are read always; the caller looks at them when it has one.
void tcp_options_parse(struct bytes b, struct tcp_options *opt);

static inline uint8_t *tcp_put_u8(uint8_t *p, uint8_t v)
{
	*p = v;
	return p + 1;
}

static inline uint8_t *tcp_put_be16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *tcp_put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *tcp_put_timestamp(uint8_t *p, uint32_t value, uint32_t echo)
{
	p = tcp_put_be32(p, TCP_OPT_NOP << 24 | TCP_OPT_NOP << 16 | TCP_OPT_TIMESTAMP << 8 | 10);
	p = tcp_put_be32(p, value);
	return tcp_put_be32(p, echo);
}
