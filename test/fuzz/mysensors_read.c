/*
 * test/fuzz/mysensors_read.c - any bytes as a frame of MySensors: what it says
 * is JSON, and a value that was read can be written again or is refused.
 */
#include "codec/json.h"
#include "plug/gateway/gateway.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gateway *gateway;

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
on_written(struct gateway_write *w, const struct err *err)
{
	must((w->n_frames == 1) == (err->code == 0));
}

static void
write_again(const struct gateway_message *m)
{
	struct gateway_write w = { .message = *m, .done = on_written };

	gateway_write(gateway, &w);
	arena_fini(&w.arena);
}

static void
on_read(struct gateway_read *r, const struct err *err)
{
	must(err->code == 0 || r->n_messages == 0);
	for (size_t i = 0; i < r->n_messages; i++) {
		const struct gateway_message *m = &r->messages[i];
		const struct gateway_payload *p = m->payloads;

		must(m->n_payloads == 1);
		must(p->value.ptr == NULL || json_valid(p->value, 0));
		must(p->labels.ptr == NULL || json_valid(p->labels, 0));
		must(p->others.ptr == NULL || json_valid(p->others, 0));
		write_again(m);
	}
}

static void
open_it(void)
{
	static const struct gateway_settings settings = { .queue = 1 };
	static struct gateway_host host = { .settings = &settings };
	struct gateway_conf conf = { .name = "fuzz",
		.provider = STR("{\"type\":\"mysensors_v2\",\"protocol\":"
				"{\"type\":\"ethernet\",\"server\":"
				"\"tcp://127.0.0.1:1\"}}") };

	host.loop = loop_new();
	must(gateway_open(&conf, &host, &gateway, NULL) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gateway_read r = {
		.frame = { STR("7"), { (const char *)data, size }, STR_NULL },
		.done = on_read,
	};

	if (gateway == NULL)
		open_it();
	gateway_read(gateway, &r);
	arena_fini(&r.arena);
	return 0;
}
