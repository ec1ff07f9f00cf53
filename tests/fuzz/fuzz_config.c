// The loader on any bytes: no crash, no leak, and a configuration that is accepted has no error.
//
// Certificates are looked for in the working folder only; nothing is written.

#include "mgmt/config.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/dev/shm/fuzz-config-XXXXXX";
	const char *paths[] = {path};
	struct diag *d = diag_new();
	struct config *c;
	int fd = mkstemp(path);
	ssize_t written;

	assert(fd >= 0);
	written = write(fd, data, size);
	assert(written == (ssize_t)size);
	close(fd);
	if (config_load(&c, paths, 1, d) == 0) {
		assert(diag_n_errors(d) == 0);
		assert(c->router != NULL && c->appliance != NULL);
	} else {
		assert(diag_n_errors(d) > 0);
		assert(c == NULL);
	}
	for (size_t i = 0; i < diag_n_messages(d); i++)
		assert(diag_message(d, i)->text[0] != '\0');
	config_free(&c);
	diag_free(&d);
	unlink(path);
	return 0;
}
