/*
 * test/fuzz/fleet_resources.c - any bytes as linux.json. What is taken comes
 * back the same when it is written and read again.
 */
#include "codec/fleet_resources.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct fleet_resources r, again;
	struct buf one = { 0 }, two = { 0 };
	struct err err;

	if (fleet_resources_read(
		(struct str){ (const char *)data, size }, &a, &r, &err) == 0) {
		fleet_resources_write(&r, &one);
		if (fleet_resources_read(buf_str(&one), &a, &again, &err) != 0)
			abort();
		fleet_resources_write(&again, &two);
		if (one.len != two.len ||
		    memcmp(one.ptr, two.ptr, one.len) != 0)
			abort();
	}
	buf_free(&one);
	buf_free(&two);
	arena_fini(&a);
	return 0;
}
