/*
 * test/fuzz/fleet_module.c - any bytes as the file of a module: what is taken
 * can be shown, and what it yields of harmless settings is JSON, or an error.
 */
#include "codec/fleet_module_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char settings[] =
	    "{\"a\":\"x\\ny\",\"b\":[{\"a\":1,\"c\":\"'$%\"},2],\"c\":true}";
	struct str s = { (const char *)data, size }, made;
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct json_out o;
	struct fleet_module *m;

	if (fleet_module_read(s, &a, &m, NULL) == 0) {
		json_out_init(&o, &b, false);
		fleet_module_write(m, STR("de"), &o);
		if (!json_valid(buf_str(&b), 0))
			abort();
		if (m->yields.ptr != NULL &&
		    fleet_template(
			m, str_of(settings), STR("{}"), &a, &made, NULL) == 0 &&
		    !json_valid(made, 0))
			abort();
	}
	buf_free(&b);
	arena_fini(&a);
	return 0;
}
