#include "mgmt/ctl_top.h"

#include <stdlib.h>
#include <string.h>

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

// A counter that went back belongs to a gateway that was restarted in between: its rate is not known, and 0 is printed.
static double rate(const json_t *before, const json_t *after, const char *key, double seconds)
{
	double difference = number(after, key) - number(before, key);

	return difference > 0 ? difference / seconds : 0;
}

static const json_t *find(const json_t *list, const char *key, const json_t *value)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		if (json_equal(json_object_get(item, key), value))
			return item;
	}
	return NULL;
}

static json_t *worker_row(const json_t *before, const json_t *after, double seconds)
{
	double busy = rate(before, after, "busy_cycles", seconds);
	double idle = rate(before, after, "idle_cycles", seconds);

	return json_pack("{s:O, s:f, s:f, s:f}", "worker", json_object_get(after, "worker"),
		"rx_packets_per_s", rate(before, after, "rx_packets", seconds), "tx_packets_per_s",
		rate(before, after, "tx_packets", seconds), "busy_percent",
		busy + idle > 0 ? 100 * busy / (busy + idle) : 0.0);
}

static json_t *cluster_row(const json_t *before, const json_t *after, double seconds)
{
	return json_pack("{s:O, s:f, s:f, s:f, s:f, s:f, s:O, s:O, s:O}", "cluster",
		json_object_get(after, "cluster"), "requests_per_s",
		rate(before, after, "requests", seconds), "errors_per_s",
		rate(before, after, "errors", seconds), "retries_per_s",
		rate(before, after, "retries", seconds), "rx_bytes_per_s",
		rate(before, after, "rx_bytes", seconds), "tx_bytes_per_s",
		rate(before, after, "tx_bytes", seconds), "active",
		json_object_get(after, "active"), "healthy", json_object_get(after, "healthy"),
		"endpoints", json_object_get(after, "endpoints"));
}

static int by_requests(const void *a, const void *b)
{
	double x = number(*(json_t *const *)a, "requests_per_s");
	double y = number(*(json_t *const *)b, "requests_per_s");

	return x < y ? 1 : x > y ? -1 : 0;
}

// Busiest first.
static json_t *sorted(json_t *list)
{
	size_t n = json_array_size(list), i;
	json_t **at = calloc(n + 1, sizeof(*at));
	json_t *item, *result;

	if (at == NULL)
		return list;
	json_array_foreach(list, i, item) at[i] = item;
	qsort(at, n, sizeof(*at), by_requests);
	result = json_array();
	for (i = 0; i < n; i++)
		json_array_append(result, at[i]);
	free(at);
	json_decref(list);
	return result;
}

static json_t *rows(const json_t *before, const json_t *after, const char *list, const char *key,
	json_t *(*row)(const json_t *before, const json_t *after, double seconds), double seconds)
{
	json_t *result = json_array();
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(after, list), i, item)
	{
		const json_t *old =
			find(json_object_get(before, list), key, json_object_get(item, key));

		// What is new since the first reading has no rate yet.
		if (old != NULL)
			json_array_append_new(result, row(old, item, seconds));
	}
	return result;
}

json_t *ctl_top_rates(const json_t *before, const json_t *after)
{
	double seconds = (number(after, "time_us") - number(before, "time_us")) / 1e6;

	if (!(seconds > 0))
		return NULL;
	return json_pack("{s:f, s:f, s:O, s:O, s:o, s:o}", "seconds", seconds, "requests_per_s",
		rate(before, after, "requests", seconds), "active",
		json_object_get(after, "active"), "connections",
		json_object_get(after, "connections"), "workers",
		rows(before, after, "workers", "worker", worker_row, seconds), "clusters",
		sorted(rows(before, after, "clusters", "cluster", cluster_row, seconds)));
}
