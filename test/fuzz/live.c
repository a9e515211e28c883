/*
 * test/fuzz/live.c - any bytes as what a client of /ws sends. The first byte
 * says how they are cut: the messages in them are the same however that is, and
 * a subscription that is understood is the same in its copy.
 */
#include "core/hub/live.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
ask(struct str text)
{
	const struct live_event e = { .kind = LIVE_EVENT,
		.quick = STR("field:n.a.s.f"),
		.type = STR("updated"),
		.entity_type = STR("field"),
		.entity =
		    STR("{\"fieldId\":\"f\",\"current\":{\"value\":1.5}}") };
	struct arena a = { 0 };
	struct map ids = { 0 };
	struct live_ask ask, copy;
	struct err err;

	if (live_ask_read(text, &a, &ask, &err) == 0 &&
	    ask.verb == LIVE_SUBSCRIBE) {
		must(ask.id.len > 0);
		for (size_t i = 0; i < ask.quick_ids.n; i++)
			map_put(&ids, ask.quick_ids.at[i], &ids);
		live_ask_copy(&a, &copy, &ask);
		must(live_wants(&ask, &ids, &e) == live_wants(&copy, &ids, &e));
	}
	map_fini(&ids);
	arena_fini(&a);
}

/* All messages behind each other, then the code. */
static void
read_all(const uint8_t *data, size_t size, size_t step, struct buf *all)
{
	struct ws_text w = { .max = 4096 };
	enum websocket_opcode kind;
	struct str payload;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < size; at += step) {
		ws_text_put(&w, data + at, MIN_OF(step, size - at));
		while ((rc = ws_text_next(&w, &kind, &payload)) > 0) {
			must(payload.len <= w.max);
			must(kind != WEBSOCKET_TEXT || str_is_utf8(payload));
			buf_addf(all, "%d ", (int)kind);
			buf_add_str(all, payload);
			if (kind == WEBSOCKET_TEXT)
				ask(payload);
		}
	}
	buf_addf(all, "%d", rc);
	ws_text_fini(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, cut = { 0 };

	if (size < 2)
		return 0;
	ask((struct str){ (const char *)data + 1, size - 1 });
	read_all(data + 1, size - 1, size, &whole);
	read_all(data + 1, size - 1, 1 + data[0] % 16, &cut);
	must(str_eq(buf_str(&whole), buf_str(&cut)));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
