#include "mgmt/gateway_state.h"

void gateway_write_metrics(struct gateway *gw, FILE *to)
{
	fprintf(to,
		"# TYPE pollgate_config_applied_total counter\npollgate_config_applied_total{} %llu\n",
		(unsigned long long)gw->reload.n_applied);
}
