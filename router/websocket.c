#include "router/websocket.h"

#include <openssl/evp.h>
#include <string.h>

#define KEY_FIELD    BYTES("sec-websocket-key")
#define ACCEPT_FIELD BYTES("sec-websocket-accept")
#define SHA1_LEN     20u
// A key is 24 characters; what is longer is none.
#define KEY_MAX      64u

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455, 1.3

static void base64(const uint8_t *from, size_t len, uint8_t *to)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits = (uint32_t)from[i] << 16;

		if (left > 1)
			bits |= (uint32_t)from[i + 1] << 8;
		if (left > 2)
			bits |= from[i + 2];
		*to++ = (uint8_t)digits[bits >> 18];
		*to++ = (uint8_t)digits[bits >> 12 & 63];
		*to++ = left > 1 ? (uint8_t)digits[bits >> 6 & 63] : '=';
		*to++ = left > 2 ? (uint8_t)digits[bits & 63] : '=';
	}
}

void websocket_key(const uint64_t random[2], uint8_t to[WEBSOCKET_KEY_LEN])
{
	uint8_t bytes[16];

	memcpy(bytes, random, sizeof(bytes));
	base64(bytes, sizeof(bytes), to);
}

// RFC 6455, 4.2.2, 5.4. Returns false if there is no key.
static bool accept_of(const struct http_fields *request, uint8_t to[WEBSOCKET_ACCEPT_LEN])
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
	base64(hash, sizeof(hash), to);
	return true;
}

bool websocket_set_accept(
	struct http_fields *response, const struct http_fields *request, struct arena *a)
{
	uint8_t accept[WEBSOCKET_ACCEPT_LEN];
	struct bytes copy;

	http_field_remove(response, ACCEPT_FIELD);
	if (!accept_of(request, accept))
		return true;
	return arena_copy(a, bytes_of(accept, sizeof(accept)), &copy)
		&& http_field_add(response, ACCEPT_FIELD, copy);
}

bool websocket_is_accepted(const struct http_fields *response, const struct http_fields *request)
{
	uint8_t accept[WEBSOCKET_ACCEPT_LEN];
	unsigned n = 0;
	bool right = false;

	if (!accept_of(request, accept))
		return false;
	for (unsigned i = 0; i < response->n; i++) {
		if (!bytes_equal(response->at[i].name, ACCEPT_FIELD))
			continue;
		n++;
		right = bytes_equal(response->at[i].value, bytes_of(accept, sizeof(accept)));
	}
	return n == 1 && right;
}
