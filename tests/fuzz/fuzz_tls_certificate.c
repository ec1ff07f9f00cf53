// A client's certificate: any bytes that OpenSSL takes for one. The texts that are made of it go into a request and the log, so
// they are printable whatever it says, and nobody can add an element to x-forwarded-client-cert, or end one early.
#include "tls/tls_client.h"

#include <assert.h>
#include <openssl/err.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		assert(b.ptr[i] >= 0x20 && b.ptr[i] < 0x7f);
}

static bool begins_with(const uint8_t *at, const uint8_t *end, const char *text)
{
	return (size_t)(end - at) >= strlen(text) && memcmp(at, text, strlen(text)) == 0;
}

// Reads one element as a service would, and returns where the next one begins.
static const uint8_t *check_element(const uint8_t *at, const uint8_t *end, unsigned *n)
{
	static const char *const names[] = {"By=", "Hash=", "Cert=", "Subject=", "URI=", "DNS="};
	unsigned i = 0;

	while (i < 6 && !begins_with(at, end, names[i]))
		i++;
	assert(i < 6);
	n[i]++;
	at += strlen(names[i]);
	if (at < end && *at == '"') {
		for (at++; at < end && *at != '"'; at++)
			at += *at == '\\';
		assert(at < end);
		at++;
	}
	while (at < end && *at != ';') {
		assert(*at != '"' && *at != ',');
		at++;
	}
	return at < end ? at + 1 : end;
}

static void check_forwarded(struct bytes b)
{
	const uint8_t *at = b.ptr, *end = b.ptr + b.len;
	unsigned n[6] = {0};

	while (at < end)
		at = check_element(at, end, n);
	assert(n[0] == 0 && n[1] == 1 && n[2] <= 1 && n[3] == 1 && n[4] >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *at = data;
	X509 *leaf = d2i_X509(NULL, &at, (long)size);
	struct tls_client *c;

	ERR_clear_error();
	if (leaf == NULL)
		return 0;
	c = client_read(leaf, NULL);
	assert(c != NULL);
	check_forwarded(c->forwarded);
	const struct bytes texts[] = {c->forwarded, c->certificate, c->subject, c->issuer,
		c->serial, c->fingerprint_256, c->fingerprint_1, c->uri_sans, c->dns_sans,
		c->email_sans, c->ip_sans};
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_printable(texts[i]);
	client_free(&c);
	X509_free(leaf);
	return 0;
}
