// What a worker keeps for 'pollgatectl capture', and the file that becomes of it, as libpcap reads it.
#include "dataplane/capture.h"
#include "dataplane/mbuf.h"
#include "mgmt/ctl_capture.h"
#include "mgmt/pcapng.h"
#include "tests/test_support.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_BYTES (256u * 1024)

static struct rte_mempool *pool;
static struct dataplane_stats stats;
static struct capture_ring ring;

static void rig_init(void)
{
	char error[256];

	test_eal_init();
	if (pool == NULL)
		pool = mbuf_pool_new(1023, MBUF_PACKED, error, sizeof(error));
	assert_non_null(pool);
	stats = (struct dataplane_stats){0};
	assert_int_equal(capture_ring_init(&ring, RING_BYTES), 0);
}

static void rig_fini(void)
{
	capture_ring_fini(&ring);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

// A frame with a TCP segment to 'port'; the rest of its 'len' bytes is filled with 'fill'.
static struct rte_mbuf *frame(uint16_t port, uint16_t len, uint8_t fill)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *f;

	if (m == NULL)
		abort();
	m->data_len = len;
	m->pkt_len = len;
	f = rte_pktmbuf_mtod(m, uint8_t *);
	memset(f, fill, len);
	memset(f, 0, 54);
	f[12] = 0x08;
	f[14] = 0x45;
	f[23] = 6;
	f[36] = (uint8_t)(port >> 8);
	f[37] = (uint8_t)port;
	return m;
}

static void keep(const struct capture_filter *f, struct rte_mbuf *m, unsigned port, uint64_t ns)
{
	capture_write(&ring, f, &m, 1, port, CAPTURE_IN, ns, &stats);
	rte_pktmbuf_free(m);
}

static unsigned count_records(void)
{
	const struct capture_record *r;
	unsigned n = 0;

	for (; (r = capture_peek(&ring)) != NULL; n++)
		capture_consume(&ring, r);
	return n;
}

static void only_what_the_filter_takes_is_kept(void)
{
	pcap_t *ethernet = pcap_open_dead(DLT_EN10MB, 65535);
	struct bpf_program program;
	const struct capture_record *r;

	rig_init();
	assert_int_equal(pcap_compile(ethernet, &program, "tcp dst port 8443", 1, 0), 0);
	struct capture_filter f = {.program = program.bf_insns, .snaplen = 65535, .ports = 1};

	keep(&f, frame(8443, 60, 0), 0, 7);
	keep(&f, frame(8080, 60, 0), 0, 8);
	r = capture_peek(&ring);
	assert_int_equal(r->wall_ns, 7);
	assert_int_equal(r->len, 60);
	assert_int_equal(r->frame_len, 60);
	assert_int_equal(r->data[37], 8443 & 0xff);
	assert_int_equal(count_records(), 1);
	assert_int_equal(stats.capture_frames, 1);
	assert_int_equal(stats.capture_drop_full, 0);
	pcap_freecode(&program);
	pcap_close(ethernet);
	rig_fini();
}

static void other_ports_are_not_looked_at(void)
{
	const struct capture_filter f = {.snaplen = 65535, .ports = 1u << 1};

	rig_init();
	keep(&f, frame(80, 60, 0), 0, 1);
	keep(&f, frame(80, 60, 0), 1, 2);
	assert_int_equal(capture_peek(&ring)->port, 1);
	assert_int_equal(count_records(), 1);
	rig_fini();
}

static void long_frames_are_cut_and_say_how_long_they_were(void)
{
	const struct capture_filter f = {.snaplen = 100, .ports = 1};
	const struct capture_record *r;

	rig_init();
	keep(&f, frame(80, 1000, 'x'), 0, 1);
	keep(&f, frame(80, 90, 'x'), 0, 1);
	r = capture_peek(&ring);
	assert_int_equal(r->len, 100);
	assert_int_equal(r->frame_len, 1000);
	assert_int_equal(r->data[99], 'x');
	capture_consume(&ring, r);
	assert_int_equal(capture_peek(&ring)->len, 90);
	rig_fini();
}

static void a_frame_in_pieces_is_put_together(void)
{
	const struct capture_filter f = {.snaplen = 65535, .ports = 1};
	struct rte_mbuf *m, *rest;
	const struct capture_record *r;

	rig_init();
	m = frame(80, 60, 'a');
	rest = rte_pktmbuf_alloc(pool);
	memset(rte_pktmbuf_append(rest, 500), 'b', 500);
	assert_int_equal(rte_pktmbuf_chain(m, rest), 0);
	keep(&f, m, 0, 1);
	r = capture_peek(&ring);
	assert_int_equal(r->len, 560);
	assert_int_equal(r->data[59], 'a');
	assert_int_equal(r->data[60], 'b');
	assert_int_equal(r->data[559], 'b');
	rig_fini();
}

// Frames of many sizes go round the ring often; those that come back are whole and in order.
static void what_finds_no_room_is_counted_and_what_was_kept_stays_whole(void)
{
	const struct capture_filter f = {.snaplen = 65535, .ports = 1};
	uint64_t next = 0, n_read = 0;

	rig_init();
	for (unsigned round = 0; round < 50; round++) {
		const struct capture_record *r;
		uint64_t last = 0;

		for (unsigned i = 0; i < 500; i++, next++)
			keep(&f, frame(80, (uint16_t)(54 + next * 7919 % 1400), (uint8_t)next), 0,
				next + 1);
		for (; (r = capture_peek(&ring)) != NULL; n_read++) {
			uint64_t i = r->wall_ns - 1;

			assert_true(r->wall_ns > last);
			last = r->wall_ns;
			assert_int_equal(r->len, 54 + i * 7919 % 1400);
			for (unsigned at = 54; at < r->len; at++)
				assert_int_equal(r->data[at], (uint8_t)i);
			capture_consume(&ring, r);
		}
	}
	assert_true(stats.capture_drop_full > 0);
	assert_int_equal(n_read, stats.capture_frames);
	assert_int_equal(stats.capture_frames + stats.capture_drop_full, next);
	rig_fini();
}

static void a_ring_takes_the_largest_frame_twice_or_is_none(void)
{
	struct capture_ring r;

	assert_int_equal(capture_ring_init(&r, 64 * 1024), -EINVAL);
	assert_int_equal(capture_ring_init(&r, 300000), 0);
	assert_int_equal(r.size, 262144);
	capture_ring_fini(&r);
}

// --- the file

static void libpcap_reads_the_file(void)
{
	const struct capture_filter f = {.snaplen = 80, .ports = 2};
	const uint64_t ns = UINT64_C(1700000000123456789);
	struct pcap_pkthdr *header;
	const struct capture_record *r;
	char error[PCAP_ERRBUF_SIZE];
	FILE *file = tmpfile();
	const uint8_t *data;
	pcap_t *p;

	rig_init();
	keep(&f, frame(80, 101, 'z'), 1, ns);
	keep(&f, frame(80, 63, 'y'), 1, ns + 1);
	pcapng_write_begin(file, "test");
	pcapng_write_port(file, "external", 80);
	while ((r = capture_peek(&ring)) != NULL) {
		pcapng_write_frame(file, r, 0);
		capture_consume(&ring, r);
	}
	rewind(file);
	p = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
	assert_non_null(p);
	assert_int_equal(pcap_datalink(p), DLT_EN10MB);
	assert_int_equal(pcap_snapshot(p), 80);
	assert_int_equal(pcap_next_ex(p, &header, &data), 1);
	assert_int_equal(header->ts.tv_sec, 1700000000);
	assert_int_equal(header->ts.tv_usec, 123456789);
	assert_int_equal(header->caplen, 80);
	assert_int_equal(header->len, 101);
	assert_int_equal(data[79], 'z');
	assert_int_equal(pcap_next_ex(p, &header, &data), 1);
	assert_int_equal(header->len, 63);
	assert_int_equal(pcap_next_ex(p, &header, &data), PCAP_ERROR_BREAK);
	pcap_close(p);
	rig_fini();
}

// --- what pollgatectl makes of its arguments

static bool parse(struct ctl_capture *c, const char *text, char *error)
{
	static char line[2048];
	struct admin_words words;

	snprintf(line, sizeof(line), "%s", text);
	assert_null(admin_split(line, &words));
	return ctl_capture_parse(c, &words, error);
}

static void arguments_and_expression_become_a_command(void)
{
	char error[CTL_CAPTURE_ERROR_SIZE] = "";
	struct ctl_capture c;

	assert_true(parse(&c,
		"capture -w x.pcap --count 5 --snaplen 96 --port external host 10.0.0.1 and tcp",
		error));
	assert_string_equal(c.file, "x.pcap");
	assert_int_equal(c.n_words, 5);
	assert_string_equal(c.words[0], "frames");
	assert_string_equal(c.words[1], "count=5");
	assert_string_equal(c.words[2], "snaplen=96");
	assert_string_equal(c.words[3], "port=external");
	assert_memory_equal(c.words[4], "program=", 8);
	assert_int_equal((strlen(c.words[4]) - 8) % (2 * sizeof(struct bpf_insn)), 0);
	ctl_capture_free(&c);

	assert_true(parse(&c, "capture", error));
	assert_null(c.file);
	assert_int_equal(c.n_words, 1);
	ctl_capture_free(&c);
}

static void wrong_arguments_are_named(void)
{
	static const struct {
		const char *line;
		const char *error;
	} cases[] = {
		{"capture tcp prot 80",							   "expression \"tcp prot 80\": "    },
		{"capture --cuont 5",							     "\"--cuont\": not understood here"},
		{"capture --count",							       "\"--count\": not understood here"},
		{"capture --count 1 --count 1 --count 1 --count 1 --count 1 --count 1 --count 1",
                 "\"--count\": not understood here"										 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char error[CTL_CAPTURE_ERROR_SIZE] = "";
		struct ctl_capture c;

		assert_false(parse(&c, cases[i].line, error));
		assert_memory_equal(error, cases[i].error, strlen(cases[i].error));
		ctl_capture_free(&c);
	}
}

static void an_expression_that_fits_no_line_is_refused(void)
{
	char error[CTL_CAPTURE_ERROR_SIZE] = "", line[2048] = "capture \"";
	struct ctl_capture c;

	for (unsigned i = 0; i < 60; i++)
		sprintf(line + strlen(line), "%s(host 10.0.%u.1 and port %u)", i > 0 ? " or " : "",
			i, 1000 + i);
	strcat(line, "\"");
	assert_false(parse(&c, line, error));
	assert_memory_equal(error, "the expression is too long: it comes to ", 40);
	ctl_capture_free(&c);
}

TESTS(TEST(only_what_the_filter_takes_is_kept), TEST(other_ports_are_not_looked_at),
	TEST(long_frames_are_cut_and_say_how_long_they_were),
	TEST(a_frame_in_pieces_is_put_together),
	TEST(what_finds_no_room_is_counted_and_what_was_kept_stays_whole),
	TEST(a_ring_takes_the_largest_frame_twice_or_is_none), TEST(libpcap_reads_the_file),
	TEST(arguments_and_expression_become_a_command), TEST(wrong_arguments_are_named),
	TEST(an_expression_that_fits_no_line_is_refused))
