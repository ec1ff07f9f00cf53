// Gateway: what is listened on (reference/istio-gateway.md, 1).
#include "mgmt/objects.h"
#include "tls/tls.h"

// HTTP2 and GRPC are plain listeners that take HTTP/1.1 too; Istio treats them alike.
static const struct enum_value protocols[] = {
	{"HTTP",     PROTOCOL_HTTP,  NULL                      },
	{"HTTPS",    PROTOCOL_HTTPS, NULL                      },
	{"HTTP2",    PROTOCOL_HTTP,  NULL                      },
	{"GRPC",     PROTOCOL_HTTP,  NULL                      },
	{"GRPC-WEB", PROTOCOL_HTTP,  NULL                      },
	{"TLS",      PROTOCOL_TLS,   "the server is not served"},
	{"TCP",      PROTOCOL_TCP,   "the server is not served"},
	{"MONGO",    PROTOCOL_TCP,   "the server is not served"},
	{"MYSQL",    PROTOCOL_TCP,   "the server is not served"},
	{"REDIS",    PROTOCOL_TCP,   "the server is not served"},
	{NULL,       0,              NULL		      },
};

#define OBJECT server_port
static const struct field port_fields[] = {
	FIELD("number", F_COUNT, number,
		"the Service's port; where it is bound is up to the Service (443 -> 8443)",
		.required = true, .min = "1", .max = "65535"),
	FIELD("protocol", F_ENUM, protocol, "what is spoken", .required = true,
		.values = protocols),
	FIELD("name", F_STRING, name, "unique in the Gateway", .required = true),
	NOTHING("targetPort", NOT_ACTED_ON, "Istio has withdrawn it"),
};
static const struct object_type port_type = TYPE("Gateway spec.servers[].port", port_fields);
#undef OBJECT

static const struct enum_value tls_modes[] = {
	{"SIMPLE",           TLS_MODE_SIMPLE,           NULL                      },
	{"PASSTHROUGH",      TLS_MODE_PASSTHROUGH,      "the server is not served"},
	{"MUTUAL",           TLS_MODE_MUTUAL,           NULL                      },
	{"AUTO_PASSTHROUGH", TLS_MODE_AUTO_PASSTHROUGH, "the server is not served"},
	{"ISTIO_MUTUAL",     TLS_MODE_ISTIO_MUTUAL,     "the server is not served"},
	{"OPTIONAL_MUTUAL",  TLS_MODE_OPTIONAL_MUTUAL,  NULL                      },
	{NULL,	       0,			 NULL		      },
};

static const struct enum_value tls_versions[] = {
	{"TLS_AUTO", 0,               NULL             },
	{"TLSV1_0",  TLS_VERSION_1_2, "TLS 1.2 is used"},
	{"TLSV1_1",  TLS_VERSION_1_2, "TLS 1.2 is used"},
	{"TLSV1_2",  TLS_VERSION_1_2, NULL             },
	{"TLSV1_3",  TLS_VERSION_1_3, NULL             },
	{NULL,       0,               NULL             },
};

#define OBJECT certificate_files
static const struct field files_fields[] = {
	FIELD("serverCertificate", F_STRING, certificate, "PEM file", .required = true),
	FIELD("privateKey", F_STRING, key, "PEM file", .required = true),
	FIELD("caCertificates", F_STRING, ca, "PEM file, for clients; the first one is taken"),
};
static const struct object_type files_type =
	TYPE("Gateway spec.servers[].tls.tlsCertificates[]", files_fields);
#undef OBJECT

#define OBJECT server_tls
static const struct field tls_fields[] = {
	FIELD("httpsRedirect", F_BOOL, https_redirect,
		"on HTTP servers: 301 to https for every request", .dflt = "false"),
	FIELD("mode", F_ENUM, mode,
		"SIMPLE: TLS ends here; MUTUAL: and clients need a certificate; OPTIONAL_MUTUAL: or none at all",
		.dflt = "PASSTHROUGH", .values = tls_modes),
	FIELD("serverCertificate", F_STRING, certificate, "PEM file"),
	FIELD("privateKey", F_STRING, key, "PEM file"),
	FIELD("caCertificates", F_STRING, ca, "PEM file: who signs for clients"),
	LIST_FIELD("tlsCertificates", F_OBJECTS, files, "at most two: one RSA, one ECDSA",
		.object = &files_type),
	FIELD("credentialName", F_STRING, credential,
		"a Secret, or NAME.crt and NAME.key beside the configuration"),
	LIST_FIELD("credentialNames", F_STRINGS, credentials, "at most two: one RSA, one ECDSA"),
	FIELD("minProtocolVersion", F_ENUM, min_version, "TLS_AUTO: 1.2", .dflt = "TLS_AUTO",
		.values = tls_versions),
	FIELD("maxProtocolVersion", F_ENUM, max_version, "TLS_AUTO: 1.3", .dflt = "TLS_AUTO",
		.values = tls_versions),
	LIST_FIELD("cipherSuites", F_STRINGS, ciphers, "OpenSSL names, for TLS 1.2"),
	FIELD("caCertCredentialName", F_STRING, ca_credential,
		"a Secret with cacert or ca.crt, or NAME.crt beside the configuration; absent: NAME-cacert or NAME of credentialName"),
	LIST_FIELD("subjectAltNames", F_STRINGS, names,
		"one of them has to be in a client's certificate, as URI, DNS name, e-mail or IP address; exact"),
	LIST_FIELD("verifyCertificateSpki", F_STRINGS, keys,
		"SHA-256 of public keys (SubjectPublicKeyInfo) in base64, one of which a client has to have"),
	LIST_FIELD("verifyCertificateHash", F_STRINGS, hashes,
		"SHA-256 of certificates in hex, one of which a client has to have; or a key of verifyCertificateSpki"),
	NOTHING("ecdhCurves", NOT_ACTED_ON, "X25519 and P-256 are offered"),
	FIELD("caCrl", F_STRING, crl,
		"PEM file: what the CAs have revoked; not with credentialName, where it is ca.crl or crl of the Secret"),
	FIELD("insecureSkipVerify", F_BOOL, skip_verify, "with MUTUAL: any certificate will do",
		.dflt = "false"),
};
static const struct object_type tls_type = TYPE("Gateway spec.servers[].tls", tls_fields);
#undef OBJECT

#define OBJECT server
static const struct field server_fields[] = {
	FIELD("port", F_OBJECT, port, "see below", .required = true, .object = &port_type),
	FIELD("bind", F_STRING, bind, "an IP address; absent: every address of ours"),
	LIST_FIELD("hosts", F_STRINGS, hosts,
		"[namespace/]host, [namespace/]*.suffix, [namespace/]*", .required = true),
	FIELD("tls", F_OBJECT, tls, "see below", .object = &tls_type),
	FIELD("name", F_STRING, name, "of the server, for its statistics"),
	NOTHING("defaultEndpoint", NOT_ACTED_ON, "Istio has never acted on it"),
};
static const struct object_type server_type = TYPE("Gateway spec.servers[]", server_fields);
#undef OBJECT

#define OBJECT gateway_spec
static const struct field spec_fields[] = {
	LIST_FIELD("selector", F_MAP, selector,
		"labels the Appliance must have; absent: every gateway"),
	LIST_FIELD("servers", F_OBJECTS, servers, "see below", .required = true,
		.object = &server_type),
};
static const struct object_type spec_type = TYPE("Gateway spec", spec_fields);
#undef OBJECT

#define OBJECT gateway
static const struct field gateway_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type gateway_type = TYPE("Gateway", gateway_fields);
#undef OBJECT
