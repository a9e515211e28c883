/*
 * test/fuzz/marram_edge_read.c - any payload of any of a Linux device's topics.
 * What it says must be JSON, within its limits.
 */
#include "base/base.h"
#include "codec/json.h"
#include "plug/gateway/marram_edge.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const topics[] = { "m", "m/t", "e/t", "a/t", "twin/k",
	"entity", "status/health", "cmd/restart", "cmd/restart/7",
	"software/0/2", "online", "x" };

static void
check(const struct gateway_messages *m)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct gateway_message *msg = &m->at[i];

		if (msg->n_payloads > GATEWAY_PAYLOADS_MAX ||
		    (msg->labels.ptr != NULL && !json_valid(msg->labels, 0)))
			abort();
		for (size_t k = 0; k < msg->n_payloads; k++) {
			const struct gateway_payload *p = &msg->payloads[k];

			if (p->key.len == 0 ||
			    (p->value.ptr != NULL &&
				!json_valid(p->value, 0)) ||
			    (p->others.ptr != NULL &&
				!json_valid(p->others, 0)))
				abort();
		}
	}
}

static void
read_it(struct arena *a, struct str data, struct str extension)
{
	struct gateway_messages m = { .a = a };
	struct gateway_frame f = {
		.node = STR("x"), .data = data, .extension = extension
	};
	struct err err;

	if (marram_edge_read(&f, &m, &err) == 0)
		check(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct str rest;

	if (size == 0)
		return 0;
	rest = (struct str){ (const char *)data + 1, size - 1 };
	read_it(&a, rest,
	    arena_printf(&a, "{\"topic\":\"%s\"%s}",
		topics[data[0] % COUNT_OF(topics)],
		data[0] & 0x80 ? ",\"service\":\"s\"" : ""));
	read_it(&a, STR("{\"t\":1}"), rest);
	arena_fini(&a);
	return 0;
}
