// Bytes of a client on one connection.

#include "tests/fuzz/fuzz_h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_h1(H1_REQUEST, BYTES(""), bytes_of(data, size));
	return 0;
}
