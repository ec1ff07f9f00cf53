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
	{"number",									   F_COUNT, AT(number), .required = true, .min = "1", .max = "65535",
         .help = "the Service's port; where it is bound is up to the Service (443 -> 8443)"},
	{"protocol", F_ENUM,        AT(protocol),         .required = true,                   .values = protocols,
         .help = "what is spoken"},
	{"name",							       F_STRING,								    AT(name),									      .required = true,											 .help = "unique in the Gateway"                            },
	NOTHING("targetPort", NOT_ACTED_ON, "Istio has withdrawn it"),
};
static const struct object_type port_type = TYPE("Gateway spec.servers[].port", port_fields);
#undef OBJECT

static const struct enum_value tls_modes[] = {
	{"SIMPLE",           TLS_MODE_SIMPLE,           NULL                      },
	{"PASSTHROUGH",      TLS_MODE_PASSTHROUGH,      "the server is not served"},
	{"MUTUAL",           TLS_MODE_MUTUAL,           "the server is not served"},
	{"AUTO_PASSTHROUGH", TLS_MODE_AUTO_PASSTHROUGH, "the server is not served"},
	{"ISTIO_MUTUAL",     TLS_MODE_ISTIO_MUTUAL,     "the server is not served"},
	{"OPTIONAL_MUTUAL",  TLS_MODE_OPTIONAL_MUTUAL,  "the server is not served"},
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
	{"serverCertificate", F_STRING, AT(certificate), .required = true, .help = "PEM file"},
	{"privateKey",        F_STRING, AT(key),         .required = true, .help = "PEM file"},
	NOTHING("caCertificates", NOT_ACTED_ON, "clients are not asked for certificates"),
};
static const struct object_type files_type =
	TYPE("Gateway spec.servers[].tls.tlsCertificates[]", files_fields);
#undef OBJECT

#define OBJECT server_tls
static const struct field tls_fields[] = {
	{"httpsRedirect",         F_BOOL,         AT(https_redirect),            .dflt = "false",
         .help = "on HTTP servers: 301 to https for every request"},
	{"mode",		       F_ENUM,				AT(mode),                                 .dflt = "PASSTHROUGH",                  .values = tls_modes,
         .help = "SIMPLE: TLS ends here"},
	{"serverCertificate",    F_STRING,         AT(certificate),                                      .help = "PEM file"                                           },
	{"privateKey",        F_STRING,AT(key),.help = "PEM file"},
	{"caCertificates",                F_STRING,                 AT(ca),							   .status = FIELD_NOT_ACTED_ON,
         .help = "clients are not asked for certificates"},
	{"tlsCertificates",                 F_OBJECTS,LIST(files),                       .object = &files_type,
         .help = "at most two: one RSA, one ECDSA"},
	{"credentialName",F_STRING,               AT(credential),
         .help = "a Secret, or NAME.crt and NAME.key beside the configuration"                                                       },
	{"credentialNames",        F_STRINGS,                 LIST(credentials),
         .help = "at most two: one RSA, one ECDSA"                           },
	{"minProtocolVersion",       F_ENUM,     AT(min_version), .dflt = "TLS_AUTO",                                                        .values = tls_versions,
         .help = "TLS_AUTO: 1.2"},
	{"maxProtocolVersion",    F_ENUM,      AT(max_version),                .dflt = "TLS_AUTO",                      .values = tls_versions,
         .help = "TLS_AUTO: 1.3"},
	{"cipherSuites", F_STRINGS,               LIST(ciphers),                         .help = "OpenSSL names, for TLS 1.2"                                       },
	NOTHING("caCertCredentialName", NOT_ACTED_ON, "clients are not asked for certificates"),
	NOTHING("subjectAltNames", NOT_ACTED_ON, "clients are not asked for certificates"),
	NOTHING("verifyCertificateSpki", NOT_ACTED_ON, "clients are not asked for certificates"),
	NOTHING("verifyCertificateHash", NOT_ACTED_ON, "clients are not asked for certificates"),
	NOTHING("ecdhCurves", NOT_ACTED_ON, "X25519 and P-256 are offered"),
	NOTHING("caCrl", NOT_ACTED_ON, "clients are not asked for certificates"),
	NOTHING("insecureSkipVerify", NOT_ACTED_ON, "clients are not asked for certificates"),
};
static const struct object_type tls_type = TYPE("Gateway spec.servers[].tls", tls_fields);
#undef OBJECT

#define OBJECT server
static const struct field server_fields[] = {
	{"port",						  F_OBJECT, AT(port), .required = true,                              .object = &port_type, .help = "see below"},
	{"bind",				    F_STRING,					    AT(bind),					       .help = "an IP address; absent: every address of ours"                                                },
	{"hosts", F_STRINGS,         LIST(hosts),.required = true,
         .help = "[namespace/]host, [namespace/]*.suffix, [namespace/]*"},
	{"tls",				       F_OBJECT,   AT(tls),           .object = &tls_type,                                                    .help = "see below"},
	{"name",						F_STRING,				   AT(name),              .help = "of the server, for its statistics"       },
	NOTHING("defaultEndpoint", NOT_ACTED_ON, "Istio has never acted on it"),
};
static const struct object_type server_type = TYPE("Gateway spec.servers[]", server_fields);
#undef OBJECT

#define OBJECT gateway_spec
static const struct field spec_fields[] = {
	{"selector",     F_MAP,            LIST(selector),
         .help = "labels the Appliance must have; absent: every gateway"},
	{ "servers", F_OBJECTS, LIST(servers), .required = true,                                             .object = &server_type,
         .help = "see below"},
};
static const struct object_type spec_type = TYPE("Gateway spec", spec_fields);
#undef OBJECT

#define OBJECT gateway
static const struct field gateway_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type gateway_type = TYPE("Gateway", gateway_fields);
#undef OBJECT
