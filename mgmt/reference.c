#include "mgmt/reference.h"

#include "mgmt/admin.h"
#include "mgmt/export.h"
#include "mgmt/schema.h"

#include <string.h>

static const struct {
	const char *name;
	void (*print)(FILE *to);
} pages[] = {
	{"config",   config_reference     },
	{"metrics",  export_reference     },
	{"commands", admin_print_reference},
};

bool reference_print(FILE *to, const char *page)
{
	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(pages[i].name, page) == 0) {
			pages[i].print(to);
			return true;
		}
	}
	return false;
}
