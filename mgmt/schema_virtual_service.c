// VirtualService: which request goes where (reference/istio-gateway.md, 2).
#include "mgmt/objects.h"

#define OBJECT text_match
static const struct field text_match_fields[] = {
	FIELD("exact", F_STRING, exact, "the whole text"),
	FIELD("prefix", F_STRING, prefix, "its beginning; does not know path segments"),
	FIELD("regex", F_STRING, regex, "the whole text, RE2 syntax, at most 1024 bytes"),
};
static const struct object_type text_match_type = TYPE("StringMatch", text_match_fields);
#undef OBJECT

#define OBJECT http_match
static const struct field match_fields[] = {
	FIELD("name", F_STRING, name, "joined to the route's name in the access log"),
	FIELD("uri", F_OBJECT, uri, "the path, without query", .object = &text_match_type),
	FIELD("scheme", F_OBJECT, scheme, "http or https", .object = &text_match_type),
	FIELD("method", F_OBJECT, method, "GET, POST, ...", .object = &text_match_type),
	FIELD("authority", F_OBJECT, authority, "Host as it was sent, port included",
		.object = &text_match_type),
	LIST_FIELD("headers", F_OBJECT_MAP, headers, "by lower-case name; {}: is there",
		.object = &text_match_type),
	LIST_FIELD("withoutHeaders", F_OBJECT_MAP, without_headers,
		"must not match; {}: is not there", .object = &text_match_type),
	LIST_FIELD("queryParams", F_OBJECT_MAP, query, "first value, not decoded; {}: is there",
		.object = &text_match_type),
	FIELD("port", F_COUNT, port, "the server's number", .min = "1", .max = "65535"),
	LIST_FIELD("gateways", F_STRINGS, gateways, "overrides spec.gateways for this match"),
	LIST_FIELD("sourceLabels", F_MAP, source_labels, "labels the Appliance must have"),
	FIELD("sourceNamespace", F_STRING, source_namespace, "the Appliance's namespace"),
	FIELD("ignoreUriCase", F_BOOL, ignore_uri_case, "for uri exact and prefix",
		.dflt = "false"),
	NOTHING("statPrefix", NOT_ACTED_ON, "there are no statistics by route"),
};
static const struct object_type match_type =
	TYPE("VirtualService spec.http[].match[]", match_fields);
#undef OBJECT

#define OBJECT header_operations
static const struct field header_operations_fields[] = {
	LIST_FIELD("set", F_MAP, set, "replaces; Host as a request header rewrites it"),
	LIST_FIELD("add", F_MAP, add, "one more instance"),
	LIST_FIELD("remove", F_STRINGS, remove, "before the others"),
};
static const struct object_type header_operations_type =
	TYPE("headers.request, headers.response", header_operations_fields);
#undef OBJECT

#define OBJECT headers
static const struct field headers_fields[] = {
	FIELD("request", F_OBJECT, request, "to the service", .object = &header_operations_type),
	FIELD("response", F_OBJECT, response, "to the client", .object = &header_operations_type),
};
static const struct object_type headers_type = TYPE("headers", headers_fields);
#undef OBJECT

#define OBJECT destination
static const struct field destination_fields[] = {
	FIELD("host", F_STRING, host,
		"of a Service or ServiceEntry; a short name is completed by the namespace",
		.required = true),
	FIELD("subset", F_STRING, subset, "of a DestinationRule"),
	FIELD("port", F_OBJECT, port, "needed if the service has several",
		.object = &port_selector_type),
};
static const struct object_type destination_type =
	TYPE("VirtualService spec.http[].route[].destination", destination_fields);
#undef OBJECT

#define OBJECT http_destination
static const struct field http_destination_fields[] = {
	FIELD("destination", F_OBJECT, destination, "see below", .required = true,
		.object = &destination_type),
	FIELD("weight", F_COUNT, weight,
		"share of the requests; ignored if there is one destination", .dflt = "0",
		.max = "2147483647"),
	FIELD("headers", F_OBJECT, headers, "for this destination", .object = &headers_type),
};
static const struct object_type http_destination_type =
	TYPE("VirtualService spec.http[].route[]", http_destination_fields);
#undef OBJECT

static const struct enum_value derive_ports[] = {
	{"FROM_PROTOCOL_DEFAULT", 0, NULL},
	{"FROM_REQUEST_PORT",     1, NULL},
	{NULL,		    0, NULL},
};

#define OBJECT http_redirect
static const struct field redirect_fields[] = {
	FIELD("uri", F_STRING, uri, "the whole path"),
	FIELD("prefixRewrite", F_STRING, prefix_rewrite, "replaces the matched prefix"),
	FIELD("authority", F_STRING, authority, "host of the new location"),
	FIELD("scheme", F_STRING, scheme, "http or https"),
	FIELD("port", F_COUNT, port, "of the new location", .min = "1", .max = "65535"),
	FIELD("derivePort", F_ENUM, from_request_port, "where the port comes from",
		.dflt = "FROM_PROTOCOL_DEFAULT", .values = derive_ports),
	FIELD("redirectCode", F_COUNT, code, "301, 302, 303, 307, 308", .dflt = "301", .min = "300",
		.max = "399"),
};
static const struct object_type redirect_type =
	TYPE("VirtualService spec.http[].redirect", redirect_fields);
#undef OBJECT

#define OBJECT direct_body
static const struct field direct_body_fields[] = {
	FIELD("string", F_STRING, text, "the body"),
	FIELD("bytes", F_STRING, base64, "the body in base64"),
};
static const struct object_type direct_body_type =
	TYPE("VirtualService spec.http[].directResponse.body", direct_body_fields);
#undef OBJECT

#define OBJECT direct_response
static const struct field direct_fields[] = {
	FIELD("status", F_COUNT, status, "of the answer", .required = true, .min = "200",
		.max = "599"),
	FIELD("body", F_OBJECT, body, "at most 1 MiB", .object = &direct_body_type),
};
static const struct object_type direct_type =
	TYPE("VirtualService spec.http[].directResponse", direct_fields);
#undef OBJECT

#define OBJECT http_rewrite
static const struct field rewrite_fields[] = {
	FIELD("uri", F_STRING, uri, "replaces the matched prefix, or the whole path"),
	FIELD("authority", F_STRING, authority, "the Host the service sees"),
	NOTHING("uriRegexRewrite", NOT_ACTED_ON, "the path stays as it is"),
};
static const struct object_type rewrite_type =
	TYPE("VirtualService spec.http[].rewrite", rewrite_fields);
#undef OBJECT

#define OBJECT http_retry
static const struct field retry_fields[] = {
	FIELD("attempts", F_COUNT, attempts, "retries, the first try not counted; 0: none",
		.dflt = "0", .max = "1000"),
	FIELD("perTryTimeout", F_DURATION, per_try_timeout_us,
		"of each attempt; absent: only the route's timeout", .min = "1ms"),
	FIELD("retryOn", F_STRING, retry_on,
		"conditions and status codes, by comma without spaces"),
	FIELD("backoff", F_DURATION, backoff_us, "base of the wait between attempts",
		.dflt = "25ms", .min = "1ms"),
	FIELD("retryIgnorePreviousHosts", F_BOOL, ignore_previous_hosts,
		"prefer hosts that were not tried", .dflt = "true"),
	NOTHING("retryRemoteLocalities", NOT_ACTED_ON, "there are no localities"),
};
const struct object_type http_retry_type = TYPE("retries", retry_fields);
#undef OBJECT

#define OBJECT http_route
static const struct field route_fields[] = {
	FIELD("name", F_STRING, name, "in the access log"),
	LIST_FIELD("match", F_OBJECTS, matches, "any of these; absent: every request",
		.object = &match_type),
	LIST_FIELD("route", F_OBJECTS, destinations, "forward to one of these by weight",
		.object = &http_destination_type),
	FIELD("redirect", F_OBJECT, redirect, "answer with a redirect", .object = &redirect_type),
	FIELD("directResponse", F_OBJECT, direct, "answer without a service",
		.object = &direct_type),
	FIELD("rewrite", F_OBJECT, rewrite, "of path and Host", .object = &rewrite_type),
	FIELD("timeout", F_DURATION, timeout_us,
		"of the whole exchange with its retries; absent: none", .min = "1ms"),
	FIELD("retries", F_OBJECT, retries,
		"absent: meshConfig.defaultHttpRetryPolicy, or Istio's two",
		.object = &http_retry_type),
	FIELD("headers", F_OBJECT, headers, "changes to headers", .object = &headers_type),
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
	LIST_FIELD("hosts", F_STRINGS, hosts, "names of requests: host, *.suffix, *"),
	LIST_FIELD("gateways", F_STRINGS, gateways, "[namespace/]name, mesh; absent: mesh"),
	LIST_FIELD(
		"http", F_OBJECTS, http, "the first that matches decides", .object = &route_type),
	LIST_FIELD("exportTo", F_STRINGS, export_to, "namespaces, . or *"),
	NOTHING("tls", NOT_ACTED_ON, "connections are not passed through"),
	NOTHING("tcp", NOT_ACTED_ON, "plain TCP is not routed"),
};
static const struct object_type spec_type = TYPE("VirtualService spec", spec_fields);
#undef OBJECT

#define OBJECT virtual_service
static const struct field virtual_service_fields[] = {DOCUMENT_ROWS, SPEC_ROW(spec_type)};
const struct object_type virtual_service_type = TYPE("VirtualService", virtual_service_fields);
#undef OBJECT
