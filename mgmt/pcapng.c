#include "mgmt/pcapng.h"

#include <string.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
};

enum {
	OPTION_END = 0,
	OPTION_PROGRAM = 4,    // of a section
	OPTION_NAME = 2,       // of an interface
	OPTION_RESOLUTION = 9, // of an interface, a power of ten
	OPTION_FLAGS = 2,      // of a packet
};

#define BYTE_ORDER_MAGIC   0x1a2b3c4du
#define LINK_TYPE_ETHERNET 1u
#define NANOSECONDS        9u
#define OPTION_HEADER      4u
#define BLOCK_OVERHEAD     12u // type, and the length in front and behind

static uint32_t padded(size_t len)
{
	return (uint32_t)((len + 3) / 4 * 4);
}

static void put(FILE *to, const void *bytes, size_t len)
{
	static const char zeros[4];

	fwrite(bytes, 1, len, to);
	fwrite(zeros, 1, padded(len) - len, to);
}

static void put32(FILE *to, uint32_t value)
{
	fwrite(&value, sizeof(value), 1, to);
}

static void put_option(FILE *to, uint16_t code, const void *value, size_t len)
{
	const uint16_t header[2] = {code, (uint16_t)len};

	fwrite(header, sizeof(header), 1, to);
	put(to, value, len);
}

void pcapng_write_begin(FILE *to, const char *program)
{
	uint32_t size =
		BLOCK_OVERHEAD + 16 + OPTION_HEADER + padded(strlen(program)) + OPTION_HEADER;
	const uint16_t version[2] = {1, 0};
	const uint64_t unknown = UINT64_MAX; // how long the section is

	put32(to, BLOCK_SECTION);
	put32(to, size);
	put32(to, BYTE_ORDER_MAGIC);
	put(to, version, sizeof(version));
	put(to, &unknown, sizeof(unknown));
	put_option(to, OPTION_PROGRAM, program, strlen(program));
	put_option(to, OPTION_END, "", 0);
	put32(to, size);
}

void pcapng_write_port(FILE *to, const char *name, uint32_t snaplen)
{
	uint32_t size = BLOCK_OVERHEAD + 8 + OPTION_HEADER + padded(strlen(name)) + OPTION_HEADER
		+ 4 + OPTION_HEADER;
	const uint16_t link_type[2] = {LINK_TYPE_ETHERNET, 0};
	const uint8_t resolution = NANOSECONDS;

	put32(to, BLOCK_INTERFACE);
	put32(to, size);
	put(to, link_type, sizeof(link_type));
	put32(to, snaplen);
	put_option(to, OPTION_NAME, name, strlen(name));
	put_option(to, OPTION_RESOLUTION, &resolution, sizeof(resolution));
	put_option(to, OPTION_END, "", 0);
	put32(to, size);
}

void pcapng_write_frame(FILE *to, const struct capture_record *r, uint32_t port)
{
	uint32_t size = BLOCK_OVERHEAD + 20 + padded(r->len) + OPTION_HEADER + 4 + OPTION_HEADER;
	const uint32_t flags = r->direction == CAPTURE_IN ? 1 : 2;

	put32(to, BLOCK_PACKET);
	put32(to, size);
	put32(to, port);
	put32(to, (uint32_t)(r->wall_ns >> 32));
	put32(to, (uint32_t)r->wall_ns);
	put32(to, r->len);
	put32(to, r->frame_len);
	put(to, r->data, r->len);
	put_option(to, OPTION_FLAGS, &flags, sizeof(flags));
	put_option(to, OPTION_END, "", 0);
	put32(to, size);
}
