/*
 * test/fuzz/fleet_diff.c - two states, with a NUL between: one that is the same
 * has no change, and what was done is undone.
 */
#include "core/fleet/state_diff.h"

#include <stdlib.h>
#include <string.h>

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
	const char *text = (const char *)data;
	const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
	struct str one = { text, nul != NULL ? (size_t)(nul - text) : size };
	struct str two = { nul != NULL ? nul + 1 : text,
		nul != NULL ? size - one.len - 1 : 0 };
	struct fleet_state from, to, back;
	struct fleet_changes c;
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct json_out o;

	if (fleet_state_read(one, &a, &from, NULL, NULL) == 0 &&
	    fleet_state_read(two, &a, &to, NULL, NULL) == 0 &&
	    fleet_state_check(&from, NULL) == 0 &&
	    fleet_state_check(&to, NULL) == 0) {
		fleet_state_diff(&from, &from, &a, &c);
		must(c.n == 0);
		fleet_state_diff(&from, &to, &a, &c);
		json_out_init(&o, &out, false);
		fleet_changes_put(&o, &c);
		must(json_valid(buf_str(&out), 0));
		/* taken back at once, nothing is left of it */
		fleet_state_undo(&to, &from, &to, STR_NULL, &a, &back, &c);
		must(c.n == 0);
		fleet_state_diff(&from, &back, &a, &c);
		must(fleet_state_check(&back, NULL) == 0);
		for (size_t i = 0; i < c.n; i++) /* they may stand elsewhere */
			must(str_eqz(c.at[i].setting, "order"));
	}
	buf_free(&out);
	arena_fini(&a);
	return 0;
}
