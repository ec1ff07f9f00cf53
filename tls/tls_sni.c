#include "tls/tls_sni.h"

#include "dataplane/base/hash.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_NAME_LEN   253u
#define NAME_TYPE_HOST 0u

// Names of the table are the operator's, so nobody can aim at a slot.
static const struct hash_key table_key = {0x746c73, 0x736e69};

static uint32_t slot_of(const struct tls_sni_table *t, struct bytes name, bool wildcard)
{
	return ((uint32_t)hash_bytes(&table_key, name.ptr, name.len) ^ wildcard) & (t->n_slots - 1);
}

// The entry, or the free slot where it would be.
static struct tls_sni_entry *find_slot(
	const struct tls_sni_table *t, struct bytes name, bool wildcard)
{
	uint32_t i = slot_of(t, name, wildcard);

	while (t->entries[i].name != NULL
		&& (t->entries[i].wildcard != wildcard
			|| !bytes_equal_str(name, t->entries[i].name)))
		i = (i + 1) & (t->n_slots - 1);
	return &t->entries[i];
}

int tls_sni_init(struct tls_sni_table *t, uint32_t n_names)
{
	*t = (struct tls_sni_table){.n_slots = 4, .nameless = TLS_SNI_NONE};
	while (t->n_slots < n_names * 2)
		t->n_slots *= 2;
	t->entries = calloc(t->n_slots, sizeof(*t->entries));
	return t->entries != NULL ? 0 : -ENOMEM;
}

void tls_sni_fini(struct tls_sni_table *t)
{
	for (uint32_t i = 0; t->entries != NULL && i < t->n_slots; i++)
		free(t->entries[i].name);
	free(t->entries);
	*t = (struct tls_sni_table){0};
}

int tls_sni_add(struct tls_sni_table *t, const char *name, uint32_t chain)
{
	bool wildcard;
	struct tls_sni_entry *e;

	if (name == NULL || strcmp(name, "*") == 0) {
		if (t->nameless != TLS_SNI_NONE)
			return t->nameless == chain ? 0 : -EEXIST;
		t->nameless = chain;
		return 0;
	}
	wildcard = strncmp(name, "*.", 2) == 0;
	if (wildcard)
		name += 2;
	e = find_slot(t, bytes_of_str(name), wildcard);
	if (e->name != NULL)
		return e->chain == chain ? 0 : -EEXIST;
	// A free slot has to remain, or a search would not end.
	if (t->n_used + 1 == t->n_slots)
		return -ENOMEM;
	e->name = strdup(name);
	if (e->name == NULL)
		return -ENOMEM;
	e->chain = chain;
	e->wildcard = wildcard;
	t->n_used++;
	return 0;
}

uint32_t tls_sni_find(const struct tls_sni_table *t, struct bytes name)
{
	struct tls_sni_entry *e;

	if (name.len == 0)
		return t->nameless;
	e = find_slot(t, name, false);
	if (e->name != NULL)
		return e->chain;
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] != '.')
			continue;
		e = find_slot(t, bytes_skip(name, i + 1), true);
		if (e->name != NULL)
			return e->chain;
	}
	return t->nameless;
}

static bool is_name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool tls_sni_read(struct bytes extension, char out[TLS_SNI_SIZE], size_t *len)
{
	struct cursor c = cursor_of(extension);
	size_t list_len = cursor_be16(&c);
	uint8_t type = cursor_u8(&c);
	struct bytes name = cursor_take(&c, cursor_be16(&c));

	// RFC 6066 allows one name a type and no type but this exists, so the list has one entry.
	if (!cursor_ok(&c) || cursor_left(&c) != 0 || list_len != name.len + 3
		|| type != NAME_TYPE_HOST || name.len == 0 || name.len > MAX_NAME_LEN)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t byte = byte_lower(name.ptr[i]);

		if (!is_name_byte(byte))
			return false;
		out[i] = (char)byte;
	}
	out[name.len] = 0;
	*len = name.len;
	return true;
}
