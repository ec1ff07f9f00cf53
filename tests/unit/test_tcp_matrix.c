// What each state answers to each kind of segment at each place of the sequence space: RFC 9293, 3.10.7,
// with RFC 5961 (challenge ACKs) and RFC 1337 (RSTs in TIME_WAIT). Every combination is tried on a
// connection of its own; the table of rules says what has to come of it, the first that fits counts.
//
// At the start of a case there are ten bytes in flight (or a FIN, or a SYN, as the state has it), and the
// peer has sent nothing but its SYN, or its SYN and its FIN.

#include "tests/unit/tcp_rig.h"

enum place { // beside tcp_state: states that are no connection
	NOBODY = TCP_N_STATES,
	LISTEN,
	HANDSHAKE, // an entry of the SYN cache
	N_PLACES,
};

enum kind { SYN, SYN_ACK, ACK, DATA, FIN, RST, RST_ACK, NO_ACK, N_KINDS };

// Where a segment begins. DATA is ten bytes: from LEFT on it reaches five beyond rcv_nxt.
enum seq_at { OLD, LEFT, EXACT, INSIDE, BEYOND, N_SEQS };

enum ack_at { FAR, UNA, NXT, FUTURE, N_ACKS };

enum answer {
	NOTHING,
	AN_ACK,
	LATER,     // a delayed ACK
	CHALLENGE, // an ACK of those that are rationed
	SYNACK,
	RESET,     // <SEQ=SEG.ACK><CTL=RST>
	RESET_ACK, // <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
};

#define S(x)     (1u << (x))
#define ANY      0xffffu
#define SAME     N_PLACES
#define OPEN     (S(TCP_ESTABLISHED) | S(TCP_FIN_WAIT_1) | S(TCP_FIN_WAIT_2))
#define ENDED    (S(TCP_CLOSE_WAIT) | S(TCP_CLOSING) | S(TCP_LAST_ACK)) // the peer's FIN is here
#define BEGUN    (S(TCP_SYN_RECEIVED) | S(HANDSHAKE))
#define SYNCED   (OPEN | ENDED)
#define RESETS   (S(RST) | S(RST_ACK))
#define WITH_ACK (S(SYN_ACK) | S(ACK) | S(DATA) | S(FIN) | S(RST_ACK))
#define OUTSIDE  (S(OLD) | S(BEYOND))
#define C(x)     offsetof(struct dataplane_stats, tcp_##x)
#define NONE     SIZE_MAX

struct rule {
	unsigned states, kinds, seqs, acks;
	enum answer answer;
	unsigned next;
	size_t counter; // that becomes 1
	uint32_t taken; // sequence numbers of the peer's that the answer acknowledges newly
};

static const struct rule rules[] = {
#define RULE(states, kinds, seqs, acks, answer, next, counter, taken) \
	{states, kinds, seqs, acks, answer, next, counter, taken},
#include "tests/unit/tcp_matrix.def"
};

struct start {
	const char *name;
	unsigned state;
	uint32_t una, nxt, rcv_nxt;
};

static const struct start starts[] = {
	{"no connection", NOBODY,           0, 1,  1},
	{"LISTEN",        LISTEN,           0, 1,  1},
	{"handshake",     HANDSHAKE,        0, 1,  1},
	{"SYN_SENT",      TCP_SYN_SENT,     0, 1,  1},
	{"SYN_RECEIVED",  TCP_SYN_RECEIVED, 0, 1,  1},
	{"ESTABLISHED",   TCP_ESTABLISHED,  1, 11, 1},
	{"FIN_WAIT_1",    TCP_FIN_WAIT_1,   1, 2,  1},
	{"FIN_WAIT_2",    TCP_FIN_WAIT_2,   2, 2,  1},
	{"CLOSE_WAIT",    TCP_CLOSE_WAIT,   1, 11, 2},
	{"CLOSING",       TCP_CLOSING,      1, 2,  2},
	{"LAST_ACK",      TCP_LAST_ACK,     1, 2,  2},
	{"TIME_WAIT",     TCP_TIME_WAIT,    2, 2,  2},
};

static const char *const kind_names[N_KINDS] = {
	"SYN", "SYN-ACK", "ACK", "data", "FIN", "RST", "RST-ACK", "data without ACK"};
static const char *const seq_names[N_SEQS] = {
	"before the window", "at its left edge", "at rcv_nxt", "in the window", "beyond it"};
static const char *const ack_names[N_ACKS] = {"far too old", "snd_una", "snd_nxt", "not sent yet"};

// --- the start of a case

static void go_to(struct rig *r, const struct start *s)
{
	switch (s->state) {
	case NOBODY:
		rig_init(r, &(struct rig_options){0});
		r->here.port = 81;
		return;
	case LISTEN: rig_init(r, &(struct rig_options){0}); return;
	case HANDSHAKE:
		rig_init(r, &(struct rig_options){0});
		rx(r, SEG(.flags = F_SYN, .seq = 0));
		tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
		return;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED:
		rig_init(r, &(struct rig_options){0});
		rig_connect(r);
		tx(r, SEG(.flags = F_SYN, .seq = 0));
		if (s->state == TCP_SYN_SENT)
			return;
		rx(r, SEG(.flags = F_SYN, .seq = 0));
		tx(r, SEG(.flags = F_SYN | F_ACK, .seq = 0, .ack = 1));
		return;
	default: rig_established(r, &(struct rig_options){0});
	}
	if (s->state == TCP_CLOSE_WAIT || s->state == TCP_LAST_ACK)
		rx(r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = 1));
	if (s->state == TCP_ESTABLISHED || s->state == TCP_CLOSE_WAIT)
		rig_write(r, 10);
	else
		stream_shutdown(r->stream);
	rig_run(r);
	if (s->state == TCP_FIN_WAIT_2 || s->state == TCP_TIME_WAIT)
		rx(r, SEG(.seq = 1, .ack = 2));
	if (s->state == TCP_CLOSING || s->state == TCP_TIME_WAIT)
		rx(r, SEG(.flags = F_FIN | F_ACK, .seq = 1, .ack = s->una));
	tx_skip(r);
}

// Where the pair of endpoints stands now. That the listener is there again says nothing.
static unsigned where(struct rig *r, unsigned before)
{
	struct tcp *t = r->net.tcp;
	const struct tcp_conn *c = tcp_lookup(t, &r->here, &r->peer);

	if (c != NULL)
		return c->state;
	if (tcp_time_wait_lookup(t, &r->here, &r->peer) != NULL)
		return TCP_TIME_WAIT;
	if (tcp_syn_lookup(t, &r->here, &r->peer) != NULL)
		return HANDSHAKE;
	return before == LISTEN || before == NOBODY ? before : TCP_CLOSED;
}

// --- the segment

static struct seg segment_of(
	const struct start *s, enum kind kind, enum seq_at seq, enum ack_at ack)
{
	static const int flags[N_KINDS] = {F_SYN, F_SYN | F_ACK, F_ACK, F_ACK | F_PSH,
		F_FIN | F_ACK, F_RST, F_RST | F_ACK, F_PSH};
	const int64_t round = 1ll << 32;
	const int64_t seqs[N_SEQS] = {round + s->rcv_nxt - 1000,
		round + s->rcv_nxt - (kind == DATA || kind == NO_ACK ? 5 : 1), s->rcv_nxt,
		s->rcv_nxt + 100, s->rcv_nxt + 70000};
	const int64_t acks[N_ACKS] = {round + s->una - 65536, s->una, s->nxt, s->nxt + 1};

	return (struct seg){.flags = flags[kind],
		.seq = seqs[seq],
		.ack = acks[ack],
		.window = -1,
		.len = kind == DATA || kind == NO_ACK ? 10 : 0};
}

static const struct rule *rule_for(unsigned state, enum kind kind, enum seq_at seq, enum ack_at ack)
{
	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		if (r->states & S(state) && r->kinds & S(kind) && r->seqs & S(seq)
			&& r->acks & S(ack))
			return r;
	}
	return NULL;
}

// --- the outcome

// The header of the one segment that was sent, NULL if there is none; 'n' says how many.
static const struct rte_tcp_hdr *sent(struct rig *r, unsigned *n)
{
	*n = r->net.n_sent - r->net.n_taken;
	return *n > 0 ? r->net.sent[r->net.n_taken]->buf_addr : NULL;
}

static bool is_answer_right(struct rig *r, const struct start *s, const struct rule *rule,
	const struct seg *in, const struct rte_tcp_hdr *h, unsigned n)
{
	uint32_t iss = r->iss, seq, ack;

	if (rule->answer == NOTHING)
		return n == 0;
	if (rule->answer == LATER) {
		const struct tcp_conn *c = tcp_lookup(r->net.tcp, &r->here, &r->peer);

		return n == 0 && c != NULL && c->ack_at_us <= r->now_us + TCP_ACK_DELAY_US
			&& c->rcv_nxt == RIG_PEER_ISS + s->rcv_nxt + rule->taken;
	}
	if (n != 1)
		return false;
	seq = rte_be_to_cpu_32(h->sent_seq);
	ack = rte_be_to_cpu_32(h->recv_ack);
	switch (rule->answer) {
	case RESET: return h->tcp_flags == F_RST && seq == iss + (uint32_t)in->ack;
	case RESET_ACK:
		return h->tcp_flags == (F_RST | F_ACK) && seq == 0
			&& ack
			== RIG_PEER_ISS + (uint32_t)in->seq + (uint32_t)in->len
				+ !!(in->flags & F_SYN);
	case SYNACK:
		return h->tcp_flags == (F_SYN | F_ACK)
			&& (s->state == TCP_TIME_WAIT || s->state == LISTEN || seq == iss);
	default:
		return h->tcp_flags == F_ACK && seq == iss + s->nxt
			&& ack == RIG_PEER_ISS + s->rcv_nxt + rule->taken;
	}
}

static bool run_case(const struct start *s, enum kind kind, enum seq_at seq, enum ack_at ack)
{
	const struct rule *rule = rule_for(s->state, kind, seq, ack);
	struct seg in = segment_of(s, kind, seq, ack);
	unsigned n, next, want, challenges;
	const struct rte_tcp_hdr *h;
	uint64_t counted;
	struct rig r;
	bool good;

	if (rule == NULL) {
		print_error("%s, %s %s, ACK %s: no rule\n", s->name, kind_names[kind],
			seq_names[seq], ack_names[ack]);
		return false;
	}
	go_to(&r, s);
	rx(&r, &in);
	next = where(&r, s->state);
	want = rule->next == SAME ? s->state : rule->next;
	h = sent(&r, &n);
	challenges = (unsigned)r.stats.tcp_challenge_acks;
	counted = rule->counter == NONE
		? 1
		: *(const uint64_t *)(const void *)((const char *)&r.stats + rule->counter);
	good = next == want && counted == 1 && challenges == (rule->answer == CHALLENGE)
		&& is_answer_right(&r, s, rule, &in, h, n);
	if (!good) {
		print_error(
			"%s, %s %s, ACK %s (rule %u): state %u for %u, counter %llu, %u challenges\n",
			s->name, kind_names[kind], seq_names[seq], ack_names[ack],
			(unsigned)(rule - rules), next, want, (unsigned long long)counted,
			challenges);
		show_pending(&r);
	}
	tx_skip(&r);
	r.iss = 0;
	rig_fini(&r);
	return good;
}

static bool has_ack(enum kind kind)
{
	return WITH_ACK & S(kind);
}

static void every_segment_in_every_state(void)
{
	unsigned n = 0, n_bad = 0;

	for (unsigned i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		const struct start *s = &starts[i];
		// Without a peer's sequence number all places are alike.
		bool anywhere =
			s->state == NOBODY || s->state == LISTEN || s->state == TCP_SYN_SENT;

		for (unsigned kind = 0; kind < N_KINDS; kind++) {
			for (unsigned seq = 0; seq < N_SEQS; seq++) {
				if (anywhere && seq != EXACT)
					continue;
				for (unsigned ack = 0; ack < (has_ack(kind) ? N_ACKS : 1u); ack++) {
					if (ack == UNA && s->una == s->nxt) // is NXT
						continue;
					n++;
					n_bad += !run_case(s, kind, seq, ack);
				}
			}
		}
	}
	printf("%u cases\n", n);
	assert_true(n >= 700);
	assert_int_equal(n_bad, 0);
}

TESTS(TEST(every_segment_in_every_state))
