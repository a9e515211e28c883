/*
 * test/fuzz/edge_topic.c - any bytes as topics of a device (libFuzzer).
 *
 * A topic that is read is written again as it was; an id that was made whole
 * stays as it is.
 */
#include "edge/topic.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct buf once = { 0 }, twice = { 0 };
	struct tedge_topic first;
	struct te_topic t;
	struct err err;

	if (te_topic_read(STR("te"), text, &t, &err) == 0) {
		te_topic_add(&once, STR("te"), &t);
		must(str_eq(buf_str(&once), text));
		(void)te_entity_name(t.entity);
		buf_clear(&once);
		te_entity_device(&once, t.entity);
		must(!te_entity_is_default(t.entity) ||
		    te_entity_is_default(buf_str(&once)));
	}
	buf_clear(&once);
	if (te_entity_normal(&once, text, &err) == 0) {
		must(te_entity_normal(&twice, buf_str(&once), &err) == 0);
		must(str_eq(buf_str(&once), buf_str(&twice)));
	}
	(void)tedge_topic_read(text, &first, &err);
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
