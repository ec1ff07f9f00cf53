// PROXY headers. What has to be true:
//  - a header is never longer than what it was read from, nor than the limit;
//  - reading in portions says MORE until the byte that decides, and then what reading at once says.

#include "router/proxy_protocol.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header whole, part;
	enum proxy_result result, early = PROXY_MORE;
	size_t n = 0;

	if (size > 2 * PROXY_HEADER_MAX)
		return 0;
	result = proxy_protocol_read(bytes_of(data, size), &whole);
	if (result == PROXY_DONE
		&& (whole.len > size || whole.len > PROXY_HEADER_MAX || whole.len == 0))
		abort();
	if (result == PROXY_REFUSED && whole.error >= PROXY_N_ERRORS)
		abort();
	while (n < size && early == PROXY_MORE)
		early = proxy_protocol_read(bytes_of(data, ++n), &part);
	if (size > 0 && early != result)
		abort();
	if (result == PROXY_DONE && (n != whole.len || part.len != whole.len))
		abort();
	return 0;
}
