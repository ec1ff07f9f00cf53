#include "tests/test_support.h"

#include <rte_eal.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <stdlib.h>

void test_eal_init(void)
{
	static bool done;
	char program[] = "test", no_huge[] = "--no-huge", memory[] = "-m", megabytes[] = "256";
	char no_files[] = "--no-shconf", no_pci[] = "--no-pci", no_telemetry[] = "--no-telemetry";
	char level[] = "--log-level=error", lcores[] = "--lcores=0";
	char *argv[] = {
		program, no_huge, memory, megabytes, no_files, no_pci, no_telemetry, level, lcores};

	if (done)
		return;
	done = true;
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])), argv) < 0) {
		fprintf(stderr, "tests: EAL does not start\n");
		exit(1);
	}
}
