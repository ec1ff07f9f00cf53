#include "mgmt/manifest.h"

#include "dataplane/base/hash.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 10000

const struct kind_info kinds[OBJECT_N_KINDS] = {
	[KIND_APPLIANCE] = {"Appliance",       "pollgate.dev",        {"v1alpha1"},                  &appliance_type       },
	[KIND_GATEWAY] = {"Gateway",         "networking.istio.io", {"v1", "v1beta1", "v1alpha3"},
			    &gateway_type										  },
	[KIND_VIRTUAL_SERVICE] = {"VirtualService",  "networking.istio.io",
			    {"v1", "v1beta1", "v1alpha3"},                                           &virtual_service_type },
	[KIND_DESTINATION_RULE] = {"DestinationRule", "networking.istio.io",
			    {"v1", "v1beta1", "v1alpha3"},                                           &destination_rule_type},
	[KIND_SERVICE_ENTRY] = {"ServiceEntry",    "networking.istio.io",
			    {"v1", "v1beta1", "v1alpha3"},                                           &service_entry_type   },
	[KIND_WORKLOAD_ENTRY] = {"WorkloadEntry",   "networking.istio.io",
			    {"v1", "v1beta1", "v1alpha3"},                                           &workload_entry_type  },
	[KIND_ISTIO_OPERATOR] = {"IstioOperator",   "install.istio.io",    {"v1alpha1"},
			    &istio_operator_type									   },
	[KIND_SERVICE] = {"Service",         "",                    {"v1"},                        &service_type         },
	[KIND_ENDPOINT_SLICE] = {"EndpointSlice",   "discovery.k8s.io",    {"v1"},                        &endpoint_slice_type  },
	[KIND_POD] = {"Pod",             "",                    {"v1"},                        &pod_type             },
	[KIND_SECRET] = {"Secret",          "",                    {"v1"},                        &secret_type          },
	[KIND_CONFIG_MAP] = {"ConfigMap",       "",                    {"v1"},                        &config_map_type      },
};

// --- one document

static void put(struct manifest *m, enum object_kind kind, struct document *o)
{
	m->of[kind].at = region_grow(m->objects, m->of[kind].at, m->of[kind].n, sizeof(o));
	m->of[kind].at[m->of[kind].n++] = o;
}

// True if 'api_version' is one of 'info'; says why not.
static bool version_is_read(
	struct manifest *m, const struct node *root, const struct kind_info *info)
{
	const struct node *n = tree_get(root, "apiVersion");
	size_t group_len = strlen(info->group);
	const char *version;

	if (n == NULL)
		return tree_field_error(m->d, root, "apiVersion", "is missing; expected %s%s%s",
			info->group, group_len > 0 ? "/" : "", info->versions[0]);
	version = n->text;
	if (group_len > 0) {
		if (strncmp(version, info->group, group_len) != 0 || version[group_len] != '/')
			return tree_warning(m->d, n,
				"%s of \"%s\" is not read; the document is skipped", info->kind,
				n->text);
		version += group_len + 1;
	} else if (strchr(version, '/') != NULL) {
		return tree_warning(m->d, n, "%s of \"%s\" is not read; the document is skipped",
			info->kind, n->text);
	}
	for (unsigned i = 0; i < 4 && info->versions[i] != NULL; i++) {
		if (strcmp(version, info->versions[i]) == 0)
			return true;
	}
	return tree_error(m->d, n, "unknown version \"%s\"; expected %s%s%s", n->text, info->group,
		group_len > 0 ? "/" : "", info->versions[0]);
}

static enum object_kind find_kind(struct manifest *m, const struct node *n)
{
	const char *best = NULL;
	unsigned distance = 0;

	for (unsigned i = 0; i < OBJECT_N_KINDS; i++) {
		if (strcmp(n->text, kinds[i].kind) == 0)
			return (enum object_kind)i;
		suggest(n->text, kinds[i].kind, &best, &distance);
	}
	if (best != NULL && distance <= 2)
		tree_warning(m->d, n, "\"%s\" is not read; did you mean \"%s\"?", n->text, best);
	else
		tree_warning(m->d, n, "\"%s\" is not read; the document is skipped", n->text);
	return OBJECT_N_KINDS;
}

static void add_document(void *arg, const struct node *root)
{
	struct manifest *m = arg;
	const struct node *kind_node = tree_get(root, "kind");
	enum object_kind kind;
	struct document *o;
	struct reader r = {.objects = m->objects, .strings = m->strings, .d = m->d};

	if (root->kind != NODE_MAPPING) {
		tree_error(
			m->d, root, "the document is not a mapping; expected kind, metadata, spec");
		return;
	}
	if (kind_node == NULL) {
		tree_field_error(m->d, root, "kind", "is missing; expected such as Gateway");
		return;
	}
	// What kubectl prints for several objects.
	if (strcmp(kind_node->text, "List") == 0) {
		const struct node *items = tree_get(root, "items");

		if (items == NULL || items->kind != NODE_SEQUENCE)
			tree_field_error(m->d, root, "items", "is %s; expected a list of documents",
				items == NULL ? "missing" : "no list");
		else
			for (const struct node *c = items->first; c != NULL; c = c->next)
				add_document(m, c);
		return;
	}
	kind = find_kind(m, kind_node);
	if (kind == OBJECT_N_KINDS || !version_is_read(m, root, &kinds[kind]))
		return;
	o = region_alloc(m->objects, kinds[kind].type->size);
	o->broken = !object_read(&r, kinds[kind].type, root, o);
	o->name = o->metadata != NULL ? o->metadata->name : "";
	o->namespace = o->metadata != NULL ? o->metadata->namespace : "default";
	put(m, kind, o);
}

// --- files

void manifest_add(struct manifest *m, const char *file, struct bytes text)
{
	static const struct hash_key key = {0x706f6c6c67617465, 1};

	m->hash = (m->hash ^ hash_bytes(&key, text.ptr, text.len)) * 0x9e3779b97f4a7c15;
	tree_parse(m->objects, file, text, m->d, add_document, m);
}

static void add_file(struct manifest *m, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *text = NULL;
	size_t len = 0, size;

	if (fd < 0 || fstat(fd, &st) != 0) {
		diag_add(m->d, DIAG_ERROR, path, 0, 0, NULL, "cannot be read: %s; expected a file",
			strerror(errno));
		goto out;
	}
	// One byte more than is allowed, so that what is too large is seen to be.
	size = S_ISREG(st.st_mode) && st.st_size < TREE_MAX_BYTES ? (size_t)st.st_size + 1
								  : TREE_MAX_BYTES + 1;
	text = malloc(size);
	if (text == NULL) {
		diag_add(m->d, DIAG_ERROR, path, 0, 0, NULL, "out of memory");
		goto out;
	}
	for (ssize_t n; len < size; len += (size_t)n) {
		n = read(fd, text + len, size - len);
		if (n < 0) {
			diag_add(m->d, DIAG_ERROR, path, 0, 0, NULL,
				"cannot be read: %s; expected a file", strerror(errno));
			goto out;
		}
		if (n == 0)
			break;
	}
	manifest_add(m, region_strdup(m->objects, path), bytes_of(text, len));
out:
	free(text);
	if (fd >= 0)
		close(fd);
}

static bool is_yaml(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.'
		&& ((len > 5 && strcmp(name + len - 5, ".yaml") == 0)
			|| (len > 4 && strcmp(name + len - 4, ".yml") == 0));
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_folder(struct manifest *m, const char *path)
{
	DIR *dir = opendir(path);
	const char **names = NULL;
	unsigned n = 0;

	if (dir == NULL) {
		diag_add(m->d, DIAG_ERROR, path, 0, 0, NULL,
			"cannot be read: %s; expected a folder", strerror(errno));
		return;
	}
	for (const struct dirent *e; (e = readdir(dir)) != NULL && n < MAX_FILES;) {
		if (!is_yaml(e->d_name))
			continue;
		names = region_grow(m->objects, names, n, sizeof(*names));
		names[n++] = region_printf(m->objects, "%s%s%s", path,
			path[strlen(path) - 1] == '/' ? "" : "/", e->d_name);
	}
	closedir(dir);
	if (n == 0) {
		diag_add(m->d, DIAG_WARNING, path, 0, 0, NULL,
			"the folder has no *.yaml; nothing is read from it");
		return;
	}
	qsort(names, n, sizeof(*names), compare_texts);
	for (unsigned i = 0; i < n; i++) {
		struct stat st;

		// A pipe or a device would hold up the thread. (One that is named with --config is asked for.)
		if (stat(names[i], &st) == 0 && !S_ISREG(st.st_mode))
			diag_add(m->d, DIAG_ERROR, names[i], 0, 0, NULL,
				"is not a regular file; expected one, or another name");
		else
			add_file(m, names[i]);
	}
}

static void add_certificate_folder(struct manifest *m, const char *path, bool is_folder)
{
	const char *slash = strrchr(path, '/');
	const char *folder = is_folder ? region_strdup(m->objects, path)
		: slash == NULL        ? "."
		: slash == path        ? "/"
				       : region_copy(m->objects, path, (size_t)(slash - path));

	for (unsigned i = 0; i < m->n_folders; i++) {
		if (strcmp(m->folders[i], folder) == 0)
			return;
	}
	m->folders = region_grow(m->objects, m->folders, m->n_folders, sizeof(*m->folders));
	m->folders[m->n_folders++] = folder;
}

void manifest_load(struct manifest *m, const char *const *paths, unsigned n_paths,
	struct region *objects, struct region *strings, struct diag *d)
{
	*m = (struct manifest){.objects = objects, .strings = strings, .d = d};
	for (unsigned i = 0; i < n_paths; i++) {
		struct stat st;
		bool is_folder = stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode);

		add_certificate_folder(m, paths[i], is_folder);
		if (is_folder)
			add_folder(m, paths[i]);
		else
			add_file(m, paths[i]);
	}
	manifest_finish(m);
}

// --- the whole

static int compare_documents(const void *va, const void *vb)
{
	const struct document *a = *(struct document *const *)va,
			      *b = *(struct document *const *)vb;
	int order = strcmp(a->name, b->name);

	if (order == 0)
		order = strcmp(a->namespace, b->namespace);
	if (order == 0 && a->node->file != b->node->file)
		order = strcmp(a->node->file, b->node->file);
	if (order == 0)
		order = a->node->line < b->node->line ? -1 : a->node->line > b->node->line;
	return order;
}

static bool same_name(const struct document *a, const struct document *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->namespace, b->namespace) == 0;
}

struct mesh_reading {
	struct manifest *m;
	bool ok;
};

static void read_mesh(void *arg, const struct node *root)
{
	struct mesh_reading *reading = arg;
	struct manifest *m = reading->m;
	struct reader r = {.objects = m->objects, .strings = m->strings, .d = m->d};

	m->mesh = region_alloc(m->objects, sizeof(*m->mesh));
	reading->ok = object_read(&r, &mesh_config_type, root, m->mesh);
}

// IstioOperator's meshConfig, else the ConfigMap that istiod reads.
static void find_mesh(struct manifest *m)
{
	for (unsigned i = 0; i < m->of[KIND_ISTIO_OPERATOR].n; i++) {
		struct istio_operator *o =
			(struct istio_operator *)m->of[KIND_ISTIO_OPERATOR].at[i];

		if (i > 0)
			tree_field_error(m->d, o->document.node, "kind",
				"a second IstioOperator; expected one, as at %s:%u",
				m->of[KIND_ISTIO_OPERATOR].at[0]->node->file,
				m->of[KIND_ISTIO_OPERATOR].at[0]->node->line);
		if (m->mesh == NULL && o->spec != NULL)
			m->mesh = o->spec->mesh;
	}
	for (unsigned i = 0; i < m->of[KIND_CONFIG_MAP].n; i++) {
		struct config_map *o = (struct config_map *)m->of[KIND_CONFIG_MAP].at[i];
		const struct node *text = tree_get(o->data, "mesh");
		struct mesh_reading reading = {.m = m, .ok = true};

		if (strcmp(o->document.name, "istio") != 0 || text == NULL)
			continue;
		if (m->mesh != NULL) {
			tree_warning(m->d, text,
				"is read but not acted on; IstioOperator has a meshConfig");
			continue;
		}
		if (text->kind == NODE_SCALAR)
			tree_parse_scalar(m->objects, text, m->d, read_mesh, &reading);
		else
			tree_error(m->d, text,
				"is no text; expected meshConfig as YAML in a block scalar (|)");
	}
}

void manifest_finish(struct manifest *m)
{
	for (unsigned k = 0; k < OBJECT_N_KINDS; k++) {
		struct document **at = m->of[k].at;
		unsigned n = m->of[k].n, kept = 0;

		if (n > 1)
			qsort(at, n, sizeof(*at), compare_documents);
		for (unsigned i = 0; i < n; i++) {
			const struct document *first = kept > 0 ? at[kept - 1] : NULL;

			if (first == NULL || !same_name(first, at[i])) {
				at[kept++] = at[i];
				continue;
			}
			if (at[i]->metadata != NULL && at[i]->name[0] != '\0')
				tree_field_error(m->d, at[i]->metadata->node, "name",
					"%s \"%s/%s\" is already at %s:%u; expected it once",
					kinds[k].kind, at[i]->namespace, at[i]->name,
					first->node->file, first->node->line);
		}
		m->of[k].n = kept;
	}
	find_mesh(m);
}

struct document *manifest_find(
	const struct manifest *m, enum object_kind kind, const char *namespace, const char *name)
{
	unsigned low = 0, high = m->of[kind].n;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		struct document *o = m->of[kind].at[middle];
		int order = strcmp(name, o->name);

		if (order == 0)
			order = strcmp(namespace, o->namespace);
		if (order == 0)
			return o;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
