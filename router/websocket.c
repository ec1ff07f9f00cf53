#include "router/websocket.h"

#include <openssl/evp.h>
#include <string.h>

#define KEY_FIELD    BYTES("sec-websocket-key")
#define ACCEPT_FIELD BYTES("sec-websocket-accept")
#define SHA1_LEN     20u
// A key is 24 characters; what is longer is none.
#define KEY_MAX      64u

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455, 1.3

void websocket_key(const uint64_t random[2], uint8_t to[WEBSOCKET_KEY_LEN])
{
	uint8_t bytes[16], text[WEBSOCKET_KEY_LEN + 1];

	memcpy(bytes, random, sizeof(bytes));
	EVP_EncodeBlock(text, bytes, sizeof(bytes));
	memcpy(to, text, WEBSOCKET_KEY_LEN);
}

// RFC 6455, 4.2.2, 5.4. Returns false if there is no key.
static bool accept_of(const struct http_fields *request, uint8_t to[WEBSOCKET_ACCEPT_LEN + 1])
{
	const struct http_field *key = http_field_find_name(request, KEY_FIELD);
	uint8_t text[KEY_MAX + sizeof(guid)], hash[SHA1_LEN];
	unsigned hash_len = sizeof(hash);

	if (key == NULL || key->value.len == 0 || key->value.len > KEY_MAX)
		return false;
	memcpy(text, key->value.ptr, key->value.len);
	memcpy(text + key->value.len, guid, sizeof(guid) - 1);
	if (EVP_Digest(text, key->value.len + sizeof(guid) - 1, hash, &hash_len, EVP_sha1(), NULL)
		!= 1)
		return false;
	EVP_EncodeBlock(to, hash, sizeof(hash));
	return true;
}

bool websocket_set_accept(
	struct http_fields *response, const struct http_fields *request, struct arena *a)
{
	uint8_t accept[WEBSOCKET_ACCEPT_LEN + 1];
	struct bytes copy;

	http_field_remove(response, ACCEPT_FIELD);
	if (!accept_of(request, accept))
		return true;
	return arena_copy(a, bytes_of(accept, WEBSOCKET_ACCEPT_LEN), &copy)
		&& http_field_add(response, ACCEPT_FIELD, copy);
}

bool websocket_is_accepted(const struct http_fields *response, const struct http_fields *request)
{
	uint8_t accept[WEBSOCKET_ACCEPT_LEN + 1];
	unsigned n = 0;
	bool right = false;

	if (!accept_of(request, accept))
		return false;
	for (unsigned i = 0; i < response->n; i++) {
		if (!bytes_equal(response->at[i].name, ACCEPT_FIELD))
			continue;
		n++;
		right = bytes_equal(response->at[i].value, bytes_of(accept, WEBSOCKET_ACCEPT_LEN));
	}
	return n == 1 && right;
}
