// VirtualService: which request goes where (reference/istio-gateway.md, 2).
#include "mgmt/objects.h"

#define OBJECT text_match
static const struct field text_match_fields[] = {
	{"exact", F_STRING, AT(exact), .help = "the whole text"},
	{"prefix", F_STRING, AT(prefix), .help = "its beginning; does not know path segments"},
	{"regex", F_STRING, AT(regex), .help = "the whole text, RE2 syntax, at most 1024 bytes"},
};
static const struct object_type text_match_type = TYPE("StringMatch", text_match_fields);
#undef OBJECT

#define OBJECT http_match
static const struct field match_fields[] = {
	{"name", F_STRING, AT(name), .help = "joined to the route's name in the access log"},
	{"uri", F_OBJECT, AT(uri), .object = &text_match_type, .help = "the path, without query"},
	{"scheme", F_OBJECT, AT(scheme), .object = &text_match_type, .help = "http or https"},
	{"method", F_OBJECT, AT(method), .object = &text_match_type, .help = "GET, POST, ..."},
	{"authority", F_OBJECT, AT(authority), .object = &text_match_type,
		.help = "Host as it was sent, port included"},
	{"headers", F_OBJECT_MAP, LIST(headers), .object = &text_match_type,
		.help = "by lower-case name; {}: is there"},
	{"withoutHeaders", F_OBJECT_MAP, LIST(without_headers), .object = &text_match_type,
		.help = "must not match; {}: is not there"},
	{"queryParams", F_OBJECT_MAP, LIST(query), .object = &text_match_type,
		.help = "first value, not decoded; {}: is there"},
	{"port", F_COUNT, AT(port), .min = "1", .max = "65535", .help = "the server's number"},
	{"gateways", F_STRINGS, LIST(gateways), .help = "overrides spec.gateways for this match"},
	{"sourceLabels", F_MAP, LIST(source_labels), .help = "labels the Appliance must have"},
	{"sourceNamespace", F_STRING, AT(source_namespace), .help = "the Appliance's namespace"},
	{"ignoreUriCase", F_BOOL, AT(ignore_uri_case), .dflt = "false",
		.help = "for uri exact and prefix"},
	NOTHING("statPrefix", NOT_ACTED_ON, "there are no statistics by route"),
};
static const struct object_type match_type = TYPE("VirtualService spec.http[].match[]", match_fields);
#undef OBJECT

#define OBJECT header_operations
static const struct field header_operations_fields[] = {
	{"set", F_MAP, LIST(set), .help = "replaces; Host as a request header rewrites it"},
	{"add", F_MAP, LIST(add), .help = "one more instance"},
	{"remove", F_STRINGS, LIST(remove), .help = "before the others"},
};
static const struct object_type header_operations_type =
	TYPE("headers.request, headers.response", header_operations_fields);
#undef OBJECT

#define OBJECT headers
static const struct field headers_fields[] = {
	{"request", F_OBJECT, AT(request), .object = &header_operations_type, .help = "to the service"},
	{"response", F_OBJECT, AT(response), .object = &header_operations_type, .help = "to the client"},
};
static const struct object_type headers_type = TYPE("headers", headers_fields);
#undef OBJECT

#define OBJECT destination
static const struct field destination_fields[] = {
	{"host", F_STRING, AT(host), .required = true,
		.help = "of a Service or ServiceEntry; a short name is completed by the namespace"},
	{"subset", F_STRING, AT(subset), .help = "of a DestinationRule"},
	{"port", F_OBJECT, AT(port), .object = &port_selector_type,
		.help = "needed if the service has several"},
};
static const struct object_type destination_type =
	TYPE("VirtualService spec.http[].route[].destination", destination_fields);
#undef OBJECT

#define OBJECT http_destination
static const struct field http_destination_fields[] = {
	{"destination", F_OBJECT, AT(destination), .required = true, .object = &destination_type,
		.help = "see below"},
	{"weight", F_COUNT, AT(weight), .dflt = "0", .max = "2147483647",
		.help = "share of the requests; ignored if there is one destination"},
	{"headers", F_OBJECT, AT(headers), .object = &headers_type, .help = "for this destination"},
};
static const struct object_type http_destination_type =
	TYPE("VirtualService spec.http[].route[]", http_destination_fields);
#undef OBJECT

static const struct enum_value derive_ports[] = {
	{"FROM_PROTOCOL_DEFAULT", 0, NULL},
	{"FROM_REQUEST_PORT", 1, NULL},
	{NULL, 0, NULL},
};

#define OBJECT http_redirect
static const struct field redirect_fields[] = {
	{"uri", F_STRING, AT(uri), .help = "the whole path"},
	{"prefixRewrite", F_STRING, AT(prefix_rewrite), .help = "replaces the matched prefix"},
	{"authority", F_STRING, AT(authority), .help = "host of the new location"},
	{"scheme", F_STRING, AT(scheme), .help = "http or https"},
	{"port", F_COUNT, AT(port), .min = "1", .max = "65535", .help = "of the new location"},
	{"derivePort", F_ENUM, AT(from_request_port), .dflt = "FROM_PROTOCOL_DEFAULT",
		.values = derive_ports, .help = "where the port comes from"},
	{"redirectCode", F_COUNT, AT(code), .dflt = "301", .min = "300", .max = "399",
		.help = "301, 302, 303, 307, 308"},
};
static const struct object_type redirect_type = TYPE("VirtualService spec.http[].redirect", redirect_fields);
#undef OBJECT

#define OBJECT direct_body
static const struct field direct_body_fields[] = {
	{"string", F_STRING, AT(text), .help = "the body"},
	{"bytes", F_STRING, AT(base64), .help = "the body in base64"},
};
static const struct object_type direct_body_type =
	TYPE("VirtualService spec.http[].directResponse.body", direct_body_fields);
#undef OBJECT

#define OBJECT direct_response
static const struct field direct_fields[] = {
	{"status", F_COUNT, AT(status), .required = true, .min = "200", .max = "599",
		.help = "of the answer"},
	{"body", F_OBJECT, AT(body), .object = &direct_body_type, .help = "at most 1 MiB"},
};
static const struct object_type direct_type =
	TYPE("VirtualService spec.http[].directResponse", direct_fields);
#undef OBJECT

#define OBJECT http_rewrite
static const struct field rewrite_fields[] = {
	{"uri", F_STRING, AT(uri), .help = "replaces the matched prefix, or the whole path"},
	{"authority", F_STRING, AT(authority), .help = "the Host the service sees"},
	NOTHING("uriRegexRewrite", NOT_ACTED_ON, "the path stays as it is"),
};
static const struct object_type rewrite_type = TYPE("VirtualService spec.http[].rewrite", rewrite_fields);
#undef OBJECT

#define OBJECT http_retry
static const struct field retry_fields[] = {
	{"attempts", F_COUNT, AT(attempts), .dflt = "0", .max = "1000",
		.help = "retries, the first try not counted; 0: none"},
	{"perTryTimeout", F_DURATION, AT(per_try_timeout_us), .min = "1ms",
		.help = "of each attempt; absent: only the route's timeout"},
	{"retryOn", F_STRING, AT(retry_on),
		.help = "conditions and status codes, by comma without spaces"},
	{"backoff", F_DURATION, AT(backoff_us), .dflt = "25ms", .min = "1ms",
		.help = "base of the wait between attempts"},
	{"retryIgnorePreviousHosts", F_BOOL, AT(ignore_previous_hosts), .dflt = "true",
		.help = "prefer hosts that were not tried"},
	NOTHING("retryRemoteLocalities", NOT_ACTED_ON, "there are no localities"),
};
const struct object_type http_retry_type = TYPE("retries", retry_fields);
#undef OBJECT

#define OBJECT http_route
static const struct field route_fields[] = {
	{"name", F_STRING, AT(name), .help = "in the access log"},
	{"match", F_OBJECTS, LIST(matches), .object = &match_type,
		.help = "any of these; absent: every request"},
	{"route", F_OBJECTS, LIST(destinations), .object = &http_destination_type,
		.help = "forward to one of these by weight"},
	{"redirect", F_OBJECT, AT(redirect), .object = &redirect_type, .help = "answer with a redirect"},
	{"directResponse", F_OBJECT, AT(direct), .object = &direct_type,
		.help = "answer without a service"},
	{"rewrite", F_OBJECT, AT(rewrite), .object = &rewrite_type, .help = "of path and Host"},
	{"timeout", F_DURATION, AT(timeout_us), .min = "1ms",
		.help = "of the whole exchange with its retries; absent: none"},
	{"retries", F_OBJECT, AT(retries), .object = &http_retry_type,
		.help = "absent: meshConfig.defaultHttpRetryPolicy, or Istio's two"},
	{"headers", F_OBJECT, AT(headers), .object = &headers_type, .help = "changes to headers"},
	NOTHING("delegate", NOT_ACTED_ON, "the route is left out"),
	NOTHING("fault", NOT_ACTED_ON, "no fault is injected"),
	NOTHING("mirror", NOT_ACTED_ON, "nothing is mirrored"),
	NOTHING("mirrors", NOT_ACTED_ON, "nothing is mirrored"),
	NOTHING("mirrorPercentage", NOT_ACTED_ON, "nothing is mirrored"),
	NOTHING("mirrorPercent", NOT_ACTED_ON, "nothing is mirrored"),
	NOTHING("corsPolicy", NOT_ACTED_ON, "preflights go to the service"),
};
static const struct object_type route_type = TYPE("VirtualService spec.http[]", route_fields);
#undef OBJECT

#define OBJECT virtual_service_spec
static const struct field spec_fields[] = {
	{"hosts", F_STRINGS, LIST(hosts), .help = "names of requests: host, *.suffix, *"},
	{"gateways", F_STRINGS, LIST(gateways), .help = "[namespace/]name, mesh; absent: mesh"},
	{"http", F_OBJECTS, LIST(http), .object = &route_type,
		.help = "the first that matches decides"},
	{"exportTo", F_STRINGS, LIST(export_to), .help = "namespaces, . or *"},
	NOTHING("tls", NOT_ACTED_ON, "connections are not passed through"),
	NOTHING("tcp", NOT_ACTED_ON, "plain TCP is not routed"),
};
static const struct object_type spec_type = TYPE("VirtualService spec", spec_fields);
#undef OBJECT

#define OBJECT virtual_service
static const struct field virtual_service_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type virtual_service_type = TYPE("VirtualService", virtual_service_fields);
#undef OBJECT
