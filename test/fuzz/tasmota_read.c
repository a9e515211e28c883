/*
 * test/fuzz/tasmota_read.c - any payload of any of Tasmota's topics. What it
 * says must be JSON, and have a source where it is presented.
 */
#include "base/base.h"
#include "codec/json.h"
#include "plug/gateway/tasmota.h"
#include "plug/gateway/tasmota_device.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const topics[] = { "tele/x/STATE", "tele/x/SENSOR",
	"tele/x/INFO1", "tele/x/LWT", "stat/x/RESULT", "stat/x/STATUS0",
	"tasmota/discovery/0A/config", "tasmota/discovery/0A/sensors" };

static void
check(const struct gateway_messages *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct gateway_message *msg = &m->at[i];

		if (msg->n_payloads > GATEWAY_PAYLOADS_MAX ||
		    (msg->labels.ptr != NULL && !json_valid(msg->labels, 0)))
			abort();
		for (size_t k = 0; k < msg->n_payloads; k++)
			if (!json_valid(msg->payloads[k].value, 0) ||
			    msg->payloads[k].key.len == 0)
				abort();
	}
}

/* A device that was learnt is found where it speaks. */
static void
learn(struct str config)
{
	struct tasmota_devices all = { 0 };
	struct tasmota_device *d;
	struct arena a = { 0 };
	enum tasmota_prefix prefix;
	struct str node, command;

	if (tasmota_devices_init(&all, STR("%prefix%/%topic%"), 2, NULL) != 0)
		abort();
	d = tasmota_device_learn(&all, STR("0A"), config, NULL);
	if (d != NULL &&
	    (!tasmota_find(&all,
		 arena_printf(&a, STR_FMT "STATE", STR_ARG(d->base[TELE])),
		 &node, &prefix, &command) ||
		!str_eq(node, d->node) || prefix != TELE))
		abort();
	tasmota_devices_fini(&all);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct gateway_messages m = { .a = &a };
	struct gateway_frame f = { .node = STR("x") };

	if (size == 0)
		return 0;
	f.data = (struct str){ (const char *)data + 1, size - 1 };
	f.extension = arena_printf(&a, "{\"topic\":\"%s\",\"on\":\"AN\"}",
	    topics[data[0] % COUNT_OF(topics)]);
	if (tasmota_read(&f, &m, NULL) == 0)
		check(&m);
	learn(f.data);
	m = (struct gateway_messages){ .a = &a };
	f.extension = f.data;
	if (tasmota_read(&f, &m, NULL) == 0)
		check(&m);
	arena_fini(&a);
	return 0;
}
