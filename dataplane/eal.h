// Starting and stopping DPDK's environment. Once in a process: the EAL cannot start a second time.
//
// What DPDK prints while ports are opened is kept, because it is the only place where a driver says why
// it refused; later it goes to our log (module "dpdk").
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

struct eal_config {
	const cpu_set_t *allowed; // where the calling thread and everything it starts may run
	const unsigned *cores;    // one worker each, pinned; lcore i + 1 is cores[i]
	unsigned n_cores;
	bool hugepages;
	unsigned memory_mb;
	const char *const *pci; // addresses to probe; none: the PCI bus is left alone
	unsigned n_pci;
};

// Returns 0, or a negative errno and a sentence in 'error'.
int eal_start(const struct eal_config *config, char *error, size_t error_size);
void eal_stop(void);

// Free memory in hugepages, in bytes.
size_t eal_free_hugepages(void);

// What DPDK said since the last call, "; " between the lines, cut where it is too long; "nothing" if it said nothing.
// Until eal_run().
const char *eal_take_words(void);

// From now on DPDK's words are log lines.
void eal_run(void);
