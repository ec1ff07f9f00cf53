// A server's TLS: names, certificates, versions (reference/istio-gateway.md, 1.3, 1.4, 1.6).
#include "mgmt/translate.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PEM_BYTES (1u << 20)

// --- PEM texts

// Reads a whole file into 't->out'. Returns false with errno set. Only what has an end is opened
// for reading: a device or a pipe would hold up the thread.
static bool read_pem(struct translation *t, const char *path, struct bytes *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), saved;
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		errno = EINVAL;
		return false;
	}
	// One byte more than is allowed, so that what is too large is seen to be.
	text = malloc(MAX_PEM_BYTES + 1);
	n = text != NULL ? read(fd, text, MAX_PEM_BYTES + 1) : -1;
	saved = errno;
	close(fd);
	if (n > (ssize_t)MAX_PEM_BYTES) {
		n = -1;
		saved = EFBIG;
	}
	if (n >= 0)
		*out = bytes_of(region_copy(t->out, text, (size_t)n), (size_t)n);
	free(text);
	errno = saved;
	return n >= 0;
}

static bool secret_value(
	struct translation *t, const struct secret *s, const char *key, struct bytes *out)
{
	const char *clear = key_value_get(s->string_data, s->n_string_data, key);
	const char *encoded = key_value_get(s->data, s->n_data, key);
	size_t len = 0;

	if (clear != NULL) {
		*out = bytes_of_str(clear);
		return out->len > 0;
	}
	if (encoded == NULL || encoded[0] == '\0')
		return false;
	encoded = base64_decode(t->out, encoded, &len);
	*out = bytes_of(encoded, len);
	return encoded != NULL && len > 0;
}

static bool from_secret(
	struct translation *t, const struct secret *s, struct tls_certificate_config *to)
{
	return (secret_value(t, s, "cert", &to->chain_pem)
		       && secret_value(t, s, "key", &to->key_pem))
		|| (secret_value(t, s, "tls.crt", &to->chain_pem)
			&& secret_value(t, s, "tls.key", &to->key_pem));
}

// NAME.crt and NAME.key beside the configuration.
static bool from_folders(struct translation *t, const char *name, struct tls_certificate_config *to)
{
	if (strchr(name, '/') != NULL)
		return false;
	for (unsigned i = 0; i < t->m->n_folders; i++) {
		const char *base = region_printf(t->out, "%s/%s", t->m->folders[i], name);

		if (read_pem(t, region_printf(t->work, "%s.crt", base), &to->chain_pem)
			&& read_pem(t, region_printf(t->work, "%s.key", base), &to->key_pem)) {
			to->name = region_printf(t->out, "%s.crt", base);
			return true;
		}
	}
	return false;
}

// --- certificates

static void add_certificate(struct translation *t, const struct node *at,
	const struct tls_certificate_config *c, struct tls_chain_config *to)
{
	char error[TLS_ERROR_SIZE];
	int64_t not_after = 0;

	if (!tls_certificate_check(c, &not_after, error)) {
		tree_error(
			t->d, at, "unusable certificate: %s; expected PEM of a valid pair", error);
		return;
	}
	// No error: the other hosts would go down with it at the next start, and no change could be made any more.
	if (not_after < t->now_s)
		tree_warning(
			t->d, at, "%s: the certificate has expired; clients refuse it", c->name);
	if (to->n_certificates == COUNT_OF(to->certificates)) {
		tree_error(t->d, at, "too many certificates; expected at most 2");
		return;
	}
	to->certificates[to->n_certificates] = *c;
	to->certificates[to->n_certificates++].not_after_s = not_after;
	// Alone it was tried above.
	if (to->n_certificates > 1
		&& !tls_certificates_fit(to->certificates, to->n_certificates, error))
		tree_error(t->d, at, "unusable certificate: %s; expected one RSA and one ECDSA",
			error);
}

static void add_credential(
	struct translation *t, const struct node *at, const char *name, struct tls_chain_config *to)
{
	const char *namespace = t->appliance->namespace;
	const struct secret *s = (struct secret *)manifest_find(t->m, KIND_SECRET, namespace, name);
	struct tls_certificate_config c = {
		.name = region_printf(t->out, "Secret %s/%s", namespace, name)};

	if (s != NULL && !from_secret(t, s, &c)) {
		tree_error(t->d, s->document.node,
			"no certificate and key; expected cert and key, or tls.crt and tls.key, in base64");
		return;
	}
	if (s == NULL && !from_folders(t, name, &c)) {
		tree_warning(t->d, at,
			"no Secret %s/%s and no file %s.crt beside the configuration; "
			"handshakes will fail",
			namespace, name, name);
		return;
	}
	add_certificate(t, at, &c, to);
}

static void add_files(struct translation *t, const struct node *at, const char *certificate,
	const char *key, struct tls_chain_config *to)
{
	struct tls_certificate_config c = {.name = certificate};

	if (!read_pem(t, certificate, &c.chain_pem))
		tree_error(t->d, at, "\"%s\" cannot be read: %s; expected a PEM file", certificate,
			strerror(errno));
	else if (!read_pem(t, key, &c.key_pem))
		tree_error(t->d, at, "\"%s\" cannot be read: %s; expected a PEM file", key,
			strerror(errno));
	else
		add_certificate(t, at, &c, to);
}

static void translate_certificates(
	struct translation *t, const struct server_tls *tls, struct tls_chain_config *to)
{
	const struct node *list = object_get(tls, "credentialNames");
	const struct node *n = list != NULL ? list->first : NULL;

	if (tls->credential[0] != '\0')
		add_credential(t, object_get(tls, "credentialName"), tls->credential, to);
	for (unsigned i = 0; i < tls->n_credentials; i++, n = n->next)
		add_credential(t, n, tls->credentials[i], to);
	if (tls->certificate[0] != '\0' && tls->key[0] != '\0')
		add_files(t, object_get(tls, "serverCertificate"), tls->certificate, tls->key, to);
	for (unsigned i = 0; i < tls->n_files; i++)
		add_files(t, tls->files[i].node, tls->files[i].certificate, tls->files[i].key, to);
}

// --- certificates of clients

// The first of the keys that has a value.
static bool secret_any(struct translation *t, const char *name, const char *const keys[2],
	struct bytes *out, const char **found)
{
	const char *namespace = t->appliance->namespace;
	const struct secret *s = (struct secret *)manifest_find(t->m, KIND_SECRET, namespace, name);

	if (s == NULL || (!secret_value(t, s, keys[0], out) && !secret_value(t, s, keys[1], out)))
		return false;
	*found = region_printf(t->out, "Secret %s/%s", namespace, name);
	return true;
}

// NAME.SUFFIX beside the configuration.
static bool file_beside(struct translation *t, const char *name, const char *suffix,
	struct bytes *out, const char **found)
{
	for (unsigned i = 0; strchr(name, '/') == NULL && i < t->m->n_folders; i++) {
		const char *path =
			region_printf(t->out, "%s/%s.%s", t->m->folders[i], name, suffix);

		if (read_pem(t, path, out)) {
			*found = path;
			return true;
		}
	}
	return false;
}

static void find_authorities(
	struct translation *t, const char *name, bool is_own, struct tls_client_config *to)
{
	static const char *const ca_keys[] = {"cacert", "ca.crt"},
				 *const crl_keys[] = {"ca.crl", "crl"};
	const char *own = is_own ? name : region_printf(t->work, "%s-cacert", name);

	if (!secret_any(t, own, ca_keys, &to->ca_pem, &to->ca_name)
		&& !secret_any(t, name, ca_keys, &to->ca_pem, &to->ca_name))
		file_beside(t, own, "crt", &to->ca_pem, &to->ca_name);
	if (!secret_any(t, own, crl_keys, &to->crl_pem, &to->crl_name)
		&& !secret_any(t, name, crl_keys, &to->crl_pem, &to->crl_name))
		file_beside(t, own, "crl", &to->crl_pem, &to->crl_name);
}

static void read_authorities(
	struct translation *t, const struct server_tls *tls, struct tls_client_config *to)
{
	const char *ca = tls->n_files > 0 ? tls->files[0].ca : tls->ca;
	const char *credential = tls->n_credentials > 0 ? tls->credentials[0] : tls->credential;

	if (tls->ca_credential[0] != '\0')
		find_authorities(t, tls->ca_credential, true, to);
	else if (credential[0] != '\0')
		find_authorities(t, credential, false, to);
	to->ca_name = to->ca_name != NULL ? to->ca_name : ca;
	if (ca[0] != '\0' && to->ca_pem.len == 0 && !read_pem(t, ca, &to->ca_pem))
		tree_error(t->d,
			object_get(tls, tls->n_files > 0 ? "tlsCertificates" : "caCertificates"),
			"\"%s\" cannot be read: %s; expected a PEM file", ca, strerror(errno));
	if (tls->crl[0] == '\0')
		return;
	to->crl_name = tls->crl;
	if (!read_pem(t, tls->crl, &to->crl_pem))
		tree_error(t->d, object_get(tls, "caCrl"),
			"\"%s\" cannot be read: %s; expected a PEM file", tls->crl,
			strerror(errno));
}

static bool read_hex(const char *text, struct tls_sha256 *out)
{
	unsigned n = 0;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == ':')
			continue;
		if (!isxdigit(c) || n == 2 * sizeof(out->b))
			return false;
		out->b[n / 2] = (uint8_t)(out->b[n / 2] << 4
			| (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10));
		n++;
	}
	return n == 2 * sizeof(out->b);
}

static void read_pins(
	struct translation *t, const struct server_tls *tls, struct tls_client_config *to)
{
	const struct node *list = object_get(tls, "verifyCertificateHash");
	const struct node *n = list != NULL ? list->first : NULL;
	struct tls_sha256 *pins = region_alloc(t->out, (tls->n_hashes + 1) * sizeof(*pins));

	for (unsigned i = 0; i < tls->n_hashes; i++, n = n->next) {
		if (!read_hex(tls->hashes[i], &pins[i]))
			tree_error(t->d, n, "\"%s\" is no digest; expected 64 hex digits",
				tls->hashes[i]);
	}
	to->certificates = pins;
	to->n_certificates = tls->n_hashes;
	pins = region_alloc(t->out, (tls->n_keys + 1) * sizeof(*pins));
	list = object_get(tls, "verifyCertificateSpki");
	n = list != NULL ? list->first : NULL;
	for (unsigned i = 0; i < tls->n_keys; i++, n = n->next) {
		size_t len = 0;
		const char *digest = base64_decode(t->work, tls->keys[i], &len);

		if (digest == NULL || len != sizeof(pins[i].b))
			tree_error(t->d, n, "\"%s\" is no digest; expected 32 bytes in base64",
				tls->keys[i]);
		else
			memcpy(pins[i].b, digest, len);
	}
	to->keys = pins;
	to->n_keys = tls->n_keys;
}

static void translate_client(
	struct translation *t, const struct server_tls *tls, struct tls_chain_config *chain)
{
	struct tls_client_config *to = &chain->client;
	char error[TLS_ERROR_SIZE] = "";
	const char **names;
	int64_t not_after_s;

	if (tls->mode == TLS_MODE_SIMPLE)
		return;
	to->auth = tls->mode == TLS_MODE_MUTUAL ? TLS_CLIENT_REQUIRED : TLS_CLIENT_OPTIONAL;
	to->any = tls->skip_verify && tls->mode == TLS_MODE_MUTUAL;
	names = region_alloc(t->out, (tls->n_names + 1) * sizeof(*names));
	for (unsigned i = 0; i < tls->n_names; i++)
		names[i] = region_strdup(t->out, tls->names[i]);
	to->names = names;
	to->n_names = tls->n_names;
	read_pins(t, tls, to);
	read_authorities(t, tls, to);
	if (to->ca_pem.len == 0 && !to->any && chain->n_certificates > 0) {
		tree_field_warning(t->d, tls->node, "credentialName",
			"has no CA for clients: neither cacert nor ca.crt in its Secret, in that of "
			"its name with -cacert, nor such a file beside the configuration; "
			"handshakes will fail");
		chain->n_certificates = 0;
	}
	if (tls_client_check(to, &not_after_s, error) && not_after_s < t->now_s)
		tree_field_warning(t->d, tls->node, "mode",
			"a CA for clients or its revocation list has expired; those that it signed for are refused (%s)",
			to->ca_name);
	else if (error[0] != '\0')
		tree_error(t->d, object_get(tls, "mode"),
			"unusable CA for clients: %s; expected PEM", error);
}

// --- names

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The server's hosts without their namespaces, sorted; one "*" means no condition.
static void translate_sni(
	struct translation *t, const struct server *s, struct tls_chain_config *to)
{
	const char **sni = region_alloc(t->out, (s->n_hosts + 1) * sizeof(*sni));

	for (unsigned i = 0; i < s->n_hosts; i++) {
		const char *slash = strchr(s->hosts[i], '/');
		const char *host = region_lower(t->out, slash != NULL ? slash + 1 : s->hosts[i]);

		if (strcmp(host, "*") == 0) {
			to->n_sni = 0;
			return;
		}
		sni[to->n_sni++] = host;
	}
	if (to->n_sni > 1)
		qsort(sni, to->n_sni, sizeof(*sni), compare_texts);
	to->sni = sni;
}

static const char *translate_ciphers(struct translation *t, const struct server_tls *tls)
{
	const char *list = NULL;

	for (unsigned i = 0; i < tls->n_ciphers; i++)
		list = region_printf(t->out, "%s%s%s", list != NULL ? list : "",
			list != NULL ? ":" : "", tls->ciphers[i]);
	return list;
}

void translate_tls(struct translation *t, const struct server *s, struct tls_chain_config *to)
{
	const struct server_tls *tls = s->tls;

	translate_sni(t, s, to);
	translate_certificates(t, tls, to);
	translate_client(t, tls, to);
	to->min_version =
		tls->min_version != 0 ? (enum tls_version)tls->min_version : TLS_VERSION_1_2;
	to->max_version =
		tls->max_version != 0 ? (enum tls_version)tls->max_version : TLS_VERSION_1_3;
	to->cipher_suites = translate_ciphers(t, tls);
	to->alpn_h2 = true; // reference 1.2: h2, then http/1.1
}
