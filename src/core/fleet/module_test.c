/*
 * core/fleet/module_test.c - the modules that come with Marram, from a state to
 * what is generated. The states and what each yields are files in golden/:
 *
 *    NAME.json		a state
 *    NAME.out		all files for NixOS, and linux.json of each
 * configuration
 *
 * `GOLDEN_WRITE=1 test_core_fleet_module` writes the latter anew; the diff says
 * what has changed.
 */
#include "codec/fleet_module_private.h"
#include "core/fleet/module_builtin.h"
#include "plug/target/nixos_generate.h"

#include "base/base.h"
#include "base/file.h"
#include "base/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena modules_arena;
static struct fleet_catalog catalog;

static int
set_up(void **state)
{
	struct fleet_module **all;
	struct err err;

	(void)state;
	if (fleet_builtin(&modules_arena, &all, &catalog.n, &err) != 0)
		fail_msg("%s", err.text);
	catalog.modules = (const struct fleet_module *const *)all;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_fini(&modules_arena);
	return 0;
}

/* --- generating ----------------------------------------------------------- */

struct made {
	struct buf text;
	struct buf faults;
	bool base; /* also what is the same for all */
};

static int
take(void *ctx, struct str path, struct str text, struct err *err)
{
	struct made *m = ctx;

	(void)err;
	if (!m->base &&
	    (str_starts(path, STR("modules/")) || str_eqz(path, "flake.nix")))
		return 0;
	buf_addf(&m->text, "=== " STR_FMT "\n", STR_ARG(path));
	if (text.len > 0)
		buf_add_str(&m->text, text);
	return 0;
}

static void
take_fault(void *ctx, struct str where, struct str what)
{
	struct made *m = ctx;

	buf_addf(&m->faults, STR_FMT ": " STR_FMT "\n", STR_ARG(where),
	    STR_ARG(what));
}

static void
generate(struct made *m, struct str json)
{
	struct target_site site = { .agent_url = STR("https://fleet.example") };
	struct arena a = { 0 };
	struct fleet_state s;
	struct err err;

	if (fleet_state_read(json, &a, &s, NULL, &err) != 0 ||
	    nixos_generate(&s, &catalog, &site, take, take_fault, m, &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < s.n_configs; i++) {
		struct fleet_resources r = { 0 };

		buf_addf(&m->text, "=== hosts/" STR_FMT "/linux.json\n",
		    STR_ARG(s.configs[i].identifier));
		if (fleet_yield(&s, &catalog, s.configs[i].identifier, &a, &r,
			&err) == 0) {
			fleet_resources_write(&r, &m->text);
		} else {
			buf_addf(&m->text, "fault: %s\n", err.text);
			buf_addf(&m->faults, "linux: %s\n", err.text);
		}
	}
	if (m->faults.len > 0)
		buf_addf(&m->text, "=== faults\n%s", buf_z(&m->faults));
	arena_fini(&a);
}

static void
free_made(struct made *m)
{
	buf_free(&m->text);
	buf_free(&m->faults);
}

/* --- golden files --------------------------------------------------------- */

static void
compare(const char *folder, const char *name)
{
	char path[512], expected_path[512];
	struct made m = { 0 };
	struct buf json = { 0 }, expected = { 0 };
	struct err err;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(expected_path, sizeof(expected_path), "%s/%.*sout", folder,
	    (int)strlen(name) - 4, name);
	if (file_read(path, &json, &err) != 0)
		fail_msg("%s", err.text);
	generate(&m, buf_str(&json));
	if (getenv("GOLDEN_WRITE") != NULL &&
	    file_replace(expected_path, buf_str(&m.text), &err) != 0)
		fail_msg("%s", err.text);
	if (file_read(expected_path, &expected, &err) != 0)
		fail_msg("%s", err.text);
	if (strcmp(buf_z(&expected), buf_z(&m.text)) != 0)
		fail_msg("%s: what is generated is another:\n%s", name,
		    buf_z(&m.text));
	free_made(&m);
	buf_free(&json);
	buf_free(&expected);
}

static void
each_module_yields_what_its_golden_file_says(void **state)
{
	const char *folder = getenv("FLEET_GOLDEN");
	DIR *d = opendir(folder != NULL ? folder : "src/core/fleet/golden");
	struct dirent *e;
	size_t n = 0;

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (str_ends(str_of(e->d_name), STR(".json"))) {
			compare(
			    folder != NULL ? folder : "src/core/fleet/golden",
			    e->d_name);
			n++;
		}
	closedir(d);
	/* one for each module at least */
	assert_true(n >= catalog.n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_module_yields_what_its_golden_file_says),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
