/*
 * test/fuzz/flatten.c - any bytes as nested JSON: every value has a name that
 * an id may hold.
 */
#include "codec/flatten.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static int
each(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	(void)ctx;
	(void)err;
	must(name.len > 0 && value.len > 0);
	for (size_t i = 0; i < name.len; i++)
		must(name.ptr[i] != '.' && (unsigned char)name.ptr[i] > ' ');
	for (size_t i = 0; i < source.len; i++)
		must((unsigned char)source.ptr[i] > ' ');
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };

	(void)flatten(
	    (struct str){ (const char *)data, size }, &a, each, NULL, NULL);
	arena_fini(&a);
	return 0;
}
