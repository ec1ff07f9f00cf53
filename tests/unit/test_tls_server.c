// Certificates as the mgmt thread sees them, and server names.

#include "tests/test_support.h"
#include "tests/tls_peer.h"
#include "tls/tls.h"
#include "tls/tls_sni.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct tls_pem ours, other, rsa;

static void make_certificates(void)
{
	tls_pem_make(&ours, TLS_KEY_P256, "shop.example", 0, 1000);
	tls_pem_make(&other, TLS_KEY_P256, "other.example", 0, 1000);
	tls_pem_make(&rsa, TLS_KEY_RSA, "rsa.example", 0, 1000);
}

static void a_good_certificate_tells_when_it_ends(void)
{
	struct tls_certificate_config c;
	char error[TLS_ERROR_SIZE] = "";
	int64_t now = time(NULL), not_after = 0;

	c = tls_pem_config(&ours, "secret default/shop-cert");
	assert_true(tls_certificate_check(&c, &not_after, error));
	assert_in_range(not_after, now + 900, now + 1000);
	c = tls_pem_config(&rsa, "rsa");
	assert_true(tls_certificate_check(&c, &not_after, error));
}

static void an_unusable_certificate_is_explained(void)
{
	static char damaged[TLS_PEM_SIZE], bad_chain[2 * TLS_PEM_SIZE];
	struct {
		const char *chain, *key;
		const char *says;
	} cases[] = {
		{ours.certificate, other.key,
                 "secret x/y: the private key does not belong to the certificate"                       },
		{"hello",          ours.key,  "secret x/y: the certificate is not a PEM certificate"    },
		{damaged,          ours.key,  "secret x/y: the certificate is not a PEM certificate"    },
		{bad_chain,        ours.key,  "secret x/y: a part of the chain is not a PEM certificate"},
		{ours.certificate, "hello",   "secret x/y: the private key is not PEM"                  },
		{ours.certificate, "",        "secret x/y: the private key is empty"                    },
		{"",               ours.key,  "secret x/y: the certificate is empty"                    },
	};

	strcpy(damaged, ours.certificate);
	damaged[100] = '*';
	snprintf(bad_chain, sizeof(bad_chain), "%s%s", ours.certificate, damaged);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char error[TLS_ERROR_SIZE] = "";
		int64_t not_after;
		struct tls_certificate_config c = {.name = "secret x/y",
			.chain_pem = bytes_of_str(cases[i].chain),
			.key_pem = bytes_of_str(cases[i].key)};

		assert_false(tls_certificate_check(&c, &not_after, error));
		if (strncmp(error, cases[i].says, strlen(cases[i].says)) != 0)
			assert_string_equal(error, cases[i].says);
	}
}

static void a_server_with_a_mistake_is_not_built(void)
{
	static const char *const names[] = {"shop.example"};
	struct tls_chain_config chains[2] = {
		{.sni = names, .n_sni = 1, .n_certificates = 1},
		{.sni = names, .n_sni = 1, .n_certificates = 1},
	};
	char error[TLS_ERROR_SIZE] = "";

	chains[0].certificates[0] = tls_pem_config(&ours, "a");
	chains[1].certificates[0] = tls_pem_config(&ours, "a");
	assert_null(tls_server_new(&(struct tls_server_config){chains, 2}, error));
	assert_string_equal(error, "server name \"shop.example\" is in two filter chains");

	chains[0].cipher_suites = "NO-SUCH-CIPHER";
	assert_null(tls_server_new(&(struct tls_server_config){chains, 1}, error));
	assert_string_equal(error, "no usable cipher suite in \"NO-SUCH-CIPHER\"");

	chains[0].cipher_suites = NULL;
	chains[0].n_certificates = 2;
	chains[0].certificates[1] = tls_pem_config(&other, "b");
	assert_null(tls_server_new(&(struct tls_server_config){chains, 1}, error));
	assert_string_equal(error, "b: the chain has a certificate with this type of key already");
}

static void thousands_of_names_are_told_apart(void)
{
	struct tls_sni_table t;
	char name[32];

	assert_int_equal(tls_sni_init(&t, 6000), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "h%u.example", i);
		assert_int_equal(tls_sni_add(&t, name, i), 0);
		snprintf(name, sizeof(name), "*.h%u.example", i);
		assert_int_equal(tls_sni_add(&t, name, i + 10000), 0);
	}
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "h%u.example", i);
		assert_int_equal(tls_sni_find(&t, bytes_of_str(name)), i);
		snprintf(name, sizeof(name), "a.b.h%u.example", i);
		assert_int_equal(tls_sni_find(&t, bytes_of_str(name)), i + 10000);
	}
	assert_int_equal(tls_sni_find(&t, BYTES("example")), TLS_SNI_NONE);
	assert_int_equal(tls_sni_find(&t, BYTES("")), TLS_SNI_NONE);
	assert_int_equal(tls_sni_find(&t, BYTES(".")), TLS_SNI_NONE);
	assert_int_equal(tls_sni_add(&t, "h1.example", 1), 0); // again, same chain
	assert_int_equal(tls_sni_add(&t, "h1.example", 2), -EEXIST);
	assert_int_equal(tls_sni_add(&t, "*", 5), 0);
	assert_int_equal(tls_sni_find(&t, BYTES("example")), 5);
	tls_sni_fini(&t);
}

static void the_extension_is_read_strictly(void)
{
	static const struct {
		struct bytes body;
		const char *name; // NULL: refused
	} cases[] = {
		{BYTES("\x00\x06\x00\x00\x03"
		       "A.b"),
                 "a.b"			       },
		{BYTES("\x00\x06\x00\x00\x03"
		       "A.bx"),
                 NULL				}, // bytes after the list
		{BYTES("\x00\x07\x00\x00\x03"
		       "A.b"),
                 NULL				}, // the list is longer than the body
		{BYTES("\x00\x06\x00\x00\x04"
		       "A.b"),
                 NULL				}, // so is the name
		{BYTES("\x00\x06\x01\x00\x03"
		       "A.b"),
                 NULL				}, // no host name
		{BYTES("\x00\x03\x00\x00\x00"),  NULL}, // empty
		{BYTES("\x00\x06\x00\x00\x03"
		       "a\0b"),
                 NULL				},
		{BYTES("\x00\x06\x00\x00\x03"
		       "a\rb"),
                 NULL				},
		{BYTES("\x00\x06\x00\x00\x03"
		       "a\x7f"
		       "b"),
                 NULL				},
		{BYTES(""),                      NULL},
		{BYTES("\x00"),                  NULL},
	};
	uint8_t big[5 + 300] = {1, 0x2f, 0, 1, 0x2c};
	char out[TLS_SNI_SIZE];
	size_t len;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = tls_sni_read(cases[i].body, out, &len);

		assert_int_equal(ok, cases[i].name != NULL);
		if (ok)
			assert_string_equal(out, cases[i].name);
	}
	memset(big + 5, 'a', 300);
	assert_false(tls_sni_read(bytes_of(big, sizeof(big)), out, &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(a_good_certificate_tells_when_it_ends),
		TEST(an_unusable_certificate_is_explained),
		TEST(a_server_with_a_mistake_is_not_built), TEST(thousands_of_names_are_told_apart),
		TEST(the_extension_is_read_strictly)};

	make_certificates();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
