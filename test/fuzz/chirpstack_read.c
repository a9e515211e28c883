/*
 * test/fuzz/chirpstack_read.c - any bytes as an event of ChirpStack, and as the
 * extension of a frame. What becomes a frame can be read, and says JSON.
 */
#include "base/base.h"
#include "base/clock.h"
#include "codec/json.h"
#include "plug/gateway/chirpstack.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const kinds[] = { "up", "join", "ack", "txack", "status",
	"log", "location", "integration" };

static void
check(const struct gateway_messages *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct gateway_message *msg = &m->at[i];

		if (msg->n_payloads > GATEWAY_PAYLOADS_MAX ||
		    (msg->labels.ptr != NULL && !json_valid(msg->labels, 0)))
			abort();
		for (size_t k = 0; k < msg->n_payloads; k++)
			if (!json_valid(msg->payloads[k].value, 0))
				abort();
	}
}

static void
event(struct arena *a, const char *kind, struct str json)
{
	struct gateway_messages m = { .a = a };
	struct chirpstack_event e;
	struct gateway_frame f;
	struct err err;
	int64_t at;
	int rc;

	if (chirpstack_event(a,
		arena_printf(
		    a, "application/a/device/0102030405060708/event/%s", kind),
		json, &e, &err) != 0)
		return;
	if (!time_parse(e.time, &at))
		e.time = STR("");
	if (chirpstack_frame(a, &e, &f, &err) != 0)
		return;
	rc = chirpstack_read(&f, &m, &err);
	if (rc != 0 && rc != ERR_LIMIT)
		abort();
	if (rc == 0)
		check(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct gateway_messages m = { .a = &a };
	struct gateway_frame f = { .node = STR("0102030405060708") };
	struct str text;

	if (size == 0)
		return 0;
	text = (struct str){ (const char *)data + 1, size - 1 };
	event(&a, kinds[data[0] % COUNT_OF(kinds)], text);
	f.extension = text;
	if (chirpstack_read(&f, &m, NULL) == 0)
		check(&m);
	arena_fini(&a);
	return 0;
}
