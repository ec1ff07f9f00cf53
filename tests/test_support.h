// What every C test uses: cmocka in one line, and an EAL without hugepages, PCI or files.
//
//     static void rto_backs_off(void) { ... }
//     TESTS(TEST(rto_backs_off))
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEST(name)                                                          \
	{                                                                   \
#name, test_run_void, NULL, NULL, (void *)(uintptr_t)(name) \
	}

// cmocka hands a test its initial state; ours take none, so the state is the function itself.
static inline void test_run_void(void **state)
{
	((void (*)(void))(uintptr_t)*state)();
}

#define TESTS(...)                                                \
	int main(void)                                            \
	{                                                         \
		const struct CMUnitTest tests[] = {__VA_ARGS__};  \
		return cmocka_run_group_tests(tests, NULL, NULL); \
	}

// Starts the EAL once; for tests that need mbufs. Exits the program if that fails.
void test_eal_init(void);
