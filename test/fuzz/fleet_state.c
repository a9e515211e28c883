/*
 * test/fuzz/fleet_state.c - any bytes as state.json. What can be read is
 * written so that it reads the same, and passes the same check.
 */
#include "codec/fleet_state.h"

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
	struct fleet_state s, again;
	struct arena a = { 0 };
	struct str was;

	if (fleet_state_read(text, &a, &s, NULL, NULL) == 0) {
		fleet_state_write(&s, &once);
		must(fleet_state_read(buf_str(&once), &a, &again, &was, NULL) ==
		    0);
		must(str_eqz(was, FLEET_STATE_VERSION));
		fleet_state_write(&again, &twice);
		must(str_eq(buf_str(&once), buf_str(&twice)));
		must(fleet_state_check(&s, NULL) ==
		    fleet_state_check(&again, NULL));
		for (size_t i = 0; i < s.n_configs; i++) {
			struct str id =
			    fleet_identifier(&a, s.configs[i].display_name);

			must(id.len > 0 && id.len <= 63);
			must(str_eq(fleet_identifier(&a, id), id));
		}
	}
	buf_free(&once);
	buf_free(&twice);
	arena_fini(&a);
	return 0;
}
