/*
 * test/fuzz/duration.c - any bytes as a span of time: what is taken is written
 * so that it reads the same.
 */
#include "codec/duration.h"

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
	struct str in = { (const char *)data, size };
	int64_t ns, again, ms;
	struct buf b = { 0 };

	if (duration_parse(in, &ns)) {
		duration_text(&b, ns);
		must(duration_parse(buf_str(&b), &again) && again == ns);
		must(duration_parse_ms(in, &ms) && ms == ns / 1000000);
	}
	buf_free(&b);
	return 0;
}
