/*
 * test/fuzz/json.c - any bytes through the JSON reader, strict and JSON5. What
 * is accepted must be accepted again once it was rewritten.
 */
#include "codec/json.h"
#include "codec/yaml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };

	for (unsigned flags = 0; flags <= JSON_5; flags++) {
		struct buf once = { 0 }, twice = { 0 };

		if (json_compact(&once, text, flags)) {
			if (!json_compact(&twice, buf_str(&once), 0) ||
			    !str_eq(buf_str(&once), buf_str(&twice)))
				abort();
		}
		buf_free(&once);
		buf_free(&twice);
	}
	{ /* and as YAML */
		struct buf yaml = { 0 };

		if (yaml_write(&yaml, text) != json_valid(text, 0))
			abort();
		buf_free(&yaml);
	}
	return 0;
}
