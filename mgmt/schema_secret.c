// Secret and ConfigMap (reference/istio-gateway.md, 1.4, 4.5 and 5.1).
#include "mgmt/objects.h"

#define OBJECT secret
static const struct field secret_fields[] = {
	DOCUMENT_ROWS,
	FIELD("type", F_STRING, type, "kubernetes.io/tls or Opaque", .dflt = "Opaque"),
	LIST_FIELD("data", F_MAP, data,
		"base64; cert and key, or tls.crt and tls.key; cacert or ca.crt, and crl or ca.crl"),
	LIST_FIELD("stringData", F_MAP, string_data, "the same in clear"),
	NOTHING("immutable", SILENT, "for others"),
};
const struct object_type secret_type = TYPE("Secret", secret_fields);
#undef OBJECT

#define OBJECT config_map
static const struct field config_map_fields[] = {
	DOCUMENT_ROWS,
	FIELD("data", F_NODE, data, "key mesh of the ConfigMap istio: meshConfig as YAML"),
	NOTHING("binaryData", SILENT, "for others"),
	NOTHING("immutable", SILENT, "for others"),
};
const struct object_type config_map_type = TYPE("ConfigMap", config_map_fields);
#undef OBJECT
