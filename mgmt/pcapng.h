// Writes the capture file format pcapng (draft-ietf-opsawg-pcapng): blocks of Ethernet frames with nanoseconds, the name of the
// port, and the direction. In the machine's byte order, which readers recognise.
#pragma once

#include "dataplane/capture.h"

#include <stdio.h>

void pcapng_write_begin(FILE *to, const char *program);

// Ports are numbered in the order they are written.
void pcapng_write_port(FILE *to, const char *name, uint32_t snaplen);

// 'port' is the number in the file, which need not be the record's.
void pcapng_write_frame(FILE *to, const struct capture_record *r, uint32_t port);
