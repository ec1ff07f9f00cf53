// Bytes of an endpoint on one connection. The first byte says what it was asked: H for HEAD, C for
// CONNECT, else GET.

#include "tests/fuzz/fuzz_h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes method;

	if (size == 0)
		return 0;
	method = data[0] == 'H' ? BYTES("HEAD") : data[0] == 'C' ? BYTES("CONNECT") : BYTES("GET");
	fuzz_h1(H1_RESPONSE, method, bytes_of(data + 1, size - 1));
	return 0;
}
