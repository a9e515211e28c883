/*
 * test/fuzz/handler_read.c - any bytes as spec and parameter of every type of
 * handler. What is taken must be taken again when it is written out.
 */
#include "codec/entity_json.h"
#include "plug/handler/ops.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct record *r, struct str text)
{
	struct arena a = { 0 };
	struct buf once = { 0 }, twice = { 0 };
	struct err err;
	void *row;

	if (r == NULL)
		return;
	row = arena_alloc(&a, r->size);
	if (record_read(r, &a, text, row, &err) == 0) {
		record_encode(&once, r, row);
		row = arena_alloc(&a, r->size);
		if (record_read(r, &a, buf_str(&once), row, &err) != 0)
			abort();
		record_encode(&twice, r, row);
		if (!str_eq(buf_str(&once), buf_str(&twice)))
			abort();
	}
	buf_free(&once);
	buf_free(&twice);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };

	for (const char *const *t = handler_types(); *t != NULL; t++) {
		check(handler_spec(*t), text);
		check(handler_parameter(*t), text);
	}
	return 0;
}
