/*
 * test/fuzz/cron.c - any text as a schedule and as a duration. What is due must
 * be later than the moment asked for, and never twice.
 */
#include "codec/cron.h"
#include "codec/duration.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	int64_t at = 1709164800000, ns, again;
	struct buf b = { 0 };
	struct cron c;
	struct err err;

	if (duration_parse(text, &ns)) {
		duration_text(&b, ns);
		if (!duration_parse(buf_str(&b), &again) || again != ns)
			abort();
		buf_free(&b);
	}
	if (cron_parse(text, &c, &err) != 0)
		return 0;
	for (int i = 0; i < 5; i++) {
		int64_t next = cron_next(&c, at, NULL);

		if (next == TIME_NULL)
			return 0;
		if (next <= at ||
		    (c.every_ms == 0 && cron_next(&c, next - 1, NULL) != next))
			abort();
		at = next;
	}
	return 0;
}
