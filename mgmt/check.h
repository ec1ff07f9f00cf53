// What documents say that no single field shows to be wrong: the validation of Istio
// (reference/istio-gateway.md, 2.16 and 3.9), what one document says of another, regular
// expressions, log formats. Messages go to m->d.
//
// The documents may be incomplete: what is missing was said when they were read.
#pragma once

#include "mgmt/translate.h"

void check_objects(const struct manifest *m);

void check_gateway(const struct manifest *m, const struct gateway *g);
void check_virtual_service(const struct manifest *m, const struct virtual_service *vs);
void check_destination_rule(const struct manifest *m, const struct destination_rule *r);
void check_backends(const struct manifest *m);
void check_mesh(const struct manifest *m);

// The text of a field of an object that a table filled, which goes into a head as it is.
void check_one_line(const struct manifest *m, const void *object, const char *field);

// May be NULL.
void check_retry(const struct manifest *m, const struct http_retry *r);
