// Certificates of clients: who is let in, who is not and by which alert, which sessions resume, and what is told of those who are
// in.

#include "dataplane/timer.h"
#include "tests/fake_stream.h"
#include "tests/test_support.h"
#include "tests/tls_peer.h"
#include "tls/tls_client.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY 86400

static struct tls_pem server_pem, ca, other_ca, intermediate, good, plain, by_intermediate,
	stranger, expired, early, server_only, nul_name, odd_name;
static char crl[TLS_PEM_SIZE], crl_of_another[TLS_PEM_SIZE];

static void make(struct tls_pem *out, const char *name, const struct tls_pem *issuer,
	struct tls_pem_options o)
{
	o.name = name;
	o.issuer = issuer;
	if (o.not_after_s == 0)
		o.not_after_s = DAY;
	tls_pem_make_as(out, &o);
}

static void make_once(void)
{
	if (ca.key[0] != 0)
		return;
	tls_pem_make(&server_pem, TLS_KEY_P256, "shop.example", 0, DAY);
	make(&ca, "test CA", NULL, (struct tls_pem_options){.is_ca = true});
	make(&other_ca, "other CA", NULL, (struct tls_pem_options){.is_ca = true});
	make(&intermediate, "intermediate", &ca, (struct tls_pem_options){.is_ca = true});
	make(&good, "client", &ca,
		(struct tls_pem_options){.serial = 0x0a1b2c,
			.usage = "clientAuth",
			.san = "URI:spiffe://mesh/ns/a/sa/b,DNS:client.example,DNS:two.example,"
			       "email:a@b.example,IP:10.0.0.9"});
	make(&plain, "plain", &ca, (struct tls_pem_options){.serial = 7});
	make(&by_intermediate, "deep", &intermediate, (struct tls_pem_options){0});
	make(&stranger, "stranger", &other_ca, (struct tls_pem_options){0});
	make(&expired, "expired", &ca,
		(struct tls_pem_options){.not_before_s = -2 * DAY, .not_after_s = -DAY});
	make(&early, "early", &ca,
		(struct tls_pem_options){.not_before_s = DAY, .not_after_s = 2 * DAY});
	make(&server_only, "server", &ca, (struct tls_pem_options){.usage = "serverAuth"});
	make(&nul_name, "nul", &ca,
		(struct tls_pem_options){.dns = BYTES("client.example\0.evil.example")});
	make(&odd_name, "a\"b;c", &ca, (struct tls_pem_options){.dns = BYTES("x;Hash=\"0\"")});
	tls_crl_make(crl, &ca, 7, 1);
	tls_crl_make(crl_of_another, &ca, 99, 1);
}

// --- rig

struct rig {
	struct timer_wheel *timers;
	struct tls_stats stats;
	struct tls_worker *w;
	struct tls_server *server;
	struct fake_pair *pair;
	struct stream *s;
	unsigned events;
	struct tls_peer peer;
};

static void on_event(void *owner, struct stream *s, unsigned events, uint64_t now_us)
{
	(void)s, (void)now_us;
	((struct rig *)owner)->events |= events;
}

static void use_rules(struct rig *r, struct tls_client_config client)
{
	struct tls_chain_config chain = {.n_certificates = 1, .client = client};
	char error[TLS_ERROR_SIZE] = "";

	chain.certificates[0] = tls_pem_config(&server_pem, "server");
	tls_server_unref(&r->server);
	r->server = tls_server_new(&(struct tls_server_config){&chain, 1}, error);
	assert_string_equal(error, "");
}

static void rig_init(struct rig *r, struct tls_client_config client)
{
	make_once();
	*r = (struct rig){.timers = timer_wheel_new(0)};
	r->w = tls_worker_new(&(struct tls_worker_config){.max_connections = 4,
		.n_buffers = 8,
		.handshake_timeout_us = 15000000,
		.timers = r->timers,
		.stats = &r->stats});
	use_rules(r, client);
}

static void connect_as(
	struct rig *r, const struct tls_pem *certificate, int version, SSL_SESSION *session)
{
	struct stream *lower;
	char out[8];

	r->pair = fake_pair_new();
	lower = fake_pair_end(r->pair, 0);
	r->events = 0;
	r->s = tls_accept(r->w, r->server, &lower, on_event, r, 0);
	assert_non_null(r->s);
	tls_peer_init(&r->peer, fake_pair_end(r->pair, 1),
		&(struct tls_peer_options){
			.version = version, .certificate = certificate, .session = session});
	for (bool moved = true; moved;) {
		moved = tls_worker_turn(r->w, 0);
		moved |= fake_pair_step(r->pair, 0);
		moved |= tls_peer_step(&r->peer);
	}
	if (r->events & STREAM_CLOSED) {
		stream_close(&r->s); // delivers the alert
		for (bool moved = true; moved;) {
			moved = tls_worker_turn(r->w, 0);
			moved |= fake_pair_step(r->pair, 0);
		}
	}
	// A client of TLS 1.3 is done before the server has seen its certificate.
	if (r->peer.connected)
		tls_peer_read(&r->peer, out, sizeof(out));
	else
		tls_peer_step(&r->peer);
}

static void disconnect(struct rig *r)
{
	stream_abort(&r->s);
	tls_peer_fini(&r->peer);
	fake_pair_free(&r->pair);
}

static void rig_fini(struct rig *r)
{
	assert_int_equal(r->stats.tls_connections_active, 0);
	assert_int_equal(timer_wheel_n_armed(r->timers), 0);
	tls_server_unref(&r->server);
	tls_worker_free(&r->w);
	timer_wheel_free(&r->timers);
}

static struct tls_client_config rules(enum tls_client_auth auth)
{
	make_once();
	return (struct tls_client_config){
		.auth = auth, .ca_pem = bytes_of_str(ca.certificate), .ca_name = "ca"};
}

static bool is_let_in(const struct rig *r)
{
	return (r->events & (STREAM_CONNECTED | STREAM_CLOSED)) == STREAM_CONNECTED;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

// --- who is let in

static void only_good_certificates_are_let_in(void)
{
	static const struct {
		const struct tls_pem *certificate;
		size_t counter;
		int alert; // of RFC 8446, 6
	} cases[] = {
		{&good,                       0,  -1},
		{         &plain,			  0, -1  },
		{ &stranger, offsetof(struct tls_stats,               tls_fail_client_untrusted),
                 SSL_AD_UNKNOWN_CA},
		{		  &expired,   offsetof(struct tls_stats,      tls_fail_client_expired),
                 SSL_AD_CERTIFICATE_EXPIRED},
		{           &early,   offsetof(struct tls_stats,          tls_fail_client_expired),
                 SSL_AD_BAD_CERTIFICATE},
		{         &server_only,   offsetof(struct tls_stats,  tls_fail_client_purpose),
                 SSL_AD_UNSUPPORTED_CERTIFICATE},
	};

	for (unsigned v = 0; v < 2; v++) {
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct rig r;

			rig_init(&r, rules(TLS_CLIENT_REQUIRED));
			connect_as(&r, cases[i].certificate, versions[v], NULL);
			assert_int_equal(is_let_in(&r), cases[i].alert < 0);
			assert_int_equal(r.peer.alert, cases[i].alert);
			if (cases[i].alert >= 0)
				assert_int_equal(
					*(uint64_t *)(void *)((char *)&r.stats + cases[i].counter),
					1);
			disconnect(&r);
			rig_fini(&r);
		}
	}
}

static void without_a_certificate_only_where_it_is_optional(void)
{
	static const int alerts[] = {SSL_AD_HANDSHAKE_FAILURE, TLS13_AD_CERTIFICATE_REQUIRED};

	for (unsigned v = 0; v < 2; v++) {
		struct tls_info info;
		struct rig r;

		rig_init(&r, rules(TLS_CLIENT_REQUIRED));
		connect_as(&r, NULL, versions[v], NULL);
		assert_false(is_let_in(&r));
		assert_int_equal(r.peer.alert, alerts[v]);
		assert_int_equal(r.stats.tls_fail_client_none, 1);
		disconnect(&r);

		use_rules(&r, rules(TLS_CLIENT_OPTIONAL));
		connect_as(&r, NULL, versions[v], NULL);
		assert_true(is_let_in(&r));
		tls_info_get(r.s, &info);
		assert_null(info.client);
		disconnect(&r);
		connect_as(&r, &stranger, versions[v], NULL);
		assert_false(is_let_in(&r));
		assert_int_equal(r.peer.alert, SSL_AD_UNKNOWN_CA);
		disconnect(&r);

		use_rules(&r, (struct tls_client_config){.auth = TLS_CLIENT_NOT_ASKED});
		connect_as(&r, &stranger, versions[v], NULL); // it is not asked, so it sends none
		assert_true(is_let_in(&r));
		tls_info_get(r.s, &info);
		assert_null(info.client);
		disconnect(&r);
		rig_fini(&r);
	}
}

static void an_intermediate_ca_may_be_the_root_of_trust(void)
{
	struct tls_client_config c = rules(TLS_CLIENT_REQUIRED);
	struct rig r;

	rig_init(&r, c);
	connect_as(&r, &by_intermediate, 0, NULL); // which the client does not send
	assert_false(is_let_in(&r));
	disconnect(&r);
	c.ca_pem = bytes_of_str(intermediate.certificate);
	use_rules(&r, c);
	connect_as(&r, &by_intermediate, 0, NULL);
	assert_true(is_let_in(&r));
	disconnect(&r);
	connect_as(&r, &good, 0, NULL);
	assert_false(is_let_in(&r));
	disconnect(&r);
	rig_fini(&r);
}

static void a_revoked_certificate_is_refused(void)
{
	struct tls_client_config c = rules(TLS_CLIENT_REQUIRED);
	struct rig r;

	make_once();
	c.crl_pem = bytes_of_str(crl);
	rig_init(&r, c);
	connect_as(&r, &plain, 0, NULL);
	assert_false(is_let_in(&r));
	assert_int_equal(r.peer.alert, SSL_AD_CERTIFICATE_REVOKED);
	assert_int_equal(r.stats.tls_fail_client_revoked, 1);
	disconnect(&r);
	connect_as(&r, &good, 0, NULL);
	assert_true(is_let_in(&r));
	disconnect(&r);
	c.crl_pem = bytes_of_str(crl_of_another);
	use_rules(&r, c);
	connect_as(&r, &plain, 0, NULL);
	assert_true(is_let_in(&r));
	disconnect(&r);
	rig_fini(&r);
}

// Envoy CVE-2022-21656: a name counts as what it is. CVE-2025-66220: not up to its NUL.
static void one_of_the_names_has_to_be_there(void)
{
	static const struct {
		const struct tls_pem *certificate;
		const char *name;
		bool enters;
	} cases[] = {
		{&good,     "spiffe://mesh/ns/a/sa/b", true },
		{&good,     "client.example",          true },
		{&good,     "CLIENT.example",          true },
		{&good,     "a@b.example",             true },
		{&good,     "10.0.0.9",                true },
		{&good,     "spiffe://mesh/ns/A/sa/b", false},
		{&good,     "client",                  false}, // the subject is no alternative name
		{&good,     "example",                 false},
		{&good,     "*.example",               false},
		{&plain,    "plain",                   false},
		{&nul_name, "client.example",          false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const names[] = {"nobody.example", cases[i].name};
		struct tls_client_config c = rules(TLS_CLIENT_REQUIRED);
		struct rig r;

		c.names = names;
		c.n_names = 2;
		rig_init(&r, c);
		connect_as(&r, cases[i].certificate, 0, NULL);
		if (is_let_in(&r) != cases[i].enters)
			fail_msg("%s", cases[i].name);
		if (!cases[i].enters) {
			assert_int_equal(r.peer.alert, SSL_AD_BAD_CERTIFICATE);
			assert_int_equal(r.stats.tls_fail_client_name, 1);
		}
		disconnect(&r);
		rig_fini(&r);
	}
}

static X509 *read_pem(const struct tls_pem *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->certificate, -1);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(x);
	return x;
}

static void pins_of(
	const struct tls_pem *pem, struct tls_sha256 *certificate, struct tls_sha256 *key)
{
	X509 *x = read_pem(pem);
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	assert_int_equal(X509_digest(x, EVP_sha256(), certificate->b, NULL), 1);
	assert_int_equal(EVP_Digest(der, (size_t)len, key->b, NULL, EVP_sha256(), NULL), 1);
	OPENSSL_free(der);
	X509_free(x);
}

static void a_pinned_certificate_or_key_is_enough(void)
{
	struct tls_client_config c = rules(TLS_CLIENT_REQUIRED);
	struct tls_sha256 certificate, key, other_certificate, other_key;
	struct rig r;

	pins_of(&good, &certificate, &key);
	pins_of(&plain, &other_certificate, &other_key);
	rig_init(&r, c);
	for (unsigned i = 0; i < 4; i++) {
		c.certificates = i & 1 ? &certificate : &other_certificate;
		c.n_certificates = 1;
		c.keys = i & 2 ? &key : &other_key;
		c.n_keys = 1;
		use_rules(&r, c);
		connect_as(&r, &good, 0, NULL);
		assert_int_equal(is_let_in(&r), i != 0);
		assert_int_equal(r.peer.alert, i != 0 ? -1 : SSL_AD_BAD_CERTIFICATE);
		disconnect(&r);
	}
	assert_int_equal(r.stats.tls_fail_client_pin, 1);
	// Neither makes a stranger known.
	pins_of(&stranger, &certificate, &key);
	c.certificates = &certificate;
	use_rules(&r, c);
	connect_as(&r, &stranger, 0, NULL);
	assert_false(is_let_in(&r));
	disconnect(&r);
	rig_fini(&r);
}

static void any_certificate_is_any_but_none(void)
{
	struct tls_info info;
	struct rig r;

	rig_init(&r, (struct tls_client_config){.auth = TLS_CLIENT_REQUIRED, .any = true});
	connect_as(&r, &expired, 0, NULL);
	assert_true(is_let_in(&r));
	tls_info_get(r.s, &info);
	assert_true(bytes_equal(info.client->subject, BYTES("CN=expired")));
	disconnect(&r);
	connect_as(&r, NULL, 0, NULL);
	assert_false(is_let_in(&r));
	disconnect(&r);
	rig_fini(&r);
}

// --- sessions

static SSL_SESSION *session_of(struct rig *r, const struct tls_pem *certificate, int version)
{
	SSL_SESSION *session;

	connect_as(r, certificate, version, NULL);
	assert_true(is_let_in(r));
	session = r->peer.session;
	assert_non_null(session);
	r->peer.session = NULL;
	disconnect(r);
	return session;
}

static void a_session_resumes_under_its_own_rules_only(void)
{
	for (unsigned v = 0; v < 2; v++) {
		static const char *const names[] = {"client.example"};
		struct tls_client_config required = rules(TLS_CLIENT_REQUIRED), c;
		struct tls_info info;
		SSL_SESSION *session;
		struct rig r;

		rig_init(&r, required);
		session = session_of(&r, &good, versions[v]);
		for (unsigned i = 0; i < 6; i++) {
			c = required;
			switch (i) {
			case 0: break; // a reload that changes nothing
			case 1: c.ca_pem = bytes_of_str(other_ca.certificate); break;
			case 2: c.crl_pem = bytes_of_str(crl); break;
			case 3: c.names = names, c.n_names = 1; break;
			case 4: c.auth = TLS_CLIENT_OPTIONAL; break;
			default: c = (struct tls_client_config){.auth = TLS_CLIENT_NOT_ASKED};
			}
			use_rules(&r, c);
			connect_as(&r, &good, versions[v], session);
			assert_int_equal(is_let_in(&r), i != 1);
			if (i != 1) {
				tls_info_get(r.s, &info);
				assert_int_equal(info.session_reused, i == 0);
				assert_int_equal(info.client != NULL, i != 5);
			}
			disconnect(&r);
		}
		SSL_SESSION_free(session);
		// The other way round: what began without a certificate is no way in where one is required.
		use_rules(&r, rules(TLS_CLIENT_OPTIONAL));
		session = session_of(&r, NULL, versions[v]);
		use_rules(&r, required);
		connect_as(&r, NULL, versions[v], session);
		assert_false(is_let_in(&r));
		disconnect(&r);
		SSL_SESSION_free(session);
		rig_fini(&r);
	}
}

static void a_resumed_session_still_knows_its_client(void)
{
	for (unsigned v = 0; v < 2; v++) {
		struct tls_info info;
		SSL_SESSION *session;
		struct rig r;

		rig_init(&r, rules(TLS_CLIENT_REQUIRED));
		session = session_of(&r, &good, versions[v]);
		connect_as(&r, NULL, versions[v], session);
		assert_true(is_let_in(&r));
		tls_info_get(r.s, &info);
		assert_true(info.session_reused);
		assert_true(bytes_equal(info.client->subject, BYTES("CN=client")));
		disconnect(&r);
		SSL_SESSION_free(session);
		rig_fini(&r);
	}
}

static void an_expired_certificate_resumes_nothing(void)
{
	X509 *old = read_pem(&expired), *fresh = read_pem(&good);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct tls_client_config c = rules(TLS_CLIENT_REQUIRED);
	char error[TLS_ERROR_SIZE];
	struct client_rules *r;

	assert_true(client_rules_new(&r, ctx, &c, error));
	assert_true(client_rules_resume(r, fresh));
	assert_false(client_rules_resume(r, old));
	assert_false(client_rules_resume(r, NULL));
	client_rules_free(&r);
	c.auth = TLS_CLIENT_OPTIONAL;
	assert_true(client_rules_new(&r, ctx, &c, error));
	assert_true(client_rules_resume(r, NULL));
	assert_false(client_rules_resume(r, old));
	client_rules_free(&r);
	assert_true(client_rules_resume(NULL, NULL));
	SSL_CTX_free(ctx);
	X509_free(old);
	X509_free(fresh);
}

// --- what is told

static bool contains(struct bytes b, const char *text)
{
	return memmem(b.ptr, b.len, text, strlen(text)) != NULL;
}

static void a_certificate_is_told_as_envoy_tells_it(void)
{
	struct tls_sha256 certificate, key;
	char hash[65], expected[256];
	struct tls_info info;
	const struct tls_client *c;
	struct rig r;

	rig_init(&r, rules(TLS_CLIENT_REQUIRED));
	connect_as(&r, &good, 0, NULL);
	tls_info_get(r.s, &info);
	c = info.client;
	pins_of(&good, &certificate, &key);
	for (unsigned i = 0; i < 32; i++)
		sprintf(hash + 2 * i, "%02x", certificate.b[i]);
	assert_true(bytes_equal(c->fingerprint_256, bytes_of_str(hash)));
	assert_int_equal(c->fingerprint_1.len, 40);
	assert_true(bytes_equal(c->subject, BYTES("CN=client")));
	assert_true(bytes_equal(c->issuer, BYTES("CN=test CA")));
	assert_true(bytes_equal(c->serial, BYTES("0a1b2c")));
	assert_true(bytes_equal(c->uri_sans, BYTES("spiffe://mesh/ns/a/sa/b")));
	assert_true(bytes_equal(c->dns_sans, BYTES("client.example,two.example")));
	assert_true(bytes_equal(c->email_sans, BYTES("a@b.example")));
	assert_true(bytes_equal(c->ip_sans, BYTES("10.0.0.9")));
	assert_int_equal((c->valid_until_us - c->valid_from_us) / 1000000, DAY);
	assert_true(bytes_start_with(c->certificate, BYTES("-----BEGIN%20CERTIFICATE-----%0AMII")));
	assert_false(contains(c->certificate, "\n") || contains(c->certificate, "="));

	snprintf(expected, sizeof(expected), "Hash=%s;Cert=\"-----BEGIN%%20CERTIFICATE-----%%0A",
		hash);
	assert_true(bytes_start_with(c->forwarded, bytes_of_str(expected)));
	assert_true(contains(c->forwarded,
		"-----END%20CERTIFICATE-----%0A\";Subject=\"CN=client\";"
		"URI=spiffe://mesh/ns/a/sa/b;DNS=client.example;DNS=two.example"));
	disconnect(&r);

	connect_as(&r, &plain, 0, NULL);
	tls_info_get(r.s, &info);
	assert_true(contains(info.client->forwarded, ";Subject=\"CN=plain\";URI="));
	assert_false(contains(info.client->forwarded, "DNS="));
	assert_int_equal(info.client->dns_sans.len, 0);
	disconnect(&r);
	rig_fini(&r);
}

static void names_cannot_say_more_than_a_name(void)
{
	struct tls_info info;
	struct rig r;

	rig_init(&r, rules(TLS_CLIENT_REQUIRED));
	connect_as(&r, &odd_name, 0, NULL);
	tls_info_get(r.s, &info);
	assert_true(contains(info.client->forwarded,
		";Subject=\"CN=a\\\"b\\;c\";URI=;DNS=\"x;Hash=\\\"0\\\"\""));
	disconnect(&r);
	connect_as(&r, &nul_name, 0, NULL);
	tls_info_get(r.s, &info);
	assert_int_equal(info.client->dns_sans.len, 0);
	assert_false(contains(info.client->forwarded, "DNS="));
	disconnect(&r);
	rig_fini(&r);
}

static void what_is_no_pem_is_refused_when_it_is_read(void)
{
	struct tls_client_config c = rules(TLS_CLIENT_REQUIRED);
	char error[TLS_ERROR_SIZE], both[2 * TLS_PEM_SIZE];
	int64_t not_after_s;

	assert_true(tls_client_check(&c, &not_after_s, error));
	c.ca_pem = BYTES("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	assert_false(tls_client_check(&c, &not_after_s, error));
	assert_string_equal(error, "ca: not a list of PEM certificates");
	// Which nobody is asked the password of.
	c.ca_pem = BYTES("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
			 "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n"
			 "-----END CERTIFICATE-----\n");
	assert_false(tls_client_check(&c, &not_after_s, error));
	c.ca_pem = BYTES("hello");
	assert_false(tls_client_check(&c, &not_after_s, error));
	c = rules(TLS_CLIENT_REQUIRED);
	c.crl_pem = bytes_of_str(ca.certificate);
	c.crl_name = "crl";
	assert_false(tls_client_check(&c, &not_after_s, error));
	assert_string_equal(error, "crl: not a list of PEM revocation lists");
	// The first to expire is told, wherever it stands.
	c = rules(TLS_CLIENT_REQUIRED);
	snprintf(both, sizeof(both), "%s%s", ca.certificate, expired.certificate);
	c.ca_pem = bytes_of_str(both);
	assert_true(tls_client_check(&c, &not_after_s, error));
	assert_in_range(time(NULL) - not_after_s, DAY - 60, DAY + 600);
	c.ca_pem.len = 0;
	assert_true(tls_client_check(&c, &not_after_s, error));
	assert_true(not_after_s == INT64_MAX);
}

TESTS(TEST(only_good_certificates_are_let_in),
	TEST(without_a_certificate_only_where_it_is_optional),
	TEST(an_intermediate_ca_may_be_the_root_of_trust), TEST(a_revoked_certificate_is_refused),
	TEST(one_of_the_names_has_to_be_there), TEST(a_pinned_certificate_or_key_is_enough),
	TEST(any_certificate_is_any_but_none), TEST(a_session_resumes_under_its_own_rules_only),
	TEST(a_resumed_session_still_knows_its_client),
	TEST(an_expired_certificate_resumes_nothing), TEST(a_certificate_is_told_as_envoy_tells_it),
	TEST(names_cannot_say_more_than_a_name), TEST(what_is_no_pem_is_refused_when_it_is_read))
