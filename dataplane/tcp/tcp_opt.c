#include "dataplane/tcp/tcp_wire.h"

// NOP NOP TIMESTAMP 10: nearly every segment has just that (RFC 7323, appendix A).
#define TIMESTAMP_WORD 0x0101080au
#define TIMESTAMP_LEN  12u

static void read_sack(struct cursor *c, struct tcp_options *opt)
{
	while (opt->n_sack < TCP_MAX_SACK && cursor_left(c) >= 8) {
		struct tcp_range *r = &opt->sack[opt->n_sack++];

		r->left = cursor_be32(c);
		r->right = cursor_be32(c);
	}
}

// 'value' is what stands behind kind and length.
static void read_option(uint8_t kind, struct bytes value, struct tcp_options *opt)
{
	struct cursor c = cursor_of(value);

	switch (kind) {
	case TCP_OPT_MSS:
		if (value.len == 2 && opt->mss == 0)
			opt->mss = cursor_be16(&c);
		break;
	case TCP_OPT_SCALE:
		if (value.len == 1 && !opt->has_scale) {
			opt->scale = cursor_u8(&c);
			if (opt->scale > TCP_MAX_SCALE)
				opt->scale = TCP_MAX_SCALE;
			opt->has_scale = true;
		}
		break;
	case TCP_OPT_SACK_OK:
		if (value.len == 0)
			opt->has_sack_ok = true;
		break;
	case TCP_OPT_SACK:
		if (value.len > 0 && value.len % 8 == 0 && opt->n_sack == 0)
			read_sack(&c, opt);
		break;
	case TCP_OPT_TIMESTAMP:
		if (value.len == 8 && !opt->has_timestamp) {
			opt->ts_value = cursor_be32(&c);
			opt->ts_echo = cursor_be32(&c);
			opt->has_timestamp = true;
		}
		break;
	default: break; // RFC 9293, MUST-6: ignored
	}
}

void tcp_options_parse(struct bytes b, struct tcp_options *opt)
{
	struct cursor c = cursor_of(b);

	*opt = (struct tcp_options){0};
	if (b.len == TIMESTAMP_LEN && cursor_be32(&c) == TIMESTAMP_WORD) {
		opt->ts_value = cursor_be32(&c);
		opt->ts_echo = cursor_be32(&c);
		opt->has_timestamp = true;
		return;
	}
	c = cursor_of(b);
	while (cursor_left(&c) > 0) {
		uint8_t kind = cursor_u8(&c), len;
		struct bytes value;

		if (kind == TCP_OPT_END)
			return;
		if (kind == TCP_OPT_NOP)
			continue;
		len = cursor_u8(&c);
		if (len < 2)
			return;
		value = cursor_take(&c, len - 2u);
		if (!cursor_ok(&c))
			return;
		read_option(kind, value, opt);
	}
}
