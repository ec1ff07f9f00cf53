// What is asked of the kernel, with this kernel's answers. What changes on a real interface is tests/e2e/test_22_pod.py.

#include "dataplane/kernel_net.c"
#include "tests/test_support.h"

#define NOBODY 0x7ffffff0u // an index that no interface has

static unsigned n_set;
static struct net_paths last;

static void note_paths(void *arg, const struct net_paths *paths)
{
	(void)arg;
	n_set++;
	last = *paths;
}

static void note_neighbours(void *arg, const struct kernel_neighbour *list, unsigned n)
{
	(void)arg, (void)list, (void)n;
}

static void an_interface_that_is_gone_has_no_paths(void)
{
	const struct kernel_net_ops ops = {note_paths, note_neighbours, NULL};
	char error[256];
	struct kernel_net *k;

	test_eal_init();
	k = kernel_net_new("gone", NOBODY, error, sizeof(error));
	assert_non_null(k);
	k->paths.n_addresses = 1; // it was there
	kernel_net_run(k, &ops, KERNEL_NET_PAUSE_US);
	assert_int_equal(n_set, 1);
	assert_int_equal(last.n_addresses, 0);
	assert_false(k->paths_changed); // nor is it asked for again
	kernel_net_free(&k);
}

TESTS(TEST(an_interface_that_is_gone_has_no_paths))
