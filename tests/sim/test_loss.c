// Each way a connection can go, with each single frame lost, and with each pair: it always ends well.

#include "tests/sim/peer.h"
#include "tests/test_support.h"

#include <string.h>

#define HOUR_US        (3600ull * 1000000)
#define MAX_PAIRS_LOST 40 // frames that are lost two at a time

struct scenario {
	const char *name;
	struct peer ends[2]; // the habits only
	uint32_t receive_buffer;
};

static const struct scenario scenarios[] = {
	{"both end at once",                       {{.to_send = 0}, {.to_send = 0}},                                   0   },
	{"request, answer, the server ends first",
         {{.to_send = 100, .waits_for_end = true}, {.to_send = 3000}},                                                 0   },
	{"request, answer, the client ends first",
         {{.to_send = 100}, {.to_send = 3000, .waits_for_end = true}},                                                 0   },
	{"half-closed upload",                     {{.to_send = 20000}, {.to_send = 10, .waits_for_end = true}},       0   },
	{"half-closed download",                   {{.to_send = 0}, {.to_send = 20000, .waits_for_end = true}},        0   },
	{"the client gives the stream back",
         {{.to_send = 5000, .closes_early = true}, {.to_send = 0, .waits_for_end = true}},
         0														 },
	{"the server gives the stream back",
         {{.to_send = 0, .waits_for_end = true}, {.to_send = 5000, .closes_early = true}},
         0														 },
	{"both give the stream back",
         {{.to_send = 0, .closes_early = true}, {.to_send = 0, .closes_early = true}},                                 0   },
	{"closed windows both ways",
         {{.to_send = 9000, .max_read = 700}, {.to_send = 9000, .max_read = 900}},                                     2000},
	{"one byte at a time",                     {{.to_send = 12, .max_write = 1}, {.to_send = 12, .max_write = 1}},
         0														 },
};

// Returns how many frames it took.
static unsigned run(const struct scenario *s, int first, int second, bool held)
{
	struct link_config config = {.seed = 1,
		.delay_us = 5000,
		.hold_us = held ? 300000 : 0,
		.drop_nth = first,
		.drop_nth_2 = second};
	struct tcp_settings settings = tcp_default_settings;
	struct transfer t = {.n_pairs = 1};
	struct world *w;
	unsigned n;

	settings.time_wait_us = 5000000;
	if (s->receive_buffer != 0)
		settings.receive_buffer_max = s->receive_buffer;
	config.tcp = &settings;
	w = world_new(&config);
	memcpy(t.pairs[0].ends, s->ends, sizeof(s->ends));
	transfer_start(&t, w);
	if (!transfer_run(&t, HOUR_US)) {
		transfer_print(&t);
		fail_msg("\"%s\" without frames %d and %d", s->name, first, second);
	}
	n = world_n_frames(w);
	world_free(&w);
	return n;
}

static void every_single_loss_is_survived(void)
{
	for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		int n = (int)run(&scenarios[i], -1, -1, false);

		assert_in_range(n, 5, 200);
		for (int k = 0; k < n; k++) {
			run(&scenarios[i], k, -1, false);
			run(&scenarios[i], k, -1, true);
		}
	}
}

static void every_double_loss_is_survived(void)
{
	for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		int n = (int)run(&scenarios[i], -1, -1, false);

		for (int k = 0; k < n && k < MAX_PAIRS_LOST; k++) {
			for (int j = k + 1; j < n + 5 && j < MAX_PAIRS_LOST; j++)
				run(&scenarios[i], k, j, false);
		}
	}
}

TESTS(TEST(every_single_loss_is_survived), TEST(every_double_loss_is_survived))
