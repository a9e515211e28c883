/*
 * test/fuzz/zone.c - any bytes as a TZif file. What is taken must have times
 * that can be asked for, and moments that show what was looked for.
 */
#include "codec/zone.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = { (const char *)data, size };
	struct zone *z;

	if (zone_new(bytes, STR("fuzz"), &z, NULL) != 0)
		return 0;
	for (int64_t year = 1900; year < 2100; year += 7) {
		struct zone_time t;
		int64_t at, second;
		enum zone_kind kind =
		    zone_moment(z, year, 3, 31, 2, 30, 0, &at, &second);

		zone_local(z, at, &t);
		if (kind == ZONE_ONCE && (t.minute != 30 || t.second != 0))
			abort();
		if (second < at)
			abort();
	}
	zone_free(z);
	return 0;
}
