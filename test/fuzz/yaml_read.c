/*
 * test/fuzz/yaml_read.c - any bytes as YAML. What is taken must be JSON, and
 * come back when it is written as YAML and read again.
 */
#include "codec/json.h"
#include "codec/yaml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 forgets some hundred bytes of some broken texts. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libfyaml";
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf json = { 0 }, yaml = { 0 }, again = { 0 };
	struct err err;

	if (yaml_read(&json, (struct str){ (const char *)data, size }, &err) ==
	    0) {
		if (!json_valid(buf_str(&json), 0) ||
		    !yaml_write(&yaml, buf_str(&json)) ||
		    yaml_read(&again, buf_str(&yaml), &err) != 0 ||
		    !json_valid(buf_str(&again), 0))
			abort();
	}
	buf_free(&json);
	buf_free(&yaml);
	buf_free(&again);
	return 0;
}
